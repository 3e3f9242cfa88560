//! Skills that can be run: found in folders, kept ready, and run in the sandbox, for `skills run` and for
//! requests of the mesh. Joins what `skill-client` knows of a skill to what `skill-sandbox` can hold and to
//! what `skill-mesh` asks; knows no command line, no environment and no network.
//!
//! A request, end to end: the [`SkillExecutor`] takes the [`Library`]'s snapshot, has the matcher choose a skill,
//! and has the skill's [`Contained`] entry point, which was prepared when the library was loaded, check the
//! input and become a job of the sandbox. No file is read on this way. When skills change on disk the
//! library is loaded anew, and what runs keeps the snapshot that it began with.
//!
//! [`Contained::new`] decides how an entry point is run: as a program in the sandbox, or as a WebAssembly
//! module, which it compiles, in this process. Either becomes [`Work`]. It is called when a skill is loaded, not
//! when it is asked for, and it asks for the skill's Python packages through [`Rules::packages`]: `skills run`
//! has them made on the spot, a [`Library`] beside its work, with the skill left out or as it was until then.
//!
//! Linux only, as the sandbox: elsewhere this crate is empty.
#![cfg(target_os = "linux")]

#[cfg(feature = "mesh")]
mod advice;
mod contain;
#[cfg(feature = "mesh")]
mod executor;
#[cfg(feature = "mesh")]
pub mod in_process;
#[cfg(feature = "mesh")]
mod library;
#[cfg(feature = "mesh")]
mod measure;
mod module;
mod permissions;
#[cfg(feature = "mesh")]
mod preparing;
mod python;
mod work;

#[cfg(feature = "mesh")]
pub use advice::{Advice, Advised, Advisor, Described, Unadvised};
pub use contain::{Contained, Neighbours, NotContained, Packages, Rules};
#[cfg(feature = "mesh")]
pub use executor::SkillExecutor;
#[cfg(feature = "mesh")]
pub use library::{LeftOut, Library, LibraryError, Snapshot, Source, Surroundings, Variable};
#[cfg(feature = "mesh")]
pub use measure::describe;
pub use permissions::{Granting, PermissionError, search_path};
pub use work::Work;
