//! Identifiers: one type per noun, so that a user's id cannot stand where a skill's is meant.
//! Knows nothing of the database; the text form is the hyphenated UUID (RFC 9562).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is no identifier: not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid identifier")]
pub struct InvalidId;

/// UUID version 7 from an explicit time and source of randomness: ids made later sort later, to the millisecond.
fn generate_v7(now: Timestamp, rng: &mut (impl RngCore + ?Sized)) -> Uuid {
    let mut random = [0_u8; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id (UUID version 7).
            pub fn generate(now: Timestamp, rng: &mut (impl RngCore + ?Sized)) -> Self {
                Self(generate_v7(now, rng))
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }
    )+};
}

ids! {
    /// A tenant: one realm's own part of the hub.
    TenantId;
    /// A person or machine with an account.
    UserId;
    SkillId;
    /// One published version of one skill.
    VersionId;
    /// A scoped API token for CI.
    TokenId;
    /// One refresh token; a rotation makes a new one.
    RefreshTokenId;
    /// All refresh tokens that came from one login. Reuse of a spent one revokes the family.
    FamilyId;
    /// One device authorization (RFC 8628).
    DeviceCodeId;
    /// One run of a skill that was asked for through the gateway.
    InvocationId;
}

impl TenantId {
    /// The tenant of a hub that has only one, and the owner of the global catalogue.
    /// The first migration inserts it under the name `default`.
    pub const DEFAULT: Self = Self(Uuid::from_u128(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up, so that two ids of the same millisecond differ.
    struct Counter(u64);

    impl RngCore for Counter {
        fn next_u32(&mut self) -> u32 {
            self.next_u64() as u32
        }
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            for chunk in dest.chunks_mut(8) {
                let bytes = self.next_u64().to_be_bytes();
                chunk.copy_from_slice(&bytes[..chunk.len()]);
            }
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("in range")
    }

    #[test]
    fn text_round_trips() {
        let id = SkillId::generate(at(1_700_000_000_000), &mut Counter(0));
        assert_eq!(id.to_string().parse::<SkillId>(), Ok(id));
        assert_eq!(id.to_string().len(), 36);
        assert_eq!(id.as_uuid().get_version_num(), 7);
    }

    #[test]
    fn later_ids_sort_later_as_text() {
        let mut rng = Counter(u64::MAX / 2);
        let earlier = UserId::generate(at(1_700_000_000_000), &mut rng);
        let later = UserId::generate(at(1_700_000_000_001), &mut Counter(0));
        assert!(earlier < later);
        assert!(earlier.to_string() < later.to_string());
    }

    #[test]
    fn refuses_what_is_no_uuid() {
        for text in [
            "",
            "1",
            "not-a-uuid",
            "00000000-0000-0000-0000-00000000000g",
        ] {
            assert_eq!(text.parse::<TenantId>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn default_tenant_is_fixed() {
        assert_eq!(
            TenantId::DEFAULT.to_string(),
            "00000000-0000-0000-0000-000000000001"
        );
    }
}
