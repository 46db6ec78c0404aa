//! Databases that cannot hold every character: told, and no failure of ours.

use serde_json::json;

use crate::data::status;
use crate::support::process::manage;
use crate::support::{Database, Engine, Service};

const HELD: &str = "café";
const NOT_HELD: &str = "日本";

/// `db sync` and `upgrade check` name the encoding, and nothing but the texts that it lacks is refused.
async fn tells_its_limit(database: &Database, encoding: &str) {
    let output = manage(&database.configuration(), &["db", "sync"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(encoding), "{text}");
    let (code, checks) = status(database);
    let expected = ("Database Encoding".to_owned(), 1);
    assert!(code == 1 && checks.contains(&expected), "{checks:?}");

    let service = Service::start(database).await;
    let body = json!({"schedule": {}, "description": HELD});
    let id = service.created("sessions", body, "session_id").await;
    let session = format!("sessions/{id}");
    let held = json!({"match": [{"description": HELD}]});
    let found = service.search("sessions", held).await.expect(200).json();
    assert_eq!(found["sessions"][0]["description"], HELD);
    // A search for such a text finds nothing.
    let not_held = json!({"match": [{"description": NOT_HELD}]});
    let found = service.search("sessions", not_held).await.expect(200);
    assert_eq!(found.json(), json!({"sessions": []}));
    let body = json!({"schedule": {}, "description": NOT_HELD});
    for (method, path) in [("POST", "sessions"), ("PATCH", &session)] {
        let answer = service.raw(method, path, body.to_string()).await;
        let description = answer.refused(400, "Bad request format");
        assert!(description.contains("encoding"), "{description}");
    }
    service
        .get(&session)
        .await
        .expect(200)
        .shows(&json!({"description": HELD}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_in_latin1() {
    let database = Database::create_in("LATIN1").await;
    tells_its_limit(&database, "LATIN1").await;
    let service = Service::start(&database).await;
    service
        .get("jobs/%E6%97%A5")
        .await
        .refused(400, "Bad request format");
}

/// A database without an encoding holds all texts, and those of other programs that are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_in_sql_ascii() {
    let database = Database::create_in("SQL_ASCII").await;
    let service = Service::start(&database).await;
    let (code, checks) = status(&database);
    let expected = ("Database Encoding".to_owned(), 1);
    assert!(code == 1 && checks.contains(&expected), "{checks:?}");
    let body = json!({"schedule": {}, "description": NOT_HELD});
    let id = service.created("sessions", body, "session_id").await;
    let session = format!("sessions/{id}");
    let answer = service.get(&session).await.expect(200);
    answer.shows(&json!({"description": NOT_HELD}));
    database
        .run(
            "UPDATE sessions SET description = E'caf\\xe9', schedule = E'{\"a\": \"\\xe9\"}'"
                .to_owned(),
        )
        .await;
    for path in [session.as_str(), "sessions"] {
        let answer = service.get(path).await;
        let description = answer.refused(400, "Bad request format");
        assert!(description.contains("not UTF-8"), "{description}");
    }
    let (code, checks) = status(&database);
    let expected = ("Consistent Rows".to_owned(), 2);
    assert!(code == 2 && checks.contains(&expected), "{checks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_columns_in_latin1() {
    let database = Database::create(Engine::MySql).await;
    Service::start(&database).await;
    let narrow = "ALTER TABLE sessions MODIFY description VARCHAR(255) CHARACTER SET latin1";
    database.run(narrow.to_owned()).await;
    tells_its_limit(&database, "sessions.description has the encoding latin1").await;
}
