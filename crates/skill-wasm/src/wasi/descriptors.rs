//! What a run has open: the three streams, the folders that it was given, and what it opened in them.

use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};

use super::{Errno, Refusal};
use crate::job::{Folder, Stream};

/// Something that is open.
#[derive(Debug)]
pub(super) enum Descriptor {
    /// The input, read up to here.
    Stdin {
        position: u64,
    },
    Output(Stream),
    Folder(Opened),
    File(File),
}

/// A folder, and what was found in it when it was listed.
#[derive(Debug)]
pub(super) struct Opened {
    /// For those that were given.
    pub shown_as: Option<String>,
    root: Root,
    pub listing: Vec<Entry>,
}

#[derive(Debug)]
enum Root {
    /// Opened when it is first used: most programs never look.
    Closed(PathBuf),
    Open(Dir),
}

/// An entry of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: Vec<u8>,
    pub inode: u64,
    pub kind: u8,
}

impl Opened {
    pub fn new(dir: Dir) -> Self {
        Self {
            shown_as: None,
            root: Root::Open(dir),
            listing: Vec::new(),
        }
    }

    fn given(folder: Folder) -> Self {
        Self {
            shown_as: Some(folder.shown_as),
            root: Root::Closed(folder.path),
            listing: Vec::new(),
        }
    }

    pub fn dir(&mut self) -> Result<&Dir, Refusal> {
        if let Root::Closed(path) = &self.root {
            self.root = Root::Open(Dir::open_ambient_dir(path, ambient_authority())?);
        }
        match &self.root {
            Root::Open(dir) => Ok(dir),
            Root::Closed(_) => Err(Errno::Io.into()),
        }
    }
}

/// Numbered as POSIX does: a new one gets the lowest number that is free.
#[derive(Debug)]
pub(super) struct Descriptors {
    slots: Vec<Option<Descriptor>>,
    max: usize,
}

impl Descriptors {
    pub fn new(folders: Vec<Folder>, max: usize) -> Self {
        let streams = [
            Descriptor::Stdin { position: 0 },
            Descriptor::Output(Stream::Stdout),
            Descriptor::Output(Stream::Stderr),
        ];
        let folders = folders.into_iter().map(Opened::given);
        let slots: Vec<_> = streams
            .into_iter()
            .chain(folders.map(Descriptor::Folder))
            .map(Some)
            .collect();
        Self {
            max: max.max(slots.len()),
            slots,
        }
    }

    pub fn get(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        let slot = self.slots.get_mut(fd as usize);
        slot.and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    pub fn folder(&mut self, fd: u32) -> Result<&mut Opened, Errno> {
        match self.get(fd)? {
            Descriptor::Folder(folder) => Ok(folder),
            _ => Err(Errno::Notdir),
        }
    }

    pub fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let free = self.slots.iter().position(Option::is_none);
        let fd = free.unwrap_or(self.slots.len());
        if fd >= self.max {
            return Err(Errno::Mfile);
        }
        if fd == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[fd] = Some(descriptor);
        u32::try_from(fd).map_err(|_| Errno::Mfile)
    }

    pub fn close(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        let slot = self.slots.get_mut(fd as usize);
        slot.and_then(Option::take).ok_or(Errno::Badf)
    }

    /// Moves `fd` to the number of another one, which is closed.
    pub fn renumber(&mut self, fd: u32, to: u32) -> Result<(), Errno> {
        self.get(to)?;
        let moved = self.close(fd)?;
        self.slots[to as usize] = Some(moved);
        Ok(())
    }
}
