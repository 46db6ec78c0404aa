//! The runs of jobs in the database. All changes of a job's runs are made with the job locked.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::statement::{Statement, in_lists, placeholders, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;
use crate::domain::job::Job;
use crate::domain::run::{DescribedRun, Observation, Run, RunQuery, RunState};

/// The columns in the order in which they are written.
pub(super) const COLUMNS: &str = "id, project_id, job_id, client_id, session_id, session_tag, actions, state, attempts, started_at, \
     ended_at, seen_started_at, seen_ended_at";
/// The column with what the job of a run is called.
const DESCRIPTION: &str = "(SELECT j.description FROM jobs j WHERE j.id = freezer_api_runs.job_id \
     AND j.project_id = freezer_api_runs.project_id) AS description";
/// A run of a job, by its columns. Runs outlive their job: once it is purged, its id may be another project's.
const OF_JOB: &str = "job_id = ? AND project_id = ?";
/// How many old rows one transaction removes.
const MOST_REMOVED: usize = 1000;
/// How far the clock of a host may be ahead before its runs are no longer kept by it, in seconds.
const FAR_AHEAD: i64 = 86_400;

impl<'r, R> FromRow<'r, R> for Run
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(Run {
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            job_id: row.try_get("job_id")?,
            client_id: row.try_get("client_id")?,
            session_id: row.try_get("session_id")?,
            session_tag: row.try_get("session_tag")?,
            actions: row.try_get("actions")?,
            state: RunState::parse(&state)
                .ok_or_else(|| sqlx::Error::Decode(format!("a run is {state}").into()))?,
            attempts: row.try_get("attempts")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            seen_started_at: row.try_get("seen_started_at")?,
            seen_ended_at: row.try_get("seen_ended_at")?,
        })
    }
}

impl<'r, R> FromRow<'r, R> for DescribedRun
where
    R: sqlx::Row,
    Run: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(DescribedRun {
            run: Run::from_row(row)?,
            description: row.try_get("description")?,
        })
    }
}

/// A run that is seen for the first time.
struct Sighting {
    started_at: i64,
    state: RunState,
    attempts: i32,
    ended_at: Option<i64>,
}

impl Sighting {
    fn open(started_at: i64, attempts: i32) -> Sighting {
        Sighting {
            started_at,
            state: RunState::Running,
            attempts,
            ended_at: None,
        }
    }
}

/// `IN (…)` of the states that a report may still change.
fn awaiting_result() -> String {
    let states = RunState::ALL
        .into_iter()
        .filter(|state| state.awaits_result());
    let states: Vec<String> = states.map(|state| format!("'{}'", state.name())).collect();
    format!("state IN ({})", states.join(", "))
}

/// The condition on the runs of a job.
fn of_job(job: &Job) -> Statement {
    sql(OF_JOB).bind(&job.id).bind(&job.project_id)
}

/// The kinds of a job's actions, each once, as many as there are (`backup`, `restore`, `admin`, `exec`) and so much of each that MySQL's
/// `group_concat_max_len` (1,024 bytes), beyond which it refuses an INSERT, and the column have room.
fn kinds_of_job(engine: Engine) -> String {
    let list = match engine {
        Engine::MySql => "GROUP_CONCAT(kind ORDER BY kind)",
        Engine::Postgres => "STRING_AGG(kind, ',' ORDER BY kind)",
        Engine::Sqlite => "GROUP_CONCAT(kind)",
    };
    format!(
        "(SELECT {list} FROM (SELECT DISTINCT SUBSTR(a.action, 1, 60) AS kind FROM job_actions ja \
         JOIN actions a ON a.id = ja.action_id WHERE ja.job_id = ? AND ja.deleted = FALSE ORDER BY kind LIMIT 4) kinds)"
    )
}

