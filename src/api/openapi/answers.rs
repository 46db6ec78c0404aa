//! The schemas of answers. Each document has all of its members, and no other: the test that runs the examples checks it.

use serde_json::{Map, Value, json};

use crate::domain::finding::Finding;
use crate::domain::host::HostState;
use crate::domain::restore::BASES;
use crate::domain::run::RunState;

/// The schemas of all answers by name.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn answers() -> Vec<(&'static str, Value)> {
    let id = |name: &str| exactly(json!({name: text()}), &[]);
    let version =
        |name: &str, version: Value| exactly(json!({name: text(), "version": version}), &[]);
    let list = |name: &str, kind: &str| {
        let documents = json!({"type": "array", "items": reference(kind)});
        let links = format!("{name}_links");
        exactly(json!({name: documents, &links: page_links()}), &[&links])
    };
    vec![
        ("Client", client()),
        ("ClientList", list("clients", "Client")),
        ("ClientId", id("client_id")),
        ("Action", exactly(action_members(), &[])),
        ("ActionListItem", action_list_item()),
        ("ActionList", list("actions", "ActionListItem")),
        ("ActionId", id("action_id")),
        ("ActionVersion", version("action_id", text())),
        ("Job", job()),
        ("JobList", list("jobs", "Job")),
        ("JobId", id("job_id")),
        (
            "JobVersion",
            version("job_id", json!({"type": ["string", "integer"]})),
        ),
        ("Result", exactly(json!({"result": text()}), &[])),
        ("Session", session()),
        ("SessionList", list("sessions", "Session")),
        ("SessionId", id("session_id")),
        (
            "SessionVersion",
            version("session_id", json!({"type": ["string", "integer"]})),
        ),
        ("SessionResult", session_result()),
        ("Backup", backup()),
        ("BackupList", list("backups", "Backup")),
        ("BackupId", id("backup_id")),
        ("JobReport", job_report()),
        ("JobReportList", list("jobs", "JobReport")),
        ("Run", run(true)),
        ("RunOfJob", run(false)),
        ("RunList", list("runs", "Run")),
        ("Restore", restore()),
        ("Series", series()),
        ("SeriesList", list("series", "Series")),
        ("SeriesBackup", series_backup()),
        ("SeriesBackupList", list("backups", "SeriesBackup")),
        ("Me", me()),
        ("Host", host()),
        ("HostList", list("hosts", "Host")),
        ("Problem", problem()),
        ("ProblemList", problem_list()),
        ("Summary", summary()),
        ("Day", day()),
        ("DayList", day_list()),
        ("Versions", versions()),
        ("Error", error()),
        ("Unauthorized", unauthorized()),
    ]
}

/// A reference to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object with these members and no other; those that are not named as optional are always there.
fn exactly(members: Value, optional: &[&str]) -> Value {
    let names = members.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<&String> = names
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": members})
}

