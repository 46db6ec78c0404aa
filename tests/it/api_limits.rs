//! What the store takes: widths, integers, large documents, any character; and what it must never get.

use serde_json::{Map, Value, json};

use crate::support::{Answer, Service, api::contains};

/// A character beyond the Basic Multilingual Plane that is a letter, and one that is none.
const LETTER: &str = "\u{10400}";
const EMOJI: &str = "\u{1f5c4}";

/// Sets a member at a path (`freezer_action.mode`) of a document.
fn with(document: &Value, path: &str, value: Value) -> Value {
    let mut changed = document.clone();
    let mut place = &mut changed;
    for key in path.split('.') {
        place = &mut place[key];
    }
    *place = value;
    changed
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap()
}

/// A document of each kind: where it is posted, the name of its id, and the least that it says.
fn kinds() -> [(&'static str, &'static str, Value); 5] {
    [
        (
            "clients",
            "client_id",
            json!({"client_id": "d", "hostname": "h", "uuid": null}),
        ),
        (
            "actions",
            "action_id",
            json!({"freezer_action": {"action": "backup"}}),
        ),
        (
            "jobs",
            "job_id",
            json!({"client_id": "c", "job_actions": [], "job_schedule": {}}),
        ),
        (
            "sessions",
            "session_id",
            json!({"schedule": {}, "session_tag": 0}),
        ),
        (
            "backups",
            "backup_id",
            json!({"backup_name": "b", "container": "c", "hostname": "h"}),
        ),
    ]
}

fn least(kind: &str) -> Value {
    let (_, _, mut document) = kinds()
        .into_iter()
        .find(|(name, _, _)| *name == kind)
        .unwrap();
    document.as_object_mut().unwrap().remove("uuid");
    document
}

/// The names of documents in answers differ from those in requests here and there.
fn shown(kind: &str, document: &Value) -> Value {
    match kind {
        "clients" => document["client"].clone(),
        "backups" => document["backup_metadata"].clone(),
        _ => document.clone(),
    }
}

/// Creates a document and gives back what GET shows of it.
async fn stored(service: &Service, kind: &str, document: &Value) -> Value {
    let (_, id, _) = kinds()
        .into_iter()
        .find(|(name, _, _)| *name == kind)
        .unwrap();
    let id = service.created(kind, document.clone(), id).await;
    let id: String =
        percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC).collect();
    let path = format!("{kind}/{id}");
    let answer = service.get(&path).await.expect(200).json();
    service.delete(&path).await.expect(204);
    shown(kind, &answer)
}

/// What a malformed body must be answered with.
#[track_caller]
fn is_malformed(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    let description = answer.refused(400, "Malformed JSON");
    assert!(description.contains("line"), "{what}: {description}");
}

