//! `skills run`: a skill's entry point, with its output as it comes and its exit code.

use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use skill_client::python::{Builder, Environment, Environments, Needs, Plan, PythonError};
use skill_client::run::{self, Capture, Ended, Outcome, Prepared, Sink, Stream};
use skill_client::{Cache, Store, fsx};
use skill_format::{Manifest, ReadOptions, SkillName, read_manifest};
#[cfg(target_os = "linux")]
use skill_runtime::{Contained, Granting, Neighbours, Rules};

use crate::cli::consume::{RunArgs, SandboxMode};
use crate::context::Context;
use crate::failure::{Failure, io_failure};
use crate::printer::Printer;
#[cfg(target_os = "linux")]
use crate::sandboxed;

/// Most input that is read, in bytes: what a registry takes as a whole skill.
const INPUT_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Where a project has skills of its own, which `skills worker` runs where it is told of no others.
#[cfg(target_os = "linux")]
const SKILLS_DIR: &str = "skills";

pub fn run(args: &RunArgs, context: &Context) -> Result<(), Failure> {
    let skill = find(&args.skill, context)?;
    // Before the input: nobody should type it for a skill that cannot be run.
    let ready = Ready::of(&skill, args, context)?;
    let timeout = args.timeout.map(Duration::from_secs);
    let timeout = timeout.unwrap_or_else(|| ready.timeout());
    let input = input(args, context)?;
    let mut capture = context.printer.is_json().then(Capture::default);
    let (outcome, limit) = context.block_on(async {
        let mut through = Through(&context.printer);
        let sink: &mut dyn Sink = match &mut capture {
            Some(capture) => capture,
            None => &mut through,
        };
        ready
            .execute(input, timeout, &skill, sink, args, context)
            .await
    })?;
    let name = &skill.manifest.name;
    if let Some(limit) = limit {
        context
            .printer
            .warn(format!("{name} was ended: it {limit}"));
    }
    report(&outcome, name, timeout, context);
    if let Some(capture) = capture {
        context.printer.document(&json!({
            "name": name,
            "ended": outcome.ended,
            "exitCode": outcome.ended.exit_code(),
            "durationMs": outcome.duration.as_millis(),
            "output": String::from_utf8_lossy(&capture.output.bytes),
            "outputTruncated": capture.output.is_truncated(),
            "error": String::from_utf8_lossy(&capture.error.bytes),
            "errorTruncated": capture.error.is_truncated(),
        }));
    }
    if outcome.ended.is_success() {
        Ok(())
    } else {
        Err(Failure::reported(outcome.ended.exit_code()))
    }
}

/// An entry point that lacks nothing but its input.
enum Ready {
    #[cfg(target_os = "linux")]
    Contained(Contained),
    Uncontained {
        prepared: Prepared,
        /// Held: nobody removes them meanwhile.
        _packages: Option<Environment>,
    },
}

/// The Python packages of a skill, prepared when it is run for the first time.
struct Packages<'a> {
    environments: Environments,
    skill: &'a Found,
    printer: &'a Printer,
}

impl<'a> Packages<'a> {
    fn new(skill: &'a Found, args: &RunArgs, context: &'a Context) -> Self {
        let builder = Builder {
            offline: args.offline,
            ..context.python_builder(args.allow_builds)
        };
        let folder = Cache::new(context.paths().cache_dir()).python_dir();
        Self {
            environments: Environments::new(folder, builder),
            skill,
            printer: &context.printer,
        }
    }

    fn ensure(&self, needs: &Needs, search: &OsStr) -> Result<Option<Environment>, PythonError> {
        let said = |plan: &Plan| {
            self.printer.note(format!(
                "preparing Python packages for {}, once: {}",
                self.skill.manifest.name,
                plan.requirements()
            ));
        };
        self.environments.ensure(needs, search, &said)
    }
}

