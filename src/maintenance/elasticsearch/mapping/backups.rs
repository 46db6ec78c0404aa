//! Backups.

use serde_json::{Value, json};

use super::{Kept, Mapped, Owner, fitting_id, keep_refused, made_id, seconds, time_of_drawn_id};
use crate::domain::backup::{Backup, BackupPatch, DEFAULT_STATUS};
use crate::domain::document::{self, Object, owned_text};
use crate::domain::validation::Schemas;
use crate::maintenance::elasticsearch::document::{Document, Kind};
use crate::schema::with_member;

/// The row of a backup.
pub(in super::super) fn map(
    schemas: &Schemas,
    document: &mut Document,
    owner: Owner<'_>,
) -> Result<Mapped<Backup>, String> {
    let mut rest = std::mem::take(&mut document.members);
    let mut kept = Kept::default();
    let Some(Value::Object(metadata)) = rest.shift_remove("backup_metadata") else {
        return Err("its backup_metadata is no object".to_owned());
    };
    let id = id(schemas, document, &mut rest, &metadata, &mut kept);
    for key in ["user_id", "project_id"] {
        rest.shift_remove(key);
    }
    let mut patch = Object::new();
    patch.extend(rest.shift_remove_entry("status"));
    keep_refused(
        &schemas.backup_patch,
        &mut patch,
        &["status"],
        &Object::new(),
        &mut kept,
    );
    let job_id = job_id(schemas, &mut rest, &metadata);
    let created = seconds(metadata.get("time_stamp")).or_else(|| time_of_drawn_id(document.id()));
    let mut backup = Backup {
        id,
        job_id: None,
        project_id: Some(owner.project_id.to_owned()),
        user_id: owner.user_id.to_owned(),
        status: DEFAULT_STATUS.to_owned(),
        backup_metadata: None,
    };
    set_metadata(schemas, &mut backup, patch, metadata, job_id)?;
    add_user_name(&mut backup, &mut rest, &mut kept);
    kept.add_rest(rest);
    Ok(Mapped {
        row: backup,
        created,
        kept,
    })
}

/// Sets state and metadata by the code that changes a backup through the API.
fn set_metadata(
    schemas: &Schemas,
    backup: &mut Backup,
    mut patch: Object,
    mut metadata: Object,
    job_id: Option<String>,
) -> Result<(), String> {
    // A job's id that cannot be one stays in the metadata, and has no place in the column.
    let unfit = match (&job_id, metadata.get("job_id")) {
        (None, Some(value)) if !value.is_null() => {
            metadata.insert("job_id".to_owned(), Value::Null)
        }
        _ => None,
    };
    patch.insert("backup_metadata".to_owned(), Value::Object(metadata));
    let patch =
        BackupPatch::parse(schemas, patch, &backup.id).map_err(|refusal| refusal.to_string())?;
    patch.apply(backup);
    backup.job_id = job_id;
    if let Some(job_id) = unfit {
        let mut metadata = document::stored_object(backup.backup_metadata.as_deref());
        metadata.insert("job_id".to_owned(), job_id);
        backup.backup_metadata = Some(document::to_text(&metadata));
    }
    Ok(())
}

/// Up to 3.0.0 `backup_id` is put together from the metadata, and several backups may have the same; `backup_uuid` is what tells
/// them apart.
fn id(
    schemas: &Schemas,
    document: &Document,
    rest: &mut Object,
    metadata: &Object,
    kept: &mut Kept,
) -> String {
    let old = rest.shift_remove("backup_id");
    let Some(uuid) = rest.shift_remove("backup_uuid") else {
        let id = match &old {
            Some(Value::String(id)) => id,
            _ => document.id(),
        };
        return fitting_id(schemas, Kind::Backups, id, kept);
    };
    if let Some(old) = old.filter(|old| old.as_str() != Some(&composed_id(metadata))) {
        kept.add(
            "backup_id",
            old,
            "backup_id says something else than the metadata".to_owned(),
        );
    }
    match uuid {
        Value::String(uuid) => fitting_id(schemas, Kind::Backups, &uuid, kept),
        _ => made_id(Kind::Backups, document.id()),
    }
}

/// The `backup_id` that releases up to 3.0.0 made of the metadata.
pub(in super::super) fn composed_id(metadata: &Object) -> String {
    let parts = [
        "container",
        "hostname",
        "backup_name",
        "time_stamp",
        "curr_backup_level",
    ];
    let text = |key: &&str| match metadata.get(*key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let parts: Vec<String> = parts.iter().map(text).collect();
    parts.join("_")
}

/// The id of the backup's job, where it can be one. 19.0.0 may have it beside the metadata; what says the same need not be
/// kept.
fn job_id(schemas: &Schemas, rest: &mut Object, metadata: &Object) -> Option<String> {
    let fits = |id: &String| schemas.backup_patch.check(with_job_id(id)).is_ok();
    let own = owned_text(metadata, "job_id");
    let beside = owned_text(rest, "job_id");
    if own.is_none() || own == beside {
        rest.shift_remove("job_id");
    }
    own.or(beside).filter(fits)
}

fn with_job_id(id: &str) -> Object {
    let metadata = ("backup_metadata".to_owned(), json!({"job_id": id}));
    Object::from_iter([metadata])
}

/// The name of the user becomes a member of the metadata, as in the upgrade of tables that have a column for it.
fn add_user_name(backup: &mut Backup, rest: &mut Object, kept: &mut Kept) {
    let Some(name) = owned_text(rest, "user_name").filter(|name| !name.is_empty()) else {
        if rest.get("user_name") == Some(&json!("")) {
            rest.shift_remove("user_name");
        }
        return;
    };
    rest.shift_remove("user_name");
    let metadata = backup.backup_metadata.as_deref().unwrap_or("{}");
    match with_member(metadata, "user_name", &name) {
        Ok(joined) => backup.backup_metadata = Some(joined),
        Err(reason) => kept.add("user_name", name.into(), format!("user_name: {reason}")),
    }
}
