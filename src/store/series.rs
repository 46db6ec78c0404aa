//! Series of backups in the database: derived from the rows of `backups`, and made again from them at any time.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::rows::SMALL_TEXT;
use super::statement::{in_lists, placeholders, sql};
use super::{Engine, StoreError, Tx};
use crate::domain::Scope;
use crate::domain::document;
use crate::domain::series::{Recorded, Records, Series, SeriesKey, SeriesQuery};

/// How many backups one transaction puts into their series.
pub const BATCH: usize = 500;
/// The name of the lease of who keeps series.
pub const LEASE: &str = "series";

pub(super) const KEY_COLUMNS: &str =
    "id, project_id, job_id, hostname, backup_name, container, storage, resource_id";

/// A series with its last backup's state and its job. Only a job of its own project is its job, whatever agents say.
const SELECT: &str = "SELECT s.id AS id, s.project_id AS project_id, s.job_id AS job_id, s.hostname AS hostname, \
     s.backup_name AS backup_name, s.container AS container, s.storage AS storage, s.resource_id AS resource_id, \
     s.backups AS backups, s.first_at AS first_at, s.last_at AS last_at, s.last_backup_id AS last_backup_id, \
     (SELECT MIN(b.status) FROM backups b WHERE b.id = s.last_backup_id) AS last_status, \
     (SELECT MIN(j.id) FROM jobs j WHERE j.id = s.job_id AND j.project_id = s.project_id AND j.deleted = FALSE) AS live_job, \
     (SELECT MIN(j.client_id) FROM jobs j WHERE j.id = s.job_id AND j.project_id = s.project_id) AS client_id, \
     (SELECT MIN(j.description) FROM jobs j WHERE j.id = s.job_id AND j.project_id = s.project_id) AS description \
     FROM freezer_api_series s";

/// What is known of the records of some jobs.
#[derive(Debug, Default)]
pub(super) struct JobRecords {
    last_at: HashMap<(String, Option<String>), i64>,
    known_until: Option<i64>,
}

impl JobRecords {
    /// Those of a job of a project.
    pub(super) fn of(&self, job_id: &str, project_id: Option<&str>) -> Records {
        let job = (job_id.to_owned(), project_id.map(str::to_owned));
        Records {
            last_at: self.last_at.get(&job).copied(),
            known_until: self.known_until,
        }
    }
}

/// A place among all backups, in the order in which they were recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontier {
    created_at: PrimitiveDateTime,
    id: String,
}

impl Frontier {
    /// The place before all backups of a time, in seconds since 1970.
    pub fn at(seconds: i64) -> Frontier {
        let time =
            OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Frontier {
            created_at: PrimitiveDateTime::new(time.date(), time.time()),
            id: String::new(),
        }
    }
}

/// Some backups in the order in which they were recorded.
#[derive(Debug, Default)]
pub struct Batch {
    /// Those.
    pub backups: Vec<Recorded>,
    /// The place of the last one; `None` where there is none.
    pub last: Option<Frontier>,
}

/// What is read of a backup to find its series. Metadata that are larger than any agent's tell of none.
static RECORDED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "b.id AS id, b.project_id AS project_id, b.job_id AS job_id, b.created_at AS created_at, \
         CASE WHEN OCTET_LENGTH(b.backup_metadata) <= {SMALL_TEXT} THEN b.backup_metadata END AS metadata"
    )
});

/// The same of one backup.
struct Row {
    id: String,
    project_id: Option<String>,
    job_id: Option<String>,
    metadata: Option<String>,
    created_at: PrimitiveDateTime,
}

super::rows::impl_from_row!(Row {
    id,
    project_id,
    job_id,
    metadata,
    created_at
});

impl Row {
    fn recorded(self) -> Recorded {
        let metadata = document::stored_object(self.metadata.as_deref());
        Recorded {
            backup_id: self.id,
            created_at: self.created_at.assume_utc().unix_timestamp(),
            series: SeriesKey::new(self.project_id, self.job_id, &metadata),
        }
    }
}