impl Ready {
    fn of(skill: &Found, args: &RunArgs, context: &Context) -> Result<Self, Failure> {
        let (folder, manifest) = (&skill.folder, &skill.manifest);
        let entry = run::entry_point(folder, manifest, args.entry.as_deref())?;
        let variable = |name: &str| context.env_os(name);
        let packages = Packages::new(skill, args, context);
        #[cfg(target_os = "linux")]
        if args.sandbox != SandboxMode::Off || entry.is_module() {
            let rules = Rules {
                variable: &variable,
                granting: &granting(args.allow_network, context),
                packages: &|needs, search| packages.ensure(needs, search).map_err(Arc::new),
            };
            let contained = Contained::new(folder, manifest, entry, &rules)?;
            return Ok(Self::Contained(contained));
        }
        #[cfg(not(target_os = "linux"))]
        if args.sandbox == SandboxMode::Full {
            return Err(Failure::failed(
                "sandbox-unenforceable",
                "only Linux can contain a skill fully",
            )
            .with_help("--sandbox available runs it with what there is"));
        }
        #[cfg(not(target_os = "linux"))]
        if entry.is_module() {
            return Err(Failure::failed(
                "module-unsupported",
                "WebAssembly modules are run on Linux only",
            )
            .with_help("run it in a container or on a Linux host"));
        }
        let found = match Needs::of(folder, manifest, &entry)? {
            Some(needs) => packages.ensure(&needs, &variable("PATH").unwrap_or_default())?,
            None => None,
        };
        let prepared = match &found {
            Some(found) => Prepared::with_packages(folder, manifest, entry, &variable, found)?,
            None => Prepared::new(folder, manifest, entry, &variable)?,
        };
        Ok(Self::Uncontained {
            prepared,
            _packages: found,
        })
    }

    fn timeout(&self) -> Duration {
        match self {
            #[cfg(target_os = "linux")]
            Self::Contained(contained) => contained.timeout(),
            Self::Uncontained { prepared, .. } => prepared.timeout(),
        }
    }

    /// The outcome, and the limit that ended it.
    async fn execute(
        &self,
        input: Vec<u8>,
        timeout: Duration,
        skill: &Found,
        sink: &mut dyn Sink,
        args: &RunArgs,
        context: &Context,
    ) -> Result<(Outcome, Option<String>), Failure> {
        let interrupted = async {
            // Without a handler Ctrl-C ends this program, and the skill with it.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match self {
            #[cfg(target_os = "linux")]
            Self::Contained(contained) => {
                let protected = match contained.may_write() {
                    true => protected(skill, context),
                    false => Vec::new(),
                };
                let around = Neighbours {
                    beside: &skill.beside,
                    protected: &protected,
                };
                let work = contained.single_job(input, timeout, around)?;
                let allow_degraded = args.sandbox == SandboxMode::Available;
                sandboxed::run(work, allow_degraded, sink, interrupted, &context.printer).await
            }
            Self::Uncontained { prepared, .. } => {
                let request = prepared.request(input, Some(timeout))?;
                Ok((run::run(&request, sink, interrupted).await?, None))
            }
        }
    }
}

/// A skill that is there.
struct Found {
    folder: PathBuf,
    manifest: Manifest,
    /// Folders of the skills that it depends on, where they are.
    beside: Vec<PathBuf>,
}

/// An installed skill by its name, or a skill's folder.
fn find(skill: &str, context: &Context) -> Result<Found, Failure> {
    let is_path = skill.contains('/') || skill.starts_with('.');
    if is_path {
        let folder = context.resolve(skill);
        let manifest = read_manifest(&folder, &ReadOptions::default())?;
        // It was read a moment ago; the sandbox wants its path without `..`.
        let folder = folder
            .canonicalize()
            .map_err(|error| io_failure(&folder, "read", &error))?;
        let beside = folder.parent().unwrap_or(Path::new("/"));
        let needs = manifest.dependencies.skills.keys();
        return Ok(Found {
            beside: needs
                .map(|name| beside.join(name.as_str()))
                .filter(|folder| folder.join("SKILL.md").is_file())
                .collect(),
            folder,
            manifest,
        });
    }
    let name: SkillName = skill.parse()?;
    let store = Store::new(context.paths().store_dir());
    let index = store.index()?;
    let Some(installed) = index.get(&name) else {
        let failure = Failure::failed("not-installed", format!("{name} is not installed"));
        return Err(if context.resolve(skill).join("SKILL.md").is_file() {
            failure.with_help(format!(
                "to run the folder beside you: skills run ./{skill}"
            ))
        } else {
            failure.with_help(format!("skills install {name}"))
        });
    };
    let folder = store.skill_dir(installed);
    let manifest = read_manifest(&folder, &ReadOptions::default())?;
    let needs = manifest.dependencies.skills.keys();
    Ok(Found {
        beside: needs
            .filter_map(|name| Some(store.skill_dir(index.get(name)?)))
            .collect(),
        folder,
        manifest,
    })
}

