//! Jobs: replace, patch, delete, events, and who sees a scheduler's process id.

use std::time::Duration;

use freezer_api::domain::Scope;
use freezer_api::domain::job::PidViewer;
use freezer_api::store::{Listing, Memory, Order, Page, Shape, Sink, Tx};
use serde_json::{Value, json};

use crate::api_jobs::{job, service, shown};
use crate::support::{PROJECT, Service, api::contains};

/// Creates a job with all members and one action; its id and its document.
async fn full(service: &Service) -> (String, Value) {
    let document = json!({
        "client_id": "c", "description": "d", "session_id": "s", "session_tag": 3,
        "job_schedule": {"status": "scheduled", "schedule_hour": "5"},
        "user_credentials": {"trust_id": "t", "trustor_user_id": "u"},
        "job_actions": [{"freezer_action": {"action": "backup", "mode": "fs"}}],
    });
    let id = service.created("jobs", document, "job_id").await;
    let document = shown(service, &id).await;
    (id, document)
}

/// What a project sees of jobs: the list, a search, and one job.
async fn seen(service: &Service, viewer: &PidViewer, job_id: &str) -> Vec<Value> {
    let scope = Scope::Project(PROJECT.to_owned());
    let listing = Listing {
        page: Page {
            limit: 10,
            offset: 0,
        },
        order: Order::OldestFirst,
        after: None,
        search: None,
        next: None,
    };
    let memory = Memory::new(0, 1, Duration::from_secs(1));
    let store = &service.api.catalogue.store;
    let (sink, _) = Sink::new(Shape::Json("jobs"), &memory);
    let list = async |tx: &mut Tx| tx.list_jobs(&scope, &listing, viewer, &sink).await;
    let list = store
        .read_list("looking", sink.clone(), list)
        .await
        .unwrap();
    let list: Value = serde_json::from_slice(&list.unwrap()).unwrap();
    let one = async |tx: &mut Tx| tx.get_job_document(&scope, job_id, viewer).await;
    let one = store.read("looking", one).await.unwrap();
    let mut jobs = list["jobs"].as_array().unwrap().clone();
    jobs.extend(one.map(|raw| serde_json::from_str(raw.get()).unwrap()));
    jobs
}

