//! Frames of HTTP/2 that cost their sender less than the server: each flood is met with GOAWAY or without memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use super::attack;
use super::slow::fill;
use crate::server::{PATIENCE, connect, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

/// The types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The integer of HPACK with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(mut number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![u8::try_from(number).unwrap()];
    }
    let mut bytes = vec![127];
    number -= 127;
    while number >= 128 {
        bytes.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A header that is not indexed, or that enters the dynamic table.
fn field(name: &str, value: &str, is_indexed: bool) -> Vec<u8> {
    let mut bytes = vec![if is_indexed { 0x40 } else { 0 }];
    for text in [name, value] {
        bytes.extend(integer(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn head(method: &str, path: &str) -> Vec<u8> {
    [
        (":method", method),
        (":path", path),
        (":scheme", "http"),
        (":authority", "localhost"),
    ]
    .iter()
    .flat_map(|(name, value)| field(name, value, false))
    .collect()
}

/// The streams that a client may open: odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

fn open(server: &Server, settings: &[u8]) -> TcpStream {
    let mut stream = connect(server.address());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).unwrap();
    stream
}

/// Sends a flood; the server may stop reading it, or close.
fn flood(server: &Server, frames: &[u8]) -> TcpStream {
    let mut stream = open(server, &[]);
    let _ = stream.write_all(frames);
    stream
}

/// Whether the server ends the connection by GOAWAY, or resets it.
fn is_ended(mut stream: TcpStream) -> bool {
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        if head[3] == GOAWAY {
            return true;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        if stream.read_exact(&mut vec![0; length as usize]).is_err() {
            return true;
        }
    }
    // Nothing more came: the connection was reset, unless it was the time that ended.
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut head), Ok(0))
        || stream.take_error().unwrap().is_some()
        || stream.write_all(&head).is_err()
}

/// Floods of frames that no honest client sends: the connection ends.
fn forbidden() -> Vec<(&'static str, Vec<u8>)> {
    let list = head("GET", "/v2/p/backups");
    let begin = frame(HEADERS, END_STREAM, 1, &list);
    let each = |count: u32, after: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        streams(count)
            .flat_map(|stream| {
                [
                    frame(HEADERS, END_STREAM | END_HEADERS, stream, &list),
                    after(stream),
                ]
                .concat()
            })
            .collect()
    };
    let bomb: Vec<u8> = [
        list.clone(),
        field("x-bomb", &"y".repeat(3900), true),
        vec![0xbe; 8000],
    ]
    .concat();
    let upload = frame(HEADERS, END_HEADERS, 1, &head("POST", "/v2/p/clients"));
    vec![
        (
            "rapid reset",
            each(20_000, &|stream| {
                frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
            }),
        ),
        (
            "resets that the server is made to send",
            each(20_000, &|stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ),
        (
            "continuations of 4 kB",
            [
                begin.clone(),
                frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(4000), false)).repeat(5000),
            ]
            .concat(),
        ),
        (
            "empty continuations",
            [begin, frame(CONTINUATION, 0, 1, &[]).repeat(100_000)].concat(),
        ),
        (
            "a table entry named 8,000 times",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb).repeat(20),
        ),
        (
            "empty data",
            [upload, frame(DATA, 0, 1, &[]).repeat(200_000)].concat(),
        ),
        (
            "a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        ),
        (
            "a frame beyond the largest",
            frame(DATA, 0, 1, &vec![0; 1 << 20]),
        ),
        (
            "a stream of the server's",
            frame(HEADERS, END_STREAM | END_HEADERS, 2, &list),
        ),
        ("data before a stream", frame(DATA, END_STREAM, 7, b"x")),
    ]
}

/// Floods of frames that are allowed, however many there are: they cost no memory, and nobody else waits.
fn allowed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("pings", frame(PING, 0, 0, b"12345678").repeat(300_000)),
        (
            "settings",
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(300_000),
        ),
        (
            "priorities",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]).repeat(300_000),
        ),
        (
            "windows",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(300_000),
        ),
        ("unknown frames", frame(77, 0, 0, &[0; 100]).repeat(100_000)),
    ]
}

/// The first of them, until the connection is ended.
pub(super) fn rapid_reset(server: &Server) {
    static FRAMES: LazyLock<Vec<u8>> = LazyLock::new(|| forbidden().swap_remove(0).1);
    assert!(is_ended(flood(server, &FRAMES)));
}

#[tokio::test]
async fn floods_end_their_own_connection() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    for (what, frames) in forbidden() {
        attack(&server, what, || {
            assert!(is_ended(flood(&server, &frames)), "{what}")
        });
    }
    for (what, frames) in allowed() {
        attack(&server, what, || flood(&server, &frames));
    }
}

#[tokio::test]
async fn streams_that_stall_take_little_memory() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "");
    fill(&server);
    attack(&server, "answers for which there is no window", || {
        let requests: Vec<u8> = streams(32)
            .flat_map(|stream| {
                frame(
                    HEADERS,
                    END_STREAM | END_HEADERS,
                    stream,
                    &head("GET", "/v2/p/backups"),
                )
            })
            .collect();
        let stalled: Vec<TcpStream> = (0..64)
            .map(|_| {
                // SETTINGS_INITIAL_WINDOW_SIZE
                let mut stream = open(&server, &[0, 4, 0, 0, 0, 0]);
                stream.write_all(&requests).unwrap();
                stream
            })
            .collect();
        thread::sleep(Duration::from_secs(3));
        drop(stalled);
    });
}
