//! The database: MySQL/MariaDB, PostgreSQL or SQLite behind one [`Store`].
//!
//! All SQL lives here, one file per resource as methods of [`Tx`]. What is decided about what was read lives in
//! `domain`; what a failure means to a client lives in `error`. Nothing in here knows HTTP.

mod actions;
mod backups;
mod changes;
mod client_activity;
mod clients;
mod cluster;
pub(crate) mod connection;
mod error;
mod failure;
mod figures;
mod hosts;
mod job_histories;
mod jobs;
mod leases;
mod limits;
mod list;
mod members;
mod memory;
mod narrowing;
mod pages;
mod pool;
mod problems;
pub(crate) mod rows;
mod run_days;
mod runs;
mod series;
mod series_backups;
mod series_members;
mod sessions;
mod settings;
mod shares;
mod sink;
pub(crate) mod statement;
mod summaries;
pub(crate) mod tables;
mod tries;
mod upsert;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::managed;
use sqlx::{MySql, Postgres, Sqlite};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::{Clock, Ids};
use connection::{Connection, DbSession, Lease, Manager};
use shares::{Purpose, Share, Shares};
use tries::Tries;

pub use crate::oslo::database_url::Engine;
pub use client_activity::{BATCH, ClientOfJob, Registered};
pub use cluster::ClusterNode;
pub use error::{MAX_TEXT, StoreError, Transient};
pub use hosts::HOST_BATCH;
pub use leases::Lease as HeldLease;
pub(crate) use list::Listed;
pub use list::Listing;
pub(crate) use memory::with_room;
pub use memory::{Memory, Reservation, Room};
pub use pages::{Cursor, Order, Page};
pub(crate) use rows::Record;
pub use series::{BATCH as SERIES_BATCH, Frontier, LEASE as SERIES_LEASE};
pub use shares::Caller;
pub use sink::{Lines, NextPage, Piece, Shape, SharedSink, Sink};

/// The database, for as long as the program runs.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) statement_limit: Duration,
    pool_limit: Duration,
    /// For how long a change is tried again that rivals keep from being made.
    contended_limit: Duration,
    /// SQLite has one writer at a time; waiting here is fair, waiting in its busy handler is not.
    writer: Arc<Semaphore>,
    shares: Arc<Shares>,
    /// The account of large documents; commands of operators have none.
    memory: Option<Memory>,
}

#[derive(Clone)]
enum Pool {
    MySql(managed::Pool<Manager<MySql>>),
    Postgres(managed::Pool<Manager<Postgres>>),
    Sqlite(managed::Pool<Manager<Sqlite>>),
}

/// How large an answer is, in bytes, of which nobody keeps account.
const SMALL_ANSWER: usize = 64 * 1024;

/// How often a read is tried before its error is reported.
const MAX_READS: u32 = 3;

/// How many statements of one transaction may have to be prepared on its connection; each starts the transaction again
/// ([`StoreError::PreparedInTransaction`]).
const MAX_NEW_STATEMENTS: u32 = 64;

/// What a transaction is for.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Write,
    /// Reading what was committed at one moment.
    Snapshot,
}

/// A unit of work on the database: every query goes through one.
pub struct Tx {
    pub(crate) session: DbSession,
    clock: Clock,
    ids: Ids,
    /// The memory of large documents, once it is known that there are some.
    room: Room,
    memory: Option<Memory>,
    /// The caller's share of the connections, of which this one is, until a list goes by turns instead.
    share: Option<Share>,
    /// Where to say that a statement was given up.
    gave_up: Option<Arc<AtomicBool>>,
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let (true, Some(gave_up)) = (self.session.is_busy(), &self.gave_up) {
            gave_up.store(true, Ordering::Relaxed);
        }
    }
}

impl Tx {
    fn engine(&self) -> Engine {
        self.session.engine()
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The memory of the large documents that were read, which whoever shows them has to keep.
    pub(crate) fn room(&self) -> Room {
        self.room.clone()
    }

    /// Whether documents of any size are read; else [`StoreError::NeedsRoom`] says how large they are.
    fn reads_all(&self) -> bool {
        self.memory.is_none() || self.room.is_some()
    }

    /// Keeps memory for what an answer shows of what was read, if that is large.
    ///
    /// # Errors
    /// [`StoreError::NeedsRoom`] where there is none now.
    pub(crate) fn keep_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        if let Some(memory) = &self.memory
            && self.room.is_none()
            && bytes > SMALL_ANSWER
        {
            let room = memory.try_for_documents(bytes);
            self.room = room.map_err(|_| StoreError::NeedsRoom(bytes))?;
        }
        Ok(())
    }

