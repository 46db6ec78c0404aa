//! Rows as another program would write them: statements past the service, on a connection of their own.

use sqlx::{
    AssertSqlSafe, Column, Connection, Executor, MySqlConnection, PgConnection, Row,
    SqliteConnection,
};

use super::{Database, Engine};

/// Runs one statement with `?` for each text. What is no text stands in the statement itself.
pub(crate) async fn execute(database: &Database, statement: &str, texts: &[&str]) {
    let url = database.sqlx_url();
    let statement = AssertSqlSafe(numbered(database.engine(), statement));
    macro_rules! run {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(&url).await.unwrap();
            let query = texts
                .iter()
                .fold(sqlx::query(statement), |query, text| query.bind(*text));
            query.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }};
    }
    match database.engine() {
        Engine::Sqlite => run!(SqliteConnection),
        Engine::MySql => run!(MySqlConnection),
        Engine::Postgres => run!(PgConnection),
    }
}

/// Runs many statements without values on one connection.
pub(crate) async fn execute_all(database: &Database, statements: impl IntoIterator<Item = String>) {
    let url = database.sqlx_url();
    macro_rules! run {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(&url).await.unwrap();
            for statement in statements {
                connection
                    .execute(sqlx::raw_sql(AssertSqlSafe(statement)))
                    .await
                    .unwrap();
            }
            connection.close().await.unwrap();
        }};
    }
    match database.engine() {
        Engine::Sqlite => run!(SqliteConnection),
        Engine::MySql => run!(MySqlConnection),
        Engine::Postgres => run!(PgConnection),
    }
}

/// How the engine would run a statement whose values are these texts: its own words, a line each.
pub(crate) async fn explain(database: &Database, statement: &str, texts: &[&str]) -> String {
    let url = database.sqlx_url();
    let explain = match database.engine() {
        Engine::Sqlite => "EXPLAIN QUERY PLAN",
        Engine::MySql | Engine::Postgres => "EXPLAIN",
    };
    let statement = AssertSqlSafe(format!("{explain} {statement}"));
    let mut lines = Vec::new();
    macro_rules! run {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(&url).await.unwrap();
            let query = texts
                .iter()
                .fold(sqlx::query(statement), |query, text| query.bind(*text));
            for row in query.fetch_all(&mut connection).await.unwrap() {
                let words = row.columns().iter().filter_map(|column| {
                    let value = row.try_get::<Option<String>, _>(column.ordinal()).ok()??;
                    Some(format!("{}={value}", column.name()))
                });
                lines.push(words.collect::<Vec<String>>().join(" "));
            }
            connection.close().await.unwrap();
        }};
    }
    match database.engine() {
        Engine::Sqlite => run!(SqliteConnection),
        Engine::MySql => run!(MySqlConnection),
        Engine::Postgres => run!(PgConnection),
    }
    lines.join("\n")
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
