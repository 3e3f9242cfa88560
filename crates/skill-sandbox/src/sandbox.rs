//! Shares launchers among jobs.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::error::SandboxError;
use crate::grants::{Resolved, resolve};
use crate::job::{Job, Limits};
use crate::outcome::{Missing, Outcome, Protection, Protections};
use crate::settings::Settings;
use crate::slot::{Launcher, Started};
use crate::wire::{Python, Setup, Shown};

/// Idle launchers that are kept per slot: more than one, so that two skills in turn do not drive
/// each other's out. One costs two processes of about 2 MB each, and one that keeps an interpreter warm
/// two more, of 10 MB and 1 MB.
const IDLE_PER_SLOT: usize = 4;

/// Beginnings of the variables that an interpreter and its libraries read when they start.
const READ_AT_START: &[&[u8]] = &[b"PYTHON", b"LANG", b"LC_", b"MALLOC_", b"GLIBC_"];

/// Variables with which an interpreter runs code of the skill's, or of a job's before, when it starts.
/// What is shared by jobs must not.
const RUNS_AT_START: &[&[u8]] = &[b"PYTHONPATH", b"PYTHONHOME", b"PYTHONUSERBASE", b"LD_"];

/// Runs jobs, as many at the same time as it has slots. Each is isolated from the others.
pub struct Sandbox {
    settings: Settings,
    slots: Semaphore,
    /// The most recently used one last.
    idle: Mutex<Vec<Launcher>>,
    /// Why there are no namespaces; none where there are.
    no_namespaces: Option<Missing>,
    protections: Protections,
}

