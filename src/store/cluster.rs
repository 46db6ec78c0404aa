//! What the node of a Galera cluster says of itself and of its settings, before anything rests on it.

use std::collections::HashMap;

use super::statement::sql;
use super::{Engine, Store, StoreError};

/// Settings that matter to migrations and requests.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
     ('wsrep_on', 'wsrep_osu_method', 'wsrep_sync_wait', 'binlog_format', 'pxc_strict_mode')";
/// The node's state. A node that is not ready answers nothing else.
const STATE: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
     ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size')";

/// What was found on a node of a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// Whether it answers queries.
    pub is_ready: bool,
    /// What keeps it from being worked with.
    pub failures: Vec<String>,
    /// What goes wrong sooner or later.
    pub warnings: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

impl Store {
    /// Looks at the node of a Galera cluster; `None` where the server is none. `sync_wait` is what our sessions set.
    ///
    /// # Errors
    /// The queries failed.
    pub async fn cluster_node(
        &self,
        sync_wait: Option<i64>,
    ) -> Result<Option<ClusterNode>, StoreError> {
        if self.engine() != Engine::MySql {
            return Ok(None);
        }
        let session = &mut self.open().await?.session;
        let mut found = HashMap::new();
        for query in [VARIABLES, STATE] {
            let rows: Vec<(String, String)> = session.fetch_all(sql(query)).await?;
            let lower = |(name, value): (String, String)| (name.to_lowercase(), value);
            found.extend(rows.into_iter().map(lower));
        }
        Ok((found.get("wsrep_on").map(String::as_str) == Some("ON"))
            .then(|| judge(&found, sync_wait)))
    }
}

fn judge(found: &HashMap<String, String>, sync_wait: Option<i64>) -> ClusterNode {
    let value = |name: &str| found.get(name).map_or("unknown", String::as_str);
    let mut node = ClusterNode {
        is_ready: value("wsrep_ready") == "ON",
        ..ClusterNode::default()
    };
    node.judge_state(value);
    node.judge_settings(value);
    if sync_wait.is_none() && value("wsrep_sync_wait") == "0" {
        node.notes.push(
            "wsrep_sync_wait is 0: who writes on one node and then reads on another one may not see it yet; with \
             mysql_wsrep_sync_wait = 1 in [database] reads wait for it"
                .to_owned(),
        );
    }
    let size = value("wsrep_cluster_size");
    node.notes.push(format!("{size} nodes"));
    node
}

impl ClusterNode {
    fn judge_state<'v>(&mut self, value: impl Fn(&str) -> &'v str) {
        let [ready, cluster, state] = [
            "wsrep_ready",
            "wsrep_cluster_status",
            "wsrep_local_state_comment",
        ]
        .map(value);
        if !self.is_ready || cluster != "Primary" {
            self.failures.push(format!(
                "the node is not ready: wsrep_ready is {ready}, wsrep_cluster_status {cluster}, \
                 wsrep_local_state_comment {state}"
            ));
        } else if state != "Synced" {
            self.warnings.push(format!(
                "the node is behind the others: wsrep_local_state_comment is {state}"
            ));
        }
    }

    fn judge_settings<'v>(&mut self, value: impl Fn(&str) -> &'v str) {
        let (method, format) = (value("wsrep_osu_method"), value("binlog_format"));
        if method != "TOI" {
            self.failures.push(format!(
                "wsrep_OSU_method is {method}, so db sync would change the tables of this node alone; set it to TOI"
            ));
        }
        if format != "ROW" {
            self.warnings.push(format!(
                "binlog_format is {format}; Galera replicates rows, so set it to ROW"
            ));
        }
        match value("pxc_strict_mode") {
            // Only Percona XtraDB Cluster has it.
            "unknown" | "MASTER" => {}
            "ENFORCING" => self.notes.push(
                "pxc_strict_mode is ENFORCING, which refuses the lock that keeps db sync from running twice at once".to_owned(),
            ),
            mode => self.warnings.push(format!(
                "pxc_strict_mode is {mode}, so the cluster takes what it cannot replicate; ENFORCING refuses it"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[(&str, &str)]) -> HashMap<String, String> {
        let good = [
            ("wsrep_on", "ON"),
            ("wsrep_osu_method", "TOI"),
            ("wsrep_sync_wait", "1"),
            ("binlog_format", "ROW"),
            ("wsrep_ready", "ON"),
            ("wsrep_cluster_status", "Primary"),
            ("wsrep_local_state_comment", "Synced"),
            ("wsrep_cluster_size", "3"),
        ];
        let all = good.iter().chain(values);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_wrong_is_told() {
        let node = judge(&found(&[]), None);
        assert!(node.is_ready && node.failures.is_empty() && node.warnings.is_empty());
        assert_eq!(node.notes, ["3 nodes"]);
        for (values, failures, warnings, notes) in [
            (("wsrep_ready", "OFF"), 1, 0, 1),
            (("wsrep_cluster_status", "non-Primary"), 1, 0, 1),
            (("wsrep_local_state_comment", "Donor/Desynced"), 0, 1, 1),
            (("wsrep_osu_method", "RSU"), 1, 0, 1),
            (("binlog_format", "MIXED"), 0, 1, 1),
            (("pxc_strict_mode", "PERMISSIVE"), 0, 1, 1),
            (("pxc_strict_mode", "ENFORCING"), 0, 0, 2),
            (("wsrep_sync_wait", "0"), 0, 0, 2),
        ] {
            let node = judge(&found(&[values]), None);
            let counts = [&node.failures, &node.warnings, &node.notes].map(Vec::len);
            assert_eq!(counts, [failures, warnings, notes], "{values:?}: {node:?}");
        }
        let node = judge(&found(&[("wsrep_sync_wait", "0")]), Some(1));
        assert_eq!(node.notes.len(), 1);
    }
}
