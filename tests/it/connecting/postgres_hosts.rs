//! PostgreSQL's URLs of several hosts: each new connection leads to the first that can be used.

use super::{failure, succeeds};
use crate::support::postgres::Postgres;
use crate::support::process::{free_address, manage};
use crate::support::{Database, Engine, Service};

const READ_ONLY: &str = "ALTER DATABASE freezer SET default_transaction_read_only = on";

fn configuration(url: &str) -> String {
    format!("[database]\nmax_retries = 0\nconnection = {url}\n")
}

async fn has_tables(server: &Postgres) -> bool {
    server
        .number("SELECT count(*) FROM pg_tables WHERE tablename = 'jobs'")
        .await
        == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test installs it"]
async fn the_first_host_that_fits_is_used() {
    let (first, second) = tokio::join!(Postgres::start(&[]), Postgres::start(&[]));
    let down = free_address();
    let (one, two) = (first.port(), second.port());
    // A host that does not answer; in libpq's form.
    let hosts = format!("{down},127.0.0.1:{one},127.0.0.1:{two}");
    succeeds(&manage(
        &configuration(&format!("postgresql://root@{hosts}/freezer")),
        &["db", "sync"],
    ));
    assert!(has_tables(&first).await && !has_tables(&second).await);
    // A host that takes no writes; in SQLAlchemy's form.
    first.run(READ_ONLY).await;
    let hosts = format!("host=127.0.0.1:{one}&host=127.0.0.1:{two}");
    let url = format!("postgresql+psycopg2://root@/freezer?{hosts}&target_session_attrs");
    succeeds(&manage(
        &configuration(&format!("{url}=read-write")),
        &["db", "sync"],
    ));
    assert!(has_tables(&second).await);
    // One that refuses us is not passed over, and where none fits the reason is told.
    let other = url.replace("/freezer", "/nothing");
    let text = failure(&configuration(&format!("{other}=any")), &["db", "version"]);
    assert!(text.contains("does not exist"), "{text}");
    second.run(READ_ONLY).await;
    let read_write = configuration(&format!("{url}=read-write"));
    let text = failure(&read_write, &["db", "version"]);
    assert!(text.contains("target_session_attrs"), "{text}");
    // It is read-only and no standby.
    let primary = configuration(&format!("{url}=primary"));
    succeeds(&manage(&primary, &["db", "version"]));
}

/// A standby is passed over, and used once it is the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test installs it"]
async fn a_fail_over_is_followed() {
    for target in ["read-write", "primary"] {
        let mut primary = Postgres::start(&[]).await;
        let database = Database::create_on(Engine::Postgres, primary.url("")).await;
        Service::start(&database).await;
        let standby = primary.standby().await;
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
        let name = database.name();
        let url = format!("postgresql://root@{hosts}/{name}?target_session_attrs={target}");
        let service = Service::with(&database, |config| {
            config.database.connection = Some(url.parse().unwrap());
        })
        .await;
        service.client("before").await;
        assert_eq!(database.rows("clients", "client_id = 'before'").await, 1);
        primary.kill();
        standby.run("SELECT pg_promote()").await;
        service.client("after").await;
        // By the one host that is left.
        service.get("clients/after").await.expect(200);
    }
}
