//! Turns paths of a job into what a launcher can show, and refuses those that would undo it.

use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::fstat;

use crate::beneath;
use crate::error::SandboxError;
use crate::job::Job;
use crate::wire::Shown;

/// Folders whose content the launcher makes itself: nothing may be put in their place.
const OWN: &[&str] = &["/", "/dev", "/proc", "/sys", "/tmp"];

/// What a job is shown, as it is now.
pub struct Resolved {
    pub skill: Shown,
    pub read: Vec<Shown>,
    pub write: Vec<Shown>,
    /// See [`crate::wire::Setup::sealed`].
    pub sealed: Vec<Shown>,
}

/// `always` is readable in addition to what the job is granted.
pub fn resolve(always: &[PathBuf], job: &Job) -> Result<Resolved, SandboxError> {
    let grants = &job.grants;
    let all = |paths: &[PathBuf]| -> Result<Vec<Shown>, SandboxError> {
        paths.iter().map(|path| shown(path)).collect()
    };
    let below = |paths: &[PathBuf]| -> Result<Vec<Shown>, SandboxError> {
        let folder = &grants.below.folder;
        let found = paths.iter().map(|path| shown_below(folder, path));
        found.filter_map(Result::transpose).collect()
    };
    let mut skill = shown(&job.skill_dir)?;
    if !skill.source.is_dir() {
        let (path, why) = (job.skill_dir.clone(), "it is no folder".to_owned());
        return Err(SandboxError::BadPath { path, why });
    }
    let mut read = all(always)?;
    read.extend(all(&grants.read)?);
    let mut write = all(&grants.write)?;
    write.extend(below(&grants.below.write)?);
    write.sort_by(|one, other| one.path.cmp(&other.path));
    write.dedup();
    let asked = below(&grants.below.read)?;

    let never_written = [&job.skill_dir]
        .into_iter()
        .chain(always)
        .chain(&grants.read)
        .chain(&grants.protected);
    let mut sealed = Vec::new();
    for path in never_written {
        for write in &write {
            sealed.extend(seal(path, write)?);
        }
    }
    sealed.sort_by(|one, other| one.path.cmp(&other.path));
    // What lies in something that is sealed is sealed with it.
    sealed.dedup_by(|inner, outer| inner.path.starts_with(&outer.path));

    let granted: Vec<&Shown> = write.iter().chain(&asked).collect();
    for own in read.iter_mut().chain([&mut skill]) {
        // A link of the caller's that lies in what is granted is seen there as it is, and leads here.
        if granted.iter().any(|one| own.path.starts_with(&one.path)) {
            own.path.clone_from(&own.source);
        }
    }
    read.extend(asked);
    Ok(Resolved {
        skill,
        read,
        write,
        sealed,
    })
}

/// Where `path`, which must not be changed, lies in what may be written.
fn seal(path: &Path, write: &Shown) -> Result<Option<Shown>, SandboxError> {
    let refused = |why: String| SandboxError::NotGranted {
        path: write.path.clone(),
        why: format!("it would be writable, and {why}"),
    };
    // A link cannot be mounted over.
    for link in path.ancestors().filter(|part| part.is_symlink()) {
        let (Some(parent), Some(name)) = (link.parent(), link.file_name()) else {
            continue;
        };
        let parent = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        if parent.join(name).starts_with(&write.source) {
            let link = link.display();
            return Err(refused(format!(
                "{link} in it is a link that leads to skills"
            )));
        }
    }
    // What is not there yet could be made: then nothing on the way to it may be changed.
    let there = path.ancestors().find_map(|part| part.canonicalize().ok());
    let source = there.unwrap_or_else(|| PathBuf::from("/"));
    let is_missing = !path.exists();
    let path = path.display();
    if write.source.starts_with(&source) && !is_missing {
        return Err(refused(format!("{path} is for reading only")));
    }
    let Ok(inside) = source.strip_prefix(&write.source) else {
        return Ok(None);
    };
    if inside.as_os_str().is_empty() {
        return Err(refused(format!(
            "{path}, which does not exist yet, could be made in it; make it first"
        )));
    }
    let metadata = source
        .metadata()
        .map_err(|error| refused(format!("{path} in it cannot be looked at: {error}")))?;
    Ok(Some(Shown {
        path: write.path.join(inside),
        device: metadata.dev(),
        inode: metadata.ino(),
        source,
    }))
}

