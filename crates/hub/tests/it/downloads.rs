//! Archives: bytes, ranges, caching, counts.

use reqwest::Method;
use testkit::{Answer, Fixture, HubBuilder, TestHub, on_both};

on_both!(
    the_bytes_are_those_that_were_published,
    a_part_can_be_asked_for,
    what_a_client_has_is_not_sent_again,
    head_tells_what_get_would,
    latest_is_not_kept_for_ever,
    files_have_one_address,
    downloads_are_counted_once_each,
    a_missing_blob_is_our_fault_and_says_nothing,
);

const PACKAGE: &str = "/packages/csv-reader-1.0.0.spm";

async fn published(hub: HubBuilder) -> (TestHub, Vec<u8>) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    alice.publish(&skill).await.assert_status(201);
    (hub, skill.archive())
}

async fn with(hub: &TestHub, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = hub.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    hub.send(request).await
}

async fn the_bytes_are_those_that_were_published(hub: HubBuilder) {
    let (hub, archive) = published(hub).await;
    for path in [
        PACKAGE,
        "/api/v1/skills/csv-reader/1.0.0/download",
        "/api/v1/skills/csv-reader/latest/download",
    ] {
        let answer = hub.get(path).await.assert_status(200);
        assert_eq!(answer.bytes, archive, "{path}");
        assert_eq!(answer.header("content-type"), "application/gzip");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-length"), archive.len().to_string());
        assert!(
            answer
                .header("content-disposition")
                .contains("csv-reader-1.0.0.spm")
        );
        assert_eq!(
            answer.header("content-encoding"),
            "",
            "archives are not compressed again"
        );
    }
    let answer = hub.get(PACKAGE).await;
    let tag = format!("\"sha256-{}\"", skill_format::Sha256::of(&archive).hex());
    assert_eq!(answer.header("etag"), tag);
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
}

async fn a_part_can_be_asked_for(hub: HubBuilder) {
    let (hub, archive) = published(hub).await;
    let size = archive.len();
    let ask = async |range: &str| with(&hub, Method::GET, PACKAGE, &[("range", range)]).await;
    let first = ask("bytes=0-9").await.assert_status(206);
    assert_eq!(first.bytes, archive[..10]);
    assert_eq!(first.header("content-range"), format!("bytes 0-9/{size}"));
    assert_eq!(first.header("content-length"), "10");
    let rest = ask("bytes=10-").await.assert_status(206);
    assert_eq!(
        [first.bytes.as_ref(), rest.bytes.as_ref()].concat(),
        archive
    );
    assert_eq!(
        ask("bytes=-5").await.assert_status(206).bytes,
        archive[size - 5..]
    );
    assert_eq!(
        ask("bytes=5-100000000").await.assert_status(206).bytes,
        archive[5..]
    );
    let beyond = ask(&format!("bytes={size}-")).await;
    let beyond = beyond.assert_problem(416, "range-not-satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    for ignored in ["bytes=0-1,3-4", "lines=1-2", "bytes=9-1", "rubbish"] {
        assert_eq!(
            ask(ignored).await.assert_status(200).bytes,
            archive,
            "{ignored}"
        );
    }
    let other = [("range", "bytes=0-9"), ("if-range", "\"sha256-00\"")];
    let whole = with(&hub, Method::GET, PACKAGE, &other).await;
    assert_eq!(whole.assert_status(200).bytes, archive);
    let tag = hub.get(PACKAGE).await.header("etag").to_owned();
    let same = [("range", "bytes=0-9"), ("if-range", tag.as_str())];
    with(&hub, Method::GET, PACKAGE, &same)
        .await
        .assert_status(206);
}

async fn what_a_client_has_is_not_sent_again(hub: HubBuilder) {
    let (hub, _) = published(hub).await;
    let tag = hub.get(PACKAGE).await.header("etag").to_owned();
    for value in [tag.as_str(), "*", &format!("\"other\", W/{tag}")] {
        let answer = with(&hub, Method::GET, PACKAGE, &[("if-none-match", value)]).await;
        let answer = answer.assert_status(304);
        assert_eq!(answer.header("etag"), tag);
        assert!(answer.bytes.is_empty());
    }
    with(
        &hub,
        Method::GET,
        PACKAGE,
        &[("if-none-match", "\"other\"")],
    )
    .await
    .assert_status(200);
}

