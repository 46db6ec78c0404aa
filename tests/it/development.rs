//! `freezer-api --dev` as a process: for this machine alone, and ready to be tried.

use std::process::Command;
use std::time::{Duration, Instant};

use freezer_api::oslo::database_url::DatabaseUrl;
use serde_json::Value;

use crate::server::{self, Connection, PATIENCE, configuration, json, refusal, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

#[tokio::test]
async fn development_is_for_loopback_alone() {
    let database = Database::create(Engine::Sqlite).await;
    for address in ["0.0.0.0", "192.0.2.1", "::"] {
        let ended = refusal(
            &configuration(&database, ""),
            &["--dev", "--bind-host", address],
        );
        assert!(
            ended.output.contains("loopback") && ended.output.contains(address),
            "{}",
            ended.output
        );
    }
    let ended = refusal(&configuration(&database, ""), &["--sample"]);
    assert!(ended.output.contains("--dev"), "{}", ended.output);
}

#[tokio::test]
async fn development_answers_no_page_of_another_site() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    let ask = |headers: &str| {
        let mut connection = Connection::open(&server);
        // What a form of any page may send without asking first.
        let body = r#"{"client_id": "c"}"#;
        let length = body.len();
        connection.send(format!(
            "POST /v2/p/clients HTTP/1.1\r\n{headers}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        connection.answer().unwrap()
    };
    for foreign in [
        "Host: localhost\r\nOrigin: https://evil.example.com",
        "Host: localhost\r\nOrigin: null",
        "Host: localhost\r\nOrigin: http://localhost.evil.example.com",
        "Host: localhost\r\nOrigin: http://127.0.0.1@evil.example.com",
        "Host: rebound.example.com:9090",
        "Host: 127.0.0.1.example.com",
        "Host: 192.0.2.1",
        "Host: 0.0.0.0:9090",
        "Host:",
    ] {
        let answer = ask(foreign);
        assert_eq!(answer.status, 403, "{foreign}");
        assert!(answer.body.contains("a loopback address"), "{answer:?}");
    }
    assert_eq!(
        json(&server::ask(&server, "GET", "/v2/p/clients", ""))["clients"],
        serde_json::json!([])
    );
    let statuses = [
        "Host: localhost:9090",
        "Host: LOCALHOST\r\nOrigin: http://localhost:3000",
        "Host: 127.0.0.1:9090\r\nOrigin: http://127.0.0.2",
        "Host: [::1]:9090\r\nOrigin: https://[::1]",
    ]
    .map(|own| ask(own).status);
    assert_eq!(statuses, [201; 4]);
}

#[tokio::test]
#[ignore = "needs curl: ./test installs it"]
async fn the_banners_curl_works() {
    let database = Database::create(Engine::Sqlite).await;
    let configuration = configuration(&database, "");
    let url: DatabaseUrl = database.url().parse().unwrap();
    for start in 0..2 {
        let server = Server::start(&configuration, &["--dev", "--sample"])
            .unwrap_or_else(|ended| panic!("{}", ended.output));
        let begin = Instant::now();
        let command = loop {
            let output = server.output();
            if let Some(command) = output
                .lines()
                .find_map(|line| line.trim().strip_prefix("try "))
            {
                break command.trim().to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "{output}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let shown = server.output();
        assert!(
            shown.contains(&format!("{}/ui/", server.url())) && shown.contains(&url.database),
            "{shown}"
        );
        // The banner is the last that one sees; requests that nobody made are not logged.
        assert!(!shown.contains("freezer_api.access"), "{shown}");
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let list: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {command}: {output:?}"));
        // The sample is added once.
        let jobs = list["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), 7, "start {start}: {list}");
        let name = |job: &Value| job["job_actions"][0]["freezer_action"]["backup_name"].clone();
        assert!(jobs.iter().any(|job| name(job) == "etc"), "{list}");
        assert_eq!(server.stop().status.code(), Some(0));
    }
}
