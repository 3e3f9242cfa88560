//! `skills controller` and `skills probe` as programs: what they refuse, and what they answer over HTTP.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::support::Sandbox;

#[test]
fn a_controller_says_what_it_was_not_told() {
    let sandbox = Sandbox::new();
    let no_mesh = sandbox.run(&["controller", "--json"]);
    assert_eq!(no_mesh.code(), 2);
    assert_eq!(no_mesh.json()["error"]["code"], "no-mesh");

    let no_cluster = sandbox.run(&["controller", "--json", "--nats", "nats://nats:4222"]);
    assert_eq!(no_cluster.json()["error"]["code"], "no-cluster");

    let mesh = [
        "controller",
        "--json",
        "--nats",
        "nats://nats:4222",
        "--server",
    ];
    let plain = [&mesh[..], &["http://10.0.0.1:1", "--token-file", "t"]].concat();
    let plain = sandbox.run(&plain);
    assert_eq!(plain.code(), 2);
    assert_eq!(plain.json()["error"]["code"], "kubernetes-server");

    let secret = sandbox.run(&["controller", "--nats", "http://user:secret@nats"]);
    assert_eq!(secret.code(), 2);
    assert!(!secret.stderr().contains("secret"), "{}", secret.stderr());
}

#[test]
fn a_controller_lives_without_its_cluster_and_ends_with_0_when_told_to() {
    let sandbox = Sandbox::new();
    // Nobody listens there: the port was free a moment ago, and privileged ones are not handed out.
    let mut child = sandbox
        .command(&[
            "controller",
            "--nats",
            "nats://nats:4222",
            "--server",
            "http://127.0.0.1:1",
            "--lease-namespace",
            "n",
            "--metrics",
            "127.0.0.1:0",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = log
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("address=")?.1.trim().to_owned()))
        .expect("it says where its metrics are");
    let page = |path: &str| format!("http://{address}{path}");
    assert_eq!(sandbox.run(&["probe", &page("/healthz")]).code(), 0);
    let ready = sandbox.run(&["probe", "--json", &page("/readyz")]);
    assert_eq!(ready.code(), 1, "it has not seen its cluster yet");
    assert_eq!(ready.json()["error"]["code"], "unhealthy");

    let told = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(told.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_probe_of_nothing_fails_and_of_nonsense_is_bad_input() {
    let sandbox = Sandbox::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let nobody = sandbox.run(&["probe", "--json", &format!("http://{address}/readyz")]);
    assert_eq!(nobody.code(), 1);
    assert_eq!(nobody.json()["error"]["code"], "probe");
    for url in [
        "https://127.0.0.1:1/",
        "http://127.0.0.1/",
        "ftp://x",
        "http://127.0.0.1:1/a b",
    ] {
        let ran = sandbox.run(&["probe", "--json", url]);
        assert_eq!(ran.code(), 2, "{url}");
        assert_eq!(ran.json()["error"]["code"], "probe-url");
    }
}
