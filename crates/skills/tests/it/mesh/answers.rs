//! Which skill is run with what, and what comes back.

use std::path::Path;

use serde_json::json;

use super::bench::Mesh;

const TOPIC: &str = "TOPIC_DATA_PROCESSING";

/// The project's own example skills.
fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../skills"))
}

fn example(path: &str) -> String {
    std::fs::read_to_string(examples().join(path)).expect("an example")
}

#[test]
fn the_example_skills_give_the_answers_that_they_show() {
    let mesh = Mesh::start();
    let folder = examples().display().to_string();
    let _worker = mesh.worker("a", TOPIC, &["--skills-dir", &folder]);
    let agent = mesh.agent();
    for (skill, input, output) in [
        ("csv-analyzer", "orders.csv", "orders.md"),
        ("text-summarizer", "lighthouse.txt", "lighthouse.md"),
        ("code-complexity", "parcels.py", "parcels.md"),
    ] {
        let input = example(&format!("{skill}/examples/{input}"));
        let intent = json!({ "skill": skill, "data": input });
        let output = example(&format!("{skill}/examples/{output}"));
        assert_eq!(agent.result(TOPIC, &intent.to_string()), output);
    }
    // By words, with the data beside them, and a skill that runs two others.
    let table = "name,age\nAlice,30\nBob,40\n";
    let words = json!({"task": "statistics of the columns of this CSV table", "data": table});
    let report = agent.result(TOPIC, &words.to_string());
    assert!(
        report.contains("| age | 2 | 0 | 30 | 40 | 35 | 35 |"),
        "{report}"
    );
    let feedback = example("data-report/examples/feedback.csv");
    let both = json!({"skill": "data-report", "data": feedback});
    assert_eq!(
        agent.result(TOPIC, &both.to_string()),
        example("data-report/examples/feedback.md")
    );
}

