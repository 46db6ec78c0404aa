//! Revision a1b2c3d4e5f6: the actions of a job, once a JSON list in the job's row, become rows of `job_actions` that
//! refer to rows of `actions`.
//!
//! As in the reference, an entry whose action is not registered makes one. Unlike there nothing gets lost: what has no
//! place in the new tables goes to `freezer_api_leftovers`, word for word, and each such case is reported. A job's column
//! is emptied in the transaction that moves its entries, so a migration that was killed goes on with the next job.

use std::collections::HashMap;

use serde_json::Value;
use time::PrimitiveDateTime;

use super::super::statement::{placeholders, sql};
use super::super::{Engine, StoreError};
use super::runner::Runner;
use super::{MigrateError, Progress};
use crate::domain::document::{self, Object};

/// How many jobs one transaction moves.
const BATCH: u64 = 200;
/// The width of the id columns, in characters.
const ID_WIDTH: usize = 36;
/// The width of the text columns of actions, in characters.
const TEXT_WIDTH: usize = 255;

/// A row of `jobs`, as far as it matters here.
#[derive(sqlx::FromRow)]
struct Job {
    id: String,
    project_id: Option<String>,
    user_id: String,
    created_at: Option<PrimitiveDateTime>,
    updated_at: Option<PrimitiveDateTime>,
    job_actions: String,
}

/// A row of `actions`, as far as it matters here.
#[derive(sqlx::FromRow)]
struct Registered {
    id: String,
    project_id: Option<String>,
    deleted: Option<bool>,
    backup_metadata: Option<String>,
}

/// An entry of a job's list.
struct Entry {
    position: i64,
    value: Value,
}

