//! What bodies may be, for those who write them: the schemas that check them, with what is read before a check.
//!
//! Where the Python service takes anything for a member that it then drops, so does this, and so say these schemas.

use serde_json::{Value, json};

use super::{
    action, action_patch, backup, backup_patch, client, identifier, job, job_patch, session_create,
    session_patch, session_replace, with,
};

/// What Python takes for false.
fn falsy() -> Value {
    json!({"enum": [null, false, 0, "", [], {}]})
}

/// The schemas of all bodies by name. They are as well schemas of JSON Schema 2020-12, which OpenAPI 3.1 has.
pub fn bodies() -> Vec<(&'static str, Value)> {
    let job_id = json!({"job_id": {"anyOf": [identifier(), falsy()]}});
    let replaced_job = without_project(with_members(job(), json!({"job_id": {}})));
    let any_action_id = json!({"action_id": {}});
    let dropped = json!({"job_id": {}, "user_credentials": {}});
    vec![
        ("NewClient", client()),
        ("NewAction", action()),
        (
            "ActionReplacement",
            with_members(action(), any_action_id.clone()),
        ),
        ("ActionPatch", with_members(action_patch(), any_action_id)),
        ("NewJob", with_members(job(), job_id)),
        ("JobReplacement", replaced_job),
        (
            "JobPatch",
            without_project(with_members(job_patch(), dropped)),
        ),
        ("JobEvent", job_event()),
        ("NewSession", session_create()),
        ("SessionReplacement", session_replace()),
        ("SessionPatch", without_project(session_patch())),
        ("SessionAction", session_action()),
        ("NewBackup", backup()),
        (
            "BackupPatch",
            with(backup_patch(), json!({"minProperties": 1})),
        ),
        ("Search", search()),
    ]
}

/// A schema of an object with other schemas for some of its members.
fn with_members(mut schema: Value, members: Value) -> Value {
    if let Some(properties) = schema.get_mut("properties") {
        *properties = with(properties.take(), members);
    }
    schema
}

/// A body may name the project of the path, and no other, which a schema cannot say.
fn without_project(mut schema: Value) -> Value {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.shift_remove("project_id");
    }
    schema
}

/// As [`JobEvent::parse`](crate::domain::job::JobEvent::parse) reads it.
fn job_event() -> Value {
    json!({
        "type": "object",
        "properties": {"start": {}, "stop": {}, "abort": {}},
        "anyOf": [{"required": ["start"]}, {"required": ["stop"]}, {"required": ["abort"]}],
    })
}

/// As [`SessionAction::parse`](crate::domain::session::SessionAction::parse) reads it.
fn session_action() -> Value {
    let tag = json!({"anyOf": [
        {"type": ["number", "boolean"]},
        {"type": "string", "pattern": r"^\s*[+-]?[0-9]{1,18}\s*$"},
    ]});
    let start = json!({
        "type": "object",
        "properties": {"job_id": {"type": "string"}, "current_tag": tag},
        "required": ["job_id", "current_tag"],
    });
    let end = json!({
        "type": "object",
        "properties": {"job_id": {"type": "string"}, "result": {}},
        "required": ["job_id", "result"],
    });
    json!({
        "type": "object",
        "properties": {"start": start, "end": end},
        "anyOf": [{"required": ["start"]}, {"required": ["end"]}],
    })
}

/// As [`Search::parse`](crate::domain::search::Search::parse) reads it; the limit on pairs is an option.
fn search() -> Value {
    let pairs = json!({"anyOf": [
        {"type": "array", "items": {"type": "object"}},
        {"type": "null"},
        {"type": "object", "maxProperties": 0},
    ]});
    let time = json!({"anyOf": [
        {"type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX},
        {"type": "string", "pattern": "^[+-]?[0-9]{1,18}$"},
    ]});
    json!({"anyOf": [
        {"type": "object", "properties": {
            "match": pairs, "match_not": pairs, "time_after": time, "time_before": time,
        }},
        falsy(),
    ]})
}
