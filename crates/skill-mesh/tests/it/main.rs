//! Delivery through the public surface, the same on every transport, and SkillScale's wire.

mod bench;
mod conformance;
mod liveness;
mod nats;
mod nats_server;
mod seed;
mod transports;
mod zmtp;
