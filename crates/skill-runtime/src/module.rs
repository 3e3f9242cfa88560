//! Entry points that are WebAssembly modules: compiled when their skill is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore as _;
use skill_client::run::{INTENT, OUTPUT_BYTES_MAX, RunRequest};
use skill_client::{Clock as _, SystemClock};
use skill_format::Manifest;
use skill_sandbox::Grants;
use skill_wasm::{Folder, Job, Limits, Module, ModuleError, World};

use crate::work::Work;

/// Where a module sees its skill's folder.
const SKILL_SHOWN_AS: &str = "/";

/// A module, and which variables it may see.
#[derive(Debug)]
pub(crate) struct Compiled {
    module: Arc<Module>,
    /// What it is called with, as other programs are with their path.
    name: String,
    variables: Vec<String>,
}

impl Compiled {
    pub fn new(path: &Path, manifest: &Manifest) -> Result<Self, ModuleError> {
        let declared = manifest.permissions.environment.iter();
        Ok(Self {
            module: Arc::new(Module::load(path, &limits(Duration::ZERO))?),
            name: path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            variables: declared.map(|variable| variable.name.clone()).collect(),
        })
    }

    /// What it may write it may only read: there is no writing for modules.
    pub fn work(&self, request: RunRequest, grants: &Grants, beside: &[PathBuf]) -> Work {
        let world = World {
            wall_clock: Arc::new(|| {
                SystemClock
                    .now()
                    .as_duration()
                    .try_into()
                    .unwrap_or_default()
            }),
            random: Arc::new(|bytes| rand::rng().fill_bytes(bytes)),
        };
        let mut job = Job::new(world);
        job.limits = limits(request.timeout);
        job.arguments = vec![self.name.clone()];
        job.environment = request
            .environment
            .into_iter()
            .filter(|(name, _)| name == INTENT || self.variables.contains(name))
            .map(|(name, value)| (name, value.into_encoded_bytes()))
            .collect();
        job.stdin = request.input;
        job.folders.push(Folder {
            shown_as: SKILL_SHOWN_AS.to_owned(),
            path: request.folder,
        });
        let own = grants.read.iter().chain(beside);
        // As other programs see them.
        job.folders
            .extend(own.filter(|path| path.is_dir()).map(|path| Folder {
                shown_as: path.to_string_lossy().into_owned(),
                path: path.clone(),
            }));
        Work::module(self.module.clone(), job, grants.below.clone())
    }
}

/// Those of the sandbox.
fn limits(wall: Duration) -> Limits {
    let sandbox = skill_sandbox::Limits::default();
    Limits {
        wall,
        memory_bytes: usize::try_from(sandbox.memory_bytes).unwrap_or(usize::MAX),
        output_bytes: OUTPUT_BYTES_MAX,
        open_files: usize::try_from(sandbox.open_files).unwrap_or(usize::MAX),
    }
}
