//! Delivery through the public surface, the same on every transport, and SkillScale's wire.

mod bench;
mod conformance;
mod liveness;
mod seed;
mod transports;
mod zmtp;
