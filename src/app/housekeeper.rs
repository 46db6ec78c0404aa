//! What the service does without being asked: it writes down what it has seen of schedulers, puts backups into
//! their series, and forgets what is too old.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::api::Api;
use crate::service::SeriesKeeper;
use crate::store::StoreError;

/// How long it rests between two rounds of forgetting.
const REST: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;
/// How often what was seen of schedulers is written.
const WRITING: Duration = Duration::from_secs(60);
/// How often new backups are put into their series, for how many seconds a node that does it need not say that it is there, and how often
/// others look whether it is.
const SERIES: Duration = Duration::from_secs(10);
const SERIES_TERM: i64 = 20;
const SERIES_WATCH: Duration = Duration::from_secs(5);
const _: () = assert!(is_taken_over_in_time(SERIES_TERM, SERIES_WATCH));
/// How long the last writing may take, when the service ends.
const LAST_WRITING: Duration = Duration::from_secs(5);

/// Whether work of which a node says for so many seconds that it does it is taken over within half a minute after that node is gone: it
/// holds its lease to the end of a second, and another one looks so often, and may need a moment.
pub(super) const fn is_taken_over_in_time(term: i64, watch: Duration) -> bool {
    term.unsigned_abs() + 1 + watch.as_secs() + 2 < 30
}

/// Keeps house until it is dropped. All nodes of a service do so at once.
pub(super) async fn keep(api: Arc<Api>) {
    tokio::join!(forget(&api), write(&api), keep_series(Arc::clone(&api)));
}

/// One node among all does it, for as long as it holds the lease.
async fn keep_series(api: Arc<Api>) {
    let holder = api.ids.hex();
    let mut keeper = None;
    loop {
        match keep_series_once(Arc::clone(&api), holder.clone(), &mut keeper).await {
            Ok(pause) => tokio::time::sleep(pause).await,
            Err(error) => {
                tracing::warn!(%error, "series of backups could not be brought up to date yet");
                tokio::time::sleep(SERIES).await;
            }
        }
    }
}

/// How long there is nothing more to do.
async fn keep_series_once(
    api: Arc<Api>,
    holder: String,
    keeper: &mut Option<SeriesKeeper>,
) -> Result<Duration, StoreError> {
    if !api
        .catalogue
        .hold_series(holder.clone(), SERIES_TERM)
        .await?
    {
        *keeper = None;
        return Ok(SERIES_WATCH);
    }
    let keeper = keeper.get_or_insert_default();
    if !api.catalogue.keep_series(keeper).await? {
        return Ok(Duration::ZERO);
    }
    api.catalogue.finish_series(holder).await?;
    Ok(SERIES)
}

/// What one node has removed is gone for the others.
async fn forget(api: &Api) {
    let age = Duration::from_secs(u64::from(api.config.report.run_days) * DAY);
    loop {
        match api.catalogue.forget_runs(age).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "old runs are forgotten"),
            Err(error) => tracing::warn!(%error, "old runs could not be removed"),
        }
        let days = api.config.report.summary_days.into();
        if let Err(error) = api.catalogue.forget_days(days).await {
            tracing::warn!(%error, "the counts of old days could not be removed");
        }
        tokio::time::sleep(REST).await;
    }
}

/// Each node writes what it has seen itself.
async fn write(api: &Api) {
    let mut ticks = tokio::time::interval(WRITING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        write_once(api).await;
    }
}

async fn write_once(api: &Api) {
    match api.catalogue.write_activity().await {
        Ok(clients) => tracing::debug!(clients, "what was seen of schedulers is written"),
        Err(error) => {
            tracing::warn!(%error, "what was seen of schedulers could not be written yet")
        }
    }
}

/// Writes what is not written yet, when nothing more will come.
pub(super) async fn end(api: &Api) {
    if tokio::time::timeout(LAST_WRITING, write_once(api))
        .await
        .is_err()
    {
        tracing::warn!(
            "what was seen of schedulers in the last minute is lost: the database does not answer"
        );
    }
}
