//! Folders and files, for reading only. `cap-std` resolves every path below its folder: neither `..` nor an
//! absolute path nor a link leads out.

use std::os::unix::ffi::OsStrExt as _;

use cap_std::fs::{Dir, FileType, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};

use super::descriptors::{Descriptor, Entry, Opened};
use super::guest::Guest;
use super::{Answer, Errno, Host, Refusal};

/// Kinds of files as WASI numbers them.
mod kind {
    pub const UNKNOWN: u8 = 0;
    pub const FOLDER: u8 = 3;
    pub const FILE: u8 = 4;
    pub const LINK: u8 = 7;
}

/// What may be done with a descriptor, as WASI numbers it.
mod right {
    pub const READ: u64 = 1 << 1;
    pub const SEEK: u64 = 1 << 2;
    pub const SET_FLAGS: u64 = 1 << 3;
    pub const TELL: u64 = 1 << 5;
    pub const WRITE: u64 = 1 << 6;
    pub const ADVISE: u64 = 1 << 7;
    pub const PATH_OPEN: u64 = 1 << 13;
    pub const READDIR: u64 = 1 << 14;
    pub const READLINK: u64 = 1 << 15;
    pub const PATH_FILESTAT: u64 = 1 << 18;
    pub const FILESTAT: u64 = 1 << 21;
    pub const POLL: u64 = 1 << 27;

    pub const OF_FILE: u64 = READ | SEEK | SET_FLAGS | TELL | ADVISE | FILESTAT | POLL;
    pub const OF_FOLDER: u64 =
        PATH_OPEN | READDIR | READLINK | PATH_FILESTAT | FILESTAT | SET_FLAGS;
    pub const OF_OUTPUT: u64 = WRITE | SET_FLAGS | FILESTAT | POLL;
}

/// How a path is opened.
mod how {
    pub const CREATE: u32 = 1;
    pub const FOLDER: u32 = 2;
    pub const EXCLUSIVE: u32 = 4;
    pub const TRUNCATE: u32 = 8;
}

const FOLLOW: u32 = 1;
/// Entries of one folder; a skill has fewer files altogether.
const ENTRIES_MAX: usize = 100_000;
/// Bytes before an entry's name.
const ENTRY_BYTES: usize = 24;

