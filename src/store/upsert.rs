//! Rows of tables that are made of others: written as they shall be, whether they are there or not.

use super::statement::{Argument, Statement, pieces, sql};
use super::{Engine, StoreError, Tx};

/// A table whose rows are replaced by their key.
pub(super) struct Replaced {
    pub(super) table: &'static str,
    pub(super) key: &'static [&'static str],
    /// All columns, in the order of the values.
    pub(super) columns: &'static [&'static str],
}

impl Replaced {
    fn statement(&self, engine: Engine, rows: usize) -> Statement {
        let Replaced { table, columns, .. } = self;
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        let rows = vec![row; rows].join(", ");
        let others: Vec<&str> = columns
            .iter()
            .copied()
            .filter(|column| !self.key.contains(column))
            .collect();
        sql(format!(
            "INSERT INTO {table} ({}) VALUES {rows}{}",
            columns.join(", "),
            or_becomes(engine, &self.key.join(", "), &others)
        ))
    }
}

impl Tx {
    /// Writes rows, each with its values in the order of the columns.
    pub(super) async fn replace(
        &mut self,
        what: &Replaced,
        rows: &[Vec<Argument>],
    ) -> Result<(), StoreError> {
        for rows in pieces(rows) {
            let statement = what.statement(self.engine(), rows.len());
            let statement = statement.bind_all(rows.iter().flatten().cloned());
            self.session.execute(statement).await?;
        }
        Ok(())
    }

    /// Adds the row of an `INSERT` unless there is one with its key; whether it did. MySQL counts a row that stays as one that has
    /// changed, so there it is the error that tells.
    pub(super) async fn insert_new(&mut self, insert: Statement) -> Result<bool, StoreError> {
        let inserted = match self.engine() {
            Engine::MySql => self.session.execute(insert).await,
            Engine::Postgres | Engine::Sqlite => {
                let insert = insert.push(" ON CONFLICT DO NOTHING");
                self.session.execute(insert).await
            }
        };
        match inserted {
            Ok(rows) => Ok(rows > 0),
            Err(error) if error.is_duplicate_key() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What an INSERT does where the row is there: it gives some columns the new values.
pub(super) fn or_becomes(engine: Engine, key: &str, columns: &[&str]) -> String {
    let (begin, [open, close]) = match engine {
        Engine::MySql => ("ON DUPLICATE KEY UPDATE".to_owned(), ["VALUES(", ")"]),
        Engine::Postgres | Engine::Sqlite => (
            format!("ON CONFLICT ({key}) DO UPDATE SET"),
            ["excluded.", ""],
        ),
    };
    let changes: Vec<String> = columns
        .iter()
        .map(|column| format!("{column} = {open}{column}{close}"))
        .collect();
    format!(" {begin} {}", changes.join(", "))
}

/// What an INSERT does where the row is there: nothing.
pub(super) fn or_stays(engine: Engine, key: &str) -> String {
    match engine {
        Engine::MySql => format!(" ON DUPLICATE KEY UPDATE {key} = {key}"),
        Engine::Postgres | Engine::Sqlite => " ON CONFLICT DO NOTHING".to_owned(),
    }
}

/// An expression of a sum as an integer of 64 bits: engines add integers up to numbers of other types.
pub(super) fn as_integer(engine: Engine, expression: &str) -> String {
    let kind = match engine {
        Engine::MySql => "SIGNED",
        Engine::Postgres | Engine::Sqlite => "BIGINT",
    };
    format!("CAST({expression} AS {kind})")
}
