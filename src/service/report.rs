//! What the catalogue has seen happen: the runs of jobs, and how jobs fare.

use std::time::Duration;

use serde_json::value::RawValue;

use super::Catalogue;
use super::documents::known;
use super::documents::unknown_marker;
use crate::authz::{Authorized, Denied, rules};
use crate::domain::job_report::JobQuery;
use crate::domain::run::RunQuery;
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::{Room, StoreError, Tx};

/// A page of a report.
pub struct ReportPage {
    /// Its documents.
    pub documents: Vec<Box<RawValue>>,
    /// The last one's id, where more follow.
    pub next: Option<String>,
    /// The memory that they take, for whoever shows them.
    pub room: Room,
}

impl ReportPage {
    /// A page of what was read.
    ///
    /// # Errors
    /// [`StoreError::NeedsRoom`] where it is large, and there is no memory for it now.
    pub(super) fn new(
        tx: &mut Tx,
        documents: Vec<Box<RawValue>>,
        next: Option<String>,
    ) -> Result<ReportPage, StoreError> {
        tx.keep_room(documents.iter().map(|one| one.get().len()).sum())?;
        Ok(ReportPage {
            documents,
            next,
            room: tx.room(),
        })
    }
}

/// What a caller sees of a report.
pub(super) fn report_scope(caller: &Authorized, all_projects: bool) -> Result<Scope, Denied> {
    if !all_projects {
        return Ok(caller.scope());
    }
    caller.require(rules::REPORT_GET_ALL_PROJECTS)?;
    Ok(Scope::All)
}

impl Catalogue {
    /// A page of the runs of the project's jobs, or with `all_projects` of all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`] where the caller may not see all projects.
    pub async fn list_runs(
        &self,
        caller: &Authorized,
        all_projects: bool,
        query: RunQuery,
    ) -> Result<ReportPage, ApiError> {
        let scope = report_scope(caller, all_projects)?;
        self.store
            .read("listing runs", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => {
                        let found = tx.get_run(&scope, id).await?;
                        Some(found.ok_or_else(|| unknown_marker("run"))?.run)
                    }
                };
                let mut runs = tx.list_runs(&scope, &query, after.as_ref()).await?;
                let has_more = runs.len() > query.limit;
                runs.truncate(query.limit);
                let last = runs.last().filter(|_| has_more);
                let next = last.map(|last| last.run.id.clone());
                let documents = runs.iter().map(|run| run.to_json()).collect();
                Ok::<_, ApiError>(ReportPage::new(tx, documents, next)?)
            })
            .await
    }

    /// The document of one run; of any project for those who see all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn get_run(
        &self,
        caller: &Authorized,
        run_id: String,
    ) -> Result<Box<RawValue>, ApiError> {
        let sees_all = caller.may(rules::REPORT_GET_ALL_PROJECTS);
        let scope = if sees_all { Scope::All } else { caller.scope() };
        self.store
            .read("getting a run", async move |tx: &mut Tx| {
                let found = tx.get_run(&scope, &run_id).await?;
                let run = found.ok_or_else(|| Refusal::not_found("Run", &run_id))?;
                Ok(run.to_json())
            })
            .await
    }

    /// A page of the project's jobs, or with `all_projects` of all: how they fare.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`] where the caller may not see all projects.
    pub async fn list_job_reports(
        &self,
        caller: &Authorized,
        all_projects: bool,
        query: JobQuery,
    ) -> Result<ReportPage, ApiError> {
        let scope = report_scope(caller, all_projects)?;
        let now = self.clock.now();
        self.store
            .read("reporting jobs", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => Some(known(tx.place_of_job(&scope, id).await?)?),
                };
                let mut jobs = tx.list_job_histories(&scope, &query, after).await?;
                let has_more = jobs.len() > query.limit;
                jobs.truncate(query.limit);
                let last = jobs.last().filter(|_| has_more);
                let next = last.map(|job| job.job_id.clone());
                let documents = jobs.iter().map(|job| job.report(now)).collect();
                Ok::<_, ApiError>(ReportPage::new(tx, documents, next)?)
            })
            .await
    }

    /// Removes the runs that started longer ago than this, by our clock and the database server's, in small transactions; how many.
    ///
    /// # Errors
    /// [`StoreError`]. What was removed stays removed.
    pub async fn forget_runs(&self, age: Duration) -> Result<usize, StoreError> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let before = self.store.earlier_time().await?.saturating_sub(age);
        let mut forgotten = 0;
        loop {
            let some = self
                .store
                .write("forgetting old runs", async move |tx: &mut Tx| {
                    tx.forget_runs(before).await
                })
                .await?;
            if some == 0 {
                return Ok(forgotten);
            }
            forgotten += some;
        }
    }
}
