//! How all is: the overview, the days, and the commands that print it.

use freezer_api::service::RoundTerms;
use serde_json::{Value, json};

use crate::report_hosts::round;
use crate::support::Service;
use crate::support::api::{START, request};
use crate::support::process::manage;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn job(service: &Service, project: &str, client_id: &str) -> String {
    let action = json!({"freezer_action": {"action": "backup", "backup_name": "b"}});
    let schedule = json!({"schedule_interval": "1 hours", "status": "scheduled"});
    let job = json!({"client_id": client_id, "job_schedule": schedule, "job_actions": [action]});
    service
        .post(
            &format!("/v2/{project}/clients"),
            json!({"client_id": client_id}),
        )
        .await
        .expect(201);
    service
        .created(&format!("/v2/{project}/jobs"), job, "job_id")
        .await
}

async fn send(
    service: &Service,
    project: &str,
    job_id: &str,
    started: i64,
    ended: i64,
    result: &str,
) {
    let status = if ended < 0 { "running" } else { "scheduled" };
    let schedule = json!({
        "status": status, "time_started": started, "time_ended": ended, "result": result, "schedule_interval": "1 hours",
    });
    let path = format!("/v2/{project}/jobs/{job_id}");
    service
        .patch(&path, json!({"job_schedule": schedule}))
        .await
        .expect(200);
}

/// The days of a project.
async fn days(service: &Service, path: &str) -> Vec<Value> {
    let list = service.get(path).await.expect(200).json();
    list["days"].as_array().unwrap().clone()
}

