//! What publishing makes, and what it refuses.

use reqwest::Method;
use testkit::{Fixture, HubBuilder, on_both};

on_both!(
    a_published_version_is_described_in_full,
    both_forms_of_upload_are_taken,
    a_zip_is_kept_as_it_was_sent,
    a_bare_skill_gets_its_version_from_the_upload,
    a_version_number_is_used_once,
    a_name_belongs_to_who_took_it_first,
    reserved_names_are_refused,
    publishing_needs_a_token_with_the_scope,
    a_token_for_other_skills_does_not_reach,
    what_is_wrong_with_a_skill_is_listed,
    archives_are_bounded,
);

async fn a_published_version_is_described_in_full(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.publisher("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0+build.7")
        .description("Reads CSV files. Use it for tables.")
        .author("Example Team")
        .tags(&["csv", "data"])
        .depends_on("chart-maker", "^2")
        .yaml("license: MIT\nhomepage: https://example.com/csv");
    let archive = skill.archive();
    let answer = alice.publish(&skill).await.assert_status(201);
    let location = answer.header("location").to_owned();
    assert_eq!(
        location,
        format!("{}/api/v1/skills/csv-reader/1.0.0%2Bbuild.7", hub.url)
    );
    let published = answer.json();
    assert_eq!(
        hub.get(location.strip_prefix(&hub.url).expect("ours"))
            .await
            .json(),
        published
    );

    let checksum = skill_format::Sha256::of(&archive).to_string();
    assert_eq!(published["name"], "csv-reader");
    assert_eq!(published["version"], "1.0.0+build.7");
    assert_eq!(published["checksum"], checksum);
    assert_eq!(published["size"], archive.len());
    assert_eq!(published["publishedBy"], "alice");
    assert_eq!(published["yanked"], false);
    assert_eq!(published["dependencies"]["chart-maker"], "^2");
    assert_eq!(
        published["manifest"]["tags"],
        serde_json::json!(["csv", "data"])
    );
    let key = alice
        .key()
        .expect("alice has a key")
        .fingerprint()
        .to_string();
    assert_eq!(published["signer"], key);
    let statement = published["statement"].as_str().expect("a statement");
    assert!(statement.contains("version: 1.0.0\n"), "{statement}");

    let skill = hub
        .get("/api/v1/skills/csv-reader")
        .await
        .assert_status(200)
        .json();
    assert_eq!(skill["version"], "1.0.0+build.7");
    assert_eq!(skill["versions"], serde_json::json!(["1.0.0+build.7"]));
    assert_eq!(skill["owners"], serde_json::json!(["alice"]));
    assert_eq!(skill["author"], "Example Team");
    assert_eq!(skill["license"], "MIT");
    assert_eq!(skill["homepage"], "https://example.com/csv");
    assert_eq!(skill["checksum"], checksum);
    assert_eq!(skill["downloads"], 0);
    assert_eq!(skill["rating"], 0.0);
    assert_eq!(skill["deprecated"], serde_json::Value::Null);
    assert_eq!(skill["releases"][0]["signer"], key);
    let url = format!("{}/packages/csv-reader-1.0.0%2Bbuild.7.spm", hub.url);
    assert_eq!(skill["downloadUrl"], url);
}

async fn both_forms_of_upload_are_taken(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.publisher("alice").await;
    for (number, media_type) in ["application/gzip", "application/vnd.skills.spm"]
        .into_iter()
        .enumerate()
    {
        let skill = Fixture::new("csv-reader").version(&format!("1.0.{number}"));
        let archive = skill.archive();
        let signature = alice.signature_over(&skill, &archive).expect("signs");
        let encoded = base64(signature.as_bytes());
        let request = alice
            .request(Method::POST, "/api/v1/skills")
            .header("content-type", media_type)
            .header("skill-signature", encoded)
            .body(archive);
        let published = hub.send(request).await.assert_status(201).json();
        assert!(published["signer"].is_string());
    }
    let other = alice
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/octet-stream")
        .body("x");
    hub.send(other)
        .await
        .assert_problem(415, "unsupported-media-type");
}

async fn a_zip_is_kept_as_it_was_sent(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.publisher("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let zip = zip_of(&skill);
    let signature = alice.signature_over(&skill, &zip);
    let published = alice
        .publish_archive(zip.clone(), signature.as_deref())
        .await
        .assert_status(201)
        .json();
    let url = published["downloadUrl"].as_str().expect("a URL");
    assert!(url.ends_with("/packages/csv-reader-1.0.0.zip"), "{url}");
    let stored = hub
        .get("/packages/csv-reader-1.0.0.zip")
        .await
        .assert_status(200);
    assert_eq!(stored.bytes, zip);
    assert_eq!(stored.header("content-type"), "application/zip");
    hub.get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_problem(404, "package-not-found");
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["downloadUrl"], url);
    assert_eq!(skill["releases"][0]["downloadUrl"], url);
}

