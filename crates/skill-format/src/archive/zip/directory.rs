//! The end-of-central-directory record and the central directory (APPNOTE 4.3.12, 4.3.16).

use std::ops::Range;

use super::super::error::{ArchiveError, ZipProblem};
use super::fields::Fields;
use super::{METHOD_DEFLATE, METHOD_STORED, extra, zip_error};
use crate::limits::{LimitError, Limits};
use crate::tree::path::printable;

const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = u16::MAX as usize;
const ZIP64_LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const ZIP64_LOCATOR_BYTES: usize = 20;
const CENTRAL_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x01\x02");

const FLAG_ENCRYPTED: u16 = 1;
pub(super) const FLAG_DESCRIPTOR: u16 = 1 << 3;
const FLAG_PATCH: u16 = 1 << 5;
const FLAG_STRONG_ENCRYPTION: u16 = 1 << 6;
const FLAG_MASKED: u16 = 1 << 13;

/// Where the central directory lies, as the end of the file says.
pub(super) struct End {
    pub directory: Range<usize>,
    entries: usize,
}

/// Whether some record at the end could be an end-of-central-directory record.
pub(super) fn ends_like_a_zip(bytes: &[u8]) -> bool {
    candidates(bytes).next().is_some()
}

/// Every place that begins like the record, the last one first. All of them lie in the part that
/// a record with its comment can fill, so this looks at no more than 64 KiB.
fn candidates(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let last = bytes.len().checked_sub(END_BYTES);
    let first = bytes.len().saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let range = last.map_or(0..0, |last| first..last + 1);
    range
        .rev()
        .filter(|at| bytes[*at..].starts_with(END_SIGNATURE))
}

impl End {
    /// The only record whose comment reaches to the end of the file. Were there two, programs that
    /// search from the front and from the back would read two archives.
    pub fn find(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let no_end = || zip_error(bytes.len(), ZipProblem::NoEnd);
        let mut all = candidates(bytes);
        let at = all.next().ok_or_else(no_end)?;
        if !comment_fits(bytes, at) {
            return Err(no_end());
        }
        if all.any(|earlier| comment_fits(bytes, earlier)) {
            return Err(zip_error(at, ZipProblem::Comment));
        }
        Self::parse(bytes, at).map_err(|problem| zip_error(at, problem))
    }

    fn parse(bytes: &[u8], at: usize) -> Result<Self, ZipProblem> {
        let locator = at
            .checked_sub(ZIP64_LOCATOR_BYTES)
            .map(|start| &bytes[start..at]);
        if locator.is_some_and(|record| record.starts_with(ZIP64_LOCATOR_SIGNATURE)) {
            return Err(ZipProblem::Zip64);
        }
        let mut fields = Fields(&bytes[at + END_SIGNATURE.len()..]);
        let mut u16 = || fields.u16().ok_or(ZipProblem::NoEnd);
        let (disk, directory_disk, entries_here, entries) = (u16()?, u16()?, u16()?, u16()?);
        let (size, start) = (
            fields.u32().ok_or(ZipProblem::NoEnd)?,
            fields.u32().ok_or(ZipProblem::NoEnd)?,
        );
        if [disk, directory_disk, entries_here, entries].contains(&u16::MAX)
            || [size, start].contains(&u32::MAX)
        {
            return Err(ZipProblem::Zip64);
        }
        if (disk, directory_disk) != (0, 0) || entries_here != entries {
            return Err(ZipProblem::MultiDisk);
        }
        let start = index(start)?;
        let directory = start
            ..start
                .checked_add(index(size)?)
                .ok_or(ZipProblem::DirectoryBounds)?;
        if directory.end != at {
            return Err(ZipProblem::DirectoryBounds);
        }
        Ok(Self {
            directory,
            entries: entries.into(),
        })
    }
}

fn comment_fits(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + END_BYTES - 2..at + END_BYTES) {
        Some(&[low, high]) => {
            at + END_BYTES + usize::from(u16::from_le_bytes([low, high])) == bytes.len()
        }
        _ => false,
    }
}

