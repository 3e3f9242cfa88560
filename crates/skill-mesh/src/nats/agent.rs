//! An agent's end: publishes requests until the topic's stream has them, hears answers on the reply topic's
//! subject, and looks answers up that it may have missed.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::link::{Link, Pause, Stored, Unstored};
use super::names;
use super::replies::Kept;
use super::streams::As;
use crate::protocol::{Reply, Request, Status};
use crate::queue::{Key, Refusal};
use crate::transport::{AgentEnd, AgentOutlet};

pub(super) fn open(link: Arc<Link>, reply_topic: String) -> AgentEnd {
    let (replies, incoming) = mpsc::unbounded_channel();
    let (outlet, said) = mpsc::unbounded_channel();
    let asking = Asking {
        link,
        subject: names::subject(&reply_topic),
        replies,
        asked: HashMap::new(),
        tasks: JoinSet::new(),
    };
    tokio::spawn(asking.run(said));
    AgentEnd {
        reply_topic,
        incoming,
        outlet: Arc::new(Outlet(outlet)),
    }
}

enum Said {
    Ask(Question),
    /// Nobody waits for this request any more.
    Forget(String),
}

struct Outlet(mpsc::UnboundedSender<Said>);

impl AgentOutlet for Outlet {
    fn publish(&self, topic: &str, request: &Request) {
        let question = Question {
            topic: topic.into(),
            key: Key::new(&request.reply_to, &request.request_id),
            payload: request.to_json().into(),
            stored: Arc::default(),
        };
        // The other side lives until this is dropped.
        let _ = self.0.send(Said::Ask(question));
    }

    fn forget(&self, request_id: &str) {
        let _ = self.0.send(Said::Forget(request_id.to_owned()));
    }

    fn shares(&self) -> bool {
        true
    }
}

/// A request as it is published. Clones are the same request.
#[derive(Clone)]
struct Question {
    topic: Arc<str>,
    key: Key,
    payload: Bytes,
    /// When the stream took it.
    stored: Arc<OnceLock<Instant>>,
}

/// A request without an answer.
struct Asked {
    question: Question,
    asking: AbortHandle,
    /// The answer is looked for at this moment.
    looking: Option<AbortHandle>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.asking.abort();
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

struct Asking {
    link: Arc<Link>,
    subject: String,
    replies: mpsc::UnboundedSender<Reply>,
    asked: HashMap<String, Asked>,
    /// Each with its request, and the answer if that is known.
    tasks: JoinSet<(String, Option<Reply>)>,
}

impl Asking {
    async fn run(mut self, mut said: mpsc::UnboundedReceiver<Said>) {
        let subscribed = self.link.client().subscribe(self.subject.clone()).await;
        let mut messages = match subscribed {
            Ok(messages) => messages,
            Err(error) => return tracing::error!(%error, "cannot listen on NATS"),
        };
        let mut connects = self.link.connects();
        loop {
            tokio::select! {
                message = said.recv() => match message {
                    Some(Said::Ask(question)) => self.ask(question),
                    Some(Said::Forget(id)) => drop(self.asked.remove(&id)),
                    None => return,
                },
                message = messages.next() => match message {
                    Some(message) => match Reply::parse(&message.payload) {
                        Ok(reply) => self.pass_on(reply),
                        Err(bad) => tracing::warn!(problem = %bad.problem, "a reply cannot be read"),
                    },
                    None => return,
                },
                Some(done) = self.tasks.join_next() => match done {
                    Ok((_, Some(reply))) => self.pass_on(reply),
                    Ok((id, None)) => self.found_nothing(&id),
                    // Forgotten.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a task of the NATS agent failed"),
                },
                Ok(()) = connects.changed() => self.look_for_all(),
            }
        }
    }

    /// Gives a reply to the agent: news, and of answers the first.
    fn pass_on(&mut self, reply: Reply) {
        let is_last = reply.status != Status::Progress;
        let is_awaited = if is_last {
            self.asked.remove(&reply.request_id).is_some()
        } else {
            self.asked.contains_key(&reply.request_id)
        };
        if is_awaited {
            // If nobody hears any more, the end is about to close.
            let _ = self.replies.send(reply);
        }
    }

    fn ask(&mut self, question: Question) {
        let id = question.key.request_id().to_owned();
        if let Some(asked) = self.asked.get_mut(&id) {
            // Once more: the agent has waited for a while.
            return look_for(&self.link, &mut self.tasks, asked, true);
        }
        let (link, task) = (self.link.clone(), question.clone());
        let asking = self.tasks.spawn(async move {
            let reply = link.ask(&task).await;
            (task.key.request_id().to_owned(), reply)
        });
        let asked = Asked {
            question,
            asking,
            looking: None,
        };
        self.asked.insert(id, asked);
    }

    /// What was said while there was no connection is lost on the subject, and stands in the stream.
    fn look_for_all(&mut self) {
        for asked in self.asked.values_mut() {
            look_for(&self.link, &mut self.tasks, asked, false);
        }
    }

