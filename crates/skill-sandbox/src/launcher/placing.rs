//! Puts what a job is granted into its tree. Other jobs may change what lies in a folder that is granted
//! while this goes on: so nothing in one is found by its path, but step by step and through no link, and
//! each mount is looked at once it stands.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::stat::fstat;

use super::{failed, tree};
use crate::beneath;
use crate::sys;
use crate::wire::{Setup, Shown};

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Reading,
    Writing,
}

/// Fills the tree, which is the root by now, with the host's files; the host's own is in [`tree::OLD`].
pub fn show(setup: &Setup) -> io::Result<()> {
    let reading = setup.read.iter().map(|shown| (shown, View::Reading));
    let writing = setup.write.iter().map(|shown| (shown, View::Writing));
    let mut granted: Vec<_> = reading.chain(writing).collect();
    // What lies in a folder comes after it, to be seen.
    granted.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    let mut placing = Placing::default();
    for (shown, view) in granted {
        let is_there = setup.write.iter().any(|write| {
            let is_itself = view == View::Writing && write.path == shown.path;
            !is_itself && is_seen_in(shown, write)
        });
        if !is_there {
            placing.place(shown, view, false)?;
        }
    }
    for shown in &setup.sealed {
        placing.place(shown, View::Reading, true)?;
    }
    // Last: nothing covers it.
    if let Some(shown) = &setup.skill {
        placing.place(shown, View::Reading, false)?;
    }
    Ok(())
}

/// Whether it is in its place as soon as `outer` is.
fn is_seen_in(shown: &Shown, outer: &Shown) -> bool {
    let inside = shown.path.strip_prefix(&outer.path);
    inside.is_ok_and(|inside| {
        let seen = if inside.as_os_str().is_empty() {
            outer.source.clone()
        } else {
            outer.source.join(inside)
        };
        seen == shown.source
    })
}

/// What says that something is not what was to be shown.
pub fn replaced(path: &Path) -> io::Error {
    let why = "somebody has put something else in its place meanwhile";
    io::Error::other(format!("{}: {why}", path.display()))
}

/// What is mounted so far, by its path; of one path the topmost last.
#[derive(Default)]
struct Placing(Vec<(PathBuf, OwnedFd)>);

impl Placing {
    /// `pinned` has nobody take away the folders that lead to it from what it lies in.
    fn place(&mut self, shown: &Shown, view: View, pinned: bool) -> io::Result<()> {
        let path = shown.path.display();
        let top = self.mount(shown, pinned).map_err(failed(&path))?;
        if !shown.is(&top)? {
            return Err(replaced(&shown.path));
        }
        match view {
            View::Reading => sys::make_mounts_read_only(top.as_fd()),
            View::Writing => sys::make_mounts_harmless(top.as_fd()),
        }
        .map_err(failed(&path))?;
        self.0.push((shown.path.clone(), top));
        Ok(())
    }

    /// The root of the new mount.
    fn mount(&mut self, shown: &Shown, pinned: bool) -> io::Result<OwnedFd> {
        let source = in_old(&shown.source);
        let Some((mut folder, inside)) = self.around(&shown.path)? else {
            // Everything on the way is of the launcher's own making.
            tree::make_target(&source, &shown.path)?;
            bind(&source, beneath::hold(&shown.path)?.as_fd())?;
            return beneath::hold(&shown.path);
        };
        let (Some(parent), Some(name)) = (inside.parent(), inside.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut at = shown.path.clone();
        for _ in inside.components() {
            at.pop();
        }
        for part in parent {
            at.push(part);
            folder = if pinned {
                self.pin(folder.as_fd(), part, &at)?
            } else {
                beneath::step(folder.as_fd(), part)?
            };
        }
        let target = beneath::step(folder.as_fd(), name)?;
        if pinned && !shown.is(&target)? {
            // What is to be kept is somewhere else by now, where nothing covers it.
            return Err(replaced(&shown.path));
        }
        bind(&source, target.as_fd())?;
        beneath::step(folder.as_fd(), name)
    }

    /// The innermost mount that it lies in, and its way from there.
    fn around(&self, path: &Path) -> io::Result<Option<(OwnedFd, PathBuf)>> {
        // Of several mounts of one folder the last one is on top.
        let outer = self.0.iter().rev().filter(|(outer, _)| path != outer);
        let inside = outer.filter_map(|(outer, top)| Some((path.strip_prefix(outer).ok()?, top)));
        let innermost = inside.min_by_key(|(inside, _)| inside.components().count());
        innermost
            .map(|(inside, top)| Ok((top.try_clone()?, inside.to_owned())))
            .transpose()
    }

    /// A mount's root can be neither renamed nor removed.
    fn pin(&mut self, folder: BorrowedFd<'_>, name: &OsStr, path: &Path) -> io::Result<OwnedFd> {
        let below = beneath::step(folder, name)?;
        bind(&by_descriptor(below.as_fd()), below.as_fd())?;
        let top = beneath::step(folder, name)?;
        let (before, now) = (fstat(&below)?, fstat(&top)?);
        if (before.st_dev, before.st_ino) != (now.st_dev, now.st_ino) {
            return Err(replaced(path));
        }
        self.0.push((path.to_owned(), top.try_clone()?));
        Ok(top)
    }
}

/// With submounts: the kernel does not let a user namespace take them apart.
fn bind(source: &Path, target: BorrowedFd<'_>) -> io::Result<()> {
    let (target, flags) = (by_descriptor(target), MsFlags::MS_BIND | MsFlags::MS_REC);
    Ok(mount(
        Some(source),
        &target,
        None::<&str>,
        flags,
        None::<&str>,
    )?)
}

/// Leads to exactly what is held.
fn by_descriptor(held: BorrowedFd<'_>) -> PathBuf {
    in_old(Path::new(&format!("/proc/self/fd/{}", held.as_raw_fd())))
}

fn in_old(path: &Path) -> PathBuf {
    Path::new(tree::OLD).join(path.strip_prefix("/").unwrap_or(path))
}
