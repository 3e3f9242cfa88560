//! The OpenAPI document: complete, committed, served.

use std::collections::BTreeSet;
use std::path::Path;

use testkit::TestHub;

/// `METHOD path` of every route that `routes.rs` names.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/routes.rs");
    let squeezed: String = source.split_whitespace().collect();
    let mut found = BTreeSet::new();
    for route in squeezed.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').expect("a path ends");
        let handlers = rest.split(".route(").next().unwrap_or_default();
        let handlers = handlers.split(".layer(").next().unwrap_or_default();
        for method in ["get", "post", "put", "patch", "delete"] {
            let as_first = format!(",{method}(");
            let as_next = format!(").{method}(");
            if handlers.starts_with(&as_first) || handlers.contains(&as_next) {
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

/// The same, of the document; `{*path}` is written `{path}` there.
fn documented() -> BTreeSet<String> {
    let document: serde_json::Value =
        serde_json::from_str(&hub::openapi_json()).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut found = BTreeSet::new();
    for (path, item) in paths {
        for method in item.as_object().expect("operations").keys() {
            if method != "parameters" {
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

/// Pages for people, and the document itself, are no part of the API.
const NOT_API: [&str; 6] = [
    "GET /",
    "GET /skills/{name}",
    "GET /docs",
    "GET /openapi.json",
    "GET /device",
    "POST /device",
];

#[test]
fn every_route_is_documented_and_every_document_is_routed() {
    let routed: BTreeSet<String> = routed()
        .into_iter()
        .map(|route| route.replace("{*path}", "{path}"))
        .collect();
    assert!(routed.len() > 50, "the routes were not read: {routed:?}");
    let expected: BTreeSet<String> = routed
        .into_iter()
        .filter(|route| !NOT_API.contains(&route.as_str()))
        .collect();
    let documented: BTreeSet<String> = documented()
        .into_iter()
        .filter(|route| !NOT_API.contains(&route.as_str()))
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_committed_document_is_the_code_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("SKILLS_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, hub::openapi_json()).expect("docs/openapi.json can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == hub::openapi_json(),
        "docs/openapi.json is not what the code says: run `cargo xtask openapi`"
    );
}

/// `docs/api.md` is written by hand, so this keeps it from forgetting something.
#[test]
fn the_api_page_names_every_address_and_every_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    let page = std::fs::read_to_string(&path).expect("docs/api.md");
    let document: serde_json::Value =
        serde_json::from_str(&hub::openapi_json()).expect("the document is JSON");
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        names.insert(path.clone());
        for operation in item.as_object().expect("operations").values() {
            let responses = operation["responses"].as_object().expect("responses");
            for (_, response) in responses
                .iter()
                .filter(|(status, _)| status.starts_with(['4', '5']))
            {
                let description = response["description"].as_str().unwrap_or_default();
                let codes = description.split('`').skip(1).step_by(2);
                names.extend(codes.map(|code| format!("`{code}`")));
            }
        }
    }
    assert!(names.len() > 100, "the document was not read: {names:?}");
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !page.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/api.md does not name {missing:?}");
}

#[test]
fn every_operation_can_fail_in_the_ways_that_all_can() {
    let document: serde_json::Value =
        serde_json::from_str(&hub::openapi_json()).expect("the document is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let responses = &operation["responses"];
            for status in ["401", "429", "500", "503"] {
                assert!(
                    responses[status].is_object(),
                    "{method} {path} lacks {status}"
                );
            }
            for (status, response) in responses.as_object().expect("responses") {
                let is_problem = status.starts_with(['4', '5']);
                let content = response["content"].as_object();
                if is_problem
                    && content.is_some_and(|content| !content.is_empty())
                    && path != "/readyz"
                {
                    let names: Vec<_> = content
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name)
                        .collect();
                    assert_eq!(
                        names,
                        ["application/problem+json"],
                        "{method} {path} {status}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let hub = TestHub::start().await;
    let served = hub.get("/openapi.json").await.assert_status(200);
    let expected: serde_json::Value =
        serde_json::from_str(&hub::openapi_json()).expect("the document is JSON");
    assert_eq!(served.json(), expected);
    let tag = served.header("etag").to_owned();
    let again = hub
        .request(reqwest::Method::GET, "/openapi.json")
        .header("if-none-match", tag);
    hub.send(again).await.assert_status(304);
}
