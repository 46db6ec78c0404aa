//! Series of backups: kept by one node among all, listed for anybody.

use std::sync::Arc;

use super::Catalogue;
use super::answer::{Answer, answer};
use super::documents::unknown_marker;
use super::report::{ReportPage, report_scope};
use crate::authz::{Authorized, rules};
use crate::domain::series::{MemberQuery, Series, SeriesQuery};
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::{Frontier, NextPage, SERIES_BATCH, SERIES_LEASE, Shape, Sink, StoreError, Tx};

/// How long after others a record may still appear before them in order, in seconds: clocks of nodes differ, and transactions take
/// their time.
const OVERLAP: i64 = 120;
/// How many batches are done before the lease is looked at again.
const BATCHES: usize = 10;

/// How far the keeper of series has come. It is in memory alone: another node begins where the last backup is that has a series.
#[derive(Debug, Default)]
pub struct SeriesKeeper {
    /// New backups are looked for from here on.
    new: Option<Frontier>,
    /// Up to here all backups were looked at again, for changes that others have made.
    seen: Option<Frontier>,
    /// The same of what series have, for backups that are gone.
    member: String,
    /// The same of series, for counts that are wrong.
    counted: String,
}

/// A page of the backups of a series.
pub struct SeriesBackups {
    /// The page.
    pub answer: Answer,
    /// The address of the next one, where more follow.
    pub next: Option<String>,
}

impl Catalogue {
    /// Puts new backups into their series, and looks at some of the old ones again; whether it has come to the end of the new ones.
    ///
    /// # Errors
    /// [`StoreError`]. What was done stays done; another call continues.
    pub async fn keep_series(&self, keeper: &mut SeriesKeeper) -> Result<bool, StoreError> {
        if !self.place_new(keeper).await? {
            return Ok(false);
        }
        self.look_again(keeper).await?;
        self.remove_gone(keeper).await?;
        self.count_miscounted(keeper).await?;
        Ok(true)
    }

    async fn place_new(&self, keeper: &mut SeriesKeeper) -> Result<bool, StoreError> {
        let mut place = match keeper.new.clone() {
            Some(place) => place,
            None => {
                let until = self.clock.timestamp().saturating_add(OVERLAP);
                let find = async move |tx: &mut Tx| tx.last_in_series(until).await;
                let last = self.store.read("looking for the last series", find).await?;
                Frontier::at(last.map_or(0, |last| last.saturating_sub(OVERLAP)))
            }
        };
        let began = self.clock.timestamp();
        for _ in 0..BATCHES {
            let (read, last) = self.place_batch(place.clone(), false).await?;
            match last {
                Some(last) if read == SERIES_BATCH => place = last,
                _ => {
                    // A backup that a wrong clock has put into the future is no reason to pass over those that come before it.
                    let settled = Frontier::at(began.saturating_sub(OVERLAP));
                    let latest = Frontier::at(began.saturating_add(OVERLAP));
                    keeper.new = Some(place.max(settled).min(latest));
                    return Ok(true);
                }
            }
            keeper.new = Some(place.clone());
        }
        Ok(false)
    }

    async fn look_again(&self, keeper: &mut SeriesKeeper) -> Result<(), StoreError> {
        let place = keeper.seen.take().unwrap_or_else(|| Frontier::at(0));
        let (read, last) = self.place_batch(place, true).await?;
        // From the beginning again, after the last one.
        keeper.seen = last.filter(|_| read == SERIES_BATCH);
        Ok(())
    }

    /// How many backups were read, and the place of the last one.
    async fn place_batch(
        &self,
        from: Frontier,
        all: bool,
    ) -> Result<(usize, Option<Frontier>), StoreError> {
        let read = async move |tx: &mut Tx| tx.backups_behind(&from, all).await;
        let batch = self.store.read("looking for backups", read).await?;
        let (read, backups) = (batch.backups.len(), batch.backups);
        let write = async move |tx: &mut Tx| tx.place_found(&backups).await;
        self.store
            .write("putting backups into series", write)
            .await?;
        Ok((read, batch.last))
    }

