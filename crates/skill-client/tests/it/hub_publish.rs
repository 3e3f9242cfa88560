//! Publishing to a real hub, also through a line that loses answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skill_client::api::{Client, ClientOptions};
use skill_client::publish::{PublishRequest, PublishState, Publisher, Signer, prepare};
use skill_client::{Config, Credentials, Event, Secret, SystemClock};
use skill_format::Explain as _;
use skill_signing::SecretKey;
use tempfile::TempDir;
use testkit::{HubBuilder, Person, TestHub};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Author, impatient, now};

/// A publisher with a folder of skills.
struct Desk {
    dir: TempDir,
    client: Client,
    key: SecretKey,
}

impl Desk {
    fn of(url: &str, person: &Person) -> Self {
        let options = ClientOptions {
            http: impatient(),
            credentials: Some(Credentials {
                username: None,
                token: Secret::new(&person.token),
                refresh_token: None,
                expires_at: None,
            }),
            ..ClientOptions::default()
        };
        let registry = Config::default().registry(Some(url)).expect("an address");
        let key = SecretKey::generate("alice <alice@example.org>", None, now(), &mut rand::rng())
            .expect("a key");
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            client: Client::new(registry, options),
            key,
        }
    }

    fn publisher<'a>(&'a self, ignore: &'a skill_client::Observer<'a>) -> Publisher<'a> {
        let signer = Some(Signer {
            key: &self.key,
            passphrase: None,
        });
        Publisher {
            client: &self.client,
            clock: &SystemClock,
            signer,
            observer: ignore,
        }
    }

    fn request(&self) -> PublishRequest {
        PublishRequest {
            paths: vec![self.dir.path().to_owned()],
            ..PublishRequest::default()
        }
    }
}

