//! `POST /api/v1/skills`: publishes a version.
//!
//! In this order, so that a crash at any point leaves either nothing or a whole
//! version: read the upload into bounded memory; inspect it; verify the
//! signature over the statement; store the blob durably; commit one transaction
//! with the version and its event; answer. A crash before the commit leaves at
//! most a blob that nothing refers to, which the sweep removes.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hub_db::{DbError, StoredResponse};
use hub_model::{KeyRecord, Scope, SkillId, VersionId};
use jiff::Timestamp;
use skill_format::{Explain, Sha256};
use skill_signing::{
    Fingerprint, PublicKey, Statement, VerifyError, issuer_fingerprint, verify_statement,
};
use utoipa::ToSchema;

use super::inspect::{InspectError, inspect};
use super::store::{Idempotency, Outcome, Publication, StoreError, store};
use super::upload;
use crate::App;
use crate::auth::Principal;
use crate::blobs::BlobError;
use crate::catalogue::get_version;
use crate::extract::idempotency_key;
use crate::problem::{FieldError, Problem, ProblemBody, answers_with_problem};

/// How long a publish waits for a place among those that are being read.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The token does not reach, or the upload cannot be read.
    #[error(transparent)]
    Request(Problem),
    #[error("too many publishes at once")]
    Busy,
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error("inspecting was stopped")]
    Stopped(#[from] tokio::task::JoinError),
    #[error("this hub takes signed versions only")]
    Unsigned,
    #[error("the signature was made by {0}, a key that the publisher has not registered here")]
    KeyNotRegistered(Fingerprint),
    #[error(transparent)]
    Signature(#[from] VerifyError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        match error {
            PublishError::Request(problem) => problem,
            PublishError::Busy => Self::unavailable(
                "The hub is reading as many publishes as it can; try again.",
                5,
            ),
            PublishError::Inspect(error) => inspect_problem(&error),
            PublishError::Stopped(error) => Self::internal(error),
            PublishError::Unsigned => Self::new(
                unprocessable,
                "signature-required",
                "This hub takes signed versions only. `skills publish` signs with your key.",
            ),
            PublishError::KeyNotRegistered(ref key) => Self::new(
                unprocessable,
                "key-not-registered",
                format!("{error}. Register it with `skills key register {key}`."),
            ),
            PublishError::Signature(error) => Self::new(
                unprocessable,
                "signature-invalid",
                format!("The signature does not count: {error}."),
            )
            .with_error(FieldError {
                code: Some(error.code().to_owned()),
                help: error.help(),
                ..FieldError::new("signature", error.to_string())
            }),
            PublishError::Blob(error) => error.into(),
            PublishError::Store(error) => store_problem(error),
            PublishError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(PublishError);

/// 422 `invalid-skill`, whatever is wrong with the content: `errors` says what.
fn inspect_problem(error: &InspectError) -> Problem {
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-skill",
        format!("The archive cannot be published: {error}."),
    );
    let field = match error {
        InspectError::Invalid(remarks) => return problem.with_diagnostics(remarks),
        InspectError::Archive(_) => "archive",
        InspectError::GivenVersion(_)
        | InspectError::OtherVersion { .. }
        | InspectError::NoVersion => "version",
    };
    problem.with_error(FieldError {
        code: error.archive_code().map(str::to_owned),
        ..FieldError::new(field, error.to_string())
    })
}

fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::Refused(refused) => match refused.fault() {
            skill_format::Fault::BadInput => {
                Problem::explained_as(StatusCode::UNPROCESSABLE_ENTITY, &refused)
            }
            _ => Problem::explained(refused),
        },
        StoreError::KeyReused => Problem::new(
            StatusCode::CONFLICT,
            "idempotency-key-reused",
            "The idempotency key was used for another request. Choose a fresh one.",
        ),
        StoreError::KeyInProgress => Problem::new(
            StatusCode::CONFLICT,
            "idempotency-key-in-use",
            "A request with this idempotency key is being worked on.",
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("2")),
        StoreError::Database(error) => error.into(),
    }
}

/// For the OpenAPI document only.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form")]
pub struct PublishForm {
    /// The packed skill: `.spm` (tar.gz) or zip.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    archive: Vec<u8>,
    /// The publisher's armored detached OpenPGP signature over the statement.
    signature: Option<String>,
    /// For a skill that states no version itself.
    version: Option<String>,
}

