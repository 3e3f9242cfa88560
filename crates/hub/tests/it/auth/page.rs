//! The device page against forged requests, guesses and injected markup.

use jiff::SignedDuration;
use serde_json::json;
use testkit::{HubBuilder, on_both};

use super::browser::Browser;
use super::device::{begin, poll, sign_in};
use super::{PASSWORD, text};

on_both!(
    a_form_works_only_in_the_browser_that_was_shown_it,
    guesses_of_user_codes_are_bounded,
    the_page_contains_nothing_that_runs,
    a_changed_password_signs_the_browser_out,
    signing_out_forgets_the_browser,
    cookies_of_the_page_open_nothing_else,
    wrong_passwords_are_slowed_down_here_too,
);

async fn a_form_works_only_in_the_browser_that_was_shown_it(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "evil").await;
    let mut victim = Browser::new();
    let page = sign_in(&mut victim, &device, "alice").await;
    let (action, fields) = page.form();
    let code = text(&device, "userCode");

    // Another site makes the victim's browser send a form of the attacker's making.
    for forged in ["", "forged"] {
        let fields = [
            ("form", forged),
            ("action", "approve"),
            ("user_code", &code),
        ];
        victim
            .post(&action, &fields)
            .await
            .assert_shows(403, "not shown to this browser");
    }
    // A token from a form that the attacker was shown does not help.
    let mut attacker = Browser::new();
    let own = attacker.open(&format!("{}/device", hub.url)).await;
    let (_, own_fields) = own.form();
    let fields_of_attacker = [
        ("form", own_fields["form"].as_str()),
        ("action", "approve"),
        ("user_code", &code),
    ];
    victim
        .post(&action, &fields_of_attacker)
        .await
        .assert_shows(403, "not shown to this browser");
    // Nor does the victim's token in the attacker's browser.
    let stolen = [
        ("form", fields["form"].as_str()),
        ("action", "approve"),
        ("user_code", &code),
    ];
    attacker
        .post(&action, &stolen)
        .await
        .assert_shows(403, "not shown to this browser");
    // Neither does a link: a GET decides nothing.
    victim
        .open(&format!("{action}?user_code={code}&action=approve"))
        .await
        .assert_shows(200, "Approve");
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");

    // A form that stood open too long is refused as well.
    hub.clock().advance(SignedDuration::from_secs(3601));
    victim
        .submit(&page, &[("action", "approve")])
        .await
        .assert_shows(403, "too long ago");
    // What is no form at all is told so.
    victim
        .post(&action, &[("action", "explode")])
        .await
        .assert_shows(400, "not a form");
}

async fn guesses_of_user_codes_are_bounded(hub: HubBuilder) {
    let hub = hub
        .configure(|c| c.auth.throttle.failures_per_account = 5)
        .start()
        .await;
    hub.person("mallory").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &device, "mallory")
        .await
        .assert_shows(200, "Approve");
    for _ in 0..5 {
        let guess = browser
            .open(&format!("{}/device?user_code=BBBB-BBBB", hub.url))
            .await;
        guess.assert_shows(404, "unknown or has expired");
    }
    // Then not even a right code is looked at, neither to show nor to decide.
    let right = text(&device, "verificationUriComplete");
    let refused = browser.open(&right).await;
    refused.assert_shows(429, "Too many wrong codes");
    let (action, fields) = browser.open(&format!("{}/device", hub.url)).await.form();
    assert!(
        action.ends_with("/device") && !fields.contains_key("form"),
        "the code form is a GET"
    );
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");
}

async fn the_page_contains_nothing_that_runs(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "<img src=x onerror=alert(1)>\"'").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    page.assert_shows(200, "&#60;img src=x onerror=alert(1)&#62;&#34;&#39;");
    let odd = browser
        .open(&format!("{}/device?user_code=%22%3E%3Cscript%3E", hub.url))
        .await;
    assert!(!odd.html.contains("<script"), "{}", odd.html);
    for page in [&page, &odd] {
        let header = |name: &str| page.headers[name].to_str().expect("text").to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
    }
}

async fn a_changed_password_signs_the_browser_out(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    page.assert_shows(200, "Approve");
    let change = json!({"currentPassword": PASSWORD, "newPassword": "a new password"});
    alice
        .put("/api/v1/auth/password", change)
        .await
        .assert_status(200);
    let refused = browser.submit(&page, &[("action", "approve")]).await;
    refused.assert_shows(401, "Sign in again");
    poll(&hub, &device)
        .await
        .assert_problem(400, "authorization-pending");
}

async fn signing_out_forgets_the_browser(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &device, "alice").await;
    let out = browser.submit(&page, &[("action", "sign-out")]).await;
    out.assert_shows(200, "Password");
    assert_eq!(browser.cookie(&hub.url, "skills_page"), None);
}

async fn cookies_of_the_page_open_nothing_else(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let device = begin(&hub, "skills").await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &device, "alice")
        .await
        .assert_shows(200, "Approve");
    let session = browser
        .cookie(&hub.url, "skills_page")
        .expect("signed in")
        .to_owned();
    browser
        .open(&format!("{}/api/v1/auth/me", hub.url))
        .await
        .assert_shows(401, "authentication-required");
    // Nor is the cookie's value a token.
    super::get_with(&hub, "/api/v1/auth/me", &session)
        .await
        .assert_problem(401, "invalid-token");
    // And an access token is no cookie.
    let token = hub.person("bob").await.token;
    let mut other = Browser::new();
    other.set_cookie(&hub.url, "skills_page", &token);
    other
        .open(&format!("{}/device", hub.url))
        .await
        .assert_shows(200, "Password");
}

async fn wrong_passwords_are_slowed_down_here_too(hub: HubBuilder) {
    let hub = hub
        .configure(|c| c.auth.throttle.failures_per_account = 2)
        .start()
        .await;
    hub.person("alice").await;
    let mut browser = Browser::new();
    let mut page = browser
        .open(&format!("{}/device?user_code=BCDF-GHJK", hub.url))
        .await;
    let guess = [("username", "alice"), ("password", "not the password")];
    for _ in 0..2 {
        page = browser.submit(&page, &guess).await;
        page.assert_shows(401, "password is wrong");
        assert_eq!(
            page.form().1["user_code"],
            "BCDF-GHJK",
            "the code is not lost"
        );
    }
    page = browser.submit(&page, &guess).await;
    page.assert_shows(429, "Too many failed attempts");
}
