//! One connection of whichever engine, and what may be done with it.
//!
//! A connection is `busy` from the moment something is sent until its answer was read to the end, and for the
//! whole of a transaction. One that is given back busy (a client that went away, a panic inside a transaction) is closed at
//! once, so that the server lets go of its locks and nobody reads another's answer. One whose statement timed out, or whose
//! server cannot be used any more ([`Failure::Lost`]), is closed at that moment: nothing more is sent on it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use futures_util::TryStreamExt;
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection as _, Database, FromRow, MySql, Postgres, Sqlite};

use super::error::MAX_TEXT;
use super::failure::Failure;
use super::limits::{self, Interrupt};
use super::statement::{Argument, Statement};
use super::{Engine, StoreError};

/// Idle connections younger than this are handed out unasked; older ones are pinged first.
const PING_AFTER_IDLE: Duration = Duration::from_millis(500);
/// How long a ping may take.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// How many prepared statements a connection to MySQL keeps. The server has 16,382 for all (`max_prepared_stmt_count`):
/// enough for three API nodes with all of their 55 connections (`max_pool_size` and `max_overflow`) open.
pub(super) const STATEMENT_CACHE: usize = 96;

/// How many of them are reads that came alone, so that none is ever thrown out for another: writes and their locks have some
/// forty forms.
const READS_KEPT: usize = 56;

/// Statements that took longer are logged.
const SLOW: Duration = Duration::from_secs(1);
/// How many characters of a statement are logged.
const LOGGED_TEXT: usize = 200;

/// A row that each of the three engines can give.
pub(crate) trait Row:
    for<'r> FromRow<'r, MySqlRow>
    + for<'r> FromRow<'r, PgRow>
    + for<'r> FromRow<'r, SqliteRow>
    + Send
    + Unpin
{
}

impl<T> Row for T where
    T: for<'r> FromRow<'r, MySqlRow>
        + for<'r> FromRow<'r, PgRow>
        + for<'r> FromRow<'r, SqliteRow>
        + Send
        + Unpin
{
}

/// Makes and checks the connections of one pool.
pub(super) struct Manager<DB: Database> {
    /// In the order in which they are tried.
    pub(super) servers: Vec<Server<DB>>,
    /// A query with a row where a server is what the URL asks for.
    pub(super) server_check: Option<&'static str>,
    /// Statements that prepare each new connection to the server itself.
    pub(super) prepare: Vec<String>,
    /// A query with a row where the server is a node of a Galera cluster, for engines that can be one.
    pub(super) galera_check: Option<&'static str>,
    /// Connections older than this are replaced; `[database] connection_recycle_time`.
    pub(super) max_age: Duration,
    pub(super) connect_limit: Duration,
    /// Rises when a connection is lost: those that are older may lead to the same server that stopped or became read-only,
    /// so they are not used again.
    pub(super) generation: Arc<AtomicU64>,
}

/// A pooled connection and whether it is in the middle of something.
pub(super) struct Guarded<DB: Database> {
    connection: Option<DB::Connection>,
    /// Whether the server is a node of a Galera cluster.
    in_galera: bool,
    /// The hashes of the reads that it keeps prepared, on MySQL.
    reads: HashSet<u64>,
    /// Behind a pooler, what gives each transaction its settings.
    transaction_settings: Option<Arc<str>>,
    busy: bool,
    last_used: Instant,
    /// The pool's generation when it was opened, and now.
    generation: u64,
    pool_generation: Arc<AtomicU64>,
    /// Set when nobody waits for its statement any more.
    abandoned: Arc<AtomicBool>,
}

impl Guarded<MySql> {
    /// Whether it keeps a read prepared, from now on where it has room for one more.
    fn keeps(&mut self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let read = hasher.finish();
        let is_kept = self.reads.len() < READS_KEPT || self.reads.contains(&read);
        if is_kept {
            self.reads.insert(read);
        }
        is_kept
    }
}

impl<DB: Database> Guarded<DB> {
    /// Whether nobody has used it for as long as `limit`.
    pub(super) fn is_idle(&self, limit: Duration) -> bool {
        self.last_used.elapsed() > limit
    }

    /// Says goodbye to the server, so that it notes no broken connection.
    pub(super) async fn end(mut self) {
        if let Some(connection) = self.connection.take() {
            let end = sqlx::Connection::close(connection);
            // What the server answers changes nothing: the connection is gone.
            tokio::time::timeout(PING_LIMIT, end).await.ok();
        }
    }

    /// Whether it is older than the last loss of a connection.
    pub(super) fn is_outdated(&self) -> bool {
        self.generation != self.pool_generation.load(Ordering::Relaxed)
    }

    /// Closes it without another word to the server.
    fn close(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.connection = None;
    }

