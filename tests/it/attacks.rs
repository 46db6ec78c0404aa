//! What strangers and tenants may send to hurt the service or each other. Whatever it is, the answers are those that it
//! deserves, none is a 5xx of ours, and meanwhile the health check and an honest client are served.

mod figures;
mod framing;
mod http2;
mod json;
mod reports;
mod slow;
mod targets;
mod tenancy;
mod texts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::server::{Connection, request};
use crate::support::process::Server;

/// The most resident memory that a server may have had, in KiB.
const MAX_MEMORY: u64 = 256 * 1024;

/// An honest client, which works while an attack goes on.
struct Bystander {
    stop: Arc<AtomicBool>,
    working: JoinHandle<Served>,
}

/// What a bystander got.
#[derive(Default)]
struct Served {
    rounds: u32,
    longest_health_check: Duration,
}

impl Bystander {
    fn start(address: SocketAddr) -> Bystander {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let working = thread::spawn(move || {
            let mut served = Served::default();
            while served.rounds == 0 || !is_over.load(Ordering::Relaxed) {
                round(address, &mut served);
            }
            // Once more, when the attack is over.
            round(address, &mut served);
            served
        });
        Bystander { stop, working }
    }

    fn end(self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        self.working.join().expect("the bystander is served")
    }
}

/// The health check, a change and a list, each of which must succeed.
fn round(address: SocketAddr, served: &mut Served) {
    let mut connection = Connection::to(address);
    let begun = Instant::now();
    connection.send(request("GET", "/healthcheck", ""));
    let answer = connection.answer().expect("the health check's answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK"));
    served.longest_health_check = served.longest_health_check.max(begun.elapsed());
    for (method, body, status) in [
        ("POST", r#"{"client_id": "honest"}"#, 201),
        ("GET", "", 200),
    ] {
        connection.send(request(method, "/v2/bystander/clients", body));
        let answer = connection.answer().expect("the bystander's answer");
        assert_eq!(answer.status, status, "{answer:?}");
    }
    served.rounds += 1;
}

/// Runs an attack beside an honest client. No request may be answered with 5xx, nor much memory be used.
fn attack<T>(server: &Server, what: &str, attack: impl FnOnce() -> T) -> T {
    let bystander = Bystander::start(server.address());
    let result = attack();
    let served = bystander.end();
    let memory = server.most_memory();
    eprintln!(
        "{what}: {} honest rounds, the longest health check {:?}, at most {memory} KiB",
        served.rounds, served.longest_health_check
    );
    assert!(memory < MAX_MEMORY, "{what}: {memory} KiB");
    let output = server.output();
    let failed = output
        .lines()
        .find(|line| line.contains(" status=5") || line.contains(" ERROR "));
    assert_eq!(failed, None, "{what}");
    result
}
