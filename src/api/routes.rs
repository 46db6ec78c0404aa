//! REST version 2 as a table: which paths there are, which rule guards each, which handler answers, and what the OpenAPI
//! document says of it.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::operation::Operation;
use super::{
    Api, actions, backups, clients, documents, jobs, report, report_backups, report_hosts,
    report_me, report_summary, sessions,
};
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
    /// What it takes and answers.
    pub operation: Operation,
    pub(super) handler: MethodRouter<Arc<Api>>,
}

fn endpoint<H, T>(
    method: Method,
    path: &'static str,
    rule: Rule,
    handler: H,
    operation: Operation,
) -> Endpoint
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    #[expect(
        clippy::expect_used,
        reason = "the tables below have no extension methods"
    )]
    let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
    Endpoint {
        method,
        path,
        rule,
        operation,
        handler: on(filter, handler),
    }
}

/// The REST interface, a line each. The router, the answers to OPTIONS, the OpenAPI document and the tests of authorization
/// go through it.
pub fn routes() -> Vec<Endpoint> {
    let parts = [
        client_routes(),
        action_routes(),
        job_routes(),
        session_routes(),
        session_member_routes(),
        backup_routes(),
        report_routes(),
        report_backup_routes(),
        report_me_routes(),
        report_host_routes(),
        report_summary_routes(),
    ];
    parts.into_iter().flatten().collect()
}

/// `/v2/{project_id}/clients`.
fn client_routes() -> Vec<Endpoint> {
    use Method as M;
    const CLIENTS: &str = "/v2/{project_id}/clients";
    const CLIENT: &str = "/v2/{project_id}/clients/{client_id}";
    vec![
        endpoint(
            M::GET,
            CLIENTS,
            rules::CLIENTS_GET_ALL,
            documents::list::<Client>,
            Operation::new("list_clients").lists("ClientList"),
        ),
        endpoint(
            M::POST,
            CLIENTS,
            rules::CLIENTS_CREATE,
            clients::register,
            Operation::new("register_client")
                .takes("NewClient")
                .answers(201, "ClientId")
                .refuses(&[409]),
        ),
        endpoint(
            M::GET,
            CLIENT,
            rules::CLIENTS_GET,
            documents::get::<Client>,
            Operation::new("show_client")
                .answers(200, "Client")
                .refuses(&[404]),
        ),
        endpoint(
            M::DELETE,
            CLIENT,
            rules::CLIENTS_DELETE,
            clients::delete,
            Operation::new("delete_client"),
        ),
    ]
}

/// `/v2/{project_id}/actions`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn action_routes() -> Vec<Endpoint> {
    use Method as M;
    const ACTIONS: &str = "/v2/{project_id}/actions";
    const ACTION: &str = "/v2/{project_id}/actions/{action_id}";
    vec![
        endpoint(
            M::GET,
            ACTIONS,
            rules::ACTIONS_GET_ALL,
            documents::list::<Action>,
            Operation::new("list_actions").lists("ActionList"),
        ),
        endpoint(
            M::POST,
            ACTIONS,
            rules::ACTIONS_CREATE,
            actions::create,
            Operation::new("create_action")
                .takes("NewAction")
                .answers(201, "ActionId")
                .refuses(&[409]),
        ),
        endpoint(
            M::GET,
            ACTION,
            rules::ACTIONS_GET,
            documents::get::<Action>,
            Operation::new("show_action")
                .answers(200, "Action")
                .refuses(&[404]),
        ),
        endpoint(
            M::PATCH,
            ACTION,
            rules::ACTIONS_UPDATE,
            actions::update,
            Operation::new("update_action")
                .may_take("ActionPatch")
                .answers(200, "ActionVersion")
                .refuses(&[404]),
        ),
        endpoint(
            M::POST,
            ACTION,
            rules::ACTIONS_REPLACE,
            actions::replace,
            Operation::new("replace_action")
                .makes("action_id")
                .takes("ActionReplacement")
                .answers(201, "ActionVersion")
                .refuses(&[409]),
        ),
        endpoint(
            M::DELETE,
            ACTION,
            rules::ACTIONS_DELETE,
            actions::delete,
            Operation::new("delete_action"),
        ),
    ]
}