/// What becomes of an entry.
enum Fate {
    /// It becomes a link to a registered action. The reason says what of the entry is kept beside it.
    Link(String, Option<&'static str>),
    /// An action is made from it, with this id.
    Make(String, Option<&'static str>),
    /// It cannot become an action.
    Keep(&'static str),
}

impl Runner<'_> {
    /// Moves the JSON of all jobs, deleted ones too.
    pub(super) async fn normalize_job_actions(&mut self) -> Result<(), MigrateError> {
        let count = "SELECT COUNT(*) FROM jobs WHERE job_actions IS NOT NULL";
        let counted: Vec<(i64,)> = self.session.fetch_all(sql(count)).await?;
        let total = counted.first().map_or(0, |(total,)| total.unsigned_abs());
        let mut done = 0;
        loop {
            let jobs = self.move_batch().await?;
            if jobs == 0 {
                return Ok(());
            }
            done += jobs;
            self.tell(Progress::Rows {
                what: "jobs",
                done,
                total,
            });
            self.done();
        }
    }

    /// The other engines have a transaction around the whole revision.
    async fn move_batch(&mut self) -> Result<u64, StoreError> {
        if self.session.engine() == Engine::MySql {
            self.session.begin().await?;
        }
        let query = "SELECT id, project_id, user_id, created_at, updated_at, job_actions FROM jobs \
                     WHERE job_actions IS NOT NULL ORDER BY id LIMIT ";
        let jobs: Vec<Job> = self
            .session
            .fetch_all(sql(format!("{query}{BATCH}")))
            .await?;
        let mut entries = Vec::with_capacity(jobs.len());
        for job in &jobs {
            entries.push(self.entries(job).await?);
        }
        let mut registered = self.registered(&entries).await?;
        for (job, entries) in jobs.iter().zip(entries) {
            for entry in entries {
                self.move_entry(job, entry, &mut registered).await?;
            }
        }
        if !jobs.is_empty() {
            let ids = jobs.iter().map(|job| &job.id);
            let emptied = format!(
                "UPDATE jobs SET job_actions = NULL WHERE id IN ({})",
                placeholders(jobs.len())
            );
            self.session.execute(sql(emptied).bind_all(ids)).await?;
        }
        if self.session.engine() == Engine::MySql {
            self.session.commit().await?;
        }
        Ok(jobs.len() as u64)
    }

    /// The entries of a job's list; none when it is not a list of them.
    async fn entries(&mut self, job: &Job) -> Result<Vec<Entry>, StoreError> {
        let list = match serde_json::from_str(&job.job_actions) {
            Ok(Value::Array(list)) => list,
            Ok(Value::Null) => Vec::new(),
            _ if job.job_actions.is_empty() => Vec::new(),
            Ok(_) => {
                self.keep(job, -1, &job.job_actions, "no list of actions")
                    .await?;
                Vec::new()
            }
            Err(_) => {
                self.keep(job, -1, &job.job_actions, "no JSON").await?;
                Vec::new()
            }
        };
        Ok((0..)
            .zip(list)
            .map(|(position, value)| Entry { position, value })
            .collect())
    }

    /// The registered actions that entries name, by id.
    async fn registered(
        &mut self,
        entries: &[Vec<Entry>],
    ) -> Result<HashMap<String, Registered>, StoreError> {
        let ids: Vec<&str> = entries
            .iter()
            .flatten()
            .filter_map(|entry| action_id(&entry.value))
            .collect();
        let mut registered = HashMap::new();
        for ids in ids.chunks(500) {
            let query = format!(
                "SELECT id, project_id, deleted, backup_metadata FROM actions WHERE id IN ({})",
                placeholders(ids.len())
            );
            let found: Vec<Registered> = self
                .session
                .fetch_all(sql(query).bind_all(ids.iter().copied()))
                .await?;
            registered.extend(found.into_iter().map(|action| (action.id.clone(), action)));
        }
        Ok(registered)
    }

    async fn move_entry(
        &mut self,
        job: &Job,
        entry: Entry,
        registered: &mut HashMap<String, Registered>,
    ) -> Result<(), StoreError> {
        let (action_id, reason) = match fate(job, &entry.value, registered, || self.ids.hex()) {
            Fate::Link(id, reason) => (Some(id), reason),
            Fate::Make(id, reason) => {
                let action = self.make_action(job, &id, &entry.value).await?;
                registered.insert(id.clone(), action);
                (Some(id), reason)
            }
            Fate::Keep(reason) => (None, Some(reason)),
        };
        if let Some(reason) = reason {
            self.keep(job, entry.position, &entry.value.to_string(), reason)
                .await?;
        }
        let Some(action_id) = action_id else {
            return Ok(());
        };
        let statement = sql(
            "INSERT INTO job_actions (id, job_id, action_id, position, deleted) VALUES (?, ?, ?, ?, FALSE)",
        )
        .bind(self.ids.hex())
        .bind(&job.id)
        .bind(action_id)
        .bind(entry.position);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Registers the action that an entry describes. What of it has no column stays in the JSON.
    async fn make_action(
        &mut self,
        job: &Job,
        id: &str,
        entry: &Value,
    ) -> Result<Registered, StoreError> {
        let none = Object::new();
        let entry = entry.as_object().unwrap_or(&none);
        let definition = definition(entry).unwrap_or(&none);
        let project_id = narrow(entry, "project_id", ID_WIDTH).or(job.project_id.clone());
        let retries = |key: &str, default: i32| match entry.contains_key(key) {
            true => document::int(entry, key),
            false => Some(default),
        };
        let metadata = document::to_text(definition);
        let text = |key: &str| narrow(definition, key, TEXT_WIDTH);
        let mut columns = "id, project_id, user_id, action, actionmode, path_to_backup, backup_name, container, timeout, \
                           priority, mandatory, log_file, max_retries, max_retries_interval, backup_metadata, deleted"
            .to_owned();
        let mut statement = sql("")
            .bind(id)
            .bind(&project_id)
            .bind(narrow(entry, "user_id", 64).unwrap_or_else(|| job.user_id.clone()))
            .bind(&text("action"))
            .bind(&text("mode"))
            .bind(&text("path_to_backup").or_else(|| text("src_file")))
            .bind(&text("backup_name"))
            .bind(&text("container"))
            .bind(document::int(definition, "timeout"))
            .bind(document::int(definition, "priority"))
            .bind(definition.get("mandatory").and_then(Value::as_bool))
            .bind(&text("log_file"))
            .bind(retries("max_retries", 5))
            .bind(retries("max_retries_interval", 6))
            .bind(&metadata)
            .bind(false);
        for (column, time) in [
            ("created_at", job.created_at),
            ("updated_at", job.updated_at),
        ] {
            if let Some(time) = time {
                columns.push_str(", ");
                columns.push_str(column);
                statement = statement.bind(time);
            }
        }
        let values = placeholders(statement.arguments.len());
        let statement = statement.push(&format!(
            "INSERT INTO actions ({columns}) VALUES ({values})"
        ));
        self.session.execute(statement).await?;
        Ok(Registered {
            id: id.to_owned(),
            project_id,
            deleted: Some(false),
            backup_metadata: Some(metadata),
        })
    }

    /// Keeps a value of a job's list that has no place in the new tables, and reports it.
    async fn keep(
        &mut self,
        job: &Job,
        position: i64,
        value: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO freezer_api_leftovers (table_name, row_id, column_name, position, value, reason) \
             VALUES ('jobs', ?, 'job_actions', ?, ?, ?)",
        )
        .bind(&job.id)
        .bind(position)
        .bind(value)
        .bind(reason);
        self.session.execute(statement).await?;
        let entry = match position {
            -1 => String::new(),
            _ => format!(", entry {position}"),
        };
        self.odd(&format!("job {}{entry}: {reason}", job.id));
        Ok(())
    }
}

fn fate(
    job: &Job,
    entry: &Value,
    registered: &HashMap<String, Registered>,
    new_id: impl FnOnce() -> String,
) -> Fate {
    let Some(object) = entry.as_object() else {
        return Fate::Keep("the entry is no object");
    };
    let id = action_id(entry);
    if let Some((id, action)) = id.and_then(|id| Some((id, registered.get(id)?))) {
        let reason = if action.project_id != job.project_id {
            Some("the action is another project's, so the job does not show it")
        } else if action.deleted == Some(true) {
            Some("the action is deleted, so the job does not show it")
        } else {
            let stored = document::stored_object(action.backup_metadata.as_deref());
            let differs =
                definition(object).is_some_and(|definition| !says_the_same(definition, &stored));
            differs.then_some("the action that is registered under this id differs; it counts")
        };
        return Fate::Link(id.to_owned(), reason);
    }
    let name = definition(object).and_then(|definition| definition.get("action"));
    match name.and_then(Value::as_str) {
        None | Some("") => {
            return Fate::Keep("the action is not registered and the entry does not name one");
        }
        Some(name) if name.chars().count() > TEXT_WIDTH => {
            return Fate::Keep("the action's name is longer than 255 characters");
        }
        Some(_) => {}
    }
    match id {
        Some(id) if id.chars().count() <= ID_WIDTH => Fate::Make(id.to_owned(), None),
        Some(_) => Fate::Make(
            new_id(),
            Some("the action's id was too long, it has a new one"),
        ),
        None if object
            .get("action_id")
            .is_some_and(|id| !id.is_null() && id != "") =>
        {
            Fate::Make(
                new_id(),
                Some("the action's id was no text, it has a new one"),
            )
        }
        None => Fate::Make(new_id(), None),
    }
}

/// Whether everything that an entry says is stored too; null counts as not said.
fn says_the_same(entry: &Object, stored: &Object) -> bool {
    entry
        .iter()
        .filter(|(_, value)| !value.is_null())
        .all(|(key, value)| stored.get(key) == Some(value))
}

fn definition(entry: &Object) -> Option<&Object> {
    entry.get("freezer_action")?.as_object()
}

fn action_id(entry: &Value) -> Option<&str> {
    entry.get("action_id")?.as_str().filter(|id| !id.is_empty())
}

/// A text that fits its column. One that does not stays in the JSON alone.
fn narrow(object: &Object, key: &str, width: usize) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    (!text.is_empty() && text.chars().count() <= width).then(|| text.to_owned())
}
