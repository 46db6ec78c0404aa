//! SQLite's failures as SQLite makes them, and the table's rows for the servers. What the servers' own errors lead to is
//! tested over HTTP (`tests/it/failures.rs`).

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor, SqliteConnection};

use super::{Failure, refused_certificate};

async fn open(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(Duration::ZERO)
        .connect()
        .await
        .unwrap()
}

/// Tests of the store make no certificate of version 1; what a server with one of an authority leads to is tested with MariaDB.
#[test]
fn certificates_that_only_openssl_takes_are_told_apart() {
    let refused = |reason: &str| {
        let text = format!("invalid peer certificate: Other(OtherError({reason}))");
        refused_certificate(&sqlx::Error::Io(std::io::Error::other(text)))
    };
    assert!(refused("CaUsedAsEndEntity").is_some_and(|text| text.contains("CA:TRUE")));
    assert!(refused("UnsupportedCertVersion").is_some_and(|text| text.contains("version 1")));
    assert_eq!(refused("UnknownIssuer"), None);
}

/// The class of the error with which a statement fails.
async fn failure(connection: &mut SqliteConnection, statement: &'static str) -> Failure {
    let error = connection.execute(statement).await.unwrap_err();
    Failure::of(&error)
}

#[tokio::test]
async fn sqlite_failures_have_their_class() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    let mut connection = open(&file).await;
    connection.execute("CREATE TABLE t (x)").await.unwrap();

    let mut other = open(&file).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let busy = failure(&mut connection, "INSERT INTO t VALUES (1)").await;
    assert_eq!(busy, Failure::Busy);
    other.execute("ROLLBACK").await.unwrap();

    connection
        .execute("PRAGMA max_page_count = 3")
        .await
        .unwrap();
    let full = failure(&mut connection, "INSERT INTO t VALUES (zeroblob(100000))").await;
    assert_eq!(full, Failure::Unavailable);

    connection.execute("PRAGMA query_only = 1").await.unwrap();
    let read_only = failure(&mut connection, "INSERT INTO t VALUES (1)").await;
    assert_eq!(read_only, Failure::Lost);

    connection
        .lock_handle()
        .await
        .unwrap()
        .set_progress_handler(100, || false);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
    assert_eq!(
        failure(&mut connection, endless).await,
        Failure::Unavailable
    );

    assert_eq!(failure(&mut other, "SELECT nothing").await, Failure::Fault);
}

#[test]
fn the_classes_of_the_servers_codes() {
    for number in [1040, 1203, 1205, 1213, 3101] {
        assert_eq!(Failure::of_mysql(number), Failure::Busy, "{number}");
    }
    for number in [1047, 1053, 1158, 1161, 1290, 1461, 1836, 1927] {
        assert_eq!(Failure::of_mysql(number), Failure::Lost, "{number}");
    }
    for number in [1021, 1114, 1180, 1317, 1969, 3024] {
        assert_eq!(Failure::of_mysql(number), Failure::Unavailable, "{number}");
    }
    for number in [1054, 1062, 1064, 1142, 1146, 1406] {
        assert_eq!(Failure::of_mysql(number), Failure::Fault, "{number}");
    }
    for code in ["40001", "40P01", "53300", "55P03"] {
        assert_eq!(Failure::of_postgres(code), Failure::Busy, "{code}");
    }
    for code in ["08006", "25006", "57P01", "57P02", "57P03", "57P05"] {
        assert_eq!(Failure::of_postgres(code), Failure::Lost, "{code}");
    }
    for code in ["53100", "53200", "57014", "58030"] {
        assert_eq!(Failure::of_postgres(code), Failure::Unavailable, "{code}");
    }
    for code in ["", "5", "22001", "23505", "42501", "42P01"] {
        assert_eq!(Failure::of_postgres(code), Failure::Fault, "{code}");
    }
}
