//! Sign-in through a real OpenID provider (npm's `oidc-provider`), driven like a browser.

use hub::HubConfig;
use hub::auth::{OidcConfig, Secret};
use hub_model::Role;
use serde_json::json;
use testkit::{HubBuilder, TestHub, on_both};

use super::browser::{Browser, Page};
use super::device::{begin, poll};
use super::{PASSWORD, get_with, post, service, text};

on_both!(
    a_device_is_connected_through_the_provider,
    a_public_client_works_without_a_secret,
    the_second_sign_in_finds_the_same_account,
    names_that_are_taken_get_a_number_and_are_never_taken_over,
    domains_and_groups_decide_who_comes_in,
    roles_follow_the_groups,
    disabled_and_unknown_accounts_stay_out,
    a_state_works_once_and_in_its_browser_only,
    a_code_works_once,
    a_sign_in_takes_at_most_ten_minutes,
    the_provider_may_say_no,
    the_browser_comes_back_to_this_hub_only,
    a_hub_without_a_provider_says_so,
);

/// How the hub is known at the provider of `xtask/services/oidc`.
fn provider(change: impl FnOnce(&mut OidcConfig)) -> impl FnOnce(&mut HubConfig) {
    let issuer = service("TEST_OIDC_ISSUER");
    let table = format!(
        "issuer = \"{issuer}\"\nclient_id = \"hub\"\nname = \"Example ID\"\nscopes = [\"email\", \"groups\"]"
    );
    let mut oidc: OidcConfig = toml::from_str(&table).expect("a configuration");
    oidc.client_secret = Some(Secret::new("a secret: with/odd+characters%".to_owned()));
    change(&mut oidc);
    move |config| config.auth.oidc = Some(oidc)
}

/// Goes through the provider's forms as `who`, beginning at `start`; the page where it ends.
async fn sign_in(browser: &mut Browser, start: &str, who: &str) -> Page {
    let mut page = browser.open(start).await;
    // A form to sign in, then one to consent; the second is not shown a second time.
    for _ in 0..2 {
        if page.url.path().starts_with("/interaction/") {
            page = browser
                .submit(&page, &[("login", who), ("password", "any")])
                .await;
        }
    }
    page
}

fn login_url(hub: &TestHub) -> String {
    format!("{}/api/v1/auth/oidc/login", hub.url)
}

/// Signs in and connects a device; its access token.
async fn device_token(hub: &TestHub, browser: &mut Browser, who: &str) -> String {
    let device = begin(hub, "skills").await;
    let page = sign_in(browser, &login_url(hub), who).await;
    page.assert_shows(200, "Type the code");
    let page = browser
        .open(&text(&device, "verificationUriComplete"))
        .await;
    browser
        .submit(&page, &[("action", "approve")])
        .await
        .assert_shows(200, "connected");
    text(
        &poll(hub, &device).await.assert_status(200).json(),
        "accessToken",
    )
}

async fn me(hub: &TestHub, token: &str) -> serde_json::Value {
    get_with(hub, "/api/v1/auth/me", token)
        .await
        .assert_status(200)
        .json()
}

async fn a_device_is_connected_through_the_provider(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    let config = hub.get("/api/v1/auth/config").await.json();
    assert_eq!(config["oidc"], json!({"name": "Example ID"}));
    let device = begin(&hub, "skills on build-3").await;
    let mut browser = Browser::new();
    let door = browser
        .open(&text(&device, "verificationUriComplete"))
        .await;
    door.assert_shows(200, "Sign in with Example ID");
    let (_, link) = door
        .html
        .split_once("class=\"button\" href=\"")
        .expect("a link");
    let link = link.split('"').next().expect("its end");
    let start = door.url.join(link).expect("a URL");

    // The browser comes back to the very code that it began with.
    let page = sign_in(&mut browser, start.as_str(), "alice").await;
    page.assert_shows(200, "skills on build-3")
        .assert_shows(200, &text(&device, "userCode"));
    browser
        .submit(&page, &[("action", "approve")])
        .await
        .assert_shows(200, "connected");
    let tokens = poll(&hub, &device).await.assert_status(200).json();
    let me = me(&hub, &text(&tokens, "accessToken")).await;
    assert_eq!(
        (me["username"].as_str(), me["role"].as_str()),
        (Some("alice"), Some("publisher"))
    );

    let user = hub.user("alice").await;
    assert!(user.password.is_none(), "the provider keeps the password");
    let guess = json!({"username": "alice", "password": ""});
    post(&hub, "/api/v1/auth/login", guess)
        .await
        .assert_problem(401, "invalid-credentials");
}

