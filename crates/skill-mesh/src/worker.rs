//! Takes requests from a transport, runs them in slots, and replies. Does not know what runs a skill.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::protocol::{Code, PAYLOAD_BYTES_MAX, Reply, Request};
use crate::queue::Key;
use crate::transport::{FromWorker, ToWorker, WallClock, WorkerEnd, WorkerOutlet};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The result, as the skill wrote it.
    Success(Vec<u8>),
    /// What went wrong, and which kind of error that is.
    Failure(Code, String),
}

/// Runs requests.
pub trait Executor: Send + Sync + 'static {
    /// Runs one. Dropping the future must end whatever it started, at the latest soon after.
    fn execute(
        &self,
        request: Arc<Request>,
        progress: Progress,
    ) -> impl Future<Output = Outcome> + Send;
}

/// What a request that goes on is told and tells: how long it has, and news for agents that asked for them.
#[derive(Clone)]
pub struct Progress {
    outlet: Arc<dyn WorkerOutlet>,
    clock: WallClock,
    key: Key,
    wanted: bool,
    by: Option<Instant>,
}

impl Progress {
    /// How long its asker still waits, at least a millisecond; `None` if that is not known.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.by?.saturating_duration_since(Instant::now());
        Some(left.max(Duration::from_millis(1)))
    }

    /// Sends a piece of news, such as a line of output.
    pub fn say(&self, news: impl Into<String>) {
        if self.wanted {
            let reply = Reply::progress(self.key.request_id(), news).at((self.clock)());
            self.outlet.send(FromWorker::Reply(self.key.clone(), reply));
        }
    }
}

/// How a worker works.
#[derive(Clone)]
pub struct Settings {
    /// Requests that run at a time.
    pub slots: usize,
    /// Requests that wait here for a slot. Only a proxy that broadcasts sends more than `slots`.
    pub backlog_max: usize,
    /// How long running requests may take after the call to stop; then they are handed back.
    pub drain: Duration,
    /// For the replies' timestamps.
    pub clock: WallClock,
}

/// What a worker has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests that ended well.
    pub succeeded: u64,
    /// Requests that ended with an error.
    pub failed: u64,
    /// Requests that somebody else shall run.
    pub handed_back: u64,
    /// Requests refused because too many were waiting here.
    pub busy: u64,
    /// The transport broke off before the worker was told to stop.
    pub cut_off: bool,
}

/// How long the other side may take to say that nothing more comes.
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// Works until `stop` resolves, then drains: nothing new is begun, what runs is finished within
/// [`Settings::drain`] or handed back, every reply is sent, and this returns.
pub async fn run<E: Executor>(
    mut end: WorkerEnd,
    executor: Arc<E>,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> Summary {
    let mut work = Work {
        outlet: end.outlet.clone(),
        executor,
        running: JoinSet::new(),
        keys: Vec::new(),
        backlog: VecDeque::new(),
        settings,
        summary: Summary::default(),
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            message = end.incoming.recv() => match message {
                Some(ToWorker::Request(request)) => work.take(request),
                Some(ToWorker::Drained) => {}
                None => {
                    work.summary.cut_off = true;
                    break;
                }
            },
            Some(done) = work.running.join_next_with_id() => work.finish(done),
        }
    }
    work.drain(&mut end).await;
    work.take_leave(&mut end).await;
    let summary = std::mem::take(&mut work.summary);
    // The last holders of the outlet: once they are gone the transport sends what is left.
    drop(work);
    let WorkerEnd { outlet, closed, .. } = end;
    drop(outlet);
    let _ = closed.await;
    summary
}

struct Work<E> {
    outlet: Arc<dyn WorkerOutlet>,
    executor: Arc<E>,
    running: JoinSet<Outcome>,
    keys: Vec<(Id, Key)>,
    backlog: VecDeque<Taken>,
    settings: Settings,
    summary: Summary,
}

/// A request and when its asker waits no more, by this machine's clock.
struct Taken {
    request: Arc<Request>,
    by: Option<Instant>,
}

impl<E: Executor> Work<E> {
    fn take(&mut self, request: Arc<Request>) {
        let left = request.time_left((self.settings.clock)());
        // One beyond what a clock can say never comes.
        let by = left.and_then(|left| Instant::now().checked_add(left));
        self.put(Taken { request, by });
    }

