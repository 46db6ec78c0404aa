//! Whole rows as text, in one form for all engines: what `db copy`, `export` and `import` carry, so that rows of different
//! engines can be compared.
//!
//! Text is as it is, integers are decimal, booleans `0` or `1`, times `2024-02-29 23:59:58.000000` in UTC, bytes upper-case
//! hexadecimal.

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::store::connection::DbSession;
use crate::store::statement::{Argument, Statement, placeholders, sql};
use crate::store::tables::{Column, ColumnKind, Table};
use crate::store::{Engine, StoreError};

/// How many rows are read at once.
pub(super) const BATCH: usize = 250;
/// How many bytes one statement writes, as far as a row is not larger; servers limit their packets.
const STATEMENT_BYTES: usize = 1 << 21;

pub(super) const TIME_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");

/// A row's values as text, in the order of the table's columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TextRow(pub(super) Vec<Option<String>>);

impl TextRow {
    fn bytes(&self) -> usize {
        self.0.iter().flatten().map(String::len).sum()
    }
}

impl<'r, R> FromRow<'r, R> for TextRow
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        (0..row.len())
            .map(|column| row.try_get(column))
            .collect::<Result<_, _>>()
            .map(TextRow)
    }
}

/// Which rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection<'a> {
    /// All rows.
    All,
    /// Those that are not deleted.
    Live,
    /// Those of a project that are not deleted.
    Project(&'a str),
}

