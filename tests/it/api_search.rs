//! Searches: what they mean, that the database's part in them changes nothing, and that they use an index.

use freezer_api::api::MAX_SEARCH_BODY;
use serde_json::{Value, json};

use crate::support::api::KINDS;
use crate::support::statements::Statements;
use crate::support::{Database, Engine, Service, rows};

/// The documents that a search finds.
async fn found(service: &Service, path: &str, search: &Value) -> Vec<Value> {
    let list = service
        .search(path, search.clone())
        .await
        .expect(200)
        .json();
    let (kind, _) = path.split_once('?').unwrap_or((path, ""));
    list[kind.rsplit('/').next().unwrap()]
        .as_array()
        .unwrap()
        .clone()
}

on_each_engine! {
    async fn a_search_of_too_many_pairs_is_refused(database: Database) {
        let service = Service::start(&database).await;
        let pairs = |count: usize| (0..count).map(|number| json!({format!("key{number}_id"): "v"})).collect::<Vec<_>>();
        let mut many = vec![json!({"action": "exec", "backup_id": "b"}); 25];
        for (kind, _) in KINDS {
            for search in [
                json!({"match": pairs(50)}),
                json!({"match_not": pairs(50)}),
                json!({"match": pairs(20), "match_not": pairs(30)}),
                json!({"match": many}),
                json!({"match": [{"status": "x".repeat(65_000)}]}),
            ] {
                service.search(kind, search).await.expect(200);
            }
            for search in [
                json!({"match": pairs(51)}),
                json!({"match_not": pairs(51)}),
                json!({"match": pairs(20), "match_not": pairs(31)}),
                json!({"match": [{"_all": json!(pairs(51)).to_string()}]}),
            ] {
                let description = service.search(kind, search).await.refused(400, "Bad request format");
                assert!(description.contains("51 pairs"), "{description}");
            }
            let large = json!({"match": [{"status": "x".repeat(MAX_SEARCH_BODY)}]});
            let description = service.search(kind, large).await.refused(400, "Bad request format");
            assert!(description.contains(&format!("{MAX_SEARCH_BODY} bytes")), "{description}");
        }
        many.push(json!({"action": "exec"}));
        service.search("jobs", json!({"match": many})).await.expect(400);
    }

    async fn a_search_is_a_list_of_pairs(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        for (kind, _) in KINDS {
            for body in [
                json!({"match": {"a": 1}}),
                json!({"match": "a"}),
                json!({"match": 5}),
                json!({"match": true}),
                json!({"match": [1]}),
                json!({"match": ["a"]}),
                json!({"match": [null]}),
                json!({"match": [["a", "b"]]}),
                json!({"match": [{}, 1]}),
                json!({"match_not": {"a": 1}}),
                json!({"match_not": "a"}),
                json!({"match_not": [[]]}),
                json!({"match": [], "match_not": [0]}),
                json!({"match": [{"_all": "[1]"}]}),
                json!({"match": [{"_all": "[[]]"}]}),
                json!({"match": [{"_all": ["text"]}]}),
                json!({"match": [{"client_id": "c"}, {"_all": {"a": 1}}]}),
                json!({"match_not": [{"_all": {}}]}),
            ] {
                let description = service.search(kind, body.clone()).await.refused(400, "Bad request format");
                assert!(description.contains("'match"), "{body}: {description}");
            }
            let all = service.get(kind).await.expect(200).json();
            for body in [
                json!({}),
                json!({"match": []}),
                json!({"match": null, "match_not": null}),
                json!({"match": [], "match_not": []}),
                json!({"match": [{}], "match_not": [{}]}),
                json!({"match": {}, "match_not": {}}),
                json!({"matches": [{"a": 1}], "time_after": 5, "x": null}),
                json!({"match": [{"_all": "[]"}, {"a": 1}], "match_not": [{"user_id": "dev"}]}),
                json!({"match": [{"_all": "[{\"nowhere\": null}]"}, {"user_id": "x"}]}),
                json!({"match": [{"_all": null}]}),
                json!({"match": [{"_all": ""}], "match_not": [{"_all": ""}]}),
                json!({"time_after": null, "time_before": null}),
            ] {
                assert_eq!(service.search(kind, body.clone()).await.expect(200).json(), all, "{kind} {body}");
            }
        }
    }

    async fn pairs_have_a_meaning(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let job = json!({
            "client_id": "c", "job_schedule": {"status": "completed", "schedule_month": "x"}, "description": null,
            "job_actions": [
                {"freezer_action": {"action": "backup", "backup_name": "one", "n": 2, "zero": 0, "no": false, "l": [1, {"k": 2.0}]}},
                {"freezer_action": {"action": "restore", "backup_name": "two", "mode": "fs", "client_id": "inner"}},
            ],
        });
        service.post("jobs", job).await.expect(201);
        for (search, passes) in [
            // Any depth, any occurrence (deviation D18), whole values only.
            (json!({"match": [{"client_id": "c"}]}), true),
            (json!({"match": [{"client_id": "inner"}]}), true),
            (json!({"match": [{"client_id": "c", "status": "completed"}]}), true),
            (json!({"match": [{"client_id": "c"}, {"client_id": "inner"}]}), true),
            (json!({"match": [{"client_id": "d"}]}), false),
            (json!({"match_not": [{"client_id": "inner"}]}), false),
            (json!({"match_not": [{"client_id": "d"}]}), true),
            (json!({"match": [{"backup_name": "one"}]}), true),
            (json!({"match": [{"backup_name": "two"}]}), true),
            (json!({"match": [{"backup_name": "o"}]}), false),
            (json!({"match": [{"backup_name": "ONE"}]}), false),
            (json!({"match": [{"backup_name": "one "}]}), false),
            (json!({"match": [{"backup_name": "%"}]}), false),
            (json!({"match_not": [{"backup_name": "one"}]}), false),
            (json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]}), false),
            (json!({"match": [{"client_id": "c"}], "match_not": [{"status": "running"}]}), true),
            (json!({"match": [{"client_id": "c"}, {"status": "running"}]}), false),
            (json!({"match": [{"action": "backup", "mode": "fs"}]}), true),
            (json!({"match": [{"job_schedule.status": "completed"}]}), false),
            (json!({"match": [{"job_schedule": {"schedule_month": "x", "status": "completed", "time_started": -1,
                "time_ended": -1, "time_created": crate::support::START}}]}), true),
            (json!({"match": [{"job_schedule": {"status": "completed"}}]}), false),
            (json!({"match": [{"job_actions": []}]}), false),
            // Null is what is null, and what is nowhere.
            (json!({"match": [{"nowhere": null}]}), true),
            (json!({"match_not": [{"nowhere": null}]}), false),
            (json!({"match": [{"description": null}]}), true),
            (json!({"match": [{"client_id": null}]}), false),
            (json!({"match": [{"mode": null}]}), true),
            // Types are strict, numbers compare by value.
            (json!({"match": [{"n": 2}]}), true),
            (json!({"match": [{"n": 2.0}]}), true),
            (json!({"match": [{"n": "2"}]}), false),
            (json!({"match": [{"zero": false}]}), false),
            (json!({"match": [{"no": 0}]}), false),
            (json!({"match": [{"no": false, "zero": 0.0}]}), true),
            (json!({"match": [{"l": [1, {"k": 2}]}]}), true),
            (json!({"match": [{"l": [{"k": 2}, 1]}]}), false),
            // A value is found, and what is in it too.
            (json!({"match": [{"l": [1, {"k": 2}]}, {"k": 2}]}), true),
            (json!({"match": [{"l": [1]}, {"k": 2}]}), false),
            (json!({"match_not": [{"l": [1]}, {"k": 2}]}), false),
            (json!({"match": [{"session_tag": 0}]}), true),
            (json!({"match": [{"k": 2}]}), true),
            (json!({"match": [{"session_id": ""}]}), true),
            // A text in any value, whatever the case of its letters.
            (json!({"match": [{"_all": "one"}]}), true),
            (json!({"match": [{"_all": "COMPLETE"}]}), true),
            (json!({"match": [{"_all": "Backup"}, {"_all": "fs"}]}), true),
            (json!({"match": [{"_all": "Backup"}, {"_all": "nova"}]}), false),
            (json!({"match": [{"client_id": "c", "_all": "inner"}]}), true),
            (json!({"match": [{"client_id": "d", "_all": "inner"}]}), false),
            (json!({"match": [{"_all": "backup_name"}]}), false),
            (json!({"match": [{"_all": false}]}), true),
            (json!({"match": [{"_all": true}]}), false),
            (json!({"match": [{"_all": "{\"a\": 1}"}]}), false),
            (json!({"match": [{"_all": "'; DROP TABLE jobs; --"}]}), false),
            (json!({"match": [{"_all": "\u{0}"}]}), false),
            (json!({"match": [{"_all": ""}], "match_not": [{"client_id": "c"}]}), false),
            (json!({"match_not": [{"_all": "restore"}]}), false),
            (json!({"match_not": [{"_all": "nova"}]}), true),
            // A list is one of pairs where it comes first, and a text elsewhere.
            (json!({"match": [{"client_id": "c"}, {"_all": "[]"}]}), false),
            (json!({"match_not": [{"_all": "[]"}]}), true),
            (json!({"match": [{"_all": "[{\"client_id\": \"c\"}, {\"status\": \"completed\"}]"}]}), true),
            (json!({"match": [{"_all": "[{\"client_id\": \"c\"}, {\"status\": \"running\"}]"}]}), false),
            // Texts that mean something to a database or to JSON.
            (json!({"match": [{"client_id": "c' OR '1'='1"}]}), false),
            (json!({"match": [{"client_id": "\u{0}"}]}), false),
            (json!({"match": [{"\u{0}": "c"}]}), false),
            (json!({"match_not": [{"status": "\u{0}"}]}), true),
            (json!({"match": [{"\"": "x\\"}]}), false),
            (json!({"match": [{"": ""}]}), false),
            (json!({"match": [{"?": "?"}]}), false),
            (json!({"match": [{"status": "completed\",\"schedule_month\":\"x"}]}), false),
        ] {
            let expected = usize::from(passes);
            assert_eq!(found(&service, "jobs", &search).await.len(), expected, "{search}");
        }
    }

    async fn times_limit_backups(database: Database) {
        let service = Service::start(&database).await;
        for time_stamp in [json!(1000), json!(1500), json!("2000"), json!(2500.5), Value::Null, json!("soon")] {
            service.post("backups", json!({"backup_name": time_stamp.to_string(), "status": "error", "time_stamp": time_stamp})).await.expect(201);
            service.clock.advance(1);
        }
        for (search, hits) in [
            (json!({"time_after": 1500}), &["1500", "\"2000\"", "2500.5"][..]),
            (json!({"time_after": 1501, "time_before": 2000}), &["\"2000\""]),
            (json!({"time_before": "1500"}), &["1000", "1500"]),
            (json!({"time_before": 1500, "match_not": [{"time_stamp": 1000}]}), &["1500"]),
            (json!({"time_after": -1, "match": [{"_all": "2500.5"}]}), &["2500.5"]),
            (json!({"time_after": i64::MAX}), &[]),
        ] {
            let found = found(&service, "backups", &search).await;
            let names: Vec<_> = found.iter().map(|backup| backup["backup_metadata"]["backup_name"].as_str().unwrap()).collect();
            assert_eq!(names, hits, "{search}");
        }
        for limit in [json!("soon"), json!(1.5), json!(true), json!([]), json!(u64::MAX)] {
            for name in ["time_after", "time_before"] {
                let description = service.search("backups", json!({name: limit})).await.refused(400, "Bad request format");
                assert!(description.contains(name), "{description}");
            }
        }
        service.client("c").await;
        assert_eq!(found(&service, "clients", &json!({"time_after": 1})).await.len(), 1);
    }

    async fn a_page_is_one_of_hits(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let mut made = Vec::new();
        for number in 0..30 {
            let job = json!({"client_id": "c", "job_actions": [], "description": if number % 2 == 0 { "even" } else { "odd" }});
            made.push(service.created("jobs", job, "job_id").await);
            service.clock.advance(1);
        }
        let even: Vec<String> = made.iter().step_by(2).cloned().collect();
        for (query, hits) in [
            ("", &even[..10]), ("?offset=3&limit=4", &even[3..7]), ("?offset=14", &even[14..]), ("?offset=15", &[]),
        ] {
            let search = json!({"match": [{"client_id": "c"}, {"description": "even"}]});
            let ids: Vec<Value> = found(&service, &format!("jobs{query}"), &search).await.iter().map(|job| job["job_id"].clone()).collect();
            assert_eq!(json!(ids), json!(hits), "{query}");
        }
    }
}

