//! Database servers and servers of ours are broken for real while clients write; what was acknowledged is looked up afterwards.
//!
//! docs/reliability.md has the figures. `--nocapture` prints those of a run.

mod lab;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::task::block_in_place;

use crate::support::Engine;
use crate::support::disk::Disk;
use crate::support::galera::NODES;
use crate::support::network::Network;
use crate::support::tcp_proxy::TcpProxy;
use lab::{Api, DatabaseServer};
use ledger::{Figures, Ledger, Writer};

/// Clients of each of the two servers: more than these have connections.
const WRITERS: usize = 6;
/// How long all is well before and after a fault.
const WELL: Duration = Duration::from_millis(700);
/// How often a database is killed that loses something by chance.
const KILLS: usize = 8;
/// Longer than a cluster takes to notice anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client waits when nothing works.
const PAUSE: Duration = Duration::from_millis(50);
/// What an answer may take: `request_timeout`, and something for a machine that does more than one thing.
const LIMIT: Duration = Duration::from_secs(15);

/// For how long a node of a cluster stays cut off when it has noticed.
const CUT: Duration = Duration::from_secs(2);
/// The size of a disk that is to be full, in megabytes.
const DISK: u32 = 160;
/// How long bytes are under way to a slow database and back, each time, and for how long that is so.
const SLOW: Duration = Duration::from_millis(100);
const SLOW_FOR: Duration = Duration::from_secs(4);

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
    NodesRestarted,
}

/// Those of a single database.
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
            Fault::NodesRestarted => database.restart_each_node().await,
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
async fn scenario(name: &str, apis: &[Arc<Api>], fault: impl Future<Output = ()>) -> Ledger {
    let load = Load::start(apis, name).await;
    tokio::time::sleep(WELL).await;
    fault.await;
    let back = join_all(apis.iter().map(|api| api.recover())).await;
    tokio::time::sleep(WELL).await;
    let mut ledger = load.stop().await;
    for api in apis {
        ledger.look_up(api).await;
    }
    let figures = &ledger.figures;
    println!(
        "{name}: {} acknowledged, {} lost, {} doubled, {} torn; {:?}, {} unanswered; slowest {:.1?}, longest outage {:.1?}, back after {:.1?}",
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

/// What holds in each scenario, where no server of ours is killed.
fn holds(name: &str, figures: &Figures) {
    nothing_is_wrong(name, figures);
    assert_eq!(figures.unanswered, 0, "{name}");
}

/// What holds in all.
fn nothing_is_wrong(name: &str, figures: &Figures) {
    assert!(figures.acknowledged > 0, "{name}");
    assert!(figures.lost.is_empty(), "{name}: lost {:?}", figures.lost);
    let doubled = &figures.doubled;
    assert!(doubled.is_empty(), "{name}: doubled {doubled:?}");
    assert!(figures.torn.is_empty(), "{name}: torn {:?}", figures.torn);
    let known = figures
        .statuses
        .keys()
        .all(|status| matches!(status, 200 | 201 | 204 | 503));
    assert!(known, "{name}: {:?}", figures.statuses);
    assert!(figures.slowest < LIMIT, "{name}: {:?}", figures.slowest);
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
        let name = format!("{fault:?}");
        let ledger = scenario(&name, &apis, fault.strike(&mut database, &apis)).await;
        match fault {
            Fault::ServerKilled => nothing_is_wrong(&name, &ledger.figures),
            _ => holds(&name, &ledger.figures),
        }
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
        let name = format!("kill-{kill}");
        let ledger = scenario(&name, &apis, database.kill_and_restart()).await;
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
        Fault::NodesRestarted,
    ];
    nothing_is_lost(DatabaseServer::galera().await, NODES, &faults).await;
}

/// A node that the others do not hear any more, while its clients still do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera and root: ./test starts it"]
async fn galera_loses_nothing_to_a_cut_network() {
    let network = Arc::new(Network::create());
    let database = DatabaseServer::divided_galera(&network).await;
    let apis = servers(&database, NODES);
    let cut = async {
        network.cut();
        // The others go on without it after five seconds.
        let (last, start) = (apis.last().unwrap(), Instant::now());
        while !last.upgrade_check().contains("the node is not ready") {
            assert!(start.elapsed() < PATIENCE, "nothing was cut off");
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(CUT).await;
        network.mend();
    };
    let figures = scenario("cut-off", &apis, cut).await.figures;
    holds("cut-off", &figures);
    assert!(figures.statuses.contains_key(&503), "nothing was cut off");
}

/// The disk of the database is full for a while.
async fn a_full_disk_loses_nothing(engine: Engine) {
    let disk = Disk::mount(DISK);
    let mut database = DatabaseServer::on_disk(engine, &disk).await;
    let apis = servers(&database, 2);
    let full = database.be_full_for_a_while(&disk);
    let figures = scenario("full", &apis, full).await.figures;
    holds("full", &figures);
    assert!(figures.statuses.contains_key(&503), "the disk was not full");
}

/// The way to the database takes longer than all else together.
async fn a_slow_way_loses_nothing(database: DatabaseServer) {
    let proxy = TcpProxy::start(database.address()).await;
    let api = |_| Arc::new(Api::start_by(proxy.address(), &database));
    let apis: Vec<_> = (0..2).map(api).collect();
    let slow = async {
        proxy.delay(SLOW);
        tokio::time::sleep(SLOW_FOR).await;
        proxy.delay(Duration::ZERO);
    };
    holds("slow", &scenario("slow", &apis, slow).await.figures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: ./test asks for it"]
async fn full_disks_of_sqlite_lose_nothing() {
    a_full_disk_loses_nothing(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB and root: ./test starts it"]
async fn full_disks_of_mariadb_lose_nothing() {
    a_full_disk_loses_nothing(Engine::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and root: ./test starts it"]
async fn full_disks_of_postgres_lose_nothing() {
    a_full_disk_loses_nothing(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_loses_nothing_when_it_is_slow() {
    a_slow_way_loses_nothing(DatabaseServer::mariadb(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: ./test starts it"]
async fn postgres_loses_nothing_when_it_is_slow() {
    a_slow_way_loses_nothing(DatabaseServer::postgres(&[]).await).await;
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
