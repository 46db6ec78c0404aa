//! The parameters of queries.

use serde_json::{Value, json};

use crate::domain::finding::Finding;
use crate::domain::host::{HostKey, HostState};
use crate::domain::restore::DEFAULT_PATH;
use crate::domain::run::RunState;

/// Those of lists: name, words and schema.
pub(super) fn of_lists() -> [(&'static str, &'static str, Value); 5] {
    [
        (
            "limit",
            "How many documents to list; 0 for 10, and at most [api] max_limit.",
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX, "default": 10}),
        ),
        (
            "offset",
            "How many documents to leave out before.",
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX, "default": 0}),
        ),
        (
            "marker",
            "List what follows the document of this id, also when it was deleted since; of a client its uuid. The answer then \
             has a link to the next page.",
            json!({"type": "string"}),
        ),
        (
            "sort",
            "The order: by creation, the oldest first, or with created_at:desc the newest. sort_key and sort_dir say the \
             same.",
            json!({"enum": ["created_at", "created_at:asc", "created_at:desc"], "default": "created_at:asc"}),
        ),
        (
            "all_projects",
            "List what all projects have, which needs the rule jobs:get_all_projects, in reports report:get_all_projects.",
            or_empty(json!({"type": "boolean", "default": false})),
        ),
    ]
}

/// Those of reports: the name of the component, the name in the query, words and schema.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn of_reports() -> [(&'static str, &'static str, &'static str, Value); 17] {
    let time = || {
        or_empty(
            json!({"type": "string", "format": "date-time", "example": "2024-02-29T23:59:58Z"}),
        )
    };
    let day = || or_empty(json!({"type": "string", "format": "date", "example": "2024-02-29"}));
    let states = RunState::ALL.map(RunState::name);
    [
        (
            "run_sort",
            "sort",
            "The order: by the start, the last first, or with started_at:asc the oldest. sort_key and sort_dir say the same.",
            json!({"enum": ["started_at", "started_at:asc", "started_at:desc"], "default": "started_at:desc"}),
        ),
        (
            "run_state",
            "state",
            "Those in this state; of several, in one of them.",
            json!({"type": "array", "items": {"enum": states}}),
        ),
        (
            "run_job",
            "job_id",
            "Those of this job.",
            json!({"type": "string", "pattern": r"^[^\x00]*$"}),
        ),
        (
            "report_client",
            "client_id",
            "Those on this client.",
            json!({"type": "string", "pattern": r"^[^\x00]*$"}),
        ),
        (
            "first_day",
            "since",
            "Days from this one on, in UTC; thirty before the end where it is missing, and 1100 at most.",
            day(),
        ),
        (
            "last_day",
            "until",
            "Days before this one, in UTC; with today where it is missing.",
            day(),
        ),
        (
            "host_sort",
            "sort",
            "The order: by the name, or by last_success_at, in which those that never succeeded come before all others, or by due_at, in \
             which those that are not due come after all others; the other way round with :desc.",
            json!({"enum": host_sorts(), "default": "client_id:asc"}),
        ),
        (
            "host_state",
            "state",
            "Those in this state; of several, in one of them.",
            json!({"type": "array", "items": {"enum": HostState::ALL.map(HostState::name)}}),
        ),
        (
            "problem_kind",
            "kind",
            "Those of this kind; of several, of one of them.",
            json!({"type": "array", "items": {"enum": Finding::all().map(Finding::name).collect::<Vec<_>>()}}),
        ),
        (
            "problem_severity",
            "severity",
            "Those of this severity: red where backups are missing or about to be, else amber.",
            json!({"enum": ["red", "amber"]}),
        ),
        (
            "problem_job",
            "job_id",
            "Those of this job.",
            json!({"type": "string", "pattern": r"^[^\x00]*$"}),
        ),
        (
            "since",
            "since",
            "Those that started at this time or later, by the host's clock.",
            time(),
        ),
        (
            "until",
            "until",
            "Those that started before this time, by the host's clock.",
            time(),
        ),
        (
            "series_sort",
            "sort",
            "The order: by the last backup, the last first, or with last_at:asc the oldest. sort_key and sort_dir say the same.",
            json!({"enum": ["last_at", "last_at:asc", "last_at:desc"], "default": "last_at:desc"}),
        ),
        (
            "series_backup_sort",
            "sort",
            "The order: the last first, or with created_at:asc the oldest. sort_key and sort_dir say the same.",
            json!({"enum": ["created_at", "created_at:asc", "created_at:desc"], "default": "created_at:desc"}),
        ),
        (
            "series_host",
            "hostname",
            "Those of this host.",
            json!({"type": "string", "pattern": r"^[^\x00]*$"}),
        ),
        (
            "restore_path",
            "path",
            "Where files shall be put: the absolute path of a folder that is empty, or not there yet.",
            or_empty(
                json!({"type": "string", "pattern": r"^/[A-Za-z0-9/._\-@:=%]*$", "default": DEFAULT_PATH}),
            ),
        ),
    ]
}

/// An empty value is as good as none.
fn or_empty(schema: Value) -> Value {
    json!({"anyOf": [schema, {"const": ""}]})
}

/// Each key in each direction, and alone.
fn host_sorts() -> Vec<String> {
    let keys = HostKey::ALL.map(HostKey::name);
    let sorts = keys.iter().flat_map(|key| {
        let directions = ["", ":asc", ":desc"];
        directions.map(|direction| format!("{key}{direction}"))
    });
    sorts.collect()
}
