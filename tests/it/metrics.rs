//! What Prometheus scrapes.

mod catalogue;
mod shipped;

use std::fs;
use std::io::Read;
use std::net::SocketAddr;

use freezer_api::api::metrics_service;
use freezer_api::config::Config;

use crate::server::{Connection, configuration, refusal, start};
use crate::support::api::{Answer, request};
use crate::support::process::free_address;
use crate::support::{Database, Service};

const TOKEN: &str = "Bearer 0123456789abcdef0123456789abcdef";

/// A file with the token, and an option that names it.
fn token_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let token = TOKEN.strip_prefix("Bearer ").unwrap();
    fs::write(file.path(), format!("{token}\n")).unwrap();
    file
}

/// A service that serves its figures beside the API.
async fn measured(database: &Database, change: impl FnOnce(&mut Config)) -> Service {
    let file = token_file();
    Service::with(database, |config| {
        config.metrics.bearer_token_file = Some(file.path().to_owned());
        change(config);
    })
    .await
}

async fn scrape(service: &Service, headers: &[(&str, &str)]) -> Answer {
    service.send(request("GET", "/metrics", headers, "")).await
}

/// The figures of a service.
async fn figures(service: &Service) -> String {
    let answer = scrape(service, &[("authorization", TOKEN)]).await;
    answer.expect(200).text()
}

/// The lines of a metric.
fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let is_of = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    text.lines().filter(is_of).collect()
}

/// The answer to a scrape of an address.
fn scrape_address(address: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut connection = Connection::to(address);
    connection.send(format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n"
    ));
    let mut text = String::new();
    connection.0.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

