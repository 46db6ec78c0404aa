//! What proxies in front say of a request, in links and in the log.

use serde_json::Value;

use crate::server::{Connection, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

/// The link to version 2 that a request with these headers gets.
fn link(server: &Server, headers: &str) -> String {
    let mut connection = Connection::open(server);
    connection.send(format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    ));
    let answer = connection.answer().unwrap();
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    let link = &document["versions"][0]["links"][0]["href"];
    link.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn proxies_are_believed_where_the_operator_says_so() {
    let database = Database::create(Engine::Sqlite).await;
    let two = "X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: api.example, inner:8080\r\n\
               X-Forwarded-Prefix: /backup\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.1\r\n";
    let replaced = format!("Forwarded: for=192.0.2.8;host=front.example\r\n{two}");

    let server = start(&database, "");
    assert_eq!(link(&server, two), "http://localhost/v2/");
    assert!(!server.stop().output.contains("192.0.2.7"));

    let options = "[oslo_middleware]\nenable_proxy_headers_parsing = true\n";
    let server = start(&database, options);
    assert_eq!(link(&server, two), "https://api.example/backup/v2/");
    assert_eq!(link(&server, &replaced), "http://front.example/backup/v2/");
    let output = server.stop().output;
    for line in [
        "remote=127.0.0.1 forwarded_for=192.0.2.7 method=GET",
        "remote=127.0.0.1 forwarded_for=192.0.2.8 method=GET",
    ] {
        assert!(output.contains(line), "no {line:?} in:\n{output}");
    }
}
