//! The counts of the runs of each day, and of each hour of today and yesterday: kept by the rounds of one node among all, and shown.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Catalogue;
use super::report::{ReportPage, report_scope};
use crate::authz::Authorized;
use crate::domain::Scope;
use crate::domain::run::RunState;
use crate::domain::run_day::{
    ALL_PROJECTS, HOURS_OF_DAY, RunCount, SECONDS_OF_DAY, SECONDS_OF_HOUR, Span, documents,
    with_all_projects,
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

/// The first of the days whose hours are counted: an overview goes a day back from any hour of today.
fn first_of_hours(today: i64) -> i64 {
    today.saturating_sub(1)
}

/// Counts the runs of the last days anew; where nothing was counted yet, of all days of which there are runs, `most` days back.
///
/// # Errors
/// [`StoreError`]. Each day and hour is written by itself.
pub async fn count_days(store: &Store, back: i64, most: i64) -> Result<(), StoreError> {
    let today = today(store);
    let first = async move |tx: &mut Tx| tx.first_days().await;
    let (counted, run) = store.read("looking for days", first).await?;
    let from = match (counted, run) {
        (None, Some(first)) => first.clamp(today.saturating_sub(most), today),
        _ => today.saturating_sub(back),
    };
    for day in from.min(first_of_hours(today))..=today {
        let has_hours = day >= first_of_hours(today);
        if has_hours {
            count_hours(store, hours_of(day)).await?;
        }
        count_day(store, day, has_hours).await?;
    }
    Ok(())
}

/// Counts the runs of those hours of today and yesterday anew that are not as they were counted last: this hour and the one before, those in
/// which runs began that went on then, however they have ended, and those in which runs began of which something was heard since.
///
/// # Errors
/// [`StoreError`]. Each day and hour is written by itself.
pub async fn count_changed_hours(
    store: &Store,
    mut heard: BTreeSet<i64>,
) -> Result<(), StoreError> {
    let now = store.clock.timestamp();
    let (hour, today) = (
        now.div_euclid(SECONDS_OF_HOUR),
        now.div_euclid(SECONDS_OF_DAY),
    );
    let (from, to) = (
        *hours_of(first_of_hours(today)).start(),
        *hours_of(today).end(),
    );
    let counts = async move |tx: &mut Tx| {
        tx.run_counts(Span::Hour, ALL_PROJECTS, from, to.saturating_add(1))
            .await
    };
    let mut going_on = store.read("looking for runs that go on", counts).await?;
    going_on.retain(|count| count.state == RunState::Running);
    heard.extend(going_on.into_iter().map(|count| count.began));
    heard.extend([hour.saturating_sub(1), hour]);
    for day in first_of_hours(today)..=today {
        let changed: Vec<i64> = heard.range(hours_of(day)).copied().collect();
        if !changed.is_empty() {
            count_hours(store, changed).await?;
            count_day(store, day, true).await?;
        }
    }
    Ok(())
}

fn hours_of(day: i64) -> RangeInclusive<i64> {
    let begin = day.saturating_mul(HOURS_OF_DAY);
    begin..=begin.saturating_add(HOURS_OF_DAY - 1)
}

/// Hour by hour, so that the counts of many projects are not in memory for a whole day.
async fn count_hours(
    store: &Store,
    hours: impl IntoIterator<Item = i64>,
) -> Result<(), StoreError> {
    for hour in hours {
        let counting = async move |tx: &mut Tx| {
            Ok::<_, StoreError>((
                tx.counts_of(Span::Hour, hour).await?,
                tx.count_runs(Span::Hour, hour).await?,
            ))
        };
        let (before, runs) = store.read("counting the runs of an hour", counting).await?;
        write_counts(store, Span::Hour, before, with_all_projects(runs)).await?;
    }
    Ok(())
}

/// Counts the runs of a day, or adds up its hours.
async fn count_day(store: &Store, day: i64, has_hours: bool) -> Result<(), StoreError> {
    let counting = async move |tx: &mut Tx| {
        let before = tx.counts_of(Span::Day, day).await?;
        let now = if has_hours {
            tx.sum_of_hours(day).await?
        } else {
            with_all_projects(tx.count_runs(Span::Day, day).await?)
        };
        Ok::<_, StoreError>((before, now))
    };
    let (before, now) = store.read("counting the runs of a day", counting).await?;
    write_counts(store, Span::Day, before, now).await
}

/// Writes those counts that are not as before, and removes those that are none any more.
async fn write_counts(
    store: &Store,
    span: Span,
    before: Vec<RunCount>,
    mut now: Vec<RunCount>,
) -> Result<(), StoreError> {
    let key = |count: &RunCount| (count.project_id.clone(), count.state);
    let mut others: BTreeMap<_, _> = before
        .into_iter()
        .map(|count| (key(&count), count))
        .collect();
    now.retain(|count| others.remove(&key(count)).as_ref() != Some(count));
    let gone: Vec<RunCount> = others.into_values().collect();
    if now.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let writing = async move |tx: &mut Tx| tx.write_run_counts(span, &now, &gone).await;
    store.write("writing counts of runs", writing).await
}

impl Catalogue {
    /// [`count_days`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_days(&self, back: i64, most: i64) -> Result<(), StoreError> {
        count_days(&self.store, back, most).await
    }

    /// [`count_changed_hours`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_changed_hours(&self, heard: BTreeSet<i64>) -> Result<(), StoreError> {
        count_changed_hours(&self.store, heard).await
    }

    /// Removes the counts of days that are longer ago than this, and of hours before yesterday; how many of days.
    ///
    /// # Errors
    /// [`StoreError`]. What was removed stays removed.
    pub async fn forget_days(&self, days: i64) -> Result<u64, StoreError> {
        let now = self.store.earlier_time().await?;
        let today = now.div_euclid(SECONDS_OF_DAY);
        let hours = first_of_hours(today).saturating_mul(HOURS_OF_DAY);
        self.forget_counts(Span::Hour, hours).await?;
        self.forget_counts(Span::Day, today.saturating_sub(days))
            .await
    }

    /// Each day and hour by itself, so that no statement takes long after years of many projects.
    async fn forget_counts(&self, span: Span, before: i64) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let forgetting = async move |tx: &mut Tx| tx.forget_counts(span, before).await;
            let rows = self
                .store
                .write("forgetting the counts of days", forgetting)
                .await?;
            if rows == 0 {
                return Ok(forgotten);
            }
            forgotten += rows;
        }
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
    ) -> Result<ReportPage, ApiError> {
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
        self.store
            .read("listing days", async move |tx: &mut Tx| {
                let counts = tx.run_counts(Span::Day, &project_id, since, until).await?;
                Ok::<_, ApiError>(ReportPage::new(tx, documents(&counts), None)?)
            })
            .await
    }
}
