//! `cargo xtask bench`: measures what `docs/benchmarks.md` promises, as ratios against a peer or a
//! physical limit in the same run. Prints Markdown; never part of CI.

mod calls;
mod fixtures;
mod local;
pub mod measure;
mod mesh;
mod peers;
mod registry;
mod resolver;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use mesh::write_skill;

use crate::Outcome;
use crate::process;
use crate::tools;

/// One line of the report.
struct Row {
    what: String,
    ours: String,
    reference: String,
    result: String,
    target: &'static str,
    met: bool,
}

type Benchmark = fn(&Bench) -> Outcome<Vec<Row>>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("start", local::start),
    ("validate", local::validate),
    ("install", local::install),
    ("cache", local::warm_cache),
    ("resolver", resolver::solve),
    ("metadata", registry::metadata),
    ("search", registry::search),
    ("sandbox", mesh::sandbox),
    ("proxy", mesh::proxy),
    ("calls", calls::calls),
];

/// What every benchmark needs.
struct Bench {
    /// The release build of the program.
    skills: PathBuf,
    /// The folder of the release builds of the examples.
    examples: PathBuf,
    work: tempfile::TempDir,
}

impl Bench {
    /// The same with its work folder in memory, on systems that have a place for that.
    fn in_memory(&self) -> Outcome<Option<Self>> {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Ok(None);
        }
        Ok(Some(Self {
            skills: self.skills.clone(),
            examples: self.examples.clone(),
            work: tempfile::tempdir_in(memory).map_err(|error| {
                format!("cannot make a folder in {}: {error}", memory.display())
            })?,
        }))
    }
}

/// `cargo xtask bench [NAME…]`
pub fn run(names: &[String]) -> Outcome {
    if let Some(unknown) = names
        .iter()
        .find(|name| BENCHMARKS.iter().all(|(known, _)| known != name))
    {
        let known: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no benchmark `{unknown}`; there are {}",
            known.join(", ")
        ));
    }
    // In one build, so that all parts use dependencies with the same features.
    process::run(
        Command::new("cargo")
            .args(["build", "--release", "--locked"])
            .args(["--package", "skills", "--bin", "skills"])
            .args(["--package", "testkit", "--example", "seed"])
            .args(["--package", "skill-client", "--example", "resolver_graph"])
            .args(["--package", "skill-sandbox", "--example", "spawn_cost"])
            .args(["--package", "skill-mesh", "--example", "proxy_load"])
            .args(["--example", "call_load", "--example", "soak_agent"])
            .current_dir(tools::root()),
    )?;
    let work =
        tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let release = tools::release_dir();
    let bench = Bench {
        skills: release.join("skills"),
        examples: release.join("examples"),
        work,
    };
    println!("{}\n", machine());
    println!("| what | ours | beside it | result | target | |\n|---|---|---|---|---|---|");
    for (name, benchmark) in BENCHMARKS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        for Row {
            what,
            ours,
            reference,
            result,
            target,
            met,
        } in benchmark(&bench)?
        {
            let verdict = if met { "met" } else { "**missed**" };
            println!("| {what} | {ours} | {reference} | {result} | {target} | {verdict} |");
        }
    }
    Ok(())
}

/// The conditions: processors, memory and kernel.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(": ")
                .map(|(_, name)| name.to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores ({model}), Linux {}", kernel.trim())
}
