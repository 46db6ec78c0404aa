//! Lists of reports as CSV.

use serde_json::{Value, json};

use crate::report_hosts::round;
use crate::support::api::START;
use crate::support::{Answer, Service};

/// The answer to a GET of a client that takes this.
async fn ask(service: &Service, path: &str, accept: &str) -> Answer {
    let request = crate::support::api::request("GET", path, &[("accept", accept)], "");
    service.send(request).await
}

/// The lines of a table, each as its cells. No cell of these has a quotation mark.
fn lines(answer: &Answer) -> Vec<Vec<String>> {
    let text = answer.text();
    assert!(text.ends_with("\r\n"), "{text}");
    let line = |line: &str| {
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        for c in line.chars() {
            match c {
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => cells.push(String::new()),
                c => cells.last_mut().unwrap().push(c),
            }
        }
        cells
    };
    text.trim_end().split("\r\n").map(line).collect()
}

on_each_engine! {
    async fn lists_of_reports_are_tables_too(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let mut ids = Vec::new();
        for (description, result) in [("=HYPERLINK(1)", "success"), ("nightly, é", "fail"), ("", "fail")] {
            let action = json!({"freezer_action": {"action": "backup"}});
            let job = json!({"client_id": "host1", "description": description, "job_actions": [action]});
            let id = service.created("jobs", job, "job_id").await;
            let schedule = json!({"status": "scheduled", "time_started": START, "time_ended": START + 5, "result": result});
            service.patch(&format!("jobs/{id}"), json!({"job_schedule": schedule})).await.expect(200);
            ids.push(id);
            service.clock.advance(1);
        }
        service.created("backups", json!({"hostname": "host1", "backup_name": "b", "container": "c"}), "backup_id").await;
        let mut keeper = freezer_api::service::SeriesKeeper::default();
        while !service.api.catalogue.keep_series(&mut keeper).await.unwrap() {}
        round(&service).await;
        service.api.catalogue.count_days(1, 90).await.unwrap();
        let series = service.get("report/series").await.expect(200).json()["series"][0]["series_id"].as_str().unwrap().to_owned();
        for (path, collection) in [
            ("jobs", "jobs"), ("runs", "runs"), ("hosts", "hosts"), ("problems", "problems"), ("series", "series"), ("days", "days"),
            (&*format!("series/{series}/backups"), "backups"),
        ] {
            let path = format!("/v2/p1/report/{path}");
            let document = service.get(&path).await.expect(200).json();
            let documents = document[collection].as_array().unwrap();
            assert!(!documents.is_empty(), "{path}");
            for accept in ["text/csv", "text/csv, application/json;q=0.5", "text/*"] {
                let answer = ask(&service, &path, accept).await.expect(200);
                assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"), "{path}");
                let count = answer.text().lines().count();
                assert_eq!(count, documents.len() + 1, "{path}: {}", answer.text());
            }
            for accept in ["*/*", "application/json", "application/json, text/csv"] {
                assert_eq!(ask(&service, &path, accept).await.expect(200).json(), document, "{path}");
            }
            for accept in ["text/html", "text/csv;q=0", "application/json;q=0, text/csv;q=0", "image/*"] {
                ask(&service, &path, accept).await.expect(406);
            }
            // Who sees nothing gets the names alone, and what is refused is said in JSON.
            if collection != "backups" {
                let none = ask(&service, &path.replace("p1", "p2"), "text/csv").await.expect(200);
                if collection != "days" {
                    assert_eq!(none.text().lines().count(), 1, "{path}");
                }
                ask(&service, &format!("{path}?{}=%00", if collection == "days" { "since" } else { "marker" }), "text/csv").await.refused(400, "Invalid parameter");
            }
        }
        let table = lines(&ask(&service, "/v2/p1/report/jobs", "text/csv").await);
        assert_eq!(table[0][..5], ["job_id", "project_id", "client_id", "description", "status"]);
        assert_eq!(table[1][..5], [&*ids[0], "p1", "host1", "'=HYPERLINK(1)", "scheduled"]);
        assert_eq!(table[2][3], "nightly, é");
        assert_eq!(table[2][9], "failing");
        // The pages are one list.
        let (mut seen, mut path) = (Vec::new(), "/v2/p1/report/runs?limit=2".to_owned());
        loop {
            let answer = ask(&service, &path, "text/csv").await.expect(200);
            seen.extend(lines(&answer).into_iter().skip(1).map(|cells| cells[2].clone()));
            let Some(link) = answer.header("link") else { break };
            let href = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            path = href[href.find("/v2/").unwrap()..].to_owned();
        }
        seen.sort_unstable();
        ids.sort_unstable();
        assert_eq!(seen, ids);
        // Documents are no tables, nor are lists outside of reports.
        for path in ["/v2/p1/report/summary", "/v2/p1/report/me", "/v2/p1/jobs", "/v2/p1/report/none", "/v2/p1/report/hosts/host1"] {
            assert_eq!(ask(&service, path, "text/csv").await.expect(406).text(), "");
        }
        ask(&service, "/v2/p1/report/series/none/backups", "text/csv").await.refused(404, "Not Found");
        let head = crate::support::api::request("HEAD", "/v2/p1/report/runs", &[("accept", "text/csv")], "");
        assert_eq!(service.send(head).await.expect(200).body, b"");
        let none: Value = service.get("/v2/p2/report/runs").await.expect(200).json();
        assert_eq!(none, json!({"runs": []}));
    }
}
