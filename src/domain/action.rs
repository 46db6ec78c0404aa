//! Actions: what to back up or restore, and how.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Refusal;
use super::document::{self, Object, int, owned_text, required_text};
use super::validation::{Schemas, TEXT_WIDTH};

/// Tries after a failure, where the document does not say.
pub const DEFAULT_MAX_RETRIES: i32 = 5;
/// Seconds between tries, where the document does not say.
pub const DEFAULT_MAX_RETRIES_INTERVAL: i32 = 6;

/// A row of `actions`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
#[cfg_attr(test, derive(Default))]
pub struct Action {
    pub id: String,
    pub project_id: Option<String>,
    pub user_id: String,
    pub action: String,
    pub actionmode: Option<String>,
    pub path_to_backup: Option<String>,
    pub backup_name: Option<String>,
    pub container: Option<String>,
    pub timeout: Option<i32>,
    pub priority: Option<i32>,
    pub max_retries_interval: Option<i32>,
    pub max_retries: Option<i32>,
    pub mandatory: Option<bool>,
    pub log_file: Option<String>,
    /// The `freezer_action` as JSON.
    pub backup_metadata: Option<String>,
}

/// The document of an action, as `GET /actions/{action_id}` answers it and jobs contain it.
#[derive(Serialize)]
pub struct ActionDocument<'a> {
    project_id: &'a Option<String>,
    action_id: &'a str,
    user_id: &'a str,
    max_retries: Option<i32>,
    max_retries_interval: Option<i32>,
    freezer_action: FreezerAction<'a>,
}

/// A stored `freezer_action` with the columns that belong to it, as [`Action::freezer_action`] gives it, without a value in
/// memory for each of its members.
struct FreezerAction<'a>(&'a Action);

impl Serialize for FreezerAction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = self.0.backup_metadata.as_deref().map(document::stored);
        let mut columns = self.0.columns().map(|(name, value)| (name, Some(value)));
        let mut map = serializer.serialize_map(None)?;
        for (name, text) in stored.as_deref().map_or_else(Vec::new, document::members) {
            match columns.iter_mut().find(|(column, _)| *column == name) {
                None => map.serialize_entry(&name, text)?,
                Some((_, value)) if *value == Some(Value::Null) && is_long_text(text.get()) => {
                    value.take();
                    map.serialize_entry(&name, text)?;
                }
                Some((name, value)) => {
                    if let Some(value) = value.take() {
                        map.serialize_entry(name, &value)?;
                    }
                }
            }
        }
        for (name, value) in columns {
            if let Some(value) = value {
                map.serialize_entry(name, &value)?;
            }
        }
        map.end()
    }
}

/// The document of an action in the list of actions.
#[derive(Serialize)]
pub struct ListItem<'a> {
    #[serde(flatten)]
    document: ActionDocument<'a>,
    timeout: Option<i32>,
    mandatory: Option<bool>,
}

impl Action {
    /// The document that answers show.
    pub fn document(&self) -> ActionDocument<'_> {
        ActionDocument {
            project_id: &self.project_id,
            action_id: &self.id,
            user_id: &self.user_id,
            max_retries: self.max_retries,
            max_retries_interval: self.max_retries_interval,
            freezer_action: FreezerAction(self),
        }
    }

    /// The document that the list of actions shows.
    pub fn list_item(&self) -> ListItem<'_> {
        ListItem {
            document: self.document(),
            timeout: self.timeout,
            mandatory: self.mandatory,
        }
    }

    /// How many bytes its definition has.
    pub fn size(&self) -> usize {
        self.backup_metadata.as_ref().map_or(0, String::len)
    }

    /// The stored `freezer_action` with the columns that belong to it, null where unset; a text that is longer than its column
    /// is in the JSON alone.
    pub fn freezer_action(&self) -> Object {
        let mut object = document::stored_object(self.backup_metadata.as_deref());
        for (name, value) in self.columns() {
            let is_long = value.is_null() && object.get(name).is_some_and(is_longer_than_column);
            if !is_long {
                object.insert(name.to_owned(), value);
            }
        }
        object
    }

    /// The members of a `freezer_action` that are columns.
    fn columns(&self) -> [(&'static str, Value); 8] {
        [
            ("backup_name", self.backup_name.clone().into()),
            ("action", self.action.clone().into()),
            ("mode", self.actionmode.clone().into()),
            ("container", self.container.clone().into()),
            ("timeout", self.timeout.into()),
            ("priority", self.priority.into()),
            ("path_to_backup", self.path_to_backup.clone().into()),
            ("log_file", self.log_file.clone().into()),
        ]
    }

    /// Writes a `freezer_action`, which names its action, into the row: the JSON and the columns.
    fn set_freezer_action(&mut self, freezer_action: &Object) {
        // What was imported may be longer; it stays in the JSON.
        let text = |key: &str| {
            let fits = |text: &String| text.chars().count() <= TEXT_WIDTH;
            owned_text(freezer_action, key).filter(fits)
        };
        self.action = required_text(freezer_action, "action");
        self.actionmode = text("mode");
        self.path_to_backup = text("path_to_backup");
        self.backup_name = text("backup_name");
        self.container = text("container");
        self.timeout = int(freezer_action, "timeout");
        self.priority = int(freezer_action, "priority");
        self.mandatory = Some(freezer_action.get("mandatory") == Some(&Value::Bool(true)));
        self.log_file = text("log_file");
        self.backup_metadata = Some(document::to_text(freezer_action));
    }
}

