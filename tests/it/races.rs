//! What holds when many requests come at once: rounds of parallel requests on each engine.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Answer, Service};

/// Requests that are made at once.
const PARALLEL: usize = 32;
/// How often a race is run.
const ROUNDS: usize = 50;

/// Sends the requests of `paths` at once.
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
}
