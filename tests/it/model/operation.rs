//! What clients of the service do in a history: as requests, and as the answers that are compared.

use serde_json::{Value, json};

use super::answer::Seen;
use crate::support::Service;
use crate::support::choices::Choices;

/// The names that histories use. Each history puts a prefix of its own in front of them, so that all can share a database.
pub(super) const PROJECTS: [&str; 2] = ["A", "B"];
pub(super) const CLIENTS: [&str; 2] = ["c1", "c2"];
pub(super) const ACTIONS: [&str; 2] = ["a1", "a2"];
pub(super) const JOBS: [&str; 2] = ["j1", "j2"];
pub(super) const SESSIONS: [&str; 1] = ["s1"];

type Name = &'static str;

/// One request. What is written carries a version, which no two writes of a history share.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// With everything that a client can do, or only `backup`.
    Register {
        client: Name,
        central: bool,
        weak: bool,
    },
    DeleteClient {
        client: Name,
    },
    GetClient {
        client: Name,
    },
    ListClients,
    CreateAction {
        action: Name,
        does: Name,
        version: String,
    },
    ReplaceAction {
        action: Name,
        does: Name,
        version: String,
    },
    PatchAction {
        action: Name,
        does: Name,
    },
    DeleteAction {
        action: Name,
    },
    GetAction {
        action: Name,
    },
    ListActions,
    /// With an action that exists, or with two of its own that carry its version.
    CreateJob {
        job: Name,
        client: Name,
        action: Option<Name>,
        version: String,
    },
    ReplaceJob {
        job: Name,
        client: Name,
        action: Option<Name>,
        version: String,
    },
    /// Description and actions at once.
    RewriteJob {
        job: Name,
        version: String,
    },
    MoveJob {
        job: Name,
        client: Name,
    },
    ScheduleJob {
        job: Name,
        version: String,
    },
    RequestEvent {
        job: Name,
        event: Name,
    },
    DeleteJob {
        job: Name,
    },
    GetJob {
        job: Name,
    },
    ListJobs,
    ReplaceSession {
        session: Name,
        tag: i64,
        version: String,
    },
    PatchSession {
        session: Name,
        version: String,
    },
    DeleteSession {
        session: Name,
    },
    AddJob {
        session: Name,
        job: Name,
    },
    RemoveJob {
        session: Name,
        job: Name,
    },
    Start {
        session: Name,
        job: Name,
        tag: i64,
    },
    End {
        session: Name,
        job: Name,
        result: Name,
    },
    GetSession {
        session: Name,
    },
    ListSessions,
}

/// What a history is about, so that its few requests meet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Focus {
    Clients,
    Actions,
    Jobs,
    Sessions,
    Everything,
}

pub(super) const FOCUSES: [Focus; 5] = [
    Focus::Clients,
    Focus::Actions,
    Focus::Jobs,
    Focus::Sessions,
    Focus::Everything,
];

/// Two actions of a job's own, which show its version.
pub(super) fn own_actions(version: &str) -> Value {
    let action = json!({"freezer_action": {"action": "exec", "command": version}});
    json!([action, action])
}

/// A schedule that shows its version.
pub(super) fn schedule(version: &str) -> Value {
    json!({"schedule_hour": version, "status": "scheduled"})
}

fn freezer_action(does: &str, version: &str) -> Value {
    json!({"action": does, "command": version})
}

fn job(client: &str, action: Option<&str>, version: &str, id: &str) -> Value {
    let actions = match action {
        Some(action) => json!([{"action_id": action}]),
        None => own_actions(version),
    };
    json!({"job_id": id, "client_id": client, "description": version, "job_actions": actions})
}