    fn put(&mut self, taken: Taken) {
        if self.running.len() < self.settings.slots.max(1) {
            self.start(taken);
        } else if self.backlog.len() < self.settings.backlog_max {
            self.backlog.push_back(taken);
        } else {
            self.summary.busy += 1;
            let error = format!(
                "busy: this worker runs {} requests and {} wait here; send it again later, or start more workers",
                self.running.len(),
                self.backlog.len()
            );
            self.reply(&key(&taken.request), Outcome::Failure(Code::Busy, error));
        }
    }

    fn start(&mut self, Taken { request, by }: Taken) {
        let key = key(&request);
        let progress = Progress {
            outlet: self.outlet.clone(),
            clock: self.settings.clock.clone(),
            key: key.clone(),
            wanted: request.progress,
            by,
        };
        let executor = self.executor.clone();
        let task = self
            .running
            .spawn(async move { executor.execute(request, progress).await });
        self.keys.push((task.id(), key));
    }

    fn finish(&mut self, done: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                let why = "the executor failed; the worker's log says why".to_owned();
                tracing::error!(%error, "executing a request panicked");
                (error.id(), Outcome::Failure(Code::WorkerFailed, why))
            }
        };
        if let Some(at) = self.keys.iter().position(|(of, _)| *of == id) {
            let (_, key) = self.keys.swap_remove(at);
            match outcome {
                Outcome::Success(_) => self.summary.succeeded += 1,
                Outcome::Failure(..) => self.summary.failed += 1,
            }
            self.reply(&key, outcome);
        }
        self.next();
    }

    /// Starts the first that waits and whose asker still does.
    fn next(&mut self) {
        while let Some(taken) = self.backlog.pop_front() {
            if taken.by.is_none_or(|by| Instant::now() < by) {
                return self.start(taken);
            }
            self.summary.failed += 1;
            let why = "deadline: the time that was given to this request was over before a slot of the worker was free; give it more, or start more workers";
            self.reply(
                &key(&taken.request),
                Outcome::Failure(Code::Deadline, why.to_owned()),
            );
        }
    }

    fn reply(&self, key: &Key, outcome: Outcome) {
        let id = key.request_id();
        let reply = match outcome {
            Outcome::Success(bytes) => Reply::of_bytes(id, bytes),
            Outcome::Failure(code, error) => Reply::failure(id, error).of_kind(code),
        };
        let reply = bounded(reply);
        let reply = reply.at((self.settings.clock)());
        self.outlet.send(FromWorker::Reply(key.clone(), reply));
    }

    /// Finishes or hands back.
    async fn drain(&mut self, end: &mut WorkerEnd) {
        let shares = self.outlet.shares();
        if shares {
            self.outlet.send(FromWorker::Drain);
            for taken in std::mem::take(&mut self.backlog) {
                self.hand_back(key(&taken.request));
            }
        }
        // What comes after the call to stop is handed back where that is understood. Where it is not,
        // what has come is run, and nothing says that it was the last.
        let mut more = shares && !self.summary.cut_off;
        let began = Instant::now();
        while more || !self.running.is_empty() {
            let limit = if more {
                DRAINED_WITHIN.min(self.settings.drain)
            } else {
                self.settings.drain
            };
            tokio::select! {
                () = tokio::time::sleep_until(began + limit) => {
                    if !more {
                        return self.break_off(shares).await;
                    }
                    more = false;
                }
                // Also when nobody has said that it was the last: nothing may lie here while others are idle.
                message = end.incoming.recv(), if shares && !self.summary.cut_off => match message {
                    Some(ToWorker::Request(request)) => self.hand_back(key(&request)),
                    Some(ToWorker::Drained) => more = false,
                    None => {
                        more = false;
                        self.summary.cut_off = true;
                    }
                },
                Some(done) = self.running.join_next_with_id() => self.finish(done),
            }
        }
    }

    /// Waits until the other side has read all that was said. Replies and the end of this worker go
    /// different ways there, and an end that overtook a reply would have an answered request run again.
    async fn take_leave(&mut self, end: &mut WorkerEnd) {
        if !self.outlet.shares() || self.summary.cut_off {
            return;
        }
        self.outlet.send(FromWorker::Drain);
        let until = Instant::now() + DRAINED_WITHIN;
        while let Ok(Some(message)) = tokio::time::timeout_at(until, end.incoming.recv()).await {
            match message {
                ToWorker::Request(request) => self.hand_back(key(&request)),
                ToWorker::Drained => return,
            }
        }
    }

    async fn break_off(&mut self, shares: bool) {
        self.running.shutdown().await;
        let running = std::mem::take(&mut self.keys)
            .into_iter()
            .map(|(_, key)| key);
        let waiting = std::mem::take(&mut self.backlog);
        for key in running.chain(waiting.iter().map(|taken| key(&taken.request))) {
            if shares {
                self.hand_back(key);
            } else {
                self.summary.failed += 1;
                let why = "stopping: the worker was stopped before the skill ended; send it again";
                self.reply(&key, Outcome::Failure(Code::Stopping, why.to_owned()));
            }
        }
    }

    fn hand_back(&mut self, key: Key) {
        self.summary.handed_back += 1;
        self.outlet.send(FromWorker::HandBack(key));
    }
}

