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
/// As JetStream writes it.
const UNLIMITED: i64 = -1;

/// What an error begins with if the server, or the account, has no storage left for a stream.
pub(super) const NO_ROOM: &str = "there is no room for the stream";

/// Who makes a topic's stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Takes it as it is. If there is none, makes one that reserves nothing: whoever misspells a topic must
    /// not take storage from the others.
    Agent,
    /// Brings it up to its own settings.
    Worker,
}

impl Link {
    /// Makes the stream of a topic unless it is there; returns its name. A stream of another name that has
    /// the subject already is taken as it is.
    pub(super) async fn topic_stream(&self, topic: &str, who: As) -> Result<String, String> {
        let mut config = of_topic(self.settings(), topic);
        let made = match who {
            As::Worker => self.made(config.clone(), who).await,
            As::Agent => {
                let bytes_max = std::mem::replace(&mut config.max_bytes, UNLIMITED);
                match self.made(config.clone(), who).await {
                    // This account allows no stream without a bound.
                    Err(Unmade::BoundRequired) => {
                        config.max_bytes = bytes_max;
                        self.made(config.clone(), who).await
                    }
                    made => made,
                }
            }
        };
        match made {
            Ok(()) => Ok(config.name),
            Err(Unmade::Overlap) => {
                let subject = names::subject(topic);
                let name = self.context().stream_by_subject(subject).await;
                name.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.why()),
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
            Err(error) => Err(error.why()),
        }
    }
}

enum Unmade {
    /// Another stream has the subject.
    Overlap,
    /// The account takes only streams that say how large they may become.
    BoundRequired,
    Other(String),
}

impl Unmade {
    fn why(self) -> String {
        match self {
            Self::Overlap => "another stream has its subject".into(),
            Self::BoundRequired => "the account requires a bound for every stream".into(),
            Self::Other(why) => why,
        }
    }
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
            let Err(error) = context.update_stream(&config).await else {
                return Ok(());
            };
            match error.kind() {
                // Smaller than it should be serves better than none.
                CreateStreamErrorKind::JetStream(why) if is_storage(why.error_code()) => {
                    tracing::warn!(stream = config.name, %error, "the stream stays as it is");
                    Ok(())
                }
                _ => Err(Unmade::Other(error.to_string())),
            }
        }
        Some(ErrorCode::STREAM_NAME_EXIST) => Ok(()),
        Some(ErrorCode::STREAM_MAX_BYTES_REQUIRED) => Err(Unmade::BoundRequired),
        // The server looks for room before it looks whether the stream is there.
        Some(code) if is_storage(code) && context.get_stream(&config.name).await.is_ok() => Ok(()),
        Some(code) if is_storage(code) => {
            Err(Unmade::Other(format!("{NO_ROOM} {}: {error}", config.name)))
        }
        _ => Err(Unmade::Other(error.to_string())),
    }
}

/// No storage is left, on the server or for the account.
fn is_storage(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
    )
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
