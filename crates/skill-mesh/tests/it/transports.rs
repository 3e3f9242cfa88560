//! The transports that the conformance suite runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skill_mesh::connect::{self, Endpoints};
use skill_mesh::memory::Mesh;
use skill_mesh::nats::{self, Nats, Options};
use skill_mesh::proxy::{Metrics, Proxy, ProxyError, Settings};
use skill_mesh::queue::{self, Counts};
use skill_mesh::transport::{AgentEnd, WallClock, WorkerEnd};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, block_in_place};

use crate::nats_server::Server;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub trait Transport: Sized {
    fn start(settings: queue::Settings) -> Self;
    fn worker(&self, topic: &str, slots: usize) -> WorkerEnd;
    fn agent(&self) -> AgentEnd;
    /// Waits until the counts are as wanted.
    fn counts(&self, wanted: impl Fn(&Counts) -> bool) -> impl Future<Output = Counts>;
}

pub fn clock() -> WallClock {
    Arc::new(|| 1_739_836_800.125)
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub struct Memory(Mesh);

impl Transport for Memory {
    fn start(settings: queue::Settings) -> Self {
        Self(Mesh::new(settings, clock()))
    }

    fn worker(&self, topic: &str, slots: usize) -> WorkerEnd {
        self.0.worker(topic, slots)
    }

    fn agent(&self) -> AgentEnd {
        self.0.agent(format!("AGENT_REPLY_{}", unique()))
    }

    async fn counts(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let counts = self.0.counts();
                if wanted(&counts) {
                    return counts;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the counts stay {:?}", self.0.counts()))
    }
}

pub struct Zmq {
    pub endpoints: Endpoints,
    pub metrics: watch::Receiver<Arc<Metrics>>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ProxyError>>,
}

impl Zmq {
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(clock());
        settings.xsub = "tcp://127.0.0.1:*".into();
        settings.xpub = "tcp://127.0.0.1:*".into();
        change(&mut settings);
        let proxy = Proxy::bind(settings).expect("a free port");
        let (stop, stopped) = oneshot::channel();
        Self {
            endpoints: Endpoints {
                xsub: proxy.xsub_endpoint().to_owned(),
                xpub: proxy.xpub_endpoint().to_owned(),
            },
            metrics: proxy.metrics(),
            stop: Some(stop),
            running: tokio::spawn(proxy.run(async {
                let _ = stopped.await;
            })),
        }
    }

    /// Stops the proxy and waits for its end; its addresses stay known.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, &mut self.running)
            .await
            .expect("the proxy ends")
            .expect("it does not panic")
            .expect("it ends well");
    }

    pub async fn metrics(&self, wanted: impl Fn(&Metrics) -> bool) -> Arc<Metrics> {
        let mut metrics = self.metrics.clone();
        match tokio::time::timeout(PATIENCE, metrics.wait_for(|now| wanted(now))).await {
            Ok(now) => now.expect("the proxy runs").clone(),
            Err(_) => panic!("the metrics stay {:?}", self.metrics.borrow()),
        }
    }
}

impl Transport for Zmq {
    fn start(settings: queue::Settings) -> Self {
        Self::with(|proxy| proxy.queue = settings)
    }

    fn worker(&self, topic: &str, slots: usize) -> WorkerEnd {
        let id = format!("{:x}", unique());
        connect::worker(&self.endpoints, topic, slots, &id, clock()).expect("a link")
    }

    fn agent(&self) -> AgentEnd {
        connect::agent(&self.endpoints, format!("AGENT_REPLY_{:08x}", unique())).expect("a link")
    }

    async fn counts(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        self.metrics(|metrics| wanted(&metrics.counts))
            .await
            .counts
            .clone()
    }
}

/// A server of its own, and one connection to it.
pub struct Jetstream {
    pub server: Server,
    pub mesh: Nats,
}

impl Jetstream {
    /// Nobody is taken for dead because the machine is slow, and what a worker had not even begun when its
    /// connection broke still goes to another one in time.
    pub fn settings() -> nats::Settings {
        nats::Settings {
            ack_wait: Duration::from_secs(10),
            ..nats::Settings::new(clock())
        }
    }

    pub fn with(settings: nats::Settings) -> Self {
        Self::on(Server::start(), settings)
    }

    pub fn on(server: Server, settings: nats::Settings) -> Self {
        let mesh = connect(&server.url, settings);
        Self { server, mesh }
    }
}

/// One more connection, as another host's.
pub fn connect(url: &str, settings: nats::Settings) -> Nats {
    let options = Options::new(url);
    let connected = nats::connect(&options, settings);
    block_in_place(|| Handle::current().block_on(connected)).expect("an address")
}

impl Transport for Jetstream {
    fn start(settings: queue::Settings) -> Self {
        Self::with(nats::Settings {
            queue: settings,
            ..Self::settings()
        })
    }

    fn worker(&self, topic: &str, slots: usize) -> WorkerEnd {
        Transport::worker(&self.mesh, topic, slots)
    }

    fn agent(&self) -> AgentEnd {
        Transport::agent(&self.mesh)
    }

    async fn counts(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        Transport::counts(&self.mesh, wanted).await
    }
}

/// A connection alone, for tests with several.
impl Transport for Nats {
    fn start(_: queue::Settings) -> Self {
        unreachable!("a connection needs its server")
    }

    fn worker(&self, topic: &str, slots: usize) -> WorkerEnd {
        Nats::worker(self, topic, slots).expect("a topic")
    }

    fn agent(&self) -> AgentEnd {
        Nats::agent(self, format!("AGENT_REPLY_{:08x}", unique())).expect("a topic")
    }

    async fn counts(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let counts = Nats::counts(self);
                if wanted(&counts) {
                    return counts;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("the counts stay {:?}", Nats::counts(self)))
    }
}