impl Operation {
    /// Method, path below the project, and body.
    fn request(&self) -> (&'static str, String, Value) {
        use Operation as O;
        let none = Value::Null;
        match self {
            O::Register {
                client,
                central,
                weak,
            } => {
                let mut body = json!({"client_id": client, "is_central": central});
                if *weak {
                    body["supported_actions"] = json!(["backup"]);
                }
                ("POST", "clients".to_owned(), body)
            }
            O::DeleteClient { client } => ("DELETE", format!("clients/{client}"), none),
            O::GetClient { client } => ("GET", format!("clients/{client}"), none),
            O::CreateAction {
                action,
                does,
                version,
            } => {
                let body =
                    json!({"action_id": action, "freezer_action": freezer_action(does, version)});
                ("POST", "actions".to_owned(), body)
            }
            O::ReplaceAction {
                action,
                does,
                version,
            } => {
                let body = json!({"freezer_action": freezer_action(does, version)});
                ("POST", format!("actions/{action}"), body)
            }
            O::PatchAction { action, does } => {
                let body = json!({"freezer_action": {"action": does}});
                ("PATCH", format!("actions/{action}"), body)
            }
            O::DeleteAction { action } => ("DELETE", format!("actions/{action}"), none),
            O::GetAction { action } => ("GET", format!("actions/{action}"), none),
            O::CreateJob {
                job: id,
                client,
                action,
                version,
            } => ("POST", "jobs".to_owned(), job(client, *action, version, id)),
            O::ReplaceJob {
                job: id,
                client,
                action,
                version,
            } => (
                "POST",
                format!("jobs/{id}"),
                job(client, *action, version, id),
            ),
            O::RewriteJob { job, version } => {
                let body = json!({"description": version, "job_actions": own_actions(version)});
                ("PATCH", format!("jobs/{job}"), body)
            }
            O::MoveJob { job, client } => {
                ("PATCH", format!("jobs/{job}"), json!({"client_id": client}))
            }
            O::ScheduleJob { job, version } => (
                "PATCH",
                format!("jobs/{job}"),
                json!({"job_schedule": schedule(version)}),
            ),
            O::RequestEvent { job, event } => {
                ("POST", format!("jobs/{job}/event"), json!({*event: null}))
            }
            O::DeleteJob { job } => ("DELETE", format!("jobs/{job}"), none),
            O::GetJob { job } => ("GET", format!("jobs/{job}"), none),
            O::ReplaceSession {
                session,
                tag,
                version,
            } => {
                let schedule = schedule(version);
                let body =
                    json!({"schedule": schedule, "session_tag": tag, "description": version});
                ("POST", format!("sessions/{session}"), body)
            }
            O::PatchSession { session, version } => {
                let body = json!({"description": version, "schedule": schedule(version)});
                ("PATCH", format!("sessions/{session}"), body)
            }
            O::DeleteSession { session } => ("DELETE", format!("sessions/{session}"), none),
            O::AddJob { session, job } => ("PUT", format!("sessions/{session}/jobs/{job}"), none),
            O::RemoveJob { session, job } => {
                ("DELETE", format!("sessions/{session}/jobs/{job}"), none)
            }
            O::Start { session, job, tag } => {
                let body = json!({"start": {"job_id": job, "current_tag": tag}});
                ("POST", format!("sessions/{session}/action"), body)
            }
            O::End {
                session,
                job,
                result,
            } => {
                let body = json!({"end": {"job_id": job, "result": result}});
                ("POST", format!("sessions/{session}/action"), body)
            }
            O::GetSession { session } => ("GET", format!("sessions/{session}"), none),
            O::ListClients => ("GET", "clients?limit=10000".to_owned(), none),
            O::ListActions => ("GET", "actions?limit=10000".to_owned(), none),
            O::ListJobs => ("GET", "jobs?limit=10000".to_owned(), none),
            O::ListSessions => ("GET", "sessions?limit=10000".to_owned(), none),
        }
    }

    /// The status of the answer when it is carried out.
    pub(super) fn success(&self) -> u16 {
        match self.request() {
            ("GET" | "PATCH", ..) => 200,
            ("PUT" | "DELETE", ..) => 204,
            (_, path, _) if path.ends_with("/event") || path.ends_with("/action") => 202,
            _ => 201,
        }
    }

    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        self.request().0 == "GET"
    }

    /// Sends it to a server in a project of the history.
    pub(super) async fn send(&self, server: &Service, prefix: &str, project: Name) -> Seen {
        let (method, path, body) = self.request();
        let path = with_prefix(&path, prefix);
        let body = match body {
            Value::Null => String::new(),
            body => with_prefix(&body.to_string(), prefix),
        };
        let path = format!("/v2/{prefix}{project}/{path}");
        Seen::of(self, prefix, server.raw(method, &path, body).await)
    }
}

