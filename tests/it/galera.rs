//! What holds when three servers write on three nodes of one Galera cluster.

mod histories;
mod lost_commits;
mod node;
mod rounds;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use freezer_api::config::Config;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

use crate::client_activity::write_at_once;
use crate::races_of_clients::withdraw;
use crate::support::{Database, Engine, Service, needed, rounds};

/// How often each writer writes.
const ROUNDS: usize = 40;
/// Requests at once on each node.
const WRITERS: usize = 2;

/// A fresh database of the cluster, and its servers.
pub(crate) async fn cluster() -> (Database, Vec<String>) {
    let nodes: Vec<String> = needed("FREEZER_TEST_GALERA_URLS")
        .split(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    let database = Database::create_on(Engine::MySql, nodes[0].clone()).await;
    let url = database.url();
    let urls = nodes
        .iter()
        .map(|node| url.replace(&nodes[0], node))
        .collect();
    (database, urls)
}

/// A server on each node. Reads see what any node has acknowledged.
async fn servers(database: &Database, urls: &[String]) -> Vec<Arc<Service>> {
    servers_with(database, urls, |_| {}).await
}

/// The same, each with a new connection, with nothing prepared, for each unit of work.
async fn unprepared_servers(database: &Database, urls: &[String]) -> Vec<Arc<Service>> {
    let never_keep = |config: &mut Config| config.database.connection_recycle_time = 0;
    servers_with(database, urls, never_keep).await
}

async fn servers_with(
    database: &Database,
    urls: &[String],
    change: impl Fn(&mut Config),
) -> Vec<Arc<Service>> {
    let mut servers = Vec::new();
    for url in urls {
        let server = Service::with(database, |config| {
            config.database.connection = Some(url.parse().unwrap());
            config.database.mysql_wsrep_sync_wait = Some(1);
            change(config);
        });
        servers.push(Arc::new(server.await));
    }
    servers
}

/// A connection to a node.
async fn connect(url: &str) -> MySqlConnection {
    let url = url.replace("mysql+pymysql", "mysql");
    MySqlConnection::connect(&url).await.unwrap()
}

/// A number that a node shows under this name.
async fn status(url: &str, name: &str) -> u64 {
    let mut node = connect(url).await;
    let query = format!("SHOW GLOBAL STATUS LIKE '{name}'");
    let (_, value): (String, String) = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .fetch_one(&mut node)
        .await
        .unwrap();
    value.parse().unwrap()
}

/// What a node logged of one connection: kind of command (`Query`, `Prepare`, `Execute`, …) and text.
type Log = Vec<(String, String)>;

/// Everything that a node logged of the connections to this database since it logs.
async fn logs_of(node: &mut MySqlConnection, database: &str) -> Vec<Log> {
    let rows: Vec<(i64, String, String)> = sqlx::query_as(
        "SELECT CAST(thread_id AS SIGNED), CAST(command_type AS CHAR), CONVERT(argument USING utf8mb4) FROM mysql.general_log",
    )
    .fetch_all(node)
    .await
    .unwrap();
    let mut logs: HashMap<i64, Log> = HashMap::new();
    for (thread, command, text) in rows {
        logs.entry(thread).or_default().push((command, text));
    }
    let connects = |log: &Log| matches!(log.first(), Some((kind, text)) if kind == "Connect" && text.contains(database));
    logs.into_values().filter(connects).collect()
}

/// The statements that a connection prepared inside of transactions that it committed, and how many transactions these were.
fn prepared_in_committed(log: &Log) -> (Vec<&str>, usize) {
    let (mut found, mut committed) = (Vec::new(), 0);
    let mut open: Option<Vec<&str>> = None;
    for (command, text) in log {
        match (command.as_str(), text.as_str()) {
            ("Query", "BEGIN") => open = Some(Vec::new()),
            ("Query", "ROLLBACK") => open = None,
            ("Query", "COMMIT") => {
                found.extend(open.take().expect("COMMIT in a transaction"));
                committed += 1;
            }
            ("Prepare", text) => open.iter_mut().for_each(|prepared| prepared.push(text)),
            _ => {}
        }
    }
    (found, committed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn nothing_is_prepared_in_a_transaction_that_commits() {
    let (database, urls) = cluster().await;
    let server = unprepared_servers(&database, &urls[..1]).await.remove(0);
    let name = urls[0].rsplit('/').next().unwrap();
    let address = database.sqlx_url();
    let mut node = MySqlConnection::connect(&address).await.unwrap();
    for statement in [
        "SET GLOBAL log_output = 'TABLE'",
        "SET GLOBAL general_log = ON",
    ] {
        node.execute(statement).await.unwrap();
    }
    every_kind_of_write(&server).await;
    node.execute("SET GLOBAL general_log = OFF").await.unwrap();
    let logs = logs_of(&mut node, name).await;
    let mut transactions = 0;
    for log in &logs {
        let (prepared, committed) = prepared_in_committed(log);
        assert!(prepared.is_empty(), "{prepared:?}");
        transactions += committed;
    }
    assert!(
        transactions >= 12,
        "{transactions} in {} connections",
        logs.len()
    );
}

async fn every_kind_of_write(server: &Service) {
    server.client("c").await;
    let action = json!({"freezer_action": {"action": "backup"}});
    let action = server.created("actions", action, "action_id").await;
    let patch = json!({"freezer_action": {"mode": "fs"}});
    server
        .patch(&format!("actions/{action}"), patch)
        .await
        .expect(200);
    let (session, job) = (server.session().await, server.job("c").await);
    let member = format!("sessions/{session}/jobs/{job}");
    server.put(&member).await.expect(204);
    let start = json!({"start": {"job_id": job, "current_tag": 0}});
    server
        .post(&format!("sessions/{session}/action"), start)
        .await
        .expect(202);
    let event = json!({"start": null});
    server
        .post(&format!("jobs/{job}/event"), event)
        .await
        .expect(202);
    let patch = json!({"description": "d"});
    server
        .patch(&format!("jobs/{job}"), patch)
        .await
        .expect(200);
    server.delete(&member).await.expect(204);
    let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
    let backup = server.created("backups", backup, "backup_id").await;
    for path in ["backups", "jobs", "sessions", "actions", "clients"]
        .into_iter()
        .zip([backup, job, session, action, "c".to_owned()])
    {
        server
            .delete(&format!("{}/{}", path.0, path.1))
            .await
            .expect(204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn no_acknowledged_patch_is_lost() {
    let (database, urls) = cluster().await;
    let servers = unprepared_servers(&database, &urls).await;
    let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
    let id = servers[0].created("backups", backup, "backup_id").await;
    let path = format!("backups/{id}");
    let writers: Vec<_> = servers
        .iter()
        .enumerate()
        .flat_map(|(node, server)| (0..WRITERS).map(move |writer| (node, writer, server)))
        .map(|(node, writer, server)| {
            let (server, path) = (Arc::clone(server), path.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for round in 0..ROUNDS {
                    let key = format!("{node}-{writer}-{round}");
                    let patch = json!({"backup_metadata": {key.clone(): 1}});
                    match server.patch(&path, patch).await.status {
                        200 => acknowledged.push(key),
                        // Too many rivals, every time.
                        status => assert_eq!(status, 503, "{key}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.len() > ROUNDS, "{}", acknowledged.len());
    for server in &servers {
        let stored = server.get(&path).await.expect(200).json();
        let lost: Vec<_> = acknowledged
            .iter()
            .filter(|key| stored["backup_metadata"][key.as_str()].is_null())
            .collect();
        assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
    }
}

/// Each of these changes writes the row of the same client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn jobs_of_one_client_are_replaced_on_all_nodes_at_once() {
    let (database, urls) = cluster().await;
    let servers = servers(&database, &urls).await;
    servers[0].client("c").await;
    let start = Instant::now();
    let writers: Vec<_> = servers
        .iter()
        .enumerate()
        .map(|(node, server)| {
            let server = Arc::clone(server);
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                for round in 0..rounds(ROUNDS) {
                    let action =
                        json!({"freezer_action": {"action": "exec", "command": round.to_string()}});
                    let job = json!({"client_id": "c", "job_actions": [action]});
                    let start = Instant::now();
                    server.post(&format!("jobs/{node}"), job).await.expect(201);
                    slowest = slowest.max(start.elapsed());
                }
                slowest
            })
        })
        .collect();
    for writer in writers {
        let slowest = writer.await.unwrap();
        println!("slowest of a node {slowest:.1?} of {:.1?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn a_job_that_has_left_its_session_stays_out() {
    let (database, urls) = cluster().await;
    let first = unprepared_servers(&database, &urls[..1]).await.remove(0);
    first.client("c").await;
    for round in 0..ROUNDS {
        let (session, job) = (first.session().await, first.job("c").await);
        let member = format!("sessions/{session}/jobs/{job}");
        first.put(&member).await.expect(204);
        let servers = unprepared_servers(&database, &urls).await;
        let leaving = {
            let (server, member) = (Arc::clone(&servers[0]), member.clone());
            tokio::spawn(async move { server.delete(&member).await.status })
        };
        let patches: Vec<_> = servers
            .iter()
            .map(|server| {
                let (server, path) = (Arc::clone(server), format!("jobs/{job}"));
                let patch = json!({"description": format!("round {round}")});
                tokio::spawn(async move { server.patch(&path, patch).await.status })
            })
            .collect();
        assert_eq!(leaving.await.unwrap(), 204, "round {round}");
        for patch in patches {
            assert_eq!(patch.await.unwrap(), 200, "round {round}");
        }
        for server in &servers {
            let stored: Value = server.get(&format!("jobs/{job}")).await.expect(200).json();
            assert_eq!(stored["session_id"], "", "round {round}: {stored}");
            assert_eq!(stored["description"], format!("round {round}"));
        }
    }
}

/// Jobs take an action on two nodes while the third deletes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn no_job_has_an_action_that_is_gone() {
    let (database, urls) = cluster().await;
    let servers = unprepared_servers(&database, &urls).await;
    servers[0].client("c").await;
    for round in 0..ROUNDS {
        let action = json!({"freezer_action": {"action": "backup"}});
        let action = servers[0].created("actions", action, "action_id").await;
        let patched = servers[2].job("c").await;
        let actions = json!([{"action_id": action}]);
        let job = json!({"client_id": "c", "job_actions": actions});
        let patch = json!({"job_actions": actions});
        let (deleted, created, patched) = tokio::join!(
            send(
                &servers[0],
                "DELETE",
                format!("actions/{action}"),
                Value::Null
            ),
            send(&servers[1], "POST", "jobs".to_owned(), job),
            send(&servers[2], "PATCH", format!("jobs/{patched}"), patch),
        );
        assert_eq!(deleted, 204, "round {round}");
        assert!([201, 422].contains(&created), "round {round}: {created}");
        assert!([200, 422].contains(&patched), "round {round}: {patched}");
    }
    let dangling = "deleted = FALSE AND NOT EXISTS \
        (SELECT 1 FROM actions a WHERE a.id = action_id AND a.deleted = FALSE)";
    assert_eq!(database.rows("job_actions", dangling).await, 0);
}

/// The control: of two nodes, one of which takes an action while the other deletes it, both can commit, unless the lock of the
/// action writes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn locks_that_write_nothing_are_not_seen_by_other_nodes() {
    let (database, urls) = cluster().await;
    let server = unprepared_servers(&database, &urls[..1]).await.remove(0);
    server.client("c").await;
    let job = server.job("c").await;
    for round in 0..ROUNDS {
        let both = both_commit(&server, &urls, &job, true).await;
        assert!(!both, "round {round}");
    }
    // Which of them is first is for the nodes to decide.
    let mut rounds = 0;
    while !both_commit(&server, &urls, &job, false).await {
        rounds += 1;
        assert!(rounds < 10 * ROUNDS, "nothing was lost");
    }
}

/// Whether a job takes an action on one node while another node deletes it.
async fn both_commit(server: &Service, urls: &[String], job: &str, is_written: bool) -> bool {
    let action = json!({"freezer_action": {"action": "backup"}});
    let action = server.created("actions", action, "action_id").await;
    let (mut deleting, mut taking) = (connect(&urls[0]).await, connect(&urls[1]).await);
    let of_action = format!("WHERE id = '{action}'");
    let delete = format!("UPDATE actions SET deleted = TRUE {of_action}");
    let write = format!("UPDATE actions SET updated_at = '2037-01-01' {of_action}");
    let lock = format!("SELECT id FROM actions {of_action} FOR UPDATE");
    let take = format!(
        "INSERT INTO job_actions (id, job_id, action_id, position, deleted) \
         VALUES ('{action}', '{job}', '{action}', 7, FALSE)"
    );
    run(&mut taking, ["SET wsrep_sync_wait = 1", "BEGIN"])
        .await
        .unwrap();
    if is_written {
        run(&mut taking, [&*write]).await.unwrap();
    }
    run(&mut taking, [&*lock, &take]).await.unwrap();
    run(&mut deleting, ["BEGIN", &delete]).await.unwrap();
    let (taken, deleted) =
        tokio::join!(run(&mut taking, ["COMMIT"]), run(&mut deleting, ["COMMIT"]));
    taken.is_ok() && deleted.is_ok()
}

/// Runs statements one after the other.
async fn run<const N: usize>(
    node: &mut MySqlConnection,
    statements: [&str; N],
) -> Result<(), sqlx::Error> {
    for statement in statements {
        let statement = AssertSqlSafe(statement.to_owned());
        node.execute(sqlx::raw_sql(statement)).await?;
    }
    Ok(())
}

/// Changes that write the same job on several nodes within a second, as their first actions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn the_actions_of_a_job_are_those_of_one_change() {
    let (database, urls) = cluster().await;
    let servers = unprepared_servers(&database, &urls).await;
    servers[0].client("c").await;
    for round in 0..ROUNDS {
        let job = servers[0].job("c").await;
        let path = format!("jobs/{job}");
        let description = json!({"description": "x"});
        servers[0]
            .patch(&path, description.clone())
            .await
            .expect(200);
        let patch = |node: usize| {
            let action =
                json!({"freezer_action": {"action": "exec", "command": format!("{node}")}});
            json!({"job_actions": [action.clone(), action]})
        };
        let statuses = tokio::join!(
            send(&servers[0], "PATCH", path.clone(), patch(0)),
            send(&servers[1], "PATCH", path.clone(), patch(1)),
            send(&servers[2], "PATCH", path.clone(), patch(2)),
        );
        assert_eq!(statuses, (200, 200, 200), "round {round}");
        let stored = servers[1].get(&path).await.expect(200).json();
        assert_eq!(
            stored["job_actions"].as_array().map(Vec::len),
            Some(2),
            "round {round}: {stored}"
        );
    }
}

/// Sends a request on a task of its own; its status.
async fn send(server: &Arc<Service>, method: &'static str, path: String, body: Value) -> u16 {
    let server = Arc::clone(server);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let task = tokio::spawn(async move { server.raw(method, &path, body).await.status });
    task.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn what_a_job_needs_stays_until_it_is_stored() {
    let (database, urls) = cluster().await;
    let servers = servers(&database, &urls).await;
    withdraw(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn each_poll_is_counted_once() {
    let (database, urls) = cluster().await;
    let servers = servers(&database, &urls).await;
    for name in ["host1", "host2", "host3"] {
        servers[0].client(name).await;
    }
    write_at_once(&servers, 20).await;
    let rows = database.rows("freezer_api_client_activity", "polls = 60");
    assert_eq!(rows.await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn one_node_holds_a_lease() {
    let (database, urls) = cluster().await;
    let servers = servers(&database, &urls).await;
    for name in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] {
        let hold = async |node: usize| {
            let holder = format!("node{node}");
            let catalogue = &servers[node].api.catalogue;
            let held = catalogue.hold_lease(name, holder, 20).await;
            held.unwrap().is_some()
        };
        let held = tokio::join!(hold(0), hold(1), hold(2));
        let held = [held.0, held.1, held.2];
        assert_eq!(
            held.iter().filter(|held| **held).count(),
            1,
            "{name}: {held:?}"
        );
    }
}
