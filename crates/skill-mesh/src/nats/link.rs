//! What the workers and agents of a connection share: the client, the settings, the counts, and publishing
//! to a stream with every way in which that can end.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ErrorCode, context};
use bytes::Bytes;
use tokio::sync::watch;

use super::Settings;
use crate::queue::Counts;

/// How long the server may take for an answer before it is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for news of the connection before it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Bytes of a message beside its payload: names of requests are the longest.
const HEADERS_MAX: usize = 4 * 1024;
/// Publications that wait for their acknowledgement at a time.
const UNACKNOWLEDGED_MAX: usize = 10_000;

/// The last complaint about the connection, if it does not stand.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<String>>);

impl Health {
    pub(super) fn set(&self, complaint: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = complaint;
    }

    pub(super) fn get(&self) -> Option<String> {
        let complaint = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.clone()
    }
}

/// A message that a stream has.
pub(super) struct Stored {
    pub(super) sequence: u64,
}

/// Why a stream does not have a message, or may not.
#[derive(Debug)]
pub(super) enum Unstored {
    /// Something is stored under the subject already.
    Taken,
    /// There is no stream for the subject, or its server is just coming up.
    NoStream,
    /// As many messages or bytes as the stream may hold.
    Full,
    /// The server takes no message of this size.
    TooLarge,
    /// Unknown whether it was stored.
    Unknown(String),
}

pub(super) struct Link {
    client: Client,
    context: Context,
    settings: Settings,
    address: String,
    health: Arc<Health>,
    /// How often there was a connection.
    connects: watch::Receiver<u64>,
    counts: Mutex<Counts>,
    pub(super) time: super::replies::ServerTime,
}

impl Link {
    pub(super) fn new(
        client: Client,
        settings: Settings,
        address: String,
        health: Arc<Health>,
        connects: watch::Receiver<u64>,
    ) -> Arc<Self> {
        let context = ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .ack_timeout(ANSWER_WITHIN)
            .max_ack_inflight(UNACKNOWLEDGED_MAX)
            .build(client.clone());
        Arc::new(Self {
            client,
            context,
            settings,
            address,
            health,
            connects,
            counts: Mutex::default(),
            time: super::replies::ServerTime::default(),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes with each new connection from now on.
    pub(super) fn connects(&self) -> watch::Receiver<u64> {
        let mut connects = self.connects.clone();
        connects.mark_unchanged();
        connects
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until there is a connection.
    pub(super) async fn connected(&self) {
        let mut connects = self.connects();
        while !self.is_connected() {
            // The client says so just before it is so, and might not say so at all.
            let _ = tokio::time::timeout(LOOK_AGAIN, connects.changed()).await;
        }
    }

    /// Does something with the server, unless the connection breaks before the answer is there: what was
    /// under way is lost then, or its answer is.
    pub(super) async fn unbroken<T>(
        &self,
        call: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        self.connected().await;
        let mut connects = self.connects();
        tokio::select! {
            result = call => result,
            _ = connects.changed() => Err("the connection was lost".into()),
        }
    }

    /// Whether the server has said that it takes no such payload. Before, the client knows a guess only.
    pub(super) fn is_too_large(&self, payload: &Bytes) -> bool {
        let max = self.client.server_info().max_payload;
        max > 0 && payload.len() + HEADERS_MAX > max
    }

    /// Sends it off, and nothing more.
    pub(super) async fn tell(&self, subject: String, payload: Bytes) {
        if let Err(error) = self.client.publish(subject, payload).await {
            tracing::warn!(%error, "cannot publish to NATS");
        }
    }

    /// Publishes, and waits until a stream has it.
    pub(super) async fn publish(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<Stored, Unstored> {
        let published = async {
            let acknowledgement = self.context.send_publish(subject, message).await?;
            acknowledgement.await
        };
        let published = async { Ok(published.await.map_err(|error| unstored(&error))) };
        let ack = self
            .unbroken(published)
            .await
            .map_err(Unstored::Unknown)??;
        Ok(Stored {
            sequence: ack.sequence,
        })
    }
}

fn unstored(error: &context::PublishError) -> Unstored {
    let jetstream = error
        .source()
        .and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Unstored::Taken,
        PublishErrorKind::StreamNotFound => Unstored::NoStream,
        PublishErrorKind::MaxPayloadExceeded => Unstored::TooLarge,
        _ if jetstream.is_some_and(is_full) => Unstored::Full,
        _ => Unstored::Unknown(match jetstream {
            Some(jetstream) => jetstream.to_string(),
            None => error.to_string(),
        }),
    }
}

/// A stream that refuses new messages. The code alone also stands for a full disk.
fn is_full(error: &async_nats::jetstream::Error) -> bool {
    error.error_code() == ErrorCode::STREAM_STORE_FAILED && error.to_string().contains("maximum")
}

/// Longer and longer pauses between attempts.
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) fn new() -> Self {
        Self(Duration::from_millis(25))
    }

    pub(super) async fn rest(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}
