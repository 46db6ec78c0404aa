//! Lists of many and large documents: sent while they are read, with little memory, and never cut short in silence.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use freezer_api::service::SeriesKeeper;
use serde_json::{Value, json};
use socket2::SockRef;

use crate::server::{PATIENCE, connect, start};
use crate::support::process::{Server, manage};
use crate::support::{Database, PROJECT, Service};

/// The most resident memory that a server may have had, in KiB.
pub(crate) const MAX_MEMORY: u64 = 256 * 1024;

/// Adds this many backups of some more than `bytes` bytes.
pub(crate) async fn fill(database: &Database, count: usize, bytes: usize) {
    let blob = "x".repeat(bytes);
    for number in 0..count {
        let statement = format!(
            "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted, created_at) VALUES \
             ('b{number:03}', '{PROJECT}', 'u', 'available', '{{\"blob\": \"{blob}\", \"number\": \"{number}\"}}', FALSE, \
             '2024-01-01 00:00:00.000000')"
        );
        database.run(statement).await;
    }
}

fn ids(list: &Value) -> Vec<String> {
    let backups = list["backups"].as_array().unwrap();
    let id = |backup: &Value| backup["backup_id"].as_str().unwrap().to_owned();
    backups.iter().map(id).collect()
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let name = |number| format!("b{number:03}");
    numbers.into_iter().map(name).collect()
}

/// Puts all backups into their series, which is one here; the path of its list.
pub(crate) fn only_series(database: &Database, server: &Server) -> String {
    let rebuilt = manage(&database.configuration(), &["report", "rebuild"]);
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let path = format!("/v2/{PROJECT}/report/series");
    let answer = crate::server::ask(server, "GET", &path, "");
    let list: Value = serde_json::from_str(&answer.body).unwrap();
    let id = list["series"][0]["series_id"].as_str().unwrap().to_owned();
    format!("report/series/{id}/backups")
}

/// Asks for a list on a connection that is closed afterwards.
pub(crate) fn ask(server: &Server, query: &str) -> TcpStream {
    ask_as("application/json", server, query)
}

