//! The local header before an entry's data and the descriptor after it (APPNOTE 4.3.7, 4.3.9),
//! both held against the central directory.

use std::ops::Range;

use super::super::error::{ArchiveError, ZipProblem};
use super::directory::{Central, FLAG_DESCRIPTOR};
use super::extra;
use super::fields::Fields;

pub(super) const SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR_SIGNATURE: u32 = u32::from_le_bytes(*b"PK\x07\x08");
/// Checksum and two sizes, without the optional signature.
const DESCRIPTOR_BYTES: usize = 12;
/// Bits that only say how hard the compressor tried.
const FLAGS_WITHOUT_MEANING: u16 = 0b110;

/// Where an entry's data lies, and where the entry ends.
pub(super) struct Span {
    pub data: Range<usize>,
    pub end: usize,
}

/// Finds the data of `entry`, which must end at or before `next`.
pub(super) fn data(bytes: &[u8], entry: &Central<'_>, next: usize) -> Result<Span, ArchiveError> {
    span(bytes, entry, next).map_err(|problem| entry.error(problem))
}

fn span(bytes: &[u8], entry: &Central<'_>, next: usize) -> Result<Span, ZipProblem> {
    // Where its successor or the directory begins, it cannot begin too.
    let record = bytes
        .get(entry.local_at..next)
        .filter(|record| !record.is_empty())
        .ok_or(ZipProblem::Overlap)?;
    let mut fields = Fields(record);
    if fields.bytes(SIGNATURE.len()) != Some(SIGNATURE) {
        return Err(ZipProblem::LocalSyntax);
    }
    let local = Local::read(&mut fields).ok_or(ZipProblem::LocalSyntax)?;
    local.check_against(entry)?;
    let packed_size = usize::try_from(entry.packed_size).map_err(|_| ZipProblem::Overlap)?;
    let start = next - fields.0.len();
    fields.bytes(packed_size).ok_or(ZipProblem::Overlap)?;
    if entry.flags & FLAG_DESCRIPTOR != 0 {
        skip_descriptor(&mut fields, entry)?;
    }
    Ok(Span {
        data: start..start + packed_size,
        end: next - fields.0.len(),
    })
}

struct Local<'a> {
    flags: u16,
    method: u16,
    crc: u32,
    packed_size: u32,
    size: u32,
    name: &'a [u8],
    extra: &'a [u8],
}

impl<'a> Local<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let _needed = fields.u16()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _time_and_date = fields.u32()?;
        let (crc, packed_size, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes) = (fields.u16()?, fields.u16()?);
        let name = fields.bytes(name_bytes.into())?;
        let extra = fields.bytes(extra_bytes.into())?;
        Some(Self {
            flags,
            method,
            crc,
            packed_size,
            size,
            name,
            extra,
        })
    }

    fn check_against(&self, entry: &Central<'_>) -> Result<(), ZipProblem> {
        let disagreement = |field| Err(ZipProblem::Disagreement { field });
        if self.name != entry.name {
            return disagreement("name");
        }
        if (self.flags ^ entry.flags) & !FLAGS_WITHOUT_MEANING != 0 {
            return disagreement("flags");
        }
        if self.method != entry.method {
            return disagreement("method");
        }
        extra::check(self.extra, self.name)?;
        // What a streaming writer does not know yet, it writes as zero and repeats in the
        // descriptor. Info-ZIP knows the size already.
        let streamed = self.flags & FLAG_DESCRIPTOR != 0;
        let agrees = |local: u32, central: u32| local == central || (streamed && local == 0);
        match self {
            _ if !agrees(self.crc, entry.crc) => disagreement("checksum"),
            _ if !agrees(self.packed_size, entry.packed_size) => disagreement("packed size"),
            _ if !agrees(self.size, entry.size) => disagreement("size"),
            _ => Ok(()),
        }
    }
}

/// Whatever follows the data up to the next entry must be a descriptor that agrees; its signature
/// is optional. What is left over after that is a gap, which the caller notices.
fn skip_descriptor(fields: &mut Fields<'_>, entry: &Central<'_>) -> Result<(), ZipProblem> {
    let mut with_signature = *fields;
    let has_signature =
        fields.0.len() > DESCRIPTOR_BYTES && with_signature.u32() == Some(DESCRIPTOR_SIGNATURE);
    if has_signature {
        *fields = with_signature;
    }
    let recorded = (fields.u32(), fields.u32(), fields.u32());
    if recorded != (Some(entry.crc), Some(entry.packed_size), Some(entry.size)) {
        return Err(ZipProblem::DataDescriptor);
    }
    Ok(())
}
