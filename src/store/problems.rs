//! What is wrong with jobs, clients and series of backups, as it was found last: written by one node among all, read by reports.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::statement::{Argument, in_lists, placeholders, sql};
use super::upsert::Replaced;
use super::{StoreError, Tx};
use crate::domain::Scope;
use crate::domain::finding::{Finding, Problem, ProblemQuery, Subject};

const TABLE: Replaced = Replaced {
    table: "freezer_api_problems",
    key: &["id"],
    columns: &[
        "id",
        "urgency",
        "since",
        "project_id",
        "client_id",
        "job_id",
        "series_id",
        "description",
        "last_success_at",
        "due_at",
        "failed_in_a_row",
        "clock_skew",
    ],
};

/// A row as it is read: none where a newer program beside this one has found what this one does not know.
struct Stored(Option<Problem>);

impl<'r, R> FromRow<'r, R> for Stored
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let Some(finding) = Finding::of_urgency(row.try_get("urgency")?) else {
            return Ok(Stored(None));
        };
        Ok(Stored(Some(Problem {
            id: row.try_get("id")?,
            finding,
            since: row.try_get("since")?,
            project_id: row.try_get("project_id")?,
            client_id: row.try_get("client_id")?,
            job_id: row.try_get("job_id")?,
            series_id: row.try_get("series_id")?,
            description: row.try_get("description")?,
            last_success_at: row.try_get("last_success_at")?,
            due_at: row.try_get("due_at")?,
            failed_in_a_row: row.try_get("failed_in_a_row")?,
            clock_skew: row.try_get("clock_skew")?,
        })))
    }
}

fn values(problem: &Problem) -> Vec<Argument> {
    vec![
        (&problem.id).into(),
        problem.finding.urgency().into(),
        problem.since.into(),
        (&problem.project_id).into(),
        (&problem.client_id).into(),
        (&problem.job_id).into(),
        (&problem.series_id).into(),
        (&problem.description).into(),
        problem.last_success_at.into(),
        problem.due_at.into(),
        problem.failed_in_a_row.into(),
        problem.clock_skew.into(),
    ]
}

/// `urgency IN (…)` of findings.
fn in_findings(findings: impl Iterator<Item = Finding>) -> String {
    let urgencies: Vec<String> = findings
        .map(|finding| finding.urgency().to_string())
        .collect();
    format!("urgency IN ({})", urgencies.join(", "))
}

