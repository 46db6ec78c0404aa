//! PgBouncer in front of PostgreSQL, in both of its modes that have transactions: nothing that the service needs may lie in the
//! session, and nothing of it may stay there.

use std::thread;

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::races::all_jobs_are_added;
use crate::races_of_jobs::{
    a_chosen_id_is_given_once, a_job_is_read_with_the_actions_of_its_moment,
};
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::{Server, manage};
use crate::support::{Database, Engine, Service};
use crate::walk::walk;

/// A database that the service reaches by a pooler.
async fn pooled(mode: &str, connections: u16) -> (Database, PgBouncer) {
    let mut database = Database::create(Engine::Postgres).await;
    let pooler = PgBouncer::start(database.address(), mode, connections);
    database.reach_by(pooler.address());
    (database, pooler)
}

/// `freezer-manage` makes the tables, also several at once, takes our additions back, and makes them again; the service serves.
async fn is_managed_and_serves(mode: &str) {
    let (database, _pooler) = pooled(mode, 8).await;
    let configuration = database.configuration();
    let sync = || manage(&configuration, &["db", "sync"]);
    thread::scope(|scope| {
        let syncs = [0; 3].map(|_| scope.spawn(sync));
        for sync in syncs {
            let output = sync.join().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    });
    for arguments in [
        &["db", "downgrade"][..],
        &["db", "sync"],
        &["db", "check"],
        &["export"],
    ] {
        let output = manage(&configuration, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    walk(&Server::start(&configuration, &["--dev"]).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: ./test installs it"]
async fn session_mode_is_managed_and_serves() {
    is_managed_and_serves("session").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: ./test installs it"]
async fn transaction_mode_is_managed_and_serves() {
    is_managed_and_serves("transaction").await;
}

/// Three connections for all transactions, or one for each session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: ./test installs it"]
async fn requests_at_once_stay_apart() {
    for (mode, connections) in [("transaction", 3), ("session", 60)] {
        let (database, _pooler) = pooled(mode, connections).await;
        all_jobs_are_added::body(database).await;
        let (database, _pooler) = pooled(mode, connections).await;
        a_chosen_id_is_given_once::body(database).await;
        let (database, _pooler) = pooled(mode, connections).await;
        a_job_is_read_with_the_actions_of_its_moment::body(database).await;
    }
}

/// The settings of the URL hold in each transaction, and ours do not stay for those who share the connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PgBouncer: ./test installs it"]
async fn settings_end_with_the_transaction() {
    let (database, pooler) = pooled("transaction", 1).await;
    database.run("CREATE SCHEMA fz".to_owned()).await;
    let url = format!("{}?options=-csearch_path%3Dfz", database.url());
    let service = Service::with(&database, |config| {
        config.database.connection = Some(url.parse().unwrap());
    })
    .await;
    service.client("node1").await;
    assert_eq!(database.rows("fz.clients", "client_id = 'node1'").await, 1);
    service
        .get("clients")
        .await
        .expect(200)
        .shows(&json!({"clients": [{"client": {"client_id": "node1"}}]}));
    let other = database.url_by(pooler.address()).replace("+psycopg2", "");
    let other: sqlx::postgres::PgConnectOptions = other.parse().unwrap();
    let mut other = PgConnection::connect_with(&other.extra_float_digits(None))
        .await
        .unwrap();
    let query = "SELECT current_setting('statement_timeout') || current_setting('lock_timeout') || current_schema()";
    let settings: String = sqlx::query_scalar(query)
        .persistent(false)
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(settings, "00public");
}
