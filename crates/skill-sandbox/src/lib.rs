//! Runs an untrusted program, such as a skill's script, contained: nothing inherited, nothing
//! outside reached, nothing left behind. Knows no skill, no protocol and no runtime; the caller
//! brings a path, an environment, bytes and limits.
//!
//! A [`Sandbox`] keeps *launchers*: small processes of one thread that pay once for namespaces, a
//! file tree of their own, Landlock and seccomp, and then start one job after the other. A
//! launcher serves one skill's folder under one set of grants, so a job costs little more than
//! its own `exec`; between two jobs everything that the first started is killed and everything
//! that it wrote is removed. A launcher is the caller's own binary, started again: `main` calls
//! [`serve_if_launcher`] before anything else.
//!
//! ```no_run
//! use skill_sandbox::{Job, Sandbox, Settings};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     skill_sandbox::serve_if_launcher();
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//!     runtime.block_on(async {
//!         let sandbox = Sandbox::start(Settings::default()).await?;
//!         let outcome = sandbox.run(Job::new("/bin/echo", "/srv/skills/greeter")).await?;
//!         assert!(outcome.ended.is_success());
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Two levels exist. *Full*: user, mount, process, IPC, UTS, cgroup and network namespaces,
//! Landlock, seccomp and resource limits. *Degraded*, where the host refuses namespaces: Landlock,
//! seccomp and resource limits, with a launcher that hunts down descendants. Whatever of the full
//! level is missing is an error that names it, unless [`Settings::allow_degraded`] is set; then
//! [`Outcome::protections`] says so. Linux only: elsewhere this crate is empty.
#![cfg(target_os = "linux")]

mod beneath;
mod error;
mod grants;
mod job;
mod launcher;
mod outcome;
mod pump;
mod sandbox;
mod seccomp;
mod settings;
mod slot;
mod sys;
mod wire;

pub use error::SandboxError;
pub use job::{Below, Chunk, Grants, Job, Limits, Stream};
pub use launcher::serve_if_launcher;
pub use outcome::{Ended, Level, MemoryBound, Missing, Outcome, Output, Protection, Protections};
pub use sandbox::Sandbox;
pub use settings::Settings;