on_each_engine! {
    async fn the_overview_counts_all(database: Database) {
        let service = Service::start(&database).await;
        let empty = service.get("report/summary").await.expect(200).json();
        assert_eq!(empty["hosts"], json!({"total": 0, "alive": 0, "silent": 0, "unknown": 0, "red": 0}));
        assert_eq!((&empty["as_of"], empty["hours"].as_array().unwrap().len()), (&Value::Null, 25));
        let one = job(&service, "p1", "host1").await;
        let two = job(&service, "p1", "host2").await;
        let other = job(&service, "p2", "host3").await;
        send(&service, "p1", &one, START - 2 * HOUR, START - 2 * HOUR + 60, "success").await;
        send(&service, "p1", &one, START - 60, -1, "").await;
        send(&service, "p1", &two, START - 30, START - 20, "fail").await;
        send(&service, "p2", &other, START - DAY, START - DAY + 5, "fail").await;
        round(&service).await;
        // What was computed a moment ago is shown until its time is over.
        assert_eq!(service.get("report/summary").await.expect(200).json(), empty);
        service.clock.advance(15);
        let answer = service.get("report/summary").await.expect(200);
        let tag = answer.header("etag").unwrap().to_owned();
        assert_eq!(answer.header("cache-control"), Some("private, max-age=15"));
        let summary = answer.shows(&json!({
            "computed_at": "2023-11-14T22:13:35Z", "red": 1, "amber": 0,
            "findings": [{"kind": "failing", "severity": "red", "count": 1, "since": "2023-11-14T22:12:50Z"}],
            "hosts": {"total": 2, "alive": 0, "silent": 0, "unknown": 2, "red": 1}, "jobs": {"total": 2, "active": 2},
            "running": 1, "longest_running_since": "2023-11-14T22:12:20Z", "due_soon": 1, "projects_left_out": 0,
            "projects": [{"project_id": "p1", "hosts": 2, "red": 1, "amber": 0, "oldest_success_at": "2023-11-14T20:13:20Z"}],
        }));
        let hours = summary["hours"].as_array().unwrap();
        assert_eq!(hours[24], json!({"hour": "2023-11-14T22:00:00Z", "success": 0, "fail": 1, "aborted": 0, "lost": 0, "unreported": 0, "removed": 0, "running": 1}));
        assert_eq!(hours[22]["success"], 1);
        let all = service.get("report/summary?all_projects=true").await.expect(200).json();
        assert_eq!((&all["hosts"]["total"], &all["red"]), (&json!(3), &json!(2)));
        assert_eq!(all["projects"].as_array().unwrap().len(), 2);
        assert_eq!(all["hours"][0]["fail"], 1);
        // Later it says the same, and the client knows it.
        service.clock.advance(15);
        let ask = async |tag: &str| {
            let asked = request("GET", "/v2/p1/report/summary", &[("if-none-match", tag)], "");
            service.send(asked).await
        };
        let known = ask(&tag).await.expect(304);
        assert_eq!((known.header("etag"), known.text()), (Some(&*tag), String::new()));
        ask("\"other\"").await.expect(200);
    }

    async fn hours_are_counted_in_rounds(database: Database) {
        let service = Service::start(&database).await;
        let one = job(&service, "p1", "host1").await;
        let other = job(&service, "p2", "host2").await;
        let hours = async |path: &str| service.get(path).await.expect(200).json()["hours"].clone();
        const ALL: &str = "report/summary?all_projects=true";
        send(&service, "p1", &one, START - 60, -1, "").await;
        send(&service, "p1", &one, START - 60, -1, "").await;
        send(&service, "p2", &other, START - 3 * HOUR, START - 3 * HOUR + 5, "success").await;
        round(&service).await;
        assert_eq!(hours(ALL).await[24]["running"], 1);
        // What ends later changes the counts of an hour that is over, from the next round on.
        send(&service, "p1", &one, START - 60, START + 60, "fail").await;
        service.clock.advance(HOUR);
        assert_eq!(hours(ALL).await[23]["running"], 1);
        round(&service).await;
        service.clock.advance(15);
        let shown = hours(ALL).await;
        assert_eq!([&shown[23]["running"], &shown[23]["fail"], &shown[20]["success"]], [0, 1, 1]);
        assert_eq!(hours("report/summary").await[20]["success"], 0);
        // Its rows are gone when no overview shows them any more, and the days stay.
        service.clock.advance(2 * DAY);
        assert!(database.rows("freezer_api_run_hours", "1 = 1").await > 0);
        assert_eq!(service.api.catalogue.forget_days(1000).await.unwrap(), 0);
        assert_eq!(database.rows("freezer_api_run_hours", "1 = 1").await, 0);
        assert_eq!(days(&service, "report/days?all_projects=true").await.len(), 1);
    }

    async fn hours_that_have_changed_are_counted_again(database: Database) {
        let service = Service::start(&database).await;
        let late = job(&service, "p1", "host1").await;
        let removed = job(&service, "p1", "host2").await;
        let heard = job(&service, "p2", "host3").await;
        send(&service, "p1", &late, START - 5 * HOUR, -1, "").await;
        send(&service, "p1", &removed, START - 7 * HOUR, -1, "").await;
        send(&service, "p2", &heard, START - 10 * HOUR, START - 9 * HOUR, "success").await;
        round(&service).await;
        // Nothing happens in this hour. If it were counted again, it would be seen.
        let forgotten = format!("DELETE FROM freezer_api_run_hours WHERE hour = {}", (START - 10 * HOUR) / HOUR);
        database.run(forgotten).await;
        service.clock.advance(HOUR);
        let began = START + HOUR;
        // An old run ends, another job is removed in the middle of one, and an older run is heard of for the first time at its end.
        send(&service, "p1", &late, START - 5 * HOUR, began, "success").await;
        service.delete(&format!("jobs/{removed}")).await.expect(204);
        send(&service, "p2", &heard, START - 8 * HOUR, began, "fail").await;
        send(&service, "p1", &late, began - 10, -1, "").await;
        let terms = RoundTerms { watching: 0, heard_since: began, is_gentle: false };
        let hours = service.api.catalogue.judge_all(terms).await.unwrap();
        assert!(hours.iter().copied().eq([START - 8 * HOUR, START - 5 * HOUR, began - 10].map(|time| time / HOUR)), "{hours:?}");
        service.api.catalogue.count_changed_hours(hours).await.unwrap();
        service.clock.advance(15);
        let shown = service.get("report/summary?all_projects=true").await.expect(200).json()["hours"].clone();
        let of = |ago: usize, state: &str| shown[24 - 1 - ago][state].as_i64().unwrap();
        assert_eq!([of(5, "success"), of(5, "running"), of(7, "removed"), of(7, "running"), of(8, "fail"), of(10, "success")], [1, 0, 1, 0, 1, 0]);
        assert_eq!(shown[24]["running"], 1);
        let today = async || days(&service, "report/days?all_projects=true&since=2023-11-14").await[0].clone();
        let counted = today().await;
        assert_eq!([&counted["success"], &counted["fail"], &counted["removed"], &counted["running"]], [1, 1, 1, 1]);
        // All hours are counted again once an hour.
        round(&service).await;
        assert_eq!(today().await["success"], 2);
    }

    async fn days_are_counted_and_kept(database: Database) {
        let service = Service::start(&database).await;
        let one = job(&service, "p1", "host1").await;
        let other = job(&service, "p2", "host2").await;
        // START is 22:13:20.
        for (project, job, started, ended, result) in [
            ("p1", &one, START - 2 * DAY, START - 2 * DAY + 60, "success"), ("p1", &one, START - 2 * DAY + 100, START - 2 * DAY + 300, "success"),
            ("p1", &one, START - DAY, START - DAY + 10, "fail"), ("p2", &other, START - 2 * DAY, START - 2 * DAY + 1000, "success"),
            ("p1", &one, START - 8000, START - 7000, "success"),
        ] {
            send(&service, project, job, started, ended, result).await;
        }
        send(&service, "p1", &one, START - 60, -1, "").await;
        let count = async |back: i64| service.api.catalogue.count_days(back, 90).await.unwrap();
        assert_eq!(days(&service, "report/days").await, [json!(null); 0]);
        count(1).await;
        let day = |day: &str, success: i64, fail: i64, running: i64, seconds: i64, longest: i64| json!({
            "day": day, "success": success, "fail": fail, "aborted": 0, "lost": 0, "unreported": 0, "removed": 0, "running": running,
            "seconds": seconds, "longest": longest,
        });
        // Nothing was counted before, so all days are.
        let wanted = [
            day("2023-11-12", 2, 0, 0, 260, 200), day("2023-11-13", 0, 1, 0, 0, 0), day("2023-11-14", 1, 0, 1, 1000, 1000),
        ];
        assert_eq!(days(&service, "report/days").await, wanted);
        assert_eq!(days(&service, "report/days?since=2023-11-13&until=2023-11-14").await, wanted[1..2]);
        let all = days(&service, "/v2/p9/report/days?all_projects=true").await;
        assert_eq!(all[0], day("2023-11-12", 3, 0, 0, 1260, 1000));
        // A run ends, and the counts say so; again, they say the same.
        send(&service, "p1", &one, START - 60, START, "success").await;
        for _ in 0..2 {
            count(1).await;
            assert_eq!(days(&service, "report/days?since=2023-11-14").await, [day("2023-11-14", 2, 0, 0, 1060, 1000)]);
        }
        // The counts stay when the runs are gone.
        database.run("DELETE FROM freezer_api_runs".to_owned()).await;
        service.clock.advance(3 * DAY);
        count(1).await;
        assert_eq!(days(&service, "report/days").await.len(), 3);
        assert!(service.api.catalogue.forget_days(4).await.unwrap() > 0);
        assert_eq!(days(&service, "report/days").await.len(), 2);
        // Those of years, a day after the other.
        for number in 1..=40 {
            database.run(format!("INSERT INTO freezer_api_run_days VALUES ('p1', {number}, 'fail', 1, 0, 0)")).await;
        }
        assert_eq!(service.api.catalogue.forget_days(4).await.unwrap(), 40);
        assert_eq!(service.api.catalogue.forget_days(4).await.unwrap(), 0);
        for (query, words) in [
            ("since=yesterday", "a date such as"), ("until=2023-02-29", "a date such as"), ("since=2000-01-01", "At most 1100 days"),
        ] {
            let description = service.get(&format!("report/days?{query}")).await.refused(400, "Invalid parameter");
            assert!(description.contains(words), "{query}: {description}");
        }
        assert_eq!(days(&service, "report/days?since=2024-01-01&until=2023-01-01").await, [json!(null); 0]);
    }

    async fn the_commands_print_it(database: Database) {
        let service = Service::start(&database).await;
        let run = |arguments: &[&str]| {
            let arguments = [&["report"][..], arguments].concat();
            let output = manage(&database.configuration(), &arguments);
            let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            (output.status.code(), texts)
        };
        let (code, [_, said]) = run(&["summary"]);
        assert!(code == Some(1) && said.contains("no service has looked at jobs and hosts yet"), "{said}");
        service.client("quiet").await;
        let (code, [told, said]) = run(&["rebuild"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(told.contains("\n1 hosts, 0 jobs, 1 problems"), "{told}");
        let (code, [told, said]) = run(&["summary"]);
        assert_eq!(code, Some(0), "{told} {said}");
        assert!(told.contains("unprotected") && told.contains("1 hosts: 0 alive, 0 silent, 1 unknown"), "{told}");
        // The clock of the service stood still in 2023, and the program has its own.
        let late = job(&service, "p1", "late").await;
        send(&service, "p1", &late, START - 10, START, "success").await;
        assert_eq!(run(&["rebuild"]).0, Some(0));
        let (code, [told, said]) = run(&["hosts"]);
        assert!(code == Some(1) && said.contains("backups are missing on 1 hosts"), "{said}");
        assert!(told.contains("overdue") && told.contains(" late ") && told.ends_with("2 hosts, backups are missing on 1\n"), "{told}");
        let (code, [told, _]) = run(&["hosts", "--project", "p2"]);
        assert_eq!((code, &*told), (Some(0), "0 hosts, backups are missing on 0\n"));
        let (code, [told, _]) = run(&["summary", "--format", "json"]);
        let summary: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((code, &summary["red"]), (Some(1), &json!(1)));
        // What a terminal would obey is in no output, and JSON keeps it.
        let description = "b\u{1b}\u{7f}\u{9b}2J";
        service.patch(&format!("jobs/{late}"), json!({"description": description})).await.expect(200);
        assert_eq!(run(&["rebuild"]).0, Some(0));
        let (_, [told, _]) = run(&["problems", "--format", "json"]);
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
        let mut problems = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(problems.any(|problem| problem["description"] == description), "{told}");
        let (_, [told, _]) = run(&["hosts", "--format", "json"]);
        let documents: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(documents.len(), 2);
    }
}
