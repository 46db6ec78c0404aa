//! Bodies of requests: malformed, missing, large, and in pieces.

use axum::body::Body;
use freezer_api::api::MAX_SEARCH_BODY;
use serde_json::{Value, json};

use crate::api_http::{COLLECTIONS, ask_with};
use crate::support::Service;

/// What is no JSON as we read it.
fn malformed() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "{bad",
        "{",
        "   ",
        "\n",
        "\u{feff}{}",
        r#"{"client_id": NaN}"#,
        r#"{"client_id": -Infinity}"#,
        r#"{"client_id": 1e400}"#,
        r#"{"client_id": "\ud800"}"#,
        r#"{"\udc00": 1}"#,
        r#"{"client_id": "\ud800\u0041"}"#,
        r#"{"client_id": 18446744073709551616}"#,
        r#"{"client_id": -9223372036854775809}"#,
        r#"{"client_id": 'c'}"#,
        r#"{"client_id": "c",}"#,
        r#"{"client_id": "c"} x"#,
        "{\"client_id\": \"a\tb\"}",
        "{'client_id': 'c'}",
        "client_id=c",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    bodies.push(b"{\"client_id\": \"\xff\"}".to_vec());
    bodies.push(b"\xff\xfe{\x00}\x00".to_vec());
    bodies.push(nested(129).into_bytes());
    bodies.push(nested(100_000).into_bytes());
    bodies
}

/// An object with levels of nesting, itself included.
fn nested(levels: usize) -> String {
    let lists = levels - 1;
    format!("{{\"n\": {}{}}}", "[".repeat(lists), "]".repeat(lists))
}

/// Every request that reads a body.
const READERS: &[(&str, &str)] = &[
    ("POST", "clients"),
    ("POST", "actions"),
    ("POST", "actions/none"),
    ("PATCH", "actions/none"),
    ("POST", "jobs"),
    ("POST", "jobs/none"),
    ("PATCH", "jobs/none"),
    ("POST", "jobs/none/event"),
    ("POST", "sessions"),
    ("POST", "sessions/none"),
    ("PATCH", "sessions/none"),
    ("POST", "sessions/none/action"),
    ("POST", "backups"),
    ("PATCH", "backups/none"),
    ("GET", "clients"),
    ("GET", "actions"),
    ("GET", "jobs"),
    ("GET", "sessions"),
    ("GET", "backups"),
];

