//! The catalogue in numbers, from the tables that one node among all keeps: no statement here reads a table of the reference.

use super::series::LEASE;
use super::statement::{Statement, sql};
use super::upsert::as_integer;
use super::{StoreError, Tx};
use crate::domain::Scope;
use crate::domain::figures::{
    CatalogueFigures, ClientFigures, HostFigures, RunFigures, SeriesFigures, Single,
};
use crate::domain::host::{HostState, NEVER, NO_MORE, ROUNDS};
use crate::domain::run::RunState;
use crate::domain::run_day::{ALL_PROJECTS, HOURS_OF_DAY, SECONDS_OF_HOUR};

/// A row of hosts of one state: project, state, clients, jobs, jobs that are to run, jobs that run, oldest success.
type HostRow = (Option<String>, String, i64, i64, i64, i64, Option<i64>);
/// A row of a client: project, name, last success, due, failures in a row, last poll.
type ClientRow = (Option<String>, String, i64, i64, i64, Option<i64>);

/// Bytes of the names of clients that are shown one by one: each name stands in five lines.
const MOST_NAMES: usize = 1 << 20;

impl Tx {
    /// All figures but those of series; those of `most` single clients at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn figures(
        &mut self,
        single: Single,
        most: u32,
    ) -> Result<CatalogueFigures, StoreError> {
        let (clients, clients_left_out) = self.client_figures(single, most).await?;
        Ok(CatalogueFigures {
            hosts: self.host_figures().await?,
            findings: self.count_findings(&Scope::All).await?,
            runs: self.run_figures().await?,
            series: Vec::new(),
            clients,
            clients_left_out,
            rounds_done_at: self.lease_done_at(ROUNDS).await?,
            series_done_at: self.lease_done_at(LEASE).await?,
        })
    }

    async fn host_figures(&mut self) -> Result<Vec<HostFigures>, StoreError> {
        let engine = self.engine();
        let sum = |expression: &str| as_integer(engine, &format!("SUM({expression})"));
        let query = sql(format!(
            "SELECT project_id, state, {}, {}, {}, {}, MIN(CASE WHEN last_success_at <> {NEVER} THEN last_success_at END) \
             FROM freezer_api_hosts GROUP BY project_id, state",
            sum("CASE WHEN is_registered THEN 1 ELSE 0 END"),
            sum("jobs"),
            sum("active_jobs"),
            sum("running"),
        ));
        let rows: Vec<HostRow> = self.session.fetch_all(query).await?;
        let figures = |row: HostRow| {
            let (project_id, state, clients, jobs, active_jobs, running, oldest_success_at) = row;
            let state = HostState::parse(&state)?;
            Some(HostFigures {
                project_id,
                state,
                clients,
                jobs,
                active_jobs,
                running,
                oldest_success_at,
            })
        };
        Ok(rows.into_iter().filter_map(figures).collect())
    }

    /// As the last round has counted them. The hour to come is that of hosts whose clocks are ahead.
    async fn run_figures(&mut self) -> Result<Vec<RunFigures>, StoreError> {
        let hour = self.now().unix_timestamp().div_euclid(SECONDS_OF_HOUR);
        let query = sql(format!(
            "SELECT project_id, state, {}, {} FROM freezer_api_run_hours WHERE hour >= ? AND hour < ? AND project_id <> '{ALL_PROJECTS}' \
             GROUP BY project_id, state",
            as_integer(self.engine(), "SUM(runs)"),
            as_integer(self.engine(), "SUM(seconds)"),
        ));
        let query = query
            .bind(hour.saturating_sub(HOURS_OF_DAY))
            .bind(hour.saturating_add(2));
        let rows: Vec<(Option<String>, String, i64, i64)> = self.session.fetch_all(query).await?;
        let figures = |(project_id, state, runs, seconds): (_, String, _, _)| {
            let state = RunState::parse(&state)?;
            Some(RunFigures {
                project_id,
                state,
                runs,
                seconds,
            })
        };
        Ok(rows.into_iter().filter_map(figures).collect())
    }

    /// Series and their backups. It reads every series; by the expression, since by the index of projects each would be looked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn series_figures(&mut self) -> Result<Vec<SeriesFigures>, StoreError> {
        let query = sql(format!(
            "SELECT COALESCE(project_id, ''), COUNT(*), {} FROM freezer_api_series GROUP BY COALESCE(project_id, '')",
            as_integer(self.engine(), "SUM(backups)"),
        ));
        let rows: Vec<(Option<String>, i64, i64)> = self.session.fetch_all(query).await?;
        let figures = |(project_id, series, backups)| SeriesFigures {
            project_id,
            series,
            backups,
        };
        Ok(rows.into_iter().map(figures).collect())
    }

    /// The clients with the worst problems first, and how many more there are.
    async fn client_figures(
        &mut self,
        single: Single,
        most: u32,
    ) -> Result<(Vec<ClientFigures>, i64), StoreError> {
        let condition = match single {
            Single::None => return Ok((Vec::new(), 0)),
            Single::All => "1 = 1",
            Single::Problems => "(h.findings <> '' OR h.job_findings <> '')",
        };
        let query = sql(format!(
            "SELECT h.project_id, h.client_id, h.last_success_at, h.due_at, h.failed_in_a_row, a.last_poll_at FROM freezer_api_hosts h \
             LEFT JOIN freezer_api_client_activity a ON a.client_id = h.client_id AND a.project_id = h.project_id \
             WHERE {condition} ORDER BY h.is_red DESC, h.id LIMIT {most}"
        ));
        let mut rows: Vec<ClientRow> = self.session.fetch_all(query).await?;
        let found = rows.len();
        rows.truncate(shown_of(&rows));
        let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let left_out = if shown < i64::from(most) && rows.len() == found {
            0
        } else {
            let count = sql(format!(
                "SELECT COUNT(*) FROM freezer_api_hosts h WHERE {condition}"
            ));
            self.count(count).await?.saturating_sub(shown).max(0)
        };
        Ok((rows.into_iter().map(client).collect(), left_out))
    }

    async fn count(&mut self, query: Statement) -> Result<i64, StoreError> {
        let rows: Vec<(i64,)> = self.session.fetch_all(query).await?;
        Ok(rows.into_iter().next().map_or(0, |(count,)| count))
    }
}

/// How many of these clients are shown: users choose their names.
fn shown_of(rows: &[ClientRow]) -> usize {
    let mut bytes = 0;
    let has_room = |row: &&ClientRow| {
        bytes += row.1.len();
        bytes <= MOST_NAMES
    };
    rows.iter().take_while(has_room).count()
}

fn client(row: ClientRow) -> ClientFigures {
    let (project_id, client_id, last_success_at, due_at, failed_in_a_row, last_poll_at) = row;
    ClientFigures {
        project_id,
        client_id,
        last_success_at: Some(last_success_at).filter(|time| *time != NEVER),
        due_at: Some(due_at).filter(|time| *time != NO_MORE),
        failed_in_a_row,
        last_poll_at,
    }
}