/// Whether a member of a `freezer_action` is a text that no column can hold. No request makes one; Elasticsearch held such texts,
/// and an import keeps them in the JSON.
pub fn is_longer_than_column(value: &Value) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| text.chars().count() > TEXT_WIDTH)
}

/// The same of a JSON text.
fn is_long_text(text: &str) -> bool {
    text.len() > TEXT_WIDTH
        && serde_json::from_str(text).is_ok_and(|value| is_longer_than_column(&value))
}

/// The action that a body of `POST /actions` (and `/actions/{action_id}`) describes, or an inline entry of a job.
///
/// # Errors
/// [`Refusal::Invalid`] naming the field.
pub fn parse(
    schemas: &Schemas,
    mut body: Object,
    project_id: &str,
    user_id: &str,
    new_id: impl FnOnce() -> String,
) -> Result<Action, Refusal> {
    // Overwritten by the project of the path, so that an exported action can be created elsewhere.
    body.shift_remove("project_id");
    let body = schemas.action.check(body)?;
    // Null counts as absent.
    let or_default = |key: &str, default: i32| Some(int(&body, key).unwrap_or(default));
    let mut action = Action {
        id: owned_text(&body, "action_id")
            .filter(|id| !id.is_empty())
            .unwrap_or_else(new_id),
        project_id: Some(project_id.to_owned()),
        user_id: user_id.to_owned(),
        action: String::new(),
        actionmode: None,
        path_to_backup: None,
        backup_name: None,
        container: None,
        timeout: None,
        priority: None,
        max_retries_interval: or_default("max_retries_interval", DEFAULT_MAX_RETRIES_INTERVAL),
        max_retries: or_default("max_retries", DEFAULT_MAX_RETRIES),
        mandatory: None,
        log_file: None,
        backup_metadata: None,
    };
    let freezer_action = body.get("freezer_action").and_then(Value::as_object);
    #[expect(clippy::expect_used, reason = "the schema of actions requires it")]
    action.set_freezer_action(freezer_action.expect("an action has a freezer_action"));
    Ok(action)
}

/// A checked body of `PATCH /actions/{action_id}`.
#[derive(Clone, Debug)]
pub struct ActionPatch(Object);

impl ActionPatch {
    /// Checks a body.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn parse(schemas: &Schemas, mut body: Object) -> Result<ActionPatch, Refusal> {
        // Identifier and project are those of the path.
        body.shift_remove("action_id");
        body.shift_remove("project_id");
        schemas.action_patch.check(body).map(ActionPatch)
    }

    /// Merges the patch into a row: what it does not name stays, within `freezer_action` key by key (deviation D12).
    pub fn apply(&self, action: &mut Action) {
        if self.0.contains_key("max_retries") {
            action.max_retries = int(&self.0, "max_retries");
        }
        if self.0.contains_key("max_retries_interval") {
            action.max_retries_interval = int(&self.0, "max_retries_interval");
        }
        if let Some(Value::Object(changes)) = self.0.get("freezer_action") {
            let mut merged = action.freezer_action();
            merged.extend(changes.clone());
            let mandatory = action.mandatory;
            action.set_freezer_action(&merged);
            if !merged.contains_key("mandatory") {
                action.mandatory = mandatory;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What answers show is what a patch is merged into, member by member in the same order.
        #[test]
        fn shows_what_is_stored(
            members in proptest::collection::vec(("(action|mode|timeout|x|\"|é)", "(null|1|\"a\"|\"a{300}\"|\\{\"y\": \\[1\\]\\})"), 0..6),
            is_object in prop::bool::weighted(0.9),
        ) {
            let stored: Object = members
                .into_iter()
                .map(|(name, text)| (name, serde_json::from_str(&text).unwrap()))
                .collect();
            let action = Action {
                action: "backup".to_owned(),
                timeout: Some(3),
                backup_metadata: Some(if is_object { document::to_text(&stored) } else { "[1]".to_owned() }),
                ..Action::default()
            };
            let shown = serde_json::to_string(&FreezerAction(&action)).unwrap();
            prop_assert_eq!(shown, document::to_text(&action.freezer_action()));
        }
    }
}
