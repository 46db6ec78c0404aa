//! Servers that are no cluster, or one that somebody else has taken over: an import ends, tells why, and gives nothing away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{Imported, PROJECT, run_with};
use crate::support::{Database, Engine, Service};

/// Answers what comes to a new address, one request a connection: `answer` gets the path. How many requests came, too.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let path = read_request(&stream);
            answer(&path, &mut stream);
        }
    });
    (url, requests)
}

/// Reads a request to its end; its path.
fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_lowercase());
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    lines[0].split(' ').nth(1).unwrap().to_owned()
}

fn send(stream: &mut TcpStream, status: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // Who has read enough has gone.
    let _ = stream.write_all((head + &body).as_bytes());
}

fn root(number: &str) -> Value {
    json!({"version": {"number": number}})
}

/// A page of a scroll.
fn page(total: usize, hits: &[Value]) -> Value {
    json!({
        "_scroll_id": "s", "timed_out": false, "_shards": {"total": 1, "successful": 1},
        "hits": {"total": total, "hits": hits},
    })
}

async fn import(url: &str, more: &[&str]) -> Imported {
    let database = Database::create(Engine::Sqlite).await;
    let _service = Service::start(&database).await;
    let source = ["--url", url, "--default-project", PROJECT];
    let secrets = [("FREEZER_ELASTICSEARCH_PASSWORD", "secret")];
    run_with(
        &database.configuration(),
        &[&source, more].concat(),
        &secrets,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_is_not_read_for_ever() {
    let (url, _) = serve(|path, stream| {
        if path == "/" {
            return send(stream, "200 OK", &root("7.17.0"));
        }
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"hits\": \"";
        let _ = stream.write_all(head.as_bytes());
        let blanks = vec![b'x'; 1 << 20];
        while stream.write_all(&blanks).is_ok() {}
    });
    let imported = import(&url, &[]).await;
    assert!(!imported.success);
    imported.says("an answer has more than 268435456 bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scroll_without_end_is_not_read_for_ever() {
    let hit = json!({"_index": "freezer", "_type": "jobs", "_id": "1", "_source": {}});
    let (url, requests) = serve(move |path, stream| {
        let body = if path == "/" {
            root("2.4.6")
        } else {
            page(600, &vec![hit.clone(); 250])
        };
        send(stream, "200 OK", &body);
    });
    let imported = import(&url, &[]).await;
    assert!(!imported.success);
    imported.says("750 documents were read of 600: it has no end");
    assert_eq!(requests.load(Ordering::Relaxed), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_on_to_another_server() {
    let (other, visits) = serve(|_, stream| send(stream, "200 OK", &root("7.17.0")));
    let (url, _) = serve(move |_, stream| {
        send(
            stream,
            &format!("307 Temporary Redirect\r\nLocation: {other}/"),
            &json!({}),
        );
    });
    let imported = import(&url, &["--user", "reader"]).await;
    assert!(!imported.success);
    imported.says("307");
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_does_not_speak_to_the_terminal() {
    let hostile = "\u{1b}]0;title\u{7}\u{9b}2J";
    let (url, _) = serve(move |path, stream| {
        if path == "/" {
            return send(
                stream,
                "200 OK",
                &root(&format!("7{hostile}{}", "9".repeat(5000))),
            );
        }
        send(
            stream,
            "403 Forbidden",
            &json!({"error": {"reason": hostile.repeat(1000)}}),
        );
    });
    let imported = import(&url, &[]).await;
    assert!(!imported.success);
    imported.says("Elasticsearch 7\u{fffd}]0;title\u{fffd}\u{fffd}2J99");
    imported.says("403 Forbidden: \u{fffd}]0;title");
    assert!(imported.text.len() < 3000 && !imported.text.contains(['\u{1b}', '\u{7}', '\u{9b}']));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_no_column_takes_is_left_unread() {
    let source = json!({"job_id": "1", "project_id": PROJECT, "x": "[".repeat(8 << 20)});
    let hit = json!({"_index": "freezer", "_type": "jobs", "_id": "1", "_source": source});
    let (url, _) = serve(move |path, stream| {
        let body = match path {
            "/" => root("2.4.6"),
            path if path.starts_with("/_search/scroll") => page(1, &[]),
            _ => page(1, std::slice::from_ref(&hit)),
        };
        send(stream, "200 OK", &body);
    });
    let imported = import(&url, &[]).await;
    imported.says("left: it has more than 7340032 bytes");
    assert_eq!(imported.left.len(), 1);
}