async fn head_tells_what_get_would(hub: HubBuilder) {
    let (hub, archive) = published(hub).await;
    let head = with(&hub, Method::HEAD, PACKAGE, &[])
        .await
        .assert_status(200);
    assert!(head.bytes.is_empty());
    assert_eq!(head.header("content-length"), archive.len().to_string());
    let get = hub.get(PACKAGE).await;
    for name in ["etag", "cache-control", "content-type", "accept-ranges"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    with(&hub, Method::HEAD, "/packages/csv-reader-9.9.9.spm", &[])
        .await
        .assert_status(404);
}

async fn latest_is_not_kept_for_ever(hub: HubBuilder) {
    let (hub, _) = published(hub).await;
    let latest = hub.get("/api/v1/skills/csv-reader/latest/download").await;
    assert_eq!(latest.header("cache-control"), "public, no-cache");
}

async fn files_have_one_address(hub: HubBuilder) {
    let (hub, _) = published(hub).await;
    for (path, code) in [
        ("/packages/csv-reader-1.0.0.zip", "package-not-found"),
        ("/packages/csv-reader-1.0.0+b.spm", "package-not-found"),
        ("/packages/csv-reader.spm", "package-not-found"),
        ("/packages/csv-reader-1.0.0", "package-not-found"),
        ("/packages/csv-reader-2.0.0.spm", "version-not-found"),
        ("/packages/other-1.0.0.spm", "skill-not-found"),
        ("/packages/%2e%2e%2fetc-1.0.0.spm", "package-not-found"),
        (
            "/api/v1/skills/csv-reader/one/download",
            "version-not-found",
        ),
    ] {
        hub.get(path).await.assert_problem(404, code);
    }
}

async fn downloads_are_counted_once_each(hub: HubBuilder) {
    let (hub, _) = published(hub).await;
    let tag = hub.get(PACKAGE).await.header("etag").to_owned(); // 1
    with(&hub, Method::HEAD, PACKAGE, &[])
        .await
        .assert_status(200);
    with(&hub, Method::GET, PACKAGE, &[("if-none-match", &tag)])
        .await
        .assert_status(304);
    with(&hub, Method::GET, PACKAGE, &[("range", "bytes=0-4")])
        .await
        .assert_status(206); // 2
    with(&hub, Method::GET, PACKAGE, &[("range", "bytes=5-")])
        .await
        .assert_status(206);
    with(&hub, Method::GET, PACKAGE, &[("range", "bytes=999999-")])
        .await
        .assert_status(416);
    hub.get("/api/v1/skills/csv-reader/latest/download")
        .await
        .assert_status(200); // 3
    let counted = |answer: &Answer| answer.json()["downloads"] == 3;
    let skill = hub
        .eventually("/api/v1/skills/csv-reader", counted)
        .await
        .json();
    assert_eq!(skill["releases"][0]["downloads"], 3);
    let days = hub
        .get("/api/v1/skills/csv-reader/downloads?days=1")
        .await
        .json();
    assert_eq!(days.as_array().map(Vec::len), Some(1), "{days}");
    assert_eq!(days[0]["downloads"], 3);
    let health = hub.get("/api/v1/health").await.json();
    assert_eq!(health["stats"]["downloads"], 3);
    hub.get("/api/v1/skills/csv-reader/downloads?days=0")
        .await
        .assert_problem(400, "invalid-query");
    hub.get("/api/v1/skills/csv-reader/downloads?days=367")
        .await
        .assert_names("days");
    hub.get("/api/v1/skills/other/downloads")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn a_missing_blob_is_our_fault_and_says_nothing(hub: HubBuilder) {
    let (hub, _) = published(hub).await;
    std::fs::remove_dir_all(hub.data_folder().join("blobs/sha256")).expect("removed");
    let answer = hub.get(PACKAGE).await.assert_problem(500, "internal-error");
    let folder = hub.data_folder().display().to_string();
    assert!(!answer.text().contains(&folder) && !answer.text().contains("sha256"));
}
