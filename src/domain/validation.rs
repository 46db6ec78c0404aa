//! What request bodies must look like: JSON Schemas (draft 4, as the reference's are), with the columns' limits in them.
//!
//! Where the reference leaves a field unchecked and lets the database convert or refuse it, the schemas here name
//! the field (deviation D3). Patterns match whole strings (D23).

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternCache, PatternOptions, ValidationError, Validator};
use serde_json::{Value, json};

mod bodies;

use super::Refusal;
use super::document::Object;
pub use bodies::bodies;

/// Characters in most text columns.
pub const TEXT_WIDTH: usize = 255;
/// Characters in identifier columns.
pub const ID_WIDTH: usize = 36;

/// Entries that a job's `job_actions` may have.
pub const MAX_JOB_ACTIONS: usize = 200;

/// What an action can do.
pub const ACTIONS: &[&str] = &["backup", "restore", "info", "admin", "exec"];
/// What it can do it to.
pub const MODES: &[&str] = &[
    "fs",
    "mongo",
    "mysql",
    "sqlserver",
    "cinder",
    "glance",
    "cindernative",
    "nova",
];
/// Where backups can lie.
pub const STORAGES: &[&str] = &["local", "swift", "ssh", "s3", "ftp", "ftps"];
/// How they can be made.
pub const ENGINES: &[&str] = &["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"];
/// The states of a backup.
pub const BACKUP_STATUSES: &[&str] = &["creating", "available", "error", "deleting", "deleted"];

/// Python's `\w` and the hyphen, which the regex engine of JSON Schema spells so.
const WORD: &str = r"[\p{L}\p{N}_\-]";
const LABEL: &str = r"(?:[a-zA-Z\d]|[a-zA-Z\d][a-zA-Z\d\-]{0,61}[a-zA-Z\d])";
const DATE_TIME: &str = concat!(
    r"^(-?(?:[1-9][0-9]*)?[0-9]{4})-(1[0-2]|0[1-9])-(3[01]|0[1-9]|[12][0-9])",
    r"T(2[0-3]|[01][0-9]):([0-5][0-9]):([0-5][0-9])(\.[0-9]+)?(Z|[+-](?:2[0-3]|[01][0-9]):[0-5][0-9])?$"
);
/// The longest description of what is wrong; a value of a megabyte need not be sent back.
const MAX_DESCRIPTION: usize = 600;

/// The checks, compiled once.
#[derive(Debug)]
#[expect(missing_docs, reason = "named after the bodies they check")]
pub struct Schemas {
    pub client: Schema,
    pub action: Schema,
    pub action_patch: Schema,
    pub job: Schema,
    pub job_patch: Schema,
    pub session: Schema,
    pub session_replace: Schema,
    pub session_patch: Schema,
    pub backup: Schema,
    pub backup_patch: Schema,
    identifier: Schema,
}

/// The check of one kind of body.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schemas {
    /// Compiles all checks.
    ///
    /// # Errors
    /// Only when a schema in this file is wrong.
    pub fn new() -> Result<Schemas, ValidationError<'static>> {
        // Most bodies have the same patterns.
        let patterns = PatternCache::new();
        let schema = |of: &Value| Schema::new(of, &patterns);
        Ok(Schemas {
            client: schema(&client())?,
            action: schema(&action())?,
            action_patch: schema(&action_patch())?,
            job: schema(&job())?,
            job_patch: schema(&job_patch())?,
            session: schema(&session_create())?,
            session_replace: schema(&session_replace())?,
            session_patch: schema(&session_patch())?,
            backup: schema(&backup())?,
            backup_patch: schema(&backup_patch())?,
            identifier: schema(&json!({"additionalProperties": identifier()}))?,
        })
    }

    /// Checks the identifier in a path that names a document to be made.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the parameter.
    pub fn check_identifier(&self, name: &str, id: &str) -> Result<(), Refusal> {
        let named = Object::from_iter([(name.to_owned(), id.into())]);
        self.identifier.check(named).map(|_| ())
    }
}

impl Schema {
    fn new(schema: &Value, patterns: &PatternCache) -> Result<Schema, ValidationError<'static>> {
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_pattern_options(PatternOptions::regex())
            .with_pattern_cache(patterns.clone())
            .build(schema)
            .map(Schema)
    }

    /// Returns a body that is valid.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with the field and what is wrong with it.
    pub fn check(&self, body: Object) -> Result<Object, Refusal> {
        let mut body = Value::Object(body);
        self.0
            .validate(&body)
            .map_err(|error| Refusal::Invalid(describe(&error)))?;
        #[expect(clippy::expect_used, reason = "made of an object above")]
        let body = body.as_object_mut().expect("an object");
        Ok(std::mem::take(body))
    }
}

