//! Making an environment: in a folder beside its place, with what it says in a log, then renamed into its
//! place. What a killed process leaves is ended and removed by the next one that makes something.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use walkdir::WalkDir;

use super::error::PythonError;
use super::process::{self, Bounds, End};
use super::{BUILD_BYTES_MAX, Environment, Environments, Plan, RECORD, Record, texts};
use crate::fsx::{self, At as _, FileLock, FsError, SyncBatch};
use crate::run::find_program;

const BUILDING: &str = ".building-";
const LOG: &str = "log";
/// Number and start of the process that makes it.
const BUILDER: &str = "builder";
/// Characters of an installer's words that are told, their end.
const SAID_CHARS_MAX: usize = 1500;
/// Largest program of an environment that may be a script with its path in it.
const SCRIPT_BYTES_MAX: u64 = 1024 * 1024;
/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// What `uv` takes in place of a variable of pip's, so that one configuration is enough.
const SAME_FOR_UV: [(&str, &str); 4] = [
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
    ("PIP_CERT", "SSL_CERT_FILE"),
];
/// Without an index whatever else is said; `uv` has a flag for it only.
const NO_INDEX: &str = "PIP_NO_INDEX";
/// What `uv venv` puts in that is run at every start; it mends a module that is gone.
const OF_UV: [&str; 2] = ["_virtualenv.pth", "_virtualenv.py"];

impl Environments {
    /// Makes an environment, or waits for another process that makes the same. Blocks, perhaps for minutes.
    ///
    /// # Errors
    /// Where an installer fails or takes too long, and where nothing may be fetched.
    pub fn make(&self, plan: &Plan) -> Result<Environment, PythonError> {
        if self.builder.offline {
            return Err(PythonError::Offline {
                requirements: plan.requirements(),
            });
        }
        self.make_folders()?;
        loop {
            {
                let path = self.lock_path(&plan.key);
                let _lock =
                    FileLock::exclusive_blocking(&path, "preparing Python packages", |_| {})?;
                if !self.dir.join(&plan.key).join(RECORD).is_file() {
                    self.build(plan)?;
                }
            }
            // Removed again in between, it is made again.
            if let Some(environment) = self.existing(plan)? {
                return Ok(environment);
            }
        }
    }

    /// Under the lock of its key.
    fn build(&self, plan: &Plan) -> Result<(), PythonError> {
        sweep(&self.dir, Some(&plan.key))?;
        let room = tempfile::Builder::new()
            .prefix(&format!("{BUILDING}{}-", plan.key))
            .tempdir_in(&self.dir)
            .at("create a folder in", &self.dir)?;
        let place = self.dir.join(&plan.key);
        let site = Site {
            environments: self,
            plan,
            log: File::create(room.path().join(LOG)).at("create", room.path().join(LOG))?,
            env: room.path().join("env"),
            place: &place,
            until: Instant::now() + self.builder.time_max,
            room: &room,
        };
        site.install()?;
        site.finish()?;
        fsx::remove_tree(&place)?;
        fs::rename(&site.env, &place).at("rename", &site.env)?;
        fsx::sync_dir(&self.dir)?;
        Ok(())
    }
}

/// Where one environment is made.
struct Site<'a> {
    environments: &'a Environments,
    plan: &'a Plan,
    room: &'a TempDir,
    log: File,
    /// What becomes the environment.
    env: PathBuf,
    /// Where it will be.
    place: &'a Path,
    until: Instant,
}

