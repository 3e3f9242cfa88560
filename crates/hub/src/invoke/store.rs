//! What an invocation's life is in the database: each step one transaction, with its event.

use futures::future::BoxFuture;
use hub_db::{Db, DbError, NewInvocation, UnitOfWork};
use hub_model::{
    Ending, Event, InvocationFault, InvocationId, InvocationRecord, InvocationRef, InvocationStatus,
};
use jiff::Timestamp;

use crate::App;
use crate::transaction::in_transaction;

fn changed(
    unit: &mut UnitOfWork,
    now: Timestamp,
    record: &InvocationRecord,
    status: InvocationStatus,
    code: Option<InvocationFault>,
) {
    let invocation = InvocationRef {
        id: record.id,
        skill_id: record.skill_id,
        skill: record.skill.clone(),
    };
    let agent_id = record.username.clone();
    unit.record(
        record.tenant,
        now,
        Event::InvocationChanged {
            invocation,
            status,
            code,
            agent_id,
        },
    );
}

/// Accepts an invocation; `false` if its account has used the key already.
pub(super) async fn accept(app: &App, new: NewInvocation<'_>) -> Result<bool, DbError> {
    in_transaction(app, &new, |unit, new| {
        Box::pin(async move {
            let accepted = unit.invocations().insert(*new).await?;
            if accepted {
                changed(
                    unit,
                    new.record.created_at,
                    new.record,
                    new.record.status,
                    None,
                );
            }
            Ok(accepted)
        }) as BoxFuture<'_, _>
    })
    .await
}

/// A queued invocation begins to run: its input, or `None` if it is no longer queued.
pub(super) async fn start(
    app: &App,
    record: &InvocationRecord,
) -> Result<Option<Vec<u8>>, DbError> {
    let now = app.now();
    let lease_until = now + app.config().invoke.lease();
    in_transaction(
        app,
        &(record, now, lease_until),
        |unit, (record, now, lease_until)| {
            Box::pin(async move {
                let input = unit
                    .invocations()
                    .start(record.id, *now, *lease_until)
                    .await?;
                if input.is_some() {
                    changed(unit, *now, record, InvocationStatus::Running, None);
                }
                Ok(input)
            }) as BoxFuture<'_, _>
        },
    )
    .await
}

/// What came of an attempt to end an invocation.
pub(super) struct Ended {
    pub record: InvocationRecord,
    /// Whether it was this attempt that ended it; another replica may have been first.
    pub by_us: bool,
}

/// Ends an invocation, unless it is over already. `only` is the status that it must have, if that matters. `None` if it
/// does not exist.
pub(super) async fn finish(
    app: &App,
    id: InvocationId,
    ending: &Ending,
    only: Option<InvocationStatus>,
) -> Result<Option<Ended>, DbError> {
    let input = (app.tenant(), id, ending, only);
    in_transaction(app, &input, |unit, (tenant, id, ending, only)| {
        Box::pin(async move {
            let Some(found) = unit.invocations().lock(*tenant, *id).await? else {
                return Ok(None);
            };
            if found.status.is_over() || only.is_some_and(|only| found.status != only) {
                let (record, by_us) = (found, false);
                return Ok(Some(Ended { record, by_us }));
            }
            let record = unit.invocations().finish(found, ending).await?;
            changed(unit, ending.at(), &record, record.status, ending.fault());
            let by_us = true;
            Ok(Some(Ended { record, by_us }))
        }) as BoxFuture<'_, _>
    })
    .await
}

/// Takes an abandoned invocation over; `None` if somebody works on it after all.
pub(super) async fn take_over(
    app: &App,
    id: InvocationId,
) -> Result<Option<InvocationRecord>, DbError> {
    let now = app.now();
    let input = (app.tenant(), id, now, now + app.config().invoke.lease());
    in_transaction(app, &input, |unit, (tenant, id, now, lease_until)| {
        Box::pin(async move {
            if !unit
                .invocations()
                .take_over(*id, *now, *lease_until)
                .await?
            {
                return Ok(None);
            }
            let record = unit.invocations().by_id(*tenant, *id).await?;
            if let Some(record) = &record {
                changed(unit, *now, record, record.status, None);
            }
            Ok(record)
        }) as BoxFuture<'_, _>
    })
    .await
}

/// As it is now.
pub(super) async fn find(app: &App, id: InvocationId) -> Result<Option<InvocationRecord>, DbError> {
    let db: &Db = app.db();
    db.invocations().by_id(app.tenant(), id).await
}
