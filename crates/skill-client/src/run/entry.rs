//! Which script an entry point is, and what has to be started for it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use skill_format::Manifest;

use super::RunError;

/// Interpreters by the file's ending, for scripts that cannot be started by themselves.
const INTERPRETERS: [(&str, &str); 8] = [
    ("sh", "sh"),
    ("bash", "bash"),
    ("py", "python3"),
    ("js", "node"),
    ("mjs", "node"),
    ("cjs", "node"),
    ("rb", "ruby"),
    ("pl", "perl"),
];

/// Something in a skill that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryPoint {
    pub name: String,
    /// Inside the skill.
    pub path: String,
    pub description: Option<String>,
    pub input_schema: Option<Value>,
    pub timeout: Option<Duration>,
}

/// What of a skill can be run: what its manifest has (declared, or `scripts/run.*`), else every
/// executable file in `scripts/`.
pub fn entry_points(folder: &Path, manifest: &Manifest) -> Vec<EntryPoint> {
    if !manifest.entrypoints.is_empty() {
        return manifest
            .entrypoints
            .iter()
            .map(|declared| EntryPoint {
                name: declared.name.clone(),
                path: declared.command.clone(),
                description: declared.description.clone(),
                input_schema: declared.input_schema.clone(),
                timeout: declared.timeout_seconds.map(Duration::from_secs),
            })
            .collect();
    }
    executables(folder)
        .into_iter()
        .map(|path| EntryPoint {
            name: Path::new(&path)
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            path,
            description: None,
            input_schema: None,
            timeout: None,
        })
        .collect()
}

/// Executable files in `scripts/`, by name.
fn executables(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.join("scripts")) else {
        return Vec::new();
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| is_executable(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| format!("scripts/{name}"))
        .collect();
    found.sort();
    found
}

/// The entry point of this name, or without a name the first one.
pub fn entry_point(
    folder: &Path,
    manifest: &Manifest,
    wanted: Option<&str>,
) -> Result<EntryPoint, RunError> {
    let skill = || manifest.name.to_string();
    let known = entry_points(folder, manifest);
    let Some(wanted) = wanted else {
        let first = known.into_iter().next();
        return first.ok_or_else(|| RunError::NoEntryPoint { skill: skill() });
    };
    if known.is_empty() {
        return Err(RunError::NoEntryPoint { skill: skill() });
    }
    let names = known.iter().map(|entry| entry.name.clone()).collect();
    known
        .into_iter()
        .find(|entry| entry.name == wanted)
        .ok_or_else(|| RunError::UnknownEntryPoint {
            skill: skill(),
            wanted: wanted.to_owned(),
            known: names,
        })
}

impl EntryPoint {
    /// Program and arguments. `search` is the PATH that the skill will see.
    pub(super) fn command_line(
        &self,
        folder: &Path,
        search: &OsStr,
    ) -> Result<(PathBuf, Vec<OsString>), RunError> {
        let script = self.script(folder)?;
        let Some(interpreter) = self.interpreter(&script)? else {
            return Ok((script, Vec::new()));
        };
        let program = find_program(interpreter, search).ok_or_else(|| RunError::NoInterpreter {
            path: self.path.clone(),
            program: interpreter.to_owned(),
        })?;
        Ok((program, vec![script.into_os_string()]))
    }

    /// Whether it is a WebAssembly module, which no process is started for.
    pub fn is_module(&self) -> bool {
        let ending = Path::new(&self.path).extension();
        ending.is_some_and(|ending| ending.eq_ignore_ascii_case("wasm"))
    }

    /// The program that runs the script; `None` if it runs by itself.
    pub(crate) fn interpreter(&self, script: &Path) -> Result<Option<&'static str>, RunError> {
        let starts_itself = self.is_module() || is_executable(script) && has_magic(script);
        if starts_itself {
            return Ok(None);
        }
        let ending = script
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or_default();
        INTERPRETERS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(ending))
            .map(|(_, program)| Some(*program))
            .ok_or_else(|| self.bad("is neither executable nor of a known kind"))
    }

    /// The script's real path, which lies in the skill's folder.
    pub(crate) fn script(&self, folder: &Path) -> Result<PathBuf, RunError> {
        let path = Path::new(&self.path);
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || self.path.is_empty() {
            return Err(self.bad("is not a path inside the skill"));
        }
        let missing = |_| self.bad("does not exist");
        let folder = folder.canonicalize().map_err(missing)?;
        let script = folder.join(path).canonicalize().map_err(missing)?;
        if !script.starts_with(&folder) {
            return Err(self.bad("leads out of the skill"));
        }
        if !script.is_file() {
            return Err(self.bad("is not a file"));
        }
        Ok(script)
    }

    fn bad(&self, problem: &'static str) -> RunError {
        RunError::BadCommand {
            entry: self.name.clone(),
            path: self.path.clone(),
            problem,
        }
    }
}

/// The program of this name in the folders of `search`, a PATH.
pub fn find_program(name: &str, search: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether the kernel knows how to start it: a script with an interpreter line, or ELF, or Mach-O.
fn has_magic(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|count| {
        let start = &start[..count];
        start.starts_with(b"#!")
            || start == b"\x7fELF"
            || start == [0xcf, 0xfa, 0xed, 0xfe]
            || start == [0xca, 0xfe, 0xba, 0xbe]
    })
}
