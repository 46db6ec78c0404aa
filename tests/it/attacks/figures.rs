//! What attacks cost, in figures: how often an honest client is served alone and meanwhile, the longest health check, and the most
//! memory of the service and of its database. docs/attacks.md has those of a run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http2::rapid_reset;
use super::{Bystander, MAX_MEMORY, Served};
use crate::large_lists::fill;
use crate::memory::worst_body;
use crate::server::{Connection, PATIENCE, ask, connect, connect_from, request, start};
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::process::Server;
use crate::support::{Database, Engine, PROJECT, provided};

/// Seconds for each attack where they are not given: for the run, not for figures.
const SHORT: f64 = 0.1;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long connections are held.
const HOLD: Duration = Duration::from_millis(500);

/// An attack: its name, how many clients make it at once, and what each does again and again. That gives the status of the answer,
/// 0 where there is none.
type Attack = (&'static str, u8, fn(&Server) -> u16);

const ATTACKS: [Attack; 11] = [
    ("a search of 15,000 pairs", 8, many_pairs),
    (
        "searches of 50 pairs through actions of 660 kB",
        8,
        hard_search,
    ),
    ("lists of 60 backups of 0.9 MB", 12, large_list),
    (
        "searches through them, with `limit=1`",
        12,
        search_of_large_list,
    ),
    (
        "a job that names an action of 900 kB 300 times",
        8,
        repeated_action,
    ),
    ("defaults of 200 kB for 200 actions", 8, large_defaults),
    ("bodies of 1 MB in 330,000 values", 16, worst_values),
    (
        "200 requests on a connection that is not read",
        64,
        unread_pipeline,
    ),
    ("targets of 50 kB", 8, long_target),
    ("streams that are reset at once (HTTP/2)", 4, resets),
    ("100 connections with half a header", 8, half_headers),
];

const HEAD: &str = "| attack | clients | answers | honest rounds a second alone | meanwhile | longest health check, ms | memory of the service, MiB | of the database, MiB |";

fn at(path: &str) -> String {
    format!("/v2/{PROJECT}/{path}")
}

/// What an attacker sends is made once: it is the service that is to work.
fn many_pairs(server: &Server) -> u16 {
    static SEARCH: LazyLock<String> = LazyLock::new(|| {
        let pair = |number| json!({format!("k{number}"): "v"});
        json!({"match": (0..15_000).map(pair).collect::<Vec<_>>()}).to_string()
    });
    ask(server, "GET", &at("actions"), &SEARCH).status
}

fn hard_search(server: &Server) -> u16 {
    let pairs: Vec<_> = (0..50)
        .map(|number| json!({format!("k{number}"): "v"}))
        .collect();
    ask(
        server,
        "GET",
        &at("actions?limit=10"),
        &json!({"match_not": pairs}).to_string(),
    )
    .status
}

fn large_list(server: &Server) -> u16 {
    crate::large_lists::read(crate::large_lists::ask(server, "backups?limit=60")).0
}

fn search_of_large_list(server: &Server) -> u16 {
    let search = json!({"match": [{"number": "59"}]});
    // Longer than any request may take: those of an attacker wait for each other.
    let stream = connect(server.address());
    stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
    let mut connection = Connection(stream);
    connection.send(request("GET", &at("backups?limit=1"), &search.to_string()));
    connection.answer().expect("an answer").status
}

fn repeated_action(server: &Server) -> u16 {
    static JOB: LazyLock<String> = LazyLock::new(|| {
        let entries = vec![json!({"action_id": "large"}); 300];
        json!({"client_id": "c", "job_actions": entries}).to_string()
    });
    ask(server, "POST", &at("jobs"), &JOB).status
}

fn large_defaults(server: &Server) -> u16 {
    static JOB: LazyLock<String> = LazyLock::new(|| {
        let defaults = json!({"action": "exec", "command": "x".repeat(200_000)});
        let entries = vec![json!({}); 200];
        json!({"client_id": "c", "action_defaults": defaults, "job_actions": entries}).to_string()
    });
    ask(server, "POST", &at("jobs"), &JOB).status
}

fn worst_values(server: &Server) -> u16 {
    static BODY: LazyLock<String> = LazyLock::new(worst_body);
    ask(server, "POST", "/v2/other/backups", &BODY).status
}

fn unread_pipeline(server: &Server) -> u16 {
    let requests = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", at("clients"));
    hold(server, &requests.repeat(200), 1)
}

fn long_target(server: &Server) -> u16 {
    static TARGET: LazyLock<String> = LazyLock::new(|| format!("/{}", "y".repeat(50_000)));
    ask(server, "GET", &TARGET, "").status
}

fn resets(server: &Server) -> u16 {
    rapid_reset(server);
    0
}

fn half_headers(server: &Server) -> u16 {
    hold(server, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 100)
}

/// Sends a text on so many connections, and keeps them open for a while.
fn hold(server: &Server, text: &str, connections: usize) -> u16 {
    let open = || {
        let mut stream = connect(server.address());
        stream.set_write_timeout(Some(HOLD)).unwrap();
        // The server stops reading where nobody reads what it writes.
        let _ = stream.write_all(text.as_bytes());
        stream
    };
    let held: Vec<TcpStream> = (0..connections).map(|_| open()).collect();
    thread::sleep(HOLD);
    drop(held);
    0
}

/// Private memory of processes, in KiB. One that has just ended has none.
fn memory(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    processes.iter().filter_map(of).sum()
}

/// Counts of answers by their status.
type Statuses = BTreeMap<u16, usize>;

/// What an attack came to.
struct Figures {
    statuses: Statuses,
    served: Served,
    seconds: f64,
    most_of_database: u64,
}

/// One attacker, who goes on until it is over.
fn attacker(
    server: &Server,
    act: fn(&Server) -> u16,
    number: u8,
    is_over: &AtomicBool,
) -> Statuses {
    // Attackers have machines of their own: this one is for the service first, and for the honest client.
    connect_from([127, 0, 1, number]);
    rustix::process::setpriority_process(None, 19).unwrap();
    let mut statuses = Statuses::new();
    while statuses.is_empty() || !is_over.load(Ordering::Relaxed) {
        *statuses.entry(act(server)).or_insert(0) += 1;
    }
    statuses
}

/// Makes an attack for some time.
fn make(
    server: &Server,
    attack: &Attack,
    time: Duration,
    processes: &dyn Fn() -> Vec<u32>,
) -> Figures {
    let (_, attackers, act) = *attack;
    let is_over = AtomicBool::new(false);
    let begun = Instant::now();
    let bystander = Bystander::start(server.address());
    let (mut statuses, mut most_of_database) = (Statuses::new(), 0);
    thread::scope(|scope| {
        let is_over = &is_over;
        let attackers: Vec<_> = (1..=attackers)
            .map(|number| scope.spawn(move || attacker(server, act, number, is_over)))
            .collect();
        while begun.elapsed() < time {
            most_of_database = most_of_database.max(memory(&processes()));
            thread::sleep(LOOK);
        }
        is_over.store(true, Ordering::Relaxed);
        for attacker in attackers {
            for (status, count) in attacker.join().unwrap() {
                *statuses.entry(status).or_insert(0) += count;
            }
        }
    });
    Figures {
        statuses,
        seconds: begun.elapsed().as_secs_f64(),
        served: bystander.end(),
        most_of_database,
    }
}

/// Rounds of an honest client in a second, with nobody else there.
fn rate_alone(server: &Server, time: Duration) -> f64 {
    let bystander = Bystander::start(server.address());
    let begun = Instant::now();
    thread::sleep(time);
    let seconds = begun.elapsed().as_secs_f64();
    f64::from(bystander.end().rounds) / seconds
}

/// Makes all attacks on a database, and prints a row for each.
async fn figures(database: Database, processes: &dyn Fn() -> Vec<u32>) {
    let long = provided("FREEZER_TEST_ATTACKS").map(|seconds| seconds.parse().unwrap());
    let time = Duration::from_secs_f64(long.unwrap_or(SHORT));
    let server = start(&database, "");
    fill(&database, 60, 900_000).await;
    for (id, bytes) in [("large", 900_000), ("one", 660_000), ("two", 660_000)] {
        let action =
            json!({"action_id": id, "freezer_action": {"action": "exec", "x": "x".repeat(bytes)}});
        let made = ask(&server, "POST", &at("actions"), &action.to_string());
        assert_eq!(made.status, 201);
    }
    println!("{HEAD}");
    for attack in &ATTACKS {
        let (name, clients, _) = attack;
        let alone = rate_alone(&server, time);
        server.forget_most_memory();
        let figures = make(&server, attack, time, processes);
        let meanwhile = f64::from(figures.served.rounds) / figures.seconds;
        let health = figures.served.longest_health_check;
        let (most, of_database) = (server.most_memory(), figures.most_of_database);
        println!(
            "| {name} | {clients} | {:?} | {alone:.0} | {meanwhile:.0} | {} | {} | {} |",
            figures.statuses,
            health.as_millis(),
            most / 1024,
            of_database / 1024,
        );
        assert!(!figures.statuses.contains_key(&500), "{name}");
        assert!(most < MAX_MEMORY, "{name}: {most} KiB");
        // Times are looked at where the machine does nothing else.
        assert!(
            long.is_none() || health < Duration::from_secs(1),
            "{name}: {health:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb() {
    let server = MariaDb::start(&[]).await;
    let url = format!("mysql+pymysql://root@127.0.0.1:{}/", server.port());
    figures(Database::create_on(Engine::MySql, url).await, &|| {
        vec![server.id()]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres() {
    let server = Postgres::start(&[]).await;
    let url = format!("postgresql+psycopg2://root@127.0.0.1:{}/", server.port());
    figures(Database::create_on(Engine::Postgres, url).await, &|| {
        server.processes()
    })
    .await;
}
