//! Publishers' keys: whose they are, how they change, what becomes of them.

use hub_model::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};
use skill_signing::{RevocationReason, SecretKey, sign};
use testkit::{Fixture, HubBuilder, Person, TestHub, on_both};

use super::text;

on_both!(
    a_key_is_registered_with_proof_and_read_by_everybody,
    without_proof_no_key_is_taken,
    a_challenge_is_for_one_user_and_some_minutes,
    a_key_belongs_to_one_user,
    a_revocation_is_taken_without_proof_and_stays,
    a_removed_key_stays_readable_and_signs_nothing_new,
    what_is_no_public_key_is_refused,
    keys_need_the_scope,
);

fn new_key(hub: &TestHub, name: &str) -> SecretKey {
    let user_id = format!("{name} <{name}@example.com>");
    SecretKey::generate(&user_id, None, hub.clock().now(), &mut rand::rng()).expect("a key")
}

async fn challenge(person: &Person) -> String {
    let answer = person
        .get("/api/v1/keys/challenge")
        .await
        .assert_status(200)
        .json();
    text(&answer, "challenge")
}

fn registration(hub: &TestHub, key: &SecretKey, challenge: &str) -> Value {
    let signature = sign(key, None, challenge.as_bytes(), hub.clock().now()).expect("signed");
    json!({"armored": key.public().to_armored(), "challenge": challenge, "signature": signature})
}

async fn a_key_is_registered_with_proof_and_read_by_everybody(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let key = new_key(&hub, "alice");
    let text_to_sign = challenge(&alice).await;
    assert!(
        text_to_sign.starts_with("skills hub key registration v1\n"),
        "{text_to_sign}"
    );
    assert!(text_to_sign.contains("\nuser: alice\n"), "{text_to_sign}");
    let body = registration(&hub, &key, &text_to_sign);
    let made = alice
        .post("/api/v1/keys", body)
        .await
        .assert_status(201)
        .json();
    let fingerprint = key.fingerprint().to_string();
    assert_eq!(made["fingerprint"], fingerprint);
    assert_eq!(made["username"], "alice");
    assert_eq!(made["userIds"], json!(["alice <alice@example.com>"]));
    assert_eq!(made["revokedAt"], Value::Null);

    let read = hub
        .get(&format!("/api/v1/keys/{fingerprint}"))
        .await
        .assert_status(200)
        .json();
    assert_eq!(read, made);
    let lower = fingerprint.to_lowercase();
    assert_eq!(hub.get(&format!("/api/v1/keys/{lower}")).await.json(), made);
    let public = skill_signing::PublicKey::from_armored(&text(&read, "armored")).expect("a key");
    assert_eq!(public.fingerprint(), key.fingerprint());
    let of_user = hub
        .get("/api/v1/users/alice/keys")
        .await
        .assert_status(200)
        .json();
    assert_eq!(of_user["keys"], json!([made]));
    assert_eq!(
        alice.get("/api/v1/keys").await.assert_status(200).json(),
        of_user
    );
    hub.get("/api/v1/users/nobody/keys")
        .await
        .assert_problem(404, "user-not-found");
    hub.get("/api/v1/keys/0000")
        .await
        .assert_problem(404, "key-not-found");
    hub.get(&format!("/api/v1/keys/{}", "0".repeat(40)))
        .await
        .assert_problem(404, "key-not-found");
}

async fn without_proof_no_key_is_taken(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let (key, other) = (new_key(&hub, "alice"), new_key(&hub, "other"));
    let armored = key.public().to_armored();
    let none = alice
        .post("/api/v1/keys", json!({"armored": armored}))
        .await;
    none.assert_problem(422, "key-proof-required");
    let mut by_another = registration(&hub, &other, &challenge(&alice).await);
    by_another["armored"] = json!(armored);
    let refused = alice.post("/api/v1/keys", by_another).await;
    refused
        .assert_problem(422, "key-proof-invalid")
        .assert_names("signature");
    let own_text = registration(&hub, &key, "a text of my own");
    alice
        .post("/api/v1/keys", own_text)
        .await
        .assert_problem(422, "key-challenge-invalid");
    let edited = challenge(&alice)
        .await
        .replace("user: alice", "user: admin");
    let edited = registration(&hub, &key, &edited);
    alice
        .post("/api/v1/keys", edited)
        .await
        .assert_problem(422, "key-challenge-invalid");
    let mut unsigned = registration(&hub, &key, &challenge(&alice).await);
    unsigned["signature"] = json!("nonsense");
    alice
        .post("/api/v1/keys", unsigned)
        .await
        .assert_problem(422, "key-proof-invalid");
    assert_eq!(alice.get("/api/v1/keys").await.json()["keys"], json!([]));
}

