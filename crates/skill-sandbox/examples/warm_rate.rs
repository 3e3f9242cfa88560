//! Prints how many short Python scripts a second a warm sandbox runs, as JSON, with as many at the
//! same time as there are processors. `-- RUNS` sets how many (default 2000).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skill_sandbox::{Job, Sandbox, Settings};

/// Until every launcher knows the script, and trusts that it has settled.
const WARM_UP: Duration = Duration::from_millis(1500);

fn main() -> Result<(), Box<dyn Error>> {
    skill_sandbox::serve_if_launcher();
    let runs = std::env::args()
        .nth(1)
        .map_or(Ok(2000), |runs| runs.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(runs))
}

async fn measure(runs: usize) -> Result<(), Box<dyn Error>> {
    let settings = Settings {
        allow_degraded: true,
        ..Settings::default()
    };
    let slots = settings.slots;
    let sandbox = Arc::new(Sandbox::start(settings).await?);
    let folder = tempfile::tempdir_in("/var/tmp")?;
    // Jobs of root's run as another user.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let script = folder.path().join("run.py");
    let source = "import json, os, sys\nprint(json.dumps({'read': len(sys.stdin.read())}))\n";
    std::fs::write(&script, source)?;
    let mut job = Job::new("/usr/bin/python3", folder.path());
    job.args = vec![script.into()];
    job.stdin = b"some input".to_vec();
    job.warm_python = true;
    let until = Instant::now() + WARM_UP;
    while Instant::now() < until {
        run_all(&sandbox, &job, slots, slots).await?;
    }
    let began = Instant::now();
    let mut times = run_all(&sandbox, &job, slots, runs).await?;
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort();
    let median = times.get(times.len() / 2).map_or(0, Duration::as_micros);
    println!("{{\"at_once\":{slots},\"jobs_per_second\":{rate:.0},\"median_us\":{median}}}");
    Ok(())
}

async fn run_all(
    sandbox: &Arc<Sandbox>,
    job: &Job,
    slots: usize,
    runs: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..slots {
        let (sandbox, job) = (sandbox.clone(), job.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..runs / slots {
                let began = Instant::now();
                let outcome = sandbox.run(job.clone()).await?;
                assert!(outcome.ended.is_success(), "{:?}", outcome.ended);
                times.push(began.elapsed());
            }
            Ok::<_, skill_sandbox::SandboxError>(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok(all)
}
