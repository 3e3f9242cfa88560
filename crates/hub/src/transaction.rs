//! Runs a rule in one unit of work, and again when the database asks for it.

use futures::future::BoxFuture;
use hub_db::{DbError, MaybeRetryable, UnitOfWork};

use crate::App;

/// How often a transaction that lost against another one begins again.
const ATTEMPTS_MAX: u32 = 5;

/// Begins, runs `work`, commits. `work` may run more than once, so it must do
/// nothing outside its unit of work. It reaches what it needs through `input`: a
/// closure over references would have to outlive every unit of work.
pub(crate) async fn in_transaction<I, T, E>(
    app: &App,
    input: &I,
    work: impl for<'u> Fn(&'u mut UnitOfWork, &'u I) -> BoxFuture<'u, Result<T, E>>,
) -> Result<T, E>
where
    E: From<DbError> + MaybeRetryable,
{
    let mut attempt = 1;
    loop {
        let mut unit = app.db().begin().await?;
        let outcome = match work(&mut unit, input).await {
            Ok(value) => unit.commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                // Dropping rolls back too, but later, on a connection that others wait for.
                let _ = unit.rollback().await;
                Err(error)
            }
        };
        match outcome {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// An error enum whose variant `Database` carries the wish to try again.
macro_rules! retries_with_database {
    ($error:ty) => {
        impl hub_db::MaybeRetryable for $error {
            fn is_retryable(&self) -> bool {
                matches!(self, Self::Database(error) if error.is_retryable())
            }
        }
    };
}

pub(crate) use retries_with_database;
