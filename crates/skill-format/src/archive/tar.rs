//! Reads a gzip-compressed tar: POSIX ustar and pax, GNU long names, Unix V7. Stricter than any
//! tar program where two of them could read the same bytes differently.

use super::collect::{Collector, executable};
use super::error::{ArchiveError, EntryProblem, TarProblem};
use super::gzip::{Bound, Gunzip};
use super::header::{BLOCK_BYTES, Block, Header, padding};
use super::pax::{self, Extended};
use crate::limits::{LimitError, Limits};
use crate::tree::path::printable;
use crate::tree::{SkillFile, SkillTree};

/// Longest extended header or long name. They hold a path and perhaps extended attributes.
const METADATA_BYTES_MAX: u64 = 64 * 1024;
/// What an entry may take beside its content, on average: header and padding (1 KiB), extended
/// header with its own header and padding (1.5 KiB), and some room.
const OVERHEAD_PER_ENTRY: u64 = 4 * 1024;
/// Zeros after the end: tar programs fill the last record, usually 10 KiB, at most 1 MiB.
const END_PADDING_MAX: u64 = 1024 * 1024;

const TYPE_FILE: u8 = b'0';
const TYPE_FILE_V7: u8 = 0;
const TYPE_HARD_LINK: u8 = b'1';
const TYPE_SYMBOLIC_LINK: u8 = b'2';
const TYPE_CHARACTER_DEVICE: u8 = b'3';
const TYPE_BLOCK_DEVICE: u8 = b'4';
const TYPE_FOLDER: u8 = b'5';
const TYPE_FIFO: u8 = b'6';
const TYPE_PAX: u8 = b'x';
const TYPE_PAX_GLOBAL: u8 = b'g';
const TYPE_GNU_LONG_NAME: u8 = b'L';
const TYPE_GNU_LONG_LINK: u8 = b'K';
const TYPE_GNU_SPARSE: u8 = b'S';

/// Reads the whole archive, to its very last byte.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<SkillTree, ArchiveError> {
    let mut reader = Reader {
        stream: Gunzip::new(bytes, stream_bound(bytes.len() as u64, limits))?,
        offset: 0,
        header_at: 0,
        collector: Collector::new(limits),
        metadata: Metadata::default(),
    };
    while reader.entry()? {}
    Ok(reader.collector.finish())
}

/// The lower of two bounds: the compression ratio, and the largest tar that a tree within the
/// limits can have.
fn stream_bound(archive_bytes: u64, limits: &Limits) -> Bound {
    let overhead = OVERHEAD_PER_ENTRY
        .saturating_mul(limits.entries_max() as u64)
        .saturating_add(END_PADDING_MAX);
    let by_size = limits.unpacked_bytes_max.saturating_add(overhead);
    let by_ratio = limits.ratio_bytes_max(archive_bytes);
    if by_ratio < by_size {
        Bound {
            bytes_max: by_ratio,
            exceeded: ArchiveError::Bomb {
                ratio_max: limits.ratio_max,
            },
        }
    } else {
        Bound {
            bytes_max: by_size,
            exceeded: LimitError::TotalSize {
                max: limits.unpacked_bytes_max,
            }
            .into(),
        }
    }
}

/// What the records before an entry say about it.
#[derive(Default)]
struct Metadata {
    extended: Option<Extended>,
    long_name: Option<Vec<u8>>,
    long_link: bool,
}

impl Metadata {
    fn is_empty(&self) -> bool {
        self.extended.is_none() && self.long_name.is_none() && !self.long_link
    }
}

struct Reader<'a> {
    stream: Gunzip<'a>,
    /// Bytes of the tar read so far.
    offset: u64,
    /// Where the header at hand begins, for errors.
    header_at: u64,
    collector: Collector<'a>,
    metadata: Metadata,
}