/// `/v2/{project_id}/jobs`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn job_routes() -> Vec<Endpoint> {
    use Method as M;
    const JOBS: &str = "/v2/{project_id}/jobs";
    const JOB: &str = "/v2/{project_id}/jobs/{job_id}";
    const EVENT: &str = "/v2/{project_id}/jobs/{job_id}/event";
    vec![
        endpoint(
            M::GET,
            JOBS,
            rules::JOBS_GET_ALL,
            jobs::list,
            Operation::new("list_jobs").lists_all_projects("JobList"),
        ),
        endpoint(
            M::POST,
            JOBS,
            rules::JOBS_CREATE,
            jobs::create,
            Operation::new("create_job")
                .takes("NewJob")
                .answers(201, "JobId")
                .refuses(&[409, 422]),
        ),
        endpoint(
            M::GET,
            JOB,
            rules::JOBS_GET,
            jobs::get,
            Operation::new("show_job")
                .answers(200, "Job")
                .refuses(&[404]),
        ),
        endpoint(
            M::PATCH,
            JOB,
            rules::JOBS_UPDATE,
            jobs::update,
            Operation::new("update_job")
                .may_take("JobPatch")
                .answers(200, "JobVersion")
                .refuses(&[404, 422]),
        ),
        endpoint(
            M::POST,
            JOB,
            rules::JOBS_CREATE,
            jobs::replace,
            Operation::new("replace_job")
                .makes("job_id")
                .takes("JobReplacement")
                .answers(201, "JobVersion")
                .refuses(&[409, 422]),
        ),
        endpoint(
            M::DELETE,
            JOB,
            rules::JOBS_DELETE,
            jobs::delete,
            Operation::new("delete_job"),
        ),
        endpoint(
            M::POST,
            EVENT,
            rules::JOBS_EVENT_CREATE,
            jobs::event,
            Operation::new("request_job_event")
                .takes("JobEvent")
                .answers(202, "Result")
                .refuses(&[404, 422]),
        ),
    ]
}

/// `/v2/{project_id}/sessions`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn session_routes() -> Vec<Endpoint> {
    use Method as M;
    const SESSIONS: &str = "/v2/{project_id}/sessions";
    const SESSION: &str = "/v2/{project_id}/sessions/{session_id}";
    vec![
        endpoint(
            M::GET,
            SESSIONS,
            rules::SESSIONS_GET_ALL,
            documents::list::<Session>,
            Operation::new("list_sessions").lists("SessionList"),
        ),
        endpoint(
            M::POST,
            SESSIONS,
            rules::SESSIONS_CREATE,
            sessions::create,
            Operation::new("create_session")
                .takes("NewSession")
                .answers(201, "SessionId"),
        ),
        endpoint(
            M::GET,
            SESSION,
            rules::SESSIONS_GET,
            documents::get::<Session>,
            Operation::new("show_session")
                .answers(200, "Session")
                .refuses(&[404]),
        ),
        endpoint(
            M::PATCH,
            SESSION,
            rules::SESSIONS_UPDATE,
            sessions::update,
            Operation::new("update_session")
                .may_take("SessionPatch")
                .answers(200, "SessionVersion")
                .refuses(&[404]),
        ),
        endpoint(
            M::POST,
            SESSION,
            rules::SESSIONS_REPLACE,
            sessions::replace,
            Operation::new("replace_session")
                .makes("session_id")
                .takes("SessionReplacement")
                .answers(201, "SessionVersion")
                .refuses(&[409]),
        ),
        endpoint(
            M::DELETE,
            SESSION,
            rules::SESSIONS_DELETE,
            sessions::delete,
            Operation::new("delete_session"),
        ),
    ]
}

/// What the jobs of a session do.
fn session_member_routes() -> Vec<Endpoint> {
    use Method as M;
    const ACTION: &str = "/v2/{project_id}/sessions/{session_id}/action";
    const JOB: &str = "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}";
    vec![
        endpoint(
            M::POST,
            ACTION,
            rules::SESSIONS_ACTION_CREATE,
            sessions::action,
            Operation::new("request_session_action")
                .takes("SessionAction")
                .answers(202, "SessionResult")
                .refuses(&[404]),
        ),
        endpoint(
            M::PUT,
            JOB,
            rules::SESSIONS_JOB_ADD,
            sessions::add_job,
            Operation::new("add_job_to_session").refuses(&[404]),
        ),
        endpoint(
            M::DELETE,
            JOB,
            rules::SESSIONS_JOB_REMOVE,
            sessions::remove_job,
            Operation::new("remove_job_from_session").refuses(&[404]),
        ),
    ]
}

/// `/v2/{project_id}/backups`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn backup_routes() -> Vec<Endpoint> {
    use Method as M;
    const BACKUPS: &str = "/v2/{project_id}/backups";
    const BACKUP: &str = "/v2/{project_id}/backups/{backup_id}";
    vec![
        endpoint(
            M::GET,
            BACKUPS,
            rules::BACKUPS_GET_ALL,
            documents::list::<Backup>,
            Operation::new("list_backups").lists("BackupList"),
        ),
        endpoint(
            M::POST,
            BACKUPS,
            rules::BACKUPS_CREATE,
            backups::create,
            Operation::new("create_backup")
                .takes("NewBackup")
                .answers(201, "BackupId"),
        ),
        endpoint(
            M::GET,
            BACKUP,
            rules::BACKUPS_GET,
            documents::get::<Backup>,
            Operation::new("show_backup")
                .answers(200, "Backup")
                .refuses(&[404]),
        ),
        endpoint(
            M::PATCH,
            BACKUP,
            rules::BACKUPS_UPDATE,
            backups::update,
            Operation::new("update_backup")
                .takes("BackupPatch")
                .answers(200, "Backup")
                .refuses(&[404]),
        ),
        endpoint(
            M::DELETE,
            BACKUP,
            rules::BACKUPS_DELETE,
            backups::delete,
            Operation::new("delete_backup").refuses(&[404]),
        ),
    ]
}