impl Sandbox {
    /// Finds out what this host can enforce.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Unenforceable`] where something of the full level is missing and
    /// [`Settings::allow_degraded`] is not set; [`SandboxError::Launch`] and
    /// [`SandboxError::Prepare`] where no launcher can be started.
    pub async fn start(settings: Settings) -> Result<Self, SandboxError> {
        let limits = Limits::default();
        let mut setup = Setup {
            skill: None,
            read: Vec::new(),
            write: Vec::new(),
            sealed: Vec::new(),
            network: false,
            scratch_bytes: limits.scratch_bytes,
            scratch_files: limits.scratch_files,
            memory_bytes: limits.memory_bytes,
            namespaces: true,
            python: None,
        };
        let (protections, no_namespaces) = match Launcher::start(&settings, setup.clone()).await? {
            Started::Ready(launcher) => (launcher.protections, None),
            Started::NoNamespaces(missing) if settings.allow_degraded => {
                setup.namespaces = false;
                let Started::Ready(launcher) = Launcher::start(&settings, setup).await? else {
                    return Err(SandboxError::Unenforceable {
                        missing: vec![missing],
                    });
                };
                (
                    complete(launcher.protections, Some(&missing)),
                    Some(missing),
                )
            }
            Started::NoNamespaces(missing) => {
                return Err(SandboxError::Unenforceable {
                    missing: vec![missing],
                });
            }
        };
        check(&settings, &protections)?;
        Ok(Self {
            slots: Semaphore::new(settings.slots.clamp(1, Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
            no_namespaces,
            protections,
            settings,
        })
    }

    /// Runs a single job in a launcher of its own, without finding out before what the host can
    /// enforce: for a program that runs one job and ends. [`Outcome::protections`] says what held it.
    ///
    /// # Errors
    ///
    /// Those of [`Sandbox::start`] and [`Sandbox::run`].
    pub async fn run_once(settings: &Settings, job: Job) -> Result<Outcome, SandboxError> {
        let mut setup = setup(settings, &job)?;
        let mut launcher = match Launcher::start(settings, setup.clone()).await? {
            Started::Ready(launcher) => launcher,
            Started::NoNamespaces(missing) => {
                setup.namespaces = false;
                let second = match settings.allow_degraded {
                    true => {
                        check_sealed(&setup)?;
                        Launcher::start(settings, setup).await?
                    }
                    false => Started::NoNamespaces(missing.clone()),
                };
                let Started::Ready(mut launcher) = second else {
                    return Err(SandboxError::Unenforceable {
                        missing: vec![missing],
                    });
                };
                launcher.protections = complete(launcher.protections, Some(&missing));
                launcher
            }
        };
        check(settings, &launcher.protections)?;
        launcher.run(&job).await
    }

    /// What holds every job.
    pub fn protections(&self) -> &Protections {
        &self.protections
    }

    /// Runs one job to its complete end: when this returns, nothing of it lives. Dropping the
    /// future ends the job as well, a moment later.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadJob`], [`SandboxError::BadPath`] and [`SandboxError::NotStarted`] where
    /// the job is wrong; [`SandboxError::LauncherLost`] where its launcher died under it.
    pub async fn run(&self, job: Job) -> Result<Outcome, SandboxError> {
        let setup = Setup {
            namespaces: self.no_namespaces.is_none(),
            python: self.python(&job),
            ..setup(&self.settings, &job)?
        };
        check_sealed(&setup)?;
        // Never closed.
        let _slot = self.slots.acquire().await;
        let mut launcher = self.launcher(setup).await?;
        let result = launcher.run(&job).await;
        // After any other error nobody knows what state it is in.
        if matches!(result, Ok(_) | Err(SandboxError::NotStarted { .. })) {
            self.keep(launcher);
        }
        result
    }

    /// The interpreter that this job may be run by, if it may.
    fn python(&self, job: &Job) -> Option<Python> {
        let script = job.args.first()?.as_encoded_bytes();
        let is_script = !script.is_empty() && !script.starts_with(b"-");
        let may = job.warm_python && self.no_namespaces.is_none() && self.protections.proc;
        if !may || !is_script {
            return None;
        }
        let mut startup = Vec::new();
        for (name, value) in &job.environment {
            let begins = |beginnings: &[&[u8]]| {
                let name = name.as_encoded_bytes();
                beginnings
                    .iter()
                    .any(|beginning| name.starts_with(beginning))
            };
            if begins(RUNS_AT_START) {
                return None;
            }
            if begins(READ_AT_START) {
                startup.push((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
            }
        }
        Some(Python {
            interpreter: job.program.clone(),
            startup,
        })
    }

    /// An idle one of this kind, or a new one.
    async fn launcher(&self, setup: Setup) -> Result<Launcher, SandboxError> {
        while let Some(mut launcher) = self.take(&setup) {
            if launcher.is_idle().await {
                return Ok(launcher);
            }
        }
        match Launcher::start(&self.settings, setup).await? {
            Started::Ready(launcher) => {
                let mut launcher = *launcher;
                launcher.protections = complete(launcher.protections, self.no_namespaces.as_ref());
                check(&self.settings, &launcher.protections)?;
                Ok(launcher)
            }
            // Namespaces as such are there: something about this job cannot be set up in them.
            Started::NoNamespaces(missing) => Err(SandboxError::Prepare {
                reason: missing.why,
            }),
        }
    }

    fn take(&self, setup: &Setup) -> Option<Launcher> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().rposition(|launcher| launcher.setup == *setup)?;
        Some(idle.remove(place))
    }

    fn keep(&self, launcher: Launcher) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(launcher);
        if idle.len() > self.settings.slots.max(1) * IDLE_PER_SLOT {
            idle.remove(0);
        }
    }
}

/// What a launcher needs to be made for a job: with namespaces, without a warm interpreter.
fn setup(settings: &Settings, job: &Job) -> Result<Setup, SandboxError> {
    if !job.program.is_absolute() {
        let why = format!(
            "the program's path must be absolute, but is {}",
            job.program.display()
        );
        return Err(SandboxError::BadJob { why });
    }
    let Resolved {
        skill,
        read,
        write,
        sealed,
    } = resolve(&settings.read, job)?;
    Ok(Setup {
        skill: Some(skill),
        read,
        write,
        sealed,
        network: job.grants.network,
        scratch_bytes: job.limits.scratch_bytes,
        scratch_files: job.limits.scratch_files,
        memory_bytes: job.limits.memory_bytes,
        namespaces: true,
        python: None,
    })
}

/// Landlock's rules only ever add up: what may be written below a folder may be written in all of it.
fn check_sealed(setup: &Setup) -> Result<(), SandboxError> {
    let sealed = setup.sealed.first().filter(|_| !setup.namespaces);
    let around = |sealed: &Shown| {
        let mut write = setup.write.iter();
        write.find(|write| sealed.path.starts_with(&write.path))
    };
    match sealed.and_then(around).zip(sealed) {
        None => Ok(()),
        Some((write, sealed)) => Err(SandboxError::NotGranted {
            path: write.path.clone(),
            why: format!(
                "it would be writable, and {} in it is for reading only, which takes namespaces to enforce, \
                 and this host refuses them",
                sealed.path.display()
            ),
        }),
    }
}

/// The host's own word about namespaces, which a launcher without them cannot know.
fn complete(mut protections: Protections, no_namespaces: Option<&Missing>) -> Protections {
    protections.missing.splice(0..0, no_namespaces.cloned());
    protections
}

/// Root's jobs as root would be above every limit and owner: no flag waives that.
fn check(settings: &Settings, protections: &Protections) -> Result<(), SandboxError> {
    let may_waive = settings.allow_degraded && protections.has(Protection::OwnUser);
    if may_waive || protections.missing.is_empty() {
        return Ok(());
    }
    Err(SandboxError::Unenforceable {
        missing: protections.missing.clone(),
    })
}
