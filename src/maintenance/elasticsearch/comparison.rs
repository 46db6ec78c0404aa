//! Whether the API shows a document as it was: pure, and apart from what made the row (`mapping`), so that a mistake there is seen
//! here.
//!
//! Every member has to be shown with its value, or kept in `freezer_api_leftovers` with the same value; nothing else may be shown
//! but what documents without a member have. What docs/compatibility.md names besides is taken into account in one place each:
//! ids that follow from others, the name of a user, the old ids of backups, the copies of actions in jobs.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::document::{Document, Kind};
use super::mapping::{composed_id, made_id};
use super::writer::CLIENT_ID;
use crate::domain::document::{Object, text};
use crate::domain::validation;

/// What is kept beside rows, by their ids.
pub(super) type KeptMembers = HashMap<String, Object>;

/// A document and what the API shows for it.
pub(super) struct Comparison<'a> {
    pub(super) document: &'a Document,
    /// What it is called now.
    pub(super) id: &'a str,
    pub(super) project_id: &'a str,
    pub(super) shown: &'a Object,
    /// What is kept beside its row, and beside those of actions.
    pub(super) kept: &'a Object,
    pub(super) kept_of_actions: &'a KeptMembers,
}

/// Members of one level.
struct Level<'a> {
    prefix: &'a str,
    shown: &'a Object,
    kept: &'a Object,
    /// What is shown where a document does not have a member.
    defaults: Value,
}

impl Level<'_> {
    /// The members that are neither shown as they were nor kept, and those that are shown and never were.
    fn differences(&self, wanted: &Object, kept_name: impl Fn(&str) -> String) -> Vec<String> {
        let is_default = |key: &str| {
            self.shown.get(key).is_none_or(Value::is_null)
                || self.shown.get(key) == self.defaults.get(key)
        };
        let differs = |(key, value): (&String, &Value)| {
            let is_same = self.shown.get(key) == Some(value);
            let is_kept = || self.kept.get(&kept_name(key)) == Some(value);
            let is_absent = || value.is_null() && is_default(key);
            !(is_same || is_kept() || is_absent())
        };
        let lost = wanted
            .iter()
            .filter(|member| differs(*member))
            .map(|(key, _)| key);
        let added = self
            .shown
            .keys()
            .filter(|key| !wanted.contains_key(*key) && !is_default(key));
        lost.chain(added)
            .map(|key| format!("{}{key}", self.prefix))
            .collect()
    }
}

