//! The pages for people.

use testkit::{Answer, Fixture, HubBuilder, on_both};

on_both!(
    the_start_page_shows_what_is_new_and_searches,
    a_skill_has_a_page_and_what_strangers_wrote_is_text,
    a_dead_link_leads_to_a_page,
    the_api_page_needs_nothing_from_elsewhere,
);

/// Nothing is loaded, nothing runs.
#[track_caller]
fn assert_self_contained(page: &Answer) {
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{}",
        page.header("content-type")
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let html = page.text();
    for forbidden in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "javascript:",
        " onclick",
        "@import",
        "url(",
    ] {
        assert!(!html.to_lowercase().contains(forbidden), "{forbidden}");
    }
    for needed in [
        "<!doctype html>",
        "<html lang=\"en\">",
        "name=\"viewport\"",
        "<main id=\"main\">",
        "<title>",
    ] {
        assert!(html.contains(needed), "{needed}");
    }
}

async fn the_start_page_shows_what_is_new_and_searches(hub: HubBuilder) {
    let hub = hub
        .configure(|config| config.name = "Acme & friends".to_owned())
        .start()
        .await;
    let empty = hub.get("/").await.assert_status(200);
    assert_self_contained(&empty);
    assert!(
        empty.text().contains("Acme &#38; friends") || empty.text().contains("Acme &amp; friends")
    );
    assert!(empty.text().contains("skills publish"));
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0")
        .description("Reads <i>CSV</i>.");
    alice.publish(&skill).await.assert_status(201);
    let page = hub.get("/").await.assert_status(200);
    assert_self_contained(&page);
    assert!(page.text().contains("href=\"/skills/csv-reader\""));
    assert!(!page.text().contains("<i>CSV"), "a description is text");
    let found = hub
        .eventually("/?q=csv", |answer| answer.text().contains("1 skill"))
        .await;
    assert_self_contained(&found);
    assert!(found.text().contains("<em>CSV</em>"), "the match is marked");
    let typo = hub.get("/?q=csv-raeder").await.assert_status(200);
    assert!(typo.text().contains("Did you mean"), "{}", typo.text());
    let hostile = hub
        .get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .await
        .assert_status(200);
    assert_self_contained(&hostile);
    let long = "x".repeat(2_000);
    let refused = hub.get(&format!("/?q={long}")).await.assert_status(200);
    assert!(refused.text().contains("too long"));
}

async fn a_skill_has_a_page_and_what_strangers_wrote_is_text(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.publisher("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0")
        .yaml("homepage: \"javascript:alert(1)\"\nrepository: https://example.com/csv\nlicense: MIT")
        .file(
            "SKILL.md",
            "---\nname: csv-reader\ndescription: \"<script>alert(1)</script>\"\n---\n\n# Hi\n\n<script>alert(2)</script>\n",
        )
        .description("<script>alert(1)</script>");
    let answer = alice.publish(&skill).await;
    if answer.status == 422 {
        // The linter may refuse the address; then the page is tried without it.
        let plain = Fixture::new("csv-reader")
            .version("1.0.0")
            .description("<script>alert(1)</script>");
        alice.publish(&plain).await.assert_status(201);
    }
    let page = hub.get("/skills/csv-reader").await.assert_status(200);
    assert_self_contained_but_for_text(&page);
    let html = page.text();
    for shown in [
        "csv-reader",
        "1.0.0",
        "skills install csv-reader",
        "alice",
        "sha256:",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    let key = alice.key().expect("a key").fingerprint().to_string();
    assert!(html.contains(&key), "the signer is shown");
}

/// As above; the text of a skill may speak of anything as long as it is escaped.
#[track_caller]
fn assert_self_contained_but_for_text(page: &Answer) {
    let html = page.text();
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("href=\"javascript"), "{html}");
    assert!(
        html.contains("&#60;script") || html.contains("&lt;script"),
        "the text is shown, escaped"
    );
}

async fn a_dead_link_leads_to_a_page(hub: HubBuilder) {
    let hub = hub.start().await;
    let page = hub.get("/skills/nothing-here").await.assert_status(404);
    assert_self_contained(&page);
    assert!(page.text().contains("nothing-here"));
    let odd = hub.get("/skills/%3Cscript%3E").await.assert_status(404);
    assert_self_contained(&odd);
}

async fn the_api_page_needs_nothing_from_elsewhere(hub: HubBuilder) {
    let hub = hub.start().await;
    let page = hub.get("/docs").await.assert_status(200);
    assert_self_contained(&page);
    let html = page.text();
    for shown in [
        "/api/v1/skills/{name}",
        "id=\"publish\"",
        "id=\"skill-not-found\"",
        "Idempotency-Key",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    // Every problem's `type` leads here.
    let problem = hub.get("/api/v1/skills/none").await.json();
    let anchor = problem["type"]
        .as_str()
        .and_then(|r#type| r#type.split('#').nth(1))
        .expect("an anchor");
    assert!(html.contains(&format!("id=\"{anchor}\"")));
}
