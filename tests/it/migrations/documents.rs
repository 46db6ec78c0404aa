//! The values of the rows of an old layout, found again in the documents of the API.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::support::Service;
use crate::support::api::contains;

type Row = Map<String, Value>;

/// Where the documents show each column of the old layouts.
const SHOWN: [(&str, &[(&str, &str)]); 5] = [
    (
        "clients",
        &[
            ("id", "/client/uuid"),
            ("uuid", "/client/uuid"),
            ("project_id", "/project_id"),
            ("user_id", "/user_id"),
            ("client_id", "/client/client_id"),
            ("config_id", "/client/client_id"),
            ("hostname", "/client/hostname"),
            ("description", "/client/description"),
            ("is_central", "/client/is_central"),
            ("supported_actions", "/client/supported_actions"),
            ("supported_modes", "/client/supported_modes"),
            ("supported_storages", "/client/supported_storages"),
            ("supported_engines", "/client/supported_engines"),
        ],
    ),
    (
        "actions",
        &[
            ("id", "/action_id"),
            ("project_id", "/project_id"),
            ("user_id", "/user_id"),
            ("max_retries", "/max_retries"),
            ("max_retries_interval", "/max_retries_interval"),
            ("timeout", "/timeout"),
            ("mandatory", "/mandatory"),
            ("action", "/freezer_action/action"),
            ("mode", "/freezer_action/mode"),
            ("actionmode", "/freezer_action/mode"),
            ("src_file", "/freezer_action/path_to_backup"),
            ("path_to_backup", "/freezer_action/path_to_backup"),
            ("backup_name", "/freezer_action/backup_name"),
            ("container", "/freezer_action/container"),
            ("priority", "/freezer_action/priority"),
            ("log_file", "/freezer_action/log_file"),
            ("backup_metadata", "/freezer_action"),
        ],
    ),
    (
        "jobs",
        &[
            ("id", "/job_id"),
            ("project_id", "/project_id"),
            ("user_id", "/user_id"),
            ("client_id", "/client_id"),
            ("session_id", "/session_id"),
            ("session_tag", "/session_tag"),
            ("description", "/description"),
            ("schedule", "/job_schedule"),
            ("scheduling", "/job_schedule"),
        ],
    ),
    (
        "sessions",
        &[
            ("id", "/session_id"),
            ("project_id", "/project_id"),
            ("user_id", "/user_id"),
            ("session_tag", "/session_tag"),
            ("description", "/description"),
            ("hold_off", "/hold_off"),
            ("time_start", "/time_start"),
            ("time_end", "/time_end"),
            ("time_started", "/time_started"),
            ("time_ended", "/time_ended"),
            ("status", "/status"),
            ("result", "/result"),
            ("schedule", "/schedule"),
            ("scheduling", "/schedule"),
            ("job", "/jobs"),
        ],
    ),
    (
        "backups",
        &[
            ("id", "/backup_id"),
            ("project_id", "/project_id"),
            ("user_id", "/user_id"),
            ("status", "/status"),
            ("client_id", "/backup_metadata/client_id"),
            ("user_name", "/backup_metadata/user_name"),
            ("job_id", "/backup_metadata/job_id"),
            ("backup_metadata", "/backup_metadata"),
        ],
    ),
];
/// What no document shows: neither ours nor the reference's. The actions of jobs are looked for by themselves.
const HIDDEN: [&str; 5] = [
    "created_at",
    "updated_at",
    "deleted_at",
    "deleted",
    "job_actions",
];
/// Columns that hold JSON as text.
const JSON: [&str; 8] = [
    "backup_metadata",
    "schedule",
    "scheduling",
    "job",
    "supported_actions",
    "supported_modes",
    "supported_storages",
    "supported_engines",
];

/// Looks for all rows of a layout, `{table: [row, …], lists: …}` as the oracle notes them before the upgrade.
pub(super) async fn assert_found(service: &Service, layout: &str, state: &Value) {
    for (kind, shown) in SHOWN {
        let rows = rows(state, kind);
        let projects: BTreeSet<&str> = rows.iter().map(|row| text(row, "project_id")).collect();
        for project in projects {
            let path = format!("/v2/{project}/{kind}?limit=100");
            let list = service.get(&path).await.expect(200).json();
            let list = list[kind].as_array().unwrap();
            let here = rows.iter().filter(|row| text(row, "project_id") == project);
            let (gone, live): (Vec<&Row>, Vec<&Row>) =
                here.partition(|row| is_true(&row["deleted"]));
            // Upgrades register the actions that old jobs described in themselves.
            if kind != "actions" {
                assert_eq!(list.len(), live.len(), "{layout}: {path}");
            }
            for row in live {
                let of_row = |document: &&Value| document.pointer(shown[0].1) == row.get("id");
                let document = list.iter().find(of_row);
                let document = document.unwrap_or_else(|| panic!("{layout}: no {kind} {row:?}"));
                assert_shown(layout, shown, row, document);
                let path = format!("/v2/{project}/{kind}/{}", key(kind, row));
                let alone = service.get(&path).await.expect(200).json();
                // Of several clients with one name, the first is shown.
                let is_listed = list.iter().any(|document| contains(document, &alone));
                assert!(is_listed, "{layout}: {path} is {alone}");
                if kind == "jobs" {
                    assert_actions(layout, state, row, &alone);
                }
            }
            for row in gone {
                let path = format!("/v2/{project}/{kind}/{}", key(kind, row));
                service.get(&path).await.expect(404);
            }
        }
    }
}

