//! Which signatures count.

use hub_model::Clock;
use jiff::SignedDuration;
use skill_signing::{SecretKey, Statement, sign};
use testkit::{Fixture, HubBuilder, Person, TestHub, on_both};

on_both!(
    an_unsigned_version_is_refused_where_signatures_are_required,
    a_signature_over_other_bytes_is_refused,
    a_signature_over_another_statement_is_refused,
    a_key_of_somebody_else_is_refused,
    an_expired_key_is_refused,
    what_is_no_signature_is_refused,
);

async fn strict(hub: HubBuilder) -> TestHub {
    hub.configure(|config| config.require_signatures = true)
        .start()
        .await
}

async fn an_unsigned_version_is_refused_where_signatures_are_required(hub: HubBuilder) {
    let hub = strict(hub).await;
    let alice = hub.publisher("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    alice
        .publish_archive(skill.archive(), None)
        .await
        .assert_problem(422, "signature-required");
    alice.publish(&skill).await.assert_status(201);
}

async fn a_signature_over_other_bytes_is_refused(hub: HubBuilder) {
    let hub = strict(hub).await;
    let alice = hub.publisher("alice").await;
    let signed = Fixture::new("csv-reader").version("1.0.0");
    let signature = alice.signature_over(&signed, &signed.archive());
    let sent = signed.file("extra.txt", "more").archive();
    alice
        .publish_archive(sent, signature.as_deref())
        .await
        .assert_problem(422, "signature-invalid")
        .assert_names("signature");
    hub.get("/api/v1/skills/csv-reader")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn a_signature_over_another_statement_is_refused(hub: HubBuilder) {
    let hub = strict(hub).await;
    let alice = hub.publisher("alice").await;
    let archive = Fixture::new("csv-reader").version("1.0.0").archive();
    // The right bytes under another version.
    let other = Fixture::new("csv-reader").version("1.0.1");
    let signature = alice.signature_over(&other, &archive);
    alice
        .publish_archive(archive, signature.as_deref())
        .await
        .assert_problem(422, "signature-invalid");
}

async fn a_key_of_somebody_else_is_refused(hub: HubBuilder) {
    let hub = strict(hub).await;
    let (alice, bob) = (hub.publisher("alice").await, hub.publisher("bob").await);
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let archive = skill.archive();
    let by_bob = bob.signature_over(&skill, &archive);
    alice
        .publish_archive(archive.clone(), by_bob.as_deref())
        .await
        .assert_problem(422, "key-not-registered");
    let nobody = with_own_key(&hub, &alice, None);
    nobody
        .publish(&skill)
        .await
        .assert_problem(422, "key-not-registered");
}

async fn an_expired_key_is_refused(hub: HubBuilder) {
    let hub = strict(hub).await;
    let alice = hub.person("alice").await;
    let alice = with_own_key(&hub, &alice, Some(SignedDuration::from_hours(48)));
    alice
        .register_key(alice.key().expect("a key"))
        .await
        .assert_status(201);
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);

    // Signed while the key was good, published after it expired.
    let late = Fixture::new("csv-reader").version("1.1.0");
    let archive = late.archive();
    let signature = alice.signature_over(&late, &archive);
    hub.clock().advance(SignedDuration::from_hours(72));
    let alice = alice.sign_in_again().await;
    alice
        .publish_archive(archive, signature.as_deref())
        .await
        .assert_problem(422, "signature-invalid")
        .assert_names("signature");
}

async fn what_is_no_signature_is_refused(hub: HubBuilder) {
    let hub = strict(hub).await;
    let alice = hub.publisher("alice").await;
    let archive = Fixture::new("csv-reader").version("1.0.0").archive();
    for text in [
        "",
        "hello",
        "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
    ] {
        alice
            .publish_archive(archive.clone(), Some(text))
            .await
            .assert_problem(422, "signature-invalid");
    }
    let long = "x".repeat(100_000);
    alice
        .publish_archive(archive, Some(&long))
        .await
        .assert_problem(422, "invalid-upload")
        .assert_names("signature");
}

/// The same person with a fresh key that is not registered.
fn with_own_key(hub: &TestHub, person: &Person, valid_for: Option<SignedDuration>) -> Person {
    let now = hub.clock().now();
    let valid_for = valid_for.map(|time| time.unsigned_abs());
    let key = SecretKey::generate("Test <test@example.org>", valid_for, now, &mut rand::rng());
    let key = key.expect("a key");
    let statement = Statement::about(
        &"x".parse().expect("a name"),
        &"1.0.0".parse().expect("a version"),
        b"",
    );
    sign(&key, None, &statement.to_bytes(), now).expect("the key signs");
    person.clone().signing_with(key)
}
