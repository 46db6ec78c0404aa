//! Rows as JSON Lines: `{"table": "jobs", "row": {"id": "…", …}}`, values as [`Kind`](super::Kind) writes them.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BATCH, Selection, TABLES, Table, TextRow};
use crate::schema::{Progress, ProgressCallback};
use crate::store::{Store, StoreError};

/// A line of a file.
#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    row: Map<String, Value>,
}

/// What an import found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Lines that were read.
    pub lines: u64,
    /// Rows that were not there before.
    pub new: u64,
}

/// Why an export or import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written.
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

impl Store {
    /// Writes all documents that are not deleted, of one project or of all, as JSON Lines; how many.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn export(
        &self,
        project: Option<&str>,
        file: &mut dyn Write,
    ) -> Result<u64, ImportError> {
        let selection = project.map_or(Selection::Live, Selection::Project);
        let mut lines = 0;
        for table in TABLES {
            let mut last: Option<TextRow> = None;
            loop {
                let mut tx = self.open().await?;
                let rows = table
                    .read(&mut tx.session, last.as_ref(), selection)
                    .await?;
                if rows.is_empty() {
                    break;
                }
                for row in &rows {
                    let line =
                        serde_json::to_string(&line(table, row)).map_err(std::io::Error::other)?;
                    writeln!(file, "{line}")?;
                }
                lines += rows.len() as u64;
                last = rows.into_iter().next_back();
            }
        }
        file.flush()?;
        Ok(lines)
    }

    /// Adds the rows of an export that are not there yet; with `dry_run`, only reads them.
    ///
    /// # Errors
    /// [`ImportError`]. What was added stays; another import goes on.
    pub async fn import(
        &self,
        file: &mut dyn BufRead,
        dry_run: bool,
        progress: ProgressCallback<'_>,
    ) -> Result<Imported, ImportError> {
        let before = self.rows().await?;
        let mut waiting: Option<(&'static Table, Vec<TextRow>)> = None;
        let mut imported = Imported::default();
        let mut text = String::new();
        while file.read_line(&mut text)? > 0 {
            imported.lines += 1;
            let (table, row) = parse(&text).map_err(|reason| ImportError::Line {
                number: imported.lines,
                reason,
            })?;
            text.clear();
            if dry_run {
                continue;
            }
            waiting = match waiting.take() {
                Some((same, mut rows)) if same.name == table.name && rows.len() < BATCH => {
                    rows.push(row);
                    Some((same, rows))
                }
                full => {
                    self.insert(full).await?;
                    progress(Progress::Rows {
                        what: "lines",
                        done: imported.lines,
                        total: 0,
                    });
                    Some((table, vec![row]))
                }
            };
        }
        self.insert(waiting).await?;
        imported.new = self.rows().await?.saturating_sub(before);
        Ok(imported)
    }

    async fn insert(&self, rows: Option<(&'static Table, Vec<TextRow>)>) -> Result<(), StoreError> {
        let Some((table, rows)) = rows else {
            return Ok(());
        };
        self.write("importing rows", async |tx| {
            table.insert(&mut tx.session, &rows).await
        })
        .await
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        let mut tx = self.open().await?;
        let mut rows = 0;
        for table in TABLES {
            rows += table.count(&mut tx.session, Selection::All).await?;
        }
        Ok(rows)
    }
}

fn line(table: &Table, row: &TextRow) -> Line {
    let values = table.columns.iter().zip(&row.0);
    Line {
        table: table.name.to_owned(),
        row: values
            .map(|((name, _), value)| ((*name).to_owned(), value.clone().into()))
            .collect(),
    }
}

fn parse(text: &str) -> Result<(&'static Table, TextRow), String> {
    let mut line: Line = serde_json::from_str(text).map_err(|error| {
        format!("{error}; wanted {{\"table\": \"jobs\", \"row\": {{\"id\": \"…\", …}}}}")
    })?;
    let table = TABLES
        .iter()
        .find(|table| table.name == line.table)
        .ok_or_else(|| format!("there is no table {}", line.table))?;
    let mut values = Vec::with_capacity(table.columns.len());
    for (name, _) in table.columns {
        values.push(match line.row.remove(*name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => return Err(format!("{name} is {other}, wanted a string or null")),
        });
    }
    match line.row.keys().next() {
        Some(unknown) => Err(format!("table {} has no column {unknown}", table.name)),
        None => Ok((table, TextRow(values))),
    }
}
