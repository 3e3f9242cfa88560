//! How this program reaches the mesh: one value says which transport, and gives a worker's or an agent's
//! end of it. Nothing else of the program knows which one it is.

use skill_client::{Clock, SystemClock};
use skill_mesh::agent::reply_topic;
use skill_mesh::connect::{self, Endpoints};
use skill_mesh::transport::{AgentEnd, WallClock, WorkerEnd};

use crate::cli::mesh::MeshArgs;
use crate::failure::Failure;

/// A transport and where it is.
#[derive(Debug, Clone)]
pub enum Mesh {
    /// A proxy, ours or SkillScale's.
    ZeroMq(Endpoints),
}

impl Mesh {
    pub fn of(args: &MeshArgs) -> Self {
        Self::ZeroMq(Endpoints {
            xsub: args.proxy_xsub.clone(),
            xpub: args.proxy_xpub.clone(),
        })
    }

    /// A worker for a topic, which runs at most `slots` requests at a time.
    pub async fn worker(&self, topic: &str, slots: usize) -> Result<WorkerEnd, Failure> {
        match self {
            Self::ZeroMq(endpoints) => {
                let id = format!("{:016x}", rand::random::<u64>());
                Ok(connect::worker(endpoints, topic, slots, &id, wall_clock())?)
            }
        }
    }

    /// An agent with a reply topic of its own.
    pub async fn agent(&self) -> Result<AgentEnd, Failure> {
        let reply_to = reply_topic(&mut rand::rng());
        match self {
            Self::ZeroMq(endpoints) => Ok(connect::agent(endpoints, reply_to)?),
        }
    }

    /// Where it is, for people.
    pub fn address(&self) -> String {
        match self {
            Self::ZeroMq(endpoints) => format!("{} and {}", endpoints.xsub, endpoints.xpub),
        }
    }
}

/// The machine's clock, as messages carry it.
pub fn wall_clock() -> WallClock {
    #[allow(clippy::cast_precision_loss)] // Microseconds since 1970 stay exact until 2255.
    std::sync::Arc::new(|| SystemClock.now().as_microsecond() as f64 / 1e6)
}