impl Comparison<'_> {
    /// The names of the members that differ.
    pub(super) fn differences(&self) -> Vec<String> {
        match self.document.kind {
            Kind::Clients => self.client(),
            Kind::Actions => {
                let mut shown = self.shown.clone();
                // Shown twice in lists; within `freezer_action` it is compared.
                shown.shift_remove("timeout");
                let mut wanted = self.wanted("action_id");
                wanted.entry("action_id").or_insert_with(|| self.id.into());
                action("", &wanted, &shown, self.kept)
            }
            Kind::Jobs => self.job(),
            Kind::Sessions => self.session(),
            Kind::Backups => self.backup(),
        }
    }

    /// The members of the document with its project, and with the id that is its `_id` alone.
    fn wanted(&self, id_member: &str) -> Object {
        let mut wanted = self.document.members.clone();
        wanted.insert("project_id".to_owned(), self.project_id.into());
        if text(&wanted, id_member).is_none() {
            wanted.insert(id_member.to_owned(), self.document.id().into());
        }
        wanted
    }

    fn level<'a>(&'a self, shown: &'a Object, defaults: Value) -> Level<'a> {
        Level {
            prefix: "",
            shown,
            kept: self.kept,
            defaults,
        }
    }

    /// A client's description; up to 4.0.0 its `uuid` lies beside it.
    fn client(&self) -> Vec<String> {
        let mut wanted = self.document.members.clone();
        wanted.insert("project_id".to_owned(), self.project_id.into());
        let mut client = object(wanted.shift_remove("client"));
        let beside = wanted.shift_remove("uuid").filter(|uuid| !uuid.is_null());
        let own = text(&client, "uuid")
            .filter(|uuid| !uuid.is_empty())
            .map(Value::from);
        let uuid = own.or(beside.clone()).unwrap_or_else(|| self.id.into());
        wanted.extend(
            beside
                .filter(|beside| *beside != uuid)
                .map(|beside| ("uuid".to_owned(), beside)),
        );
        client.insert("uuid".to_owned(), uuid);
        // Another client has it, or it cannot be one.
        let uuid_is_kept = match self.kept.contains_key(CLIENT_ID) {
            true => CLIENT_ID,
            false => "uuid",
        };
        let mut shown = self.shown.clone();
        let shown_client = object(shown.shift_remove("client"));
        let defaults = json!({
            "is_central": false,
            "supported_actions": validation::ACTIONS,
            "supported_modes": validation::MODES,
            "supported_storages": validation::STORAGES,
            "supported_engines": validation::ENGINES,
        });
        let described = Level {
            prefix: "client.",
            ..self.level(&shown_client, defaults)
        };
        let mut differences = described.differences(&client, named("uuid", uuid_is_kept));
        differences.extend(
            self.level(&shown, Value::Null)
                .differences(&wanted, str::to_owned),
        );
        differences
    }

    fn job(&self) -> Vec<String> {
        let (mut wanted, mut shown) = (self.wanted("job_id"), self.shown.clone());
        let entries = list(wanted.shift_remove("job_actions"));
        let shown_entries = list(shown.shift_remove("job_actions"));
        // Elasticsearch's own.
        wanted.shift_remove("_version");
        follow(&mut wanted, &shown, "session_id", Kind::Sessions);
        let defaults =
            json!({"description": "", "session_id": "", "session_tag": 0, "job_schedule": {}});
        let mut differences = self
            .level(&shown, defaults)
            .differences(&wanted, named("job_id", "jobs id"));
        differences.extend(self.entries(&entries, &shown_entries));
        differences
    }

    /// The copies of actions in a job. Users and projects of theirs say who wrote the copy, which is nothing of the job's.
    fn entries(&self, entries: &[Value], shown: &[Value]) -> Vec<String> {
        let mut differences = Vec::new();
        let mut shown = shown.iter().filter_map(Value::as_object);
        for (position, entry) in entries.iter().enumerate() {
            let name = format!("job_actions[{position}]");
            let kept = self.kept.get(&name);
            if kept == Some(entry) {
                continue;
            }
            let (Some(entry), Some(shown)) = (entry.as_object(), shown.next()) else {
                differences.push(name);
                continue;
            };
            let shown_id = text(shown, "action_id").unwrap_or_default();
            let nothing = Object::new();
            let kept_of_action = self.kept_of_actions.get(shown_id).unwrap_or(&nothing);
            let (mut wanted, mut shown) = (entry.clone(), shown.clone());
            let is_named = text(entry, "action_id").is_some_and(|id| !id.is_empty());
            // What was made from the copy is told, and has an id of its own where it is not the registered action's.
            if !is_named || kept.is_some_and(Value::is_string) {
                wanted.insert("action_id".to_owned(), shown_id.into());
            }
            follow(&mut wanted, &shown, "action_id", Kind::Actions);
            for key in ["user_id", "project_id"] {
                wanted.shift_remove(key);
                shown.shift_remove(key);
            }
            if wanted.get("mandatory").is_some_and(Value::is_boolean) {
                // The scheduler reads it from the registered action alone, whose list item shows it.
                wanted.shift_remove("mandatory");
            }
            differences.extend(action(&format!("{name}."), &wanted, &shown, kept_of_action));
        }
        differences.extend(shown.next().map(|_| "job_actions".to_owned()));
        differences
    }

    fn session(&self) -> Vec<String> {
        let mut wanted = self.wanted("session_id");
        // Never used, and a list where no job ever was.
        wanted.retain(|key, value| match key.as_str() {
            "last_start" => *value != json!(""),
            "jobs" => *value != json!([]),
            _ => true,
        });
        let defaults = json!({"hold_off": 30, "session_tag": 0, "schedule": {}, "time_start": -1, "time_end": -1, "time_started": -1,
            "time_ended": -1});
        self.level(self.shown, defaults)
            .differences(&wanted, named("session_id", "sessions id"))
    }

    /// Up to 3.0.0 a backup is known by its `backup_uuid`, and its `backup_id` says what the metadata say.
    fn backup(&self) -> Vec<String> {
        let (mut wanted, mut shown) = (self.wanted("backup_id"), self.shown.clone());
        let mut metadata = object(wanted.shift_remove("backup_metadata"));
        let shown_metadata = object(shown.shift_remove("backup_metadata"));
        let mut differences = Vec::new();
        if let Some(uuid) = wanted.shift_remove("backup_uuid") {
            let old = self.document.members.get("backup_id");
            let is_told = |old: &Value| {
                *old == composed_id(&metadata) || self.kept.get("backup_id") == Some(old)
            };
            if old.is_some_and(|old| !is_told(old)) {
                differences.push("backup_id".to_owned());
            }
            let uuid = uuid.as_str().unwrap_or(self.id);
            wanted.insert("backup_id".to_owned(), uuid.into());
        }
        let user_name = wanted
            .get("user_name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if let Some(name) = user_name.filter(|_| !self.kept.contains_key("user_name")) {
            wanted.shift_remove("user_name");
            if !name.is_empty() {
                metadata.insert("user_name".to_owned(), name.into());
            }
        }
        if wanted.get("job_id") == metadata.get("job_id") {
            wanted.shift_remove("job_id");
        }
        let defaults = json!({"status": "available"});
        differences.extend(
            self.level(&shown, defaults)
                .differences(&wanted, named("backup_id", "backups id")),
        );
        let level = Level {
            prefix: "backup_metadata.",
            ..self.level(&shown_metadata, Value::Null)
        };
        differences.extend(level.differences(&metadata, |_| String::new()));
        differences
    }
}

