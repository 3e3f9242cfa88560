//! One job after the other: start it, wait for it within its limits, end what it left, clean up.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::confine::{self, State};
use super::family::{Family, memory_used, tasks_of};
use super::isolate::Identity;
use super::spawn::{OwnConfinement, Plan, Stack, spawn};
use super::tree;
use super::zygote::{Script, Spare, Zygote};
use crate::job::Limits;
use crate::outcome::Ended;
use crate::sys;
use crate::wire::{self, Reply, Request, Run, Setup};

/// How often a job's memory is looked at where no cgroup bounds it.
const WATCH_EVERY: Duration = Duration::from_millis(25);

/// Serves until the caller is gone, or until a job has left something that cannot be undone: then
/// this launcher ends, and the caller starts another.
pub fn serve(
    socket: &UnixStream,
    setup: &Setup,
    identity: Identity,
    state: State,
) -> io::Result<()> {
    let mut server = Server {
        socket,
        setup,
        identity,
        state,
        stack: Stack::new(),
        kept: setup
            .skill
            .iter()
            .chain(&setup.read)
            .chain(&setup.write)
            .map(|shown| shown.path.clone())
            .collect(),
        as_started: Scheduling::of(Pid::from_raw(0))?,
        own_limits: OwnLimits::now()?,
        zygote: None,
        spoilt: false,
    };
    server.warm_up()?;
    loop {
        match wire::receive_request(socket)? {
            None => return Ok(()),
            // The run that it meant has just ended by itself.
            Some((Request::Stop, _)) => {}
            Some((Request::Setup(_), _)) => return Err(io::Error::other("set up twice")),
            Some((Request::Run(run), streams)) => {
                let goes_on = server.run(&run, &streams)?;
                drop(streams);
                if !goes_on || !server.restore() {
                    return Ok(());
                }
                wire::send_reply(socket, &Reply::Idle)?;
            }
        }
    }
}

/// What a job could change about its launcher, being the same user, and the next would inherit.
#[derive(PartialEq, Eq)]
struct Scheduling {
    niceness: i32,
    processors: CpuSet,
}

impl Scheduling {
    /// 0 is the caller.
    fn of(process: Pid) -> io::Result<Self> {
        Ok(Self {
            niceness: sys::niceness(process.as_raw()),
            processors: sched_getaffinity(process)?,
        })
    }
}

/// A job's first process.
struct Leader {
    process: Pid,
    /// Readable when it has ended.
    watch: OwnedFd,
    /// Whether it is the warm interpreter's child instead of this process's.
    warm: bool,
}

struct Server<'a> {
    socket: &'a UnixStream,
    setup: &'a Setup,
    identity: Identity,
    state: State,
    stack: Stack,
    /// What in the scratch folder is not the job's.
    kept: Vec<PathBuf>,
    as_started: Scheduling,
    own_limits: OwnLimits,
    zygote: Option<Zygote>,
    /// Whether a job has done something to this launcher that it cannot undo.
    spoilt: bool,
}