/// What a skill gets of what it declares.
#[cfg(target_os = "linux")]
pub fn granting(allow_network: bool, context: &Context) -> Granting {
    Granting::AsDeclared {
        cwd: context.cwd().to_owned(),
        allow_network,
        secrets: context.paths().secrets().into(),
    }
}

/// What no skill may change whatever it is granted: other skills, and what is kept to install and run them.
#[cfg(target_os = "linux")]
fn protected(skill: &Found, context: &Context) -> Vec<PathBuf> {
    let paths = context.paths();
    let beside = skill
        .folder
        .parent()
        .and_then(|folder| folder.read_dir().ok());
    let beside = beside.into_iter().flatten().flatten();
    let others = beside
        .map(|entry| entry.path())
        .filter(|path| path.join("SKILL.md").is_file());
    let folder = context.resolve(SKILLS_DIR);
    [paths.user_dir(), paths.store_dir()]
        .into_iter()
        .map(Path::to_owned)
        .chain(Some(folder).filter(|folder| folder.exists()))
        .chain(others)
        .collect()
}

fn input(args: &RunArgs, context: &Context) -> Result<Vec<u8>, Failure> {
    if let Some(file) = &args.input_file {
        let path = context.resolve(file);
        let bytes = fsx::read_start(&path, INPUT_BYTES_MAX)
            .map_err(|error| io_failure(&path, "read", &error))?;
        return bounded(bytes);
    }
    match args.input.as_deref() {
        Some(text) if text != "-" => Ok(text.as_bytes().to_vec()),
        _ => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                context
                    .printer
                    .note("reading the input from the terminal; end it with Ctrl-D");
            }
            let mut bytes = Vec::new();
            stdin
                .lock()
                .take(INPUT_BYTES_MAX + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| {
                    Failure::bad_input("stdin", format!("standard input cannot be read: {error}"))
                })?;
            bounded(bytes)
        }
    }
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::bad_input(
            "input-too-large",
            format!("the input is larger than {INPUT_BYTES_MAX} bytes"),
        )
        .with_help("give the skill a path or a part of it instead"));
    }
    Ok(bytes)
}

/// Passes output on as it comes, byte for byte.
struct Through<'a>(&'a Printer);

impl Sink for Through<'_> {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Output => self.0.raw(bytes),
            Stream::Error => self.0.raw_error(bytes),
        }
    }
}

fn report(outcome: &Outcome, name: &SkillName, timeout: Duration, context: &Context) {
    let printer = &context.printer;
    match outcome.ended {
        Ended::TimedOut => printer.warn(format!(
            "{name} was ended after {} s; --timeout allows it more",
            timeout.as_secs()
        )),
        Ended::Signaled(signal) => printer.warn(format!("{name} was ended by signal {signal}")),
        Ended::Interrupted => printer.warn(format!("{name} was interrupted")),
        Ended::Exited(_) => {}
    }
    if outcome.ended_descendants > 0 {
        printer.detail(format!(
            "{} processes that it had left running were ended",
            outcome.ended_descendants
        ));
    }
    if outcome.survivors > 0 {
        printer.warn(format!(
            "{} processes that it started could not be ended",
            outcome.survivors
        ));
    }
}