/// The same of a media type.
pub(crate) fn ask_as(media_type: &str, server: &Server, query: &str) -> TcpStream {
    let mut stream = connect(server.address());
    // Longer than any `request_timeout` here: what is too slow is the server's to say.
    stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
    let request = format!(
        "GET /v2/{PROJECT}/{query} HTTP/1.1\r\nHost: localhost\r\nAccept: {media_type}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The same by a client that does not read, and whose kernel does not do it either.
pub(crate) fn ask_and_stall(server: &Server, query: &str) -> TcpStream {
    let stream = ask(server, query);
    SockRef::from(&stream)
        .set_recv_buffer_size(64 * 1024)
        .unwrap();
    stream
}

/// The status of an answer, its bytes, and whether it is whole.
pub(crate) fn read(mut stream: TcpStream) -> (u16, usize, bool) {
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).is_ok();
    let status = answer.get(9..12).expect("an answer");
    let status = String::from_utf8_lossy(status).parse().unwrap();
    let ends = [&b"}\r\n0\r\n\r\n"[..], b"\r\n\r\n0\r\n\r\n", b"}"];
    let is_whole = ended && ends.iter().any(|end| answer.ends_with(end));
    (status, answer.len(), is_whole)
}

on_each_engine! {
    async fn a_large_list_is_sent_while_it_is_read(database: Database) {
        let service = Service::start(&database).await;
        fill(&database, 40, 100_000).await;
        let small = service.get("backups?limit=2").await.expect(200);
        assert!(small.header("content-length").is_some(), "{small:?}");
        let all = json!({"match_not": [{"user_id": "nobody"}]});
        for (query, expected) in [
            ("limit=40", names(0..40)),
            ("limit=1000", names(0..40)),
            ("limit=7&offset=30", names(30..37)),
            ("limit=7&offset=36", names(36..40)),
            ("limit=7&offset=40", names([])),
        ] {
            let list = service.get(&format!("backups?{query}")).await.expect(200).json();
            assert_eq!(ids(&list), expected, "{query}");
            let list = service.search(&format!("backups?{query}"), all.clone()).await.expect(200).json();
            assert_eq!(ids(&list), expected, "{query} with a search");
        }
        let list = service.get("backups?limit=40").await.expect(200);
        assert_eq!(list.header("content-length"), None);
        assert_eq!(list.json()["backups"][7], service.get("backups/b007").await.expect(200).json());
        let last = json!({"match": [{"number": "39"}]});
        assert_eq!(ids(&service.search("backups?limit=1", last).await.expect(200).json()), names([39]));
        // A job with large actions, and several with one of them.
        service.client("c").await;
        let blob = json!({"action": "exec", "blob": "x".repeat(200_000)});
        let action_id = service.created("actions", json!({"freezer_action": blob}), "action_id").await;
        let mut made = Vec::new();
        for _ in 0..5 {
            let entries = vec![json!({"action_id": action_id}); 4];
            made.push(service.created("jobs", json!({"client_id": "c", "job_actions": entries}), "job_id").await);
            service.clock.advance(1);
        }
        let jobs = service.get("jobs").await.expect(200).json();
        for (job, id) in jobs["jobs"].as_array().unwrap().iter().zip(&made) {
            assert_eq!(job, &service.get(&format!("jobs/{id}")).await.expect(200).json());
            assert_eq!(job["job_actions"][3]["freezer_action"]["blob"], blob["blob"]);
        }
        assert_eq!(jobs["jobs"].as_array().unwrap().len(), 5);
    }

    async fn a_large_series_is_sent_while_it_is_read(database: Database) {
        let service = Service::start(&database).await;
        fill(&database, 60, 100_000).await;
        for number in [3, 4, 20, 59] {
            let metadata = format!("{{\"number\": \"{number}\"}}");
            database.run(format!("UPDATE backups SET backup_metadata = '{metadata}' WHERE id = 'b{number:03}'")).await;
        }
        let mut keeper = SeriesKeeper::default();
        while !service.api.catalogue.keep_series(&mut keeper).await.unwrap() {}
        let series = service.get("report/series").await.expect(200).json()["series"][0]["series_id"].clone();
        let path = format!("report/series/{}/backups", series.as_str().unwrap());
        for (query, expected) in [
            ("limit=50&sort=created_at:asc", names(0..50)),
            ("limit=50", names((10..60).rev())),
            ("limit=20&marker=b010", names((0..10).rev())),
            ("limit=2&marker=b005&sort=created_at:asc", names([6, 7])),
            ("limit=2&marker=b005", names([4, 3])),
            ("limit=1&marker=b000", names([])),
        ] {
            let list = service.get(&format!("{path}?{query}")).await.expect(200);
            let is_small = expected.len() <= 2;
            assert_eq!(list.header("content-length").is_some(), is_small, "{query}");
            let list = list.json();
            assert_eq!(ids(&list), expected, "{query}");
            let more = query.contains("limit=50") || query.contains("marker=b005");
            assert_eq!(!list["backups_links"].is_null(), more, "{query}");
            for backup in list["backups"].as_array().unwrap() {
                let own = service.get(&format!("backups/{}", backup["backup_id"].as_str().unwrap())).await.expect(200).json();
                for member in ["backup_id", "project_id", "user_id", "status", "backup_metadata"] {
                    assert_eq!(backup[member], own[member], "{member}");
                }
            }
            let table = crate::support::api::request("GET", &format!("/v2/{PROJECT}/{path}?{query}"), &[("accept", "text/csv")], "");
            let table = service.send(table).await.expect(200);
            assert_eq!((table.header("content-length").is_some(), table.header("link").is_some()), (is_small, more), "{query}");
            let text = table.text();
            let mut lines = text.split_terminator("\r\n");
            assert_eq!(lines.next(), Some("backup_id,project_id,user_id,status,created_at,backup_metadata"));
            for (line, backup) in lines.zip(list["backups"].as_array().unwrap()) {
                let [id, project, user, status, created] = ["backup_id", "project_id", "user_id", "status", "created_at"]
                    .map(|member| backup[member].as_str().unwrap());
                let start = format!("{id},{project},{user},{status},{created},\"{{");
                assert!(line.starts_with(&start), "{start}");
                let metadata = line[start.len() - 1..].trim_end_matches('"').replace("\"\"", "\"");
                assert_eq!(serde_json::from_str::<Value>(&metadata).unwrap(), backup["backup_metadata"]);
            }
            assert_eq!(text.lines().count(), expected.len() + 1, "{query}");
        }
    }

    async fn many_large_lists_take_little_memory(database: Database) {
        let server = start(&database, "[api]\nrequest_timeout = 100");
        fill(&database, 60, 900_000).await;
        for lists in [1, 6, 12] {
            let mut readers = Vec::new();
            for _ in 0..lists {
                let stream = ask(&server, "backups?limit=60");
                readers.push(thread::spawn(move || read(stream)));
            }
            for reader in readers {
                let (status, bytes, is_whole) = reader.join().unwrap();
                assert!(status == 200 && is_whole && bytes > 54_000_000, "{status} {bytes} {is_whole}");
            }
            let memory = server.most_memory();
            eprintln!("{:?}: {lists} lists, {memory} KiB", database.engine());
            assert!(memory < MAX_MEMORY, "{lists} lists: {memory} KiB");
        }
        let series = format!("{}?limit=50", only_series(&database, &server));
        let mut readers = Vec::new();
        for number in 0..12 {
            let media_type = ["application/json", "text/csv"][number % 2];
            let stream = ask_as(media_type, &server, &series);
            readers.push(thread::spawn(move || read(stream)));
        }
        for reader in readers {
            let (status, bytes, is_whole) = reader.join().unwrap();
            assert!(status == 200 && is_whole && bytes > 45_000_000, "{status} {bytes} {is_whole}");
        }
        let memory = server.most_memory();
        eprintln!("{:?}: 12 lists of a series, {memory} KiB", database.engine());
        assert!(memory < MAX_MEMORY, "lists of a series: {memory} KiB");
    }

    async fn who_does_not_read_keeps_no_connection(database: Database) {
        let options = "max_pool_size = 1\nmax_overflow = 0\npool_timeout = 15\n[api]\nrequest_timeout = 4";
        let server = start(&database, options);
        fill(&database, 30, 900_000).await;
        let stalled = ask_and_stall(&server, "backups?limit=30");
        thread::sleep(Duration::from_millis(500));
        // It waits for the connection, and gets it when the list is given up.
        let begun = Instant::now();
        let mut answered = (0, 0, false);
        while answered.0 != 200 && begun.elapsed() < PATIENCE {
            answered = read(ask(&server, "clients"));
        }
        assert!(answered.0 == 200 && answered.2, "{answered:?}");
        let (status, bytes, is_whole) = read(stalled);
        assert!(status == 200 && !is_whole, "{status} {bytes} {is_whole}");
    }

    async fn lists_wait_for_memory_and_then_are_sent_away(database: Database) {
        let options = "[api]\nmax_memory = 8388608\nrequest_timeout = 6";
        let server = start(&database, options);
        fill(&database, 30, 900_000).await;
        let stalled = ask_and_stall(&server, "backups?limit=30");
        thread::sleep(Duration::from_millis(500));
        let second = ask(&server, "backups?limit=30");
        // Small answers do not wait.
        assert_eq!(read(ask(&server, "clients")).0, 200);
        let (status, ..) = read(second);
        assert!(status == 503 || status == 200, "{status}");
        drop(stalled);
        let (status, bytes, is_whole) = read(ask(&server, "backups?limit=30"));
        assert!(status == 200 && is_whole && bytes > 27_000_000, "{status} {bytes} {is_whole}");
    }

    async fn large_bodies_of_the_worst_shape_take_little_memory(database: Database) {
        let server = start(&database, "[api]\nrequest_timeout = 100");
        let body = |value: &str| {
            let mut body = "{\"backup_name\": \"b\", \"container\": \"c\", \"hostname\": \"h\", \"a\": [".to_owned();
            while body.len() < 1_000_000 {
                body += value;
            }
            body + "0]}"
        };
        for value in ["[],", "{},", "{\"a\":1},", "0,"] {
            let body = body(value);
            let mut writers = Vec::new();
            for _ in 0..16 {
                let (address, body) = (server.address(), body.clone());
                writers.push(thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
                    let head = format!(
                        "POST /v2/{PROJECT}/backups HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all(head.as_bytes()).unwrap();
                    stream.write_all(body.as_bytes()).unwrap();
                    read(stream).0
                }));
            }
            for writer in writers {
                assert_eq!(writer.join().unwrap(), 201, "{value}");
            }
            let memory = server.most_memory();
            eprintln!("{:?}: 16 bodies of {value} {memory} KiB", database.engine());
            assert!(memory < MAX_MEMORY, "{value}: {memory} KiB");
        }
        let (status, bytes, is_whole) = read(ask(&server, "backups?limit=64"));
        assert!(status == 200 && is_whole && bytes > 64_000_000, "{status} {bytes} {is_whole}");
    }
}