    async fn remove_gone(&self, keeper: &mut SeriesKeeper) -> Result<(), StoreError> {
        let from = keeper.member.clone();
        let read = async move |tx: &mut Tx| tx.members_behind(&from).await;
        let members = self.store.read("looking at series", read).await?;
        let last = members.last().filter(|_| members.len() == SERIES_BATCH);
        keeper.member = last.map(|(id, _)| id.clone()).unwrap_or_default();
        let gone: Vec<String> = members
            .into_iter()
            .filter(|(_, lives)| !lives)
            .map(|(id, _)| id)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let write = async move |tx: &mut Tx| tx.remove_from_series(&gone).await;
        self.store
            .write("taking backups out of series", write)
            .await
            .map(drop)
    }

    /// Long series are added to, so a mistake in their counts would stay.
    async fn count_miscounted(&self, keeper: &mut SeriesKeeper) -> Result<(), StoreError> {
        let from = keeper.counted.clone();
        let read = async move |tx: &mut Tx| tx.miscounted_series(&from).await;
        let (miscounted, last) = self.store.read("looking at counts of series", read).await?;
        // From the beginning again, after the last one.
        keeper.counted = last.unwrap_or_default();
        if miscounted.is_empty() {
            return Ok(());
        }
        let count = async move |tx: &mut Tx| tx.recount_series(&miscounted).await;
        self.store.write("counting series", count).await
    }

    /// Whether this node keeps the series for `term` seconds more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hold_series(&self, holder: String, term: i64) -> Result<bool, StoreError> {
        let hold = async move |tx: &mut Tx| tx.hold_lease(SERIES_LEASE, &holder, term).await;
        let held = self
            .store
            .write("holding the lease of series", hold)
            .await?;
        Ok(held.is_some())
    }

    /// Notes that all backups of before are in their series.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_series(&self, holder: String) -> Result<(), StoreError> {
        let finish = async move |tx: &mut Tx| tx.finish_lease(SERIES_LEASE, &holder).await;
        self.store
            .write("noting that series are kept", finish)
            .await
    }

    /// A page of the project's series of backups, or with `all_projects` of all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`](crate::authz::Denied) where the caller may not see all projects.
    pub async fn list_series(
        &self,
        caller: &Authorized,
        all_projects: bool,
        query: SeriesQuery,
    ) -> Result<ReportPage, ApiError> {
        let scope = report_scope(caller, all_projects)?;
        let now = self.clock.timestamp();
        self.store
            .read("listing series", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => {
                        let place = tx.place_of_series(&scope, id).await?;
                        Some(place.ok_or_else(|| unknown_marker("series"))?)
                    }
                };
                let mut series = tx.list_series(&scope, &query, after).await?;
                let has_more = series.len() > query.limit;
                series.truncate(query.limit);
                let last = series.last().filter(|_| has_more);
                let next = last.map(|one| one.key.id.clone());
                let documents = series.iter().map(|one: &Series| one.report(now)).collect();
                Ok::<_, ApiError>(ReportPage::new(tx, documents, next)?)
            })
            .await
    }

    /// A page of the backups of a series, in this shape; of any project for those who see all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn list_backups_of_series(
        &self,
        caller: &Authorized,
        series_id: String,
        query: MemberQuery,
        next: NextPage,
        shape: Shape,
    ) -> Result<SeriesBackups, ApiError> {
        let sees_all = caller.may(rules::REPORT_GET_ALL_PROJECTS);
        let scope = if sees_all { Scope::All } else { caller.scope() };
        let limit = query.limit;
        let store = self.store.clone();
        let find = async move |tx: &mut Tx| {
            if tx.place_of_series(&scope, &series_id).await?.is_none() {
                return Err(ApiError::from(Refusal::not_found("Series", &series_id)));
            }
            let members = tx.members_of_series(&series_id, &query).await?;
            members.ok_or_else(|| unknown_marker("backup"))
        };
        let mut members = store
            .read("looking for the backups of a series", find)
            .await?;
        let has_more = members.len() > limit;
        members.truncate(limit);
        let last = members.last().filter(|_| has_more);
        let next = last.map(|(id, _)| next.behind(id));
        let (sink, started) = Sink::new(shape, &self.memory);
        let link = next.clone();
        let reading = Box::pin(async move {
            let into = Arc::clone(&sink);
            let list =
                async move |tx: &mut Tx| tx.list_members(&members, link.clone(), &into).await;
            store
                .read_list("listing the backups of a series", sink, list)
                .await
        });
        let answer = answer(started, reading).await?;
        Ok(SeriesBackups { answer, next })
    }
}
