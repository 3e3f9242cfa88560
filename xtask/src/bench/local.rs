//! What a person waits for on one machine: starting, validating, installing.

use std::path::Path;

use super::fixtures::{self, SKILLS};
use super::measure::{Measurement, Usage};
use super::peers::{self, NodePeers, text};
use super::{Bench, Row};
use crate::Outcome;

/// How often ours and the peer's installation take turns.
const ROUNDS: usize = 5;

fn shown(usage: Usage) -> String {
    format!(
        "{:.1} ms CPU, {:.1} ms wall, {:.1} MB",
        usage.cpu_ms, usage.wall_ms, usage.peak_mb
    )
}

impl Bench {
    fn measure(&self, runs: u32, setup: &str, arguments: &[&str], dir: &Path) -> Outcome<Usage> {
        let home = self.folder("home")?;
        self.measurement(runs, setup, arguments, dir, &[("HOME", text(&home)?)])
            .take()
    }

    fn measurement<'a>(
        &'a self,
        runs: u32,
        setup: &'a str,
        arguments: &'a [&'a str],
        dir: &'a Path,
        environment: &'a [(&'a str, &'a str)],
    ) -> Measurement<'a> {
        Measurement {
            runs,
            setup,
            program: &self.skills,
            arguments,
            environment,
            dir,
        }
    }

    fn folder(&self, name: &str) -> Outcome<std::path::PathBuf> {
        let dir = self.work.path().join(name);
        std::fs::create_dir_all(&dir)
            .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        Ok(dir)
    }

    /// A command that empties `dir` and takes `store` away. What they held is moved aside and not
    /// removed: ext4 without a journal passes over inodes that were freed in the last minutes, one by
    /// one, whenever it needs a new one, and the next run would be charged for that.
    fn clearing(&self, dir: &Path, store: &Path) -> Outcome<String> {
        let used = self.folder("used")?;
        Ok(format!(
            "used=$(mktemp -d -p {used}) && find {dir} -mindepth 1 -maxdepth 1 -exec mv -t $used {{}} + && if [ -e {store} ]; then mv {store} $used/store; fi",
            used = text(&used)?,
            dir = text(dir)?,
            store = text(store)?,
        ))
    }
}

/// `skills --help`, and `skills list` with 18 skills installed.
pub fn start(bench: &Bench) -> Outcome<Vec<Row>> {
    let source = bench.folder("start-source")?;
    fixtures::skills(&source, SKILLS)?;
    let dir = bench.folder("start-project")?;
    bench.measure(
        0,
        "",
        &["install", text(&source)?, "--yes", "--allow-unsigned"],
        &dir,
    )?;
    let mut rows = Vec::new();
    for (arguments, what) in [
        (&["--help"][..], "`skills --help`"),
        (&["list"][..], "`skills list`, 18 installed"),
    ] {
        let usage = bench.measure(40, "", arguments, &dir)?;
        rows.push(Row {
            what: what.to_owned(),
            ours: shown(usage),
            reference: "–".to_owned(),
            result: format!("{:.1} ms, {:.1} MB", usage.wall_ms, usage.peak_mb),
            target: "≤ 10 ms, ≤ 10 MB",
            met: usage.wall_ms <= 10.0 && usage.peak_mb <= 10.0,
        });
    }
    Ok(rows)
}

/// Validating one skill, beside the specification's reference validator.
pub fn validate(bench: &Bench) -> Outcome<Vec<Row>> {
    let source = bench.folder("validate")?;
    fixtures::skills(&source, 1)?;
    let skill = source.join("sample-skill-0");
    let home = bench.folder("home")?;
    let (arguments, environment) = (["validate", text(&skill)?], [("HOME", text(&home)?)]);
    let ours = bench.measurement(20, "", &arguments, &source, &environment);
    let reference = Measurement {
        runs: 5,
        program: &peers::reference_validator()?,
        environment: &[],
        ..ours
    };
    let (ours, reference) = ours.beside(&reference, 3)?;
    Ok(vec![cpu_ratio(
        "validate one skill, beside `skills-ref` 0.1.1",
        ours,
        reference,
        50.0,
        "≥ 50× less CPU",
    )])
}

/// Installing 18 skills from a folder into one agent and into all, beside npm's `skills`: with all folders in
/// memory, where nothing but the programs is measured, and on the disk.
pub fn install(bench: &Bench) -> Outcome<Vec<Row>> {
    let node = NodePeers::install()?;
    let mut rows = Vec::new();
    if let Some(memory) = bench.in_memory()? {
        rows.extend(install_in(&memory, &node, "in memory")?);
    }
    rows.extend(install_in(bench, &node, "on the disk")?);
    Ok(rows)
}

