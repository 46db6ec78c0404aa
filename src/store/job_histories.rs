//! Jobs with what was seen of them, as reports show them.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;

use super::pages::{Cursor, Order, Page, Slice, Start};
use super::rows::{Conditions, SMALL_TEXT};
use super::runs::COLUMNS;
use super::statement::{Statement, in_lists, placeholders, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;
use crate::domain::document;
use crate::domain::job::Job;
use crate::domain::job_report::{JobHistory, JobQuery, LAST_RUNS};
use crate::domain::run::{Run, RunState};
use crate::domain::series::Records;

/// The columns of a job without its runs. Schedules that are larger than any scheduler's tell nothing.
static HISTORY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "j.id AS id, j.project_id AS project_id, j.client_id AS client_id, j.description AS description, \
         CASE WHEN OCTET_LENGTH(j.schedule) <= {SMALL_TEXT} THEN j.schedule END AS schedule, j.created_at AS created_at, j.updated_at AS updated_at"
    )
});

/// A job without its runs.
impl<'r, R> FromRow<'r, R> for JobHistory
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    PrimitiveDateTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let schedule: Option<String> = row.try_get("schedule")?;
        let created_at: Option<PrimitiveDateTime> = row.try_get("created_at")?;
        let changed_at: Option<PrimitiveDateTime> = row.try_get("updated_at")?;
        let seconds = |time: PrimitiveDateTime| time.assume_utc().unix_timestamp();
        Ok(JobHistory {
            job_id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            client_id: row.try_get("client_id")?,
            description: row.try_get("description")?,
            schedule: document::stored_object(schedule.as_deref()),
            created_at: created_at.map(seconds),
            changed_at: changed_at.map(seconds),
            runs: Vec::new(),
            last_success: None,
            records: Records::default(),
        })
    }
}

impl Tx {
    /// The live jobs of a scope that a query asks for, with their last runs: as many as its limit and one more where there are
    /// more. Each job's runs are found by an index, however many it has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_job_histories(
        &mut self,
        scope: &Scope,
        query: &JobQuery,
        after: Option<Cursor>,
    ) -> Result<Vec<JobHistory>, StoreError> {
        let mut conditions = Conditions::within::<Job>(scope);
        if let Some(client_id) = &query.client_id {
            conditions = conditions.and("j.client_id = ?", [client_id]);
        }
        let order = if query.newest_first {
            Order::NewestFirst
        } else {
            Order::OldestFirst
        };
        let page = Page {
            limit: query.limit as u64 + 1,
            offset: 0,
        };
        let slice = Slice {
            conditions,
            look_up: None,
            index: None,
            order,
            start: after.map_or(Start::Beginning, Start::Behind),
            page,
        };
        let jobs = slice.select::<Job>(self.engine(), &HISTORY);
        let mut jobs: Vec<JobHistory> = self.session.fetch_all(jobs).await?;
        self.add_last_runs(&mut jobs).await?;
        Ok(jobs)
    }

    /// The live jobs behind a place, in the order of their clients' names, with their last runs: at most so many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs_by_client(
        &mut self,
        after: &(String, String),
        limit: usize,
    ) -> Result<Vec<JobHistory>, StoreError> {
        let (client_id, id) = after;
        let query = sql(format!(
            "SELECT {} FROM jobs j WHERE j.client_id >= ? AND (j.client_id > ? OR j.id > ?) AND j.deleted = FALSE \
             ORDER BY j.client_id, j.id LIMIT {limit}",
            *HISTORY
        ));
        let query = query.bind(client_id).bind(client_id).bind(id);
        let mut jobs: Vec<JobHistory> = self.session.fetch_all(query).await?;
        self.add_last_runs(&mut jobs).await?;
        Ok(jobs)
    }

    /// Which of these jobs have an action that makes backups.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backup_jobs(&mut self, job_ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut found = HashSet::new();
        for ids in in_lists(job_ids) {
            let query = format!(
                "SELECT DISTINCT ja.job_id FROM job_actions ja JOIN actions a ON a.id = ja.action_id \
                 WHERE ja.job_id IN ({}) AND ja.deleted = FALSE AND a.action = 'backup'",
                placeholders(ids.len())
            );
            let rows: Vec<(String,)> = self.session.fetch_all(sql(query).bind_all(ids)).await?;
            found.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(found)
    }

    /// Gives jobs their last runs, and what is known of their records.
    async fn add_last_runs(&mut self, jobs: &mut [JobHistory]) -> Result<(), StoreError> {
        let shown: Vec<&str> = jobs.iter().map(|job| job.job_id.as_str()).collect();
        let mut runs = self.last_runs(&shown, None, LAST_RUNS).await?;
        let mut successes = self.last_runs(&shown, Some(RunState::Success), 1).await?;
        let records = self.records_of_jobs(&shown).await?;
        for job in jobs.iter_mut() {
            // Runs outlive their job: once it is purged, its id may be another project's.
            let is_own = |run: &Run| run.project_id == job.project_id;
            let mut own = runs.remove(&job.job_id).unwrap_or_default();
            own.retain(is_own);
            let success = successes.remove(&job.job_id).unwrap_or_default();
            job.last_success = success.into_iter().find(is_own);
            job.runs = own;
            job.records = records.of(&job.job_id, job.project_id.as_deref());
        }
        Ok(())
    }

    /// The last successful run of each job.
    pub(super) async fn last_successes(
        &mut self,
        job_ids: &[&str],
    ) -> Result<HashMap<String, Run>, StoreError> {
        let runs = self.last_runs(job_ids, Some(RunState::Success), 1).await?;
        let runs = runs
            .into_iter()
            .filter_map(|(job_id, mut runs)| Some((job_id, runs.pop()?)));
        Ok(runs.collect())
    }

    /// The last runs of each job, or of those in a state, the last first.
    async fn last_runs(
        &mut self,
        job_ids: &[&str],
        state: Option<RunState>,
        most: usize,
    ) -> Result<HashMap<String, Vec<Run>>, StoreError> {
        let mut found: HashMap<String, Vec<Run>> = HashMap::new();
        if job_ids.is_empty() {
            return Ok(found);
        }
        let query = last_of_each(self.engine(), job_ids, state, most);
        let runs: Vec<Run> = self.session.fetch_all(query).await?;
        for run in runs {
            found.entry(run.job_id.clone()).or_default().push(run);
        }
        for runs in found.values_mut() {
            runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
        }
        Ok(found)
    }
}

