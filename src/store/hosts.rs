//! How hosts fare, as it was found last: written by one node among all, read by reports with what was seen of their schedulers.

use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::statement::{Argument, Statement, in_lists, placeholders, sql};
use super::upsert::Replaced;
use super::{StoreError, Tx};
use crate::domain::Scope;
use crate::domain::host::{
    Host, HostKey, HostQuery, HostReport, HostState, JobTally, Registration, findings_text,
    parse_findings,
};

/// How many rows are looked at at once.
pub const HOST_BATCH: usize = 256;

const TABLE: Replaced = Replaced {
    table: "freezer_api_hosts",
    key: &["id"],
    columns: &[
        "id",
        "project_id",
        "client_id",
        "hostname",
        "is_central",
        "is_registered",
        "state",
        "findings",
        "jobs",
        "active_jobs",
        "is_protected",
        "last_success_at",
        "due_at",
        "running",
        "running_since",
        "failed_in_a_row",
        "clock_skew",
        "job_findings",
        "is_red",
    ],
};

impl<'r, R> FromRow<'r, R> for Host
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let text = |name| row.try_get::<String, _>(name);
        let state = text("state")?;
        Ok(Host {
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            client_id: row.try_get("client_id")?,
            hostname: row.try_get("hostname")?,
            is_central: row.try_get("is_central")?,
            is_registered: row.try_get("is_registered")?,
            state: HostState::parse(&state)
                .ok_or_else(|| sqlx::Error::Decode(format!("a host is {state}").into()))?,
            findings: parse_findings(&text("findings")?),
            tally: JobTally {
                jobs: row.try_get("jobs")?,
                active_jobs: row.try_get("active_jobs")?,
                is_protected: row.try_get("is_protected")?,
                last_success_at: row.try_get("last_success_at")?,
                due_at: row.try_get("due_at")?,
                running: row.try_get("running")?,
                running_since: row.try_get("running_since")?,
                failed_in_a_row: row.try_get("failed_in_a_row")?,
                clock_skew: row.try_get("clock_skew")?,
                findings: parse_findings(&text("job_findings")?),
            },
        })
    }
}

impl<'r, R> FromRow<'r, R> for HostReport
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let addresses: Option<i64> = row.try_get("addresses")?;
        let restarts: Option<i64> = row.try_get("restarts")?;
        Ok(HostReport {
            host: Host::from_row(row)?,
            last_poll_at: row.try_get("last_poll_at")?,
            poll_interval: row.try_get("poll_interval")?,
            addresses: addresses.unwrap_or(0),
            restarts: restarts.unwrap_or(0),
            os: row.try_get("os")?,
            agent_version: row.try_get("agent_version")?,
        })
    }
}

impl<'r, R> FromRow<'r, R> for Registration
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Registration {
            id: row.try_get("id")?,
            project_id: row.try_get("project_id")?,
            client_id: row.try_get("client_id")?,
            hostname: row.try_get("hostname")?,
            is_central: row.try_get("is_central")?,
            last_poll_at: row.try_get("last_poll_at")?,
            poll_interval: row.try_get("poll_interval")?,
        })
    }
}

fn values(host: &Host) -> Vec<Argument> {
    let tally = &host.tally;
    vec![
        (&host.id).into(),
        (&host.project_id).into(),
        (&host.client_id).into(),
        (&host.hostname).into(),
        host.is_central.into(),
        host.is_registered.into(),
        host.state.name().into(),
        findings_text(&host.findings).into(),
        tally.jobs.into(),
        tally.active_jobs.into(),
        tally.is_protected.into(),
        tally.last_success_at.into(),
        tally.due_at.into(),
        tally.running.into(),
        tally.running_since.into(),
        tally.failed_in_a_row.into(),
        tally.clock_skew.into(),
        findings_text(&tally.findings).into(),
        host.is_red().into(),
    ]
}

/// What a report shows of a host: its row, and that of its scheduler, which for jobs of other projects is the central one's. There is one
/// of a central name; the largest says so to the database.
fn select_reports() -> Statement {
    const OF_CENTRAL: &str = "(SELECT MAX(c.project_id) FROM clients c WHERE c.client_id = h.client_id \
         AND c.is_central = TRUE AND c.deleted = FALSE)";
    sql(format!(
        "SELECT h.*, a.last_poll_at, a.poll_interval, a.addresses, a.restarts, a.os, a.agent_version FROM freezer_api_hosts h \
         LEFT JOIN freezer_api_client_activity a ON a.client_id = h.client_id AND a.project_id = \
         CASE WHEN h.is_registered OR NOT h.is_central THEN h.project_id ELSE {OF_CENTRAL} END WHERE 1 = 1"
    ))
}

