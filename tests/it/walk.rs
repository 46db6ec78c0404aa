//! The walk of the README: in this process on each engine, and word for word with curl against real processes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::process::Server;
use crate::support::{Service, api::contains};

/// What the README says that a new user types.
fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## A walk through the API\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What a shell prints when it runs a script to its end.
fn shell(script: &str) -> Vec<u8> {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{output:?}");
    output.stdout
}

/// Types what the README says, against this server instead of the one on port 9090, and reads the answers.
pub(crate) fn walk(server: &Server) {
    let script = readme();
    assert!(
        script.contains("url=http://127.0.0.1:9090/v2/demo"),
        "{script}"
    );
    let script = script.replace("http://127.0.0.1:9090", &server.url());
    // Failing answers end the script.
    let script = script.replace("curl -s ", "curl -s --fail-with-body ");
    let printed = shell(&script);
    let answers: Vec<Value> = serde_json::Deserializer::from_slice(&printed)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let actions = json!([
        {"freezer_action": {"action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc"}},
        {"freezer_action": {"action": "backup", "mode": "fs", "backup_name": "home", "path_to_backup": "/home"}},
    ]);
    let expected = [
        json!({"client_id": "host1.example.com"}),
        json!({"jobs": [{"client_id": "host1.example.com", "job_schedule": {"status": "scheduled"}, "job_actions": actions}]}),
        json!({"version": 0}),
        json!({"version": 0}),
        json!({"result": "success", "session_tag": 1}),
        json!({"result": "success", "session_tag": 1}),
        json!({"backups": [{"status": "available", "backup_metadata": {"backup_name": "etc"}}]}),
        json!({"status": "deleting", "backup_metadata": {"backup_name": "etc"}}),
    ];
    assert_eq!(answers.len(), expected.len(), "{answers:#?}");
    for (answer, expected) in answers.iter().zip(&expected) {
        assert!(contains(answer, expected), "{answer:#}\n{expected:#}");
    }
    // What is left behind.
    let list = |kind: &str| -> Value {
        serde_json::from_slice(&shell(&format!(
            "curl -s --fail {}/v2/demo/{kind}",
            server.url()
        )))
        .unwrap()
    };
    let jobs = list("jobs");
    let job_id = jobs["jobs"][0]["job_id"].as_str().unwrap();
    let sessions = list("sessions");
    let session = json!([{"status": "completed", "result": "success", "jobs": {job_id: {"status": "completed", "result": "success"}}}]);
    assert!(contains(&sessions["sessions"], &session), "{sessions}");
    let job = json!([{"session_id": sessions["sessions"][0]["session_id"], "job_schedule": {"schedule_interval": "1 days"}}]);
    assert!(contains(&jobs["jobs"], &job), "{jobs}");
    assert_eq!(list("backups"), json!({"backups": []}));
}

