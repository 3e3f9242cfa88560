//! Runs WebAssembly command modules (WASI preview 1), contained: they compute, read the folders that they
//! are given, and reach nothing else. Knows no skill, no protocol and no runtime; a run blocks its thread.
//!
//! A [`Module`] is checked and compiled once, and each [`Module::run`] makes an instance of its own: no run
//! sees another's memory. The interpreter works in slices of fuel and looks between two of them whether time
//! is up or somebody has called [`Stop::stop`]; calls into the system look as well, and sleeping is waiting
//! for that. There is no process to kill and nothing that can be left behind.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use skill_wasm::{Job, Limits, Module, Stop, World};
//!
//! let world = World {
//!     wall_clock: Arc::new(|| Duration::from_secs(1_800_000_000)),
//!     random: Arc::new(|bytes| bytes.fill(4)),
//! };
//! let module = Module::load("skills/greeter/scripts/run.wasm".as_ref(), &Limits::default())?;
//! let mut job = Job::new(world);
//! job.stdin = b"some input".to_vec();
//! let outcome = module.run(job, &Stop::new());
//! println!("{:?}: {} bytes", outcome.ended, outcome.stdout.len());
//! # Ok::<(), skill_wasm::ModuleError>(())
//! ```

mod job;
mod limiter;
mod module;
mod stop;
mod wasi;

pub use job::{Ended, Folder, Job, Limits, Outcome, Progress, Random, Stream, WallClock, World};
pub use module::{MODULE_BYTES_MAX, Module, ModuleError};
pub use stop::Stop;
