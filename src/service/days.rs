//! The counts of the runs of each day: kept by the rounds of one node among all, and shown.

use serde_json::value::RawValue;

use super::Catalogue;
use super::report::report_scope;
use crate::authz::Authorized;
use crate::domain::Scope;
use crate::domain::run_day::{
    ALL_PROJECTS, DayCount, SECONDS_OF_DAY, documents, with_all_projects,
};
use crate::error::ApiError;
use crate::store::{Store, StoreError, Tx};

/// How many days are shown where the caller does not say.
const SHOWN: i64 = 30;
/// How many days are shown at most.
const MOST_DAYS: i64 = 1100;

fn today(store: &Store) -> i64 {
    store.clock.timestamp().div_euclid(SECONDS_OF_DAY)
}

/// Counts the runs of the last days anew; where nothing was counted yet, of all days of which there are runs, `most` days back.
///
/// # Errors
/// [`StoreError`]. Each day is written by itself.
pub async fn count_days(store: &Store, back: i64, most: i64) -> Result<(), StoreError> {
    let today = today(store);
    let first = async move |tx: &mut Tx| tx.first_days().await;
    let (counted, run) = store.read("looking for days", first).await?;
    let from = match (counted, run) {
        (None, Some(first)) => first.clamp(today.saturating_sub(most), today),
        _ => today.saturating_sub(back),
    };
    for day in from..=today {
        count_day(store, day).await?;
    }
    Ok(())
}

async fn count_day(store: &Store, day: i64) -> Result<(), StoreError> {
    let (before, runs) = store
        .read("counting the runs of a day", async move |tx: &mut Tx| {
            Ok::<_, StoreError>((
                tx.counts_of_day(day).await?,
                tx.count_runs_of_day(day).await?,
            ))
        })
        .await?;
    let mut now = with_all_projects(runs);
    let is_of = |one: &DayCount, other: &DayCount| {
        one.project_id == other.project_id && one.state == other.state
    };
    let mut gone = before.clone();
    gone.retain(|count| !now.iter().any(|other| is_of(count, other)));
    now.retain(|count| !before.contains(count));
    if now.is_empty() && gone.is_empty() {
        return Ok(());
    }
    store
        .write("writing the counts of a day", async move |tx: &mut Tx| {
            tx.write_day_counts(&now, &gone).await
        })
        .await
}

impl Catalogue {
    /// [`count_days`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_days(&self, back: i64, most: i64) -> Result<(), StoreError> {
        count_days(&self.store, back, most).await
    }

    /// Removes the counts of days that are longer ago than this.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_days(&self, days: i64) -> Result<u64, StoreError> {
        let before = today(&self.store).saturating_sub(days);
        self.store
            .write("forgetting the counts of days", async move |tx: &mut Tx| {
                tx.forget_days(before).await
            })
            .await
    }

    /// How many runs each day had, of the project or with `all_projects` of all together: from a day to before another, by default the
    /// last thirty.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`](crate::authz::Denied) where the caller may not see all projects.
    pub async fn list_days(
        &self,
        caller: &Authorized,
        all_projects: bool,
        since: Option<i64>,
        until: Option<i64>,
    ) -> Result<Vec<Box<RawValue>>, ApiError> {
        let project_id = match report_scope(caller, all_projects)? {
            Scope::Project(project_id) => project_id,
            Scope::All => ALL_PROJECTS.to_owned(),
        };
        let until = until.unwrap_or_else(|| today(&self.store) + 1);
        let since = since.unwrap_or_else(|| until.saturating_sub(SHOWN));
        if until.saturating_sub(since) > MOST_DAYS {
            return Err(ApiError::InvalidParameter(format!(
                "The \"since\" parameter is invalid. At most {MOST_DAYS} days are shown."
            )));
        }
        let counts = self
            .store
            .read("listing days", async move |tx: &mut Tx| {
                tx.run_days(&project_id, since, until).await
            })
            .await?;
        Ok(documents(&counts))
    }
}