impl Tx {
    /// Notes what was seen of a run of a job that the transaction has locked and written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_run(&mut self, job: &Job, seen: Observation) -> Result<(), StoreError> {
        match seen {
            Observation::Started {
                started_at,
                attempts,
            } => {
                self.add_run(job, Sighting::open(started_at, attempts))
                    .await
            }
            Observation::Attempted { started_at } => {
                let update = sql(format!(
                    "UPDATE freezer_api_runs SET attempts = attempts + 1 WHERE {OF_JOB} AND started_at = ? AND {}",
                    awaiting_result()
                ));
                let update = update.bind(&job.id).bind(&job.project_id).bind(started_at);
                if self.session.execute(update).await? > 0 {
                    return Ok(());
                }
                self.add_run(job, Sighting::open(started_at, 1)).await
            }
            Observation::Ended {
                started_at,
                ended_at,
                state,
            } => self.end_run(job, started_at, ended_at, state).await,
            Observation::Lost { started_at } => {
                let of_run = of_job(job).push(" AND started_at = ?").bind(started_at);
                self.close_runs(of_run, RunState::Lost).await
            }
        }
    }

    async fn end_run(
        &mut self,
        job: &Job,
        started_at: i64,
        ended_at: i64,
        state: RunState,
    ) -> Result<(), StoreError> {
        let update = sql(format!(
            "UPDATE freezer_api_runs SET state = ?, ended_at = ?, seen_ended_at = ? \
             WHERE {OF_JOB} AND started_at = ? AND {}",
            awaiting_result()
        ));
        let update = update
            .bind(state.name())
            .bind(ended_at)
            .bind(self.now().unix_timestamp())
            .bind(&job.id)
            .bind(&job.project_id)
            .bind(started_at);
        let is_done = self.session.execute(update).await? > 0;
        if is_done || state == RunState::Unreported {
            return Ok(());
        }
        let sighting = Sighting {
            started_at,
            state,
            attempts: 0,
            ended_at: Some(ended_at),
        };
        self.add_run(job, sighting).await
    }

    /// Adds a run that is not known yet. Others that are still open have ended without a report: a job runs once at a time.
    async fn add_run(&mut self, job: &Job, run: Sighting) -> Result<(), StoreError> {
        let others = if run.state == RunState::Running {
            "<>"
        } else {
            "<"
        };
        let others = of_job(job)
            .push(&format!(" AND started_at {others} ?"))
            .bind(run.started_at);
        if self.insert_new(self.insertion(job, run)).await? {
            self.close_runs(others, RunState::Unreported).await?;
        }
        Ok(())
    }

    /// The `INSERT` of a run.
    fn insertion(&self, job: &Job, run: Sighting) -> Statement {
        let seen = self.now().unix_timestamp();
        let is_open = run.state == RunState::Running;
        sql(format!(
            "INSERT INTO freezer_api_runs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, {}, ?, ?, ?, ?, ?, ?)",
            kinds_of_job(self.engine())
        ))
        .bind(self.ids.hex())
        .bind(&job.project_id)
        .bind(&job.id)
        .bind(&job.client_id)
        .bind(job.session_id.clone().filter(|id| !id.is_empty()))
        .bind(job.session_tag)
        .bind(&job.id)
        .bind(run.state.name())
        .bind(i64::from(run.attempts))
        .bind(run.started_at)
        .bind(run.ended_at)
        .bind(Some(seen).filter(|_| is_open))
        .bind(Some(seen).filter(|_| !is_open))
    }

    /// Ends the runs of a deleted job that are still open: their schedulers will not report it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_runs(&mut self, job: &Job) -> Result<(), StoreError> {
        self.close_runs(of_job(job), RunState::Removed).await
    }

    /// Gives the open ones of some runs another state.
    async fn close_runs(&mut self, which: Statement, state: RunState) -> Result<(), StoreError> {
        let update = sql("UPDATE freezer_api_runs SET state = ?, seen_ended_at = ? WHERE ")
            .bind(state.name())
            .bind(self.now().unix_timestamp())
            .push_statement(which)
            .push(" AND state = 'running'");
        self.session.execute(update).await.map(drop)
    }

    /// The run of an id, if it is in the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_run(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<DescribedRun>, StoreError> {
        let query = sql(format!(
            "SELECT {COLUMNS}, {DESCRIPTION} FROM freezer_api_runs WHERE id = ?"
        ));
        let query = query.bind(id).of_scope(scope, "project_id");
        let rows: Vec<DescribedRun> = self.session.fetch_all(query).await?;
        Ok(rows.into_iter().find(|found| found.run.id == id))
    }

    /// The runs of a scope that a query asks for, as many as its limit and one more where there are more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_runs(
        &mut self,
        scope: &Scope,
        query: &RunQuery,
        after: Option<&Run>,
    ) -> Result<Vec<DescribedRun>, StoreError> {
        self.session
            .fetch_all(page_of_runs(scope, query, after))
            .await
    }

    /// Removes some of the runs that started before a time, and of those that a wrong clock has put far into the future; how many.
    /// Those that still go on stay: a job has one at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_runs(&mut self, before: i64) -> Result<usize, StoreError> {
        let far_ahead = self.now().unix_timestamp().saturating_add(FAR_AHEAD);
        let old = sql(format!(
            "SELECT id FROM freezer_api_runs WHERE started_at < ? AND state <> 'running' \
             ORDER BY started_at LIMIT {MOST_REMOVED}"
        ))
        .bind(before);
        let ahead = sql(format!(
            "SELECT id FROM freezer_api_runs WHERE started_at > ? AND state <> 'running' \
             AND COALESCE(seen_ended_at, seen_started_at) < ? ORDER BY started_at LIMIT {MOST_REMOVED}"
        ))
        .bind(far_ahead)
        .bind(before);
        let mut forgotten = 0;
        for query in [old, ahead] {
            let ids: Vec<(String,)> = self.session.fetch_all(query).await?;
            forgotten += ids.len();
            let ids: Vec<String> = ids.into_iter().map(|(id,)| id).collect();
            for ids in in_lists(&ids) {
                let list = placeholders(ids.len());
                let delete = format!("DELETE FROM freezer_api_runs WHERE id IN ({list})");
                self.session.execute(sql(delete).bind_all(&ids)).await?;
            }
        }
        Ok(forgotten)
    }
}