on_each_engine! {
    async fn requests_are_counted_by_their_route(database: Database) {
        let service = measured(&database, |_| {}).await;
        service.client("host1").await;
        for path in ["jobs/with-a-secret-name", "jobs/another"] {
            service.get(path).await.expect(404);
        }
        service.raw("BREW", "jobs", "").await;
        service.raw("PROPFIND", "/v2/p1/jobs/x", "").await;
        service.get("/nothing/of/ours").await.expect(404);
        service.get("/healthcheck/").await.expect(200);
        service.post("jobs", serde_json::json!("no job")).await.expect(400);
        let answer = scrape(&service, &[("authorization", TOKEN)]).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = answer.text();
        let mut counted = lines(&text, "freezer_api_http_requests_total");
        counted.sort_unstable();
        let wanted = [
            r#"freezer_api_http_requests_total{method="GET",route="/healthcheck",code="200"} 1"#,
            r#"freezer_api_http_requests_total{method="GET",route="/v2/{project_id}/jobs/{job_id}",code="404"} 2"#,
            r#"freezer_api_http_requests_total{method="GET",route="other",code="404"} 1"#,
            r#"freezer_api_http_requests_total{method="POST",route="/v2/{project_id}/clients",code="201"} 1"#,
            r#"freezer_api_http_requests_total{method="POST",route="/v2/{project_id}/jobs",code="400"} 1"#,
            r#"freezer_api_http_requests_total{method="other",route="/v2/{project_id}/jobs",code="400"} 1"#,
            r#"freezer_api_http_requests_total{method="other",route="/v2/{project_id}/jobs/{job_id}",code="405"} 1"#,
        ];
        assert_eq!(counted, wanted);
        let seconds = r#"freezer_api_http_request_duration_seconds_count{method="GET",route="/v2/{project_id}/jobs/{job_id}"} 2"#;
        assert!(text.contains(seconds), "{text}");
        assert!(!text.contains("secret") && !text.contains("nothing"), "{text}");
        // The scrape itself.
        assert_eq!(lines(&text, "freezer_api_http_requests_in_flight"), ["freezer_api_http_requests_in_flight 1"]);
        let version = format!("freezer_api_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert_eq!(lines(&text, "freezer_api_build_info"), [version]);
        let connections = lines(&text, "freezer_api_db_connections");
        assert!(connections.iter().any(|line| line.starts_with("freezer_api_db_connections{state=\"idle\"}") && !line.ends_with(" 0")), "{text}");
        assert_eq!(lines(&text, "freezer_api_db_requests_waiting"), ["freezer_api_db_requests_waiting 0"]);
        for name in [
            "freezer_api_db_connections_max", "freezer_api_log_lines_dropped_total", "process_cpu_seconds_total", "process_open_fds",
            "process_max_fds", "process_resident_memory_bytes", "process_start_time_seconds", "process_threads", "process_virtual_memory_bytes",
        ] {
            assert_eq!(lines(&text, name).len(), 1, "{name}: {text}");
        }
    }

    async fn figures_are_for_those_who_show_the_token(database: Database) {
        let service = Service::start(&database).await;
        scrape(&service, &[("authorization", TOKEN)]).await.refused(404, "404 Not Found");
        let service = measured(&database, |_| {}).await;
        let shortened = TOKEN.strip_suffix('f').unwrap();
        let longer = format!("{TOKEN}0");
        for headers in [
            &[][..], &[("authorization", shortened)], &[("authorization", &*longer)], &[("x-auth-token", TOKEN)],
            &[("authorization", TOKEN), ("authorization", TOKEN)],
        ] {
            let answer = scrape(&service, headers).await.expect(401);
            assert_eq!((answer.header("www-authenticate"), answer.text()), (Some("Bearer realm=\"metrics\""), String::new()));
        }
        service.raw("POST", "/metrics", "").await.expect(405);
        assert!(lines(&figures(&service).await, "freezer_api_http_requests_total").iter().any(|line| line.contains(r#"route="/metrics",code="401"} 5"#)));
        // A listener of its own asks for it too, where there is one.
        let router = metrics_service(std::sync::Arc::clone(&service.api));
        Answer::of(&router, request("GET", "/metrics", &[], "")).await.expect(401);
        Answer::of(&router, request("GET", "/metrics", &[("authorization", TOKEN)], "")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_have_a_listener_of_their_own() {
    let database = Database::create(crate::support::Engine::Sqlite).await;
    let address = free_address();
    let server = start(&database, &format!("[metrics]\nlisten = {address}\n"));
    server.wait_for_output("listening on");
    let (_, body) = scrape_address(server.address(), "/v2/p1/jobs", "");
    assert!(body.contains("jobs"), "{body}");
    let (head, _) = scrape_address(server.address(), "/metrics", "");
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let (head, body) = scrape_address(address, "/metrics", "");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let counted = r#"freezer_api_http_requests_total{method="GET",route="/v2/{project_id}/jobs",code="200"} 1"#;
    assert!(body.contains(counted), "{body}");
    let (head, body) = scrape_address(address, "/v2/p1/jobs", "");
    assert!(
        head.starts_with("http/1.1 404") && !body.contains("jobs"),
        "{head} {body}"
    );
    // Somebody else has the address.
    let ended = refusal(
        &configuration(&database, &format!("[metrics]\nlisten = {address}\n")),
        &["--dev"],
    );
    let said = format!("cannot listen on {address}");
    assert!(ended.output.contains(&said), "{}", ended.output);
    assert!(server.stop().status.success());
}

#[tokio::test]
async fn a_service_does_not_start_without_its_token() {
    let database = Database::create(crate::support::Engine::Sqlite).await;
    for (option, said) in [
        (
            "bearer_token_file = /nonexistent/token",
            "[metrics] bearer_token_file /nonexistent/token: ",
        ),
        (
            "bearer_token_file = /dev/null",
            "[metrics] bearer_token_file /dev/null has no token",
        ),
        ("listen = 9190", "an IP address and a port"),
    ] {
        let text = configuration(&database, &format!("[metrics]\n{option}\n"));
        let ended = refusal(&text, &["--dev"]);
        assert!(ended.output.contains(said), "{option}: {}", ended.output);
    }
}
