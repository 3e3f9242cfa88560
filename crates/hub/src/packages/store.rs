//! Makes an inspected archive a version of the catalogue: one transaction that
//! claims the name, decides, stores, and records the event last.

use http::StatusCode;
use hub_db::{
    Claim, Conflict, DbError, IdempotencyKey, NewSkill, NewVersion, StoredResponse, UnitOfWork,
};
use hub_model::publish::{self, Existing, PublishRefused};
use hub_model::{Event, PublishedSkill, SkillId, VersionId, VersionRecord, VersionState};
use jiff::Timestamp;
use skill_format::version_identity;
use skill_signing::{Fingerprint, Statement};

use super::inspect::Inspected;
use crate::App;
use crate::auth::Principal;
use crate::catalogue::body::checksum;
use crate::catalogue::get_version;
use crate::transaction::{in_transaction, retries_with_database};

/// A version about to be published, everything about it checked that can be
/// checked without the catalogue.
pub struct Publication<'a> {
    pub inspected: &'a Inspected,
    pub statement: &'a Statement,
    /// Armored, with the key that made it.
    pub signature: Option<(&'a str, &'a Fingerprint)>,
    pub publisher: &'a Principal,
    pub now: Timestamp,
    pub skill_id: SkillId,
    pub version_id: VersionId,
    pub idempotency: Option<Idempotency<'a>>,
}

/// The key under which this request is done once.
#[derive(Clone, Copy)]
pub struct Idempotency<'a> {
    pub principal: &'a str,
    pub key: &'a str,
    pub request_hash: &'a str,
}

/// How a publish ended.
pub enum Outcome {
    /// Just now. The response is stored under the idempotency key, if there is one.
    Published {
        skill_id: SkillId,
        response: StoredResponse,
    },
    /// By an earlier request with the same idempotency key.
    Before(StoredResponse),
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Refused(#[from] PublishRefused),
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("a request with this idempotency key is being worked on")]
    KeyInProgress,
    #[error(transparent)]
    Database(#[from] DbError),
}

retries_with_database!(StoreError);

/// Stores the version, and beside it the answer, so that a repeated request gets
/// the very same one.
pub async fn store(app: &App, publication: &Publication<'_>) -> Result<Outcome, StoreError> {
    let input = (app, publication);
    let outcome = in_transaction(app, &input, |unit, (app, publication)| {
        Box::pin(write(unit, app, publication))
    });
    match outcome.await {
        // Lost a race that the look before it did not see.
        Err(StoreError::Database(error)) if error.conflict() == Some(Conflict::Version) => {
            Err(StoreError::Refused(PublishRefused::VersionExists {
                name: publication.inspected.manifest.name.as_str().to_owned(),
                version: publication.inspected.version.to_string(),
            }))
        }
        outcome => outcome,
    }
}

async fn write(
    unit: &mut UnitOfWork,
    app: &App,
    publication: &Publication<'_>,
) -> Result<Outcome, StoreError> {
    if let Some(response) = claim_key(app, unit, publication).await? {
        return Ok(Outcome::Before(response));
    }
    let (skill_id, record) = insert(app, unit, publication).await?;
    record_event(app, unit, publication, &record);
    let response = publication.response(app, record);
    if let Some(key) = publication.idempotency {
        unit.idempotency()
            .complete(key_of(app, key), &response)
            .await?;
    }
    Ok(Outcome::Published { skill_id, response })
}

impl Publication<'_> {
    /// 201 with the release.
    fn response(&self, app: &App, record: VersionRecord) -> StoredResponse {
        let name = self.inspected.manifest.name.as_str();
        let location = app.links().release(name, &record.version);
        let publisher = self.publisher.username().to_owned();
        let body = get_version::render(app, name, record, self.statement.to_string(), publisher);
        StoredResponse {
            status: StatusCode::CREATED.as_u16(),
            headers: vec![("location".to_owned(), location)],
            // Strings, numbers and JSON values: serialising them has no way to fail.
            body: serde_json::to_string(&body).unwrap_or_default(),
        }
    }
}