impl Site<'_> {
    fn install(&self) -> Result<(), PythonError> {
        let builder = &self.environments.builder;
        match find_program("uv", &builder.search) {
            Some(uv) => self.install_with_uv(&uv),
            None => self.install_with_pip(),
        }
    }

    fn install_with_uv(&self, uv: &Path) -> Result<(), PythonError> {
        let mut command = Command::new(uv);
        command.args(["venv", "--no-project", "--python"]);
        command.arg(&self.plan.interpreter.program).arg(&self.env);
        self.run("uv venv", &mut command)?;
        for packages in site_packages(&self.env) {
            for name in OF_UV {
                fsx::remove_tree(&packages.join(name))?;
            }
        }
        let mut command = Command::new(uv);
        command
            .args(["pip", "install", "--python"])
            .arg(self.python());
        if self
            .variable(NO_INDEX)
            .is_some_and(|value| !["0", "false", "no", "off"].contains(&value))
        {
            command.arg("--no-index");
        }
        self.install_what("uv pip install", command)
    }

    fn install_with_pip(&self) -> Result<(), PythonError> {
        let mut command = Command::new(&self.plan.interpreter.program);
        command.args(["-I", "-m", "venv"]).arg(&self.env);
        self.run("python -m venv", &mut command)?;
        let pip = |verb: &str| {
            let mut command = Command::new(self.python());
            command.args(["-I", "-m", "pip", verb]);
            command
        };
        // Older venvs come with it, nobody has asked for it, and it has code that is run at every start.
        let mut command = pip("uninstall");
        command.args(["--yes", "setuptools"]);
        self.run("pip uninstall", &mut command)?;
        let mut command = pip("install");
        command.args(["--no-input", "--no-compile", "--progress-bar", "off"]);
        self.install_what("pip install", command)
    }

    /// The packages; nothing of the environment may be started after this.
    fn install_what(&self, doing: &'static str, mut command: Command) -> Result<(), PythonError> {
        if self.plan.requirements.is_empty() {
            return Ok(());
        }
        if !self.plan.allow_builds {
            command.args(["--only-binary", ":all:"]);
        }
        command.arg("--").args(texts(&self.plan.requirements));
        self.run(doing, &mut command)
    }

    fn python(&self) -> PathBuf {
        self.env.join("bin/python")
    }

    fn run(&self, doing: &'static str, command: &mut Command) -> Result<(), PythonError> {
        let requirements = || self.plan.requirements();
        let failed = |said: String| PythonError::Failed {
            requirements: requirements(),
            said: format!("{doing} {said}"),
            allow_builds: self.plan.allow_builds,
        };
        let builder = &self.environments.builder;
        command
            .env_clear()
            .envs(
                builder
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .envs(self.for_uv())
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("UV_PYTHON_DOWNLOADS", "never")
            .env("NO_COLOR", "1")
            // Neither looks for a project's configuration there.
            .current_dir("/");
        let bounds = Bounds {
            folder: self.room.path(),
            bytes_max: BUILD_BYTES_MAX,
            until: self.until,
        };
        let started = |process: u32| {
            let since = process::started_at(process).unwrap_or_default();
            let note = format!("{process} {since}");
            fs::write(self.room.path().join(BUILDER), note)
        };
        match process::run(command, &self.log, &bounds, started) {
            Ok(End::Exited(status)) if status.success() => Ok(()),
            Ok(End::Exited(status)) => Err(failed(format!("failed ({status}): {}", self.said()))),
            Ok(End::TimedOut) => Err(PythonError::TimedOut {
                requirements: requirements(),
                seconds: builder.time_max.as_secs(),
            }),
            Ok(End::TooLarge) => Err(PythonError::TooLarge {
                requirements: requirements(),
                bytes_max: BUILD_BYTES_MAX,
            }),
            Err(error) => Err(failed(format!("could not be run: {error}"))),
        }
    }

    /// What is said to pip in the words that `uv` knows, unless something is said to `uv`.
    fn for_uv(&self) -> Vec<(&'static str, String)> {
        let translated = SAME_FOR_UV.iter().filter_map(|(pip, uv)| {
            let given = self.variable(pip).filter(|_| self.variable(uv).is_none())?;
            let given = match *uv {
                "UV_FIND_LINKS" => given.split_whitespace().collect::<Vec<_>>().join(","),
                _ => given.to_owned(),
            };
            Some((*uv, given))
        });
        translated.collect()
    }

    /// Of the installers' environment, if it is not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        let environment = &self.environments.builder.environment;
        let (_, value) = environment.iter().find(|(known, _)| known == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }

    /// The end of what installers said, in one line and without passwords.
    fn said(&self) -> String {
        let text = fs::read(self.room.path().join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let text = without_passwords(&lines.join("; "));
        let text: Vec<char> = text.chars().filter(|c| !c.is_control()).collect();
        let start = text.len().saturating_sub(SAID_CHARS_MAX);
        let end: String = text[start..].iter().collect();
        if start == 0 { end } else { format!("…{end}") }
    }

    /// Everything but the renaming.
    fn finish(&self) -> Result<(), PythonError> {
        self.compile()?;
        self.move_paths()?;
        let record = Record {
            requirements: texts(&self.plan.requirements)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            interpreter: self.plan.interpreter.clone(),
            runs_code_at_start: runs_code_at_start(&self.env)?,
        };
        // Texts, numbers and paths that came out of JSON are JSON.
        let record = serde_json::to_vec_pretty(&record).unwrap_or_default();
        let path = self.env.join(RECORD);
        fs::write(&path, record).at("write", &path)?;
        let mut sync = SyncBatch::default();
        for entry in WalkDir::new(&self.env).follow_links(false) {
            let entry = entry.map_err(std::io::Error::from).at("read", &self.env)?;
            if !entry.path_is_symlink() {
                make_readable(entry.path())?;
                sync.push(entry.into_path());
            }
        }
        sync.flush(&self.environments.dir)?;
        Ok(())
    }

    /// Skills cannot write the results of compiling. The ordinary interpreter compiles, which runs nothing;
    /// files that are for other versions fail, which does not matter.
    fn compile(&self) -> Result<(), PythonError> {
        let mut command = Command::new(&self.plan.interpreter.program);
        command.args(["-I", "-S", "-m", "compileall", "-q", "-q", "-s"]);
        command.arg(&self.env).arg("-p").arg(self.place);
        command.args(site_packages(&self.env));
        match self.run("compiling", &mut command) {
            Err(PythonError::Failed { .. }) => Ok(()),
            compiled => compiled,
        }
    }

    /// Its programs name their interpreter, by the path that it will have.
    fn move_paths(&self) -> Result<(), FsError> {
        let (from, to) = (
            self.env.display().to_string(),
            self.place.display().to_string(),
        );
        let programs = self.env.join("bin");
        let names = fsx::entry_names(&programs)?;
        let programs = names.iter().map(|name| programs.join(name));
        for path in programs.chain([self.env.join("pyvenv.cfg")]) {
            let metadata = path.symlink_metadata().at("read", &path)?;
            if !metadata.is_file() || metadata.len() > SCRIPT_BYTES_MAX {
                continue;
            }
            let Ok(text) = String::from_utf8(fs::read(&path).at("read", &path)?) else {
                continue;
            };
            if text.contains(&from) {
                // Anew: it may be a link into the cache of an installer.
                let text = text.replace(&from, &to);
                fsx::write_atomic(
                    &path,
                    text.as_bytes(),
                    metadata.permissions().mode() & 0o777,
                )?;
            }
        }
        Ok(())
    }
}

/// Skills run as another user.
fn make_readable(path: &Path) -> Result<(), FsError> {
    let metadata = path.symlink_metadata().at("read", path)?;
    let before = metadata.permissions().mode() & 0o777;
    let is_program = metadata.is_dir() || before & 0o100 != 0;
    let after = before | 0o444 | if is_program { 0o111 } else { 0 };
    if after != before {
        fs::set_permissions(path, fs::Permissions::from_mode(after)).at("open up", path)?;
    }
    Ok(())
}

fn site_packages(env: &Path) -> Vec<PathBuf> {
    let lib = env.join("lib");
    let versions = fsx::entry_names(&lib).unwrap_or_default();
    versions
        .iter()
        .map(|version| lib.join(version).join("site-packages"))
        .filter(|packages| packages.is_dir())
        .collect()
}

/// Whether the interpreter runs something of a package's before any script (`site`'s documentation).
fn runs_code_at_start(env: &Path) -> Result<bool, FsError> {
    for packages in site_packages(env) {
        for name in fsx::entry_names(&packages)? {
            if name.starts_with("sitecustomize") || name.starts_with("usercustomize") {
                return Ok(true);
            }
            if !name.ends_with(".pth") {
                continue;
            }
            let path = packages.join(&name);
            let text = fs::read(&path).at("read", &path)?;
            let is_code = |line: &str| line.starts_with("import ") || line.starts_with("import\t");
            if String::from_utf8_lossy(&text).lines().any(is_code) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Addresses without what stands before an `@` in them.
fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace())
            .unwrap_or(after.len());
        let host = after[..end].rfind('@').map_or(0, |at| at + 1);
        if host > 0 {
            shown.push_str("***@");
        }
        rest = &after[host..];
    }
    shown + rest
}

/// Ends and removes what killed processes left of making environments. `own` is a key whose lock is held.
pub(super) fn sweep(dir: &Path, own: Option<&str>) -> Result<(), FsError> {
    for name in fsx::entry_names(dir)? {
        let Some(key) = name
            .strip_prefix(BUILDING)
            .and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        let lock = dir.join("locks").join(format!("{key}.lock"));
        let _lock = if own == Some(key) {
            None
        } else {
            match FileLock::try_exclusive(&lock, "removing leftovers")? {
                Ok(lock) => Some(lock),
                Err(_) => continue,
            }
        };
        let left = dir.join(&name);
        end_builder(&left);
        fsx::remove_tree(&left)?;
    }
    Ok(())
}

/// An installer goes on when whoever started it is killed.
fn end_builder(left: &Path) {
    let note = fs::read_to_string(left.join(BUILDER)).unwrap_or_default();
    let mut words = note.split_whitespace();
    let process = words.next().and_then(|process| process.parse::<u32>().ok());
    let (Some(process), Some(since)) = (process, words.next()) else {
        return;
    };
    let lives = || process::started_at(process).is_some_and(|found| found == since);
    if lives() {
        process::end_group(process);
    }
    let until = Instant::now() + GONE_WITHIN;
    while lives() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_not_told() {
        for (text, shown) in [
            (
                "Looking in indexes: https://me:secret@example.com/simple",
                "Looking in indexes: https://***@example.com/simple",
            ),
            ("a http://b/c@d e://f@g", "a http://b/c@d e://***@g"),
            ("none", "none"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }

    #[test]
    fn code_that_is_run_at_every_start_is_noticed() {
        let env = tempfile::tempdir().expect("a folder");
        let packages = env.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).expect("folders");
        let write = |name: &str, text: &str| fs::write(packages.join(name), text).expect("written");
        write("paths.pth", "# import x\nsome/folder\n");
        assert!(!runs_code_at_start(env.path()).expect("read"));
        write("code.pth", "some/folder\nimport x; x.y()\n");
        assert!(runs_code_at_start(env.path()).expect("read"));
        fs::remove_file(packages.join("code.pth")).expect("removed");
        write("sitecustomize.py", "");
        assert!(runs_code_at_start(env.path()).expect("read"));
    }
}
