//! `skills worker --matcher llm`: a model is asked where words find no skill, and only there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::bench::{Agent, Mesh, Process, until};

const KEY: &str = "sk-very-secret";

/// A server of `POST /v1/chat/completions`, which answers everything in the same way until told otherwise.
struct Model {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answer: Answer,
    /// Head and body of what was asked.
    asked: Vec<(String, Value)>,
}

#[derive(Clone, Default)]
struct Answer {
    status: u16,
    headers: String,
    body: String,
    /// Says nothing.
    is_silent: bool,
}

impl Model {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    fn answers(&self, status: u16, headers: &str, body: impl ToString) {
        self.state.lock().expect("a state").answer = Answer {
            status,
            headers: headers.to_owned(),
            body: body.to_string(),
            is_silent: false,
        };
    }

    /// A chat completion with this text.
    fn says(&self, text: &str) {
        let message = json!({"role": "assistant", "content": text});
        let body =
            json!({"object": "chat.completion", "choices": [{"index": 0, "message": message}]});
        self.answers(200, "", body);
    }

    fn is_silent(&self) {
        self.state.lock().expect("a state").answer.is_silent = true;
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.state.lock().expect("a state").asked.clone()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let answer = {
        let mut state = state.lock().expect("a state");
        let body = serde_json::from_slice(&body).expect("JSON");
        state.asked.push((head, body));
        state.answer.clone()
    };
    if answer.is_silent {
        // Until the caller has had enough.
        let _ = reader.read(&mut [0]);
        return;
    }
    let Answer {
        status,
        headers,
        body,
        ..
    } = answer;
    let text = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    // The caller may read less than all of it.
    let _ = (&stream).write_all(text.as_bytes());
}

fn command(mesh: &Mesh, model: &Model) -> Command {
    let mut command = mesh.command(&["--json", "worker", "--topic", "T", "--skills-dir", "skills"]);
    command
        .args(["--sandbox", "available", "--metrics", "127.0.0.1:0"])
        .args(["--match-timeout", "2"])
        .env("SKILLSCALE_MATCHER", "llm")
        .env("OPENAI_BASE_URL", &model.address)
        .env("OPENAI_MODEL", "small-one")
        .env("OPENAI_API_KEY", KEY)
        // What the skills of these tests declare.
        .env("WORKER_NAME", "one")
        .env("RUST_LOG", "trace");
    command
}

/// Two skills whose words nobody uses.
fn skills(mesh: &Mesh) {
    mesh.skill("alpha", "printf 'alpha: '; cat\n");
    mesh.skill("beta", "printf 'beta: '; cat\n");
}

fn counted(worker: &Process, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    worker.metric("skills_worker_model_questions_total", &[&label])
}

#[test]
fn a_model_is_asked_only_where_words_find_nothing_and_once_for_the_same() {
    let mesh = Mesh::start();
    let model = Model::start();
    skills(&mesh);
    model.says(r#"{"skill": "beta"}"#);
    let worker = Process::start(&mut command(&mesh, &model));
    let agent = mesh.agent();
    assert_eq!(
        agent.result("T", r#"{"skill": "alpha", "data": "1"}"#),
        "alpha: 1"
    );
    assert_eq!(
        agent.result("T", r#"{"task": "alpha", "data": "2"}"#),
        "alpha: 2"
    );
    let error = agent.error("T", r#"{"skill": "gamma"}"#);
    assert!(error.contains("no skill \"gamma\""), "{error}");
    assert_eq!(model.asked(), []);

    let intent = r#"{"task": "mow the lawn", "data": "3"}"#;
    for _ in 0..3 {
        assert_eq!(agent.result("T", intent), "beta: 3");
    }
    assert_eq!(
        agent.result("T", "water the plants"),
        "beta: water the plants"
    );
    let asked = model.asked();
    assert_eq!(asked.len(), 2);
    let (head, body) = &asked[0];
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("authorization: bearer sk-very-secret"),
        "{head}"
    );
    assert_eq!(body["model"], "small-one");
    let question = body["messages"][1]["content"].as_str().expect("a text");
    let question: Value = serde_json::from_str(question).expect("JSON");
    assert_eq!(question["task"], "mow the lawn");
    assert_eq!(
        question["skills"][0],
        json!({"name": "alpha", "description": "Does alpha for tests."})
    );
    assert!(!body.to_string().contains("\\\"data\\\""), "{body}");
    assert_eq!(
        (counted(&worker, "chosen"), counted(&worker, "remembered")),
        (2.0, 2.0)
    );

    // With other skills the answer may be another.
    model.says("```json\n{\"skill\": \"gamma\"}\n```");
    mesh.skill("gamma", "echo gamma\n");
    until("the new skill is chosen", || {
        agent.result("T", intent) == "gamma\n"
    });
    model.says(r#"{"skill": null}"#);
    let error = agent.error("T", "feed the cat");
    assert!(
        error.contains("No matching skill found for topic: T"),
        "{error}"
    );
    assert!(
        error.ends_with("the model knows none that fits either"),
        "{error}"
    );
    assert!(!worker.log().contains(KEY), "the key is in the log");
}

#[track_caller]
fn refused(agent: &Agent, task: &str, why: &str) {
    let error = agent.error("T", &json!({"task": task}).to_string());
    assert!(
        error.contains("No matching skill found for topic: T"),
        "{error}"
    );
    assert!(
        error.ends_with(&format!("the model could not be asked: {why}")),
        "{error}"
    );
    assert!(!error.contains(KEY), "{error}");
}

#[test]
fn a_model_that_fails_leaves_the_usual_answer_with_a_word_why() {
    let mesh = Mesh::start();
    let model = Model::start();
    skills(&mesh);
    let worker = Process::start(&mut command(&mesh, &model));
    let agent = mesh.agent();
    model.says(r#"{"skill": "rm -rf /"}"#);
    refused(&agent, "one", "it named a skill that is not here");
    for garbage in [
        "beta",
        r#"{"name": "beta"}"#,
        r#"["beta"]"#,
        r#"{"skill": 7}"#,
    ] {
        model.says(garbage);
        refused(&agent, "two", "its answer is not understood");
    }
    model.answers(200, "", "no JSON");
    refused(&agent, "three", "its answer is not understood");
    model.answers(200, "", "x".repeat(2 * 1024 * 1024));
    refused(&agent, "four", "it answered too much");
    model.answers(
        401,
        "",
        json!({"error": format!("Incorrect API key provided: {KEY}")}),
    );
    refused(&agent, "five", "it refused the key");
    model.answers(500, "", KEY);
    refused(&agent, "six", "it answered with status 500");
    model.is_silent();
    refused(&agent, "seven", "it did not answer within 2 s");
    // What failed is asked again.
    model.says(r#"{"skill": "beta"}"#);
    assert_eq!(agent.result("T", r#"{"task": "seven"}"#), "beta: seven");
    model.answers(429, "retry-after: 600\r\n", "{}");
    refused(&agent, "eight", "it asks to be left alone for 600 s");
    let before = model.asked().len();
    refused(&agent, "nine", "it asked to be left alone for 600 s more");
    assert_eq!(model.asked().len(), before);
    // What is remembered and what words find needs no model.
    assert_eq!(agent.result("T", r#"{"task": "seven"}"#), "beta: seven");
    assert_eq!(agent.result("T", r#"{"task": "alpha"}"#), "alpha: alpha");
    for (outcome, number) in [
        ("failed", 10.0),
        ("timed-out", 1.0),
        ("paused", 1.0),
        ("chosen", 1.0),
    ] {
        assert_eq!(counted(&worker, outcome), number, "{outcome}");
    }
    assert!(!worker.log().contains(KEY), "the key is in the log");
}

#[test]
fn a_model_that_cannot_be_reached_is_told_and_no_model_is_asked_unless_that_is_wanted() {
    let mesh = Mesh::start();
    skills(&mesh);
    let nobody = Model {
        address: "http://127.0.0.1:1/v1".into(),
        state: Arc::default(),
    };
    let worker = Process::start(&mut command(&mesh, &nobody));
    let agent = mesh.agent();
    refused(&agent, "one", "it cannot be reached");
    assert!(!worker.log().contains(KEY), "the key is in the log");
    drop(worker);
    // The variables alone send nobody's requests anywhere.
    let model = Model::start();
    let _worker = Process::start(command(&mesh, &model).env_remove("SKILLSCALE_MATCHER"));
    let error = agent.error("T", r#"{"task": "two"}"#);
    assert!(!error.contains("model"), "{error}");
    assert_eq!(model.asked(), []);
}

#[test]
fn what_is_missing_or_unsafe_is_told_at_the_start() {
    let mesh = Mesh::start();
    let model = Model::start();
    let file = mesh.sandbox.write("key", "two words\n");
    let cases: [(&str, Option<&str>, &str); 5] = [
        ("OPENAI_MODEL", None, "model-missing"),
        (
            "OPENAI_BASE_URL",
            Some("http://model.example/v1"),
            "model-address-invalid",
        ),
        (
            "OPENAI_BASE_URL",
            Some("https://me:x@model.example/v1"),
            "model-address-invalid",
        ),
        ("OPENAI_API_KEY_FILE", Some("absent"), "io"),
        (
            "OPENAI_API_KEY_FILE",
            Some(file.to_str().expect("UTF-8")),
            "key-invalid",
        ),
    ];
    for (variable, value, code) in cases {
        let mut command = command(&mesh, &model);
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
        let ran = mesh.sandbox.finish(&mut command);
        assert_eq!(ran.code(), 2, "{variable}: {}", ran.snapshot());
        let said = ran.snapshot();
        assert!(said.contains(code), "{variable}: {said}");
        assert!(!said.contains(KEY), "{said}");
    }
}
