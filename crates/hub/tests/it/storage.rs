//! Where archives are kept: object storage, and the sweep of what nobody needs.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use testkit::{Blobs, Fixture, HubBuilder, TestHub, on_both};

on_both!(
    object_storage_serves_by_presigned_address,
    an_upload_leaves_no_unfinished_file,
    equal_archives_share_a_blob,
    orphans_are_swept_when_they_are_old,
);

async fn object_storage_serves_by_presigned_address(hub: HubBuilder) {
    let hub = hub.blobs(Blobs::S3).start().await;
    hub.ready().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let archive = skill.archive();
    alice.publish(&skill).await.assert_status(201);
    let answer = hub
        .get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_status(307);
    assert_eq!(answer.header("cache-control"), "no-store");
    let elsewhere = answer.header("location").to_owned();
    assert!(elsewhere.contains("X-Amz-Signature="), "{elsewhere}");
    let fetched = hub
        .send(hub.client().get(&elsewhere))
        .await
        .assert_status(200);
    assert_eq!(fetched.bytes, archive);
    let part = hub.client().get(&elsewhere).header("range", "bytes=0-3");
    assert_eq!(hub.send(part).await.assert_status(206).bytes, archive[..4]);
    let files = hub
        .get("/api/v1/skills/csv-reader/1.0.0/files")
        .await
        .assert_status(200)
        .json();
    assert_eq!(files.as_array().map(Vec::len), Some(2));
    let tag = format!("\"sha256-{}\"", skill_format::Sha256::of(&archive).hex());
    let known = hub
        .request(reqwest::Method::GET, "/packages/csv-reader-1.0.0.spm")
        .header("if-none-match", tag);
    hub.send(known).await.assert_status(304);
    // A redirect is one download.
    hub.eventually("/api/v1/skills/csv-reader", |answer| {
        answer.json()["downloads"] == 1
    })
    .await;
}

async fn an_upload_leaves_no_unfinished_file(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    let unfinished = std::fs::read_dir(hub.data_folder().join("blobs/tmp"))
        .expect("lists")
        .count();
    assert_eq!(unfinished, 0);
    assert_eq!(blobs_of(&hub).len(), 1);
}

async fn equal_archives_share_a_blob(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let archive = Fixture::new("csv-reader").archive();
    for version in ["1.0.0", "1.0.1"] {
        let request = alice
            .request(reqwest::Method::POST, "/api/v1/skills")
            .header("content-type", "application/gzip")
            .header("skill-version", version)
            .body(archive.clone());
        hub.send(request).await.assert_status(201);
    }
    assert_eq!(blobs_of(&hub).len(), 1);
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    let hub = after_a_week(hub).await;
    let other = hub
        .get("/packages/csv-reader-1.0.1.spm")
        .await
        .assert_status(200);
    assert_eq!(other.bytes, archive, "the other version still needs it");
}

async fn orphans_are_swept_when_they_are_old(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for version in ["1.0.0", "1.1.0"] {
        alice
            .publish(&Fixture::new("csv-reader").version(version))
            .await
            .assert_status(201);
    }
    // What a publish that was killed before its commit leaves behind.
    let left = skill_format::Sha256::of(b"left behind").hex();
    let place = hub.data_folder().join("blobs/sha256").join(&left[..2]);
    std::fs::create_dir_all(&place).expect("makes the folder");
    std::fs::write(place.join(&left), b"left behind").expect("writes");
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    let hub = hub.restart().await;
    assert_eq!(blobs_of(&hub).len(), 3, "the young are left alone");
    let hub = after_a_week(hub).await;
    for _ in 0..500 {
        if blobs_of(&hub).len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(blobs_of(&hub).len(), 1);
    hub.get("/packages/csv-reader-1.1.0.spm")
        .await
        .assert_status(200);
}

/// Restarted a week later; files, too, are a week old then.
async fn after_a_week(hub: TestHub) -> TestHub {
    hub.clock().advance(SignedDuration::from_hours(7 * 24));
    hub.restart().await
}

fn blobs_of(hub: &TestHub) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder)
            .expect("lists")
            .map(|entry| entry.expect("an entry"))
        {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&hub.data_folder().join("blobs/sha256"), &mut found);
    found
}
