//! `skills proxy`, `skills worker` and `skills call` as programs of their own, asked by SkillScale's agent,
//! which is written here from its protocol's text alone. `docs/mesh.md` says which test pins what.

mod answers;
pub mod bench;
mod commands;
mod delivery;
mod gateway;
mod limits;
mod matching;
mod nats;
pub mod permissions;
mod reload;
mod tracing;
