//! Accounts and credentials through HTTP: what works, and what an attacker tries.

mod accounts;
mod api_tokens;
mod attacks;
mod bootstrap;
mod browser;
mod device;
mod gate;
mod keys;
mod oidc;
mod oidc_hostile;
mod page;
mod sessions;
mod users;

use reqwest::Method;
use serde_json::Value;
use testkit::{Answer, TestHub};

/// The password of everybody whom the testkit registers.
const PASSWORD: &str = "correct horse battery";

/// An anonymous request with a JSON body.
async fn send(hub: &TestHub, method: Method, path: &str, body: &Value) -> Answer {
    hub.send(hub.request(method, path).json(body)).await
}

/// An anonymous POST.
async fn post(hub: &TestHub, path: &str, body: Value) -> Answer {
    send(hub, Method::POST, path, &body).await
}

/// A GET with a bearer token.
async fn get_with(hub: &TestHub, path: &str, token: &str) -> Answer {
    hub.send(hub.request(Method::GET, path).bearer_auth(token))
        .await
}

/// A text field of a JSON answer.
fn text(answer: &Value, field: &str) -> String {
    answer[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text `{field}` in {answer}"))
        .to_owned()
}

/// The service that an environment variable names; a missing one fails the test.
fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: `cargo xtask test` starts a server and sets it")
    })
}
