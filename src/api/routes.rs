//! REST version 2 as a table: which paths there are, which rule guards each, and which handler answers.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{Api, actions, backups, clients, documents, jobs, sessions};
use crate::authz::rules::{self, Rule};
use crate::domain::action::Action;
use crate::domain::backup::Backup;
use crate::domain::client::Client;
use crate::domain::session::Session;

/// One line of the REST interface.
pub struct Endpoint {
    /// The method; GET answers HEAD too.
    pub method: Method,
    /// The path with its parameters.
    pub path: &'static str,
    /// The policy rule that guards it.
    pub rule: Rule,
    pub(super) handler: MethodRouter<Arc<Api>>,
}

fn endpoint<H, T>(method: Method, path: &'static str, rule: Rule, handler: H) -> Endpoint
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    #[expect(
        clippy::expect_used,
        reason = "the table below has no extension methods"
    )]
    let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
    Endpoint {
        method,
        path,
        rule,
        handler: on(filter, handler),
    }
}

/// The REST interface, a line each. The router, the answers to OPTIONS and the tests of authorization go through it.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn routes() -> Vec<Endpoint> {
    use Method as M;
    const CLIENTS: &str = "/v2/{project_id}/clients";
    const CLIENT: &str = "/v2/{project_id}/clients/{client_id}";
    const ACTIONS: &str = "/v2/{project_id}/actions";
    const ACTION: &str = "/v2/{project_id}/actions/{action_id}";
    const JOBS: &str = "/v2/{project_id}/jobs";
    const JOB: &str = "/v2/{project_id}/jobs/{job_id}";
    const JOB_EVENT: &str = "/v2/{project_id}/jobs/{job_id}/event";
    const SESSIONS: &str = "/v2/{project_id}/sessions";
    const SESSION: &str = "/v2/{project_id}/sessions/{session_id}";
    const SESSION_ACTION: &str = "/v2/{project_id}/sessions/{session_id}/action";
    const SESSION_JOB: &str = "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}";
    const BACKUPS: &str = "/v2/{project_id}/backups";
    const BACKUP: &str = "/v2/{project_id}/backups/{backup_id}";
    vec![
        endpoint(
            M::GET,
            CLIENTS,
            rules::CLIENTS_GET_ALL,
            documents::list::<Client>,
        ),
        endpoint(M::POST, CLIENTS, rules::CLIENTS_CREATE, clients::register),
        endpoint(M::GET, CLIENT, rules::CLIENTS_GET, documents::get::<Client>),
        endpoint(M::DELETE, CLIENT, rules::CLIENTS_DELETE, clients::delete),
        endpoint(
            M::GET,
            ACTIONS,
            rules::ACTIONS_GET_ALL,
            documents::list::<Action>,
        ),
        endpoint(M::POST, ACTIONS, rules::ACTIONS_CREATE, actions::create),
        endpoint(M::GET, ACTION, rules::ACTIONS_GET, documents::get::<Action>),
        endpoint(M::PATCH, ACTION, rules::ACTIONS_UPDATE, actions::update),
        endpoint(M::POST, ACTION, rules::ACTIONS_REPLACE, actions::replace),
        endpoint(M::DELETE, ACTION, rules::ACTIONS_DELETE, actions::delete),
        endpoint(M::GET, JOBS, rules::JOBS_GET_ALL, jobs::list),
        endpoint(M::POST, JOBS, rules::JOBS_CREATE, jobs::create),
        endpoint(M::GET, JOB, rules::JOBS_GET, jobs::get),
        endpoint(M::PATCH, JOB, rules::JOBS_UPDATE, jobs::update),
        endpoint(M::POST, JOB, rules::JOBS_CREATE, jobs::replace),
        endpoint(M::DELETE, JOB, rules::JOBS_DELETE, jobs::delete),
        endpoint(M::POST, JOB_EVENT, rules::JOBS_EVENT_CREATE, jobs::event),
        endpoint(
            M::GET,
            SESSIONS,
            rules::SESSIONS_GET_ALL,
            documents::list::<Session>,
        ),
        endpoint(M::POST, SESSIONS, rules::SESSIONS_CREATE, sessions::create),
        endpoint(
            M::GET,
            SESSION,
            rules::SESSIONS_GET,
            documents::get::<Session>,
        ),
        endpoint(M::PATCH, SESSION, rules::SESSIONS_UPDATE, sessions::update),
        endpoint(M::POST, SESSION, rules::SESSIONS_REPLACE, sessions::replace),
        endpoint(M::DELETE, SESSION, rules::SESSIONS_DELETE, sessions::delete),
        endpoint(
            M::POST,
            SESSION_ACTION,
            rules::SESSIONS_ACTION_CREATE,
            sessions::action,
        ),
        endpoint(
            M::PUT,
            SESSION_JOB,
            rules::SESSIONS_JOB_ADD,
            sessions::add_job,
        ),
        endpoint(
            M::DELETE,
            SESSION_JOB,
            rules::SESSIONS_JOB_REMOVE,
            sessions::remove_job,
        ),
        endpoint(
            M::GET,
            BACKUPS,
            rules::BACKUPS_GET_ALL,
            documents::list::<Backup>,
        ),
        endpoint(M::POST, BACKUPS, rules::BACKUPS_CREATE, backups::create),
        endpoint(M::GET, BACKUP, rules::BACKUPS_GET, documents::get::<Backup>),
        endpoint(M::PATCH, BACKUP, rules::BACKUPS_UPDATE, backups::update),
        endpoint(M::DELETE, BACKUP, rules::BACKUPS_DELETE, backups::delete),
    ]
}
