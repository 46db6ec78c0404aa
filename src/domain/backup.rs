//! Backups: what exists, where, and in which state.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Refusal;
use super::document::{self, Object, owned_text};
use super::validation::Schemas;

/// The state of a backup whose document names none.
pub const DEFAULT_STATUS: &str = "available";

/// A row of `backups`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
#[cfg_attr(test, derive(Default))]
pub struct Backup {
    pub id: String,
    pub job_id: Option<String>,
    pub project_id: Option<String>,
    pub user_id: String,
    pub status: String,
    /// The metadata as JSON.
    pub backup_metadata: Option<String>,
}

/// The document of a backup, as `GET /backups/{backup_id}` answers it.
#[derive(Serialize)]
pub struct BackupDocument<'a> {
    project_id: &'a Option<String>,
    backup_id: &'a str,
    user_id: &'a str,
    status: &'a str,
    backup_metadata: Box<RawValue>,
}

impl Backup {
    /// The document that answers show.
    pub fn document(&self) -> BackupDocument<'_> {
        BackupDocument {
            project_id: &self.project_id,
            backup_id: &self.id,
            user_id: &self.user_id,
            status: &self.status,
            backup_metadata: document::stored(self.backup_metadata.as_deref().unwrap_or("null")),
        }
    }
}

/// The backup that a body of `POST /backups` describes: its metadata, with the state among them.
///
/// # Errors
/// [`Refusal::Invalid`] naming the field.
pub fn create(
    schemas: &Schemas,
    body: Object,
    id: String,
    project_id: &str,
    user_id: &str,
) -> Result<Backup, Refusal> {
    let mut metadata = schemas.backup.check(body)?;
    let status = owned_text(&metadata, "status").unwrap_or_else(|| DEFAULT_STATUS.to_owned());
    metadata.shift_remove("status");
    Ok(Backup {
        id,
        job_id: owned_text(&metadata, "job_id"),
        project_id: Some(project_id.to_owned()),
        user_id: user_id.to_owned(),
        status,
        backup_metadata: Some(document::to_text(&metadata)),
    })
}

/// The changes that a whole document makes: its state, and all else as metadata.
fn from_whole_document(mut document: Object) -> Object {
    document.shift_remove("backup_id");
    let status = document.shift_remove_entry("status");
    let metadata = ("backup_metadata".to_owned(), Value::Object(document));
    status.into_iter().chain([metadata]).collect()
}

/// A checked body of `PATCH /backups/{backup_id}`.
#[derive(Clone, Debug)]
pub struct BackupPatch(Object);

impl BackupPatch {
    /// Checks a body; other members than `status` and `backup_metadata` have no effect, unless it is the whole document of
    /// the backup, as the scheduler of 19.0.0 sends it: with the id among them, and no `backup_metadata`.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn parse(
        schemas: &Schemas,
        mut body: Object,
        backup_id: &str,
    ) -> Result<BackupPatch, Refusal> {
        body.shift_remove("project_id");
        let is_named = body.get("backup_id").and_then(Value::as_str) == Some(backup_id);
        if is_named && !body.contains_key("backup_metadata") {
            body = from_whole_document(body);
        }
        schemas.backup_patch.check(body).map(BackupPatch)
    }

    /// Sets the state and merges the metadata key by key.
    pub fn apply(&self, backup: &mut Backup) {
        if let Some(status) = owned_text(&self.0, "status") {
            backup.status = status;
        }
        if let Some(Value::Object(changes)) = self.0.get("backup_metadata") {
            let mut metadata = document::stored_object(backup.backup_metadata.as_deref());
            metadata.extend(changes.clone());
            if changes.contains_key("job_id") {
                backup.job_id = owned_text(changes, "job_id");
            }
            backup.backup_metadata = Some(document::to_text(&metadata));
        }
    }
}