    /// Closes it, and all that were opened before its loss when they are to be used next. Of several that are lost at once
    /// the first one counts, so that no newer ones go.
    fn close_with_older(&mut self) {
        self.close();
        let (old, new) = (self.generation, self.generation + 1);
        let raised =
            self.pool_generation
                .compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        if raised.is_ok() {
            tracing::warn!("a database connection is lost; those opened before are replaced too");
        }
    }
}

impl<DB> managed::Manager for Manager<DB>
where
    DB: Database<Connection: Interrupt>,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    type Type = Guarded<DB>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Guarded<DB>, sqlx::Error> {
        let generation = self.generation.load(Ordering::Relaxed);
        // On the heap: what rarely runs, and is large, is not part of each request's future.
        Box::pin(self.open_first(generation)).await
    }

    async fn recycle(
        &self,
        guarded: &mut Guarded<DB>,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if guarded.busy || guarded.is_outdated() || metrics.age() > self.max_age {
            return Err(RecycleError::message("not to be used again"));
        }
        let Some(connection) = guarded.connection.as_mut() else {
            return Err(RecycleError::message("closed"));
        };
        if guarded.last_used.elapsed() > PING_AFTER_IDLE {
            tokio::time::timeout(PING_LIMIT, connection.ping())
                .await
                .map_err(|_| RecycleError::message("no answer to a ping"))??;
        }
        Ok(())
    }
}

/// Whether a query has a row.
async fn has_row<DB>(connection: &mut DB::Connection, query: &'static str) -> sqlx::Result<bool>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    let query = sqlx::raw_sql(AssertSqlSafe(query));
    let row = sqlx::Executor::fetch_optional(connection, query).await?;
    Ok(row.is_some())
}

/// A connection on loan from its pool; closed on return when it is in the middle of something.
pub(super) struct Lease<DB: Database<Connection: Interrupt>>(pub(super) Object<Manager<DB>>)
where
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>;

impl<DB: Database<Connection: Interrupt>> Drop for Lease<DB>
where
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    fn drop(&mut self) {
        if self.0.busy {
            self.0.close();
        }
        self.0.last_used = Instant::now();
    }
}

/// A connection of one of the engines.
pub(super) enum Connection {
    MySql(Lease<MySql>),
    Postgres(Lease<Postgres>),
    Sqlite(Lease<Sqlite>),
}

/// Runs `$body` with the engine's own connection, within the time limit and with `busy` kept true meanwhile.
macro_rules! on_connection {
    ($self:ident, |$connection:ident: $db:ident| $body:expr) => {
        match &mut $self.lease {
            Connection::MySql(lease) => on_connection!(@run $self, lease, MySql, |$connection: $db| $body),
            Connection::Postgres(lease) => on_connection!(@run $self, lease, Postgres, |$connection: $db| $body),
            Connection::Sqlite(lease) => on_connection!(@run $self, lease, Sqlite, |$connection: $db| $body),
        }
    };
    (@run $self:ident, $lease:ident, $engine:ident, |$connection:ident: $db:ident| $body:expr) => {{
        #[allow(dead_code, reason = "not every body names the engine")]
        type $db = $engine;
        let guarded = &mut *$lease.0;
        guarded.busy = true;
        let $connection = guarded.connection.as_mut().ok_or(StoreError::ConnectionGone)?;
        let Ok(answer) = tokio::time::timeout($self.limit, $body).await else {
            guarded.close();
            return Err(StoreError::QueryTimeout($self.limit));
        };
        if answer.as_ref().is_err_and(|error| Failure::of(error) == Failure::Lost) {
            guarded.close_with_older();
        }
        guarded.busy = $self.in_transaction || $self.dedicated || answer.as_ref().is_err_and(leaves_the_connection_unclear);
        answer.map_err(StoreError::from)
    }};
}

mod pooler;
mod server;
// Behind the macro that it uses.
mod transaction;

pub(super) use pooler::Pooler;
pub(super) use server::Server;

/// Binds the arguments to a query of any engine.
macro_rules! bind_arguments {
    ($engine:expr, $query:expr, $arguments:expr) => {{
        let mut query = $query;
        for argument in $arguments {
            query = match argument {
                Argument::Text(value) => query.bind(value),
                Argument::Integer(value) => query.bind(value),
                Argument::Boolean(value) => query.bind(value),
                Argument::Time(value) => match $engine {
                    // DATETIME has whole seconds and would round; SQLAlchemy writes SQLite's times as text.
                    Engine::MySql => query.bind(value.truncate_to_second()),
                    Engine::Postgres => query.bind(value.truncate_to_microsecond()),
                    Engine::Sqlite => query.bind(super::sqlite_time(value)),
                },
            };
        }
        query
    }};
}