    fn found_nothing(&mut self, id: &str) {
        if let Some(asked) = self.asked.get_mut(id) {
            asked.looking = None;
        }
    }
}

fn look_for(
    link: &Arc<Link>,
    tasks: &mut JoinSet<(String, Option<Reply>)>,
    asked: &mut Asked,
    again: bool,
) {
    let question = asked.question.clone();
    let is_looking = asked
        .looking
        .as_ref()
        .is_some_and(|task| !task.is_finished());
    // Before it is stored nobody can have answered, and storing it is under way.
    if is_looking || question.stored.get().is_none() {
        return;
    }
    let link = link.clone();
    asked.looking = Some(tasks.spawn(async move {
        let reply = link.look_for(&question, again).await;
        (question.key.request_id().to_owned(), reply)
    }));
}

impl Link {
    /// Has the request stored, and waits until a worker has taken it. Returns an answer where no worker
    /// gives one.
    async fn ask(&self, question: &Question) -> Option<Reply> {
        let sequence = match self.store(question).await {
            Ok(sequence) => sequence,
            Err(refusal) => return Some(refusal),
        };
        let _ = question.stored.set(Instant::now());
        tokio::time::sleep(self.settings().queue.wait).await;
        self.refuse_untaken(question, sequence).await
    }

    /// Goes on until the stream has it, or cannot take it. Returns its number there.
    async fn store(&self, question: &Question) -> Result<u64, Reply> {
        let mut pause = Pause::new();
        let mut told = false;
        loop {
            let why = match self.offer(question).await {
                Ok(stored) => {
                    self.count(|counts| counts.accepted += 1);
                    return Ok(stored.sequence);
                }
                Err(Unstored::Full) => {
                    self.count(|counts| counts.busy += 1);
                    let waiting = self.messages(&question.topic).await;
                    let topic = question.topic.clone();
                    let refusal = Refusal::Busy { topic, waiting };
                    return Err(self.failure(question, refusal.to_string()));
                }
                Err(Unstored::TooLarge) if self.is_too_large(&question.payload) => {
                    return Err(self.failure(question, self.oversize(question)));
                }
                Err(Unstored::TooLarge) => "the server has not said yet what it takes".to_owned(),
                Err(Unstored::NoStream) => {
                    match self.topic_stream(&question.topic, As::Agent).await {
                        Ok(_) => continue,
                        Err(why) => why,
                    }
                }
                Err(Unstored::Taken) => "the server compares the stream's state".to_owned(),
                Err(Unstored::Unknown(why)) => why,
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(topic = %question.topic, %why, "a request cannot be stored yet; trying on");
            }
            pause.rest().await;
        }
    }

    /// Publishes once, under an id by which the stream knows it again.
    async fn offer(&self, question: &Question) -> Result<Stored, Unstored> {
        let message = PublishMessage::build()
            .payload(question.payload.clone())
            .message_id(names::request(&question.key));
        self.publish(names::subject(&question.topic), message).await
    }

    /// The answer, if it is there. If not, and the agent asks again, the request is published again for as
    /// long as the stream certainly knows it: then nothing is lost even if the stream was.
    async fn look_for(&self, question: &Question, again: bool) -> Option<Reply> {
        if let Ok(Some(answer)) = self.answer(&question.key).await {
            return Reply::parse(&answer).ok();
        }
        let stored = question.stored.get()?;
        if again && stored.elapsed() < self.settings().queue.memory / 2 {
            // Refused or lost: it was stored before, and the next time tells.
            if self.offer(question).await.is_ok() {
                self.count(|counts| counts.duplicates += 1);
            }
        }
        None
    }

    /// Refuses a request that no worker has had, and takes it out of the stream.
    async fn refuse_untaken(&self, question: &Question, sequence: u64) -> Option<Reply> {
        let name = self.topic_stream(&question.topic, As::Agent).await.ok()?;
        let stream = self.context().get_stream_no_info(&name).await.ok()?;
        let consumer = stream.consumer_info(names::CONSUMER).await;
        let is_served = match consumer {
            Ok(info) if info.delivered.stream_sequence >= sequence => return None,
            // Somebody asks for requests, or has some.
            Ok(info) => info.num_waiting > 0 || info.num_ack_pending > 0,
            // No worker was ever there.
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => false,
            Err(_) => return None,
        };
        let (topic, waited) = (question.topic.clone(), self.settings().queue.wait);
        let refusal = Refusal::untaken(topic, waited, is_served);
        let reply = self.failure(question, refusal.to_string());
        let kept = self.keep(&question.key, &reply).await;
        if matches!(kept, Kept::Ours(_)) {
            self.count(|counts| counts.refuse(&refusal));
            // If it stays, a worker finds it answered.
            let _ = stream.delete_message(sequence).await;
        }
        Reply::parse(&kept.payload()).ok()
    }

    fn failure(&self, question: &Question, why: String) -> Reply {
        Reply::failure(question.key.request_id(), why).at((self.settings().clock)())
    }

    fn oversize(&self, question: &Question) -> String {
        format!(
            "too-large: the request has {} bytes as JSON, the NATS server takes at most {} (max_payload); pass large data by reference, or raise max_payload",
            question.payload.len(),
            self.client().max_payload()
        )
    }

    async fn messages(&self, topic: &str) -> usize {
        let Ok(mut stream) = self.context().get_stream(names::stream(topic)).await else {
            return 0;
        };
        let messages = stream.info().await.map_or(0, |info| info.state.messages);
        usize::try_from(messages).unwrap_or(usize::MAX)
    }
}
