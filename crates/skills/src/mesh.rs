//! How this program reaches the mesh: one value says which transport, and gives a worker's or an agent's
//! end of it. Nothing else of the program knows which one it is.

use std::time::Duration;

use skill_client::{Clock, SystemClock};
use skill_format::Explain;
use skill_mesh::agent::reply_topic;
use skill_mesh::connect::{self, Endpoints};
use skill_mesh::nats::{self, Nats};
use skill_mesh::transport::{AgentEnd, WallClock, WorkerEnd};

use tokio::net::TcpStream;

use crate::cli::mesh::MeshArgs;
use crate::failure::Failure;

/// How long a NATS server may take to answer at the start.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// How long is waited for somebody to take a connection, once a call was not answered.
const REACHED_WITHIN: Duration = Duration::from_secs(1);

/// A transport and where it is.
#[derive(Clone)]
pub enum Mesh {
    /// A proxy, ours or SkillScale's.
    ZeroMq(Endpoints),
    /// JetStream, and the server's address without its secrets.
    Nats(Nats, String),
}

impl Mesh {
    /// Connects, or begins to.
    pub async fn connect(args: &MeshArgs) -> Result<Self, Failure> {
        let Some(url) = &args.nats else {
            return Ok(Self::ZeroMq(Endpoints {
                xsub: args.proxy_xsub.clone(),
                xpub: args.proxy_xpub.clone(),
            }));
        };
        let mut options = nats::Options::new(url);
        options.credentials.clone_from(&args.nats_credentials);
        options.ca.clone_from(&args.nats_ca);
        let mesh = nats::connect(&options, nats::Settings::new(wall_clock())).await?;
        Ok(Self::Nats(mesh, without_secrets(url)))
    }

    /// A worker for a topic, which runs at most `slots` requests at a time. A server that is away may come;
    /// one that refuses us will not change its mind.
    pub async fn worker(&self, topic: &str, slots: usize) -> Result<WorkerEnd, Failure> {
        match self {
            Self::ZeroMq(endpoints) => {
                let id = format!("{:016x}", rand::random::<u64>());
                Ok(connect::worker(endpoints, topic, slots, &id, wall_clock())?)
            }
            Self::Nats(mesh, _) => {
                match mesh.ready(READY_WITHIN).await {
                    // Both may change without us, and the worker goes on trying.
                    Err(
                        error @ (nats::ConnectError::Away { .. }
                        | nats::ConnectError::NoRoom { .. }),
                    ) => {
                        tracing::warn!(%error, code = error.code(), "waiting for the server");
                    }
                    other => other?,
                }
                Ok(mesh.worker(topic, slots)?)
            }
        }
    }

    /// An agent with a reply topic of its own.
    pub async fn agent(&self) -> Result<AgentEnd, Failure> {
        self.agent_on(&reply_topic(&mut rand::rng())).await
    }

    /// An agent on a reply topic that it had before.
    pub async fn agent_on(&self, reply_to: &str) -> Result<AgentEnd, Failure> {
        match self {
            Self::ZeroMq(endpoints) => Ok(connect::agent(endpoints, reply_to)?),
            Self::Nats(mesh, _) => {
                mesh.ready(READY_WITHIN).await?;
                Ok(mesh.agent(reply_to)?)
            }
        }
    }

    /// Why nobody is reached at this moment; `None` if somebody listens there.
    pub async fn unreached(&self) -> Option<String> {
        match self {
            Self::ZeroMq(endpoints) => {
                for address in [&endpoints.xsub, &endpoints.xpub] {
                    if let Err(why) = listens(address).await {
                        return Some(format!("nothing is reached at {address}: {why}"));
                    }
                }
                None
            }
            Self::Nats(mesh, _) => mesh
                .ready(REACHED_WITHIN)
                .await
                .err()
                .map(|error| error.to_string()),
        }
    }

    /// What to do about it.
    pub fn where_to_look(&self) -> &'static str {
        match self {
            Self::ZeroMq(_) => {
                "start `skills proxy`, or give its addresses with --proxy-xsub and --proxy-xpub"
            }
            Self::Nats(..) => "look whether the NATS server runs and has room for streams",
        }
    }

    /// Where it is, for people.
    pub fn address(&self) -> String {
        match self {
            Self::ZeroMq(endpoints) => format!("{} and {}", endpoints.xsub, endpoints.xpub),
            Self::Nats(_, address) => address.clone(),
        }
    }
}

/// Whether somebody takes connections at `tcp://HOST:PORT`.
async fn listens(address: &str) -> Result<(), String> {
    let connecting = TcpStream::connect(address.trim_start_matches("tcp://"));
    match tokio::time::timeout(REACHED_WITHIN, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REACHED_WITHIN.as_secs())),
    }
}

/// The servers of a list, each without user, password or token.
fn without_secrets(urls: &str) -> String {
    let shown: Vec<String> = urls
        .split(',')
        .map(|url| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, server))) => format!("{scheme}://{server}"),
            (None, Some((_, server))) => server.to_owned(),
            (_, None) => url.to_owned(),
        })
        .collect();
    shown.join(",")
}

/// The machine's clock, as messages carry it.
pub fn wall_clock() -> WallClock {
    #[allow(clippy::cast_precision_loss)] // Microseconds since 1970 stay exact until 2255.
    std::sync::Arc::new(|| SystemClock.now().as_microsecond() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(
            without_secrets("nats://user:secret@a:4222,token@b,tls://c"),
            "nats://a:4222,b,tls://c"
        );
    }
}
