//! What clients send: bodies, searches, headers, queries and whole requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use freezer_api::domain::document;
use freezer_api::domain::search::Search;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{target, text_target};
use crate::server::start;
use crate::support::{Answer, Database, Engine, Service};

const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\ud83d\\ude00",
    ":",
    ",",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1e999",
    "1e308",
    "18446744073709551616",
    "2147483648",
    "-1",
    "0.5",
    "\"\"",
    "{}",
    "[]",
    "\"client_id\"",
    "\"job_actions\"",
    "\"freezer_action\"",
    "\"action\"",
    "\"schedule\"",
    "\"job_schedule\"",
    "\"jobs\"",
    "\"project_id\"",
    "\"user_id\"",
    "\"status\"",
    "\"c\"",
    "\"x\"",
    "'",
    "%",
    ";",
    "\u{1f5c4}",
];

/// A service on SQLite with a client, an action, a job, a session and a backup, and a runtime for it.
struct World {
    runtime: Runtime,
    service: Service,
    _database: Database,
}

impl World {
    fn start(proxied: bool) -> World {
        let runtime = Runtime::new().unwrap();
        let (service, database) = runtime.block_on(async {
            let database = Database::create(Engine::Sqlite).await;
            let service = Service::with(&database, |config| {
                config.oslo_middleware.enable_proxy_headers_parsing = proxied;
            })
            .await;
            for (path, body) in [
                ("clients", r#"{"client_id": "c"}"#),
                (
                    "actions",
                    r#"{"action_id": "a", "freezer_action": {"action": "exec"}}"#,
                ),
                (
                    "jobs",
                    r#"{"job_id": "j", "client_id": "c", "job_actions": [{"action_id": "a"}]}"#,
                ),
                ("sessions/s", r#"{"schedule": {}, "session_tag": 0}"#),
                (
                    "backups",
                    r#"{"backup_name": "b", "container": "c", "hostname": "h"}"#,
                ),
            ] {
                service.raw("POST", path, body).await.expect(201);
            }
            service.put("sessions/s/jobs/j").await.expect(204);
            (service, database)
        });
        World {
            runtime,
            service,
            _database: database,
        }
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let answer = self
            .runtime
            .block_on(self.service.raw(method, path, body.to_vec()));
        is_sound(
            &answer,
            &format!("{method} {path} {:?}", String::from_utf8_lossy(body)),
        );
        answer
    }
}

/// No error of ours, and what is said to be JSON is.
fn is_sound(answer: &Answer, what: &str) {
    assert!(
        answer.status < 500,
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    if answer.header("content-type") == Some("application/json") && !answer.body.is_empty() {
        answer.json();
    }
}

/// Sends bodies to one resource; whatever was stored, its lists can be read.
fn bodies(kind: &'static str, seeds: &'static [&'static str], paths: &[(&str, &str)]) {
    let world = World::start(false);
    target(kind, seeds, JSON_WORDS, |body| {
        let stored = paths
            .iter()
            .any(|(method, path)| world.ask(method, path, body).status < 300);
        if stored {
            world.ask("GET", kind, b"").expect(200);
        }
    });
}

#[test]
fn bodies_of_clients() {
    let seeds = &[
        r#"{"client_id": "c2", "hostname": "h", "description": "d", "uuid": "u", "is_central": true, "supported_actions": ["backup"], "supported_modes": ["fs"]}"#,
        r#"{"client_id": "tenant_host.example"}"#,
    ];
    bodies("clients", seeds, &[("POST", "clients")]);
}

#[test]
fn bodies_of_actions() {
    let seeds = &[
        r#"{"freezer_action": {"action": "backup", "mode": "fs", "path_to_backup": "/", "backup_name": "b", "timeout": 5, "mandatory": true, "x": {"y": [1]}}, "max_retries": 3}"#,
        r#"{"action_id": "a", "freezer_action": {"action": "exec"}, "max_retries_interval": null}"#,
    ];
    bodies(
        "actions",
        seeds,
        &[
            ("POST", "actions"),
            ("POST", "actions/a"),
            ("PATCH", "actions/a"),
        ],
    );
}

#[test]
fn bodies_of_jobs() {
    let seeds = &[
        r#"{"client_id": "c", "job_actions": [{"action_id": "a"}, {"freezer_action": {"action": "backup"}, "max_retries": 1}], "description": "d",
            "job_schedule": {"schedule_interval": "1 days", "status": "running", "event": "start"}, "action_defaults": {"mode": "fs"}}"#,
        r#"{"description": "x", "job_schedule": {"schedule_date": "2026-01-01T00:00:00", "schedule_year": "2026"}, "session_id": "s", "session_tag": 1}"#,
        r#"{"start": null}"#,
    ];
    bodies(
        "jobs",
        seeds,
        &[
            ("POST", "jobs"),
            ("POST", "jobs/j"),
            ("PATCH", "jobs/j"),
            ("POST", "jobs/j/event"),
        ],
    );
}

#[test]
fn bodies_of_sessions() {
    let seeds = &[
        r#"{"schedule": {"schedule_interval": "continuous"}, "session_tag": 1, "description": "d", "hold_off": 5, "time_start": -1, "status": "s", "jobs": {"j": {"status": "running"}}}"#,
        r#"{"start": {"job_id": "j", "current_tag": 0}}"#,
        r#"{"end": {"job_id": "j", "current_tag": "1", "result": "success"}}"#,
    ];
    bodies(
        "sessions",
        seeds,
        &[
            ("POST", "sessions"),
            ("POST", "sessions/s"),
            ("PATCH", "sessions/s"),
            ("POST", "sessions/s/action"),
        ],
    );
}

#[test]
fn bodies_of_backups() {
    let seeds = &[
        r#"{"backup_name": "b", "container": "c", "hostname": "h", "status": "creating", "job_id": "j", "level": 0, "time_stamp": 1450000000, "x": {"y": [{"z": null}]}}"#,
        r#"{"status": "error", "backup_metadata": {"end_time_stamp": 5, "x": [[]]}}"#,
    ];
    bodies(
        "backups",
        seeds,
        &[("POST", "backups"), ("PATCH", "backups/none")],
    );
}

const SEARCHES: &[&str] = &[
    r#"{"match": [{"client_id": "c"}, {"status": "running"}], "match_not": [{"job_id": "x", "description": null}]}"#,
    r#"{"match": [{"_all": "[{\"a\": 1}]"}], "match_not": {}}"#,
    r#"{"match": [{"_all": "word"}], "time_after": 1400000000, "time_before": "2026-01-01T00:00:00"}"#,
    r#"{"match": [{"%": "_"}, {"a": [1, {"b": 2.0}]}]}"#,
];

#[test]
fn searches() {
    let job = r#"{"job_id": "j", "client_id": "c", "job_schedule": {"status": "running"}, "job_actions": [{"freezer_action": {"a": [1, {"b": 2}]}}], "n": 1e5}"#;
    target("searches", SEARCHES, JSON_WORDS, |body| {
        let Ok(Value::Object(body)) = document::parse(body) else {
            return;
        };
        if let Ok(Some(search)) = Search::parse(&body, 50) {
            for text in [job, "{}", "[]", "null", "{\"job_id\": "] {
                search.accepts(text, None);
                search.accepts(text, Some("n"));
            }
        }
    });
}

#[test]
fn searches_of_lists() {
    let world = World::start(false);
    target("searches of lists", SEARCHES, JSON_WORDS, |body| {
        for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
            world.ask("GET", kind, body);
        }
    });
}

#[test]
fn headers_and_queries() {
    let world = World::start(true);
    let seeds = &[
        "text/html;q=0.5, application/json;q=0.8, */*;q=0.1",
        "for=1.2.3.4;host=\"api.example.com:443\";proto=https, for=\"[::1]\"",
        "limit=5&offset=2&all_projects=true",
        "https",
        "req-3f1c0f5e-8c3e-4f5e-9c4e-1d2b3a4c5d6e",
        "bytes=0-5",
    ];
    let words = &[
        ",",
        ";",
        "=",
        "\"",
        "q=",
        "*/*",
        "/",
        "application/json",
        "+json",
        "%",
        "%00",
        "%ff",
        "&",
        "limit",
        "offset",
        "all_projects",
        "18446744073709551615",
        "-1",
        "+",
        " ",
        "\t",
        "for=",
        "host=",
        "proto=",
        "\\",
        "://",
        "@",
        "[",
        "]",
        "\u{e9}",
    ];
    target("headers and queries", seeds, words, |text| {
        let Ok(value) = HeaderValue::from_bytes(text) else {
            return;
        };
        let query: String =
            percent_encoding::percent_encode(text, percent_encoding::CONTROLS).collect();
        for (path, header) in [
            ("/", "accept"),
            ("/v2/p1/jobs", "accept"),
            ("/healthcheck", "accept"),
            ("/", "forwarded"),
            ("/", "x-forwarded-proto"),
            ("/", "x-forwarded-host"),
            ("/", "x-forwarded-prefix"),
            ("/", "host"),
            ("/v2/p1/jobs", "x-openstack-request-id"),
            ("/v2/p1/jobs", "origin"),
            ("/v2/p1/jobs", "content-type"),
            ("/v2/p1/jobs", "x-auth-token"),
        ] {
            let request = Request::builder()
                .uri(path)
                .header(header, &value)
                .body(Body::empty())
                .unwrap();
            is_sound(
                &world.runtime.block_on(world.service.send(request)),
                &format!("{path} {header}: {value:?}"),
            );
        }
        for path in ["/v2/p1/jobs?", "/v2/p1/jobs/", "/v2/", "/"] {
            if let Ok(request) = Request::builder()
                .uri(format!("{path}{query}"))
                .body(Body::empty())
            {
                is_sound(
                    &world.runtime.block_on(world.service.send(request)),
                    &format!("{path}{query}"),
                );
            }
        }
    });
}

/// Sends bytes to the program itself until it closes, or says nothing more.
#[test]
fn whole_requests() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::create(Engine::Sqlite));
    let server = start(&database, "[api]\nread_timeout = 1");
    let seeds = &[
        "GET /v2/p/jobs?limit=5 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        "POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\nConnection: close\r\n\r\n{\"client_id\": \"x\"}",
        "POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n12\r\n{\"client_id\": \"x\"}\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
    ];
    let words = &[
        "\r\n",
        "\n",
        "\r",
        ":",
        " ",
        "\t",
        "HTTP/1.1",
        "HTTP/1.0",
        "Host: localhost\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "0\r\n\r\n",
        "GET / HTTP/1.1\r\n",
        "%2f",
        "..",
        "/",
        "?",
        "#",
        "\0",
        "http://",
        "*",
    ];
    text_target("whole requests", seeds, words, |text| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP/1.1 5"), "{text:?}: {answer}");
    });
    let ended = server.stop();
    assert!(
        ended.status.success() && !ended.output.contains("panic"),
        "{}",
        ended.output
    );
}
