//! Whether a request that was delivered is to be run: not if it is answered, too old, or has been given to
//! too many workers already.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use async_nats::client::Request as Call;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::nats::link::{Link, Pause, Unstored};
use crate::nats::names;
use crate::protocol::{BadMessage, Reply, Request};
use crate::queue::{Key, Refusal};

/// How often the server is told of an acknowledgement; what it does not hear it delivers again.
const ACKNOWLEDGEMENTS: u32 = 3;
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// How often a dead letter is posted before it is only answered.
const POSTS: u32 = 5;

/// What becomes of a request.
pub(super) enum Admission {
    Run(Arc<Request>),
    /// It has its answer.
    Answered,
    /// That could not be found out: somebody shall try again.
    Unclear,
}

/// A message as it came from the stream.
#[derive(Clone)]
pub(super) struct Delivery {
    stream: String,
    pub(super) sequence: u64,
    /// Counted from 1.
    pub(super) times: i64,
    /// By the server's clock, in nanoseconds since 1970.
    published: i128,
    /// Where it is acknowledged.
    subject: String,
}

impl Delivery {
    pub(super) fn new(message: &Message) -> Option<Self> {
        let subject = message.reply.as_ref()?.to_string();
        let mut tokens = subject.strip_prefix("$JS.ACK.")?.split('.');
        // Newer servers put the domain and the account's hash in front.
        if tokens.clone().count() >= 9 {
            tokens.nth(1);
        }
        let stream = tokens.next()?.to_owned();
        let mut numbers = tokens.skip(1);
        Some(Self {
            stream,
            times: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            published: numbers.nth(1)?.parse().ok()?,
            subject,
        })
    }

    /// Somebody else shall have it, at once or after a while.
    pub(super) async fn nak(&self, link: &Link, after: Duration) {
        let word = if after.is_zero() {
            "-NAK".to_owned()
        } else {
            format!("-NAK {{\"delay\": {}}}", after.as_nanos())
        };
        link.tell(self.subject.clone(), word.into()).await;
    }

    pub(super) async fn in_progress(&self, link: &Link) {
        link.tell(self.subject.clone(), Bytes::from_static(b"+WPI"))
            .await;
    }
}

/// Whom to tell about a message that is no request.
pub(super) fn told(bad: &BadMessage) -> Option<Key> {
    Some(Key::new(bad.reply_to.as_deref()?, &bad.request_id))
}

impl Link {
    pub(super) async fn admit(
        &self,
        topic: &str,
        key: &Key,
        request: Request,
        delivery: &Delivery,
        payload: Bytes,
    ) -> Admission {
        let queue = &self.settings().queue;
        match self.answer(key).await {
            Ok(Some(answer)) => {
                self.tell(names::subject(key.reply_to()), answer).await;
                return Admission::Answered;
            }
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(%why, "it is not known whether a request is answered already");
                return Admission::Unclear;
            }
        }
        if delivery.times > i64::from(queue.attempts_max) {
            let attempts = queue.attempts_max;
            self.bury(topic, delivery, payload).await;
            self.refuse(key, Refusal::WorkersLost { attempts }).await;
            return Admission::Answered;
        }
        if delivery.times == 1
            && let Some(waited) = self.age(delivery.published).await
            && waited > queue.wait
        {
            let topic = topic.into();
            self.refuse(key, Refusal::Deadline { topic, waited }).await;
            return Admission::Answered;
        }
        Admission::Run(Arc::new(request))
    }

    async fn refuse(&self, key: &Key, refusal: Refusal) {
        let reply = Reply::failure(key.request_id(), refusal.to_string());
        let reply = reply.at((self.settings().clock)());
        if self.conclude(key, reply).await {
            self.count(|counts| counts.refuse(&refusal));
        }
    }

    /// Keeps a request that is given up for whoever wants to look into it.
    async fn bury(&self, topic: &str, delivery: &Delivery, payload: Bytes) {
        let mut pause = Pause::new();
        for _ in 0..POSTS {
            let letter = PublishMessage::build()
                .payload(payload.clone())
                .message_id(format!("{}.{}", delivery.stream, delivery.sequence))
                .header("Skills-Topic", topic.escape_default().to_string())
                .header("Skills-Attempts", (delivery.times - 1).to_string());
            match self.publish(names::dead_letter(topic), letter).await {
                Ok(_) => return,
                Err(Unstored::NoStream) => {
                    if let Err(why) = self.dead_letters_stream().await {
                        tracing::warn!(%why, "the stream of dead letters is not ready");
                    }
                }
                Err(why) => tracing::warn!(?why, "a dead letter cannot be stored"),
            }
            pause.rest().await;
        }
        tracing::error!(%topic, "a request was given up and could not be kept as a dead letter");
    }

    /// Has the server drop a request, and makes sure that it did.
    pub(super) async fn acknowledge(&self, delivery: &Delivery) {
        for _ in 0..ACKNOWLEDGEMENTS {
            let call = Call::new()
                .payload(Bytes::from_static(b"+ACK"))
                .timeout(Some(ACKNOWLEDGED_WITHIN));
            let sent = self.client().send_request(delivery.subject.clone(), call);
            if sent.await.is_ok() {
                return;
            }
        }
        tracing::warn!("an acknowledgement got lost; the request is answered when it comes again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &str) -> Option<(String, i64, u64, i128)> {
        let message = Message {
            subject: "T".into(),
            reply: Some(reply.into()),
            payload: Bytes::new(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        let read = Delivery::new(&message)?;
        Some((read.stream, read.times, read.sequence, read.published))
    }

    #[test]
    fn both_forms_of_an_acknowledgement_subject_are_read() {
        let expected = Some(("s".to_owned(), 2, 7, 1_700_000_000_000_000_000));
        assert_eq!(
            read("$JS.ACK.s.workers.2.7.9.1700000000000000000.3"),
            expected
        );
        let newer = "$JS.ACK._.hash.s.workers.2.7.9.1700000000000000000.3.token";
        assert_eq!(read(newer), expected);
        for wrong in [
            "",
            "_INBOX.x",
            "$JS.ACK.s.workers.2",
            "$JS.ACK.s.w.a.b.c.d.e",
        ] {
            assert_eq!(read(wrong), None);
        }
    }
}
