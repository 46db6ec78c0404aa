//! What the upgrade check says of a node of a cluster. One that is cut off from the others is in `faults`.

use crate::data::status_with;
use crate::support::galera::start_alone;
use crate::support::process::manage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn the_upgrade_check_looks_at_the_node() {
    const NAME: &str = "Galera Cluster";
    let node = start_alone().await;
    let configuration = node.configuration("root", "freezer");
    let synced = manage(&configuration, &["db", "sync"]);
    assert!(synced.status.success(), "{synced:?}");
    let check = || {
        let (code, checks) = status_with(&configuration);
        let node = checks.iter().find(|check| check.0 == NAME).unwrap().1;
        (code, node)
    };
    assert_eq!(check(), (0, 0));
    node.run("SET GLOBAL wsrep_OSU_method = RSU").await;
    assert_eq!(check(), (2, 2));
    node.run("SET GLOBAL wsrep_OSU_method = TOI").await;
    assert_eq!(check(), (0, 0));
}
