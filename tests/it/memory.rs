//! Resident memory while many clients send and ask for what takes most: it stays below a limit, and polls go on.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::large_lists::{MAX_MEMORY, ask, ask_and_stall, ask_as, fill, only_series, read};
use crate::server::{PATIENCE, start};
use crate::support::process::Server;
use crate::support::{Database, Engine, PROJECT};

/// Clients at once.
const CLIENTS: usize = 64;
/// How long a slow client does not read.
const STALL: Duration = Duration::from_secs(2);

/// An action nearly as large as one may be, and a job whose document is as large, since it names one of a megabyte eight times.
async fn add_large_documents(database: &Database) {
    for (id, bytes) in [("large", 7_000_000), ("named", 1_000_000)] {
        let blob = "x".repeat(bytes);
        let statement = format!(
            "INSERT INTO actions (id, project_id, user_id, action, backup_metadata, deleted, created_at) VALUES \
             ('{id}', '{PROJECT}', 'u', 'exec', '{{\"blob\": \"{blob}\"}}', FALSE, '2024-01-01 00:00:00')"
        );
        database.run(statement).await;
    }
    let job = format!(
        "INSERT INTO jobs (id, project_id, user_id, schedule, client_id, session_tag, description, deleted, created_at) VALUES \
         ('j', '{PROJECT}', 'u', '{{}}', 'c', 0, '', FALSE, '2024-01-01 00:00:00')"
    );
    database.run(job).await;
    for number in 0..8 {
        let entry = format!(
            "INSERT INTO job_actions (id, job_id, action_id, position, deleted, created_at) VALUES \
             ('e{number}', 'j', 'named', {number}, FALSE, '2024-01-01 00:00:00')"
        );
        database.run(entry).await;
    }
}

/// A request with a body; the status of its answer.
fn send(server: &Server, method: &str, path: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
    let head = format!(
        "{method} /v2/{PROJECT}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    read(stream).0
}

/// A backup of a megabyte in the values that take most memory.
pub(crate) fn worst_body() -> String {
    let mut body =
        "{\"backup_name\": \"b\", \"container\": \"c\", \"hostname\": \"h\", \"a\": [".to_owned();
    while body.len() < 1_000_000 {
        body += "[],";
    }
    body + "0]}"
}

/// What one client does; the status of its answer.
fn request(server: &Server, number: usize, series: &str) -> u16 {
    let slowly = |path: &str| {
        let stream = ask_and_stall(server, path);
        thread::sleep(STALL);
        read(stream).0
    };
    match number % 13 {
        0 => read(ask(server, "backups?limit=200")).0,
        1 => slowly("backups?limit=200"),
        2 => read(ask(server, "actions/large")).0,
        3 => slowly("actions/large"),
        4 => read(ask(server, "jobs/j")).0,
        5 => read(ask(server, "actions?limit=2")).0,
        6 => send(
            server,
            "GET",
            "backups?limit=3",
            r#"{"match": [{"number": "11"}]}"#,
        ),
        7 => {
            let change = r#"{"freezer_action": {"log_file": "/l"}}"#;
            send(server, "PATCH", "actions/large", change)
        }
        8 => send(server, "POST", "backups", &worst_body()),
        9 => read(ask(server, series)).0,
        10 => slowly(series),
        11 => read(ask_as("text/csv", server, series)).0,
        12 => read(ask(server, "report/backups/b001/restore")).0,
        _ => slowly("backups/b001"),
    }
}

on_each_engine! {
    async fn large_documents_of_many_clients_take_little(database: Database) {
        let server = start(&database, "[api]\nrequest_timeout = 100");
        fill(&database, 20, 1_000_000).await;
        add_large_documents(&database).await;
        assert_eq!(send(&server, "POST", "clients", r#"{"client_id": "c"}"#), 201);
        let series = format!("{}?limit=50", only_series(&database, &server));
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let polls = scope.spawn(|| {
                let mut polls = 0;
                while !is_done.load(Ordering::Relaxed) {
                    assert_eq!(read(ask(&server, "clients")).0, 200);
                    polls += 1;
                    thread::sleep(Duration::from_millis(50));
                }
                polls
            });
            let clients: Vec<_> = (0..CLIENTS).map(|number| {
                let (server, series) = (&server, series.as_str());
                scope.spawn(move || request(server, number, series))
            }).collect();
            for (number, client) in clients.into_iter().enumerate() {
                let status = client.join().unwrap();
                assert!([200, 201].contains(&status), "{number}: {status}");
            }
            is_done.store(true, Ordering::Relaxed);
            assert!(polls.join().unwrap() > 10);
        });
        let memory = server.most_memory();
        eprintln!("{:?}: {memory} KiB", database.engine());
        // SQLite works in the process itself, with copies and caches of its own.
        let own = if database.engine() == Engine::Sqlite { 64 * 1024 } else { 0 };
        assert!(memory < MAX_MEMORY + own, "{memory} KiB");
    }
}
