//! Locks that another program holds.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};

use super::{Database, Engine};

/// What keeps a lock until it is released.
pub(crate) enum Holder {
    Sqlite(SqliteConnection),
    MySql(MySqlConnection),
    Postgres(PgConnection),
}

impl Holder {
    /// Holds what this statement locks in a transaction; on SQLite the whole database, for which it needs no statement.
    pub(crate) async fn of(database: &Database, statement: &'static str) -> Holder {
        let url = database.sqlx_url();
        match database.engine() {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                connection.execute("BEGIN IMMEDIATE").await.unwrap();
                Holder::Sqlite(connection)
            }
            Engine::MySql => {
                let mut connection = MySqlConnection::connect(&url).await.unwrap();
                connection.execute("BEGIN").await.unwrap();
                connection.execute(statement).await.unwrap();
                Holder::MySql(connection)
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                connection.execute("BEGIN").await.unwrap();
                connection.execute(statement).await.unwrap();
                Holder::Postgres(connection)
            }
        }
    }

    /// Does something more in its transaction.
    pub(crate) async fn run(&mut self, statement: String) {
        let statement = AssertSqlSafe(statement);
        match self {
            Holder::Sqlite(connection) => connection.execute(statement).await.map(drop),
            Holder::MySql(connection) => connection.execute(statement).await.map(drop),
            Holder::Postgres(connection) => connection.execute(statement).await.map(drop),
        }
        .unwrap();
    }

    /// Ends its transaction with all that it has done.
    pub(crate) async fn commit(mut self) {
        self.run("COMMIT".to_owned()).await;
        self.release().await;
    }

    /// Ends the connection, which undoes its transaction.
    pub(crate) async fn release(self) {
        match self {
            Holder::Sqlite(connection) => connection.close().await,
            Holder::MySql(connection) => connection.close().await,
            Holder::Postgres(connection) => connection.close().await,
        }
        .unwrap();
    }
}
