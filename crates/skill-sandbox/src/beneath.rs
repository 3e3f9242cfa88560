//! Opens what lies below a folder that others may write in, and follows no link on the way: whoever makes a
//! link in there would decide what is opened.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstat};

/// Only to go on from it, or to say what it is.
const HELD: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Where a way ended before its end, and why.
#[derive(Debug)]
pub struct Stopped {
    pub at: PathBuf,
    pub error: io::Error,
}

impl Stopped {
    /// Whether nothing is there.
    pub fn is_missing(&self) -> bool {
        let code = self.error.raw_os_error().map(Errno::from_raw);
        matches!(code, Some(Errno::ENOENT | Errno::ENOTDIR))
    }

    /// In words, without the place.
    pub fn why(&self) -> String {
        match self.error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ELOOP) => format!(
                "{} is a symbolic link, and a permission follows none",
                self.at.display()
            ),
            _ => format!("{}: {}", self.at.display(), self.error),
        }
    }
}

/// Holds a file or folder of the caller's own, wherever its path leads.
pub fn hold(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, HELD, Mode::empty())?)
}

/// What `folder` has under this name; `ELOOP` where that is a link.
pub fn step(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let opened = openat(folder, name, HELD | OFlag::O_NOFOLLOW, Mode::empty())?;
    let kind = SFlag::from_bits_truncate(fstat(&opened)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFLNK {
        return Err(Errno::ELOOP.into());
    }
    Ok(opened)
}

/// What lies at `relative` below `folder`, whose path is only used to say where the way ended.
pub fn walk(folder: &Path, held: OwnedFd, relative: &Path) -> Result<OwnedFd, Stopped> {
    let mut at = folder.to_owned();
    let mut now = held;
    for part in relative.components() {
        let next = match part {
            Component::CurDir => continue,
            Component::Normal(name) => {
                at.push(name);
                step(now.as_fd(), name)
            }
            // Upwards, or somewhere else altogether.
            _ => Err(Errno::EXDEV.into()),
        };
        match next {
            Ok(next) => now = next,
            Err(error) => return Err(Stopped { at, error }),
        }
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn walked(folder: &Path, relative: &str) -> Result<OwnedFd, Stopped> {
        walk(folder, hold(folder).unwrap(), Path::new(relative))
    }

    #[test]
    fn a_way_leads_down_only_and_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/file"), "").unwrap();
        symlink("a", path.join("inside")).unwrap();
        symlink("/etc", path.join("a/outside")).unwrap();
        for found in ["", "a", "./a/b", "a/b/file"] {
            assert!(walked(path, found).is_ok(), "{found}");
        }
        for missing in ["x", "a/x/y", "a/b/file/x"] {
            assert!(walked(path, missing).unwrap_err().is_missing(), "{missing}");
        }
        for refused in [
            "inside",
            "inside/b",
            "a/outside/passwd",
            "..",
            "a/../a",
            "/etc",
        ] {
            let stopped = walked(path, refused).unwrap_err();
            assert!(!stopped.is_missing(), "{refused}");
        }
        let link = walked(path, "a/outside/passwd").unwrap_err();
        assert_eq!(link.at, path.join("a/outside"));
        assert!(link.why().contains("symbolic link"), "{}", link.why());
    }
}