/// A look into the index for each job: a window over the runs of them all would read all that are kept.
fn last_of_each(
    engine: Engine,
    job_ids: &[&str],
    state: Option<RunState>,
    most: usize,
) -> Statement {
    match engine {
        Engine::Postgres => last_by_join(job_ids, state, most),
        Engine::MySql | Engine::Sqlite => last_by_union(job_ids, state, most),
    }
}

/// PostgreSQL plans one SELECT for them all sooner than one for each.
fn last_by_join(job_ids: &[&str], state: Option<RunState>, most: usize) -> Statement {
    let rows = vec!["(?)"; job_ids.len()].join(", ");
    let columns: Vec<String> = COLUMNS
        .split(", ")
        .map(|column| format!("r.{}", column.trim()))
        .collect();
    let of_state = if state.is_some() {
        " AND state = ?"
    } else {
        ""
    };
    let query = sql(format!(
        "SELECT {} FROM (VALUES {rows}) AS j (id) CROSS JOIN LATERAL (SELECT {COLUMNS} FROM freezer_api_runs \
         WHERE job_id = j.id{of_state} ORDER BY started_at DESC LIMIT {most}) AS r",
        columns.join(", ")
    ));
    let query = query.not_kept().bind_all(job_ids.iter().copied());
    match state {
        Some(state) => query.bind(state.name()),
        None => query,
    }
}

/// The other engines have no LATERAL, all of them or some of their releases.
fn last_by_union(job_ids: &[&str], state: Option<RunState>, most: usize) -> Statement {
    let of_state = if state.is_some() {
        " AND state = ?"
    } else {
        ""
    };
    let mut query = sql("").not_kept();
    for (at, job_id) in job_ids.iter().enumerate() {
        let all = if at == 0 { "" } else { " UNION ALL " };
        query = query.push(&format!(
            "{all}SELECT * FROM (SELECT {COLUMNS} FROM freezer_api_runs WHERE job_id = ?{of_state} \
             ORDER BY started_at DESC LIMIT {most}) r{at}"
        ));
        query = query.bind(*job_id);
        if let Some(state) = state {
            query = query.bind(state.name());
        }
    }
    query
}