fn describe(error: &ValidationError<'_>) -> String {
    let problem = match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(property),
        } => format!("'{property}' is a required property"),
        // The message of the library shows all of them.
        ValidationErrorKind::MaxItems { limit } => {
            let items = error.instance().as_array().map_or(0, Vec::len);
            format!("has {items} entries; it may have {limit}")
        }
        _ => error.to_string(),
    };
    let field = error
        .instance_path()
        .as_str()
        .trim_start_matches('/')
        .replace('/', ".");
    let description = if field.is_empty() {
        problem
    } else {
        format!("{field}: {problem}")
    };
    if description.chars().count() <= MAX_DESCRIPTION {
        return description;
    }
    let beginning = description.chars().take(MAX_DESCRIPTION);
    beginning.chain(['…']).collect()
}

/// A schema's or a property list's members with others added or put in their place.
#[expect(clippy::expect_used, reason = "the schemas call it with objects")]
fn with(mut base: Value, mut more: Value) -> Value {
    let more = more.as_object_mut().expect("an object");
    base.as_object_mut().expect("an object").append(more);
    base
}

fn text(width: usize) -> Value {
    // PostgreSQL cannot store NUL in text; the three engines take the same.
    json!({"type": "string", "maxLength": width, "pattern": r"^[^\x00]*$"})
}

fn nullable_text(width: usize) -> Value {
    json!({"type": ["string", "null"], "maxLength": width, "pattern": r"^[^\x00]*$"})
}

fn int32() -> Value {
    json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
}

fn nullable_int32() -> Value {
    json!({"type": ["integer", "null"], "minimum": i32::MIN, "maximum": i32::MAX})
}

/// The schema of an identifier that is stored.
pub(crate) fn identifier() -> Value {
    json!({"type": "string", "maxLength": ID_WIDTH, "pattern": format!("^{WORD}+$")})
}

/// An identifier that counts as absent when it is null or empty.
fn optional_identifier() -> Value {
    json!({"type": ["string", "null"], "maxLength": ID_WIDTH, "pattern": format!("^{WORD}*$")})
}

fn client_id() -> Value {
    json!({
        "type": "string",
        "maxLength": TEXT_WIDTH,
        "pattern": format!(r"^(?:{WORD}+_)?{LABEL}(\.{LABEL})*$"),
    })
}

