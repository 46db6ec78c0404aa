//! Connecting to a database: accounts, and what is told at once because waiting does not help.

mod certificates;
mod postgres_hosts;

use std::process::Output;
use std::time::{Duration, Instant};

use crate::server::refusal;
use crate::support::mariadb::MariaDb;
use crate::support::process::{Server, manage};
use crate::support::{Database, Engine, needed};
use crate::walk::walk;

/// Less than `retry_interval`, so that nothing was tried twice.
const AT_ONCE: Duration = Duration::from_secs(8);

fn failure(configuration: &str, arguments: &[&str]) -> String {
    let start = Instant::now();
    let output = manage(configuration, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{configuration}");
    assert!(start.elapsed() < AT_ONCE, "{configuration}: {text}");
    text
}

fn succeeds(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_accounts_and_settings() {
    let server = MariaDb::start(&["--log-bin", "--server-id=1"]).await;
    for account in [
        "'none'@'127.0.0.1' IDENTIFIED BY ''",
        "'some'@'127.0.0.1' IDENTIFIED BY 'p@ss/:w%25ö'",
    ] {
        server.run(&format!("CREATE USER {account}")).await;
    }
    for user in ["none", "some"] {
        let grant = format!("GRANT ALL ON freezer.* TO '{user}'@'127.0.0.1'");
        server.run(&grant).await;
    }
    // An empty password is none.
    for (credentials, name) in [
        ("none", "freezer"),
        ("none:", "freezer"),
        ("none", "freezer?password="),
        ("some:p%40ss/:w%2525%C3%B6", "freezer"),
    ] {
        succeeds(&manage(
            &server.configuration(credentials, name),
            &["db", "sync"],
        ));
    }
    // What no waiting cures is told at once.
    for (credentials, name, reason) in [
        ("some:wrong", "freezer", "1045"),
        ("none", "nothing", "nothing"),
        (
            "none",
            "freezer?ssl_ca=/nonexistent.pem",
            "cannot read /nonexistent.pem",
        ),
    ] {
        let text = failure(&server.configuration(credentials, name), &["db", "sync"]);
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains("wrong@") && !text.contains("w%25"), "{text}");
    }
    // A binary log that our transactions cannot be written to, before anything is changed.
    server.run("SET GLOBAL binlog_format = STATEMENT").await;
    let configuration = server.configuration("none", "freezer");
    for arguments in [&["db", "sync"][..], &["db", "downgrade"]] {
        let text = failure(&configuration, arguments);
        assert!(text.contains("binlog_format"), "{text}");
    }
    server.run("SET GLOBAL binlog_format = MIXED").await;
    succeeds(&manage(&configuration, &["db", "sync"]));
    server.run("INSTALL SONAME 'auth_ed25519'").await;
    server
        .run("CREATE USER 'e'@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('secret')")
        .await;
    let text = failure(
        &server.configuration("e:secret", "freezer"),
        &["db", "sync"],
    );
    assert!(
        text.contains("client_ed25519, which this program does not have"),
        "{text}"
    );
}

/// A genuine MySQL, of a version that cannot hold the tables: it is told which can, and stays as it is.
#[tokio::test]
#[ignore = "needs MySQL 5.6: ./test starts it"]
async fn mysql_5_6_is_refused_before_anything_changes() {
    let server = needed("FREEZER_TEST_MYSQL_56_URL");
    let database = Database::create_with(Engine::MySql, server, "CHARACTER SET utf8").await;
    let configuration = database.configuration();
    for arguments in [&["db", "sync"][..], &["db", "downgrade"]] {
        let text = failure(&configuration, arguments);
        assert!(
            text.contains("the server is version 5.6.24; MySQL 5.7.8"),
            "{text}"
        );
    }
    let ended = refusal(&configuration, &["--dev"]);
    assert!(ended.output.contains("MySQL 5.7.8"), "{}", ended.output);
    let tables = format!("table_schema = '{}'", database.name());
    assert_eq!(database.rows("information_schema.tables", &tables).await, 0);
}

/// A server whose sessions commit nothing by themselves, begin a transaction behind each, and give one row of each table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_defaults_of_sessions() {
    let server = MariaDb::start(&[
        "--autocommit=0",
        "--completion-type=CHAIN",
        "--transaction-isolation=SERIALIZABLE",
        "--innodb-default-row-format=COMPACT",
        "--init-connect=SET sql_safe_updates = 1, sql_select_limit = 1, foreign_key_checks = 0",
    ])
    .await;
    server.run("CREATE USER 'some'@'127.0.0.1'").await;
    server
        .run("GRANT ALL ON freezer.* TO 'some'@'127.0.0.1'")
        .await;
    let configuration = server.configuration("some", "freezer");
    succeeds(&manage(&configuration, &["db", "sync"]));
    let api = Server::start(&configuration, &["--dev"]).unwrap();
    let api = tokio::task::spawn_blocking(move || {
        walk(&api);
        api
    })
    .await
    .unwrap();
    drop(api);
    // What was answered is there when its server is gone.
    for table in ["clients", "jobs", "sessions", "backups"] {
        assert_eq!(server.rows(table).await, 1, "{table}");
    }
    assert_eq!(server.rows("job_actions").await, 2);
}

/// What the URL sets for each session holds, and what could say where to work and is not known is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_urls_mean_what_they_say() {
    let database = Database::create(Engine::Postgres).await;
    database.run("CREATE SCHEMA fz".to_owned()).await;
    let with = |parameters: &str| format!("{}?{parameters}\n", database.configuration().trim_end());
    for wrong in [
        "options=-e",
        "search_path=fz",
        "target_session_attrs=standby",
    ] {
        let text = failure(&with(wrong), &["db", "sync"]);
        assert!(text.contains("[database] connection"), "{text}");
    }
    let configuration = with("options=-csearch_path%3Dfz");
    succeeds(&manage(&configuration, &["db", "sync"]));
    let again = manage(&configuration, &["db", "sync"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "nothing to do\n");
    let tables = |schema: &str| format!("table_schema = '{schema}' AND table_name = 'jobs'");
    let mut found = Vec::new();
    for schema in ["fz", "public"] {
        found.push(
            database
                .rows("information_schema.tables", &tables(schema))
                .await,
        );
    }
    assert_eq!(found, [1, 0]);
}

/// What may pass is waited for.
#[tokio::test]
async fn a_server_that_does_not_listen_yet_is_waited_for() {
    let configuration = "[database]\nconnection = mysql+pymysql://u:p@127.0.0.1:1/freezer\nmax_retries = 2\nretry_interval = 1\n";
    let start = Instant::now();
    let output = manage(configuration, &["db", "sync"]);
    assert!(!output.status.success());
    assert!(start.elapsed() >= Duration::from_secs(2));
}

/// A folder that is missing does not come by waiting.
#[test]
fn an_sqlite_file_that_cannot_be_made_is_told_at_once() {
    failure(
        "[database]\nconnection = sqlite:////nonexistent/freezer.db\n",
        &["db", "sync"],
    );
}
