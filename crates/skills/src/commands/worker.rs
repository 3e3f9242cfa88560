//! `skills worker`: runs the skills of a folder for the requests of topics, until SIGTERM.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use skill_client::Cache;
use skill_client::python::{Builder, Environments};
use skill_mesh::worker::{self, Summary};
use skill_runtime::{Library, SkillExecutor, Source, Surroundings};
use skill_sandbox::Sandbox;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::mesh::{WorkerArgs, WorkerSandbox};
use crate::commands::run::granting;
use crate::context::Context;
use crate::failure::Failure;
use crate::mesh::{Mesh, wall_clock};
use crate::model;
use crate::observing::{self, Report};
use crate::telemetry::{self, Telemetry};
use crate::wiring;

/// Where skills are looked for when nothing is said, as SkillScale does.
const SKILLS_DIR: &str = "skills";
/// Seconds. A warm script takes 2 ms, a long one its time-out.
const LATENCY_BUCKETS: [f64; 12] = [
    0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0,
];
/// How often histogram samples move into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

pub fn run(args: &WorkerArgs, context: &Context) -> Result<(), Failure> {
    wiring::start_service_logging(context)?;
    // On one thread: to wake another one for a message costs more than the message.
    context.block_on(async {
        let stop = wiring::shutdown_signal();
        let telemetry = Telemetry::start("skills-worker", context)?;
        let observers = match args.metrics.and_then(|metrics| metrics.0) {
            Some(address) => Some((observing::listen(address).await?, recorder()?)),
            None => None,
        };
        let advice = model::advice(&args.matching, context)?;
        let library = Arc::new(library(args, context)?);
        let sandbox = Arc::new(sandbox(args).await?);
        let stopping = CancellationToken::new();
        let address = observers
            .as_ref()
            .and_then(|(one, _)| one.local_addr().ok());
        let is_up = Arc::new(AtomicBool::new(false));
        if let Some((listener, recorder)) = observers {
            let status = Status {
                recorder: recorder.clone(),
                library: library.clone(),
                is_up: is_up.clone(),
                stopping: stopping.clone(),
            };
            tokio::spawn(upkeep(recorder));
            tokio::spawn(observing::serve(listener, Arc::new(status)));
        }
        let mut stop = Box::pin(stop);
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = wait_for_packages(&library, args) => {}
        }
        let mesh = Mesh::connect(&args.mesh).await?;
        let ends = connect(&mesh, args).await?;
        is_up.store(true, Ordering::Relaxed);
        announce(&library, &sandbox, &mesh, address, args, context);

        if args.reload > 0 {
            let every = Duration::from_secs(args.reload);
            tokio::spawn(library.clone().watch(every));
        }
        let mut topics = JoinSet::new();
        for (topic, end) in ends {
            let timeout = Duration::from_millis(args.timeout);
            let executor = SkillExecutor::new(topic, library.clone(), sandbox.clone(), timeout)
                .with_advice(advice.clone());
            let stop = stopping.clone().cancelled_owned();
            topics.spawn(worker::run(end, Arc::new(executor), settings(args), stop));
        }
        let worked = work(topics, stop, &stopping).await;
        telemetry.finish(telemetry::SERVER).await;
        worked
    })
}

/// Requests for skills that are not ready yet would be answered with an error while other workers may have
/// them ready.
async fn wait_for_packages(library: &Arc<Library>, args: &WorkerArgs) {
    let at_most = Duration::from_secs(args.prepare_wait);
    let is_preparing = library
        .snapshot()
        .left_out()
        .iter()
        .any(|one| one.is_preparing);
    if is_preparing && !library.settled(at_most).await {
        tracing::warn!(
            seconds = args.prepare_wait,
            "Python packages are still being prepared; the skills that need them follow when they are there"
        );
    }
}

/// Until every topic has ended: all of them when told to stop, or when one has lost its transport.
async fn work(
    mut topics: JoinSet<Summary>,
    stop: impl Future<Output = ()>,
    stopping: &CancellationToken,
) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(stop);
    let mut cut_off = false;
    loop {
        let ended = tokio::select! {
            () = &mut stop, if !stopping.is_cancelled() => {
                tracing::info!("stopping: what runs is finished or handed on; a second signal ends it at once");
                stopping.cancel();
                continue;
            }
            ended = topics.join_next() => ended,
        };
        let summary = match ended {
            None => break,
            Some(Ok(summary)) => summary,
            Some(Err(error)) => {
                return Err(Failure::failed(
                    "worker-ended",
                    format!("the worker ended unexpectedly: {error}"),
                ));
            }
        };
        tracing::info!(
            succeeded = summary.succeeded,
            failed = summary.failed,
            handed_back = summary.handed_back,
            busy = summary.busy,
            "stopped"
        );
        cut_off |= summary.cut_off;
        stopping.cancel();
    }
    if cut_off {
        return Err(Failure::failed(
            "mesh-closed",
            "the connection to the mesh has ended; the log says why",
        ));
    }
    Ok(())
}

