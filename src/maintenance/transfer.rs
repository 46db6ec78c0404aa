//! Whole rows from one database to another, or to a file and back: `freezer-manage db copy`, `export` and `import`.
//!
//! Every value travels as text in one form for all engines ([`Kind`]), so that rows of different engines can be compared.

mod copy;
mod lines;

pub use copy::{Copied, CopyError};
pub use lines::{ImportError, Imported};

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::store::connection::DbSession;
use crate::store::statement::{Argument, Statement, placeholders, sql};
use crate::store::{Engine, StoreError};

/// How many rows are read at once.
const BATCH: usize = 250;
/// How many bytes one statement writes, as far as a row is not larger; servers limit their packets.
const STATEMENT_BYTES: usize = 1 << 21;

/// A column's values, and how they are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is.
    Text,
    /// Decimal.
    Integer,
    /// `0` or `1`.
    Boolean,
    /// `2024-02-29 23:59:58.000000`, UTC.
    Time,
    /// Hexadecimal, upper case.
    Bytes,
}

/// A table that is carried over.
#[derive(Debug)]
struct Table {
    name: &'static str,
    /// Its primary key.
    key: &'static [&'static str],
    columns: &'static [(&'static str, Kind)],
    /// Whether rows belong to a project themselves, or to a project's job.
    owned: bool,
}

const TIME_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");

macro_rules! table {
    ($name:literal, key [$($key:literal),+], owned $owned:literal, $($kind:ident: $($column:ident)+;)+) => {
        Table {
            name: $name,
            key: &[$($key),+],
            columns: &[$($((stringify!($column), Kind::$kind),)+)+],
            owned: $owned,
        }
    };
}

/// All tables with rows of value; what refers to others comes after them. `client_registrations` fills itself.
static TABLES: &[Table] = &[
    table!("clients", key ["id"], owned true,
        Text: id project_id user_id client_id hostname description uuid supported_actions supported_modes
            supported_storages supported_engines;
        Boolean: is_central deleted;
        Time: deleted_at created_at updated_at;),
    table!("sessions", key ["id"], owned true,
        Text: id project_id user_id description schedule job status result;
        Integer: session_tag hold_off time_start time_end time_started time_ended;
        Boolean: deleted;
        Time: deleted_at created_at updated_at;),
    table!("actions", key ["id"], owned true,
        Text: id project_id user_id action actionmode path_to_backup backup_name container log_file backup_metadata;
        Integer: timeout priority max_retries_interval max_retries;
        Boolean: mandatory deleted;
        Time: deleted_at created_at updated_at;),
    table!("jobs", key ["id"], owned true,
        Text: id project_id user_id client_id session_id description schedule;
        Integer: session_tag;
        Boolean: deleted;
        Time: deleted_at created_at updated_at;),
    table!("job_actions", key ["id"], owned false,
        Text: id job_id action_id;
        Integer: position;
        Boolean: deleted;
        Time: deleted_at created_at updated_at;),
    table!("user_credentials", key ["id"], owned false,
        Text: id trust_id trustor_user_id job_id;
        Boolean: deleted;
        Time: deleted_at created_at updated_at;),
    table!("backups", key ["id"], owned true,
        Text: id project_id user_id job_id status backup_metadata;
        Boolean: deleted;
        Time: deleted_at created_at updated_at;),
    table!("action_reports", key ["id"], owned true,
        Text: id project_id user_id result time_elapsed;
        Bytes: log;
        Boolean: deleted;
        Time: report_date deleted_at created_at updated_at;),
    table!("freezer_api_leftovers", key ["table_name", "row_id", "column_name", "position"], owned false,
        Text: table_name row_id column_name value reason;
        Integer: position;),
];

/// A row's values as text, in the order of the table's columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TextRow(Vec<Option<String>>);

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
enum Selection<'a> {
    /// All rows.
    All,
    /// Those that are not deleted.
    Live,
    /// Those of a project that are not deleted.
    Project(&'a str),
}

