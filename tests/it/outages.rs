//! The database is away, holds up, or gives no more connections.

use std::time::Duration;

use freezer_api::config::Config;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::support::tcp_proxy::TcpProxy;
use crate::support::{Answer, Database, Engine, Service};

const UNAVAILABLE: &str = "The database is unavailable.";
/// Longer than anything here takes; what hangs is to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that reaches its database through a proxy.
async fn behind_proxy(
    database: &Database,
    change: impl FnOnce(&mut Config),
) -> (TcpProxy, Service) {
    let proxy = TcpProxy::start(database.address()).await;
    let url = database.url_by(proxy.address());
    let service = Service::with(database, |config| {
        config.database.connection = Some(url.parse().unwrap());
        change(config);
    });
    let service = service.await;
    (proxy, service)
}

async fn start_session(service: &Service) -> Answer {
    let answer = service.post("sessions", json!({"schedule": {}}));
    timeout(PATIENCE, answer).await.unwrap()
}

async fn list(service: &Service) -> Answer {
    timeout(PATIENCE, service.get("sessions")).await.unwrap()
}

/// What is not there gives 503, and what is there again is used at once.
async fn an_outage_gives_503_and_ends(engine: Engine) {
    let database = Database::create(engine).await;
    let (mut proxy, service) = behind_proxy(&database, |_| {}).await;
    start_session(&service).await.expect(201);
    proxy.shut().await;
    start_session(&service).await.unavailable(UNAVAILABLE);
    list(&service).await.unavailable(UNAVAILABLE);
    proxy.open().await;
    start_session(&service).await.expect(201);
    assert_eq!(
        list(&service).await.json()["sessions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

/// A server that says nothing more: the statement, and then the wait for a connection, end in time.
async fn silence_ends_in_time(engine: Engine) {
    let database = Database::create(engine).await;
    let (proxy, service) = behind_proxy(&database, |config| {
        config.database.max_pool_size = 1;
        config.database.max_overflow = 0;
        config.database.pool_timeout = Some(Duration::from_secs(1));
        let url = config.database.connection.as_mut().unwrap();
        url.read_timeout = Some(Duration::from_secs(3));
        url.connect_timeout = Some(Duration::from_secs(1));
    })
    .await;
    start_session(&service).await.expect(201);
    proxy.hold(true);
    // One of them has the only connection, the other waits for it.
    let (written, listed) = tokio::join!(start_session(&service), list(&service));
    written.unavailable(UNAVAILABLE);
    listed.unavailable(UNAVAILABLE);
    proxy.hold(false);
    start_session(&service).await.expect(201);
}

/// A row is added by one statement, which is sent again when its answer is lost: there is one row all the same.
async fn an_insert_whose_answer_is_lost_is_done_once(engine: Engine) {
    let database = Database::create(engine).await;
    let (proxy, service) = behind_proxy(&database, |_| {}).await;
    start_session(&service).await.expect(201);
    proxy.hold_answers(true);
    let lose_answer = async {
        while database.rows("sessions", "1 = 1").await < 2 {
            tokio::task::yield_now().await;
        }
        proxy.cut();
        proxy.hold_answers(false);
    };
    let (answer, ()) = tokio::join!(start_session(&service), lose_answer);
    let id = &answer.expect(201).json()["session_id"];
    let path = format!("sessions/{}", id.as_str().unwrap());
    service.get(&path).await.expect(200);
    assert_eq!(database.rows("sessions", "1 = 1").await, 2);
}

/// The answer to one client's statement is never another's: the connection of a client that went away is closed.
async fn a_busy_connection_is_not_given_out_again(engine: Engine) {
    let database = Database::create(engine).await;
    let (proxy, service) = behind_proxy(&database, |config| {
        config.database.max_pool_size = 1;
        config.database.max_overflow = 0;
    })
    .await;
    service.client("c1").await;
    service.client("c2").await;
    let before = service.get("clients/c1").await.expect(200).body;
    for _ in 0..5 {
        proxy.hold(true);
        let going = service.get("clients/c1");
        timeout(Duration::from_millis(200), going)
            .await
            .expect_err("nothing comes through");
        proxy.hold(false);
        let other = timeout(PATIENCE, service.get("clients/c2")).await.unwrap();
        other
            .expect(200)
            .shows(&json!({"client": {"client_id": "c2"}}));
    }
    assert_eq!(service.get("clients/c1").await.expect(200).body, before);
    let open = database.connections(false).await;
    assert!(open <= 1, "{open} connections of a pool of one");
}

/// An account that may have two connections, with a pool of many: those that there are serve everybody.
async fn refused_connections_are_done_without(engine: Engine) {
    let database = Database::create(engine).await;
    let (user, name) = (format!("few_{}", database.name()), database.name());
    let statements = match engine {
        Engine::MySql => vec![
            format!("CREATE USER {user} IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 2"),
            format!("GRANT ALL ON {name}.* TO {user}"),
        ],
        _ => vec![
            format!("CREATE ROLE {user} LOGIN PASSWORD 'few' CONNECTION LIMIT 2"),
            format!("GRANT ALL ON SCHEMA public TO {user}"),
        ],
    };
    for statement in statements {
        database.run(statement).await;
    }
    let (scheme, after) = database
        .url()
        .split_once("://")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let (_, address) = after.split_once('@').unwrap();
    let url = format!("{scheme}://{user}:few@{address}");
    let service = Service::with(&database, |config| {
        config.database.connection = Some(url.parse().unwrap());
        config.database.pool_timeout = Some(Duration::from_secs(3600));
    })
    .await;
    for _ in 0..5 {
        for answer in join_all((0..6).map(|_| start_session(&service))).await {
            answer.expect(201);
        }
    }
    drop(service);
    let drop_user = match engine {
        Engine::MySql => format!("DROP USER {user}"),
        _ => format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"),
    };
    database.run(drop_user).await;
}

/// Connections beyond `max_pool_size` go when they are not needed any more.
async fn a_burst_leaves_no_connections(engine: Engine) {
    let database = Database::create(engine).await;
    let service = Service::with(&database, |config| config.database.max_pool_size = 3).await;
    for answer in join_all((0..30).map(|_| start_session(&service))).await {
        answer.expect(201);
    }
    assert!(database.connections(false).await > 3, "the burst was none");
    let fewer = async {
        while database.connections(false).await > 3 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, fewer).await.expect("they stay");
    start_session(&service).await.expect(201);
    assert_eq!(
        database.connections(false).await,
        3,
        "those of max_pool_size stay"
    );
}

/// Each of these on MariaDB and on PostgreSQL; SQLite has no server.
macro_rules! on_each_server {
    ($($name:ident)+) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs MariaDB: ./test starts it"]
            async fn mariadb() {
                super::$name(Engine::MySql).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL: ./test starts it"]
            async fn postgres() {
                super::$name(Engine::Postgres).await;
            }
        }
    )+};
}

on_each_server! {
    an_outage_gives_503_and_ends
    silence_ends_in_time
    an_insert_whose_answer_is_lost_is_done_once
    a_busy_connection_is_not_given_out_again
    refused_connections_are_done_without
    a_burst_leaves_no_connections
}
