//! No space left: nothing is half-written, the refusal says so, and once there is space again
//! everything works again, without a restart. The limit on the size of files stands for a full disk:
//! it fails writes in the same places and needs no disk of its own.

use reqwest::Method;
use serde_json::{Value, json};
use skill_format::{SkillFile, SkillTree};

use crate::hub::{Engine, Hub};
use crate::support::Sandbox;

struct Registry {
    hub: Hub,
    client: reqwest::Client,
    token: String,
}

impl Registry {
    async fn send(&self, method: Method, path: &str, body: reqwest::Body) -> (u16, Value) {
        let is_archive = path == "/api/v1/skills";
        let media_type = if is_archive {
            "application/gzip"
        } else {
            "application/json"
        };
        let answer = self
            .client
            .request(method, format!("{}{path}", self.hub.url))
            .bearer_auth(&self.token)
            .header("content-type", media_type)
            .body(body)
            .send()
            .await
            .expect("the hub answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn make_token(&self) -> (u16, Value) {
        let body = json!({"name": "ci", "scopes": ["read"]}).to_string();
        self.send(Method::POST, "/api/v1/auth/tokens", body.into())
            .await
    }

    async fn publish(&self, archive: &[u8]) -> (u16, Value) {
        self.send(Method::POST, "/api/v1/skills", archive.to_vec().into())
            .await
    }
}

fn archive() -> Vec<u8> {
    let text = "---\nname: greeter\ndescription: Greets. Use it to greet.\nmetadata:\n  version: 1.0.0\n---\n\nGreet.\n";
    let mut tree = SkillTree::new();
    tree.insert("SKILL.md", SkillFile::plain(text.as_bytes()))
        .expect("a path");
    tree.pack()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_recovers_from_a_full_disk_without_a_restart() {
    // The first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    // Without signatures: what is tested is the disk.
    std::fs::write(data.join("hub.toml"), "require_signatures = false\n").expect("written");
    let database = Engine::Sqlite.database(data).await;
    let mut hub = Hub::start_for_limits(data, &database.url);
    let token = hub.token.take().expect("a new hub");
    let registry = Registry {
        hub,
        client: reqwest::Client::new(),
        token,
    };
    assert_eq!(registry.make_token().await.0, 201);

    registry.hub.limit_files(Some(0));
    for _ in 0..3 {
        let (status, problem) = registry.make_token().await;
        assert_eq!(
            (status, &problem["code"]),
            (503, &json!("unavailable")),
            "{problem}"
        );
    }
    let (status, problem) = registry.publish(&archive()).await;
    assert_eq!(
        (status, &problem["code"]),
        (507, &json!("storage-full")),
        "{problem}"
    );
    let read = registry
        .send(Method::GET, "/api/v1/skills?limit=1", "".into())
        .await;
    assert_eq!(read.0, 200, "reading goes on");
    assert_eq!(read.1["total"], 0);

    registry.hub.limit_files(None);
    let (status, problem) = registry.make_token().await;
    assert_eq!(status, 201, "{problem}");
    let (status, problem) = registry.publish(&archive()).await;
    assert_eq!(status, 201, "{problem}");
    let left = std::fs::read_dir(data.join("blobs/tmp")).expect("the folder");
    assert_eq!(left.count(), 0, "nothing half-written is left");
}

#[test]
fn the_cache_is_emptied_where_nothing_can_be_written() {
    let sandbox = Sandbox::new();
    sandbox.skill("greeter");
    sandbox.run(&["install", "./greeter", "--global"]).ok();
    let size = |sandbox: &Sandbox| {
        let json = sandbox.run(&["--json", "cache", "size"]).ok().json();
        json["bytes"].as_u64()
    };
    let program = env!("CARGO_BIN_EXE_skills");
    let mut full = std::process::Command::new("sh");
    full.args([
        "-c",
        "trap '' XFSZ; ulimit -f 0; exec \"$0\" cache clear",
        program,
    ]);
    full.current_dir(sandbox.project())
        .env("HOME", sandbox.home());
    let ran = sandbox.finish(&mut full);
    assert_eq!(ran.code(), 0, "{}", ran.snapshot());
    assert_eq!(size(&sandbox), Some(0));
    assert!(
        sandbox
            .run(&["list", "--global"])
            .ok()
            .stdout()
            .contains("greeter")
    );
}