async fn a_challenge_is_for_one_user_and_some_minutes(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let key = new_key(&hub, "bob");
    let of_alice = registration(&hub, &key, &challenge(&alice).await);
    bob.post("/api/v1/keys", of_alice)
        .await
        .assert_problem(422, "key-challenge-invalid");
    let of_bob = registration(&hub, &key, &challenge(&bob).await);
    hub.clock().advance(SignedDuration::from_mins(10));
    bob.post("/api/v1/keys", of_bob)
        .await
        .assert_problem(422, "key-challenge-invalid");
}

async fn a_key_belongs_to_one_user(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let key = new_key(&hub, "alice");
    alice.register_key(&key).await.assert_status(201);
    // Even with the secret in hand.
    bob.register_key(&key)
        .await
        .assert_problem(409, "key-taken");
    alice.register_key(&key).await.assert_status(200);
    let path = format!("/api/v1/keys/{}", key.fingerprint());
    bob.delete(&path).await.assert_problem(404, "key-not-found");
    assert_eq!(
        hub.get(&path).await.assert_status(200).json()["username"],
        "alice"
    );
}

async fn a_revocation_is_taken_without_proof_and_stays(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let key = new_key(&hub, "alice");
    let good = key.public().to_armored();
    alice.register_key(&key).await.assert_status(201);
    let alice = alice.signing_with(key.clone());
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);

    let revoked = key.revoke(
        None,
        RevocationReason::Compromised,
        "lost",
        hub.clock().now(),
    );
    let revoked = revoked.expect("revoked").to_armored();
    let update = alice
        .post("/api/v1/keys", json!({"armored": revoked}))
        .await
        .assert_status(200);
    assert!(update.json()["revokedAt"].is_string(), "{}", update.text());
    // Sending the old form again takes nothing back.
    let again = alice
        .post("/api/v1/keys", json!({"armored": good}))
        .await
        .assert_status(200);
    assert!(again.json()["revokedAt"].is_string(), "{}", again.text());
    let next = alice
        .publish(&Fixture::new("csv-reader").version("1.0.1"))
        .await;
    assert_eq!(next.status, 422, "{}", next.text());
}

async fn a_removed_key_stays_readable_and_signs_nothing_new(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let key = new_key(&hub, "alice");
    alice.register_key(&key).await.assert_status(201);
    let path = format!("/api/v1/keys/{}", key.fingerprint());
    alice.delete(&path).await.assert_status(204);
    alice
        .delete(&path)
        .await
        .assert_problem(404, "key-not-found");
    let read = hub.get(&path).await.assert_status(200).json();
    assert!(read["removedAt"].is_string(), "{read}");
    assert_eq!(alice.get("/api/v1/keys").await.json()["keys"], json!([]));
    let signer = alice.clone().signing_with(key.clone());
    let publish = signer
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await;
    publish.assert_problem(422, "key-not-registered");

    // It comes back like a new one: with proof.
    let bare = json!({"armored": key.public().to_armored()});
    alice
        .post("/api/v1/keys", bare)
        .await
        .assert_problem(422, "key-proof-required");
    let back = alice.register_key(&key).await.assert_status(200).json();
    assert_eq!(back["removedAt"], Value::Null);
    signer
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
}

async fn what_is_no_public_key_is_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let secret = new_key(&hub, "alice").to_armored();
    let secret = alice
        .post("/api/v1/keys", json!({"armored": secret.expose()}))
        .await;
    let secret = secret.assert_problem(422, "key-is-secret");
    assert!(
        !secret.text().contains("PRIVATE KEY BLOCK"),
        "{}",
        secret.text()
    );
    let two = format!(
        "{}{}",
        new_key(&hub, "a").public().to_armored(),
        new_key(&hub, "b").public().to_armored()
    );
    for bad in [
        "",
        "nonsense",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n",
        &two,
        &"x".repeat(200_000),
    ] {
        let answer = alice.post("/api/v1/keys", json!({"armored": bad})).await;
        assert_eq!(answer.status, 422, "{bad:.40}: {}", answer.text());
        assert!(
            text(&answer.json(), "code").starts_with("key-"),
            "{}",
            answer.text()
        );
    }
}

async fn keys_need_the_scope(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let narrow = json!({"name": "n", "scopes": ["read", "publish"]});
    let narrow = alice
        .post("/api/v1/auth/tokens", narrow)
        .await
        .assert_status(201)
        .json();
    let narrow = alice.with_token(&text(&narrow, "token"));
    narrow
        .get("/api/v1/keys/challenge")
        .await
        .assert_problem(403, "scope-insufficient");
    let register = narrow.post("/api/v1/keys", json!({"armored": "x"})).await;
    register.assert_problem(403, "scope-insufficient");
    narrow
        .delete("/api/v1/keys/00")
        .await
        .assert_problem(403, "scope-insufficient");
    hub.get("/api/v1/keys")
        .await
        .assert_problem(401, "authentication-required");
}
