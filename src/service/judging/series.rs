//! What a round says of series of backups.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::Round;
use crate::domain::finding::{Finding, Problem};
use crate::domain::host::Host;
use crate::domain::series::Series;
use crate::store::{SERIES_BATCH, StoreError, Tx};

/// What is wrong with any series of a client in a project.
#[derive(Debug, Default)]
pub(super) struct SeriesFindings(HashMap<(Option<String>, String), BTreeSet<Finding>>);

impl From<Vec<(Option<String>, String, Finding)>> for SeriesFindings {
    fn from(found: Vec<(Option<String>, String, Finding)>) -> SeriesFindings {
        let mut all = SeriesFindings::default();
        for (project_id, client_id, finding) in found {
            let of_client = all.0.entry((project_id, client_id)).or_default();
            of_client.insert(finding);
        }
        all
    }
}

impl SeriesFindings {
    /// Adds them to those of a host.
    pub(super) fn add_to(&self, host: &mut Host) {
        let key = (host.project_id.clone(), host.client_id.clone());
        host.findings.extend(self.0.get(&key).into_iter().flatten());
    }
}

impl Round<'_> {
    pub(super) async fn judge_series(&self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let started = Instant::now();
            let (series, before) = self.series_after(after.clone()).await?;
            let Some(last) = series.last() else {
                return Ok(());
            };
            after.clone_from(&last.key.id);
            let now = series.iter().flat_map(|one| one.problems(self.unix()));
            let now = now.map(|new| {
                let known = before.iter().find(|known| known.id == new.id);
                new.continuing(known)
            });
            let now = now.collect();
            self.write_problems(before, now).await?;
            if series.len() < SERIES_BATCH {
                return Ok(());
            }
            self.rest(started).await;
        }
    }

    /// The series behind an id, and what was wrong with them before.
    async fn series_after(&self, after: String) -> Result<(Vec<Series>, Vec<Problem>), StoreError> {
        let store = self.store;
        store
            .read("judging series", async move |tx: &mut Tx| {
                let series = tx.series_after(&after).await?;
                let ids: Vec<String> = series.iter().map(|one| one.key.id.clone()).collect();
                let problems = tx.problems_of_series(&ids).await?;
                Ok((series, problems))
            })
            .await
    }
}