impl Server<'_> {
    /// Starts the interpreter that this launcher is to keep warm. Where that fails, jobs are
    /// started as ever.
    fn warm_up(&mut self) -> io::Result<()> {
        let (Some(python), Some(directory)) = (&self.setup.python, &self.state.directory) else {
            return Ok(());
        };
        self.zygote = Zygote::start(python, directory.as_fd(), &mut self.stack).ok();
        if self.zygote.is_none() {
            self.state.family.end()?;
        }
        Ok(())
    }

    fn family(&self) -> Family {
        let zygote = self.zygote.as_ref();
        zygote.map_or(self.state.family, |zygote| Family::Beside(zygote.process))
    }

    /// Goes on without the warm interpreter, and ends with this job.
    fn without_zygote(&mut self) -> io::Result<()> {
        self.zygote = None;
        self.spoilt = true;
        self.state.family.end().map(drop)
    }

    /// Ends whatever the job has left.
    fn end(&mut self) -> io::Result<u32> {
        if let Some(killed) = self.family().end_beside()? {
            return Ok(killed);
        }
        self.zygote = None;
        self.spoilt = true;
        self.state.family.end()
    }

    /// One job, from start to complete end; false when the caller is gone.
    fn run(&mut self, run: &Run, streams: &[OwnedFd]) -> io::Result<bool> {
        let before = cpu_used()?;
        let (warm, waited, leftover_processes) = loop {
            let leader = match self.start(run, streams) {
                Ok(leader) => leader,
                Err(error) => {
                    wire::send_reply(self.socket, &Reply::NotStarted(error.to_string()))?;
                    return Ok(true);
                }
            };
            let waited = self.wait(&leader, &run.limits);
            let leftover_processes = self.end()?;
            if !leader.warm || !self.zygote.as_ref().is_some_and(Zygote::has_unread) {
                break (leader.warm, waited, leftover_processes);
            }
            // The child that was to become the job had died. Nothing of it has happened, and the
            // next child would take it for its own.
            self.without_zygote()?;
        };
        let Some((mut ended, cpu_beside)) = waited? else {
            return Ok(false);
        };
        let short = self
            .state
            .memory
            .as_mut()
            .is_some_and(|counter| counter.has_risen());
        let cpu = cpu_used()?.saturating_sub(before) + cpu_beside;
        if ended == Ended::Signaled(libc::SIGKILL) {
            // Nobody in the job could do this to its first process without also ending it.
            if short {
                ended = Ended::MemoryLimit;
            } else if cpu.as_secs() >= run.limits.cpu_seconds {
                ended = Ended::CpuLimit;
            }
        }
        wire::send_reply(
            self.socket,
            &Reply::Ended {
                ended,
                cpu,
                leftover_processes,
                warm,
            },
        )?;
        Ok(true)
    }

    fn start(&mut self, run: &Run, streams: &[OwnedFd]) -> io::Result<Leader> {
        let stdio = <&[OwnedFd; 3]>::try_from(streams).map_err(|_| {
            io::Error::other(format!("three streams needed, {} given", streams.len()))
        })?;
        let mut environment = run.environment.clone();
        for name in &run.scratch_variables {
            let mut variable = name.as_bytes().to_vec();
            variable.push(b'=');
            variable.extend(self.state.scratch.as_os_str().as_bytes());
            environment.push(CString::new(variable)?);
        }
        let limits = self.own_limits.within(&run.limits, self.others());
        if let (Some(zygote), Some(skill)) = (&mut self.zygote, &self.setup.skill) {
            let script = Script {
                directory: &skill.path,
                args: &run.args,
                environment: &environment,
                limits: &limits,
            };
            // What it did not take, such as because a job has harmed it, is started as ever.
            if let Ok(Spare { process, watch }) = zygote.run(&script, stdio) {
                return Ok(Leader {
                    process,
                    watch,
                    warm: true,
                });
            }
            self.without_zygote()?;
        }
        let directory = self.state.directory.as_ref();
        let directory = directory.ok_or_else(|| io::Error::other("this launcher has no skill"))?;
        let own = self.state.own.as_ref();
        let process = spawn(
            &Plan {
                program: &run.program,
                args: &run.args,
                environment: &environment,
                stdio,
                directory: directory.as_fd(),
                limits: &limits,
                confinement: own.map(|own| OwnConfinement {
                    identity: own.identity,
                    ruleset: own.ruleset.as_ref().map(AsFd::as_fd),
                    filters: &own.filters,
                }),
            },
            &mut self.stack,
        )?;
        Ok(Leader {
            process,
            watch: sys::pidfd(process)?,
            warm: false,
        })
    }

    /// How many processes of the job's user are not the job's. In a user namespace they are known;
    /// else the kernel counts what the user runs on the whole host.
    fn others(&self) -> u64 {
        match self.state.family {
            Family::Namespace | Family::Beside(_) => {
                self.identity.launchers + u64::from(self.zygote.is_some())
            }
            Family::Descendants => tasks_of(self.identity.uid.as_raw()),
        }
    }

    /// Waits for the job's first process; none when the caller is gone. Others may live on.
    /// With the time that this process does not see, because it is not the leader's parent.
    fn wait(&mut self, leader: &Leader, limits: &Limits) -> io::Result<Option<(Ended, Duration)>> {
        let mut end = Instant::now().checked_add(limits.wall);
        let mut look = self.state.watched.then(|| Instant::now() + WATCH_EVERY);
        let mut reason = None;
        loop {
            let mut events = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(leader.watch.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut events, timeout(end.into_iter().chain(look).min())) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [asked, over] = events.map(|event| event.any().unwrap_or(true));
            if over {
                if self.state.family == Family::Descendants {
                    // Its group, while the number is still its own: where there is no /proc, the
                    // others are found by nothing else.
                    self.state.family.signal(leader.process, Signal::SIGKILL)?;
                }
                let (ended, cpu) = self.reap(leader)?;
                return Ok(Some((reason.unwrap_or(ended), cpu)));
            }
            if asked
                && !matches!(
                    wire::receive_request(self.socket)?,
                    Some((Request::Stop, _))
                )
            {
                return Ok(None);
            }
            if asked {
                // The caller knows why.
                return self.kill(leader).map(Some);
            }
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                if reason == Some(Ended::TimedOut) {
                    let (_, cpu) = self.kill(leader)?;
                    return Ok(Some((Ended::TimedOut, cpu)));
                }
                reason = Some(Ended::TimedOut);
                end = now.checked_add(limits.grace);
                self.family().signal(leader.process, Signal::SIGTERM)?;
            }
            if look.is_some_and(|look| now >= look) {
                let members = self.family().members();
                if memory_used(&members, limits.memory_bytes) > limits.memory_bytes {
                    let (_, cpu) = self.kill(leader)?;
                    return Ok(Some((Ended::MemoryLimit, cpu)));
                }
                look = Some(now + WATCH_EVERY);
            }
        }
    }

    fn kill(&mut self, leader: &Leader) -> io::Result<(Ended, Duration)> {
        self.family().signal(leader.process, Signal::SIGKILL)?;
        // Not through the family: it may be unable to look.
        match kill(leader.process, Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => self.reap(leader),
            Err(error) => Err(error.into()),
        }
    }

    /// How the leader ended, which it has or is about to.
    fn reap(&mut self, leader: &Leader) -> io::Result<(Ended, Duration)> {
        if !leader.warm {
            return Ok((ended(leader.process)?, Duration::ZERO));
        }
        if let Some(zygote) = &mut self.zygote {
            if let Ok((status, cpu)) = zygote.reap(leader.process)
                && let Some(ended) = reason(status)
            {
                return Ok((ended, cpu));
            }
            // The job has harmed it. Its children become this process's.
            kill(zygote.process, Signal::SIGKILL)?;
            waitpid(zygote.process, None)?;
        }
        self.zygote = None;
        self.spoilt = true;
        Ok((ended(leader.process)?, Duration::ZERO))
    }

    /// Whether the next job finds everything as this one did. Nothing of the last one lives.
    fn restore(&mut self) -> bool {
        let as_before =
            |process: Pid| Scheduling::of(process).is_ok_and(|now| now == self.as_started);
        !self.spoilt
            && tree::clean(&self.state.scratch, &self.kept).is_ok()
            && confine::still_there(self.setup.skill.as_ref())
            && as_before(Pid::from_raw(0))
            && self
                .zygote
                .as_ref()
                .is_none_or(|zygote| as_before(zygote.process))
            // Only now: it looks as its parent does.
            && self
                .zygote
                .as_mut()
                .is_none_or(|zygote| zygote.fork_ahead().is_ok())
    }
}