/// Jobs of 100 clients in two projects, as the reference and as we write them.
async fn many_jobs(database: &Database, service: &Service) {
    let mut inserts = Vec::new();
    for batch in 0..10 {
        let values: Vec<String> = (0..600)
            .map(|number| {
                let number = batch * 600 + number;
                let status = if number % 3 == 0 { "completed" } else { "scheduled" };
                let blank = if number % 2 == 0 { " " } else { "" };
                format!(
                    "('j{number:05}', 'p{}', 'u', '{{\"time_created\":{blank}1, \"status\":{blank}\"{status}\"}}', 'c{}', '', 0, '', \
                     FALSE, '2024-01-01 00:{:02}:{:02}.000000')",
                    1 + number % 2, number % 100, number / 60 % 60, number % 60
                )
            })
            .collect();
        inserts.push(format!(
            "INSERT INTO jobs (id, project_id, user_id, schedule, client_id, session_id, session_tag, description, deleted, \
             created_at) VALUES {}",
            values.join(", ")
        ));
    }
    inserts.push(
        match database.engine() {
            Engine::MySql => "ANALYZE TABLE jobs, actions",
            Engine::Sqlite | Engine::Postgres => "ANALYZE",
        }
        .to_owned(),
    );
    for client in 0..100 {
        service.client(&format!("c{client}")).await;
    }
    rows::execute_all(database, inserts).await;
}