/// A registered action, or the copy of one. Retries that it does not name are what the schedulers of the time took.
fn action(prefix: &str, wanted: &Object, shown: &Object, kept: &Object) -> Vec<String> {
    let (mut wanted, mut shown) = (wanted.clone(), shown.clone());
    let freezer_action = object(wanted.shift_remove("freezer_action"));
    let shown_action = object(shown.shift_remove("freezer_action"));
    let is_mandatory = freezer_action.get("mandatory") == Some(&json!(true));
    let defaults = json!({"max_retries": 0, "max_retries_interval": 60, "mandatory": is_mandatory});
    let level = Level {
        prefix,
        shown: &shown,
        kept,
        defaults,
    };
    let mut differences = level.differences(&wanted, named("action_id", "actions id"));
    let prefix = format!("{prefix}freezer_action.");
    let level = Level {
        prefix: &prefix,
        shown: &shown_action,
        kept,
        defaults: json!({"action": ""}),
    };
    differences.extend(level.differences(&freezer_action, |key| format!("freezer_action.{key}")));
    differences
}

/// What members are called among what is kept: an id that could not stay has a name of its own.
fn named(member: &'static str, kept: &'static str) -> impl Fn(&str) -> String {
    move |key| if key == member { kept } else { key }.to_owned()
}

/// Where a document names another one whose id could not stay, it names the new one now.
fn follow(wanted: &mut Object, shown: &Object, key: &str, kind: Kind) {
    let Some(old) = text(wanted, key) else {
        return;
    };
    let new = made_id(kind, old);
    if text(shown, key) == Some(new.as_str()) {
        wanted.insert(key.to_owned(), new.into());
    }
}

fn object(value: Option<Value>) -> Object {
    match value {
        Some(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}