    /// Runs `work` in a transaction and commits it; on an error everything is rolled back. Starts again on this connection as
    /// often as it had to prepare a statement.
    async fn run<T, E: Transient>(
        &mut self,
        mode: Mode,
        action: &'static str,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..MAX_NEW_STATEMENTS {
            match self.run_once(mode, action, work).await {
                Err(error) if error.is_newly_prepared() => {}
                other => return other,
            }
        }
        self.run_once(mode, action, work).await
    }

    async fn run_once<T, E: Transient>(
        &mut self,
        mode: Mode,
        action: &'static str,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let context = |error: StoreError| E::from(error.context(action));
        match mode {
            Mode::Write => self.session.begin().await,
            Mode::Snapshot => self.session.begin_snapshot().await,
        }
        .map_err(context)?;
        match work(self).await {
            Ok(value) => match self.session.commit().await {
                Ok(()) => Ok(value),
                Err(error) if matches!(mode, Mode::Write) && error.is_busy() => {
                    self.rollback(action).await;
                    Err(context(error))
                }
                // What was read is there; the connection is closed.
                Err(error) if matches!(mode, Mode::Snapshot) => {
                    tracing::debug!(action, %error, "the end of a snapshot failed");
                    Ok(value)
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
    /// Reads without a transaction: each statement sees what was committed at one moment, its own.
    pub async fn read<T, E: Transient>(
        &self,
        action: &'static str,
        work: impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.try_to_read((None, None), action, &work).await {
            Err(error) if let Some(bytes) = error.needs_room() => {
                let room = self.room(bytes, action).await?;
                self.try_to_read((None, room), action, &work).await
            }
            other => other,
        }
    }

    /// Waits for the memory of documents, with no connection in hand.
    async fn room<E: Transient>(&self, bytes: usize, action: &'static str) -> Result<Room, E> {
        match &self.memory {
            Some(memory) => {
                let room = memory.for_documents(bytes).await;
                room.map_err(|error| E::from(error.context(action)))
            }
            None => Ok(None),
        }
    }

    async fn try_to_read<T, E: Transient>(
        &self,
        (transaction, room): (Option<Mode>, Room),
        action: &'static str,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = async {
                let opened = self.open().await;
                let mut tx = opened.map_err(|error| E::from(error.context(action)))?;
                tx.room.clone_from(&room);
                match transaction {
                    Some(mode) => tx.run(mode, action, work).await,
                    None => work(&mut tx).await,
                }
            }
            .await;
            match result {
                Err(error) if error.is_transient() && attempt < MAX_READS => {
                    tries::pause(attempt).await;
                }
                other => return other,
            }
        }
    }

    /// Runs `work` in one transaction and commits it; on an error everything is rolled back.
    ///
    /// Deadlocks, lock timeouts and lost connections are tried again from the start (`tries`), so `work` must do nothing but
    /// read and write through its [`Tx`].
    pub async fn write<T, E: Transient>(
        &self,
        action: &'static str,
        work: impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tries = Tries::begin(self.contended_limit);
        let mut room = None;
        loop {
            match self.attempt(action, &room, &work).await {
                Err(error) if let Some(bytes) = error.needs_room() => {
                    room = self.room(bytes, action).await?;
                }
                Err(error) if tries.may_go_on(&error) => tries.pause(action).await,
                other => return other,
            }
        }
    }

    /// Adds one row whose id nobody else can have, by one statement without a transaction around it. `work` must do no more.
    ///
    /// It is tried again as a transaction is. After a lost connection nobody knows whether the row is there; when the next try
    /// finds its id in use, it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_row(
        &self,
        action: &'static str,
        work: impl AsyncFn(&mut Tx) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tries = Tries::begin(self.contended_limit);
        let mut may_be_there = false;
        loop {
            let result = async {
                let share = self.share(Purpose::Change).await?;
                let _turn = self.turn_to_write().await;
                work(&mut self.open_with(share).await?).await
            };
            match result.await {
                Err(error) if may_be_there && error.is_duplicate_key() => return Ok(()),
                Err(error) if tries.may_go_on(&error) => {
                    may_be_there |= !error.is_busy();
                    tries.pause(action).await;
                }
                other => return other.map_err(|error| error.context(action)),
            }
        }
    }

    /// Waits until this is the one that writes, where there can be one only.
    #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
    async fn turn_to_write(&self) -> Option<SemaphorePermit<'_>> {
        match &self.pool {
            Pool::Sqlite(_) => Some(self.writer.acquire().await.expect("the writer's turn")),
            Pool::MySql(_) | Pool::Postgres(_) => None,
        }
    }

    async fn attempt<T, E: Transient>(
        &self,
        action: &'static str,
        room: &Room,
        work: &impl AsyncFn(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let context = |error: StoreError| E::from(error.context(action));
        let share = self.share(Purpose::Change).await.map_err(context)?;
        let _turn = self.turn_to_write().await;
        let mut tx = self.open_with(share).await.map_err(context)?;
        tx.room.clone_from(room);
        tx.run(Mode::Write, action, work).await
    }

    pub(crate) async fn open(&self) -> Result<Tx, StoreError> {
        self.open_with(self.share(Purpose::Read).await?).await
    }

    /// Waits for the caller's share as long as for a connection.
    async fn share(&self, purpose: Purpose) -> Result<Option<Share>, StoreError> {
        let share = tokio::time::timeout(self.pool_limit, self.shares.enter(purpose)).await;
        share.map_err(|_| StoreError::PoolTimeout(self.pool_limit))
    }

    async fn open_with(&self, share: Option<Share>) -> Result<Tx, StoreError> {
        let connection = match &share {
            Some(share) => share.opening(self.lease()).await?,
            None => self.lease().await?,
        };
        Ok(Tx {
            session: DbSession::new(connection, self.statement_limit),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            room: None,
            memory: self.memory.clone(),
            gave_up: share.as_ref().map(Share::gave_up),
            share,
        })
    }

    /// The same with an account of large documents.
    pub fn accounting(self, memory: Memory) -> Store {
        Store {
            memory: Some(memory),
            ..self
        }
    }

    /// The same for requests of so much time, in which they are to be answered.
    pub fn answering_within(self, request_timeout: Duration) -> Store {
        let limit = tries::contended_limit(request_timeout);
        Store {
            contended_limit: self.contended_limit.min(limit),
            ..self
        }
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
            Pool::MySql(pool) => Connection::MySql(Lease(self.leased(pool.get().await)?)),
            Pool::Postgres(pool) => Connection::Postgres(Lease(self.leased(pool.get().await)?)),
            Pool::Sqlite(pool) => Connection::Sqlite(Lease(self.leased(pool.get().await)?)),
        })
    }

    fn leased<T>(
        &self,
        leased: Result<T, managed::PoolError<sqlx::Error>>,
    ) -> Result<T, StoreError> {
        leased.map_err(|error| match error {
            managed::PoolError::Timeout(_) => StoreError::PoolTimeout(self.pool_limit),
            managed::PoolError::Backend(error) => refused(error),
            other => StoreError::Unreachable(other.to_string()),
        })
    }
}

/// A connection that could not be made, with what to do about it where that is known.
fn refused(error: sqlx::Error) -> StoreError {
    if let Some(plugin) = failure::unknown_plugin(&error) {
        StoreError::Plugin(plugin.to_owned())
    } else if let Some(reason) = failure::refused_certificate(&error) {
        StoreError::Certificate(reason)
    } else if failure::needs_tls(&error) {
        StoreError::NeedsTls
    } else {
        StoreError::Connect(error)
    }
}

/// A time as SQLAlchemy writes it into SQLite.
#[expect(clippy::expect_used, reason = "it has all parts of the format")]
fn sqlite_time(time: PrimitiveDateTime) -> String {
    time.format(format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]"
    ))
    .expect("a date and a time of day")
}
