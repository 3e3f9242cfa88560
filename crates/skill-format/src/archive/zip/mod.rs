//! Reads a zip strictly: the central directory and the local headers must say the same, and the
//! entries must cover the file from its first byte to the central directory, without a gap.
//!
//! That leaves no room for data which one program sees and another does not. Streams of unknown
//! length (data descriptors) are read, since many programs write them; zip64, encryption and
//! methods other than deflate are not: no skill needs them.

mod directory;
mod extra;
mod fields;
mod local;

use directory::{Central, End};

use super::collect::{Collector, executable};
use super::error::{ArchiveError, EntryProblem, ZipProblem};
use super::inflate::{Inflate, InflateError, Step};
use crate::limits::Limits;
use crate::tree::path::printable;
use crate::tree::{SKILL_MD, SkillFile, SkillTree};

const METHOD_STORED: u16 = 0;
const METHOD_DEFLATE: u16 = 8;

/// File types in the upper half of the external attributes (POSIX `st_mode`).
const MODE_TYPE: u32 = 0o170_000;
const MODE_FILE: u32 = 0o100_000;
const MODE_FOLDER: u32 = 0o040_000;
const MODE_SYMBOLIC_LINK: u32 = 0o120_000;
const MODE_FIFO: u32 = 0o010_000;
const MODE_SOCKET: u32 = 0o140_000;
const MODE_CHARACTER_DEVICE: u32 = 0o020_000;
const MODE_BLOCK_DEVICE: u32 = 0o060_000;
/// MS-DOS attribute of a folder, in the lower half.
const DOS_FOLDER: u32 = 0x10;

/// What macOS adds beside the files: copies of their extended attributes.
const MACOS_FOLDER: &str = "__MACOSX/";
const MACOS_FILE: &str = ".DS_Store";

/// Whether the bytes are meant to be a zip. With bytes before the first entry it is one too, to be
/// refused for that reason.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(local::SIGNATURE) || directory::ends_like_a_zip(bytes)
}

/// Reads the whole archive, and takes a single top folder off if that is where `SKILL.md` lies:
/// upload forms and forges put one around everything.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<SkillTree, ArchiveError> {
    let end = End::find(bytes)?;
    let mut entries = directory::entries(bytes, &end, limits)?;
    entries.sort_by_key(|entry| entry.local_at);
    let mut reader = Reader {
        bytes,
        limits,
        claimed: 0,
        collector: Collector::new(limits),
    };
    let mut covered = 0;
    for (index, entry) in entries.iter().enumerate() {
        check_start(entry, covered)?;
        let next = entries
            .get(index + 1)
            .map_or(end.directory.start, |next| next.local_at);
        let span = local::data(bytes, entry, next)?;
        reader.entry(entry, &bytes[span.data])?;
        covered = span.end;
    }
    if covered != end.directory.start {
        return Err(zip_error(covered, ZipProblem::Gap));
    }
    Ok(without_top_folder(reader.collector.finish()))
}

fn check_start(entry: &Central<'_>, covered: usize) -> Result<(), ArchiveError> {
    match entry.local_at {
        at if at < covered => Err(entry.error(ZipProblem::Overlap)),
        at if at > covered && covered == 0 => Err(entry.error(ZipProblem::Prepended)),
        at if at > covered => Err(entry.error(ZipProblem::Gap)),
        _ => Ok(()),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    /// Sum of the sizes that the entries claim.
    claimed: u64,
    collector: Collector<'a>,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Central<'_>, data: &[u8]) -> Result<(), ArchiveError> {
        self.collector.count_entry()?;
        let kind = Kind::of(entry).map_err(|problem| entry_error(entry, problem))?;
        self.claimed = self.claimed.saturating_add(u64::from(entry.size));
        if self.claimed > self.limits.ratio_bytes_max(self.bytes.len() as u64) {
            return Err(ArchiveError::Bomb {
                ratio_max: self.limits.ratio_max,
            });
        }
        match kind {
            Kind::Folder if entry.size != 0 => {
                Err(entry_error(entry, EntryProblem::FolderWithContent))
            }
            Kind::Folder => {
                let name = entry.name.strip_suffix(b"/").unwrap_or(entry.name);
                let path = self.collector.check_path(name)?;
                self.collector.folder(&path)
            }
            Kind::File { executable } => {
                let path = self.collector.check_path(entry.name)?;
                if is_macos_extra(&path.path) {
                    return Ok(());
                }
                self.collector.reserve(&path, u64::from(entry.size))?;
                let bytes = content(entry, data).map_err(|problem| entry.error(problem))?;
                self.collector.file(path, SkillFile { executable, bytes })
            }
        }
    }
}

