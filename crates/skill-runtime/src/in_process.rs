//! A mesh within this process, with one worker: for a server that runs skills for its own callers.

use std::sync::Arc;
use std::time::Duration;

use skill_mesh::agent::{self, Agent};
use skill_mesh::memory::Mesh;
use skill_mesh::queue;
use skill_mesh::transport::WallClock;
use skill_mesh::worker::{self, Summary};
use skill_sandbox::Sandbox;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::executor::SkillExecutor;
use crate::library::Library;

/// The one topic.
pub const TOPIC: &str = "TOPIC_LOCAL";

/// How it works.
pub struct Local {
    /// Requests that run at a time.
    pub slots: usize,
    /// How long a skill may run at most.
    pub timeout: Duration,
    /// How long running requests may take when it is drained.
    pub drain: Duration,
    pub clock: WallClock,
}

/// A running worker, and an agent that asks it.
pub struct InProcess {
    agent: Agent,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Summary>,
}

/// Starts it; must be called within a tokio runtime. `reply_topic` see [`agent::reply_topic`].
pub fn start_in_process(
    library: Arc<Library>,
    sandbox: Arc<Sandbox>,
    local: Local,
    reply_topic: String,
) -> InProcess {
    let mesh = Mesh::new(queue::Settings::default(), local.clock.clone());
    let end = mesh.worker(TOPIC, local.slots);
    let executor = SkillExecutor::new(TOPIC, library, sandbox, local.timeout);
    let settings = worker::Settings {
        slots: local.slots,
        backlog_max: 0,
        drain: local.drain,
        clock: local.clock.clone(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        // Dropped without a word: stop as well.
        let _ = stopped.await;
    };
    let worker = tokio::spawn(worker::run(end, Arc::new(executor), settings, stopped));
    let patience = agent::Settings {
        // Its own time-out is said by the worker; this is for a worker that is gone.
        timeout: local.timeout + queue::Settings::default().wait + local.drain,
        ..agent::Settings::new(local.clock)
    };
    InProcess {
        agent: Agent::new(mesh.agent(reply_topic), patience),
        stop,
        worker,
    }
}

impl InProcess {
    /// Asks for topic [`TOPIC`]. Cheap to clone.
    pub fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// Ends: what runs is finished within [`Local::drain`].
    ///
    /// # Errors
    /// When the worker panicked.
    pub async fn drain(self) -> Result<Summary, JoinError> {
        // It has ended by itself already, which is fine.
        let _ = self.stop.send(());
        self.worker.await
    }
}
