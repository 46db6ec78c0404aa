//! A Galera cluster of a test's own, whose nodes can be broken.

use std::net::SocketAddr;

use super::mariadb::MariaDb;
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
    let group: Vec<SocketAddr> = (0..NODES).map(|_| free_address()).collect();
    let addresses: Vec<String> = group.iter().map(ToString::to_string).collect();
    let cluster = format!("--wsrep-cluster-address=gcomm://{}", addresses.join(","));
    let mut nodes = Vec::new();
    for listen in &group {
        let transfer = [free_address(), free_address()];
        let provider = format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://{listen};ist.recv_addr={};gcache.size=16M",
            transfer[0]
        );
        let options = [
            "--binlog-format=ROW".to_owned(),
            "--innodb-autoinc-lock-mode=2".to_owned(),
            "--wsrep-on=ON".to_owned(),
            format!("--wsrep-provider={PROVIDER}"),
            format!("--wsrep-cluster-name=freezer-{}", group[0].port()),
            format!("--wsrep-node-address={listen}"),
            format!("--wsrep-node-name={}", listen.port()),
            "--wsrep-sst-method=rsync".to_owned(),
            format!("--wsrep-sst-receive-address={}", transfer[1]),
            cluster.clone(),
            provider,
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let first: &[&str] = if nodes.is_empty() {
            &["--wsrep-new-cluster"]
        } else {
            &[]
        };
        nodes.push(MariaDb::start_first(&options, first).await);
    }
    nodes
}