/// The runs of a page. Those of several states are the first of each, put in order: no index has the runs of two states one after the
/// other as they began, so an engine would read and sort all of them.
fn page_of_runs(scope: &Scope, query: &RunQuery, after: Option<&Run>) -> Statement {
    let direction = if query.newest_first { " DESC" } else { "" };
    let order = format!(" ORDER BY started_at{direction}, id{direction}");
    let end = format!("{order} LIMIT {}", query.limit.saturating_add(1));
    let of_page = |select: Statement, state: Option<RunState>| {
        let select = select
            .push(" FROM freezer_api_runs WHERE 1 = 1")
            .of_scope(scope, "project_id");
        let select = match state {
            Some(state) => select.push(" AND state = ?").bind(state.name()),
            None => select,
        };
        behind(filtered(select, query), query, after).push(&end)
    };
    let described = sql(format!("SELECT {COLUMNS}, {DESCRIPTION}")).not_kept();
    let states = match &*query.states {
        [] => return of_page(described, None),
        [state] => return of_page(described, Some(*state)),
        states => states,
    };
    let mut page = described.push(" FROM (");
    for (at, state) in states.iter().enumerate() {
        let all = if at == 0 { "" } else { " UNION ALL " };
        page = page
            .push(&format!("{all}SELECT * FROM ("))
            .push_statement(of_page(sql(format!("SELECT {COLUMNS}")), Some(*state)));
        page = page.push(&format!(") r{at}"));
    }
    page.push(&format!("{end}) freezer_api_runs{order}"))
}

/// Adds the place behind which a page begins.
fn behind(select: Statement, query: &RunQuery, after: Option<&Run>) -> Statement {
    let Some(run) = after else {
        return select;
    };
    let comparison = if query.newest_first { "<" } else { ">" };
    let behind = format!(
        " AND started_at {comparison}= ? AND (started_at {comparison} ? OR id {comparison} ?)"
    );
    let select = select.push(&behind).bind(run.started_at);
    select.bind(run.started_at).bind(&run.id)
}

fn filtered(mut select: Statement, query: &RunQuery) -> Statement {
    for (column, value) in [("job_id", &query.job_id), ("client_id", &query.client_id)] {
        if let Some(value) = value {
            select = select.push(&format!(" AND {column} = ?")).bind(value);
        }
    }
    for (comparison, time) in [(">=", query.since), ("<", query.until)] {
        if let Some(time) = time {
            select = select
                .push(&format!(" AND started_at {comparison} ?"))
                .bind(time);
        }
    }
    select
}