impl Tx {
    /// The problems of these jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn problems_of_jobs(
        &mut self,
        job_ids: &[String],
    ) -> Result<Vec<Problem>, StoreError> {
        self.problems_of("job_id", job_ids, Subject::Job).await
    }

    /// The problems of these series.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn problems_of_series(
        &mut self,
        series_ids: &[String],
    ) -> Result<Vec<Problem>, StoreError> {
        let subject = Subject::Series;
        self.problems_of("series_id", series_ids, subject).await
    }

    /// What is wrong with any series of these clients: project, client and finding, each once, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn series_findings_of_clients(
        &mut self,
        client_ids: &[String],
    ) -> Result<Vec<(Option<String>, String, Finding)>, StoreError> {
        let of_series = in_findings(Finding::about(Subject::Series));
        let mut findings = Vec::new();
        for ids in in_lists(client_ids) {
            let query = format!(
                "SELECT DISTINCT project_id, client_id, urgency FROM freezer_api_problems \
                 WHERE client_id IN ({}) AND {of_series}",
                placeholders(ids.len())
            );
            let rows: Vec<(Option<String>, String, i64)> =
                self.session.fetch_all(sql(query).bind_all(ids)).await?;
            findings.extend(
                rows.into_iter()
                    .filter_map(|(project_id, client_id, urgency)| {
                        Some((project_id, client_id, Finding::of_urgency(urgency)?))
                    }),
            );
        }
        Ok(findings)
    }

    /// The problems of these clients, without those of their jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn problems_of_clients(
        &mut self,
        client_ids: &[String],
    ) -> Result<Vec<Problem>, StoreError> {
        let subject = Subject::Client;
        self.problems_of("client_id", client_ids, subject).await
    }

    async fn problems_of(
        &mut self,
        column: &str,
        ids: &[String],
        subject: Subject,
    ) -> Result<Vec<Problem>, StoreError> {
        let kinds = in_findings(Finding::about(subject));
        let mut problems: Vec<Problem> = Vec::new();
        for ids in in_lists(ids) {
            let query = format!(
                "SELECT * FROM freezer_api_problems WHERE {column} IN ({}) AND {kinds}",
                placeholders(ids.len())
            );
            let query = sql(query).bind_all(ids);
            let found: Vec<Stored> = self.session.fetch_all(query).await?;
            problems.extend(found.into_iter().filter_map(|Stored(problem)| problem));
        }
        Ok(problems)
    }

    /// Writes problems as they are now, and removes those that are none any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_problems(
        &mut self,
        now: &[Problem],
        no_more: &[String],
    ) -> Result<(), StoreError> {
        for ids in in_lists(no_more) {
            let list = placeholders(ids.len());
            let delete = format!("DELETE FROM freezer_api_problems WHERE id IN ({list})");
            self.session.execute(sql(delete).bind_all(ids)).await?;
        }
        let rows: Vec<Vec<Argument>> = now.iter().map(values).collect();
        self.replace(&TABLE, &rows).await
    }

    /// Removes the problems of jobs, clients and series that are gone; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_problems(&mut self) -> Result<u64, StoreError> {
        let [of_jobs, of_clients, of_series] = [Subject::Job, Subject::Client, Subject::Series]
            .map(|subject| in_findings(Finding::about(subject)));
        let jobs = format!(
            "DELETE FROM freezer_api_problems WHERE {of_jobs} AND NOT EXISTS \
             (SELECT 1 FROM jobs j WHERE j.id = freezer_api_problems.job_id AND j.deleted = FALSE)"
        );
        let clients = format!(
            "DELETE FROM freezer_api_problems WHERE {of_clients} AND NOT EXISTS \
             (SELECT 1 FROM clients c WHERE c.client_id = freezer_api_problems.client_id \
             AND c.project_id = freezer_api_problems.project_id AND c.deleted = FALSE)"
        );
        let series = format!(
            "DELETE FROM freezer_api_problems WHERE {of_series} AND NOT EXISTS \
             (SELECT 1 FROM freezer_api_series s WHERE s.id = freezer_api_problems.series_id)"
        );
        let mut forgotten = 0;
        for delete in [jobs, clients, series] {
            forgotten += self.session.execute(sql(delete)).await?;
        }
        Ok(forgotten)
    }

    /// The problem of an id, if it is in the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_problem(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Problem>, StoreError> {
        let query = sql("SELECT * FROM freezer_api_problems WHERE id = ?").bind(id);
        let rows: Vec<Stored> = self
            .session
            .fetch_all(query.of_scope(scope, "project_id"))
            .await?;
        let mut problems = rows.into_iter().filter_map(|Stored(problem)| problem);
        Ok(problems.find(|problem| problem.id == id))
    }

    /// The problems of a scope that a query asks for, the worst first, as many as its limit and one more where there are more. Of several
    /// kinds each is read by itself: no engine finds several in one order by an index.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_problems(
        &mut self,
        scope: &Scope,
        query: &ProblemQuery,
        after: Option<&Problem>,
    ) -> Result<Vec<Problem>, StoreError> {
        if query.findings.is_empty() {
            return self.some_problems(scope, query, None, after).await;
        }
        let mut problems = Vec::new();
        for finding in &query.findings {
            // What is worse than the last one was on the pages before.
            if problems.len() > query.limit || after.is_some_and(|last| last.finding > *finding) {
                continue;
            }
            let after = after.filter(|last| last.finding == *finding);
            let of_kind = self
                .some_problems(scope, query, Some(*finding), after)
                .await?;
            problems.extend(of_kind);
        }
        problems.truncate(query.limit.saturating_add(1));
        Ok(problems)
    }

    /// Those of one kind, or of all.
    async fn some_problems(
        &mut self,
        scope: &Scope,
        query: &ProblemQuery,
        finding: Option<Finding>,
        after: Option<&Problem>,
    ) -> Result<Vec<Problem>, StoreError> {
        let select = sql("SELECT * FROM freezer_api_problems WHERE 1 = 1");
        let mut select = select.not_kept().of_scope(scope, "project_id");
        for (column, value) in [("job_id", &query.job_id), ("client_id", &query.client_id)] {
            if let Some(value) = value {
                select = select.push(&format!(" AND {column} = ?")).bind(value);
            }
        }
        if let Some(finding) = finding {
            select = select.push(" AND urgency = ?").bind(finding.urgency());
        }
        if let Some(last) = after {
            let urgency = last.finding.urgency();
            select = select
                .push(" AND urgency >= ? AND (urgency > ? OR since > ? OR (since = ? AND id > ?))")
                .bind_all([urgency, urgency, last.since, last.since])
                .bind(&last.id);
        }
        let end = format!(
            " ORDER BY urgency, since, id LIMIT {}",
            query.limit.saturating_add(1)
        );
        let rows: Vec<Stored> = self.session.fetch_all(select.push(&end)).await?;
        let known = rows.into_iter().filter_map(|Stored(problem)| problem);
        Ok(known.collect())
    }
}
