//! Messages between the caller and a launcher, over a Unix stream socket: a length of four bytes
//! (little-endian), then the message; descriptors come with the length's first byte. Both sides
//! are the same program, so nothing here needs to stay compatible.

use std::ffi::{CString, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::fstat;
use serde::{Deserialize, Serialize};

use crate::job::{Job, Limits};
use crate::outcome::{Ended, Missing, Protections};
use crate::sys;

/// The largest message. The kernel takes at most 2 MiB of arguments and environment by default
/// and never more than 6 MiB.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The length in front of each message.
const LENGTH_BYTES: usize = 4;

/// A file or folder of the host that jobs are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Where jobs see it.
    pub path: PathBuf,
    /// Where it is, without symbolic links.
    pub source: PathBuf,
    /// Its identity: a folder that is replaced is another one.
    pub device: u64,
    pub inode: u64,
}

impl Shown {
    /// Whether this is what is held.
    pub fn is(&self, held: impl AsFd) -> io::Result<bool> {
        let status = fstat(held)?;
        Ok((status.st_dev, status.st_ino) == (self.device, self.inode))
    }
}

/// An interpreter to keep warm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    pub interpreter: PathBuf,
    /// Variables that it reads when it starts.
    pub startup: Vec<(String, String)>,
}

/// What a launcher is made for. Jobs that need the same share it, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// None for a launcher that only tells what it could enforce.
    pub skill: Option<Shown>,
    pub read: Vec<Shown>,
    pub write: Vec<Shown>,
    /// Where something that must not be changed lies in what may be written. Only a mount namespace can
    /// keep it.
    pub sealed: Vec<Shown>,
    pub network: bool,
    pub scratch_bytes: u64,
    pub scratch_files: u64,
    pub memory_bytes: u64,
    /// Whether to try namespaces at all.
    pub namespaces: bool,
    pub python: Option<Python>,
}

/// One job, as the launcher needs it.
#[derive(Debug)]
pub struct Run {
    pub limits: Limits,
    pub program: CString,
    pub args: Vec<CString>,
    /// `NAME=value`.
    pub environment: Vec<CString>,
    pub scratch_variables: Vec<OsString>,
}

/// What the caller says.
#[derive(Debug)]
pub enum Request {
    Setup(Box<Setup>),
    /// Standard input, output and error come as descriptors.
    Run(Box<Run>),
    /// End the run now, without grace.
    Stop,
}

/// What the launcher says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is set up, and this is what it enforces.
    Ready(Protections),
    /// The host refuses namespaces; the launcher ends.
    NoNamespaces(Missing),
    /// It cannot be set up; the launcher ends.
    Unable(String),
    /// The job's program could not be started.
    NotStarted(String),
    /// The run is over and nothing of it lives.
    Ended {
        ended: Ended,
        cpu: Duration,
        leftover_processes: u32,
        warm: bool,
    },
    /// Nothing of the last run is left on disk either: ready for the next.
    Idle,
}

#[derive(Serialize, Deserialize)]
struct RunHeader {
    limits: Limits,
    args: usize,
    environment: usize,
}

