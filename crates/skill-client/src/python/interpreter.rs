//! Interpreters on a PATH, and which of them fits.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::PythonError;
use super::{Builder, Needs, process};
use crate::run::find_program;

/// Asks an interpreter for what it is, past wrappers such as pyenv's and past virtual environments.
const PROBE: &str = "import json, sys, sysconfig
print(json.dumps({
    'program': getattr(sys, '_base_executable', None) or sys.executable,
    'prefix': sys.base_prefix,
    'version': list(sys.version_info[:3]),
    'kind': sys.implementation.cache_tag + ' ' + sysconfig.get_platform(),
}))";
const PROBE_TIME_MAX: Duration = Duration::from_secs(15);

/// Names that an interpreter may have, likeliest first.
const NAMES: [&str; 9] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3.9",
    "python3.8",
    "python",
];

/// An interpreter that is no part of a virtual environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interpreter {
    pub program: PathBuf,
    /// Where its library is.
    pub prefix: PathBuf,
    pub version: [u32; 3],
    /// Implementation and platform, which decide which wheels fit.
    pub kind: String,
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, micro] = self.version;
        write!(f, "{} is {major}.{minor}.{micro}", self.program.display())
    }
}

/// The one that a script is run by if it says nothing.
pub(super) fn ordinary(search: &OsStr, builder: &Builder) -> Option<Interpreter> {
    probe(&find_program(NAMES[0], search)?, builder)
}

/// The first that fits: on the skill's own PATH, else on the caller's.
pub(super) fn find(
    needs: &Needs,
    ordinary: Option<Interpreter>,
    search: &OsStr,
    builder: &Builder,
) -> Result<Interpreter, PythonError> {
    let mut seen: Vec<Interpreter> = Vec::new();
    let paths = [search, builder.search.as_os_str()];
    let named = paths.into_iter().flat_map(|search| {
        NAMES
            .iter()
            .filter_map(move |name| find_program(name, search))
    });
    let others = named.filter_map(|program| probe(&program, builder));
    for one in ordinary.into_iter().chain(others) {
        if one.version[0] == 3 && needs.allow(&one) {
            return Ok(one);
        }
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    let wanted: Vec<String> = needs.versions.iter().map(ToString::to_string).collect();
    Err(PythonError::NoInterpreter {
        wanted: wanted.join(" and "),
        found: seen.iter().map(ToString::to_string).collect(),
    })
}

/// One that does not answer is none.
fn probe(program: &Path, builder: &Builder) -> Option<Interpreter> {
    let mut command = Command::new(program);
    command.args(["-I", "-S", "-c", PROBE]);
    let said = process::read(&mut command, &builder.environment, PROBE_TIME_MAX)?;
    let found: Interpreter = serde_json::from_slice(&said).ok()?;
    let is_usable = found.program.is_absolute() && found.prefix.is_absolute();
    is_usable.then_some(found)
}
