//! The rounds in which one node among all looks at every job and every client, and counts the runs of each day.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::housekeeper::is_taken_over_in_time;
use crate::api::Api;
use crate::domain::host::ROUNDS;
use crate::service::RoundTerms;
use crate::store::StoreError;

/// For how many seconds a node has the lease, and how often it renews it, or another node looks whether it is free.
const TERM: i64 = 20;
const RENEWAL: Duration = Duration::from_secs(5);
const _: () = assert!(is_taken_over_in_time(TERM, RENEWAL));
/// How long the node with the lease rests between two rounds.
const PAUSE: Duration = Duration::from_secs(30);
/// How many days back all runs are counted again, and how often: reports may be late, and runs are removed. The rounds between count the
/// hours that have changed.
const LATE_DAYS: i64 = 7;
const RECOUNT: Duration = Duration::from_secs(3600);
/// For how many seconds what a round did not see yet may have been underway when it began, by the clock of another node.
const UNDERWAY: i64 = 300;
/// How long giving the lease back may take, when the service ends.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A node that has the rounds, or would have them. Each of its pieces of work has a copy. Some of their futures are boxed: the compiler
/// knows of these alone that they can be sent (rust-lang/rust#110338).
#[derive(Clone)]
pub(super) struct Rounds {
    api: Arc<Api>,
    /// Its name among all nodes.
    name: String,
}

impl Rounds {
    pub(super) fn new(api: Arc<Api>) -> Rounds {
        let name = api.ids.hex();
        Rounds { api, name }
    }

    /// Has rounds whenever it has the lease, until it is dropped. One that loses it in the middle of a round breaks off.
    pub(super) async fn keep(self) {
        loop {
            match self.clone().hold().await {
                Ok(Some(watching)) => {
                    tokio::select! {
                        () = self.clone().have_rounds(watching) => {}
                        () = self.clone().renew() => {}
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "nobody knows which node has the rounds"),
            }
            tokio::time::sleep(RENEWAL).await;
        }
    }

    /// Takes the lease, or holds it; from when on somebody has held it.
    async fn hold(self) -> Result<Option<i64>, StoreError> {
        let catalogue = &self.api.catalogue;
        let held = catalogue.hold_lease(ROUNDS, self.name.clone(), TERM);
        Ok(held.await?.map(|lease| lease.since))
    }

    /// Holds the lease until it cannot.
    async fn renew(self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            match self.clone().hold().await {
                Ok(Some(_)) => {}
                Ok(None) => {
                    tracing::info!("another node has the rounds now");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the lease of the rounds cannot be held");
                    return;
                }
            }
        }
    }

    async fn have_rounds(self, watching: i64) {
        // When all was counted last, and since when the last round has not counted what was heard.
        let mut counted: Option<Instant> = None;
        let mut heard_since = i64::MAX;
        loop {
            let (started, now) = (Instant::now(), self.api.catalogue.clock.timestamp());
            let counts_all = counted.is_none_or(|counted| counted.elapsed() > RECOUNT);
            let terms = RoundTerms {
                watching,
                heard_since,
                is_gentle: true,
            };
            match self.clone().have_round(terms, counts_all).await {
                Ok(()) => {
                    let elapsed = started.elapsed();
                    tracing::debug!(?elapsed, "all jobs and clients are looked at");
                    heard_since = now.saturating_sub(UNDERWAY);
                    if counts_all {
                        counted = Some(started);
                    }
                }
                Err(error) => tracing::warn!(%error, "not all jobs and clients could be looked at"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn have_round(self, terms: RoundTerms, counts_all: bool) -> Result<(), StoreError> {
        let catalogue = &self.api.catalogue;
        let heard = catalogue.judge_all(terms).boxed().await?;
        if counts_all {
            let most_days = self.api.config.report.run_days.into();
            catalogue.count_days(LATE_DAYS, most_days).boxed().await?;
        } else {
            catalogue.count_changed_hours(heard).boxed().await?;
        }
        let done = catalogue.finish_lease(ROUNDS, self.name.clone());
        done.await
    }

    /// Leaves the rounds to another node, which need not wait for the end of the lease then.
    pub(super) async fn end(self) {
        let catalogue = &self.api.catalogue;
        let released = catalogue.release_lease(ROUNDS, self.name.clone());
        match tokio::time::timeout(LAST_WORD, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease of the rounds ends by itself"),
            Err(_) => tracing::debug!("the lease of the rounds ends by itself"),
        }
    }
}