impl Guest<'_> {
    pub fn fd_close(&mut self, fd: u32) -> Answer {
        self.host.descriptors.close(fd)?;
        Ok(())
    }

    pub fn fd_renumber(&mut self, fd: u32, to: u32) -> Answer {
        Ok(self.host.descriptors.renumber(fd, to)?)
    }

    pub fn fd_advise(&mut self, fd: u32, _from: u64, _length: u64, _advice: u32) -> Answer {
        self.host.descriptors.get(fd)?;
        Ok(())
    }

    pub fn fd_sync(&mut self, fd: u32) -> Answer {
        self.host.descriptors.get(fd)?;
        Ok(())
    }

    pub fn fd_datasync(&mut self, fd: u32) -> Answer {
        self.fd_sync(fd)
    }

    /// Appending and not waiting change nothing here.
    pub fn fd_fdstat_set_flags(&mut self, fd: u32, _flags: u32) -> Answer {
        self.fd_sync(fd)
    }

    pub fn fd_fdstat_set_rights(&mut self, fd: u32, _base: u64, _inheriting: u64) -> Answer {
        self.fd_sync(fd)
    }

    pub fn fd_fdstat_get(&mut self, fd: u32, to: u32) -> Answer {
        let (kind, base, inheriting) = match self.host.descriptors.get(fd)? {
            Descriptor::Stdin { .. } | Descriptor::File(_) => (kind::FILE, right::OF_FILE, 0),
            Descriptor::Output(_) => (kind::UNKNOWN, right::OF_OUTPUT, 0),
            Descriptor::Folder(_) => {
                let inheriting = right::OF_FOLDER | right::OF_FILE;
                (kind::FOLDER, right::OF_FOLDER, inheriting)
            }
        };
        let mut stat = [0; 24];
        stat[0] = kind;
        stat[8..16].copy_from_slice(&base.to_le_bytes());
        stat[16..].copy_from_slice(&inheriting.to_le_bytes());
        Ok(self.put(to, &stat)?)
    }

    pub fn fd_filestat_get(&mut self, fd: u32, to: u32) -> Answer {
        let stat = match self.host.descriptors.get(fd)? {
            Descriptor::Stdin { .. } => stat(kind::FILE, 0, 1, self.host.stdin.len() as u64, 0),
            Descriptor::Output(_) => stat(kind::UNKNOWN, 0, 1, 0, 0),
            Descriptor::Folder(folder) => stat_of(&folder.dir()?.dir_metadata()?),
            Descriptor::File(file) => stat_of(&file.metadata()?),
        };
        Ok(self.put(to, &stat)?)
    }

    pub fn fd_prestat_get(&mut self, fd: u32, to: u32) -> Answer {
        let length = given_name(self.host, fd)?.len();
        // The kind: a folder, which is the only one.
        self.put_u32(to, 0)?;
        Ok(self.put_length(to.checked_add(4).ok_or(Errno::Fault)?, length)?)
    }

    pub fn fd_prestat_dir_name(&mut self, fd: u32, to: u32, length: u32) -> Answer {
        let name = given_name(self.host, fd)?.to_owned();
        if name.len() > length as usize {
            return Err(Errno::Nametoolong.into());
        }
        Ok(self.put(to, name.as_bytes())?)
    }

    /// An entry that does not fit is cut, which tells the program to come again with more room.
    pub fn fd_readdir(&mut self, fd: u32, to: u32, room: u32, cookie: u64, done: u32) -> Answer {
        let folder = self.host.descriptors.folder(fd)?;
        if cookie == 0 {
            folder.listing = listing(folder.dir()?)?;
        }
        let first = usize::try_from(cookie).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        for (number, entry) in folder.listing.iter().enumerate().skip(first) {
            if bytes.len() >= room as usize {
                break;
            }
            let mut head = [0; ENTRY_BYTES];
            head[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
            head[8..16].copy_from_slice(&entry.inode.to_le_bytes());
            let length = u32::try_from(entry.name.len()).map_err(|_| Errno::Nametoolong)?;
            head[16..20].copy_from_slice(&length.to_le_bytes());
            head[20] = entry.kind;
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&entry.name);
        }
        bytes.truncate(room as usize);
        self.put(to, &bytes)?;
        Ok(self.put_length(done, bytes.len())?)
    }

    pub fn path_filestat_get(
        &mut self,
        fd: u32,
        follow: u32,
        path: u32,
        length: u32,
        to: u32,
    ) -> Answer {
        let path = self.text(path, length)?.to_owned();
        let dir = self.host.descriptors.folder(fd)?.dir()?;
        let stat = stat_of(&metadata(dir, &path, follow)?);
        Ok(self.put(to, &stat)?)
    }

    pub fn path_readlink(
        &mut self,
        fd: u32,
        path: u32,
        length: u32,
        to: u32,
        room: u32,
        done: u32,
    ) -> Answer {
        let path = self.text(path, length)?.to_owned();
        let dir = self.host.descriptors.folder(fd)?.dir()?;
        let target = dir.read_link(&path)?;
        let bytes = target.as_os_str().as_bytes();
        let fitting = &bytes[..bytes.len().min(room as usize)];
        self.put(to, fitting)?;
        Ok(self.put_length(done, fitting.len())?)
    }

    #[allow(clippy::too_many_arguments)] // As WASI has it.
    pub fn path_open(
        &mut self,
        fd: u32,
        follow: u32,
        path: u32,
        length: u32,
        how: u32,
        rights: u64,
        _inheriting: u64,
        _flags: u32,
        to: u32,
    ) -> Answer {
        let path = self.text(path, length)?.to_owned();
        let dir = self.host.descriptors.folder(fd)?.dir()?;
        let opened = open(dir, &path, follow, how, rights)?;
        let opened = self.host.descriptors.insert(opened)?;
        Ok(self.put_u32(to, opened)?)
    }
}

