//! How backups are brought back: the command, and the job that does the same.

use serde_json::{Value, json};

use crate::support::Service;
use crate::support::api::START;

/// The metadata that an agent reports of a backup.
fn metadata(job_id: &str, time_stamp: i64) -> Value {
    json!({
        "job_id": job_id, "mode": "fs", "engine_name": "tar", "storage": "local", "container": "/backups",
        "backup_name": "etc", "hostname": "host1", "backup_media": "fs", "time_stamp": time_stamp,
    })
}

async fn backup(service: &Service, metadata: Value) -> String {
    service.created("backups", metadata, "backup_id").await
}

async fn restore(service: &Service, id: &str) -> Value {
    let path = format!("report/backups/{id}/restore?path=/back");
    service.get(&path).await.expect(200).json()
}

async fn report(service: &Service, job_id: &str, status: &str, (started, ended): (i64, i64)) {
    let result = if ended < 0 { "" } else { "success" };
    let schedule = json!({
        "status": status, "time_started": started, "time_ended": ended, "result": result,
    });
    let patch = json!({"job_schedule": schedule});
    service
        .patch(&format!("jobs/{job_id}"), patch)
        .await
        .expect(200);
}

on_each_engine! {
    async fn a_backup_is_restored_as_of_the_end_of_its_run(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let job_id = &service.job("host1").await;
        // The host's clock is an hour ahead.
        let ahead = START + 3600;
        report(&service, job_id, "running", (ahead, -1)).await;
        service.clock.advance(50);
        let id = &backup(&service, metadata(job_id, ahead + 5)).await;
        assert_eq!(restore(&service, id).await["basis"], "newest");
        report(&service, job_id, "scheduled", (ahead, ahead + 60)).await;
        let shown = restore(&service, id).await;
        assert_eq!(shown["command"], "TZ=UTC freezer-agent --action restore --mode fs --engine tar --storage local \
            --container /backups --backup-name etc --hostname host1 --restore-abs-path /back \
            --restore-from-date 2023-11-14T23:14:20");
        assert_eq!(shown["until"], "2023-11-14T23:14:20Z");
        assert_eq!(shown["basis"], "run_end");
        assert_eq!(shown["missing"], json!([]));
        // The job is one that can be made.
        service.post("jobs", shown["job"].clone()).await.expect(201);
        // Of another run that has no end, of one that is not known, and without a job.
        service.clock.advance(3600);
        report(&service, job_id, "running", (ahead + 3600, -1)).await;
        for (job_id, time_stamp) in [(&**job_id, ahead + 3601), (job_id, START - 5), ("unknown", START)] {
            let id = backup(&service, metadata(job_id, time_stamp)).await;
            let shown = restore(&service, &id).await;
            let basis = if time_stamp > START + 3650 { "newest" } else { "created_at" };
            assert_eq!(shown["basis"], basis, "{shown}");
            assert_eq!(shown["job"]["client_id"], "host1");
        }
    }

    async fn a_restore_stops_before_the_next_backup_of_the_same_place(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let job_id = &service.job("host1").await;
        service.clock.advance(100);
        let id = &backup(&service, metadata(job_id, START + 10)).await;
        let mut other = metadata(job_id, START + 20);
        other["backup_name"] = "home".into();
        backup(&service, other).await;
        assert_eq!(restore(&service, id).await["until"], "2023-11-14T22:15:00Z");
        backup(&service, metadata(job_id, START + 50)).await;
        let shown = restore(&service, id).await;
        assert_eq!(shown["until"], "2023-11-14T22:14:09Z");
        assert_eq!(shown["basis"], "next_backup");
    }

    async fn nothing_of_other_projects_is_told(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let job_id = &service.job("host1").await;
        service.clock.advance(60);
        report(&service, job_id, "running", (START, -1)).await;
        report(&service, job_id, "scheduled", (START, START + 60)).await;
        let id = &backup(&service, metadata(job_id, START + 5)).await;
        // A backup of another project that names this job.
        let mut names_it = metadata(job_id, START + 5);
        names_it["hostname"] = "host2".into();
        let foreign = &backup(&service, names_it).await;
        database.run(format!("UPDATE backups SET project_id = 'p2' WHERE id = '{foreign}'")).await;
        assert_eq!(restore(&service, id).await["basis"], "run_end");
        // Without authentication every project is seen.
        let shown = restore(&service, foreign).await;
        assert_eq!(shown["job"]["client_id"], "host2");
        assert_eq!(shown["basis"], "created_at");
    }

    async fn bad_requests_for_a_restore_are_refused(database: Database) {
        let service = Service::start(&database).await;
        let id = &backup(&service, json!({"backup_name": "b", "status": "creating"})).await;
        let shown = service.get(&format!("report/backups/{id}/restore")).await.expect(200).json();
        assert_eq!(shown["missing"], json!(["storage", "container", "hostname"]));
        assert_eq!(shown["job"], Value::Null);
        assert!(shown["command"].as_str().unwrap().contains("--restore-abs-path /restore"));
        for path in ["back", "%2Fa%0Ab", "%2Fa%00", "%2Fa%20b", "%2Fa%3Bid", "%2F%24(id)", "%2F%60id%60"] {
            service.get(&format!("report/backups/{id}/restore?path={path}")).await.expect(400);
        }
        service.get("report/backups/unknown/restore").await.expect(404);
        service.delete(&format!("backups/{id}")).await.expect(204);
        service.get(&format!("report/backups/{id}/restore")).await.expect(404);
    }
}