async fn a_public_client_works_without_a_secret(hub: HubBuilder) {
    let public = provider(|oidc| {
        oidc.client_id = "hub-public".to_owned();
        oidc.client_secret = None;
    });
    let hub = hub.configure(public).start().await;
    let token = device_token(&hub, &mut Browser::new(), "alice").await;
    assert_eq!(me(&hub, &token).await["username"], "alice");
}

async fn the_second_sign_in_finds_the_same_account(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    let first = device_token(&hub, &mut Browser::new(), "alice").await;
    let second = device_token(&hub, &mut Browser::new(), "alice").await;
    assert_eq!(me(&hub, &first).await, me(&hub, &second).await);
    let users = hub
        .app()
        .db()
        .users()
        .list(hub.app().tenant(), None, 10)
        .await
        .expect("listed");
    assert_eq!(users.len(), 1);
}

async fn names_that_are_taken_get_a_number_and_are_never_taken_over(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    // Somebody registered the name, and the very e-mail address, before.
    let account = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.com"});
    post(&hub, "/api/v1/auth/register", account)
        .await
        .assert_status(201);
    let token = device_token(&hub, &mut Browser::new(), "alice").await;
    assert_eq!(me(&hub, &token).await["username"], "alice-2");
    let other = device_token(&hub, &mut Browser::new(), "Alice").await;
    assert_eq!(
        me(&hub, &other).await["username"],
        "alice-3",
        "another subject, the same name"
    );
    let admin = device_token(&hub, &mut Browser::new(), "admin").await;
    assert_eq!(me(&hub, &admin).await["username"], "admin-member");
}

async fn domains_and_groups_decide_who_comes_in(hub: HubBuilder) {
    let strict = provider(|oidc| {
        oidc.allowed_domains = vec!["example.com".to_owned()];
        oidc.allowed_groups = vec!["everyone".to_owned()];
    });
    let hub = hub.configure(strict).start().await;
    device_token(&hub, &mut Browser::new(), "alice").await;
    for stranger in ["outsider-1", "unverified-1"] {
        let page = sign_in(&mut Browser::new(), &login_url(&hub), stranger).await;
        page.assert_shows(
            403,
            "not in a domain that this hub admits, or is not verified",
        );
    }
    let users = hub
        .app()
        .db()
        .users()
        .list(hub.app().tenant(), None, 10)
        .await
        .expect("listed");
    assert_eq!(users.len(), 1, "who is refused gets no account");
}

async fn roles_follow_the_groups(hub: HubBuilder) {
    let mapped = provider(|oidc| {
        oidc.roles.insert("ops".to_owned(), Role::Admin);
        oidc.roles.insert("everyone".to_owned(), Role::Reader);
    });
    let hub = hub.configure(mapped).start().await;
    let ops = device_token(&hub, &mut Browser::new(), "ops-1").await;
    assert_eq!(me(&hub, &ops).await["role"], "admin");
    let alice = device_token(&hub, &mut Browser::new(), "alice").await;
    assert_eq!(me(&hub, &alice).await["role"], "reader");

    // What an administrator changes lasts until the next sign-in, when the groups decide again.
    let promote = hub
        .request(reqwest::Method::PATCH, "/api/v1/users/alice")
        .bearer_auth(&ops);
    hub.send(promote.json(&json!({"role": "admin"})))
        .await
        .assert_status(200);
    assert_eq!(me(&hub, &alice).await["role"], "admin");
    sign_in(&mut Browser::new(), &login_url(&hub), "alice")
        .await
        .assert_shows(200, "Type the code");
    assert_eq!(me(&hub, &alice).await["role"], "reader");
}

