//! How the topics are doing, as the server sees it: for metrics, and for whoever scales workers.

use async_nats::jetstream::stream::Info;
use futures::TryStreamExt;
use skill_format::{Explain, Fault};

use super::link::Link;
use super::names;

/// How a topic is doing at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// Its name.
    pub topic: String,
    /// Its stream's.
    pub stream: String,
    /// Requests that no worker has (JetStream's `num_pending`).
    pub waiting: u64,
    /// Requests that workers have (`num_ack_pending`).
    pub running: u64,
    /// Of these, those that another worker had before (`num_redelivered`).
    pub redelivered: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Requests to the topic since its stream was made.
    pub accepted: u64,
}

/// Why the gauges cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the state of the streams from NATS at {address}: {why}")]
pub struct GaugesError {
    /// Without user and password.
    pub address: String,
    /// What the server, or the connection, said.
    pub why: String,
}

impl Explain for GaugesError {
    fn code(&self) -> &'static str {
        "mesh-nats-gauges"
    }

    fn fault(&self) -> Fault {
        Fault::Unavailable
    }

    fn help(&self) -> Option<String> {
        Some(
            "look whether the server runs, and whether the account may read $JS.API.STREAM.LIST"
                .into(),
        )
    }
}

pub(super) async fn read(link: &Link) -> Result<Vec<Gauge>, GaugesError> {
    let failed = |why: String| GaugesError {
        address: link.address().to_owned(),
        why,
    };
    let mut streams = link.context().streams();
    let mut gauges = Vec::new();
    while let Some(info) = streams
        .try_next()
        .await
        .map_err(|error| failed(error.to_string()))?
    {
        if names::is_topic_stream(&info.config.name) {
            gauges.push(gauge(link, info).await);
        }
    }
    gauges.sort_by(|one, other| one.topic.cmp(&other.topic));
    Ok(gauges)
}

async fn gauge(link: &Link, info: Info) -> Gauge {
    let subject = info.config.subjects.first().map_or("", String::as_str);
    let mut gauge = Gauge {
        topic: names::topic(subject),
        stream: info.config.name,
        waiting: info.state.messages,
        running: 0,
        redelivered: 0,
        bytes: info.state.bytes,
        accepted: info.state.last_sequence,
    };
    // Without a consumer no worker was ever there: all are waiting.
    if let Ok(stream) = link.context().get_stream_no_info(&gauge.stream).await
        && let Ok(consumer) = stream.consumer_info(names::CONSUMER).await
    {
        gauge.waiting = consumer.num_pending;
        gauge.running = whole(consumer.num_ack_pending);
        gauge.redelivered = whole(consumer.num_redelivered);
    }
    gauge
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
