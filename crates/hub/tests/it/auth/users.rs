//! What administrators do with accounts.

use serde_json::json;
use testkit::{Fixture, HubBuilder, on_both};

use super::{PASSWORD, post, text};

on_both!(
    accounts_are_listed_page_by_page,
    only_administrators_manage_accounts,
    a_role_counts_at_once,
    a_disabled_account_is_out_at_once,
    the_last_administrator_stays,
    two_administrators_cannot_step_down_at_once,
);

async fn accounts_are_listed_page_by_page(hub: HubBuilder) {
    let hub = hub.start().await;
    let admin = hub.admin("boss").await;
    for name in ["alice", "bob", "carol"] {
        hub.person(name).await;
    }
    let first = admin
        .get("/api/v1/users?limit=3")
        .await
        .assert_status(200)
        .json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        let users = page["users"].as_array().expect("users");
        users.iter().map(|user| text(user, "username")).collect()
    };
    assert_eq!(names(&first), ["alice", "bob", "boss"]);
    let after = text(&first, "nextAfter");
    let rest = admin
        .get(&format!("/api/v1/users?limit=3&after={after}"))
        .await
        .json();
    assert_eq!(names(&rest), ["carol"]);
    assert_eq!(rest["nextAfter"], serde_json::Value::Null);
    admin
        .get("/api/v1/users?after=%00")
        .await
        .assert_status(200);
    admin
        .get("/api/v1/users?limit=x")
        .await
        .assert_problem(400, "invalid-query");
}

async fn only_administrators_manage_accounts(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, admin) = (hub.person("alice").await, hub.admin("boss").await);
    hub.get("/api/v1/users")
        .await
        .assert_problem(401, "authentication-required");
    alice
        .get("/api/v1/users")
        .await
        .assert_problem(403, "role-insufficient");
    let promote = alice
        .patch("/api/v1/users/alice", json!({"role": "admin"}))
        .await;
    promote.assert_problem(403, "role-insufficient");
    let narrow = json!({"name": "narrow", "scopes": ["read", "publish"]});
    let narrow = admin
        .post("/api/v1/auth/tokens", narrow)
        .await
        .assert_status(201)
        .json();
    let narrow = admin.with_token(&text(&narrow, "token"));
    narrow
        .get("/api/v1/users")
        .await
        .assert_problem(403, "scope-insufficient");
    let unknown = admin
        .patch("/api/v1/users/nobody", json!({"role": "reader"}))
        .await;
    unknown.assert_problem(404, "user-not-found");
    let odd = admin
        .patch("/api/v1/users/alice", json!({"role": "emperor"}))
        .await;
    odd.assert_problem(422, "invalid-body");
    let odd = admin
        .patch("/api/v1/users/alice", json!({"password": "x"}))
        .await;
    odd.assert_problem(422, "invalid-body");
}

async fn a_role_counts_at_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, admin) = (hub.person("alice").await, hub.admin("boss").await);
    let ci = json!({"name": "ci", "scopes": ["read", "publish"]});
    let ci = alice
        .post("/api/v1/auth/tokens", ci)
        .await
        .assert_status(201)
        .json();
    let ci = alice.with_token(&text(&ci, "token"));
    ci.publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    alice.get("/api/v1/keys").await.assert_status(200);

    let user = admin
        .patch("/api/v1/users/alice", json!({"role": "reader"}))
        .await;
    assert_eq!(user.assert_status(200).json()["role"], "reader");
    alice
        .get("/api/v1/keys")
        .await
        .assert_problem(403, "role-insufficient");
    let publish = ci
        .publish(&Fixture::new("csv-reader").version("1.0.1"))
        .await;
    publish.assert_problem(403, "role-insufficient");

    admin
        .patch("/api/v1/users/alice", json!({"role": "admin"}))
        .await
        .assert_status(200);
    alice.get("/api/v1/users").await.assert_status(200);
}

async fn a_disabled_account_is_out_at_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, admin) = (hub.person("alice").await, hub.admin("boss").await);
    let ci = alice
        .post(
            "/api/v1/auth/tokens",
            json!({"name": "ci", "scopes": ["read"]}),
        )
        .await;
    let ci = alice.with_token(&text(&ci.assert_status(201).json(), "token"));
    ci.get("/api/v1/auth/me").await.assert_status(200);

    admin
        .patch("/api/v1/users/alice", json!({"disabled": true}))
        .await
        .assert_status(200);
    alice
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "session-ended");
    ci.get("/api/v1/auth/me")
        .await
        .assert_problem(401, "invalid-token");
    let login = json!({"username": "alice", "password": PASSWORD});
    post(&hub, "/api/v1/auth/login", login.clone())
        .await
        .assert_problem(403, "account-disabled");
    let wrong = json!({"username": "alice", "password": "wrong password"});
    let wrong = post(&hub, "/api/v1/auth/login", wrong).await;
    wrong.assert_problem(401, "invalid-credentials");
    let refresh = post(
        &hub,
        "/api/v1/auth/refresh",
        json!({"refreshToken": alice.refresh_token}),
    );
    refresh.await.assert_problem(401, "invalid-refresh-token");

    admin
        .patch("/api/v1/users/alice", json!({"disabled": false}))
        .await
        .assert_status(200);
    alice
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "session-ended");
    ci.get("/api/v1/auth/me").await.assert_status(200);
    post(&hub, "/api/v1/auth/login", login)
        .await
        .assert_status(200);
}

async fn the_last_administrator_stays(hub: HubBuilder) {
    let hub = hub.start().await;
    let admin = hub.admin("boss").await;
    for change in [json!({"role": "publisher"}), json!({"disabled": true})] {
        let refused = admin.patch("/api/v1/users/boss", change).await;
        refused.assert_problem(409, "last-admin");
    }
    hub.person("alice").await;
    admin
        .patch("/api/v1/users/alice", json!({"role": "admin"}))
        .await
        .assert_status(200);
    admin
        .patch("/api/v1/users/boss", json!({"role": "publisher"}))
        .await
        .assert_status(200);
    admin
        .get("/api/v1/users")
        .await
        .assert_problem(403, "role-insufficient");
}

async fn two_administrators_cannot_step_down_at_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let mut survivor: Option<String> = None;
    for round in 0..5 {
        let names = [format!("one-{round}"), format!("two-{round}")];
        let (one, two) = (hub.admin(&names[0]).await, hub.admin(&names[1]).await);
        if let Some(name) = survivor {
            let path = format!("/api/v1/users/{name}");
            one.patch(&path, json!({"role": "reader"}))
                .await
                .assert_status(200);
        }
        let paths = names.each_ref().map(|name| format!("/api/v1/users/{name}"));
        let (a, b) = tokio::join!(
            one.patch(&paths[0], json!({"role": "reader"})),
            two.patch(&paths[1], json!({"disabled": true})),
        );
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "one of the two stays");
        let [one, two] = names;
        survivor = Some(if a.status == 409 { one } else { two });
    }
}
