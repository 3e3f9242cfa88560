//! Looking into archives, and rendering them for frameworks.

use reqwest::Method;
use serde_json::json;
use testkit::{Fixture, HubBuilder, TestHub, on_both};

on_both!(
    files_are_listed_and_read,
    a_stranger_s_file_cannot_act_in_a_browser,
    what_is_not_there_is_said,
    a_skill_is_rendered_for_the_asking_framework,
);

const PATH: &str = "/api/v1/skills/csv-reader/1.0.0";

async fn published(hub: HubBuilder) -> TestHub {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0")
        .file("scripts/run.sh", "#!/bin/sh\necho hi\n")
        .file("assets/page.html", "<script>alert(1)</script>")
        .file("assets/logo.png", b"\x89PNG\r\n\x1a\n\0\0".to_vec());
    alice.publish(&skill).await.assert_status(201);
    hub
}

async fn files_are_listed_and_read(hub: HubBuilder) {
    let hub = published(hub).await;
    let files = hub
        .get(&format!("{PATH}/files"))
        .await
        .assert_status(200)
        .json();
    let paths: Vec<_> = files
        .as_array()
        .expect("files")
        .iter()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(
        paths,
        [
            "SKILL.md",
            "assets/logo.png",
            "assets/page.html",
            "scripts/run.sh",
            "skill.yaml"
        ]
    );
    let script = &files[3];
    assert_eq!(
        (&script["size"], &script["executable"]),
        (&json!(18), &json!(false))
    );
    let sha256 = skill_format::Sha256::of(b"#!/bin/sh\necho hi\n").hex();
    assert_eq!(script["sha256"], sha256);
    let text = hub
        .get(&format!("{PATH}/files/scripts/run.sh"))
        .await
        .assert_status(200);
    assert_eq!(text.text(), "#!/bin/sh\necho hi\n");
    let tag = text.header("etag").to_owned();
    let again = hub
        .request(Method::GET, &format!("{PATH}/files/scripts/run.sh"))
        .header("if-none-match", tag);
    hub.send(again).await.assert_status(304);
    hub.get("/api/v1/skills/csv-reader/latest/files/SKILL.md")
        .await
        .assert_status(200);
}

async fn a_stranger_s_file_cannot_act_in_a_browser(hub: HubBuilder) {
    let hub = published(hub).await;
    let page = hub
        .get(&format!("{PATH}/files/assets/page.html"))
        .await
        .assert_status(200);
    assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").contains("sandbox"));
    let image = hub
        .get(&format!("{PATH}/files/assets/logo.png"))
        .await
        .assert_status(200);
    assert_eq!(image.header("content-type"), "application/octet-stream");
}

async fn what_is_not_there_is_said(hub: HubBuilder) {
    let hub = published(hub).await;
    for path in [
        "none.txt",
        "..%2F..%2Fetc%2Fpasswd",
        "scripts",
        "scripts/",
        "%00",
        "SKILL.md/x",
    ] {
        hub.get(&format!("{PATH}/files/{path}"))
            .await
            .assert_problem(404, "file-not-found");
    }
    hub.get("/api/v1/skills/csv-reader/2.0.0/files")
        .await
        .assert_problem(404, "version-not-found");
    hub.get("/api/v1/skills/other/1.0.0/files/x")
        .await
        .assert_problem(404, "skill-not-found");
    hub.get("/api/v1/skills/other/1.0.0/render")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn a_skill_is_rendered_for_the_asking_framework(hub: HubBuilder) {
    let hub = published(hub).await;
    let render = format!("{PATH}/render");
    for framework in skill_format::Framework::all() {
        let path = format!("{render}?format={framework}");
        let answer = hub.get(&path).await.assert_status(200);
        assert_eq!(answer.header("skill-framework"), framework.as_str());
        assert!(answer.json().is_object());
    }
    let by = async |name: &str, value: &str| {
        let request = hub.request(Method::GET, &render).header(name, value);
        hub.send(request)
            .await
            .assert_status(200)
            .header("skill-framework")
            .to_owned()
    };
    assert_eq!(
        by("accept", "application/vnd.skills.openai+json").await,
        "openai"
    );
    assert_eq!(
        by("accept", "application/json; framework=vertex").await,
        "vertex"
    );
    assert_eq!(by("user-agent", "claude-code/2.0").await, "claude");
    assert_eq!(by("accept", "text/html").await, "claude", "the default");
    let alias = hub.get(&format!("{render}?format=gemini")).await;
    assert_eq!(alias.header("skill-framework"), "vertex");
    hub.get(&format!("{render}?format=cobol"))
        .await
        .assert_problem(400, "framework-unknown")
        .assert_names("format");
}