/// `/v2/{project_id}/report`.
#[expect(clippy::too_many_lines, reason = "a table")]
fn report_routes() -> Vec<Endpoint> {
    use Method as M;
    const JOBS: &str = "/v2/{project_id}/report/jobs";
    const RUNS: &str = "/v2/{project_id}/report/runs";
    const RUN: &str = "/v2/{project_id}/report/runs/{run_id}";
    vec![
        endpoint(
            M::GET,
            JOBS,
            rules::REPORT_GET,
            report::jobs,
            Operation::new("list_job_reports")
                .answers_table("JobReportList")
                .asks(&["limit", "marker", "sort", "report_client", "all_projects"]),
        ),
        endpoint(
            M::GET,
            RUNS,
            rules::REPORT_GET,
            report::runs,
            Operation::new("list_runs").answers_table("RunList").asks(&[
                "limit",
                "marker",
                "run_sort",
                "run_state",
                "run_job",
                "report_client",
                "since",
                "until",
                "all_projects",
            ]),
        ),
        endpoint(
            M::GET,
            RUN,
            rules::REPORT_GET,
            report::run,
            Operation::new("show_run")
                .answers(200, "Run")
                .refuses(&[404]),
        ),
    ]
}

/// `/v2/{project_id}/report/me`.
fn report_me_routes() -> Vec<Endpoint> {
    vec![endpoint(
        Method::GET,
        "/v2/{project_id}/report/me",
        rules::REPORT_GET,
        report_me::show,
        Operation::new("show_me").answers(200, "Me"),
    )]
}

/// `/v2/{project_id}/report` on backups.
#[expect(clippy::too_many_lines, reason = "a table")]
fn report_backup_routes() -> Vec<Endpoint> {
    use Method as M;
    const SERIES: &str = "/v2/{project_id}/report/series";
    const BACKUPS: &str = "/v2/{project_id}/report/series/{series_id}/backups";
    const RESTORE: &str = "/v2/{project_id}/report/backups/{backup_id}/restore";
    vec![
        endpoint(
            M::GET,
            SERIES,
            rules::REPORT_GET,
            report_backups::series,
            Operation::new("list_series")
                .answers_table("SeriesList")
                .asks(&[
                    "limit",
                    "marker",
                    "series_sort",
                    "run_job",
                    "series_host",
                    "all_projects",
                ]),
        ),
        endpoint(
            M::GET,
            BACKUPS,
            rules::REPORT_GET,
            report_backups::series_backups,
            Operation::new("list_series_backups")
                .answers_table("SeriesBackupList")
                .asks(&["limit", "marker", "series_backup_sort"])
                .refuses(&[404]),
        ),
        endpoint(
            M::GET,
            RESTORE,
            rules::REPORT_GET,
            report_backups::restore,
            Operation::new("show_restore")
                .answers(200, "Restore")
                .asks(&["restore_path"])
                .refuses(&[404]),
        ),
    ]
}

/// `/v2/{project_id}/report` on hosts, and what is wrong.
#[expect(clippy::too_many_lines, reason = "a table")]
fn report_host_routes() -> Vec<Endpoint> {
    use Method as M;
    const HOSTS: &str = "/v2/{project_id}/report/hosts";
    const HOST: &str = "/v2/{project_id}/report/hosts/{client_id}";
    const PROBLEMS: &str = "/v2/{project_id}/report/problems";
    vec![
        endpoint(
            M::GET,
            HOSTS,
            rules::REPORT_GET,
            report_hosts::list,
            Operation::new("list_hosts")
                .answers_table("HostList")
                .asks(&[
                    "limit",
                    "marker",
                    "host_sort",
                    "host_state",
                    "report_client",
                    "all_projects",
                ]),
        ),
        endpoint(
            M::GET,
            HOST,
            rules::REPORT_GET,
            report_hosts::get,
            Operation::new("show_host")
                .answers(200, "Host")
                .refuses(&[404]),
        ),
        endpoint(
            M::GET,
            PROBLEMS,
            rules::REPORT_GET,
            report_hosts::problems,
            Operation::new("list_problems")
                .answers_table("ProblemList")
                .asks(&[
                    "limit",
                    "marker",
                    "problem_kind",
                    "problem_severity",
                    "report_client",
                    "problem_job",
                    "all_projects",
                ]),
        ),
    ]
}

/// `/v2/{project_id}/report` on all at once.
fn report_summary_routes() -> Vec<Endpoint> {
    use Method as M;
    const SUMMARY: &str = "/v2/{project_id}/report/summary";
    const DAYS: &str = "/v2/{project_id}/report/days";
    vec![
        endpoint(
            M::GET,
            SUMMARY,
            rules::REPORT_GET,
            report_summary::summary,
            Operation::new("show_summary")
                .answers(200, "Summary")
                .asks(&["all_projects"]),
        ),
        endpoint(
            M::GET,
            DAYS,
            rules::REPORT_GET,
            report_summary::days,
            Operation::new("list_days").answers_table("DayList").asks(&[
                "first_day",
                "last_day",
                "all_projects",
            ]),
        ),
    ]
}