/// `path` as it is now, following symbolic links.
fn shown(path: &Path) -> Result<Shown, SandboxError> {
    let bad = |error: std::io::Error| bad(path, error.to_string());
    let clean = presentable(path)?;
    let source = path.canonicalize().map_err(bad)?;
    refuse_reserved(path, &source)?;
    let metadata: Metadata = source.metadata().map_err(bad)?;
    Ok(Shown {
        path: clean,
        source,
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// `relative` below `folder`, as it is now, following no link below it. None where nothing is there.
fn shown_below(folder: &Path, relative: &Path) -> Result<Option<Shown>, SandboxError> {
    let path = folder.join(relative);
    let clean = presentable(&path)?;
    let bad = |why: String| bad(&path, why);
    let root = folder
        .canonicalize()
        .map_err(|error| bad(error.to_string()))?;
    let source: PathBuf = root.join(relative).components().collect();
    refuse_reserved(&path, &source)?;
    let Some(held) = open_below(folder, relative)? else {
        return Ok(None);
    };
    let status = fstat(&held).map_err(|error| bad(error.to_string()))?;
    Ok(Some(Shown {
        path: clean,
        source,
        device: status.st_dev,
        inode: status.st_ino,
    }))
}

/// The same, held open.
pub fn open_below(folder: &Path, relative: &Path) -> Result<Option<OwnedFd>, SandboxError> {
    let held = beneath::hold(folder).map_err(|error| bad(folder, error.to_string()))?;
    match beneath::walk(folder, held, relative) {
        Ok(held) => Ok(Some(held)),
        Err(stopped) if stopped.is_missing() => Ok(None),
        Err(stopped) => Err(SandboxError::NotGranted {
            path: folder.join(relative),
            why: stopped.why(),
        }),
    }
}

fn bad(path: &Path, why: String) -> SandboxError {
    SandboxError::BadPath {
        path: path.to_owned(),
        why,
    }
}

/// Without doubled and trailing slashes.
fn presentable(path: &Path) -> Result<PathBuf, SandboxError> {
    let plain = path.components().all(|part| {
        matches!(
            part,
            Component::RootDir | Component::Normal(_) | Component::CurDir
        )
    });
    if !path.is_absolute() || !plain {
        let why = "the path must be absolute and without `..`";
        return Err(bad(path, why.to_owned()));
    }
    if path.to_str().is_none() {
        return Err(bad(path, "the path is not UTF-8".to_owned()));
    }
    Ok(path.components().collect())
}

fn refuse_reserved(path: &Path, source: &Path) -> Result<(), SandboxError> {
    let reserved = |path: &Path| {
        OWN.iter().any(|own| path == Path::new(own))
            || ["/dev", "/proc", "/sys"]
                .iter()
                .any(|own| path.starts_with(own))
    };
    if reserved(source) || reserved(path) {
        return Err(bad(path, "this folder is the system's own".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_folders_are_never_replaced() {
        for path in [
            "/",
            "/tmp",
            "/proc/1",
            "/dev/null",
            "/usr/../tmp",
            "relative",
            "/tmp/",
        ] {
            let error = shown(Path::new(path)).unwrap_err();
            assert!(
                matches!(error, SandboxError::BadPath { .. }),
                "{path}: {error}"
            );
        }
    }

    #[test]
    fn a_link_cannot_smuggle_in_a_reserved_folder() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        assert!(shown(&link).is_err());
    }

    #[test]
    fn a_replaced_folder_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skill");
        std::fs::create_dir(&path).unwrap();
        let before = shown(&path).unwrap();
        assert_eq!(before, shown(&path).unwrap());
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_ne!(before, shown(&path).unwrap());
    }
}
