//! Reading, writing and seeking.

use std::io::{Read as _, Seek as _, SeekFrom};

use cap_std::fs::{File, FileExt as _};

use super::descriptors::Descriptor;
use super::guest::Guest;
use super::{Answer, Errno, Refusal};
use crate::job::Stream;

const FROM_START: u32 = 0;
const FROM_HERE: u32 = 1;
const FROM_END: u32 = 2;

impl Guest<'_> {
    pub fn fd_read(&mut self, fd: u32, pieces: u32, count: u32, done: u32) -> Answer {
        let mut all = 0;
        for piece in self.pieces(pieces, count)? {
            let (buffer, host) = self.piece_mut(piece)?;
            let length = match host.descriptors.get(fd)? {
                Descriptor::Stdin { position } => {
                    let length = copy_from(&host.stdin, *position, buffer);
                    *position += length as u64;
                    length
                }
                Descriptor::File(file) => file.read(buffer)?,
                Descriptor::Folder(_) => return Err(Errno::Isdir.into()),
                Descriptor::Output(_) => return Err(Errno::Badf.into()),
            };
            all += length;
            if length < buffer.len() {
                break;
            }
            host.look_up()?;
        }
        Ok(self.put_length(done, all)?)
    }

    pub fn fd_pread(&mut self, fd: u32, pieces: u32, count: u32, from: u64, done: u32) -> Answer {
        let mut all = 0;
        for piece in self.pieces(pieces, count)? {
            let (buffer, host) = self.piece_mut(piece)?;
            let from = from.checked_add(all as u64).ok_or(Errno::Inval)?;
            let length = match host.descriptors.get(fd)? {
                Descriptor::Stdin { .. } => copy_from(&host.stdin, from, buffer),
                Descriptor::File(file) => file.read_at(buffer, from)?,
                Descriptor::Folder(_) => return Err(Errno::Isdir.into()),
                Descriptor::Output(_) => return Err(Errno::Spipe.into()),
            };
            all += length;
            if length < buffer.len() {
                break;
            }
            host.look_up()?;
        }
        Ok(self.put_length(done, all)?)
    }

    pub fn fd_write(&mut self, fd: u32, pieces: u32, count: u32, done: u32) -> Answer {
        let Descriptor::Output(stream) = *self.host.descriptors.get(fd)? else {
            return Err(Errno::Badf.into());
        };
        let mut all = 0;
        for piece in self.pieces(pieces, count)? {
            all += self.write_piece(stream, piece)?;
        }
        Ok(self.put_length(done, all)?)
    }

    fn write_piece(
        &mut self,
        stream: Stream,
        piece: super::guest::Piece,
    ) -> Result<usize, Refusal> {
        let (bytes, host) = self.piece_mut(piece)?;
        host.put(stream, bytes)?;
        Ok(bytes.len())
    }

    pub fn fd_seek(&mut self, fd: u32, by: i64, whence: u32, to: u32) -> Answer {
        let end = self.host.stdin.len() as u64;
        let position = match self.host.descriptors.get(fd)? {
            Descriptor::Stdin { position } => {
                let base = match whence {
                    FROM_START => 0,
                    FROM_HERE => *position,
                    FROM_END => end,
                    _ => return Err(Errno::Inval.into()),
                };
                *position = base.checked_add_signed(by).ok_or(Errno::Inval)?;
                *position
            }
            Descriptor::File(file) => seek(file, by, whence)?,
            Descriptor::Folder(_) => return Err(Errno::Isdir.into()),
            Descriptor::Output(_) => return Err(Errno::Spipe.into()),
        };
        Ok(self.put_u64(to, position)?)
    }

    pub fn fd_tell(&mut self, fd: u32, to: u32) -> Answer {
        self.fd_seek(fd, 0, FROM_HERE, to)
    }
}

/// What fits of the input from here on.
fn copy_from(input: &[u8], position: u64, buffer: &mut [u8]) -> usize {
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    let rest = input.get(position..).unwrap_or_default();
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}

fn seek(file: &mut File, by: i64, whence: u32) -> Result<u64, Refusal> {
    let target = match whence {
        FROM_START => SeekFrom::Start(u64::try_from(by).map_err(|_| Errno::Inval)?),
        FROM_HERE => SeekFrom::Current(by),
        FROM_END => SeekFrom::End(by),
        _ => return Err(Errno::Inval.into()),
    };
    Ok(file.seek(target)?)
}
