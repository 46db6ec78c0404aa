//! Counts of hosts, findings and runs.

use super::statement::sql;
use super::upsert::as_integer;
use super::{StoreError, Tx};
use crate::domain::Scope;
use crate::domain::finding::Finding;
use crate::domain::host::{HostState, NEVER};
use crate::domain::run_day::{ALL_PROJECTS, RunCount, SECONDS_OF_HOUR, Span};
use crate::domain::summary::{Counts, FindingCount, HOURS, HostCounts, HourCount, ProjectCount};

/// Counts of a project's hosts and jobs, in the order of the columns.
type HostRow = (
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

fn counts_of(row: HostRow) -> (ProjectCount, HostCounts) {
    let (
        project_id,
        total,
        alive,
        silent,
        red,
        jobs,
        active_jobs,
        running,
        due_soon,
        since,
        oldest,
    ) = row;
    let project = ProjectCount {
        project_id,
        hosts: total,
        oldest_success_at: oldest,
    };
    let hosts = HostCounts {
        total,
        alive,
        silent,
        unknown: total - alive - silent,
        red,
        jobs,
        active_jobs,
        running,
        running_since: since,
        due_soon,
    };
    (project, hosts)
}

impl Tx {
    /// All that a summary is made of, but when it was found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_all(&mut self, scope: &Scope) -> Result<Counts, StoreError> {
        let (projects, hosts) = self.count_hosts(scope).await?;
        Ok(Counts {
            as_of: None,
            hosts,
            findings: self.count_findings(scope).await?,
            projects,
            hours: self.count_hours(scope).await?,
        })
    }

    /// The hosts of each project, and of all of them together.
    async fn count_hosts(
        &mut self,
        scope: &Scope,
    ) -> Result<(Vec<ProjectCount>, HostCounts), StoreError> {
        let engine = self.engine();
        let sum = |expression: &str| as_integer(engine, &format!("COALESCE(SUM({expression}), 0)"));
        let hosts_that = |condition: &str| sum(&format!("CASE WHEN {condition} THEN 1 ELSE 0 END"));
        let in_state = |state: HostState| hosts_that(&format!("state = '{}'", state.name()));
        let now = self.now().unix_timestamp();
        let soon = now.saturating_add(SECONDS_OF_HOUR);
        let columns = [
            "project_id".to_owned(),
            "COUNT(*)".to_owned(),
            in_state(HostState::Alive),
            in_state(HostState::Silent),
            hosts_that("is_red"),
            sum("jobs"),
            sum("active_jobs"),
            sum("running"),
            hosts_that("due_at >= ? AND due_at < ?"),
            "MIN(running_since)".to_owned(),
            format!("MIN(CASE WHEN last_success_at <> {NEVER} THEN last_success_at END)"),
        ];
        let query = sql(format!(
            "SELECT {} FROM freezer_api_hosts WHERE 1 = 1",
            columns.join(", ")
        ));
        let query = query.bind(now).bind(soon).of_scope(scope, "project_id");
        let query = query.push(" GROUP BY project_id");
        let rows: Vec<HostRow> = self.session.fetch_all(query).await?;
        let counts = rows.into_iter().map(counts_of);
        let (projects, hosts): (Vec<ProjectCount>, Vec<HostCounts>) = counts.unzip();
        let all = hosts
            .into_iter()
            .fold(HostCounts::default(), HostCounts::with);
        Ok((projects, all))
    }

    /// Findings by project and kind.
    pub(super) async fn count_findings(
        &mut self,
        scope: &Scope,
    ) -> Result<Vec<FindingCount>, StoreError> {
        let query = sql(
            "SELECT project_id, urgency, COUNT(*), MIN(since) FROM freezer_api_problems WHERE 1 = 1",
        );
        let query = query
            .of_scope(scope, "project_id")
            .push(" GROUP BY project_id, urgency");
        let rows: Vec<(Option<String>, i64, i64, i64)> = self.session.fetch_all(query).await?;
        let count = |(project_id, urgency, count, since)| {
            Some(FindingCount {
                project_id,
                finding: Finding::of_urgency(urgency)?,
                count,
                since,
            })
        };
        Ok(rows.into_iter().filter_map(count).collect())
    }

    /// As the last round has counted them.
    async fn count_hours(&mut self, scope: &Scope) -> Result<Vec<HourCount>, StoreError> {
        let project_id = match scope {
            Scope::Project(project_id) => project_id,
            Scope::All => ALL_PROJECTS,
        };
        let next = self.now().unix_timestamp().div_euclid(SECONDS_OF_HOUR) + 1;
        let counts = self.run_counts(Span::Hour, project_id, next - HOURS, next);
        let counts = counts.await?.into_iter();
        let count = |count: RunCount| HourCount {
            hour: count.began,
            state: count.state,
            runs: count.runs,
        };
        Ok(counts.map(count).collect())
    }
}
