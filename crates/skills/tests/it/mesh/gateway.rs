//! Skills that a hub runs for callers over HTTP, in its own process (`skills up`).

use std::path::Path;

use serde_json::{Value, json};

use super::bench::Process;
use crate::hub::Hub;
use crate::support::Sandbox;

/// `skills serve` with further options.
pub fn serve(data: &Path, database: &str, options: &[&str]) -> Hub {
    Hub::start_with(data, database, options)
}

/// Publishes a folder as the administrator.
#[track_caller]
pub fn publish(sandbox: &Sandbox, url: &str, token: &str, folder: &str, version: &str) {
    if !sandbox.home().join("key").exists() {
        sandbox
            .run(&["key", "generate", "Tester", "--no-passphrase"])
            .ok();
        std::fs::write(sandbox.home().join("key"), "").expect("written");
    }
    let mut command = sandbox.command(&["publish", folder, "--version", version]);
    let command = command.args(["--registry", url]);
    sandbox.finish(command.env("SKILLS_TOKEN", token)).ok();
}

/// Status and body of an invocation.
pub fn invoke(url: &str, token: &str, skill: &str, body: &Value) -> (u16, Value) {
    ask(
        reqwest::Method::POST,
        &format!("{url}/api/v1/skills/{skill}/invoke"),
        token,
        Some(body),
        "",
    )
}

fn ask(
    method: reqwest::Method,
    url: &str,
    token: &str,
    body: Option<&Value>,
    prefer: &str,
) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(token)
            .header("prefer", prefer);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    })
}

/// The same, answered at once.
fn begin(url: &str, token: &str, skill: &str) -> Value {
    let url = format!("{url}/api/v1/skills/{skill}/invoke");
    let body = json!({"input": ""});
    let (status, answer) = ask(
        reqwest::Method::POST,
        &url,
        token,
        Some(&body),
        "respond-async",
    );
    assert_eq!(status, 202, "{answer}");
    answer
}

fn up(sandbox: &Sandbox) -> (Process, String, String) {
    let mut command = sandbox.command(&["--json", "up", "--bind", "127.0.0.1:0", "--data", "data"]);
    let up = Process::start(command.args(["--sandbox", "available"]));
    let address = up.start["address"].as_str().expect("an address").to_owned();
    let token = std::fs::read_to_string(sandbox.project().join("data/admin-token"));
    let token = token.expect("a token").trim().to_owned();
    (up, address, token)
}

#[test]
fn up_runs_the_examples_and_what_is_published_in_its_newest_version() {
    let sandbox = Sandbox::new();
    let (mut up, url, token) = up(&sandbox);
    let (status, answer) = invoke(
        &url,
        &token,
        "csv-analyzer",
        &json!({"input": "name,age\nalice,30\nbob,41\n"}),
    );
    assert_eq!(status, 200, "{answer}\n{}", up.log());
    assert!(
        answer["output"].as_str().expect("text").contains("35.5"),
        "{answer}"
    );

    sandbox.write("mine/greeter/scripts/run.sh", "echo \"one: $(cat)\"\n");
    let head = "---\nname: greeter\ndescription: Greets.\n---\n";
    sandbox.write("mine/greeter/SKILL.md", head);
    publish(&sandbox, &url, &token, "mine/greeter", "1.0.0");
    let (status, answer) = invoke(&url, &token, "greeter", &json!({"input": "you"}));
    assert_eq!(
        (status, &answer["output"]),
        (200, &json!("one: you\n")),
        "{answer}"
    );
    assert_eq!(answer["version"], "1.0.0", "{answer}");

    sandbox.write("mine/greeter/scripts/run.sh", "echo two; env\n");
    publish(&sandbox, &url, &token, "mine/greeter", "1.1.0");
    let (_, answer) = invoke(&url, &token, "greeter", &json!({"input": ""}));
    let output = answer["output"].as_str().expect("text");
    assert!(output.starts_with("two\n"), "{answer}");
    assert!(
        !output.contains("SKILLS_"),
        "nothing of the hub's environment: {output}"
    );

    up.terminate();
    assert_eq!(up.ended(), Some(0), "{}", up.log());
}

