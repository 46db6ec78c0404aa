//! Targets of requests: tricks with paths lead nowhere else than their plain form, and never past authentication.

use super::attack;
use crate::server::{self, Connection, configuration, start};
use crate::support::process::{Server, manage};
use crate::support::{Database, Engine};

/// Spellings of `/v2/p/clients`.
const SPELLINGS: [&str; 16] = [
    "/v2/p/clients",
    "//v2//p//clients//",
    "/v2/p%2fclients",
    "/%76%32/p/clients",
    "/v2/q/../p/clients",
    "/v2/q/%2e%2e/p/clients",
    "/v2/q/%2e./p/clients",
    "/v2/q%2f..%2fp/clients",
    "/../../v2/p/clients",
    "/healthcheck/../v2/p/clients",
    "/healthcheck%2f..%2fv2/p/clients",
    "/v2/openapi.json/../p/clients",
    "/v2/./p/./clients/.",
    "/v2/p/clients#/healthcheck",
    "/v2/p/clients?/../../../healthcheck",
    "http://localhost/v2/p/clients",
];

fn get(server: &Server, target: &str) -> server::Answer {
    let mut connection = Connection::open(server);
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    connection
        .answer()
        .unwrap_or_else(|| panic!("{target}: no answer"))
}

#[tokio::test]
async fn paths_have_one_meaning() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    attack(&server, "targets", || {
        for target in SPELLINGS {
            let answer = get(&server, target);
            assert!(
                answer.status == 200 && answer.body.contains("clients"),
                "{target}: {answer:?}"
            );
        }
        let (long, longest) = ("y".repeat(50_000), "y".repeat(70_000));
        for (target, status) in [
            ("/v2/q/%252e%252e/p/clients", 404),
            ("/v2/p/clients;x", 404),
            ("/v2/p;x/clients", 400),
            ("/v2\\p\\clients", 404),
            ("/v2/p/clients%00", 404),
            ("/v2/p/clients/%00", 400),
            ("/v2/p/clients/%", 404),
            ("/v2/p/clients/%zz", 404),
            ("/v2/p/clients/%u002f", 404),
            ("/v2/p/clients/%c0%af", 400),
            ("/v2/p/clients/%ed%a0%80", 400),
            ("/v2/p/clients/%ff", 400),
            ("/v2/p/clients/%f0%9f%92%be", 404),
            ("/v2/p/clients/%e2%80%ae", 404),
            ("/v2/p/clients/%0d%0aX:%20y", 404),
            ("/v2/%0d%0a/clients", 400),
            ("/V2/p/clients", 404),
            ("/v2/p/clients/..%5c..%5cetc", 404),
            ("/", 300),
            ("/..", 300),
            ("*", 404),
            ("localhost:80", 400),
            ("http://localhost", 300),
            ("http://evil.example.com/v2/p/clients", 403),
            ("http://localhost@evil.example.com/v2/p/clients", 403),
            ("http://localhost:99999/v2/p/clients", 200),
            (&format!("/v2/p/jobs/{long}"), 404),
            (&format!("/v2/p/jobs/{}", "%41".repeat(16_000)), 404),
            (&format!("/{long}"), 404),
            (&format!("/v2/p/jobs/{}", "/x".repeat(25_000)), 404),
            (&format!("/v2/p/clients?{long}"), 200),
            // An escape of each character would be longer than a target may be.
            (&format!("/v2/p/jobs/{}", "$".repeat(50_000)), 400),
            (&format!("/{longest}"), 431),
            (&format!("/?{longest}"), 431),
        ] {
            let answer = get(&server, target);
            let beginning: String = target.chars().take(80).collect();
            assert_eq!(answer.status, status, "{beginning}: {answer:?}");
            assert!(!answer.head.contains("\nx: y"), "{beginning}: {answer:?}");
        }
    });
}

#[tokio::test]
async fn no_spelling_passes_authentication() {
    let database = Database::create(Engine::Sqlite).await;
    let keystone = "[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:1/v3\nauth_url = http://127.0.0.1:1/v3\n\
                    auth_type = password\nusername = freezer\npassword = freezer\nproject_name = service\n\
                    user_domain_name = Default\nproject_domain_name = Default";
    let configuration = configuration(&database, keystone);
    assert!(manage(&configuration, &["db", "sync"]).status.success());
    let server =
        Server::start(&configuration, &[]).unwrap_or_else(|ended| panic!("{}", ended.output));
    for target in SPELLINGS.into_iter().chain([
        "/v2",
        "/v2/",
        "/v2/openapi.json/x",
        "/healthcheck/x",
        "/v2/openapi.json%2fx",
        "/healthcheck%00",
        "/x",
    ]) {
        let answer = get(&server, target);
        assert_eq!(answer.status, 401, "{target}: {answer:?}");
    }
}
