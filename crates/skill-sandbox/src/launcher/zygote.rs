//! A warm Python interpreter in the sandbox, which forks per job: start-up and usual imports are
//! paid once. Each job is a process of its own as ever, under its own limits.
//!
//! The child for the next job is forked before that comes, but not before everything of the last
//! one is gone: no job ever runs beside it. The interpreter runs no code of a skill's. Its word is
//! taken for how a job ended, but not for when: that the kernel says.

use std::ffi::{CString, OsStr};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::spawn::{Plan, Stack, spawn};
use crate::sys;
use crate::wire::{self, Python};

const SOURCE: &str = include_str!("zygote.py");
/// It takes 30 ms to start and 1 ms to answer; more means that a job has tampered with it.
const PATIENCE: Duration = Duration::from_secs(5);

const FORK: u8 = b'F';
const REAP: u8 = b'R';

pub struct Zygote {
    pub process: Pid,
    control: UnixStream,
    jobs: UnixStream,
    /// The end that children read from, to see what they have not read.
    unread: OwnedFd,
    spare: Option<Spare>,
    /// The script that the last job ran.
    last: PathBuf,
}

/// A child that waits for a job.
pub struct Spare {
    pub process: Pid,
    /// Readable when it has ended.
    pub watch: OwnedFd,
}

/// What a job needs of it.
pub struct Script<'a> {
    pub directory: &'a Path,
    /// The script first.
    pub args: &'a [CString],
    pub environment: &'a [CString],
    pub limits: &'a [(u32, libc::rlimit)],
}

impl Script<'_> {
    fn path(&self) -> PathBuf {
        let script = self.args.first().map_or(&[][..], |text| text.as_bytes());
        self.directory.join(OsStr::from_bytes(script))
    }
}

impl Zygote {
    /// Starts the interpreter and waits until it is ready.
    pub fn start(
        python: &Python,
        directory: BorrowedFd<'_>,
        stack: &mut Stack,
    ) -> io::Result<Self> {
        let text = |text: &[u8]| CString::new(text).map_err(io::Error::from);
        let mut startup: Vec<CString> = python
            .startup
            .iter()
            .map(|(name, value)| text(format!("{name}={value}").as_bytes()))
            .collect::<Result<_, _>>()?;
        // Else each child would look up every function of the C library's that it calls.
        startup.push(text(b"LD_BIND_NOW=1")?);
        let (control, its_control) = UnixStream::pair()?;
        let (jobs, unread) = UnixStream::pair()?;
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        let process = spawn(
            &Plan {
                program: &text(python.interpreter.as_os_str().as_bytes())?,
                args: &[text(b"-c")?, text(SOURCE.as_bytes())?],
                environment: &startup,
                stdio: &[its_control.into(), unread.try_clone()?.into(), null.into()],
                directory,
                limits: &[],
                confinement: None,
            },
            stack,
        )?;
        control.set_read_timeout(Some(PATIENCE))?;
        control.set_write_timeout(Some(PATIENCE))?;
        jobs.set_write_timeout(Some(PATIENCE))?;
        let mut zygote = Self {
            process,
            control,
            jobs,
            unread: unread.into(),
            spare: None,
            last: PathBuf::new(),
        };
        zygote.answer()?;
        Ok(zygote)
    }

    /// Has it prepare for this script, and fork a child. Nothing of a job may live.
    fn fork(&mut self, script: &Path) -> io::Result<Spare> {
        // The last job may have stopped it.
        kill(self.process, Signal::SIGCONT)?;
        let script = script.as_os_str().as_bytes();
        let mut message = vec![FORK];
        message.extend((script.len() as u32).to_le_bytes());
        message.extend(script);
        self.control.write_all(&message)?;
        let (child, _) = self.answer()?;
        let process = Pid::from_raw(child);
        let watch = sys::pidfd(process)?;
        Ok(Spare { process, watch })
    }

    /// Has the child that waits become the job.
    pub fn run(&mut self, script: &Script<'_>, streams: &[OwnedFd; 3]) -> io::Result<Spare> {
        let path = script.path();
        let spare = match self.spare.take() {
            Some(spare) => spare,
            // The first job, whose script had to be known.
            None => self.fork(&path)?,
        };
        let message = message(script, &path);
        let streams = [&streams[0], &streams[1], &streams[2]].map(AsRawFd::as_raw_fd);
        let sent = wire::send_some(self.jobs.as_fd(), &message, &streams)?;
        self.jobs.write_all(&message[sent..])?;
        self.last = path;
        Ok(spare)
    }

    /// How its child ended, which it has, and the processor time of it and its own.
    pub fn reap(&mut self, child: Pid) -> io::Result<(WaitStatus, Duration)> {
        // The job may have stopped it.
        kill(self.process, Signal::SIGCONT)?;
        self.control.write_all(&[REAP])?;
        let (status, cpu) = self.answer()?;
        Ok((
            WaitStatus::from_raw(child, status)?,
            Duration::from_micros(cpu),
        ))
    }

    /// Whether the child that was sent the last job has ended without having taken it. The next
    /// one would find it.
    pub fn has_unread(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.unread.as_raw_fd(), &mut [0], flags) != Err(Errno::EAGAIN)
    }

    /// Prepares for another job like the last one, of which nothing may live.
    pub fn fork_ahead(&mut self) -> io::Result<()> {
        let script = std::mem::take(&mut self.last);
        self.spare = Some(self.fork(&script)?);
        Ok(())
    }

    fn answer(&mut self) -> io::Result<(i32, u64)> {
        let mut bytes = [0; 12];
        self.control.read_exact(&mut bytes)?;
        let (value, micros) = bytes.split_at(size_of::<i32>());
        let unfit = |_| io::Error::other("half an answer");
        Ok((
            i32::from_le_bytes(value.try_into().map_err(unfit)?),
            u64::from_le_bytes(micros.try_into().map_err(unfit)?),
        ))
    }
}

/// As `zygote.py` describes it.
fn message(script: &Script<'_>, path: &Path) -> Vec<u8> {
    // Where it looks for modules first, as the interpreter finds it: without links.
    let beside = path.canonicalize().ok();
    let beside = beside.as_deref().unwrap_or(path).parent();
    let beside = beside.unwrap_or(Path::new("/")).as_os_str();
    let mut bytes = vec![0; size_of::<u32>()];
    let arguments = script.args.len().saturating_sub(1);
    for count in [arguments, script.environment.len(), script.limits.len()] {
        bytes.extend((count as u32).to_le_bytes());
    }
    for (resource, limit) in script.limits {
        bytes.extend(resource.to_le_bytes());
        // Python writes no limit as -1, which is how it looks as a signed number.
        bytes.extend((limit.rlim_cur as i64).to_le_bytes());
        bytes.extend((limit.rlim_max as i64).to_le_bytes());
    }
    for folder in [script.directory.as_os_str(), beside] {
        bytes.extend(folder.as_bytes());
        bytes.push(0);
    }
    for text in script.args.iter().chain(script.environment) {
        bytes.extend(text.as_bytes_with_nul());
    }
    let length = bytes.len() as u32;
    bytes[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    bytes
}
