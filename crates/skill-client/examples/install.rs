//! Installs skills into a store: the client in one screen.
//!
//! `install [--end-at STEP] USER-DIR STORE SKILL…`
//!
//! With `--end-at` the process ends itself at the given step, counted from 1, as a crash or
//! `kill -9` would end it: that is how the tests look at what every moment of an install leaves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use skill_client::fsx::FaultPoint;
use skill_client::{
    Cache, Client, ClientOptions, Config, Event, InstallError, InstallOutcome, InstallRequest,
    Installer, SkillSource, Store, SystemClock, Verifier,
};
use skill_signing::{Keyring, Pins};

/// Ends the process at a step.
struct EndAt {
    step: u32,
    reached: AtomicU32,
}

impl FaultPoint for EndAt {
    fn reach(&self, _step: &'static str) {
        if self.reached.fetch_add(1, Ordering::SeqCst) + 1 == self.step {
            let kill = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            kill.expect("a process may end itself");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut step = 0;
    if arguments
        .first()
        .is_some_and(|argument| argument == "--end-at")
    {
        step = arguments
            .get(1)
            .and_then(|step| step.parse().ok())
            .unwrap_or(0);
        arguments.drain(..2);
    }
    let [user, store, skills @ ..] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    match install(Path::new(user), Path::new(store), skills, step).await {
        Ok(outcome) => ExitCode::from(u8::from(outcome.skills.is_empty())),
        Err(_) => ExitCode::FAILURE,
    }
}

async fn install(
    user: &Path,
    store: &Path,
    skills: &[String],
    step: u32,
) -> Result<InstallOutcome, InstallError> {
    let faults = Arc::new(EndAt {
        step,
        reached: AtomicU32::new(0),
    });
    let store = Store::with_faults(store, faults.clone());
    let cache = Cache::with_faults(user.join(".cache"), faults);
    let registry = Config::default()
        .registry(None)
        .expect("the default configuration has a registry");
    let client = Client::new(registry, ClientOptions::default());
    let verifier = Verifier::new(
        Keyring::open(user.join(".keyring")),
        Pins::open(user.join("pins.json")),
    );
    let ignore = |_: &Event<'_>| {};
    let installer = Installer {
        store: &store,
        cache: &cache,
        client: &client,
        others: &[],
        verifier: &verifier,
        clock: &SystemClock,
        observer: &ignore,
    };
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let sources: Vec<SkillSource> = skills
        .iter()
        .map(|text| SkillSource::parse(text, &here))
        .collect::<Result<_, _>>()?;
    installer.install(&InstallRequest::of(sources), None).await
}
