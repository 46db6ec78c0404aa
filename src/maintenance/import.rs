//! `freezer-manage import`: the lines of an export as rows.

use std::io::BufRead;

use serde_json::Value;

use super::export::ExportLine;
use super::rows::{BATCH, Selection, TextRow};
use crate::schema::{Progress, ProgressCallback};
use crate::store::tables::{Table, carried_tables};
use crate::store::{Store, StoreError};

/// What an import found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows that were read.
    pub rows: u64,
    /// Rows that were not there before.
    pub new: u64,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// A line is not what an export writes.
    #[error("line {number}: {reason}")]
    Line {
        /// Counted from 1.
        number: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Rows of one table that are to be written together.
type Waiting = Option<(&'static Table, Vec<TextRow>)>;

impl Store {
    /// Adds the rows of an export that are not there yet; with `dry_run`, only reads them. What an editor may add to the file
    /// is ignored: a byte order mark, blank lines, carriage returns.
    ///
    /// # Errors
    /// [`ImportError`]. What was added stays; another import continues.
    pub async fn import(
        &self,
        file: &mut dyn BufRead,
        dry_run: bool,
        progress: ProgressCallback<'_>,
    ) -> Result<Imported, ImportError> {
        let before = self.count_rows().await?;
        let mut waiting = None;
        let mut imported = Imported::default();
        let mut text = String::new();
        let mut number = 0;
        while file.read_line(&mut text)? > 0 {
            number += 1;
            let line = if number == 1 {
                text.trim_start_matches('\u{feff}')
            } else {
                &text
            };
            if !line.trim().is_empty() {
                let (table, row) =
                    parse(line).map_err(|reason| ImportError::Line { number, reason })?;
                imported.rows += 1;
                if !dry_run {
                    waiting = self.add(waiting, table, row).await?;
                    if imported.rows.is_multiple_of(BATCH as u64) {
                        progress(Progress::Rows {
                            what: "rows",
                            done: imported.rows,
                            total: 0,
                        });
                    }
                }
            }
            text.clear();
        }
        self.insert(waiting).await?;
        imported.new = self.count_rows().await?.saturating_sub(before);
        Ok(imported)
    }

    /// Puts a row to those that wait, which are written when it does not fit to them.
    async fn add(
        &self,
        waiting: Waiting,
        table: &'static Table,
        row: TextRow,
    ) -> Result<Waiting, StoreError> {
        if let Some((same, mut rows)) = waiting {
            if same.name == table.name && rows.len() < BATCH {
                rows.push(row);
                return Ok(Some((same, rows)));
            }
            self.insert(Some((same, rows))).await?;
        }
        Ok(Some((table, vec![row])))
    }

    async fn insert(&self, waiting: Waiting) -> Result<(), StoreError> {
        let Some((table, rows)) = waiting else {
            return Ok(());
        };
        self.write("importing rows", async |tx| {
            table.insert(&mut tx.session, &rows).await
        })
        .await
    }

    async fn count_rows(&self) -> Result<u64, StoreError> {
        let mut tx = self.open().await?;
        let mut rows = 0;
        for table in carried_tables() {
            rows += table.count(&mut tx.session, Selection::All).await?;
        }
        Ok(rows)
    }
}

fn parse(text: &str) -> Result<(&'static Table, TextRow), String> {
    let mut line: ExportLine = serde_json::from_str(text).map_err(|error| {
        format!("{error}; wanted {{\"table\": \"jobs\", \"row\": {{\"id\": \"…\", …}}}}")
    })?;
    let table = carried_tables()
        .find(|table| table.name == line.table)
        .ok_or_else(|| format!("there is no table {}", line.table))?;
    let mut values = Vec::with_capacity(table.columns.len());
    for column in table.columns {
        values.push(match line.row.remove(column.name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                return Err(format!(
                    "{} is {other}, wanted a string or null",
                    column.name
                ));
            }
        });
    }
    match line.row.keys().next() {
        Some(unknown) => Err(format!("table {} has no column {unknown}", table.name)),
        None => Ok((table, TextRow(values))),
    }
}
