//! Publishing and what owners do afterwards: withdraw, deprecate, share ownership. Also ratings,
//! which everyone may give.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use skill_format::{Sha256, SkillName, Version};

use super::types::ReleaseDetail;
use super::{ApiError, Client, DOCUMENT_BYTES_MAX, parse};
use crate::http::{Multipart, Request};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is published.
#[derive(Debug, Clone)]
pub struct Publication {
    /// A packed skill.
    pub archive: Bytes,
    /// Armored and detached, over the statement.
    pub signature: Option<String>,
    /// For a skill that states no version itself.
    pub version: Option<Version>,
}

/// What somebody thinks of a skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    pub username: String,
    /// 1 to 5.
    pub rating: u8,
}

impl Client {
    /// Publishes a version.
    pub async fn publish(&self, publication: &Publication) -> Result<ReleaseDetail, ApiError> {
        let mut form = Multipart::new();
        if let Some(version) = &publication.version {
            form = form.text("version", version.to_string());
        }
        if let Some(signature) = &publication.signature {
            form = form.text("signature", signature.clone());
        }
        let (content_type, body) = form
            .file(
                "archive",
                "skill.spm",
                "application/gzip",
                publication.archive.clone(),
            )
            .encode();
        let mut request = Request::new(Method::POST, self.url(&["skills"]))
            .header(ACCEPT, "application/json")
            // The same request gives the same key: sent again after a lost answer it gets that
            // answer, and another content never meets it.
            .header(IDEMPOTENCY_KEY, &Sha256::of(&body).hex())
            .body(&content_type, body);
        request.idempotent = true;
        let url = request.url.clone();
        parse(
            &url,
            &self.send_as_user(request, DOCUMENT_BYTES_MAX).await?.body,
        )
    }

    /// Withdraws a version: nobody new resolves to it.
    pub async fn yank(
        &self,
        name: &SkillName,
        version: &Version,
        reason: Option<&str>,
    ) -> Result<(), ApiError> {
        let query: Vec<_> = reason
            .map(|reason| ("reason", reason))
            .into_iter()
            .collect();
        self.delete(&["skills", name.as_str(), &version.to_string()], &query)
            .await
    }

    /// Takes a withdrawal back.
    pub async fn unyank(&self, name: &SkillName, version: &Version) -> Result<(), ApiError> {
        self.patch_nothing(
            &["skills", name.as_str(), &version.to_string()],
            &json!({"yanked": false}),
        )
        .await
    }

    /// Deletes a version for good: soon after publishing it, and only if nothing depends on it.
    pub async fn delete_version(
        &self,
        name: &SkillName,
        version: &Version,
    ) -> Result<(), ApiError> {
        self.delete(
            &["skills", name.as_str(), &version.to_string()],
            &[("hard", "true")],
        )
        .await
    }

    /// Marks a skill as deprecated, with advice, or with `None` takes that back.
    pub async fn deprecate(&self, name: &SkillName, message: Option<&str>) -> Result<(), ApiError> {
        let segments = ["skills", name.as_str(), "deprecation"];
        match message {
            Some(message) => {
                self.put_nothing(&segments, &json!({"message": message}))
                    .await
            }
            None => self.delete(&segments, &[]).await,
        }
    }

    /// Rates a skill from 1 to 5, or with `None` takes the rating back.
    pub async fn rate(&self, name: &SkillName, rating: Option<u8>) -> Result<(), ApiError> {
        let segments = ["skills", name.as_str(), "rating"];
        match rating {
            Some(rating) => {
                self.put_nothing(&segments, &json!({"rating": rating}))
                    .await
            }
            None => self.delete(&segments, &[]).await,
        }
    }

    /// What people gave a skill.
    pub async fn ratings(&self, name: &SkillName) -> Result<Vec<Rating>, ApiError> {
        #[derive(Deserialize)]
        struct Ratings {
            ratings: Vec<Rating>,
        }
        self.read(&["skills", name.as_str(), "ratings"])
            .await
            .map(|answer: Ratings| answer.ratings)
    }

    /// The users who may publish a skill.
    pub async fn owners(&self, name: &SkillName) -> Result<Vec<String>, ApiError> {
        #[derive(Deserialize)]
        struct Owners {
            owners: Vec<Owner>,
        }
        #[derive(Deserialize)]
        struct Owner {
            username: String,
        }
        let answer: Owners = self.read(&["skills", name.as_str(), "owners"]).await?;
        Ok(answer
            .owners
            .into_iter()
            .map(|owner| owner.username)
            .collect())
    }

    /// Lets another user publish a skill.
    pub async fn add_owner(&self, name: &SkillName, username: &str) -> Result<(), ApiError> {
        self.put_nothing(&["skills", name.as_str(), "owners", username], &json!({}))
            .await
    }

    /// Ends that.
    pub async fn remove_owner(&self, name: &SkillName, username: &str) -> Result<(), ApiError> {
        self.delete(&["skills", name.as_str(), "owners", username], &[])
            .await
    }
}