/// Publishes a skill as version 1.0.0.
fn publish_skill(sandbox: &Sandbox, url: &str, token: &str, name: &str, yaml: &str, script: &str) {
    sandbox.write(&format!("mine/{name}/scripts/run.sh"), script);
    let head = format!("---\nname: {name}\ndescription: Does {name} for tests.\n---\n");
    sandbox.write(&format!("mine/{name}/SKILL.md"), &head);
    sandbox.write(
        &format!("mine/{name}/skill.yaml"),
        &format!("name: {name}\nversion: 1.0.0\n{yaml}"),
    );
    publish(sandbox, url, token, &format!("mine/{name}"), "1.0.0");
}

#[test]
fn a_strangers_skill_neither_sees_nor_changes_what_others_have_published() {
    let sandbox = Sandbox::new();
    let (mut up, url, token) = up(&sandbox);
    publish_skill(&sandbox, &url, &token, "victim", "", "echo original\n");
    let ask = |skill: &str| invoke(&url, &token, skill, &json!({"input": ""}));
    assert_eq!(ask("victim").1["output"], "original\n", "{}", up.log());

    let runner = sandbox.project().join("data/runner");
    let store = runner.join("store/victim");
    assert!(store.is_dir(), "this is where it is");
    super::permissions::open_to_all(&runner);
    let script = format!(
        "ls -A {0} ..; cat {0}/pins.json {0}/store/index.json; \
         for file in {0}/store/victim/*/scripts/run.sh ../*/*/scripts/run.sh; do \
           [ -e \"$file\" ] && echo saw $file; (echo echo changed > $file) && echo wrote $file; done; \
         echo x > {0}/store/new; rm -rf {0}/store; echo over\n",
        runner.display()
    );
    let everything =
        "permissions:\n  read: [\"**\", store/**]\n  write: [\"**\", store/**, pins.json]\n";
    publish_skill(&sandbox, &url, &token, "snoop", everything, &script);
    let (status, answer) = ask("snoop");
    assert_eq!(status, 200, "{answer}\n{}", up.log());
    let seen = answer["output"].as_str().expect("text");
    for hidden in ["saw", "wrote", "victim", "pins", "keys"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    assert!(seen.ends_with("over\n"), "{seen}");
    // Below the scratch folder's path it can make what is in no other's tree.
    assert!(!runner.join("store/new").exists());
    assert_eq!(ask("victim").1["output"], "original\n");
    up.terminate();
    assert_eq!(up.ended(), Some(0), "{}", up.log());
}

#[test]
fn a_strangers_skill_does_not_reach_the_hubs_network() {
    let sandbox = Sandbox::new();
    let (up, url, token) = up(&sandbox);
    for (name, network) in [("asks-all", "all"), ("asks-some", "[localhost]")] {
        let yaml = format!("permissions:\n  network: {network}\n");
        publish_skill(&sandbox, &url, &token, name, &yaml, "echo ran\n");
        let (status, answer) = invoke(&url, &token, name, &json!({"input": ""}));
        let said = answer["detail"].as_str().unwrap_or_default();
        assert_eq!(
            (
                status,
                &answer["code"],
                said.contains("network-not-granted")
            ),
            (503, &json!("skill-not-served"), true),
            "{answer}\n{}",
            up.log()
        );
    }
}

#[test]
fn what_up_has_no_slot_for_waits_in_the_hub_and_is_busy_when_its_time_is_over() {
    let sandbox = Sandbox::new();
    let (up, url, token) = up(&sandbox);
    sandbox.write("mine/slow/scripts/run.sh", "sleep 100\n");
    let head = "---\nname: slow\ndescription: Sleeps.\n---\n";
    sandbox.write("mine/slow/SKILL.md", head);
    publish(&sandbox, &url, &token, "mine/slow", "1.0.0");
    let slots = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..slots {
        assert_eq!(begin(&url, &token, "slow")["status"], "running");
    }
    assert_eq!(begin(&url, &token, "slow")["status"], "queued");
    let began = std::time::Instant::now();
    let asked = json!({"input": "", "timeoutSeconds": 1});
    let (status, answer) = invoke(&url, &token, "slow", &asked);
    assert_eq!(
        (status, &answer["code"]),
        (503, &json!("busy")),
        "{answer}\n{}",
        up.log()
    );
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// The commands of a page's section, each with the comment below it, which shows what comes back.
fn examples_of(page: &str, section: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let text = std::fs::read_to_string(path).expect("the page");
    let text = text.split(section).nth(1).expect("the section");
    let text = text.split("\n## ").next().expect("its end");
    let blocks = text.split("```sh\n").skip(1);
    let mut found: Vec<(String, String)> = Vec::new();
    for line in blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()) {
        match line.strip_prefix('#') {
            Some(shown) => found.last_mut().expect("a command").1 += &format!("{}\n", shown.trim()),
            None if line.starts_with("curl ") => found.push((line.to_owned(), String::new())),
            None if !line.is_empty() => {
                found.last_mut().expect("a command").0 += &format!("\n{line}")
            }
            None => {}
        }
    }
    found
}

/// Names of members, as they stand in a text that may be cut short with `…`.
fn members(text: &str) -> Vec<&str> {
    let parts: Vec<&str> = text.split('"').collect();
    let names = parts.windows(2).filter(|pair| pair[1].starts_with(':'));
    names.map(|pair| pair[0]).collect()
}

#[test]
fn the_examples_of_running_skills_in_the_api_page_do_what_they_show() {
    let sandbox = Sandbox::new();
    let (_up, url, token) = up(&sandbox);
    sandbox.write("table.csv", "name,age\nalice,30\nbob,41\n");
    let examples = examples_of("api.md", "## Running skills");
    assert_eq!(examples.len(), 6, "{examples:?}");
    let shown_id = "01a1fe0c-5b1e-7c1d-9a57-0f2f5d1c9b11";
    let mut id = String::new();
    for (command, shown) in examples {
        let ran = std::process::Command::new("sh")
            .args(["-c", &command.replace(shown_id, &id)])
            .current_dir(sandbox.project())
            .env("HUB", &url)
            .env("TOKEN", &token)
            .output()
            .expect("a shell");
        let said = String::from_utf8(ran.stdout).expect("text");
        assert!(ran.status.success(), "{command}: {said}");
        assert!(!said.contains("\"code\":"), "a problem: {command}: {said}");
        for member in members(&shown) {
            assert!(
                said.contains(&format!("\"{member}\":")) || member == "chunk",
                "{command}: no `{member}` in {said}"
            );
        }
        for line in shown
            .lines()
            .filter(|line| line.starts_with("event: result"))
        {
            assert!(said.contains(line), "{command}: no `{line}` in {said}");
        }
        if shown.starts_with("HTTP/1.1 202") {
            assert!(said.starts_with("HTTP/1.1 202 Accepted\r\n"), "{said}");
            let location = said
                .lines()
                .find_map(|line| line.strip_prefix("location: "));
            let path = location.expect("a location").trim();
            id = path.rsplit('/').next().expect("an id").to_owned();
            assert_eq!(path, format!("/api/v1/invocations/{id}"));
        }
    }
    assert!(!id.is_empty());
}

#[test]
fn what_was_accepted_outlives_a_killed_hub() {
    let sandbox = Sandbox::new();
    sandbox.write("hub.toml", "[invoke]\nlease_seconds = 6\n");
    let (mut first, url, token) = up(&sandbox);
    sandbox.write("mine/slow/scripts/run.sh", "sleep 2; cat\n");
    let head = "---\nname: slow\ndescription: Takes its time.\n---\n";
    sandbox.write("mine/slow/SKILL.md", head);
    publish(&sandbox, &url, &token, "mine/slow", "1.0.0");
    let path = format!("{url}/api/v1/skills/slow/invoke");
    let body = json!({"input": "still here"});
    let (status, answer) = ask(
        reqwest::Method::POST,
        &path,
        &token,
        Some(&body),
        "respond-async",
    );
    assert_eq!(status, 202, "{answer}");
    let id = answer["id"].as_str().expect("an id").to_owned();
    first.kill();

    let (_second, url, token) = up(&sandbox);
    let path = format!("{url}/api/v1/invocations/{id}");
    let mut last = Value::Null;
    super::bench::until("the invocation ends", || {
        last = ask(reqwest::Method::GET, &path, &token, None, "").1;
        !matches!(last["status"].as_str(), Some("queued" | "running"))
    });
    assert_eq!(last["status"], "succeeded", "{last}");
    assert_eq!(last["output"], "still here", "{last}");
}
