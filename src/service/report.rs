//! What the catalogue has seen happen: the runs of jobs.

use std::time::Duration;

use serde_json::value::RawValue;

use super::Catalogue;
use crate::authz::{Authorized, Denied, rules};
use crate::domain::run::RunQuery;
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::{StoreError, Tx};

/// A page of runs.
pub struct RunPage {
    /// Their documents.
    pub runs: Vec<Box<RawValue>>,
    /// The last one's id, where more follow.
    pub next: Option<String>,
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
    ) -> Result<RunPage, ApiError> {
        let sees_all = caller.may(rules::REPORT_GET_ALL_PROJECTS);
        if all_projects && !sees_all {
            return Err(Denied.into());
        }
        let scope = if all_projects {
            Scope::All
        } else {
            caller.scope()
        };
        self.store
            .read("listing runs", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => Some(tx.get_run(&scope, id).await?.ok_or_else(unknown_marker)?),
                };
                let mut runs = tx.list_runs(&scope, &query, after.as_ref()).await?;
                let has_more = runs.len() > query.limit;
                runs.truncate(query.limit);
                let last = runs.last().filter(|_| has_more);
                Ok(RunPage {
                    next: last.map(|run| run.id.clone()),
                    runs: runs.iter().map(|run| run.to_json()).collect(),
                })
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

    /// Removes the runs that started longer ago than this, in small transactions; how many.
    ///
    /// # Errors
    /// [`StoreError`]. What was removed stays removed.
    pub async fn forget_runs(&self, age: Duration) -> Result<usize, StoreError> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let before = self.clock.timestamp().saturating_sub(age);
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

fn unknown_marker() -> ApiError {
    ApiError::InvalidParameter(
        "The \"marker\" parameter is invalid. No run of the list has this id.".to_owned(),
    )
}