on_each_engine! {
    async fn a_walk_through_the_service(database: Database) {
        let service = Service::start(&database).await;
        let client = json!({"client_id": "host", "hostname": "host.example.com"});
        service.post("clients", client).await.expect(201).shows(&json!({"client_id": "host"}));
        let named = |name: &str| json!({"freezer_action": {"action": "backup", "mode": "fs", "backup_name": name}});
        let interval = json!({"schedule_interval": "1 days", "status": "scheduled"});
        let job = json!({"client_id": "host", "job_schedule": interval, "job_actions": [named("etc"), named("home")]});
        let job = service.created("jobs", job, "job_id").await;
        let poll = async |host: &str| {
            let search = json!({"match": [{"client_id": host}], "match_not": [{"status": "completed"}]});
            service.search("jobs", search).await.expect(200).json()["jobs"].as_array().unwrap().clone()
        };
        let found = poll("host").await;
        assert_eq!(found.len(), 1);
        assert!(contains(&found[0], &json!({"job_id": job, "job_schedule": interval, "job_actions": [named("etc"), named("home")]})));
        assert!(poll("other").await.is_empty());
        let path = format!("jobs/{job}");
        for (schedule, polled) in [
            (json!({"status": "running", "current_pid": 5}), 1),
            (json!({"status": "completed", "result": "success"}), 0),
        ] {
            service.patch(&path, json!({"job_schedule": schedule})).await.expect(200);
            assert_eq!(service.get(&path).await.expect(200).json()["job_schedule"], schedule);
            assert_eq!(poll("host").await.len(), polled);
        }
        let session = service.session().await;
        service.put(&format!("sessions/{session}/jobs/{job}")).await.expect(204);
        let action = format!("sessions/{session}/action");
        let done = json!({"result": "success", "session_tag": 1});
        service.post(&action, json!({"start": {"job_id": job, "current_tag": 0}})).await.expect(202).shows(&done);
        service.post(&action, json!({"end": {"job_id": job, "result": "success"}})).await.expect(202).shows(&done);
        service.get(&format!("sessions/{session}")).await.expect(200).shows(&json!({
            "status": "completed", "result": "success", "jobs": {&job: {"status": "completed", "result": "success"}},
        }));
        let metadata = json!({"backup_name": "etc", "hostname": "host", "container": "/backups", "level": 0});
        let backup = service.created("backups", metadata.clone(), "backup_id").await;
        let search = json!({"match": [{"backup_name": "etc"}]});
        service.search("backups", search.clone()).await.expect(200).shows(&json!({"backups": [{"backup_id": backup}]}));
        let path = format!("backups/{backup}");
        service.patch(&path, json!({"status": "deleting"})).await.expect(200)
            .shows(&json!({"status": "deleting", "backup_metadata": metadata}));
        service.delete(&path).await.expect(204);
        assert_eq!(service.search("backups", search).await.expect(200).json(), json!({"backups": []}));
    }

    async fn the_readme_on_a_configured_database(database: Database) {
        let configuration = format!("[database]\nconnection = {}\n", database.url());
        let server = Server::start(&configuration, &["--dev"]).unwrap();
        let server = tokio::task::spawn_blocking(move || {
            walk(&server);
            server
        });
        let ended = server.await.unwrap().stop();
        assert!(ended.status.success(), "{}", ended.output);
        // The tables are there now, so the server starts for users too, once it knows who they are.
        assert_eq!(database.rows("jobs", "deleted = FALSE").await, 1);
    }
}

#[test]
fn the_readme_on_a_fresh_machine() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::develop(data.path(), &[]).unwrap();
    walk(&server);
    // The banner says where it listens, where the data lies, and has a line that works when it is pasted.
    let banner = server.output();
    assert!(banner.contains(&server.url()), "{banner}");
    let file = data.path().join("freezer-api/freezer.sqlite");
    assert!(
        banner.contains(file.to_str().unwrap()) && file.exists(),
        "{banner}"
    );
    let (_, pasted) = banner
        .lines()
        .find_map(|line| line.split_once(" try "))
        .unwrap();
    let jobs = shell(pasted);
    assert_eq!(
        serde_json::from_slice::<Value>(&jobs).unwrap()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(server.stop().status.success());
    // Started again, it finds the data again; records on request are for an empty database.
    let server = Server::develop(data.path(), &["--sample"]).unwrap();
    let (_, pasted) = banner
        .lines()
        .find_map(|line| line.split_once(" try "))
        .unwrap();
    let again = pasted.replace(&banner_url(&banner), &server.url());
    assert_eq!(shell(&again), jobs);
    drop(server);
    let empty = tempfile::tempdir().unwrap();
    let server = Server::develop(empty.path(), &["--sample"]).unwrap();
    for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
        let list = shell(&format!("curl -s --fail {}/v2/demo/{kind}", server.url()));
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert!(!list[kind].as_array().unwrap().is_empty(), "{list}");
    }
    // Two weeks of runs, of which one job fails and one was not heard of again.
    let list = shell(&format!(
        "curl -s --fail {}/v2/demo/report/jobs",
        server.url()
    ));
    let list: Value = serde_json::from_slice(&list).unwrap();
    let jobs = list["jobs"].as_array().unwrap();
    let findings: Vec<&Value> = jobs
        .iter()
        .flat_map(|job| job["findings"].as_array().unwrap())
        .collect();
    for finding in ["failing", "overdue", "stuck"] {
        assert!(findings.contains(&&Value::from(finding)), "{list}");
    }
    assert_eq!(
        jobs.iter()
            .filter(|job| job["findings"] == Value::Array(Vec::new()))
            .count(),
        jobs.len() - 2
    );
    // Nobody else reaches a server without authentication.
    drop(server);
    let ended = Server::develop(empty.path(), &["--bind-host", "0.0.0.0"]).unwrap_err();
    assert!(
        !ended.status.success() && ended.output.contains("loopback"),
        "{}",
        ended.output
    );
}

fn banner_url(banner: &str) -> String {
    let (_, url) = banner
        .lines()
        .find_map(|line| line.split_once("listening on"))
        .unwrap();
    url.trim().to_owned()
}
