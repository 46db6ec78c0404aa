//! The way back to the tables of the Python service.

use std::collections::BTreeMap;

use freezer_api::schema::SchemaState;
use serde_json::json;

use super::schema::{columns, schema};
use super::{connect, db, killed, text, try_db, with_kills};
use crate::support::{Database, Engine, Service};

/// The columns of the tables that the reference has too.
async fn shared_columns(database: &Database) -> BTreeMap<(String, String), String> {
    let mut columns = columns(database).await;
    columns.retain(|(table, _), _| !table.starts_with("freezer_api"));
    columns
}

on_each_engine! {
    async fn downgrade_takes_back_what_is_ours(database: Database) {
        db(&database, &["sync", "7a3b9c1d2e4f"]);
        let theirs = shared_columns(&database).await;
        db(&database, &["sync"]);
        db(&database, &["downgrade"]);
        assert_eq!(shared_columns(&database).await, theirs);
        db(&database, &["sync"]);
        assert_eq!(connect(&database).await.schema_state().await.unwrap(), SchemaState::Current);
    }
}

on_each_engine! {
    async fn either_direction_goes_on_from_where_any_was_killed(database: Database) {
        db(&database, &["sync", "7a3b9c1d2e4f"]);
        let theirs = shared_columns(&database).await;
        db(&database, &["sync"]);
        let ours = schema(&database).await;
        let service = Service::start(&database).await;
        service.client("c").await;
        let job = service.job("c").await;
        assert!(with_kills(&database, "downgrade") > 5);
        assert_eq!(shared_columns(&database).await, theirs);
        for (direction, back) in [("sync", "downgrade"), ("downgrade", "sync")] {
            for after in 1.. {
                let ended = killed(&database, direction, after).is_ok();
                db(&database, &[back]);
                if back == "sync" {
                    assert_eq!(schema(&database).await, ours, "{direction} killed after {after}");
                } else {
                    assert_eq!(shared_columns(&database).await, theirs, "{direction} killed after {after}");
                }
                if ended {
                    assert!(after > 5, "{direction} has {after} statements");
                    break;
                }
            }
            db(&database, &["sync"]);
        }
        assert_eq!(connect(&database).await.schema_state().await.unwrap(), SchemaState::Current);
        let service = Service::start(&database).await;
        service.get(&format!("jobs/{job}")).await.expect(200);
    }
}

#[tokio::test]
#[ignore = "needs MariaDB: ./test starts it"]
async fn downgrade_refuses_ids_that_would_become_one() {
    let database = Database::create(Engine::MySql).await;
    db(&database, &["sync"]);
    let made = schema(&database).await;
    let service = Service::start(&database).await;
    service.client("c").await;
    for id in ["a", "A"] {
        let job = json!({"client_id": "c", "job_id": id, "job_actions": []});
        service.post("jobs", job).await.expect(201);
    }
    let output = try_db(&database, &["downgrade"]);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("jobs A and a: the ids differ in case"),
        "{}",
        text(&output)
    );
    assert_eq!(schema(&database).await, made);
    assert_eq!(
        connect(&database).await.schema_state().await.unwrap(),
        SchemaState::Current
    );
}

on_each_engine! {
    async fn downgrade_refuses_what_would_be_cut(database: Database) {
        db(&database, &["sync"]);
        let made = schema(&database).await;
        let service = Service::start(&database).await;
        let hostname = format!("h{}", "é".repeat(128));
        let client = json!({"client_id": "c", "hostname": hostname});
        service.post("clients", client).await.expect(201);
        let document = json!({"backup_name": "b", "container": "c", "hostname": "h", "large": "x".repeat(66_000)});
        let backup = service.post("backups", document).await.expect(201).json();
        let refused: &[&str] = match database.engine() {
            Engine::Sqlite => &[],
            Engine::MySql => &["clients", "backups"],
            Engine::Postgres => &["clients"],
        };
        for table in refused {
            let output = try_db(&database, &["downgrade"]);
            assert!(!output.status.success());
            let limit = if *table == "clients" { "hostname is larger than the 128 characters" } else { "65535 bytes" };
            assert!(text(&output).contains(table) && text(&output).contains(limit), "{}", text(&output));
            assert_eq!(schema(&database).await, made);
            assert_eq!(connect(&database).await.schema_state().await.unwrap(), SchemaState::Current);
            if *table == "clients" {
                let client = service.get("clients/c").await.expect(200).json();
                assert_eq!(client["client"]["hostname"], json!(hostname));
            }
            let shorten = if *table == "clients" {
                "UPDATE clients SET hostname = 'h'".to_owned()
            } else {
                let id = backup["backup_id"].as_str().unwrap();
                format!("UPDATE backups SET backup_metadata = '{{}}' WHERE id = '{id}'")
            };
            database.run(shorten).await;
        }
        db(&database, &["downgrade"]);
    }
}
