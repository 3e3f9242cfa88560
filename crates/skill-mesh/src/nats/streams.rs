//! The streams and consumers on the server, made when they are first needed, and made again when somebody
//! has removed them.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};

use super::link::Link;
use super::{Settings, names};

/// Requests that the workers of a topic may have at a time.
const RUNNING_MAX: i64 = 10_000;
/// Workers of a topic that may wait for requests at a time.
const WAITING_WORKERS_MAX: i64 = 8_192;
/// Dead letters that are kept, before the oldest go.
const DEAD_LETTERS_MAX: i64 = 100_000;
const DEAD_LETTER_BYTES_MAX: i64 = 256 * 1024 * 1024;

/// Who makes a topic's stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Takes it as it is.
    Agent,
    /// Brings it up to its own settings.
    Worker,
}

impl Link {
    /// Makes the stream of a topic unless it is there; returns its name. A stream of another name that has
    /// the subject already is taken as it is.
    pub(super) async fn topic_stream(&self, topic: &str, who: As) -> Result<String, String> {
        let config = of_topic(self.settings(), topic);
        match self.made(config.clone(), who).await {
            Ok(()) => Ok(config.name),
            Err(Unmade::Overlap) => {
                let subject = names::subject(topic);
                let name = self.context().stream_by_subject(subject).await;
                name.map_err(|error| error.to_string())
            }
            Err(Unmade::Other(why)) => Err(why),
        }
    }

    /// Makes the consumer that a topic's workers share.
    pub(super) async fn consumer(&self, stream: &str) -> Result<(), String> {
        let settings = self.settings();
        let config = pull::Config {
            durable_name: Some(names::CONSUMER.into()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: settings.ack_wait,
            // Workers count, so that a request that is given up is answered, and does not just stay.
            max_deliver: -1,
            max_ack_pending: RUNNING_MAX,
            max_waiting: WAITING_WORKERS_MAX,
            ..pull::Config::default()
        };
        let make = async {
            let made = self
                .context()
                .create_consumer_on_stream(config, stream)
                .await;
            made.map(|_| ()).map_err(|error| error.to_string())
        };
        self.unbroken(make).await
    }

    pub(super) async fn replies_stream(&self) -> Result<(), String> {
        self.own_stream(of_replies(self.settings())).await
    }

    pub(super) async fn dead_letters_stream(&self) -> Result<(), String> {
        self.own_stream(of_dead_letters(self.settings())).await
    }

    async fn made(&self, config: Config, who: As) -> Result<(), Unmade> {
        let make = async { Ok(make(self.context(), config, who).await) };
        self.unbroken(make).await.map_err(Unmade::Other)?
    }

    async fn own_stream(&self, config: Config) -> Result<(), String> {
        match self.made(config, As::Agent).await {
            Ok(()) => Ok(()),
            Err(Unmade::Overlap) => Err("another stream has its subject; remove that one".into()),
            Err(Unmade::Other(why)) => Err(why),
        }
    }
}

enum Unmade {
    Overlap,
    Other(String),
}

async fn make(context: &Context, config: Config, who: As) -> Result<(), Unmade> {
    let Err(error) = context.create_stream(config.clone()).await else {
        return Ok(());
    };
    let code = match error.kind() {
        CreateStreamErrorKind::JetStream(error) => Some(error.error_code()),
        _ => None,
    };
    match code {
        Some(ErrorCode::STREAM_SUBJECT_OVERLAP) => Err(Unmade::Overlap),
        // It is there, with other settings.
        Some(ErrorCode::STREAM_NAME_EXIST) if who == As::Worker => {
            let updated = context.update_stream(&config).await;
            updated
                .map(|_| ())
                .map_err(|error| Unmade::Other(error.to_string()))
        }
        Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
        _ => Err(Unmade::Other(error.to_string())),
    }
}

fn of_topic(settings: &Settings, topic: &str) -> Config {
    let queue = &settings.queue;
    // As long as a request can be of interest to anybody: waiting, and every attempt.
    let age = queue.wait + queue.lease * queue.attempts_max.max(1);
    Config {
        name: names::stream(topic),
        description: Some("Requests to skills; see skills-replies for their answers".into()),
        subjects: vec![names::subject(topic)],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_messages: whole(queue.waiting_max),
        max_bytes: whole(queue.bytes_max),
        max_age: age,
        duplicate_window: memory(settings).min(age),
        ..stored(settings)
    }
}

fn of_replies(settings: &Settings) -> Config {
    let queue = &settings.queue;
    Config {
        name: names::REPLIES.into(),
        description: Some("The first answer to each request".into()),
        subjects: vec![names::ALL_REPLIES.into(), names::CLOCK.into()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: whole(queue.memory_count_max),
        max_bytes: whole(queue.memory_bytes_max),
        max_age: memory(settings),
        duplicate_window: memory(settings),
        allow_direct: true,
        ..stored(settings)
    }
}

fn of_dead_letters(settings: &Settings) -> Config {
    Config {
        name: names::DEAD_LETTERS.into(),
        description: Some("Requests that no worker could answer".into()),
        subjects: vec![names::ALL_DEAD_LETTERS.into()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_messages: DEAD_LETTERS_MAX,
        max_bytes: DEAD_LETTER_BYTES_MAX,
        max_age: settings.dead_letters,
        duplicate_window: memory(settings).min(settings.dead_letters),
        ..stored(settings)
    }
}

fn stored(settings: &Settings) -> Config {
    Config {
        storage: StorageType::File,
        num_replicas: settings.replicas.max(1),
        ..Config::default()
    }
}

/// The server knows no less.
fn memory(settings: &Settings) -> Duration {
    settings.queue.memory.max(Duration::from_millis(100))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
