//! The database: MySQL/MariaDB, PostgreSQL or SQLite behind one [`Store`].
//!
//! All SQL lives here, one file per resource as methods of [`Tx`]. What is decided about what was read lives in
//! `domain`; what a failure means to a client lives in `error`. Nothing in here knows HTTP.

mod actions;
mod backups;
mod clients;
pub(crate) mod connection;
mod error;
mod failure;
mod jobs;
mod limits;
mod list;
mod pool;
pub(crate) mod rows;
mod sessions;
pub(crate) mod statement;
pub(crate) mod tables;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed;
use sqlx::{MySql, Postgres, Sqlite};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::sync::Semaphore;

use crate::clock::{Clock, Ids};
use connection::{Connection, DbSession, Lease, Manager};

pub use crate::oslo::database_url::Engine;
pub use error::{MAX_TEXT, StoreError, Transient};
pub use rows::Page;

/// How often a transaction is tried before its deadlock is reported.
const MAX_ATTEMPTS: u32 = 12;

/// The database, for as long as the program runs.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) statement_limit: Duration,
    pool_limit: Duration,
    /// SQLite has one writer at a time; waiting here is fair, waiting in its busy handler is not.
    writer: Arc<Semaphore>,
}

#[derive(Clone)]
enum Pool {
    MySql(managed::Pool<Manager<MySql>>),
    Postgres(managed::Pool<Manager<Postgres>>),
    Sqlite(managed::Pool<Manager<Sqlite>>),
}

/// How many statements of one transaction may have to be prepared on its connection; each starts the transaction again
/// ([`StoreError::PreparedInTransaction`]).
const MAX_NEW_STATEMENTS: u32 = 64;

/// A unit of work on the database: every query goes through one.
pub struct Tx {
    pub(crate) session: DbSession,
    clock: Clock,
    ids: Ids,
}

impl Tx {
    fn engine(&self) -> Engine {
        self.session.engine()
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Runs `work` in a transaction and commits it; on an error everything is rolled back.
    async fn run<T, E>(
        &mut self,
        action: &'static str,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + Transient,
    {
        let context = |error: StoreError| E::from(error.context(action));
        self.session.begin().await.map_err(context)?;
        match work(self).await {
            Ok(value) => match self.session.commit().await {
                Ok(()) => Ok(value),
                Err(error) if error.is_busy() => {
                    self.rollback(action).await;
                    Err(context(error))
                }
                // Nobody knows whether the work is done, so it is not to be tried again. The connection is closed.
                Err(error) if error.is_unavailable() => {
                    Err(context(StoreError::UnknownOutcome(Box::new(error))))
                }
                Err(error) => Err(context(error)),
            },
            Err(error) => {
                self.rollback(action).await;
                Err(error)
            }
        }
    }

    /// When even this fails, the connection is closed, which rolls back too.
    async fn rollback(&mut self, action: &'static str) {
        if let Err(error) = self.session.rollback().await {
            tracing::debug!(action, %error, "rollback failed");
        }
    }
}

impl Store {
    /// Reads without a transaction: each statement sees what is committed.
    pub async fn read<T, E>(
        &self,
        action: &'static str,
        work: impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + Transient,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = async {
                let mut tx = self
                    .open()
                    .await
                    .map_err(|error| E::from(error.context(action)))?;
                work(&mut tx).await
            }
            .await;
            match result {
                Err(error) if error.is_transient() && attempt < 3 => self.back_off(attempt).await,
                other => return other,
            }
        }
    }

    /// Runs `work` in one transaction and commits it; on an error everything is rolled back.
    ///
    /// Deadlocks, lock timeouts and lost connections are tried again from the start, for half of the time that one statement
    /// may take, so `work` must do nothing but read and write through its [`Tx`].
    pub async fn write<T, E>(
        &self,
        action: &'static str,
        work: impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + Transient,
    {
        let start = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = self.attempt(action, &work).await;
            let again = attempt < MAX_ATTEMPTS && start.elapsed() < self.statement_limit / 2;
            match result {
                Err(error) if again && error.is_transient() => {
                    tracing::debug!(action, attempt, "transaction is tried again");
                    self.back_off(attempt).await;
                }
                other => return other,
            }
        }
    }

    async fn attempt<T, E>(
        &self,
        action: &'static str,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + Transient,
    {
        let context = |error: StoreError| E::from(error.context(action));
        let _turn = match &self.pool {
            Pool::Sqlite(_) => self.writer.acquire().await.ok(),
            Pool::MySql(_) | Pool::Postgres(_) => None,
        };
        let mut tx = self.open().await.map_err(context)?;
        for _ in 0..MAX_NEW_STATEMENTS {
            match tx.run(action, work).await {
                Err(error) if error.is_newly_prepared() => {}
                other => return other,
            }
        }
        tx.run(action, work).await
    }

    /// Full jitter: a random share of a limit that doubles, so that rivals do not meet again.
    async fn back_off(&self, attempt: u32) {
        let limit_ms = 5u64.saturating_mul(1 << attempt.min(7));
        let share = Ids::Random.random_fraction();
        tokio::time::sleep(Duration::from_millis(limit_ms).mul_f64(share)).await;
    }

    pub(crate) async fn open(&self) -> Result<Tx, StoreError> {
        Ok(Tx {
            session: DbSession::new(self.lease().await?, self.statement_limit),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
        })
    }

    /// A connection for one piece of work with settings and locks of its own; closed afterwards.
    pub(crate) async fn dedicated_connection(
        &self,
        statement_limit: Duration,
    ) -> Result<DbSession, StoreError> {
        DbSession::dedicated(self.lease().await?, statement_limit).await
    }

    async fn lease(&self) -> Result<Connection, StoreError> {
        Ok(match &self.pool {
            Pool::MySql(pool) => Connection::MySql(Lease(self.taken(pool.get().await)?)),
            Pool::Postgres(pool) => Connection::Postgres(Lease(self.taken(pool.get().await)?)),
            Pool::Sqlite(pool) => Connection::Sqlite(Lease(self.taken(pool.get().await)?)),
        })
    }

    fn taken<T>(&self, taken: Result<T, managed::PoolError<sqlx::Error>>) -> Result<T, StoreError> {
        taken.map_err(|error| match error {
            managed::PoolError::Timeout(_) => StoreError::PoolTimeout(self.pool_limit),
            managed::PoolError::Backend(error) => StoreError::Connect(error),
            other => StoreError::Unreachable(other.to_string()),
        })
    }
}

/// A time as SQLAlchemy writes it into SQLite.
fn sqlite_time(time: PrimitiveDateTime) -> String {
    time.format(format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]"
    ))
    .unwrap_or_default()
}
