//! What each kind of request sends to the database, so that nobody adds a statement unseen: docs/performance.md has it as a
//! table.

use std::fs;

use serde_json::{Value, json};

use crate::support::statements::Statements;
use crate::support::{Database, Service};

/// The first words of what a request sends.
async fn sent(
    service: &Service,
    log: &Statements,
    method: &str,
    path: &str,
    body: &Value,
) -> String {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    log.take();
    let answer = service.raw(method, path, body).await;
    assert!(answer.status < 300, "{method} {path}: {}", answer.text());
    let verb = |text: String| text.split(' ').next().unwrap().to_owned();
    let verbs: Vec<String> = log.take().into_iter().map(verb).collect();
    verbs.join(", ")
}

/// What a scheduler sends of a run that has started at 100.
fn run(status: &str, ended: i64, result: &str, pid: i64) -> Value {
    json!({"job_schedule": {
        "status": status, "time_started": 100, "time_ended": ended, "result": result, "current_pid": pid,
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_send_what_the_table_says() {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md"));
    let table = table.unwrap();
    let log = Statements::of_process().await;
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let service = Service::with(&database, Statements::are_logged).await;
        service.client("c").await;
        let action = json!({"freezer_action": {"action": "exec", "backup_name": "b"}});
        let job = json!({"client_id": "c", "job_actions": [action]});
        for _ in 0..20 {
            service.created("jobs", job.clone(), "job_id").await;
        }
        let job_id = &service.created("jobs", job.clone(), "job_id").await;
        let session_id = &service.session().await;
        let none = || Value::Null;
        let start = json!({"start": {"job_id": job_id, "current_tag": 0}});
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
        let poll = json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]});
        for (method, path, body) in [
            ("GET", "/v2", none()),
            ("GET", "clients", none()),
            ("GET", "clients/c", none()),
            ("POST", "actions", action),
            ("GET", "actions", none()),
            ("POST", "jobs", job.clone()),
            ("GET", "jobs?limit=10", none()),
            ("GET", "jobs?limit=10", poll),
            ("GET", "jobs/{job_id}", none()),
            ("PATCH", "jobs/{job_id}", json!({"description": "d"})),
            ("PATCH", "jobs/{job_id}", run("running", -1, "", 7)),
            ("PATCH", "jobs/{job_id}", run("running", -1, "", 8)),
            (
                "PATCH",
                "jobs/{job_id}",
                run("scheduled", 160, "success", 8),
            ),
            ("GET", "report/runs", none()),
            ("GET", "report/jobs", none()),
            ("POST", "jobs/{job_id}", job.clone()),
            ("POST", "jobs/{job_id}/event", json!({"start": null})),
            ("POST", "sessions", json!({"schedule": {}})),
            ("GET", "sessions", none()),
            ("GET", "sessions/{session_id}", none()),
            ("PUT", "sessions/{session_id}/jobs/{job_id}", none()),
            ("POST", "sessions/{session_id}/action", start),
            ("DELETE", "jobs/{job_id}", none()),
            ("POST", "backups", backup),
            ("GET", "backups?limit=10", none()),
        ] {
            let real = path
                .replace("{job_id}", job_id)
                .replace("{session_id}", session_id);
            let verbs = sent(&service, &log, method, &real, &body).await;
            let search = if method == "GET" && !body.is_null() {
                " with a scheduler's search"
            } else {
                ""
            };
            let told = match body["job_schedule"].as_object() {
                Some(schedule) if schedule["time_ended"] != -1 => " that tells the end of a run",
                Some(schedule) if schedule["current_pid"] != 7 => " that tells of an agent",
                Some(_) => " that tells the start of a run",
                None => "",
            };
            let row = format!("| {method} {path}{search}{told} | {verbs} |");
            assert!(table.contains(&row), "{engine:?} sends: {row}");
        }
    }
}
