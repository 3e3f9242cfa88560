//! People with accounts: what a test does in their name.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use skill_format::{SkillName, Version};
use skill_signing::{SecretKey, Statement, sign};

use crate::answer::Answer;
use crate::clock::ManualClock;
use crate::fixture::Fixture;

/// Long enough for the rules, the same for everybody.
pub const PASSWORD: &str = "correct horse battery";

/// An account of a [`TestHub`](crate::TestHub), signed in.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    /// An access token.
    pub token: String,
    pub refresh_token: String,
    key: Option<Arc<SecretKey>>,
    base: String,
    client: reqwest::Client,
    clock: Arc<ManualClock>,
}

impl Person {
    /// Registers the account and signs in.
    pub(crate) async fn register(
        base: &str,
        client: reqwest::Client,
        clock: Arc<ManualClock>,
        name: &str,
    ) -> Self {
        let account = json!({"username": name, "password": PASSWORD});
        let register = client
            .post(format!("{base}/api/v1/auth/register"))
            .json(&account);
        send(register).await.assert_status(201);
        let person = Self {
            name: name.to_owned(),
            token: String::new(),
            refresh_token: String::new(),
            key: None,
            base: base.to_owned(),
            client,
            clock,
        };
        person.sign_in_again().await
    }

    /// The same person in a new session.
    pub async fn sign_in_again(mut self) -> Self {
        let account = json!({"username": self.name, "password": PASSWORD});
        let login = self
            .client
            .post(format!("{}/api/v1/auth/login", self.base))
            .json(&account);
        let tokens = send(login).await.assert_status(200).json();
        let text = |field: &str| tokens[field].as_str().expect("a token").to_owned();
        self.token = text("accessToken");
        self.refresh_token = text("refreshToken");
        self
    }

    pub(crate) fn with_token_alone(
        base: &str,
        client: reqwest::Client,
        clock: Arc<ManualClock>,
        token: &str,
    ) -> Self {
        Self {
            name: String::new(),
            token: token.to_owned(),
            refresh_token: String::new(),
            key: None,
            base: base.to_owned(),
            client,
            clock,
        }
    }

    /// The same person with another token, such as a CI job of theirs.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// This person's signing key, if one was made.
    pub fn key(&self) -> Option<&SecretKey> {
        self.key.as_deref()
    }

    /// Signs with this key from now on; registers nothing.
    #[must_use]
    pub fn signing_with(mut self, key: SecretKey) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Makes a key, proves to have it, and registers it.
    pub async fn make_key(&mut self) {
        let now = hub_model::Clock::now(&*self.clock);
        let user_id = format!("{} <{}@example.org>", self.name, self.name);
        let key = SecretKey::generate(&user_id, None, now, &mut rand::rng()).expect("a key");
        self.register_key(&key).await.assert_status(201);
        self.key = Some(Arc::new(key));
    }

    /// Asks for a challenge, signs it with `key`, registers the key.
    pub async fn register_key(&self, key: &SecretKey) -> Answer {
        let challenge = self
            .get("/api/v1/keys/challenge")
            .await
            .assert_status(200)
            .json();
        let challenge = challenge["challenge"].as_str().expect("a challenge");
        let now = hub_model::Clock::now(&*self.clock);
        let signature = sign(key, None, challenge.as_bytes(), now).expect("signs");
        let body = json!({
            "armored": key.public().to_armored(),
            "challenge": challenge,
            "signature": signature,
        });
        self.send_json(Method::POST, "/api/v1/keys", &body).await
    }

    /// A request with this person's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PUT, path, &body).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::POST, path, &body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_json(Method::PATCH, path, &body).await
    }

    async fn send_json(&self, method: Method, path: &str, body: &Value) -> Answer {
        send(self.request(method, path).json(body)).await
    }

    /// Publishes a skill, signed with this person's key if there is one.
    pub async fn publish(&self, skill: &Fixture) -> Answer {
        let archive = skill.archive();
        let signature = self.signature_over(skill, &archive);
        self.publish_archive(archive, signature.as_deref()).await
    }

    /// Publishes bytes as they are, as multipart/form-data.
    pub async fn publish_archive(&self, archive: Vec<u8>, signature: Option<&str>) -> Answer {
        let part = reqwest::multipart::Part::bytes(archive).file_name("skill.spm");
        let mut form = reqwest::multipart::Form::new().part("archive", part);
        if let Some(signature) = signature {
            form = form.text("signature", signature.to_owned());
        }
        send(self.request(Method::POST, "/api/v1/skills").multipart(form)).await
    }

    /// The armored signature over the statement of `archive`; `None` without a key.
    pub fn signature_over(&self, skill: &Fixture, archive: &[u8]) -> Option<String> {
        let key = self.key.as_deref()?;
        let name: SkillName = skill.name().parse().expect("a fixture's name is valid");
        let version: Version = skill
            .version_text()
            .parse()
            .expect("a fixture's version is valid");
        let statement = Statement::about(&name, &version, archive);
        let now = hub_model::Clock::now(&*self.clock);
        Some(sign(key, None, &statement.to_bytes(), now).expect("signs"))
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request.send().await.expect("the hub answers")).await
}
