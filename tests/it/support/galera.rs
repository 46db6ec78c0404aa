//! A Galera cluster of a test's own, whose nodes can be broken.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::mariadb::MariaDb;
use super::network::Network;
use super::process::free_address;

/// Where the distributions have it.
const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";

/// How many nodes a cluster has.
pub(crate) const NODES: usize = 3;

/// Starts the nodes of a cluster, one after the other.
///
/// # Panics
/// When Galera or rsync is not installed, or a node does not start.
pub(crate) async fn start_cluster() -> Vec<MariaDb> {
    start_nodes(NODES, None).await
}

/// Starts a node that is a cluster of its own.
///
/// # Panics
/// As [`start_cluster`].
pub(crate) async fn start_alone() -> MariaDb {
    start_nodes(1, None).await.remove(0)
}

/// The same with the last node in this network.
///
/// # Panics
/// As [`start_cluster`].
pub(crate) async fn start_divided_cluster(network: &Arc<Network>) -> Vec<MariaDb> {
    start_nodes(NODES, Some(network)).await
}

async fn start_nodes(count: usize, network: Option<&Arc<Network>>) -> Vec<MariaDb> {
    let is_apart = |node| node + 1 == count;
    let address = |node| {
        let ip = network.map_or(Ipv4Addr::LOCALHOST, |network| network.group(is_apart(node)));
        SocketAddr::from((ip, free_address().port()))
    };
    let group: Vec<SocketAddr> = (0..count).map(address).collect();
    let mut nodes = Vec::new();
    for node in 0..count {
        let options = node_options(&group, group[node], [address(node), address(node)]);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let first: &[&str] = if nodes.is_empty() {
            &["--wsrep-new-cluster"]
        } else {
            &[]
        };
        let network = network.filter(|_| is_apart(node)).cloned();
        let folder = tempfile::tempdir().unwrap();
        nodes.push(MariaDb::start_in(folder, network, &options, first).await);
        if node == 0 {
            // The one apart is not asked from its own host, and has the accounts of the first.
            let everywhere = "CREATE USER root@'%'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION";
            nodes[0].run(everywhere).await;
        }
    }
    nodes
}

/// The options of a node that listens here, and takes the data of others at the other two addresses.
fn node_options(
    group: &[SocketAddr],
    listen: SocketAddr,
    [increments, transfer]: [SocketAddr; 2],
) -> Vec<String> {
    let addresses: Vec<String> = group.iter().map(ToString::to_string).collect();
    vec![
        "--binlog-format=ROW".to_owned(),
        "--innodb-autoinc-lock-mode=2".to_owned(),
        "--wsrep-on=ON".to_owned(),
        format!("--wsrep-provider={PROVIDER}"),
        format!("--wsrep-cluster-name=freezer-{}", group[0].port()),
        format!("--wsrep-cluster-address=gcomm://{}", addresses.join(",")),
        format!("--wsrep-node-address={listen}"),
        format!("--wsrep-node-name={}", listen.port()),
        "--wsrep-sst-method=rsync".to_owned(),
        format!("--wsrep-sst-receive-address={transfer}"),
        format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://{listen};ist.recv_addr={increments};gcache.size=16M"
        ),
    ]
}