fn ended(leader: Pid) -> io::Result<Ended> {
    loop {
        match waitpid(leader, None) {
            Ok(status) => {
                if let Some(ended) = reason(status) {
                    return Ok(ended);
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn reason(status: WaitStatus) -> Option<Ended> {
    match status {
        WaitStatus::Exited(_, code) => Some(Ended::Exited(code)),
        WaitStatus::Signaled(_, Signal::SIGXCPU, _) => Some(Ended::CpuLimit),
        WaitStatus::Signaled(_, signal, _) => Some(Ended::Signaled(signal as i32)),
        _ => None,
    }
}

/// Rounded up, so that it is not woken just before.
fn timeout(at: Option<Instant>) -> PollTimeout {
    at.map_or(PollTimeout::NONE, |at| {
        let left = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
    })
}

/// The limits that this process is under itself, hard, in the order of [`LIMITED`]. A job's are
/// never above them.
struct OwnLimits([u64; LIMITED.len()]);

const LIMITED: [Resource; 8] = [
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_MSGQUEUE,
];

impl OwnLimits {
    fn now() -> io::Result<Self> {
        let mut hard = [0; LIMITED.len()];
        for (hard, resource) in hard.iter_mut().zip(LIMITED) {
            (_, *hard) = getrlimit(resource)?;
        }
        Ok(Self(hard))
    }

    /// `others`: processes of the same user that are not the job's.
    fn within(&self, limits: &Limits, others: u64) -> [(u32, libc::rlimit); LIMITED.len()] {
        const MEMLOCK_BYTES: u64 = 64 * 1024;
        let wanted = [
            limits.cpu_seconds,
            limits.memory_bytes,
            limits.processes.saturating_add(others),
            limits.open_files,
            limits.file_bytes,
            0,
            MEMLOCK_BYTES,
            0,
        ];
        std::array::from_fn(|index| {
            let (resource, own) = (LIMITED[index], self.0[index]);
            // SIGXCPU can be handled; what comes a second later cannot.
            let leeway = u64::from(resource == Resource::RLIMIT_CPU);
            let limit = libc::rlimit {
                rlim_cur: wanted[index].min(own),
                rlim_max: wanted[index].saturating_add(leeway).min(own),
            };
            (resource as u32, limit)
        })
    }
}

/// Processor time of all children that have been waited for.
fn cpu_used() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let duration = |time: nix::sys::time::TimeVal| {
        let micros = time
            .tv_sec()
            .saturating_mul(1_000_000)
            .saturating_add(time.tv_usec());
        Duration::from_micros(micros.try_into().unwrap_or(0))
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}
