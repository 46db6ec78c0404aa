//! How hosts fare and what is wrong, as the last round has found it.

use serde_json::value::RawValue;

use super::Catalogue;
use super::documents::unknown_marker;
use super::report::{ReportPage, report_scope};
use crate::authz::{Authorized, rules};
use crate::domain::Refusal;
use crate::domain::Scope;
use crate::domain::finding::ProblemQuery;
use crate::domain::host::{HostQuery, ROUNDS};
use crate::error::ApiError;
use crate::store::Tx;

impl Catalogue {
    /// A page of the hosts of the project, or with `all_projects` of all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`](crate::authz::Denied) where the caller may not see all projects.
    pub async fn list_hosts(
        &self,
        caller: &Authorized,
        all_projects: bool,
        query: HostQuery,
    ) -> Result<ReportPage, ApiError> {
        let scope = report_scope(caller, all_projects)?;
        self.store
            .read("listing hosts", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => {
                        let found = tx.find_host(&scope, id).await?;
                        Some(found.ok_or_else(|| unknown_marker("host"))?)
                    }
                };
                let mut hosts = tx.list_hosts(&scope, &query, after.as_ref()).await?;
                let has_more = hosts.len() > query.limit;
                hosts.truncate(query.limit);
                let last = hosts.last().filter(|_| has_more);
                let next = last.map(|report| report.host.id.clone());
                let documents = hosts.iter().map(|report| report.to_json()).collect();
                Ok::<_, ApiError>(ReportPage::new(tx, documents, next)?)
            })
            .await
    }

    /// The host of a client: the project's own, else a central one that has jobs of the project.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn get_host(
        &self,
        caller: &Authorized,
        client_id: String,
    ) -> Result<Box<RawValue>, ApiError> {
        let sees_all = caller.may(rules::REPORT_GET_ALL_PROJECTS);
        let own = caller.scope();
        self.store
            .read("getting a host", async move |tx: &mut Tx| {
                let mut found = tx.get_host(&own, &client_id).await?;
                if found.is_none() && sees_all {
                    found = tx.get_host(&Scope::All, &client_id).await?;
                }
                let report = found.ok_or_else(|| Refusal::not_found("Client", &client_id))?;
                Ok(report.to_json())
            })
            .await
    }

    /// A page of what is wrong in the project, or with `all_projects` in all, the worst first; and when it was found.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`](crate::authz::Denied) where the caller may not see all projects.
    pub async fn list_problems(
        &self,
        caller: &Authorized,
        all_projects: bool,
        query: ProblemQuery,
    ) -> Result<(ReportPage, Option<i64>), ApiError> {
        let scope = report_scope(caller, all_projects)?;
        self.store
            .read("listing problems", async move |tx: &mut Tx| {
                let after = match &query.marker {
                    None => None,
                    Some(id) => {
                        let found = tx.get_problem(&scope, id).await?;
                        Some(found.ok_or_else(|| unknown_marker("problem"))?)
                    }
                };
                let mut problems = tx.list_problems(&scope, &query, after.as_ref()).await?;
                let has_more = problems.len() > query.limit;
                problems.truncate(query.limit);
                let last = problems.last().filter(|_| has_more);
                let next = last.map(|problem| problem.id.clone());
                let documents = problems.iter().map(|problem| problem.to_json()).collect();
                let page = ReportPage::new(tx, documents, next)?;
                Ok::<_, ApiError>((page, tx.lease_done_at(ROUNDS).await?))
            })
            .await
    }
}
