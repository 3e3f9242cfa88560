//! The 512-byte tar header: its layout (POSIX.1-2001 ustar), strict parsing and plain writing.
//!
//! Knows one block at a time; what a sequence of them means is the reader's business.

use super::error::TarProblem;

pub(super) const BLOCK_BYTES: usize = 512;
pub(super) type Block = [u8; BLOCK_BYTES];

/// A field's place in the header.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    start: usize,
    len: usize,
}

impl Field {
    const fn new(name: &'static str, start: usize, len: usize) -> Self {
        Self { name, start, len }
    }

    pub const fn len(self) -> usize {
        self.len
    }

    pub fn of(self, block: &Block) -> &[u8] {
        &block[self.start..self.start + self.len]
    }

    pub fn of_mut(self, block: &mut Block) -> &mut [u8] {
        &mut block[self.start..self.start + self.len]
    }
}

pub(super) const NAME: Field = Field::new("name", 0, 100);
pub(super) const MODE: Field = Field::new("mode", 100, 8);
pub(super) const UID: Field = Field::new("uid", 108, 8);
pub(super) const GID: Field = Field::new("gid", 116, 8);
pub(super) const SIZE: Field = Field::new("size", 124, 12);
pub(super) const MTIME: Field = Field::new("mtime", 136, 12);
pub(super) const CHECKSUM: Field = Field::new("checksum", 148, 8);
pub(super) const TYPE: Field = Field::new("typeflag", 156, 1);
pub(super) const MAGIC: Field = Field::new("magic", 257, 8);
pub(super) const DEVICE_MAJOR: Field = Field::new("devmajor", 329, 8);
pub(super) const DEVICE_MINOR: Field = Field::new("devminor", 337, 8);
pub(super) const PREFIX: Field = Field::new("prefix", 345, 155);

/// Magic and version of POSIX ustar.
pub(super) const MAGIC_USTAR: &[u8; 8] = b"ustar\x0000";
/// The same of GNU tar, which uses the prefix field for other things.
const MAGIC_GNU: &[u8; 8] = b"ustar  \0";
/// Unix V7, before there was a magic.
const MAGIC_V7: &[u8; 8] = &[0; 8];

/// The fields that matter here. Owner and time are not among them.
#[derive(Debug)]
pub(super) struct Header {
    /// As recorded, prefix included.
    pub name: Vec<u8>,
    pub mode: u64,
    pub size: u64,
    pub kind: u8,
}

impl Header {
    pub fn parse(block: &Block) -> Result<Self, TarProblem> {
        if number(block, CHECKSUM)? != u64::from(checksum(block)) {
            return Err(TarProblem::HeaderChecksum);
        }
        let magic = MAGIC.of(block);
        let is_ustar = magic == MAGIC_USTAR;
        if !is_ustar && magic != MAGIC_GNU && magic != MAGIC_V7 {
            return Err(TarProblem::Magic);
        }
        let mut name = Vec::new();
        let prefix = until_nul(PREFIX.of(block));
        if is_ustar && !prefix.is_empty() {
            name.extend_from_slice(prefix);
            name.push(b'/');
        }
        name.extend_from_slice(until_nul(NAME.of(block)));
        let [kind] = TYPE.of(block) else {
            return Err(TarProblem::Magic);
        };
        Ok(Self {
            name,
            mode: number(block, MODE)?,
            size: number(block, SIZE)?,
            kind: *kind,
        })
    }
}

/// Sum of all bytes, those of the checksum itself counted as spaces.
pub(super) fn checksum(block: &Block) -> u32 {
    let spaces = u32::from(b' ') * CHECKSUM.len as u32;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(block) - sum(CHECKSUM.of(block)) + spaces
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
}

/// An octal number: spaces, digits, then only NULs and spaces. GNU's binary form is refused: it
/// says nothing that fits the limits and octal does not.
fn number(block: &Block, field: Field) -> Result<u64, TarProblem> {
    let problem = TarProblem::Number { field: field.name };
    let text = field.of(block).trim_ascii_start();
    let digits = text
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    let (digits, rest) = text.split_at(digits);
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Err(problem);
    }
    // At most 12 digits of three bits each.
    Ok(digits
        .iter()
        .fold(0, |value, digit| value << 3 | u64::from(digit - b'0')))
}

/// Writes `value` as zero-padded octal digits with a NUL at the end.
pub(super) fn put_number(block: &mut Block, field: Field, value: u64) {
    let bytes = field.of_mut(block);
    let mut rest = value;
    for byte in bytes.iter_mut().rev().skip(1) {
        *byte = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    debug_assert_eq!(
        rest, 0,
        "`{}` has room for what a tree can hold",
        field.name
    );
}

/// Bytes from the end of `size` bytes of content to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES as u64) - size
}
