//! One trace from the caller to the skill, as a collector of OpenTelemetry gets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::bench::{Mesh, Process, until};
use super::nats::Nats;
use crate::hub::Hub;
use crate::support::Sandbox;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Says what it is to continue.
const TELLS: &str = "echo \"$TRACEPARENT|$TRACESTATE\"\n";

/// Takes what is posted to `/v1/traces`.
struct Collector {
    endpoint: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

/// A span and who sent it.
#[derive(Debug, Clone)]
struct Got {
    service: String,
    span: Value,
}

impl Collector {
    /// Answers with this status line.
    fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream, status, &kept));
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            requests,
        }
    }

    fn spans(&self) -> Vec<Got> {
        let requests = self.requests.lock().expect("requests");
        let all = requests.iter().flat_map(|(_, body)| {
            let resource = &body["resourceSpans"][0];
            let service = attribute(&resource["resource"], "service.name");
            let spans = resource["scopeSpans"][0]["spans"].as_array();
            let spans = spans.cloned().unwrap_or_default();
            spans.into_iter().map(move |span| Got {
                service: service.clone(),
                span,
            })
        });
        all.collect()
    }

    /// The one span of this name, once it is there.
    #[track_caller]
    fn span(&self, name: &str) -> Got {
        let find = || {
            self.spans()
                .into_iter()
                .find(|one| one.span["name"] == name)
        };
        until(&format!("there is a span {name}"), || find().is_some());
        find().expect("it is there")
    }

    /// How often something came.
    fn asked(&self) -> usize {
        self.requests.lock().expect("requests").len()
    }
}

