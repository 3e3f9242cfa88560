//! A statement with its parameters, and a row read column by column. The one place that touches the driver's types:
//! only text and 64-bit integers go in and out, so both databases see the same parameter types every time.

use std::fmt::Write as _;

use hub_model::SecretHash;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

use crate::error::{DbError, Result, Source};

/// A statement under construction.
pub(crate) struct Sql {
    text: SqlStr,
    arguments: AnyArguments,
    /// The first parameter that could not be bound.
    fault: Option<DbError>,
}

/// A statement whose text is a literal.
pub(crate) fn sql(text: &'static str) -> Sql {
    Sql {
        text: text.into_sql_str(),
        arguments: AnyArguments::default(),
        fault: None,
    }
}

/// A statement put together from literals, e.g. with as many placeholders as there are ids. Never from input.
pub(crate) fn composed(text: String) -> Sql {
    Sql {
        text: AssertSqlSafe(text).into_sql_str(),
        arguments: AnyArguments::default(),
        fault: None,
    }
}

/// A statement put together from literals and parameters, in one go: each parameter's placeholder is written where it
/// is bound.
pub(crate) struct Composer {
    text: String,
    arguments: AnyArguments,
    fault: Option<DbError>,
}

impl Composer {
    pub fn new(text: String) -> Self {
        Self {
            text,
            arguments: AnyArguments::default(),
            fault: None,
        }
    }

    /// Appends SQL. Never from input.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends a placeholder for `value`.
    pub fn bind(&mut self, value: impl Bind) {
        if let Err(fault) = value.bind(&mut self.arguments) {
            self.fault.get_or_insert(fault);
        }
        let _ = write!(self.text, "${}", self.arguments.len());
    }

    pub fn finish(self) -> Sql {
        Sql {
            text: AssertSqlSafe(self.text).into_sql_str(),
            arguments: self.arguments,
            fault: self.fault,
        }
    }
}

impl Sql {
    /// Binds the next parameter.
    pub fn bind(mut self, value: impl Bind) -> Self {
        if let Err(fault) = value.bind(&mut self.arguments) {
            self.fault.get_or_insert(fault);
        }
        self
    }

    pub fn bind_all<T: Bind>(self, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().fold(self, Sql::bind)
    }

    /// Runs it; the number of rows changed.
    pub async fn execute(self, connection: &mut AnyConnection) -> Result<u64> {
        let (text, arguments) = self.ready()?;
        Ok(sqlx::query_with(text, arguments)
            .execute(connection)
            .await?
            .rows_affected())
    }

    /// All rows.
    pub async fn all<T>(
        self,
        connection: &mut AnyConnection,
        mut read: impl FnMut(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let (text, arguments) = self.ready()?;
        let rows = sqlx::query_with(text, arguments)
            .fetch_all(connection)
            .await?;
        rows.iter().map(|row| read(&mut Columns::of(row))).collect()
    }

    /// The only row, if there is one. Statements that may yield more carry their own `LIMIT`.
    pub async fn optional<T>(
        self,
        connection: &mut AnyConnection,
        mut read: impl FnMut(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let (text, arguments) = self.ready()?;
        // `fetch_all` and not `fetch_optional`: a statement is always read to its end, so that the server's reply
        // is complete when the connection goes back to the pool.
        let rows = sqlx::query_with(text, arguments)
            .fetch_all(connection)
            .await?;
        rows.first()
            .map(|row| read(&mut Columns::of(row)))
            .transpose()
    }

    /// The only row, which must exist.
    pub async fn one<T>(
        self,
        connection: &mut AnyConnection,
        read: impl FnMut(&mut Columns<'_>) -> Result<T>,
    ) -> Result<T> {
        self.optional(connection, read)
            .await?
            .ok_or(DbError::NotFound)
    }

    fn ready(self) -> Result<(SqlStr, AnyArguments)> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok((self.text, self.arguments)),
        }
    }
}

/// A value that can be a parameter.
pub(crate) trait Bind {
    fn bind(self, arguments: &mut AnyArguments) -> Result<()>;
}

fn add<'a, T>(arguments: &mut AnyArguments, value: T) -> Result<()>
where
    T: sqlx::Encode<'a, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    arguments
        .add(value)
        .map_err(|error| DbError::Internal(Source::new(error)))
}

impl Bind for &str {
    fn bind(self, arguments: &mut AnyArguments) -> Result<()> {
        // PostgreSQL refuses it, SQLite would take it: both refuse.
        if self.contains('\0') {
            return Err(DbError::Unstorable("it holds a NUL character"));
        }
        add(arguments, self)
    }
}

impl Bind for i64 {
    fn bind(self, arguments: &mut AnyArguments) -> Result<()> {
        add(arguments, self)
    }
}

/// A value that goes in as another one.
macro_rules! bind_as {
    ($($type:ty, $value:ident => $as:expr;)+) => {$(
        impl Bind for $type {
            fn bind(self, arguments: &mut AnyArguments) -> Result<()> {
                let $value = self;
                Bind::bind($as, arguments)
            }
        }
    )+};
}

