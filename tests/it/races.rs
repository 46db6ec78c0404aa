//! What holds when many requests come at once: rounds of parallel requests on each engine.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Service};

/// Requests that are made at once.
pub(crate) const PARALLEL: usize = 32;
/// How often a race is run.
const ROUNDS: usize = 50;

/// Sends requests at once: method, path and body of each.
pub(crate) async fn send_at_once(
    service: &Arc<Service>,
    request: impl Fn(usize) -> (&'static str, String, Value),
) -> Vec<Answer> {
    at_once(|number| {
        let (service, (method, path, body)) = (Arc::clone(service), request(number));
        async move { service.raw(method, &path, body.to_string()).await }
    })
    .await
}

/// Makes requests at once.
async fn at_once<F, Fut>(request: F) -> Vec<Answer>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let tasks: Vec<_> = (0..PARALLEL)
        .map(|number| tokio::spawn(request(number)))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

on_each_engine! {
    async fn one_of_many_starts_wins(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        service.client("c").await;
        let session = service.session().await;
        let mut jobs = Vec::new();
        for _ in 0..PARALLEL {
            let job = service.job("c").await;
            service.put(&format!("sessions/{session}/jobs/{job}")).await.expect(204);
            jobs.push(job);
        }
        for round in 0..ROUNDS {
            // Outside the hold-off window of the start before.
            service.clock.advance(3600);
            let answers = at_once(|number| {
                let (service, session, job) = (Arc::clone(&service), session.clone(), jobs[number].clone());
                async move {
                    let start = json!({"start": {"job_id": job, "current_tag": round}});
                    service.post(&format!("sessions/{session}/action"), start).await
                }
            })
            .await;
            let results: Vec<Value> = answers.into_iter().map(|answer| answer.expect(202).json()).collect();
            // The first one starts the session; the others know an older tag than it has now and join the start.
            assert!(results.iter().all(|result| result["result"] == "success"), "{results:?}");
            assert!(results.iter().all(|result| result["session_tag"] == round + 1), "{results:?}");
            let document = service.get(&format!("sessions/{session}")).await.expect(200).json();
            assert_eq!(document["session_tag"], round + 1);
            assert_eq!(document["status"], "running");
            let members = document["jobs"].as_object().unwrap();
            assert_eq!(members.len(), PARALLEL);
            assert!(members.values().all(|member| member["status"] == "running"), "{members:?}");
        }
    }

    async fn all_jobs_are_added(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        service.client("c").await;
        let mut jobs = Vec::new();
        for _ in 0..PARALLEL {
            jobs.push(service.job("c").await);
        }
        for _ in 0..10 {
            let session = service.session().await;
            let answers = at_once(|number| {
                let (service, path) = (Arc::clone(&service), format!("sessions/{session}/jobs/{}", jobs[number]));
                async move { service.put(&path).await }
            })
            .await;
            for answer in answers {
                answer.expect(204);
            }
            let document = service.get(&format!("sessions/{session}")).await.expect(200).json();
            assert_eq!(document["jobs"].as_object().unwrap().len(), PARALLEL);
        }
    }

    async fn one_client_is_one_row(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        for round in 0..20 {
            let central = round % 2 == 0;
            let answers = at_once(|number| {
                let service = Arc::clone(&service);
                async move {
                    let client = json!({
                        "client_id": format!("c{round}"), "hostname": "h", "is_central": central,
                        "description": format!("{number}"),
                    });
                    service.post("clients", client).await
                }
            })
            .await;
            for answer in answers {
                answer.expect(201);
            }
            let search = json!({"match": [{"client_id": format!("c{round}")}]});
            let found = service.search("clients?limit=100", search).await.expect(200).json();
            assert_eq!(found["clients"].as_array().unwrap().len(), 1, "{found}");
        }
    }

    async fn all_ends_are_recorded(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        for round in 0..10 {
            let members: serde_json::Map<String, Value> =
                (0..PARALLEL).map(|number| (format!("j{number}"), json!({"status": "running"}))).collect();
            let session = service.session().await;
            service.patch(&format!("sessions/{session}"), json!({"jobs": members})).await.expect(200);
            // In every other round one job fails.
            let result = |number| if round % 2 == 1 && number == round { "fail" } else { "success" };
            let answers = send_at_once(&service, |number| {
                let end = json!({"end": {"job_id": format!("j{number}"), "result": result(number)}});
                ("POST", format!("sessions/{session}/action"), end)
            })
            .await;
            for answer in answers {
                answer.expect(202);
            }
            let document = service.get(&format!("sessions/{session}")).await.expect(200).json();
            assert_eq!(document["status"], "completed");
            assert_eq!(document["result"], if round % 2 == 1 { "fail" } else { "success" });
            for number in 0..PARALLEL {
                let member = &document["jobs"][format!("j{number}")];
                assert_eq!((&member["status"], &member["result"]), (&json!("completed"), &json!(result(number))));
            }
        }
    }

    async fn adding_and_removing_do_not_undo_each_other(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        service.client("c").await;
        let mut jobs = Vec::new();
        for _ in 0..PARALLEL {
            jobs.push(service.job("c").await);
        }
        let session = service.session().await;
        let path = |job: &String| format!("sessions/{session}/jobs/{job}");
        for job in &jobs[PARALLEL / 2..] {
            service.put(&path(job)).await.expect(204);
        }
        for round in 0..10 {
            // The members go, the others come; next time the other way round.
            let (coming, going) = match round % 2 {
                0 => jobs.split_at(PARALLEL / 2),
                _ => { let (a, b) = jobs.split_at(PARALLEL / 2); (b, a) }
            };
            let answers = send_at_once(&service, |number| match number % 2 {
                0 => ("PUT", path(&coming[number / 2]), json!({})),
                _ => ("DELETE", path(&going[number / 2]), json!({})),
            })
            .await;
            for answer in answers {
                answer.expect(204);
            }
            let document = service.get(&format!("sessions/{session}")).await.expect(200).json();
            let mut members: Vec<&String> = document["jobs"].as_object().unwrap().keys().collect();
            let mut expected: Vec<&String> = coming.iter().collect();
            members.sort();
            expected.sort();
            assert_eq!(members, expected);
            for (jobs, session) in [(coming, session.as_str()), (going, "")] {
                for job in jobs {
                    let job = service.get(&format!("jobs/{job}")).await.expect(200).json();
                    assert_eq!(job["session_id"], session);
                }
            }
        }
    }

    async fn patches_of_different_members_survive(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
        for _ in 0..5 {
            let session = format!("sessions/{}", service.session().await);
            let backup = format!("backups/{}", service.created("backups", backup.clone(), "backup_id").await);
            let answers = send_at_once(&service, |number| match number % 2 {
                0 => ("PATCH", session.clone(), json!({"jobs": {number.to_string(): {"n": number}}})),
                _ => ("PATCH", backup.clone(), json!({"backup_metadata": {number.to_string(): number}})),
            })
            .await;
            for answer in answers {
                answer.expect(200);
            }
            let members = service.get(&session).await.expect(200).json()["jobs"].take();
            let metadata = service.get(&backup).await.expect(200).json()["backup_metadata"].take();
            assert_eq!(members.as_object().unwrap().len(), PARALLEL / 2);
            assert_eq!(metadata.as_object().unwrap().len(), 3 + PARALLEL / 2);
            for number in 0..PARALLEL {
                let key = number.to_string();
                let kept = if number % 2 == 0 { &members[&key]["n"] } else { &metadata[&key] };
                assert_eq!(*kept, number);
            }
        }
    }

    async fn patches_of_different_fields_survive(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        service.client("c").await;
        service.client("d").await;
        for round in 1..=10 {
            let session = format!("sessions/{}", service.session().await);
            let job = format!("jobs/{}", service.job("c").await);
            let action = json!({"freezer_action": {"action": "info"}});
            let action = format!("actions/{}", service.created("actions", action, "action_id").await);
            let text = round.to_string();
            let patches = [
                (&session, json!({"description": text})),
                (&session, json!({"status": text})),
                (&session, json!({"result": text})),
                (&session, json!({"hold_off": round})),
                (&session, json!({"session_tag": round})),
                (&session, json!({"time_start": round})),
                (&session, json!({"schedule": {"schedule_hour": text}})),
                (&job, json!({"description": text})),
                (&job, json!({"session_id": text})),
                (&job, json!({"session_tag": round})),
                (&job, json!({"client_id": "d"})),
                (&job, json!({"job_schedule": {"current_pid": round}})),
                (&action, json!({"max_retries": round})),
                (&action, json!({"max_retries_interval": round})),
                (&action, json!({"freezer_action": {"mode": text}})),
                (&action, json!({"freezer_action": {"other": round}})),
            ];
            let answers = send_at_once(&service, |number| {
                let (path, patch) = &patches[number % patches.len()];
                ("PATCH", (*path).clone(), patch.clone())
            })
            .await;
            for answer in answers {
                answer.expect(200);
            }
            for (path, patch) in &patches {
                service.get(path).await.expect(200).shows(patch);
            }
        }
    }
}