impl Table {
    fn column_names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| *name == column)
    }

    /// The primary key of a row.
    fn key_of<'r>(&self, row: &'r TextRow) -> Vec<Option<&'r str>> {
        let values = self.columns.iter().zip(&row.0);
        let value = |key: &str| {
            let found = values.clone().find(|((name, _), _)| *name == key)?;
            found.1.as_deref()
        };
        self.key.iter().map(|key| value(key)).collect()
    }

    /// The next rows behind `last`, along the primary key.
    async fn read(
        &self,
        session: &mut DbSession,
        last: Option<&TextRow>,
        selection: Selection<'_>,
    ) -> Result<Vec<TextRow>, StoreError> {
        let engine = session.engine();
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| kind.as_text(engine, name))
            .collect();
        let mut query = sql(format!(
            "SELECT {} FROM {} t",
            columns.join(", "),
            self.name
        ));
        query = self.select(query, selection);
        let key: Vec<String> = self.key.iter().map(|key| format!("t.{key}")).collect();
        let key = key.join(", ");
        if let Some(last) = last {
            let marks = placeholders(self.key.len());
            query = query.push(&format!(" AND ({key}) > ({marks})"));
            for (value, name) in self.key_of(last).into_iter().zip(self.key) {
                query = query.bind(self.kind(name).argument(value)?);
            }
        }
        session
            .fetch_all(query.push(&format!(" ORDER BY {key} LIMIT {BATCH}")))
            .await
    }

    fn select(&self, query: Statement, selection: Selection<'_>) -> Statement {
        let query = query.push(" WHERE 1 = 1");
        let live = match self.has_column("deleted") && selection != Selection::All {
            true => query.push(" AND t.deleted = FALSE"),
            false => query,
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

    fn kind(&self, column: &str) -> Kind {
        let found = self.columns.iter().find(|(name, _)| *name == column);
        found.map_or(Kind::Text, |(_, kind)| *kind)
    }

    /// Writes rows; those whose key is there already stay as they are.
    async fn insert(&self, session: &mut DbSession, rows: &[TextRow]) -> Result<(), StoreError> {
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
        let mut statement = sql(format!(
            "INSERT INTO {} ({}) VALUES ",
            self.name,
            self.column_names().join(", ")
        ));
        for (at, row) in rows.iter().enumerate() {
            statement = statement.push(if at == 0 { "(" } else { ", (" });
            for (at, ((_, kind), value)) in self.columns.iter().zip(&row.0).enumerate() {
                statement = statement.push(if at == 0 { "" } else { ", " });
                statement = match value {
                    None => statement.push("NULL"),
                    Some(value) => statement
                        .push(kind.placeholder(engine))
                        .bind(kind.argument(Some(value))?),
                };
            }
            statement = statement.push(")");
        }
        let first = self.key.first().copied().unwrap_or_default();
        let stays = match engine {
            Engine::MySql => format!(" ON DUPLICATE KEY UPDATE {first} = {first}"),
            Engine::Postgres | Engine::Sqlite => " ON CONFLICT DO NOTHING".to_owned(),
        };
        session.execute(statement.push(&stays)).await?;
        Ok(())
    }

    async fn count(
        &self,
        session: &mut DbSession,
        selection: Selection<'_>,
    ) -> Result<u64, StoreError> {
        let query = sql(format!("SELECT COUNT(*) FROM {} t", self.name));
        let counted: Vec<(i64,)> = session.fetch_all(self.select(query, selection)).await?;
        Ok(counted.first().map_or(0, |(count,)| count.unsigned_abs()))
    }
}

impl Kind {
    /// The expression that gives the text.
    fn as_text(self, engine: Engine, column: &str) -> String {
        match (self, engine) {
            (Kind::Text, Engine::Sqlite) => format!("CAST(t.{column} AS TEXT)"),
            (Kind::Text, _) => format!("t.{column}"),
            (Kind::Integer | Kind::Boolean, Engine::MySql) => format!("CAST(t.{column} AS CHAR)"),
            (Kind::Integer, Engine::Postgres) => format!("t.{column}::text"),
            (Kind::Boolean, Engine::Postgres) => format!("t.{column}::int::text"),
            (Kind::Integer | Kind::Boolean, Engine::Sqlite) => format!("CAST(t.{column} AS TEXT)"),
            (Kind::Time, Engine::MySql) => {
                format!("DATE_FORMAT(t.{column}, '%Y-%m-%d %H:%i:%s.%f')")
            }
            (Kind::Time, Engine::Postgres) => {
                format!("to_char(t.{column}, 'YYYY-MM-DD HH24:MI:SS.US')")
            }
            (Kind::Time, Engine::Sqlite) => {
                format!(
                    "CASE LENGTH(t.{column}) WHEN 19 THEN t.{column} || '.000000' ELSE t.{column} END"
                )
            }
            (Kind::Bytes, Engine::Postgres) => format!("upper(encode(t.{column}, 'hex'))"),
            (Kind::Bytes, Engine::MySql) => format!("HEX(t.{column})"),
            (Kind::Bytes, Engine::Sqlite) => {
                format!("CASE WHEN t.{column} IS NOT NULL THEN HEX(t.{column}) END")
            }
        }
    }

    fn placeholder(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Kind::Bytes, Engine::Postgres) => "decode(?, 'hex')",
            (Kind::Bytes, Engine::MySql | Engine::Sqlite) => "unhex(?)",
            _ => "?",
        }
    }

    /// The value that a text stands for.
    fn argument(self, text: Option<&str>) -> Result<Argument, StoreError> {
        let Some(text) = text else {
            return Ok(Argument::Text(None));
        };
        let wrong = || StoreError::Value {
            got: text.chars().take(50).collect(),
            wanted: self.name(),
        };
        Ok(match self {
            Kind::Text | Kind::Bytes => text.into(),
            Kind::Integer => text.parse::<i64>().map_err(|_| wrong())?.into(),
            Kind::Boolean => match text {
                "0" => false.into(),
                "1" => true.into(),
                _ => return Err(wrong()),
            },
            Kind::Time => PrimitiveDateTime::parse(text, TIME_FORMAT)
                .map_err(|_| wrong())?
                .into(),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Integer => "an integer",
            Kind::Boolean => "0 or 1",
            Kind::Time => "a time such as 2024-02-29 23:59:58.000000",
            Kind::Bytes => "hexadecimal digits",
        }
    }
}
