//! One invocation from its acceptance to its end, in a task of its own: a caller who goes away changes nothing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use hub_db::{DbError, NewInvocation};
use hub_model::{Ending, InvocationFault, InvocationId, InvocationRecord, InvocationStatus};
use skill_format::Sha256;
use skill_trace::TraceContext;
use tokio::sync::oneshot;

use super::gateway::Place;
use super::live::{End, Live};
use super::port::{Invocation, InvokeError, Invoker, Output, Progress};
use super::store::{self, Ended};
use crate::App;
use crate::auth::Principal;

/// How long after its time the hub itself gives an invocation up, should the invoker not keep to it.
const GRACE: Duration = Duration::from_secs(5);

/// Between two attempts to write an end while the database is away.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What somebody asks for, everything about it checked.
pub(super) struct Order {
    pub principal: Principal,
    pub skill_id: hub_model::SkillId,
    pub skill: String,
    pub entry: Option<String>,
    pub input: Bytes,
    pub timeout: Duration,
    pub idempotency_key: Option<String>,
    /// What it is a part of.
    pub trace: Option<TraceContext>,
}

/// What became of an order.
pub(super) enum Accepted {
    New(InvocationRecord, Arc<Live>),
    /// The same request came before.
    Before(InvocationRecord),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("no mesh is configured")]
    NotConfigured,
    #[error("the hub is stopping")]
    Stopping,
    #[error("no place is free")]
    Busy,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first one with this key ended a moment ago, without having run.
    #[error("a request with this idempotency key has just been refused")]
    KeyInUse,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Order {
    /// What makes two requests the same.
    fn request_hash(&self) -> String {
        let timeout = self.timeout.as_millis().to_string();
        let entry = match &self.entry {
            Some(entry) => format!("={entry}"),
            None => String::new(),
        };
        let input = Sha256::of(&self.input).hex();
        let parts = ["invoke", &self.skill, &entry, &timeout, &input];
        Sha256::of(parts.join("\0").as_bytes()).hex()
    }

    fn record(&self, app: &App, status: InvocationStatus) -> InvocationRecord {
        let now = app.now();
        let is_running = status == InvocationStatus::Running;
        InvocationRecord {
            id: InvocationId::generate(now, &mut app.rng()),
            tenant: app.tenant(),
            user_id: self.principal.user_id(),
            username: self.principal.username().to_owned(),
            skill_id: self.skill_id,
            skill: self.skill.clone(),
            version: None,
            entry: self.entry.clone(),
            status,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            input_sha256: Sha256::of(&self.input).hex(),
            input_bytes: self.input.len() as u64,
            output: None,
            output_bytes: None,
            error: None,
            attempts: u32::from(is_running),
            created_at: now,
            started_at: is_running.then_some(now),
            finished_at: None,
        }
    }
}

/// Accepts an order and begins to run it, or finds what came of the same one before.
pub(super) async fn submit(app: &App, order: Order) -> Result<Accepted, OrderError> {
    let gateway = app.gateway();
    let Some(invoker) = gateway.invoker() else {
        return Err(OrderError::NotConfigured);
    };
    if let Some(before) = before(app, &order).await? {
        return Ok(Accepted::Before(before));
    }
    if gateway.is_draining() {
        return Err(OrderError::Stopping);
    }
    let place = gateway.place().ok_or(OrderError::Busy)?;
    // From here on in a task: a caller who leaves at the moment of the commit must not leave an invocation behind that
    // nobody works on.
    let (tell, told) = oneshot::channel();
    let task = accept(app.clone(), Arc::clone(invoker), order, place, tell);
    gateway.spawn(task);
    told.await.unwrap_or(Err(OrderError::Stopping))
}

async fn before(app: &App, order: &Order) -> Result<Option<InvocationRecord>, OrderError> {
    let Some(key) = &order.idempotency_key else {
        return Ok(None);
    };
    let user = order.principal.user_id();
    let found = app
        .db()
        .invocations()
        .by_key(app.tenant(), user, key)
        .await?;
    match found {
        None => Ok(None),
        Some((_, hash)) if hash != order.request_hash() => Err(OrderError::KeyReused),
        Some((id, _)) => Ok(store::find(app, id).await?),
    }
}

