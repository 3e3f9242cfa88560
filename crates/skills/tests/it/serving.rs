//! `skills serve` as an operator meets it: the addresses that it hands out, and its first token.

use std::io::Write as _;
use std::process::Stdio;

use crate::hub::Hub;
use crate::support::Sandbox;

/// The start page, asked for under this `Host`.
async fn start_page(hub: &Hub, host: &str) -> String {
    // Another test may have been first, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let request = reqwest::Client::new().get(&hub.url).header("host", host);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_on_every_address_hands_out_addresses_that_can_be_used() {
    let data = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}", data.path().join("hub.sqlite").display());
    let options = ["--bind=0.0.0.0:0"];
    let hub = Hub::start_with(data.path(), &database, &options);
    assert_eq!(hub.links.as_deref(), Some(hub.url.as_str()));
    assert!(
        hub.log.contains("WARN") && hub.log.contains("--public-url"),
        "{}",
        hub.log
    );
    // What one client says of the address must not reach another, by a cache.
    let page = start_page(&hub, "elsewhere.example").await;
    assert!(page.contains(&hub.url), "{page}");
    assert!(
        !page.contains("0.0.0.0") && !page.contains("elsewhere"),
        "{page}"
    );
    drop(hub);

    let public = "https://skills.example.org/hub";
    for (options, variables) in [
        (&["--bind=0.0.0.0:0", "--public-url", public][..], &[][..]),
        (&["--bind=0.0.0.0:0"], &[("SKILLS_PUBLIC_URL", public)]),
    ] {
        let hub = Hub::start_in(data.path(), &database, options, variables);
        assert_eq!(hub.links.as_deref(), Some(public));
        assert!(!hub.log.contains("WARN"), "{}", hub.log);
        let page = start_page(&hub, "elsewhere.example").await;
        assert!(
            page.contains(public) && !page.contains("127.0.0.1"),
            "{page}"
        );
    }
}

#[test]
fn a_public_url_that_cannot_work_is_refused() {
    for (url, why) in [
        ("skills.example.org", "is no address"),
        (
            "ftp://skills.example.org",
            "must begin with http:// or https://",
        ),
        ("https://skills.example.org/?a=b", "no query"),
    ] {
        let ran = Sandbox::new().run(&["serve", "--public-url", url]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        let said = ran.stderr();
        assert!(
            said.contains("[public-url]") && said.contains(why),
            "{said}"
        );
    }
}

#[test]
fn the_first_token_signs_in_as_it_is_said() {
    let data = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite:{}", data.path().join("hub.sqlite").display());
    let hub = Hub::start(data.path(), &database);
    let hint = format!("skills login --registry {} --token-stdin", hub.url);
    assert!(hub.log.contains(&hint), "{}", hub.log);
    let sandbox = Sandbox::new();
    let mut login = sandbox.command(&["login", "--registry", &hub.url, "--token-stdin"]);
    login
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut login = login.spawn().expect("it starts");
    let mut stdin = login.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", hub.token.as_deref().expect("a token")).expect("written");
    drop(stdin);
    assert!(login.wait().expect("an end").success());
    let ran = sandbox.run(&["whoami", "--registry", &hub.url]).ok();
    assert!(ran.stdout().contains("admin"), "{}", ran.snapshot());
}

#[test]
fn durations_are_asked_for_in_seconds() {
    for (arguments, why) in [
        (
            &["run", "csv-analyzer", "--timeout", "1s"][..],
            "write whole seconds, at least 1, such as 30",
        ),
        (
            &["probe", "http://127.0.0.1:1/", "--timeout", "61"],
            "write whole seconds, from 1 to 60",
        ),
    ] {
        let ran = Sandbox::new().run(arguments);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert!(ran.stderr().contains(why), "{}", ran.snapshot());
        assert!(
            !ran.stderr().contains("invalid digit"),
            "{}",
            ran.snapshot()
        );
    }
}
