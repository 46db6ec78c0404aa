//! Two nodes of one service: one of them has the rounds and keeps the series, and the other goes on when it is killed.

use std::time::{Duration, Instant};

use freezer_api::clock::Clock;
use futures_util::future::join_all;
use rustix::process::Signal;

use crate::galera::cluster;
use crate::migrations::schema::texts;
use crate::plans::{numbered, numbers};
use crate::support::process::Server;
use crate::support::{Database, Engine, Service, engines, provided, rows};

/// Jobs, and as many backups; every second job has a run.
const ROWS: usize = 1_000;
/// How soon another node has to be there.
const LIMIT: Duration = Duration::from_secs(30);

/// So much that a round takes its time.
async fn fill(database: &Database) {
    let engine = database.engine();
    let created = match engine {
        Engine::Sqlite => "'2024-01-01 00:00:00.000000'",
        Engine::MySql | Engine::Postgres => "'2024-01-01 00:00:00'",
    };
    let (id, all) = (numbered(engine, "id", "n", ""), numbers(engine, ROWS));
    let client = numbered(engine, "c", "n % 20", "");
    let metadata = numbered(engine, "{\"backup_name\":\"b", "n % 40", "\"}");
    let jobs = format!(
        "INSERT INTO jobs (id, project_id, user_id, client_id, session_tag, description, schedule, deleted, created_at) SELECT {id}, 'p1', 'u', \
         {client}, 0, '', '{{\"schedule_interval\":\"1 hours\",\"status\":\"scheduled\"}}', FALSE, {created} FROM {all}"
    );
    let backups = format!(
        "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted, created_at) SELECT {id}, 'p1', 'u', \
         'available', {metadata}, FALSE, {created} FROM {all}"
    );
    let now = Clock::System.timestamp();
    let runs = format!(
        "INSERT INTO freezer_api_runs (id, project_id, job_id, client_id, state, attempts, started_at, ended_at, seen_started_at, seen_ended_at) \
         SELECT {id}, 'p1', {id}, {client}, 'success', 1, {now}, {now}, {now}, {now} FROM {all} WHERE n % 2 = 0"
    );
    rows::execute_all(database, [jobs, backups, runs]).await;
}

fn start(url: &str) -> Server {
    let configuration = format!("[database]\nconnection = {url}\n");
    let server = Server::start(&configuration, &["--dev"]);
    server.unwrap_or_else(|ended| panic!("{}", ended.output))
}

/// Waits until so many rows of a table fulfil a condition.
async fn wait(
    database: &Database,
    table: &str,
    condition: &str,
    is_enough: impl Fn(usize) -> bool,
) {
    let began = Instant::now();
    loop {
        let count = database.rows(table, condition).await;
        if is_enough(usize::try_from(count).unwrap()) {
            return;
        }
        let waited = began.elapsed();
        assert!(
            waited < 4 * LIMIT,
            "{:?}: {count} rows of {table} are {condition}",
            database.engine()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn holders(database: &Database) -> Vec<String> {
    texts(
        database,
        "SELECT holder FROM freezer_api_leases ORDER BY name",
    )
    .await
}

/// One of two nodes is killed in a round. What both have done is as if one had done it.
async fn one_goes_on(database: &Database, nodes: [&str; 2]) {
    let _tables = Service::start(database).await;
    fill(database).await;
    let first = start(nodes[0]);
    wait(database, "freezer_api_problems", "1 = 1", |count| count > 0).await;
    wait(database, "freezer_api_leases", "1 = 1", |count| count == 2).await;
    let _second = start(nodes[1]);
    let held_by = holders(database).await;
    first.signal(Signal::KILL);
    first.end();
    let killed = Instant::now();
    assert_eq!(holders(database).await, held_by);
    let open = database
        .rows("freezer_api_leases", "name = 'rounds' AND done_at IS NULL")
        .await;
    assert_eq!(
        open,
        1,
        "{:?}: it was killed behind its round",
        database.engine()
    );
    let is_other = |holders: Vec<String>| {
        holders
            .iter()
            .zip(&held_by)
            .all(|(now, before)| now != before)
    };
    while !is_other(holders(database).await) {
        let waited = killed.elapsed();
        assert!(waited < LIMIT, "{:?}: nobody went on", database.engine());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!(
        "{:?}: taken over after {:.1} s",
        database.engine(),
        killed.elapsed().as_secs_f64()
    );
    wait(
        database,
        "freezer_api_leases",
        "done_at IS NOT NULL",
        |count| count == 2,
    )
    .await;
    let all_runs = format!(
        "project_id = '*' AND state = 'success' AND runs = {}",
        ROWS / 2
    );
    for (table, condition, count) in [
        ("freezer_api_hosts", "jobs = 50", 20),
        ("freezer_api_problems", "urgency = 30", ROWS / 2),
        ("freezer_api_problems", "job_id IS NOT NULL", ROWS / 2),
        ("freezer_api_run_days", &all_runs, 1),
        ("freezer_api_run_days", "1 = 1", 2),
        ("freezer_api_series", "backups = 25", 40),
        ("freezer_api_backup_series", "1 = 1", ROWS),
    ] {
        let found = usize::try_from(database.rows(table, condition).await).unwrap();
        assert_eq!(found, count, "{:?}: {table} {condition}", database.engine());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_goes_on_with_the_rounds_of_one_that_is_killed() {
    let alone = join_all(engines().into_iter().map(async |engine| {
        let database = Database::create(engine).await;
        let url = database.url();
        one_goes_on(&database, [&url, &url]).await;
    }));
    let together = async {
        if provided("FREEZER_TEST_GALERA_URLS").is_some() {
            let (database, urls) = cluster().await;
            one_goes_on(&database, [&urls[0], &urls[1]]).await;
        }
    };
    tokio::join!(alone, together);
}
