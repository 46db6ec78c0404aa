//! Jobs with their actions, by the statements that the service sends to MariaDB.

use futures_util::{Stream, TryStreamExt};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::mysql::MySqlRow;

macro_rules! columns {
    ($trust:expr, $user:expr) => {
        concat!(
            "j.id, j.project_id, j.user_id, CASE WHEN OCTET_LENGTH(j.schedule) <= 4096 THEN j.schedule END, j.client_id, \
             j.session_id, j.session_tag, j.description, ",
            $trust, ", ", $user,
            ", a.id, a.project_id, a.user_id, a.action, a.actionmode, a.path_to_backup, a.backup_name, a.container, a.timeout, \
             a.priority, a.max_retries_interval, a.max_retries, a.log_file, \
             CASE WHEN OCTET_LENGTH(a.backup_metadata) <= 4096 THEN a.backup_metadata END, ja.position"
        )
    };
}
macro_rules! credentials {
    ($column:literal) => {
        concat!(
            "(SELECT MIN(u.",
            $column,
            ") FROM user_credentials u WHERE u.job_id = j.id AND u.deleted = FALSE)"
        )
    };
}
macro_rules! page {
    ($conditions:literal) => {
        concat!(
            "SELECT j.id, j.created_at AS listed_at, ",
            credentials!("trust_id"),
            " AS trust_id, ",
            credentials!("trustor_user_id"),
            " AS trustor_user_id FROM jobs j \
             WHERE j.deleted = FALSE AND j.project_id = ?",
            $conditions,
            " ORDER BY j.created_at, j.id LIMIT ? OFFSET ?"
        )
    };
}
macro_rules! entries {
    () => {
        " LEFT JOIN job_actions ja ON ja.job_id = j.id AND ja.deleted = FALSE \
         LEFT JOIN actions a ON a.id = ja.action_id AND a.deleted = FALSE"
    };
}

/// Values: project, id.
pub(crate) const JOB_OF_ID: &str = concat!(
    "SELECT ",
    columns!(credentials!("trust_id"), credentials!("trustor_user_id")),
    " FROM jobs j",
    entries!(),
    " WHERE j.deleted = FALSE AND j.project_id = ? AND j.id = ?"
);
/// Values: project, limit, offset.
pub(crate) const PAGE_OF_JOBS: &str = concat!(
    "SELECT ",
    columns!("p.trust_id", "p.trustor_user_id"),
    " FROM (",
    page!(""),
    ") p LEFT JOIN jobs j ON j.id = p.id",
    entries!(),
    " ORDER BY p.listed_at, p.id"
);
/// Values: project, client, what a completed job's schedule contains in two forms, limit, offset, project. A row without a job
/// says whether an action names a client.
pub(crate) const POLL: &str = concat!(
    "SELECT ",
    columns!("p.trust_id", "p.trustor_user_id"),
    " FROM (SELECT q.id, q.listed_at, q.trust_id, q.trustor_user_id FROM (",
    page!(
        " AND j.client_id = ? AND (j.schedule IS NULL OR NOT (INSTR(j.schedule, ?) > 0 OR INSTR(j.schedule, ?) > 0))"
    ),
    ") q UNION ALL SELECT NULL, NULL, CASE WHEN EXISTS (SELECT 1 FROM actions a WHERE a.deleted = FALSE \
     AND a.project_id = ? AND a.names_client_id = TRUE) THEN 1 ELSE 0 END, NULL) p LEFT JOIN jobs j ON j.id = p.id",
    entries!(),
    " ORDER BY p.listed_at, p.id"
);

/// The document of a job.
#[derive(Serialize)]
pub(crate) struct Job {
    job_id: String,
    project_id: Option<String>,
    user_id: String,
    job_schedule: Value,
    client_id: String,
    session_id: Option<String>,
    session_tag: Option<i32>,
    description: Option<String>,
    job_actions: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_credentials: Option<Value>,
}

/// Actions with their positions.
type Entries = Vec<(Option<i32>, Value)>;

/// The jobs of rows that come job by job.
pub(crate) async fn jobs(
    mut rows: impl Stream<Item = sqlx::Result<MySqlRow>> + Unpin,
) -> anyhow::Result<Vec<Job>> {
    let mut jobs: Vec<(Job, Entries)> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let Some(id) = row.try_get::<Option<&str>, _>(0)? else {
            continue;
        };
        if jobs.last().is_none_or(|(job, _)| job.job_id != id) {
            jobs.push((job(&row)?, Vec::new()));
        }
        let action = action(&row)?;
        if let (Some((_, entries)), Some(action)) = (jobs.last_mut(), action) {
            entries.push((row.try_get(24)?, action));
        }
    }
    let ordered = |(mut job, mut entries): (Job, Entries)| {
        entries.sort_by_key(|(position, _)| *position);
        job.job_actions = entries.into_iter().map(|(_, action)| action).collect();
        job
    };
    Ok(jobs.into_iter().map(ordered).collect())
}

fn job(row: &MySqlRow) -> anyhow::Result<Job> {
    let trust: Option<&str> = row.try_get(8)?;
    let user: Option<&str> = row.try_get(9)?;
    Ok(Job {
        job_id: row.try_get(0)?,
        project_id: row.try_get(1)?,
        user_id: row.try_get(2)?,
        job_schedule: serde_json::from_str(row.try_get(3)?)?,
        client_id: row.try_get(4)?,
        session_id: row.try_get(5)?,
        session_tag: row.try_get(6)?,
        description: row.try_get(7)?,
        job_actions: Vec::new(),
        user_credentials: trust.map(|trust| json!({"trust_id": trust, "trustor_user_id": user})),
    })
}

fn action(row: &MySqlRow) -> anyhow::Result<Option<Value>> {
    let Some(id) = row.try_get::<Option<&str>, _>(10)? else {
        return Ok(None);
    };
    let mut freezer_action: Map<String, Value> = serde_json::from_str(row.try_get(23)?)?;
    for (name, column) in [
        ("backup_name", 16),
        ("action", 13),
        ("mode", 14),
        ("container", 17),
        ("path_to_backup", 15),
        ("log_file", 22),
    ] {
        let value: Option<&str> = row.try_get(column)?;
        freezer_action.insert(name.to_owned(), value.into());
    }
    for (name, column) in [("timeout", 18), ("priority", 19)] {
        let value: Option<i32> = row.try_get(column)?;
        freezer_action.insert(name.to_owned(), value.into());
    }
    Ok(Some(json!({
        "project_id": row.try_get::<Option<&str>, _>(11)?,
        "action_id": id,
        "user_id": row.try_get::<&str, _>(12)?,
        "max_retries": row.try_get::<Option<i32>, _>(21)?,
        "max_retries_interval": row.try_get::<Option<i32>, _>(20)?,
        "freezer_action": freezer_action,
    })))
}

/// A document as JSON.
pub(crate) fn text(document: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(document)?)
}
