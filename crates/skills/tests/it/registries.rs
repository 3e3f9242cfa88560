//! Skills of one name in two registries: what was installed from one is never mistaken for the
//! other's.

use testkit::{Fixture, TestHub};

use crate::project::{refused, says, skill};
use crate::support::{Ran, Sandbox};

/// Somebody with two registries, `hub` (the default one) and `two`, and no project.
struct Two {
    sandbox: Sandbox,
    hub: TestHub,
    two: TestHub,
}

impl Two {
    async fn new(in_hub: &[Fixture], in_two: &[Fixture]) -> Self {
        let this = Self {
            sandbox: Sandbox::new(),
            hub: TestHub::start().await,
            two: TestHub::start().await,
        };
        publish(&this.hub, in_hub).await;
        publish(&this.two, in_two).await;
        this.run(&["registry", "add", "hub", &this.hub.url, "--default"])
            .ok();
        this.run(&["registry", "add", "two", &this.two.url]).ok();
        this
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }

    /// `NAME VERSION`, and `(two)` after what is from there.
    fn installed(&self) -> Vec<String> {
        let list = self.run(&["--json", "list"]).ok().json();
        let skills = list["skills"].as_array().expect("skills").iter();
        let shown = |skill: &serde_json::Value| {
            let text = |key: &str| skill[key].as_str().unwrap_or_default().to_owned();
            let from = if text("source") == self.two.url {
                " (two)"
            } else {
                ""
            };
            format!("{} {}{from}", text("name"), text("version"))
        };
        skills.map(shown).collect()
    }
}

async fn publish(hub: &TestHub, skills: &[Fixture]) {
    let publisher = hub.publisher("alice").await;
    for skill in skills {
        publisher.publish(skill).await.assert_status(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_asks_the_registry_that_a_skill_came_from() {
    let two = Two::new(
        &[skill("charts", "1.0.0"), skill("notes", "1.0.0")],
        &[skill("charts", "1.5.0"), skill("rare", "1.0.0")],
    )
    .await;
    two.run(&["install", "charts", "rare", "--registry", "two"])
        .ok();
    two.run(&["install", "notes"]).ok();
    let before = ["charts 1.5.0 (two)", "notes 1.0.0", "rare 1.0.0 (two)"];
    assert_eq!(two.installed(), before);
    for flags in [
        &["update"][..],
        &["update", "--force"],
        &["update", "charts", "--force"],
    ] {
        two.run(flags).ok();
        assert_eq!(two.installed(), before, "{flags:?}");
    }
    // Asking the other one by name does not change who is trusted, unless it is forced.
    refused(
        &two.run(&["update", "charts", "--registry", "hub"]),
        1,
        "name-in-use",
    );

    two.run(&["registry", "remove", "two"]).ok();
    let ran = two.run(&["update", "--force"]).ok();
    says(&ran, "rare 1.0.0 stays as it is");
    says(&ran, &format!("skills registry add NAME {}", two.two.url));
    assert_eq!(two.installed(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_versions_come_from_both_registries_and_a_flag_means_one() {
    let two = Two::new(&[], &[]).await;
    let alice = two.hub.publisher("ann").await;
    let bob = two.two.publisher("bob").await;
    alice
        .publish(&skill("notes", "1.0.0"))
        .await
        .assert_status(201);
    bob.publish(&skill("rare", "1.0.0"))
        .await
        .assert_status(201);
    two.run(&["install", "rare", "--registry", "two"]).ok();
    two.run(&["install", "notes"]).ok();
    alice
        .publish(&skill("notes", "1.1.0"))
        .await
        .assert_status(201);
    bob.publish(&skill("rare", "1.1.0"))
        .await
        .assert_status(201);
    two.run(&["update", "--registry", "two"]).ok();
    assert_eq!(two.installed(), ["notes 1.0.0", "rare 1.1.0 (two)"]);
    bob.publish(&skill("rare", "1.2.0"))
        .await
        .assert_status(201);
    two.run(&["update"]).ok();
    assert_eq!(two.installed(), ["notes 1.1.0", "rare 1.2.0 (two)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_lacks_a_skill_does_not_get_by_with_another_one_s() {
    let two = Two::new(&[skill("charts", "1.0.0")], &[]).await;
    two.run(&["install", "charts"]).ok();
    let ran = two.run(&["install", "charts", "--registry", "two"]);
    refused(&ran, 1, "unknown-skill");
    assert_eq!(two.installed(), ["charts 1.0.0"]);
    // What is from a folder is meant by its name, unless a registry is named with it.
    two.sandbox.skill("notes");
    two.run(&["install", "./notes"]).ok();
    two.run(&["install", "notes", "--agent", "claude-code"])
        .ok();
    let ran = two.run(&["install", "notes", "--registry", "two"]);
    refused(&ran, 1, "unknown-skill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_gone_holds_back_its_own_skills_only() {
    let two = Two::new(&[], &[skill("rare", "1.0.0"), skill("rarer", "1.0.0")]).await;
    let ann = two.hub.publisher("ann").await;
    ann.publish(&skill("notes", "1.0.0"))
        .await
        .assert_status(201);
    two.run(&["install", "rare", "rarer", "--registry", "two"])
        .ok();
    two.run(&["install", "notes"]).ok();
    ann.publish(&skill("notes", "1.1.0"))
        .await
        .assert_status(201);
    let Two {
        sandbox,
        hub: _hub,
        two: gone,
    } = two;
    gone.stop().await;
    let ran = sandbox.run(&["update"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    says(&ran, "rare, rarer stay as they are: cannot reach");
    says(&ran, "Updated notes 1.1.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_from_another_registry_is_taken_only_if_somebody_asked_for_it() {
    let two = Two::new(
        &[
            skill("charts", "1.0.0").depends_on("colors", "*"),
            skill("colors", "1.0.0"),
        ],
        &[
            skill("colors", "2.0.0"),
            skill("paint", "1.0.0").depends_on("colors", "*"),
        ],
    )
    .await;
    two.run(&["install", "charts"]).ok();
    let ran = two.run(&["install", "paint", "--registry", "two"]);
    refused(&ran, 1, "name-in-use");
    says(&ran, "paint comes from");
    // Force is for what was named.
    let forced = two.run(&["install", "paint", "--registry", "two", "--force"]);
    refused(&forced, 1, "name-in-use");
    assert_eq!(two.installed(), ["charts 1.0.0", "colors 1.0.0"]);

    two.run(&["install", "colors"]).ok();
    let ran = two.run(&["install", "paint", "--registry", "two"]).ok();
    says(&ran, "for which it gets the one that you installed from");
    let both = ["charts 1.0.0", "colors 1.0.0", "paint 1.0.0 (two)"];
    assert_eq!(two.installed(), both);
    // That is settled, and is not told again.
    let ran = two.run(&["update"]).ok();
    assert!(!ran.stderr().contains("warning"), "{}", ran.snapshot());
    assert_eq!(two.installed(), both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_registry_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer =
                "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["install", "notes", "--registry", &url]);
    refused(&ran, 1, "not-a-registry");
    says(
        &ran,
        &format!("{url} is not a skill registry (it answered 404)"),
    );
    says(&ran, "check the address");
    server.abort();

    let add = |url: &str| sandbox.run(&["registry", "add", "own", url]).ok();
    says(&add("https://one.example.org"), "Added registry own");
    says(
        &add("https://two.example.org"),
        "Changed registry own at https://two.example.org (was https://one.example.org)",
    );
    says(&add("https://two.example.org"), "Unchanged registry own");
}
