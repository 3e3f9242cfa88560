//! Flags, variables, errors, `skills call`, and what is told over HTTP.

use super::bench::{Mesh, Process, get, until};
use crate::support::Sandbox;

#[test]
fn call_prints_the_answer_and_nothing_else() {
    let mesh = Mesh::start();
    mesh.skill("echo", "cat\n");
    let _worker = mesh.worker("a", "T", &[]);
    let call = |arguments: &[&str]| mesh.sandbox.finish(&mut mesh.command(arguments));
    let ran = call(&["call", "T", "--skill", "echo", "a \"b\"\n"]).ok();
    assert_eq!(
        (ran.stdout().as_str(), ran.stderr().as_str()),
        ("a \"b\"\n", "")
    );
    let ran = call(&["call", "T", r#"{"skill": "echo", "data": "x"}"#, "--json"]).ok();
    assert_eq!(ran.json()["content"], "x");
    let input = mesh.sandbox.write("input.txt", "from a file");
    let mut command = mesh.command(&["call", "T", "--skill", "echo", "-"]);
    command.stdin(std::fs::File::open(input).expect("a file"));
    assert_eq!(
        mesh.sandbox.finish(&mut command).ok().stdout(),
        "from a file"
    );
    let failed = call(&["call", "T", "--skill", "none", "x", "--json"]);
    assert_eq!(failed.code(), 1);
    let error = &failed.json()["error"];
    assert_eq!(error["code"], "no-matching-skill");
    assert!(
        error["message"]
            .as_str()
            .expect("text")
            .contains("No matching skill found for topic: T")
    );
}

#[test]
fn call_shows_progress_beside_the_answer() {
    let mesh = Mesh::start();
    mesh.skill("steps", "echo one; echo two\n");
    let _worker = mesh.worker("a", "T", &[]);
    let arguments = ["call", "T", "--skill", "steps", "--progress", "x"];
    let ran = mesh.sandbox.finish(&mut mesh.command(&arguments)).ok();
    assert_eq!(ran.stdout(), "one\ntwo\n");
    assert_eq!(ran.stderr(), "one\ntwo\n");
}

#[test]
fn call_that_nobody_answers_says_so() {
    let sandbox = Sandbox::new();
    let nowhere = [
        "--proxy-xsub",
        "tcp://127.0.0.1:9",
        "--proxy-xpub",
        "tcp://127.0.0.1:9",
    ];
    let mut arguments = vec!["call", "T", "x", "--timeout", "1"];
    arguments.extend(nowhere);
    let ran = sandbox.run(&arguments);
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stderr().contains("mesh-no-answer"),
        "{}",
        ran.snapshot()
    );
    let said = ran.stderr();
    assert!(
        said.contains("nothing is reached at tcp://127.0.0.1:9: "),
        "{said}"
    );
    assert!(said.contains("skills proxy"), "{said}");
    // Somebody is there, and no worker: that is another advice.
    let mesh = Mesh::start();
    let mut call = mesh.command(&["call", "T", "x", "--timeout", "1"]);
    let ran = sandbox.finish(&mut call);
    let said = ran.stderr();
    assert!(said.contains("a worker serves the topic"), "{said}");
    assert!(!said.contains("nothing is reached"), "{said}");
    let ran = sandbox.run(&["call", "", "x"]);
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stderr().contains("mesh-bad-topic"),
        "{}",
        ran.snapshot()
    );
}