on_each_engine! {
    async fn a_replaced_job_is_new(database: Database) {
        let service = service(&database).await;
        let (id, before) = full(&service).await;
        let path = format!("jobs/{id}");
        service.post(&path, job(json!({"job_id": 5}))).await.expect(201);
        let new = job(json!({"job_id": "not an id", "user_credentials": {"trust_id": "x", "trustor_user_id": "y"}}));
        service.post(&path, new.clone()).await.expect(201).shows(&json!({"job_id": id, "version": id}));
        let document = shown(&service, &id).await;
        assert_eq!(document, json!({
            "job_id": id, "project_id": PROJECT, "user_id": "dev", "client_id": "c", "job_schedule": {}, "job_actions": [],
            "session_id": "", "session_tag": 0, "description": "",
        }));
        service.get("jobs/ignored").await.refused(404, "Not Found");
        // Its actions stay.
        let action_id = before["job_actions"][0]["action_id"].as_str().unwrap().to_owned();
        service.get(&format!("actions/{action_id}")).await.expect(200);
        // A null keeps these two; times are taken as they are given.
        service.patch(&path, json!({"description": "kept", "session_id": "kept"})).await.expect(200);
        let schedule = json!({"time_created": 1, "time_started": 2, "time_ended": 3});
        let again = job(json!({
            "description": null, "session_id": null, "session_tag": 9, "job_schedule": schedule,
            "job_actions": [{"action_id": action_id}],
        }));
        service.post(&path, again).await.expect(201);
        let document = shown(&service, &id).await;
        assert!(contains(&document, &json!({
            "description": "kept", "session_id": "kept", "session_tag": 9, "job_schedule": schedule,
            "job_actions": [{"action_id": action_id}],
        })), "{document}");
        // Or it is created, without the caller's trust.
        service.post("jobs/mine", new).await.expect(201).shows(&json!({"job_id": "mine", "version": "mine"}));
        let document = shown(&service, "mine").await;
        assert_eq!(document["job_schedule"], json!({}));
        assert_eq!(document.get("user_credentials"), None);
        service.refuses(&[
            ("POST", "jobs/a%20b", job(json!({})), 400, "job_id"),
            ("POST", &format!("jobs/{}", "x".repeat(37)), job(json!({})), 400, "job_id"),
            ("POST", &path, json!({"client_id": "none", "job_actions": []}), 422, "Client not found with ID none"),
            ("POST", &path, job(json!({"project_id": "p2"})), 400, "project_id"),
        ]).await;
    }

    async fn a_patch_keeps_what_it_does_not_name(database: Database) {
        let service = service(&database).await;
        service.client("other").await;
        let (id, mut expected) = full(&service).await;
        let path = format!("jobs/{id}");
        for patch in [
            json!({}),
            json!({"description": "new"}),
            json!({"description": null}),
            json!({"session_tag": -1}),
            json!({"session_id": null}),
            json!({"session_id": ""}),
            json!({"client_id": "other"}),
            json!({"job_schedule": {"status": "running", "current_pid": 7}}),
            json!({"job_schedule": {"event": "stop"}}),
            json!({"job_schedule": {}}),
        ] {
            service.patch(&path, patch.clone()).await.expect(200).shows(&json!({"job_id": id, "version": 0}));
            expected.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
            assert_eq!(shown(&service, &id).await, expected, "{patch}");
        }
        // These are dropped, whatever they are.
        let dropped = json!({"job_id": 5, "user_id": [], "user_credentials": null, "project_id": PROJECT});
        service.patch(&path, dropped).await.expect(200);
        assert_eq!(shown(&service, &id).await, expected);
        service.patch(&path, json!({"job_actions": []})).await.expect(200);
        expected["job_actions"] = json!([]);
        assert_eq!(shown(&service, &id).await, expected);
        service.refuses(&[
            ("PATCH", "jobs/none", json!({}), 404, "none"),
            ("PATCH", &format!("/v2/p2/jobs/{id}"), json!({"description": "x"}), 404, &id),
            ("PATCH", &path, json!({"_version": 1}), 400, "_version"),
            ("PATCH", &path, json!({"session_name": "s"}), 400, "session_name"),
            ("PATCH", &path, json!({"other": 1}), 400, "other"),
            ("PATCH", &path, json!({"project_id": "p2"}), 400, "project_id"),
            ("PATCH", &path, json!({"project_id": null}), 400, "project_id"),
            ("PATCH", &path, json!({"job_schedule": null}), 400, "job_schedule"),
            ("PATCH", &path, json!({"job_actions": null}), 400, "job_actions"),
            ("PATCH", &path, json!({"job_actions": "x"}), 400, "job_actions"),
            ("PATCH", &path, json!({"job_actions": ["x"]}), 400, "job_actions"),
            ("PATCH", &path, json!({"job_actions": [{"action_id": "none"}]}), 422, "none"),
            ("PATCH", &path, json!({"session_tag": null}), 400, "session_tag"),
            ("PATCH", &path, json!({"client_id": null}), 400, "client_id"),
            ("PATCH", &path, json!({"client_id": "none"}), 422, "Client not found with ID none"),
        ]).await;
        assert_eq!(shown(&service, &id).await, expected);
        assert_eq!(service.get("/v2/p2/jobs").await.expect(200).json(), json!({"jobs": []}));
    }

    async fn a_patched_job_fits_its_client(database: Database) {
        let service = service(&database).await;
        service.post("clients", json!({"client_id": "weak", "supported_actions": ["exec"]})).await.expect(201);
        let (id, before) = full(&service).await;
        let path = format!("jobs/{id}");
        let backup = json!([{"freezer_action": {"action": "backup"}}]);
        service.refuses(&[
            // Its actions do not fit the new client, neither those it has nor those it gets.
            ("PATCH", &path, json!({"client_id": "weak"}), 422, "Client weak does not support action: backup"),
            ("PATCH", &path, json!({"client_id": "weak", "job_actions": backup}), 422, "weak"),
            ("POST", &path, json!({"client_id": "weak", "job_actions": backup}), 422, "weak"),
        ]).await;
        assert_eq!(shown(&service, &id).await, before);
        assert_eq!(database.rows("actions", "1 = 1").await, 1);
        let fitting = json!({"client_id": "weak", "job_actions": [{"freezer_action": {"action": "exec"}}]});
        service.patch(&path, fitting).await.expect(200);
        service.refuses(&[("PATCH", &path, json!({"job_actions": backup}), 422, "weak")]).await;
        // What has nothing to do with the client is not refused after it is gone.
        service.delete("clients/weak").await.expect(204);
        service.patch(&path, json!({"description": "x", "client_id": "weak"})).await.expect(200);
        service.refuses(&[("PATCH", &path, json!({"job_actions": []}), 422, "Client not found with ID weak")]).await;
    }

    async fn a_deleted_job_is_gone_and_its_actions_stay(database: Database) {
        let service = service(&database).await;
        let (id, before) = full(&service).await;
        let path = format!("jobs/{id}");
        for path in [format!("/v2/p2/jobs/{id}"), "jobs/none".to_owned(), "jobs/%20".to_owned()] {
            service.delete(&path).await.expect(204);
        }
        assert_eq!(shown(&service, &id).await, before);
        for _ in 0..2 {
            service.delete(&path).await.expect(204);
            service.get(&path).await.refused(404, "Not Found");
        }
        assert_eq!(service.get("jobs").await.expect(200).json(), json!({"jobs": []}));
        let action_id = before["job_actions"][0]["action_id"].as_str().unwrap();
        service.get(&format!("actions/{action_id}")).await.expect(200);
        assert_eq!(database.rows("job_actions", "deleted = FALSE").await, 0);
        assert_eq!(database.rows("user_credentials", "deleted = FALSE").await, 0);
        service.refuses(&[("POST", &format!("{path}/event"), json!({"stop": null}), 404, &id)]).await;
    }

    async fn events_are_requested_once(database: Database) {
        let service = service(&database).await;
        let (id, before) = full(&service).await;
        let path = format!("jobs/{id}/event");
        for (body, result, schedule) in [
            (json!({"stop": null}), "success", json!({"status": "scheduled", "schedule_hour": "5", "event": "stop"})),
            (json!({"stop": [1]}), "stop already requested", json!({"status": "scheduled", "schedule_hour": "5", "event": "stop"})),
            (json!({"start": 5, "stop": 1}), "success", json!({"status": "", "result": "", "schedule_hour": "5", "event": "start"})),
            (json!({"start": {}}), "start already requested", json!({"status": "", "result": "", "schedule_hour": "5", "event": "start"})),
            (json!({"abort": "x"}), "success", json!({"status": "", "result": "", "schedule_hour": "5", "event": "abort"})),
            (json!({"abort": "x"}), "abort already requested", json!({"status": "", "result": "", "schedule_hour": "5", "event": "abort"})),
        ] {
            service.post(&path, body.clone()).await.expect(202).shows(&json!({"result": result}));
            let mut document = shown(&service, &id).await;
            let mut shown: Value = document["job_schedule"].take();
            for key in ["time_created", "time_started", "time_ended"] {
                shown.as_object_mut().unwrap().remove(key);
            }
            assert_eq!(shown, schedule, "{body}");
            // Nothing else changes.
            document["job_schedule"] = before["job_schedule"].clone();
            assert_eq!(document, before, "{body}");
        }
        service.refuses(&[
            ("POST", &path, json!({"end": null}), 400, "Bad Action Method"),
            ("POST", &path, json!({"x": 1, "start": null}), 400, "Bad Action Method"),
            ("POST", &path, json!({}), 400, "Bad event request format"),
            ("POST", &path, json!([]), 400, "Bad event request format"),
            ("POST", &path, json!(null), 400, "Bad event request format"),
            ("POST", &path, json!(["start"]), 400, ""),
            ("POST", "jobs/none/event", json!({"start": null}), 404, "none"),
            ("POST", &format!("/v2/p2/jobs/{id}/event"), json!({"start": null}), 404, &id),
        ]).await;
        // A change is refused when the job would be: its client lost a capability, or is gone.
        service.post("clients", json!({"client_id": "c", "supported_actions": ["exec"]})).await.expect(201);
        service.refuses(&[("POST", &path, json!({"stop": null}), 422, "Client c does not support action: backup")]).await;
        service.post(&path, json!({"abort": null})).await.expect(202).shows(&json!({"result": "abort already requested"}));
        service.delete("clients/c").await.expect(204);
        service.refuses(&[("POST", &path, json!({"stop": null}), 422, "Client not found with ID c")]).await;
    }

    async fn process_ids_concern_the_project_of_the_client(database: Database) {
        let service = service(&database).await;
        service.post("/v2/p2/clients", json!({"client_id": "central", "is_central": true, "hostname": "h"})).await.expect(201);
        let schedule = json!({"job_schedule": {"current_pid": 42, "status": "running"}});
        for (client, own) in [("c", true), ("central", false)] {
            let id = service.job(client).await;
            service.patch(&format!("jobs/{id}"), schedule.clone()).await.expect(200);
            let project = PidViewer::Project(Some(PROJECT.to_owned()));
            for (viewer, sees) in [(PidViewer::Operator, true), (PidViewer::Project(Some("p2".to_owned())), false), (project, own)] {
                let jobs = seen(&service, &viewer, &id).await;
                let schedules: Vec<&Value> = jobs.iter().filter(|job| job["job_id"] == *id)
                    .map(|job| &job["job_schedule"]).collect();
                assert_eq!(schedules.len(), 2);
                // A project that does not own the job does not even get it; here it asks for those of another.
                let expected = if sees || viewer == PidViewer::Project(Some("p2".to_owned())) && !own {
                    schedule["job_schedule"].clone()
                } else {
                    json!({"status": "running"})
                };
                assert!(schedules.iter().all(|schedule| **schedule == expected), "{client} {viewer:?}: {schedules:?}");
            }
        }
        // Setting it by POST works too.
        let id = service.created("jobs", job(schedule), "job_id").await;
        assert_eq!(shown(&service, &id).await["job_schedule"]["current_pid"], 42);
    }
}