#[test]
fn the_named_entry_point_is_run_and_its_input_is_checked() {
    let mesh = Mesh::start();
    let manifest = "name: two\nversion: 1.0.0\nentrypoints:\n  - name: one\n    command: scripts/one.sh\n\
                    \x20 - name: other\n    command: scripts/other.sh\n    input-schema:\n      type: object\n\
                    \x20     required: [count, label]\n      properties: {count: {type: integer}, label: {type: string}}\n";
    mesh.sandbox.write(
        "skills/two/SKILL.md",
        "---\nname: two\ndescription: Has two.\n---\n",
    );
    mesh.sandbox.write("skills/two/skill.yaml", manifest);
    mesh.sandbox
        .write("skills/two/scripts/one.sh", "echo one: $(cat)\n");
    mesh.sandbox
        .write("skills/two/scripts/other.sh", "echo other: $(cat)\n");
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    assert_eq!(
        agent.result("T", r#"{"skill": "Two", "data": "x"}"#),
        "one: x\n"
    );
    let other = |data: serde_json::Value| {
        json!({"skill": "two", "entry": "other", "data": data}).to_string()
    };
    let input = json!({"count": 1, "label": "x"});
    assert_eq!(
        agent.result("T", &other(input)),
        "other: {\"count\":1,\"label\":\"x\"}\n"
    );
    let error = agent.error("T", &other(json!({"count": "many", "label": "x"})));
    assert!(error.starts_with("input-invalid: "), "{error}");
    assert!(error.contains("count"), "{error}");
    let error = agent.error("T", r#"{"skill": "two", "entry": "third"}"#);
    assert!(error.starts_with("unknown-entry-point: "), "{error}");
    assert!(error.contains("one, other"), "{error}");
}

#[test]
fn a_result_that_is_no_text_arrives_as_the_skill_wrote_it() {
    let mesh = Mesh::start();
    mesh.skill("binary", "printf 'a\\377\\000b'\n");
    let _worker = mesh.worker("a", "T", &[]);
    let call = |more: &[&str]| {
        let mut call = mesh.command(&["call", "T", "--skill", "binary", ""]);
        let output = call.args(more).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert_eq!(call(&[]), b"a\xff\0b");
    assert_eq!(call(&["--progress"]), b"a\xff\0b");
    let document: serde_json::Value = serde_json::from_slice(&call(&["--json"])).expect("JSON");
    assert_eq!(document["contentBase64"], "Yf8AYg==");
    assert_eq!(document["content"], "a\u{fffd}\0b");
    // What an agent of SkillScale's gets.
    assert_eq!(
        mesh.agent().result("T", r#"{"skill": "binary"}"#),
        "a\u{fffd}\0b"
    );
}

#[test]
fn an_unknown_skill_is_an_error_that_names_the_topic_and_the_nearest() {
    let mesh = Mesh::start();
    mesh.skill("alpha", "echo the alphabetically first\n");
    mesh.skill("csv-analyzer", "echo another\n");
    mesh.sandbox.write(
        "skills/manual/SKILL.md",
        "---\nname: manual\ndescription: Only tells.\n---\n",
    );
    let _worker = mesh.worker("a", TOPIC, &[]);
    let agent = mesh.agent();
    let error = agent.error(TOPIC, r#"{"skill": "csv-analyser", "data": ""}"#);
    assert_eq!(
        error,
        "No matching skill found for topic: TOPIC_DATA_PROCESSING: there is no skill \"csv-analyser\" here; nearest: csv-analyzer"
    );
    let error = agent.error(TOPIC, "bake a pizza");
    assert!(error.starts_with("No matching skill found for topic: TOPIC_DATA_PROCESSING: "));
    let error = agent.error(TOPIC, r#"{"skill": "manual"}"#);
    assert!(
        error.contains("it is here, but cannot be run: no-entry-point"),
        "{error}"
    );
}

#[test]
fn names_with_shell_characters_reach_no_shell() {
    let mesh = Mesh::start();
    let odd = "odd; touch $(touch inner) `touch ticks` && touch outer";
    mesh.skill_at(odd, "odd", "echo fine; ls\n");
    mesh.skill("plain", "cat\n");
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    assert!(
        agent
            .result("T", r#"{"skill": "odd"}"#)
            .starts_with("fine\n")
    );
    let asked = json!({"skill": "plain; touch asked", "data": "$(touch data)"});
    let error = agent.error("T", &asked.to_string());
    assert!(error.starts_with("No matching skill found"), "{error}");
    let asked = json!({"skill": "plain", "data": "$(touch data); touch data"});
    assert_eq!(
        agent.result("T", &asked.to_string()),
        "$(touch data); touch data"
    );
    for folder in [
        mesh.sandbox.project(),
        mesh.sandbox.project().join("skills").join(odd),
    ] {
        for file in ["inner", "ticks", "outer", "asked", "data"] {
            assert!(!folder.join(file).exists(), "{file} was made");
        }
    }
}

#[test]
fn each_kind_of_error_has_its_code_beside_the_text() {
    let mesh = Mesh::start();
    mesh.skill("plain", "cat\n");
    mesh.skill("fails", "echo 'busy: no, broken' >&2; exit 3\n");
    mesh.skill("sleeps", "sleep 60\n");
    mesh.skill("floods", "head -c 20000000 /dev/zero\n");
    mesh.sandbox.write(
        "skills/typed/SKILL.md",
        "---\nname: typed\ndescription: Has a schema.\n---\n",
    );
    mesh.sandbox.write(
        "skills/typed/skill.yaml",
        "name: typed\nversion: 1.0.0\nentrypoints:\n  - name: one\n    command: scripts/one.sh\n    input-schema:\n\
         \x20     type: object\n      required: [count, label]\n      properties: {count: {type: integer}, label: {type: string}}\n",
    );
    mesh.sandbox.write("skills/typed/scripts/one.sh", "cat\n");
    let _worker = mesh.worker("a", "T", &["--timeout", "2000"]);
    let agent = mesh.agent();
    for (intent, code) in [
        (r#"{"skill": "none"}"#, "no-matching-skill"),
        (
            r#"{"skill": "plain", "entry": "second"}"#,
            "unknown-entry-point",
        ),
        (
            r#"{"skill": "typed", "data": {"count": "x"}}"#,
            "input-invalid",
        ),
        (r#"{"skill": "typed", "data": ""}"#, "input-missing"),
        (r#"{"skill": "typed", "data": "x"}"#, "input-not-json"),
        (r#"{"skill": "fails"}"#, "skill-crashed"),
        (r#"{"skill": "sleeps"}"#, "skill-timed-out"),
        (r#"{"skill": "floods"}"#, "result-too-large"),
        (r#"{"skill": "plain", "data": "x"}"#, ""),
    ] {
        let reply = agent.call("T", intent);
        assert_eq!(reply.code, code, "{intent}: {reply:?}");
    }
    agent.publish(
        "T",
        br#"{"request_id": "bad", "reply_to": "AGENT_REPLY_9f8e7d6c"}"#,
    );
    let reply = agent.hear();
    assert_eq!(
        (reply.id.as_str(), reply.code.as_str()),
        ("bad", "bad-request")
    );
    for (skill, code, exit) in [("fails", "skill-crashed", 1), ("typed", "input-missing", 2)] {
        let mut call = mesh.command(&["call", "T", "--skill", skill, "", "--json"]);
        let ran = mesh.sandbox.finish(&mut call);
        assert_eq!(ran.code(), exit, "{}", ran.stdout());
        let said = format!("{}{}", ran.stdout(), ran.stderr());
        assert!(said.contains(&format!("\"code\": \"{code}\"")), "{said}");
        // Nobody who asks a worker has its command line before them.
        assert!(!said.contains("command line"), "{said}");
    }
}

#[test]
fn bad_json_is_answered_with_what_is_wrong() {
    let mesh = Mesh::start();
    mesh.skill("plain", "cat\n");
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    agent.publish(
        "T",
        br#"{"request_id": "7", "reply_to": "AGENT_REPLY_9f8e7d6c", "intent": "x", oops"#,
    );
    let reply = agent.hear();
    assert_eq!((reply.id.as_str(), reply.status.as_str()), ("7", "error"));
    assert!(
        reply
            .error
            .starts_with("bad request: the payload is no JSON object"),
        "{reply:?}"
    );
    assert_eq!(
        agent.result("T", r#"{"skill": "plain", "data": "still here"}"#),
        "still here"
    );
}

#[test]
fn a_topic_that_begins_like_another_is_another() {
    let mesh = Mesh::start();
    mesh.skill("who", "echo $WORKER_NAME\n");
    let short = mesh.worker("short", "TOPIC_B", &[]);
    let long = mesh.worker("long", "TOPIC_BETA", &[]);
    let agent = mesh.agent();
    for _ in 0..5 {
        assert_eq!(agent.result("TOPIC_BETA", r#"{"skill": "who"}"#), "long\n");
        assert_eq!(agent.result("TOPIC_B", r#"{"skill": "who"}"#), "short\n");
    }
    for worker in [short, long] {
        assert_eq!(worker.metric("skills_worker_requests_total", &[]), 5.0);
    }
}

#[test]
fn news_of_a_running_skill_comes_before_its_answer() {
    let mesh = Mesh::start();
    mesh.held_skill();
    let _worker = mesh.worker("a", "T", &[]);
    let agent = mesh.agent();
    agent.ask("T", "p1", &mesh.held_intent("g"));
    let news = agent.hear();
    assert_eq!(
        (news.status.as_str(), news.content.as_str()),
        ("progress", "begun by a\n")
    );
    mesh.open("g");
    let mut said = news.content;
    let last = loop {
        let reply = agent.hear();
        match reply.status.as_str() {
            "progress" => said.push_str(&reply.content),
            _ => break reply,
        }
    };
    assert_eq!(last.status, "success");
    assert_eq!(last.content, "begun by a\nended by a\n");
    assert_eq!(said, last.content);
}