on_each_engine! {
    async fn texts_have_the_width_of_their_columns(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        for (kind, path, width, letters_only) in [
            ("clients", "description", 255, false),
            ("clients", "uuid", 36, false),
            ("actions", "freezer_action.action", 255, false),
            ("actions", "freezer_action.mode", 255, false),
            ("actions", "freezer_action.path_to_backup", 255, false),
            ("actions", "freezer_action.backup_name", 255, false),
            ("actions", "freezer_action.container", 255, false),
            ("actions", "freezer_action.log_file", 255, false),
            ("actions", "action_id", 36, true),
            ("jobs", "description", 255, false),
            ("jobs", "job_id", 36, true),
            ("jobs", "session_id", 36, true),
            ("sessions", "description", 255, false),
            ("sessions", "result", 255, false),
            ("backups", "job_id", 36, false),
        ] {
            let least = least(kind);
            let character = if letters_only { LETTER } else { EMOJI };
            let text = character.repeat(width);
            let document = with(&least, path, json!(text));
            let answer = stored(&service, kind, &document).await;
            assert!(contains(&answer, &with(&json!({}), path, json!(text))), "{kind} {path}: {answer}");
            let long = with(&least, path, json!(character.repeat(width + 1)));
            service.refuses(&[("POST", kind, long, 400, last(path))]).await;
            let ascii = with(&least, path, json!("x".repeat(width + 1)));
            service.refuses(&[("POST", kind, ascii, 400, last(path))]).await;
            // PostgreSQL has no NUL in texts, so nobody has it; other control characters pass.
            let nul = with(&least, path, json!("a\u{0}b"));
            service.refuses(&[("POST", kind, nul, 400, last(path))]).await;
            if !letters_only {
                let text = "a\u{1}\t\n\r\u{7f}\u{85}\u{2028}\u{feff}\u{fffe} ";
                let answer = stored(&service, kind, &with(&least, path, json!(text))).await;
                assert!(contains(&answer, &with(&json!({}), path, json!(text))), "{kind} {path}: {answer}");
            }
        }
        // A host name has a label in it somewhere.
        let hostname = format!("h{}", EMOJI.repeat(254));
        let document = json!({"client_id": "d", "hostname": hostname});
        assert_eq!(stored(&service, "clients", &document).await["hostname"], hostname);
        let labels = vec!["x".repeat(63); 4].join(".");
        let name = format!("{LETTER}_{}", &labels[..253]);
        assert_eq!(stored(&service, "clients", &json!({"client_id": name})).await["client_id"], name);
        let session = service.session().await;
        let (session, job) = (format!("sessions/{session}"), service.job("c").await);
        let id = EMOJI.repeat(37);
        service.refuses(&[
            ("POST", "clients", json!({"client_id": "d", "hostname": format!("h{hostname}")}), 400, "hostname"),
            ("POST", "clients", json!({"client_id": "d", "hostname": "h\u{0}"}), 400, "hostname"),
            ("POST", "clients", json!({"client_id": format!("x{LETTER}_{}", &labels[..253])}), 400, "client_id"),
            ("POST", "clients", json!({"client_id": "d", "supported_modes": vec!["fs"; 60]}), 400, "supported_modes"),
            ("POST", "jobs", json!({"client_id": format!("{labels}.x"), "job_actions": []}), 400, "client_id"),
            ("POST", &format!("actions/{id}"), least("actions"), 400, "action_id"),
            ("POST", &format!("jobs/{}", "x".repeat(37)), least("jobs"), 400, "job_id"),
            ("POST", &format!("sessions/{}", "x".repeat(37)), least("sessions"), 400, "session_id"),
            ("POST", &session, with(&least("sessions"), "status", json!("x".repeat(256))), 400, "status"),
            ("PATCH", &session, json!({"status": "x".repeat(256)}), 400, "status"),
            ("PATCH", &session, json!({"result": "x".repeat(256)}), 400, "result"),
            ("PATCH", &session, json!({"description": "x\u{0}"}), 400, "description"),
            ("PATCH", &format!("jobs/{job}"), json!({"description": "x".repeat(256)}), 400, "description"),
            ("PATCH", &format!("jobs/{job}"), json!({"session_id": "x".repeat(37)}), 400, "session_id"),
            ("POST", &format!("/v2/{}/sessions", "x".repeat(37)), least("sessions"), 400, "project_id"),
            ("GET", "jobs/a%00", json!({}), 400, "job_id"),
            ("PUT", &format!("{session}/jobs/%00"), json!({}), 400, "job_id"),
        ]).await;
        let status = EMOJI.repeat(255);
        service.patch(&session, json!({"status": status, "result": status})).await.expect(200);
        service.get(&session).await.expect(200).shows(&json!({"status": status, "result": status}));
        let project = LETTER.repeat(36);
        let path = format!("/v2/{}/sessions", "%F0%90%90%80".repeat(36));
        service.post(&path, least("sessions")).await.expect(201);
        service.get(&path).await.expect(200).shows(&json!({"sessions": [{"project_id": project}]}));
        // What no id can be is the id of nothing.
        for path in ["actions", "jobs", "sessions", "backups", "clients"].map(|kind| format!("{kind}/{}%20%F0%9F%97%84", "y".repeat(300))) {
            service.get(&path).await.refused(404, "Not Found");
        }
    }

    async fn integers_have_32_bits(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let (edges, beyond) = ([i64::from(i32::MIN), i64::from(i32::MAX)], [i64::from(i32::MIN) - 1, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN]);
        for (kind, path) in [
            ("actions", "freezer_action.timeout"), ("actions", "freezer_action.priority"), ("actions", "max_retries"),
            ("actions", "max_retries_interval"), ("jobs", "session_tag"), ("sessions", "session_tag"), ("sessions", "hold_off"),
            ("sessions", "time_start"), ("sessions", "time_end"), ("sessions", "time_started"), ("sessions", "time_ended"),
        ] {
            let least = least(kind);
            for edge in edges {
                let answer = stored(&service, kind, &with(&least, path, json!(edge))).await;
                assert!(contains(&answer, &with(&json!({}), path, json!(edge))), "{kind} {path}: {answer}");
            }
            for value in beyond.map(Value::from).into_iter().chain([json!(u64::MAX), json!(1e10), json!("5"), json!(true), json!([1])]) {
                service.refuses(&[("POST", kind, with(&least, path, value), 400, last(path))]).await;
            }
        }
        let entry = |retries: i64| json!({"client_id": "c", "job_actions": [{"freezer_action": {"action": "exec"}, "max_retries": retries}]});
        for edge in edges {
            let answer = stored(&service, "jobs", &entry(edge)).await;
            assert_eq!(answer["job_actions"][0]["max_retries"], edge);
        }
        for value in beyond {
            service.refuses(&[("POST", "jobs", entry(value), 400, "max_retries")]).await;
        }
        // Those inside a schedule have no column.
        for value in [json!(u64::MAX), json!(i64::MIN)] {
            let document = with(&least("jobs"), "job_schedule", json!({"current_pid": value}));
            assert_eq!(stored(&service, "jobs", &document).await["job_schedule"]["current_pid"], value);
        }
    }

    async fn large_documents_come_back_whole(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        // About 600 kB each; in the reference's spelling, with escapes, several times that.
        let text = "a\u{1f600}ü\"\\\u{0}\n".repeat(50_000);
        let numbers: Vec<Value> = (0..40_000).map(|number| json!(f64::from(number) / 7.0)).collect();
        let members: Map<String, Value> = (0..20_000).map(|number| (format!("{EMOJI}{number}"), json!({"n": [null, {}]}))).collect();
        for content in [json!(text), json!(numbers), Value::Object(members)] {
            let size = content.to_string().len();
            assert!((400_000..1_000_000).contains(&size), "{size}");
            for (kind, path) in [("backups", "deep"), ("actions", "freezer_action.deep")] {
                let document = with(&least(kind), path, content.clone());
                let answer = stored(&service, kind, &document).await;
                assert!(contains(&answer, &with(&json!({}), path, content.clone())), "{kind}");
            }
        }
        let schedule = json!({"schedule_month": text, "status": "running"});
        let job = service.created("jobs", json!({"client_id": "c", "job_actions": []}), "job_id").await;
        service.patch(&format!("jobs/{job}"), json!({"job_schedule": schedule})).await.expect(200);
        let session = service.created("sessions", json!({"schedule": schedule}), "session_id").await;
        service.put(&format!("sessions/{session}/jobs/{job}")).await.expect(204);
        let entry = json!({"note": text});
        service.patch(&format!("sessions/{session}"), json!({"jobs": {"other": entry}})).await.expect(200);
        service.post(&format!("sessions/{session}/action"), json!({"end": {"job_id": "other", "result": text}})).await.expect(202);
        let answer = service.get(&format!("sessions/{session}")).await.expect(200).json();
        assert!(contains(&answer, &json!({"schedule": schedule, "jobs": {"other": {"note": text, "result": text}}})));
        service.post(&format!("jobs/{job}/event"), json!({"stop": null})).await.expect(202);
        let answer = service.get(&format!("jobs/{job}")).await.expect(200).json();
        assert_eq!(answer["job_schedule"]["schedule_month"], json!(text));
        // Lists and searches have them too.
        let backup = with(&least("backups"), "deep", json!(text));
        let id = service.created("backups", backup.clone(), "backup_id").await;
        for search in [json!({}), json!({"match": [{"backup_name": "b"}]}), json!({"match_not": [{"deep": "x"}]})] {
            let found = service.search("backups", search).await.expect(200).json();
            assert_eq!(found["backups"][0]["backup_metadata"], backup);
        }
        // A patch that makes it twice as large.
        let patch = json!({"backup_metadata": {"deeper": text}});
        let answer = service.patch(&format!("backups/{id}"), patch).await.expect(200).json();
        assert_eq!(answer["backup_metadata"]["deeper"], json!(text));
        assert_eq!(answer["backup_metadata"]["deep"], json!(text));
    }

    async fn documents_do_not_grow_for_ever(database: Database) {
        let service = Service::start(&database).await;
        for (kind, id, path) in [("backups", "backup_id", "backup_metadata"), ("actions", "action_id", "freezer_action")] {
            let id = service.created(kind, least(kind), id).await;
            let path_of_it = format!("{kind}/{id}");
            let grow = |number: usize| json!({path: {format!("part{number}"): "x".repeat(1_000_000)}});
            for number in 0..7 {
                service.patch(&path_of_it, grow(number)).await.expect(200);
            }
            let before = service.get(&path_of_it).await.expect(200).json();
            let refused = service.patch(&path_of_it, grow(7)).await;
            let description = refused.refused(413, "Request Entity Too Large");
            assert_eq!(description, "The document would become larger than 7340032 bytes");
            assert_eq!(service.get(&path_of_it).await.expect(200).json(), before);
        }
    }

    async fn poison_is_not_stored(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let session = service.session().await;
        let job = service.job("c").await;
        let tables = ["clients", "actions", "jobs", "job_actions", "sessions", "backups", "user_credentials"];
        let count = async || {
            let mut counts = Vec::new();
            for table in tables {
                counts.push(database.rows(table, "1 = 1").await);
            }
            counts
        };
        let before = count().await;
        let deep = format!("{}0{}", "[".repeat(128), "]".repeat(128));
        let poison: Vec<Vec<u8>> = [
            "NaN", "Infinity", "-Infinity", "1e400", "-1e400", r#""\ud800""#, r#""\udc00x""#, r#""\ud83d\ud83d""#, r#""\ude00\ud83d""#,
            "18446744073709551616", "-9223372036854775809", "99999999999999999999999999", &deep, "tru", "'x'", "01", "+1", ".5", "1.",
            "\"a\nb\"", "\"\\x\"", "",
        ].iter().map(|text| text.as_bytes().to_vec()).chain([b"\"\xff\"".to_vec(), b"\"\xed\xa0\x80\"".to_vec(), b"\"\xf0\x9f\"".to_vec()]).collect();
        let session_path = format!("sessions/{session}");
        let requests = [
            ("POST", "clients", r#"{"client_id": "x", "description": @}"#),
            ("POST", "actions", r#"{"freezer_action": {"action": "x", "a": @}}"#),
            ("POST", "actions/x", r#"{"freezer_action": {"action": "x", "a": @}}"#),
            ("POST", "jobs", r#"{"client_id": "c", "job_actions": [], "job_schedule": {"schedule_month": @}}"#),
            ("POST", "jobs", r#"{"client_id": "c", "job_actions": [{"freezer_action": {"action": "exec", "a": @}}]}"#),
            ("POST", "jobs/x", r#"{"client_id": "c", "job_actions": [], "job_schedule": {"schedule_month": @}}"#),
            ("PATCH", &format!("jobs/{job}"), r#"{"job_schedule": {"schedule_month": @}}"#),
            ("POST", &format!("jobs/{job}/event"), r#"{"start": @}"#),
            ("POST", "sessions", r#"{"schedule": {"schedule_month": @}}"#),
            ("POST", "sessions/x", r#"{"schedule": {}, "session_tag": 0, "jobs": {"x": {"a": @}}}"#),
            ("PATCH", &session_path, r#"{"jobs": {"x": {"a": @}}}"#),
            ("POST", &format!("{session_path}/action"), r#"{"end": {"job_id": "x", "result": @}}"#),
            ("POST", "backups", r#"{"backup_name": "b", "container": "c", "hostname": "h", "a": @}"#),
            ("POST", "backups", r#"{"backup_name": "b", "container": "c", "hostname": "h", @: 1}"#),
            ("GET", "backups", r#"{"match": [{"a": @}]}"#),
        ];
        for (method, path, template) in requests {
            let (head, tail) = template.split_once('@').unwrap();
            for value in &poison {
                let body = [head.as_bytes(), value, tail.as_bytes()].concat();
                let what = format!("{method} {path} {}", String::from_utf8_lossy(&body));
                is_malformed(&service.raw(method, path, body).await, &what);
            }
        }
        for body in ["\u{feff}{}", "{bad", "  ", "{}{}", "{} x", "{\"a\": 1,}", "// x\n{}"] {
            for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
                is_malformed(&service.raw("POST", kind, body).await, body);
                is_malformed(&service.raw("GET", kind, body).await, body);
            }
        }
        assert_eq!(count().await, before);
        service.get(&session_path).await.expect(200).shows(&json!({"schedule": {}}));
        // A name that comes twice has its last value.
        let body = r#"{"backup_name": "first", "container": "c", "hostname": "h", "backup_name": "last"}"#;
        let id = service.raw("POST", "backups", body).await.expect(201).json()["backup_id"].as_str().unwrap().to_owned();
        service.get(&format!("backups/{id}")).await.expect(200).shows(&json!({"backup_metadata": {"backup_name": "last"}}));
    }

    async fn what_goes_in_comes_out(database: Database) {
        let service = Service::start(&database).await;
        let deep = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
        for value in [
            json!(u64::MAX), json!(i64::MIN), json!(0.1), json!(1e308), json!(5e-324), json!(1.0), json!(123_456_789.123_456_79),
            json!(-0.0), json!("\u{0}\u{1}\u{7f}\u{d7ff}\u{e000}\u{ffff}\u{10ffff}\\\"/\u{2028}"), json!({"": {"\u{0}": ""}}), deep(122),
        ] {
            let sent = with(&least("backups"), "value", value.clone());
            let id = service.created("backups", sent.clone(), "backup_id").await;
            let document = service.get(&format!("backups/{id}")).await.expect(200).json();
            assert_eq!(document["backup_metadata"], sent);
            let found = service.search("backups", json!({"match": [{"value": value}]})).await.expect(200).json();
            assert_eq!(found["backups"], json!([document]), "{value}");
            let patched = service.patch(&format!("backups/{id}"), json!({"backup_metadata": {"more": 1}})).await.expect(200).json();
            assert_eq!(patched["backup_metadata"]["value"], value);
            service.delete(&format!("backups/{id}")).await.expect(204);
        }
    }

    async fn no_row_breaks_a_list(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let nested = format!("{{\"a\": {}{}}}", "[".repeat(300), "]".repeat(300));
        let texts = [
            nested.as_str(), r#"{"status": NaN, "a": "\ud800"}"#, "{broken", "", "[1]", "\"text\"", "null", "5", r#"{"status": {"status": Infinity}}"#,
            r#"{"backup_name": "\udc00", "client_id": -Infinity}"#, r#"{"a": 99999999999999999999999}"#,
        ].map(|text| format!("'{text}'")).into_iter().chain(["NULL".to_owned()]);
        let mut number = 0;
        for text in texts {
            number += 1;
            let row = format!("'x{number}', 'p1', 'u', FALSE");
            let short = if text.len() < 250 { text.as_str() } else { "NULL" };
            // As a database of the reference may hold them: hardly a column must be filled.
            for statement in [
                format!("INSERT INTO actions (id, project_id, user_id, deleted, action, backup_metadata) VALUES ({row}, 'exec', {text})"),
                format!("INSERT INTO jobs (id, project_id, user_id, deleted, client_id, schedule) VALUES ({row}, 'c', {text})"),
                format!("INSERT INTO job_actions (id, job_id, action_id, position, deleted) VALUES ('x{number}', 'x{number}', 'x{number}', 0, FALSE)"),
                format!("INSERT INTO sessions (id, project_id, user_id, deleted, schedule, job) VALUES ({row}, {text}, {text})"),
                format!("INSERT INTO backups (id, project_id, user_id, deleted, status, backup_metadata) VALUES ({row}, 'available', {text})"),
                format!("INSERT INTO clients (id, uuid, project_id, user_id, deleted, client_id, is_central, supported_actions, supported_modes) VALUES ('x{number}', {row}, 'd{number}', FALSE, {short}, {short})"),
            ] {
                database.run(statement).await;
            }
        }
        let searches = [
            json!({}), json!({"match": [{"user_id": "u"}]}), json!({"match_not": [{"status": "completed"}]}),
            json!({"match_not": [{"backup_name": "x"}, {"client_id": "none"}]}),
        ];
        for (kind, own) in [("actions", 0), ("jobs", 0), ("sessions", 0), ("backups", 0), ("clients", 1)] {
            for search in &searches {
                let found = service.search(&format!("{kind}?limit=100"), search.clone()).await.expect(200).json();
                let count = found[kind].as_array().unwrap().iter().filter(|item| item["user_id"] == "u").count();
                assert_eq!(count, number, "{kind} {search}: {found}");
            }
            for number in 1..=number {
                let id = if own == 1 { format!("d{number}") } else { format!("x{number}") };
                service.get(&format!("{kind}/{id}")).await.expect(200).json();
            }
        }
        // They can be changed, acted on and deleted like any other.
        for number in 1..=number {
            for (method, path, body, statuses) in [
                ("PATCH", format!("actions/x{number}"), json!({"freezer_action": {"new": 1}}), &[200][..]),
                ("PATCH", format!("backups/x{number}"), json!({"backup_metadata": {"new": 1}}), &[200]),
                ("PATCH", format!("sessions/x{number}"), json!({"jobs": {"j": {"status": "running"}}}), &[200]),
                ("POST", format!("sessions/x{number}/action"), json!({"end": {"job_id": "j", "result": "success"}}), &[202]),
                ("POST", format!("jobs/x{number}/event"), json!({"start": null}), &[202]),
                ("PUT", format!("sessions/x{number}/jobs/x{number}"), json!({}), &[204]),
                ("DELETE", format!("sessions/x{number}/jobs/x{number}"), json!({}), &[204]),
                ("POST", "jobs".to_owned(), json!({"client_id": format!("d{number}"), "job_actions": [{"action_id": format!("x{number}")}]}), &[201, 422]),
                ("DELETE", format!("jobs/x{number}"), json!({}), &[204]),
                ("DELETE", format!("actions/x{number}"), json!({}), &[204]),
                ("DELETE", format!("sessions/x{number}"), json!({}), &[204]),
                ("DELETE", format!("backups/x{number}"), json!({}), &[204]),
                ("DELETE", format!("clients/d{number}"), json!({}), &[204]),
            ] {
                let answer = service.raw(method, &path, body.to_string()).await;
                assert!(statuses.contains(&answer.status), "{method} {path} {}: {}", answer.status, answer.text());
            }
        }
    }
}
