//! What tenants write so that reports, rounds and metrics of others suffer.

use serde_json::{Value, json};

use crate::report_hosts::round;
use crate::support::Service;

/// A day of cron that is read for long and fires seldom.
fn long_day(bytes: usize) -> Value {
    json!({"schedule_day": "31,".repeat(bytes / 3) + "31", "schedule_hour": "3"})
}

async fn job(service: &Service, schedule: &Value) -> String {
    let action = json!({"freezer_action": {"action": "backup"}});
    let job = json!({"client_id": "host1", "job_schedule": schedule, "job_actions": [action]});
    service.created("jobs", job, "job_id").await
}

async fn period(service: &Service, id: &str) -> Value {
    let jobs = service.get("report/jobs").await.expect(200).json();
    let mut jobs = jobs["jobs"].as_array().unwrap().iter();
    jobs.find(|job| job["job_id"] == id).unwrap()["period"].clone()
}

on_each_engine! {
    async fn no_schedule_stops_a_round(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let far = 253_402_300_799i64;
        let schedules = [
            json!({"schedule_interval": "9223372036854775807 weeks"}),
            json!({"schedule_interval": "99999999999999999999 days"}),
            json!({"schedule_interval": "0 seconds"}),
            json!({"schedule_year": "9999", "schedule_day": "31", "schedule_week": "53"}),
            json!({"schedule_year": "1970", "schedule_second": "*/59"}),
            json!({"schedule_month": "65535", "schedule_hour": "4294967296"}),
            json!({"schedule_day": "5th xyz,last,-1,1-,*/0,"}),
            json!({"schedule_date": "9999-12-31T23:59:59"}),
            json!({"schedule_interval": "1 days", "schedule_start_date": "9999-12-31T23:59:59", "schedule_end_date": "0001-01-01T00:00:00"}),
        ];
        for schedule in &schedules {
            let id = job(&service, schedule).await;
            for (started, ended) in [(1, far), (far, 0), (far, far), (i64::MAX, i64::MIN), (-1, -1)] {
                for (status, result) in [("running", ""), ("scheduled", "success")] {
                    let mut report = schedule.clone();
                    report["status"] = status.into();
                    report["result"] = result.into();
                    report["time_started"] = started.into();
                    report["time_ended"] = if status == "running" { json!(-1) } else { json!(ended) };
                    report["current_pid"] = i64::MAX.into();
                    service.patch(&format!("jobs/{id}"), json!({"job_schedule": report})).await.expect(200);
                }
            }
        }
        let catalogue = &service.api.catalogue;
        for _ in 0..2 {
            round(&service).await;
            catalogue.count_days(2, 90).await.unwrap();
            catalogue.forget_runs(std::time::Duration::from_secs(86_400)).await.unwrap();
            for path in ["jobs", "runs", "hosts", "problems", "summary", "days", "series"] {
                service.get(&format!("report/{path}")).await.expect(200);
            }
            // A long time later.
            service.clock.advance(200_000_000_000);
        }
    }

    async fn long_schedules_are_not_read(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let short = job(&service, &long_day(16_000)).await;
        let long = job(&service, &long_day(60_000)).await;
        assert_eq!(period(&service, &short).await, json!(61 * 86_400));
        assert_eq!(period(&service, &long).await, Value::Null);
        round(&service).await;
        service.get(&format!("jobs/{long}")).await.expect(200);
    }
}