async fn accept(
    app: App,
    invoker: Arc<dyn Invoker>,
    order: Order,
    place: Place,
    tell: oneshot::Sender<Result<Accepted, OrderError>>,
) {
    let status = match place {
        Place::Slot(_) => InvocationStatus::Running,
        Place::Line(_) => InvocationStatus::Queued,
    };
    let record = order.record(&app, status);
    let Some(live) = app.gateway().register(record.id) else {
        // Two ids of 74 random bits are the same.
        let _ = tell.send(Err(OrderError::Busy));
        return;
    };
    let new = NewInvocation {
        record: &record,
        input: &order.input,
        idempotency_key: order.idempotency_key.as_deref(),
        request_hash: &order.request_hash(),
        lease_until: record.created_at + app.config().invoke.lease(),
    };
    let refusal = match store::accept(&app, new).await {
        Ok(true) => None,
        Ok(false) => Some(match before(&app, &order).await {
            Ok(Some(before)) => Ok(Accepted::Before(before)),
            Ok(None) => Err(OrderError::KeyInUse),
            Err(error) => Err(error),
        }),
        Err(error) => Some(Err(error.into())),
    };
    if let Some(refusal) = refusal {
        // Should the commit have succeeded unheard of, the lease lapses and it is taken over.
        app.gateway().forget(record.id);
        let _ = tell.send(refusal);
        return;
    }
    let _ = tell.send(Ok(Accepted::New(record.clone(), Arc::clone(&live))));
    let input = (status == InvocationStatus::Running).then_some(order.input);
    run(&app, &*invoker, &record, live, place, input, order.trace).await;
}

/// Works on an accepted invocation until it is over or the hub stops. Without `input` it is still queued.
pub(super) async fn run(
    app: &App,
    invoker: &dyn Invoker,
    record: &InvocationRecord,
    live: Arc<Live>,
    place: Place,
    input: Option<Bytes>,
    trace: Option<TraceContext>,
) {
    let end = work(app, invoker, record, live, place, input, trace).await;
    app.gateway().release(record.id, end);
}

async fn work(
    app: &App,
    invoker: &dyn Invoker,
    record: &InvocationRecord,
    live: Arc<Live>,
    place: Place,
    input: Option<Bytes>,
    trace: Option<TraceContext>,
) -> End {
    let slot = match place {
        Place::Slot(slot) => slot,
        Place::Line(_in_line) => {
            let _waits = app.metrics().invocation_waits();
            let timeout = Duration::from_millis(record.timeout_ms);
            tokio::select! {
                slot = app.gateway().slot() => match slot {
                    Some(slot) => slot,
                    None => return End::Left,
                },
                () = app.gateway().drains() => return End::Left,
                () = tokio::time::sleep(timeout) => {
                    let message = format!("no place was free within {} s", timeout.as_secs());
                    let busy = Ending::failed(app.now(), InvocationFault::Busy, message);
                    return finish(app, record.id, &busy, None).await;
                }
            }
        }
    };
    let input = match input {
        Some(input) => input,
        None => match store::start(app, record).await {
            Ok(Some(input)) => input.into(),
            Ok(None) => return elsewhere(app, record.id).await,
            Err(error) => {
                tracing::warn!(%error, invocation = %record.id, "cannot start an invocation; it is left");
                return End::Left;
            }
        },
    };
    let began = Instant::now();
    let runs = app.metrics().invocation_runs();
    let ending = tokio::select! {
        biased;
        outcome = call(invoker, record, input, live, trace) => ending(app, outcome),
        () = app.gateway().is_cut() => None,
    };
    drop(runs);
    let end = match ending {
        Some(ending) => finish(app, record.id, &ending, Some(began)).await,
        None => End::Left,
    };
    drop(slot);
    end
}

