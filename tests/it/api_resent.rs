//! Requests that are sent again because their outcome is unknown (docs/reliability.md).

use serde_json::{Value, json};

use crate::support::Service;

/// All documents of the project.
async fn documents(service: &Service) -> Vec<Value> {
    let mut all = Vec::new();
    for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
        let list = service.get(kind).await.expect(200).json();
        all.extend(list[kind].as_array().unwrap().clone());
    }
    all
}

/// Sends a request until its answer is known, as a client does that got none for the first: the statuses, and whether the
/// second has changed nothing.
async fn send_twice(service: &Service, method: &str, path: &str, body: &Value) -> (u16, u16, bool) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let first = service.raw(method, path, body.clone()).await.status;
    let after_first = documents(service).await;
    let second = service.raw(method, path, body).await.status;
    (first, second, documents(service).await == after_first)
}

on_each_engine! {
    async fn a_request_that_is_sent_again_has_no_second_effect(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let action = json!({"freezer_action": {"action": "backup"}, "action_id": "a"});
        let job = json!({"client_id": "c", "job_id": "j", "job_actions": [{"action_id": "a"}, {"freezer_action": {"action": "exec"}}]});
        let start = json!({"start": {"job_id": "j", "current_tag": 0}});
        let end = json!({"end": {"job_id": "j", "current_tag": 1, "result": "success"}});
        for (method, path, body, first, second) in [
            ("POST", "clients", json!({"client_id": "d", "description": "x"}), 201, 201),
            ("POST", "actions", action.clone(), 201, 409),
            ("POST", "actions/b", action, 201, 201),
            ("PATCH", "actions/a", json!({"max_retries": 3}), 200, 200),
            ("POST", "jobs", job.clone(), 201, 409),
            ("PATCH", "jobs/j", json!({"job_actions": [{"action_id": "a"}]}), 200, 200),
            ("POST", "jobs/k", json!({"client_id": "c", "job_actions": [{"action_id": "a"}]}), 201, 201),
            ("POST", "jobs/j/event", json!({"start": null}), 202, 202),
            ("POST", "sessions/s", json!({"schedule": {}, "session_tag": 0, "hold_off": 60}), 201, 201),
            ("PATCH", "sessions/s", json!({"description": "x"}), 200, 200),
            ("PUT", "sessions/s/jobs/j", Value::Null, 204, 204),
            ("POST", "sessions/s/action", start, 202, 202),
            ("POST", "sessions/s/action", end, 202, 202),
            ("DELETE", "sessions/s/jobs/j", Value::Null, 204, 204),
            ("DELETE", "sessions/s", Value::Null, 204, 204),
            ("DELETE", "jobs/j", Value::Null, 204, 204),
            ("DELETE", "actions/a", Value::Null, 204, 204),
            ("DELETE", "clients/c", Value::Null, 204, 204),
        ] {
            let sent = send_twice(&service, method, path, &body).await;
            assert_eq!((sent.0, sent.1), (first, second), "{method} {path}");
            // An entry of a session is renewed from the job's schedule, which the first request has changed.
            assert!(sent.2 || method == "PUT", "{method} {path}");
        }
        // Without an id of one's own a second document is made.
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
        assert_eq!(send_twice(&service, "POST", "backups", &backup).await, (201, 201, false));
    }
}
