//! Users and skills to test with.

use hub_db::{Db, DbError, KeptSince, NewSkill, NewVersion, UnitOfWork};
use hub_model::{
    About, Event, PublishedSkill, Role, SecretHash, SkillDependency, SkillId, SkillRecord,
    TenantId, UserId, UserRecord, VersionId, VersionRecord, VersionState,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub const TENANT: TenantId = TenantId::DEFAULT;

/// The beginning of time in these tests.
pub fn start() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().expect("a time")
}

pub fn later(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// What is older than `time` may go.
pub fn kept_since(time: Timestamp) -> KeptSince {
    KeptSince {
        events: time,
        invocations: time,
    }
}

/// A new id of the type named. A macro and not an expression at hand: the thread's random source must not live across
/// an await.
macro_rules! fresh {
    ($id:ty) => {{
        fn id() -> $id {
            <$id>::generate($crate::fixture::start(), &mut rand::rng())
        }
        id()
    }};
}
pub(crate) use fresh;

pub fn user_record(username: &str) -> UserRecord {
    UserRecord {
        id: fresh!(UserId),
        tenant: TENANT,
        username: username.into(),
        email: None,
        password: Some(SecretHash::new("$argon2id$…")),
        role: Role::Publisher,
        disabled: false,
        created_at: start(),
        updated_at: start(),
    }
}

pub async fn user(db: &Db, username: &str) -> UserRecord {
    let user = user_record(username);
    let mut unit = db.begin().await.expect("begins");
    unit.users().insert(&user).await.expect("inserts");
    unit.commit().await.expect("commits");
    user
}

pub fn about(description: &str, tags: &[&str]) -> About {
    About {
        description: description.into(),
        author: Some("alice".into()),
        license: Some("MIT".into()),
        repository: None,
        homepage: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        capabilities: vec!["analysis".into()],
        frameworks: json!([{"name": "anthropic-claude"}]),
        dependencies: json!({}),
    }
}

/// A version about to be published.
#[derive(Clone)]
pub struct Draft {
    pub name: String,
    pub version: String,
    pub about: About,
    pub depends_on: Vec<SkillDependency>,
    pub at: Timestamp,
}

pub fn draft(name: &str, version: &str) -> Draft {
    Draft {
        name: name.into(),
        version: version.into(),
        about: about("A skill", &[]),
        depends_on: Vec::new(),
        at: start(),
    }
}

impl Draft {
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.about.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self
    }

    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    pub fn depends_on(mut self, name: &str, range: &str) -> Self {
        self.depends_on.push(SkillDependency {
            name: name.into(),
            name_key: name.into(),
            range: range.into(),
        });
        self
    }

    pub fn record(&self, skill: SkillId, by: UserId) -> VersionRecord {
        VersionRecord {
            id: fresh!(VersionId),
            tenant: TENANT,
            skill_id: skill,
            version: self.version.clone(),
            state: VersionState::Active,
            yank_reason: None,
            state_changed_at: None,
            about: self.about.clone(),
            manifest: json!({"name": self.name, "version": self.version}),
            sha256: format!("{:064x}", fresh!(VersionId).as_uuid().as_u128()),
            size: 1234,
            media_type: "application/gzip".into(),
            content_digest: "c".repeat(64),
            signature: Some("-----BEGIN PGP SIGNATURE-----".into()),
            signer: Some("AB".repeat(20)),
            published_by: by,
            published_at: self.at,
            downloads: 0,
        }
    }

    /// Publishes inside `unit`.
    pub async fn publish_in(
        &self,
        unit: &mut UnitOfWork,
        by: &UserRecord,
    ) -> Result<VersionRecord, DbError> {
        let claimed = unit
            .skills()
            .claim(&NewSkill {
                id: fresh!(SkillId),
                tenant: TENANT,
                name: self.name.clone(),
                name_key: self.name.clone(),
                created_by: by.id,
                created_at: self.at,
            })
            .await?;
        let record = self.record(claimed.skill.id, by.id);
        let new = NewVersion {
            record: &record,
            depends_on: &self.depends_on,
            body: "# Instructions",
        };
        unit.versions().insert(new).await?;
        unit.record(
            TENANT,
            self.at,
            published(&record, &self.name, &by.username),
        );
        Ok(record)
    }

    /// Publishes in a unit of work of its own, again when the database asks for that: PostgreSQL
    /// resolves two insertions of the same skill by ending one as a deadlock.
    pub async fn try_publish(&self, db: &Db, by: &UserRecord) -> Result<VersionRecord, DbError> {
        loop {
            let mut unit = db.begin().await?;
            let outcome = match self.publish_in(&mut unit, by).await {
                Ok(record) => unit.commit().await.map(|()| record),
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if error.is_retryable() => {}
                outcome => return outcome,
            }
        }
    }

    pub async fn publish(&self, db: &Db, by: &UserRecord) -> VersionRecord {
        self.try_publish(db, by).await.expect("publishes")
    }
}

pub fn published(version: &VersionRecord, name: &str, agent_id: &str) -> Event {
    Event::SkillPublished {
        skill: PublishedSkill {
            id: version.skill_id,
            name: name.into(),
            version_id: version.id,
            version: version.version.clone(),
            description: version.about.description.clone(),
            author: version.about.author.clone(),
            tags: version.about.tags.clone(),
            checksum: format!("sha256:{}", version.sha256),
            signer: version.signer.clone(),
            published_at: version.published_at,
        },
        agent_id: agent_id.into(),
    }
}

pub async fn skill(db: &Db, name: &str) -> SkillRecord {
    db.skills()
        .by_name(TENANT, name)
        .await
        .expect("queries")
        .expect("exists")
}
