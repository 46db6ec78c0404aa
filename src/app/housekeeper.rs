//! What the service does without being asked: it forgets what is too old.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Api;

/// How long it rests between two rounds.
const REST: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;

/// Keeps house until it is aborted. All nodes of a service may do so at once: what one has removed is gone for the others.
pub(super) async fn keep(api: Arc<Api>) {
    let age = Duration::from_secs(u64::from(api.config.report.run_days) * DAY);
    loop {
        match api.catalogue.forget_runs(age).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "old runs are forgotten"),
            Err(error) => tracing::warn!(%error, "old runs could not be removed"),
        }
        tokio::time::sleep(REST).await;
    }
}
