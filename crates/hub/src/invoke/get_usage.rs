//! `GET /api/v1/usage`: what accounts ran, day by day.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DAYS_PER_READ_MAX, DbError, USERS_PER_PAGE_MAX};
use hub_model::{Scope, Usage, UserId, day_of};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::auth::Principal;
use crate::catalogue::list_skills::invalid_parameter;
use crate::extract::{Json, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

const DAYS_DEFAULT: i64 = 30;
const USERS_DEFAULT: u32 = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsageParams {
    /// The first day, in UTC; 29 days before `to` if left out.
    #[param(format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day, in UTC; today if left out. At most 366 days.
    #[param(format = Date, example = "2026-11-30")]
    to: Option<String>,
    /// For administrators: this account's.
    user: Option<String>,
    /// For administrators: the sums of every account, by username.
    #[serde(default)]
    all: bool,
    /// With `all`: the last username of the page before.
    after: Option<String>,
    /// With `all`: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// Usage over some days.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBody {
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    #[schema(example = "default")]
    tenant: String,
    /// Of the account, or with `all` of the whole tenant.
    total: UsageSums,
    /// Of one account; days without any are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<Vec<UsageDay>>,
    /// With `all`; accounts without any are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<UsageOfUser>>,
    /// With `all`: for `after`; null on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageDay {
    #[schema(format = Date, example = "2026-11-21")]
    day: String,
    #[serde(flatten)]
    sums: UsageSums,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageOfUser {
    username: String,
    #[serde(flatten)]
    sums: UsageSums,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSums {
    /// However they ended.
    invocations: u64,
    succeeded: u64,
    failed: u64,
    /// Nobody can say whether the skill ran to its end.
    unknown: u64,
    /// Nothing ran; these count neither time nor bytes.
    refused: u64,
    /// From start to end, all together.
    duration_ms: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl From<Usage> for UsageSums {
    fn from(usage: Usage) -> Self {
        Self {
            invocations: usage.invocations(),
            succeeded: usage.succeeded,
            failed: usage.failed,
            unknown: usage.unknown,
            refused: usage.refused,
            duration_ms: usage.duration_ms,
            bytes_in: usage.bytes_in,
            bytes_out: usage.bytes_out,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GetUsageError {
    #[error(transparent)]
    Denied(Problem),
    #[error("{0} is a day such as 2026-11-21")]
    Day(&'static str),
    #[error("from is not after to, and there are at most {DAYS_PER_READ_MAX} days between them")]
    Span,
    #[error("limit is 1 to {USERS_PER_PAGE_MAX}")]
    Limit,
    #[error("ask for one account with `user`, or for all with `all`")]
    UserAndAll,
    #[error("there is no account of this name")]
    NoUser,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<GetUsageError> for Problem {
    fn from(error: GetUsageError) -> Self {
        let field = match error {
            GetUsageError::Denied(problem) => return problem,
            GetUsageError::NoUser => {
                let detail = "There is no account of this name.";
                return Self::new(StatusCode::NOT_FOUND, "user-not-found", detail);
            }
            GetUsageError::Database(error) => return error.into(),
            GetUsageError::Day(field) => field,
            GetUsageError::Span => "from",
            GetUsageError::Limit => "limit",
            GetUsageError::UserAndAll => "user",
        };
        invalid_parameter(field, &error.to_string())
    }
}

answers_with_problem!(GetUsageError);

/// What was run: the caller's own, or for administrators anybody's.
#[utoipa::path(
    get,
    path = "/api/v1/usage",
    tag = "invocations",
    params(UsageParams),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The usage", body = UsageBody),
        (status = 403, description = "`role-insufficient`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`user-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn get_usage(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<UsageParams>,
) -> Result<Json<UsageBody>, GetUsageError> {
    let is_own = params.user.is_none() && !params.all;
    let needed = if is_own { Scope::Invoke } else { Scope::Admin };
    principal.require(needed).map_err(GetUsageError::Denied)?;
    let days = Days::of(&params, app.now())?;
    match (params.user, params.all) {
        (Some(_), true) => Err(GetUsageError::UserAndAll),
        (None, true) => of_all(&app, &principal, &days, params.after, params.limit).await,
        (None, false) => of_user(&app, principal.user_id(), &days).await,
        (Some(name), false) => {
            let tenant = principal.tenant();
            let user = app.db().users().by_username(tenant, &name).await?;
            let user = user.ok_or(GetUsageError::NoUser)?;
            of_user(&app, user.id, &days).await
        }
    }
}

async fn of_user(app: &App, user: UserId, days: &Days) -> Result<Json<UsageBody>, GetUsageError> {
    let found = app.db().usage().days(user, days.first, days.last).await?;
    let mut total = Usage::default();
    found.iter().for_each(|one| total += one.usage);
    let of_days = found.into_iter().map(|one| UsageDay {
        day: date_of(one.day).to_string(),
        sums: one.usage.into(),
    });
    Ok(Json(UsageBody {
        days: Some(of_days.collect()),
        ..days.body(tenant_name(app).await?, total)
    }))
}

async fn of_all(
    app: &App,
    principal: &Principal,
    days: &Days,
    after: Option<String>,
    limit: Option<u32>,
) -> Result<Json<UsageBody>, GetUsageError> {
    let limit = limit.unwrap_or(USERS_DEFAULT);
    if !(1..=USERS_PER_PAGE_MAX).contains(&limit) {
        return Err(GetUsageError::Limit);
    }
    let tenant = principal.tenant();
    let total = app
        .db()
        .usage()
        .total(tenant, days.first, days.last)
        .await?;
    let span = (days.first, days.last);
    let found = app
        .db()
        .usage()
        .users(tenant, span, after.as_deref(), limit)
        .await?;
    let is_full = found.len() == limit as usize;
    let last = found.last().filter(|_| is_full);
    Ok(Json(UsageBody {
        next_after: last.map(|last| last.username.clone()),
        users: Some(
            found
                .into_iter()
                .map(|one| UsageOfUser {
                    username: one.username,
                    sums: one.usage.into(),
                })
                .collect(),
        ),
        ..days.body(tenant_name(app).await?, total)
    }))
}

async fn tenant_name(app: &App) -> Result<String, DbError> {
    let tenant = app.db().tenants().by_id(app.tenant()).await?;
    Ok(tenant.map_or_else(|| app.tenant().to_string(), |tenant| tenant.name))
}

/// Whole UTC days, as numbers since 1970-01-01.
struct Days {
    first: i64,
    last: i64,
}

impl Days {
    fn of(params: &UsageParams, now: Timestamp) -> Result<Self, GetUsageError> {
        let last = match &params.to {
            Some(day) => number_of(day).ok_or(GetUsageError::Day("to"))?,
            None => day_of(now),
        };
        let first = match &params.from {
            Some(day) => number_of(day).ok_or(GetUsageError::Day("from"))?,
            None => last - DAYS_DEFAULT + 1,
        };
        if first > last || last - first >= i64::from(DAYS_PER_READ_MAX) {
            return Err(GetUsageError::Span);
        }
        Ok(Self { first, last })
    }

    fn body(&self, tenant: String, total: Usage) -> UsageBody {
        UsageBody {
            from: date_of(self.first).to_string(),
            to: date_of(self.last).to_string(),
            tenant,
            total: total.into(),
            days: None,
            users: None,
            next_after: None,
        }
    }
}

fn number_of(day: &str) -> Option<i64> {
    let date: Date = day.parse().ok().filter(|_| day.len() == 10)?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?;
    Some(day_of(midnight.timestamp()))
}

fn date_of(day: i64) -> Date {
    let epoch = Date::constant(1970, 1, 1);
    epoch.saturating_add(day.days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_numbers_and_back() {
        for (day, number) in [
            ("1970-01-01", 0),
            ("2026-11-21", 20_778),
            ("1969-12-31", -1),
        ] {
            assert_eq!(number_of(day), Some(number), "{day}");
            assert_eq!(date_of(number).to_string(), day);
        }
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-11-21T00:00:00Z",
            "20261121",
        ] {
            assert_eq!(number_of(text), None, "{text}");
        }
    }
}
