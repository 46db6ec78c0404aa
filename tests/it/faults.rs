//! Database servers and servers of ours are broken for real while clients write; what was acknowledged is looked up afterwards.
//!
//! docs/reliability.md has the figures. `--nocapture` prints those of a run.

mod lab;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::block_in_place;

use crate::support::galera::NODES;
use lab::{Api, DatabaseServer};
use ledger::{Figures, Ledger, Writer};

/// Clients of each of the two servers: more than these have connections.
const WRITERS: usize = 6;
/// How long all is well before and after a fault.
const WELL: Duration = Duration::from_millis(700);
/// How often a database is killed that loses something by chance.
const KILLS: usize = 8;
/// How long a client waits when nothing works.
const PAUSE: Duration = Duration::from_millis(50);
/// What an answer may take: `request_timeout`, and something for a machine that does more than one thing.
const LIMIT: Duration = Duration::from_secs(15);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    DatabaseKilled,
    DatabaseFrozen,
    DatabaseReadOnly,
    ConnectionsKilled,
    ConnectionsHeld,
    ServerKilled,
    ServerReplaced,
}

const FAULTS: [Fault; 7] = [
    Fault::DatabaseKilled,
    Fault::DatabaseFrozen,
    Fault::DatabaseReadOnly,
    Fault::ConnectionsKilled,
    Fault::ConnectionsHeld,
    Fault::ServerKilled,
    Fault::ServerReplaced,
];

impl Fault {
    async fn strike(self, database: &mut DatabaseServer, apis: &[Arc<Api>]) {
        match self {
            Fault::DatabaseKilled => database.kill_and_restart().await,
            Fault::DatabaseFrozen => database.freeze_for_a_while().await,
            Fault::DatabaseReadOnly => database.be_read_only_for_a_while().await,
            Fault::ConnectionsKilled => database.kill_connections_for_a_while().await,
            Fault::ConnectionsHeld => database.hold_all_connections_for_a_while().await,
            Fault::ServerKilled => block_in_place(|| apis[0].kill_and_restart()),
            Fault::ServerReplaced => drop(block_in_place(|| apis[0].replace().stop())),
        }
    }
}

/// Writers at work, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<Writer>>,
}