async fn connect(
    mesh: &Mesh,
    args: &WorkerArgs,
) -> Result<Vec<(String, skill_mesh::transport::WorkerEnd)>, Failure> {
    let mut ends = Vec::new();
    for topic in &args.topics {
        let end = mesh.worker(topic, usize::from(args.workers)).await?;
        ends.push((topic.clone(), end));
    }
    Ok(ends)
}

fn settings(args: &WorkerArgs) -> worker::Settings {
    let slots = usize::from(args.workers);
    worker::Settings {
        slots,
        // Only a proxy that copies requests to everybody sends more than there are slots.
        backlog_max: slots.saturating_mul(64),
        drain: Duration::from_secs(args.drain),
        clock: wall_clock(),
    }
}

fn library(args: &WorkerArgs, context: &Context) -> Result<Library, Failure> {
    let mut sources = sources(args, context);
    if sources.is_empty() {
        sources.push(Source::Folder(context.resolve(SKILLS_DIR)));
    }
    let environment = context.clone();
    let surroundings = Surroundings {
        variable: Arc::new(move |name| environment.env_os(name)),
        granting: granting(args.allow_network, context),
        environments: environments(args, context),
    };
    Ok(Library::open(sources, surroundings)?)
}

fn environments(args: &WorkerArgs, context: &Context) -> Environments {
    let folder = args
        .python_dir
        .as_ref()
        .map(|folder| context.resolve(folder));
    let folder = folder.unwrap_or_else(|| Cache::new(context.paths().cache_dir()).python_dir());
    let builder = Builder {
        time_max: Duration::from_secs(args.prepare_timeout),
        ..context.python_builder(args.allow_builds)
    };
    Environments::new(folder, builder)
}

fn sources(args: &WorkerArgs, context: &Context) -> Vec<Source> {
    let resolve = |path: &PathBuf| context.resolve(path);
    let lists = args.agents_md.iter().map(resolve).map(Source::AgentsMd);
    let folders = args.skills_dirs.iter().map(resolve).map(Source::Folder);
    let store = args
        .installed
        .then(|| Source::Store(context.paths().store_dir().to_owned()));
    lists.chain(folders).chain(store).collect()
}

async fn sandbox(args: &WorkerArgs) -> Result<Sandbox, Failure> {
    let sandbox = Sandbox::start(skill_sandbox::Settings {
        // Each topic's requests find a place of their own: nobody waits for another topic's.
        slots: usize::from(args.workers) * args.topics.len().max(1),
        allow_degraded: args.sandbox == WorkerSandbox::Available,
        ..skill_sandbox::Settings::default()
    })
    .await?;
    for missing in &sandbox.protections().missing {
        tracing::warn!(%missing, "this host does not enforce everything");
    }
    Ok(sandbox)
}

fn announce(
    library: &Library,
    sandbox: &Sandbox,
    mesh: &Mesh,
    metrics: Option<SocketAddr>,
    args: &WorkerArgs,
    context: &Context,
) {
    let snapshot = library.snapshot();
    let skills: Vec<&str> = snapshot.names().collect();
    if skills.is_empty() {
        tracing::warn!("there is no skill that can be run; the worker waits for some to appear");
    }
    tracing::info!(
        topics = args.topics.join(","),
        skills = skills.join(","),
        mesh = mesh.address(),
        workers = args.workers,
        metrics = metrics.map(tracing::field::display),
        "the worker is up"
    );
    context.printer.document(&json!({
        "topics": args.topics,
        "skills": skills,
        "workers": args.workers,
        "metrics": metrics.map(|address| format!("http://{address}/metrics")),
        "sandbox": {
            "missing": sandbox.protections().missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
    }));
}

/// Takes what the `metrics` facade is told.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let failed =
        |error: String| Failure::failed("metrics", format!("metrics cannot be recorded: {error}"));
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
        .map_err(|error| failed(error.to_string()))?
        .install_recorder()
        .map_err(|error| failed(error.to_string()))?;
    skill_runtime::describe();
    Ok(handle)
}

async fn upkeep(recorder: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        recorder.run_upkeep();
    }
}

struct Status {
    recorder: PrometheusHandle,
    library: Arc<Library>,
    /// It serves its topics.
    is_up: Arc<AtomicBool>,
    stopping: CancellationToken,
}

impl Report for Status {
    fn metrics(&self) -> String {
        self.recorder.render()
    }

    fn is_ready(&self) -> bool {
        let serves = self.is_up.load(Ordering::Relaxed) && !self.stopping.is_cancelled();
        serves && self.library.snapshot().names().len() > 0
    }
}