async fn a_bare_skill_gets_its_version_from_the_upload(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let archive = Fixture::new("csv-reader").archive();
    alice
        .publish_archive(archive.clone(), None)
        .await
        .assert_problem(422, "invalid-skill")
        .assert_names("version");
    let with_version = |version: &str| {
        alice
            .request(Method::POST, "/api/v1/skills")
            .header("content-type", "application/gzip")
            .header("skill-version", version)
            .body(archive.clone())
    };
    let published = hub
        .send(with_version("2.1.0"))
        .await
        .assert_status(201)
        .json();
    assert_eq!(published["version"], "2.1.0");
    assert_eq!(published["manifest"]["version"], "2.1.0");
    hub.send(with_version("two"))
        .await
        .assert_problem(422, "invalid-skill")
        .assert_names("version");
    let versioned = Fixture::new("csv-reader").version("3.0.0").archive();
    let contradiction = alice
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/gzip")
        .header("skill-version", "3.0.1")
        .body(versioned);
    hub.send(contradiction)
        .await
        .assert_problem(422, "invalid-skill")
        .assert_names("version");
}

async fn a_version_number_is_used_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let publish = async |version: &str| {
        alice
            .publish(&Fixture::new("csv-reader").version(version))
            .await
    };
    publish("1.0.0").await.assert_status(201);
    publish("1.0.0").await.assert_problem(409, "version-exists");
    publish("1.0.0+other")
        .await
        .assert_problem(409, "version-exists");
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    publish("1.0.0")
        .await
        .assert_problem(409, "version-retired");
    publish("1.0.1").await.assert_status(201);
}

async fn a_name_belongs_to_who_took_it_first(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let admin = hub.admin("carol").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    let next = Fixture::new("csv-reader").version("1.1.0");
    bob.publish(&next).await.assert_problem(403, "not-an-owner");
    admin
        .publish(&next)
        .await
        .assert_problem(403, "not-an-owner");
    // A digit that looks like a letter makes no new name.
    alice
        .publish(&Fixture::new("data-loader").version("1.0.0"))
        .await
        .assert_status(201);
    bob.publish(&Fixture::new("data-1oader").version("1.0.0"))
        .await
        .assert_problem(409, "name-taken");
}

async fn reserved_names_are_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("admin").version("1.0.0"))
        .await
        .assert_problem(422, "name-reserved");
}

async fn publishing_needs_a_token_with_the_scope(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let request = hub
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/gzip")
        .body(Fixture::new("csv-reader").version("1.0.0").archive());
    hub.send(request)
        .await
        .assert_problem(401, "authentication-required");
    let token = serde_json::json!({"name": "reader", "scopes": ["read"]});
    let token = alice
        .post("/api/v1/auth/tokens", token)
        .await
        .assert_status(201)
        .json();
    let reader = alice.with_token(token["token"].as_str().expect("a token"));
    let answer = reader
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await;
    answer.assert_problem(403, "scope-insufficient");
}

async fn a_token_for_other_skills_does_not_reach(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let wanted = serde_json::json!({"name": "ci", "scopes": ["publish"], "skills": ["acme-*"]});
    let token = alice
        .post("/api/v1/auth/tokens", wanted)
        .await
        .assert_status(201)
        .json();
    let ci = alice.with_token(token["token"].as_str().expect("a token"));
    ci.publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_problem(403, "skill-not-allowed");
    ci.publish(&Fixture::new("acme-csv").version("1.0.0"))
        .await
        .assert_status(201);
}

async fn what_is_wrong_with_a_skill_is_listed(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let no_name = Fixture::new("x")
        .file("SKILL.md", "---\ndescription: d\n---\n")
        .version("1.0.0");
    let no_name = no_name.file("skill.yaml", "version: 1.0.0\n");
    alice
        .publish_archive(no_name.archive(), None)
        .await
        .assert_problem(422, "invalid-skill")
        .assert_names("name");
    let bad_range = Fixture::new("csv-reader")
        .version("1.0.0")
        .depends_on("other", "not a range");
    alice
        .publish(&bad_range)
        .await
        .assert_problem(422, "invalid-skill")
        .assert_names("skill.yaml");
    for bytes in [
        &b""[..],
        b"hello",
        b"\x1f\x8b\x08\x00broken",
        b"PK\x03\x04broken",
    ] {
        alice
            .publish_archive(bytes.to_vec(), None)
            .await
            .assert_problem(422, "invalid-skill")
            .assert_names("archive");
    }
    let mut trailing = Fixture::new("csv-reader").version("1.0.0").archive();
    trailing.extend_from_slice(b"more");
    alice
        .publish_archive(trailing, None)
        .await
        .assert_problem(422, "invalid-skill");
    let skills = hub.get("/api/v1/skills").await.json();
    assert_eq!(skills["total"], 0, "nothing was half published");
}

async fn archives_are_bounded(hub: HubBuilder) {
    let hub = hub
        .configure(|config| config.limits.archive_bytes_max = 4_096)
        .start()
        .await;
    let alice = hub.person("alice").await;
    let big = alice
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/gzip")
        .body(vec![0_u8; 5_000]);
    hub.send(big).await.assert_problem(413, "payload-too-large");
    alice
        .publish_archive(vec![0; 5_000], None)
        .await
        .assert_problem(413, "payload-too-large");
    alice
        .publish_archive(vec![0; 200_000], None)
        .await
        .assert_problem(413, "payload-too-large");
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
}

/// The standard alphabet with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) & 63;
            text.push(if place > chunk.len() {
                '='
            } else {
                ALPHABET[six as usize] as char
            });
        }
    }
    text
}

/// The fixture as a zip with stored entries.
fn zip_of(skill: &Fixture) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (path, file) in skill.tree().iter() {
        writer.start_file(path, options).expect("starts a file");
        std::io::Write::write_all(&mut writer, &file.bytes).expect("writes");
    }
    writer.finish().expect("finishes").into_inner()
}
