//! One file in two places without its bytes twice: hard link, else clone, else copy.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{At as _, FsError};

/// How a file came to be in its second place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The same file under a second name.
    Linked,
    /// A file of its own that shares its blocks until one of the two is written.
    Cloned,
    /// Its own bytes.
    Copied,
}

/// Puts the file `from` at `to`, which must not exist. Permissions are kept.
pub fn place_file(from: &Path, to: &Path) -> Result<Placed, FsError> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(Placed::Linked),
        Err(error) if cannot_link(&error) => clone_or_copy(from, to),
        Err(error) => Err(error).at("create", to),
    }
}

/// Another device, a file system without links or with its limit of links reached, or a kernel
/// that refuses links to files of others.
fn cannot_link(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::CrossesDevices
            | io::ErrorKind::Unsupported
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TooManyLinks
    )
}

fn clone_or_copy(from: &Path, to: &Path) -> Result<Placed, FsError> {
    if clone(from, to).is_ok() {
        return Ok(Placed::Cloned);
    }
    std::fs::copy(from, to).at("copy to", to)?;
    Ok(Placed::Copied)
}

#[cfg(target_os = "linux")]
fn clone(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::create_new(to)?;
    let cloned = rustix::fs::ioctl_ficlone(&target, &source)
        .map_err(io::Error::from)
        .and_then(|()| target.set_permissions(source.metadata()?.permissions()));
    if cloned.is_err() {
        std::fs::remove_file(to)?;
    }
    cloned
}

#[cfg(not(target_os = "linux"))]
fn clone(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a file, a link or a folder with everything in it; does nothing if there is none.
/// Links are removed, not followed.
pub fn remove_tree(path: &Path) -> Result<(), FsError> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("read", path),
    };
    let removed = if metadata.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placed_file_keeps_content_and_permissions_however_it_is_placed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let from = dir.path().join("from");
        std::fs::write(&from, "x").expect("write");
        let mut permissions = from.metadata().expect("metadata").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&from, permissions.clone()).expect("chmod");
        let (linked, copied) = (dir.path().join("linked"), dir.path().join("copied"));
        assert_eq!(place_file(&from, &linked).expect("place"), Placed::Linked);
        assert_ne!(
            clone_or_copy(&from, &copied).expect("place"),
            Placed::Linked
        );
        for path in [linked, copied] {
            assert_eq!(std::fs::read(&path).expect("read"), b"x");
            assert_eq!(
                path.metadata().expect("metadata").permissions(),
                permissions
            );
        }
        let error =
            place_file(&dir.path().join("none"), &dir.path().join("to")).expect_err("no such file");
        assert!(error.is_not_found());
    }

    #[test]
    #[cfg(unix)]
    fn removing_a_link_leaves_what_it_points_to() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let kept = dir.path().join("kept");
        std::fs::create_dir(&kept).expect("mkdir");
        std::os::unix::fs::symlink(&kept, dir.path().join("link")).expect("link");
        remove_tree(&dir.path().join("link")).expect("remove");
        remove_tree(&dir.path().join("link")).expect("nothing to remove");
        assert!(kept.is_dir());
        remove_tree(&kept).expect("remove");
        assert!(!kept.exists());
    }
}
