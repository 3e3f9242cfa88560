//! Python packages of skills: what an entry point needs (PEP 723, `skill.yaml`), and one virtual environment
//! for each distinct set of that, made before the skill is run and never while it runs.
//!
//! ```text
//! python/<key>/                  an environment, whole: it was renamed to here
//! python/<key>/skill-python.json what it was made of
//! python/.building-<key>-…/      what is being made, or what a killed process left
//! python/locks/<key>.lock        held while it is being made or removed
//! python/locks/<key>.use         shared by those who use it
//! ```
//!
//! The key is the digest of the interpreter and the requirements, so skills that need the same share one.
//! Packages come as wheels, which are unpacked: nothing of theirs is run outside the sandbox, and after they
//! are there the environment's interpreter is not started outside it either (`.pth` files would be run).

mod build;
mod census;
mod error;
mod interpreter;
mod needs;
mod process;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skill_format::Sha256;
use skill_format::python::Requirement;

use crate::fsx::{self, FileLock, FsError};
use interpreter::Interpreter;

pub(crate) use census::{clear, size};
pub use error::PythonError;
pub use needs::Needs;

/// How long making one environment may take.
pub const BUILD_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// How large one may become, in bytes: the largest frameworks of today take half of it.
const BUILD_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// What an environment was made of, in it.
const RECORD: &str = "skill-python.json";
/// Changes whenever environments are made in another way.
const FORMAT: u32 = 1;

/// How environments are made.
#[derive(Clone)]
pub struct Builder {
    /// The whole environment of the installers: where packages come from is the deployer's choice.
    pub environment: Vec<(OsString, OsString)>,
    /// The caller's PATH, for `uv`, and for interpreters where the skill's own has none that fits.
    pub search: OsString,
    /// Lets packages without wheels be built, which runs their code with the caller's rights.
    pub allow_builds: bool,
    /// Makes none: what is there is used.
    pub offline: bool,
    pub time_max: Duration,
}

/// Variables that installers and what they start read, by name or by beginning. None of them says what is
/// installed, or where.
const VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "NETRC",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];
const VARIABLES_BEGIN: &[&str] = &["PIP_", "UV_"];
/// Those would put other packages in, or put them elsewhere.
const VARIABLES_NOT: &[&str] = &[
    "PIP_REQUIREMENT",
    "PIP_EDITABLE",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_PYTHON",
    "PIP_DRY_RUN",
    "PIP_NO_DEPS",
    "PIP_LOG",
    "PIP_REPORT",
    "PIP_QUIET",
    "UV_PYTHON",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_SYSTEM_PYTHON",
    "UV_COMPILE_BYTECODE",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIRECTORY",
];

impl Builder {
    /// Whether an installer is given this variable of the caller's environment.
    pub fn takes_variable(name: &str) -> bool {
        let is_of_installer = VARIABLES_BEGIN.iter().any(|begin| name.starts_with(begin));
        (VARIABLES.contains(&name) || is_of_installer) && !VARIABLES_NOT.contains(&name)
    }
}

/// The environments of a folder.
#[derive(Clone)]
pub struct Environments {
    dir: PathBuf,
    builder: Builder,
}

/// One that can be used. While it lives, nobody removes it.
#[derive(Debug, Clone)]
pub struct Environment {
    dir: PathBuf,
    /// The interpreter's own folder, which it reads from.
    prefix: PathBuf,
    runs_code_at_start: bool,
    /// None where the folder cannot be written: then nobody removes it anyway.
    _in_use: Option<Arc<FileLock>>,
}

/// One that is to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    key: String,
    interpreter: Interpreter,
    requirements: BTreeSet<Requirement>,
    allow_builds: bool,
}

/// What there is for an entry point's needs.
#[derive(Debug)]
pub enum Found {
    /// The ordinary interpreter is all that it needs.
    Ordinary,
    Ready(Environment),
    Missing(Plan),
}

/// What an environment was made of.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    requirements: Vec<String>,
    interpreter: Interpreter,
    /// A package in it has code that is run whenever the interpreter starts.
    runs_code_at_start: bool,
}

impl Environments {
    /// Those in `dir`, which need not exist.
    pub fn new(dir: impl Into<PathBuf>, builder: Builder) -> Self {
        Self {
            dir: dir.into(),
            builder,
        }
    }