/// Publishes a version: the first one of a name makes the skill, and its
/// publisher the owner.
#[utoipa::path(
    post,
    path = "/api/v1/skills",
    tag = "packages",
    params(
        ("Idempotency-Key" = Option<String>, Header,
            description = "A request sent twice with the same key is done once and answered the same, for a day"),
        ("Skill-Signature" = Option<String>, Header,
            description = "Base64 of the armored signature, when the archive itself is the body"),
        ("Skill-Version" = Option<String>, Header,
            description = "The version, when the archive itself is the body and states none"),
    ),
    request_body(content(
        (PublishForm = "multipart/form-data"),
        (Vec<u8> = "application/gzip"),
        (Vec<u8> = "application/zip"),
        (Vec<u8> = "application/vnd.skills.spm"),
    )),
    security(("bearer" = [])),
    responses(
        (status = 201, description = "The version is published", body = get_version::VersionBody,
            headers(("Location" = String, description = "The release's address"))),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`, `role-insufficient`, `skill-not-allowed`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`version-exists`, `version-retired`, `name-taken`, `idempotency-key-reused`, `idempotency-key-in-use`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`payload-too-large`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 507, description = "`storage-full`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid-skill`, `invalid-upload`, `name-reserved`, `signature-required`, `signature-invalid`, `key-not-registered`",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn publish(
    State(app): State<App>,
    principal: Principal,
    request: Request,
) -> Result<Response, PublishError> {
    principal
        .require(Scope::Publish)
        .map_err(PublishError::Request)?;
    let key = idempotency_key(request.headers()).map_err(PublishError::Request)?;
    let place = app.publish_places().clone().acquire_owned();
    let _place = match tokio::time::timeout(PLACE_WAIT_MAX, place).await {
        Ok(Ok(place)) => place,
        Ok(Err(_)) | Err(_) => return Err(PublishError::Busy),
    };
    let limits = app.config().limits.package();
    let upload = upload::read(request, limits.archive_bytes_max)
        .await
        .map_err(PublishError::Request)?;
    let upload::Upload {
        archive,
        signature,
        version,
    } = upload;
    let request_hash = request_hash(&archive, signature.as_deref(), version.as_deref());

    let bytes = archive.clone();
    let inspected =
        tokio::task::spawn_blocking(move || inspect(&bytes, version.as_deref(), &limits)).await??;
    let name = inspected.manifest.name.clone();
    principal
        .require_for(Scope::Publish, name.as_str())
        .map_err(PublishError::Request)?;
    let now = app.now();
    let statement = Statement::new(&name, &inspected.version, inspected.sha256, inspected.size);
    let signer = match &signature {
        Some(signature) => Some(signer(&app, &principal, &statement, signature, now).await?),
        None if app.config().require_signatures => return Err(PublishError::Unsigned),
        None => None,
    };

    let user = principal.user_id().to_string();
    let publication = Publication {
        inspected: &inspected,
        statement: &statement,
        signature: signature.as_deref().zip(signer.as_ref()),
        publisher: &principal,
        now,
        skill_id: SkillId::generate(now, &mut app.rng()),
        version_id: VersionId::generate(now, &mut app.rng()),
        idempotency: key.as_deref().map(|key| Idempotency {
            principal: &user,
            key,
            request_hash: &request_hash,
        }),
    };
    match store_with_blob(&app, &publication, archive).await? {
        Outcome::Before(response) => Ok(replay(response)),
        Outcome::Published { skill_id, response } => {
            app.cache().invalidate(skill_id, name.as_str());
            app.metrics().publishes().increment(1);
            Ok(replay(response))
        }
    }
}

/// The blob first, durably; then the transaction that refers to it.
async fn store_with_blob(
    app: &App,
    publication: &Publication<'_>,
    archive: Bytes,
) -> Result<Outcome, PublishError> {
    let digest = publication.inspected.sha256;
    let _no_sweep = app.blobs().hold_sweep().await;
    let was_there = app.blobs().contains(digest).await?;
    app.blobs().put(digest, archive.clone()).await?;
    let outcome = store(app, publication).await?;
    // Another replica's sweep may have taken an old blob for an orphan in the
    // moment before the commit.
    if was_there && !app.blobs().contains(digest).await? {
        app.blobs().put(digest, archive).await?;
    }
    Ok(outcome)
}

/// The registered key of the publisher that made the signature, if it counts.
async fn signer(
    app: &App,
    principal: &Principal,
    statement: &Statement,
    signature: &str,
    now: Timestamp,
) -> Result<Fingerprint, PublishError> {
    let issuer = issuer_fingerprint(signature)?;
    let keys = app.db().keys().of_user(principal.user_id()).await?;
    for KeyRecord {
        armored,
        fingerprint,
        ..
    } in keys
    {
        let Ok(key) = PublicKey::from_armored(&armored) else {
            tracing::error!(%fingerprint, "a registered key cannot be read");
            continue;
        };
        match verify_statement(&key, statement, signature, now) {
            Ok(info) => return Ok(info.fingerprint),
            Err(VerifyError::WrongKey { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PublishError::KeyNotRegistered(issuer))
}

/// What makes two publishes the same request: their content, whatever form it was sent in.
fn request_hash(archive: &[u8], signature: Option<&str>, version: Option<&str>) -> String {
    let parts = [
        "publish",
        &Sha256::of(archive).hex(),
        signature.unwrap_or(""),
        version.unwrap_or(""),
    ];
    Sha256::of(parts.join("\0").as_bytes()).hex()
}

fn replay(stored: StoredResponse) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::CREATED);
    let location = stored.headers.iter().find(|(name, _)| name == "location");
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(value) = location.and_then(|(_, value)| HeaderValue::from_str(value).ok()) {
        headers.insert(LOCATION, value);
    }
    response
}
