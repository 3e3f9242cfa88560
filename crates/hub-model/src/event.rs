//! What happened, as told to others: the outbox, WebSocket, SSE, search. A kebab-case `type` and camelCase fields.
//! Written in the transaction that did it; told only after that transaction is committed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::ids::{InvocationId, SkillId, TenantId, UserId, VersionId};
use crate::invocation::{InvocationFault, InvocationStatus};

/// One event. `agentId` names who did it, as the catalogue shows them (the username).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A version became available; the first of a name makes the skill.
    SkillPublished {
        skill: PublishedSkill,
        agent_id: String,
    },
    VersionYanked {
        version: VersionRef,
        reason: Option<String>,
        agent_id: String,
    },
    VersionRestored {
        version: VersionRef,
        agent_id: String,
    },
    /// `sha256` (hex) names the archive, which nothing refers to any more unless another version has the same bytes.
    VersionDeleted {
        version: VersionRef,
        sha256: String,
        agent_id: String,
    },
    /// `message` is null when the deprecation was lifted.
    SkillDeprecated {
        skill: SkillRef,
        message: Option<String>,
        agent_id: String,
    },
    /// `rating` (1 to 5) is null when the user took theirs back; `mean` and `count` are the skill's from then on.
    SkillRated {
        skill: SkillRef,
        rating: Option<u8>,
        mean: f64,
        count: u64,
        agent_id: String,
    },
    OwnerAdded {
        skill: SkillRef,
        owner: String,
        agent_id: String,
    },
    OwnerRemoved {
        skill: SkillRef,
        owner: String,
        agent_id: String,
    },
    KeyRegistered {
        fingerprint: String,
        agent_id: String,
    },
    KeyRevoked {
        fingerprint: String,
        agent_id: String,
    },
    KeyRemoved {
        fingerprint: String,
        agent_id: String,
    },
    UserRegistered {
        user: UserRef,
    },
    UserRoleChanged {
        user: UserRef,
        role: Role,
        agent_id: String,
    },
    UserDisabled {
        user: UserRef,
        agent_id: String,
    },
    UserEnabled {
        user: UserRef,
        agent_id: String,
    },
    /// An invocation was accepted, began, or ended; `code` says why it came to no result. Never its input or output.
    InvocationChanged {
        invocation: InvocationRef,
        status: InvocationStatus,
        code: Option<InvocationFault>,
        agent_id: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedSkill {
    pub id: SkillId,
    pub name: String,
    pub version_id: VersionId,
    pub version: String,
    pub description: String,
    pub author: Option<String>,
    pub tags: Vec<String>,
    /// `sha256:<hex>` of the archive.
    pub checksum: String,
    pub signer: Option<String>,
    pub published_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillRef {
    pub id: SkillId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionRef {
    pub skill_id: SkillId,
    pub name: String,
    pub version_id: VersionId,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    pub id: UserId,
    pub username: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvocationRef {
    pub id: InvocationId,
    pub skill_id: SkillId,
    pub skill: String,
}

impl Event {
    /// The `type` of the JSON form.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SkillPublished { .. } => "skill-published",
            Self::VersionYanked { .. } => "version-yanked",
            Self::VersionRestored { .. } => "version-restored",
            Self::VersionDeleted { .. } => "version-deleted",
            Self::SkillDeprecated { .. } => "skill-deprecated",
            Self::SkillRated { .. } => "skill-rated",
            Self::OwnerAdded { .. } => "owner-added",
            Self::OwnerRemoved { .. } => "owner-removed",
            Self::KeyRegistered { .. } => "key-registered",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::KeyRemoved { .. } => "key-removed",
            Self::UserRegistered { .. } => "user-registered",
            Self::UserRoleChanged { .. } => "user-role-changed",
            Self::UserDisabled { .. } => "user-disabled",
            Self::UserEnabled { .. } => "user-enabled",
            Self::InvocationChanged { .. } => "invocation-changed",
        }
    }

    /// The skill that changed, if one did: what a search index or a cache must look at again.
    pub fn skill_id(&self) -> Option<SkillId> {
        match self {
            Self::SkillPublished { skill, .. } => Some(skill.id),
            Self::VersionYanked { version, .. }
            | Self::VersionRestored { version, .. }
            | Self::VersionDeleted { version, .. } => Some(version.skill_id),
            Self::SkillDeprecated { skill, .. }
            | Self::SkillRated { skill, .. }
            | Self::OwnerAdded { skill, .. }
            | Self::OwnerRemoved { skill, .. } => Some(skill.id),
            Self::KeyRegistered { .. }
            | Self::KeyRevoked { .. }
            | Self::KeyRemoved { .. }
            | Self::UserRegistered { .. }
            | Self::UserRoleChanged { .. }
            | Self::UserDisabled { .. }
            | Self::UserEnabled { .. }
            // Running a skill does not change it.
            | Self::InvocationChanged { .. } => None,
        }
    }
}

/// An event as the outbox holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Grows in the order of commits, without gaps.
    pub seq: i64,
    pub tenant: TenantId,
    pub at: Timestamp,
    /// The JSON's `type`. May be one that this program does not know yet, written by a newer replica.
    pub kind: String,
    /// The whole event as JSON.
    pub payload: serde_json::Value,
}

impl StoredEvent {
    /// The event, or `None` if this program does not know its kind or shape.
    pub fn event(&self) -> Option<Event> {
        Event::deserialize(&self.payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user() -> UserRef {
        UserRef {
            id: "00000000-0000-7000-8000-000000000001"
                .parse()
                .expect("an id"),
            username: "alice".into(),
        }
    }

    fn version() -> VersionRef {
        VersionRef {
            skill_id: "00000000-0000-7000-8000-000000000002"
                .parse()
                .expect("an id"),
            name: "csv-analyzer".into(),
            version_id: "00000000-0000-7000-8000-000000000003"
                .parse()
                .expect("an id"),
            version: "1.0.0".into(),
        }
    }

    fn skill() -> SkillRef {
        SkillRef {
            id: version().skill_id,
            name: version().name,
        }
    }

    fn published() -> Event {
        Event::SkillPublished {
            skill: PublishedSkill {
                id: version().skill_id,
                name: version().name,
                version_id: version().version_id,
                version: version().version,
                description: "Reads tables".into(),
                author: None,
                tags: vec!["data".into()],
                checksum: "sha256:00".into(),
                signer: None,
                published_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
            },
            agent_id: "alice".into(),
        }
    }

    fn one_of_each() -> Vec<Event> {
        let by = || "alice".to_string();
        vec![
            published(),
            Event::VersionYanked {
                version: version(),
                reason: Some("broken".into()),
                agent_id: by(),
            },
            Event::VersionRestored {
                version: version(),
                agent_id: by(),
            },
            Event::VersionDeleted {
                version: version(),
                sha256: "00".into(),
                agent_id: by(),
            },
            Event::SkillDeprecated {
                skill: skill(),
                message: None,
                agent_id: by(),
            },
            Event::SkillRated {
                skill: skill(),
                rating: Some(4),
                mean: 4.5,
                count: 2,
                agent_id: by(),
            },
            Event::OwnerAdded {
                skill: skill(),
                owner: "bob".into(),
                agent_id: by(),
            },
            Event::OwnerRemoved {
                skill: skill(),
                owner: "bob".into(),
                agent_id: by(),
            },
            Event::KeyRegistered {
                fingerprint: "AB".into(),
                agent_id: by(),
            },
            Event::KeyRevoked {
                fingerprint: "AB".into(),
                agent_id: by(),
            },
            Event::KeyRemoved {
                fingerprint: "AB".into(),
                agent_id: by(),
            },
            Event::UserRegistered { user: user() },
            Event::UserRoleChanged {
                user: user(),
                role: Role::Admin,
                agent_id: by(),
            },
            Event::UserDisabled {
                user: user(),
                agent_id: by(),
            },
            Event::UserEnabled {
                user: user(),
                agent_id: by(),
            },
            Event::InvocationChanged {
                invocation: InvocationRef {
                    id: "00000000-0000-7000-8000-000000000004"
                        .parse()
                        .expect("an id"),
                    skill_id: skill().id,
                    skill: skill().name,
                },
                status: InvocationStatus::Failed,
                code: Some(InvocationFault::SkillFailed),
                agent_id: by(),
            },
        ]
    }

    #[test]
    fn the_kind_is_the_type_in_json() {
        for event in one_of_each() {
            let json = serde_json::to_value(&event).expect("serialises");
            assert_eq!(json["type"], event.kind());
        }
    }

    #[test]
    fn json_round_trips() {
        for event in one_of_each() {
            let json = serde_json::to_value(&event).expect("serialises");
            let stored = StoredEvent {
                seq: 1,
                tenant: TenantId::DEFAULT,
                at: Timestamp::UNIX_EPOCH,
                kind: event.kind().into(),
                payload: json,
            };
            assert_eq!(stored.event(), Some(event));
        }
    }

    #[test]
    fn a_published_skill_has_the_documented_shape() {
        assert_eq!(
            serde_json::to_value(published()).expect("serialises"),
            json!({
                "type": "skill-published",
                "skill": {
                    "id": "00000000-0000-7000-8000-000000000002",
                    "name": "csv-analyzer",
                    "versionId": "00000000-0000-7000-8000-000000000003",
                    "version": "1.0.0",
                    "description": "Reads tables",
                    "author": null,
                    "tags": ["data"],
                    "checksum": "sha256:00",
                    "signer": null,
                    "publishedAt": "2026-01-02T03:04:05Z",
                },
                "agentId": "alice",
            })
        );
    }

    #[test]
    fn an_event_of_a_newer_program_is_kept_but_not_understood() {
        let stored = StoredEvent {
            seq: 1,
            tenant: TenantId::DEFAULT,
            at: Timestamp::UNIX_EPOCH,
            kind: "skill-transmuted".into(),
            payload: json!({"type": "skill-transmuted"}),
        };
        assert_eq!(stored.event(), None);
    }

    #[test]
    fn events_about_a_skill_name_it() {
        let with_skill = one_of_each()
            .iter()
            .filter(|event| event.skill_id() == Some(skill().id))
            .count();
        assert_eq!(with_skill, 8);
    }
}
