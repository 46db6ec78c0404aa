//! `freezer-manage db copy`: all rows, deleted ones too, from one database into another.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::rows::{Selection, TextRow};
use crate::schema::{ColumnDifference, Progress, ProgressCallback, SchemaState};
use crate::store::tables::{ColumnKind, Table, carried_tables};
use crate::store::{Engine, Store, StoreError};

/// What became of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: &'static str,
    /// Its rows in the database that was read.
    pub rows: u64,
    /// Its rows in the database that was written.
    pub written: u64,
    /// Whether all values are equal.
    pub equal: bool,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table could not be written.
    #[error("table {table}")]
    Table {
        /// Its name.
        table: &'static str,
        /// What the database said.
        source: StoreError,
    },
    /// A database is not at our revision.
    #[error("the database to {verb}: {state}")]
    State {
        /// `read` or `write`.
        verb: &'static str,
        /// What it is.
        state: SchemaState,
    },
    /// A database has other columns than this program knows, so that values would be lost.
    #[error("the database to {verb}: {differences}")]
    Columns {
        /// `read` or `write`.
        verb: &'static str,
        /// What differs, in words.
        differences: String,
    },
}

impl Store {
    /// Copies all rows into `other`, whose tables have to be there, and compares both. Rows that are there already stay, so a copy
    /// that was interrupted can be run again.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn copy_to(
        &self,
        other: &Store,
        progress: ProgressCallback<'_>,
    ) -> Result<Vec<Copied>, CopyError> {
        for (verb, store) in [("read", self), ("write", other)] {
            store.require_known_columns(verb).await?;
        }
        for table in carried_tables() {
            self.copy_table(other, table, progress)
                .await
                .map_err(|source| CopyError::Table {
                    table: table.name,
                    source,
                })?;
        }
        // MySQL's times have whole seconds.
        let whole_seconds = [self, other]
            .iter()
            .any(|store| store.engine() == Engine::MySql);
        let mut copied = Vec::new();
        for table in carried_tables() {
            let (rows, sum) = self.sum(table, whole_seconds, progress).await?;
            let (written, written_sum) = other.sum(table, whole_seconds, progress).await?;
            copied.push(Copied {
                table: table.name,
                rows,
                written,
                equal: rows == written && sum == written_sum,
            });
        }
        Ok(copied)
    }

    async fn require_known_columns(&self, verb: &'static str) -> Result<(), CopyError> {
        match self.schema_state().await? {
            SchemaState::Current => {}
            state => return Err(CopyError::State { verb, state }),
        }
        let differences = self.column_differences().await?;
        let differences: Vec<String> = differences
            .iter()
            .filter(|difference| !matches!(difference, ColumnDifference::Narrow { .. }))
            .map(ColumnDifference::to_string)
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(CopyError::Columns {
            verb,
            differences: differences.join("; "),
        })
    }

    async fn copy_table(
        &self,
        other: &Store,
        table: &'static Table,
        progress: ProgressCallback<'_>,
    ) -> Result<(), StoreError> {
        let total = {
            let mut tx = self.open().await?;
            table.count(&mut tx.session, Selection::All).await?
        };
        let mut last: Option<TextRow> = None;
        let mut done = 0;
        loop {
            let rows = {
                let mut tx = self.open().await?;
                let mut warn = |warning: &str| progress(Progress::DataWarning(warning));
                table
                    .read(&mut tx.session, last.as_ref(), Selection::All, &mut warn)
                    .await?
            };
            if rows.is_empty() {
                return Ok(());
            }
            other
                .write("copying rows", async |tx| {
                    table.insert(&mut tx.session, &rows).await
                })
                .await?;
            done += rows.len() as u64;
            last = rows.into_iter().next_back();
            progress(Progress::Rows {
                what: table.name,
                done,
                total,
            });
        }
    }

    /// The number of rows and a checksum that does not depend on their order.
    async fn sum(
        &self,
        table: &'static Table,
        whole_seconds: bool,
        progress: ProgressCallback<'_>,
    ) -> Result<(u64, u64), StoreError> {
        let mut last: Option<TextRow> = None;
        let (mut count, mut sum) = (0, 0u64);
        loop {
            let mut tx = self.open().await?;
            let rows = table
                .read(&mut tx.session, last.as_ref(), Selection::All, &mut |_| {})
                .await?;
            if rows.is_empty() {
                return Ok((count, sum));
            }
            for row in &rows {
                sum = sum.wrapping_add(checksum(table, row, whole_seconds));
            }
            count += rows.len() as u64;
            last = rows.into_iter().next_back();
            progress(Progress::Rows {
                what: "rows compared",
                done: count,
                total: 0,
            });
        }
    }
}

fn checksum(table: &Table, row: &TextRow, whole_seconds: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (column, value) in table.values(row) {
        if column.kind == ColumnKind::Time && whole_seconds {
            value.and_then(|time| time.get(..19)).hash(&mut hasher);
        } else {
            value.hash(&mut hasher);
        }
    }
    hasher.finish()
}
