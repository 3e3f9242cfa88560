//! What the registry answers per second and how fast it finds, with `wrk` (Debian) as the load.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::measure::median;
use super::peers::{NodePeers, text};
use super::{Bench, Row};
use crate::Outcome;
use crate::process::{self, Server};
use crate::services::free_port;
use crate::tools;

const FEW: usize = 1_000;
const MANY: usize = 100_000;
const START_LIMIT: Duration = Duration::from_secs(180);

/// Figures of one `wrk` run.
struct Load {
    requests_per_second: f64,
    p99_ms: f64,
}

/// Metadata GETs per second beside Verdaccio with 1,000 skills, and the same with 100,000.
pub fn metadata(bench: &Bench) -> Outcome<Vec<Row>> {
    let (few, many, peer) = (hub(bench, FEW)?, hub(bench, MANY)?, verdaccio(bench)?);
    let own = "path = \"/api/v1/skills/seeded-skill-\" .. math.random(0, COUNT - 1)";
    let theirs = "path = \"/seeded-skill-\" .. math.random(0, COUNT - 1)";
    let asked = [
        Asked::new(&few.url, FEW, own, 16),
        Asked::new(&many.url, MANY, own, 16),
        Asked::new(&peer.url, FEW, theirs, 16),
    ];
    // In turns: what slows the machine down for a while meets all three.
    let [few_load, many_load, peer] = loads(bench, &asked)?;
    let ratio = few_load.requests_per_second / peer.requests_per_second;
    let kept = many_load.requests_per_second / few_load.requests_per_second;
    Ok(vec![
        Row {
            what: "metadata GET, 1,000 skills, beside Verdaccio 6.10.4".to_owned(),
            ours: format!("{:.0}/s", few_load.requests_per_second),
            reference: format!("{:.0}/s", peer.requests_per_second),
            result: format!("{ratio:.1}×"),
            target: "≥ 10×",
            met: ratio >= 10.0,
        },
        Row {
            what: "metadata GET, 100,000 skills, beside 1,000".to_owned(),
            ours: format!(
                "{:.0}/s, p99 {:.1} ms",
                many_load.requests_per_second, many_load.p99_ms
            ),
            reference: format!("{:.0}/s", few_load.requests_per_second),
            result: format!("{:.0} %", kept * 100.0),
            target: "≥ 80 %",
            met: kept >= 0.8,
        },
    ])
}

/// Latency of searches over 100,000 skills: one, two and misspelt words.
pub fn search(bench: &Bench) -> Outcome<Vec<Row>> {
    let many = hub(bench, MANY)?;
    let queries = "words = {\"csv\", \"data+analysis\", \"sumarize+text\", \"report\", \"kubernets\", \"clean+table\", \"review\", \"zzzz\"}\n\
                   path = \"/api/v1/search?q=\" .. words[math.random(#words)] .. \"+\" .. math.random(0, 999)";
    let [load] = loads(bench, &[Asked::new(&many.url, MANY, queries, 2)])?;
    Ok(vec![Row {
        what: "search, 100,000 skills, 2 connections".to_owned(),
        ours: format!(
            "{:.0}/s, p99 {:.1} ms",
            load.requests_per_second, load.p99_ms
        ),
        reference: "–".to_owned(),
        result: format!("p99 {:.1} ms", load.p99_ms),
        target: "p99 ≤ 20 ms",
        met: load.p99_ms <= 20.0,
    }])
}

struct Running {
    url: String,
    _server: Server,
}

/// Our hub on SQLite with `count` skills in it, its search index built.
fn hub(bench: &Bench, count: usize) -> Outcome<Running> {
    let data = bench.work.path().join(format!("hub-{count}"));
    if !data.exists() {
        std::fs::create_dir_all(&data)
            .map_err(|error| format!("cannot make {}: {error}", data.display()))?;
        process::run(
            Command::new(bench.examples.join("seed"))
                .arg(&data)
                .arg(count.to_string()),
        )?;
    }
    let port = free_port()?;
    let config = data.join("hub.toml");
    // No line per request, as in the peer's configuration below.
    std::fs::write(
        &config,
        "[rate_limit]\nenabled = false\n\n[log]\nfilter = \"info,hub::access=warn\"\n",
    )
    .map_err(|error| error.to_string())?;
    let mut command = Command::new(&bench.skills);
    command
        .args(["serve", "--bind", &format!("127.0.0.1:{port}")])
        .arg("--data")
        .arg(&data)
        .arg("--config")
        .arg(&config);
    let server = Server::start(
        "the hub",
        command,
        "search index ready",
        data.join("hub.log"),
        START_LIMIT,
    )?;
    Ok(Running {
        url: format!("http://127.0.0.1:{port}"),
        _server: server,
    })
}

/// Verdaccio with 1,000 packages in its own storage and no uplink.
fn verdaccio(bench: &Bench) -> Outcome<Running> {
    let peers = NodePeers::install()?;
    let dir = bench.work.path().join("verdaccio");
    for number in 0..FEW {
        write_package(&dir.join("storage"), &format!("seeded-skill-{number}"))?;
    }
    let port = free_port()?;
    let config = format!(
        "storage: {0}/storage\nauth:\n  htpasswd:\n    file: {0}/htpasswd\nuplinks: {{}}\npackages:\n  '**':\n    access: $all\n    publish: $authenticated\nlog: {{ type: stdout, format: pretty, level: warn }}\n",
        text(&dir)?
    );
    std::fs::write(dir.join("config.yaml"), config).map_err(|error| error.to_string())?;
    let mut command = Command::new(&peers.node);
    command
        .arg(peers.verdaccio())
        .args(["--listen", &format!("127.0.0.1:{port}"), "--config"])
        .arg(dir.join("config.yaml"))
        .env("NODE_ENV", "production")
        .current_dir(&dir);
    let server = Server::start(
        "Verdaccio",
        command,
        "http address",
        dir.join("verdaccio.log"),
        START_LIMIT,
    )?;
    Ok(Running {
        url: format!("http://127.0.0.1:{port}"),
        _server: server,
    })
}

