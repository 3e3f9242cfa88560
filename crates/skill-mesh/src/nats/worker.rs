//! A worker's end: asks the topic's consumer for as many requests as it has free slots, tells the server
//! that it is at work on them, and acknowledges each once its answer is stored.

mod admission;
mod pulls;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::link::{Link, Pause};
use super::names;
use super::replies::Kept;
use super::streams::As;
use crate::protocol::{Reply, Request, Status};
use crate::queue::Key;
use crate::transport::{FromWorker, ToWorker, WorkerEnd, WorkerOutlet};
use admission::{Admission, Delivery};
use pulls::Pulls;

/// How long what was said last may take to be stored after the end is closed.
const LINGER: Duration = Duration::from_secs(5);

pub(super) fn open(link: Arc<Link>, topic: &str, slots: usize) -> WorkerEnd {
    let (heard, incoming) = mpsc::unbounded_channel();
    let (outlet, said) = mpsc::unbounded_channel();
    let (alive, closed) = oneshot::channel();
    let work = Work {
        link,
        topic: topic.into(),
        slots: slots.max(1),
        heard,
        held: HashMap::new(),
        tasks: JoinSet::new(),
        setup: None,
        pulls: None,
        is_draining: false,
        is_drained: false,
        farewells: 0,
    };
    tokio::spawn(async move {
        work.run(said).await;
        drop(alive);
    });
    WorkerEnd {
        incoming,
        outlet: Arc::new(Outlet(outlet)),
        closed,
    }
}

struct Outlet(mpsc::UnboundedSender<FromWorker>);

impl WorkerOutlet for Outlet {
    fn send(&self, message: FromWorker) {
        // The other side lives until this is dropped.
        let _ = self.0.send(message);
    }

    fn shares(&self) -> bool {
        true
    }
}

/// A request that is here and not acknowledged.
struct Held {
    /// More than one where the same request was published anew.
    deliveries: Vec<Delivery>,
    is_answered: bool,
    /// Until when another worker need not have it.
    lease: Instant,
}

impl Held {
    /// Remembers a delivery; whether it is of another message than those that are known.
    fn add(&mut self, delivery: Delivery) -> bool {
        let same = |old: &&mut Delivery| old.sequence == delivery.sequence;
        if let Some(old) = self.deliveries.iter_mut().find(same) {
            *old = delivery;
            return false;
        }
        self.deliveries.push(delivery);
        true
    }

    /// Too long at work.
    fn is_overdue(&self) -> bool {
        !self.is_answered && self.lease <= Instant::now()
    }
}

/// What has come to an end in the background.
enum Done {
    /// There is a consumer on this stream.
    Ready(String),
    Admitted(Key, Admission),
    Answered(Key),
    Acknowledged,
}

struct Work {
    link: Arc<Link>,
    topic: Arc<str>,
    slots: usize,
    heard: mpsc::UnboundedSender<ToWorker>,
    held: HashMap<Key, Held>,
    tasks: JoinSet<Done>,
    setup: Option<AbortHandle>,
    /// Once the consumer is there.
    pulls: Option<Pulls>,
    is_draining: bool,
    /// Nothing more comes.
    is_drained: bool,
    /// How often the worker waits to hear that nothing more comes.
    farewells: usize,
}

