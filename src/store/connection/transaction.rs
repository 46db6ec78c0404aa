//! Transactions on one connection, and what Galera needs in them.

use sqlx::{
    AssertSqlSafe, Connection as _, Database, MySql, MySqlConnection, Postgres, SqlSafeStr, Sqlite,
};

use super::super::failure::Failure;
use super::super::{Engine, StoreError};
use super::{Connection, DbSession, STATEMENT_CACHE, leaves_the_connection_unclear};

impl DbSession {
    /// Opens a transaction. SQLite takes its write lock at once, since it cannot wait for it later.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        let text = match self.engine() {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            // The session's own level.
            Engine::MySql => "BEGIN",
            Engine::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        self.read_only = false;
        self.open_transaction(&[text]).await
    }

    /// Opens a transaction that only reads, and sees what was committed at its first query. On SQLite it takes no lock.
    pub(in crate::store) async fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        let texts: &[&str] = match self.engine() {
            Engine::MySql => &[
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION READ ONLY",
            ],
            Engine::Postgres => &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
            Engine::Sqlite => &["BEGIN"],
        };
        self.read_only = true;
        self.open_transaction(texts).await
    }

    async fn open_transaction(&mut self, texts: &[&str]) -> Result<(), StoreError> {
        self.in_transaction = true;
        self.make_room_for_statements().await?;
        for text in texts {
            match &self.transaction_settings {
                None => self.execute_raw(text).await?,
                Some(settings) => self.execute_raw(&format!("{text}; {settings}")).await?,
            }
        }
        Ok(())
    }

    /// Whether the server is a node of a Galera cluster.
    pub(crate) fn in_galera(&self) -> bool {
        matches!(&self.lease, Connection::MySql(lease) if lease.0.in_galera)
    }

    /// Keeps a statement that is prepared in the coming transaction from taking the place of another, so that
    /// [`DbSession::prepare_in_galera`] can tell new ones by the number of statements.
    async fn make_room_for_statements(&mut self) -> Result<(), StoreError> {
        let Connection::MySql(lease) = &self.lease else {
            return Ok(());
        };
        let statements = |connection: &MySqlConnection| connection.cached_statements_size();
        let kept = lease.0.connection.as_ref().map_or(0, statements);
        if !lease.0.in_galera || kept < STATEMENT_CACHE {
            return Ok(());
        }
        on_connection!(self, |connection: DB| connection.clear_cached_statements())
    }

    /// In a transaction that may write, on Galera, refuses to go on after a statement had to be prepared: MariaDB loses the
    /// deadlock error of a transaction that another node's write aborts while it prepares, and what follows would run outside
    /// of any transaction. The statement is prepared now, so another try of the transaction comes further
    /// (docs/adr/0005-nothing-is-prepared-in-a-transaction-on-galera.md).
    pub(super) async fn prepare_in_galera(&mut self, text: &str) -> Result<(), StoreError> {
        let Connection::MySql(lease) = &self.lease else {
            return Ok(());
        };
        if !lease.0.in_galera || !self.is_writing() {
            return Ok(());
        }
        let text = AssertSqlSafe(text.to_owned()).into_sql_str();
        let is_new = on_connection!(self, |connection: DB| async {
            let before = connection.cached_statements_size();
            sqlx::Executor::prepare(&mut *connection, text).await?;
            Ok::<_, sqlx::Error>(connection.cached_statements_size() != before)
        })?;
        if is_new && !(self.dedicated && self.is_in_transaction().await?) {
            return Err(StoreError::PreparedInTransaction);
        }
        Ok(())
    }

    /// Whether what runs now is part of a transaction that may write.
    pub(super) fn is_writing(&self) -> bool {
        self.in_transaction && !self.read_only
    }

    /// Whether all that is read now is of one moment.
    pub(in crate::store) fn in_snapshot(&self) -> bool {
        self.in_transaction && self.read_only
    }

    /// Whether the server still has the transaction open. Only MariaDB says so; others are believed, which concerns
    /// migrations alone: they do not start a transaction again, and go on where an earlier one stopped.
    async fn is_in_transaction(&mut self) -> Result<bool, StoreError> {
        const QUERY: &str = "SELECT 1 FROM DUAL WHERE @@in_transaction = 1";
        let found = on_connection!(self, |connection: DB| async {
            sqlx::Executor::fetch_optional(&mut *connection, sqlx::raw_sql(AssertSqlSafe(QUERY)))
                .await
                .map(|row: Option<<DB as Database>::Row>| row.is_some())
        });
        match found {
            Err(StoreError::Database(sqlx::Error::Database(_))) => Ok(true),
            other => other,
        }
    }

    /// Ends the transaction. When that fails, the transaction may still be open: until [`DbSession::rollback`] the
    /// connection stays busy.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.end_transaction("COMMIT").await
    }

    /// Undoes the transaction. When that fails, the connection is closed in the end, which undoes it too.
    pub(crate) async fn rollback(&mut self) -> Result<(), StoreError> {
        self.end_transaction("ROLLBACK").await
    }

    async fn end_transaction(&mut self, text: &str) -> Result<(), StoreError> {
        self.execute_raw(text).await?;
        self.in_transaction = false;
        let busy = self.dedicated;
        match &mut self.lease {
            Connection::MySql(lease) => lease.0.busy = busy,
            Connection::Postgres(lease) => lease.0.busy = busy,
            Connection::Sqlite(lease) => lease.0.busy = busy,
        }
        Ok(())
    }
}
