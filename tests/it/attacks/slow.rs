//! Clients that send bit by bit, and clients that ask and never read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::attack;
use crate::server::{Connection, PATIENCE, ask, json, request, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

/// Sends the text byte by byte on many connections; what the server says at the end of each, which it must close while much of
/// the text is left.
fn drip(server: &Server, connections: usize, begin: &str, text: &str) -> Vec<String> {
    let mut streams: Vec<TcpStream> = (0..connections)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream.write_all(begin.as_bytes()).unwrap();
            stream
        })
        .collect();
    let (begun, mut said) = (Instant::now(), Vec::new());
    for byte in text.bytes().cycle() {
        streams.retain_mut(|stream| match closed(stream, byte) {
            Some(answer) => {
                said.push(answer);
                false
            }
            None => true,
        });
        if streams.is_empty() {
            return said;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{} connections are left",
            streams.len()
        );
        thread::sleep(Duration::from_millis(20));
    }
    unreachable!("the text has no end")
}

/// Sends a byte; what was answered if the server has closed.
fn closed(stream: &mut TcpStream, byte: u8) -> Option<String> {
    let is_broken = stream.write_all(&[byte]).is_err();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock && !is_broken && answer.is_empty() => {
            None
        }
        _ => Some(String::from_utf8_lossy(&answer).into_owned()),
    }
}

#[tokio::test]
async fn who_sends_byte_by_byte_is_sent_away() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "[api]\nread_timeout = 1\nidle_timeout = 1");
    attack(&server, "slow headers and bodies", || {
        thread::scope(|scope| {
            let server = &server;
            let slow = |begin: String, text: &'static str| {
                scope.spawn(move || drip(server, 100, &begin, text))
            };
            let headers = slow(
                String::new(),
                "GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nX: ",
            );
            let lines = slow(
                "GET / HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
                "X: y\r\n",
            );
            let post = "POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n";
            let bodies = slow(format!("{post}Content-Length: 100000\r\n\r\n"), " ");
            let chunks = slow(
                format!("{post}Transfer-Encoding: chunked\r\n\r\n"),
                "1\r\n \r\n",
            );
            for answers in [bodies, chunks] {
                assert!(
                    answers
                        .join()
                        .unwrap()
                        .iter()
                        .all(|answer| answer.is_empty() || answer.starts_with("HTTP/1.1 408"))
                );
            }
            for silence in [headers, lines] {
                assert!(silence.join().unwrap().iter().all(String::is_empty));
            }
        });
    });
}

/// Ten backups whose list just fits into one text of 256 KiB.
pub(super) fn fill(server: &Server) {
    let backup =
        json!({"backup_name": "b", "container": "c", "hostname": "h", "x": "x".repeat(25_000)});
    for _ in 0..10 {
        assert_eq!(
            ask(server, "POST", "/v2/p/backups", &backup.to_string()).status,
            201
        );
    }
}

#[tokio::test]
async fn who_does_not_read_takes_little_memory() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    fill(&server);
    attack(&server, "pipelines that nobody reads", || {
        let request = "GET /v2/p/backups HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
        let unread: Vec<TcpStream> = (0..64)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address()).unwrap();
                stream
                    .set_write_timeout(Some(Duration::from_millis(100)))
                    .unwrap();
                // The server stops reading where it cannot write.
                let _ = stream.write_all(request.as_bytes());
                stream
            })
            .collect();
        thread::sleep(Duration::from_secs(1));
        drop(unread);
    });
}

#[tokio::test]
async fn headers_without_an_end_take_little_memory() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    attack(&server, "headers without an end", || {
        let header = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
            "y".repeat(400_000)
        );
        let open: Vec<TcpStream> = (0..800)
            .map(|_| {
                let mut stream = TcpStream::connect(server.address()).unwrap();
                stream
                    .set_write_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                let _ = stream.write_all(header.as_bytes());
                stream
            })
            .collect();
        drop(open);
    });
}

/// A backup of six megabytes; its path.
fn large_backup(server: &Server) -> String {
    let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
    let created = json(&ask(server, "POST", "/v2/p/backups", &backup.to_string()));
    let path = format!("/v2/p/backups/{}", created["backup_id"].as_str().unwrap());
    for number in 0..6 {
        let more = json!({"backup_metadata": {format!("part{number}"): "x".repeat(1_000_000)}});
        assert_eq!(ask(server, "PATCH", &path, &more.to_string()).status, 200);
    }
    path
}

/// A job with two hundred entries, which name an action of 40 kB over and over; its path.
fn large_job(server: &Server) -> String {
    assert_eq!(
        ask(server, "POST", "/v2/p/clients", r#"{"client_id": "c"}"#).status,
        201
    );
    let action =
        json!({"action_id": "a", "freezer_action": {"action": "exec", "x": "x".repeat(40_000)}});
    assert_eq!(
        ask(server, "POST", "/v2/p/actions", &action.to_string()).status,
        201
    );
    let job = json!({"client_id": "c", "job_id": "j", "job_actions": vec![json!({"action_id": "a"}); 200]});
    let created = ask(server, "POST", "/v2/p/jobs", &job.to_string());
    assert_eq!(created.status, 201, "{created:?}");
    "/v2/p/jobs/j".to_owned()
}

on_each_engine! {
    async fn large_documents_take_little_memory(database: Database) {
        let server = start(&database, "[api]\nrequest_timeout = 100");
        let (backup, job) = (large_backup(&server), large_job(&server));
        // How many read what they ask for; else 64 do not.
        for (what, method, path, body, clients) in [
            ("documents that nobody reads", "GET", &backup, "", None),
            ("jobs that are read", "GET", &job, "", Some(16)),
            ("documents that are changed", "PATCH", &backup, r#"{"status": "error"}"#, Some(16)),
            ("lists of them", "GET", &"/v2/p/backups".to_owned(), "", Some(32)),
        ] {
            attack(&server, what, || {
                let text = request(method, path, body);
                thread::scope(|scope| {
                    for _ in 0..clients.unwrap_or(64) {
                        scope.spawn(|| {
                            let mut client = Connection::open(&server);
                            // Lists go by turns, and rest for the one who asks beside them.
                            client.0.set_read_timeout(Some(5 * PATIENCE)).unwrap();
                            client.send(&text);
                            if clients.is_some() {
                                assert_eq!(client.answer().unwrap().status, 200, "{what}");
                            } else {
                                thread::sleep(Duration::from_secs(1));
                            }
                        });
                    }
                });
            });
        }
    }
}
