//! Writers on three nodes whose connections have nothing prepared: the workloads in which updates were lost before ADR 5.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{cluster, send, unprepared_servers};
use crate::support::{Database, Service, rounds};

/// Rounds in the short form.
const ROUNDS: usize = 30;
/// Writers that count, on each node.
const WRITERS: usize = 2;
/// Reads of the job on each node while it changes.
const READS: usize = 4;

/// What the rounds came to.
#[derive(Debug, Default)]
struct Figures {
    acknowledged: usize,
    unavailable: usize,
    reads: usize,
    lost: Vec<String>,
    torn: Vec<String>,
}

impl Figures {
    /// Counts an answer to a write; whether it was acknowledged.
    fn answered(&mut self, status: u16) -> bool {
        match status {
            200 | 204 => self.acknowledged += 1,
            // Too many rivals, every time.
            503 => self.unavailable += 1,
            other => panic!("a write was answered by {other}"),
        }
        status != 503
    }

    /// Checks that a job shows one change: its description names the one that its actions came with.
    fn is_whole(&mut self, job: &Value) {
        self.reads += 1;
        let name = job["description"].as_str().unwrap();
        let actions = job["job_actions"].as_array().unwrap();
        let of_change = |action: &Value| action["freezer_action"]["command"] == name;
        if actions.len() != 2 || !actions.iter().all(of_change) {
            self.torn.push(job.to_string());
        }
    }
}

/// A change of all that a job is made of.
fn change(name: &str) -> Value {
    let action = json!({"freezer_action": {"action": "exec", "command": name}});
    json!({"description": name, "job_actions": [action.clone(), action]})
}

/// What all writers of a round are given.
struct Round {
    servers: Vec<Arc<Service>>,
    job: String,
    member: String,
    counter: String,
    number: usize,
}

impl Round {
    async fn prepare(database: &Database, urls: &[String], number: usize) -> Round {
        let servers = unprepared_servers(database, urls).await;
        let mut job = change("0");
        job["client_id"] = json!("c");
        let job = servers[0].created("jobs", job, "job_id").await;
        let job = format!("jobs/{job}");
        let session = servers[0].session().await;
        let member = format!("sessions/{session}/{job}");
        servers[0].put(&member).await.expect(204);
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
        let backup = servers[0].created("backups", backup, "backup_id").await;
        Round {
            servers,
            job,
            member,
            counter: format!("backups/{backup}"),
            number,
        }
    }

    /// All writers and readers at once.
    async fn run(&self, figures: &mut Figures) {
        let leaving = send(&self.servers[0], "DELETE", self.member.clone(), Value::Null);
        let changes = (0..self.servers.len()).map(|node| {
            let name = format!("{}-{node}", self.number);
            let body = change(&name);
            let sending = send(&self.servers[node], "PATCH", self.job.clone(), body);
            async move { (name, sending.await) }
        });
        let counts = (0..self.servers.len() * WRITERS).map(|writer| {
            let key = format!("n{writer}");
            let body = json!({"backup_metadata": {key.clone(): self.number}});
            let server = &self.servers[writer / WRITERS];
            let sending = send(server, "PATCH", self.counter.clone(), body);
            async move { (key, sending.await) }
        });
        let reads = self.servers.iter().flat_map(|server| {
            (0..READS).map(move |_| async move { server.get(&self.job).await.expect(200).json() })
        });
        let (left, changes, counts, reads) = tokio::join!(
            leaving,
            futures_util::future::join_all(changes),
            futures_util::future::join_all(counts),
            futures_util::future::join_all(reads),
        );
        reads.iter().for_each(|job| figures.is_whole(job));
        let left = figures.answered(left);
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (name, status) in changes {
            if figures.answered(status) {
                names.insert(name);
            }
        }
        let counted: Vec<String> = counts
            .into_iter()
            .filter(|(_, status)| figures.answered(*status))
            .map(|(key, _)| key)
            .collect();
        for server in &self.servers {
            self.look_up(server, left, &names, &counted, figures).await;
        }
    }

    /// What was acknowledged is there on this node.
    async fn look_up(
        &self,
        server: &Service,
        left: bool,
        names: &BTreeSet<String>,
        counted: &[String],
        figures: &mut Figures,
    ) {
        let job = server.get(&self.job).await.expect(200).json();
        figures.is_whole(&job);
        if left && job["session_id"] != "" {
            figures.lost.push(format!("{} of {job}", self.member));
        }
        let name = job["description"].as_str().unwrap();
        if !names.is_empty() && !names.contains(name) {
            figures.lost.push(format!("{names:?} of {job}"));
        }
        let counter = server.get(&self.counter).await.expect(200).json();
        for key in counted {
            if counter["backup_metadata"][key] != self.number {
                figures.lost.push(format!("{key} of {counter}"));
            }
        }
    }
}

/// How many transactions the nodes have aborted for another's: while these ran, and when they committed.
async fn aborts(urls: &[String]) -> (u64, u64) {
    let (mut while_running, mut at_commit) = (0, 0);
    for url in urls {
        while_running += super::status(url, "wsrep_local_bf_aborts").await;
        at_commit += super::status(url, "wsrep_local_cert_failures").await;
    }
    (while_running, at_commit)
}

/// With `FREEZER_TEST_ROUNDS=2000` the long form (docs/reliability.md).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn nothing_is_lost_or_torn_on_new_connections() {
    let (database, urls) = cluster().await;
    let first = unprepared_servers(&database, &urls[..1]).await.remove(0);
    first.client("c").await;
    drop(first);
    let before = aborts(&urls).await;
    let mut figures = Figures::default();
    for number in 1..=rounds(ROUNDS) {
        let round = Round::prepare(&database, &urls, number).await;
        round.run(&mut figures).await;
        if number % 100 == 0 {
            println!("{number} rounds: {figures:?}");
        }
    }
    let after = aborts(&urls).await;
    let (while_running, at_commit) = (after.0 - before.0, after.1 - before.1);
    println!("{figures:?}, aborted: {while_running} while running, {at_commit} at commit");
    assert!(figures.lost.is_empty(), "{:?}", figures.lost);
    assert!(figures.torn.is_empty(), "{:?}", figures.torn);
    assert!(while_running > 0, "nothing was put to the test");
}
