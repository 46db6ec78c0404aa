//! Runs of jobs: what is seen of them in what schedulers report, and what the report shows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::start;
use crate::support::api::START;
use crate::support::choices::Choices;
use crate::support::process::manage;
use crate::support::rows::explain;
use crate::support::{Engine, Service};

const DAY: u64 = 86_400;

/// A job whose actions are an exec and two backups; its id.
async fn job(service: &Service, client_id: &str) -> String {
    service.client(client_id).await;
    let backup = |name: &str| json!({"freezer_action": {"action": "backup", "backup_name": name}});
    let actions = json!([backup("a"), {"freezer_action": {"action": "exec"}}, backup("b")]);
    let job = json!({"client_id": client_id, "description": "nightly", "job_actions": actions});
    service.created("jobs", job, "job_id").await
}

/// The schedule that a scheduler reports.
fn report(status: &str, started: i64, ended: i64, result: &str, pid: Option<i64>) -> Value {
    let mut schedule = json!({
        "status": status, "time_started": started, "time_ended": ended, "result": result, "event": "",
        "schedule_interval": "1 hours",
    });
    if let Some(pid) = pid {
        schedule["current_pid"] = pid.into();
    }
    schedule
}

async fn send(service: &Service, job_id: &str, schedule: Value) {
    let patch = json!({"job_schedule": schedule});
    let path = format!("jobs/{job_id}");
    service.patch(&path, patch).await.expect(200);
}

/// A page of runs.
async fn runs(service: &Service, query: &str) -> Vec<Value> {
    let path = format!("report/runs?{query}");
    let list = service.get(&path).await.expect(200).json();
    list["runs"].as_array().unwrap().clone()
}

fn states(runs: &[Value]) -> Vec<&str> {
    runs.iter()
        .map(|run| run["state"].as_str().unwrap())
        .collect()
}