/// The link to the next page, for callers that follow such links.
fn page_links() -> Value {
    let link = exactly(json!({"rel": {"const": "next"}, "href": text()}), &[]);
    json!({
        "type": "array", "items": link,
        "description": "The next page; outside of reports, for requests with marker or sort. Without it there is none.",
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

fn nullable_text() -> Value {
    json!({"type": ["string", "null"]})
}

fn nullable_integer() -> Value {
    json!({"type": ["integer", "null"]})
}

/// A stored document; null where what an older program stored is no JSON.
fn stored() -> Value {
    json!({"type": ["object", "null"]})
}

fn abilities() -> Value {
    json!({"type": ["array", "null"], "items": {"type": "string"}})
}

fn client() -> Value {
    let description = json!({
        "uuid": text(),
        "hostname": nullable_text(),
        "client_id": text(),
        "is_central": {"type": "boolean"},
        "description": nullable_text(),
        "supported_actions": abilities(),
        "supported_modes": abilities(),
        "supported_storages": abilities(),
        "supported_engines": abilities(),
    });
    exactly(
        json!({"project_id": nullable_text(), "user_id": text(), "client": exactly(description, &[])}),
        &[],
    )
}

fn action_members() -> Value {
    json!({
        "project_id": nullable_text(),
        "action_id": text(),
        "user_id": text(),
        "max_retries": nullable_integer(),
        "max_retries_interval": nullable_integer(),
        "freezer_action": {
            "type": "object",
            "properties": {
                "action": text(),
                "mode": nullable_text(),
                "backup_name": nullable_text(),
                "container": nullable_text(),
                "path_to_backup": nullable_text(),
                "log_file": nullable_text(),
                "timeout": nullable_integer(),
                "priority": nullable_integer(),
            },
        },
    })
}

fn action_list_item() -> Value {
    let mut members = action_members();
    if let Some(members) = members.as_object_mut() {
        members.insert("timeout".to_owned(), nullable_integer());
        members.insert("mandatory".to_owned(), json!({"type": ["boolean", "null"]}));
    }
    exactly(members, &[])
}

fn job() -> Value {
    let credentials = json!({"trust_id": text(), "trustor_user_id": nullable_text()});
    let members = json!({
        "job_id": text(),
        "project_id": nullable_text(),
        "user_id": text(),
        "job_schedule": stored(),
        "client_id": text(),
        "session_id": nullable_text(),
        "session_tag": nullable_integer(),
        "description": nullable_text(),
        "job_actions": {"type": "array", "items": reference("Action")},
        "user_credentials": exactly(credentials, &[]),
    });
    exactly(members, &["user_credentials"])
}

fn session() -> Value {
    let members = json!({
        "session_id": text(),
        "project_id": nullable_text(),
        "user_id": text(),
        "description": nullable_text(),
        "session_tag": nullable_integer(),
        "result": nullable_text(),
        "hold_off": nullable_integer(),
        "status": nullable_text(),
        "time_start": nullable_integer(),
        "time_end": nullable_integer(),
        "time_started": nullable_integer(),
        "time_ended": nullable_integer(),
        "schedule": stored(),
        "jobs": {"description": "What is known of each job of the session, by its job_id.", "type": ["object", "null"]},
    });
    exactly(members, &["jobs"])
}

fn session_result() -> Value {
    let result = json!({
        "description": "hold-off where the session was started a moment ago, out-of-sync where the job has missed a start.",
        "enum": ["success", "hold-off", "out-of-sync"],
    });
    exactly(
        json!({"result": result, "session_tag": {"type": "integer"}}),
        &[],
    )
}

fn backup() -> Value {
    let members = json!({
        "project_id": nullable_text(),
        "backup_id": text(),
        "user_id": text(),
        "status": text(),
        "backup_metadata": stored(),
    });
    exactly(members, &[])
}

fn time() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

fn job_report() -> Value {
    let findings: Vec<&str> = Finding::all().map(Finding::name).collect();
    let members = json!({
        "job_id": text(),
        "project_id": nullable_text(),
        "client_id": text(),
        "description": nullable_text(),
        "status": text(),
        "period": {"type": ["integer", "null"], "minimum": 1},
        "due_at": time(),
        "last_success_at": time(),
        "failed_in_a_row": {"type": "integer", "minimum": 0},
        "findings": {"type": "array", "items": {"enum": findings}},
        "runs": {"type": "array", "items": reference("RunOfJob")},
    });
    exactly(members, &[])
}

/// A run; `described` with the name of its job.
fn run(described: bool) -> Value {
    let states = RunState::ALL.map(RunState::name);
    let mut members = json!({
        "run_id": text(),
        "project_id": nullable_text(),
        "job_id": text(),
        "client_id": text(),
        "session_id": nullable_text(),
        "session_tag": nullable_integer(),
        "actions": {"type": "array", "items": text()},
        "state": {"enum": states},
        "attempts": {"type": "integer", "minimum": 0},
        "started_at": time(),
        "ended_at": time(),
        "duration": {"type": ["integer", "null"], "minimum": 0},
        "seen_started_at": time(),
        "seen_ended_at": time(),
    });
    if let Some(members) = members.as_object_mut().filter(|_| described) {
        members.insert("description".to_owned(), nullable_text());
    }
    exactly(members, &[])
}

fn restore() -> Value {
    let members = json!({
        "backup_id": text(),
        "project_id": nullable_text(),
        "command": text(),
        "job": {"type": ["object", "null"]},
        "until": time(),
        "basis": {"enum": BASES},
        "missing": {"type": "array", "items": text()},
    });
    exactly(members, &[])
}

fn host() -> Value {
    let findings: Vec<&str> = Finding::all().map(Finding::name).collect();
    let members = json!({
        "host_id": text(),
        "project_id": nullable_text(),
        "client_id": text(),
        "hostname": nullable_text(),
        "is_central": {"type": "boolean"},
        "is_registered": {"type": "boolean"},
        "state": {"enum": HostState::ALL.map(HostState::name)},
        "last_poll_at": time(),
        "poll_interval": {"type": ["integer", "null"], "minimum": 0},
        "addresses": count(),
        "restarts": count(),
        "jobs": count(),
        "active_jobs": count(),
        "last_success_at": time(),
        "due_at": time(),
        "running": count(),
        "failed_in_a_row": count(),
        "os": nullable_text(),
        "agent_version": nullable_text(),
        "clock_skew": nullable_integer(),
        "findings": {"type": "array", "items": {"enum": findings}},
    });
    exactly(members, &[])
}

fn problem() -> Value {
    let kinds: Vec<&str> = Finding::all().map(Finding::name).collect();
    let members = json!({
        "problem_id": text(),
        "kind": {"enum": kinds},
        "severity": {"enum": ["red", "amber"]},
        "project_id": nullable_text(),
        "client_id": text(),
        "job_id": nullable_text(),
        "series_id": nullable_text(),
        "description": nullable_text(),
        "since": time(),
        "last_success_at": time(),
        "due_at": time(),
        "failed_in_a_row": {"type": "integer", "minimum": 0},
        "clock_skew": nullable_integer(),
        "next_step": text(),
    });
    exactly(members, &[])
}

fn problem_list() -> Value {
    let problems = json!({"type": "array", "items": reference("Problem")});
    let members = json!({"as_of": time(), "problems": problems, "problems_links": page_links()});
    exactly(members, &["problems_links"])
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// How many runs came to each state, with other members.
fn state_counts(mut members: Value) -> Value {
    if let Some(members) = members.as_object_mut() {
        for state in RunState::ALL {
            members.insert(state.name().to_owned(), count());
        }
    }
    exactly(members, &[])
}

fn summary() -> Value {
    let kinds: Vec<&str> = Finding::all().map(Finding::name).collect();
    let kind = json!({
        "kind": {"enum": kinds}, "severity": {"enum": ["red", "amber"]}, "count": count(), "since": time(),
    });
    let project = json!({
        "project_id": nullable_text(), "hosts": count(), "red": count(), "amber": count(), "oldest_success_at": time(),
    });
    let hosts = json!({
        "total": count(), "alive": count(), "silent": count(), "unknown": count(), "red": count(),
    });
    let jobs = json!({"total": count(), "active": count()});
    let hour = state_counts(json!({"hour": time()}));
    let members = json!({
        "as_of": time(),
        "computed_at": time(),
        "findings": {"type": "array", "items": exactly(kind, &[])},
        "red": count(),
        "amber": count(),
        "hosts": exactly(hosts, &[]),
        "jobs": exactly(jobs, &[]),
        "running": count(),
        "longest_running_since": time(),
        "due_soon": count(),
        "hours": {"type": "array", "items": hour},
        "projects": {"type": "array", "items": exactly(project, &[])},
        "projects_left_out": count(),
    });
    exactly(members, &[])
}

fn day() -> Value {
    let day = json!({"type": ["string", "null"], "format": "date"});
    state_counts(json!({"day": day, "seconds": count(), "longest": count()}))
}

fn day_list() -> Value {
    let days = json!({"type": "array", "items": reference("Day")});
    exactly(json!({"days": days}), &[])
}

fn me() -> Value {
    let rules = json!({"type": "object", "additionalProperties": {"type": "boolean"}});
    exactly(
        json!({"user_id": text(), "project_id": text(), "rules": rules}),
        &[],
    )
}

fn series() -> Value {
    let findings = [Finding::NoRecord, Finding::Pending, Finding::Orphan].map(Finding::name);
    let wrong = json!({
        "type": "array", "items": {"enum": findings},
        "description": "What is wrong, the worst first: no_record, its job has succeeded, and no record of a backup has arrived; pending, the last record is unfinished for a day, or says that the backup failed; orphan, its job is gone.",
    });
    let members = json!({
        "series_id": text(),
        "project_id": nullable_text(),
        "job_id": nullable_text(),
        "description": nullable_text(),
        "hostname": nullable_text(),
        "backup_name": nullable_text(),
        "container": nullable_text(),
        "storage": nullable_text(),
        "resource_id": nullable_text(),
        "backups": {"type": "integer", "minimum": 0, "description": "How many backups it has."},
        "first_at": time(),
        "last_at": time(),
        "last_backup_id": nullable_text(),
        "last_status": nullable_text(),
        "findings": wrong,
    });
    exactly(members, &[])
}

fn series_backup() -> Value {
    let members = json!({
        "backup_id": text(),
        "project_id": nullable_text(),
        "user_id": text(),
        "status": text(),
        "created_at": time(),
        "backup_metadata": stored(),
    });
    exactly(members, &[])
}

fn versions() -> Value {
    let link = exactly(json!({"rel": text(), "href": text()}), &[]);
    let version = json!({
        "id": text(),
        "status": text(),
        "updated": text(),
        "links": {"type": "array", "items": link},
    });
    exactly(
        json!({"versions": {"type": "array", "items": exactly(version, &[])}}),
        &[],
    )
}

fn error() -> Value {
    let link = exactly(json!({"text": text(), "href": text(), "rel": text()}), &[]);
    let description = json!({"description": "What is wrong, naming the member of the body where there is one.", "type": "string"});
    exactly(
        json!({"title": text(), "description": description, "link": link}),
        &["link"],
    )
}

/// The answer of keystonemiddleware.
fn unauthorized() -> Value {
    let error = json!({"code": {"const": 401}, "title": text(), "message": text()});
    exactly(json!({"error": exactly(error, &[])}), &[])
}
