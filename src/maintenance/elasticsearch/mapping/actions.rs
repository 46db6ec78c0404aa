//! Actions, registered ones and the copies in jobs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::{Kept, Mapped, Owner, fitting_id, keep_refused};
use crate::domain::action::{self, Action, is_longer_than_column};
use crate::domain::document::{Object, owned_text};
use crate::domain::validation::Schemas;
use crate::maintenance::elasticsearch::document::Kind;

/// What schedulers did after a failure where an action did not say: nothing, and wait a minute. A service of today would write
/// 5 tries and 6 seconds into new actions.
const OLD_MAX_RETRIES: i32 = 0;
const OLD_MAX_RETRIES_INTERVAL: i32 = 60;

/// The members of a `freezer_action` that have columns.
const COLUMNS: [&str; 9] = [
    "action",
    "mode",
    "path_to_backup",
    "backup_name",
    "container",
    "log_file",
    "timeout",
    "priority",
    "mandatory",
];

/// The actions that are known so far by their ids: whose they are and what they say.
#[derive(Debug, Default)]
pub(in super::super) struct Known(HashMap<String, (String, u64)>);

impl Known {
    pub(in super::super) fn add(&mut self, mapped: &Mapped<Action>) {
        let action = &mapped.row;
        let project = action.project_id.clone().unwrap_or_default();
        self.0
            .entry(action.id.clone())
            .or_insert_with(|| (project, fingerprint(mapped)));
    }

    /// Whether there is such an action; and where there is one, whether it says the same and belongs to the same project.
    pub(super) fn is_same(&self, mapped: &Mapped<Action>) -> Option<bool> {
        let (project, known) = self.0.get(&mapped.row.id)?;
        let is_own = mapped.row.project_id.as_ref() == Some(project);
        Some(is_own && *known == fingerprint(mapped))
    }
}

/// A hash of all that an action says, in whatever order, and whoever wrote it.
fn fingerprint(mapped: &Mapped<Action>) -> u64 {
    let (action, kept) = (&mapped.row, &mapped.kept);
    let mut hasher = DefaultHasher::new();
    let numbers = (action.max_retries, action.max_retries_interval);
    (numbers, action.mandatory).hash(&mut hasher);
    hash_of(&Value::Object(action.freezer_action())).hash(&mut hasher);
    hash_of(&Value::Object(kept.members.clone())).hash(&mut hasher);
    hasher.finish()
}

/// A hash of a value that does not depend on the order of members.
fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Object(members) => {
            let of_member = |(key, value): (&String, &Value)| {
                let mut hasher = DefaultHasher::new();
                (key, hash_of(value)).hash(&mut hasher);
                hasher.finish()
            };
            let sum = members.iter().map(of_member);
            sum.fold(1u64, u64::wrapping_add).hash(&mut hasher);
        }
        Value::Array(items) => {
            let items: Vec<u64> = items.iter().map(hash_of).collect();
            items.hash(&mut hasher);
        }
        other => other.hash(&mut hasher),
    }
    hasher.finish()
}

/// The row of an action, or of the copy of one in a job. `id` is what it is called.
pub(in super::super) fn map(
    schemas: &Schemas,
    mut rest: Object,
    id: &str,
    owner: Owner<'_>,
) -> Result<Mapped<Action>, String> {
    let mut kept = Kept::default();
    let Some(Value::Object(freezer_action)) = rest.shift_remove("freezer_action") else {
        return Err("it has no freezer_action".to_owned());
    };
    for key in ["action_id", "user_id", "project_id"] {
        rest.shift_remove(key);
    }
    let id = fitting_id(schemas, Kind::Actions, id, &mut kept);
    let retries = retries(schemas, &mut rest, &mut kept);
    let mandatory = match rest.get("mandatory") {
        Some(Value::Bool(mandatory)) => Some(*mandatory),
        _ => None,
    };
    if mandatory.is_some() {
        rest.shift_remove("mandatory");
    }
    let mut body = retries;
    let columns = fitting_columns(schemas, &freezer_action, &mut kept);
    body.insert("freezer_action".to_owned(), Value::Object(columns));
    let mut action = action::parse(schemas, body, owner.project_id, owner.user_id, || id)
        .map_err(|refusal| refusal.to_string())?;
    action.backup_metadata = Some(crate::domain::document::to_text(&freezer_action));
    if mandatory.is_some() {
        action.mandatory = mandatory;
    }
    kept.add_rest(rest);
    Ok(Mapped {
        row: action,
        created: None,
        kept,
    })
}

/// How often and when a failure is tried again, as a body has it.
fn retries(schemas: &Schemas, rest: &mut Object, kept: &mut Kept) -> Object {
    let mut body = Object::new();
    for (key, default) in [
        ("max_retries", OLD_MAX_RETRIES),
        ("max_retries_interval", OLD_MAX_RETRIES_INTERVAL),
    ] {
        let given = rest.shift_remove(key).filter(|value| !value.is_null());
        if let Some(value) = given {
            body.insert(key.to_owned(), value);
            keep_refused(
                &schemas.action_patch,
                &mut body,
                &[key],
                &Object::new(),
                kept,
            );
        }
        body.entry(key).or_insert_with(|| default.into());
    }
    body
}

/// The members of a `freezer_action` that fit into their columns. A longer text stays in the document, where it is shown;
/// anything else is kept.
fn fitting_columns(schemas: &Schemas, freezer_action: &Object, kept: &mut Kept) -> Object {
    let mut columns = Object::new();
    for key in COLUMNS {
        let Some(value) = freezer_action.get(key) else {
            continue;
        };
        let alone = Object::from_iter([(key.to_owned(), value.clone())]);
        let alone = Object::from_iter([("freezer_action".to_owned(), Value::Object(alone))]);
        if schemas.action_patch.check(alone).is_ok() {
            columns.insert(key.to_owned(), value.clone());
        } else if key == "action" || !is_longer_than_column(value) {
            let reason = format!("freezer_action.{key} does not fit into its column");
            kept.add(&format!("freezer_action.{key}"), value.clone(), reason);
        }
    }
    if owned_text(&columns, "action").is_none() {
        columns.insert("action".to_owned(), "".into());
    }
    columns
}
