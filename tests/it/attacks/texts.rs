//! Texts that mean something to SQL, JSON, shells or terminals, in every field and as every key of a search: they are stored
//! as they are, found by themselves alone, and nothing else happens.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::api::{KINDS, contains, request};
use crate::support::{Answer, Service};

/// Each stands for a language or an encoding that might be quoted wrongly on the way.
const TEXTS: [&str; 26] = [
    "' OR '1'='1",
    "'; DROP TABLE jobs; --",
    "\" OR \"\"=\"",
    "') UNION SELECT 1 --",
    "%",
    "_",
    "%\\_%",
    "\\",
    "\\' OR 1=1 #",
    "\\u0027",
    "`id`",
    "/*!50000 x */",
    "$1",
    "?",
    ":name",
    "E'\\x41'",
    "{}",
    "${jndi:x}",
    "\u{1f5c4}\u{10ffff}",
    "a\u{301}",
    "\u{202e}x",
    "null",
    "1e999",
    "<script>",
    "\r\nX: y",
    "\u{feff} \u{1}\u{1b}[2J",
];

/// A document of a kind with the text in every member that takes any text, and these members.
fn document(kind: &str, text: &str) -> (Value, Vec<&'static str>) {
    let schedule = json!({"schedule_month": text, "schedule_second": text});
    match kind {
        "clients" => (
            json!({"client_id": "c", "description": text, "uuid": text}),
            vec!["description", "uuid"],
        ),
        "actions" => {
            let mut action = json!({"mode": text, "path_to_backup": text, "backup_name": text, "container": text, "log_file": text, "free": text});
            action[text] = text.into();
            action["action"] = text.into();
            let members = vec![
                "action",
                "mode",
                "path_to_backup",
                "backup_name",
                "container",
                "log_file",
                "free",
            ];
            (json!({"freezer_action": action}), members)
        }
        "jobs" => {
            let job = json!({"client_id": "worker", "job_actions": [], "description": text, "job_schedule": schedule});
            (
                job,
                vec!["description", "schedule_month", "schedule_second"],
            )
        }
        "sessions" => {
            let session = json!({"schedule": schedule, "description": text, "result": text});
            (session, vec!["description", "schedule_month"])
        }
        _ => {
            let mut backup =
                json!({"container": text, "hostname": text, "free": {"deep": [{"er": text}]}});
            backup[text] = text.into();
            backup["backup_name"] = text.into();
            (backup, vec!["backup_name", "container", "hostname"])
        }
    }
}

/// The part of an answer that was in the request.
fn sent_part<'a>(kind: &str, answer: &'a Value) -> &'a Value {
    match kind {
        "clients" => &answer["client"],
        "backups" => &answer["backup_metadata"],
        _ => answer,
    }
}

fn found(kind: &str, answer: &Answer) -> usize {
    answer.json()[kind].as_array().unwrap().len()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Stores a document with the text, and looks for it among `others` that are the same with other texts.
async fn store_and_find(service: &Service, kind: &str, id: &str, text: &str, others: usize) {
    let (mut sent, members) = document(kind, text);
    if kind == "clients" {
        sent["client_id"] = json!(format!("c{others}"));
    }
    let answer = service.post(kind, sent.clone()).await;
    assert_eq!(answer.status, 201, "{kind} {text:?}: {}", answer.text());
    // What the service decides.
    if let Some(session) = sent.as_object_mut().filter(|_| kind == "sessions") {
        session.remove("result");
    }
    let named = answer.json();
    let name = named
        .get(id)
        .or_else(|| named.get("client_id"))
        .unwrap()
        .as_str()
        .unwrap();
    let stored = service
        .get(&format!("{kind}/{}", encoded(name)))
        .await
        .expect(200)
        .json();
    assert!(
        contains(sent_part(kind, &stored), &sent),
        "{kind} {text:?}: {stored}"
    );
    for member in members {
        let hit = service
            .search(
                &format!("{kind}?limit=100"),
                json!({"match": [{member: text}]}),
            )
            .await
            .expect(200);
        assert_eq!(
            found(kind, &hit),
            1,
            "{kind} {member} {text:?}: {}",
            hit.text()
        );
        let misses = service
            .search(
                &format!("{kind}?limit=100"),
                json!({"match_not": [{member: text}]}),
            )
            .await
            .expect(200);
        assert_eq!(found(kind, &misses), others, "{kind} {member} {text:?}");
    }
    let is_key = matches!(kind, "actions" | "backups");
    let by_key = service
        .search(kind, json!({"match": [{text: text}]}))
        .await
        .expect(200);
    assert_eq!(found(kind, &by_key), usize::from(is_key), "{kind} {text:?}");
}

/// Where else a text of the caller's can stand: paths, queries and headers.
async fn say_elsewhere(service: &Service, kind: &str, text: &str) {
    let id = encoded(text);
    for path in [
        format!("{kind}/{id}"),
        format!("/v2/{id}/{kind}"),
        format!("sessions/{id}/jobs/{id}"),
        format!("sessions/{id}/action"),
        format!("jobs/{id}/event"),
    ] {
        for (method, body) in [
            ("GET", json!({})),
            ("DELETE", json!({})),
            ("PUT", json!({})),
            ("PATCH", json!({"description": text})),
            ("POST", json!({text: text})),
        ] {
            let answer = service.raw(method, &path, body.to_string()).await;
            let known = [200, 204, 400, 404, 405];
            assert!(
                known.contains(&answer.status),
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    for name in ["limit", "offset", "all_projects"] {
        let answer = service.get(&format!("jobs?{name}={id}")).await;
        assert_eq!(answer.status, 400, "{name}={id}: {}", answer.text());
    }
    service
        .get(&format!("{kind}?{id}={id}&search={id}"))
        .await
        .expect(200);
    let is_header = !text.chars().any(char::is_control);
    for name in [
        "accept-language",
        "x-openstack-request-id",
        "user-agent",
        "forwarded",
        "x-forwarded-host",
    ]
    .into_iter()
    .filter(|_| is_header)
    {
        service
            .send(request(
                "GET",
                &format!("/v2/p1/{kind}"),
                &[(name, text)],
                "",
            ))
            .await
            .expect(200);
    }
}

on_each_engine! {
    async fn texts_are_only_texts(database: Database) {
        let service = Service::start(&database).await;
        service.client("worker").await;
        for (kind, id) in KINDS {
            let before = usize::from(kind == "clients");
            for (number, text) in TEXTS.into_iter().enumerate() {
                store_and_find(&service, kind, id, text, before + number).await;
                say_elsewhere(&service, kind, text).await;
            }
            // NUL can be asked for, though it is nowhere.
            for search in [json!({"match": [{"description": "a\u{0}"}]}), json!({"match": [{"a\u{0}'": "x"}]})] {
                assert_eq!(found(kind, &service.search(kind, search).await.expect(200)), 0);
            }
            let all = found(kind, &service.get(&format!("{kind}?limit=100")).await.expect(200));
            assert_eq!(all, before + TEXTS.len(), "{kind}");
            assert_eq!(database.rows(kind, "deleted = FALSE").await, (before + TEXTS.len()) as i64, "{kind}");
        }
    }
}
