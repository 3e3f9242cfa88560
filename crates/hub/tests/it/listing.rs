//! Lists, single skills and their entity tags.

use jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::{Answer, Fixture, HubBuilder, TestHub, on_both};

on_both!(
    every_order_pages_by_offset_and_by_cursor,
    tags_filter_and_are_counted,
    parameters_are_checked,
    a_list_can_be_searched,
    an_unchanged_skill_is_not_sent_again,
    a_change_changes_the_tag,
    names_are_found_by_any_spelling_and_missed_helpfully,
    a_version_is_found_by_its_number_or_as_latest,
    health_counts,
    prereleases_are_the_latest_only_where_nothing_else_is,
);

async fn stocked(hub: HubBuilder) -> TestHub {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for number in 0..7 {
        let tags: &[&str] = if number % 2 == 0 {
            &["even", "all"]
        } else {
            &["odd", "all"]
        };
        let skill = Fixture::new(&format!("skill-{number}"))
            .version("1.0.0")
            .tags(tags);
        alice.publish(&skill).await.assert_status(201);
        hub.clock().advance(SignedDuration::from_secs(1));
        for _ in 0..number {
            hub.get(&format!("/packages/skill-{number}-1.0.0.spm"))
                .await
                .assert_status(200);
        }
        let stars = json!({"rating": 1 + number % 5});
        alice
            .put(&format!("/api/v1/skills/skill-{number}/rating"), stars)
            .await
            .assert_status(200);
    }
    let all_counted = |answer: &Answer| answer.json()["stats"]["downloads"] == 21;
    hub.eventually("/api/v1/health", all_counted).await;
    hub
}

fn names(list: &Value) -> Vec<String> {
    let skills = list["skills"].as_array().expect("skills");
    skills
        .iter()
        .map(|skill| skill["name"].as_str().expect("a name").to_owned())
        .collect()
}

async fn every_order_pages_by_offset_and_by_cursor(hub: HubBuilder) {
    let hub = stocked(hub).await;
    let numbered = |numbers: [u32; 7]| numbers.map(|number| format!("skill-{number}"));
    for (sort, expected) in [
        ("name", numbered([0, 1, 2, 3, 4, 5, 6])),
        ("recent", numbered([6, 5, 4, 3, 2, 1, 0])),
        ("downloads", numbered([6, 5, 4, 3, 2, 1, 0])),
    ] {
        let (mut by_cursor, mut by_offset, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/skills?sort={sort}&limit=3{cursor}");
            let page = hub.get(&path).await.assert_status(200).json();
            assert_eq!(
                (&page["total"], &page["limit"]),
                (&json!(7), &json!(3)),
                "{sort}"
            );
            by_cursor.extend(names(&page));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        for offset in [0, 3, 6] {
            let path = format!("/api/v1/skills?sort={sort}&limit=3&offset={offset}");
            by_offset.extend(names(&hub.get(&path).await.json()));
        }
        assert_eq!(by_cursor, expected, "{sort}");
        assert_eq!(by_offset, expected, "{sort}");
    }
    let rated = names(&hub.get("/api/v1/skills?sort=rating&limit=1").await.json());
    assert_eq!(rated, ["skill-4"], "five stars");
    let unsorted = names(&hub.get("/api/v1/skills").await.json());
    assert_eq!(
        unsorted,
        numbered([6, 5, 4, 3, 2, 1, 0]),
        "downloads is the default"
    );
}

async fn tags_filter_and_are_counted(hub: HubBuilder) {
    let hub = stocked(hub).await;
    let odd = hub
        .get("/api/v1/skills?sort=name&tags=odd,%20all")
        .await
        .json();
    assert_eq!(names(&odd), ["skill-1", "skill-3", "skill-5"]);
    assert_eq!(odd["total"], 3);
    let both = hub.get("/api/v1/skills?tags=odd,even").await.json();
    assert_eq!((names(&both).len(), &both["total"]), (0, &json!(0)));
    let tags = hub.get("/api/v1/tags").await.assert_status(200).json();
    assert_eq!(tags["tags"][0], json!({"name": "all", "count": 7}));
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(3));
    let one = hub.get("/api/v1/tags?limit=1").await.json();
    assert_eq!(one["tags"].as_array().map(Vec::len), Some(1));
    hub.get("/api/v1/tags?limit=0")
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("limit");
}

async fn parameters_are_checked(hub: HubBuilder) {
    let hub = hub.start().await;
    let eleven_tags = "a,b,c,d,e,f,g,h,i,j,k";
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("offset=10001", "offset"),
        ("offset=-1", "offset"),
        ("sort=best", "sort"),
        ("sort=", "sort"),
        ("cursor=rubbish", "cursor"),
        ("cursor=d.1.nouuid", "cursor"),
        (
            "sort=name&cursor=d.1.00000000000000000000000000000001",
            "cursor",
        ),
        (
            "search=x&cursor=d.1.00000000000000000000000000000001",
            "cursor",
        ),
        (&format!("tags={eleven_tags}"), "tags"),
        ("limit=1&limit=2", "limit"),
    ] {
        hub.get(&format!("/api/v1/skills?{query}"))
            .await
            .assert_problem(400, "invalid-query")
            .assert_names(field);
    }
    // What nobody knows does no harm, nor does what is no text.
    hub.get("/api/v1/skills?colour=blue&tags=%ff%00").await;
    hub.get("/api/v1/skills?search=%ff%00%F0%9F%98%80")
        .await
        .assert_status(200);
    let nul = hub.get("/api/v1/skills?tags=%00").await;
    nul.assert_problem(400, "unstorable-text");
}