fn leaves_the_connection_unclear(error: &sqlx::Error) -> bool {
    !matches!(
        error,
        sqlx::Error::Database(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_)
    )
}

/// Logs a statement that took long, also when it failed or nobody waited for its end. Its text is cut: it may name
/// thousands of values.
struct Timer {
    text: Arc<str>,
    start: Instant,
}

impl Timer {
    fn start(text: &Arc<str>) -> Timer {
        Timer {
            text: Arc::clone(text),
            start: Instant::now(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let elapsed = self.start.elapsed();
        if elapsed < SLOW {
            return;
        }
        let statement: String = self.text.chars().take(LOGGED_TEXT).collect();
        tracing::warn!(
            statement,
            elapsed_s = elapsed.as_secs_f64(),
            "slow statement"
        );
    }
}

/// A connection with the limits and the state of the work on it.
pub(crate) struct DbSession {
    lease: Connection,
    limit: Duration,
    /// Behind a pooler, what gives each transaction its settings.
    transaction_settings: Option<Arc<str>>,
    in_transaction: bool,
    /// Whether the transaction only reads.
    read_only: bool,
    /// The connection is not to be used by others afterwards.
    dedicated: bool,
}

impl DbSession {
    pub(super) fn new(lease: Connection, limit: Duration) -> DbSession {
        let transaction_settings = match &lease {
            Connection::Postgres(lease) => lease.0.transaction_settings.clone(),
            Connection::MySql(_) | Connection::Sqlite(_) => None,
        };
        DbSession {
            lease,
            limit,
            transaction_settings,
            in_transaction: false,
            read_only: false,
            dedicated: false,
        }
    }

    /// A session whose settings and locks end with it: the connection is closed, not given back. The database sets its
    /// statements no limit.
    pub(super) async fn dedicated(
        lease: Connection,
        limit: Duration,
    ) -> Result<DbSession, StoreError> {
        let mut session = DbSession {
            dedicated: true,
            ..DbSession::new(lease, limit)
        };
        let lift = limits::lift(session.engine(), session.is_pooled());
        match (lift, &session.transaction_settings) {
            (Some(lift), Some(settings)) => {
                session.transaction_settings = Some(format!("{settings}; {lift}").into());
            }
            (Some(lift), None) => session.execute_raw(lift).await?,
            (None, _) => {}
        }
        Ok(session)
    }

    /// Whether it is in the middle of something, so that the connection is closed when it ends now.
    pub(super) fn is_busy(&self) -> bool {
        match &self.lease {
            Connection::MySql(lease) => lease.0.busy,
            Connection::Postgres(lease) => lease.0.busy,
            Connection::Sqlite(lease) => lease.0.busy,
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        match &self.lease {
            Connection::MySql(_) => Engine::MySql,
            Connection::Postgres(_) => Engine::Postgres,
            Connection::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Runs text that is no prepared statement: transaction control, DDL, scripts of several statements.
    pub(crate) async fn execute_raw(&mut self, text: &str) -> Result<(), StoreError> {
        let text: Arc<str> = text.into();
        let _timer = Timer::start(&text);
        on_connection!(self, |connection: DB| async {
            sqlx::Executor::execute(&mut *connection, sqlx::raw_sql(AssertSqlSafe(text)))
                .await
                .map(|_: <DB as Database>::QueryResult| ())
        })
    }

    /// The engine's text for a statement, which Galera needs to have prepared, and whether the connection keeps it prepared.
    async fn prepared_text(
        &mut self,
        statement: &Statement,
    ) -> Result<(Arc<str>, bool), StoreError> {
        let text = statement.text_for(self.engine());
        self.prepare_in_galera(&text).await?;
        let is_kept = statement.is_kept || self.is_writing();
        Ok((text.into(), is_kept && !self.is_pooled()))
    }

    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let largest = statement.largest_text();
        if largest > MAX_TEXT {
            return Err(StoreError::TooLarge(largest));
        }
        let alone = self.begin_alone().await?;
        let executed = self.execute_here(statement).await;
        self.end_alone(alone, executed).await
    }

    async fn execute_here(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let engine = self.engine();
        let (text, is_kept) = self.prepared_text(&statement).await?;
        let _timer = Timer::start(&text);
        on_connection!(self, |connection: DB| async {
            let query = sqlx::query::<DB>(AssertSqlSafe(text)).persistent(is_kept);
            bind_arguments!(engine, query, statement.arguments)
                .execute(&mut *connection)
                .await
                .map(|result| result.rows_affected())
        })
    }

    /// All rows of a query.
    pub(crate) async fn fetch_all<R: Row>(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<R>, StoreError> {
        let mut rows = Vec::new();
        self.fetch_each(statement, |row: R| rows.push(row)).await?;
        Ok(rows)
    }

    /// The number that a `SELECT COUNT(*)` gives.
    #[expect(
        clippy::expect_used,
        reason = "an aggregate has one row, also of no rows"
    )]
    pub(crate) async fn count(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let rows: Vec<(i64,)> = self.fetch_all(statement).await?;
        let (count,) = rows.first().expect("the row of a count");
        Ok(count.unsigned_abs())
    }

    /// Hands over each row of a query as it comes, for those that are not kept as they are.
    pub(crate) async fn fetch_each<R: Row>(
        &mut self,
        statement: Statement,
        mut take: impl FnMut(R) + Send,
    ) -> Result<(), StoreError> {
        let mut failure = None;
        let mut decode = |row: AnyRow| match row.decode() {
            Ok(row) => take(row),
            // The rows behind it are read all the same: the connection is used again.
            Err(error) => drop(failure.get_or_insert(error)),
        };
        let alone = self.begin_alone().await?;
        let fetched = self.fetch_here(statement, &mut decode).await;
        self.end_alone(alone, fetched).await?;
        failure.map_or(Ok(()), |error| Err(StoreError::Database(error)))
    }

    /// The rows of a query, as the driver gives them: compiled once, where the decoding is compiled for each type.
    async fn fetch_here(
        &mut self,
        statement: Statement,
        take: &mut (dyn FnMut(AnyRow) + Send),
    ) -> Result<(), StoreError> {
        if !self.is_prepared(&statement) {
            return self.fetch_text(statement, take).await;
        }
        let engine = self.engine();
        let (text, is_kept) = self.prepared_text(&statement).await?;
        let _timer = Timer::start(&text);
        on_connection!(self, |connection: DB| async {
            let query = sqlx::query::<DB>(AssertSqlSafe(text)).persistent(is_kept);
            let mut rows =
                bind_arguments!(engine, query, statement.arguments).fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                take(AnyRow::from(row));
            }
            Ok::<_, sqlx::Error>(())
        })
    }

    /// Whether a query is prepared. On MySQL those that are not kept are not, nor are reads for which there is no more room:
    /// sqlx would close a statement, to which the server does not answer, and TCP holds back what follows on the connection
    /// until the server acknowledges that after 40 ms (docs/adr/0014-what-mysql-does-not-keep-prepared-is-sent-as-text.md).
    fn is_prepared(&mut self, statement: &Statement) -> bool {
        let is_writing = self.is_writing();
        match &mut self.lease {
            Connection::MySql(lease) if !is_writing => {
                statement.is_kept && lease.0.keeps(&statement.sql)
            }
            _ => true,
        }
    }

    /// The rows of a query that is not prepared.
    async fn fetch_text(
        &mut self,
        statement: Statement,
        take: &mut (dyn FnMut(AnyRow) + Send),
    ) -> Result<(), StoreError> {
        let text = statement.with_values();
        let _timer = Timer::start(&statement.sql.into());
        on_connection!(self, |connection: DB| async {
            let query = sqlx::raw_sql(AssertSqlSafe(text));
            let mut rows = sqlx::Executor::fetch(&mut *connection, query);
            while let Some(row) = rows.try_next().await? {
                take(AnyRow::from(row));
            }
            Ok::<_, sqlx::Error>(())
        })
    }
}

/// A row of any engine.
enum AnyRow {
    MySql(MySqlRow),
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

impl AnyRow {
    fn decode<R: Row>(&self) -> Result<R, sqlx::Error> {
        match self {
            AnyRow::MySql(row) => R::from_row(row),
            AnyRow::Postgres(row) => R::from_row(row),
            AnyRow::Sqlite(row) => R::from_row(row),
        }
    }
}

impl From<MySqlRow> for AnyRow {
    fn from(row: MySqlRow) -> AnyRow {
        AnyRow::MySql(row)
    }
}

impl From<PgRow> for AnyRow {
    fn from(row: PgRow) -> AnyRow {
        AnyRow::Postgres(row)
    }
}

impl From<SqliteRow> for AnyRow {
    fn from(row: SqliteRow) -> AnyRow {
        AnyRow::Sqlite(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_read_is_thrown_out_for_another() {
        let mut guarded: Guarded<MySql> = Guarded {
            connection: None,
            in_galera: false,
            reads: HashSet::new(),
            transaction_settings: None,
            busy: false,
            last_used: Instant::now(),
            generation: 0,
            pool_generation: Arc::default(),
            abandoned: Arc::default(),
        };
        let read = |number| format!("SELECT {number}");
        assert!((0..READS_KEPT).all(|number| guarded.keeps(&read(number))));
        assert!(!guarded.keeps(&read(READS_KEPT)));
        assert!((0..READS_KEPT).all(|number| guarded.keeps(&read(number))));
        assert!(!guarded.keeps(&read(READS_KEPT)));
    }
}
