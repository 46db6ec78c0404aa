//! Backups in the database.

use time::{Duration, PrimitiveDateTime};

use super::list::Listed;
use super::members::Indexed;
use super::narrowing::Searchable;
use super::rows::{Conditions, Record, SMALL_TEXT};
use super::runs::COLUMNS;
use super::statement::{Argument, sql};
use super::{StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::backup::Backup;
use crate::domain::run::Run;

/// How many backups that were recorded next are looked at.
const NEXT: usize = 50;

/// How long after a backup the next ones are looked for: those of later do not change how it is restored.
const SOON: Duration = Duration::days(1);

impl Listed for Backup {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::BACKUPS,
        alias: Backup::ALIAS,
        composed: &[],
        joined: &[],
        indexed: Some(Indexed {
            column: "backup_metadata",
            members: &[
                "job_id",
                "backup_name",
                "client_id",
                "hostname",
                "container",
            ],
        }),
    };
    const PROJECT_INDEX: Option<&'static str> = Some("ix_backups_project");
}

impl Tx {
    /// When a backup was recorded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backup_created_at(
        &mut self,
        id: &str,
    ) -> Result<Option<PrimitiveDateTime>, StoreError> {
        let query = sql("SELECT b.created_at FROM backups b WHERE b.id = ?").bind(id);
        let rows: Vec<(Option<PrimitiveDateTime>,)> = self.session.fetch_all(query).await?;
        Ok(rows.into_iter().find_map(|(created_at,)| created_at))
    }

    /// The metadata of the live backups of the same project and job that were recorded at this time or soon after, the first one first.
    /// Those that are larger than any agent's tell nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn metadata_from(
        &mut self,
        backup: &Backup,
        created_at: PrimitiveDateTime,
    ) -> Result<Vec<String>, StoreError> {
        let Some(project_id) = backup.project_id.clone() else {
            return Ok(Vec::new());
        };
        let until = created_at.saturating_add(SOON);
        let times = [created_at, until].map(Argument::from);
        let mut next = Conditions::within::<Backup>(&Scope::Project(project_id))
            .and("b.created_at >= ? AND b.created_at <= ?", times);
        next = match &backup.job_id {
            Some(job_id) => next.and("b.job_id = ?", [job_id]),
            None => next.and("b.job_id IS NULL", [""; 0]),
        };
        let end = format!(" ORDER BY b.created_at, b.id LIMIT {NEXT}");
        let metadata = format!(
            "CASE WHEN OCTET_LENGTH(b.backup_metadata) <= {SMALL_TEXT} THEN b.backup_metadata END"
        );
        let query = next.select::<Backup>(&metadata).push(&end);
        let rows: Vec<(Option<String>,)> = self.session.fetch_all(query).await?;
        Ok(rows
            .into_iter()
            .filter_map(|(metadata,)| metadata)
            .collect())
    }

    /// The last run of a backup's job that had started at a time by the host's clock, if it is of the same project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_at(
        &mut self,
        backup: &Backup,
        second: i64,
    ) -> Result<Option<Run>, StoreError> {
        let Some(job_id) = &backup.job_id else {
            return Ok(None);
        };
        let query = sql(format!(
            "SELECT {COLUMNS} FROM freezer_api_runs WHERE job_id = ? AND started_at <= ? ORDER BY started_at DESC LIMIT 1"
        ));
        let runs: Vec<Run> = self
            .session
            .fetch_all(query.bind(job_id).bind(second))
            .await?;
        let mut runs = runs.into_iter();
        Ok(runs.find(|run| run.project_id == backup.project_id))
    }

    /// The client of a backup's job, also of one that is deleted, if it is of the same project.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn client_of_backup(
        &mut self,
        backup: &Backup,
    ) -> Result<Option<String>, StoreError> {
        let Some(job_id) = &backup.job_id else {
            return Ok(None);
        };
        let query = sql("SELECT client_id FROM jobs WHERE id = ? AND project_id = ?");
        let query = query.bind(job_id).bind(&backup.project_id);
        let clients: Vec<(String,)> = self.session.fetch_all(query).await?;
        Ok(clients.into_iter().next().map(|(client_id,)| client_id))
    }
}
