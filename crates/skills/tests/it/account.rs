//! Signing in and out, API tokens, and what a narrow token may do, against a real registry.

use std::process::Stdio;

use testkit::{Person, TestHub};

use crate::support::{Ran, Sandbox};

/// A registry, and somebody's machine.
struct Desk {
    hub: TestHub,
    sandbox: Sandbox,
}

impl Desk {
    async fn new() -> Self {
        let desk = Self {
            hub: TestHub::start().await,
            sandbox: Sandbox::new(),
        };
        desk.run(&["registry", "add", "team", &desk.hub.url, "--default"])
            .ok();
        desk
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }

    fn with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let file = self.sandbox.write("input", input);
        let mut command = self.sandbox.command(arguments);
        command.stdin(Stdio::from(std::fs::File::open(file).expect("readable")));
        self.sandbox.finish(&mut command)
    }

    fn sign_in_with_token(&self, token: &str) {
        self.with_input(&["login", "--token-stdin"], token).ok();
    }

    fn sign_in_as(&self, name: &str) {
        let login = ["login", "--username", name, "--password-stdin"];
        self.with_input(&login, testkit::PASSWORD).ok();
    }
}

async fn token(person: &Person, body: serde_json::Value) -> serde_json::Value {
    let made = person.post("/api/v1/auth/tokens", body).await;
    made.assert_status(201).json()
}

fn text<'a>(value: &'a serde_json::Value, field: &str) -> &'a str {
    value[field].as_str().expect(field)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_with_an_api_token_warns_of_nothing_and_says_that_the_token_lives() {
    let desk = Desk::new().await;
    let alice = desk.hub.publisher("alice").await;
    let made = token(
        &alice,
        serde_json::json!({"name": "ci", "scopes": ["read"]}),
    )
    .await;
    desk.sign_in_with_token(text(&made, "token"));
    let ran = desk.run(&["logout"]).ok();
    assert!(!ran.stderr().contains("warning"), "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("skills token revoke"),
        "{}",
        ran.snapshot()
    );
    assert_eq!(desk.run(&["whoami"]).code(), 1);

    // A session is ended at the registry, even while the environment holds another token.
    desk.sign_in_as("alice");
    let config = std::fs::read_to_string(desk.sandbox.home().join(".skills/config.json"));
    let config: serde_json::Value = serde_json::from_str(&config.expect("readable")).expect("JSON");
    let refresh_token = find(&config, "refreshToken").expect("a session").to_owned();
    let mut logout = desk.sandbox.command(&["logout"]);
    logout.env("SKILLS_TOKEN", text(&made, "token"));
    let ran = desk.sandbox.finish(&mut logout).ok();
    assert!(!ran.stderr().contains("warning"), "{}", ran.snapshot());
    let renew = desk
        .hub
        .request(reqwest::Method::POST, "/api/v1/auth/refresh")
        .json(&serde_json::json!({"refreshToken": refresh_token}));
    assert_eq!(
        desk.hub.send(renew).await.status,
        401,
        "the session has ended"
    );
}

