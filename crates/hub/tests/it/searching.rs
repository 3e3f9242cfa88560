//! `GET /api/v1/search`.

use serde_json::{Value, json};
use testkit::{Fixture, HubBuilder, TestHub, on_both};

on_both!(
    results_are_skills_with_score_and_highlights,
    typing_errors_are_forgiven,
    filters_narrow,
    the_index_follows_every_change,
    the_index_survives_a_restart,
    any_bytes_are_a_query,
);

async fn stocked(hub: HubBuilder) -> TestHub {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skills = [
        Fixture::new("csv-analyzer")
            .description("Reads <b>CSV</b> files & finds statistics.")
            .tags(&["data"]),
        Fixture::new("text-summarizer")
            .description("Summarises long documents.")
            .author("Example Team"),
        Fixture::new("data-loader")
            .description("Loads data from databases.")
            .tags(&["data"])
            .yaml("frameworks:\n  - name: openai\n    compatibility: \">=1.0.0\""),
    ];
    for skill in skills {
        alice
            .publish(&skill.version("1.0.0"))
            .await
            .assert_status(201);
    }
    hub.eventually("/api/v1/search?q=", |answer| {
        answer.status == 200 && answer.json()["total"] == 3
    })
    .await;
    hub
}

fn names(found: &Value) -> Vec<String> {
    let results = found["results"].as_array().expect("results");
    results
        .iter()
        .map(|skill| skill["name"].as_str().expect("a name").to_owned())
        .collect()
}

async fn results_are_skills_with_score_and_highlights(hub: HubBuilder) {
    let hub = stocked(hub).await;
    let found = hub
        .get("/api/v1/search?q=CSV")
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&found["query"], &found["total"]),
        (&json!("CSV"), &json!(1))
    );
    let first = &found["results"][0];
    assert_eq!(first["name"], "csv-analyzer");
    assert!(first["score"].as_f64().is_some_and(|score| score > 0.0));
    assert_eq!(
        first["highlights"]["description"],
        "Reads &lt;b&gt;<em>CSV</em>&lt;/b&gt; files &amp; finds statistics."
    );
    // The same fields as everywhere.
    let skill = hub.get("/api/v1/skills/csv-analyzer").await.json();
    for field in [
        "version",
        "downloadUrl",
        "checksum",
        "owners",
        "versions",
        "createdAt",
    ] {
        assert_eq!(first[field], skill[field], "{field}");
    }
}

async fn typing_errors_are_forgiven(hub: HubBuilder) {
    let hub = stocked(hub).await;
    let found = hub.get("/api/v1/search?q=sumarizer").await.json();
    assert_eq!(names(&found), ["text-summarizer"]);
    assert_eq!(found["suggestion"], "summarizer");
    let nothing = hub.get("/api/v1/search?q=xylophone").await.json();
    assert_eq!(
        (&nothing["total"], nothing.get("suggestion")),
        (&json!(0), None)
    );
}

async fn filters_narrow(hub: HubBuilder) {
    let hub = stocked(hub).await;
    for (query, expected) in [
        ("tags=data&q=csv", vec!["csv-analyzer"]),
        ("framework=OpenAI", vec!["data-loader"]),
        ("author=example%20team", vec!["text-summarizer"]),
        ("author=alice&q=documents", vec!["text-summarizer"]),
        ("author=bob", vec![]),
        ("tags=data,none", vec![]),
        ("tags=data&tags=none", vec![]),
        (
            "tags=data&q=csv&tags=data&unknown=%26",
            vec!["csv-analyzer"],
        ),
        ("q=data&limit=1&offset=1&tags=data", vec![]),
    ] {
        let found = hub
            .get(&format!("/api/v1/search?{query}"))
            .await
            .assert_status(200)
            .json();
        if query.contains("offset") {
            assert!(names(&found).len() <= 1, "{query}: {found}");
        } else {
            assert_eq!(names(&found), expected, "{query}");
        }
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=abc", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("limit=101", "limit"),
        ("offset=10001", "offset"),
    ] {
        hub.get(&format!("/api/v1/search?{query}"))
            .await
            .assert_problem(400, "invalid-query")
            .assert_names(field);
    }
}

async fn the_index_follows_every_change(hub: HubBuilder) {
    let hub = stocked(hub).await;
    let alice = hub.publisher("bob").await;
    let skill = Fixture::new("pdf-reader")
        .description("Reads PDF.")
        .version("1.0.0");
    alice.publish(&skill).await.assert_status(201);
    let total = async |query: &str, expected: u64| {
        let path = format!("/api/v1/search?q={query}");
        hub.eventually(&path, |answer| answer.json()["total"] == expected)
            .await
    };
    total("pdf", 1).await;
    let next = Fixture::new("pdf-reader")
        .description("Reads portable documents.")
        .version("1.1.0");
    alice.publish(&next).await.assert_status(201);
    total("portable", 1).await;
    alice
        .delete("/api/v1/skills/pdf-reader/1.1.0")
        .await
        .assert_status(204);
    total("portable", 0).await;
    total("pdf", 1).await;
}

async fn the_index_survives_a_restart(hub: HubBuilder) {
    let hub = stocked(hub).await.restart().await;
    hub.ready().await;
    let found = hub
        .get("/api/v1/search?q=csv")
        .await
        .assert_status(200)
        .json();
    assert_eq!(names(&found), ["csv-analyzer"]);
}

async fn any_bytes_are_a_query(hub: HubBuilder) {
    let hub = stocked(hub).await;
    for query in [
        "%00",
        "%ff%fe",
        "%22%22",
        "AND%20OR%20NOT",
        "name:csv",
        "(((",
        "*",
        "csv~9999",
        "%F0%9F%98%80",
        "a%20b%20c%20d%20e%20f%20g%20h%20i%20j%20k%20l%20m%20n%20o%20p%20q%20r%20s%20t",
        "%E2%80%AE%D8%B9",
        "csv%5E9999999999999",
        "%25",
        "..%2F..%2Fetc",
    ] {
        hub.get(&format!("/api/v1/search?q={query}"))
            .await
            .assert_status(200);
    }
    for nothing_but_signs in ["%00", "%22", "%F0%9F%98%80", "%22%22", "(((", "*"] {
        for address in ["/api/v1/search?q=", "/api/v1/skills?search="] {
            let found = hub
                .get(&format!("{address}{nothing_but_signs}"))
                .await
                .json();
            assert_eq!(found["total"], 0, "{address}{nothing_but_signs}");
        }
    }
    assert_eq!(hub.get("/api/v1/search?q=%20").await.json()["total"], 3);
    for letters in ["a%22b", "b%20c%20d%20e%20f%20g%20h", "q"] {
        let found = hub.get(&format!("/api/v1/search?q={letters}")).await.json();
        assert_eq!(found.get("suggestion"), None, "{letters}: {found}");
    }
    let long = "x".repeat(1_025);
    hub.get(&format!("/api/v1/search?q={long}"))
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("q");
    let dense = "q+".repeat(500);
    hub.get(&format!("/api/v1/search?q={dense}"))
        .await
        .assert_status(200);
}
