//! Backups: their metadata, their state, and what is refused.

use serde_json::{Value, json};

use crate::support::{Engine, PROJECT, Service, api::contains, rows};

/// The least that an available backup says.
fn backup(members: Value) -> Value {
    let mut backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
    backup
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    backup
}

async fn create(service: &Service, metadata: Value) -> String {
    service.created("backups", metadata, "backup_id").await
}

async fn shown(service: &Service, id: &str) -> Value {
    service
        .get(&format!("backups/{id}"))
        .await
        .expect(200)
        .json()
}

on_each_engine! {
    async fn a_backup_is_shown_as_it_was_recorded(database: Database) {
        let service = Service::start(&database).await;
        for (sent, status) in [
            (backup(json!({})), "available"),
            (backup(json!({"status": "available"})), "available"),
            (backup(json!({"status": "deleted"})), "deleted"),
            (json!({"backup_name": "b", "status": "creating"}), "creating"),
            (json!({"backup_name": "b", "status": "error", "container": null, "hostname": null}), "error"),
            (json!({"backup_name": "b", "status": "deleting", "container": "c"}), "deleting"),
            (backup(json!({"job_id": "j", "level": 0, "time_stamp": 1.5, "nested": {"a": [null, "\u{1f600}", {"b": "\u{0}"}]}})), "available"),
            // Identifiers and owners are metadata like any other.
            (backup(json!({"backup_id": "mine", "project_id": "p2", "user_id": 5, "id": 1})), "available"),
            (backup(json!({"job_id": null, "backup_metadata": {"status": "x"}})), "available"),
        ] {
            let id = create(&service, sent.clone()).await;
            assert_eq!(id.len(), 32, "{sent}");
            let mut metadata = sent.clone();
            metadata.as_object_mut().unwrap().shift_remove("status");
            assert_eq!(shown(&service, &id).await, json!({
                "backup_id": id, "project_id": PROJECT, "user_id": "dev", "status": status, "backup_metadata": metadata,
            }), "{sent}");
        }
        // The same twice makes two.
        let (first, second) = (create(&service, backup(json!({}))).await, create(&service, backup(json!({}))).await);
        assert_ne!(first, second);
    }

    async fn what_is_no_backup_is_refused(database: Database) {
        let service = Service::start(&database).await;
        for body in [
            json!({"container": "c", "hostname": "h"}),
            backup(json!({"backup_name": ""})),
            backup(json!({"backup_name": null})),
            backup(json!({"backup_name": 5})),
            backup(json!({"container": ""})),
            backup(json!({"container": null})),
            backup(json!({"container": 5})),
            backup(json!({"hostname": ""})),
            backup(json!({"hostname": null})),
            json!({"backup_name": "b", "hostname": "h"}),
            json!({"backup_name": "b", "container": "c"}),
            json!({"backup_name": "b", "status": "available"}),
            json!({"backup_name": "b", "status": "deleted"}),
            json!({"backup_name": "b", "status": "error", "container": ""}),
            json!({"backup_name": "b", "status": "creating", "hostname": 5}),
            backup(json!({"status": "lost"})),
            backup(json!({"status": null})),
            backup(json!({"status": ""})),
            backup(json!({"status": 5})),
            backup(json!({"job_id": 5})),
            backup(json!({"job_id": "x".repeat(37)})),
            backup(json!({"job_id": "a\u{0}"})),
        ] {
            service.refuses(&[("POST", "backups", body, 400, "")]).await;
        }
        service.refuses(&[
            ("POST", "backups", json!({}), 400, "Missing request body"),
            ("POST", "backups", json!("x"), 400, ""),
            ("PATCH", "backups/none", json!({}), 400, "Missing request body"),
            ("PATCH", "backups/none", json!({"status": "error"}), 404, "Backup not registered with ID none"),
            ("DELETE", "backups/none", json!({}), 404, "Backup not registered with ID none"),
            ("GET", "backups/none", json!({}), 404, "Backup not registered with ID none"),
        ]).await;
        assert_eq!(database.rows("backups", "1 = 1").await, 0);
    }

    async fn a_patch_is_merged(database: Database) {
        let service = Service::start(&database).await;
        let id = create(&service, backup(json!({"nested": {"a": 1}, "job_id": "j"}))).await;
        let path = format!("backups/{id}");
        let mut expected = shown(&service, &id).await;
        // Any state follows any state.
        for status in ["deleted", "creating", "error", "available", "deleting", "available"] {
            expected["status"] = json!(status);
            assert_eq!(service.patch(&path, json!({"status": status})).await.expect(200).json(), expected);
        }
        for changes in [
            json!({}),
            json!({"nested": {"b": 2}}),
            json!({"new": [1], "level": null}),
            json!({"job_id": "k"}),
            json!({"job_id": null}),
            json!({"backup_name": null, "container": "", "hostname": 5}),
            json!({"status": "this is metadata"}),
        ] {
            expected["backup_metadata"].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            assert_eq!(service.patch(&path, json!({"backup_metadata": changes})).await.expect(200).json(), expected);
            assert_eq!(shown(&service, &id).await, expected);
        }
        // Other words have no effect.
        let patch = json!({"backup_id": "x", "user_id": "x", "project_id": "p2", "other": 1});
        assert_eq!(service.patch(&path, patch).await.expect(200).json(), expected);
        service.refuses(&[
            ("PATCH", &path, json!({"status": "lost"}), 400, "status"),
            ("PATCH", &path, json!({"status": null}), 400, "status"),
            ("PATCH", &path, json!({"backup_metadata": null}), 400, "backup_metadata"),
            ("PATCH", &path, json!({"backup_metadata": "x"}), 400, "backup_metadata"),
            ("PATCH", &path, json!({"backup_metadata": []}), 400, "backup_metadata"),
            ("PATCH", &path, json!({"backup_metadata": {"job_id": 5}}), 400, "job_id"),
            ("PATCH", &format!("/v2/p2/backups/{id}"), json!({"status": "error"}), 404, &id),
        ]).await;
        assert_eq!(shown(&service, &id).await, expected);
    }

    async fn a_whole_document_is_a_patch(database: Database) {
        let service = Service::start(&database).await;
        let id = create(&service, json!({"backup_name": "b", "status": "creating", "hostname": "h1", "action": "backup"})).await;
        let path = format!("backups/{id}");
        let document = json!({
            "backup_id": id, "status": "available", "action": "backup", "hostname": "h2", "cinder_backup_id": "cb",
            "job_id": "j", "project_id": "p9", "level": 0,
        });
        let changed = service.patch(&path, document).await.expect(200).json();
        let metadata = json!({"backup_name": "b", "hostname": "h2", "action": "backup", "cinder_backup_id": "cb", "job_id": "j", "level": 0});
        assert_eq!((&changed["status"], &changed["backup_metadata"]), (&json!("available"), &metadata));
        assert_eq!(changed["project_id"], PROJECT);
        assert_eq!(shown(&service, &id).await, changed);
        // Other documents are no such ones.
        for body in [
            json!({"backup_id": "another", "hostname": "h3"}),
            json!({"backup_id": null, "hostname": "h3"}),
            json!({"backup_id": id, "hostname": "h3", "backup_metadata": {}}),
            json!({"hostname": "h3"}),
        ] {
            let after = service.patch(&path, body.clone()).await.expect(200).json();
            assert_eq!(after["backup_metadata"], metadata, "{body}");
        }
        service.refuses(&[
            ("PATCH", &path, json!({"backup_id": id, "status": "lost", "hostname": "h3"}), 400, "status"),
            ("PATCH", &path, json!({"backup_id": id, "job_id": 5}), 400, "job_id"),
        ]).await;
        assert_eq!(shown(&service, &id).await, changed);
    }

    async fn a_backup_is_deleted_once(database: Database) {
        let service = Service::start(&database).await;
        let id = create(&service, backup(json!({}))).await;
        let path = format!("backups/{id}");
        let other = format!("/v2/p2/backups/{id}");
        service.get(&other).await.refused(404, "Not Found");
        service.delete(&other).await.refused(404, "Not Found");
        assert!(contains(&shown(&service, &id).await, &json!({"status": "available"})));
        service.delete(&path).await.expect(204);
        service.get(&path).await.refused(404, "Not Found");
        service.delete(&path).await.refused(404, "Not Found");
        service.patch(&path, json!({"status": "error"})).await.refused(404, "Not Found");
        assert_eq!(service.get("backups").await.expect(200).json(), json!({"backups": []}));
        // There is no replace.
        for method in ["POST", "PUT"] {
            let answer = service.raw(method, &path, backup(json!({})).to_string()).await.expect(405);
            assert!(answer.header("allow").unwrap().contains("PATCH"));
        }
    }

    // MySQL is told the index of this list by its name.
    async fn a_list_does_without_its_index(database: Database) {
        let service = Service::start(&database).await;
        let ids = [create(&service, backup(json!({}))).await, create(&service, backup(json!({}))).await];
        let listed = async |path: &str| {
            let answer = service.get(path).await.expect(200).json();
            let backups = answer["backups"].as_array().unwrap().iter();
            backups.map(|backup| backup["backup_id"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
        };
        let mut all = listed("backups").await;
        let newest_first = listed("backups?sort_dir=desc").await;
        let table = match database.engine() {
            Engine::MySql => " ON backups",
            Engine::Postgres | Engine::Sqlite => "",
        };
        rows::execute(&database, &format!("DROP INDEX ix_backups_project{table}"), &[]).await;
        assert_eq!(listed("backups").await, all);
        assert_eq!(listed("backups?sort_dir=desc").await, newest_first);
        assert_eq!(listed(&format!("backups?limit=1&marker={}", all[0])).await, all[1..]);
        all.sort();
        let mut created = ids.to_vec();
        created.sort();
        assert_eq!(all, created);
    }
}
