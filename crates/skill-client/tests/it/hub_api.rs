//! Every call of the interface against a real hub: what it sends is understood, and so is the answer.

use skill_client::api::{
    Client, ClientOptions, DeviceState, ListQuery, SearchQuery, Sort, TokenRequest, UserChange,
};
use skill_client::{Config, Credentials, Secret};
use skill_format::{Explain as _, Version};
use testkit::{Fixture, Person, TestHub};

use crate::support::{impatient, name, now};

fn client_as(hub: &TestHub, person: Option<&Person>) -> Client {
    let credentials = |person: &Person| Credentials {
        username: Some(person.name.clone()),
        token: Secret::new(&person.token),
        refresh_token: Some(Secret::new(&person.refresh_token)),
        expires_at: None,
    };
    let options = ClientOptions {
        http: impatient(),
        credentials: person.map(credentials),
        ..ClientOptions::default()
    };
    Client::new(
        Config::default()
            .registry(Some(&hub.url))
            .expect("an address"),
        options,
    )
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

async fn catalogue() -> (TestHub, Person) {
    let hub = TestHub::start().await;
    let alice = hub.publisher("alice").await;
    let colors = Fixture::new("colors")
        .version("1.0.0")
        .tags(&["design"])
        .description("Mixes colors for charts.");
    alice.publish(&colors).await.assert_status(201);
    alice
        .publish(&Fixture::new("colors").version("1.1.0").tags(&["design"]))
        .await
        .assert_status(201);
    alice
        .publish(
            &Fixture::new("charts")
                .version("1.0.0")
                .depends_on("colors", "^1.0"),
        )
        .await
        .assert_status(201);
    hub.ready().await;
    hub.eventually("/api/v1/search?q=charts", |answer| {
        answer.text().contains("charts")
    })
    .await;
    (hub, alice)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_is_read() {
    let (hub, alice) = catalogue().await;
    let client = client_as(&hub, None);
    let page = client
        .list(&ListQuery {
            sort: Some(Sort::Name),
            limit: Some(1),
            ..ListQuery::default()
        })
        .await
        .expect("a list");
    assert_eq!((page.total, page.skills[0].name.as_str()), (2, "charts"));
    let next = ListQuery {
        sort: Some(Sort::Name),
        limit: Some(1),
        cursor: page.next_cursor,
        ..ListQuery::default()
    };
    assert_eq!(
        client.list(&next).await.expect("the next page").skills[0]
            .name
            .as_str(),
        "colors"
    );
    let tagged = ListQuery {
        tags: vec!["design".into()],
        ..ListQuery::default()
    };
    assert_eq!(client.list(&tagged).await.expect("a list").skills.len(), 1);
    let found = client
        .search(&SearchQuery {
            text: "colors".into(),
            ..SearchQuery::default()
        })
        .await
        .expect("a search");
    assert!(
        found
            .results
            .iter()
            .any(|skill| skill.name == name("colors") && skill.score.is_some())
    );
    let detail = client.skill(&name("colors")).await.expect("a skill");
    let versions: Vec<_> = detail
        .releases
        .iter()
        .map(|release| release.version.to_string())
        .collect();
    assert_eq!(
        (versions, detail.info.owners),
        (vec!["1.1.0".into(), "1.0.0".into()], vec!["alice".into()])
    );
    let release = client
        .release(&name("charts"), &version("1.0.0"))
        .await
        .expect("a release");
    assert!(release.release.dependencies.contains_key(&name("colors")));
    assert_eq!(
        release.release.signer.as_deref(),
        Some(alice.key().expect("a key").fingerprint().as_str())
    );
    assert!(
        release.signature.is_some()
            && release.manifest.is_some()
            && release.content_digest.is_some()
    );
    assert_eq!(
        client
            .latest(&name("colors"))
            .await
            .expect("a release")
            .release
            .version,
        version("1.1.0")
    );
    let files = client
        .files(&name("colors"), &version("1.0.0"))
        .await
        .expect("files");
    assert!(files.iter().any(|file| file.path == "SKILL.md"));
    let text = client
        .file(&name("colors"), &version("1.0.0"), "SKILL.md")
        .await
        .expect("a file");
    assert!(text.starts_with(b"---"));
    assert_eq!(client.tags().await.expect("tags")[0].name, "design");
    let dependents = client
        .dependents(&name("colors"))
        .await
        .expect("dependents");
    assert_eq!(
        (dependents.len(), dependents[0].name.as_str()),
        (1, "charts")
    );
    assert!(client.downloads(&name("colors"), 7).await.is_ok());
    assert_eq!(client.health().await.expect("health").status, "ok");
    let error = client
        .release(&name("colors"), &version("9.0.0"))
        .await
        .expect_err("unknown");
    assert_eq!(error.code(), "version-not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_withdraw_deprecate_and_share() {
    let (hub, alice) = catalogue().await;
    let bob = hub.person("bob").await;
    let (client, anybody) = (client_as(&hub, Some(&alice)), client_as(&hub, None));
    let colors = name("colors");
    let withdrawn = || async {
        let detail = anybody.skill(&colors).await.expect("a skill");
        let release = detail
            .releases
            .into_iter()
            .find(|release| release.version == version("1.1.0"));
        release.map(|release| (release.yanked, release.yank_reason))
    };
    client
        .yank(&colors, &version("1.1.0"), Some("broken"))
        .await
        .expect("withdrawn");
    assert_eq!(withdrawn().await, Some((true, Some("broken".into()))));
    client
        .unyank(&colors, &version("1.1.0"))
        .await
        .expect("restored");
    assert_eq!(withdrawn().await.map(|state| state.0), Some(false));
    client
        .deprecate(&colors, Some("use paints"))
        .await
        .expect("deprecated");
    assert_eq!(
        anybody
            .skill(&colors)
            .await
            .expect("a skill")
            .info
            .deprecated
            .expect("deprecated")
            .message,
        "use paints"
    );
    client.deprecate(&colors, None).await.expect("restored");
    // Whoever has owned it longest comes first, and this clock stands still.
    hub.clock().advance(jiff::SignedDuration::from_secs(1));
    client.add_owner(&colors, "bob").await.expect("shared");
    assert_eq!(
        client.owners(&colors).await.expect("owners"),
        ["alice", "bob"]
    );
    client
        .remove_owner(&colors, "bob")
        .await
        .expect("no longer");
    let reader = client_as(&hub, Some(&bob));
    reader.rate(&colors, Some(4)).await.expect("rated");
    let ratings = anybody.ratings(&colors).await.expect("ratings");
    assert_eq!(
        (ratings[0].username.as_str(), ratings[0].rating),
        ("bob", 4)
    );
    reader.rate(&colors, None).await.expect("taken back");
    assert_eq!(
        reader
            .yank(&colors, &version("1.0.0"), None)
            .await
            .expect_err("not bob's")
            .code(),
        "not-an-owner"
    );
    let error = client
        .delete_version(&colors, &version("1.1.0"))
        .await
        .expect_err("charts depends on it");
    assert_eq!(error.code(), "has-dependents");
    client
        .delete_version(&name("charts"), &version("1.0.0"))
        .await
        .expect("deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_tokens_and_keys() {
    let hub = TestHub::start().await;
    let anybody = client_as(&hub, None);
    assert_eq!(
        anybody
            .auth_config()
            .await
            .expect("a configuration")
            .registration,
        "open"
    );
    let password = Secret::new("correct horse battery");
    anybody
        .register("carol", &password, Some("carol@example.org"))
        .await
        .expect("an account");
    let taken = anybody
        .register("carol", &password, None)
        .await
        .expect_err("taken");
    assert_eq!(taken.code(), "username-taken");
    let wrong = anybody
        .login("carol", &Secret::new("another password"))
        .await
        .expect_err("wrong");
    assert_eq!(wrong.code(), "invalid-credentials");
    let session = anybody
        .login("carol", &password)
        .await
        .expect("signed in")
        .into_credentials(Some("carol".into()), now());
    assert!(session.expires_at.is_some() && session.refresh_token.is_some());
    let options = ClientOptions {
        http: impatient(),
        credentials: Some(session),
        ..ClientOptions::default()
    };
    let carol = Client::new(
        Config::default()
            .registry(Some(&hub.url))
            .expect("an address"),
        options,
    );
    assert_eq!(carol.me().await.expect("known").username, "carol");

    let wanted = TokenRequest {
        name: "ci".into(),
        scopes: vec!["publish".into()],
        skills: vec!["team-*".into()],
        expires_in_days: Some(30),
    };
    let token = carol.create_token(&wanted).await.expect("a token");
    assert!(
        token.token.expose().starts_with("skl_")
            && !format!("{token:?}").contains(token.token.expose())
    );
    let listed = carol.tokens().await.expect("tokens");
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "ci"));
    carol.revoke_token(&listed[0].id).await.expect("revoked");
    assert!(carol.tokens().await.expect("tokens").is_empty());

    let person = hub.publisher("dave").await;
    let dave = client_as(&hub, Some(&person));
    let keys = dave.own_keys().await.expect("keys");
    let fingerprint = person.key().expect("a key").fingerprint();
    assert_eq!(keys[0].fingerprint, fingerprint.as_str());
    assert_eq!(
        anybody
            .key(fingerprint)
            .await
            .expect("a key")
            .username
            .as_deref(),
        Some("dave")
    );
    assert_eq!(anybody.keys_of("dave").await.expect("keys").len(), 1);
    dave.remove_key(fingerprint).await.expect("removed");

    carol
        .change_password(&password, &Secret::new("another fine password"))
        .await
        .expect("changed");
    let again = anybody
        .login("carol", &Secret::new("another fine password"))
        .await
        .expect("signed in");
    let again = again.into_credentials(None, now());
    let options = ClientOptions {
        http: impatient(),
        credentials: Some(again),
        ..ClientOptions::default()
    };
    let carol = Client::new(
        Config::default()
            .registry(Some(&hub.url))
            .expect("an address"),
        options,
    );
    carol.logout().await.expect("signed out");
    assert!(carol.me().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_see_and_change_accounts() {
    let hub = TestHub::start().await;
    let root = hub.admin("root-admin").await;
    hub.person("bob").await;
    let client = client_as(&hub, Some(&root));
    let users = client.users().await.expect("users");
    assert!(
        users
            .iter()
            .any(|user| user.username == "bob" && !user.disabled)
    );
    let change = UserChange {
        role: Some("reader".into()),
        disabled: Some(true),
    };
    client.change_user("bob", &change).await.expect("changed");
    let bob = client
        .users()
        .await
        .expect("users")
        .into_iter()
        .find(|user| user.username == "bob")
        .expect("bob");
    assert_eq!((bob.role.as_str(), bob.disabled), ("reader", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_on_another_device_waits_for_its_confirmation() {
    let hub = TestHub::start().await;
    let client = client_as(&hub, None);
    let code = client.device_code("skills").await.expect("a code");
    assert!(!code.user_code.is_empty() && code.verification_uri.starts_with("http"));
    assert!(!format!("{code:?}").contains(code.device_code.expose()));
    assert!(matches!(
        client.device_state(&code).await,
        Ok(DeviceState::Pending | DeviceState::SlowDown)
    ));
}
