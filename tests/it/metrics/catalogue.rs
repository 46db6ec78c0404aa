//! What the tables tell.

use freezer_api::app::rebuild_reports;
use freezer_api::config::PerClient;
use freezer_api::service::SeriesKeeper;
use serde_json::{Value, json};

use super::{figures, lines, measured};
use crate::client_activity::{poll, write};
use crate::support::Service;
use crate::support::api::START;

const HOUR: i64 = 3600;

async fn job(service: &Service, project: &str, client_id: &str, status: &str) -> String {
    let action = json!({"freezer_action": {"action": "backup", "backup_name": "b"}});
    let schedule = json!({"schedule_interval": "1 hours", "status": status});
    let job = json!({"client_id": client_id, "job_schedule": schedule, "job_actions": [action]});
    let clients = format!("/v2/{project}/clients");
    let client = json!({"client_id": client_id});
    service.post(&clients, client).await.expect(201);
    let path = format!("/v2/{project}/jobs");
    service.created(&path, job, "job_id").await
}

async fn run(service: &Service, job_id: &str, started: i64, ended: i64, result: &str) {
    let schedule = json!({
        "status": "scheduled", "time_started": started, "time_ended": ended, "result": result, "schedule_interval": "1 hours",
    });
    let patch: Value = json!({"job_schedule": schedule});
    let path = format!("jobs/{job_id}");
    service.patch(&path, patch).await.expect(200);
}

/// Has a round, and lets the figures of before be forgotten.
pub(super) async fn look(service: &Service) {
    rebuild_reports(&service.api.catalogue.store, 2)
        .await
        .unwrap();
    service.clock.advance(15);
}

/// A cloud of two projects, in which something of each kind has happened; the job that fails.
pub(super) async fn feed(service: &Service) -> String {
    let good = job(service, "p1", "host1", "scheduled").await;
    let bad = job(service, "p1", "host2", "scheduled").await;
    service.client("host3").await;
    job(service, "p2", "host4", "stop").await;
    run(service, &good, START - 120, START - 60, "success").await;
    for hours in [2, 1] {
        let started = START - hours * HOUR;
        run(service, &bad, started, started + 10, "fail").await;
    }
    poll(service, "host1").await;
    write(service).await;
    let backup = json!({"job_id": good, "backup_name": "b", "container": "/b", "hostname": "host1", "storage": "local", "mode": "fs"});
    service.created("backups", backup, "backup_id").await;
    let mut keeper = SeriesKeeper::default();
    let catalogue = &service.api.catalogue;
    assert!(catalogue.hold_series("me".to_owned(), 25).await.unwrap());
    while !catalogue.keep_series(&mut keeper).await.unwrap() {}
    catalogue.finish_series("me".to_owned()).await.unwrap();
    bad
}

/// All lines of the catalogue, in order.
fn of_the_catalogue(text: &str) -> Vec<&str> {
    let is_ours =
        |line: &&str| line.starts_with("freezer_") && !line.starts_with("freezer_api_http");
    let mut lines: Vec<&str> = text.lines().filter(is_ours).collect();
    lines.retain(|line| !line.starts_with("freezer_api_") || line.contains("housekeeper"));
    lines.sort_unstable();
    lines
}