/// It is over, or another replica works on it.
async fn elsewhere(app: &App, id: InvocationId) -> End {
    match store::find(app, id).await {
        Ok(Some(record)) if record.status.is_over() => End::Over(Arc::new(record)),
        _ => End::Elsewhere,
    }
}

#[derive(Debug)]
enum CallError {
    Invoker(InvokeError),
    Panicked,
}

async fn call(
    invoker: &dyn Invoker,
    record: &InvocationRecord,
    input: Bytes,
    live: Arc<Live>,
    trace: Option<TraceContext>,
) -> Result<Output, CallError> {
    let timeout = Duration::from_millis(record.timeout_ms);
    let invocation = Invocation {
        id: record.id,
        tenant: record.tenant,
        username: record.username.clone(),
        skill: record.skill.clone(),
        entry: record.entry.clone(),
        input,
        timeout,
        trace,
    };
    let called = AssertUnwindSafe(async { invoker.invoke(invocation, Progress(live)).await });
    match tokio::time::timeout(timeout + GRACE, called.catch_unwind()).await {
        Ok(Ok(outcome)) => outcome.map_err(CallError::Invoker),
        Ok(Err(_)) => Err(CallError::Panicked),
        Err(_) => Err(CallError::Invoker(InvokeError::NoAnswer {
            waited: timeout,
        })),
    }
}

/// `None` if it is not over: the mesh went away because the program stops.
fn ending(app: &App, outcome: Result<Output, CallError>) -> Option<Ending> {
    let now = app.now();
    let bytes_max = app.config().invoke.output_bytes_max;
    let error = match outcome {
        Ok(output) if output.bytes.len() > bytes_max => {
            let bytes = output.bytes.len();
            let message =
                format!("the skill wrote {bytes} bytes, of which at most {bytes_max} are kept");
            return Some(Ending::failed(
                now,
                InvocationFault::OutputTooLarge,
                message,
            ));
        }
        Ok(output) => {
            return Some(Ending::succeeded(
                now,
                output.bytes.to_vec(),
                output.version,
            ));
        }
        Err(CallError::Panicked) => {
            tracing::error!("the invoker panicked");
            let message = "the hub failed while the skill ran";
            return Some(Ending::failed(now, InvocationFault::Interrupted, message));
        }
        Err(CallError::Invoker(error)) => error,
    };
    let fault = match &error {
        InvokeError::Busy => InvocationFault::Busy,
        InvokeError::NotServed(_) => InvocationFault::SkillNotServed,
        InvokeError::InvalidInput(_) => InvocationFault::InvalidInput,
        InvokeError::Failed(_) => InvocationFault::SkillFailed,
        InvokeError::NoAnswer { .. } => InvocationFault::NoAnswer,
        InvokeError::Closed if app.is_draining() => return None,
        InvokeError::Closed => InvocationFault::MeshClosed,
    };
    Some(Ending::failed(now, fault, storable(error.to_string())))
}

/// A message as the database takes it.
fn storable(message: String) -> String {
    const BYTES_MAX: usize = 16 * 1024;
    let mut message = message.replace('\0', "\u{fffd}");
    message.truncate(message.floor_char_boundary(BYTES_MAX));
    message
}

/// Writes the end, again and again while the database is away: the skill has run, and its result must not be lost.
pub(super) async fn finish(
    app: &App,
    id: InvocationId,
    ending: &Ending,
    began: Option<Instant>,
) -> End {
    loop {
        match store::finish(app, id, ending, None).await {
            Ok(Some(Ended { record, by_us })) => {
                if by_us {
                    let took = began.map(|began| began.elapsed());
                    app.metrics().invocation_ended(&record, took);
                }
                return End::Over(Arc::new(record));
            }
            // It was purged, which only happens to what is over.
            Ok(None) => return End::Elsewhere,
            Err(error) => {
                tracing::warn!(%error, invocation = %id, "cannot write the end of an invocation; trying again")
            }
        }
        tokio::select! {
            () = app.gateway().is_cut() => return End::Left,
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
}