impl Load {
    /// Starts it; the name makes its documents differ from those of others.
    async fn start(apis: &[Arc<Api>], name: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for number in 0..WRITERS * apis.len() {
            let api = Arc::clone(&apis[number % apis.len()]);
            let mut writer = Writer::start(&api, format!("{name}-{number}")).await;
            let stop = Arc::clone(&stop);
            writers.push(tokio::spawn(async move {
                let mut rounds = 0..;
                while !stop.load(Ordering::Relaxed) {
                    let before = writer.ledger.figures.acknowledged;
                    writer.round(&api, rounds.next().unwrap()).await;
                    if writer.ledger.figures.acknowledged == before {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                writer
            }));
        }
        Load { stop, writers }
    }

    /// Stops it; what was acknowledged.
    async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for writer in join_all(self.writers).await {
            ledger.add(writer.unwrap().ledger);
        }
        ledger
    }
}

/// A fault under load, and the ledger once it is over, looked up on each server. The documents begin with the name.
async fn scenario(
    fault: Fault,
    name: &str,
    database: &mut DatabaseServer,
    apis: &[Arc<Api>],
) -> Ledger {
    let load = Load::start(apis, name).await;
    tokio::time::sleep(WELL).await;
    fault.strike(database, apis).await;
    let back = join_all(apis.iter().map(|api| api.recover())).await;
    tokio::time::sleep(WELL).await;
    let mut ledger = load.stop().await;
    for api in apis {
        ledger.look_up(api).await;
    }
    let figures = &ledger.figures;
    println!(
        "{fault:?}: {} acknowledged, {} lost, {} doubled, {} torn; {:?}, {} unanswered; slowest {:.1?}, longest outage {:.1?}, back after {:.1?}",
        figures.acknowledged,
        figures.lost.len(),
        figures.doubled.len(),
        figures.torn.len(),
        figures.statuses,
        figures.unanswered,
        figures.slowest,
        figures.outage,
        back.iter().max().unwrap(),
    );
    ledger
}

/// What holds in each scenario.
fn holds(fault: Fault, figures: &Figures) {
    assert!(figures.acknowledged > 0, "{fault:?}");
    assert!(
        figures.lost.is_empty(),
        "{fault:?}: lost {:?}",
        figures.lost
    );
    assert!(
        figures.doubled.is_empty(),
        "{fault:?}: doubled {:?}",
        figures.doubled
    );
    assert!(
        figures.torn.is_empty(),
        "{fault:?}: torn {:?}",
        figures.torn
    );
    let known = figures
        .statuses
        .keys()
        .all(|status| matches!(status, 200 | 201 | 204 | 503));
    assert!(known, "{fault:?}: {:?}", figures.statuses);
    assert!(figures.slowest < LIMIT, "{fault:?}: {:?}", figures.slowest);
    if fault != Fault::ServerKilled {
        assert_eq!(figures.unanswered, 0, "{fault:?}");
    }
}

/// Some servers of ours.
fn servers(database: &DatabaseServer, count: usize) -> Vec<Arc<Api>> {
    let server = |number| Arc::new(Api::start(database, number));
    (0..count).map(server).collect()
}

/// Faults, one after the other, on one database; then what the ledger says when somebody takes a row away and doubles another.
async fn nothing_is_lost(mut database: DatabaseServer, servers_of_ours: usize, faults: &[Fault]) {
    let apis = servers(&database, servers_of_ours);
    let mut last = None;
    for fault in faults.iter().copied() {
        let ledger = scenario(fault, &format!("{fault:?}"), &mut database, &apis).await;
        holds(fault, &ledger.figures);
        last = Some(ledger);
    }
    let mut ledger = last.unwrap();
    let (session, backup) = ledger.samples();
    let statements = [
        format!("DELETE FROM sessions WHERE id = '{session}'"),
        format!(
            "INSERT INTO backups (id, job_id, project_id, user_id, status, backup_metadata, deleted, created_at) \
             SELECT 'again', job_id, project_id, user_id, status, backup_metadata, deleted, created_at \
             FROM backups WHERE backup_metadata LIKE '%\"{backup}\"%' AND backup_metadata NOT LIKE '%counter%'"
        ),
    ];
    for statement in statements {
        database.run(&statement).await;
    }
    ledger.look_up(&apis[0]).await;
    assert_eq!(
        (ledger.figures.lost.len(), ledger.figures.doubled.len()),
        (1, 1)
    );
}

/// The control: what a database that acknowledges before it has written anything loses when it is killed is found. Chance
/// decides whether it has written just then.
async fn a_loss_is_found(mut database: DatabaseServer) {
    let apis = servers(&database, 1);
    for kill in 0..KILLS {
        let name = format!("{kill}");
        let ledger = scenario(Fault::DatabaseKilled, &name, &mut database, &apis).await;
        if !ledger.figures.lost.is_empty() {
            return;
        }
    }
    panic!("nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_loses_nothing() {
    let database = DatabaseServer::mariadb(&["--innodb-flush-log-at-trx-commit=1"]).await;
    nothing_is_lost(database, 2, &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_loses_nothing() {
    nothing_is_lost(DatabaseServer::postgres(&[]).await, 2, &FAULTS).await;
}

/// A server on each node; the last node is broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn galera_loses_nothing() {
    let faults = [
        Fault::DatabaseKilled,
        Fault::DatabaseFrozen,
        Fault::DatabaseReadOnly,
        Fault::ConnectionsKilled,
    ];
    nothing_is_lost(DatabaseServer::galera().await, NODES, &faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_that_acknowledges_early_is_found() {
    let options = [
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-log-at-timeout=1000",
    ];
    a_loss_is_found(DatabaseServer::mariadb(&options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_that_acknowledges_early_is_found() {
    let settings = [
        "synchronous_commit=off",
        "wal_writer_delay=10s",
        "wal_writer_flush_after=1GB",
    ];
    a_loss_is_found(DatabaseServer::postgres(&settings).await).await;
}
