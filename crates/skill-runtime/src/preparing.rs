//! Making Python environments beside the work of a worker: whoever loads a skill is told at once whether its
//! environment is there, and when one has been made the skills are loaded again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use skill_client::python::{Environment, Environments, Found, Needs, Plan, PythonError};

/// Environments that are made at the same time: an installer uses several processors by itself.
const AT_ONCE: usize = 2;
/// How long after a failure it is tried again although nothing has changed: an index may be back.
const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// Makes environments on threads of its own.
pub(crate) struct Preparer {
    environments: Environments,
    state: Mutex<State>,
    /// One has been made, or has failed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By key.
    tasks: HashMap<String, Task>,
    running: usize,
    /// How many have ended.
    ended: u64,
}

/// One environment that is not there.
enum Task {
    Running,
    Failed { why: Arc<PythonError>, at: Instant },
}

impl Preparer {
    pub fn new(environments: Environments) -> Self {
        Self {
            environments,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The environment for these needs, or `None` where the ordinary interpreter is all that they need. One
    /// that is not there begins to be made, unless that has failed before and `again` is not set.
    pub fn ask(
        self: &Arc<Self>,
        needs: &Needs,
        search: &OsStr,
        again: bool,
    ) -> Result<Option<Environment>, Arc<PythonError>> {
        let plan = match self.environments.look(needs, search)? {
            Found::Ordinary => return Ok(None),
            Found::Ready(environment) => return Ok(Some(environment)),
            Found::Missing(plan) => plan,
        };
        let mut state = self.lock();
        match state.tasks.get(plan.key()) {
            Some(Task::Running) => {}
            Some(Task::Failed { why, at }) if !again && at.elapsed() < AGAIN_AFTER => {
                return Err(why.clone());
            }
            _ => {
                state.tasks.insert(plan.key().to_owned(), Task::Running);
                drop(state);
                self.begin(plan.clone());
            }
        }
        let requirements = plan.requirements();
        Err(Arc::new(PythonError::Preparing { requirements }))
    }

    fn begin(self: &Arc<Self>, plan: Plan) {
        let own = self.clone();
        let key = plan.key().to_owned();
        let started = std::thread::Builder::new()
            .name("python-packages".into())
            .spawn(move || own.make(&plan));
        if let Err(error) = started {
            let why = PythonError::from(skill_client::fsx::FsError {
                action: "start a thread for",
                path: key.clone().into(),
                source: error,
            });
            self.end(&key, Err(why));
        }
    }

    fn make(&self, plan: &Plan) {
        let full = |state: &mut State| state.running >= AT_ONCE;
        let mut state = self
            .changed
            .wait_while(self.lock(), full)
            .unwrap_or_else(PoisonError::into_inner);
        state.running += 1;
        drop(state);
        let packages = plan.requirements();
        tracing::info!(packages, "preparing Python packages");
        let began = Instant::now();
        let made = self.environments.make(plan);
        match &made {
            Ok(_) => tracing::info!(
                packages,
                seconds = began.elapsed().as_secs(),
                "Python packages are prepared"
            ),
            Err(error) => tracing::warn!(packages, %error, "Python packages cannot be prepared"),
        }
        self.lock().running -= 1;
        self.end(plan.key(), made.map(drop));
    }

    fn end(&self, key: &str, made: Result<(), PythonError>) {
        let mut state = self.lock();
        match made {
            Ok(()) => {
                state.tasks.remove(key);
            }
            Err(error) => {
                let (why, at) = (Arc::new(error), Instant::now());
                state.tasks.insert(key.to_owned(), Task::Failed { why, at });
            }
        }
        state.ended += 1;
        self.changed.notify_all();
    }

    /// How many have ended, well or not, and whether a failed one is to be tried again.
    pub fn news(&self) -> (u64, bool) {
        let state = self.lock();
        let is_due =
            |task: &Task| matches!(task, Task::Failed { at, .. } if at.elapsed() >= AGAIN_AFTER);
        (state.ended, state.tasks.values().any(is_due))
    }

    /// Waits until nothing is being made; says whether that is so.
    pub fn wait(&self, at_most: Duration) -> bool {
        let is_busy = |state: &mut State| {
            let mut tasks = state.tasks.values();
            tasks.any(|task| matches!(task, Task::Running))
        };
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), at_most, is_busy);
        let (_state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