fn one_of(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

fn list_of(values: &[&str]) -> Value {
    json!({"type": "array", "items": one_of(values)})
}

fn client() -> Value {
    json!({
        "type": "object",
        "properties": {
            "client_id": client_id(),
            "hostname": {"type": "string", "maxLength": TEXT_WIDTH, "allOf": [{"pattern": LABEL}, text(TEXT_WIDTH)]},
            "description": text(TEXT_WIDTH),
            "uuid": text(ID_WIDTH),
            "supported_actions": list_of(ACTIONS),
            "supported_modes": list_of(MODES),
            "supported_storages": list_of(STORAGES),
            "supported_engines": list_of(ENGINES),
            "is_central": {"type": "boolean"},
        },
        "required": ["client_id"],
    })
}

/// The members that the reference checks on top of an action, where they have no effect, and in a job's actions.
fn freezer_action_words() -> Value {
    let mut modes: Vec<Value> = MODES.iter().map(|mode| json!(mode)).collect();
    modes.push(Value::Null);
    json!({
        "action": one_of(ACTIONS),
        "mode": {"type": ["string", "null"], "enum": modes},
        "path_to_backup": {"type": ["string", "null"]},
        "backup_name": {"type": ["string", "null"]},
        "container": {"type": ["string", "null"]},
        "restore_abs_path": {"type": ["string", "null"]},
        "cindernative_freezer_only": {"type": ["boolean", "null"]},
    })
}

/// The members of a `freezer_action` that have columns.
fn freezer_action_columns() -> Value {
    json!({
        "type": "object",
        "properties": {
            "action": text(TEXT_WIDTH),
            "mode": nullable_text(TEXT_WIDTH),
            "path_to_backup": nullable_text(TEXT_WIDTH),
            "backup_name": nullable_text(TEXT_WIDTH),
            "container": nullable_text(TEXT_WIDTH),
            "log_file": nullable_text(TEXT_WIDTH),
            "timeout": nullable_int32(),
            "priority": nullable_int32(),
            "mandatory": {"type": ["boolean", "null"]},
        },
    })
}

fn action() -> Value {
    let freezer_action = with(freezer_action_columns(), json!({"required": ["action"]}));
    json!({
        "type": "object",
        "properties": action_properties(freezer_action),
        "required": ["freezer_action"],
    })
}

fn action_patch() -> Value {
    json!({"type": "object", "properties": action_properties(freezer_action_columns())})
}

fn action_properties(freezer_action: Value) -> Value {
    with(
        freezer_action_words(),
        json!({
            "freezer_action": freezer_action,
            "action_id": optional_identifier(),
            "max_retries": nullable_int32(),
            "max_retries_interval": nullable_int32(),
        }),
    )
}

/// The schema of a schedule, of jobs and of sessions.
pub(crate) fn schedule() -> Value {
    // Digits are those of any script, as Python's `\d`.
    json!({
        "type": "object",
        "properties": {
            "time_created": {"type": "integer"},
            "time_started": {"type": "integer"},
            "time_ended": {"type": "integer"},
            "current_pid": {"type": "integer"},
            "event": one_of(&["", "stop", "start", "abort", "remove"]),
            "status": one_of(&["", "completed", "stop", "scheduled", "running", "aborting", "removed"]),
            "result": one_of(&["", "success", "fail", "aborted"]),
            "schedule_date": {"type": "string", "pattern": DATE_TIME},
            "schedule_start_date": {"type": "string", "pattern": DATE_TIME},
            "schedule_end_date": {"type": "string", "pattern": DATE_TIME},
            "schedule_interval": {
                "type": "string",
                "pattern": r"^(continuous|(\p{Nd}+ +(weeks|days|hours|minutes|seconds)))$",
            },
            "schedule_year": {"type": "string", "pattern": r"^\p{Nd}{4}$"},
            "schedule_month": {"type": "string"},
            "schedule_day": {"type": "string"},
            "schedule_week": {"type": "string"},
            "schedule_day_of_week": {"type": "string"},
            "schedule_hour": {"type": "string"},
            "schedule_minute": {"type": "string"},
            "schedule_second": {"type": "string"},
        },
        "additionalProperties": false,
    })
}

fn job() -> Value {
    let only_here = json!({
        "session_name": {"type": ["string", "null"]},
        "_version": {"type": "integer"},
        "user_credentials": {
            "type": "object",
            "properties": {
                "trust_id": text(TEXT_WIDTH),
                "trustor_user_id": {"type": "string", "maxLength": 64, "pattern": format!("^{WORD}+$")},
            },
            "required": ["trust_id", "trustor_user_id"],
        },
    });
    json!({
        "type": "object",
        "properties": with(job_properties(), only_here),
        "additionalProperties": false,
        "required": ["job_actions", "client_id"],
    })
}

fn job_patch() -> Value {
    json!({"type": "object", "properties": job_properties(), "additionalProperties": false})
}

fn job_properties() -> Value {
    let job_action = json!({
        "type": "object",
        "properties": {
            "freezer_action": {
                "allOf": [
                    {"type": "object", "properties": freezer_action_words()},
                    freezer_action_columns(),
                ],
            },
            "max_retries": int32(),
            "max_retries_interval": int32(),
            "mandatory": {"type": "boolean"},
        },
    });
    json!({
        "job_actions": {"type": "array", "maxItems": MAX_JOB_ACTIONS, "items": job_action},
        "job_schedule": schedule(),
        "job_id": identifier(),
        "client_id": client_id(),
        "session_id": optional_identifier(),
        "session_tag": int32(),
        // Overwritten, or checked by domain::document.
        "user_id": {},
        "project_id": {},
        "description": nullable_text(TEXT_WIDTH),
        "action_defaults": {"type": ["object", "null"]},
    })
}

/// The members of a session that have columns; null keeps or clears those that may be null.
fn session_columns() -> Value {
    json!({
        "schedule": schedule(),
        "session_tag": int32(),
        "description": nullable_text(TEXT_WIDTH),
        "status": nullable_text(TEXT_WIDTH),
        "result": nullable_text(TEXT_WIDTH),
        "hold_off": nullable_int32(),
        "time_start": nullable_int32(),
        "time_end": nullable_int32(),
        "time_started": int32(),
        "time_ended": int32(),
    })
}

/// The members: job id → entry. An empty list has none of them either.
fn session_jobs() -> Value {
    json!({"type": ["object", "null", "array"], "additionalProperties": {"type": "object"}, "maxItems": 0})
}

fn session_create() -> Value {
    // The state and the members are ours to give, whatever was sent.
    let properties = with(session_columns(), json!({"status": {}}));
    json!({"type": "object", "properties": properties, "required": ["schedule"]})
}

fn session_replace() -> Value {
    let properties = with(session_columns(), json!({"jobs": session_jobs()}));
    json!({"type": "object", "properties": properties, "required": ["schedule", "session_tag"]})
}

fn session_patch() -> Value {
    let properties = with(
        session_columns(),
        json!({
            "jobs": session_jobs(),
            // Dropped, or checked by domain::document.
            "user_id": {},
            "session_id": {},
            "project_id": {},
        }),
    );
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn backup() -> Value {
    let filled = json!({"type": "string", "minLength": 1});
    let filled_or_null = json!({"type": ["string", "null"], "minLength": 1});
    json!({
        "type": "object",
        "properties": {
            "backup_name": filled,
            "container": filled_or_null,
            "hostname": filled_or_null,
            "status": one_of(BACKUP_STATUSES),
            "job_id": nullable_text(ID_WIDTH),
        },
        "required": ["backup_name"],
        // Draft 4 has no if/then: either the backup is unfinished, or container and hostname are there.
        "anyOf": [
            {"properties": {"status": {"enum": ["creating", "error", "deleting"]}}, "required": ["status"]},
            {"properties": {"container": filled, "hostname": filled}, "required": ["container", "hostname"]},
        ],
    })
}

fn backup_patch() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": one_of(BACKUP_STATUSES),
            "backup_metadata": {
                "type": "object",
                "properties": {"job_id": nullable_text(ID_WIDTH)},
            },
        },
    })
}