fn index(offset: u32) -> Result<usize, ZipProblem> {
    usize::try_from(offset).map_err(|_| ZipProblem::DirectoryBounds)
}

/// What the central directory says about an entry.
pub(super) struct Central<'a> {
    /// Where this record lies in the file, for errors.
    at: usize,
    pub name: &'a [u8],
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub packed_size: u32,
    pub size: u32,
    pub attributes: u32,
    pub local_at: usize,
}

impl Central<'_> {
    pub fn error(&self, problem: ZipProblem) -> ArchiveError {
        let path = printable(&String::from_utf8_lossy(self.name));
        ArchiveError::Zip {
            at: self.at as u64,
            path: Some(path),
            problem,
        }
    }
}

/// Reads exactly as many records as the end promises; they must fill the directory.
pub(super) fn entries<'a>(
    bytes: &'a [u8],
    end: &End,
    limits: &Limits,
) -> Result<Vec<Central<'a>>, ArchiveError> {
    let max = limits.entries_max();
    if end.entries > max {
        return Err(LimitError::EntryCount { max }.into());
    }
    let directory = &bytes[end.directory.clone()];
    let mut fields = Fields(directory);
    let mut entries = Vec::with_capacity(end.entries);
    for _ in 0..end.entries {
        let at = end.directory.end - fields.0.len();
        entries.push(entry(&mut fields, at)?);
    }
    if !fields.0.is_empty() {
        return Err(zip_error(
            end.directory.end - fields.0.len(),
            ZipProblem::DirectorySyntax,
        ));
    }
    Ok(entries)
}

fn entry<'a>(fields: &mut Fields<'a>, at: usize) -> Result<Central<'a>, ArchiveError> {
    let record = Record::read(fields).ok_or_else(|| zip_error(at, ZipProblem::DirectorySyntax))?;
    let local_at = index(record.local_at).map_err(|problem| zip_error(at, problem))?;
    let central = Central {
        at,
        name: record.name,
        flags: record.flags,
        method: record.method,
        crc: record.crc,
        packed_size: record.packed_size,
        size: record.size,
        attributes: record.attributes,
        local_at,
    };
    record.check().map_err(|problem| central.error(problem))?;
    Ok(central)
}

/// A record of the directory, field by field.
struct Record<'a> {
    flags: u16,
    method: u16,
    crc: u32,
    packed_size: u32,
    size: u32,
    disk: u16,
    attributes: u32,
    local_at: u32,
    name: &'a [u8],
    extra: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        if fields.u32()? != CENTRAL_SIGNATURE {
            return None;
        }
        let (_made_by, _needed) = (fields.u16()?, fields.u16()?);
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time_and_date = fields.u32()?;
        let (crc, packed_size, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes, comment_bytes) =
            (fields.u16()?, fields.u16()?, fields.u16()?);
        let (disk, _internal) = (fields.u16()?, fields.u16()?);
        let (attributes, local_at) = (fields.u32()?, fields.u32()?);
        let name = fields.bytes(name_bytes.into())?;
        let extra = fields.bytes(extra_bytes.into())?;
        let _comment = fields.bytes(comment_bytes.into())?;
        Some(Self {
            flags,
            method,
            crc,
            packed_size,
            size,
            disk,
            attributes,
            local_at,
            name,
            extra,
        })
    }

    /// What can be judged without the local header.
    fn check(&self) -> Result<(), ZipProblem> {
        if self.flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED) != 0 {
            return Err(ZipProblem::Encrypted);
        }
        if [self.packed_size, self.size, self.local_at].contains(&u32::MAX) {
            return Err(ZipProblem::Zip64);
        }
        extra::check(self.extra, self.name)?;
        if !matches!(self.method, METHOD_STORED | METHOD_DEFLATE) || self.flags & FLAG_PATCH != 0 {
            return Err(ZipProblem::Method(self.method));
        }
        if self.disk != 0 {
            return Err(ZipProblem::MultiDisk);
        }
        Ok(())
    }
}
