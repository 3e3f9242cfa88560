//! Inflates raw deflate data (RFC 1951), and nothing beyond what its caller gives room for.
//!
//! Knows neither gzip nor zip: no headers, no checksums.

use flate2::{Decompress, FlushDecompress, Status};

/// A deflate stream and the input that it has not consumed yet.
pub(super) struct Inflate<'a> {
    rest: &'a [u8],
    state: Decompress,
}

/// What a step gave.
pub(super) enum Step {
    /// This many bytes, and there may be more.
    Wrote(usize),
    /// This many bytes, and then the stream ended.
    Ended(usize),
}

pub(super) enum InflateError {
    Truncated,
    Corrupt,
}

impl<'a> Inflate<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            state: Decompress::new(false),
        }
    }

    /// What follows the stream, once it has ended.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Inflates into `out`, which must not be empty. `Wrote(n)` has `n > 0`.
    pub fn step(&mut self, out: &mut [u8]) -> Result<Step, InflateError> {
        debug_assert!(!out.is_empty(), "without room no step makes progress");
        loop {
            let (in_before, out_before) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(self.rest, out, FlushDecompress::None);
            let status = status.map_err(|_| InflateError::Corrupt)?;
            let consumed = delta(self.state.total_in(), in_before);
            let written = delta(self.state.total_out(), out_before);
            self.rest = &self.rest[consumed..];
            match status {
                Status::StreamEnd => return Ok(Step::Ended(written)),
                Status::Ok | Status::BufError if written > 0 => return Ok(Step::Wrote(written)),
                Status::Ok if consumed > 0 => {}
                Status::Ok | Status::BufError => return Err(InflateError::Truncated),
            }
        }
    }
}

/// Both counters moved by at most the length of a slice, so the difference fits.
fn delta(after: u64, before: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}