/// A scheduler asks this every minute. Each engine must find the client's jobs by their index, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedulers_poll_uses_the_index_on_clients() {
    let sent = Statements::of_process().await;
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let service = Service::with(&database, Statements::are_logged).await;
        many_jobs(&database, &service).await;
        let poll = json!({"match": [{"client_id": "c42"}], "match_not": [{"status": "completed"}]});
        let completed = ["\"status\":\"completed\"", "\"status\": \"completed\""];
        let limit: &[&str] = match engine {
            Engine::MySql | Engine::Postgres => &["1000", "0"],
            Engine::Sqlite => &[],
        };
        for (path, hits, project) in [
            ("jobs", 40, &["p1"][..]),
            ("/v2/p2/jobs?all_projects=true", 40, &[]),
        ] {
            let values = [project, &["c42"], &completed, limit, project].concat();
            sent.take();
            let separator = if path.contains('?') { '&' } else { '?' };
            let list = service
                .search(&format!("{path}{separator}limit=1000"), poll.clone())
                .await
                .expect(200)
                .json();
            let list = list["jobs"].as_array().unwrap();
            assert_eq!(list.len(), hits, "{engine:?} {path}");
            let is_hit = |job: &Value| {
                job["client_id"] == "c42" && job["job_schedule"]["status"] == "scheduled"
            };
            assert!(list.iter().all(is_hit));
            let statements = sent.take();
            let [statement] = &statements[..] else {
                panic!("{engine:?} sends {statements:#?}");
            };
            let plan = rows::explain(&database, statement, &values).await;
            // Whether actions name a client is answered by an index that has only such actions.
            let by_index = plan.contains("ix_actions_naming_client") || engine == Engine::Postgres;
            // The jobs of all projects are few and sorted, whichever index on clients they are found by.
            let by_client = plan.contains("ix_jobs_client")
                || (project.is_empty() && plan.contains("ix_jobs_by_client"));
            assert!(by_client && by_index, "{engine:?} {statement}\n{plan}");
        }
    }
}