fn open(dir: &Dir, path: &str, follow: u32, how: u32, rights: u64) -> Result<Descriptor, Refusal> {
    let found = match metadata(dir, path, follow) {
        Ok(found) => found,
        // To be made, where nothing can be.
        Err(Refusal::Errno(Errno::Noent)) if how & how::CREATE != 0 => {
            return Err(Errno::Rofs.into());
        }
        Err(refusal) => return Err(refusal),
    };
    if how & how::CREATE != 0 && how & how::EXCLUSIVE != 0 {
        return Err(Errno::Exist.into());
    }
    let kind = kind_of(found.file_type());
    if kind == kind::LINK {
        return Err(Errno::Loop.into());
    }
    if kind == kind::FOLDER {
        return Ok(Descriptor::Folder(Opened::new(dir.open_dir(path)?)));
    }
    if how & how::FOLDER != 0 {
        return Err(Errno::Notdir.into());
    }
    if how & how::TRUNCATE != 0 || rights & right::WRITE != 0 {
        return Err(Errno::Rofs.into());
    }
    if kind != kind::FILE {
        return Err(Errno::Acces.into());
    }
    let mut options = OpenOptions::new();
    // Should it be a pipe by now, nobody waits for its other end.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    Ok(Descriptor::File(dir.open_with(path, &options)?))
}

fn metadata(dir: &Dir, path: &str, follow: u32) -> Result<Metadata, Refusal> {
    Ok(if follow & FOLLOW == 0 {
        dir.symlink_metadata(path)?
    } else {
        dir.metadata(path)?
    })
}

fn listing(dir: &Dir) -> Result<Vec<Entry>, Refusal> {
    let own = dir.dir_metadata()?.ino();
    let dots = [b".".as_slice(), b".."].map(|name| Entry {
        name: name.to_vec(),
        // Not what lies outside.
        inode: own,
        kind: kind::FOLDER,
    });
    let mut found: Vec<Entry> = dots.into();
    for entry in dir.entries()? {
        let entry = entry?;
        if found.len() >= ENTRIES_MAX {
            return Err(Errno::Notsup.into());
        }
        found.push(Entry {
            name: entry.file_name().as_bytes().to_vec(),
            inode: entry.metadata().map_or(0, |metadata| metadata.ino()),
            kind: entry.file_type().map_or(kind::UNKNOWN, kind_of),
        });
    }
    Ok(found)
}

fn given_name(host: &mut Host, fd: u32) -> Result<&str, Errno> {
    match host.descriptors.get(fd)? {
        // This ends the program's search for folders.
        Descriptor::Folder(Opened { shown_as, .. }) => shown_as.as_deref().ok_or(Errno::Badf),
        _ => Err(Errno::Badf),
    }
}

fn kind_of(found: FileType) -> u8 {
    if found.is_dir() {
        kind::FOLDER
    } else if found.is_file() {
        kind::FILE
    } else if found.is_symlink() {
        kind::LINK
    } else {
        kind::UNKNOWN
    }
}

fn stat_of(found: &Metadata) -> [u8; 64] {
    let since_1970 = found.mtime().checked_mul(1_000_000_000);
    let modified = since_1970.and_then(|seconds| seconds.checked_add(found.mtime_nsec()));
    stat(
        kind_of(found.file_type()),
        found.ino(),
        found.nlink(),
        found.len(),
        u64::try_from(modified.unwrap_or_default()).unwrap_or_default(),
    )
}

fn stat(kind: u8, inode: u64, links: u64, length: u64, modified: u64) -> [u8; 64] {
    let mut stat = [0; 64];
    let mut field = |at: usize, value: u64| stat[at..at + 8].copy_from_slice(&value.to_le_bytes());
    // The device, of which there is one.
    field(0, 1);
    field(8, inode);
    field(16, u64::from(kind));
    field(24, links);
    field(32, length);
    for time in [40, 48, 56] {
        field(time, modified);
    }
    stat
}
