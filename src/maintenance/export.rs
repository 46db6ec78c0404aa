//! `freezer-manage export`: rows as JSON Lines, `{"table": "jobs", "row": {"id": "…", …}}`, with values as text.

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::{Selection, TextRow};
use crate::store::tables::{Table, carried_tables};
use crate::store::{Store, StoreError};

/// A line of a file.
#[derive(Serialize, Deserialize)]
pub(super) struct ExportLine {
    pub(super) table: String,
    pub(super) row: Map<String, Value>,
}

impl ExportLine {
    fn new(table: &Table, row: &TextRow) -> ExportLine {
        let values = table.values(row);
        ExportLine {
            table: table.name.to_owned(),
            row: values
                .map(|(column, value)| (column.name.to_owned(), value.into()))
                .collect(),
        }
    }
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

impl Store {
    /// Writes all rows that are not deleted, of one project or of all, as JSON Lines; how many.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(
        &self,
        project: Option<&str>,
        file: &mut dyn Write,
    ) -> Result<u64, ExportError> {
        let selection = project.map_or(Selection::Live, Selection::Project);
        let mut lines = 0;
        for table in carried_tables() {
            lines += self.export_table(table, selection, file).await?;
        }
        file.flush()?;
        Ok(lines)
    }

    async fn export_table(
        &self,
        table: &Table,
        selection: Selection<'_>,
        file: &mut dyn Write,
    ) -> Result<u64, ExportError> {
        let mut lines = 0;
        let mut last: Option<TextRow> = None;
        let mut warn = |warning: &str| tracing::warn!("{warning}");
        loop {
            let mut tx = self.open().await?;
            let rows = table
                .read(&mut tx.session, last.as_ref(), selection, &mut warn)
                .await?;
            if rows.is_empty() {
                return Ok(lines);
            }
            for row in &rows {
                let line = serde_json::to_string(&ExportLine::new(table, row))
                    .map_err(std::io::Error::other)?;
                writeln!(file, "{line}")?;
            }
            lines += rows.len() as u64;
            last = rows.into_iter().next_back();
        }
    }
}
