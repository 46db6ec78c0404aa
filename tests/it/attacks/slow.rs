//! Clients that send bit by bit, and clients that ask and never read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::attack;
use crate::server::{PATIENCE, ask, start};
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
fn fill(server: &Server) {
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