fn find<'a>(value: &'a serde_json::Value, field: &str) -> Option<&'a str> {
    let object = value.as_object()?;
    let own = object.get(field).and_then(serde_json::Value::as_str);
    own.or_else(|| object.values().find_map(|inner| find(inner, field)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoami_tells_registry_role_credential_and_keys() {
    let desk = Desk::new().await;
    let alice = desk.hub.publisher("alice").await;
    let fingerprint = alice.key().expect("a key").fingerprint().to_string();
    desk.sign_in_as("alice");
    let shown = desk.run(&["whoami"]).ok().stdout();
    for part in [
        desk.hub.url.as_str(),
        "alice (publisher)",
        "session",
        "publish",
        &fingerprint,
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }

    let wish = serde_json::json!({"name": "nightly", "scopes": ["read"], "skills": ["team-*"], "expiresInDays": 7});
    let made = token(&alice, wish).await;
    desk.sign_in_with_token(text(&made, "token"));
    let shown = desk.run(&["whoami"]).ok().stdout();
    let day = &text(&made, "expiresAt")[..10];
    for part in ["API token", "nightly", day, "team-*"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains("publish,"), "{shown}");
    let json = desk.run(&["--json", "whoami"]).ok().json();
    assert_eq!(json["username"], "alice");
    assert_eq!(json["role"], "publisher");
    assert_eq!(json["via"], "api-token");
    assert_eq!(json["tokenName"], "nightly");
    assert_eq!(json["scopes"], serde_json::json!(["read"]));
    assert_eq!(json["expiresAt"], made["expiresAt"]);
    assert_eq!(json["registryName"], "team");
    assert_eq!(json["keys"][0]["fingerprint"], fingerprint.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_made_with_a_token_ends_with_it_and_says_when() {
    let desk = Desk::new().await;
    let alice = desk.hub.publisher("alice").await;
    // As the administrator's token of `skills up`: it lives for the registry's default.
    let maker = token(
        &alice,
        serde_json::json!({"name": "maker", "scopes": ["read", "publish"]}),
    )
    .await;
    desk.hub
        .clock()
        .advance(jiff::SignedDuration::from_hours(1));
    desk.sign_in_with_token(text(&maker, "token"));
    let ran = desk.run(&["token", "create", "child"]).ok();
    assert!(ran.stdout().starts_with("skl_"), "{}", ran.snapshot());
    let day = &text(&maker, "expiresAt")[..10];
    assert!(ran.stderr().contains(day), "{}", ran.snapshot());
    let json = desk
        .run(&["--json", "token", "create", "second"])
        .ok()
        .json();
    assert_eq!(json["expiresAt"], maker["expiresAt"]);
    // A wish that cannot be granted is refused with what can.
    let ran = desk.run(&["token", "create", "third", "--expires", "365"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains(day), "{}", ran.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_not_register_a_key_says_what_to_type() {
    let hub = testkit::HubBuilder::default()
        .configure(|config| config.require_signatures = true)
        .start()
        .await;
    let sandbox = Sandbox::new();
    let desk = Desk { hub, sandbox };
    desk.run(&["registry", "add", "team", &desk.hub.url, "--default"])
        .ok();
    let alice = desk.hub.publisher("alice").await;
    let made = token(
        &alice,
        serde_json::json!({"name": "ci", "scopes": ["publish"]}),
    )
    .await;
    desk.sign_in_with_token(text(&made, "token"));
    desk.run(&["key", "generate", "alice", "--no-passphrase"])
        .ok();
    desk.sandbox.skill("greeter");
    let ran = desk.run(&["publish", "greeter", "--version", "1.0.0"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    let keys = desk.run(&["--json", "key", "list"]).ok().json();
    let fingerprint = text(&keys["keys"][0], "fingerprint");
    for part in [
        "[key-not-registered]",
        "lacks the scope `keys`",
        "skills login",
        &format!(
            "skills key register {fingerprint} --registry {}",
            desk.hub.url
        ),
    ] {
        assert!(
            ran.stderr().contains(part),
            "{part} is missing:\n{}",
            ran.snapshot()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_with_two_names_is_refused_before_anything_is_sent() {
    // Nobody listens there: whatever was sent would fail in another way.
    let sandbox = Sandbox::new();
    sandbox
        .run(&["registry", "add", "team", "http://127.0.0.1:9", "--default"])
        .ok();
    sandbox.skill("greeter");
    sandbox.write("greeter/skill.yaml", "version: 1.0.0\nname: welcomer\n");
    let publish = |folder: &str| sandbox.run(&["publish", folder, "--unsigned"]);
    let ran = publish("greeter");
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("[invalid-skill]"),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().contains("greeter/skill.yaml:2"),
        "{}",
        ran.snapshot()
    );
    assert!(ran.stderr().contains("help:"), "{}", ran.snapshot());

    sandbox.write("greeter/skill.yaml", "version: 1.0.0\n");
    let other = sandbox.project().join("other");
    std::fs::rename(sandbox.project().join("greeter"), other).expect("renamed");
    let ran = publish("other");
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains("other/SKILL.md:2"),
        "{}",
        ran.snapshot()
    );
    assert!(
        ran.stderr().contains("give both the same name"),
        "{}",
        ran.snapshot()
    );
    let json = sandbox.run(&["--json", "publish", "other", "--unsigned", "--dry-run"]);
    assert_eq!(json.code(), 2, "{}", json.snapshot());
    assert_eq!(json.json()["error"]["line"], 2);
}
