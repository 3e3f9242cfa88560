//! CPU time, wall time and peak memory of whole processes, by the kernel's own accounting.
//!
//! A measurement runs in a fresh copy of this program (`xtask measure`), because the kernel keeps
//! one peak for all children of a process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Outcome;
use crate::process;

/// Medians over the runs; the peak is the largest of all runs.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub cpu_ms: f64,
    pub wall_ms: f64,
    pub peak_mb: f64,
}

/// What to run, how often, and what to do before each run without counting it.
pub struct Measurement<'a> {
    pub runs: u32,
    pub setup: &'a str,
    pub program: &'a Path,
    pub arguments: &'a [&'a str],
    pub environment: &'a [(&'a str, &'a str)],
    pub dir: &'a Path,
}

impl Measurement<'_> {
    pub fn take(&self) -> Outcome<Usage> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let text = process::read(
            Command::new(own)
                .args(["measure", &self.runs.to_string(), self.setup])
                .arg(self.program)
                .args(self.arguments)
                .envs(self.environment.iter().copied())
                .current_dir(self.dir),
        )?;
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(cpu_ms)), Some(Ok(wall_ms)), Some(Ok(peak_mb))) => Ok(Usage {
                cpu_ms,
                wall_ms,
                peak_mb,
            }),
            _ => Err(format!("the measurement printed {text:?}")),
        }
    }

    /// The medians of this and of `other`, measured in turns: what slows the machine down for a while
    /// meets both.
    pub fn beside(&self, other: &Self, rounds: usize) -> Outcome<(Usage, Usage)> {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            own.push(self.take()?);
            others.push(other.take()?);
        }
        Ok((Usage::median(&own), Usage::median(&others)))
    }
}

impl Usage {
    fn median(of: &[Self]) -> Self {
        let one = |field: fn(&Self) -> f64| median(of.iter().map(field).collect());
        Self {
            cpu_ms: one(|usage| usage.cpu_ms),
            wall_ms: one(|usage| usage.wall_ms),
            peak_mb: of.iter().map(|usage| usage.peak_mb).fold(0.0, f64::max),
        }
    }
}

/// The inside of a measurement: `xtask measure RUNS SETUP PROGRAM [ARGS…]`. One run more comes
/// first and is not counted.
pub fn run(arguments: &[String]) -> Outcome {
    let [runs, setup, program, rest @ ..] = arguments else {
        return Err("usage: xtask measure RUNS SETUP PROGRAM [ARGS…]".to_owned());
    };
    let runs: u32 = runs
        .parse()
        .map_err(|_| format!("{runs:?} is no number of runs"))?;
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for number in 0..=runs {
        if !setup.is_empty() {
            process::read(Command::new("sh").args(["-c", setup]))?;
        }
        let (before, started) = (children_cpu_ms()?, Instant::now());
        let status = Command::new(program)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        if !status.success() {
            return Err(format!("{program} {rest:?} failed with {status}"));
        }
        if number > 0 {
            wall.push(started.elapsed().as_secs_f64() * 1000.0);
            cpu.push(children_cpu_ms()? - before);
        }
    }
    let peak_mb = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| error.to_string())?
        .max_rss() as f64
        / 1024.0;
    println!("{} {} {peak_mb}", median(cpu), median(wall));
    Ok(())
}

fn children_cpu_ms() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let ms = |time: nix::sys::time::TimeVal| {
        time.tv_sec() as f64 * 1000.0 + time.tv_usec() as f64 / 1000.0
    };
    Ok(ms(usage.user_time()) + ms(usage.system_time()))
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
