//! What the OpenAPI document says of each operation.

/// Of an operation: its name, a line that says what it does, and what more there is to know.
pub(in crate::api::openapi) const OPERATIONS: &[(&str, &str, &str)] = &[
    (
        "list_clients",
        "List clients",
        "Those of the project, and the central clients of all projects.",
    ),
    (
        "register_client",
        "Register a client",
        "A scheduler does it when it starts. A name that the project has registered before \
         keeps its uuid and gets the new description and abilities. A central client, which \
         runs jobs of any project, needs the rule clients:create_central besides.",
    ),
    (
        "show_client",
        "Show a client",
        "One of the project, or a central client of any project.",
    ),
    (
        "delete_client",
        "Remove a client",
        "204 also where there is none. A central client needs the rule \
         clients:create_central besides; one of another project is 403.",
    ),
    ("list_actions", "List actions", "Those of the project."),
    (
        "create_action",
        "Create an action",
        "An action says what to back up or restore, and how. Jobs refer to it, or bring \
         their own.",
    ),
    ("show_action", "Show an action", ""),
    (
        "update_action",
        "Change an action",
        "What the body does not name stays, also within freezer_action. Jobs that refer to \
         the action see the change.",
    ),
    (
        "replace_action",
        "Replace an action, or create it under this id",
        "",
    ),
    (
        "delete_action",
        "Delete an action",
        "204 also where the project has none. Jobs that refer to it go on without it.",
    ),
    (
        "list_jobs",
        "List jobs",
        "Those of the project. A scheduler polls with a search for its client_id. The rule \
         jobs:get_all_projects allows all_projects, and process ids of all schedulers.",
    ),
    (
        "create_job",
        "Create a job",
        "Its client must be registered and able to do what its actions need. A job of a \
         central client gets a trust of the caller, under which it runs.",
    ),
    (
        "show_job",
        "Show a job",
        "With the rule jobs:get_all_projects, one of any project.",
    ),
    (
        "update_job",
        "Change a job",
        "What the body does not name stays. A job_schedule replaces the old one whole, and \
         so do job_actions.",
    ),
    (
        "replace_job",
        "Replace a job, or create it under this id",
        "A job that comes to a central client gets a trust of the caller; one that leaves \
         it loses its trust.",
    ),
    (
        "delete_job",
        "Delete a job",
        "204 also where the project has none. Its actions stay; the trust under which it \
         ran is deleted when no other job needs it.",
    ),
    (
        "request_job_event",
        "Ask for a job to be started, stopped or aborted",
        "The scheduler of its client finds the request in job_schedule.event at its next poll.",
    ),
    ("list_sessions", "List sessions", "Those of the project."),
    (
        "create_session",
        "Create a session",
        "A session runs jobs of several hosts at the same time.",
    ),
    ("show_session", "Show a session", ""),
    (
        "update_session",
        "Change a session",
        "What the body does not name stays; the entries of jobs are merged.",
    ),
    (
        "replace_session",
        "Replace a session, or create it under this id",
        "",
    ),
    (
        "delete_session",
        "Delete a session",
        "204 also where there is none. Its jobs stay.",
    ),
    (
        "request_session_action",
        "Say that a job of a session starts, or has ended",
        "The first job with the tag of the session starts it, and the tag grows by one. \
         Jobs that come within hold_off seconds join.",
    ),
    (
        "add_job_to_session",
        "Add a job to a session",
        "The job gets the schedule and the tag of the session. Done again, it renews the entry.",
    ),
    (
        "remove_job_from_session",
        "Remove a job from a session",
        "Also the entry of a job that is gone. The job is asked to stop.",
    ),
    (
        "list_backups",
        "List the records of backups",
        "Those of the project.",
    ),
    (
        "create_backup",
        "Record a backup",
        "The body is what there is to know of the backup; the agent writes it. The data \
         lies elsewhere.",
    ),
    ("show_backup", "Show the record of a backup", ""),
    (
        "update_backup",
        "Change the record of a backup",
        "backup_metadata is merged with what is stored, member by member. In a body that has the \
         backup_id of the path and no backup_metadata, all other members but status are the metadata.",
    ),
    (
        "delete_backup",
        "Delete the record of a backup",
        "The data of the backup stays where it is.",
    ),
    (
        "list_job_reports",
        "List how jobs fare",
        "Those of the project, 50 at most, each with its last 20 runs, when it is due, and what is wrong with it.",
    ),
    (
        "list_runs",
        "List the runs of jobs",
        "What schedulers have reported of the runs of the project's jobs, also of jobs that are \
         deleted since, the last first. They are kept for [report] run_days.",
    ),
    (
        "show_run",
        "Show a run of a job",
        "With the rule report:get_all_projects, one of any project.",
    ),
    (
        "show_me",
        "Show what the caller may do",
        "Which rules of the policy let the caller pass in the project. A rule that looks at a document's own members may still \
         refuse.",
    ),
    (
        "list_series",
        "List series of backups",
        "Those of the project, 50 at most, the one with the last backup first. A series is what a job has backed up at one place: host, \
         name, container, storage and resource. New backups are in one after some seconds.",
    ),
    (
        "list_series_backups",
        "List the backups of a series",
        "50 at most, the last first. With the rule report:get_all_projects, of a series of any project.",
    ),
    (
        "list_hosts",
        "List how hosts fare",
        "The project's own clients, and the central ones that have jobs of the project: whether their schedulers poll, what their jobs \
         say together, and what is wrong. One node among all looks at them once a minute.",
    ),
    (
        "show_host",
        "Show how a host fares",
        "Of a client of the project, or of a central one that has jobs of the project; with the rule report:get_all_projects, of any.",
    ),
    (
        "list_problems",
        "List what is wrong",
        "Findings of the project's jobs and clients, the worst first, and of one kind the oldest first. One node among all looks for them \
         once a minute; as_of says when it has done so.",
    ),
    (
        "show_summary",
        "Show how all is",
        "Findings by kind, hosts by state, what runs, the runs of the last 24 hours by the hour of their start, and the projects with the most that is \
         wrong. Computed once in 15 s; an ETag goes with it, and 304 answers an If-None-Match that names it.",
    ),
    (
        "list_days",
        "List how many runs each day had",
        "By the day of their start, in UTC; with all_projects of all projects together. Days without a run are left out.",
    ),
    (
        "show_restore",
        "Show how a backup is restored",
        "The command of freezer-agent, and the body of POST /jobs that does the same on the client that made the backup. With \
         the rule report:get_all_projects, of a backup of any project.",
    ),
];