fn key_of<'a>(app: &App, key: Idempotency<'a>) -> IdempotencyKey<'a> {
    let Idempotency {
        principal,
        key,
        request_hash,
    } = key;
    IdempotencyKey {
        tenant: app.tenant(),
        principal,
        key,
        request_hash,
    }
}

/// The response of an earlier request with the same key, if there is one.
async fn claim_key(
    app: &App,
    unit: &mut UnitOfWork,
    publication: &Publication<'_>,
) -> Result<Option<StoredResponse>, StoreError> {
    let Some(key) = publication.idempotency else {
        return Ok(None);
    };
    match unit
        .idempotency()
        .claim(key_of(app, key), publication.now)
        .await?
    {
        Claim::Fresh => Ok(None),
        Claim::Done(response) => Ok(Some(response)),
        Claim::Reused => Err(StoreError::KeyReused),
        Claim::InProgress => Err(StoreError::KeyInProgress),
    }
}

async fn insert(
    app: &App,
    unit: &mut UnitOfWork,
    publication: &Publication<'_>,
) -> Result<(SkillId, VersionRecord), StoreError> {
    let inspected = publication.inspected;
    let name = &inspected.manifest.name;
    let user = publication.publisher.user_id();
    let claimed = unit
        .skills()
        .claim(&NewSkill {
            id: publication.skill_id,
            tenant: app.tenant(),
            name: name.as_str().to_owned(),
            name_key: name.uniqueness_key(),
            created_by: user,
            created_at: publication.now,
        })
        .await?;
    let skill = claimed.skill;
    let identity = version_identity(&inspected.version);
    let existing = if claimed.created {
        None
    } else {
        let version = unit.versions().by_identity(skill.id, &identity).await?;
        Some(Existing {
            name: &skill.name,
            publisher_is_owner: unit.owners().is_owner(skill.id, user).await?,
            version: version.map(|version| version.state),
        })
    };
    publish::decide(name, &inspected.version, existing)?;
    let record = version_record(app, publication, skill.id);
    unit.versions()
        .insert(NewVersion {
            record: &record,
            depends_on: &inspected.depends_on(),
            body: &inspected.body,
        })
        .await?;
    Ok((skill.id, record))
}

fn version_record(app: &App, publication: &Publication<'_>, skill_id: SkillId) -> VersionRecord {
    let inspected = publication.inspected;
    VersionRecord {
        id: publication.version_id,
        tenant: app.tenant(),
        skill_id,
        version: inspected.version.to_string(),
        state: VersionState::Active,
        yank_reason: None,
        state_changed_at: None,
        about: inspected.about(),
        manifest: serde_json::json!(inspected.manifest),
        sha256: inspected.sha256.hex(),
        size: inspected.size,
        media_type: inspected.media_type.to_owned(),
        content_digest: inspected.content_digest.hex(),
        signature: publication.signature.map(|(armored, _)| armored.to_owned()),
        signer: publication
            .signature
            .map(|(_, key)| key.as_str().to_owned()),
        published_by: publication.publisher.user_id(),
        published_at: publication.now,
        downloads: 0,
    }
}

fn record_event(
    app: &App,
    unit: &mut UnitOfWork,
    publication: &Publication<'_>,
    record: &VersionRecord,
) {
    let about = &record.about;
    let skill = PublishedSkill {
        id: record.skill_id,
        name: publication.inspected.manifest.name.as_str().to_owned(),
        version_id: record.id,
        version: record.version.clone(),
        description: about.description.clone(),
        author: about.author.clone(),
        tags: about.tags.clone(),
        checksum: checksum(&record.sha256),
        signer: record.signer.clone(),
        published_at: record.published_at,
    };
    let agent_id = publication.publisher.username().to_owned();
    unit.record(
        app.tenant(),
        publication.now,
        Event::SkillPublished { skill, agent_id },
    );
}
