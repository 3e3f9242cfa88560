//! Keeps the leases of this process's invocations, and takes over those that nobody works on any more: of a process
//! that ended, here before the restart or elsewhere.

use std::sync::Arc;

use hub_db::DbError;
use hub_model::{Ending, InvocationFault, InvocationId, InvocationRecord};
use tokio::time::MissedTickBehavior;

use super::gateway::Place;
use super::live::{End, Live};
use super::{run, store};
use crate::App;

/// Looked at in one round.
const ROUND_MAX: u32 = 100;

/// Extends leases, until the hub stops.
pub(crate) async fn keep_leases(app: App) {
    let stop = app.stopping();
    let mut tick = interval(&app);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let until = app.now() + app.config().invoke.lease();
        if let Err(error) = app.db().extend_leases(&app.gateway().ids(), until).await {
            tracing::warn!(%error, "cannot extend the leases of invocations");
        }
    }
}

/// Takes over what nobody works on, until the hub drains. A hub without a mesh leaves it to others.
pub(crate) async fn resume(app: App) {
    if app.gateway().invoker().is_none() {
        return;
    }
    let mut tick = interval(&app);
    loop {
        tokio::select! {
            () = app.gateway().drains() => return,
            _ = tick.tick() => {}
        }
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "cannot look for abandoned invocations");
        }
    }
}

async fn round(app: &App) -> Result<(), DbError> {
    let abandoned = app
        .db()
        .invocations()
        .abandoned(app.now(), ROUND_MAX)
        .await?;
    for id in abandoned {
        // What this process works on is not abandoned, however late its lease is.
        let Some(live) = app.gateway().register(id) else {
            continue;
        };
        let Some(place) = app.gateway().place() else {
            app.gateway().forget(id);
            return Ok(());
        };
        match store::take_over(app, id).await {
            Ok(Some(record)) => begin(app, record, live, place),
            Ok(None) => app.gateway().forget(id),
            Err(error) => {
                app.gateway().forget(id);
                return Err(error);
            }
        }
    }
    Ok(())
}

fn begin(app: &App, record: InvocationRecord, live: Arc<Live>, place: Place) {
    tracing::info!(invocation = %record.id, attempts = record.attempts, "taking over an invocation");
    let task_app = app.clone();
    app.gateway().spawn(async move {
        let app = task_app;
        if record.attempts >= app.config().invoke.attempts_max {
            let end = give_up(&app, record.id, record.attempts).await;
            app.gateway().release(record.id, end);
            return;
        }
        let Some(invoker) = app.gateway().invoker().cloned() else {
            return app.gateway().release(record.id, End::Left);
        };
        run::run(&app, &*invoker, &record, live, place, None, None).await;
    });
}

async fn give_up(app: &App, id: InvocationId, attempts: u32) -> End {
    let message = format!("the hub ended {attempts} times while it ran, and it is not tried again");
    let ending = Ending::failed(app.now(), InvocationFault::Interrupted, message);
    run::finish(app, id, &ending, None).await
}

fn interval(app: &App) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(app.config().invoke.lease_interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
