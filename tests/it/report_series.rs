//! Series of backups: which backups belong together, kept by one node among all.

use std::sync::Arc;
use std::time::Duration;

use freezer_api::domain::series::Recorded;
use freezer_api::service::SeriesKeeper;
use freezer_api::store::{Frontier, StoreError, Tx};
use serde_json::{Value, json};

use crate::plans::{numbered, numbers};
use crate::report_hosts::round;
use crate::server::start;
use crate::support::api::START;
use crate::support::process::manage;
use crate::support::rows::explain;
use crate::support::{Engine, Service};

const DAY: i64 = 86_400;

fn metadata(job_id: Option<&str>, name: &str) -> Value {
    json!({"job_id": job_id, "backup_name": name, "container": "/backups", "hostname": "host1", "storage": "local", "mode": "fs"})
}

async fn backup(service: &Service, metadata: Value) -> String {
    service.created("backups", metadata, "backup_id").await
}

async fn keep(service: &Service, keeper: &mut SeriesKeeper) {
    while !service.api.catalogue.keep_series(keeper).await.unwrap() {}
}

async fn list(service: &Service, path: &str, collection: &str) -> Vec<Value> {
    let answer = service
        .get(&format!("report/{path}"))
        .await
        .expect(200)
        .json();
    answer[collection].as_array().unwrap().clone()
}

async fn series(service: &Service, query: &str) -> Vec<Value> {
    list(service, &format!("series?{query}"), "series").await
}

fn texts(documents: &[Value], member: &str) -> Vec<String> {
    let texts = documents
        .iter()
        .map(|document| document[member].as_str().unwrap_or("-"));
    texts.map(str::to_owned).collect()
}

async fn members(service: &Service, series: &Value) -> Vec<String> {
    let path = format!(
        "series/{}/backups?limit=50",
        series["series_id"].as_str().unwrap()
    );
    texts(&list(service, &path, "backups").await, "backup_id")
}

