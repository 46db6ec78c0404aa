//! How many runs each day had, so that nobody has to count the runs of years: written by one node among all, from the runs.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::statement::{Argument, sql};
use super::upsert::{Replaced, as_integer};
use super::{StoreError, Tx};
use crate::domain::run::RunState;
use crate::domain::run_day::{DayCount, SECONDS_OF_DAY};

const TABLE: Replaced = Replaced {
    table: "freezer_api_run_days",
    key: &["project_id", "day", "state"],
    columns: &["project_id", "day", "state", "runs", "seconds", "longest"],
};

impl<'r, R> FromRow<'r, R> for DayCount
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(DayCount {
            project_id: row.try_get("project_id")?,
            day: row.try_get("day")?,
            state: RunState::parse(&state)
                .ok_or_else(|| sqlx::Error::Decode(format!("a run is {state}").into()))?,
            runs: row.try_get("runs")?,
            seconds: row.try_get("seconds")?,
            longest: row.try_get("longest")?,
        })
    }
}

impl Tx {
    /// The runs that began on a day, counted for each project and state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_runs_of_day(&mut self, day: i64) -> Result<Vec<DayCount>, StoreError> {
        let took = "CASE WHEN state = 'success' AND ended_at > started_at THEN ended_at - started_at ELSE 0 END";
        let query = format!(
            "SELECT COALESCE(project_id, '') AS project_id, {day} AS day, state, COUNT(*) AS runs, {} AS seconds, {} AS longest \
             FROM freezer_api_runs WHERE started_at >= ? AND started_at < ? GROUP BY COALESCE(project_id, ''), state",
            as_integer(self.engine(), &format!("SUM({took})")),
            as_integer(self.engine(), &format!("MAX({took})")),
            day = as_integer(self.engine(), &day.to_string()),
        );
        let begin = day.saturating_mul(SECONDS_OF_DAY);
        let query = sql(query).not_kept().bind(begin);
        let query = query.bind(begin.saturating_add(SECONDS_OF_DAY));
        self.session.fetch_all(query).await
    }

    /// The counts of a project, or of all together, for the days from one to before another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_days(
        &mut self,
        project_id: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<DayCount>, StoreError> {
        let query = sql(
            "SELECT * FROM freezer_api_run_days WHERE project_id = ? AND day >= ? AND day < ? ORDER BY day",
        );
        let query = query.bind(project_id).bind(from).bind(to);
        self.session.fetch_all(query).await
    }

    /// All counts of a day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts_of_day(&mut self, day: i64) -> Result<Vec<DayCount>, StoreError> {
        let query = sql("SELECT * FROM freezer_api_run_days WHERE day = ?").bind(day);
        self.session.fetch_all(query).await
    }

    /// Writes counts as they are now, and removes those of which there is no run any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_day_counts(
        &mut self,
        now: &[DayCount],
        no_more: &[DayCount],
    ) -> Result<(), StoreError> {
        for count in no_more {
            let delete = sql(
                "DELETE FROM freezer_api_run_days WHERE project_id = ? AND day = ? AND state = ?",
            );
            let delete = delete.bind(&count.project_id).bind(count.day);
            self.session
                .execute(delete.bind(count.state.name()))
                .await?;
        }
        let rows: Vec<Vec<Argument>> = now
            .iter()
            .map(|count| {
                vec![
                    (&count.project_id).into(),
                    count.day.into(),
                    count.state.name().into(),
                    count.runs.into(),
                    count.seconds.into(),
                    count.longest.into(),
                ]
            })
            .collect();
        self.replace(&TABLE, &rows).await
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

    /// Removes the counts of the days before one; how many rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_days(&mut self, before: i64) -> Result<u64, StoreError> {
        let delete = sql("DELETE FROM freezer_api_run_days WHERE day < ?").bind(before);
        self.session.execute(delete).await
    }
}