async fn disabled_and_unknown_accounts_stay_out(hub: HubBuilder) {
    let hub = hub.configure(provider(|oidc| {
        oidc.roles = [("ops".to_owned(), Role::Admin)].into()
    }));
    let hub = hub.start().await;
    let ops = device_token(&hub, &mut Browser::new(), "ops-1").await;
    let alice = device_token(&hub, &mut Browser::new(), "alice").await;
    let disable = hub
        .request(reqwest::Method::PATCH, "/api/v1/users/alice")
        .bearer_auth(&ops);
    hub.send(disable.json(&json!({"disabled": true})))
        .await
        .assert_status(200);
    get_with(&hub, "/api/v1/auth/me", &alice)
        .await
        .assert_problem(401, "session-ended");
    let page = sign_in(&mut Browser::new(), &login_url(&hub), "alice").await;
    page.assert_shows(403, "This account is disabled");

    let invited_only =
        HubBuilder::default().configure(provider(|oidc| oidc.create_accounts = false));
    let invited_only = invited_only.start().await;
    let page = sign_in(&mut Browser::new(), &login_url(&invited_only), "alice").await;
    page.assert_shows(403, "You have no account on this hub");
}

/// Signs in up to the provider's redirect to the hub, and hands out that address unopened.
async fn callback_url(browser: &mut Browser, hub: &TestHub, who: &str) -> String {
    let mut page = browser.open_once(&login_url(hub)).await;
    for _ in 0..20 {
        match page.redirect() {
            Some(target) if target.path().ends_with("/oidc/callback") => return target.into(),
            Some(target) => page = browser.open_once(target.as_str()).await,
            None => {
                let (action, mut fields) = page.form();
                fields.insert("login".to_owned(), who.to_owned());
                fields.insert("password".to_owned(), "any".to_owned());
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(k, v)| (k.as_str(), v.as_str()))
                    .collect();
                page = browser.post_once(&action, &fields).await;
            }
        }
    }
    panic!("the provider never came back, last {}", page.url);
}

async fn a_state_works_once_and_in_its_browser_only(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    let refusal = "was not begun in this browser";
    let mut browser = Browser::new();
    let url = callback_url(&mut browser, &hub, "alice").await;
    let state = browser
        .cookie(&hub.url, "skills_oidc")
        .expect("a state")
        .to_owned();

    // An attacker who began a sign-in sends the victim to finish it (login CSRF).
    Browser::new().open(&url).await.assert_shows(400, refusal);
    let mut victim = Browser::new();
    victim.set_cookie(&hub.url, "skills_oidc", "another-state");
    victim.open(&url).await.assert_shows(400, refusal);

    browser.open(&url).await.assert_shows(200, "Type the code");
    assert_eq!(
        browser.cookie(&hub.url, "skills_oidc"),
        None,
        "the cookie is gone"
    );
    // The same answer again, even with the cookie put back.
    browser.set_cookie(&hub.url, "skills_oidc", &state);
    browser.open(&url).await.assert_shows(400, refusal);
    // A state that the hub never made.
    browser.set_cookie(&hub.url, "skills_oidc", "invented");
    let invented = format!(
        "{}/api/v1/auth/oidc/callback?state=invented&code=c",
        hub.url
    );
    browser.open(&invented).await.assert_shows(400, refusal);
    browser
        .open(&format!("{}/api/v1/auth/oidc/callback", hub.url))
        .await
        .assert_shows(400, refusal);
}