fn assert_shown(layout: &str, shown: &[(&str, &str)], row: &Row, document: &Value) {
    for (column, value) in row {
        if HIDDEN.contains(&column.as_str()) {
            continue;
        }
        let Some((_, place)) = shown.iter().find(|(name, _)| name == column) else {
            panic!("{layout}: nobody says where {column} is shown");
        };
        let found = document.pointer(place).unwrap_or(&Value::Null);
        let is_found = match column.as_str() {
            "backup_metadata" if *place == "/freezer_action" => {
                contains(found, &freezer_action(value))
            }
            "backup_metadata" => contains(found, &parsed(value)),
            "mandatory" | "is_central" => is_true(value) == (*found == true),
            "client_id" | "user_name" | "job_id" if place.starts_with("/backup_metadata/") => {
                found == value || keeps_its_own(layout, row, column)
            }
            name if name.starts_with("supported_") && value.is_null() => *found == json!([]),
            name if JSON.contains(&name) => *found == parsed(value),
            _ => found == value,
        };
        assert!(is_found, "{layout}: {column} {value} is not in {document}");
    }
}

/// What of a stored `freezer_action` is to be shown: where it says something else than the columns, they hold.
fn freezer_action(value: &Value) -> Value {
    let Value::Object(mut members) = parsed(value) else {
        return json!({});
    };
    for column in ["action", "mode", "backup_name", "path_to_backup"] {
        members.remove(column);
    }
    members.into()
}

/// Whether a backup's metadata do not take the value of a column: they are no object, or say something else. Only the
/// specification's layout has the job of a backup in the column alone.
fn keeps_its_own(layout: &str, row: &Row, column: &str) -> bool {
    let value = text(row, column);
    let metadata = parsed(&row["backup_metadata"]);
    let says_else = metadata.get(column).is_some_and(|found| *found != value);
    let is_odd = !row["backup_metadata"].is_null() && !metadata.is_object();
    value.is_empty() || is_odd || says_else || (column == "job_id" && layout != "spec")
}

/// The actions of a job: the entries of its old list, or the rows that were there already.
fn assert_actions(layout: &str, state: &Value, row: &Row, document: &Value) {
    let job_id = &row["id"];
    let shown = document["job_actions"].as_array().unwrap();
    let ids: Vec<&Value> = shown.iter().map(|action| &action["action_id"]).collect();
    if state.get("job_actions").is_some() {
        let mut links = rows(state, "job_actions");
        links.retain(|link| link["job_id"] == *job_id);
        links.sort_by_key(|link| link["position"].as_i64());
        let wanted: Vec<&Value> = links.iter().map(|link| &link["action_id"]).collect();
        assert_eq!(ids, wanted, "{layout}: {job_id}");
        return;
    }
    let lists = state["lists"].as_array().unwrap();
    let list = lists.iter().find(|list| list["job_id"] == *job_id);
    let mut entries: Vec<&Value> = list
        .map(|list| list["entries"].as_array().unwrap().iter().collect())
        .unwrap_or_default();
    // A deleted action and one of another project are linked, and not shown.
    entries.retain(|entry| !text(entry.as_object().unwrap(), "action_id").starts_with("a-"));
    assert_eq!(shown.len(), entries.len(), "{layout}: {document}");
    for (action, entry) in shown.iter().zip(entries) {
        let is_new = entry["action_id"] == "new";
        assert!(
            is_new || action["action_id"] == entry["action_id"],
            "{layout}: {document}"
        );
        let described = &entry["entry"]["freezer_action"];
        // The registered action holds where the job described it otherwise.
        if job_id != "job-differs" && job_id != "job-inline" {
            assert!(
                contains(&action["freezer_action"], described),
                "{layout}: {action}"
            );
        }
    }
}

fn rows<'s>(state: &'s Value, table: &str) -> Vec<&'s Row> {
    let rows = state[table].as_array().unwrap();
    rows.iter().map(|row| row.as_object().unwrap()).collect()
}

/// What the path of a document ends in.
fn key(kind: &str, row: &Row) -> String {
    let column = match kind {
        "clients" if row.contains_key("config_id") => "config_id",
        "clients" => "client_id",
        _ => "id",
    };
    text(row, column).replace(' ', "%20")
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

fn is_true(value: &Value) -> bool {
    *value == true || *value == 1
}

/// A column's JSON; null when it is none.
fn parsed(value: &Value) -> Value {
    let text = value.as_str().unwrap_or("null");
    serde_json::from_str(text).unwrap_or_default()
}