impl Table {
    /// The columns with the values that a row has for them.
    pub(super) fn values<'r>(
        &self,
        row: &'r TextRow,
    ) -> impl Iterator<Item = (&'static Column, Option<&'r str>)> + use<'r> {
        let values = row.0.iter().map(Option::as_deref);
        self.columns.iter().zip(values)
    }

    /// The primary key of a row, as people read it.
    fn key_of(&self, row: &TextRow) -> String {
        let key = self.values(row).filter(|(column, _)| column.is_key);
        let key: Vec<&str> = key.filter_map(|(_, value)| value).collect();
        key.join(" ")
    }

    /// The next rows behind `last`, along the primary key. A time that is no date, which MySQL can hold, becomes null;
    /// `warn` is told which.
    pub(super) async fn read(
        &self,
        session: &mut DbSession,
        last: Option<&TextRow>,
        selection: Selection<'_>,
        warn: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Vec<TextRow>, StoreError> {
        let query = self.select_after(session.engine(), last, selection)?;
        let mut rows: Vec<TextRow> = session.fetch_all(query).await?;
        for row in &mut rows {
            self.clear_impossible_times(row, warn);
        }
        Ok(rows)
    }

    /// The rows with these ids, in no order.
    pub(super) async fn read_ids(
        &self,
        session: &mut DbSession,
        ids: &[&str],
    ) -> Result<Vec<TextRow>, StoreError> {
        let mut rows = Vec::new();
        for ids in ids.chunks(BATCH) {
            let columns: Vec<String> = self
                .columns
                .iter()
                .map(|column| as_text(column, session.engine()))
                .collect();
            let query = format!(
                "SELECT {} FROM {} t WHERE t.id IN ({})",
                columns.join(", "),
                self.name,
                placeholders(ids.len())
            );
            let query = sql(query).bind_all(ids.iter().copied());
            let found: Vec<TextRow> = session.fetch_all(query).await?;
            rows.extend(found);
        }
        Ok(rows)
    }

    fn clear_impossible_times(&self, row: &mut TextRow, warn: &mut (dyn FnMut(&str) + Send)) {
        let impossible = |(column, value): (&Column, Option<&str>)| {
            column.kind == ColumnKind::Time
                && value.is_some_and(|time| PrimitiveDateTime::parse(time, TIME_FORMAT).is_err())
        };
        let impossible: Vec<bool> = self.values(row).map(impossible).collect();
        let key = self.key_of(row);
        for ((column, value), impossible) in self.columns.iter().zip(&mut row.0).zip(impossible) {
            if impossible && let Some(time) = value.take() {
                warn(&format!(
                    "{} {key}: {} is {time}, which is not a date; it becomes null",
                    self.name, column.name
                ));
            }
        }
    }

    fn select_after(
        &self,
        engine: Engine,
        last: Option<&TextRow>,
        selection: Selection<'_>,
    ) -> Result<Statement, StoreError> {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| as_text(column, engine))
            .collect();
        let mut query = sql(format!(
            "SELECT {} FROM {} t",
            columns.join(", "),
            self.name
        ));
        query = self.select(query, selection);
        let key: Vec<String> = self.key().map(|key| format!("t.{}", key.name)).collect();
        let marks = placeholders(key.len());
        let key = key.join(", ");
        if let Some(last) = last {
            query = query.push(&format!(" AND ({key}) > ({marks})"));
            for (column, value) in self.values(last).filter(|(column, _)| column.is_key) {
                query = query.bind(argument(column.kind, value)?);
            }
        }
        Ok(query.push(&format!(" ORDER BY {key} LIMIT {BATCH}")))
    }

    fn select(&self, query: Statement, selection: Selection<'_>) -> Statement {
        let query = query.push(" WHERE 1 = 1");
        let live = if self.has_column("deleted") && selection != Selection::All {
            query.push(" AND t.deleted = FALSE")
        } else {
            query
        };
        match selection {
            Selection::Project(project) if self.owned => {
                live.push(" AND t.project_id = ?").bind(project)
            }
            Selection::Project(project) if self.has_column("job_id") => live
                .push(" AND t.job_id IN (SELECT id FROM jobs WHERE deleted = FALSE AND project_id = ?)")
                .bind(project),
            Selection::Project(_) => live.push(" AND 1 = 0"),
            Selection::All | Selection::Live => live,
        }
    }

    /// Writes rows; those whose key is there already stay as they are.
    pub(super) async fn insert(
        &self,
        session: &mut DbSession,
        rows: &[TextRow],
    ) -> Result<(), StoreError> {
        let mut bytes = 0;
        let mut at_limit = |row: &TextRow| {
            bytes += row.bytes();
            let full = bytes > STATEMENT_BYTES;
            if full {
                bytes = row.bytes();
            }
            full
        };
        for rows in rows.chunk_by(|_, next| !at_limit(next)) {
            self.insert_once(session, rows).await?;
        }
        Ok(())
    }

    async fn insert_once(
        &self,
        session: &mut DbSession,
        rows: &[TextRow],
    ) -> Result<(), StoreError> {
        let engine = session.engine();
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut statement = sql(format!(
            "INSERT INTO {} ({}) VALUES ",
            self.name,
            names.join(", ")
        ));
        for (at, row) in rows.iter().enumerate() {
            statement = statement.push(if at == 0 { "(" } else { ", (" });
            for (at, (column, value)) in self.values(row).enumerate() {
                statement = statement.push(if at == 0 { "" } else { ", " });
                statement = match value {
                    None => statement.push("NULL"),
                    Some(_) => statement
                        .push(placeholder(column.kind, engine))
                        .bind(argument(column.kind, value)?),
                };
            }
            statement = statement.push(")");
        }
        let same: Vec<String> = self
            .key()
            .map(|key| format!("{0} = {0}", key.name))
            .collect();
        let stays = match engine {
            Engine::MySql => format!(" ON DUPLICATE KEY UPDATE {}", same.join(", ")),
            Engine::Postgres | Engine::Sqlite => " ON CONFLICT DO NOTHING".to_owned(),
        };
        session.execute(statement.push(&stays)).await?;
        Ok(())
    }

    /// Overwrites rows that are there, but for when they came to be and whether they are deleted.
    pub(super) async fn update(
        &self,
        session: &mut DbSession,
        rows: &[TextRow],
    ) -> Result<(), StoreError> {
        let engine = session.engine();
        let stays = |column: &Column| {
            column.is_key || ["created_at", "deleted", "deleted_at"].contains(&column.name)
        };
        for row in rows {
            let mut statement = sql(format!("UPDATE {} SET ", self.name));
            let set = self.values(row).filter(|(column, _)| !stays(column));
            for (at, (column, value)) in set.enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                statement = statement.push(comma).push(column.name).push(" = ");
                statement = match value {
                    None => statement.push("NULL"),
                    Some(_) => statement
                        .push(placeholder(column.kind, engine))
                        .bind(argument(column.kind, value)?),
                };
            }
            statement = statement.push(" WHERE id = ?").bind(self.key_of(row));
            session.execute(statement).await?;
        }
        Ok(())
    }

    pub(super) async fn count(
        &self,
        session: &mut DbSession,
        selection: Selection<'_>,
    ) -> Result<u64, StoreError> {
        let query = sql(format!("SELECT COUNT(*) FROM {} t", self.name));
        session.count(self.select(query, selection)).await
    }
}

