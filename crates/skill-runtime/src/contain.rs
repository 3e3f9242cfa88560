//! An entry point that is ready to be run: command line, variables and grants are settled, and a module is
//! compiled, before the first input comes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use skill_client::python::{Environment, Needs, PythonError};
use skill_client::run::{EntryPoint, OUTPUT_BYTES_MAX, Prepared, RunError};
use skill_format::{Explain, Fault, Manifest, Place};
use skill_sandbox::{Grants, Job};
use skill_wasm::ModuleError;

use crate::module::Compiled;
use crate::permissions::{self, Granting, PermissionError, search_path};
use crate::python;
use crate::work::Work;

/// Variables that lead to the scratch folder instead of where they lead outside.
const SCRATCH_VARIABLES: [&str; 2] = ["HOME", "TMPDIR"];

/// Folders with the system's programs, which every job sees.
const SYSTEM: [&str; 2] = ["/usr", "/opt"];

/// Finds the Python environment for what an entry point needs; `None` where the ordinary interpreter is
/// enough. Gets the PATH that the skill will see.
pub type Packages<'a> = &'a dyn Fn(&Needs, &OsStr) -> Result<Option<Environment>, Arc<PythonError>>;

/// What holds for every skill of a run or a worker.
pub struct Rules<'a> {
    /// Reads the caller's environment: a skill sees those variables that it declares.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// What they are granted.
    pub granting: &'a Granting,
    /// Where Python packages come from.
    pub packages: Packages<'a>,
}

/// What lies around a skill when it is run; absolute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Neighbours<'a> {
    /// Folders that it may read as well, such as those of the skills that it depends on.
    pub beside: &'a [PathBuf],
    /// Files and folders that it may not change whatever it is granted, such as other skills.
    pub protected: &'a [PathBuf],
}

/// Why an entry point cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum NotContained {
    /// Its script, its interpreter or its variables.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What it asks to be allowed.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// Its WebAssembly module.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// Its Python packages.
    #[error(transparent)]
    Packages(#[from] Arc<PythonError>),
}

impl NotContained {
    fn inner(&self) -> &dyn Explain {
        match self {
            Self::Run(error) => error,
            Self::Permission(error) => error,
            Self::Module(error) => error,
            Self::Packages(error) => &**error,
        }
    }
}

impl Explain for NotContained {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn fault(&self) -> Fault {
        self.inner().fault()
    }

    fn help(&self) -> Option<String> {
        self.inner().help()
    }

    fn place(&self) -> Option<Place> {
        self.inner().place()
    }
}

/// Folders of an environment that a job does not see by itself.
fn to_show(packages: &Environment) -> Vec<PathBuf> {
    let is_hidden = |folder: &&Path| !SYSTEM.iter().any(|system| folder.starts_with(system));
    let folders = packages.folders().into_iter().filter(is_hidden);
    folders.map(Path::to_owned).collect()
}

/// An entry point that is ready to be run.
#[derive(Debug, Clone)]
pub struct Contained {
    prepared: Prepared,
    /// Interpreter and script, where a warm interpreter may run it.
    python: Option<(PathBuf, Vec<OsString>)>,
    /// Where it is a WebAssembly module: nothing is started then.
    module: Option<Arc<Compiled>>,
    grants: Box<Grants>,
    packages: Option<Environment>,
}

