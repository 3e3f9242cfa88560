//! The program as people meet it: the real binary, its output and its exit codes.

mod account;
mod audit;
mod authoring;
mod cli_reference;
mod controller;
mod crash;
mod doctor;
mod full_disk;
mod hub;
mod installing;
mod keys;
mod mesh;
mod own_skills;
mod packing;
mod project;
mod project_sources;
mod python;
mod registries;
mod running;
mod seccomp_profile;
mod serving;
mod signing;
mod support;
mod usage;
mod wasm;
