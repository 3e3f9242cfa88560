//! The program as people meet it: the real binary, its output and its exit codes.

mod audit;
mod authoring;
mod cli_reference;
mod crash;
mod doctor;
mod hub;
mod keys;
mod packing;
mod project;
mod project_sources;
mod running;
mod signing;
mod support;
mod usage;
mod wasm;