/// The expression that gives a column's text.
fn as_text(column: &Column, engine: Engine) -> String {
    use ColumnKind::{Boolean, Bytes, Integer, Json, Text, Time};
    let name = column.name;
    match (column.kind, engine) {
        (Text | Json(_), Engine::Sqlite) => format!("CAST(t.{name} AS TEXT)"),
        (Text | Json(_), _) => format!("t.{name}"),
        (Integer | Boolean, Engine::MySql) => format!("CAST(t.{name} AS CHAR)"),
        (Integer, Engine::Postgres) => format!("t.{name}::text"),
        (Boolean, Engine::Postgres) => format!("t.{name}::int::text"),
        (Integer | Boolean, Engine::Sqlite) => format!("CAST(t.{name} AS TEXT)"),
        (Time, Engine::MySql) => format!("DATE_FORMAT(t.{name}, '%Y-%m-%d %H:%i:%s.%f')"),
        (Time, Engine::Postgres) => format!("to_char(t.{name}, 'YYYY-MM-DD HH24:MI:SS.US')"),
        (Time, Engine::Sqlite) => {
            format!("CASE LENGTH(t.{name}) WHEN 19 THEN t.{name} || '.000000' ELSE t.{name} END")
        }
        (Bytes, Engine::Postgres) => format!("upper(encode(t.{name}, 'hex'))"),
        (Bytes, Engine::MySql) => format!("HEX(t.{name})"),
        (Bytes, Engine::Sqlite) => {
            format!("CASE WHEN t.{name} IS NOT NULL THEN HEX(t.{name}) END")
        }
    }
}

fn placeholder(kind: ColumnKind, engine: Engine) -> &'static str {
    match (kind, engine) {
        (ColumnKind::Bytes, Engine::Postgres) => "decode(?, 'hex')",
        (ColumnKind::Bytes, Engine::MySql | Engine::Sqlite) => "unhex(?)",
        _ => "?",
    }
}

/// The value that a text stands for.
fn argument(kind: ColumnKind, text: Option<&str>) -> Result<Argument, StoreError> {
    let Some(text) = text else {
        return Ok(Argument::Text(None));
    };
    let wrong = |wanted| StoreError::Value {
        got: text.chars().take(50).collect(),
        wanted,
    };
    Ok(match kind {
        ColumnKind::Text | ColumnKind::Json(_) | ColumnKind::Bytes => text.into(),
        ColumnKind::Integer => text.parse::<i64>().map_err(|_| wrong("an integer"))?.into(),
        ColumnKind::Boolean => match text {
            "0" => false.into(),
            "1" => true.into(),
            _ => return Err(wrong("0 or 1")),
        },
        ColumnKind::Time => PrimitiveDateTime::parse(text, TIME_FORMAT)
            .map_err(|_| wrong("a time such as 2024-02-29 23:59:58.000000"))?
            .into(),
    })
}