impl Got {
    fn text(&self, field: &str) -> String {
        self.span[field].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn is_child_of(&self, parent: &Self) {
        assert_eq!(self.text("traceId"), parent.text("traceId"));
        assert_eq!(
            self.text("parentSpanId"),
            parent.text("spanId"),
            "{:#} is no child of {:#}",
            self.span,
            parent.span
        );
        let nanos = |one: &Self, field: &str| -> u64 { one.text(field).parse().expect("a number") };
        let (own, others) = ("startTimeUnixNano", "endTimeUnixNano");
        assert!(nanos(self, own) <= nanos(self, others));
    }
}

fn attribute(of: &Value, key: &str) -> String {
    let all = of["attributes"].as_array().expect("attributes");
    let found = all.iter().find(|one| one["key"] == key);
    let value = found.map(|one| &one["value"]);
    match value {
        Some(value) => value["stringValue"]
            .as_str()
            .or(value["intValue"].as_str())
            .unwrap_or_default()
            .to_owned(),
        None => String::new(),
    }
}

fn serve(stream: TcpStream, status: &str, kept: &Mutex<Vec<(String, Value)>>) {
    let mut answers = stream.try_clone().expect("a socket");
    let mut lines = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match lines.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        lines.read_exact(&mut body).expect("the body");
        let body = serde_json::from_slice(&body).expect("JSON");
        kept.lock().expect("requests").push((head, body));
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn traced(collector: &Collector) -> [(&'static str, String); 2] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ]
}

/// A worker for the skills in `skills/` with these variables.
fn worker(mesh: &Mesh, variables: &[(&str, &str)]) -> Process {
    let mut command = mesh.command(&["--json", "worker", "--topic", "T"]);
    command
        .args(["--skills-dir", "skills", "--sandbox", "available"])
        .args(["--metrics", "127.0.0.1:0"])
        .envs(variables.iter().copied())
        .env("WORKER_NAME", "w");
    Process::start(&mut command)
}

fn as_pairs<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// What came out of `send T`, `process T`, its phases and the skill.
#[track_caller]
fn assert_connected(collector: &Collector, topic: &str, said: &str) -> Got {
    let send = collector.span(&format!("send {topic}"));
    let process = collector.span(&format!("process {topic}"));
    let run = collector.span("run");
    process.is_child_of(&send);
    for phase in ["match", "prepare", "wait", "run"] {
        collector.span(phase).is_child_of(&process);
    }
    let traceparent = format!("00-{}-{}-01", run.text("traceId"), run.text("spanId"));
    assert_eq!(said.trim(), format!("{traceparent}|vendor=1"));
    assert_eq!(
        (&send.span["kind"], &process.span["kind"]),
        (&json!(4), &json!(5))
    );
    assert_eq!(process.service, "skills-worker");
    for (key, value) in [
        ("messaging.system", "skillscale"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", topic),
        ("skill.name", "tells"),
        ("skill.version", "1.0.0"),
        ("skill.outcome", "success"),
    ] {
        assert_eq!(attribute(&process.span, key), value, "{key}");
    }
    let id = "messaging.message.id";
    assert_eq!(attribute(&process.span, id), attribute(&send.span, id));
    send
}

#[test]
fn a_trace_goes_from_a_call_through_the_proxy_and_the_worker_to_the_skill() {
    let (mesh, collector) = (Mesh::start(), Collector::start("200 OK"));
    mesh.skill("tells", TELLS);
    let variables = traced(&collector);
    let worker = worker(&mesh, &as_pairs(&variables));
    let mut call = mesh.command(&["call", "T", "--skill", "tells", "x"]);
    call.envs(variables.clone())
        .env("TRACEPARENT", PARENT)
        .env("TRACESTATE", "vendor=1")
        .env("OTEL_SERVICE_NAME", "my-agent");
    let said = mesh.sandbox.finish(&mut call).ok().stdout();
    let send = assert_connected(&collector, "T", &said);
    assert_eq!(send.text("traceId"), TRACE);
    assert_eq!(send.text("parentSpanId"), CALLER);
    assert_eq!(send.text("traceState"), "vendor=1");
    assert_eq!(send.service, "my-agent");
    until("what was exported is counted", || {
        worker.metric("skills_trace_spans_exported_total", &[]) >= 5.0
    });
}

#[test]
fn a_trace_goes_over_nats_too() {
    let (sandbox, nats, collector) = (Sandbox::new(), Nats::start(), Collector::start("200 OK"));
    skill(&sandbox);
    let variables = traced(&collector);
    let mut command = sandbox.command(&["--json", "worker", "--topic", "TOPIC_N"]);
    command
        .args(["--skills-dir", "skills", "--sandbox", "available"])
        .args(["--nats", &nats.url])
        .envs(variables.clone());
    let _worker = Process::start(&mut command);
    let mut call = sandbox.command(&["call", "TOPIC_N", "--skill", "tells", "x"]);
    call.args(["--nats", &nats.url])
        .envs(variables)
        .env("TRACEPARENT", PARENT)
        .env("TRACESTATE", "vendor=1");
    let said = sandbox.finish(&mut call).ok().stdout();
    let send = assert_connected(&collector, "TOPIC_N", &said);
    assert_eq!(send.text("parentSpanId"), CALLER);
    assert_eq!(send.service, "skills-call");
}

fn skill(sandbox: &Sandbox) {
    sandbox.write("skills/tells/scripts/run.sh", TELLS);
    sandbox.write("skills/tells/skill.yaml", "name: tells\nversion: 1.0.0\n");
    sandbox.write(
        "skills/tells/SKILL.md",
        "---\nname: tells\ndescription: Tells its trace.\n---\n\n# tells\n",
    );
}

/// Status and body of an invocation with these headers.
fn invoke(hub: &Hub, token: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("{}/api/v1/skills/tells/invoke", hub.url);
        let mut request = reqwest::Client::new().post(url).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.json(&json!({"input": "x"})).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    })
}

#[test]
fn a_trace_goes_through_the_gateway_and_garbage_there_is_no_error() {
    let (sandbox, nats, collector) = (Sandbox::new(), Nats::start(), Collector::start("200 OK"));
    skill(&sandbox);
    let variables = traced(&collector);
    let mut command = sandbox.command(&["--json", "worker", "--topic", "TOPIC_H"]);
    command
        .args(["--skills-dir", "skills", "--sandbox", "available"])
        .args(["--nats", &nats.url])
        .envs(variables.clone());
    let _worker = Process::start(&mut command);
    let data = sandbox.project().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let database = format!("sqlite:{}", data.join("hub.sqlite").display());
    let options = ["--mesh-topic", "TOPIC_H", "--nats", &nats.url];
    let hub = Hub::start_in(&data, &database, &options, &as_pairs(&variables));
    let token = hub.token.clone().expect("an administrator");
    super::gateway::publish(&sandbox, &hub.url, &token, "skills/tells", "1.0.0");

    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    let (status, answer) = invoke(&hub, &token, &headers);
    assert_eq!(status, 200, "{answer}");
    let said = answer["output"].as_str().expect("text");
    let send = assert_connected(&collector, "TOPIC_H", said);
    let server = collector.span("POST /api/v1/skills/{name}/invoke");
    send.is_child_of(&server);
    assert_eq!(
        (server.text("traceId"), server.text("parentSpanId")),
        (TRACE.into(), CALLER.into())
    );
    assert_eq!(
        (&server.span["kind"], server.service.as_str()),
        (&json!(2), "skills-hub")
    );
    assert_eq!(attribute(&server.span, "http.response.status_code"), "200");

    let long = format!("{PARENT}-{}", "x".repeat(8000));
    for garbage in ["", "garbage", "00-0-0-01", &long] {
        let (status, answer) = invoke(&hub, &token, &[("traceparent", garbage)]);
        assert_eq!(status, 200, "{garbage}: {answer}");
        let said = answer["output"].as_str().expect("text");
        assert!(!said.contains(TRACE) && said.starts_with("00-"), "{said}");
    }
}

#[test]
fn a_trace_goes_to_the_skill_where_nothing_is_exported_and_garbage_goes_nowhere() {
    let mesh = Mesh::start();
    mesh.skill("tells", TELLS);
    let print = "import os\nprint(os.environ.get('TRACEPARENT'))\n";
    mesh.sandbox.write("skills/warm/scripts/run.py", print);
    mesh.sandbox.write(
        "skills/warm/SKILL.md",
        "---\nname: warm\ndescription: Tells it from a warm interpreter.\n---\n",
    );
    let mut worker = worker(
        &mesh,
        &[("OTEL_SDK_DISABLED", "true"), ("TRACEPARENT", PARENT)],
    );
    let agent = mesh.agent();
    let ask_skill = |skill: &str, id: &str, trace: Value| {
        let mut request = json!({
            "request_id": id, "reply_to": "AGENT_REPLY_9f8e7d6c", "timestamp": 1.5,
            "intent": {"skill": skill},
        });
        for (key, value) in trace.as_object().expect("members") {
            request[key] = value.clone();
        }
        agent.publish("T", request.to_string().as_bytes());
        let reply = agent.hear();
        assert_eq!(reply.status, "success", "{reply:?}");
        reply.content
    };
    let ask = |id: &str, trace: Value| ask_skill("tells", id, trace);
    let given = json!({"traceparent": PARENT, "tracestate": "a=1"});
    assert_eq!(
        ask_skill("warm", "w1", given.clone()),
        format!("{PARENT}\n")
    );
    assert_eq!(ask_skill("warm", "w2", json!({})), "None\n");
    assert_eq!(ask("1", given), format!("{PARENT}|a=1\n"));
    for (id, garbage) in [
        ("2", json!({})),
        ("3", json!({"traceparent": "garbage", "tracestate": "a=1"})),
        ("4", json!({"traceparent": {"a": 1}})),
        ("5", json!({"traceparent": "0".repeat(1_000_000)})),
    ] {
        assert_eq!(ask(id, garbage), "|\n");
    }
    let given = json!({"traceparent": PARENT, "tracestate": "a=$(id)\nTRACEPARENT=x"});
    assert_eq!(ask("6", given), format!("{PARENT}|\n"));
    let mut call = mesh.command(&["call", "T", "--skill", "tells"]);
    let ran = mesh.sandbox.finish(call.env("TRACEPARENT", "00-garbage"));
    assert_eq!(ran.ok().stdout(), "|\n");
    worker.terminate();
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
}

#[test]
fn a_failed_skill_is_a_failed_span_and_what_is_left_is_sent_at_sigterm() {
    let (mesh, collector) = (Mesh::start(), Collector::start("200 OK"));
    mesh.skill("fails", "echo no such file >&2; exit 3\n");
    // A minute until spans are sent by themselves.
    let mut worker = worker(
        &mesh,
        &[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                &format!("{}/custom", collector.endpoint),
            ),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=mesh"),
            ("OTEL_BSP_SCHEDULE_DELAY", "60000"),
        ],
    );
    mesh.agent().error("T", r#"{"skill": "fails"}"#);
    assert_eq!(collector.asked(), 0);
    worker.terminate();
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
    let span = collector.span("process T").span;
    assert_eq!(span["status"]["code"], 2, "{span:#}");
    let message = span["status"]["message"].as_str().expect("text");
    assert!(message.contains("(exit=3)"), "{message}");
    assert_eq!(attribute(&span, "skill.outcome"), "failed");
    let head = collector.requests.lock().expect("requests")[0].0.clone();
    assert!(head.starts_with("POST /custom "), "{head}");
    assert!(head.contains("x-team: mesh"), "{head}");
}

#[test]
fn a_collector_that_is_away_or_refuses_or_hangs_disturbs_nobody_and_is_said_once() {
    // Takes connections into its backlog and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hangs = format!("http://{}", silent.local_addr().expect("an address"));
    let refuses = Collector::start("400 Bad Request");
    for endpoint in ["http://127.0.0.1:1", &refuses.endpoint, &hangs] {
        let mesh = Mesh::start();
        mesh.skill("tells", TELLS);
        let mut worker = worker(
            &mesh,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
                ("OTEL_BSP_SCHEDULE_DELAY", "10"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ],
        );
        let agent = mesh.agent();
        for _ in 0..20 {
            assert!(
                agent
                    .result("T", r#"{"skill": "tells"}"#)
                    .starts_with("00-")
            );
        }
        let mut call = mesh.command(&["call", "T", "--skill", "tells"]);
        let ran = mesh
            .sandbox
            .finish(call.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
        assert!(ran.ok().stdout().starts_with("00-"));
        until("spans are dropped and counted", || {
            worker.metric("skills_trace_spans_dropped_total", &[]) > 0.0
        });
        worker.terminate();
        assert_eq!(worker.ended(), Some(0), "{}", worker.log());
        let log = worker.log();
        let complaints = log.matches("collector does not take spans").count();
        assert_eq!(complaints, 1, "{endpoint}: {log}");
    }
}

#[test]
fn a_setting_that_cannot_work_ends_the_start_with_its_name() {
    let sandbox = Sandbox::new();
    sandbox.write("skills/README.md", "none yet\n");
    let mut command = sandbox.command(&["--json", "worker"]);
    let ran = sandbox.finish(command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"));
    assert_eq!(ran.code(), 2, "{}", ran.stderr());
    let said = format!("{}{}", ran.stdout(), ran.stderr());
    assert!(said.contains("otel-config"), "{said}");
    assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{said}");
}
