//! What is compared of answers.

use serde_json::{Map, Value, json};

use super::operation::{ACTIONS, CLIENTS, JOBS, Operation, SESSIONS};
use crate::support::Answer;

/// What is compared of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) document: Value,
}

impl Seen {
    /// What an operation of the history with this prefix was answered.
    pub(super) fn of(operation: &Operation, prefix: &str, answer: Answer) -> Seen {
        let status = answer.status;
        let document = match status {
            200 | 202 => {
                let text = answer.text().replace(prefix, "");
                shown(operation, &serde_json::from_str(&text).unwrap())
            }
            _ => Value::Null,
        };
        Seen { status, document }
    }
}

/// What a document of an answer shows of what the model knows.
fn shown(operation: &Operation, document: &Value) -> Value {
    use Operation as O;
    match operation {
        O::GetClient { .. } => client(document),
        O::GetAction { .. } => action(document),
        O::GetJob { .. } => shown_job(document),
        O::GetSession { .. } => session(document),
        O::ListClients => list(
            &document["clients"],
            &CLIENTS,
            |entry| &entry["client"]["client_id"],
            client,
        ),
        O::ListActions => list(
            &document["actions"],
            &ACTIONS,
            |entry| &entry["action_id"],
            action,
        ),
        O::ListJobs => list(
            &document["jobs"],
            &JOBS,
            |entry| &entry["job_id"],
            shown_job,
        ),
        O::ListSessions => list(
            &document["sessions"],
            &SESSIONS,
            |entry| &entry["session_id"],
            session,
        ),
        O::RequestEvent { .. } | O::Start { .. } | O::End { .. } => document.clone(),
        _ => Value::Null,
    }
}

/// The documents of a list by their names; those that are no names of histories are left out. A name that is there twice
/// shows as a list.
fn list(
    documents: &Value,
    names: &[&str],
    name: impl Fn(&Value) -> &Value,
    show: impl Fn(&Value) -> Value,
) -> Value {
    let mut shown = Map::new();
    for document in documents.as_array().unwrap() {
        let name = name(document).as_str().unwrap();
        if names.contains(&name) {
            let entry = shown.entry(name).or_insert_with(|| json!([]));
            entry.as_array_mut().unwrap().push(show(document));
        }
    }
    Value::Object(shown)
}

fn members(document: &Value, names: &[&str]) -> Value {
    let member = |name: &&str| ((*name).to_owned(), document[*name].clone());
    Value::Object(names.iter().map(member).collect())
}

fn client(document: &Value) -> Value {
    let mut shown = members(&document["client"], &["is_central"]);
    shown["project_id"] = document["project_id"].clone();
    shown["actions"] = json!(
        document["client"]["supported_actions"]
            .as_array()
            .unwrap()
            .len()
    );
    shown
}

fn action(document: &Value) -> Value {
    let mut shown = members(&document["freezer_action"], &["action", "command"]);
    shown["project_id"] = document["project_id"].clone();
    shown
}

fn shown_job(document: &Value) -> Value {
    let of_job = [
        "project_id",
        "client_id",
        "description",
        "session_id",
        "session_tag",
        "job_schedule",
    ];
    let mut shown = members(document, &of_job);
    let actions = document["job_actions"].as_array().unwrap();
    shown["job_actions"] = actions.iter().map(action).collect();
    shown
}

fn session(document: &Value) -> Value {
    let names = [
        "project_id",
        "description",
        "session_tag",
        "status",
        "result",
        "time_start",
        "time_end",
        "schedule",
        "jobs",
    ];
    members(document, &names)
}
