//! What tables, columns and indexes a database has.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::connection::DbSession;
use crate::store::statement::sql;
use crate::store::{Engine, StoreError};

/// The tables of the database (of its current schema in PostgreSQL).
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tables: BTreeMap<String, Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Their types by their names.
    columns: BTreeMap<String, String>,
    indexes: BTreeSet<String>,
    constraints: BTreeSet<String>,
    collation: Option<String>,
}

impl Catalog {
    /// Asks the database.
    pub(crate) async fn read(session: &mut DbSession) -> Result<Catalog, StoreError> {
        let queries = queries(session.engine());
        let mut catalog = Catalog::default();
        let tables: Vec<(String, Option<String>)> = session.fetch_all(sql(queries.tables)).await?;
        for (name, collation) in tables {
            let table = Table {
                collation,
                ..Table::default()
            };
            catalog.tables.insert(name, table);
        }
        let columns: Vec<(String, String, String)> =
            session.fetch_all(sql(queries.columns)).await?;
        for (table, name, kind) in columns {
            if let Some(table) = catalog.tables.get_mut(&table) {
                table.columns.insert(name, kind);
            }
        }
        for (query, set) in [
            (queries.indexes, Table::indexes as fn(&mut Table) -> &mut _),
            (queries.constraints, Table::constraints),
        ] {
            let names: Vec<(String, String)> = session.fetch_all(sql(query)).await?;
            for (table, name) in names {
                if let Some(table) = catalog.tables.get_mut(&table) {
                    set(table).insert(name);
                }
            }
        }
        Ok(catalog)
    }

    /// The names of all tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// The names of a table's columns; none where it is not there.
    pub(crate) fn columns(&self, table: &str) -> impl Iterator<Item = &str> {
        let columns = self.tables.get(table).map(|table| table.columns.keys());
        columns.into_iter().flatten().map(String::as_str)
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(crate) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|table| table.columns.contains_key(column))
    }

    pub(crate) fn has_index(&self, table: &str, index: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|table| table.indexes.contains(index))
    }

    pub(crate) fn has_constraint(&self, table: &str, constraint: &str) -> bool {
        self.tables
            .get(table)
            .is_some_and(|table| table.constraints.contains(constraint))
    }

    /// A column's type as the engine names it, in SQLite with NOT NULL.
    pub(crate) fn column_type(&self, table: &str, column: &str) -> Option<&str> {
        let kind = self.tables.get(table)?.columns.get(column)?;
        Some(kind)
    }

    /// The default collation of a table; only MySQL has one.
    pub(crate) fn collation(&self, table: &str) -> Option<&str> {
        self.tables.get(table)?.collation.as_deref()
    }
}

impl Table {
    fn indexes(&mut self) -> &mut BTreeSet<String> {
        &mut self.indexes
    }

    fn constraints(&mut self) -> &mut BTreeSet<String> {
        &mut self.constraints
    }
}

/// Each but the first gives a table's name and the name of something that it has; a column also its type.
struct Queries {
    tables: &'static str,
    columns: &'static str,
    indexes: &'static str,
    constraints: &'static str,
}

fn queries(engine: Engine) -> Queries {
    match engine {
        Engine::MySql => Queries {
            tables: "SELECT table_name, table_collation FROM information_schema.tables \
                     WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
            columns: "SELECT table_name, column_name, column_type FROM information_schema.columns \
                      WHERE table_schema = DATABASE()",
            indexes: "SELECT DISTINCT table_name, index_name FROM information_schema.statistics \
                      WHERE table_schema = DATABASE()",
            constraints: "SELECT table_name, constraint_name FROM information_schema.table_constraints \
                          WHERE table_schema = DATABASE()",
        },
        Engine::Postgres => Queries {
            tables: "SELECT table_name::text, NULL::text FROM information_schema.tables \
                     WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            columns: "SELECT table_name::text, column_name::text, data_type || COALESCE('(' || character_maximum_length || ')', '') \
                      FROM information_schema.columns \
                      WHERE table_schema = current_schema()",
            indexes: "SELECT tablename::text, indexname::text FROM pg_indexes WHERE schemaname = current_schema()",
            constraints: "SELECT table_name::text, constraint_name::text FROM information_schema.table_constraints \
                          WHERE table_schema = current_schema()",
        },
        Engine::Sqlite => Queries {
            tables: "SELECT name, NULL FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            columns: "SELECT m.name, c.name, c.type || CASE WHEN c.\"notnull\" THEN ' NOT NULL' ELSE '' END \
                      FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
            indexes: "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'",
            // SQLite has no names for them.
            constraints: "SELECT name, name FROM sqlite_master WHERE FALSE",
        },
    }
}
