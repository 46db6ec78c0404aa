//! How hosts fare, and what is wrong: what the rounds find, and what reports show of it.

use std::collections::BTreeSet;
use std::time::Duration;

use freezer_api::service::RoundTerms;
use serde_json::{Value, json};

use crate::client_activity::{poll, write};
use crate::server::start;
use crate::support::api::START;
use crate::support::choices::Choices;
use crate::support::statements::Statements;
use crate::support::{Database, Engine, Service, rows};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Has a round, as the node with the lease does, which has heard every poll since a time.
pub(crate) async fn round_watching(service: &Service, watching: i64) {
    let terms = RoundTerms {
        watching,
        heard_since: i64::MAX,
        is_gentle: false,
    };
    service.api.catalogue.judge_all(terms).await.unwrap();
    service.api.catalogue.count_days(1, 90).await.unwrap();
}

/// The same of one that has always listened.
pub(crate) async fn round(service: &Service) {
    round_watching(service, 0).await;
}

/// A job that makes backups; its id.
async fn backup_job(service: &Service, client_id: &str, schedule: Value) -> String {
    let action = json!({"freezer_action": {"action": "backup", "backup_name": "b"}});
    let job = json!({"client_id": client_id, "job_schedule": schedule, "job_actions": [action]});
    service.created("jobs", job, "job_id").await
}

fn hourly() -> Value {
    json!({"schedule_interval": "1 hours", "status": "scheduled"})
}

/// What a scheduler reports of a run.
async fn send(service: &Service, job_id: &str, started: i64, ended: i64, result: &str) {
    let status = if ended < 0 { "running" } else { "scheduled" };
    let schedule = json!({
        "status": status, "time_started": started, "time_ended": ended, "result": result,
        "schedule_interval": "1 hours",
    });
    let patch = json!({"job_schedule": schedule});
    service
        .patch(&format!("jobs/{job_id}"), patch)
        .await
        .expect(200);
}

/// The rows of a list.
async fn list(service: &Service, path: &str) -> Vec<Value> {
    let name = path
        .trim_start_matches("/v2/p2/")
        .trim_start_matches("report/")
        .split('?')
        .next()
        .unwrap();
    let list = service.get(path).await.expect(200).json();
    list[name].as_array().unwrap().clone()
}

/// Kinds of problems with their clients.
async fn kinds(service: &Service) -> Vec<(String, String)> {
    let problems = list(service, "report/problems?limit=100").await;
    let text = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
    problems
        .iter()
        .map(|problem| (text(problem, "kind"), text(problem, "client_id")))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(kind, client)| ((*kind).to_owned(), (*client).to_owned()))
        .collect()
}