fn ignore(_: &Event<'_>) {}

async fn strict_hub() -> TestHub {
    HubBuilder::default()
        .configure(|config| config.require_signatures = true)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_skills_is_published_signed_with_a_key_that_registers_itself() {
    let hub = strict_hub().await;
    let desk = Desk::of(&hub.url, &hub.person("alice").await);
    Author::of("app", "1.0.0")
        .yaml("1.0.0", "dependencies:\n  library: \"^1.0\"\n")
        .write(desk.dir.path());
    Author::of("library", "1.2.0").write(desk.dir.path());
    let outcome = desk
        .publisher(&ignore)
        .publish_all(&desk.request())
        .await
        .expect("there are skills");
    assert!(outcome.is_complete(), "{outcome:?}");
    let order: Vec<_> = outcome
        .published
        .iter()
        .map(|skill| skill.name.as_str())
        .collect();
    assert_eq!(order, ["library", "app"], "what is needed goes first");
    let registered = desk.client.keys_of("alice").await.expect("keys");
    let fingerprints: Vec<_> = registered
        .iter()
        .map(|key| key.fingerprint.clone())
        .collect();
    assert_eq!(fingerprints, [desk.key.fingerprint().to_string()]);
    let again = desk
        .publisher(&ignore)
        .publish_all(&desk.request())
        .await
        .expect("there are skills");
    assert!(
        again.is_complete(),
        "the same content is no conflict: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_that_is_refused_stops_only_those_that_need_it() {
    let hub = strict_hub().await;
    let desk = Desk::of(&hub.url, &hub.person("alice").await);
    Author::of("app", "1.0.0")
        .yaml("1.0.0", "dependencies:\n  api: \"*\"\n")
        .write(desk.dir.path());
    Author::of("other", "1.0.0").write(desk.dir.path());
    Author::bare("unversioned").write(desk.dir.path());
    let outcome = desk
        .publisher(&ignore)
        .publish_all(&desk.request())
        .await
        .expect("there are skills");
    let published: Vec<_> = outcome
        .published
        .iter()
        .map(|skill| skill.name.as_str())
        .collect();
    assert!(published.contains(&"other"), "{outcome:?}");
    let codes: Vec<_> = outcome
        .failed
        .iter()
        .map(|(_, error)| error.code())
        .collect();
    assert!(codes.contains(&"version-missing"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_content_under_a_published_version_is_refused() {
    let hub = strict_hub().await;
    let desk = Desk::of(&hub.url, &hub.person("alice").await);
    let folder = Author::of("app", "1.0.0").write(desk.dir.path());
    let publisher = desk.publisher(&ignore);
    let request = desk.request();
    publisher
        .publish(&prepare(&folder, None).expect("valid"), &request)
        .await
        .expect("published");
    Author::of("app", "1.0.0")
        .file("notes.md", "other\n")
        .write(desk.dir.path());
    let changed = prepare(&folder, None).expect("valid");
    let error = publisher
        .publish(&changed, &request)
        .await
        .expect_err("taken");
    assert_eq!(error.code(), "version-exists");
    let skipping = PublishRequest {
        skip_existing: true,
        ..request
    };
    let skipped = publisher
        .publish(&changed, &skipping)
        .await
        .expect("left out");
    assert_eq!(skipped.state, PublishState::Skipped);
    Author::of("fresh", "1.0.0").write(desk.dir.path());
    let fresh = prepare(&desk.dir.path().join("fresh"), None).expect("valid");
    let dry = PublishRequest {
        dry_run: true,
        ..skipping
    };
    assert_eq!(
        publisher
            .publish(&fresh, &dry)
            .await
            .expect("checked")
            .state,
        PublishState::Ready
    );
    hub.get("/api/v1/skills/fresh").await.assert_status(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_again_and_nothing_is_published_twice() {
    let hub = strict_hub().await;
    let alice = hub.publisher("alice").await;
    let line = LossyLine::to(&hub.url).await;
    let mut desk = Desk::of(&line.url, &alice);
    desk.key = alice.key().expect("a key").clone();
    let folder = Author::of("app", "1.0.0").write(desk.dir.path());
    let published = desk
        .publisher(&ignore)
        .publish(&prepare(&folder, None).expect("valid"), &desk.request())
        .await
        .expect("published");
    assert_eq!(
        published.state,
        PublishState::Published,
        "the first answer, and not a conflict with it"
    );
    assert_eq!(line.lost.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_without_a_token_and_the_rest_is_not_tried() {
    let hub = strict_hub().await;
    let mut alice = hub.person("alice").await;
    alice.token = "skl_unknown".into();
    let desk = Desk::of(&hub.url, &alice);
    for name in ["app", "lib"] {
        Author::of(name, "1.0.0").write(desk.dir.path());
    }
    let outcome = desk
        .publisher(&ignore)
        .publish_all(&desk.request())
        .await
        .expect("there are skills");
    assert_eq!(
        (
            outcome.published.len(),
            outcome.failed.len(),
            outcome.skipped.len()
        ),
        (0, 1, 1),
        "{outcome:?}"
    );
}

#[test]
fn what_cannot_be_published_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let code = |folder: &std::path::Path, version: Option<&str>| {
        let version = version.map(|text| text.parse().expect("a version"));
        prepare(folder, version.as_ref())
            .expect_err("refused")
            .code()
    };
    let bare = Author::bare("bare").write(dir.path());
    assert_eq!(code(&bare, None), "version-missing");
    assert_eq!(
        prepare(&bare, Some(&"1.2.3".parse().expect("a version")))
            .expect("valid")
            .version
            .to_string(),
        "1.2.3"
    );
    let stated = Author::of("stated", "1.0.0").write(dir.path());
    assert_eq!(code(&stated, Some("2.0.0")), "version-differs");
    std::fs::write(stated.join("SKILL.md"), "no frontmatter").expect("write");
    std::fs::remove_file(stated.join("skill.yaml")).expect("remove");
    assert_eq!(code(&stated, None), "invalid-skill");
}

/// Forwards connections to a hub and loses the answer to the first publication.
struct LossyLine {
    url: String,
    lost: Arc<AtomicUsize>,
}

impl LossyLine {
    async fn to(hub: &str) -> Self {
        let target = hub.strip_prefix("http://").expect("a plain URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let lost = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lost);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, target.clone(), Arc::clone(&counter)));
            }
        });
        Self { url, lost }
    }
}

async fn forward(client: TcpStream, target: String, lost: Arc<AtomicUsize>) {
    let server = TcpStream::connect(&target).await.expect("the hub listens");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_publication = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&is_publication);
    let up = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if buffer[..read].starts_with(b"POST /api/v1/skills ") {
                seen.store(1, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let down = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let is_first = is_publication.load(Ordering::SeqCst) == 1
                && lost.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first {
                return;
            }
            lost.fetch_min(1, Ordering::SeqCst);
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    // Either end closes both.
    tokio::select! { () = up => {}, () = down => {} }
}
