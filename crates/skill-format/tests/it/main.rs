//! The public surface of the crate, as its callers use it.

mod archive;
mod checking;
mod examples;
mod linting;
mod package;
mod ranges;
mod reading;
mod rendering;
mod rewriting;
mod samples;
