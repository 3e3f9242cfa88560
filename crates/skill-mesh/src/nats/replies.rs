//! The stream of answers: the first one under a request's subject is the answer, whoever comes later.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::link::{Link, Pause, Unstored};
use super::names;
use crate::protocol::Reply;
use crate::queue::Key;

/// How often an answer is looked for before the looking is given up.
const LOOKS: u32 = 4;
/// After how long the server is asked for its time again.
const TIME_GOOD_FOR: Duration = Duration::from_secs(60);

/// Whose answer is kept.
pub(super) enum Kept {
    /// The one that was brought.
    Ours(Bytes),
    /// One that was there before.
    Earlier(Bytes),
}

impl Kept {
    pub(super) fn payload(&self) -> Bytes {
        match self {
            Self::Ours(payload) | Self::Earlier(payload) => payload.clone(),
        }
    }
}

impl Link {
    /// The answer to a request, if there is one.
    pub(super) async fn answer(&self, key: &Key) -> Result<Option<Bytes>, String> {
        let mut pause = Pause::new();
        for look in 1.. {
            match self.last(&names::reply(key)).await {
                Ok(found) => return Ok(found.map(|(payload, _)| payload)),
                Err(why) if look == LOOKS => return Err(why),
                Err(_) => pause.rest().await,
            }
        }
        Ok(None)
    }

    /// Keeps an answer, unless there is one. Goes on trying for as long as it is let.
    pub(super) async fn keep(&self, key: &Key, reply: &Reply) -> Kept {
        let mut payload = Bytes::from(reply.to_json());
        let mut pause = Pause::new();
        let mut told = false;
        loop {
            let message = PublishMessage::build()
                .payload(payload.clone())
                .expected_last_subject_sequence(0);
            let why = match self.publish(names::reply(key), message).await {
                Ok(_) => return Kept::Ours(payload),
                Err(Unstored::Taken) => match self.answer(key).await {
                    // Also when the first attempt was stored, and only its acknowledgement was lost.
                    Ok(Some(kept)) if kept == payload => return Kept::Ours(payload),
                    Ok(Some(kept)) => return Kept::Earlier(kept),
                    Ok(None) => "the answer that is there cannot be read yet".to_owned(),
                    Err(why) => why,
                },
                Err(Unstored::NoStream) => match self.replies_stream().await {
                    Ok(()) => continue,
                    Err(why) => why,
                },
                Err(Unstored::TooLarge) if self.is_too_large(&payload) => {
                    payload = Bytes::from(self.too_large(reply).to_json());
                    continue;
                }
                Err(Unstored::TooLarge) => "the server has not said yet what it takes".to_owned(),
                Err(Unstored::Full) => "the stream of answers is full".to_owned(),
                Err(Unstored::Unknown(why)) => why,
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%why, "an answer cannot be stored yet; trying on");
            }
            pause.rest().await;
        }
    }

    fn too_large(&self, reply: &Reply) -> Reply {
        let error = format!(
            "result-too-large: the result has {} bytes as JSON, the NATS server takes at most {} (max_payload); have the skill write a file and name it, or raise max_payload",
            reply.to_json().len(),
            self.client().max_payload()
        );
        Reply::failure(&reply.request_id, error).at(reply.timestamp)
    }

    /// What stands last under a subject of the stream of answers, and when it came there, in nanoseconds
    /// since 1970.
    async fn last(&self, subject: &str) -> Result<Option<(Bytes, i128)>, String> {
        let stream = self.context().get_stream_no_info(names::REPLIES).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let get = async {
            match stream.direct_get_last_for_subject(subject).await {
                Ok(message) => Ok(Some((message.payload, message.time.unix_timestamp_nanos()))),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        let got = self.unbroken(get).await;
        if got.is_err() {
            // No stream, and so no answer; or none yet, as the server is coming up.
            self.replies_stream().await?;
        }
        got
    }

    /// How long ago something came to the server, which said when by its own clock; nothing where that
    /// cannot be found out. Hosts' clocks need not agree so.
    pub(super) async fn age(&self, published: i128) -> Option<Duration> {
        let mut known = self.time.0.lock().await;
        if known.is_none_or(|(at, _)| at.elapsed() > TIME_GOOD_FOR) {
            let message = PublishMessage::build();
            self.publish(names::CLOCK.to_owned(), message).await.ok()?;
            let (_, time) = self.last(names::CLOCK).await.ok()??;
            *known = Some((Instant::now(), time));
        }
        let (at, time) = (*known)?;
        let now = time + i128::try_from(at.elapsed().as_nanos()).ok()?;
        u64::try_from(now - published)
            .ok()
            .map(Duration::from_nanos)
    }
}

/// The server's time at a moment, as far as it is known.
#[derive(Default)]
pub(super) struct ServerTime(Mutex<Option<(Instant, i128)>>);
