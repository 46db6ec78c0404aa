//! The policy rules of this service: names, default checks, token scopes and the requests that each guards.
//!
//! Names, checks and scopes are those of freezer-api 19.0.0 (`freezer_api/common/policies/`); `report:…` is ours. The operations are the
//! requests that really ask for the rule: the reference's own list has paths without the project and `PUT` where the
//! service takes `POST`.

use crate::oslo::policy::{self, Operation, RuleDefault, ScopeType};

/// The name of a rule that exists: routes and handlers name rules by these constants alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule(&'static str);

impl Rule {
    /// The name as policy files write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// The rules that requests ask for, in their order.
pub fn requested() -> impl Iterator<Item = Rule> {
    let asked = DEFAULTS.iter().filter(|rule| !rule.operations.is_empty());
    asked.map(|rule| Rule(rule.name))
}

/// A policy file in YAML that shows all rules with their defaults, each line a comment.
#[must_use]
pub fn policy_sample() -> String {
    policy::sample(DEFAULTS)
}

const PROJECT: &[ScopeType] = &[ScopeType::Project];

const ADMIN_OR_OWNER: &str = "rule:admin_or_owner";
const ADMIN_OR_SERVICE: &str = "rule:admin_or_service";
const ADMIN_OR_OWNER_OR_SERVICE: &str = "rule:admin_or_owner_or_service";
const ADMIN_OR_READER_OR_SERVICE: &str = "rule:admin_or_reader_or_service";

/// A rule that only others refer to.
const fn base(name: &'static str, check: &'static str) -> RuleDefault {
    RuleDefault {
        name,
        check,
        description: "",
        scope_types: PROJECT,
        operations: &[],
    }
}

/// Declares the rules that requests ask for, a constant each, and after the rules that only others refer to the list of all
/// defaults.
macro_rules! rules {
    (base: [$($base:expr,)+]; $($constant:ident = $name:literal, $check:expr, $description:literal, [$($method:literal $path:literal),+];)+) => {
        $(#[doc = concat!("`", $name, "`: ", $description)]
        pub const $constant: Rule = Rule($name);)+

        /// All rules with their default checks.
        pub const DEFAULTS: &[RuleDefault] = &[$($base,)+ $(RuleDefault {
            name: $name,
            check: $check,
            description: $description,
            scope_types: PROJECT,
            operations: &[$(Operation { method: $method, path: $path }),+],
        }),+];
    };
}

rules! {
    base: [
        base("context_is_admin", "role:admin"),
        base("admin_or_owner", "rule:context_is_admin or rule:project_member"),
        base("admin_or_owner_or_service", "rule:admin_or_service or rule:project_member"),
        base("admin_or_service", "role:admin or role:service"),
        base("project_member", "role:member and project_id:%(project_id)s"),
        base("project_reader", "role:reader and project_id:%(project_id)s"),
        base("admin_or_reader_or_service", "rule:admin_or_owner_or_service or rule:project_reader"),
    ];

    ACTIONS_CREATE = "actions:create", ADMIN_OR_OWNER, "Define an action.",
        ["POST" "/v2/{project_id}/actions"];
    ACTIONS_DELETE = "actions:delete", ADMIN_OR_OWNER, "Delete an action.",
        ["DELETE" "/v2/{project_id}/actions/{action_id}"];
    ACTIONS_GET = "actions:get", ADMIN_OR_READER_OR_SERVICE, "Show an action.",
        ["GET" "/v2/{project_id}/actions/{action_id}"];
    ACTIONS_GET_ALL = "actions:get_all", ADMIN_OR_READER_OR_SERVICE, "List actions.",
        ["GET" "/v2/{project_id}/actions"];
    ACTIONS_UPDATE = "actions:update", ADMIN_OR_OWNER, "Change an action.",
        ["PATCH" "/v2/{project_id}/actions/{action_id}"];
    ACTIONS_REPLACE = "actions:replace", ADMIN_OR_OWNER, "Replace an action, or define it under a given id.",
        ["POST" "/v2/{project_id}/actions/{action_id}"];

    BACKUPS_CREATE = "backups:create", ADMIN_OR_OWNER_OR_SERVICE, "Record a backup.",
        ["POST" "/v2/{project_id}/backups"];
    BACKUPS_DELETE = "backups:delete", ADMIN_OR_OWNER_OR_SERVICE, "Delete the record of a backup.",
        ["DELETE" "/v2/{project_id}/backups/{backup_id}"];
    BACKUPS_GET = "backups:get", ADMIN_OR_READER_OR_SERVICE, "Show the record of a backup.",
        ["GET" "/v2/{project_id}/backups/{backup_id}"];
    BACKUPS_GET_ALL = "backups:get_all", ADMIN_OR_READER_OR_SERVICE, "List the records of backups.",
        ["GET" "/v2/{project_id}/backups"];
    BACKUPS_UPDATE = "backups:update", ADMIN_OR_OWNER_OR_SERVICE, "Change the record of a backup.",
        ["PATCH" "/v2/{project_id}/backups/{backup_id}"];

    CLIENTS_CREATE = "clients:create", ADMIN_OR_OWNER, "Register a client.",
        ["POST" "/v2/{project_id}/clients"];
    CLIENTS_DELETE = "clients:delete", ADMIN_OR_OWNER, "Remove a client.",
        ["DELETE" "/v2/{project_id}/clients/{client_id}"];
    CLIENTS_GET = "clients:get", ADMIN_OR_READER_OR_SERVICE, "Show a client.",
        ["GET" "/v2/{project_id}/clients/{client_id}"];
    CLIENTS_GET_ALL = "clients:get_all", ADMIN_OR_READER_OR_SERVICE, "List clients.",
        ["GET" "/v2/{project_id}/clients"];
    CLIENTS_CREATE_CENTRAL = "clients:create_central", ADMIN_OR_SERVICE,
        "Register or change a central client, which runs jobs of any project.",
        ["POST" "/v2/{project_id}/clients"];

    JOBS_CREATE = "jobs:create", ADMIN_OR_OWNER, "Create a job, or replace one.",
        ["POST" "/v2/{project_id}/jobs", "POST" "/v2/{project_id}/jobs/{job_id}"];
    JOBS_DELETE = "jobs:delete", ADMIN_OR_OWNER, "Delete a job.",
        ["DELETE" "/v2/{project_id}/jobs/{job_id}"];
    JOBS_GET = "jobs:get", ADMIN_OR_READER_OR_SERVICE, "Show a job.",
        ["GET" "/v2/{project_id}/jobs/{job_id}"];
    JOBS_GET_ALL = "jobs:get_all", ADMIN_OR_READER_OR_SERVICE, "List jobs.",
        ["GET" "/v2/{project_id}/jobs"];
    JOBS_GET_ALL_PROJECTS = "jobs:get_all_projects", ADMIN_OR_SERVICE, "List and show jobs of all projects.",
        ["GET" "/v2/{project_id}/jobs", "GET" "/v2/{project_id}/jobs/{job_id}"];
    JOBS_UPDATE = "jobs:update", ADMIN_OR_OWNER, "Change a job.",
        ["PATCH" "/v2/{project_id}/jobs/{job_id}"];
    JOBS_EVENT_CREATE = "jobs:event:create", ADMIN_OR_OWNER, "Send an event to a job.",
        ["POST" "/v2/{project_id}/jobs/{job_id}/event"];

    REPORT_GET = "report:get", ADMIN_OR_READER_OR_SERVICE, "Show what became of the runs of jobs, how jobs and hosts fare, what is wrong, and how backups are restored.",
        ["GET" "/v2/{project_id}/report/me", "GET" "/v2/{project_id}/report/jobs", "GET" "/v2/{project_id}/report/runs", "GET" "/v2/{project_id}/report/runs/{run_id}",
         "GET" "/v2/{project_id}/report/backups/{backup_id}/restore",
         "GET" "/v2/{project_id}/report/series", "GET" "/v2/{project_id}/report/series/{series_id}/backups",
         "GET" "/v2/{project_id}/report/hosts",
         "GET" "/v2/{project_id}/report/hosts/{client_id}", "GET" "/v2/{project_id}/report/problems",
         "GET" "/v2/{project_id}/report/summary", "GET" "/v2/{project_id}/report/days"];
    REPORT_GET_ALL_PROJECTS = "report:get_all_projects", ADMIN_OR_SERVICE, "Show that of all projects.",
        ["GET" "/v2/{project_id}/report/jobs", "GET" "/v2/{project_id}/report/runs", "GET" "/v2/{project_id}/report/runs/{run_id}",
         "GET" "/v2/{project_id}/report/backups/{backup_id}/restore",
         "GET" "/v2/{project_id}/report/series", "GET" "/v2/{project_id}/report/series/{series_id}/backups",
         "GET" "/v2/{project_id}/report/hosts",
         "GET" "/v2/{project_id}/report/hosts/{client_id}", "GET" "/v2/{project_id}/report/problems",
         "GET" "/v2/{project_id}/report/summary", "GET" "/v2/{project_id}/report/days"];

    SESSIONS_CREATE = "sessions:create", ADMIN_OR_OWNER, "Create a session.",
        ["POST" "/v2/{project_id}/sessions"];
    SESSIONS_DELETE = "sessions:delete", ADMIN_OR_OWNER, "Delete a session.",
        ["DELETE" "/v2/{project_id}/sessions/{session_id}"];
    SESSIONS_GET = "sessions:get", ADMIN_OR_READER_OR_SERVICE, "Show a session.",
        ["GET" "/v2/{project_id}/sessions/{session_id}"];
    SESSIONS_GET_ALL = "sessions:get_all", ADMIN_OR_READER_OR_SERVICE, "List sessions.",
        ["GET" "/v2/{project_id}/sessions"];
    SESSIONS_UPDATE = "sessions:update", ADMIN_OR_OWNER, "Change a session.",
        ["PATCH" "/v2/{project_id}/sessions/{session_id}"];
    SESSIONS_REPLACE = "sessions:replace", ADMIN_OR_OWNER, "Replace a session, or create it under a given id.",
        ["POST" "/v2/{project_id}/sessions/{session_id}"];
    SESSIONS_ACTION_CREATE = "sessions:action:create", ADMIN_OR_OWNER, "Start or end a session.",
        ["POST" "/v2/{project_id}/sessions/{session_id}/action"];
    SESSIONS_JOB_ADD = "sessions:job:add", ADMIN_OR_OWNER, "Add a job to a session.",
        ["PUT" "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}"];
    SESSIONS_JOB_REMOVE = "sessions:job:remove", ADMIN_OR_OWNER, "Remove a job from a session.",
        ["DELETE" "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}"];
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;
    use crate::oslo::policy::{Enforcer, Options};

    #[test]
    fn the_defaults_load_and_each_name_is_unique() {
        let names: HashSet<&str> = DEFAULTS.iter().map(|default| default.name).collect();
        assert_eq!(names.len(), DEFAULTS.len());
        let enforcer = Enforcer::new(DEFAULTS, Options::default()).unwrap();
        assert_eq!(enforcer.rules().len(), DEFAULTS.len());
        assert!(names.contains(SESSIONS_ACTION_CREATE.name()));
    }

    #[test]
    fn the_sample_in_the_repository_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/policy.yaml.sample");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, policy_sample()).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written == policy_sample(),
            "etc/policy.yaml.sample is stale: run this test with UPDATE_GOLDEN=1"
        );
    }
}
