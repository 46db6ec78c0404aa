//! Revision a1b2c3d4e5f6: the actions of a job, once a JSON list in the job's row, become rows of `job_actions` that
//! refer to rows of `actions`.
//!
//! As in the reference, an entry whose action is not registered makes one. Unlike there nothing is lost: what has no
//! place in the new tables goes to `freezer_api_leftovers` unchanged, and each such case is reported. A job's column
//! is emptied in the transaction that moves its entries, so a migration that was killed continues with the next job.

use std::collections::HashMap;

use serde_json::Value;
use time::PrimitiveDateTime;

use super::runner::Runner;
use super::{MigrateError, Progress};
use crate::domain::action::{Action, DEFAULT_MAX_RETRIES, DEFAULT_MAX_RETRIES_INTERVAL};
use crate::domain::document::{self, Object};
use crate::store::rows::{Record, impl_from_row};
use crate::store::statement::{placeholders, sql};
use crate::store::{Engine, StoreError};

/// How many jobs one transaction moves.
const BATCH: u64 = 500;
/// The width of the id columns, in characters.
const ID_WIDTH: usize = 36;
/// How many rows one statement inserts or looks up. With texts of 64 KiB that stays below every server's packet limit.
const INSERT: usize = 50;
/// The width of the columns of users, in characters.
const USER_WIDTH: usize = 64;
/// The width of the text columns of actions, in characters.
const TEXT_WIDTH: usize = 255;

/// A row of `jobs`, as far as it matters here.
struct Job {
    id: String,
    project_id: Option<String>,
    user_id: String,
    created_at: Option<PrimitiveDateTime>,
    updated_at: Option<PrimitiveDateTime>,
    job_actions: String,
}

impl_from_row!(Job {
    id,
    project_id,
    user_id,
    created_at,
    updated_at,
    job_actions
});

/// Registered actions by their ids, and whether they are deleted.
type Registered = HashMap<String, (Action, bool)>;