async fn a_list_can_be_searched(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for (name, tags) in [
        ("csv-reader", &["data"][..]),
        ("csv-writer", &["data"]),
        ("mailer", &[]),
    ] {
        alice
            .publish(&Fixture::new(name).version("1.0.0").tags(tags))
            .await
            .assert_status(201);
    }
    let path = "/api/v1/skills?search=csv&tags=data&sort=name";
    let found = hub
        .eventually(path, |answer| {
            answer.status == 200 && answer.json()["total"] == 2
        })
        .await;
    assert_eq!(names(&found.json()), ["csv-reader", "csv-writer"]);
    assert_eq!(found.json()["nextCursor"], json!(null));
    let second = hub.get(&format!("{path}&limit=1&offset=1")).await.json();
    assert_eq!(names(&second), ["csv-writer"]);
}

async fn an_unchanged_skill_is_not_sent_again(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    for path in [
        "/api/v1/skills/csv-reader",
        "/api/v1/skills/csv-reader/1.0.0",
    ] {
        let first = hub.get(path).await.assert_status(200);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        assert_eq!(first.header("cache-control"), "public, no-cache");
        for _ in 0..2 {
            let request = hub
                .request(reqwest::Method::GET, path)
                .header("if-none-match", &tag);
            let again = hub.send(request).await.assert_status(304);
            assert_eq!((again.header("etag"), again.bytes.len()), (tag.as_str(), 0));
        }
        let request = hub
            .request(reqwest::Method::GET, path)
            .header("if-none-match", "\"other\"");
        assert_eq!(
            hub.send(request).await.assert_status(200).bytes,
            first.bytes
        );
    }
}

async fn a_change_changes_the_tag(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    let path = "/api/v1/skills/csv-reader";
    let before = hub.get(path).await.header("etag").to_owned();
    alice
        .publish(&Fixture::new("csv-reader").version("1.1.0"))
        .await
        .assert_status(201);
    let request = hub
        .request(reqwest::Method::GET, path)
        .header("if-none-match", &before);
    let after = hub.send(request).await.assert_status(200);
    assert_eq!(
        after.json()["version"],
        "1.1.0",
        "one's own change is seen at once"
    );
}

async fn names_are_found_by_any_spelling_and_missed_helpfully(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-loader").version("1.0.0"))
        .await
        .assert_status(201);
    hub.eventually("/api/v1/search?q=csv", |answer| answer.json()["total"] == 1)
        .await;
    // `1` counts as `l`.
    assert_eq!(
        hub.get("/api/v1/skills/csv-1oader").await.json()["name"],
        "csv-loader"
    );
    let missed = hub
        .get("/api/v1/skills/csv-laoder")
        .await
        .assert_problem(404, "skill-not-found");
    assert!(
        missed.json()["detail"]
            .as_str()
            .is_some_and(|d| d.contains("`csv-loader`"))
    );
    for name in [
        "x",
        "UPPER",
        "%00",
        "a%2Fb",
        "%20",
        "..",
        "caf%C3%A9",
        &"x".repeat(3_000),
    ] {
        let answer = hub.get(&format!("/api/v1/skills/{name}")).await;
        assert_eq!(answer.status, 404, "{name}: {}", answer.text());
        assert!(answer.text().len() < 1_000, "a long name is not repeated");
    }
    hub.get("/api/v1/skills/%ff")
        .await
        .assert_problem(400, "invalid-path")
        .assert_names("name");
}

async fn a_version_is_found_by_its_number_or_as_latest(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for version in ["1.0.0", "1.10.0", "1.9.0+b"] {
        alice
            .publish(&Fixture::new("csv-reader").version(version))
            .await
            .assert_status(201);
    }
    let path = "/api/v1/skills/csv-reader";
    assert_eq!(
        hub.get(path).await.json()["versions"],
        json!(["1.10.0", "1.9.0+b", "1.0.0"])
    );
    for (asked, found) in [
        ("latest", "1.10.0"),
        ("1.0.0", "1.0.0"),
        ("1.9.0", "1.9.0+b"),
        ("1.9.0%2Bb", "1.9.0+b"),
    ] {
        let version = hub
            .get(&format!("{path}/{asked}"))
            .await
            .assert_status(200)
            .json();
        assert_eq!(version["version"], found, "{asked}");
    }
    for asked in ["1.0", "v1.0.0", "2.0.0", "newest", "%00", "1.0.0-"] {
        hub.get(&format!("{path}/{asked}"))
            .await
            .assert_problem(404, "version-not-found");
    }
}

async fn health_counts(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    alice
        .publish(&Fixture::new("csv-reader").version("1.1.0"))
        .await
        .assert_status(201);
    let health = hub.get("/api/v1/health").await.assert_status(200).json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptimeSeconds"].is_u64());
    let expected = json!({"skills": 1, "versions": 2, "downloads": 0, "publishers": 1});
    assert_eq!(health["stats"], expected);
}

async fn prereleases_are_the_latest_only_where_nothing_else_is(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let path = "/api/v1/skills/csv-reader";
    alice
        .publish(&Fixture::new("csv-reader").version("2.0.0-rc.1"))
        .await
        .assert_status(201);
    assert_eq!(hub.get(path).await.json()["version"], "2.0.0-rc.1");
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    let skill = hub.get(path).await.json();
    assert_eq!(skill["version"], "1.0.0");
    assert_eq!(skill["versions"], json!(["2.0.0-rc.1", "1.0.0"]));
}
