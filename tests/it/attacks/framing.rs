//! Where a request begins and ends, which a proxy in front must see as we do: whatever is ambiguous is refused and ends the
//! connection, so that nothing behind it is taken for a request.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::attack;
use crate::server::{PATIENCE, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

/// A request whose 404 tells that the framing of what came before it was clear; the connection ends with it.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const BODY: &str = r#"{"client_id": "x"}"#;

/// The statuses of all answers to these bytes and [`LAST`], until the server closes.
fn statuses(server: &Server, sent: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may close before it has read all of it.
    let _ = stream.write_all(&[sent, LAST.as_bytes()].concat());
    let mut answers = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        answers.extend_from_slice(&bytes[..count]);
    }
    let answers = String::from_utf8_lossy(&answers);
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().unwrap()).collect()
}

/// A POST with these lines in its header, and what follows.
fn post(lines: &str, rest: &str) -> String {
    format!("POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{rest}")
}

fn chunked(rest: &str) -> String {
    post("Transfer-Encoding: chunked", rest)
}

/// A GET with this line in its header.
fn get(line: &str) -> String {
    format!("GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n")
}

#[track_caller]
fn expect(server: &Server, cases: &[(String, &[u16])]) {
    for (sent, expected) in cases {
        let bytes = sent
            .chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap());
        let beginning: String = sent.chars().take(200).collect();
        assert_eq!(
            statuses(server, &bytes.collect::<Vec<u8>>()),
            *expected,
            "{beginning:?}"
        );
    }
}

/// What a body's length may look like.
fn lengths() -> Vec<(String, &'static [u16])> {
    let chunks = format!("12\r\n{BODY}\r\n0\r\n\r\n");
    let hidden = "GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut cases: Vec<(String, &'static [u16])> = vec![
        // Both lengths: chunks count (RFC 9112, section 6.3), and nothing behind them is read.
        (
            post(
                "Content-Length: 6\r\nTransfer-Encoding: chunked",
                &format!("0\r\n\r\n{hidden}"),
            ),
            &[400],
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 6",
                &format!("0\r\n\r\n{hidden}"),
            ),
            &[400],
        ),
        (
            post("Content-Length: 18\r\nTransfer-Encoding: chunked", &chunks),
            &[201],
        ),
        // The same length twice is one.
        (
            post("Content-Length: 18\r\nContent-Length: 18", BODY),
            &[201, 404],
        ),
        (
            post("Content-Length: 18\r\nContent-Length: 3", BODY),
            &[400],
        ),
        (
            post("Content-Length: 3\r\nContent-Length: 18", BODY),
            &[400],
        ),
        (post("Content-Length: 18, 18", BODY), &[400]),
        (post("Content-Length: 18446744073709551615", BODY), &[431]),
        (
            format!(
                "POST /v2/p/clients HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            ),
            &[400],
        ),
        // A body where none is read is passed over.
        (
            format!(
                "POST /v2/p/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\r\n{BODY}"
            ),
            &[404, 404],
        ),
        (
            format!(
                "GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            &[400, 404],
        ),
        (
            get("Transfer-Encoding:\tchunked") + "0\r\n\r\n",
            &[200, 404],
        ),
    ];
    for length in [
        "+18",
        "-1",
        "0x12",
        "18446744073709551616",
        "",
        "1e1",
        "18.0",
        "18 ;",
        "\u{b2}",
    ] {
        cases.push((post(&format!("Content-Length: {length}"), BODY), &[400]));
    }
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding:\r\n chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked\rX: y",
        "Transfer-Encoding",
        "Transfer-Encoding: ",
        "Transfer-Encoding: ;chunked",
    ] {
        cases.push((post(coding, &chunks), &[400]));
    }
    cases
}

