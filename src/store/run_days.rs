//! How many runs each day had, and each hour of the last ones, so that nobody has to count the runs of years, or those of a night:
//! written by one node among all, from the runs.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::statement::{Argument, Statement, sql};
use super::upsert::{Replaced, as_integer};
use super::{StoreError, Tx};
use crate::domain::run::RunState;
use crate::domain::run_day::{HOURS_OF_DAY, RunCount, SECONDS_OF_DAY, Span};

const HOURS: Replaced = Replaced {
    table: "freezer_api_run_hours",
    key: &["project_id", "hour", "state"],
    columns: &["project_id", "hour", "state", "runs", "seconds", "longest"],
};
const DAYS: Replaced = Replaced {
    table: "freezer_api_run_days",
    key: &["project_id", "day", "state"],
    columns: &["project_id", "day", "state", "runs", "seconds", "longest"],
};

/// The table of the counts by a span, and its column that says which one.
fn table_of(span: Span) -> (&'static Replaced, &'static str) {
    match span {
        Span::Hour => (&HOURS, "hour"),
        Span::Day => (&DAYS, "day"),
    }
}

/// Begins a query for counts.
fn select(span: Span) -> Statement {
    let (table, column) = table_of(span);
    sql(format!(
        "SELECT project_id, {column} AS began, state, runs, seconds, longest FROM {} WHERE {column} >= ? AND {column} < ?",
        table.table
    ))
}

impl<'r, R> FromRow<'r, R> for RunCount
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(RunCount {
            project_id: row.try_get("project_id")?,
            began: row.try_get("began")?,
            state: RunState::parse(&state)
                .ok_or_else(|| sqlx::Error::Decode(format!("a run is {state}").into()))?,
            runs: row.try_get("runs")?,
            seconds: row.try_get("seconds")?,
            longest: row.try_get("longest")?,
        })
    }
}

impl Tx {
    /// The runs that began within a day or an hour, counted for each project and state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_runs(
        &mut self,
        span: Span,
        began: i64,
    ) -> Result<Vec<RunCount>, StoreError> {
        let took = "CASE WHEN state = 'success' AND ended_at > started_at THEN ended_at - started_at ELSE 0 END";
        let query = format!(
            "SELECT COALESCE(project_id, '') AS project_id, {began} AS began, state, COUNT(*) AS runs, {} AS seconds, {} AS longest \
             FROM freezer_api_runs WHERE started_at >= ? AND started_at < ? GROUP BY COALESCE(project_id, ''), state",
            as_integer(self.engine(), &format!("SUM({took})")),
            as_integer(self.engine(), &format!("MAX({took})")),
            began = as_integer(self.engine(), &began.to_string()),
        );
        let begin = began.saturating_mul(span.seconds());
        let query = sql(query).not_kept().bind(begin);
        let query = query.bind(begin.saturating_add(span.seconds()));
        self.session.fetch_all(query).await
    }

    /// The counts of the hours of a day added up, those of all projects together too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sum_of_hours(&mut self, day: i64) -> Result<Vec<RunCount>, StoreError> {
        let integer = |expression: &str| as_integer(self.engine(), expression);
        let query = format!(
            "SELECT project_id, {} AS began, state, {} AS runs, {} AS seconds, MAX(longest) AS longest \
             FROM freezer_api_run_hours WHERE hour >= ? AND hour < ? GROUP BY project_id, state",
            integer(&day.to_string()),
            integer("SUM(runs)"),
            integer("SUM(seconds)"),
        );
        let begin = day.saturating_mul(HOURS_OF_DAY);
        let query = sql(query).not_kept().bind(begin);
        let query = query.bind(begin.saturating_add(HOURS_OF_DAY));
        self.session.fetch_all(query).await
    }

    /// The counts of a project, or of all together, for the days or hours from one to before another, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_counts(
        &mut self,
        span: Span,
        project_id: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<RunCount>, StoreError> {
        let (_, column) = table_of(span);
        let query = select(span).bind(from).bind(to);
        let query = query.push(" AND project_id = ?").bind(project_id);
        let query = query.push(&format!(" ORDER BY {column}"));
        self.session.fetch_all(query).await
    }

    /// All counts of a day or an hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts_of(&mut self, span: Span, began: i64) -> Result<Vec<RunCount>, StoreError> {
        let query = select(span).bind(began).bind(began.saturating_add(1));
        self.session.fetch_all(query).await
    }

    /// Writes counts as they are now, and removes those of which there is no run any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_run_counts(
        &mut self,
        span: Span,
        now: &[RunCount],
        no_more: &[RunCount],
    ) -> Result<(), StoreError> {
        let (table, column) = table_of(span);
        for count in no_more {
            let delete = sql(format!(
                "DELETE FROM {} WHERE project_id = ? AND {column} = ? AND state = ?",
                table.table
            ));
            let delete = delete.bind(&count.project_id).bind(count.began);
            self.session
                .execute(delete.bind(count.state.name()))
                .await?;
        }
        let rows: Vec<Vec<Argument>> = now
            .iter()
            .map(|count| {
                vec![
                    (&count.project_id).into(),
                    count.began.into(),
                    count.state.name().into(),
                    count.runs.into(),
                    count.seconds.into(),
                    count.longest.into(),
                ]
            })
            .collect();
        self.replace(table, &rows).await
    }

    /// The first of the days of which there are counts, and of which there are runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn first_days(&mut self) -> Result<(Option<i64>, Option<i64>), StoreError> {
        let counted = sql("SELECT MIN(day) FROM freezer_api_run_days");
        let counted: Vec<(Option<i64>,)> = self.session.fetch_all(counted).await?;
        let run = sql("SELECT MIN(started_at) FROM freezer_api_runs");
        let run: Vec<(Option<i64>,)> = self.session.fetch_all(run).await?;
        let first = |rows: Vec<(Option<i64>,)>| rows.into_iter().find_map(|(first,)| first);
        let started_at = first(run);
        Ok((
            first(counted),
            started_at.map(|time| time.div_euclid(SECONDS_OF_DAY)),
        ))
    }

    /// Removes the counts of the first day or hour before this one; how many rows, and 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_counts(&mut self, span: Span, before: i64) -> Result<u64, StoreError> {
        let (table, column) = table_of(span);
        let first = format!(
            "SELECT MIN({column}) FROM {} WHERE {column} < ?",
            table.table
        );
        let first: Vec<(Option<i64>,)> = self.session.fetch_all(sql(first).bind(before)).await?;
        let Some(first) = first.into_iter().find_map(|(first,)| first) else {
            return Ok(0);
        };
        let delete = format!("DELETE FROM {} WHERE {column} = ?", table.table);
        self.session.execute(sql(delete).bind(first)).await
    }
}
