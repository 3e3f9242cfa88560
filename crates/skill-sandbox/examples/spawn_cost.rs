//! Prints what the sandbox adds to a program: median microseconds of the same short programs
//! spawned plainly and run in the sandbox, as JSON. `-- RUNS` sets how often (default 1000).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use skill_sandbox::{Job, Level, Sandbox, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    skill_sandbox::serve_if_launcher();
    let runs = std::env::args()
        .nth(1)
        .map_or(Ok(1000), |runs| runs.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(runs))
}

async fn measure(runs: usize) -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(Settings {
        allow_degraded: true,
        ..Settings::default()
    })
    .await?;
    let level = match sandbox.protections().level() {
        Level::Full => "full",
        Level::Degraded => "degraded",
    };
    let folder = tempfile::tempdir_in("/var/tmp")?;
    // Jobs of root's run as another user.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let script = folder.path().join("run.py");
    std::fs::write(&script, "print('hi')\n")?;
    let script = script.to_string_lossy().into_owned();
    let python = "/usr/bin/python3";
    let cases: [(&str, &str, Vec<&str>, bool); 4] = [
        ("true", "/bin/true", vec![], false),
        ("shell_echo", "/bin/sh", vec!["-c", "echo hi"], false),
        ("python_print", python, vec![&script], false),
        ("python_print_warm", python, vec![&script], true),
    ];
    for (name, program, args, warm) in cases {
        let mut raw = Vec::new();
        let mut sandboxed = Vec::new();
        // In turns, so that whatever else the machine does meets both.
        for _ in 0..runs {
            let began = Instant::now();
            let output = Command::new(program).args(&args).env_clear().output()?;
            raw.push(began.elapsed());
            assert!(output.status.success(), "{program} failed");
            let mut job = Job::new(program, folder.path());
            job.args = args.iter().map(Into::into).collect();
            job.warm_python = warm;
            let began = Instant::now();
            let outcome = sandbox.run(job).await?;
            sandboxed.push(began.elapsed());
            assert!(outcome.ended.is_success(), "{program}: {:?}", outcome.ended);
            assert_eq!(outcome.stdout.bytes, output.stdout);
        }
        let (raw, sandboxed) = (median_micros(raw), median_micros(sandboxed));
        println!(
            "{{\"program\":\"{name}\",\"level\":\"{level}\",\"raw_us\":{raw:.0},\"sandboxed_us\":{sandboxed:.0},\"ratio\":{:.2}}}",
            sandboxed / raw
        );
    }
    Ok(())
}

fn median_micros(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