bind_as! {
    &String, v => v.as_str();
    &SecretHash, v => v.expose();
    &serde_json::Value, v => v.to_string().as_str();
    bool, v => i64::from(v);
    u8, v => i64::from(v);
    u32, v => i64::from(v);
    Timestamp, v => v.as_millisecond();
    hub_model::TenantId, v => v.to_string().as_str();
    hub_model::UserId, v => v.to_string().as_str();
    hub_model::SkillId, v => v.to_string().as_str();
    hub_model::VersionId, v => v.to_string().as_str();
    hub_model::TokenId, v => v.to_string().as_str();
    hub_model::RefreshTokenId, v => v.to_string().as_str();
    hub_model::FamilyId, v => v.to_string().as_str();
    hub_model::DeviceCodeId, v => v.to_string().as_str();
    hub_model::InvocationId, v => v.to_string().as_str();
}

impl Bind for u64 {
    fn bind(self, arguments: &mut AnyArguments) -> Result<()> {
        let value =
            i64::try_from(self).map_err(|_| DbError::Unstorable("the number is too large"))?;
        Bind::bind(value, arguments)
    }
}

/// What a null parameter is declared as: PostgreSQL wants to know, and to hear the same each time.
pub(crate) trait Nullable: Bind {
    type Null: sqlx::Type<sqlx::Any> + for<'a> sqlx::Encode<'a, sqlx::Any>;
}

macro_rules! nullable {
    ($($type:ty => $null:ty;)+) => {$(
        impl Nullable for $type {
            type Null = $null;
        }
    )+};
}

nullable! {
    &str => String;
    &String => String;
    &SecretHash => String;
    &serde_json::Value => String;
    hub_model::UserId => String;
    hub_model::VersionId => String;
    i64 => i64;
    u64 => i64;
    Timestamp => i64;
}

impl<T: Nullable> Bind for Option<T> {
    fn bind(self, arguments: &mut AnyArguments) -> Result<()> {
        match self {
            Some(value) => value.bind(arguments),
            None => add(arguments, None::<T::Null>),
        }
    }
}

/// A row, read from left to right.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    next: usize,
}

impl<'r> Columns<'r> {
    fn of(row: &'r AnyRow) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub fn take<T: Column>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        T::read(self.row, index)
    }

    /// The next column, which holds JSON.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let text: String = self.take()?;
        serde_json::from_str(&text)
            .map_err(|error| DbError::corrupt(format!("JSON of another shape: {error}")))
    }

    /// The next column, which holds text that `parse` understands.
    pub fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let text: String = self.take()?;
        parse(&text).ok_or_else(|| DbError::corrupt("a word that this program does not know"))
    }
}

/// A value that can be a column.
pub(crate) trait Column: Sized {
    fn read(row: &AnyRow, index: usize) -> Result<Self>;
}

impl Column for String {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        Ok(row.try_get(index)?)
    }
}

impl Column for i64 {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        Ok(row.try_get(index)?)
    }
}

impl Column for u64 {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        u64::try_from(i64::read(row, index)?).map_err(|_| DbError::corrupt("a negative count"))
    }
}

impl Column for u8 {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        u8::try_from(i64::read(row, index)?).map_err(|_| DbError::corrupt("a number out of range"))
    }
}

impl Column for u32 {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        u32::try_from(i64::read(row, index)?).map_err(|_| DbError::corrupt("a number out of range"))
    }
}

impl Column for bool {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        Ok(i64::read(row, index)? != 0)
    }
}

impl Column for Timestamp {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        Timestamp::from_millisecond(i64::read(row, index)?)
            .map_err(|_| DbError::corrupt("a time out of range"))
    }
}

impl Column for SecretHash {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        String::read(row, index).map(SecretHash::new)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(row: &AnyRow, index: usize) -> Result<Self> {
        use sqlx::ValueRef as _;
        if row.try_get_raw(index)?.is_null() {
            Ok(None)
        } else {
            T::read(row, index).map(Some)
        }
    }
}

macro_rules! id_columns {
    ($($id:ident),+) => {$(
        impl Column for hub_model::$id {
            fn read(row: &AnyRow, index: usize) -> Result<Self> {
                String::read(row, index)?.parse().map_err(|_| DbError::corrupt(concat!("no ", stringify!($id))))
            }
        }
    )+};
}

id_columns!(
    TenantId,
    UserId,
    SkillId,
    VersionId,
    TokenId,
    RefreshTokenId,
    FamilyId,
    DeviceCodeId,
    InvocationId
);

/// `$<first>, $<first + 1>, …`: `count` placeholders.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count)
        .map(|n| format!("${n}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Repeats the last item until there are 1, 4, 16, 64, … of them: an `IN` list then has few different lengths, and
/// the statements stay in the driver's cache.
pub(crate) fn padded<T: Copy>(items: &[T]) -> Vec<T> {
    let mut length = 1;
    while length < items.len() {
        length *= 4;
    }
    let mut padded = items.to_vec();
    if let Some(last) = items.last() {
        padded.resize(length, *last);
    }
    padded
}
