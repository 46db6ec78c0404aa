//! How the columns of a database differ from the catalogue of [`tables`](crate::store::tables).

use std::fmt;

use super::Catalog;
use crate::store::tables::{Column, ColumnKind, TABLES, Table};
use crate::store::{Engine, Store, StoreError};

/// A column that is not as this program knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnDifference {
    /// The database has it, this program does not know it.
    Unknown {
        /// Its table.
        table: &'static str,
        /// Its name.
        column: String,
    },
    /// This program needs it, the database does not have it.
    Missing {
        /// Its table.
        table: &'static str,
        /// Its name.
        column: &'static str,
    },
    /// Its values are of another type.
    Type {
        /// Its table.
        table: &'static str,
        /// Its name.
        column: &'static str,
        /// The database's type.
        got: String,
    },
    /// It holds fewer characters than the API lets through.
    Narrow {
        /// Its table.
        table: &'static str,
        /// Its name.
        column: &'static str,
        /// Characters that it holds.
        got: u32,
        /// Characters that it should hold.
        wanted: u32,
    },
}

impl fmt::Display for ColumnDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnDifference::Unknown { table, column } => {
                write!(
                    f,
                    "{table}.{column} is a column that this program does not know"
                )
            }
            ColumnDifference::Missing { table, column } => {
                write!(f, "the column {table}.{column} is missing")
            }
            ColumnDifference::Type { table, column, got } => {
                write!(f, "{table}.{column} has the unexpected type {got}")
            }
            ColumnDifference::Narrow {
                table,
                column,
                got,
                wanted,
            } => write!(
                f,
                "{table}.{column} holds {got} characters instead of {wanted}"
            ),
        }
    }
}

impl Store {
    /// How the columns of our tables differ from what this program knows; types and widths as far as the engine enforces
    /// them. Other tables in the database do not count.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn column_differences(&self) -> Result<Vec<ColumnDifference>, StoreError> {
        let catalog = Catalog::read(&mut self.open().await?.session).await?;
        let mut differences = Vec::new();
        for table in TABLES {
            let unknown = catalog.columns(table.name).filter(|column| {
                let is_computed = self.engine() == Engine::MySql && table.computed.contains(column);
                !table.has_column(column) && !is_computed
            });
            differences.extend(unknown.map(|column| ColumnDifference::Unknown {
                table: table.name,
                column: column.to_owned(),
            }));
            let columns = table.columns.iter();
            differences
                .extend(columns.filter_map(|column| self.difference(&catalog, table, column)));
        }
        Ok(differences)
    }

    fn difference(
        &self,
        catalog: &Catalog,
        table: &Table,
        column: &Column,
    ) -> Option<ColumnDifference> {
        let Some(got) = catalog.column_type(table.name, column.name) else {
            return Some(ColumnDifference::Missing {
                table: table.name,
                column: column.name,
            });
        };
        if self.engine() == Engine::Sqlite {
            return None;
        }
        if !types(column.kind).contains(&type_name(got)) {
            return Some(ColumnDifference::Type {
                table: table.name,
                column: column.name,
                got: got.to_owned(),
            });
        }
        match (type_width(got), column.width) {
            (Some(got), Some(wanted)) if got < wanted => Some(ColumnDifference::Narrow {
                table: table.name,
                column: column.name,
                got,
                wanted,
            }),
            _ => None,
        }
    }
}

/// The engines' types for a column.
fn types(kind: ColumnKind) -> &'static [&'static str] {
    match kind {
        ColumnKind::Text | ColumnKind::Json(_) => {
            &["varchar", "text", "mediumtext", "character varying"]
        }
        ColumnKind::Integer => &["int", "bigint", "integer"],
        ColumnKind::Boolean => &["tinyint", "boolean"],
        ColumnKind::Time => &["datetime", "timestamp", "timestamp without time zone"],
        ColumnKind::Bytes => &["blob", "bytea"],
    }
}

fn type_name(definition: &str) -> &str {
    definition
        .split_once('(')
        .map_or(definition, |(name, _)| name)
}

/// `255` of `varchar(255)`. Integers have a number there too, but no width in the catalogue.
fn type_width(definition: &str) -> Option<u32> {
    let (_, width) = definition.split_once('(')?;
    width.strip_suffix(')')?.parse().ok()
}