impl Tx {
    /// The hosts of these names, in all projects.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hosts_of_clients(
        &mut self,
        client_ids: &[String],
    ) -> Result<Vec<Host>, StoreError> {
        let mut hosts: Vec<Host> = Vec::new();
        for ids in in_lists(client_ids) {
            let query = format!(
                "SELECT * FROM freezer_api_hosts WHERE client_id IN ({})",
                placeholders(ids.len())
            );
            let found: Vec<Host> = self.session.fetch_all(sql(query).bind_all(ids)).await?;
            hosts.extend(found);
        }
        Ok(hosts)
    }

    /// The hosts behind an id, in its order, as many as a batch has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hosts_after(&mut self, id: &str) -> Result<Vec<Host>, StoreError> {
        let query =
            format!("SELECT * FROM freezer_api_hosts WHERE id > ? ORDER BY id LIMIT {HOST_BATCH}");
        self.session.fetch_all(sql(query).bind(id)).await
    }

    /// The live clients behind an id, in its order, as many as a batch has, with what was seen of their schedulers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn registrations_after(&mut self, id: &str) -> Result<Vec<Registration>, StoreError> {
        let query = format!(
            "SELECT c.id, c.project_id, c.client_id, c.hostname, c.is_central, a.last_poll_at, a.poll_interval \
             FROM clients c LEFT JOIN freezer_api_client_activity a ON a.project_id = c.project_id AND a.client_id = c.client_id \
             WHERE c.id > ? AND c.deleted = FALSE ORDER BY c.id LIMIT {HOST_BATCH}"
        );
        self.session.fetch_all(sql(query).bind(id)).await
    }

    /// Writes hosts as they are now, and removes those that are none any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_hosts(
        &mut self,
        now: &[Host],
        no_more: &[String],
    ) -> Result<(), StoreError> {
        for ids in in_lists(no_more) {
            let list = placeholders(ids.len());
            let delete = format!("DELETE FROM freezer_api_hosts WHERE id IN ({list})");
            self.session.execute(sql(delete).bind_all(ids)).await?;
        }
        let rows: Vec<Vec<Argument>> = now.iter().map(values).collect();
        self.replace(&TABLE, &rows).await
    }

    /// The host of a name in a scope: of several, that of the registered client comes first, then the smallest id decides.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_host(
        &mut self,
        scope: &Scope,
        client_id: &str,
    ) -> Result<Option<HostReport>, StoreError> {
        let query = select_reports().of_scope(scope, "h.project_id");
        let query = query.push(" AND h.client_id = ?").bind(client_id);
        let hosts: Vec<HostReport> = self.session.fetch_all(query).await?;
        // MySQL's comparison ignores trailing blanks.
        let named = hosts
            .into_iter()
            .filter(|report| report.host.client_id == client_id);
        Ok(named.min_by_key(|report| (!report.host.is_registered, report.host.id.clone())))
    }

    /// The host of an id, if it is in the scope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_host(&mut self, scope: &Scope, id: &str) -> Result<Option<Host>, StoreError> {
        let query = sql("SELECT h.* FROM freezer_api_hosts h WHERE h.id = ?").bind(id);
        let hosts: Vec<Host> = self
            .session
            .fetch_all(query.of_scope(scope, "h.project_id"))
            .await?;
        Ok(hosts.into_iter().find(|host| host.id == id))
    }

    /// The hosts of a scope that a query asks for, as many as its limit and one more where there are more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_hosts(
        &mut self,
        scope: &Scope,
        query: &HostQuery,
        after: Option<&Host>,
    ) -> Result<Vec<HostReport>, StoreError> {
        let mut select = select_reports().not_kept().of_scope(scope, "h.project_id");
        if !query.states.is_empty() {
            let list = placeholders(query.states.len());
            let names = query.states.iter().map(|state| state.name());
            select = select
                .push(&format!(" AND h.state IN ({list})"))
                .bind_all(names);
        }
        if let Some(client_id) = &query.client_id {
            select = select.push(" AND h.client_id = ?").bind(client_id);
        }
        let column = query.key.name();
        let (direction, comparison) = if query.is_descending {
            (" DESC", "<")
        } else {
            ("", ">")
        };
        if let Some(host) = after {
            let place = |statement: Statement| match query.key {
                HostKey::ClientId => statement.bind(&host.client_id),
                HostKey::LastSuccess => statement.bind(host.tally.last_success_at),
                HostKey::Due => statement.bind(host.tally.due_at),
            };
            let behind = format!(
                " AND h.{column} {comparison}= ? AND (h.{column} {comparison} ? OR h.id {comparison} ?)"
            );
            select = place(place(select.push(&behind))).bind(&host.id);
        }
        let end = format!(
            " ORDER BY h.{column}{direction}, h.id{direction} LIMIT {}",
            query.limit.saturating_add(1)
        );
        self.session.fetch_all(select.push(&end)).await
    }
}
