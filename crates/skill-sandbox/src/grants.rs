//! Turns paths of a job into what a launcher can show, and refuses those that would undo it.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use crate::error::SandboxError;
use crate::wire::Shown;

/// Folders whose content the launcher makes itself: nothing may be put in their place.
const OWN: &[&str] = &["/", "/dev", "/proc", "/sys", "/tmp"];

/// `path` as it is now, following symbolic links.
pub fn shown(path: &Path) -> Result<Shown, SandboxError> {
    let bad = |why: String| SandboxError::BadPath {
        path: path.to_owned(),
        why,
    };
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return Err(bad("the path must be absolute and without `..`".to_owned()));
    }
    if path.to_str().is_none() {
        return Err(bad("the path is not UTF-8".to_owned()));
    }
    let source = path
        .canonicalize()
        .map_err(|error| bad(error.to_string()))?;
    let reserved = |path: &Path| {
        OWN.iter().any(|own| path == Path::new(own))
            || ["/dev", "/proc", "/sys"]
                .iter()
                .any(|own| path.starts_with(own))
    };
    if reserved(&source) || reserved(path) {
        return Err(bad("this folder is the system's own".to_owned()));
    }
    let metadata = source.metadata().map_err(|error| bad(error.to_string()))?;
    // `components` drops doubled and trailing slashes.
    Ok(Shown {
        path: path.components().collect(),
        source,
        device: metadata.dev(),
        inode: metadata.ino(),
    })
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
