//! OpenTelemetry for this process: made of the standard's variables, sends spans to a collector in the background,
//! and sends the last ones before the program ends. Off, and free, where no collector is named.

mod export;
mod settings;

use std::time::Duration;

use skill_client::{Clock, SystemClock};
use skill_trace::{TraceContext, Tracer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::failure::Failure;

/// How long a server may take to send its last spans.
pub const SERVER: Duration = Duration::from_secs(5);
/// How long a person waits for it after an answer.
pub const COMMAND: Duration = Duration::from_secs(1);

/// Sends spans until it is finished or dropped.
pub struct Telemetry(Option<Running>);

struct Running {
    stop: CancellationToken,
    export: JoinHandle<()>,
}

impl Telemetry {
    /// Must be called within a runtime. `service` is what this program is called where nothing else is said.
    pub fn start(service: &str, context: &Context) -> Result<Self, Failure> {
        let Some(settings) = settings::read(service, &|name| context.env(name))? else {
            return Ok(Self(None));
        };
        let (tracer, spans) = Tracer::new(
            settings.sampler,
            settings.queue_max,
            || u64::try_from(SystemClock.now().as_nanosecond()).unwrap_or_default(),
            rand::random::<u64>,
        );
        let exporter = export::Exporter::new(settings)?;
        skill_trace::install(tracer);
        skill_trace::describe();
        let stop = CancellationToken::new();
        let export = tokio::spawn(exporter.run(spans, stop.clone()));
        Ok(Self(Some(Running { stop, export })))
    }

    /// Sends what is left, for at most so long.
    pub async fn finish(self, within: Duration) {
        let Some(Running { stop, export }) = self.0 else {
            return;
        };
        stop.cancel();
        if tokio::time::timeout(within, export).await.is_err() {
            tracing::warn!("the last spans were not taken in time and are lost");
        }
    }
}

/// What the caller of this program says that it is a part of, in the variables that OpenTelemetry's programs use.
pub fn parent(context: &Context) -> Option<TraceContext> {
    let state = context.env("TRACESTATE");
    TraceContext::parse(&context.env("TRACEPARENT")?, state.as_deref())
}