#[test]
fn skillscales_variables_are_enough() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["--json", "proxy"]);
    command
        .env("SKILLSCALE_XSUB_PORT", "0")
        .env("SKILLSCALE_XPUB_BIND", "tcp://127.0.0.1:*")
        .env("SKILLSCALE_METRICS_PORT", "0");
    let proxy = Process::start(&mut command);
    let xsub = proxy.start["xsub"].as_str().expect("an address");
    assert!(xsub.starts_with("tcp://0.0.0.0:"), "{xsub}");
    sandbox.write(
        "elsewhere/echo/SKILL.md",
        "---\nname: echo\ndescription: Says it.\n---\n",
    );
    sandbox.write("elsewhere/echo/scripts/run.sh", "cat\n");
    let xsub = xsub.replace("0.0.0.0", "127.0.0.1");
    let mesh = |command: &mut std::process::Command| {
        command.env("SKILLSCALE_PROXY_XSUB", &xsub).env(
            "SKILLSCALE_PROXY_XPUB",
            proxy.start["xpub"].as_str().expect("an address"),
        );
    };
    let mut command = sandbox.command(&["--json", "worker", "--sandbox", "available"]);
    mesh(&mut command);
    command
        .env("SKILLSCALE_TOPIC", "TOPIC_ENV")
        .env("SKILLSCALE_SKILLS_DIR", "elsewhere")
        .env("SKILLSCALE_WORKERS", "2")
        .env("SKILLSCALE_TIMEOUT", "5000");
    let worker = Process::start(&mut command);
    assert_eq!(worker.start["topics"], serde_json::json!(["TOPIC_ENV"]));
    assert_eq!(worker.start["workers"], 2);
    let mut command = sandbox.command(&["call", "TOPIC_ENV", "--skill", "echo", "hello"]);
    mesh(&mut command);
    assert_eq!(sandbox.finish(&mut command).ok().stdout(), "hello");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let mesh = Mesh::start();
    mesh.skill("echo", "cat\n");
    let empty = |command: &mut std::process::Command| {
        for name in [
            "SKILLS_NATS_URL",
            "SKILLS_NATS_CA",
            "SKILLS_STORE",
            "SKILLSCALE_TIMEOUT",
            "SKILLSCALE_TOPIC",
            "SKILLSCALE_WORKERS",
            "SKILLSCALE_SKILLS_DIR",
            "SKILLSCALE_MATCHER",
            "SKILLSCALE_METRICS_PORT",
        ] {
            command.env(name, "");
        }
    };
    let mut command = mesh.command(&["--json", "worker", "--sandbox", "available"]);
    empty(&mut command);
    command.env("WORKER_NAME", "a");
    let worker = Process::start(&mut command);
    assert_eq!(worker.start["topics"], serde_json::json!(["TOPIC_DEFAULT"]));
    assert_eq!(worker.start["workers"], 4);
    let mut command = mesh.command(&["call", "TOPIC_DEFAULT", "--skill", "echo", "hello"]);
    empty(&mut command);
    assert_eq!(mesh.sandbox.finish(&mut command).ok().stdout(), "hello");
    // What was chosen on the command line stands.
    let mut command = mesh.command(&["worker", "--workers", "0"]);
    empty(&mut command);
    assert_eq!(mesh.sandbox.finish(&mut command).code(), 2);
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["worker", "--topic", "T", "--sandbox", "available"]);
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("skills-unreadable"),
        "{}",
        ran.snapshot()
    );
    let ran = sandbox.run(&["worker", "--workers", "0"]);
    assert_eq!(ran.code(), 2);
    let ran = sandbox.run(&["proxy", "--xsub-bind", "nonsense", "--metrics", "off"]);
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("mesh-cannot-listen"),
        "{}",
        ran.snapshot()
    );
    let mesh = Mesh::start();
    let taken = ["proxy", "--metrics", "off", "--xsub-bind", mesh.xsub()];
    let ran = sandbox.run(&taken);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("another program listens there"),
        "{}",
        ran.snapshot()
    );
}

#[test]
fn connections_that_ask_nothing_keep_no_probe_away() {
    let mesh = Mesh::start();
    let url = mesh.proxy.start["metrics"].as_str().expect("metrics");
    let host = url
        .trim_start_matches("http://")
        .trim_end_matches("/metrics");
    let idle: Vec<_> = (0..80)
        .map(|_| std::net::TcpStream::connect(host).expect("a connection"))
        .collect();
    assert_eq!(get(&url.replace("/metrics", "/healthz")).0, 200);
    drop(idle);
}

#[test]
fn proxy_and_worker_tell_how_they_are_over_http() {
    let mesh = Mesh::start();
    let worker = mesh.worker("a", "T", &["--workers", "1"]);
    let of = |process: &Process, path: &str| {
        let url = process.start["metrics"].as_str().expect("metrics");
        get(&url.replace("/metrics", path)).0
    };
    assert_eq!(of(&mesh.proxy, "/healthz"), 200);
    assert_eq!(of(&mesh.proxy, "/readyz"), 200);
    assert_eq!(of(&mesh.proxy, "/other"), 404);
    assert_eq!(of(&worker, "/healthz"), 200);
    assert_eq!(of(&worker, "/readyz"), 503, "it has no skills yet");
    mesh.held_skill();
    until("it has one", || of(&worker, "/readyz") == 200);
    let agent = mesh.agent();
    for id in ["p1", "2", "3"] {
        agent.ask("T", id, &mesh.held_intent("g"));
    }
    assert_eq!(agent.hear().content, "begun by a\n");
    let gauge = |name: &str| mesh.proxy.metric(name, &["topic=\"T\""]);
    until("two wait", || gauge("skills_proxy_waiting") == 2.0);
    assert_eq!(gauge("skills_proxy_running"), 1.0);
    assert_eq!(
        worker.metric("skills_worker_running", &["topic=\"T\""]),
        1.0
    );
    until("they grow older", || {
        gauge("skills_proxy_oldest_waiting_seconds") > 0.0
    });
    mesh.open("g");
    until("all are done", || {
        worker.metric(
            "skills_worker_requests_total",
            &["skill=\"held\"", "outcome=\"success\""],
        ) == 3.0
    });
    for phase in ["match", "prepare", "wait", "run"] {
        let label = format!("phase=\"{phase}\"");
        let count = worker.metric("skills_worker_phase_seconds_count", &[&label]);
        assert_eq!(count, 3.0, "{phase}");
    }
}