impl Reader<'_> {
    /// Reads one header and what belongs to it. Says whether more may follow.
    fn entry(&mut self) -> Result<bool, ArchiveError> {
        self.header_at = self.offset;
        let block = self.block()?;
        if is_zero(&block) {
            self.end()?;
            return Ok(false);
        }
        let header = Header::parse(&block).map_err(|problem| self.problem(problem))?;
        match header.kind {
            TYPE_PAX | TYPE_PAX_GLOBAL | TYPE_GNU_LONG_NAME | TYPE_GNU_LONG_LINK => {
                self.metadata_record(&header)?
            }
            _ => self.file_or_folder(header)?,
        }
        Ok(true)
    }

    /// Two zero blocks end an archive, and only zeros may follow.
    fn end(&mut self) -> Result<(), ArchiveError> {
        if !self.metadata.is_empty() {
            return Err(self.problem(TarProblem::StrayMetadata));
        }
        self.header_at = self.offset;
        if !is_zero(&self.block()?) {
            return Err(self.problem(TarProblem::DataAfterEnd));
        }
        self.header_at = self.offset;
        while let Some(piece) = self.stream.next(usize::MAX)? {
            if !is_zero(piece) {
                return Err(self.problem(TarProblem::DataAfterEnd));
            }
        }
        Ok(())
    }

    fn metadata_record(&mut self, header: &Header) -> Result<(), ArchiveError> {
        if header.size > METADATA_BYTES_MAX {
            return Err(self.problem(TarProblem::MetadataSize {
                max: METADATA_BYTES_MAX,
            }));
        }
        let payload = self.content(header.size)?;
        let result = match header.kind {
            TYPE_PAX_GLOBAL if !self.metadata.is_empty() => Err(TarProblem::StrayMetadata),
            TYPE_PAX_GLOBAL => pax::check_global(&payload),
            TYPE_PAX if self.metadata.extended.is_some() => Err(TarProblem::StrayMetadata),
            TYPE_PAX => {
                pax::parse_entry(&payload).map(|extended| self.metadata.extended = Some(extended))
            }
            TYPE_GNU_LONG_NAME if self.metadata.long_name.is_some() => {
                Err(TarProblem::StrayMetadata)
            }
            TYPE_GNU_LONG_NAME => {
                let name = payload.strip_suffix(b"\0").unwrap_or(&payload);
                self.metadata.long_name = Some(name.to_vec());
                Ok(())
            }
            // A long target: the link that follows is refused by its own name.
            _ => {
                self.metadata.long_link = true;
                Ok(())
            }
        };
        result.map_err(|problem| self.problem(problem))
    }

    fn file_or_folder(&mut self, header: Header) -> Result<(), ArchiveError> {
        self.collector.count_entry()?;
        let metadata = std::mem::take(&mut self.metadata);
        let extended = metadata.extended.unwrap_or_default();
        let name = match (extended.path.as_deref(), metadata.long_name.as_deref()) {
            (Some(_), Some(_)) => return Err(self.problem(TarProblem::TwoNames)),
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => header.name.as_slice(),
        };
        let is_folder =
            is_folder(header.kind, name).map_err(|problem| entry_error(name, problem))?;
        if let Some(problem) = extended.problem() {
            return Err(entry_error(name, problem));
        }
        if extended.size.is_some_and(|size| size != header.size) {
            return Err(self.problem_of(name, TarProblem::PaxSize));
        }
        if metadata.long_link {
            return Err(self.problem_of(name, TarProblem::StrayMetadata));
        }
        let executable = executable(header.mode).map_err(|problem| entry_error(name, problem))?;
        if is_folder {
            self.folder(name, header.size)
        } else {
            self.file(name, header.size, executable)
        }
    }

    fn folder(&mut self, name: &[u8], size: u64) -> Result<(), ArchiveError> {
        if size != 0 {
            return Err(entry_error(name, EntryProblem::FolderWithContent));
        }
        let name = name.strip_suffix(b"/").unwrap_or(name);
        // `tar -C folder .` begins with an entry for the root itself.
        if name == b"." {
            return Ok(());
        }
        let path = self.collector.check_path(below_root(name))?;
        self.collector.folder(&path)
    }

    fn file(&mut self, name: &[u8], size: u64, executable: bool) -> Result<(), ArchiveError> {
        let path = self.collector.check_path(below_root(name))?;
        self.collector.reserve(&path, size)?;
        let bytes = self.content(size)?;
        self.collector.file(path, SkillFile { executable, bytes })
    }

    /// Reads content and the padding after it. `size` was held against a limit before.
    fn content(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.take(size, |piece| content.extend_from_slice(piece))?;
        self.take(padding(size), |_| ())?;
        Ok(content)
    }

    fn block(&mut self) -> Result<Block, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        self.take(BLOCK_BYTES as u64, |piece| {
            block[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        })?;
        Ok(block)
    }

    /// Hands exactly `size` bytes to `sink`, in pieces.
    fn take(&mut self, size: u64, mut sink: impl FnMut(&[u8])) -> Result<(), ArchiveError> {
        let mut missing = size;
        while missing > 0 {
            let piece = self
                .stream
                .next(usize::try_from(missing).unwrap_or(usize::MAX))?;
            let Some(piece) = piece else {
                return Err(self.problem(TarProblem::Truncated));
            };
            sink(piece);
            missing -= piece.len() as u64;
            self.offset += piece.len() as u64;
        }
        Ok(())
    }

    fn problem(&self, problem: TarProblem) -> ArchiveError {
        ArchiveError::Tar {
            at: self.header_at,
            path: None,
            problem,
        }
    }

    fn problem_of(&self, name: &[u8], problem: TarProblem) -> ArchiveError {
        ArchiveError::Tar {
            at: self.header_at,
            path: Some(shown(name)),
            problem,
        }
    }
}

/// Whether the entry is a folder, or why it is neither that nor a file.
fn is_folder(kind: u8, name: &[u8]) -> Result<bool, EntryProblem> {
    match kind {
        TYPE_FOLDER => Ok(true),
        // V7 had no type for folders, only the slash. In a `0` entry that slash is refused, since
        // some programs read a folder there and others a file.
        TYPE_FILE_V7 => Ok(name.ends_with(b"/")),
        TYPE_FILE if name.ends_with(b"/") => Err(EntryProblem::FileOrFolder),
        TYPE_FILE => Ok(false),
        TYPE_HARD_LINK => Err(EntryProblem::HardLink),
        TYPE_SYMBOLIC_LINK => Err(EntryProblem::SymbolicLink),
        TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE => Err(EntryProblem::Device),
        TYPE_FIFO => Err(EntryProblem::Fifo),
        TYPE_GNU_SPARSE => Err(EntryProblem::Sparse),
        other => Err(EntryProblem::UnknownType(other)),
    }
}

/// Without the `./` that `tar -C folder .` puts before every name.
fn below_root(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"./").unwrap_or(name)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn entry_error(name: &[u8], problem: EntryProblem) -> ArchiveError {
    ArchiveError::Entry {
        path: shown(name),
        problem,
    }
}

fn shown(name: &[u8]) -> String {
    printable(&String::from_utf8_lossy(name))
}