enum Kind {
    File { executable: bool },
    Folder,
}

impl Kind {
    /// From the name's last character and the attributes, which must agree. The Unix attributes
    /// are looked at whatever system claims to have made the entry: some readers do not care.
    fn of(entry: &Central<'_>) -> Result<Self, EntryProblem> {
        let mode = entry.attributes >> 16;
        let has_slash = entry.name.ends_with(b"/");
        match mode & MODE_TYPE {
            0 => {}
            MODE_FILE if has_slash => return Err(EntryProblem::FileOrFolder),
            MODE_FOLDER if !has_slash => return Err(EntryProblem::FileOrFolder),
            MODE_FILE | MODE_FOLDER => {}
            MODE_SYMBOLIC_LINK => return Err(EntryProblem::SymbolicLink),
            MODE_FIFO => return Err(EntryProblem::Fifo),
            MODE_SOCKET => return Err(EntryProblem::Socket),
            MODE_CHARACTER_DEVICE | MODE_BLOCK_DEVICE => return Err(EntryProblem::Device),
            other => return Err(EntryProblem::UnknownType((other >> 12) as u8)),
        }
        if entry.attributes & DOS_FOLDER != 0 && !has_slash {
            return Err(EntryProblem::FileOrFolder);
        }
        let executable = executable(u64::from(mode))?;
        Ok(if has_slash {
            Self::Folder
        } else {
            Self::File { executable }
        })
    }
}

/// The unpacked bytes, of exactly the recorded size and checksum.
fn content(entry: &Central<'_>, data: &[u8]) -> Result<Vec<u8>, ZipProblem> {
    let size = usize::try_from(entry.size).map_err(|_| ZipProblem::Size)?;
    let content = match entry.method {
        METHOD_STORED if data.len() != size => return Err(ZipProblem::Size),
        METHOD_STORED => data.to_vec(),
        METHOD_DEFLATE => inflate(data, size)?,
        other => return Err(ZipProblem::Method(other)),
    };
    if crc32fast::hash(&content) != entry.crc {
        return Err(ZipProblem::Checksum);
    }
    Ok(content)
}

/// Inflates `data`, all of it, into exactly `size` bytes.
fn inflate(data: &[u8], size: usize) -> Result<Vec<u8>, ZipProblem> {
    let mut inflate = Inflate::new(data);
    // One more byte than wanted, so that a stream which has more to give shows it.
    let mut content = vec![0; size + 1];
    let mut filled = 0;
    loop {
        if filled > size {
            return Err(ZipProblem::Size);
        }
        match inflate.step(&mut content[filled..]) {
            Ok(Step::Wrote(written)) => filled += written,
            Ok(Step::Ended(written)) => {
                filled += written;
                break;
            }
            Err(InflateError::Truncated | InflateError::Corrupt) => {
                return Err(ZipProblem::Corrupt);
            }
        }
    }
    if filled != size || !inflate.rest().is_empty() {
        return Err(ZipProblem::Size);
    }
    content.truncate(size);
    Ok(content)
}

fn is_macos_extra(path: &str) -> bool {
    path.starts_with(MACOS_FOLDER) || path.rsplit('/').next() == Some(MACOS_FILE)
}

fn without_top_folder(tree: SkillTree) -> SkillTree {
    let first = tree.iter().next().map(|(path, _)| path);
    let Some(top) = first
        .and_then(|path| path.split_once('/'))
        .map(|(top, _)| format!("{top}/"))
    else {
        return tree;
    };
    let is_around_everything = tree.iter().all(|(path, _)| path.starts_with(&top));
    let holds_the_skill = tree.get(&format!("{top}{SKILL_MD}")).is_some();
    if is_around_everything && holds_the_skill {
        tree.below(&top)
    } else {
        tree
    }
}

fn entry_error(entry: &Central<'_>, problem: EntryProblem) -> ArchiveError {
    ArchiveError::Entry {
        path: printable(&String::from_utf8_lossy(entry.name)),
        problem,
    }
}

fn zip_error(at: usize, problem: ZipProblem) -> ArchiveError {
    ArchiveError::Zip {
        at: at as u64,
        path: None,
        problem,
    }
}
