//! The transport within one process: the queue and nothing else. For `skills up`, and as the
//! reference that other transports are compared with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::protocol::{Reply, Request, Status};
use crate::queue::{
    Action, Counts, Key, Moment, Offer, Queue, Refusal, Settings, TopicGauge, WorkerId,
};
use crate::transport::{
    AgentEnd, AgentOutlet, FromWorker, ToWorker, WallClock, WorkerEnd, WorkerOutlet,
};

type Actions = Vec<Action<Arc<Request>, Arc<Reply>>>;

/// A mesh in this process. Clones are the same mesh; it lives until the last clone and end is gone.
#[derive(Clone)]
pub struct Mesh(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    began: Instant,
    clock: WallClock,
    /// The queue's next deadline may have changed.
    changed: Arc<Notify>,
    ticker: AbortHandle,
}

struct State {
    queue: Queue<Arc<Request>, Arc<Reply>>,
    workers: HashMap<WorkerId, mpsc::UnboundedSender<ToWorker>>,
    agents: HashMap<String, mpsc::UnboundedSender<Reply>>,
    next_worker: WorkerId,
}

impl Mesh {
    /// Starts a mesh; must be called within a tokio runtime, where its deadlines are kept.
    pub fn new(settings: Settings, clock: WallClock) -> Self {
        let state = State {
            queue: Queue::new(settings),
            workers: HashMap::new(),
            agents: HashMap::new(),
            next_worker: 1,
        };
        Self(Arc::new_cyclic(|weak: &Weak<Shared>| {
            let changed = Arc::new(Notify::new());
            let ticker = tokio::spawn(keep_deadlines(weak.clone(), changed.clone()));
            Shared {
                state: Mutex::new(state),
                began: Instant::now(),
                clock,
                changed,
                ticker: ticker.abort_handle(),
            }
        }))
    }

    /// A worker for a topic, which runs at most `slots` requests at a time.
    pub fn worker(&self, topic: &str, slots: usize) -> WorkerEnd {
        let (sender, incoming) = mpsc::unbounded_channel();
        let id = self.0.change(|state, now, out| {
            let id = state.next_worker;
            state.next_worker += 1;
            state.workers.insert(id, sender);
            state.queue.join(now, id, topic, slots, out);
            id
        });
        let (alive, closed) = oneshot::channel();
        let outlet = Arc::new(Outlet {
            shared: self.0.clone(),
            id,
            _alive: alive,
        });
        WorkerEnd {
            incoming,
            outlet,
            closed,
        }
    }

    /// An agent that waits for replies on `reply_topic`.
    pub fn agent(&self, reply_topic: impl Into<String>) -> AgentEnd {
        let reply_topic = reply_topic.into();
        let (sender, incoming) = mpsc::unbounded_channel();
        self.0.lock().agents.insert(reply_topic.clone(), sender);
        AgentEnd {
            outlet: Arc::new(AgentLink {
                shared: self.0.clone(),
                reply_topic: reply_topic.clone(),
            }),
            reply_topic,
            incoming,
        }
    }

    /// Refuses what waits and whatever comes; what runs may still be answered.
    pub fn close(&self) {
        self.0.change(|state, now, out| state.queue.close(now, out));
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().queue.counts().clone()
    }

    /// How each topic is doing.
    pub fn gauges(&self) -> Vec<TopicGauge> {
        let now = self.0.now();
        self.0.lock().queue.gauges(now).collect()
    }
}

/// Ticks the queue when it wants to be.
async fn keep_deadlines(shared: Weak<Shared>, changed: Arc<Notify>) {
    loop {
        let next = match shared.upgrade() {
            Some(shared) => {
                let next = shared.lock().queue.next_tick();
                next.map(|moment| shared.began + moment)
            }
            // The mesh is still being made: it notifies with its first change.
            None => None,
        };
        match next {
            Some(instant) => {
                tokio::select! {
                    () = tokio::time::sleep_until(instant) => {}
                    () = changed.notified() => continue,
                }
            }
            None => {
                changed.notified().await;
                continue;
            }
        }
        if let Some(shared) = shared.upgrade() {
            shared.change(|state, now, out| state.queue.tick(now, out));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

impl Shared {
    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the mesh down; the queue is never left half-changed by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, act: impl FnOnce(&mut State, Moment, &mut Actions) -> T) -> T {
        let mut out = Vec::new();
        let mut state = self.lock();
        let result = act(&mut state, self.now(), &mut out);
        let time = (self.clock)();
        for action in out {
            state.perform(action, time);
        }
        drop(state);
        self.changed.notify_one();
        result
    }
}

impl State {
    fn perform(&self, action: Action<Arc<Request>, Arc<Reply>>, time: f64) {
        // A closed channel is a worker or agent that is just going; the former's end says so itself.
        match action {
            Action::Deliver { worker, body, .. } => {
                if let Some(sender) = self.workers.get(&worker) {
                    let _ = sender.send(ToWorker::Request(body));
                }
            }
            Action::Reply { key, answer } => self.reply(&key, Reply::clone(&answer)),
            Action::Refuse { key, refusal } => self.reply(&key, refused(&key, &refusal, time)),
        }
    }

    fn reply(&self, key: &Key, reply: Reply) {
        if let Some(sender) = self.agents.get(key.reply_to()) {
            let _ = sender.send(reply);
        }
    }
}

/// The reply that says a refusal.
pub(crate) fn refused(key: &Key, refusal: &Refusal, time: f64) -> Reply {
    Reply::failure(key.request_id(), refusal.to_string()).at(time)
}

struct Outlet {
    shared: Arc<Shared>,
    id: WorkerId,
    /// Dropped with this: nothing is left to be sent.
    _alive: oneshot::Sender<()>,
}

impl WorkerOutlet for Outlet {
    fn send(&self, message: FromWorker) {
        self.shared.change(|state, now, out| match message {
            FromWorker::Reply(key, reply) if reply.status == Status::Progress => {
                if state.queue.progress(now, &key) {
                    state.reply(&key, reply);
                }
            }
            FromWorker::Reply(key, reply) => {
                let bytes = reply.content.len() + reply.error.len();
                state.queue.answer(now, &key, Arc::new(reply), bytes, out);
            }
            FromWorker::HandBack(key) => state.queue.hand_back(now, self.id, &key, out),
            FromWorker::Drain => {
                state.queue.drain(self.id);
                if let Some(sender) = state.workers.get(&self.id) {
                    let _ = sender.send(ToWorker::Drained);
                }
            }
        });
    }

    fn shares(&self) -> bool {
        true
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.shared.change(|state, now, out| {
            state.workers.remove(&self.id);
            state.queue.leave(now, self.id, out);
        });
    }
}

struct AgentLink {
    shared: Arc<Shared>,
    reply_topic: String,
}

impl AgentOutlet for AgentLink {
    fn publish(&self, topic: &str, request: &Request) {
        self.shared.change(|state, now, out| {
            let offer = Offer {
                key: Key::new(&request.reply_to, &request.request_id),
                topic: topic.into(),
                bytes: request.intent.len(),
                body: Arc::new(request.clone()),
            };
            state.queue.offer(now, offer, out);
        });
    }

    fn shares(&self) -> bool {
        true
    }
}

impl Drop for AgentLink {
    fn drop(&mut self) {
        self.shared.lock().agents.remove(&self.reply_topic);
    }
}
