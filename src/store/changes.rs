//! Rows that change: how they are locked, added, written back and marked as deleted.

use super::rows::{Conditions, Record};
use super::statement::{Argument, placeholders, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;

/// What others may do with a locked row until the transaction ends.
#[derive(Clone, Copy)]
enum RowLock {
    /// Nothing but read it: the transaction changes it.
    Exclusive,
    /// Lock it so too, but not change it: the transaction rests on what it says.
    Shared,
}

impl RowLock {
    /// What locks the rows of a query. SQLite's transactions have locked the whole file already; MariaDB has MySQL's older words
    /// alone.
    fn clause<T: Record>(self, engine: Engine) -> String {
        match (engine, self) {
            (Engine::MySql, RowLock::Exclusive) => " FOR UPDATE".to_owned(),
            (Engine::MySql, RowLock::Shared) => " LOCK IN SHARE MODE".to_owned(),
            (Engine::Postgres, RowLock::Exclusive) => format!(" FOR UPDATE OF {}", T::ALIAS),
            (Engine::Postgres, RowLock::Shared) => format!(" FOR SHARE OF {}", T::ALIAS),
            (Engine::Sqlite, _) => String::new(),
        }
    }
}

impl Tx {
    /// The live row of this id, if it is in the scope, locked until the transaction ends. What it has from other tables may be older than
    /// the lock: PostgreSQL reads a row for which it had to wait as it is then, and other tables as they were when the statement began.
    pub(crate) async fn lock<T: Record>(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<T>, StoreError> {
        let of_id = Conditions::of_id::<T>(scope, id);
        let rows = self.select_locked(of_id, RowLock::Exclusive).await?;
        Ok(rows.into_iter().find(|row: &T| row.id() == id))
    }

    /// Ends all other transactions that write the row of this id, added by them or there before: it waits for those that were sent COMMIT
    /// by a connection that broke, and once this one is committed, none of them can be any more. Not even on another node of Galera, since
    /// it writes the row itself; one that is not there is added and removed again.
    pub(super) async fn overtake<T: Record>(&mut self, row: &T) -> Result<(), StoreError> {
        let of_any = Conditions::of_any::<T>(row.id());
        let found: Vec<T> = self.select_locked(of_any, RowLock::Exclusive).await?;
        if !found.is_empty() {
            return Ok(());
        }
        let added = self.insert(row).await;
        added.map_err(StoreError::retry_if_duplicate)?;
        let statement = sql(format!("DELETE FROM {} WHERE id = ?", T::TABLE));
        self.session
            .execute(statement.bind(row.id()))
            .await
            .map(drop)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`StoreError`]; a duplicate key where the id is in use.
    pub(crate) async fn insert<T: Record>(&mut self, row: &T) -> Result<(), StoreError> {
        let mut columns = T::OWN_COLUMNS.to_vec();
        let mut values = row.values();
        // Clients have their key twice: as `id`, and as the `uuid` that documents show.
        if !columns.contains(&"id") {
            columns.push("id");
            values.push(row.id().into());
        }
        let statement = sql(format!(
            "INSERT INTO {} ({}, deleted, created_at) VALUES ({}, FALSE, ?)",
            T::TABLE,
            columns.join(", "),
            placeholders(values.len())
        ));
        let statement = statement.bind_all(values).bind(self.now());
        self.session.execute(statement).await.map(drop)
    }

    /// Writes a changed row back. It stays in its project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn update<T: Record>(&mut self, row: &T) -> Result<(), StoreError> {
        let columns = T::OWN_COLUMNS.iter().zip(row.values());
        let (columns, values): (Vec<&str>, Vec<Argument>) = columns
            .filter(|(column, _)| !["id", "project_id"].contains(column))
            .unzip();
        let statement = sql(format!(
            "UPDATE {} SET {} = ?, updated_at = ? WHERE id = ?",
            T::TABLE,
            columns.join(" = ?, ")
        ));
        let statement = statement.bind_all(values).bind(self.now()).bind(row.id());
        self.session.execute(statement).await.map(drop)
    }

    /// Marks a row as deleted; it keeps its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delete<T: Record>(&mut self, id: &str) -> Result<(), StoreError> {
        self.mark_deleted(T::TABLE, id).await
    }

    /// The same for a table without documents of its own.
    pub(super) async fn mark_deleted(
        &mut self,
        table: &'static str,
        id: &str,
    ) -> Result<(), StoreError> {
        let statement = sql(format!(
            "UPDATE {table} SET deleted = TRUE, deleted_at = ? WHERE id = ? AND deleted = FALSE"
        ));
        self.session
            .execute(statement.bind(self.now()).bind(id))
            .await?;
        Ok(())
    }

    /// All rows that meet the conditions, which others may lock so too and nobody may change until the transaction ends: what
    /// it writes rests on them.
    pub(super) async fn select_shared<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<Vec<T>, StoreError> {
        self.select_locked(conditions, RowLock::Shared).await
    }

    async fn select_locked<T: Record>(
        &mut self,
        conditions: Conditions,
        lock: RowLock,
    ) -> Result<Vec<T>, StoreError> {
        if self.session.in_galera() {
            self.write_before_lock::<T>(conditions.clone()).await?;
        }
        let clause = lock.clause::<T>(self.engine());
        self.select_ending(conditions, &clause).await
    }

    /// Writes the rows that are to be locked, and nothing that a document shows. The nodes of a Galera cluster do not know
    /// each other's locks: of two transactions on two nodes one fails only where both have written a row
    /// (docs/adr/0006-every-lock-is-a-write-on-galera.md). An UPDATE that changes nothing writes nothing, so the time grows
    /// by a second at least.
    async fn write_before_lock<T: Record>(
        &mut self,
        conditions: Conditions,
    ) -> Result<(), StoreError> {
        let statement = sql(format!(
            "UPDATE {0} SET {1}.updated_at = COALESCE(GREATEST(?, {1}.updated_at + INTERVAL 1 SECOND), ?)",
            T::FROM,
            T::ALIAS
        ));
        let statement = statement.bind(self.now()).bind(self.now());
        let statement = conditions.apply_to(statement);
        self.session.execute(statement).await.map(drop)
    }
}