on_each_engine! {
    async fn backups_of_a_job_at_a_place_are_a_series(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let job_id = &service.job("host1").await;
        let named = json!({"description": "nightly"});
        service.patch(&format!("jobs/{job_id}"), named).await.expect(200);
        let mut keeper = SeriesKeeper::default();
        let first = backup(&service, metadata(Some(job_id), "etc")).await;
        service.clock.advance(60);
        let second = backup(&service, metadata(Some(job_id), "etc")).await;
        service.clock.advance(60);
        backup(&service, metadata(Some(job_id), "home")).await;
        assert_eq!(series(&service, "").await, [Value::Null; 0]);
        keep(&service, &mut keeper).await;
        let all = series(&service, "").await;
        assert_eq!(texts(&all, "backup_name"), ["home", "etc"]);
        let etc = &all[1];
        let wanted = json!({
            "series_id": etc["series_id"], "project_id": "p1", "job_id": job_id, "description": "nightly", "hostname": "host1", "backup_name": "etc",
            "container": "/backups", "storage": "local", "resource_id": null, "backups": 2,
            "first_at": "2023-11-14T22:13:20Z", "last_at": "2023-11-14T22:14:20Z", "last_backup_id": second,
            "last_status": "available", "findings": [],
        });
        assert_eq!(*etc, wanted);
        assert_eq!(members(&service, etc).await, [second.clone(), first.clone()]);
        let path = format!("series/{}/backups?sort=created_at:asc", etc["series_id"].as_str().unwrap());
        let oldest = &list(&service, &path, "backups").await[0];
        assert_eq!(oldest["created_at"], "2023-11-14T22:13:20Z");
        assert_eq!(oldest["backup_metadata"]["backup_name"], "etc");
        // Again, by this keeper and by another one: nothing is counted twice.
        keep(&service, &mut keeper).await;
        keep(&service, &mut SeriesKeeper::default()).await;
        assert_eq!(series(&service, "").await, all);
        // What is deleted or changed leaves its series at once.
        service.delete(&format!("backups/{second}")).await.expect(204);
        let etc = &series(&service, &format!("sort=last_at:asc&job_id={job_id}")).await[0];
        assert_eq!((&etc["backups"], &etc["last_backup_id"]), (&json!(1), &json!(first)));
        let change = json!({"backup_metadata": {"hostname": "host2"}});
        service.patch(&format!("backups/{first}"), change).await.expect(200);
        assert_eq!(texts(&series(&service, "sort=last_at:asc").await, "hostname"), ["host2", "host1"]);
        assert_eq!(texts(&series(&service, "hostname=host2").await, "backup_name"), ["etc"]);
    }

    async fn series_are_paged(database: Database) {
        let service = Service::start(&database).await;
        for number in 0..7 {
            backup(&service, metadata(None, &format!("b{number}"))).await;
            service.clock.advance(number % 2);
        }
        keep(&service, &mut SeriesKeeper::default()).await;
        let all = texts(&series(&service, "").await, "series_id");
        assert_eq!(all.len(), 7);
        for query in ["limit=3", "limit=3&sort=last_at:asc"] {
            let (mut seen, mut path) = (Vec::new(), format!("report/series?{query}"));
            loop {
                let page = service.get(&path).await.expect(200).json();
                seen.extend(texts(page["series"].as_array().unwrap(), "series_id"));
                let Some(href) = page["series_links"][0]["href"].as_str() else {
                    break;
                };
                path = href[href.find("/v2/").unwrap()..].to_owned();
            }
            if query.ends_with("asc") {
                seen.reverse();
            }
            assert_eq!(seen, all, "{query}");
        }
        service.clock.advance(5);
        for _ in 0..5 {
            backup(&service, metadata(None, "b0")).await;
        }
        keep(&service, &mut SeriesKeeper::default()).await;
        let first = &series(&service, "limit=1").await[0];
        assert_eq!(first["backups"], 6);
        let id = first["series_id"].as_str().unwrap();
        let whole = members(&service, first).await;
        let page = service.get(&format!("report/series/{id}/backups?limit=4")).await.expect(200).json();
        let rest = page["backups_links"][0]["href"].as_str().unwrap();
        let rest = service.get(&rest[rest.find("/v2/").unwrap()..]).await.expect(200).json();
        let parts = [&page, &rest].map(|page| texts(page["backups"].as_array().unwrap(), "backup_id"));
        assert_eq!(parts.concat(), whole);
        for path in ["series?marker=none", "series?sort=hostname", "series?job_id=%00", &format!("series/{id}/backups?marker=none")] {
            service.get(&format!("report/{path}")).await.expect(400);
        }
        service.get("report/series/none/backups").await.expect(404);
    }

    async fn what_others_change_is_found(database: Database) {
        let service = Service::start(&database).await;
        let mut keeper = SeriesKeeper::default();
        let ids = [backup(&service, metadata(None, "a")).await, backup(&service, metadata(None, "a")).await];
        keep(&service, &mut keeper).await;
        // The Python service deletes one, changes the other, and adds one that its clock puts a minute back.
        database.run(format!("UPDATE backups SET deleted = TRUE WHERE id = '{}'", ids[0])).await;
        let changed = metadata(None, "b");
        database.run(format!("UPDATE backups SET backup_metadata = '{changed}' WHERE id = '{}'", ids[1])).await;
        let created = match database.engine() {
            Engine::Sqlite => "'2023-11-14 22:12:20.000000'",
            _ => "'2023-11-14 22:12:20'",
        };
        let added = metadata(None, "c");
        database.run(format!(
            "INSERT INTO backups (id, project_id, user_id, status, deleted, created_at, backup_metadata) \
             VALUES ('theirs', 'p1', 'u', 'available', FALSE, {created}, '{added}')"
        )).await;
        keep(&service, &mut keeper).await;
        keep(&service, &mut keeper).await;
        assert_eq!(texts(&series(&service, "").await, "backup_name"), ["b", "c"]);
        assert_eq!(database.rows("freezer_api_series", "1 = 1").await, 2);
        // All of it can be made again, also where nothing is right.
        let before = series(&service, "").await;
        database.run("DELETE FROM freezer_api_backup_series WHERE backup_id = 'theirs'".to_owned()).await;
        database.run("INSERT INTO freezer_api_backup_series (backup_id, series_id, created_at) VALUES ('gone', 'x', 1)".to_owned()).await;
        let output = manage(&database.configuration(), &["report", "rebuild"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.lines().next(), Some("2 backups, 1 were put into a series, 1 that are gone were taken out"));
        assert_eq!(series(&service, "").await, before);
        assert_eq!(database.rows("freezer_api_backup_series", "1 = 1").await, 2);
        // Metadata beyond any agent's, and texts beyond the columns.
        let mut large = metadata(None, &"n".repeat(300));
        large["container"] = "c".repeat(20_000).into();
        backup(&service, large).await;
        backup(&service, metadata(None, &"é".repeat(300))).await;
        keep(&service, &mut keeper).await;
        assert_eq!(series(&service, "").await.len(), 4);
    }

    async fn what_is_wrong_with_a_series_is_told(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let action = json!({"freezer_action": {"action": "backup", "mode": "fs"}});
        let job = json!({"client_id": "host1", "description": "nightly", "job_actions": [action]});
        let job_id = &service.created("jobs", job, "job_id").await;
        let mut keeper = SeriesKeeper::default();
        let id = backup(&service, metadata(Some(job_id), "etc")).await;
        keep(&service, &mut keeper).await;
        let report = async |status: &str, ended: i64| {
            let result = if ended < 0 { "" } else { "success" };
            let schedule = json!({"status": status, "time_started": START + DAY, "time_ended": ended, "result": result});
            service.patch(&format!("jobs/{job_id}"), json!({"job_schedule": schedule})).await.expect(200);
        };
        let findings = async || {
            assert!(service.api.catalogue.hold_series("node".to_owned(), 25).await.unwrap());
            service.api.catalogue.finish_series("node".to_owned()).await.unwrap();
            series(&service, "").await[0]["findings"].clone()
        };
        service.clock.advance(DAY);
        report("running", -1).await;
        service.clock.advance(10);
        report("scheduled", START + DAY + 10).await;
        assert_eq!(findings().await, json!([]));
        service.clock.advance(301);
        assert_eq!(findings().await, json!(["no_record"]));
        service.patch(&format!("backups/{id}"), json!({"status": "error"})).await.expect(200);
        assert_eq!(findings().await, json!(["no_record", "pending"]));
        backup(&service, metadata(Some(job_id), "etc")).await;
        keep(&service, &mut keeper).await;
        assert_eq!(findings().await, json!([]));
        service.delete(&format!("jobs/{job_id}")).await.expect(204);
        assert_eq!(findings().await, json!(["orphan"]));
        // What it was called stays; of another project's job nothing is told.
        assert_eq!(series(&service, "").await[0]["description"], "nightly");
        service.post("/v2/p2/backups", metadata(Some(job_id), "theirs")).await.expect(201);
        keep(&service, &mut keeper).await;
        let theirs = service.get("/v2/p2/report/series").await.expect(200).json();
        assert_eq!((&theirs["series"][0]["job_id"], &theirs["series"][0]["description"]), (&json!(job_id), &Value::Null));
    }

    async fn what_is_wrong_with_series_is_a_problem_too(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let action = json!({"freezer_action": {"action": "backup", "mode": "fs"}});
        let job = json!({"client_id": "host1", "description": "nightly", "job_actions": [action]});
        let job_id = &service.created("jobs", job, "job_id").await;
        // Nobody has made any record of this one.
        let schedule = |status: &str, ended: i64, result: &str| json!({"job_schedule":
            {"status": status, "time_started": START, "time_ended": ended, "result": result}});
        service.patch(&format!("jobs/{job_id}"), schedule("running", -1, "")).await.expect(200);
        service.patch(&format!("jobs/{job_id}"), schedule("scheduled", START + 9, "success")).await.expect(200);
        service.clock.advance(301);
        let mut keeper = SeriesKeeper::default();
        let problems = async |keeper: &mut SeriesKeeper| {
            keep(&service, keeper).await;
            assert!(service.api.catalogue.hold_series("node".to_owned(), 25).await.unwrap());
            service.api.catalogue.finish_series("node".to_owned()).await.unwrap();
            round(&service).await;
            list(&service, "problems", "problems").await
        };
        let kinds = |problems: &[Value]| texts(problems, "kind");
        let host = async || service.get("report/hosts/host1").await.expect(200).json()["findings"].clone();
        let found = problems(&mut keeper).await;
        assert_eq!(kinds(&found), ["no_record"]);
        let wanted = json!({
            "problem_id": found[0]["problem_id"], "kind": "no_record", "severity": "amber", "project_id": "p1", "client_id": "host1",
            "job_id": job_id, "series_id": null, "description": "nightly", "since": "2023-11-14T22:13:20Z",
            "last_success_at": "2023-11-14T22:13:20Z", "due_at": null, "failed_in_a_row": 0, "clock_skew": null,
            "next_step": found[0]["next_step"],
        });
        assert_eq!(found[0], wanted);
        let of_job = &list(&service, "jobs", "jobs").await[0];
        assert_eq!(of_job["findings"], json!(["no_record"]));
        assert_eq!(host().await, json!(["no_record"]));
        // One of the job says that it failed, one of nobody's job stays unfinished, and one names a job of another project.
        backup(&service, metadata(Some(job_id), "etc")).await;
        service.patch(&format!("backups/{}", backup(&service, metadata(Some(job_id), "home")).await), json!({"status": "error"})).await.expect(200);
        service.patch(&format!("backups/{}", backup(&service, metadata(None, "hand")).await), json!({"status": "creating"})).await.expect(200);
        let mut theirs = metadata(Some(job_id), "theirs");
        theirs["hostname"] = "elsewhere".into();
        service.post("/v2/p2/backups", theirs).await.expect(201);
        let found = problems(&mut keeper).await;
        assert_eq!((kinds(&found), &found[0]["description"], &found[0]["client_id"]), (vec!["pending".to_owned()], &json!("home"), &json!("host1")));
        assert_eq!(found[0]["series_id"], series(&service, &format!("job_id={job_id}&sort=last_at:asc")).await.iter()
            .find(|one| one["backup_name"] == "home").unwrap()["series_id"]);
        assert_eq!(host().await, json!(["pending"]));
        // What another project says of a job tells nothing of its client.
        let theirs = service.get("/v2/p2/report/problems").await.expect(200).json();
        assert_eq!((&theirs["problems"][0]["kind"], &theirs["problems"][0]["client_id"]), (&json!("orphan"), &json!("elsewhere")));
        service.clock.advance(DAY + 1);
        assert_eq!(kinds(&problems(&mut keeper).await), ["pending", "pending"]);
        let first = problems(&mut keeper).await;
        service.delete(&format!("jobs/{job_id}")).await.expect(204);
        service.clock.advance(60);
        let found = problems(&mut keeper).await;
        let mut all = kinds(&found);
        all.sort_unstable();
        assert_eq!(all, ["orphan", "orphan", "pending", "pending", "unprotected"]);
        assert!(first.iter().all(|known| found.contains(known)), "{found:?}");
        assert_eq!(host().await, json!(["unprotected", "pending", "orphan"]));
        let summary = service.get("report/summary").await.expect(200).json();
        let counts: Vec<(&Value, &Value)> = summary["findings"].as_array().unwrap().iter().map(|one| (&one["kind"], &one["count"])).collect();
        assert_eq!(counts, [(&json!("unprotected"), &json!(1)), (&json!("pending"), &json!(2)), (&json!("orphan"), &json!(2))]);
        // Nothing is left of what is gone.
        for backup in service.get("backups?limit=10").await.expect(200).json()["backups"].as_array().unwrap() {
            service.delete(&format!("backups/{}", backup["backup_id"].as_str().unwrap())).await.expect(204);
        }
        assert_eq!(kinds(&problems(&mut keeper).await), ["unprotected"]);
    }

    async fn one_node_keeps_series_and_another_takes_over(database: Database) {
        let service = Service::start(&database).await;
        let catalogue = &service.api.catalogue;
        let holds = async |node: &str| catalogue.hold_series(node.to_owned(), 25).await.unwrap();
        assert!(holds("a").await);
        assert!(!holds("b").await);
        service.clock.advance(20);
        assert!(holds("a").await);
        service.clock.advance(26);
        assert!(holds("b").await);
        assert!(!holds("a").await);
    }

    async fn nodes_that_keep_series_at_once_count_all(database: Database) {
        let service = Arc::new(Service::start(&database).await);
        for number in 0..60 {
            backup(&service, metadata(None, &format!("b{}", number % 3))).await;
        }
        let nodes = (0..3).map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { keep(&service, &mut SeriesKeeper::default()).await })
        });
        let deleting = {
            let page = service.get("backups?limit=20").await.expect(200).json();
            texts(page["backups"].as_array().unwrap(), "backup_id")
        };
        for node in nodes.collect::<Vec<_>>() {
            for id in &deleting {
                service.delete(&format!("backups/{id}")).await;
            }
            node.await.unwrap();
        }
        // A backup that was deleted while it was put into its series is taken out in the next round.
        keep(&service, &mut SeriesKeeper::default()).await;
        let all = series(&service, "").await;
        let counts: Vec<i64> = all.iter().map(|series| series["backups"].as_i64().unwrap()).collect();
        assert_eq!(counts.iter().sum::<i64>(), 40, "{all:?}");
        for series in &all {
            assert_eq!(members(&service, series).await.len() as i64, series["backups"].as_i64().unwrap());
        }
    }

    async fn what_changes_between_reading_and_placing_is_as_it_is_then(database: Database) {
        let service = Service::start(&database).await;
        let ids = [
            backup(&service, metadata(None, "a")).await, backup(&service, metadata(None, "a")).await, backup(&service, metadata(None, "a")).await,
        ];
        let store = &service.api.catalogue.store;
        let read = async || {
            let read = async |tx: &mut Tx| tx.backups_behind(&Frontier::at(0), true).await;
            store.read::<_, StoreError>("reading", read).await.unwrap().backups
        };
        let place = async |backups: Vec<Recorded>| {
            let write = async |tx: &mut Tx| tx.place_found(&backups).await;
            store.write::<_, StoreError>("placing", write).await.unwrap()
        };
        let change = async |id: &str, name: &str| {
            let metadata = json!({"backup_metadata": {"backup_name": name}});
            service.patch(&format!("backups/{id}"), metadata).await.expect(200);
        };
        // They are in no series yet.
        let before = read().await;
        assert_eq!(before.len(), 3);
        service.delete(&format!("backups/{}", ids[0])).await.expect(204);
        change(&ids[1], "b").await;
        assert_eq!(place(before).await, 2);
        let mut names = texts(&series(&service, "").await, "backup_name");
        names.sort();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(database.rows("freezer_api_backup_series", "1 = 1").await, 2);
        // They are in series, of which the program before ours knows nothing.
        let changed = metadata(None, "c");
        database.run(format!("UPDATE backups SET backup_metadata = '{changed}' WHERE id = '{}'", ids[1])).await;
        let before = read().await;
        change(&ids[1], "d").await;
        service.delete(&format!("backups/{}", ids[2])).await.expect(204);
        assert_eq!(place(before).await, 0);
        assert_eq!(texts(&series(&service, "").await, "backup_name"), ["d"]);
        assert_eq!(database.rows("freezer_api_backup_series", "1 = 1").await, 1);
    }

    async fn a_long_series_is_not_counted_at_each_change(database: Database) {
        let service = Service::start(&database).await;
        let (engine, long) = (database.engine(), metadata(None, "long"));
        let created = match engine {
            Engine::Sqlite => "'2023-11-14 22:12:20.000000'",
            _ => "'2023-11-14 22:12:20'",
        };
        let insert = format!(
            "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted, created_at) SELECT {}, 'p1', 'u', \
             'available', '{long}', FALSE, {created} FROM {}",
            numbered(engine, "id", "n", ""),
            numbers(engine, 1300)
        );
        database.run(insert).await;
        let counts = async || {
            let all = series(&service, "").await;
            let mut counts: Vec<i64> = all.iter().map(|one| one["backups"].as_i64().unwrap()).collect();
            counts.sort_unstable();
            counts
        };
        let mut keeper = SeriesKeeper::default();
        keep(&service, &mut keeper).await;
        assert_eq!(counts().await, [1300]);
        service.delete("backups/id1").await.expect(204);
        let change = json!({"backup_metadata": {"backup_name": "short"}});
        service.patch("backups/id2", change).await.expect(200);
        backup(&service, long).await;
        keep(&service, &mut keeper).await;
        assert_eq!(counts().await, [1, 1299]);
        // Were all of its backups counted, this would not stay.
        let miscount = async || database.run("UPDATE freezer_api_series SET backups = backups + 7".to_owned()).await;
        miscount().await;
        service.delete("backups/id4").await.expect(204);
        assert_eq!(counts().await, [8, 1305]);
        // A short one is.
        service.patch("backups/id3", json!({"backup_metadata": {"backup_name": "short"}})).await.expect(200);
        assert_eq!(counts().await, [2, 1304]);
        // The keeper finds what is wrong, and so does the command.
        service.clock.advance(1);
        let last = backup(&service, metadata(None, "long")).await;
        keep(&service, &mut keeper).await;
        keep(&service, &mut keeper).await;
        assert_eq!(counts().await, [2, 1298]);
        let all = series(&service, "").await;
        let long = all.iter().find(|one| one["backup_name"] == "long").unwrap();
        assert_eq!(long["last_backup_id"], last);
        miscount().await;
        let output = manage(&database.configuration(), &["report", "rebuild"]);
        assert!(output.status.success());
        assert_eq!(counts().await, [2, 1298]);
    }

    async fn the_service_keeps_series_by_itself(database: Database) {
        let service = Service::start(&database).await;
        backup(&service, metadata(None, "etc")).await;
        let _server = start(&database, "");
        while database.rows("freezer_api_series", "backups = 1").await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn lists_of_series_use_an_index(database: Database) {
        let service = Service::start(&database).await;
        backup(&service, metadata(Some("j"), "etc")).await;
        keep(&service, &mut SeriesKeeper::default()).await;
        if database.engine() == Engine::Postgres {
            // Of few rows it reads all, whatever there is to find them by.
            return;
        }
        for (statement, index) in [
            ("SELECT id, backups FROM freezer_api_series WHERE project_id = 'p1' ORDER BY last_at DESC, id DESC LIMIT 11", "ix_freezer_api_series_project"),
            ("SELECT id, backups FROM freezer_api_series WHERE job_id = 'j' ORDER BY last_at DESC, id DESC LIMIT 11", "ix_freezer_api_series_job"),
            ("SELECT id, backups FROM freezer_api_series WHERE hostname = 'h' ORDER BY last_at DESC, id DESC LIMIT 11", "ix_freezer_api_series_host"),
            ("SELECT id, backups FROM freezer_api_series ORDER BY last_at DESC, id DESC LIMIT 11", "ix_freezer_api_series_last"),
            ("SELECT backup_id, created_at FROM freezer_api_backup_series WHERE series_id = 's' ORDER BY created_at DESC, backup_id DESC LIMIT 11", "ix_freezer_api_backup_series_series"),
            ("SELECT id FROM backups WHERE created_at >= '2023-11-14' AND deleted = FALSE ORDER BY created_at, id LIMIT 500", "ix_backups_created"),
        ] {
            let plan = explain(&database, statement, &[]).await;
            assert!(plan.contains(index), "{statement}: {plan}");
            assert!(!plan.contains("filesort") && !plan.contains("TEMP B-TREE"), "{statement}: {plan}");
        }
    }
}
