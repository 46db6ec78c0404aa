//! Statements and waits end in time, in the database too.

use std::time::Duration;

use freezer_api::config::Config;
use serde_json::json;
use tokio::time::timeout;

use crate::support::locks::Holder;
use crate::support::process::Server;
use crate::support::{Answer, Database, Engine, Service};

const UNAVAILABLE: &str = "The database is unavailable.";
/// Longer than anything here takes; what hangs is to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// Locks the rows of `sessions`; on SQLite the database.
async fn lock_sessions(database: &Database) -> Holder {
    Holder::of(database, "UPDATE sessions SET description = 'held'").await
}

/// Makes each insert into `sessions` take this many seconds; on SQLite, which cannot sleep, very long.
async fn slow_down(database: &Database, seconds: f32) {
    let statements = match database.engine() {
        Engine::Sqlite => vec![
            "CREATE TABLE numbers (n); CREATE TABLE sink (n)".to_owned(),
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000) \
             INSERT INTO numbers SELECT i FROM c"
                .to_owned(),
            "CREATE TRIGGER slow AFTER INSERT ON sessions BEGIN \
             INSERT INTO sink SELECT SUM(a.n + b.n + c.n) FROM numbers a, numbers b, numbers c; END"
                .to_owned(),
        ],
        Engine::MySql => vec![format!(
            "CREATE TRIGGER slow BEFORE INSERT ON sessions FOR EACH ROW SET @slept = SLEEP({seconds})"
        )],
        Engine::Postgres => vec![
            format!(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$"
            ),
            "CREATE TRIGGER slow BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION slow()"
                .to_owned(),
        ],
    };
    for statement in statements {
        database.run(statement).await;
    }
}

async fn speed_up(database: &Database) {
    let statement = match database.engine() {
        Engine::Postgres => "DROP TRIGGER slow ON sessions",
        Engine::MySql | Engine::Sqlite => "DROP TRIGGER slow",
    };
    database.run(statement.to_owned()).await;
}

fn limit_statements(seconds: u64) -> impl FnOnce(&mut Config) {
    move |config| {
        let url = config.database.connection.as_mut().unwrap();
        url.read_timeout = Some(Duration::from_secs(seconds));
    }
}

async fn start_session(service: &Service) -> Answer {
    let answer = service.post("sessions", json!({"schedule": {}}));
    timeout(PATIENCE, answer).await.unwrap()
}

/// No statement of the service is left in the server. (On SQLite: in the file, which somebody else can write to.)
async fn nothing_runs(database: &Database) {
    if database.engine() == Engine::Sqlite {
        database
            .run("UPDATE sessions SET description = ''".to_owned())
            .await;
    } else {
        assert_eq!(database.connections(true).await, 0);
    }
}

on_each_engine! {
    async fn a_wait_for_a_lock_ends(database: Database) {
        let service = Service::with(&database, limit_statements(3)).await;
        let path = format!("sessions/{}", service.session().await);
        let holder = lock_sessions(&database).await;
        let patch = service.patch(&path, json!({"description": "new"}));
        let answer = timeout(PATIENCE, patch).await.unwrap();
        answer.unavailable(UNAVAILABLE);
        if database.engine() != Engine::Sqlite {
            let (running, holder) = (database.connections(true).await, i64::from(database.engine() == Engine::Postgres));
            assert_eq!(running, holder, "only the lock's holder is in a transaction");
        }
        holder.release().await;
        service.patch(&path, json!({"description": "new"})).await.expect(200);
    }

    async fn a_statement_that_is_given_up_ends_in_the_database(database: Database) {
        let service = Service::with(&database, limit_statements(2)).await;
        slow_down(&database, 30.0).await;
        start_session(&service).await.unavailable(UNAVAILABLE);
        nothing_runs(&database).await;
        speed_up(&database).await;
        start_session(&service).await.expect(201);
        assert_eq!(database.rows("sessions", "1 = 1").await, 1);
    }

    async fn a_request_ends_in_time_and_its_change_is_finished(database: Database) {
        let service = Service::with(&database, |config| config.api.request_timeout = Duration::from_secs(1)).await;
        let holder = lock_sessions_table(&database).await;
        start_session(&service).await.unavailable("The request took too long");
        holder.release().await;
        arrives(&database, 1).await;
    }

    async fn a_client_that_goes_away_does_not_stop_its_change(database: Database) {
        let service = Service::start(&database).await;
        let holder = lock_sessions_table(&database).await;
        let going = service.post("sessions", json!({"schedule": {}}));
        timeout(Duration::from_millis(500), going).await.expect_err("the lock is held");
        holder.release().await;
        arrives(&database, 1).await;
    }

    async fn slow_statements_are_logged_without_their_end(database: Database) {
        let configuration = format!("[database]\nconnection = {}\n", database.url());
        let server = Server::start(&configuration, &["--dev"]).unwrap_or_else(|ended| panic!("{}", ended.output));
        let holder = lock_sessions_table(&database).await;
        let url = format!("{}/v2/p/sessions", server.url());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = tokio::spawn(reqwest::Client::new().post(url).body(r#"{"schedule": {}}"#).send());
        tokio::time::sleep(Duration::from_millis(1500)).await;
        holder.release().await;
        assert_eq!(request.await.unwrap().unwrap().status(), 201);
        let output = server.stop().output;
        let line = output.lines().find(|line| line.contains("slow statement")).unwrap_or_else(|| panic!("{output}"));
        assert!(line.len() < 500, "{line}");
    }
}

/// Waits until the table has this many rows.
async fn arrives(database: &Database, rows: i64) {
    let all = async {
        while database.rows("sessions", "1 = 1").await != rows {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, all).await.expect("the change is lost");
}

/// Keeps others from inserting into `sessions`; on SQLite from all writes.
async fn lock_sessions_table(database: &Database) -> Holder {
    let statement = match database.engine() {
        Engine::MySql => "LOCK TABLES sessions READ",
        Engine::Postgres | Engine::Sqlite => "LOCK TABLE sessions IN SHARE MODE",
    };
    Holder::of(database, statement).await
}