    /// Whether there is one for these needs. `search` is the PATH that the skill will see.
    ///
    /// # Errors
    /// Where no interpreter fits, or the folder cannot be read.
    pub fn look(&self, needs: &Needs, search: &OsStr) -> Result<Found, PythonError> {
        let ordinary = interpreter::ordinary(search, &self.builder);
        if needs.requirements.is_empty() && ordinary.as_ref().is_some_and(|one| needs.allow(one)) {
            return Ok(Found::Ordinary);
        }
        let interpreter = interpreter::find(needs, ordinary, search, &self.builder)?;
        let plan = Plan::new(interpreter, needs, self.builder.allow_builds);
        Ok(match self.existing(&plan)? {
            Some(environment) => Found::Ready(environment),
            None => Found::Missing(plan),
        })
    }

    /// The environment for these needs, made now if there is none; `None` where the ordinary interpreter is
    /// all that they need. `observe` is told before something is made, which may take minutes.
    ///
    /// # Errors
    /// Where there is none and it cannot be made.
    pub fn ensure(
        &self,
        needs: &Needs,
        search: &OsStr,
        observe: &dyn Fn(&Plan),
    ) -> Result<Option<Environment>, PythonError> {
        match self.look(needs, search)? {
            Found::Ordinary => Ok(None),
            Found::Ready(environment) => Ok(Some(environment)),
            Found::Missing(plan) => {
                if !self.builder.offline {
                    observe(&plan);
                }
                self.make(&plan).map(Some)
            }
        }
    }

    fn existing(&self, plan: &Plan) -> Result<Option<Environment>, PythonError> {
        let dir = self.dir.join(&plan.key);
        if !dir.join(RECORD).is_file() {
            return Ok(None);
        }
        let in_use =
            match FileLock::try_shared(&self.dir.join("locks").join(format!("{}.use", plan.key))) {
                Ok(Some(lock)) => Some(Arc::new(lock)),
                // It is being removed.
                Ok(None) => return Ok(None),
                Err(_) => None,
            };
        let record = match fsx::read_optional(&dir.join(RECORD))? {
            Some(record) => record,
            // Removed between the two looks.
            None => return Ok(None),
        };
        // What cannot be read is not ours.
        let Ok(record) = serde_json::from_slice::<Record>(&record) else {
            return Ok(None);
        };
        Ok(Some(Environment {
            dir,
            prefix: record.interpreter.prefix,
            runs_code_at_start: record.runs_code_at_start,
            _in_use: in_use,
        }))
    }

    fn lock_path(&self, key: &str) -> PathBuf {
        self.dir.join("locks").join(format!("{key}.lock"))
    }

    fn make_folders(&self) -> Result<(), FsError> {
        fsx::create_dir_all(&self.dir.join("locks"), false)
    }
}

impl Plan {
    fn new(interpreter: Interpreter, needs: &Needs, allow_builds: bool) -> Self {
        let requirements = needs.requirements.clone();
        let parts = (FORMAT, &interpreter, texts(&requirements), allow_builds);
        // A list of texts and numbers is always JSON.
        let parts = serde_json::to_vec(&parts).unwrap_or_default();
        Self {
            key: Sha256::of(&parts).hex(),
            interpreter,
            requirements,
            allow_builds,
        }
    }

    /// The same for the same interpreter and requirements.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is installed, for people.
    pub fn requirements(&self) -> String {
        shown(&self.requirements)
    }
}

impl Environment {
    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.programs().join("python")
    }

    /// The folder of its programs, for the front of a PATH.
    pub fn programs(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// A file that is there as long as it is.
    pub fn record(&self) -> PathBuf {
        self.dir.join(RECORD)
    }

    /// Folders that whoever runs its interpreter must be able to read.
    pub fn folders(&self) -> [&Path; 2] {
        [&self.dir, &self.prefix]
    }

    /// A package in it has code that is run whenever the interpreter starts, before any script.
    pub fn runs_code_at_start(&self) -> bool {
        self.runs_code_at_start
    }
}

fn texts(requirements: &BTreeSet<Requirement>) -> Vec<&str> {
    requirements.iter().map(Requirement::as_str).collect()
}

fn shown(requirements: &BTreeSet<Requirement>) -> String {
    if requirements.is_empty() {
        return "no packages".to_owned();
    }
    texts(requirements).join(", ")
}
