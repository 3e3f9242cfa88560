//! One repository per noun. Each file holds that noun's SQL, and the mapping between its rows and its record.

pub mod api_tokens;
pub mod dependents;
pub mod device_codes;
pub mod downloads;
pub mod events;
pub mod housekeeping;
pub mod idempotency;
pub mod invocations;
pub mod keys;
pub mod oidc;
pub mod owners;
pub mod ratings;
pub mod refresh_tokens;
pub mod settings;
pub mod skill_list;
pub mod skills;
pub mod stats;
mod tag_filter;
pub mod tags;
pub mod tenants;
pub mod usage;
pub mod users;
pub mod versions;
