//! The hub's rules and records: who may do what, what a version number promises, how a list is ordered,
//! what an event says. Pure: no I/O, no clock of its own, no database, no HTTP.
//!
//! A rule takes what is known (records, the time) and answers with a decision or with the reason against it;
//! the caller, inside one transaction, does what was decided.

mod access;
mod accounts;
mod catalogue;
mod clock;
mod event;
mod explain;
mod ids;
mod invocation;
mod list;
mod name_pattern;
mod rules;
mod version_keys;

pub use access::{Denied, Grant, Role, Scope, ScopeSet, UnknownWord};
pub use accounts::{
    ApiToken, DeviceCode, DeviceState, KeyRecord, OidcIdentity, OidcLogin, RefreshToken,
    SecretHash, TenantRecord, UserRecord,
};
pub use catalogue::{
    About, DayCount, Dependent, Deprecation, Downloads, IndexEntry, Latest, OwnerRecord,
    RatingRecord, RatingSummary, ReleaseRecord, SkillDependency, SkillRecord, Stats, TagCount,
    VersionRecord, VersionState,
};
pub use clock::{Clock, SystemClock, day_of, whole_milliseconds};
pub use event::{Event, InvocationRef, PublishedSkill, SkillRef, StoredEvent, UserRef, VersionRef};
pub use ids::{
    DeviceCodeId, FamilyId, InvalidId, InvocationId, RefreshTokenId, SkillId, TenantId, TokenId,
    UserId, VersionId,
};
pub use invocation::{
    DayUsage, Ending, InvocationError, InvocationFault, InvocationRecord, InvocationStatus, Usage,
    UserUsage,
};
pub use list::{
    Cursor, InvalidCursor, InvalidPage, Page, Place, Sort, Start, UnknownSort, rating_rank,
};
pub use name_pattern::{InvalidPattern, NamePattern};
pub use rules::{api_token, device, ownership, publish, rating, refresh, unpublish, user};
pub use skill_format::{Explain, Fault, Place as ErrorPlace};
pub use version_keys::{VersionKeys, precedence_key};
