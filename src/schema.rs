//! Making and upgrading the tables: `freezer-manage db sync`.
//!
//! The tables are the reference's, in the steps of its Alembic revisions, with its own stamp in `alembic_version`, so that
//! the Python service keeps working on them. What we add has a line of revisions of its own in `freezer_api_version`.
//! The statements are in `migrations/`, one folder for each engine.
//!
//! One migrator works at a time. PostgreSQL and SQLite do each revision in one transaction; MySQL cannot, so there
//! each statement is guarded by a look at what is there, and a migration that was killed continues where it stopped.

mod backup_columns;
mod catalog;
mod differences;
mod job_actions;
mod revisions;
mod runner;
mod script;
mod state;

use std::time::Duration;

use crate::store::{Store, StoreError};
pub(crate) use backup_columns::with_member;
pub(crate) use catalog::Catalog;
pub use differences::ColumnDifference;
use runner::Runner;
pub use state::SchemaState;

/// How a migration runs.
#[derive(Debug, Clone)]
pub struct Migration {
    /// How long one statement may take. A table of millions of rows is copied by one statement.
    pub statement_limit: Duration,
    /// How long to wait for another migration to end.
    pub lock_limit: Duration,
    /// For tests of interrupted migrations: the process aborts after this many statements.
    pub abort_after: Option<u64>,
}

impl Default for Migration {
    fn default() -> Self {
        Migration {
            statement_limit: Duration::from_secs(24 * 3600),
            lock_limit: Duration::from_secs(600),
            abort_after: None,
        }
    }
}

/// How far a migration is.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Another migration is running; we wait for its end.
    Waiting,
    /// A revision begins.
    Revision {
        /// Its id.
        id: &'a str,
        /// What it brings.
        title: &'a str,
    },
    /// A statement begins.
    Statement(&'a str),
    /// So many rows of all are moved.
    Rows {
        /// What is moved.
        what: &'a str,
        /// Rows that are done.
        done: u64,
        /// Rows in all.
        total: u64,
    },
    /// A value that could not be migrated as it was, and what became of it.
    DataWarning(&'a str),
}

/// Where progress goes.
pub type ProgressCallback<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The ids of the revisions that were applied, in order. Empty when there was nothing to do.
    pub applied: Vec<&'static str>,
    /// How many values were reported that could not be migrated as they were.
    pub data_warnings: u64,
}

/// What a migration would do: a revision and its statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The revision's id.
    pub id: &'static str,
    /// What it brings.
    pub title: &'static str,
    /// Its statements, without those that are done already.
    pub statements: Vec<String>,
}

/// Why a migration did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A statement failed.
    #[error("migrations/{file}.sql: {statement}")]
    Statement {
        /// The script, without its folder.
        file: &'static str,
        /// The statement that failed.
        statement: String,
        /// What the database said.
        source: StoreError,
    },
    /// A script of ours is not understood.
    #[error("migrations/{file}.sql: {reason}")]
    Script {
        /// The script, without its folder.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another migration did not end in time.
    #[error("another migration has been running for more than {} s", .0.as_secs())]
    Locked(Duration),
    /// The database cannot be upgraded.
    #[error("{0}")]
    Refused(SchemaState),
    /// The wanted revision is unknown.
    #[error(
        "{got} is not a revision of the tables; known are head and {}",
        known_revisions()
    )]
    UnknownTarget {
        /// What was asked for.
        got: String,
    },
    /// The wanted revision is older than the database.
    #[error("the database is already beyond revision {target}; db sync only goes forward")]
    BehindDatabase {
        /// What was asked for.
        target: &'static str,
    },
    /// A value is larger than the reference's column.
    #[error(
        "{table} {id}: {column} is larger than the {limit} that the column holds without our additions"
    )]
    LargeValue {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        id: String,
        /// What the column holds, in words.
        limit: String,
    },
    /// Two ids are one without our additions.
    #[error(
        "{table} {id} and {other}: the ids differ in case, accents or trailing blanks alone, which the tables do not tell \
         apart without our additions"
    )]
    SimilarIds {
        /// The table.
        table: &'static str,
        /// The smaller id.
        id: String,
        /// The other one.
        other: String,
    },
    /// Something is missing after all revisions.
    #[error("the database is stamped with the newest revision, but lacks {}", .0.join(", "))]
    Incomplete(Vec<String>),
}

fn known_revisions() -> String {
    let ids: Vec<&str> = revisions::ALEMBIC
        .iter()
        .map(|revision| revision.id)
        .collect();
    ids.join(", ")
}

impl Store {
    /// Brings the tables to our head, or to the Alembic revision `target`, from whatever layout they have.
    ///
    /// # Errors
    /// [`MigrateError`]. What was done stays; another call continues from there.
    pub async fn db_sync(
        &self,
        target: Option<&str>,
        migration: &Migration,
        progress: ProgressCallback<'_>,
    ) -> Result<Report, MigrateError> {
        let target = state::Target::parse(target)?;
        self.check_settings().await?;
        let session = self.dedicated_connection(migration.statement_limit).await?;
        Runner::new(session, self.ids.clone(), migration, progress)
            .sync(target)
            .await
    }

    /// What [`Store::db_sync`] would do. Changes nothing.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn db_plan(&self, target: Option<&str>) -> Result<Vec<Planned>, MigrateError> {
        let target = state::Target::parse(target)?;
        let mut session = self.dedicated_connection(self.statement_limit).await?;
        runner::plan(&mut session, target).await
    }

    /// Removes our additions, so that the tables are as the Python tool makes them.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn db_downgrade(
        &self,
        migration: &Migration,
        progress: ProgressCallback<'_>,
    ) -> Result<Report, MigrateError> {
        self.check_settings().await?;
        let session = self.dedicated_connection(migration.statement_limit).await?;
        Runner::new(session, self.ids.clone(), migration, progress)
            .downgrade()
            .await
    }

    /// Which layout the tables have.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let mut tx = self.open().await?;
        state::read(&mut tx.session).await
    }

    /// The revisions that are stamped: the reference's and ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revisions(&self) -> Result<(Option<String>, Option<String>), StoreError> {
        let mut tx = self.open().await?;
        state::stamps(&mut tx.session).await
    }

    /// Drops all tables that are ours or the reference's; their names.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn db_remove(&self) -> Result<Vec<&'static str>, MigrateError> {
        let migration = Migration::default();
        let session = self.dedicated_connection(migration.statement_limit).await?;
        let ids = self.ids.clone();
        Runner::new(session, ids, &migration, &mut |_| {})
            .remove()
            .await
    }

    /// The names of all tables, sorted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tables(&self) -> Result<Vec<String>, StoreError> {
        let mut tx = self.open().await?;
        let catalog = Catalog::read(&mut tx.session).await?;
        Ok(catalog.tables().map(str::to_owned).collect())
    }
}