on_each_engine! {
    async fn a_host_is_shown_with_what_its_jobs_say(database: Database) {
        let service = Service::start(&database).await;
        let client = json!({"client_id": "host1", "hostname": "node1.example.com"});
        service.post("clients", client).await.expect(201);
        assert_eq!(list(&service, "report/hosts").await, [json!(null); 0]);
        round(&service).await;
        let host = service.get("report/hosts/host1").await.expect(200).json();
        let wanted = json!({
            "host_id": host["host_id"], "project_id": "p1", "client_id": "host1", "hostname": "node1.example.com",
            "is_central": false, "is_registered": true, "state": "unknown", "last_poll_at": null, "poll_interval": null,
            "addresses": 0, "restarts": 0, "jobs": 0, "active_jobs": 0, "last_success_at": null, "due_at": null, "running": 0,
            "failed_in_a_row": 0, "os": null, "agent_version": null, "clock_skew": null, "findings": ["unprotected"],
        });
        assert_eq!(host, wanted);
        assert_eq!(list(&service, "report/hosts").await, [wanted]);
        let one = backup_job(&service, "host1", hourly()).await;
        let two = backup_job(&service, "host1", hourly()).await;
        backup_job(&service, "host1", json!({"status": "stop", "schedule_interval": "1 hours"})).await;
        // Its clock is a minute and a half behind.
        for (job, started, ended, result) in [
            (&one, START - 90, START - 60, "success"), (&two, START - 3000, START - 2000, "fail"), (&two, START - 90, START - 80, "fail"),
        ] {
            send(&service, job, started, -1, "").await;
            send(&service, job, started, ended, result).await;
        }
        send(&service, &one, START - 91, -1, "").await;
        poll(&service, "host1").await;
        write(&service).await;
        round(&service).await;
        let host = service.get("report/hosts/host1").await.expect(200).shows(&json!({
            "state": "alive", "last_poll_at": "2023-11-14T22:13:20Z", "jobs": 3, "active_jobs": 2,
            "last_success_at": "2023-11-14T22:11:50Z", "due_at": "2023-11-15T00:12:20Z", "running": 1, "failed_in_a_row": 2,
            "clock_skew": 90, "findings": ["failing", "clock_skew"],
        }));
        assert_eq!(host["host_id"], wanted_id(&service).await);
        assert_eq!(kinds(&service).await, pairs(&[("failing", "host1"), ("clock_skew", "host1")]));
        service.clock.advance(301);
        round(&service).await;
        service.get("report/hosts/host1").await.expect(200).shows(&json!({"state": "silent", "findings": ["failing", "silent", "clock_skew"]}));
        // What is gone is forgotten.
        for job in [&one, &two] {
            service.delete(&format!("jobs/{job}")).await.expect(204);
        }
        round(&service).await;
        service.get("report/hosts/host1").await.expect(200).shows(&json!({"jobs": 1, "findings": ["silent", "unprotected"], "clock_skew": null}));
        service.delete("clients/host1").await.expect(204);
        round(&service).await;
        service.get("report/hosts/host1").await.expect(200).shows(&json!({"jobs": 1, "is_registered": false, "state": "unknown", "findings": []}));
        assert_eq!(kinds(&service).await, pairs(&[]));
        database.run("UPDATE jobs SET deleted = TRUE".to_owned()).await;
        round(&service).await;
        service.get("report/hosts/host1").await.refused(404, "Not Found");
        assert_eq!(list(&service, "report/hosts").await, [json!(null); 0]);
    }

    async fn what_is_wrong_is_listed_the_worst_first(database: Database) {
        let service = Service::start(&database).await;
        for client in ["a", "b", "c", "d"] {
            service.client(client).await;
        }
        let failing = backup_job(&service, "a", hourly()).await;
        send(&service, &failing, START - 600, START - 500, "fail").await;
        send(&service, &failing, START - 60, START - 50, "fail").await;
        let never = backup_job(&service, "b", hourly()).await;
        let stopped = backup_job(&service, "c", json!({"status": "stop", "schedule_interval": "1 days"})).await;
        backup_job(&service, "d", json!({"schedule_hour": "25"})).await;
        poll(&service, "b").await;
        write(&service).await;
        assert_eq!(service.get("report/problems").await.expect(200).json(), json!({"as_of": null, "problems": []}));
        round(&service).await;
        service.clock.advance(8 * DAY);
        round(&service).await;
        let wanted = [
            ("failing", "a"), ("never", "a"), ("never", "b"), ("silent", "b"), ("unreadable", "d"), ("unprotected", "c"), ("paused", "c"),
        ];
        let found: BTreeSet<(String, String)> = kinds(&service).await.into_iter().collect();
        assert_eq!(found, pairs(&wanted).into_iter().collect());
        let problems = list(&service, "report/problems?limit=100").await;
        let severities: Vec<&str> = problems.iter().map(|problem| problem["severity"].as_str().unwrap()).collect();
        assert_eq!(severities, ["red", "red", "red", "amber", "amber", "amber", "amber"]);
        let first = &problems[0];
        assert_eq!(*first, json!({
            "problem_id": first["problem_id"], "kind": "failing", "severity": "red", "project_id": "p1", "client_id": "a", "job_id": failing, "series_id": null,
            "description": "", "since": "2023-11-14T22:03:20Z", "last_success_at": null, "due_at": "2023-11-15T00:13:20Z",
            "failed_in_a_row": 2, "clock_skew": null, "next_step": first["next_step"],
        }));
        assert!(first["next_step"].as_str().unwrap().contains("journalctl"));
        // The pages are one list.
        let mut seen = Vec::new();
        let mut path = "/v2/p1/report/problems?limit=2".to_owned();
        loop {
            let page = service.get(&path).await.expect(200).json();
            seen.extend(page["problems"].as_array().unwrap().clone());
            let Some(next) = page["problems_links"][0]["href"].as_str() else { break };
            path = next[next.find("/v2/").unwrap()..].to_owned();
        }
        assert_eq!(seen, problems);
        for (query, count) in [
            ("severity=red", 3), ("severity=amber", 4), ("kind=never", 2), ("kind=never&kind=paused", 3), ("kind=never,silent&severity=red", 2),
            ("client_id=a", 2), (&*format!("job_id={stopped}"), 1), (&*format!("job_id={never}&kind=failing"), 0),
        ] {
            assert_eq!(list(&service, &format!("report/problems?limit=50&{query}")).await.len(), count, "{query}");
        }
        assert_eq!(list(&service, "/v2/p2/report/problems").await, [json!(null); 0]);
        assert_eq!(list(&service, "/v2/p2/report/problems?all_projects=true&limit=50").await, problems);
        for (query, words) in [
            ("marker=none", "No problem of the list has this id"), ("kind=bad", "must be one of failing"), ("severity=green", "red, amber"),
            ("kind=silent&severity=red", "No kind that is asked for has it"), ("client_id=%00", "No id has a NUL"), ("limit=x", "integer"),
        ] {
            let description = service.get(&format!("report/problems?{query}")).await.refused(400, "Invalid parameter");
            assert!(description.contains(words), "{query}: {description}");
        }
        // What is mended is no problem any more, and nothing is written of the rest.
        let now = service.clock.timestamp();
        send(&service, &failing, now - 60, now - 50, "success").await;
        round(&service).await;
        let found = kinds(&service).await;
        assert!(!found.iter().any(|(_, client)| client == "a"), "{found:?}");
        assert_eq!(found.len(), 5);
    }

    async fn nobody_is_silent_for_what_was_not_heard(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        poll(&service, "host1").await;
        write(&service).await;
        // The service itself was down for an hour.
        service.clock.advance(HOUR);
        let state = async |watching: i64| {
            round_watching(&service, watching).await;
            let host = service.get("report/hosts/host1").await.expect(200).json();
            host["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state(START + HOUR).await, "alive");
        service.clock.advance(301);
        assert_eq!(state(START + HOUR).await, "silent");
        poll(&service, "host1").await;
        write(&service).await;
        assert_eq!(state(START + HOUR).await, "alive");
    }

    async fn a_central_client_is_seen_where_it_has_jobs(database: Database) {
        let service = Service::start(&database).await;
        let central = json!({"client_id": "cinder", "hostname": "volumes", "is_central": true});
        service.post("/v2/service/clients", central).await.expect(201);
        let job = json!({"client_id": "cinder", "job_schedule": hourly(), "job_actions": []});
        service.post("jobs", job).await.expect(201);
        service.search("/v2/service/jobs?limit=10&offset=0&all_projects=True", crate::client_activity::poll_of("cinder")).await.expect(200);
        write(&service).await;
        round(&service).await;
        let own = service.get("report/hosts/cinder").await.expect(200).shows(&json!({
            "project_id": "p1", "is_central": true, "is_registered": false, "state": "alive", "hostname": "volumes", "jobs": 1,
            "last_poll_at": "2023-11-14T22:13:20Z", "findings": [],
        }));
        service.get("/v2/service/report/hosts/cinder").await.expect(200).shows(&json!({
            "project_id": "service", "is_registered": true, "state": "alive", "jobs": 0, "findings": [],
        }));
        assert_eq!(list(&service, "report/hosts").await, [own]);
        assert_eq!(list(&service, "report/hosts?all_projects=true").await.len(), 2);
        // Who sees all projects sees it from anywhere.
        service.get("/v2/p9/report/hosts/cinder").await.expect(200).shows(&json!({"project_id": "service"}));
        service.clock.advance(HOUR);
        round(&service).await;
        service.get("report/hosts/cinder").await.expect(200).shows(&json!({"state": "silent", "findings": []}));
        assert_eq!(kinds(&service).await, pairs(&[]));
        let of_operator = service.get("/v2/service/report/problems").await.expect(200).json();
        assert_eq!(of_operator["problems"][0]["kind"], "silent");
        service.delete("/v2/service/clients/cinder").await.expect(204);
        round(&service).await;
        service.get("report/hosts/cinder").await.expect(200).shows(&json!({"state": "unknown", "is_central": false}));
    }

    async fn hosts_are_ordered_and_paged(database: Database) {
        let service = Service::start(&database).await;
        let mut jobs = Vec::new();
        for number in 0..7 {
            let name = format!("host{number}");
            service.client(&name).await;
            jobs.push(backup_job(&service, &name, hourly()).await);
        }
        for (number, job) in jobs.iter().enumerate().skip(2) {
            let started = START - 100 * (number as i64 % 4);
            send(&service, job, started, started + 10, "success").await;
        }
        poll(&service, "host3").await;
        write(&service).await;
        round(&service).await;
        for key in ["client_id", "last_success_at", "due_at"] {
            let mut orders = Vec::new();
            for direction in ["asc", "desc"] {
                let mut seen = Vec::new();
                let mut path = format!("/v2/p1/report/hosts?limit=2&sort={key}:{direction}");
                loop {
                    let page = service.get(&path).await.expect(200).json();
                    let hosts = page["hosts"].as_array().unwrap().clone();
                    seen.extend(hosts.iter().map(|host| (host[key].as_str().unwrap_or_default().to_owned(), host["client_id"].as_str().unwrap().to_owned())));
                    let Some(next) = page["hosts_links"][0]["href"].as_str() else { break };
                    path = next[next.find("/v2/").unwrap()..].to_owned();
                }
                assert_eq!(seen.len(), 7, "{key} {direction}: {seen:?}");
                orders.push(seen);
            }
            let [up, mut down] = <[_; 2]>::try_from(orders).unwrap();
            down.reverse();
            assert_eq!(up, down, "{key}");
            assert!(up.iter().map(|(value, _)| value).is_sorted(), "{key}: {up:?}");
        }
        let states = async |query: &str| list(&service, &format!("report/hosts?limit=50&{query}")).await.len();
        assert_eq!(states("state=alive").await, 1);
        assert_eq!(states("state=unknown").await, 6);
        assert_eq!(states("state=unknown&state=alive").await, 7);
        assert_eq!(states("state=silent").await, 0);
        assert_eq!(states("client_id=host5").await, 1);
        for (query, words) in [
            ("state=dead", "must be one of unknown"), ("sort=hostname", "must be \"client_id\" or \"last_success_at\" or \"due_at\""),
            ("marker=none", "No host of the list"), ("sort=due_at:up", "direction"),
        ] {
            let description = service.get(&format!("report/hosts?{query}")).await.refused(400, "Invalid parameter");
            assert!(description.contains(words), "{query}: {description}");
        }
    }

    async fn rounds_find_the_same_again_and_write_nothing(database: Database) {
        let service = Service::start(&database).await;
        let mut choices = Choices::new(5);
        // More than a page of jobs, of clients with and without.
        for name in ["a", "a-2", "b", "c"] {
            service.client(name).await;
        }
        for number in 0..120 {
            let name = *choices.of(&["a", "a-2", "b"]);
            let schedule = [hourly(), json!({"schedule_hour": "25"}), json!({})][choices.below(3)].clone();
            let job = backup_job(&service, name, schedule).await;
            if number % 3 == 0 {
                send(&service, &job, START - 500, START - 400, ["fail", "success"][choices.below(2)]).await;
            }
        }
        service.clock.advance(DAY);
        round(&service).await;
        let hosts = list(&service, "report/hosts?limit=50").await;
        let counted: i64 = hosts.iter().map(|host| host["jobs"].as_i64().unwrap()).sum();
        assert_eq!((hosts.len(), counted), (4, 120), "{hosts:?}");
        let wrong: usize = service_findings(&service).await;
        let found = list(&service, "report/problems?limit=1000").await;
        let of_jobs = found.iter().filter(|problem| !problem["job_id"].is_null()).count();
        assert_eq!(of_jobs, wrong);
        let all = async || (list(&service, "report/hosts?limit=50").await, list(&service, "report/problems?limit=1000").await);
        let before = all().await;
        let holds_off = async |table: &str| {
            let change = if database.engine() == Engine::Sqlite { "INSERT" } else { return };
            database.run(format!("CREATE TRIGGER no_{table} BEFORE {change} ON {table} BEGIN SELECT RAISE(ABORT, 'written'); END")).await;
        };
        holds_off("freezer_api_hosts").await;
        holds_off("freezer_api_problems").await;
        round(&service).await;
        assert_eq!(all().await, before);
    }

    async fn of_two_nodes_one_has_the_rounds(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let first = start(&database, "");
        while service.get("report/problems").await.expect(200).json()["as_of"].is_null() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(database.rows("freezer_api_leases", "name = 'rounds'").await, 1);
        assert_eq!(kinds(&service).await, pairs(&[("unprotected", "host1")]));
        let second = start(&database, "");
        let holder = async || crate::migrations::schema::texts(&database, "SELECT holder FROM freezer_api_leases WHERE name = 'rounds'").await;
        let held_by = holder().await;
        // One that ends leaves the rounds to the other at once.
        first.stop();
        while holder().await == held_by {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        second.stop();
    }
}

async fn wanted_id(service: &Service) -> Value {
    list(service, "report/hosts").await[0]["host_id"].clone()
}

/// How many findings the jobs have that are judged when they are looked at.
async fn service_findings(service: &Service) -> usize {
    let mut found = 0;
    let mut path = "/v2/p1/report/jobs?limit=50".to_owned();
    loop {
        let page = service.get(&path).await.expect(200).json();
        let jobs = page["jobs"].as_array().unwrap();
        found += jobs
            .iter()
            .map(|job| job["findings"].as_array().unwrap().len())
            .sum::<usize>();
        let Some(next) = page["jobs_links"][0]["href"].as_str() else {
            return found;
        };
        path = next[next.find("/v2/").unwrap()..].to_owned();
    }
}

/// Rows of the tables that reports read.
const ROWS: usize = 20_000;

async fn fill(database: &Database) {
    let engine = database.engine();
    let text =
        |prefix: &str, expression: &str| crate::plans::numbered(engine, prefix, expression, "");
    let numbers = crate::plans::numbers(engine, ROWS);
    let hosts = format!(
        "INSERT INTO freezer_api_hosts (id, project_id, client_id, is_central, is_registered, state, findings, jobs, active_jobs, \
         is_protected, last_success_at, due_at, running, failed_in_a_row, job_findings, is_red) SELECT {}, {}, {}, FALSE, TRUE, 'alive', '', 1, 1, \
         TRUE, n, n, 0, 0, '', FALSE FROM {numbers}",
        text("id", "n"),
        text("p", "n % 10"),
        text("c", "n"),
    );
    let problems = format!(
        "INSERT INTO freezer_api_problems (id, urgency, since, project_id, client_id, job_id, failed_in_a_row) \
         SELECT {}, (n % 10 + 1) * 10, n, {}, {}, {}, 0 FROM {numbers}",
        text("id", "n"),
        text("p", "n % 7"),
        text("c", "n % 5000"),
        text("j", "n"),
    );
    let analyze = match engine {
        Engine::MySql => "ANALYZE TABLE freezer_api_hosts, freezer_api_problems",
        Engine::Postgres | Engine::Sqlite => "ANALYZE",
    };
    rows::execute_all(database, [hosts, problems, analyze.to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_on_hosts_are_read_by_indexes() {
    let sent = Statements::of_process().await;
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let service = Service::with(&database, Statements::are_logged).await;
        fill(&database).await;
        for (path, values, index) in [
            (
                "report/hosts?limit=10",
                &["p1"][..],
                "ix_freezer_api_hosts_project",
            ),
            (
                "report/hosts?limit=10&sort=due_at:desc",
                &["p1"],
                "ix_freezer_api_hosts_due",
            ),
            (
                "report/hosts?limit=10&sort=last_success_at",
                &["p1"],
                "ix_freezer_api_hosts_success",
            ),
            (
                "report/hosts?limit=10&all_projects=true",
                &[],
                "ix_freezer_api_hosts_client",
            ),
            (
                "report/hosts?limit=10&all_projects=true&sort=due_at",
                &[],
                "ix_freezer_api_hosts_all_due",
            ),
            (
                "report/hosts?limit=10&all_projects=true&sort=last_success_at",
                &[],
                "ix_freezer_api_hosts_all_success",
            ),
            (
                "report/problems?limit=10",
                &["p1"],
                "ix_freezer_api_problems_project",
            ),
            (
                "report/problems?limit=10&kind=never",
                &["p1", "30"],
                "ix_freezer_api_problems_project",
            ),
            (
                "report/problems?limit=10&all_projects=true",
                &[],
                "ix_freezer_api_problems_urgency",
            ),
        ] {
            sent.take();
            let list = service.get(path).await.expect(200).json();
            let name = path["report/".len()..].split('?').next().unwrap();
            assert_eq!(
                list[name].as_array().unwrap().len(),
                10,
                "{engine:?} {path}"
            );
            let statements = sent.take();
            let statement = statements
                .iter()
                .find(|text| text.contains("LIMIT 11"))
                .unwrap();
            let plan = rows::explain(&database, statement, values).await;
            assert!(plan.contains(index), "{engine:?} {path}: {plan}");
            // What was seen of schedulers may be sorted to be joined.
            let is_sorted = plan.contains("filesort")
                || plan.contains("TEMP B-TREE")
                || plan.contains("Sort Key: h.")
                || (name == "problems" && plan.contains("Sort Key"));
            assert!(!is_sorted, "{engine:?} {path}: {plan}");
        }
    }
}
