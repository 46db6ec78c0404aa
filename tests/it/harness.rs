//! The support itself: what every other test takes for granted.

use sqlx::{Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};

use crate::support::{Database, Engine, engines};

/// Makes a table `t` in `database`; an error when there is one already.
async fn make_a_table(database: &Database) -> sqlx::Result<()> {
    let url = database.sqlx_url();
    let statement = "CREATE TABLE t (id INTEGER)";
    match database.engine() {
        Engine::Sqlite => SqliteConnection::connect(&url)
            .await?
            .execute(statement)
            .await
            .map(drop),
        Engine::MySql => MySqlConnection::connect(&url)
            .await?
            .execute(statement)
            .await
            .map(drop),
        Engine::Postgres => PgConnection::connect(&url)
            .await?
            .execute(statement)
            .await
            .map(drop),
    }
}

on_each_engine! {
    async fn every_test_has_a_database_of_its_own(database: Database) {
        let other = Database::create(database.engine()).await;
        assert_ne!(database.url(), other.url());
        make_a_table(&database).await.unwrap();
        make_a_table(&other).await.unwrap();
        make_a_table(&other).await.unwrap_err();
    }
}

on_each_engine! {
    async fn a_database_is_dropped_with_its_value(database: Database) {
        let other = Database::create(database.engine()).await;
        let url = other.sqlx_url();
        drop(other);
        let gone = match database.engine() {
            Engine::Sqlite => SqliteConnection::connect(&url).await.is_err(),
            Engine::MySql => MySqlConnection::connect(&url).await.is_err(),
            Engine::Postgres => PgConnection::connect(&url).await.is_err(),
        };
        assert!(gone, "{url} can still be reached");
    }
}

#[test]
fn sqlite_is_always_there() {
    assert_eq!(engines().first(), Some(&Engine::Sqlite));
}
