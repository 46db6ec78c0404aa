//! `freezer-manage report rebuild`: puts all backups into their series anew, also while the service runs.

use crate::schema::{Progress, ProgressCallback};
use crate::store::statement::sql;
use crate::store::{Frontier, Store, StoreError, Tx};

/// What was changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RebuiltSeries {
    /// Live backups that were looked at.
    pub backups: u64,
    /// Those that were in no series, or in another one.
    pub placed: u64,
    /// Backups that series had and that are gone.
    pub removed: u64,
}

impl Store {
    /// Puts all live backups into the series that they belong to, takes out of series what is gone, and counts all anew, in small transactions.
    ///
    /// # Errors
    /// [`StoreError`]. What was done stays done; another call begins anew.
    pub async fn rebuild_series(
        &self,
        progress: ProgressCallback<'_>,
    ) -> Result<RebuiltSeries, StoreError> {
        let total = {
            let mut tx = self.open().await?;
            let count = sql("SELECT COUNT(*) FROM backups WHERE deleted = FALSE");
            tx.session.count(count).await?
        };
        let mut done = RebuiltSeries::default();
        let mut place = Some(Frontier::at(0));
        while let Some(from) = place.take() {
            let read = async |tx: &mut Tx| tx.backups_behind(&from, true).await;
            let batch = self.read("looking for backups", read).await?;
            let write = async |tx: &mut Tx| tx.place_found(&batch.backups).await;
            done.placed += self.write("putting backups into series", write).await? as u64;
            done.backups += batch.backups.len() as u64;
            place = batch.last;
            progress(Progress::Rows {
                what: "backups",
                done: done.backups,
                total,
            });
        }
        done.removed = self.remove_gone().await?;
        self.recount_series().await?;
        Ok(done)
    }

    /// Whatever was counted before, by whomever.
    async fn recount_series(&self) -> Result<(), StoreError> {
        let mut last = Some(String::new());
        while let Some(behind) = last.take() {
            let read = async |tx: &mut Tx| tx.miscounted_series(&behind).await;
            let (miscounted, next) = self.read("looking at counts of series", read).await?;
            if !miscounted.is_empty() {
                let count = async |tx: &mut Tx| tx.recount_series(&miscounted).await;
                self.write("counting series", count).await?;
            }
            last = next;
        }
        Ok(())
    }

    async fn remove_gone(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut last = Some(String::new());
        while let Some(from) = last.take() {
            let read = async |tx: &mut Tx| tx.members_behind(&from).await;
            let members = self.read("looking at series", read).await?;
            last = members.last().map(|(id, _)| id.clone());
            let gone = members.into_iter().filter(|(_, lives)| !lives);
            let gone: Vec<String> = gone.map(|(id, _)| id).collect();
            if !gone.is_empty() {
                let write = async |tx: &mut Tx| tx.remove_from_series(&gone).await;
                removed += self.write("taking backups out of series", write).await? as u64;
            }
        }
        Ok(removed)
    }
}