fn key(request: &Request) -> Key {
    Key::new(&request.reply_to, &request.request_id)
}

/// The reply, or one that says that it is too large. JSON writes a byte as six at most.
fn bounded(reply: Reply) -> Reply {
    let bytes = reply.bytes.as_ref().map_or(0, Vec::len);
    let text = reply.content.len() + reply.error.len() + bytes;
    if text <= PAYLOAD_BYTES_MAX / 8 {
        return reply;
    }
    let bytes = reply.to_json().len();
    if bytes <= PAYLOAD_BYTES_MAX {
        return reply;
    }
    let error = format!(
        "result-too-large: the result has {bytes} bytes as JSON, at most {PAYLOAD_BYTES_MAX} fit into a reply; have the skill write a file and name it"
    );
    Reply::failure(reply.request_id, error).of_kind(Code::ResultTooLarge)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::{Notify, mpsc, oneshot};

    use super::*;

    /// Keeps what a worker says, and shares nothing out, as SkillScale's proxy.
    #[derive(Default)]
    struct Heard(Mutex<Vec<Reply>>);

    impl WorkerOutlet for Heard {
        fn send(&self, message: FromWorker) {
            if let FromWorker::Reply(_, reply) = message {
                self.0.lock().unwrap().push(reply);
            }
        }

        fn shares(&self) -> bool {
            false
        }
    }

    /// Says how long it has once it may go on.
    #[derive(Default)]
    struct Held(Notify);

    impl Executor for Held {
        async fn execute(&self, request: Arc<Request>, progress: Progress) -> Outcome {
            let left = progress.time_left();
            self.0.notified().await;
            Outcome::Success(format!("{} had {left:?}", request.request_id).into_bytes())
        }
    }

    fn request(id: &str, timeout_ms: Option<u64>) -> ToWorker {
        ToWorker::Request(Arc::new(Request {
            request_id: id.to_owned(),
            reply_to: "R".to_owned(),
            intent: String::new(),
            timestamp: 0.0,
            progress: false,
            timeout_ms,
            trace: None,
        }))
    }

    #[tokio::test]
    async fn what_waited_here_until_its_time_was_over_is_answered_and_not_begun() {
        let (sender, incoming) = mpsc::unbounded_channel();
        let (sent, closed) = oneshot::channel();
        drop(sent);
        let heard = Arc::new(Heard::default());
        let end = WorkerEnd {
            incoming,
            outlet: heard.clone(),
            closed,
        };
        let held = Arc::new(Held::default());
        let settings = Settings {
            slots: 1,
            backlog_max: 2,
            drain: Duration::from_secs(9),
            clock: Arc::new(|| 0.0),
        };
        let all = [
            ("first", None),
            ("late", Some(1)),
            ("last", None),
            ("too many", None),
        ];
        for (id, timeout_ms) in all {
            sender.send(request(id, timeout_ms)).unwrap();
        }
        let executor = held.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(run(end, executor, settings, async {
            let _ = stopped.await;
        }));
        let until = async |count: usize| {
            while heard.0.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        };
        // Refused at once: those before it are all here, and their time runs.
        until(1).await;
        let late = Instant::now() + Duration::from_millis(2);
        tokio::time::sleep_until(late).await;
        held.0.notify_one();
        until(3).await;
        held.0.notify_one();
        until(4).await;
        stop.send(()).unwrap();
        let summary = worker.await.unwrap();
        assert_eq!((summary.succeeded, summary.failed), (2, 1));
        let heard = heard.0.lock().unwrap();
        let told: Vec<_> = heard.iter().map(|reply| reply.content.as_str()).collect();
        assert_eq!(told, ["", "first had None", "", "last had None"]);
        let codes = [heard[0].code(), heard[2].code()];
        assert_eq!(codes, [Some(Code::Busy), Some(Code::Deadline)]);
    }
}