async fn a_code_works_once(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    let mut browser = Browser::new();
    let used = callback_url(&mut browser, &hub, "alice").await;
    browser.open(&used).await.assert_shows(200, "Type the code");
    let used = url::Url::parse(&used).expect("a URL");
    let code = used
        .query_pairs()
        .find(|(name, _)| name == "code")
        .expect("a code")
        .1
        .into_owned();

    // The old code under a fresh state: PKCE and the provider both refuse it.
    let mut thief = Browser::new();
    let fresh = callback_url(&mut thief, &hub, "mallory").await;
    let mut fresh = url::Url::parse(&fresh).expect("a URL");
    let pairs: Vec<(String, String)> = fresh.query_pairs().into_owned().collect();
    fresh.query_pairs_mut().clear().extend_pairs(
        pairs
            .iter()
            .map(|(k, v)| (k, if k == "code" { &code } else { v })),
    );
    let refused = thief.open(fresh.as_str()).await;
    refused.assert_shows(403, "invalid_grant");
    assert_eq!(thief.cookie(&hub.url, "skills_page"), None);
}

async fn a_sign_in_takes_at_most_ten_minutes(hub: HubBuilder) {
    // The provider lives in real time, so its token must still be young enough for the moved clock.
    let hub = hub
        .configure(provider(|oidc| oidc.clock_skew_seconds = 3_600))
        .start()
        .await;
    let mut browser = Browser::new();
    let url = callback_url(&mut browser, &hub, "alice").await;
    hub.clock().advance(jiff::SignedDuration::from_mins(10));
    browser.open(&url).await.assert_shows(400, "took too long");
}

async fn the_provider_may_say_no(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    let mut browser = Browser::new();
    browser.open_once(&login_url(&hub)).await;
    let state = browser
        .cookie(&hub.url, "skills_oidc")
        .expect("a state")
        .to_owned();
    let issuer = service("TEST_OIDC_ISSUER");
    let callback = format!("{}/api/v1/auth/oidc/callback", hub.url);
    let denied = format!("{callback}?state={state}&error=access_denied&iss={issuer}");
    browser
        .open(&denied)
        .await
        .assert_shows(403, "access_denied");

    for (query, status, shown) in [
        (
            "error=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
            403,
            "unknown_error",
        ),
        (format!("iss={issuer}"), 400, "neither a code nor an error"),
        (
            "code=c&iss=https://evil.example".to_owned(),
            403,
            "not accepted",
        ),
        ("code=c".to_owned(), 403, "not accepted"),
    ] {
        browser.open_once(&login_url(&hub)).await;
        let state = browser
            .cookie(&hub.url, "skills_oidc")
            .expect("a state")
            .to_owned();
        let page = browser
            .open(&format!("{callback}?state={state}&{query}"))
            .await;
        page.assert_shows(status, shown);
        assert!(!page.html.contains("<script"), "{}", page.html);
    }
}

async fn the_browser_comes_back_to_this_hub_only(hub: HubBuilder) {
    let hub = hub.configure(provider(|_| {})).start().await;
    for target in [
        "https://evil.example",
        "//evil.example",
        "/%5Cevil.example",
        "evil",
        "/%09/evil.example",
        "javascript:alert(1)",
    ] {
        let path = format!("/api/v1/auth/oidc/login?returnTo={target}");
        hub.get(&path)
            .await
            .assert_problem(400, "invalid-return-to");
    }
    let mut browser = Browser::new();
    let page = sign_in(
        &mut browser,
        &format!("{}?returnTo=/docs", login_url(&hub)),
        "alice",
    )
    .await;
    assert_eq!(page.url.as_str(), format!("{}/docs", hub.url));
}

async fn a_hub_without_a_provider_says_so(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.get("/api/v1/auth/oidc/login")
        .await
        .assert_problem(404, "oidc-not-configured");
    let callback = hub.get("/api/v1/auth/oidc/callback?state=s&code=c").await;
    callback.assert_problem(404, "oidc-not-configured");
}
