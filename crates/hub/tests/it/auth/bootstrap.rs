//! The first administrator of a new hub.

use serde_json::json;
use testkit::{HubBuilder, on_both};

use super::{get_with, post};

on_both!(
    the_first_administrator_is_made_once,
    an_administrator_is_not_made_where_accounts_are,
    of_two_processes_one_makes_the_administrator,
);

async fn the_first_administrator_is_made_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let auth = hub.app().auth();
    assert!(auth.bootstrap_admin("No Name").await.is_err());
    let admin = auth
        .bootstrap_admin("admin")
        .await
        .expect("made")
        .expect("the first");
    assert!(
        auth.bootstrap_admin("admin")
            .await
            .expect("asked")
            .is_none()
    );
    assert!(
        !format!("{admin:?}").contains(admin.expose_token()),
        "Debug hides the token"
    );

    let token = admin.expose_token();
    let me = get_with(&hub, "/api/v1/auth/me", token)
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (me["username"].as_str(), me["role"].as_str()),
        (Some("admin"), Some("admin"))
    );
    get_with(&hub, "/api/v1/users", token)
        .await
        .assert_status(200);

    // It has no password until its owner sets one.
    let guess = json!({"username": "admin", "password": ""});
    post(&hub, "/api/v1/auth/login", guess)
        .await
        .assert_problem(401, "invalid-credentials");
    let set = hub
        .request(reqwest::Method::PUT, "/api/v1/auth/password")
        .bearer_auth(token);
    let set = hub
        .send(set.json(&json!({"newPassword": "a first password"})))
        .await;
    set.assert_status(200);
    let login = json!({"username": "admin", "password": "a first password"});
    post(&hub, "/api/v1/auth/login", login)
        .await
        .assert_status(200);
    // From then on the token is no longer enough.
    let again = hub
        .request(reqwest::Method::PUT, "/api/v1/auth/password")
        .bearer_auth(token);
    let again = hub
        .send(again.json(&json!({"newPassword": "another password"})))
        .await;
    again.assert_problem(403, "session-required");
}

async fn an_administrator_is_not_made_where_accounts_are(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    assert!(
        hub.app()
            .auth()
            .bootstrap_admin("admin")
            .await
            .expect("asked")
            .is_none()
    );
}

async fn of_two_processes_one_makes_the_administrator(hub: HubBuilder) {
    let hub = hub.start().await;
    let replica = hub.replica().await;
    let (a, b) = tokio::join!(
        hub.app().auth().bootstrap_admin("admin"),
        replica.app().auth().bootstrap_admin("admin"),
    );
    let made = [a, b]
        .into_iter()
        .filter(|result| result.as_ref().is_ok_and(Option::is_some));
    assert_eq!(made.count(), 1);
}
