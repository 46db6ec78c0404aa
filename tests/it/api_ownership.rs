//! Whose rows are written: each write takes the row over, and none touches a row of another project.

use serde_json::{Value, json};

use crate::support::Service;

/// A request that writes: method, path, body.
type Write = (&'static str, &'static str, Value);

/// All writes to documents that exist, with the document each changes.
fn writes() -> Vec<(Write, &'static str)> {
    let job = json!({"client_id": "c", "job_actions": []});
    let session = json!({"schedule": {}, "session_tag": 0, "jobs": {"j": {"status": "running"}}});
    let exec = json!({"freezer_action": {"action": "exec"}});
    vec![
        (
            (
                "POST",
                "clients",
                json!({"client_id": "c", "description": "new"}),
            ),
            "clients/c",
        ),
        (
            ("PATCH", "actions/a", json!({"max_retries": 9})),
            "actions/a",
        ),
        (("POST", "actions/a", exec), "actions/a"),
        (("PATCH", "jobs/j", json!({"description": "new"})), "jobs/j"),
        (("POST", "jobs/j", job), "jobs/j"),
        (("POST", "jobs/j/event", json!({"start": null})), "jobs/j"),
        (
            ("PATCH", "sessions/s", json!({"description": "new"})),
            "sessions/s",
        ),
        (("POST", "sessions/s", session.clone()), "sessions/s"),
        (
            (
                "POST",
                "sessions/s/action",
                json!({"end": {"job_id": "j", "result": "success"}}),
            ),
            "sessions/s",
        ),
        (
            (
                "POST",
                "sessions/s/action",
                json!({"start": {"job_id": "j", "current_tag": 0}}),
            ),
            "sessions/s",
        ),
        (("PUT", "sessions/s/jobs/j", json!({})), "sessions/s"),
        (("PUT", "sessions/s/jobs/j", json!({})), "jobs/j"),
        (("DELETE", "sessions/s/jobs/j", json!({})), "sessions/s"),
        (("DELETE", "sessions/s/jobs/j", json!({})), "jobs/j"),
        (
            ("PATCH", "backups/b", json!({"status": "error"})),
            "backups/b",
        ),
    ]
}

const DOCUMENTS: [&str; 5] = [
    "clients/c",
    "actions/a",
    "jobs/j",
    "sessions/s",
    "backups/b",
];

/// A row of each kind in project `p1`, written by someone else.
fn rows() -> Vec<String> {
    let row = "'p1', 'someone', FALSE";
    let all = r#"'["backup", "exec"]'"#;
    vec![
        format!("INSERT INTO clients (id, uuid, project_id, user_id, deleted, client_id, is_central, supported_actions) VALUES ('u', 'u', {row}, 'c', FALSE, {all})"),
        format!("INSERT INTO actions (id, project_id, user_id, deleted, action, backup_metadata) VALUES ('a', {row}, 'exec', '{{}}')"),
        format!("INSERT INTO jobs (id, project_id, user_id, deleted, client_id, schedule) VALUES ('j', {row}, 'c', '{{}}')"),
        "INSERT INTO job_actions (id, job_id, action_id, position, deleted) VALUES ('ja', 'j', 'a', 0, FALSE)".to_owned(),
        format!("INSERT INTO sessions (id, project_id, user_id, deleted, hold_off, session_tag, time_start, schedule, job) VALUES ('s', {row}, 30, 0, -1, '{{}}', '{{\"j\": {{\"status\": \"running\"}}}}')"),
        format!("INSERT INTO backups (id, project_id, user_id, deleted, status, backup_metadata) VALUES ('b', {row}, 'available', '{{}}')"),
    ]
}

async fn documents(service: &Service) -> Vec<Value> {
    let mut documents = Vec::new();
    for path in DOCUMENTS {
        documents.push(service.get(path).await.expect(200).json());
    }
    documents
}

on_each_engine! {
    async fn each_write_takes_the_row_over(database: Database) {
        let service = Service::start(&database).await;
        for row in rows() {
            database.run(row).await;
        }
        for ((method, path, body), changed) in writes() {
            let what = format!("{method} {path} {body}");
            let table = changed.split('/').next().unwrap();
            database.run(format!("UPDATE {table} SET user_id = 'someone'")).await;
            assert_eq!(service.get(changed).await.expect(200).json()["user_id"], "someone", "{what}");
            let answer = service.raw(method, path, body.to_string()).await;
            assert!((200..300).contains(&answer.status), "{what}: {}", answer.text());
            assert_eq!(service.get(changed).await.expect(200).json()["user_id"], "dev", "{what}");
        }
    }

    async fn rows_of_another_project_are_not_touched(database: Database) {
        let service = Service::start(&database).await;
        for row in rows() {
            database.run(row).await;
        }
        let before = documents(&service).await;
        service.post("/v2/p2/clients", json!({"client_id": "mine"})).await.expect(201);
        for (id, path) in [("mine", "jobs"), ("mine", "sessions")] {
            let body = json!({"client_id": "mine", "job_actions": [], "schedule": {}, "session_tag": 0});
            let body = match path {
                "jobs" => json!({"client_id": body["client_id"], "job_actions": []}),
                _ => json!({"schedule": {}, "session_tag": 0}),
            };
            service.post(&format!("/v2/p2/{path}/{id}"), body).await.expect(201);
        }
        let deletions = DOCUMENTS.map(|path| ("DELETE", path, json!({})));
        let mixed = [
            ("PUT", "sessions/mine/jobs/j", json!({})),
            ("PUT", "sessions/s/jobs/mine", json!({})),
            ("DELETE", "sessions/mine/jobs/j", json!({})),
            ("PATCH", "jobs/mine", json!({"job_actions": [{"action_id": "a"}]})),
            ("PATCH", "jobs/mine", json!({"client_id": "c"})),
            ("POST", "jobs", json!({"job_id": "j", "client_id": "mine", "job_actions": []})),
            ("POST", "actions", json!({"action_id": "a", "freezer_action": {"action": "exec"}})),
            ("POST", "clients", json!({"client_id": "x", "uuid": "u"})),
        ];
        for (method, path, body) in writes().into_iter().map(|(write, _)| write).chain(deletions).chain(mixed) {
            let answer = service.raw(method, &format!("/v2/p2/{path}"), body.to_string()).await;
            let what = format!("{method} {path} {body}: {} {}", answer.status, answer.text());
            match (method, path) {
                // The project gets a client of its own.
                ("POST", "clients") if body["uuid"].is_null() => assert_eq!(answer.status, 201, "{what}"),
                ("DELETE", _) if !path.contains("/jobs/") && path != "backups/b" => assert_eq!(answer.status, 204, "{what}"),
                _ => assert!(matches!(answer.status, 404 | 409 | 422), "{what}"),
            }
            assert_eq!(documents(&service).await, before, "{what}");
        }
        // An administrator sees a single job wherever it is.
        assert_eq!(service.get("/v2/p2/jobs/j").await.expect(200).json(), before[2]);
        for path in ["actions/a", "sessions/s", "backups/b"] {
            service.get(&format!("/v2/p2/{path}")).await.refused(404, "Not Found");
        }
    }
}
