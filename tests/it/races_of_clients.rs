//! What jobs rest on (their client, what it can do, what their actions do) is taken from them while they are stored: who was
//! told that it is gone sees every job that was stored before, and none comes after.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::races::PARALLEL;
use crate::support::{Answer, Service};

/// How often each of the three kinds is run.
const ROUNDS: usize = 5;

/// Method, path and body of a request.
type Request = (&'static str, String, Value);

/// What takes from jobs what they need of a client and an action, both of this name.
fn withdrawals(name: &str) -> [Request; 3] {
    let weaker = json!({"client_id": name, "supported_actions": ["info"]});
    let other = json!({"freezer_action": {"action": "exec"}});
    [
        ("DELETE", format!("clients/{name}"), Value::Null),
        ("POST", "clients".to_owned(), weaker),
        ("PATCH", format!("actions/{name}"), other),
    ]
}

/// What needs them: a job that comes to the client, by being created or by a change, or that is to start there.
fn needing(name: &str, number: usize) -> Request {
    let id = format!("{name}-{number}");
    let mut job = json!({"client_id": name, "job_actions": [{"action_id": name}]});
    match number % 4 {
        0 => ("POST", format!("jobs/{id}"), job),
        1 => {
            job["job_id"] = json!(id);
            ("POST", "jobs".to_owned(), job)
        }
        2 => ("PATCH", format!("jobs/{id}"), json!({"client_id": name})),
        _ => ("POST", format!("jobs/{id}/event"), json!({"start": null})),
    }
}

/// Whether a document shows what [`needing`] asked for.
fn shows(job: &Value, name: &str, number: usize) -> bool {
    job["client_id"] == name && (number % 4 != 3 || job["job_schedule"]["event"] == "start")
}

/// A client and an action of this name that fit, and the jobs that [`needing`] changes.
async fn prepare(service: &Service, name: &str) {
    let client = json!({"client_id": name, "supported_actions": ["backup"]});
    service.post("clients", client).await.expect(201);
    let action = json!({"action_id": name, "freezer_action": {"action": "backup"}});
    service.post("actions", action).await.expect(201);
    for number in 0..PARALLEL {
        let client = match number % 4 {
            2 => "strong",
            3 => name,
            _ => continue,
        };
        let job = json!({
            "client_id": client, "job_id": format!("{name}-{number}"), "job_actions": [{"action_id": name}],
        });
        service.post("jobs", job).await.expect(201);
    }
}

fn send(
    service: &Arc<Service>,
    (method, path, body): Request,
) -> impl Future<Output = Answer> + Send + use<> {
    let service = Arc::clone(service);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    async move { service.raw(method, &path, body).await }
}

/// Sends all at once, each to another of the servers; the requests that were carried out and are missing once the withdrawal was.
async fn missing(servers: &[Arc<Service>], name: &str, withdrawal: Request) -> Vec<String> {
    let server = |number: usize| &servers[number % servers.len()];
    let withdrawal = send(server(0), withdrawal);
    let reading = Arc::clone(server(1));
    let withdrawing = tokio::spawn(async move {
        let answer = withdrawal.await;
        assert!(matches!(answer.status, 200 | 201 | 204), "{answer:?}");
        reading.get("jobs?limit=10000").await.expect(200).json()
    });
    let requests: Vec<_> = (0..PARALLEL)
        .map(|number| tokio::spawn(send(server(number), needing(name, number))))
        .collect();
    let mut carried_out = Vec::new();
    for (number, request) in requests.into_iter().enumerate() {
        let answer = request.await.unwrap();
        match answer.status {
            200..=202 => carried_out.push(number),
            422 => {}
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let jobs = withdrawing.await.unwrap();
    let jobs = jobs["jobs"].as_array().unwrap();
    let is_there = |number: &usize| {
        let id = format!("{name}-{number}");
        jobs.iter()
            .any(|job| job["job_id"] == id && shows(job, name, *number))
    };
    carried_out.retain(|number| !is_there(number));
    carried_out
        .into_iter()
        .map(|number| format!("{:?}", needing(name, number)))
        .collect()
}

/// Rounds of all kinds of withdrawals on some servers of one database.
pub(crate) async fn withdraw(servers: &[Arc<Service>]) {
    servers[0].client("strong").await;
    let mut found = Vec::new();
    for round in 0..ROUNDS {
        for kind in 0..3 {
            let name = format!("c{round}-{kind}");
            prepare(&servers[0], &name).await;
            let withdrawal = withdrawals(&name)[kind].clone();
            found.extend(missing(servers, &name, withdrawal).await);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

on_each_engine! {
    async fn what_a_job_needs_stays_until_it_is_stored(database: Database) {
        withdraw(&[Arc::new(Service::start(&database).await)]).await;
    }
}
