//! The memory of the program that calls: every access is checked against its bounds.

use super::{Errno, Host};

/// Most pieces of one read or write (`IOV_MAX`).
const PIECES_MAX: u32 = 1024;

/// A program during one of its calls.
pub(super) struct Guest<'a> {
    pub memory: &'a mut [u8],
    pub host: &'a mut Host,
}

/// A piece of memory that the program names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    at: u32,
    length: u32,
}

impl Guest<'_> {
    pub fn bytes(&self, at: u32, length: u32) -> Result<&[u8], Errno> {
        let (at, length) = (at as usize, length as usize);
        let end = at.checked_add(length).ok_or(Errno::Fault)?;
        self.memory.get(at..end).ok_or(Errno::Fault)
    }

    pub fn text(&self, at: u32, length: u32) -> Result<&str, Errno> {
        std::str::from_utf8(self.bytes(at, length)?).map_err(|_| Errno::Ilseq)
    }

    pub fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        place(self.memory, at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    pub fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    pub fn put_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    /// A length that is told; memory is addressed with 32 bits, so it fits.
    pub fn put_length(&mut self, at: u32, length: usize) -> Result<(), Errno> {
        self.put_u32(at, u32::try_from(length).map_err(|_| Errno::Inval)?)
    }

    /// The list of pieces that a read or write works on.
    pub fn pieces(&self, at: u32, count: u32) -> Result<Vec<Piece>, Errno> {
        if count > PIECES_MAX {
            return Err(Errno::Inval);
        }
        self.bytes(at, count.saturating_mul(8))?
            .chunks_exact(8)
            .map(|pair| {
                let word = |at: usize| {
                    let bytes = pair[at..at + 4].try_into().map_err(|_| Errno::Fault)?;
                    Ok(u32::from_le_bytes(bytes))
                };
                let (at, length) = (word(0)?, word(4)?);
                Ok(Piece { at, length })
            })
            .collect()
    }

    pub fn piece_mut(&mut self, piece: Piece) -> Result<(&mut [u8], &mut Host), Errno> {
        let bytes = place(self.memory, piece.at, piece.length as usize)?;
        Ok((bytes, self.host))
    }
}

/// `length` bytes of memory to write to.
pub(super) fn place(memory: &mut [u8], at: u32, length: usize) -> Result<&mut [u8], Errno> {
    let at = at as usize;
    let end = at.checked_add(length).ok_or(Errno::Fault)?;
    memory.get_mut(at..end).ok_or(Errno::Fault)
}
