//! Progress and results as server-sent events.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::{HubBuilder, on_both};

use super::{INVOKE, NEVER, Stage, back, stage};

on_both!(
    progress_comes_while_it_runs_and_then_the_result,
    who_was_cut_off_goes_on_where_it_stopped,
    a_listener_who_leaves_gives_the_place_back,
    a_listener_hears_of_what_another_replica_runs,
    a_silent_stream_is_kept_alive,
);

/// An open stream of events.
struct Listener {
    response: Response,
    text: String,
}

impl Listener {
    async fn of(stage: &Stage, path: &str, last_seen: Option<&str>) -> Self {
        let mut request = stage.alice.request(Method::GET, path);
        if let Some(last_seen) = last_seen {
            request = request.header("last-event-id", last_seen);
        }
        Self::open(request).await
    }

    async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the hub answers");
        assert_eq!(response.status(), 200);
        let media_type = response.headers()["content-type"].to_str();
        assert_eq!(media_type.expect("text"), "text/event-stream");
        let text = String::new();
        Self { response, text }
    }

    /// Reads on until the text holds this; `false` if it ends before.
    async fn hears(&mut self, wanted: &str) -> bool {
        while !self.text.contains(wanted) {
            let chunk = tokio::time::timeout(NEVER, self.response.chunk()).await;
            match chunk.expect("in time").expect("a whole chunk") {
                Some(chunk) => self.text.push_str(&String::from_utf8_lossy(&chunk)),
                None => return false,
            }
        }
        true
    }

    /// Reads to the end: all events, as (id, name, data).
    async fn heard_out(mut self) -> Vec<(String, String, Value)> {
        self.hears("\u{0}").await;
        self.text.split("\n\n").filter_map(event).collect()
    }
}

fn event(block: &str) -> Option<(String, String, Value)> {
    let field = |name: &str| {
        let prefix = format!("{name}: ");
        let line = block.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_default().to_owned()
    };
    let data = serde_json::from_str(&field("data")).ok()?;
    Some((field("id"), field("event"), data))
}

async fn progress_comes_while_it_runs_and_then_the_result(hub: HubBuilder) {
    let stage = stage(hub).await;
    let request = stage
        .alice
        .request(Method::POST, INVOKE)
        .header("accept", "text/event-stream")
        .json(&json!({"input": "progress"}));
    let mut listener = Listener::open(request).await;
    let location = listener.response.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        listener.hears("two\\nlines").await,
        "it comes while the skill still runs"
    );
    assert!(!listener.text.contains("three"));
    stage.actor.let_on(1);
    let events = listener.heard_out().await;
    let progress = |number: &str, chunk: &str| {
        (
            number.to_owned(),
            "progress".to_owned(),
            json!({"chunk": chunk}),
        )
    };
    assert_eq!(
        events[..3],
        [
            progress("1", "one"),
            progress("2", "two\nlines"),
            progress("3", "three")
        ]
    );
    let (_, name, result) = &events[3];
    assert_eq!(
        (name.as_str(), &result["status"], &result["output"]),
        ("result", &json!("succeeded"), &json!("progress"))
    );
    assert_eq!(stage.alice.get(&location).await.json(), *result);
    // And of what is over the result at once.
    let again = Listener::of(&stage, &format!("{location}/events"), None)
        .await
        .heard_out()
        .await;
    assert_eq!(
        again,
        [(String::new(), "result".to_owned(), result.clone())]
    );
    // What went wrong is a result too.
    let request = stage
        .alice
        .request(Method::POST, INVOKE)
        .header("accept", "text/event-stream");
    let failed = Listener::open(request.json(&json!({"input": "nobody"})))
        .await
        .heard_out()
        .await;
    assert_eq!(failed[0].2["error"]["code"], "skill-not-served");
}

async fn who_was_cut_off_goes_on_where_it_stopped(hub: HubBuilder) {
    let stage = stage(hub).await;
    let id = stage.begin("progress").await;
    let path = format!("/api/v1/invocations/{id}/events");
    let mut first = Listener::of(&stage, &path, None).await;
    assert!(first.hears("id: 1").await);
    drop(first);
    let mut second = Listener::of(&stage, &path, Some("1")).await;
    assert!(second.hears("id: 2").await);
    stage.actor.let_on(1);
    let events = second.heard_out().await;
    let ids: Vec<_> = events.iter().map(|(id, _, _)| id.as_str()).collect();
    assert_eq!(ids, ["2", "3", ""]);
}

async fn a_listener_who_leaves_gives_the_place_back(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.streams_max = 1)).await;
    let id = stage.begin("wait").await;
    let path = format!("/api/v1/invocations/{id}/events");
    let only = Listener::of(&stage, &path, None).await;
    let refused = stage
        .alice
        .get(&path)
        .await
        .assert_problem(503, "too-many-streams");
    assert!(!refused.header("retry-after").is_empty());
    let request = stage
        .alice
        .request(Method::POST, INVOKE)
        .header("accept", "text/event-stream");
    stage
        .hub
        .send(request)
        .await
        .assert_problem(503, "too-many-streams");
    assert_eq!(
        stage.actor.calls().len(),
        1,
        "who cannot listen has run nothing"
    );
    drop(only);
    let deadline = std::time::Instant::now() + NEVER;
    loop {
        let answer = stage
            .alice
            .request(Method::GET, &path)
            .send()
            .await
            .expect("answers");
        if answer.status() == 200 {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "the place is never free again"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stage.actor.let_on(1);
    assert_eq!(stage.over(&id).await["status"], "succeeded");
}

async fn a_listener_hears_of_what_another_replica_runs(hub: HubBuilder) {
    let stage = stage(hub).await;
    let id = stage.begin("wait").await;
    stage.actor.called(1).await;
    let replica = stage.hub.replica().await;
    let elsewhere = back(&replica).await;
    let request = elsewhere.request(Method::GET, &format!("/api/v1/invocations/{id}/events"));
    let listener = Listener::open(request).await;
    stage.actor.let_on(1);
    let events = listener.heard_out().await;
    assert_eq!(events[0].2["status"], "succeeded");
    assert_eq!(stage.actor.calls().len(), 1, "it ran once");
}

async fn a_silent_stream_is_kept_alive(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.keep_alive_seconds = 1)).await;
    let id = stage.begin("wait").await;
    let path = format!("/api/v1/invocations/{id}/events");
    let mut listener = Listener::of(&stage, &path, None).await;
    assert!(listener.hears(": keep-alive").await);
    stage.actor.let_on(1);
    assert!(listener.hears("event: result").await);
}