/// A package of Verdaccio's local storage, with as much metadata as one of our skills carries.
fn write_package(storage: &Path, name: &str) -> Outcome {
    let manifest = serde_json::json!({
        "name": name,
        "description": "Cleans a table and writes a report. Use it when a CSV file has missing values.",
        "keywords": ["data", "csv", "report"],
        "dist-tags": { "latest": "1.0.0" },
        "time": { "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "1.0.0": "2026-01-01T00:00:00.000Z" },
        "versions": { "1.0.0": {
            "name": name, "version": "1.0.0", "license": "MIT", "dependencies": {}, "readmeFilename": "README.md",
            "dist": { "tarball": format!("http://localhost/{name}/-/{name}-1.0.0.tgz"), "shasum": "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
        } },
        "readme": "", "users": {}, "_rev": "1-0", "_id": name, "_uplinks": {}, "_distfiles": {}, "_attachments": {},
    });
    let dir = storage.join(name);
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    std::fs::write(dir.join("package.json"), manifest.to_string())
        .map_err(|error| error.to_string())
}

/// What a run of `wrk` asks for.
struct Asked<'a> {
    url: &'a str,
    count: usize,
    /// Lua that sets `path`.
    choose: &'a str,
    connections: u32,
}

impl<'a> Asked<'a> {
    fn new(url: &'a str, count: usize, choose: &'a str, connections: u32) -> Self {
        Self {
            url,
            count,
            choose,
            connections,
        }
    }

    /// Asks for everything once, which warms caches and just-in-time compilers.
    fn warm_up(&self, bench: &Bench) -> Outcome {
        let in_turn = "turn = (turn or 0) + 1\nmath.random = function(a, b) if b then return a + turn % (b - a + 1) end return 1 + turn % a end\n";
        // About as many as it answers per second without its cache.
        self.run(bench, 3 + self.count / 2_000, in_turn).map(|_| ())
    }

    fn run(&self, bench: &Bench, seconds: usize, prelude: &str) -> Outcome<Load> {
        let wrk = tools::debian(&["wrk"], "wrk")?;
        let script: PathBuf = bench.work.path().join("load.lua");
        let lua = format!(
            "local COUNT = {}\nfunction request()\n{prelude}{}\nreturn wrk.format(\"GET\", path)\nend\n\
             local bad = 0\nfunction response(status) if status ~= 200 then bad = bad + 1; print(\"status \" .. status) end end\n",
            self.count, self.choose
        );
        std::fs::write(&script, lua).map_err(|error| error.to_string())?;
        let output = process::read(
            Command::new(&wrk)
                .args(["-t1", "--latency", "-d", &format!("{seconds}s")])
                .args(["-c", &self.connections.to_string(), "-s"])
                .arg(&script)
                .arg(self.url),
        )?;
        parse(&output)
    }
}

/// The medians of each over five runs of four seconds, in turns.
fn loads<const N: usize>(bench: &Bench, asked: &[Asked<'_>; N]) -> Outcome<[Load; N]> {
    for one in asked {
        one.warm_up(bench)?;
    }
    let mut runs: [Vec<Load>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..5 {
        for (one, runs) in asked.iter().zip(&mut runs) {
            runs.push(one.run(bench, 4, "")?);
        }
    }
    Ok(runs.map(|runs| Load {
        requests_per_second: median(runs.iter().map(|load| load.requests_per_second).collect()),
        p99_ms: median(runs.iter().map(|load| load.p99_ms).collect()),
    }))
}

fn parse(output: &str) -> Outcome<Load> {
    if let Some(line) = output
        .lines()
        .find(|line| line.starts_with("status ") || line.contains("Non-2xx"))
    {
        return Err(format!("the load got wrong answers: {line}"));
    }
    let field = |name: &str| {
        output.lines().find_map(|line| {
            line.trim()
                .strip_prefix(name)
                .map(|rest| rest.trim().to_owned())
        })
    };
    let requests_per_second = field("Requests/sec:").and_then(|value| value.parse().ok());
    let p99_ms = field("99%").and_then(|value| {
        let digits = value.trim_end_matches(char::is_alphabetic);
        let number: f64 = digits.parse().ok()?;
        match &value[digits.len()..] {
            "us" => Some(number / 1000.0),
            "ms" => Some(number),
            "s" => Some(number * 1000.0),
            _ => None,
        }
    });
    match (requests_per_second, p99_ms) {
        (Some(requests_per_second), Some(p99_ms)) => Ok(Load {
            requests_per_second,
            p99_ms,
        }),
        _ => Err(format!("wrk printed:\n{output}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_wrk_prints() {
        let output = "  Latency Distribution\n     50%  105.00us\n     99%    1.26ms\n  100 requests in 1s\nRequests/sec:  35710.11\n";
        let load = parse(output).expect("both figures");
        assert_eq!((load.requests_per_second, load.p99_ms), (35710.11, 1.26));
    }
}