on_each_engine! {
    async fn a_run_is_told_as_it_was(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        assert_eq!(runs(&service, "").await, [json!(null); 0]);
        let started = START - 5;
        send(&service, job_id, report("running", started, -1, "", None)).await;
        service.clock.advance(2);
        send(&service, job_id, report("running", started, -1, "", Some(70))).await;
        send(&service, job_id, report("running", started, -1, "", Some(70))).await;
        service.clock.advance(60);
        send(&service, job_id, report("running", started, -1, "", Some(71))).await;
        let run = &runs(&service, "").await[0];
        let mut wanted = json!({
            "run_id": run["run_id"], "project_id": "p1", "job_id": job_id, "client_id": "host1", "session_id": null,
            "session_tag": 0, "actions": ["backup", "exec"], "state": "running", "attempts": 2,
            "started_at": "2023-11-14T22:13:15Z", "ended_at": null, "duration": null,
            "seen_started_at": "2023-11-14T22:13:20Z", "seen_ended_at": null, "description": "nightly",
        });
        assert_eq!(*run, wanted);
        send(&service, job_id, report("scheduled", started, started + 66, "fail", Some(71))).await;
        wanted["state"] = "fail".into();
        wanted["ended_at"] = "2023-11-14T22:14:21Z".into();
        wanted["duration"] = 66.into();
        wanted["seen_ended_at"] = "2023-11-14T22:14:22Z".into();
        assert_eq!(runs(&service, "").await, [wanted.clone()]);
        let path = format!("report/runs/{}", wanted["run_id"].as_str().unwrap());
        assert_eq!(service.get(&path).await.expect(200).json(), wanted);
        service.get("report/runs/none").await.refused(404, "Not Found");
        let other = path.replace("report", "/v2/p2/report");
        // Without authentication everyone administers, and sees the runs of all projects.
        service.get(&other).await.expect(200);
        assert_eq!(service.get("/v2/p2/report/runs").await.expect(200).json(), json!({"runs": []}));
        assert_eq!(service.get("/v2/p2/report/runs?all_projects=true").await.expect(200).json(), json!({"runs": [wanted]}));
    }

    async fn what_is_kept_of_actions_has_a_limit(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let mut entries = Vec::new();
        for _ in 0..6 {
            let action = json!({"freezer_action": {"action": "exec"}});
            entries.push(json!({"action_id": service.created("actions", action, "action_id").await}));
        }
        let job = json!({"client_id": "host1", "job_actions": entries});
        let job_id = &service.created("jobs", job, "job_id").await;
        for (number, entry) in entries.iter().enumerate() {
            let path = format!("actions/{}", entry["action_id"].as_str().unwrap());
            let kind = format!("{number}{}", "ö".repeat(200));
            let patch = json!({"freezer_action": {"action": kind}});
            service.patch(&path, patch).await.expect(200);
        }
        send(&service, job_id, report("running", START, -1, "", None)).await;
        let shown: Vec<String> = (0..4).map(|number| format!("{number}{}", "ö".repeat(59))).collect();
        assert_eq!(runs(&service, "").await[0]["actions"], json!(shown));
    }

    async fn what_is_not_reported_is_not_made_up(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        // Killed, and back.
        send(&service, job_id, report("running", 100, -1, "", Some(1))).await;
        send(&service, job_id, report("scheduled", 100, -1, "", Some(1))).await;
        // The API was down at the end of the run.
        send(&service, job_id, report("running", 200, -1, "", Some(1))).await;
        let mut unheard = runs(&service, "limit=1").await.remove(0);
        service.clock.advance(7);
        send(&service, job_id, report("running", 300, -1, "", Some(1))).await;
        unheard["state"] = "unreported".into();
        unheard["seen_ended_at"] = "2023-11-14T22:13:27Z".into();
        assert_eq!(runs(&service, "state=unreported").await, [unheard]);
        send(&service, job_id, report("scheduled", 300, 360, "success", Some(2))).await;
        // At the start of it, and until another agent was started.
        send(&service, job_id, report("scheduled", 400, 460, "aborted", Some(3))).await;
        send(&service, job_id, report("running", 500, -1, "", Some(4))).await;
        let seen = runs(&service, "sort=started_at:asc").await;
        assert_eq!(states(&seen), ["lost", "unreported", "success", "aborted", "running"]);
        assert_eq!(seen[3]["seen_started_at"], Value::Null);
        let attempts: Vec<i64> = seen.iter().map(|run| run["attempts"].as_i64().unwrap()).collect();
        assert_eq!(attempts, [0, 0, 0, 0, 1]);
        service.delete(&format!("jobs/{job_id}")).await.expect(204);
        assert_eq!(states(&runs(&service, "limit=1").await), ["removed"]);
    }

    async fn a_run_that_is_told_late_ends_older_ones_alone(database: Database) {
        let service = Service::start(&database).await;
        let (job_id, other) = (&job(&service, "host1").await, &job(&service, "host2").await);
        for job_id in [job_id, other] {
            send(&service, job_id, report("running", 100, -1, "", None)).await;
        }
        // Two schedulers share the client: one tells of a run that began before, the other of one that begins now.
        send(&service, job_id, report("scheduled", 50, 60, "success", None)).await;
        let of_job = format!("job_id={job_id}&sort=started_at:asc");
        assert_eq!(states(&runs(&service, &of_job).await), ["success", "running"]);
        send(&service, job_id, report("scheduled", 200, 260, "fail", None)).await;
        assert_eq!(states(&runs(&service, &of_job).await), ["success", "unreported", "fail"]);
        // Again, by Horizon, which has kept a copy: the run is known, and nothing is ended by it.
        send(&service, job_id, report("running", 300, -1, "", None)).await;
        send(&service, job_id, report("running", 50, -1, "", None)).await;
        assert_eq!(states(&runs(&service, &of_job).await), ["success", "unreported", "fail", "running"]);
        assert_eq!(states(&runs(&service, &format!("job_id={other}")).await), ["running"]);
    }

    async fn what_people_change_of_a_job_touches_no_run(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        let running = report("running", 100, -1, "", Some(1));
        send(&service, job_id, running.clone()).await;
        let session_id = service.session().await;
        service.put(&format!("sessions/{session_id}/jobs/{job_id}")).await.expect(204);
        service.post(&format!("jobs/{job_id}/event"), json!({"start": null})).await.expect(202);
        // Horizon's form sends three members.
        let edited = json!({"schedule_interval": "2 days", "schedule_start_date": "2023-01-01T00:00:00",
            "schedule_end_date": "2033-01-01T00:00:00"});
        send(&service, job_id, edited).await;
        assert_eq!(states(&runs(&service, "").await), ["running"]);
        send(&service, job_id, report("scheduled", 100, 160, "success", Some(1))).await;
        let ended = runs(&service, "").await;
        assert_eq!(states(&ended), ["success"]);
        // Its form for actions sends the whole job as it was when the form was opened.
        send(&service, job_id, running).await;
        service.delete(&format!("sessions/{session_id}/jobs/{job_id}")).await.expect(204);
        assert_eq!(runs(&service, "").await, ended);
    }

    async fn a_list_is_filtered_and_paged(database: Database) {
        let service = Service::start(&database).await;
        let one = &job(&service, "host1").await;
        let two = &job(&service, "host2").await;
        for (at, job_id) in (0..30).zip([one, two].into_iter().cycle()) {
            let result = ["success", "fail", "aborted"][at as usize % 3];
            let started = START + at / 2 * 3600;
            send(&service, job_id, report("scheduled", started, started + 60, result, None)).await;
        }
        let count = async |query: &str| runs(&service, &format!("limit=100&{query}")).await.len();
        assert_eq!(count("").await, 30);
        assert_eq!(count("state=fail").await, 10);
        assert_eq!(count("state=fail&state=aborted,fail").await, 20);
        assert_eq!(count("state=running").await, 0);
        assert_eq!(count(&format!("job_id={one}")).await, 15);
        assert_eq!(count("client_id=host2&state=success").await, 5);
        assert_eq!(count("since=2023-11-14T23:13:20Z&until=2023-11-15T01:13:20Z").await, 4);
        assert_eq!(count("until=2023-11-14T23:13:20%2B02:00").await, 0);
        for (sort, first) in [
            ("", "2023-11-15T12:13:20Z"), ("sort=started_at:asc&", "2023-11-14T22:13:20Z"),
            ("state=success&state=fail&state=lost&", "2023-11-15T12:13:20Z"),
            ("state=aborted&state=success&all_projects=true&sort=started_at:asc&", "2023-11-14T22:13:20Z"),
            ("state=aborted&state=fail&client_id=host2&", "2023-11-15T12:13:20Z"),
        ] {
            let mut seen = Vec::new();
            let mut path = format!("/v2/p1/report/runs?{sort}limit=7");
            loop {
                let page = service.get(&path).await.expect(200).json();
                seen.extend(page["runs"].as_array().unwrap().clone());
                let Some(next) = page["runs_links"][0]["href"].as_str() else { break };
                assert_eq!(page["runs"].as_array().unwrap().len(), 7);
                path = next[next.find("/v2/").unwrap()..].to_owned();
            }
            assert_eq!(seen[0]["started_at"], first, "{sort}");
            let all = runs(&service, &format!("{sort}limit=30")).await;
            assert_eq!(seen, all, "{sort}");
            // What is chosen stands in the order that all runs have.
            let mut chosen = runs(&service, &format!("{}limit=30", if sort.contains("asc") { "sort=started_at:asc&" } else { "" })).await;
            chosen.retain(|run| {
                let has = |name: &str, value: &Value| !sort.contains(name) || sort.contains(&format!("{name}{}", value.as_str().unwrap()));
                has("state=", &run["state"]) && has("client_id=", &run["client_id"])
            });
            assert_eq!(all, chosen, "{sort}");
        }
        for (query, words) in [
            ("state=gone", "\"state\" parameter is invalid. The value must be one of running"),
            ("since=today", "such as 2024-02-29T23:59:58Z"),
            ("sort=job_id", "The key must be \"started_at\""),
            ("marker=none", "No run of the list has this id"),
            ("client_id=%00", "No id has a NUL"),
        ] {
            let answer = service.get(&format!("report/runs?{query}")).await;
            let description = answer.refused(400, "Invalid parameter");
            assert!(description.contains(words), "{query}: {description}");
        }
    }

    async fn an_id_that_is_used_again_has_no_runs_of_another_project(database: Database) {
        let service = Service::start(&database).await;
        let create = async |project: &str| {
            service.post(&format!("/v2/{project}/clients"), json!({"client_id": "host1"})).await.expect(201);
            let job = json!({"job_id": "same", "client_id": "host1", "job_actions": [{"freezer_action": {"action": "exec"}}]});
            service.post(&format!("/v2/{project}/jobs"), job).await.expect(201);
        };
        let tell = async |project: &str, schedule: Value| {
            let patch = json!({"job_schedule": schedule});
            service.patch(&format!("/v2/{project}/jobs/same"), patch).await.expect(200);
        };
        let all = async |project: &str| {
            let list = service.get(&format!("/v2/{project}/report/runs")).await.expect(200).json();
            list["runs"].as_array().unwrap().clone()
        };
        create("p1").await;
        tell("p1", report("scheduled", START - 50, START - 40, "success", None)).await;
        tell("p1", report("running", START - 30, -1, "", None)).await;
        service.delete("/v2/p1/jobs/same").await.expect(204);
        // Its scheduler had not ended it.
        database.run("UPDATE freezer_api_runs SET state = 'running', seen_ended_at = NULL WHERE state = 'removed'".to_owned()).await;
        assert!(manage(&database.configuration(), &["db", "purge", "--older-than", "30d"]).status.success());
        let before = all("p1").await;
        assert_eq!(states(&before), ["running", "success"]);
        create("p2").await;
        let history = service.get("/v2/p2/report/jobs").await.expect(200).json();
        assert_eq!((&history["jobs"][0]["runs"], &history["jobs"][0]["last_success_at"]), (&json!([]), &Value::Null));
        for (started, ended, result) in [(START - 30, -1, ""), (START - 30, START - 20, "fail"), (START - 5, -1, "")] {
            let status = if ended < 0 { "running" } else { "scheduled" };
            tell("p2", report(status, started, ended, result, Some(started))).await;
        }
        assert_eq!(all("p1").await, before);
        assert_eq!(states(&all("p2").await), ["running"]);
        service.delete("/v2/p2/jobs/same").await.expect(204);
        assert_eq!(all("p1").await, before);
        assert_eq!(states(&all("p2").await), ["removed"]);
    }

    async fn old_runs_are_forgotten(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        for started in [START - 200_000, START - 100, START + 9_000_000] {
            send(&service, job_id, report("scheduled", started, started + 60, "success", None)).await;
        }
        let other = &job(&service, "host2").await;
        send(&service, other, report("running", START - 300_000, -1, "", None)).await;
        let forget = async || service.api.catalogue.forget_runs(Duration::from_secs(2 * DAY)).await.unwrap();
        assert_eq!(forget().await, 1);
        assert_eq!(forget().await, 0);
        assert_eq!(runs(&service, "").await.len(), 3);
        service.clock.advance(3 * DAY as i64);
        assert_eq!(forget().await, 2);
        // One that goes on stays.
        assert_eq!(states(&runs(&service, "").await), ["running"]);
    }

    async fn the_service_forgets_old_runs_by_itself(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        send(&service, job_id, report("scheduled", START, START + 60, "success", None)).await;
        // That was long ago by the clock of the system.
        let _server = start(&database, "");
        while database.rows("freezer_api_runs", "1 = 1").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn lists_of_runs_use_an_index(database: Database) {
        let service = Service::start(&database).await;
        let job_id = &job(&service, "host1").await;
        send(&service, job_id, report("running", 100, -1, "", None)).await;
        if database.engine() == Engine::Postgres {
            // Of few rows it reads all, whatever there is to find them by.
            return;
        }
        for (condition, index) in [
            ("project_id = 'p1' ORDER BY started_at DESC, id DESC LIMIT 11", "ix_freezer_api_runs_project"),
            ("client_id = 'c' ORDER BY started_at DESC, id DESC LIMIT 11", "ix_freezer_api_runs_client"),
            ("state = 'fail' ORDER BY started_at DESC, id DESC LIMIT 11", "ix_freezer_api_runs_state"),
            ("project_id = 'p1' AND state = 'fail' ORDER BY started_at DESC, id DESC LIMIT 11", "ix_freezer_api_runs_project_state"),
            ("1 = 1 ORDER BY started_at DESC, id DESC LIMIT 11", "ix_freezer_api_runs_started"),
        ] {
            let plan = explain(&database, &format!("SELECT id, state, attempts FROM freezer_api_runs WHERE {condition}"), &[]).await;
            assert!(plan.contains(index), "{condition}: {plan}");
            assert!(!plan.contains("filesort") && !plan.contains("TEMP B-TREE"), "{condition}: {plan}");
        }
    }

    async fn any_order_of_reports_keeps_the_rules(database: Database) {
        let service = Service::start(&database).await;
        let mut choices = Choices::new(14);
        let job_id = &job(&service, "host1").await;
        let mut ended: BTreeMap<String, Value> = BTreeMap::new();
        for step in 0..150 {
            let started = [100, 200, 300, 400][choices.below(4)];
            let pid = [None, Some(1), Some(2)][choices.below(3)];
            let schedule = match choices.below(4) {
                0 | 1 => report("running", started, -1, "", pid),
                2 => report("scheduled", started, -1, "", pid),
                _ => report("completed", started, started + 60, ["success", "fail", ""][choices.below(3)], pid),
            };
            let told = schedule.clone();
            send(&service, job_id, schedule).await;
            let seen = runs(&service, "limit=100").await;
            let open = states(&seen).into_iter().filter(|state| *state == "running").count();
            assert!(open <= 1, "step {step}, after {told}: {seen:?}");
            for run in seen {
                let id = run["started_at"].as_str().unwrap().to_owned();
                if let Some(before) = ended.get(&id) {
                    assert_eq!(run, *before, "step {step}, after {told}: an ended run has changed");
                } else if ["success", "fail"].contains(&run["state"].as_str().unwrap()) {
                    assert!(run["duration"] == 60, "step {step}: {run}");
                    ended.insert(id, run);
                }
            }
        }
        assert!(!ended.is_empty());
    }
}
