//! Actions: what is stored, what is refused, and what each change leaves.

use serde_json::{Value, json};

use crate::support::{PROJECT, Service, api::contains};

/// The columns of a `freezer_action`, which answers always show.
fn unset() -> Value {
    json!({
        "backup_name": null, "mode": null, "container": null, "timeout": null, "priority": null,
        "path_to_backup": null, "log_file": null,
    })
}

fn is_generated(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Creates an action; its id.
async fn action(service: &Service, document: Value) -> String {
    service.created("actions", document, "action_id").await
}

async fn shown(service: &Service, id: &str) -> Value {
    service
        .get(&format!("actions/{id}"))
        .await
        .expect(200)
        .json()
}

on_each_engine! {
    async fn an_action_is_shown_as_it_was_created(database: Database) {
        let service = Service::start(&database).await;
        let all = json!({
            "action": "backup", "mode": "mysql", "backup_name": "böckup \u{1f5c4}", "container": "c", "timeout": 5,
            "priority": -1, "path_to_backup": "/etc", "log_file": "l", "mandatory": true, "storage": "swift",
            "report_date": "never", "result": "x", "time_elapsed": "y", "more": {"a": [1, 2.5, null, "\u{1f600}"]},
        });
        // What is sent, and what the answer to GET has besides what every answer has.
        for (sent, expected) in [
            (json!({"freezer_action": {"action": "backup"}}), json!({"max_retries": 5, "max_retries_interval": 6})),
            // The content is free.
            (
                json!({"freezer_action": {"action": "fly", "mode": "broom", "mandatory": null, "timeout": null}}),
                json!({"freezer_action": {"action": "fly", "mode": "broom"}}),
            ),
            (json!({"freezer_action": {"action": ""}}), json!({"freezer_action": {"action": ""}})),
            (json!({"freezer_action": all}), json!({"freezer_action": all})),
            // The words of a freezer_action have no effect beside it, nor has anything else.
            (
                json!({
                    "freezer_action": {"action": "backup"}, "action": "exec", "mode": "fs", "path_to_backup": "/",
                    "backup_name": "b", "container": "c", "restore_abs_path": "/r", "cindernative_freezer_only": true,
                    "mandatory": true, "timeout": "soon", "anything": [1],
                }),
                json!({"freezer_action": {
                    "action": "backup", "mode": null, "path_to_backup": null, "backup_name": null, "container": null,
                }}),
            ),
            (
                json!({"freezer_action": {"action": "info"}, "max_retries": 0, "max_retries_interval": -1}),
                json!({"max_retries": 0, "max_retries_interval": -1}),
            ),
            (
                json!({"freezer_action": {"action": "info"}, "max_retries": null, "max_retries_interval": null}),
                json!({"max_retries": 5, "max_retries_interval": 6}),
            ),
            (
                json!({"freezer_action": {"action": "info"}, "user_id": "someone", "project_id": "p2"}),
                json!({"user_id": "dev", "project_id": PROJECT}),
            ),
            (json!({"freezer_action": {"action": "info"}, "action_id": null}), json!({})),
            (json!({"freezer_action": {"action": "info"}, "action_id": ""}), json!({})),
        ] {
            let id = action(&service, sent.clone()).await;
            assert!(is_generated(&id), "{id}");
            let document = shown(&service, &id).await;
            let mut freezer_action = unset();
            freezer_action.as_object_mut().unwrap().extend(sent["freezer_action"].as_object().unwrap().clone());
            assert_eq!(document["freezer_action"], freezer_action, "{sent}");
            assert!(contains(&document, &expected), "{document} {expected}");
            assert_eq!((&document["action_id"], &document["user_id"]), (&json!(id), &json!("dev")));
            let mut keys: Vec<&String> = document.as_object().unwrap().keys().collect();
            keys.sort();
            let named = ["action_id", "freezer_action", "max_retries", "max_retries_interval", "project_id", "user_id"];
            assert_eq!(keys, named);
        }
        for id in ["a", "-", "_", "Ünï-9", "\u{10400}", &"x".repeat(36)] {
            let chosen = json!({"freezer_action": {"action": "info"}, "action_id": id});
            service.post("actions", chosen).await.expect(201).shows(&json!({"action_id": id}));
        }
        assert_eq!(shown(&service, "%F0%90%90%80").await["action_id"], "\u{10400}");
    }

    async fn lists_show_two_columns_more(database: Database) {
        let service = Service::start(&database).await;
        for (mandatory, timeout) in [(json!(true), json!(9)), (json!(false), json!(null)), (json!(null), json!(0))] {
            action(&service, json!({"freezer_action": {"action": "info", "mandatory": mandatory, "timeout": timeout}})).await;
        }
        action(&service, json!({"freezer_action": {"action": "info"}, "mandatory": true})).await;
        let listed = service.get("actions").await.expect(200).json();
        let columns: Vec<(Value, Value)> = listed["actions"].as_array().unwrap().iter()
            .map(|item| (item["mandatory"].clone(), item["timeout"].clone())).collect();
        let mut expected = vec![
            (json!(true), json!(9)), (json!(false), json!(null)), (json!(false), json!(0)), (json!(false), json!(null)),
        ];
        // All were made in the same second, so their order is that of random ids.
        for column in columns {
            let position = expected.iter().position(|other| *other == column).unwrap();
            expected.remove(position);
        }
        assert!(expected.is_empty(), "{expected:?}");
    }

    async fn what_is_no_action_is_refused(database: Database) {
        let service = Service::start(&database).await;
        let good = json!({"action": "backup"});
        service.refuses(&[
            ("POST", "actions", json!({}), 400, "Missing request body"),
            ("POST", "actions", json!({"max_retries": 1}), 400, "'freezer_action' is a required property"),
            ("POST", "actions", json!({"freezer_action": null}), 400, "freezer_action"),
            ("POST", "actions", json!({"freezer_action": "backup"}), 400, "freezer_action"),
            ("POST", "actions", json!({"freezer_action": [good]}), 400, "freezer_action"),
            ("POST", "actions", json!({"freezer_action": {}}), 400, "'action' is a required property"),
            ("POST", "actions", json!({"freezer_action": {"action": null}}), 400, "freezer_action.action"),
            ("POST", "actions", json!({"freezer_action": {"action": 5}}), 400, "freezer_action.action"),
            ("POST", "actions", json!({"freezer_action": {"action": "a", "mode": 5}}), 400, "freezer_action.mode"),
            ("POST", "actions", json!({"freezer_action": {"action": "a", "backup_name": {}}}), 400, "backup_name"),
            ("POST", "actions", json!({"freezer_action": {"action": "a", "timeout": "5"}}), 400, "timeout"),
            ("POST", "actions", json!({"freezer_action": {"action": "a", "priority": 1.6}}), 400, "priority"),
            ("POST", "actions", json!({"freezer_action": {"action": "a", "mandatory": "yes"}}), 400, "mandatory"),
            ("POST", "actions", json!({"freezer_action": good, "action": "fly"}), 400, "action"),
            ("POST", "actions", json!({"freezer_action": good, "mode": "broom"}), 400, "mode"),
            ("POST", "actions", json!({"freezer_action": good, "path_to_backup": 5}), 400, "path_to_backup"),
            ("POST", "actions", json!({"freezer_action": good, "backup_name": []}), 400, "backup_name"),
            ("POST", "actions", json!({"freezer_action": good, "container": true}), 400, "container"),
            ("POST", "actions", json!({"freezer_action": good, "restore_abs_path": 1}), 400, "restore_abs_path"),
            ("POST", "actions", json!({"freezer_action": good, "cindernative_freezer_only": "y"}), 400, "cindernative"),
            ("POST", "actions", json!({"freezer_action": good, "max_retries": "5"}), 400, "max_retries"),
            ("POST", "actions", json!({"freezer_action": good, "max_retries_interval": true}), 400, "max_retries_interval"),
            ("POST", "actions", json!({"freezer_action": good, "action_id": "a b"}), 400, "action_id"),
            ("POST", "actions", json!({"freezer_action": good, "action_id": "a\n"}), 400, "action_id"),
            ("POST", "actions", json!({"freezer_action": good, "action_id": 5}), 400, "action_id"),
            ("POST", "actions", json!({"freezer_action": good, "action_id": "x".repeat(37)}), 400, "action_id"),
            ("POST", "actions/a", json!({}), 400, "Missing request body"),
            ("POST", "actions/a", json!({"max_retries": 1}), 400, "'freezer_action' is a required property"),
            ("POST", "actions/a%20b", json!({"freezer_action": good}), 400, "action_id"),
            ("PATCH", "actions/none", json!({"max_retries": 1}), 404, "none"),
            ("PATCH", "actions/none", json!({"project_id": "p2"}), 404, "none"),
        ]).await;
        assert_eq!(database.rows("actions", "1 = 1").await, 0);
        service.get("actions/none").await.refused(404, "Not Found");
    }

    async fn an_id_is_taken_for_ever_and_everywhere(database: Database) {
        let service = Service::start(&database).await;
        let named = |id: &str| json!({"freezer_action": {"action": "info"}, "action_id": id});
        for id in ["a", "gone"] {
            service.post("/v2/p2/actions", named(id)).await.expect(201);
        }
        service.delete("/v2/p2/actions/gone").await.expect(204);
        service.refuses(&[
            ("POST", "actions", named("a"), 409, "Action already registered with ID a"),
            ("POST", "/v2/p2/actions", named("a"), 409, "a"),
            ("POST", "actions", named("gone"), 409, "gone"),
            ("POST", "/v2/p2/actions", named("gone"), 409, "gone"),
            ("POST", "actions/a", named("x"), 409, "a"),
            ("POST", "actions/gone", named("x"), 409, "gone"),
            ("POST", "/v2/p2/actions/gone", named("x"), 409, "gone"),
            // What is wrong with the document is said first.
            ("POST", "actions/a", json!({"freezer_action": {}}), 400, "action"),
            ("POST", "actions", json!({"freezer_action": {}, "action_id": "a"}), 400, "action"),
        ]).await;
        // Ids compare exactly.
        for id in ["A", "á", "a_"] {
            service.post("actions", named(id)).await.expect(201);
        }
        for path in ["actions/A%20", "actions/a", "actions/gone"] {
            service.get(path).await.refused(404, "Not Found");
        }
    }

    async fn a_replaced_action_is_new(database: Database) {
        let service = Service::start(&database).await;
        let id = action(&service, json!({
            "freezer_action": {"action": "backup", "mode": "fs", "backup_name": "b", "log_file": "l", "more": 1},
            "max_retries": 1, "max_retries_interval": 2,
        })).await;
        let new = json!({"freezer_action": {"action": "exec"}, "action_id": "ignored", "max_retries": 7});
        service.post(&format!("actions/{id}"), new.clone()).await.expect(201)
            .shows(&json!({"action_id": id, "version": id}));
        let mut freezer_action = unset();
        freezer_action["action"] = json!("exec");
        let document = shown(&service, &id).await;
        assert_eq!(document["freezer_action"], freezer_action);
        // The defaults of create.
        assert!(contains(&document, &json!({"max_retries": 7, "max_retries_interval": 6})), "{document}");
        // Or it is created.
        service.post("actions/mine", new).await.expect(201).shows(&json!({"action_id": "mine", "version": "mine"}));
        assert_eq!(shown(&service, "mine").await["freezer_action"], freezer_action);
        service.get("actions/ignored").await.refused(404, "Not Found");
    }

    async fn a_patch_keeps_what_it_does_not_name(database: Database) {
        let service = Service::start(&database).await;
        let first = json!({
            "action": "backup", "mode": "fs", "backup_name": "b", "container": "c", "timeout": 5, "priority": 6,
            "path_to_backup": "/p", "log_file": "l", "mandatory": true, "more": {"a": 1, "b": 2},
        });
        let id = action(&service, json!({"freezer_action": first, "max_retries": 1, "max_retries_interval": 2})).await;
        let mut expected = json!({"freezer_action": first, "max_retries": 1, "max_retries_interval": 2});
        for patch in [
            json!({}),
            json!({"max_retries": 3}),
            json!({"max_retries_interval": null}),
            json!({"freezer_action": {}}),
            json!({"freezer_action": {"timeout": null}}),
            json!({"freezer_action": {"mode": "mysql", "new": "\u{1f600}"}}),
            json!({"freezer_action": {"more": {"a": 3}}}),
            json!({"freezer_action": {"action": "restore", "mandatory": false}}),
        ] {
            service.patch(&format!("actions/{id}"), patch.clone()).await.expect(200)
                .shows(&json!({"action_id": id, "version": id}));
            for (key, value) in patch.as_object().unwrap() {
                match value {
                    Value::Object(members) => expected[key].as_object_mut().unwrap().extend(members.clone()),
                    value => expected[key] = value.clone(),
                }
            }
            let document = shown(&service, &id).await;
            assert!(contains(&document, &expected), "{patch}: {document} {expected}");
            let listed = service.get("actions").await.expect(200).json();
            assert_eq!(listed["actions"][0]["mandatory"], expected["freezer_action"]["mandatory"]);
        }
        // Neither the id nor the owner is changed.
        let patch = json!({"action_id": "other id", "user_id": "someone", "project_id": "p2"});
        service.patch(&format!("actions/{id}"), patch).await.expect(200);
        assert!(contains(&shown(&service, &id).await, &json!({"action_id": id, "user_id": "dev", "project_id": PROJECT})));
        let path = format!("actions/{id}");
        service.refuses(&[
            ("PATCH", &path, json!({"freezer_action": null}), 400, "freezer_action"),
            ("PATCH", &path, json!({"freezer_action": "x"}), 400, "freezer_action"),
            ("PATCH", &path, json!({"freezer_action": {"action": null}}), 400, "action"),
            ("PATCH", &path, json!({"mode": "broom"}), 400, "mode"),
            ("PATCH", &path, json!({"max_retries": "x"}), 400, "max_retries"),
            ("PATCH", &format!("/v2/p2/actions/{id}"), json!({"max_retries": 9}), 404, &id),
        ]).await;
        let document = shown(&service, &id).await;
        assert!(contains(&document, &expected), "{document} {expected}");
        service.delete(&path).await.expect(204);
        service.refuses(&[("PATCH", &path, json!({"max_retries": 9}), 404, &id)]).await;
    }

    async fn a_deleted_action_leaves_its_jobs_and_no_others(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let mut ids = Vec::new();
        for name in ["a", "b"] {
            ids.push(action(&service, json!({"freezer_action": {"action": "info", "backup_name": name}})).await);
        }
        let job = json!({"client_id": "c", "job_actions": [{"action_id": ids[0]}, {"action_id": ids[1]}, {"action_id": ids[0]}]});
        let job = service.created("jobs", job, "job_id").await;
        let names = async || -> Vec<String> {
            let document = service.get(&format!("jobs/{job}")).await.expect(200).json();
            let actions = document["job_actions"].as_array().unwrap().clone();
            actions.iter().map(|action| action["freezer_action"]["backup_name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names().await, ["a", "b", "a"]);
        // Another project's DELETE has no effect anywhere.
        service.delete(&format!("/v2/p2/actions/{}", ids[0])).await.expect(204);
        assert_eq!(names().await, ["a", "b", "a"]);
        assert_eq!(shown(&service, &ids[0]).await["action_id"], *ids[0]);
        // One's own takes it away.
        let path = format!("actions/{}", ids[0]);
        service.delete(&path).await.expect(204);
        assert_eq!(names().await, ["b"]);
        service.get(&path).await.refused(404, "Not Found");
        service.delete(&path).await.expect(204);
        service.delete("actions/none").await.expect(204);
        let dangling = "deleted = FALSE AND action_id IN (SELECT id FROM actions WHERE deleted = TRUE)";
        assert_eq!(database.rows("job_actions", dangling).await, 0);
    }

    async fn actions_of_other_projects_are_not_there(database: Database) {
        let service = Service::start(&database).await;
        let id = action(&service, json!({"freezer_action": {"action": "info"}})).await;
        service.get(&format!("/v2/p2/actions/{id}")).await.refused(404, "Not Found");
        assert_eq!(service.get("/v2/p2/actions").await.expect(200).json(), json!({"actions": []}));
        service.post(&format!("/v2/p2/actions/{id}"), json!({"freezer_action": {"action": "exec"}})).await
            .refused(409, "Document already existing");
        assert_eq!(shown(&service, &id).await["freezer_action"]["action"], "info");
    }
}
