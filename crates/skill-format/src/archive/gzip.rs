//! Reads exactly one gzip member (RFC 1952) and refuses any byte before, between or after.
//!
//! `flate2`'s readers are not used: they disagree with each other about what follows a member.
//! Does not know what is inside.

use super::error::{ArchiveError, GzipProblem};
use super::inflate::{Inflate, InflateError, Step};

pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
pub(super) const METHOD_DEFLATE: u8 = 8;
/// Header without optional fields: magic, method, flags, mtime (4), extra flags, system.
pub(super) const HEADER_BYTES: usize = 10;
/// CRC-32 and length modulo 2^32.
const TRAILER_BYTES: usize = 8;

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0xe0;

const BUFFER_BYTES: usize = 64 * 1024;

/// The inflated content of one gzip member, handed out piece by piece.
pub(super) struct Gunzip<'a> {
    inflate: Inflate<'a>,
    buffer: Box<[u8]>,
    /// The part of the buffer that has not been handed out yet.
    ready: std::ops::Range<usize>,
    crc: crc32fast::Hasher,
    produced: u64,
    ended: bool,
    bound: Bound,
}

/// How much may come out, and what it is called when more does.
pub(super) struct Bound {
    pub bytes_max: u64,
    pub exceeded: ArchiveError,
}

impl<'a> Gunzip<'a> {
    /// `bytes` is the whole file. `bound` is checked as the data comes out, one buffer at a time.
    pub fn new(bytes: &'a [u8], bound: Bound) -> Result<Self, ArchiveError> {
        let body = skip_header(bytes)?;
        Ok(Self {
            inflate: Inflate::new(body),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            ready: 0..0,
            crc: crc32fast::Hasher::new(),
            produced: 0,
            ended: false,
            bound,
        })
    }

    /// The next piece, never empty, at most `max` bytes; or `None` at the end, and then the
    /// checksum, the length and the absence of further bytes have been verified.
    pub fn next(&mut self, max: usize) -> Result<Option<&[u8]>, ArchiveError> {
        while self.ready.is_empty() {
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
        let start = self.ready.start;
        let end = self.ready.end.min(start.saturating_add(max));
        self.ready.start = end;
        Ok(Some(&self.buffer[start..end]))
    }

    fn fill(&mut self) -> Result<(), ArchiveError> {
        let step = self
            .inflate
            .step(&mut self.buffer)
            .map_err(|error| match error {
                InflateError::Truncated => GzipProblem::Truncated,
                InflateError::Corrupt => GzipProblem::Corrupt,
            })?;
        let (written, ended) = match step {
            Step::Wrote(written) => (written, false),
            Step::Ended(written) => (written, true),
        };
        self.crc.update(&self.buffer[..written]);
        self.produced += written as u64;
        self.ready = 0..written;
        if self.produced > self.bound.bytes_max {
            return Err(self.bound.exceeded.clone());
        }
        if ended {
            self.ended = true;
            self.check_trailer()?;
        }
        Ok(())
    }

    fn check_trailer(&self) -> Result<(), GzipProblem> {
        let Some((trailer, rest)) = self.inflate.rest().split_first_chunk::<TRAILER_BYTES>() else {
            return Err(GzipProblem::Truncated);
        };
        let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
        if u32::from_le_bytes([c0, c1, c2, c3]) != self.crc.clone().finalize() {
            return Err(GzipProblem::Checksum);
        }
        if u64::from(u32::from_le_bytes([l0, l1, l2, l3])) != self.produced & u64::from(u32::MAX) {
            return Err(GzipProblem::Length);
        }
        if rest.starts_with(&MAGIC) {
            return Err(GzipProblem::SecondMember);
        }
        if !rest.is_empty() {
            return Err(GzipProblem::TrailingBytes);
        }
        Ok(())
    }
}

/// The bytes after the member's header. The optional fields (original name, comment) are skipped:
/// no reader lets them change what is unpacked.
fn skip_header(bytes: &[u8]) -> Result<&[u8], GzipProblem> {
    let (header, mut rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(GzipProblem::Truncated)?;
    let [m0, m1, method, flags, ..] = *header;
    if [m0, m1] != MAGIC || method != METHOD_DEFLATE || flags & FLAGS_RESERVED != 0 {
        return Err(GzipProblem::Header);
    }
    if flags & FLAG_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk().ok_or(GzipProblem::Truncated)?;
        let length = usize::from(u16::from_le_bytes(*length));
        rest = after.get(length..).ok_or(GzipProblem::Truncated)?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = rest
                .iter()
                .position(|byte| *byte == 0)
                .ok_or(GzipProblem::Truncated)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let header = &bytes[..bytes.len() - rest.len()];
        let (recorded, after) = rest.split_first_chunk().ok_or(GzipProblem::Truncated)?;
        if u32::from(u16::from_le_bytes(*recorded)) != crc32fast::hash(header) & 0xffff {
            return Err(GzipProblem::Header);
        }
        rest = after;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much a member inflates to, no more than the bound and one buffer of it ever exists.
    #[test]
    fn inflating_stops_within_one_buffer_of_the_bound() {
        let bytes_max = 1_000_000;
        let mut member = vec![0x1f, 0x8b, METHOD_DEFLATE, 0, 0, 0, 0, 0, 0, 255];
        member.extend(miniz_oxide::deflate::compress_to_vec(&[0; 3_000_000], 1));
        let exceeded = ArchiveError::Bomb { ratio_max: 1 };
        let mut stream = Gunzip::new(
            &member,
            Bound {
                bytes_max,
                exceeded: exceeded.clone(),
            },
        )
        .expect("a header");
        let mut handed_out = 0;
        let error = loop {
            match stream.next(usize::MAX) {
                Ok(piece) => {
                    handed_out += piece.expect("the bound comes before the end").len() as u64
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error, exceeded);
        assert!(handed_out <= bytes_max && stream.produced <= bytes_max + BUFFER_BYTES as u64);
    }
}