impl Work {
    async fn run(mut self, mut said: mpsc::UnboundedReceiver<FromWorker>) {
        let inbox = self.link.client().new_inbox();
        let mut messages = match self.link.client().subscribe(inbox.clone()).await {
            Ok(messages) => messages,
            Err(error) => return tracing::error!(%error, "cannot listen on NATS"),
        };
        self.set_up();
        let mut connects = self.link.connects();
        let mut tick = tokio::time::interval(self.link.settings().ack_wait / 3);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.pull(&inbox).await;
            tokio::select! {
                message = said.recv() => match message {
                    Some(message) => self.obey(message, &mut messages).await,
                    None => break,
                },
                message = messages.next(), if !self.is_drained => match message {
                    Some(message) => self.hear(message).await,
                    None => self.is_drained = true,
                },
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.proceed(done).await,
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a task of the NATS worker failed"),
                },
                _ = tick.tick() => self.show_life().await,
                Ok(()) = connects.changed() => if let Some(pulls) = &mut self.pulls {
                    pulls.forget();
                }
            }
            self.say_farewell();
        }
        self.close(messages).await;
    }

    /// Sees to the stream and its consumer; until they are there nothing is pulled.
    fn set_up(&mut self) {
        self.give_up_setup();
        let (link, topic) = (self.link.clone(), self.topic.clone());
        let setup = self.tasks.spawn(async move {
            let mut pause = Pause::new();
            let mut told = None;
            loop {
                let made = async {
                    let stream = link.topic_stream(&topic, As::Worker).await?;
                    link.consumer(&stream).await?;
                    Ok::<_, String>(stream)
                };
                match made.await {
                    Ok(stream) => return Done::Ready(stream),
                    Err(why) if told.as_ref() != Some(&why) => {
                        tracing::warn!(%topic, %why, "the topic's stream is not ready; trying on");
                        told = Some(why);
                    }
                    Err(_) => {}
                }
                pause.rest().await;
            }
        });
        self.setup = Some(setup);
    }

    fn give_up_setup(&mut self) {
        self.pulls = None;
        if let Some(setup) = self.setup.take() {
            setup.abort();
        }
    }

    async fn pull(&mut self, inbox: &str) {
        if self.is_draining || !self.link.is_connected() {
            return;
        }
        let Some(pulls) = &mut self.pulls else {
            return;
        };
        let free = self.slots.saturating_sub(self.held.len());
        if let Some((subject, wish)) = pulls.wish(free) {
            let pulled = self.link.client();
            let pulled = pulled.publish_with_reply(subject, inbox.to_owned(), wish);
            if let Err(error) = pulled.await {
                tracing::warn!(%error, "cannot ask NATS for requests");
            }
        }
    }

    /// A request, or news of a pull.
    async fn hear(&mut self, message: Message) {
        if let Some(status) = message.status {
            let Some(pulls) = &mut self.pulls else {
                return;
            };
            let is_gone = pulls.ended(&message);
            if is_gone || status == StatusCode::NO_RESPONDERS {
                // Removed, or the server is just coming up.
                self.set_up();
            }
            return;
        }
        if let Some(pulls) = &mut self.pulls {
            pulls.filled();
        }
        let Some(delivery) = Delivery::new(&message) else {
            return tracing::warn!("a message without a JetStream subject was dropped");
        };
        if delivery.times > 1 {
            self.link.count(|counts| counts.handed_on += 1);
        }
        match Request::parse(&message.payload) {
            Ok(request) => self.take(request, delivery, message.payload).await,
            Err(bad) => {
                let (link, key) = (self.link.clone(), admission::told(&bad));
                self.tasks.spawn(async move {
                    if let Some(key) = key {
                        let reply = Reply::failure(key.request_id(), bad.to_string());
                        link.conclude(&key, reply.at((link.settings().clock)()))
                            .await;
                    }
                    link.acknowledge(&delivery).await;
                    Done::Acknowledged
                });
            }
        }
    }

    async fn take(&mut self, request: Request, delivery: Delivery, payload: Bytes) {
        let key = Key::new(&request.reply_to, &request.request_id);
        let settings = self.link.settings();
        let (lease, ack_wait) = (Instant::now() + settings.queue.lease, settings.ack_wait);
        let attempts_max = i64::from(settings.queue.attempts_max);
        let is_full = self.held.len() >= self.slots;
        match self.held.entry(key.clone()) {
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                if held.is_overdue() && delivery.times <= attempts_max {
                    // Somebody else shall have it.
                    return delivery.nak(&self.link, ack_wait).await;
                }
                if held.add(delivery.clone()) {
                    self.link.count(|counts| counts.duplicates += 1);
                }
                if !held.is_overdue() {
                    return;
                }
                // Nobody else came: the last of the attempts was ours, too.
            }
            Entry::Vacant(_) if is_full => return delivery.nak(&self.link, Duration::ZERO).await,
            Entry::Vacant(free) => {
                free.insert(Held {
                    deliveries: vec![delivery.clone()],
                    is_answered: false,
                    lease,
                });
            }
        }
        let (link, topic) = (self.link.clone(), self.topic.clone());
        self.tasks.spawn(async move {
            let admission = link.admit(&topic, &key, request, &delivery, payload).await;
            Done::Admitted(key, admission)
        });
    }

    async fn proceed(&mut self, done: Done) {
        match done {
            Done::Ready(stream) => self.pulls = Some(Pulls::new(&stream)),
            Done::Acknowledged => {}
            Done::Admitted(_, Admission::Run(request)) => {
                self.link.count(|counts| counts.delivered += 1);
                // If nobody hears any more, the end is about to close.
                let _ = self.heard.send(ToWorker::Request(request));
            }
            Done::Admitted(key, Admission::Unclear) => self.give_back(&key).await,
            Done::Admitted(key, Admission::Answered) | Done::Answered(key) => {
                let Some(held) = self.held.remove(&key) else {
                    return;
                };
                let link = self.link.clone();
                self.tasks.spawn(async move {
                    for delivery in &held.deliveries {
                        link.acknowledge(delivery).await;
                    }
                    Done::Acknowledged
                });
            }
        }
    }

    async fn obey(&mut self, message: FromWorker, messages: &mut Subscriber) {
        match message {
            FromWorker::Reply(key, reply) if reply.status == Status::Progress => {
                let lease = Instant::now() + self.link.settings().queue.lease;
                if let Some(held) = self.held.get_mut(&key).filter(|held| !held.is_answered) {
                    held.lease = lease;
                    let subject = names::subject(key.reply_to());
                    self.link.tell(subject, reply.to_json().into()).await;
                }
            }
            FromWorker::Reply(key, reply) => self.answer(key, reply),
            FromWorker::HandBack(key) => self.give_back(&key).await,
            FromWorker::Drain => {
                self.farewells += 1;
                self.give_up_setup();
                if !std::mem::replace(&mut self.is_draining, true)
                    && let Err(error) = messages.drain().await
                {
                    tracing::warn!(%error, "cannot take leave of NATS");
                }
            }
        }
    }

    fn answer(&mut self, key: Key, reply: Reply) {
        let Some(held) = self.held.get_mut(&key).filter(|held| !held.is_answered) else {
            return;
        };
        held.is_answered = true;
        let link = self.link.clone();
        self.tasks.spawn(async move {
            let is_first = link.conclude(&key, reply).await;
            link.count(|counts| {
                *if is_first {
                    &mut counts.answered
                } else {
                    &mut counts.late
                } += 1;
            });
            Done::Answered(key)
        });
    }

    async fn give_back(&mut self, key: &Key) {
        if let Some(held) = self.held.remove(key) {
            for delivery in &held.deliveries {
                delivery.nak(&self.link, Duration::ZERO).await;
            }
        }
    }

    /// Keeps what is here from being given to others.
    async fn show_life(&mut self) {
        if !self.link.is_connected() {
            return;
        }
        for held in self.held.values().filter(|held| !held.is_overdue()) {
            for delivery in &held.deliveries {
                delivery.in_progress(&self.link).await;
            }
        }
    }

    fn say_farewell(&mut self) {
        let is_silent = self.is_drained && self.tasks.is_empty();
        while is_silent && self.farewells > 0 {
            self.farewells -= 1;
            let _ = self.heard.send(ToWorker::Drained);
        }
    }

    /// Stores what was said, and gives back what was not answered.
    async fn close(mut self, mut messages: Subscriber) {
        self.give_up_setup();
        let ended = async {
            // First, or what is given back might come back here; and with it what is just on its way.
            if self.link.is_connected() && !self.is_drained && messages.drain().await.is_ok() {
                while let Some(message) = messages.next().await {
                    if let Some(delivery) = Delivery::new(&message) {
                        delivery.nak(&self.link, Duration::ZERO).await;
                    }
                }
            }
            let held = self.held.iter();
            let unanswered = held.filter(|(_, held)| !held.is_answered);
            for key in unanswered.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                self.give_back(&key).await;
            }
            while let Some(done) = self.tasks.join_next().await {
                match done {
                    // Given back above.
                    Ok(Done::Admitted(_, Admission::Run(_)) | Done::Ready(_)) | Err(_) => {}
                    Ok(done) => self.proceed(done).await,
                }
            }
            if self.link.is_connected()
                && let Err(error) = self.link.client().flush().await
            {
                tracing::warn!(%error, "cannot say good-bye to NATS");
            }
        };
        if tokio::time::timeout(LINGER, ended).await.is_err() {
            tracing::warn!("NATS did not take the last answers; others will run these requests");
        }
    }
}

impl Link {
    /// Answers a request, unless that is done already; whether this is its answer. The caller hears the
    /// first answer in any case: whoever stored it may have died before saying it.
    async fn conclude(&self, key: &Key, reply: Reply) -> bool {
        let kept = self.keep(key, &reply).await;
        self.tell(names::subject(key.reply_to()), kept.payload())
            .await;
        matches!(kept, Kept::Ours(_))
    }
}
