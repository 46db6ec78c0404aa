//! What holds when many requests for jobs and actions come at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::races::{PARALLEL, send_at_once};
use crate::support::locks::Holder;
use crate::support::{Answer, Database, Service};

/// How often each race is run.
const ROUNDS: usize = 10;

/// Links between jobs and actions of which one end is gone.
const DANGLING: &str = "deleted = FALSE AND (job_id IN (SELECT id FROM jobs WHERE deleted = TRUE) \
                        OR action_id IN (SELECT id FROM actions WHERE deleted = TRUE))";

async fn start(database: &Database) -> Arc<Service> {
    let service = Arc::new(Service::start(database).await);
    service.client("c").await;
    service
}

/// A job with an action that it brings along.
fn inline(members: Value) -> Value {
    let mut job =
        json!({"client_id": "c", "job_actions": [{"freezer_action": {"action": "exec"}}]});
    job.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    job
}

/// How many answers have which status.
fn statuses(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_insert(0) += 1;
    }
    counts
}

on_each_engine! {
    async fn a_chosen_id_is_given_once(database: Database) {
        let service = start(&database).await;
        for round in 1..=ROUNDS {
            let id = format!("j{round}");
            let answers = send_at_once(&service, |_| ("POST", "jobs".to_owned(), inline(json!({"job_id": id})))).await;
            assert_eq!(statuses(&answers), BTreeMap::from([(201, 1), (409, PARALLEL - 1)]));
            let action = json!({"freezer_action": {"action": "info"}, "action_id": format!("a{round}")});
            let answers = send_at_once(&service, |_| ("POST", "actions".to_owned(), action.clone())).await;
            assert_eq!(statuses(&answers), BTreeMap::from([(201, 1), (409, PARALLEL - 1)]));
            // The refused jobs have left none of their actions behind.
            let rounds = i64::try_from(round).unwrap();
            assert_eq!(database.rows("actions", "1 = 1").await, 2 * rounds);
            assert_eq!(database.rows("job_actions", "1 = 1").await, rounds);
        }
    }

    async fn a_job_is_read_with_the_actions_of_its_moment(database: Database) {
        let service = start(&database).await;
        let version = |number: usize| {
            let action = json!({"freezer_action": {"action": "exec", "backup_name": number.to_string()}});
            json!({"client_id": "c", "description": number.to_string(), "job_actions": [action]})
        };
        let id = service.created("jobs", version(0), "job_id").await;
        let path = format!("jobs/{id}");
        let writer = {
            let (service, path) = (Arc::clone(&service), path.clone());
            tokio::spawn(async move {
                for number in 1..=10 * ROUNDS {
                    service.patch(&path, version(number)).await.expect(200);
                }
            })
        };
        let mut reads = 0;
        while !writer.is_finished() {
            let search = json!({"match": [{"job_id": id}]});
            let (one, page, found) =
                tokio::join!(service.get(&path), service.get("jobs"), service.search("jobs", search));
            let (page, found) = (page.expect(200).json(), found.expect(200).json());
            for job in [&one.expect(200).json(), &page["jobs"][0], &found["jobs"][0]] {
                let action = &job["job_actions"][0]["freezer_action"];
                assert_eq!(job["description"], action["backup_name"], "{job}");
                reads += 1;
            }
        }
        writer.await.unwrap();
        assert!(reads > ROUNDS, "{reads}");
    }

    async fn what_is_created_by_replacing_is_replaced_by_the_others(database: Database) {
        let service = start(&database).await;
        for round in 0..ROUNDS {
            for (path, body) in [
                (format!("jobs/x{round}"), inline(json!({}))),
                (format!("actions/x{round}"), json!({"freezer_action": {"action": "info"}})),
                (format!("sessions/x{round}"), json!({"schedule": {}, "session_tag": 1})),
            ] {
                let answers = send_at_once(&service, |_| ("POST", path.clone(), body.clone())).await;
                assert_eq!(statuses(&answers), BTreeMap::from([(201, PARALLEL)]), "{path}");
            }
            let job = service.get(&format!("jobs/x{round}")).await.expect(200).json();
            assert_eq!(job["job_actions"].as_array().unwrap().len(), 1);
            // To another project the id is taken, whoever comes first.
            let answers = send_at_once(&service, |number| {
                let project = if number % 2 == 0 { "p1" } else { "p2" };
                let path = format!("/v2/{project}/sessions/y{round}");
                ("POST", path, json!({"schedule": {}, "session_tag": 1}))
            })
            .await;
            assert_eq!(statuses(&answers), BTreeMap::from([(201, PARALLEL / 2), (409, PARALLEL / 2)]));
        }
    }

    async fn an_event_is_requested_once(database: Database) {
        let service = start(&database).await;
        for _ in 0..ROUNDS {
            let job = service.job("c").await;
            let answers = send_at_once(&service, |_| ("POST", format!("jobs/{job}/event"), json!({"start": null}))).await;
            let results: Vec<Value> = answers.into_iter().map(|answer| answer.expect(202).json()).collect();
            let requested = results.iter().filter(|result| result["result"] == "success").count();
            assert_eq!(requested, 1, "{results:?}");
        }
    }

    async fn a_deleted_job_keeps_no_actions(database: Database) {
        let service = start(&database).await;
        for round in 0..ROUNDS {
            let job = service.created("jobs", inline(json!({})), "job_id").await;
            let path = format!("jobs/{job}");
            let answers = send_at_once(&service, |number| match (number + round) % 4 {
                0 => ("DELETE", path.clone(), json!({})),
                1 => ("PATCH", path.clone(), json!({"job_actions": inline(json!({}))["job_actions"]})),
                2 => ("POST", path.clone(), inline(json!({}))),
                _ => ("POST", format!("{path}/event"), json!({"stop": null})),
            })
            .await;
            for answer in &answers {
                // Before the deletion each is carried out, after it there is no such job, and its id is taken.
                assert!(matches!(answer.status, 200 | 201 | 202 | 204 | 404 | 409), "{}: {}", answer.status, answer.text());
            }
            service.get(&path).await.refused(404, "Not Found");
            assert_eq!(database.rows("job_actions", DANGLING).await, 0);
        }
    }

    async fn a_deleted_action_is_in_no_job(database: Database) {
        let service = start(&database).await;
        for round in 0..ROUNDS {
            let action = json!({"freezer_action": {"action": "exec"}});
            let action = service.created("actions", action, "action_id").await;
            let taking = json!({"client_id": "c", "job_actions": [{"action_id": action}]});
            let old = service.job("c").await;
            let answers = send_at_once(&service, |number| match number {
                _ if number == 3 * round => ("DELETE", format!("actions/{action}"), json!({})),
                _ if number % 3 == 0 => ("PATCH", format!("jobs/{old}"), json!({"job_actions": taking["job_actions"]})),
                _ if number % 3 == 1 => ("POST", format!("jobs/r{round}"), taking.clone()),
                _ => ("POST", "jobs".to_owned(), taking.clone()),
            })
            .await;
            for answer in &answers {
                assert!(matches!(answer.status, 200 | 201 | 204 | 422), "{}: {}", answer.status, answer.text());
            }
            assert_eq!(database.rows("job_actions", DANGLING).await, 0);
            let jobs = service.get("jobs?limit=1000").await.expect(200).json();
            assert!(jobs["jobs"].as_array().unwrap().iter().all(|job| job["job_actions"] == json!([])), "{jobs}");
        }
    }

    async fn a_trust_that_came_meanwhile_is_not_taken_along(database: Database) {
        let service = start(&database).await;
        service.client("d").await;
        let job = service.job("c").await;
        // Another program gives the job a trust while a request waits for the job to move it.
        let mut other = Holder::of(&database, "UPDATE jobs SET updated_at = created_at").await;
        other.run("UPDATE jobs SET description = 'changed'".to_owned()).await;
        let trust = format!("'u', 'stolen', 'somebody', '{job}', FALSE");
        other.run(format!("INSERT INTO user_credentials (id, trust_id, trustor_user_id, job_id, deleted) VALUES ({trust})")).await;
        let commit = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            other.commit().await;
        };
        let path = format!("jobs/{job}");
        let (moved, ()) = tokio::join!(service.patch(&path, json!({"client_id": "d"})), commit);
        moved.expect(200);
        let job = service.get(&path).await.expect(200).json();
        assert_eq!((&job["client_id"], &job["description"]), (&json!("d"), &json!("changed")));
        assert_eq!(database.rows("user_credentials", "deleted = FALSE").await, 0);
    }

    async fn no_job_appears_after_its_503(database: Database) {
        let service = Service::with(&database, |config| config.api.request_timeout = Duration::from_secs(1)).await;
        service.client("c").await;
        service.job("c").await;
        let action = json!({"freezer_action": {"action": "exec"}, "action_id": "a"});
        service.post("actions", action).await.expect(201);
        // Another program keeps the action locked for longer than a request may take.
        let holder = Holder::of(&database, "UPDATE actions SET updated_at = created_at").await;
        let job = |id: &str| json!({"client_id": "c", "job_id": id, "job_actions": [{"action_id": "a"}]});
        let release = async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            holder.release().await;
        };
        let (created, replaced, ()) =
            tokio::join!(service.post("jobs", job("j1")), service.post("jobs/j2", job("j2")), release);
        created.refused(503, "Service Unavailable");
        replaced.refused(503, "Service Unavailable");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(database.rows("jobs", "1 = 1").await, 1);
    }

    async fn a_refused_job_leaves_nothing(database: Database) {
        let service = start(&database).await;
        service.post("clients", json!({"client_id": "weak", "supported_actions": ["backup"]})).await.expect(201);
        service.post("jobs", inline(json!({"job_id": "taken"}))).await.expect(201);
        let refused = [
            inline(json!({"client_id": "none"})),
            inline(json!({"client_id": "weak"})),
            inline(json!({"job_id": "taken"})),
            inline(json!({"other": 1})),
            inline(json!({"job_actions": [{"freezer_action": {"action": "exec"}}, {"action_id": "none"}]})),
            inline(json!({"job_actions": [{"freezer_action": {"action": "exec"}}, {"freezer_action": {}}]})),
        ];
        let answers = send_at_once(&service, |number| {
            let path = if number % 2 == 0 { "jobs" } else { "jobs/new" };
            ("POST", path.to_owned(), refused[number / 2 % refused.len()].clone())
        })
        .await;
        for (number, answer) in answers.iter().enumerate() {
            // The id in a body is nothing where the path has one.
            let created = number % 2 == 1 && number / 2 % refused.len() == 2;
            assert_eq!(matches!(answer.status, 201), created, "{}", answer.text());
            assert!(matches!(answer.status, 201 | 400 | 409 | 422), "{}: {}", answer.status, answer.text());
        }
        // One action of the first job, and one for each time that the new one was replaced.
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(database.rows("actions", "1 = 1").await, 1 + i64::try_from(made).unwrap());
        assert_eq!(database.rows("jobs", "1 = 1").await, 2);
        assert_eq!(database.rows("job_actions", "1 = 1").await, 2);
    }
}