impl Contained {
    /// Settles everything but the input.
    ///
    /// # Errors
    /// See [`NotContained`].
    pub fn new(
        folder: &Path,
        manifest: &Manifest,
        entry: EntryPoint,
        rules: &Rules<'_>,
    ) -> Result<Self, NotContained> {
        let search = search_path((rules.variable)("PATH"));
        let variable = |name: &str| match name {
            "PATH" => Some(search.clone()),
            _ => (rules.variable)(name),
        };
        let packages = match Needs::of(folder, manifest, &entry).map_err(Arc::new)? {
            Some(needs) => (rules.packages)(&needs, OsStr::new(&search))?,
            None => None,
        };
        let prepared = match &packages {
            Some(packages) => {
                Prepared::with_packages(folder, manifest, entry, &variable, packages)?
            }
            None => Prepared::new(folder, manifest, entry, &variable)?,
        };
        let (program, arguments) = prepared.command_line();
        let module = if prepared.entry().is_module() {
            Some(Arc::new(Compiled::new(program, manifest)?))
        } else {
            None
        };
        let mut grants = permissions::grants(&manifest.permissions, rules.granting)?;
        grants.read.extend(packages.iter().flat_map(to_show));
        // The warm interpreter is to run no code of anybody's before it forks.
        let may_be_warm = packages
            .as_ref()
            .is_none_or(|one| !one.runs_code_at_start());
        let python = python::command_line(program, arguments, OsStr::new(&search));
        Ok(Self {
            module,
            python: python.filter(|_| may_be_warm),
            grants: Box::new(grants),
            prepared,
            packages,
        })
    }

    /// A file that is there as long as its Python packages are.
    #[cfg(feature = "mesh")]
    pub(crate) fn packages_record(&self) -> Option<PathBuf> {
        self.packages.as_ref().map(Environment::record)
    }

    /// The folder that its Python packages are in, with those of others.
    #[cfg(feature = "mesh")]
    pub(crate) fn packages_folder(&self) -> Option<&Path> {
        let [folder, _] = self.packages.as_ref()?.folders();
        folder.parent()
    }

    /// Whether it asks to write files other than its own.
    pub fn may_write(&self) -> bool {
        !self.grants.below.write.is_empty()
    }

    /// Which entry point this is.
    pub fn entry(&self) -> &EntryPoint {
        self.prepared.entry()
    }

    /// How long it may run if the caller does not say.
    pub fn timeout(&self) -> Duration {
        self.prepared.timeout()
    }

    /// The work of one run that a program makes before it ends: nothing is kept warm for a next one.
    ///
    /// # Errors
    /// Where the input is not what the entry point takes.
    pub fn single_job(
        &self,
        input: Vec<u8>,
        timeout: Duration,
        around: Neighbours<'_>,
    ) -> Result<Work, RunError> {
        self.work(input, timeout, around, None)
    }

    /// The work of one of many runs, by a warm interpreter where there can be one.
    ///
    /// # Errors
    /// Where the input is not what the entry point takes.
    pub fn job(
        &self,
        input: Vec<u8>,
        timeout: Duration,
        around: Neighbours<'_>,
    ) -> Result<Work, RunError> {
        self.work(input, timeout, around, self.python.as_ref())
    }

    /// `warm` says what a warm interpreter is to run.
    fn work(
        &self,
        input: Vec<u8>,
        timeout: Duration,
        around: Neighbours<'_>,
        warm: Option<&(PathBuf, Vec<OsString>)>,
    ) -> Result<Work, RunError> {
        let request = self.prepared.request(input, Some(timeout))?;
        if let Some(module) = &self.module {
            return Ok(module.work(request, &self.grants, around.beside));
        }
        let mut job = Job::new(request.program, request.folder);
        job.args = request.arguments;
        job.environment = request
            .environment
            .into_iter()
            .filter(|(name, _)| !SCRATCH_VARIABLES.contains(&name.as_str()))
            .map(|(name, value)| (name.into(), value))
            .collect();
        job.scratch_variables = SCRATCH_VARIABLES.map(OsString::from).to_vec();
        job.stdin = request.input;
        job.limits.wall = request.timeout;
        // A skill that computes for all of its time is not to be ended before.
        job.limits.cpu_seconds = request.timeout.as_secs().saturating_add(1);
        job.limits.output_bytes = OUTPUT_BYTES_MAX;
        job.grants = Grants::clone(&self.grants);
        job.grants.read.extend_from_slice(around.beside);
        job.grants.protected.extend_from_slice(around.protected);
        if let Some((interpreter, arguments)) = warm {
            job.program.clone_from(interpreter);
            job.args.clone_from(arguments);
            job.warm_python = true;
        }
        Ok(Work::program(job))
    }
}