const SETUP: u8 = b'S';
const RUN: u8 = b'R';
const STOP: u8 = b'K';

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A message with its length in front.
fn framed(body: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    body(&mut bytes)?;
    let length = bytes.len() - LENGTH_BYTES;
    if length > MESSAGE_BYTES_MAX {
        return Err(invalid("arguments and environment are larger than 8 MiB"));
    }
    bytes[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

pub fn setup_message(setup: &Setup) -> io::Result<Vec<u8>> {
    framed(|bytes| {
        bytes.push(SETUP);
        Ok(serde_json::to_writer(bytes, setup)?)
    })
}

pub fn stop_message() -> Vec<u8> {
    vec![1, 0, 0, 0, STOP]
}

/// Texts end with a NUL byte, which none of them may contain.
pub fn run_message(job: &Job) -> io::Result<Vec<u8>> {
    framed(|bytes| {
        let header = serde_json::to_vec(&RunHeader {
            limits: job.limits.clone(),
            args: job.args.len(),
            environment: job.environment.len(),
        })?;
        bytes.push(RUN);
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header);
        let mut put = |parts: &[&[u8]]| {
            for part in parts {
                if part.contains(&0) {
                    return Err(invalid("an argument or a variable contains a NUL byte"));
                }
                bytes.extend_from_slice(part);
            }
            bytes.push(0);
            Ok(())
        };
        put(&[job.program.as_os_str().as_encoded_bytes()])?;
        for argument in &job.args {
            put(&[argument.as_encoded_bytes()])?;
        }
        for (name, value) in &job.environment {
            put(&[name.as_encoded_bytes(), b"=", value.as_encoded_bytes()])?;
        }
        for name in &job.scratch_variables {
            put(&[name.as_encoded_bytes()])?;
        }
        Ok(())
    })
}

fn parse_run(body: &[u8]) -> io::Result<Run> {
    let (length, rest) = body
        .split_at_checked(LENGTH_BYTES)
        .ok_or_else(|| invalid("a run without a header"))?;
    let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
    let (header, rest) = rest
        .split_at_checked(length)
        .ok_or_else(|| invalid("a run with half a header"))?;
    let header: RunHeader = serde_json::from_slice(header)?;
    let mut texts = rest
        .split_inclusive(|byte| *byte == 0)
        .map(|text| CString::from_vec_with_nul(text.to_vec()).map_err(|_| invalid("half a text")));
    let program = texts
        .next()
        .ok_or_else(|| invalid("a run without a program"))??;
    let args = texts.by_ref().take(header.args).collect::<Result<_, _>>()?;
    let environment = texts
        .by_ref()
        .take(header.environment)
        .collect::<Result<_, _>>()?;
    let scratch_variables = texts
        .map(|name| name.map(|name| OsString::from_vec(name.into_bytes())))
        .collect::<Result<_, _>>()?;
    Ok(Run {
        limits: header.limits,
        program,
        args,
        environment,
        scratch_variables,
    })
}

fn parse_request(body: &[u8]) -> io::Result<Request> {
    match body.split_first() {
        Some((&SETUP, rest)) => Ok(Request::Setup(serde_json::from_slice(rest)?)),
        Some((&RUN, rest)) => Ok(Request::Run(Box::new(parse_run(rest)?))),
        Some((&STOP, [])) => Ok(Request::Stop),
        _ => Err(invalid("an unknown request")),
    }
}

/// How long a message is, or why its length cannot be right.
pub fn message_length(length: [u8; LENGTH_BYTES]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(invalid("a message that is too long"));
    }
    Ok(length)
}

/// Sends as much of a message as fits, with descriptors; returns how much that was. Never raises
/// SIGPIPE.
pub fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[RawFd]) -> io::Result<usize> {
    let control = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage<'_>] = if descriptors.is_empty() {
        &[]
    } else {
        &control
    };
    Ok(sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?)
}

/// The launcher's next request and its descriptors; `None` when the caller is gone. Blocks.
pub fn receive_request(mut socket: &UnixStream) -> io::Result<Option<(Request, Vec<OwnedFd>)>> {
    let mut length = [0; LENGTH_BYTES];
    let mut descriptors = Vec::new();
    let mut have = 0;
    while have < LENGTH_BYTES {
        let mut control = cmsg_space!([RawFd; 3]);
        let mut slices = [IoSliceMut::new(&mut length[have..])];
        let received = match recvmsg::<()>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        ) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = message {
                descriptors.extend(raw.into_iter().map(sys::adopt_received));
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        have += received.bytes;
    }
    let mut body = vec![0; message_length(length)?];
    socket.read_exact(&mut body)?;
    Ok(Some((parse_request(&body)?, descriptors)))
}

/// Sends a reply. Blocks.
pub fn send_reply(mut socket: &UnixStream, reply: &Reply) -> io::Result<()> {
    let bytes = framed(|bytes| Ok(serde_json::to_writer(bytes, reply)?))?;
    // Whoever calls has SIGPIPE ignored, as every Rust program starts.
    socket.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_run_survives_the_way_with_bytes_that_are_no_text() {
        let mut job = Job::new("/bin/x", "/skill");
        let odd = OsStr::from_bytes(b"\xff\n").to_owned();
        job.args = vec![odd.clone(), OsString::new()];
        job.environment = vec![("A".into(), odd), ("B".into(), "".into())];
        let message = run_message(&job).unwrap();
        let Request::Run(run) = parse_request(&message[LENGTH_BYTES..]).unwrap() else {
            panic!("another request");
        };
        assert_eq!(run.program.as_bytes(), b"/bin/x");
        assert_eq!(run.args, [c"\xff\n".to_owned(), c"".to_owned()]);
        assert_eq!(run.environment, [c"A=\xff\n".to_owned(), c"B=".to_owned()]);
        assert_eq!(run.scratch_variables, ["HOME", "TMPDIR"]);
        assert_eq!(run.limits, job.limits);
    }

    #[test]
    fn a_nul_byte_cannot_split_a_variable_in_two() {
        let mut job = Job::new("/bin/x", "/skill");
        job.environment = vec![("A".into(), "1\0B=2".into())];
        assert_eq!(
            run_message(&job).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn half_a_message_is_refused() {
        let message = run_message(&Job::new("/bin/x", "/skill")).unwrap();
        for length in [0, 1, 4, 30, message.len() - LENGTH_BYTES - 1] {
            assert!(
                parse_request(&message[LENGTH_BYTES..][..length]).is_err(),
                "{length}"
            );
        }
    }
}
