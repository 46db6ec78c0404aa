//! Random histories on three nodes against the sequential truth.

use super::{cluster, servers, servers_with};
use crate::model::{are_linearizable, first_violation};

/// Histories in which stale reads have to show.
const MOST: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn histories_on_three_nodes_are_linearizable() {
    let (database, urls) = cluster().await;
    are_linearizable(&servers(&database, &urls).await).await;
}

/// The control: without `mysql_wsrep_sync_wait` a node shows what it had before another one acknowledged a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn stale_reads_are_found() {
    let (database, urls) = cluster().await;
    let servers = servers_with(&database, &urls, |config| {
        config.database.mysql_wsrep_sync_wait = Some(0);
    });
    let found = first_violation(&servers.await, MOST).await;
    found.expect("every read saw what another node had acknowledged");
}
