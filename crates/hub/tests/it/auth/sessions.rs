//! Sessions: refreshing, ending, and how soon that counts.

use jiff::SignedDuration;
use serde_json::json;
use testkit::{HubBuilder, Person, TestHub, on_both};

use super::{get_with, post, text};

on_both!(
    refresh_tokens_rotate,
    a_reused_refresh_token_ends_the_session,
    of_two_refreshes_at_once_one_wins_and_the_session_ends,
    logout_counts_at_once,
    logout_works_without_an_access_token,
    sessions_end_by_time,
    other_replicas_learn_of_an_end_within_the_delay,
    a_rotated_signing_key_keeps_sessions_alive,
);

async fn refresh(hub: &TestHub, token: &str) -> testkit::Answer {
    post(hub, "/api/v1/auth/refresh", json!({"refreshToken": token})).await
}

async fn assert_ended(person: &Person) {
    person
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "session-ended");
}

async fn refresh_tokens_rotate(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let mut token = alice.refresh_token.clone();
    for _ in 0..3 {
        hub.clock().advance(SignedDuration::from_hours(24));
        let next = refresh(&hub, &token).await.assert_status(200).json();
        get_with(&hub, "/api/v1/auth/me", &text(&next, "accessToken"))
            .await
            .assert_status(200);
        assert_ne!(text(&next, "refreshToken"), token);
        token = text(&next, "refreshToken");
    }
    let unknown = refresh(&hub, "skr_0000000000000000000000000000000000000000000").await;
    unknown.assert_problem(401, "invalid-refresh-token");
    refresh(&hub, "")
        .await
        .assert_problem(401, "invalid-refresh-token");
}

async fn a_reused_refresh_token_ends_the_session(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let other_session = alice.clone().sign_in_again().await;
    let next = refresh(&hub, &alice.refresh_token)
        .await
        .assert_status(200)
        .json();
    let thief = refresh(&hub, &alice.refresh_token).await;
    thief.assert_problem(401, "invalid-refresh-token");

    assert_ended(&alice).await;
    let access = text(&next, "accessToken");
    get_with(&hub, "/api/v1/auth/me", &access)
        .await
        .assert_problem(401, "session-ended");
    let successor = refresh(&hub, &text(&next, "refreshToken")).await;
    successor.assert_problem(401, "invalid-refresh-token");
    other_session
        .get("/api/v1/auth/me")
        .await
        .assert_status(200);
}

async fn of_two_refreshes_at_once_one_wins_and_the_session_ends(hub: HubBuilder) {
    let hub = hub.start().await;
    for _ in 0..5 {
        let alice = match hub
            .app()
            .db()
            .users()
            .any(hub.app().tenant())
            .await
            .expect("asked")
        {
            true => {
                hub.person(&format!("p-{:08x}", rand::random::<u32>()))
                    .await
            }
            false => hub.person("alice").await,
        };
        let (a, b) = tokio::join!(
            refresh(&hub, &alice.refresh_token),
            refresh(&hub, &alice.refresh_token)
        );
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
        assert_ended(&alice).await;
    }
}

async fn logout_counts_at_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice.get("/api/v1/auth/me").await.assert_status(200);
    alice
        .post("/api/v1/auth/logout", json!({"refreshToken": "unknown"}))
        .await
        .assert_status(204);
    alice.get("/api/v1/auth/me").await.assert_status(200);
    let logout = alice.request(reqwest::Method::POST, "/api/v1/auth/logout");
    hub.send(logout).await.assert_status(204);
    assert_ended(&alice).await;
    refresh(&hub, &alice.refresh_token)
        .await
        .assert_problem(401, "invalid-refresh-token");
}

async fn logout_works_without_an_access_token(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let anonymous = hub.request(reqwest::Method::POST, "/api/v1/auth/logout");
    hub.send(anonymous)
        .await
        .assert_problem(401, "authentication-required");
    let body = json!({"refreshToken": alice.refresh_token});
    post(&hub, "/api/v1/auth/logout", body)
        .await
        .assert_status(204);
    assert_ended(&alice).await;
}

async fn sessions_end_by_time(hub: HubBuilder) {
    let hub = hub
        .configure(|c| {
            c.auth.refresh_token_days = 10;
            c.auth.session_days_max = 25;
        })
        .start()
        .await;
    let day = SignedDuration::from_hours(24);
    let alice = hub.person("alice").await;
    hub.clock().advance(SignedDuration::from_secs(899));
    alice.get("/api/v1/auth/me").await.assert_status(200);
    hub.clock().advance(SignedDuration::from_secs(1));
    alice
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "token-expired");

    let idle = alice.clone().sign_in_again().await;
    hub.clock().advance(day * 10);
    refresh(&hub, &idle.refresh_token)
        .await
        .assert_problem(401, "invalid-refresh-token");

    let mut token = alice.sign_in_again().await.refresh_token;
    for _ in 0..2 {
        hub.clock().advance(day * 9);
        token = text(
            &refresh(&hub, &token).await.assert_status(200).json(),
            "refreshToken",
        );
    }
    hub.clock().advance(day * 8);
    refresh(&hub, &token)
        .await
        .assert_problem(401, "invalid-refresh-token");
}

async fn other_replicas_learn_of_an_end_within_the_delay(hub: HubBuilder) {
    let hub = hub
        .configure(|c| c.auth.revocation_delay_seconds = 1)
        // Replicas share one public address; these listen on a port each.
        .configure(|c| c.auth.issuer = Some("https://hub.example.org".to_owned()))
        .start()
        .await;
    let replica = hub.replica().await;
    let alice = hub.person("alice").await;
    let body = json!({"name": "ci", "scopes": ["read"]});
    let api_token = alice
        .post("/api/v1/auth/tokens", body)
        .await
        .assert_status(201)
        .json();
    let (id, api_token) = (text(&api_token, "id"), text(&api_token, "token"));
    for token in [&alice.token, &api_token] {
        get_with(&replica, "/api/v1/auth/me", token)
            .await
            .assert_status(200);
    }
    alice
        .delete(&format!("/api/v1/auth/tokens/{id}"))
        .await
        .assert_status(204);
    hub.send(alice.request(reqwest::Method::POST, "/api/v1/auth/logout"))
        .await
        .assert_status(204);
    for token in [&alice.token, &api_token] {
        get_with(&hub, "/api/v1/auth/me", token)
            .await
            .assert_status(401);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while get_with(&replica, "/api/v1/auth/me", token).await.status != 401 {
            assert!(
                std::time::Instant::now() < deadline,
                "the replica never learnt of it"
            );
        }
    }
}

async fn a_rotated_signing_key_keeps_sessions_alive(hub: HubBuilder) {
    // The restarted hub listens on another port; its public address stays.
    let issuer = "https://hub.example.org".to_owned();
    let hub = hub
        .configure(|c| c.auth.issuer = Some(issuer))
        .start()
        .await;
    let alice = hub.person("alice").await;
    hub.app().auth().rotate_signing_key().expect("rotated");
    alice.get("/api/v1/auth/me").await.assert_status(200);
    let later = alice.clone().sign_in_again().await;
    let kid = |token: &str| token.split('.').next().expect("a header").to_owned();
    assert_ne!(kid(&alice.token), kid(&later.token));
    let hub = hub.restart().await;
    for token in [&alice.token, &later.token] {
        get_with(&hub, "/api/v1/auth/me", token)
            .await
            .assert_status(200);
    }
}
