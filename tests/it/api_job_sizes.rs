//! How large a job may be: its entries, its defaults, and the actions that it names.

use serde_json::{Value, json};

use crate::api_jobs::{job, shown};
use crate::support::{Answer, Database, Service};

/// How many bytes the document of a job may have here.
const LIMIT: usize = 100_000;

async fn service(database: &Database) -> Service {
    let service = Service::with(database, |config| config.api.max_document_size = LIMIT).await;
    service.client("c").await;
    service
}

/// An action with a definition of some more than these bytes; its id.
async fn action(service: &Service, bytes: usize) -> String {
    let body = json!({"freezer_action": {"action": "exec", "blob": "x".repeat(bytes)}});
    service.created("actions", body, "action_id").await
}

/// Checks that a request is refused with both figures.
#[track_caller]
fn too_large(answer: &Answer) {
    let description = answer.refused(400, "Bad request format");
    let words = format!("bytes with its actions; it may have {LIMIT} ([api] max_document_size)");
    assert!(description.ends_with(&words), "{description}");
}

async fn stored(database: &Database) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip(["jobs", "actions", "job_actions"]) {
        *count = database.rows(table, "1 = 1").await;
    }
    counts
}

/// The ways to give a job a body.
async fn sent(service: &Service, job_id: &str, body: &Value) -> [Answer; 3] {
    let path = format!("jobs/{job_id}");
    [
        service.post("jobs", body.clone()).await,
        service.post(&path, body.clone()).await,
        service.patch(&path, body.clone()).await,
    ]
}

on_each_engine! {
    async fn texts_of_any_length_are_shown_wherever_they_are_named(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        // Short texts are read with each entry, longer ones once for a job: 4,096 bytes are the limit.
        for length in (4_050..4_100).step_by(5).chain([1, 100_000]) {
            let blob = "x".repeat(length);
            let action = json!({"freezer_action": {"action": "exec", "blob": blob}});
            let action = service.created("actions", action, "action_id").await;
            let small = json!({"freezer_action": {"action": "exec", "blob": "small"}});
            let named = json!({"action_id": action});
            let job = json!({"client_id": "c", "job_actions": [named, small, named, named]});
            let id = service.created("jobs", job, "job_id").await;
            let schedule = json!({"status": "s".repeat(length)});
            database
                .run(format!("UPDATE jobs SET schedule = '{schedule}' WHERE id = '{id}'"))
                .await;
            let one = service.get(&format!("jobs/{id}")).await.expect(200).json();
            let blobs = one["job_actions"].as_array().unwrap().iter();
            let blobs: Vec<&Value> = blobs.map(|action| &action["freezer_action"]["blob"]).collect();
            assert!(blobs == [&json!(blob), &json!("small"), &json!(blob), &json!(blob)], "{length}");
            assert!(one["job_schedule"] == schedule, "{length}");
            let search = json!({"match": [{"job_id": id}, {"client_id": "c"}]});
            let found = service.search("jobs", search).await.expect(200).json();
            assert!(found["jobs"] == json!([one]), "{length}");
            let list = service.get("jobs?limit=100").await.expect(200).json();
            assert!(list["jobs"].as_array().unwrap().contains(&one), "{length}");
        }
    }

    async fn a_job_has_two_hundred_entries_at_most(database: Database) {
        let service = service(&database).await;
        let action_id = action(&service, 1).await;
        let entries = |count: usize| {
            let inline = |number| json!({"freezer_action": {"action": "exec", "backup_name": format!("n{number}")}});
            let entry = |number| if number % 3 == 0 { json!({"action_id": action_id}) } else { inline(number) };
            job(json!({"job_actions": (0..count).map(entry).collect::<Vec<Value>>()}))
        };
        let id = service.created("jobs", entries(200), "job_id").await;
        let before = stored(&database).await;
        for answer in sent(&service, &id, &entries(201)).await {
            let description = answer.refused(400, "Bad request format");
            assert_eq!(description, "job_actions: has 201 entries; it may have 200");
        }
        assert_eq!(stored(&database).await, before);
        let shown = shown(&service, &id).await;
        let listed = service.get("jobs").await.expect(200).json();
        assert_eq!(listed["jobs"][0], shown);
        let shown = shown["job_actions"].as_array().unwrap();
        assert_eq!(shown.len(), 200);
        for (number, entry) in shown.iter().enumerate() {
            if number % 3 == 0 {
                assert_eq!(entry["action_id"], action_id.as_str());
            } else {
                assert_eq!(entry["freezer_action"]["backup_name"], format!("n{number}"));
            }
        }
    }

    async fn defaults_count_for_each_entry_that_lacks_them(database: Database) {
        let service = service(&database).await;
        let body = |count: usize| {
            let entry = json!({"freezer_action": {"action": "exec"}});
            job(json!({"action_defaults": {"blob": "x".repeat(10_000)}, "job_actions": vec![entry; count]}))
        };
        let id = service.created("jobs", body(9), "job_id").await;
        let before = stored(&database).await;
        for answer in sent(&service, &id, &body(10)).await {
            too_large(&answer);
        }
        assert_eq!(stored(&database).await, before);
        // An entry that has its own is none of them.
        let mut own = body(10);
        own["job_actions"][4]["freezer_action"]["blob"] = "y".into();
        service.post("jobs", own).await.expect(201);
    }

    async fn an_action_counts_as_often_as_it_is_named(database: Database) {
        let service = service(&database).await;
        let (large, small) = (action(&service, 30_000).await, action(&service, 500).await);
        let body = |count: usize| {
            let mut entries = vec![json!({"action_id": small}); 10];
            entries.extend(vec![json!({"action_id": large}); count]);
            job(json!({"job_actions": entries}))
        };
        let id = service.created("jobs", body(3), "job_id").await;
        let before = stored(&database).await;
        for answer in sent(&service, &id, &body(4)).await {
            too_large(&answer);
        }
        assert_eq!(stored(&database).await, before);
        assert_eq!(shown(&service, &id).await["job_actions"].as_array().unwrap().len(), 13);
    }

    async fn an_action_does_not_outgrow_its_jobs(database: Database) {
        let service = service(&database).await;
        let (one, other) = (action(&service, 10).await, action(&service, 40_000).await);
        let entries = [json!({"action_id": one}), json!({"action_id": other}), json!({"action_id": one})];
        service.created("jobs", job(json!({"job_actions": entries})), "job_id").await;
        let path = format!("actions/{one}");
        let grown = |bytes: usize| json!({"freezer_action": {"action": "exec", "blob": "x".repeat(bytes)}});
        service.patch(&path, grown(25_000)).await.expect(200);
        let before = service.get(&path).await.expect(200).json();
        too_large(&service.patch(&path, grown(31_000)).await);
        too_large(&service.post(&path, grown(31_000)).await);
        assert_eq!(service.get(&path).await.expect(200).json(), before);
        // One that no job has may be as large as it likes.
        let free = action(&service, 10).await;
        service.patch(&format!("actions/{free}"), grown(200_000)).await.expect(200);
    }
}