impl<'r, R> FromRow<'r, R> for Series
where
    R: sqlx::Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let live_job: Option<String> = row.try_get("live_job")?;
        Ok(Series {
            key: SeriesKey {
                id: row.try_get("id")?,
                project_id: row.try_get("project_id")?,
                job_id: row.try_get("job_id")?,
                hostname: row.try_get("hostname")?,
                backup_name: row.try_get("backup_name")?,
                container: row.try_get("container")?,
                storage: row.try_get("storage")?,
                resource_id: row.try_get("resource_id")?,
            },
            backups: row.try_get("backups")?,
            first_at: row.try_get("first_at")?,
            last_at: row.try_get("last_at")?,
            last_backup_id: row.try_get("last_backup_id")?,
            last_status: row.try_get("last_status")?,
            has_job: live_job.is_some(),
            client_id: row.try_get("client_id")?,
            description: row.try_get("description")?,
            records: Records::default(),
            last_success: None,
        })
    }
}

impl Tx {
    /// The live backups behind a place that are in no series yet, or with `all` those that are in one too; [`BATCH`] at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backups_behind(
        &mut self,
        place: &Frontier,
        all: bool,
    ) -> Result<Batch, StoreError> {
        let (join, unknown) = if all {
            ("", "")
        } else {
            (
                " LEFT JOIN freezer_api_backup_series m ON m.backup_id = b.id",
                "m.backup_id IS NULL AND ",
            )
        };
        let query = sql(format!(
            "SELECT {} FROM backups b{join} WHERE {unknown}b.deleted = FALSE AND b.created_at >= ? AND (b.created_at > ? OR b.id > ?) \
             ORDER BY b.created_at, b.id LIMIT {BATCH}",
            *RECORDED
        ));
        let times = [place.created_at; 2];
        let query = query.bind_all(times).bind(&place.id);
        let rows: Vec<Row> = self.session.fetch_all(query).await?;
        let last = rows.last().map(|row| Frontier {
            created_at: row.created_at,
            id: row.id.clone(),
        });
        Ok(Batch {
            backups: rows.into_iter().map(Row::recorded).collect(),
            last,
        })
    }

    /// Those of these backups that live, as they are recorded now: nobody changes or deletes one until the transaction ends.
    pub(super) async fn lock_recorded(
        &mut self,
        ids: &[&String],
    ) -> Result<Vec<Recorded>, StoreError> {
        let lock = match self.engine() {
            Engine::MySql => " LOCK IN SHARE MODE",
            Engine::Postgres => " FOR SHARE",
            Engine::Sqlite => "",
        };
        let mut recorded = Vec::new();
        for ids in in_lists(ids) {
            let query = format!(
                "SELECT {} FROM backups b WHERE b.id IN ({}) AND b.deleted = FALSE{lock}",
                *RECORDED,
                placeholders(ids.len())
            );
            let rows: Vec<Row> = self.session.fetch_all(sql(query).bind_all(ids)).await?;
            recorded.extend(rows.into_iter().map(Row::recorded));
        }
        Ok(recorded)
    }

    /// When the last backup was recorded that is in a series, up to a time: in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_in_series(&mut self, until: i64) -> Result<Option<i64>, StoreError> {
        let query =
            sql("SELECT MAX(created_at) FROM freezer_api_backup_series WHERE created_at <= ?");
        let rows: Vec<(Option<i64>,)> = self.session.fetch_all(query.bind(until)).await?;
        Ok(rows.into_iter().find_map(|(last,)| last))
    }

    /// The backups behind this id that are in a series, in the order of their ids: each with whether it lives; [`BATCH`] at most.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members_behind(&mut self, id: &str) -> Result<Vec<(String, bool)>, StoreError> {
        let query = sql(format!(
            "SELECT m.backup_id, (SELECT MIN(b.id) FROM backups b WHERE b.id = m.backup_id AND b.deleted = FALSE) \
             FROM freezer_api_backup_series m WHERE m.backup_id > ? ORDER BY m.backup_id LIMIT {BATCH}"
        ));
        let rows: Vec<(String, Option<String>)> = self.session.fetch_all(query.bind(id)).await?;
        let members = rows.into_iter().map(|(id, live)| (id, live.is_some()));
        Ok(members.collect())
    }

    /// When the last backup of a series was recorded, if it is in the scope: its place in lists.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn place_of_series(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<i64>, StoreError> {
        let query = sql("SELECT id, last_at FROM freezer_api_series s WHERE id = ?").bind(id);
        let rows: Vec<(String, i64)> = self
            .session
            .fetch_all(query.of_scope(scope, "s.project_id"))
            .await?;
        Ok(rows
            .into_iter()
            .find(|(found, _)| found == id)
            .map(|(_, last_at)| last_at))
    }

    /// The series of a scope that a query asks for, as many as its limit and one more where there are more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_series(
        &mut self,
        scope: &Scope,
        query: &SeriesQuery,
        after: Option<i64>,
    ) -> Result<Vec<Series>, StoreError> {
        let mut select = sql(format!("{SELECT} WHERE 1 = 1")).not_kept();
        select = select.of_scope(scope, "s.project_id");
        for (column, value) in [("job_id", &query.job_id), ("hostname", &query.hostname)] {
            if let Some(value) = value {
                select = select.push(&format!(" AND s.{column} = ?")).bind(value);
            }
        }
        let (direction, comparison) = if query.newest_first {
            (" DESC", "<")
        } else {
            ("", ">")
        };
        if let (Some(last_at), Some(id)) = (after, &query.marker) {
            let behind = format!(
                " AND s.last_at {comparison}= ? AND (s.last_at {comparison} ? OR s.id {comparison} ?)"
            );
            select = select.push(&behind).bind(last_at).bind(last_at).bind(id);
        }
        let end = format!(
            " ORDER BY s.last_at{direction}, s.id{direction} LIMIT {}",
            query.limit.saturating_add(1)
        );
        let mut series: Vec<Series> = self.session.fetch_all(select.push(&end)).await?;
        self.add_runs(&mut series).await?;
        Ok(series)
    }

    /// What is known of the runs and records of the jobs of series.
    async fn add_runs(&mut self, series: &mut [Series]) -> Result<(), StoreError> {
        let jobs: BTreeSet<String> = series
            .iter()
            .filter(|one| one.has_job)
            .filter_map(|one| one.key.job_id.clone())
            .collect();
        let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let successes = self.last_successes(&jobs).await?;
        let records = self.records_of_jobs(&jobs).await?;
        for one in series {
            let Some(job_id) = &one.key.job_id else {
                continue;
            };
            let success = successes.get(job_id);
            let success = success.filter(|run| run.project_id == one.key.project_id);
            one.last_success = success.cloned();
            one.records = records.of(job_id, one.key.project_id.as_deref());
        }
        Ok(())
    }

    /// What is known of the records of these jobs.
    pub(super) async fn records_of_jobs(
        &mut self,
        job_ids: &[&str],
    ) -> Result<JobRecords, StoreError> {
        let mut records = JobRecords::default();
        if job_ids.is_empty() {
            return Ok(records);
        }
        for ids in in_lists(job_ids) {
            let list = placeholders(ids.len());
            let query = format!(
                "SELECT job_id, project_id, MAX(last_at) FROM freezer_api_series WHERE job_id IN ({list}) \
                 GROUP BY job_id, project_id"
            );
            let query = sql(query).bind_all(ids);
            let rows: Vec<(String, Option<String>, i64)> = self.session.fetch_all(query).await?;
            let rows = rows.into_iter();
            let rows = rows.map(|(job_id, project_id, last)| ((job_id, project_id), last));
            records.last_at.extend(rows);
        }
        records.known_until = self.lease_done_at(LEASE).await?;
        Ok(records)
    }

    /// The series behind an id, in its order, as many as a batch has, without the runs of their jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn series_after(&mut self, id: &str) -> Result<Vec<Series>, StoreError> {
        let query = format!("{SELECT} WHERE s.id > ? ORDER BY s.id LIMIT {BATCH}");
        self.session.fetch_all(sql(query).bind(id)).await
    }
}
