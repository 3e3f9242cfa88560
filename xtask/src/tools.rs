//! Finds the programs that tests need, and installs the missing ones by package name.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::process;

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The build folder.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where release builds are.
pub fn release_dir() -> PathBuf {
    target_dir().join("release")
}

/// Where installed helpers live between runs (below the build folder, so `cargo clean` forgets them). It is
/// made with the first of them.
pub fn tool_dir() -> PathBuf {
    target_dir().join("xtask")
}

/// The first of `candidates` (names on PATH or absolute paths) that exists.
pub fn find(candidates: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.iter().find_map(|name| {
        if name.starts_with('/') {
            return Path::new(name).is_file().then(|| PathBuf::from(name));
        }
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    })
}

/// A program from Debian's packages, installed if it is missing and we may.
pub fn debian(candidates: &[&str], package: &str) -> Outcome<PathBuf> {
    if let Some(found) = find(candidates) {
        return Ok(found);
    }
    if !is_root() {
        return Err(format!(
            "{} is missing; install it with: sudo apt-get install {package}",
            candidates[0]
        ));
    }
    eprintln!("xtask: installing {package}");
    let apt = |arguments: &[&str]| {
        process::read(
            Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", "--no-install-recommends", package])?;
    find(candidates).ok_or_else(|| {
        format!(
            "{package} was installed, but {} is still missing",
            candidates[0]
        )
    })
}

/// The NATS server, which Debian keeps out of ordinary users' PATH.
pub fn nats_server() -> Outcome<PathBuf> {
    debian(&["nats-server", "/usr/sbin/nats-server"], "nats-server")
}

/// PostgreSQL's `program`, of the newest installed version.
pub fn postgres(program: &str) -> Outcome<PathBuf> {
    if let Some(found) = newest_postgres(program) {
        return Ok(found);
    }
    debian(&[program], "postgresql").or_else(|error| newest_postgres(program).ok_or(error))
}

fn newest_postgres(program: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(program)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    versions.sort();
    versions.pop().map(|(_, path)| path)
}

/// A Python environment of our own with exactly these packages; returns its `bin` folder.
pub fn python(name: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let dir = tool_dir().join(format!("python-{name}"));
    let stamp = dir.join("installed.txt");
    // The folder too: an environment that was moved with the build folder no longer runs.
    let wanted = format!("{}\n{}", dir.display(), packages.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(dir.join("bin"));
    }
    let python = debian(&["python3"], "python3-venv")?;
    eprintln!("xtask: installing {}", packages.join(", "));
    process::read(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&dir),
    )?;
    process::read(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet", "--no-input"])
            .args(packages),
    )?;
    write(&stamp, &wanted)?;
    Ok(dir.join("bin"))
}

/// A copy of `source` (a folder with a package.json) with its packages installed.
pub fn node(name: &str, source: &Path) -> Outcome<PathBuf> {
    debian(&["node"], "nodejs")?;
    let npm = debian(&["npm"], "npm")?;
    let dir = tool_dir().join(format!("node-{name}"));
    std::fs::create_dir_all(&dir)
        .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let mut manifest_changed = false;
    for entry in std::fs::read_dir(source)
        .map_err(|error| format!("cannot read {}: {error}", source.display()))?
        .flatten()
    {
        if !entry.path().is_file() {
            continue;
        }
        let text = std::fs::read_to_string(entry.path())
            .map_err(|error| format!("{}: {error}", entry.path().display()))?;
        let target = dir.join(entry.file_name());
        if std::fs::read_to_string(&target).ok().as_deref() != Some(&text) {
            manifest_changed |= entry.file_name() == "package.json";
            write(&target, &text)?;
        }
    }
    if manifest_changed || !dir.join("node_modules/.package-lock.json").exists() {
        eprintln!("xtask: installing the packages of {name}");
        process::read(
            Command::new(npm)
                .args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--silent",
                    "--ignore-scripts",
                    "--no-package-lock",
                ])
                .current_dir(&dir),
        )?;
    }
    Ok(dir)
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
