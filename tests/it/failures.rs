//! What a client sees when the database fails. The errors are the database's own: a trigger raises them.

use freezer_api::config::Config;
use serde_json::json;

use crate::support::{Answer, Database, Engine, Service};

const UNAVAILABLE: &str = "The database is unavailable.";

/// Which answers a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    /// Tried again: 201 when it fails once, 503 when it fails for ever.
    Again,
    /// 503 at once.
    Unavailable,
    /// 500.
    Fault,
}

use Class::{Again, Fault, Unavailable};

const MARIADB: &[(&str, Class)] = &[
    ("1020", Again),
    ("1047", Again),
    ("1053", Again),
    ("1205", Again),
    ("1213", Again),
    ("1290", Again),
    ("1461", Again),
    ("1836", Again),
    ("1927", Again),
    ("1021", Unavailable),
    ("1114", Unavailable),
    ("1180", Unavailable),
    ("1317", Unavailable),
    ("1969", Unavailable),
    ("3024", Unavailable),
    ("1054", Fault),
    ("1146", Fault),
];

const POSTGRES: &[(&str, Class)] = &[
    ("08006", Again),
    ("25006", Again),
    ("40001", Again),
    ("40P01", Again),
    ("55P03", Again),
    ("57P01", Again),
    ("57P02", Again),
    ("57P05", Again),
    ("53100", Unavailable),
    ("57014", Unavailable),
    ("42703", Fault),
    ("42P01", Fault),
];

/// Makes every insert into `sessions` fail with a code: `count` times, or always.
async fn fail(database: &Database, code: &str, count: Option<u32>) {
    match database.engine() {
        Engine::MySql => {
            database
                .run("CREATE OR REPLACE SEQUENCE tries".to_owned())
                .await;
            let condition = count.map_or("TRUE".to_owned(), |n| format!("NEXTVAL(tries) <= {n}"));
            database
                .run(format!(
                    "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON sessions FOR EACH ROW \
                     IF {condition} THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}; END IF"
                ))
                .await;
        }
        Engine::Postgres => {
            database
                .run("DROP SEQUENCE IF EXISTS tries CASCADE; CREATE SEQUENCE tries".to_owned())
                .await;
            let condition = count.map_or("TRUE".to_owned(), |n| format!("nextval('tries') <= {n}"));
            database
                .run(format!(
                    "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF {condition} THEN RAISE EXCEPTION 'as if' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
                     CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION fails()"
                ))
                .await;
        }
        Engine::Sqlite => panic!("a trigger of SQLite cannot choose its code"),
    }
}

async fn start_session(service: &Service) -> Answer {
    service.post("sessions", json!({"schedule": {}})).await
}

/// Each code of a server leads to the answer of its class.
async fn codes_have_their_answer(engine: Engine, codes: &[(&str, Class)]) {
    let database = Database::create(engine).await;
    let service = Service::with(&database, short_limits).await;
    for (code, class) in codes {
        let what = format!("{code}, {class:?}");
        println!("{what}");
        let before = database.rows("sessions", "1 = 1").await;
        fail(&database, code, None).await;
        let answer = start_session(&service).await;
        match class {
            Fault => assert_eq!(answer.status, 500, "{what}: {}", answer.text()),
            Again | Unavailable => answer.unavailable(UNAVAILABLE),
        }
        fail(&database, code, Some(1)).await;
        let answer = start_session(&service).await;
        match class {
            Again => assert_eq!(answer.status, 201, "{what}: {}", answer.text()),
            Unavailable => answer.unavailable(UNAVAILABLE),
            Fault => assert_eq!(answer.status, 500, "{what}: {}", answer.text()),
        }
        let written = database.rows("sessions", "1 = 1").await - before;
        assert_eq!(written, i64::from(*class == Again), "{what}");
    }
}

/// A statement may take two seconds, so a failure is tried again for one.
fn short_limits(config: &mut Config) {
    let url = config.database.connection.as_mut().unwrap();
    url.read_timeout = Some(std::time::Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn codes_of_mariadb_have_their_answer() {
    codes_have_their_answer(Engine::MySql, MARIADB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn codes_of_postgres_have_their_answer() {
    codes_have_their_answer(Engine::Postgres, POSTGRES).await;
}

/// Rivals that are faster again and again: more often than a server that is not ready is asked again.
async fn rivals_are_put_up_with(engine: Engine, code: &str) {
    let database = Database::create(engine).await;
    let service = Service::start(&database).await;
    fail(&database, code, Some(13)).await;
    let path = format!("sessions/{}", service.session().await);
    service.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn rivals_on_mariadb_are_put_up_with() {
    rivals_are_put_up_with(Engine::MySql, "1213").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn rivals_on_postgres_are_put_up_with() {
    rivals_are_put_up_with(Engine::Postgres, "40P01").await;
}

/// As after a fail-over: the server at the other end of the connections that are open refuses to write, the one that new
/// connections lead to does not.
async fn connections_to_a_read_only_server_are_replaced(engine: Engine) {
    let database = Database::create(engine).await;
    let service = Service::start(&database).await;
    // Several connections, all idle afterwards.
    let requests = (0..8).map(|_| start_session(&service));
    for answer in futures_util::future::join_all(requests).await {
        answer.expect(201);
    }
    refuse_old_connections(&database).await;
    start_session(&service).await.expect(201);
    // Those that were idle are gone too: nobody else meets them.
    database.run("DELETE FROM refused".to_owned()).await;
    start_session(&service).await.expect(201);
    assert_eq!(database.rows("refused", "1 = 1").await, 0);
}

/// Connections that are open now may not write any more. What they are refused is noted in `refused`.
async fn refuse_old_connections(database: &Database) {
    let name = database.name();
    let statements = match database.engine() {
        Engine::MySql => vec![
            "CREATE TABLE refused (id BIGINT) ENGINE = Aria TRANSACTIONAL = 0".to_owned(),
            format!(
                "CREATE TABLE old AS SELECT id FROM information_schema.processlist \
                 WHERE db = '{name}' AND id <> CONNECTION_ID()"
            ),
            "CREATE TRIGGER refuses BEFORE INSERT ON sessions FOR EACH ROW \
             IF CONNECTION_ID() IN (SELECT id FROM old) THEN \
             INSERT INTO refused VALUES (CONNECTION_ID()); \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290; END IF"
                .to_owned(),
        ],
        Engine::Postgres => vec![
            "CREATE TABLE refused (id BIGINT)".to_owned(),
            "CREATE TABLE old AS SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
                .to_owned(),
            "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF pg_backend_pid() IN (SELECT pid FROM old) THEN \
             RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuses BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION refuses()"
                .to_owned(),
        ],
        Engine::Sqlite => panic!("SQLite has no other server"),
    };
    for statement in statements {
        database.run(statement).await;
    }
    assert!(
        database.rows("old", "1 = 1").await > 1,
        "one connection proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn connections_to_a_read_only_mariadb_are_replaced() {
    connections_to_a_read_only_server_are_replaced(Engine::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn connections_to_a_read_only_postgres_are_replaced() {
    connections_to_a_read_only_server_are_replaced(Engine::Postgres).await;
}
