//! What an entry point needs of Python, out of its script and its manifest.

use std::collections::BTreeSet;
use std::path::Path;

use skill_format::Manifest;
use skill_format::python::{PythonRange, Requirement, ScriptMetadata, is_python_script};

use super::error::PythonError;
use super::interpreter::Interpreter;
use crate::ecosystem::Ecosystem;
use crate::fsx::{self, At as _};
use crate::run::EntryPoint;

/// Bytes of a script in which its block is looked for.
const SCRIPT_BYTES_MAX: u64 = 1024 * 1024;

/// What an entry point needs of Python.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    pub requirements: BTreeSet<Requirement>,
    /// All of them.
    pub versions: BTreeSet<PythonRange>,
}

impl Needs {
    /// What `skill.yaml` asks for is for every entry point of the skill, also for a shell script that calls
    /// Python; a script's block is for that script. `None` where nothing is asked for, and for modules.
    ///
    /// # Errors
    /// Where it asks in a way that is not understood, or for what is not allowed.
    pub fn of(
        folder: &Path,
        manifest: &Manifest,
        entry: &EntryPoint,
    ) -> Result<Option<Self>, PythonError> {
        // That a script is not there is said by whoever starts it.
        let Ok(script) = entry.script(folder) else {
            return Ok(None);
        };
        if entry.is_module() {
            return Ok(None);
        }
        let mut needs = Self::default();
        for (ecosystem, packages) in &manifest.dependencies.packages {
            if Ecosystem::of_manifest(ecosystem) != Some(Ecosystem::PyPi) {
                continue;
            }
            for (package, range) in packages {
                needs
                    .requirements
                    .insert(Requirement::of_package(package, range)?);
            }
        }
        let bytes = fsx::read_start(&script, SCRIPT_BYTES_MAX).at("read", &script)?;
        if is_python_script(&entry.path, &bytes) {
            let metadata = ScriptMetadata::read(&String::from_utf8_lossy(&bytes));
            let metadata = metadata.map_err(|error| PythonError::Metadata {
                path: entry.path.clone(),
                error,
            })?;
            let metadata = metadata.unwrap_or_default();
            needs.requirements.extend(metadata.dependencies);
            needs.versions.extend(metadata.requires_python);
        }
        if needs == Self::default() {
            return Ok(None);
        }
        // By itself it has always been for people to see.
        let declared = manifest.dependencies.hosts.get("python");
        let declared = declared.and_then(|range| range.parse().ok());
        needs.versions.extend(declared);
        Ok(Some(needs))
    }

    pub(super) fn allow(&self, interpreter: &Interpreter) -> bool {
        let mut versions = self.versions.iter();
        versions.all(|range| range.allows(interpreter.version))
    }
}