fn install_in(bench: &Bench, node: &NodePeers, place: &str) -> Outcome<Vec<Row>> {
    let source = bench.folder("install-source")?;
    fixtures::skills(&source, SKILLS)?;
    let source = text(&source)?;
    let (cli, home) = (node.skills(), bench.folder("peer-home")?);
    let dir = bench.folder("install-project")?;
    // A fresh project and a cold store each time, for both.
    let own_home = bench.folder("home")?;
    let own_environment = [("HOME", text(&own_home)?)];
    let clean = bench.clearing(&dir, &own_home.join(".skills"))?;
    let mut rows = Vec::new();
    for (ours, theirs, factor, what, target) in [
        (
            &[
                "install",
                source,
                "--yes",
                "--allow-unsigned",
                "--agent",
                "claude-code",
            ][..],
            &["add", source, "--skill", "*", "-a", "claude-code", "-y"][..],
            20.0,
            "one agent",
            "≥ 20× less CPU",
        ),
        (
            &[
                "install",
                source,
                "--yes",
                "--allow-unsigned",
                "--all-agents",
            ][..],
            &["add", source, "--skill", "*", "-a", "*", "-y"][..],
            50.0,
            "all agents",
            "≥ 50× less CPU",
        ),
    ] {
        let ours = bench.measurement(3, &clean, ours, &dir, &own_environment);
        let mut arguments = vec![text(&cli)?];
        arguments.extend(theirs);
        let peer = Measurement {
            runs: 2,
            setup: &clean,
            program: &node.node,
            arguments: &arguments,
            environment: &[
                ("HOME", text(&home)?),
                ("DISABLE_TELEMETRY", "1"),
                ("NO_COLOR", "1"),
            ],
            dir: &dir,
        };
        let (ours, peer) = ours.beside(&peer, ROUNDS)?;
        let what = format!("install 18 skills into {what} {place}, beside npm `skills` 1.7.4");
        rows.push(cpu_ratio(&what, ours, peer, factor, target));
    }
    Ok(rows)
}

/// Installing from a warm cache, beside `tar xzf` of the same bytes.
pub fn warm_cache(bench: &Bench) -> Outcome<Vec<Row>> {
    let source = bench.folder("cache-source")?;
    fixtures::skills(&source, SKILLS)?;
    let dir = bench.folder("cache-project")?;
    let archives = bench.folder("cache-archives")?;
    for number in 0..SKILLS {
        let skill = source.join(format!("sample-skill-{number}"));
        bench.measure(
            0,
            "",
            &["pack", text(&skill)?, "--version", "1.0.0", "--force"],
            &archives,
        )?;
    }
    let mut arguments = vec!["install", "--yes", "--allow-unsigned"];
    let files: Vec<String> = (0..SKILLS)
        .map(|number| format!("{}/sample-skill-{number}-1.0.0.spm", archives.display()))
        .collect();
    arguments.extend(files.iter().map(String::as_str));
    bench.measure(0, "", &arguments, &dir)?;
    let store = dir.join(".skills");
    let clean = format!(
        "{} && mkdir {}",
        bench.clearing(&dir, &store)?,
        text(&store)?
    );
    let home = bench.folder("home")?;
    let environment = [("HOME", text(&home)?)];
    let ours = bench.measurement(8, &clean, &arguments, &dir, &environment);
    let script = "for f in \"$0\"/*.spm; do d=$(basename \"$f\" .spm); mkdir \"$d\" && tar xzf \"$f\" -C \"$d\" || exit 1; done";
    let tar = Measurement {
        program: Path::new("sh"),
        arguments: &["-c", script, text(&archives)?],
        environment: &[],
        ..ours
    };
    let (ours, tar) = ours.beside(&tar, 3)?;
    let factor = ours.wall_ms / tar.wall_ms;
    Ok(vec![Row {
        what: "install 18 skills from a warm cache, beside `tar xzf` of the same archives"
            .to_owned(),
        ours: shown(ours),
        reference: shown(tar),
        result: format!("{factor:.2}× the wall time"),
        target: "within 2×",
        met: factor <= 2.0,
    }])
}

fn cpu_ratio(what: &str, ours: Usage, peer: Usage, factor: f64, target: &'static str) -> Row {
    let ratio = peer.cpu_ms / ours.cpu_ms;
    Row {
        what: what.to_owned(),
        ours: shown(ours),
        reference: shown(peer),
        result: format!("{ratio:.0}× less CPU"),
        target,
        met: ratio >= factor,
    }
}