/// The rows that a batch of jobs becomes.
#[derive(Default)]
struct Rows<'j> {
    /// New actions, each with the job from which it has its times.
    actions: Vec<(Action, &'j Job)>,
    /// Job, action and position.
    links: Vec<(&'j str, String, i64)>,
}

/// An entry of a job's list.
struct OldEntry {
    position: i64,
    value: Value,
}

/// What becomes of an entry.
enum Disposition {
    /// It becomes a link to a registered action. The reason says what of the entry is kept beside it.
    Link(String, Option<&'static str>),
    /// It becomes this new action.
    Make(Box<Action>, Option<&'static str>),
    /// It cannot become an action.
    Keep(&'static str),
}

impl Runner<'_> {
    /// Moves the JSON of all jobs, deleted ones too.
    pub(super) async fn normalize_job_actions(&mut self) -> Result<(), MigrateError> {
        let count = "SELECT COUNT(*) FROM jobs WHERE job_actions IS NOT NULL";
        let total = self.session.count(sql(count)).await?;
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
        let mut rows = Rows::default();
        for (job, entries) in jobs.iter().zip(entries) {
            for entry in entries {
                self.move_entry(job, entry, &mut registered, &mut rows)
                    .await?;
            }
        }
        self.insert_actions(&rows.actions).await?;
        self.insert_links(&rows.links).await?;
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
    async fn entries(&mut self, job: &Job) -> Result<Vec<OldEntry>, StoreError> {
        let list = match serde_json::from_str(&job.job_actions) {
            Ok(Value::Array(list)) => list,
            Ok(Value::Null) => Vec::new(),
            _ if job.job_actions.is_empty() => Vec::new(),
            Ok(_) => {
                self.keep_entry(job, -1, &job.job_actions, "no list of actions")
                    .await?;
                Vec::new()
            }
            Err(_) => {
                self.keep_entry(job, -1, &job.job_actions, "no JSON")
                    .await?;
                Vec::new()
            }
        };
        Ok((0..)
            .zip(list)
            .map(|(position, value)| OldEntry { position, value })
            .collect())
    }

    /// The registered actions that entries name.
    async fn registered(&mut self, entries: &[Vec<OldEntry>]) -> Result<Registered, StoreError> {
        let ids: Vec<&str> = entries
            .iter()
            .flatten()
            .filter_map(|entry| action_id(entry.value.as_object()?))
            .collect();
        let mut registered = Registered::new();
        for ids in ids.chunks(INSERT) {
            let condition = format!("a.id IN ({})", placeholders(ids.len()));
            for (deleted, which) in [
                (true, "a.deleted = TRUE"),
                (false, "(a.deleted = FALSE OR a.deleted IS NULL)"),
            ] {
                let query = format!(
                    "SELECT {} FROM {} WHERE {condition} AND {which}",
                    Action::COLUMNS,
                    Action::FROM
                );
                let query = sql(query).bind_all(ids.iter().copied());
                let found: Vec<Action> = self.session.fetch_all(query).await?;
                let found = found.into_iter();
                registered.extend(found.map(|action| (action.id.clone(), (action, deleted))));
            }
        }
        Ok(registered)
    }

    async fn move_entry<'j>(
        &mut self,
        job: &'j Job,
        entry: OldEntry,
        registered: &mut Registered,
        rows: &mut Rows<'j>,
    ) -> Result<(), StoreError> {
        let new_id = || self.ids.hex();
        let (action_id, reason) = match disposition(job, &entry.value, registered, new_id) {
            Disposition::Link(id, reason) => (Some(id), reason),
            Disposition::Make(action, reason) => {
                let id = action.id.clone();
                registered.insert(id.clone(), (Action::clone(&action), false));
                rows.actions.push((*action, job));
                (Some(id), reason)
            }
            Disposition::Keep(reason) => (None, Some(reason)),
        };
        if let Some(reason) = reason {
            self.keep_entry(job, entry.position, &entry.value.to_string(), reason)
                .await?;
        }
        if let Some(action_id) = action_id {
            rows.links.push((&job.id, action_id, entry.position));
        }
        Ok(())
    }

    async fn insert_actions(&mut self, actions: &[(Action, &Job)]) -> Result<(), StoreError> {
        for actions in actions.chunks(INSERT) {
            // The columns of this revision; later ones may have more.
            let mut statement = sql(
                "INSERT INTO actions (id, project_id, user_id, action, actionmode, path_to_backup, backup_name, container, \
                 timeout, priority, mandatory, log_file, max_retries, max_retries_interval, backup_metadata, deleted, \
                 created_at, updated_at) VALUES ",
            );
            for (at, (action, job)) in actions.iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                statement = statement
                    .push(comma)
                    .push("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, ")
                    .bind(&action.id)
                    .bind(&action.project_id)
                    .bind(&action.user_id)
                    .bind(&action.action)
                    .bind(&action.actionmode)
                    .bind(&action.path_to_backup)
                    .bind(&action.backup_name)
                    .bind(&action.container)
                    .bind(action.timeout)
                    .bind(action.priority)
                    .bind(action.mandatory)
                    .bind(&action.log_file)
                    .bind(action.max_retries)
                    .bind(action.max_retries_interval)
                    .bind(&action.backup_metadata);
                for (time, end) in [(job.created_at, ", "), (job.updated_at, ")")] {
                    statement = match time {
                        Some(time) => statement.push("?").bind(time),
                        None => statement.push("NULL"),
                    };
                    statement = statement.push(end);
                }
            }
            self.session.execute(statement).await?;
        }
        Ok(())
    }

    async fn insert_links(&mut self, links: &[(&str, String, i64)]) -> Result<(), StoreError> {
        for links in links.chunks(INSERT) {
            let rows = vec!["(?, ?, ?, ?, FALSE)"; links.len()].join(", ");
            let mut statement = sql(format!(
                "INSERT INTO job_actions (id, job_id, action_id, position, deleted) VALUES {rows}"
            ));
            for (job_id, action_id, position) in links {
                statement = statement
                    .bind(self.ids.hex())
                    .bind(*job_id)
                    .bind(action_id)
                    .bind(*position);
            }
            self.session.execute(statement).await?;
        }
        Ok(())
    }

    async fn keep_entry(
        &mut self,
        job: &Job,
        position: i64,
        value: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.keep("jobs", &job.id, "job_actions", position, value, reason)
            .await
    }
}

fn disposition(
    job: &Job,
    entry: &Value,
    registered: &Registered,
    new_id: impl FnOnce() -> String,
) -> Disposition {
    let Some(entry) = entry.as_object() else {
        return Disposition::Keep("the entry is not an object");
    };
    let id = action_id(entry);
    if let Some(id) = id
        && let Some((action, deleted)) = registered.get(id)
    {
        return Disposition::Link(id.to_owned(), kept_beside(job, entry, action, *deleted));
    }
    let described = definition(entry).and_then(|definition| Some((definition, name(definition)?)));
    let Some((definition, name)) = described else {
        return Disposition::Keep("the action is not registered and the entry does not name one");
    };
    if name.chars().count() > TEXT_WIDTH {
        return Disposition::Keep("the action's name is longer than 255 characters");
    }
    let (id, reason) = match id {
        Some(id) if id.chars().count() <= ID_WIDTH => (id.to_owned(), None),
        Some(_) => (
            new_id(),
            Some("the action's id was too long, it has a new one"),
        ),
        None if has_other_id(entry) => (
            new_id(),
            Some("the action's id was not a string, it has a new one"),
        ),
        None => (new_id(), None),
    };
    let action = new_action(job, id, entry, definition, name);
    Disposition::Make(Box::new(action), reason)
}

/// Why an entry is kept beside the link to the action that is registered under its id.
fn kept_beside(job: &Job, entry: &Object, action: &Action, deleted: bool) -> Option<&'static str> {
    if action.project_id != job.project_id {
        return Some("the action is another project's, so the job does not show it");
    }
    if deleted {
        return Some("the action is deleted, so the job does not show it");
    }
    let differs = definition(entry).is_some_and(|definition| !says_the_same(definition, action));
    differs.then_some("the action that is registered under this id differs; it counts")
}

/// The action that an entry describes. What of it has no column stays in the JSON.
fn new_action(job: &Job, id: String, entry: &Object, definition: &Object, name: &str) -> Action {
    let retries = |key: &str, default: i32| {
        if entry.contains_key(key) {
            document::int(entry, key)
        } else {
            Some(default)
        }
    };
    let text = |key: &str| narrow(definition, key, TEXT_WIDTH);
    Action {
        id,
        project_id: narrow(entry, "project_id", ID_WIDTH).or(job.project_id.clone()),
        user_id: narrow(entry, "user_id", USER_WIDTH).unwrap_or_else(|| job.user_id.clone()),
        action: name.to_owned(),
        actionmode: text("mode"),
        path_to_backup: text("path_to_backup").or_else(|| text("src_file")),
        backup_name: text("backup_name"),
        container: text("container"),
        timeout: document::int(definition, "timeout"),
        priority: document::int(definition, "priority"),
        max_retries_interval: retries("max_retries_interval", DEFAULT_MAX_RETRIES_INTERVAL),
        max_retries: retries("max_retries", DEFAULT_MAX_RETRIES),
        mandatory: definition.get("mandatory").and_then(Value::as_bool),
        log_file: text("log_file"),
        backup_metadata: Some(document::to_text(definition)),
    }
}

/// Whether everything that an entry says is stored too; null counts as not said.
fn says_the_same(entry: &Object, action: &Action) -> bool {
    let stored = action.freezer_action();
    let same = |(key, value): (&String, &Value)| match (stored.get(key), key.as_str()) {
        (None, "mandatory") => value.as_bool() == action.mandatory,
        (stored, _) => stored == Some(value),
    };
    let mut said = entry.iter().filter(|(_, value)| !value.is_null());
    said.all(same)
}

fn definition(entry: &Object) -> Option<&Object> {
    entry.get("freezer_action")?.as_object()
}

fn name(definition: &Object) -> Option<&str> {
    document::text(definition, "action").filter(|name| !name.is_empty())
}

fn action_id(entry: &Object) -> Option<&str> {
    document::text(entry, "action_id").filter(|id| !id.is_empty())
}

/// Whether an entry has an id that is no text.
fn has_other_id(entry: &Object) -> bool {
    entry
        .get("action_id")
        .is_some_and(|id| !id.is_null() && !id.is_string())
}

/// A text that fits its column. One that does not stays in the JSON alone.
fn narrow(object: &Object, key: &str, width: usize) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    (!text.is_empty() && text.chars().count() <= width).then(|| text.to_owned())
}