on_each_engine! {
    async fn the_catalogue_is_told_by_project(database: Database) {
        let service = measured(&database, |config| config.metrics.per_client = PerClient::All).await;
        let text = figures(&service).await;
        assert_eq!(of_the_catalogue(&text), ["freezer_metrics_catalogue_up 1", "freezer_metrics_clients_dropped 0"]);
        feed(&service).await;
        rebuild_reports(&service.api.catalogue.store, 2).await.unwrap();
        // What was read a moment ago is told until its time is over.
        assert_eq!(of_the_catalogue(&figures(&service).await).len(), 2);
        look(&service).await;
        // Series are many, and counted once in five minutes.
        assert_eq!(lines(&figures(&service).await, "freezer_series"), [""; 0]);
        service.clock.advance(300);
        let text = figures(&service).await;
        let wanted = [
            r#"freezer_api_housekeeper_last_run_timestamp_seconds{work="rounds"} 1700000000"#,
            r#"freezer_api_housekeeper_last_run_timestamp_seconds{work="series"} 1700000000"#,
            r#"freezer_backups{project_id="p1"} 1"#,
            r#"freezer_client_due_timestamp_seconds{project_id="p1",client_id="host1"} 1700007140"#,
            r#"freezer_client_due_timestamp_seconds{project_id="p1",client_id="host2"} 1700007200"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p1",client_id="host1"} 0"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p1",client_id="host2"} 2"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p1",client_id="host3"} 0"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p2",client_id="host4"} 0"#,
            r#"freezer_client_last_poll_timestamp_seconds{project_id="p1",client_id="host1"} 1700000000"#,
            r#"freezer_client_last_run_success{project_id="p1",client_id="host1"} 1"#,
            r#"freezer_client_last_run_success{project_id="p1",client_id="host2"} 0"#,
            r#"freezer_client_last_success_timestamp_seconds{project_id="p1",client_id="host1"} 1699999880"#,
            r#"freezer_clients{project_id="p1",state="alive"} 1"#,
            r#"freezer_clients{project_id="p1",state="unknown"} 2"#,
            r#"freezer_clients{project_id="p2",state="unknown"} 1"#,
            r#"freezer_jobs{project_id="p1",status="active"} 2"#,
            r#"freezer_jobs{project_id="p1",status="inactive"} 0"#,
            r#"freezer_jobs{project_id="p2",status="active"} 0"#,
            r#"freezer_jobs{project_id="p2",status="inactive"} 1"#,
            "freezer_metrics_catalogue_up 1",
            "freezer_metrics_clients_dropped 0",
            r#"freezer_oldest_last_success_timestamp_seconds{project_id="p1"} 1699999880"#,
            r#"freezer_problems{project_id="p1",kind="failing",severity="red"} 1"#,
            r#"freezer_problems{project_id="p1",kind="unprotected",severity="amber"} 1"#,
            r#"freezer_problems{project_id="p2",kind="unprotected",severity="amber"} 1"#,
            r#"freezer_run_seconds_last_day{project_id="p1"} 60"#,
            r#"freezer_runs_last_day{project_id="p1",state="fail"} 2"#,
            r#"freezer_runs_last_day{project_id="p1",state="success"} 1"#,
            r#"freezer_runs_open{project_id="p1"} 0"#,
            r#"freezer_runs_open{project_id="p2"} 0"#,
            r#"freezer_series{project_id="p1"} 1"#,
        ];
        assert_eq!(of_the_catalogue(&text), wanted);
        // Another node, which was just started, tells the same.
        let other = measured(&database, |config| config.metrics.per_client = PerClient::All).await;
        assert_eq!(of_the_catalogue(&figures(&other).await), wanted);
        // A day later the runs are of the day before; the rest stays.
        service.clock.advance(25 * HOUR);
        let text = figures(&service).await;
        assert_eq!(lines(&text, "freezer_runs_last_day"), [""; 0]);
        assert_eq!(lines(&text, "freezer_backups").len(), 1);
    }

    async fn all_that_scrape_within_seconds_share_one_reading(database: Database) {
        let service = measured(&database, |_| {}).await;
        feed(&service).await;
        look(&service).await;
        let first = figures(&service).await;
        assert_eq!(lines(&first, "freezer_backups"), [r#"freezer_backups{project_id="p1"} 1"#]);
        // Were the tables read again, they could not be.
        database.run("ALTER TABLE freezer_api_hosts RENAME TO gone".to_owned()).await;
        let scrapes = (0..8).map(|_| figures(&service));
        for text in futures_util::future::join_all(scrapes).await {
            assert_eq!(of_the_catalogue(&text), of_the_catalogue(&first));
        }
        service.clock.advance(15);
        assert_eq!(of_the_catalogue(&figures(&service).await), ["freezer_metrics_catalogue_up 0"]);
        // A failure is not kept: the next one reads again.
        database.run("ALTER TABLE gone RENAME TO freezer_api_hosts".to_owned()).await;
        assert!(of_the_catalogue(&figures(&service).await).contains(&"freezer_metrics_catalogue_up 1"));
    }

    async fn single_clients_are_bounded(database: Database) {
        let service = measured(&database, |_| {}).await;
        let bad = feed(&service).await;
        look(&service).await;
        const NAME: &str = "freezer_client_failed_runs_in_a_row";
        // Those with problems.
        let text = figures(&service).await;
        let mut found = lines(&text, NAME);
        found.sort_unstable();
        assert_eq!(found, [
            r#"freezer_client_failed_runs_in_a_row{project_id="p1",client_id="host2"} 2"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p1",client_id="host3"} 0"#,
            r#"freezer_client_failed_runs_in_a_row{project_id="p2",client_id="host4"} 0"#,
        ]);
        for (single, most, shown, dropped) in [
            (PerClient::Off, 10, 0, 0), (PerClient::Problems, 1, 1, 2), (PerClient::Problems, 3, 3, 0), (PerClient::All, 1, 1, 3), (PerClient::All, 0, 0, 4),
        ] {
            let node = measured(&database, |config| {
                config.metrics.per_client = single;
                config.metrics.max_clients = most;
            }).await;
            let text = figures(&node).await;
            let found = lines(&text, NAME);
            assert_eq!(found.len(), shown, "{single:?} {most}: {text}");
            // The one whose backups are missing comes first.
            assert!(shown != 1 || found[0].contains("host2"), "{found:?}");
            assert_eq!(lines(&text, "freezer_metrics_clients_dropped"), [format!("freezer_metrics_clients_dropped {dropped}")]);
        }
        // What is deleted is told no more.
        service.delete(&format!("jobs/{bad}")).await.expect(204);
        service.delete("clients/host2").await.expect(204);
        look(&service).await;
        let text = figures(&service).await;
        assert!(!text.contains("host2") && !text.contains("failing"), "{text}");
        // Without its tables, a service tells of itself.
        database.run("ALTER TABLE freezer_api_hosts RENAME TO gone".to_owned()).await;
        service.clock.advance(15);
        let text = figures(&service).await;
        assert_eq!(of_the_catalogue(&text), ["freezer_metrics_catalogue_up 0"]);
        assert_eq!(lines(&text, "freezer_api_build_info").len(), 1);
    }
}
