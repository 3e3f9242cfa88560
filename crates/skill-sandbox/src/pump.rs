//! The streams of a run: input as a sealed file, outputs collected within their limit.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe2;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedSender;

use crate::job::{Chunk, Stream};
use crate::outcome::Output;

/// How much is read at once. Most outputs are shorter, and the buffer is cleared for each read.
const READ_BYTES: usize = 8 * 1024;

/// Standard input as a file in memory that nobody can change any more. A pipe would have to be
/// fed, would raise SIGPIPE where the program does not read it, and would block who feeds it.
pub fn input(bytes: &[u8]) -> io::Result<OwnedFd> {
    if bytes.is_empty() {
        return Ok(File::open("/dev/null")?.into());
    }
    let mut file = File::from(memfd_create(
        "stdin",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// One output of a run.
pub struct Collector {
    stream: Stream,
    /// None after its end.
    pipe: Option<pipe::Receiver>,
    limit: usize,
    output: Output,
    progress: Option<UnboundedSender<Chunk>>,
}

impl Collector {
    /// And the end that the program writes to.
    pub fn new(
        stream: Stream,
        limit: usize,
        progress: Option<UnboundedSender<Chunk>>,
    ) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let collector = Self {
            stream,
            pipe: Some(pipe::Receiver::from_owned_fd(read)?),
            limit,
            output: Output::default(),
            progress,
        };
        Ok((collector, write))
    }

    /// Ready when there is something to collect; never after the end, and never once the limit is
    /// passed: whoever writes on waits for the full pipe until the run is ended.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.pipe {
            Some(pipe) if !self.is_over() => pipe.readable().await,
            _ => std::future::pending().await,
        }
    }

    /// Takes what is there.
    pub fn collect(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut buffer = [0; READ_BYTES];
        match pipe.try_read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.take(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.output.total += bytes.len() as u64;
        let room = self.limit - self.output.bytes.len();
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return;
        }
        self.output.bytes.extend_from_slice(bytes);
        if let Some(progress) = &self.progress {
            // Whoever listens may have gone; the outcome has everything.
            let _ = progress.send(Chunk {
                stream: self.stream,
                bytes: bytes.to_vec(),
            });
        }
    }

    pub fn is_over(&self) -> bool {
        self.output.is_truncated()
    }

    /// What is left in the pipe after everything that could write is gone. Reads the pipe itself:
    /// the runtime may not have heard yet that there is something. Does not wait for an end of
    /// file, which somebody may withhold.
    pub fn finish(mut self) -> io::Result<Output> {
        let Some(pipe) = self.pipe.take() else {
            return Ok(self.output);
        };
        let mut pipe = File::from(pipe.into_nonblocking_fd()?);
        let mut buffer = [0; READ_BYTES];
        while !self.is_over() {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => self.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.output)
    }
}
