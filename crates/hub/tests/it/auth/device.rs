//! The device flow: from a program's request to its tokens.

use jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::{Answer, HubBuilder, TestHub, on_both};

use super::browser::{Browser, Page};
use super::{PASSWORD, get_with, post, text};

on_both!(
    a_device_is_connected_by_its_user,
    a_denied_device_gets_nothing,
    tokens_come_once,
    polling_too_fast_slows_down,
    a_code_expires,
    an_approval_of_a_disabled_user_gives_nothing,
    unknown_device_codes_are_refused_and_counted,
    client_names_are_checked,
);

/// Begins a device sign-in.
pub async fn begin(hub: &TestHub, client_name: &str) -> Value {
    let request = json!({"clientName": client_name});
    post(hub, "/api/v1/auth/device", request)
        .await
        .assert_status(200)
        .json()
}

/// Asks for the tokens.
pub async fn poll(hub: &TestHub, device: &Value) -> Answer {
    let body = json!({"deviceCode": text(device, "deviceCode")});
    post(hub, "/api/v1/auth/device/token", body).await
}

/// Signs in on the device page by password; answers with the page for the decision.
pub async fn sign_in(browser: &mut Browser, device: &Value, username: &str) -> Page {
    let page = browser.open(&text(device, "verificationUriComplete")).await;
    page.assert_shows(200, "Password");
    browser
        .submit(&page, &[("username", username), ("password", PASSWORD)])
        .await
}

fn wait(hub: &TestHub, seconds: i64) {
    hub.clock().advance(SignedDuration::from_secs(seconds));
}

async fn a_device_is_connected_by_its_user(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills on build-3").await;
    assert_eq!(device["interval"], 5);
    assert_eq!(device["expiresIn"], 900);
    assert_eq!(
        text(&device, "verificationUri"),
        format!("{}/device", hub.url)
    );
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");

    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    page.assert_shows(200, "skills on build-3")
        .assert_shows(200, &text(&device, "userCode"));
    let done = browser.submit(&page, &[("action", "approve")]).await;
    done.assert_shows(200, "Your device is connected");

    wait(&hub, 5);
    let tokens = poll(&hub, &device).await.assert_status(200).json();
    assert_eq!(tokens["username"], "alice");
    let me = get_with(&hub, "/api/v1/auth/me", &text(&tokens, "accessToken"))
        .await
        .json();
    assert_eq!(
        (me["username"].as_str(), me["via"].as_str()),
        (Some("alice"), Some("session"))
    );
    let refresh = json!({"refreshToken": text(&tokens, "refreshToken")});
    post(&hub, "/api/v1/auth/refresh", refresh)
        .await
        .assert_status(200);
}

async fn a_denied_device_gets_nothing(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    browser
        .submit(&page, &[("action", "deny")])
        .await
        .assert_shows(200, "refused");
    poll(&hub, &device)
        .await
        .assert_problem(400, "access-denied");
    // The decision stands.
    let again = browser.submit(&page, &[("action", "approve")]).await;
    again.assert_shows(409, "answered already");
    wait(&hub, 5);
    poll(&hub, &device)
        .await
        .assert_problem(400, "access-denied");
}

async fn tokens_come_once(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    browser
        .submit(&page, &[("action", "approve")])
        .await
        .assert_shows(200, "connected");
    let (a, b) = tokio::join!(poll(&hub, &device), poll(&hub, &device));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    wait(&hub, 5);
    poll(&hub, &device)
        .await
        .assert_problem(400, "expired-token");
}

async fn polling_too_fast_slows_down(hub: HubBuilder) {
    let hub = hub.start().await;
    let device = begin(&hub, "skills").await;
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");
    let slower = poll(&hub, &device).await.assert_problem(400, "slow-down");
    assert_eq!(slower.header("retry-after"), "10");
    wait(&hub, 5);
    poll(&hub, &device).await.assert_problem(400, "slow-down");
    wait(&hub, 15);
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");
}

async fn a_code_expires(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    wait(&hub, 899);
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    page.assert_shows(200, "Approve");
    wait(&hub, 1);
    poll(&hub, &device)
        .await
        .assert_problem(400, "expired-token");
    let late = browser.submit(&page, &[("action", "approve")]).await;
    late.assert_shows(404, "unknown or has expired");
}

async fn an_approval_of_a_disabled_user_gives_nothing(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let admin = hub.admin("boss").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    browser
        .submit(&page, &[("action", "approve")])
        .await
        .assert_shows(200, "connected");
    admin
        .patch("/api/v1/users/alice", json!({"disabled": true}))
        .await
        .assert_status(200);
    poll(&hub, &device)
        .await
        .assert_problem(400, "access-denied");
    // Nor is the browser signed in any more.
    browser
        .open(&format!("{}/device", hub.url))
        .await
        .assert_shows(200, "Password");
}

async fn unknown_device_codes_are_refused_and_counted(hub: HubBuilder) {
    let hub = hub.start().await;
    let invented = json!({"deviceCode": "skd_invented"});
    for _ in 0..120 {
        let answer = post(&hub, "/api/v1/auth/device/token", invented.clone()).await;
        answer.assert_problem(400, "expired-token");
    }
    let answer = post(&hub, "/api/v1/auth/device/token", invented).await;
    answer.assert_problem(429, "too-many-attempts");
}

async fn client_names_are_checked(hub: HubBuilder) {
    let hub = hub.start().await;
    for bad in [
        "",
        "  ",
        &"x".repeat(81),
        "a\nb",
        "safe\u{202e}elif",
        "zero\u{200b}width",
    ] {
        let answer = post(&hub, "/api/v1/auth/device", json!({"clientName": bad})).await;
        answer
            .assert_problem(422, "invalid-client-name")
            .assert_names("clientName");
    }
}
