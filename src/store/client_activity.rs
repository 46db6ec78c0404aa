//! What was seen of the schedulers of clients: written in batches, read by reports.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::rows::impl_from_row;
use super::statement::{placeholders, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::liveness::Sighting;

/// How many rows one statement writes.
pub const BATCH: usize = 500;
/// By how many seconds a poll may be later than the next one. One that is, was seen by a node whose clock was wrong: it would hide for
/// years that its scheduler is silent.
const FAR_AHEAD: i64 = 86_400;

/// A name under which a client is registered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Registered {
    pub project_id: Option<String>,
    pub client_id: String,
    pub is_central: bool,
}

impl<'r, R> FromRow<'r, R> for Registered
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Registered {
            project_id: row.try_get("project_id")?,
            client_id: row.try_get("client_id")?,
            is_central: row.try_get("is_central")?,
        })
    }
}

/// On which client a job is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct ClientOfJob {
    pub id: String,
    pub project_id: Option<String>,
    pub client_id: String,
}

impl_from_row!(ClientOfJob {
    id,
    project_id,
    client_id
});

impl Tx {
    /// The live clients of these names, as many as one statement writes, in whichever project, its own or central.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn registered_clients(
        &mut self,
        client_ids: &[String],
    ) -> Result<Vec<Registered>, StoreError> {
        let query = format!(
            "SELECT project_id, client_id, is_central FROM clients WHERE deleted = FALSE AND client_id IN ({})",
            placeholders(client_ids.len())
        );
        let query = sql(query).not_kept().bind_all(client_ids);
        self.session.fetch_all(query).await
    }

    /// On which clients these jobs are, as many as one statement writes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clients_of_jobs(
        &mut self,
        job_ids: &[String],
    ) -> Result<Vec<ClientOfJob>, StoreError> {
        let query = format!(
            "SELECT id, project_id, client_id FROM jobs WHERE deleted = FALSE AND id IN ({})",
            placeholders(job_ids.len())
        );
        let query = sql(query).not_kept().bind_all(job_ids);
        self.session.fetch_all(query).await
    }

    /// Adds what was seen of some clients, each once, in this one statement. What other nodes have seen of them meanwhile stays true.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_sightings(&mut self, seen: &[Sighting]) -> Result<(), StoreError> {
        const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let rows = vec![ROW; seen.len()].join(", ");
        let mut insert = sql(format!(
            "INSERT INTO freezer_api_client_activity (project_id, client_id, last_poll_at, poll_interval, polls, addresses, \
             restarts, os, agent_version) VALUES {rows}{}",
            merge(self.engine())
        ))
        .not_kept();
        for one in seen {
            insert = insert
                .bind(&one.project_id)
                .bind(&one.client_id)
                .bind(one.last_poll_at)
                .bind(one.interval())
                .bind(one.polls)
                .bind(one.addresses)
                .bind(one.restarts)
                .bind(&one.os)
                .bind(&one.agent_version);
        }
        self.session.execute(insert).await.map(drop)
    }
}

/// How engines name the old and the new value of a column, and divide integers.
struct Words {
    old: fn(&str) -> String,
    new: fn(&str) -> String,
    divided: &'static str,
}

impl Words {
    fn of(engine: Engine) -> Words {
        let old = |column: &str| format!("freezer_api_client_activity.{column}");
        match engine {
            Engine::MySql => Words {
                old,
                new: |column| format!("VALUES({column})"),
                divided: "DIV",
            },
            Engine::Postgres | Engine::Sqlite => Words {
                old,
                new: |column| format!("excluded.{column}"),
                divided: "/",
            },
        }
    }

    /// The interval follows the time since the last poll that any node has written. It grows to four times of what it was at most, so
    /// that hours of silence are not taken for a habit, and shrinks to the half, so that two schedulers of one name do not look like
    /// one that polls all the time. A restart may have changed it.
    fn interval(&self) -> String {
        let Words { old, new, divided } = self;
        let [polled, polled_now] = [old("last_poll_at"), new("last_poll_at")];
        let [interval, interval_now] = [old("poll_interval"), new("poll_interval")];
        let [polls, restarts] = [new("polls"), new("restarts")];
        let sample = format!("(({polled_now} - {polled}) {divided} {polls})");
        format!(
            "CASE WHEN {restarts} > 0 THEN {interval_now} \
             WHEN {polls} = 0 OR {polled} IS NULL OR {polled_now} <= {polled} THEN {interval} \
             WHEN {interval} IS NULL THEN {sample} \
             WHEN {sample} > 4 * {interval} THEN 4 * {interval} \
             WHEN {sample} < {interval} {divided} 2 THEN {interval} {divided} 2 ELSE {sample} END"
        )
    }

    /// Of several nodes, the one that has seen the most addresses in this hour is right.
    fn addresses(&self) -> String {
        let Words { old, new, divided } = self;
        let [polled, polled_now] = [old("last_poll_at"), new("last_poll_at")];
        let [addresses, addresses_now] = [old("addresses"), new("addresses")];
        format!(
            "CASE WHEN {} = 0 OR ({addresses} > {addresses_now} \
             AND {polled} {divided} 3600 = {polled_now} {divided} 3600) THEN {addresses} ELSE {addresses_now} END",
            new("polls")
        )
    }
}

/// What becomes of a row that is there. The order matters: MySQL's assignments see what those before them did.
fn merge(engine: Engine) -> String {
    let words = Words::of(engine);
    let Words { old, new, .. } = &words;
    let begin = match engine {
        Engine::MySql => " ON DUPLICATE KEY UPDATE ",
        Engine::Postgres | Engine::Sqlite => " ON CONFLICT (project_id, client_id) DO UPDATE SET ",
    };
    let [polled, polled_now] = [old("last_poll_at"), new("last_poll_at")];
    let added = |column| format!("{column} = {} + {}", old(column), new(column));
    let said = |column| format!("{column} = COALESCE({}, {})", new(column), old(column));
    let assignments = [
        format!("poll_interval = {}", words.interval()),
        format!("addresses = {}", words.addresses()),
        format!(
            "last_poll_at = CASE WHEN {polled} IS NULL OR {polled_now} > {polled} OR {polled_now} < {polled} - {FAR_AHEAD} \
             THEN {polled_now} ELSE {polled} END"
        ),
        added("polls"),
        added("restarts"),
        said("os"),
        said("agent_version"),
    ];
    format!("{begin}{}", assignments.join(", "))
}
