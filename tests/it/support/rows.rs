//! Rows as another program would write them: statements past the service, on a connection of their own.

use sqlx::{AssertSqlSafe, Column, Executor, Row};

use super::{Database, Engine};

/// What `$body` makes of a connection of the engine's driver, for which it is compiled.
macro_rules! with_connection {
    (@$type:ident, $database:ident, $connection:ident => $body:expr) => {{
        let url = $database.sqlx_url();
        let mut $connection = <sqlx::$type as sqlx::Connection>::connect(&url).await.unwrap();
        let result = $body;
        sqlx::Connection::close($connection).await.unwrap();
        result
    }};
    ($database:ident, $connection:ident => $body:expr) => {
        match $database.engine() {
            $crate::support::Engine::Sqlite => {
                with_connection!(@SqliteConnection, $database, $connection => $body)
            }
            $crate::support::Engine::MySql => {
                with_connection!(@MySqlConnection, $database, $connection => $body)
            }
            $crate::support::Engine::Postgres => {
                with_connection!(@PgConnection, $database, $connection => $body)
            }
        }
    };
}
pub(crate) use with_connection;

/// Runs one statement with `?` for each text. What is no text stands in the statement itself.
pub(crate) async fn execute(database: &Database, statement: &str, texts: &[&str]) {
    let statement = AssertSqlSafe(numbered(database.engine(), statement));
    with_connection!(database, connection => {
        let query = texts
            .iter()
            .fold(sqlx::query(statement), |query, text| query.bind(*text));
        query.execute(&mut connection).await.unwrap();
    });
}

/// Runs many statements without values on one connection.
pub(crate) async fn execute_all(database: &Database, statements: impl IntoIterator<Item = String>) {
    with_connection!(database, connection => {
        for statement in statements {
            let statement = sqlx::raw_sql(AssertSqlSafe(statement));
            connection.execute(statement).await.unwrap();
        }
    });
}

/// How the engine would run a statement with these values, numbers among them: its own words, a line each.
pub(crate) async fn explain(database: &Database, statement: &str, values: &[&str]) -> String {
    let explain = match database.engine() {
        Engine::Sqlite => "EXPLAIN QUERY PLAN",
        Engine::MySql | Engine::Postgres => "EXPLAIN",
    };
    let statement = AssertSqlSafe(format!(
        "{explain} {}",
        with_values(database.engine(), statement, values)
    ));
    let mut lines = Vec::new();
    with_connection!(database, connection => {
        for row in connection.fetch_all(sqlx::raw_sql(statement)).await.unwrap() {
            let words = row.columns().iter().filter_map(|column| {
                let value = row.try_get::<Option<String>, _>(column.ordinal()).ok()??;
                Some(format!("{}={value}", column.name()))
            });
            lines.push(words.collect::<Vec<String>>().join(" "));
        }
    });
    lines.join("\n")
}

/// The statement with literals for its placeholders, whose types the engine then finds out by itself. Those that MySQL does not
/// keep prepared have their values.
fn with_values(engine: Engine, statement: &str, values: &[&str]) -> String {
    if engine == Engine::MySql && !statement.contains('?') {
        return statement.to_owned();
    }
    let mut text = String::new();
    let mut rest = statement;
    for (number, value) in (1..).zip(values) {
        let placeholder = match engine {
            Engine::MySql | Engine::Sqlite => "?".to_owned(),
            Engine::Postgres => format!("${number}"),
        };
        let (before, behind) = rest
            .split_once(&placeholder)
            .unwrap_or_else(|| panic!("no {placeholder} for {value} in {statement}"));
        let literal = match value.parse::<i64>() {
            Ok(number) => number.to_string(),
            Err(_) => format!("'{value}'"),
        };
        text += before;
        text += &literal;
        rest = behind;
    }
    text + rest
}

/// PostgreSQL numbers its placeholders.
fn numbered(engine: Engine, statement: &str) -> String {
    if engine != Engine::Postgres {
        return statement.to_owned();
    }
    let mut parts = statement.split('?');
    let first = parts.next().unwrap().to_owned();
    parts.enumerate().fold(first, |text, (number, part)| {
        format!("{text}${}{part}", number + 1)
    })
}
