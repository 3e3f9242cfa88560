//! An entry point with everything that is known before its input, so that a second run costs no
//! second look at the skill.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use skill_format::Manifest;

use super::{EntryPoint, RunError, RunRequest, TIMEOUT_DEFAULT, TIMEOUT_MAX, entry, environment};
use crate::{fsx, python};

/// The kernel reads as much of a script's first line.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// What a caller wants of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions<'a> {
    /// Entry point; `None` for the first one.
    pub entry: Option<&'a str>,
    pub input: Vec<u8>,
    /// Overrides what the entry point says.
    pub timeout: Option<Duration>,
}

/// Everything that has to be known and checked before a skill in `folder` is started. `variable`
/// reads the caller's environment.
pub fn prepare(
    folder: &Path,
    manifest: &Manifest,
    options: RunOptions<'_>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<RunRequest, RunError> {
    let entry = entry::entry_point(folder, manifest, options.entry)?;
    Prepared::new(folder, manifest, entry, variable)?.request(options.input, options.timeout)
}

/// An entry point that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    entry: EntryPoint,
    folder: PathBuf,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// All variables but the input's.
    environment: Vec<(String, OsString)>,
}

impl Prepared {
    /// Finds its script, its interpreter and its variables; `variable` reads the caller's
    /// environment.
    ///
    /// # Errors
    /// Where something of that is missing.
    pub fn new(
        folder: &Path,
        manifest: &Manifest,
        entry: EntryPoint,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, RunError> {
        let environment = environment::build(manifest, variable)?;
        let path = environment
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or(OsStr::new(""), |(_, path)| path);
        let (program, arguments) = entry.command_line(folder, path)?;
        Ok(Self {
            entry,
            folder: folder.to_owned(),
            program,
            arguments,
            environment,
        })
    }

    /// The same with the packages of an environment: its programs come first on the PATH, and a script for
    /// Python is run by its interpreter, whatever the script's first line says.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn with_packages(
        folder: &Path,
        manifest: &Manifest,
        entry: EntryPoint,
        variable: &dyn Fn(&str) -> Option<OsString>,
        packages: &python::Environment,
    ) -> Result<Self, RunError> {
        let variable = |name: &str| match name {
            "PATH" => Some(in_front(packages.programs(), variable("PATH"))),
            _ => variable(name),
        };
        let mut prepared = Self::new(folder, manifest, entry, &variable)?;
        let script = prepared.entry.script(folder)?;
        if is_python(&prepared.entry.path, &script) {
            prepared.program = packages.python();
            prepared.arguments = vec![script.into_os_string()];
        }
        Ok(prepared)
    }

    /// Which entry point this is.
    pub fn entry(&self) -> &EntryPoint {
        &self.entry
    }

    /// Program and arguments.
    pub fn command_line(&self) -> (&Path, &[OsString]) {
        (&self.program, &self.arguments)
    }

    /// How long it may run if the caller does not say.
    pub fn timeout(&self) -> Duration {
        let own = self.entry.timeout.unwrap_or(TIMEOUT_DEFAULT);
        own.min(TIMEOUT_MAX)
    }

    /// One run with this input; `timeout` overrides what the entry point says.
    ///
    /// # Errors
    /// Where the input is not what the entry point takes.
    pub fn request(
        &self,
        input: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<RunRequest, RunError> {
        let input = match &self.entry.input_schema {
            Some(schema) => checked(schema, input)?,
            None => input,
        };
        let mut environment = self.environment.clone();
        environment.extend(environment::intent(&input));
        Ok(RunRequest {
            program: self.program.clone(),
            arguments: self.arguments.clone(),
            folder: self.folder.clone(),
            environment,
            input,
            timeout: timeout.unwrap_or_else(|| self.timeout()),
        })
    }
}

fn in_front(folder: PathBuf, search: Option<OsString>) -> OsString {
    let search = search.unwrap_or_else(|| environment::PATH_DEFAULT.into());
    let folders = std::iter::once(folder).chain(std::env::split_paths(&search));
    // A folder with a colon in its name cannot be on a PATH.
    std::env::join_paths(folders).unwrap_or(search)
}

fn is_python(path: &str, script: &Path) -> bool {
    let start = fsx::read_start(script, FIRST_LINE_BYTES_MAX).unwrap_or_default();
    skill_format::python::is_python_script(path, &start)
}

/// The input as the schema wants it. Plain text becomes the only text that the schema asks for: whoever
/// pipes a file, or writes SkillScale's `data`, need not write JSON around it.
fn checked(schema: &Value, input: Vec<u8>) -> Result<Vec<u8>, RunError> {
    if input.is_empty() {
        return Err(RunError::InputMissing);
    }
    let problem = match serde_json::from_slice(&input) {
        Ok(value) => match skill_format::check_input(schema, &value) {
            Ok(()) => return Ok(input),
            // An object was meant as JSON, whatever else may have been meant as text.
            Err(error) if value.is_object() => return Err(error.into()),
            Err(error) => RunError::from(error),
        },
        Err(_)
            if input.iter().all(u8::is_ascii_whitespace)
                && as_only_text(schema, &input).is_none() =>
        {
            return Err(RunError::InputMissing);
        }
        Err(source) => RunError::InputNotJson { source },
    };
    match as_only_text(schema, &input) {
        Some(value) => {
            skill_format::check_input(schema, &value)?;
            Ok(value.to_string().into_bytes())
        }
        None => Err(problem),
    }
}

fn as_only_text(schema: &Value, input: &[u8]) -> Option<Value> {
    let [required] = schema.get("required")?.as_array()?.as_slice() else {
        return None;
    };
    let name = required.as_str()?;
    let is_text = schema.get("properties")?.get(name)?.get("type")?.as_str()? == "string";
    let text = std::str::from_utf8(input)
        .ok()
        .filter(|text| !text.is_empty())?;
    is_text.then(|| json!({ name: text }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_text_becomes_the_only_text_that_is_asked_for() {
        let one = json!({"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}});
        assert_eq!(as_only_text(&one, b"a,b"), Some(json!({"data": "a,b"})));
        assert_eq!(as_only_text(&one, b""), None);
        assert_eq!(as_only_text(&one, b"\xff"), None);
        let two = json!({"required": ["a", "b"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        assert_eq!(as_only_text(&two, b"x"), None);
        let number = json!({"required": ["n"], "properties": {"n": {"type": "number"}}});
        assert_eq!(as_only_text(&number, b"x"), None);
    }

    #[test]
    fn text_that_happens_to_be_json_is_still_text_unless_it_is_an_object() {
        let one = json!({"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}});
        let read = |input: &str| {
            checked(&one, input.into())
                .map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("JSON"))
        };
        assert_eq!(read("17").ok(), Some(json!({"data": "17"})));
        assert_eq!(read(r#"{"data": "x"}"#).ok(), Some(json!({"data": "x"})));
        let error = read(r#"{"text": "x"}"#).expect_err("another object");
        assert!(matches!(error, RunError::InvalidInput(_)), "{error}");
    }
}
