//! The overview of a project, or of all, which many pages ask for at once.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::Catalogue;
use super::report::report_scope;
use crate::authz::Authorized;
use crate::domain::Scope;
use crate::domain::host::ROUNDS;
use crate::domain::summary::Summary;
use crate::error::ApiError;
use crate::store::{Store, StoreError, Tx};

/// For how many seconds an overview is shown.
const SUMMARY_AGE: i64 = 15;
/// Of how many projects overviews are kept meanwhile.
const KEPT: u64 = 1000;

/// The overviews of the last seconds, by project and by when they were computed.
pub(super) struct Summaries(Cache<(Option<String>, i64), Arc<Summary>>);

impl Default for Summaries {
    fn default() -> Summaries {
        let age = Duration::from_secs(SUMMARY_AGE.unsigned_abs());
        Summaries(
            Cache::builder()
                .max_capacity(KEPT)
                .time_to_live(age)
                .build(),
        )
    }
}

impl Catalogue {
    /// The overview of the project, or with `all_projects` of all: computed once in 15 s, for all that ask.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`](crate::authz::Denied) where the caller may not see all projects.
    pub async fn summary(
        &self,
        caller: &Authorized,
        all_projects: bool,
    ) -> Result<Arc<Summary>, ApiError> {
        let scope = report_scope(caller, all_projects)?;
        let project_id = match &scope {
            Scope::Project(project_id) => Some(project_id.clone()),
            Scope::All => None,
        };
        let now = self.clock.timestamp();
        let key = (project_id, now.div_euclid(SUMMARY_AGE));
        let computed = self
            .summaries
            .0
            .try_get_with(key, compute_summary(&self.store, scope))
            .await;
        // Several may have waited for one failure.
        computed.map_err(|error| StoreError::Unreachable(error.to_string()).into())
    }
}

/// The overview of a scope as it is now.
///
/// # Errors
/// [`StoreError`].
async fn compute_summary(store: &Store, scope: Scope) -> Result<Arc<Summary>, StoreError> {
    let counts = store
        .read("counting what a summary has", async move |tx: &mut Tx| {
            let mut counts = tx.count_all(&scope).await?;
            counts.as_of = tx.lease_done_at(ROUNDS).await?;
            Ok::<_, StoreError>(counts)
        })
        .await?;
    Ok(Arc::new(counts.summary(store.clock.timestamp())))
}