/// Puts the prefix of a history in front of each of its names, which are the only words of theirs kind in paths and bodies.
fn with_prefix(text: &str, prefix: &str) -> String {
    let names = CLIENTS.iter().chain(&ACTIONS).chain(&JOBS).chain(&SESSIONS);
    names.fold(text.to_owned(), |text, name| {
        text.replace(&format!("/{name}"), &format!("/{prefix}{name}"))
            .replace(&format!("\"{name}\""), &format!("\"{prefix}{name}\""))
    })
}

impl Operation {
    /// Something that a client of a history does.
    pub(super) fn random(choices: &mut Choices, focus: Focus, version: String) -> Operation {
        match (focus, choices.below(10)) {
            (Focus::Clients, 0..6) => Operation::on_clients(choices),
            (Focus::Actions, 0..6) => Operation::on_actions(choices, version),
            (Focus::Sessions, 0..8) => Operation::on_sessions(choices, version),
            (Focus::Everything, 0..2) => Operation::on_clients(choices),
            (Focus::Everything, 2..4) => Operation::on_actions(choices, version),
            (Focus::Everything, 4..6) => Operation::on_sessions(choices, version),
            _ => Operation::on_jobs(choices, version),
        }
    }

    fn on_clients(choices: &mut Choices) -> Operation {
        let client = *choices.of(&CLIENTS);
        match choices.below(8) {
            0..3 => {
                let (central, weak) = (choices.below(3) == 0, choices.below(2) == 0);
                Operation::Register {
                    client,
                    central,
                    weak,
                }
            }
            3..5 => Operation::DeleteClient { client },
            5..7 => Operation::GetClient { client },
            _ => Operation::ListClients,
        }
    }

    fn on_actions(choices: &mut Choices, version: String) -> Operation {
        let (action, does) = (*choices.of(&ACTIONS), *choices.of(&["backup", "exec"]));
        match choices.below(10) {
            0 => Operation::CreateAction {
                action,
                does,
                version,
            },
            1..3 => Operation::ReplaceAction {
                action,
                does,
                version,
            },
            3..5 => Operation::PatchAction { action, does },
            5..7 => Operation::DeleteAction { action },
            7..9 => Operation::GetAction { action },
            _ => Operation::ListActions,
        }
    }

    fn on_jobs(choices: &mut Choices, version: String) -> Operation {
        let (job, client) = (*choices.of(&JOBS), *choices.of(&CLIENTS));
        let action = (choices.below(2) == 0).then(|| *choices.of(&ACTIONS));
        match choices.below(16) {
            0..2 => Operation::CreateJob {
                job,
                client,
                action,
                version,
            },
            2..4 => Operation::ReplaceJob {
                job,
                client,
                action,
                version,
            },
            4..6 => Operation::RewriteJob { job, version },
            6..8 => Operation::MoveJob { job, client },
            8 => Operation::ScheduleJob { job, version },
            9..11 => {
                let event = *choices.of(&["start", "stop", "abort"]);
                Operation::RequestEvent { job, event }
            }
            11 => Operation::DeleteJob { job },
            12..15 => Operation::GetJob { job },
            _ => Operation::ListJobs,
        }
    }

    fn on_sessions(choices: &mut Choices, version: String) -> Operation {
        let (session, job) = (SESSIONS[0], *choices.of(&JOBS));
        match choices.below(16) {
            0 => Operation::ReplaceSession {
                session,
                tag: 1,
                version,
            },
            1..3 => Operation::PatchSession { session, version },
            3 => Operation::DeleteSession { session },
            4..6 => Operation::AddJob { session, job },
            6..8 => Operation::RemoveJob { session, job },
            8..10 => Operation::Start {
                session,
                job,
                tag: choices.below(3) as i64,
            },
            10..12 => {
                let result = *choices.of(&["success", "fail"]);
                Operation::End {
                    session,
                    job,
                    result,
                }
            }
            12..15 => Operation::GetSession { session },
            _ => Operation::ListSessions,
        }
    }
}
