//! Whom and what an install believes: signers, keys, private registries, registries that lie.

use jiff::SignedDuration;
use skill_client::install::InstallRequest;
use skill_format::{Explain as _, Sha256};
use skill_signing::SecretKey;
use testkit::{HubBuilder, TestHub};

use crate::hub_install::{hub_with, skill};
use crate::raw_server::{Answer, RawServer};
use crate::sessions::credentials;
use crate::support::{User, now};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_signer_is_refused_whatever_is_asked_until_a_person_accepts_it() {
    let (hub, alice) = hub_with(&[skill("colors", "1.0.0")]).await;
    let mut user = User::of(&hub.url);
    user.install(&user.request(&["colors"]))
        .await
        .expect("installs");
    // On the hub's clock, which stands still: for it a key of now would be one of the future.
    let now = hub.now();
    let other = SecretKey::generate("alice <alice@example.org>", None, now, &mut rand::rng())
        .expect("a key");
    alice.register_key(&other).await.assert_status(201);
    let alice = alice.signing_with(other);
    alice
        .publish(&skill("colors", "1.1.0"))
        .await
        .assert_status(201);
    let request = InstallRequest {
        force: true,
        allow_unsigned: true,
        ..user.request(&["colors"])
    };
    assert_eq!(user.refused(&request).await, "signer-changed");
    let error = user.install(&request).await.expect_err("still");
    let fingerprint = alice.key().expect("a key").fingerprint();
    assert!(
        error
            .help()
            .expect("advice")
            .contains(&format!("skills key trust {fingerprint} --skill colors"))
    );
    user.pins()
        .trust(&hub.url, "colors", fingerprint, now)
        .expect("accepted");
    user.reconnect(&hub.url, |_| {});
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["colors@1.1.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_skills_need_a_flag_and_never_follow_signed_ones() {
    let (hub, alice) = hub_with(&[skill("colors", "1.0.0")]).await;
    let user = User::of(&hub.url);
    user.install(&user.request(&["colors"]))
        .await
        .expect("installs");
    alice
        .publish_archive(skill("colors", "1.1.0").archive(), None)
        .await
        .assert_status(201);
    alice
        .publish_archive(skill("plain", "1.0.0").archive(), None)
        .await
        .assert_status(201);
    assert_eq!(user.refused(&user.request(&["plain"])).await, "unsigned");
    let allowed = |texts: &[&str]| InstallRequest {
        allow_unsigned: true,
        ..user.request(texts)
    };
    let outcome = user.install(&allowed(&["plain"])).await.expect("installs");
    assert!(
        outcome
            .warnings
            .iter()
            .any(|warning| warning.code == "unsigned")
    );
    assert_eq!(
        user.refused(&allowed(&["colors"])).await,
        "signature-missing"
    );
    assert_eq!(user.installed(), ["colors@1.0.0", "plain@1.0.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_with_the_reason() {
    let (hub, alice) = hub_with(&[skill("colors", "1.0.0")]).await;
    let mut user = User::of(&hub.url);
    user.keyring()
        .import(alice.key().expect("a key").public().to_armored().as_bytes())
        .expect("imports");
    let revoked = alice
        .key()
        .expect("a key")
        .revoke(
            None,
            skill_signing::RevocationReason::Compromised,
            "stolen",
            now(),
        )
        .expect("revokes");
    alice
        .post(
            "/api/v1/keys",
            serde_json::json!({"armored": revoked.to_armored()}),
        )
        .await;
    // The local copy does not know yet; the registry's does.
    let error = user
        .install(&user.request(&["colors"]))
        .await
        .expect_err("revoked");
    assert_eq!(error.code(), "key-revoked");
    assert!(
        error.to_string().contains("stolen") || error.to_string().contains("compromised"),
        "{error}"
    );
    user.reconnect(&hub.url, |_| {});
    assert!(user.installed().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_key_is_refused() {
    let hub = TestHub::start().await;
    let alice = hub.person("alice").await;
    let week = std::time::Duration::from_secs(7 * 86_400);
    let long_ago = now()
        .checked_sub(SignedDuration::from_hours(24 * 6))
        .expect("in range");
    let key = SecretKey::generate(
        "alice <alice@example.org>",
        Some(week),
        long_ago,
        &mut rand::rng(),
    )
    .expect("a key");
    alice.register_key(&key).await.assert_status(201);
    alice
        .signing_with(key)
        .publish(&skill("colors", "1.0.0"))
        .await
        .assert_status(201);
    let user = User::with(&hub.url, |_| {});
    user.install(&user.request(&["colors"]))
        .await
        .expect("it is still good");
    let later = User::of(&hub.url);
    let clock = Later(SignedDuration::from_hours(24 * 2));
    let ignore = |_: &skill_client::Event<'_>| {};
    let installer = skill_client::Installer {
        clock: &clock,
        ..later.installer(&later.store, &ignore)
    };
    let error = installer
        .install(&later.request(&["colors"]), None)
        .await
        .expect_err("expired by then");
    assert_eq!(error.code(), "key-expired");
}

/// The present and some time.
pub struct Later(pub SignedDuration);

impl skill_client::Clock for Later {
    fn now(&self) -> jiff::Timestamp {
        now().checked_add(self.0).expect("in range")
    }
}

/// A registry that says what it likes about an archive.
async fn liar(said: serde_json::Value, archive: Vec<u8>) -> RawServer {
    let checksum = Sha256::of(&archive).to_string();
    let size = archive.len();
    RawServer::start(move |_, head| {
        let mut release = serde_json::json!({"version": "1.0.0", "checksum": checksum, "size": size, "dependencies": {}});
        let more = said.as_object().expect("an object").clone();
        release.as_object_mut().expect("an object").extend(more);
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/download") {
            return Answer::ok(&archive);
        }
        let body = if path.ends_with("/1.0.0") {
            release["name"] = "colors".into();
            release
        } else {
            serde_json::json!({"name": "colors", "version": "1.0.0", "releases": [release]})
        };
        Answer::ok(body.to_string().as_bytes())
    })
    .await
}

#[tokio::test]
async fn a_registry_that_hides_or_swaps_things_is_found_out() {
    let needy = skill("colors", "1.0.0").depends_on("paints", "*").archive();
    let other = skill("paints", "1.0.0").archive();
    let older = skill("colors", "0.9.0").archive();
    let good = skill("colors", "1.0.0").archive();
    let wrong_size = serde_json::json!({"size": good.len() + 1});
    let wrong_sum = serde_json::json!({"checksum": Sha256::of(b"else").to_string()});
    let empty = serde_json::json!({});
    for (said, archive, code) in [
        (&empty, needy, "hidden-dependency"),
        (&empty, other, "other-skill"),
        (&empty, older, "other-skill"),
        (&empty, b"not an archive".to_vec(), "archive-unknown-format"),
        (&wrong_size, good.clone(), "size-mismatch"),
        (&wrong_sum, good.clone(), "checksum-mismatch"),
    ] {
        let server = liar(said.clone(), archive).await;
        let user = User::of(&server.url);
        let request = InstallRequest {
            allow_unsigned: true,
            ..user.request(&["colors"])
        };
        assert_eq!(user.refused(&request).await, code);
        assert!(!user.store.dir().join("colors").exists());
    }
    let server = liar(empty, good).await;
    let user = User::of(&server.url);
    assert_eq!(user.refused(&user.request(&["colors"])).await, "unsigned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_registry_is_read_with_a_token() {
    let hub = HubBuilder::default()
        .configure(|config| config.auth.private = true)
        .start()
        .await;
    let bootstrap = hub.app().auth().bootstrap_admin("alice").await;
    let admin = bootstrap.expect("makes one").expect("the first");
    let mut alice = hub.somebody_with(admin.expose_token());
    "alice".clone_into(&mut alice.name);
    alice.make_key().await;
    alice
        .publish(&skill("colors", "1.0.0"))
        .await
        .assert_status(201);
    let mut user = User::of(&hub.url);
    let request = user.request(&["colors"]);
    assert_eq!(user.refused(&request).await, "authentication-required");
    user.reconnect(&hub.url, |options| {
        options.credentials = Some(credentials("no-such-token", None));
    });
    let error = user.install(&request).await.expect_err("still shut");
    assert!(error.help().expect("advice").contains("skills login"));
    assert!(!error.to_string().contains("no-such-token"));
    user.reconnect(&hub.url, |options| {
        options.credentials = Some(credentials(&alice.token, None));
    });
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["colors@1.0.0"]);
}
