//! What holds when three servers write on three nodes of one Galera cluster.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Database, Engine, Service, needed};

/// How often new servers, whose connections have nothing prepared, meet.
const ROUNDS: usize = 40;
/// Requests at once on each node.
const WRITERS: usize = 4;

/// A fresh database of the cluster, and its servers.
async fn cluster() -> (Database, Vec<String>) {
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

/// A server on each node, with connections of its own. Reads see what any node has acknowledged.
async fn servers(database: &Database, urls: &[String]) -> Vec<Arc<Service>> {
    let mut servers = Vec::new();
    for url in urls {
        let server = Service::with(database, |config| {
            config.database.connection = Some(url.parse().unwrap());
            config.database.mysql_wsrep_sync_wait = Some(1);
        });
        servers.push(Arc::new(server.await));
    }
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn no_acknowledged_patch_is_lost() {
    let (database, urls) = cluster().await;
    let first = servers(&database, &urls[..1]).await.remove(0);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h"});
        let id = first.created("backups", backup, "backup_id").await;
        let servers = servers(&database, &urls).await;
        let patches = servers.iter().enumerate().flat_map(|(node, server)| {
            (0..WRITERS).map(move |writer| (Arc::clone(server), format!("{node}-{writer}")))
        });
        let tasks: Vec<_> = patches
            .map(|(server, key)| {
                let path = format!("backups/{id}");
                tokio::spawn(async move {
                    let patch = json!({"backup_metadata": {key.clone(): round}});
                    let status = server.patch(&path, patch).await.status;
                    (key, status)
                })
            })
            .collect();
        let mut expected = Vec::new();
        for task in tasks {
            let (key, status) = task.await.unwrap();
            assert_eq!(status, 200, "round {round}, {key}");
            expected.push(key);
        }
        for server in &servers {
            let stored = server.get(&format!("backups/{id}")).await.expect(200);
            let metadata = &stored.json()["backup_metadata"];
            for key in &expected {
                assert_eq!(metadata[key], json!(round), "round {round}: {key} is lost");
            }
        }
        acknowledged += expected.len();
    }
    assert_eq!(acknowledged, ROUNDS * 3 * WRITERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn a_job_that_has_left_its_session_stays_out() {
    let (database, urls) = cluster().await;
    let first = servers(&database, &urls[..1]).await.remove(0);
    first.client("c").await;
    for round in 0..ROUNDS {
        let (session, job) = (first.session().await, first.job("c").await);
        let member = format!("sessions/{session}/jobs/{job}");
        first.put(&member).await.expect(204);
        let servers = servers(&database, &urls).await;
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