/// Chunks and what may stand around them.
fn chunks() -> Vec<(String, &'static [u16])> {
    let mut cases: Vec<(String, &'static [u16])> = vec![
        (
            chunked(&format!("12;name=value\r\n{BODY}\r\n0;x\r\n\r\n")),
            &[201, 404],
        ),
        // Trailers are passed over, whatever they are called.
        (
            chunked(&format!(
                "12\r\n{BODY}\r\n0\r\nX-Auth-Token: admin\r\nContent-Length: 5\r\n\r\n"
            )),
            &[201, 404],
        ),
        (
            chunked(&format!("0012\r\n{BODY}\r\n000\r\n\r\n")),
            &[201, 404],
        ),
    ];
    for body in [
        format!("12;a\nb\r\n{BODY}\r\n0\r\n\r\n"),
        format!("12\n{BODY}\n0\n\n"),
        format!("12\r\n{BODY}0\r\n\r\n"),
        format!("0x12\r\n{BODY}\r\n0\r\n\r\n"),
        format!("-1\r\n{BODY}\r\n0\r\n\r\n"),
        format!("+12\r\n{BODY}\r\n0\r\n\r\n"),
        format!("ffffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n"),
        format!("5\r\n{BODY}\r\n0\r\n\r\n"),
        format!("\r\n{BODY}\r\n0\r\n\r\n"),
        format!("zz\r\n{BODY}\r\n0\r\n\r\n"),
        format!("12;{}\r\n{BODY}\r\n0\r\n\r\n", "x".repeat(20_000)),
        format!("12\r\n{BODY}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(5_000)),
    ] {
        cases.push((chunked(&body), &[400]));
    }
    cases
}

/// Header lines.
fn headers() -> Vec<(String, &'static [u16])> {
    let lines = |count: usize| {
        (0..count)
            .map(|number| format!("X-{number}: y\r\n"))
            .collect::<String>()
    };
    let mut cases: Vec<(String, &'static [u16])> = vec![
        (get("X: \u{ff}"), &[200, 404]),
        // Lines may end in a line feed alone (RFC 9112, section 2.2), which changes nothing.
        (
            "GET /v2/p/clients HTTP/1.1\nHost: localhost\n\n".to_owned(),
            &[200, 404],
        ),
        (format!("\r\n\r\n{}", get("X: y")), &[200, 404]),
        (get("Host: localhost"), &[400, 404]),
        (
            get("X-OpenStack-Request-Id: a\r\nX-OpenStack-Request-Id: b"),
            &[400, 404],
        ),
        (get("Connection: host, x-auth-token"), &[200, 404]),
        (
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
            &[200, 404],
        ),
        (
            get("Connection: Upgrade\r\nUpgrade: websocket"),
            &[200, 404],
        ),
        (get(&format!("{}X: y", lines(98))), &[200, 404]),
        (get(&format!("{}X: y", lines(99))), &[431]),
        (get(&format!("{}X: y", lines(20_000))), &[431]),
        (get(&format!("X: {}", "y".repeat(40_000))), &[200, 404]),
        (get(&format!("X: {}", "y".repeat(100_000))), &[431]),
        (get(&format!("X: {}", "y".repeat(2_000_000))), &[431]),
        (get(&format!("{}: y", "x".repeat(100_000))), &[431]),
        ("GET /v2/p/clients\r\n".to_owned(), &[400]),
        ("GET /v2/p/clients HTTP/1.2\r\n\r\n".to_owned(), &[400]),
        (
            "G\u{cb}T / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            &[400],
        ),
        (
            format!(
                "{} / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "G".repeat(30_000)
            ),
            &[400, 404],
        ),
    ];
    for line in [
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\rb",
        "X: a\r",
        "X: a\0b",
        "X: a\u{1}b",
        "X: a\u{7f}b",
        "X Y: z",
        ": z",
        "XY",
        "X\t: y",
        "X\0: y",
        "\u{e9}: y",
        "X: a\r\r",
    ] {
        cases.push((get(line), &[400]));
    }
    cases
}

#[tokio::test]
async fn ambiguous_requests_end_the_connection() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    attack(&server, "framing", || {
        for cases in [lengths(), chunks(), headers()] {
            expect(&server, &cases);
        }
    });
}
