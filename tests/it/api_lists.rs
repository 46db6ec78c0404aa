//! Lists: pages, order, parameters, and rows that nobody should have written.

use axum::body::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::api::KINDS;
use crate::support::{Answer, Database, PROJECT, Service, rows};

/// Makes the `number`th document of a kind, which is named after its number; its id.
async fn make(service: &Service, project: &str, kind: &str, number: usize) -> String {
    let name = format!("n{number}");
    let (body, id) = match kind {
        "clients" => {
            let uuid = format!("{:08x}-{project}", number.wrapping_mul(0x9E37_79B9) as u32);
            let body = json!({"client_id": name, "description": name, "uuid": uuid});
            service
                .post(&format!("/v2/{project}/clients"), body)
                .await
                .expect(201);
            return uuid;
        }
        "actions" => (
            json!({"freezer_action": {"action": "backup", "backup_name": name}}),
            "action_id",
        ),
        "jobs" => (
            json!({"client_id": "central", "job_actions": [], "description": name}),
            "job_id",
        ),
        "sessions" => (json!({"schedule": {}, "description": name}), "session_id"),
        _ => (
            json!({"backup_name": name, "container": "c", "hostname": "h"}),
            "backup_id",
        ),
    };
    service
        .created(&format!("/v2/{project}/{kind}"), body, id)
        .await
}

/// A service on which jobs can be made in any project, by a client of a project of its own.
async fn start(database: &Database) -> Service {
    let service = Service::start(database).await;
    let central = json!({"client_id": "central", "is_central": true, "uuid": "central"});
    service
        .post("/v2/operators/clients", central)
        .await
        .expect(201);
    service.clock.advance(1);
    service
}

/// The ids in a list, without the client that jobs run on.
fn ids(list: &Value, (kind, id): (&str, &str)) -> Vec<String> {
    let documents = list[kind].as_array().unwrap_or_else(|| panic!("{list}"));
    let id = |document: &Value| {
        let document = if kind == "clients" {
            &document["client"]
        } else {
            document
        };
        document[id].as_str().unwrap().to_owned()
    };
    documents
        .iter()
        .map(id)
        .filter(|id| id != "central")
        .collect()
}

async fn listed(service: &Service, (kind, id): (&str, &str), query: &str) -> Vec<String> {
    ids(
        &service
            .get(&format!("{kind}{query}"))
            .await
            .expect(200)
            .json(),
        (kind, id),
    )
}

/// The path and query of an address.
fn below_host(address: &Value) -> String {
    let (_, below) = address.as_str().unwrap().split_once("/v2/").unwrap();
    format!("/v2/{below}")
}

/// A search that every document passes.
fn everything() -> Value {
    json!({"match_not": [{"user_id": "nobody"}]})
}