on_each_engine! {
    async fn malformed_json_is_refused_with_its_place(database: Database) {
        let service = Service::start(&database).await;
        for (method, path) in READERS {
            for body in malformed() {
                let answer = service.raw(method, path, body.clone()).await;
                if *method == "GET" && body.len() > MAX_SEARCH_BODY {
                    answer.refused(400, "Bad request format");
                    continue;
                }
                let description = answer.refused(400, "Malformed JSON");
                assert!(description.contains(" at line ") && description.contains(" column "), "{description}");
            }
        }
    }

    async fn a_body_is_an_object(database: Database) {
        let service = Service::start(&database).await;
        for (method, path) in READERS {
            for body in ["[1]", "\"a\"", "5", "true", "-1", "0.5", "[null]"] {
                let answer = service.raw(method, path, body).await;
                answer.refused(400, "Bad request format");
            }
        }
    }

    async fn no_body_is_said_to_be_missing(database: Database) {
        let service = Service::start(&database).await;
        let action = service.created("actions", json!({"freezer_action": {"action": "backup"}}), "action_id").await;
        service.client("c").await;
        let (job, session) = (service.job("c").await, service.session().await);
        for body in ["", "null", "[]", "\"\"", "0", "0.0", "false", "{}"] {
            for (method, path) in [
                ("POST", "clients"), ("POST", "actions"), ("POST", "sessions"), ("POST", "backups"),
                ("POST", "sessions/none"), ("PATCH", "backups/none"),
            ] {
                let answer = service.raw(method, path, body).await;
                assert_eq!(answer.refused(400, "Bad request format"), "Missing request body", "{method} {path}");
            }
            let answer = service.raw("POST", "jobs", body).await;
            assert!(answer.refused(400, "Bad request format").contains("'job_actions' is a required property"));
            let changes = matches!(body, "" | "{}");
            for path in [format!("actions/{action}"), format!("jobs/{job}"), format!("sessions/{session}")] {
                let answer = service.raw("PATCH", &path, body).await;
                if changes { answer.expect(200); } else { answer.refused(400, "Bad request format"); }
            }
            for path in ["actions/none", "jobs/none", "sessions/none"] {
                let answer = service.raw("PATCH", path, body).await;
                if changes { answer.refused(404, "Not Found") } else { answer.refused(400, "Bad request format") };
            }
            for kind in COLLECTIONS {
                service.raw("GET", kind, body).await.expect(200);
            }
        }
    }

    async fn json_comes_back_as_it_was_sent(database: Database) {
        let service = Service::start(&database).await;
        let deep = nested(120);
        for (number, value) in [
            "18446744073709551615", "-9223372036854775808", "0", "0.1", "1e308", "1E-7", "2.5", "-1.25",
            r#""\ud83d\ude00 \u0001 \u2028 / \" \\""#, "\"😀 é ключ\"", "[[[]]]", "{}", "null", "true",
            r#"{"a": {"b": [1, {"c": "d"}]}, "": 0}"#, &deep,
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("b{number}");
            let body = format!(r#"{{"backup_name": "{name}", "container": "c", "hostname": "h", "x": {value}}}"#);
            let created = service.raw("POST", "backups", body).await.expect(201).json();
            let path = format!("backups/{}", created["backup_id"].as_str().unwrap());
            let backup = service.get(&path).await.expect(200).json();
            let expected: Value = serde_json::from_str(value).unwrap();
            assert_eq!(backup["backup_metadata"]["x"], expected, "{value}");
            let found = service.search("backups", json!({"match": [{"x": expected}]})).await.expect(200).json();
            assert_eq!(found["backups"], json!([backup]), "{value}");
        }
    }

    async fn headers_of_a_body_do_not_matter(database: Database) {
        let service = Service::start(&database).await;
        for headers in [
            &[("content-type", "text/plain")][..],
            &[("content-type", "application/xml"), ("content-encoding", "gzip")],
            &[("content-type", "nonsense")],
            &[],
        ] {
            // The last of two equal keys counts.
            let body = r#"{"client_id": "first", "client_id": "last"}"#;
            let answer = ask_with(&service, "POST", "/v2/p1/clients", headers, body).await.expect(201);
            assert_eq!(answer.json(), json!({"client_id": "last"}));
        }
    }

    async fn a_body_has_a_limit(database: Database) {
        let service = Service::with(&database, |config| {
            config.oslo_middleware.max_request_body_size = 1000;
        })
        .await;
        let body = |size: usize| {
            let start = r#"{"backup_name": "b", "container": "c", "hostname": "h", "x": ""#;
            format!("{start}{}\"}}", "x".repeat(size - start.len() - 2))
        };
        service.raw("POST", "backups", body(1000)).await.expect(201);
        for (method, path) in READERS {
            service.raw(method, path, body(1001)).await.refused(413, "Request Entity Too Large");
        }
        // The same without a length.
        let pieces = || {
            let text = body(1001);
            let (one, two) = text.split_at(500);
            let pieces = [one.to_owned(), two.to_owned()].map(Ok::<_, std::convert::Infallible>);
            Body::from_stream(futures_util::stream::iter(pieces))
        };
        service.raw("POST", "backups", pieces()).await.refused(413, "Request Entity Too Large");
        let found = service.get("backups").await.expect(200).json();
        assert_eq!(found["backups"].as_array().unwrap().len(), 1);
    }

    async fn a_body_may_come_in_pieces(database: Database) {
        let service = Service::start(&database).await;
        let pieces = ["{\"client_id\":", " \"pieces\"", "}"].map(Ok::<_, std::convert::Infallible>);
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        service.raw("POST", "clients", body).await.expect(201);
        service.get("clients/pieces").await.expect(200);
    }
}
