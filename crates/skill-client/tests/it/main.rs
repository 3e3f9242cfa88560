//! The client as a program uses it, module by module.

mod agents;
mod audit;
mod audit_registry;
mod downloads;
mod faults;
mod git;
mod hub_api;
mod hub_install;
mod hub_publish;
mod hub_trust;
mod install_local;
mod load;
mod lock;
mod raw_server;
mod resolve;
mod run;
mod sessions;
mod store;
mod support;