on_each_engine! {
    async fn lists_are_pages_in_order_of_creation(database: Database) {
        let service = start(&database).await;
        for kind in KINDS {
            assert_eq!(listed(&service, kind, "").await, Vec::<String>::new());
            let mut made = Vec::new();
            for number in 0..23 {
                made.push(make(&service, PROJECT, kind.0, number).await);
                service.clock.advance(1);
            }
            // The client that jobs run on was registered before all others.
            let first = usize::from(kind.0 == "clients");
            let page = |offset: usize, limit: usize| {
                let documents = made.iter().skip(offset.saturating_sub(first));
                documents.take(limit - first * usize::from(offset == 0)).cloned().collect::<Vec<_>>()
            };
            for (query, offset, limit) in [
                ("", 0, 10),
                ("?limit=10", 0, 10),
                ("?limit=0", 0, 10),
                ("?limit=", 0, 10),
                ("?limit", 0, 10),
                ("?limit=00003&offset=007", 7, 3),
                ("?limit=5", 0, 5),
                ("?offset=20", 20, 10),
                ("?offset=24", 24, 10),
                ("?offset=", 0, 10),
                ("?offset=5&limit=1000", 5, 1000),
                ("?limit=1001", 0, 1000),
                ("?limit=18446744073709551615", 0, 1000),
                ("?offset=18446744073709551615", 1000, 10),
                ("?offset=9223372036854775808&limit=9223372036854775807", 1000, 10),
                ("?limit=5&limit=2", 0, 2),
                ("?limit=5,2", 0, 2),
                ("?limit=5,2&offset=1&limit=3,4", 1, 4),
                ("?%6cimit=%35", 0, 5),
                ("?unknown=-1&limit=2&fields=x", 0, 2),
                ("?limit=2&", 0, 2),
            ] {
                assert_eq!(listed(&service, kind, query).await, page(offset, limit), "{kind:?} {query}");
                let searched = service.search(&format!("{}{query}", kind.0), everything()).await.expect(200);
                assert_eq!(ids(&searched.json(), kind), page(offset, limit), "{kind:?} {query} with a search");
            }
        }
    }

    async fn links_lead_through_a_list_in_either_order(database: Database) {
        let service = start(&database).await;
        for kind in KINDS {
            let mut made = Vec::new();
            for number in 0..13 {
                made.push(make(&service, PROJECT, kind.0, number).await);
                service.clock.advance(i64::from(number % 3 == 0));
            }
            let mut expected = listed(&service, kind, "?limit=1000").await;
            assert_eq!(expected.len(), 13);
            for (query, is_searched) in
                [("sort=created_at", false), ("sort_dir=desc", false), ("sort=created_at:desc", true)]
            {
                if query.ends_with("desc") && !is_searched {
                    expected.reverse();
                }
                let mut found = Vec::new();
                let mut path = format!("{}?limit=4&{query}&offset=0", kind.0);
                for page in 0.. {
                    let answer = if is_searched {
                        service.search(&path, everything()).await
                    } else {
                        service.get(&path).await
                    };
                    let list = answer.expect(200).json();
                    found.extend(ids(&list, kind));
                    let Some(links) = list.get(format!("{}_links", kind.0)) else {
                        assert!(page >= 3, "{list}");
                        break;
                    };
                    assert_eq!(links[0]["rel"], "next");
                    path = below_host(&links[0]["href"]);
                }
                assert_eq!(found, expected, "{kind:?} {query}");
            }
        }
    }

    async fn pages_hold_still_while_rows_come_and_go(database: Database) {
        let service = start(&database).await;
        for kind in &KINDS[1..] {
            let mut made = Vec::new();
            for number in 0..6 {
                made.push(make(&service, PROJECT, kind.0, number).await);
                service.clock.advance(1);
            }
            // The document behind which a page begins may be deleted, and new ones come.
            service.delete(&format!("{}/{}", kind.0, made[1])).await.expect(204);
            service.delete(&format!("{}/{}", kind.0, made[4])).await.expect(204);
            made.push(make(&service, PROJECT, kind.0, 6).await);
            for (marker, order, expected) in [
                (1, "asc", &[2, 3, 5, 6][..]),
                (4, "asc", &[5, 6]),
                (4, "desc", &[3, 2, 0]),
                (6, "asc", &[]),
                (0, "desc", &[]),
            ] {
                let page = listed(&service, *kind, &format!("?marker={}&sort_dir={order}", made[marker])).await;
                let expected: Vec<&String> = expected.iter().map(|number| &made[*number]).collect();
                assert_eq!(page.iter().collect::<Vec<_>>(), expected, "{kind:?} {marker} {order}");
            }
            let beyond = listed(&service, *kind, &format!("?marker={}&offset=2&limit=1", made[0])).await;
            assert_eq!(beyond, [made[5].clone()]);
        }
    }

    async fn callers_that_follow_no_links_get_none(database: Database) {
        let service = start(&database).await;
        for kind in KINDS {
            for number in 0..3 {
                make(&service, PROJECT, kind.0, number).await;
            }
            for query in ["?limit=2", "?limit=2&offset=1", "?limit=2&marker=&sort="] {
                let list = service.get(&format!("{}{query}", kind.0)).await.expect(200).json();
                assert_eq!(list.as_object().unwrap().len(), 1, "{list}");
            }
        }
    }

    async fn unknown_markers_and_orders_are_refused(database: Database) {
        let service = start(&database).await;
        for kind in KINDS {
            let foreign = make(&service, "p2", kind.0, 7).await;
            for query in [
                "marker=unknown", &format!("marker={foreign}"), "marker=%00", "marker=%FF", "marker=%F0%9F%98%80", "marker=%20",
                "sort=user_id", "sort=created_at:up", "sort=:up", "sort_key=id", "sort_dir=down", "sort=created_at:desc:x",
            ] {
                let path = format!("{}?{query}", kind.0);
                let description = service.get(&path).await.refused(400, "Invalid parameter");
                let (name, _) = query.split_once('=').unwrap();
                assert!(description.contains(name.split('_').next().unwrap()), "{query}: {description}");
            }
        }
    }

    async fn numbers_are_plain_decimals(database: Database) {
        let service = start(&database).await;
        for (kind, _) in KINDS {
            for name in ["limit", "offset"] {
                for value in [
                    "-1", "-0", "%2B5", "+5", "1_000", "%D9%A3", "x", "5.0", "1e3", "0x10", "%20", "5%20", "%00",
                    "18446744073709551616", "99999999999999999999999999", "5,x", "%FF", "NaN", "null", "[]",
                ] {
                    for body in ["", r#"{"match": [{"user_id": "dev"}]}"#] {
                        let answer = service.raw("GET", &format!("{kind}?{name}={value}"), body).await;
                        let description = answer.refused(400, "Invalid parameter");
                        assert!(
                            description.starts_with(&format!("The \"{name}\" parameter is invalid. The value must be an integer")),
                            "{description}"
                        );
                    }
                }
            }
            // Parameters concern lists alone, and are looked at before the body.
            service.get(&format!("{kind}/none?limit=-1")).await.refused(404, "Not Found");
            service.raw("GET", &format!("{kind}?limit=-1"), "{bad").await.refused(400, "Invalid parameter");
            service.raw("POST", &format!("{kind}?limit=-1"), "{bad").await.refused(400, "Malformed JSON");
        }
    }

    async fn the_longest_list_is_an_option(database: Database) {
        let service = Service::with(&database, |config| config.api.max_limit = 3).await;
        for number in 0..5 {
            service.client(&format!("c{number}")).await;
        }
        for (query, length) in [("", 3), ("?limit=2", 2), ("?limit=1000", 3), ("?limit=4&offset=4", 1)] {
            let list = service.get(&format!("clients{query}")).await.expect(200).json();
            assert_eq!(list["clients"].as_array().unwrap().len(), length, "{query}");
            let list = service.search(&format!("clients{query}"), everything()).await.expect(200).json();
            assert_eq!(list["clients"].as_array().unwrap().len(), length, "{query}");
        }
    }

    async fn pages_do_not_shift_while_documents_are_added(database: Database) {
        let service = start(&database).await;
        for kind in KINDS {
            let mut made = Vec::new();
            for number in 0..12 {
                made.push(make(&service, PROJECT, kind.0, number).await);
                service.clock.advance(1);
            }
            for search in [None, Some(everything())] {
                let mut seen = Vec::new();
                for page in 0..4 {
                    let path = format!("{}?limit=3&offset={}", kind.0, page * 3 + usize::from(kind.0 == "clients"));
                    let body = search.as_ref().map_or(String::new(), Value::to_string);
                    let list = service.raw("GET", &path, body).await.expect(200).json();
                    seen.extend(ids(&list, kind));
                    make(&service, PROJECT, kind.0, 100 + page + 10 * usize::from(search.is_some())).await;
                    service.clock.advance(1);
                }
                assert_eq!(seen, made, "{kind:?}");
            }
        }
    }

    // Within one second the id decides, and rows without a time come first.
    async fn the_id_decides_where_times_are_equal(database: Database) {
        let service = Service::start(&database).await;
        let mut expected = Vec::new();
        for (time, label) in [(None, "none"), (Some("2020-01-01 00:00:00"), "early"), (Some("2021-01-01 00:00:00"), "late")] {
            let mut values = Vec::new();
            for number in 0..150 {
                let id = format!("{label}{number:03}");
                let time = time.map_or("NULL".to_owned(), |time| format!("'{time}.000000'"));
                values.push(format!("('{id}', 'p1', 'u', 'available', '{{}}', FALSE, {time})"));
                expected.push(id);
            }
            values.reverse();
            let columns = "id, project_id, user_id, status, backup_metadata, deleted, created_at";
            rows::execute_all(&database, [format!("INSERT INTO backups ({columns}) VALUES {}", values.join(", "))]).await;
        }
        let kind = ("backups", "backup_id");
        assert_eq!(listed(&service, kind, "?limit=1000").await, expected);
        assert_eq!(listed(&service, kind, "?limit=7&offset=147").await, expected[147..154]);
        let all = service.search("backups?limit=1000", everything()).await.expect(200).json();
        assert_eq!(ids(&all, kind), expected);
        // Newest first, pages go on from rows with a time to those without, whatever the offset, searched or not.
        let newest: Vec<String> = expected.iter().rev().cloned().collect();
        for (marker, limit, offset) in
            [(100, 7, 0), (146, 3, 0), (297, 7, 0), (299, 7, 0), (310, 7, 0), (290, 7, 20), (146, 1000, 0), (449, 7, 0)]
        {
            let query = format!("?sort_dir=desc&limit={limit}&offset={offset}&marker={}", newest[marker]);
            let from = marker + 1 + offset;
            let expected = &newest[from..(from + limit).min(newest.len())];
            assert_eq!(listed(&service, kind, &query).await, expected, "{query}");
            let searched = service.search(&format!("backups{query}"), everything()).await.expect(200).json();
            assert_eq!(ids(&searched, kind), expected, "{query} with a search");
        }
        // Hits in the last of several batches.
        for id in ["none149", "early001", "late149"] {
            let found = service.search("backups", json!({"match": [{"backup_id": id}]})).await.expect(200).json();
            assert_eq!(ids(&found, kind), [id]);
        }
        let found = service.search("backups?limit=3&offset=445", everything()).await.expect(200).json();
        assert_eq!(ids(&found, kind), expected[445..448]);
    }

    // Deviation D16.
    async fn jobs_of_all_projects_are_listed_when_asked_for(database: Database) {
        let service = start(&database).await;
        let kind = ("jobs", "job_id");
        let mut all = Vec::new();
        for project in ["p1", "p2", "p3"] {
            all.push(make(&service, project, "jobs", 0).await);
            service.clock.advance(1);
        }
        for value in ["true", "True", "t", "yes", "y", "1", "on", "no,yes"] {
            assert_eq!(listed(&service, kind, &format!("?all_projects={value}")).await, all, "{value}");
        }
        let query = "?all_projects=true&limit=1&offset=1";
        assert_eq!(listed(&service, kind, query).await, all[1..2]);
        let found = service.search("jobs?all_projects=1", json!({"match": [{"project_id": "p3"}]})).await.expect(200).json();
        assert_eq!(ids(&found, kind), all[2..]);
        for query in ["", "?all_projects=", "?all_projects"] {
            assert_eq!(listed(&service, kind, query).await, all[..1], "{query}");
        }
        for value in ["false", "False", "f", "no", "n", "0", "off"] {
            assert_eq!(listed(&service, kind, &format!("?all_projects={value}")).await, all[..1], "{value}");
        }
        for value in ["TRUE", "FALSE", "2", "x", "%20", "tru", "%FF"] {
            let answer = service.get(&format!("jobs?all_projects={value}")).await;
            assert!(answer.refused(400, "Invalid parameter").contains("\"all_projects\""));
        }
        // Other lists do not know it.
        for (kind, _) in KINDS.into_iter().filter(|(kind, _)| *kind != "jobs") {
            service.get(&format!("{kind}?all_projects=x")).await.expect(200);
        }
        // One job is shown to an administrator in whatever project it is.
        service.get(&format!("/v2/p1/jobs/{}", all[2])).await.expect(200);
        for write in [("PATCH", "{}"), ("POST", r#"{"client_id": "central", "job_actions": []}"#)] {
            let answer = service.raw(write.0, &format!("/v2/p1/jobs/{}", all[2]), write.1).await;
            assert!(matches!(answer.status, 404 | 409), "{answer:?}");
        }
    }
}

/// What a JSON column can hold that is no JSON, or none that is read easily.
fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "NaN",
        "{",
        "{broken",
        r#"{"status": "completed"} trailing"#,
        r#"{"status": NaN, "event": [-Infinity, Infinity]}"#,
        r#"{"schedule_month": "\ud800"}"#,
        r#"{"\udc00": 1, "schedule_day": "\ud83d\ude00 \udc00\ud800"}"#,
        r#"{"n": 123456789012345678901234567890, "x": -1e300}"#,
        "[1]",
        "5",
        "null",
        "\"text\"",
        r#"{"status": ["completed"], "current_pid": "\ud800"}"#,
        r#"{"status": "completed", "status": "running"}"#,
        "{\"a\": \"\u{1}\"}",
        "None",
        "{'status': 'completed'}",
    ]
    .map(str::to_owned)
    .to_vec();
    // Deeper than a request may be, as deep as the reference takes, and deeper than any program should go.
    for levels in [150, 300, 5000] {
        texts.push(format!(
            "{{\"deep\": {}{}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        ));
    }
    texts
}

/// A body as JSON, however deep.
fn parse(answer: &Answer) -> Value {
    let mut deserializer = serde_json::Deserializer::from_slice(&answer.body);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer)
        .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// How many documents a list has.
fn count(answer: Answer, kind: &str) -> usize {
    parse(&answer.expect(200))[kind].as_array().unwrap().len()
}

on_each_engine! {
    async fn no_row_breaks_a_list(database: Database) {
        let service = Service::start(&database).await;
        let texts = odd_texts();
        for (number, text) in texts.iter().enumerate() {
            let id = format!("odd{number}");
            let short: String = text.chars().take(255).collect();
            for (statement, texts) in [
                ("INSERT INTO jobs (id, project_id, user_id, client_id, schedule, deleted) VALUES (?, 'p1', 'u', 'c', ?, FALSE)", vec![&id, text]),
                ("INSERT INTO actions (id, project_id, user_id, action, backup_metadata, deleted) VALUES (?, 'p1', 'u', 'backup', ?, FALSE)", vec![&id, text]),
                ("INSERT INTO job_actions (id, job_id, action_id, deleted) VALUES (?, ?, ?, FALSE)", vec![&id, &id, &id]),
                ("INSERT INTO sessions (id, project_id, user_id, schedule, job, deleted) VALUES (?, 'p1', 'u', ?, ?, FALSE)", vec![&id, text, text]),
                ("INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted) VALUES (?, 'p1', 'u', 'available', ?, FALSE)", vec![&id, text]),
                (
                    "INSERT INTO clients (id, uuid, project_id, user_id, client_id, is_central, supported_actions, \
                     supported_modes, supported_storages, supported_engines, deleted) \
                     VALUES (?, ?, 'p1', 'u', ?, FALSE, ?, ?, ?, ?, FALSE)",
                    vec![&id, &id, &id, &short, &short, &short, &short],
                ),
            ] {
                let texts: Vec<&str> = texts.into_iter().map(String::as_str).collect();
                rows::execute(&database, statement, &texts).await;
            }
        }
        for statement in [
            "INSERT INTO jobs (id, project_id, user_id, client_id, deleted) VALUES ('null', 'p1', 'u', 'c', FALSE)",
            "INSERT INTO actions (id, project_id, user_id, action, deleted) VALUES ('null', 'p1', 'u', '', FALSE)",
            "INSERT INTO sessions (id, project_id, user_id, deleted) VALUES ('null', 'p1', 'u', FALSE)",
            "INSERT INTO backups (id, project_id, user_id, deleted) VALUES ('null', 'p1', 'u', FALSE)",
            "INSERT INTO clients (id, uuid, project_id, user_id, client_id, deleted) VALUES ('null', 'null', 'p1', 'u', 'null', FALSE)",
        ] {
            rows::execute(&database, statement, &[]).await;
        }
        let total = texts.len() + 1;
        for (kind, id) in KINDS {
            assert_eq!(count(service.get(&format!("{kind}?limit=1000")).await, kind), total, "{kind}");
            let path = format!("{kind}?limit=1000");
            let search = |body: Value| service.search(&path, body);
            assert_eq!(count(search(everything()).await, kind), total, "{kind}");
            assert_eq!(count(search(json!({"match": [{"project_id": "p1"}]})).await, kind), total, "{kind}");
            assert_eq!(count(search(json!({"match": [{"nowhere": null}]})).await, kind), total, "{kind}");
            for body in [
                json!({"match_not": [{"status": "completed"}]}),
                json!({"match": [{"status": "completed"}]}),
                json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]}),
                json!({"match": [{"deep": []}]}),
                json!({"match": [{"status": null, "n": 1.5}]}),
            ] {
                search(body).await.expect(200);
            }
            let mut ids: Vec<String> = (0..texts.len()).map(|number| format!("odd{number}")).collect();
            ids.push("null".to_owned());
            for name in &ids {
                let answer = service.get(&format!("{kind}/{name}")).await.expect(200);
                assert!(answer.text().contains(&format!("\"{id}\":\"{name}\"")), "{}", answer.text());
                for (method, path, body) in [
                    ("PATCH", format!("{kind}/{name}"), json!({"status": "error", "backup_metadata": {"a": 1}})),
                    ("PATCH", format!("{kind}/{name}"), json!({"freezer_action": {"x": 1}})),
                    ("PATCH", format!("{kind}/{name}"), json!({"description": "d"})),
                    ("PATCH", format!("{kind}/{name}"), json!({"jobs": {"j": {"status": "running"}}})),
                    ("POST", format!("{kind}/{name}/event"), json!({"start": null})),
                    ("POST", format!("{kind}/{name}/action"), json!({"start": {"job_id": name, "current_tag": 0}})),
                    ("POST", format!("{kind}/{name}/action"), json!({"end": {"job_id": name, "result": "fail"}})),
                    ("PUT", format!("{kind}/{name}/jobs/{name}"), json!({})),
                    ("DELETE", format!("{kind}/{name}/jobs/{name}"), json!({})),
                ] {
                    let answer = service.raw(method, &path, body.to_string()).await;
                    assert!(answer.status < 500, "{method} {path} {body}: {answer:?}");
                }
            }
        }
        let answer = service.raw("GET", "/v2/p2/jobs?all_projects=true&limit=1000", Body::empty()).await;
        assert_eq!(count(answer, "jobs"), total);
    }

    // The reference nests deeper than we let a request do; such documents are searched and merged like others.
    async fn deep_documents_of_the_reference_are_read(database: Database) {
        let service = Service::start(&database).await;
        let deep = format!(r#"{{"backup_name": "b", "deep": {}{}}}"#, "[".repeat(300), "]".repeat(300));
        let statement = "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted) VALUES ('b', 'p1', 'u', 'available', ?, FALSE)";
        rows::execute(&database, statement, &[&deep]).await;
        let found = service.search("backups", json!({"match": [{"backup_name": "b"}]})).await;
        assert_eq!(count(found, "backups"), 1);
        service.patch("backups/b", json!({"backup_metadata": {"level": 1}})).await.expect(200);
        let backup = parse(&service.get("backups/b").await.expect(200));
        assert_eq!(backup["backup_metadata"]["level"], 1);
        assert!(backup["backup_metadata"]["deep"].to_string().starts_with(&"[".repeat(300)));
    }
}
