//! The words of the OpenAPI document: what each operation does, and what each member of a document means.

mod operations;

pub(super) use operations::OPERATIONS;

/// Of members that mean the same wherever they stand.
pub(super) const MEMBERS: &[(&str, &str)] = &[
    ("_version", "Ignored; kept for clients that send it."),
    ("abort", "Break off what runs; the value does not matter."),
    ("aborted", "Runs that were broken off as asked."),
    ("action", "What to do."),
    (
        "action_defaults",
        "Members for each freezer_action of the job's actions that does not have them.",
    ),
    ("action_id", "The action's identifier."),
    (
        "actions",
        "Actions, the oldest first; of a run, the kinds of its job's actions.",
    ),
    ("active", "How many are to run."),
    (
        "active_jobs",
        "Its jobs that are to run: neither stopped nor completed.",
    ),
    (
        "addresses",
        "From how many addresses its scheduler polled within a minute of the last hour.",
    ),
    (
        "agent_version",
        "The version of the agent, as it said with its last backup.",
    ),
    ("alive", "Hosts whose schedulers poll."),
    ("amber", "Findings that are not red."),
    (
        "as_of",
        "When it was looked for last; null where that was never.",
    ),
    (
        "attempts",
        "How many agents were started: one for each action, and for each time that one was tried again.",
    ),
    ("backup_id", "The identifier of the record."),
    (
        "basis",
        "What until rests on: run_end, the end of the run that made the backup; created_at, the time when it was recorded; next_backup, the beginning of the next one; backup_id, Cinder's own identifier, which needs no time; newest, no time is known, and it is the newest.",
    ),
    ("backup_metadata", "What the agent knows of the backup."),
    ("backup_name", "The name under which the backup is found."),
    ("backups", "Records of backups, the oldest first."),
    (
        "cindernative_freezer_only",
        "Whether Cinder's own backups are restored only where Freezer made them.",
    ),
    ("client", "What the client said of itself."),
    ("client_id", "The name of the client, usually PROJECT_HOST."),
    (
        "clock_skew",
        "How many seconds the host's clock is behind that of this service, as its last runs say; negative where it is ahead.",
    ),
    ("command", "The command for a POSIX shell of the host."),
    ("clients", "Clients, the oldest first."),
    ("code", "The status again."),
    ("computed_at", "When this was computed."),
    (
        "container",
        "Where the backup lies in its storage: a container, a bucket or a folder.",
    ),
    ("count", "How many."),
    (
        "current_pid",
        "The process that runs the job. Shown only to the client's own project, and with \
         jobs:get_all_projects.",
    ),
    ("current_tag", "The session's tag as the job knows it."),
    ("day", "The day, in UTC."),
    ("days", "Days, the oldest first."),
    ("description", "Free text for people."),
    (
        "due_at",
        "When the job shall have succeeded again at the latest; null where it is not to run again.",
    ),
    ("due_soon", "Hosts of which a job is due within the hour."),
    (
        "duration",
        "Seconds from start to end, by the host's clock.",
    ),
    ("end", "A job has ended."),
    (
        "ended_at",
        "When it ended, by the host's clock; null where it was not reported.",
    ),
    ("error", "Why there is no valid token."),
    ("event", "What the scheduler is asked to do."),
    ("fail", "Runs of which an action failed."),
    (
        "failed_in_a_row",
        "How many of its last runs have failed, one after the other; 20 at most.",
    ),
    (
        "findings",
        "What is wrong, the worst first: failing, its last run failed; overdue, it should have succeeded again by now; never, it should have succeeded by now for the first time; lost, nobody knows how its last run ended; stuck, it runs for far longer than it used to; unreadable, its schedule cannot be read; paused, it has been stopped for a week. Of hosts also silent, its scheduler does not poll any more; unprotected, it has no job that makes backups; clock_skew, its clock is wrong by more than a minute.",
    ),
    (
        "freezer_action",
        "What the agent runs: its options by name. Members that are not listed here are \
         kept as they are.",
    ),
    (
        "hold_off",
        "Seconds after a start in which further jobs join it.",
    ),
    ("host_id", "The identifier of the host in reports."),
    ("hostname", "The host."),
    ("hosts", "Hosts."),
    ("hour", "When the hour began."),
    (
        "hours",
        "The last 24 hours and the one that has begun, the oldest first, as the last round has counted them.",
    ),
    ("href", "An address."),
    ("id", "The name of the version."),
    ("is_central", "Whether the client runs jobs of any project."),
    (
        "is_registered",
        "Whether the client is registered in the project itself.",
    ),
    (
        "job_actions",
        "The job's actions in their order. One with an action_id refers to an action of the \
         project, others are new.",
    ),
    (
        "job",
        "The body of POST /jobs that does the same; null where no client is known.",
    ),
    ("job_id", "The job's identifier."),
    ("job_schedule", "When the job runs, and how it went."),
    ("jobs", "Jobs; of a host, how many."),
    ("kind", "What is wrong."),
    (
        "last_poll_at",
        "When its scheduler asked for its jobs last.",
    ),
    (
        "last_success_at",
        "When its last successful run started, by the host's clock.",
    ),
    ("link", "Where to read on."),
    ("links", "Where it is."),
    ("log_file", "Where the agent writes its log."),
    (
        "longest",
        "Seconds that the longest of the runs that succeeded took.",
    ),
    (
        "longest_running_since",
        "When the run began that goes on for the longest time.",
    ),
    ("lost", "Runs of which nobody knows how they ended."),
    ("mandatory", "Whether the job fails when this action does."),
    (
        "match",
        "Pairs that a document must have. A key is looked for at any depth. The key _all \
         stands for any value, and finds a text in it; in the first pair it may have a JSON text of such a list.",
    ),
    ("match_not", "Pairs of which a document must have none."),
    ("max_retries", "How often a failed action is tried again."),
    ("max_retries_interval", "Seconds between tries."),
    ("message", "What is wrong."),
    (
        "missing",
        "Options that the agent needs besides and the record does not have, by their names in an action, as passwords.",
    ),
    ("mode", "What is backed up or restored."),
    ("next_step", "What to do about it."),
    (
        "oldest_success_at",
        "The oldest of the last successes of its hosts.",
    ),
    (
        "os",
        "The operating system, as the agent said with its last backup.",
    ),
    ("path_to_backup", "The file or folder."),
    (
        "period",
        "The most seconds from one start to the next, by its schedule; null where it runs once, or never.",
    ),
    (
        "poll_interval",
        "Seconds between two polls of its scheduler, as they were learned.",
    ),
    ("priority", "The agent's priority."),
    (
        "problem_id",
        "The identifier of the problem, the same for as long as it is found.",
    ),
    ("problems", "Findings, the worst first."),
    ("project_id", "The project."),
    (
        "projects",
        "Projects, those with the most that is red first, 100 at most.",
    ),
    ("projects_left_out", "How many projects are not shown."),
    ("red", "What means that backups are missing or about to be."),
    ("rel", "What the address is."),
    ("removed", "Runs whose job was deleted meanwhile."),
    (
        "restarts",
        "How often its scheduler has started since this is noted.",
    ),
    ("restore_abs_path", "Where a restore writes."),
    ("result", "How it went."),
    (
        "rules",
        "The rules that requests ask for, each with whether it lets the caller pass.",
    ),
    ("run_id", "The run's identifier."),
    ("running", "How many of its jobs run."),
    ("runs", "Runs of jobs, the last first."),
    ("schedule", "When the jobs of the session run."),
    ("schedule_date", "Run once at this time."),
    ("schedule_day", "As in cron."),
    ("schedule_day_of_week", "As in cron."),
    ("schedule_end_date", "Do not run after this time."),
    ("schedule_hour", "As in cron."),
    (
        "schedule_interval",
        "Run every so often: continuous, or a number of weeks, days, hours, minutes or seconds.",
    ),
    ("schedule_minute", "As in cron."),
    ("schedule_month", "As in cron."),
    ("schedule_second", "As in cron."),
    ("schedule_start_date", "Do not run before this time."),
    ("schedule_week", "As in cron."),
    ("schedule_year", "As in cron."),
    (
        "seconds",
        "Seconds that the runs that succeeded took together.",
    ),
    (
        "seen_ended_at",
        "When this service heard of its end, or took it for ended.",
    ),
    (
        "seen_started_at",
        "When this service heard of its start; null where it was told of its end only.",
    ),
    ("session_id", "The session's identifier."),
    ("session_name", "Ignored; kept for clients that send it."),
    (
        "session_tag",
        "How often the session was started; of a job, the start that it knows of.",
    ),
    ("sessions", "Sessions, the oldest first."),
    (
        "severity",
        "red where backups are missing or about to be, else amber.",
    ),
    ("silent", "Hosts whose schedulers do not poll any more."),
    ("since", "Since when."),
    ("start", "A job starts; of a job's event: run now."),
    ("started_at", "When it started, by the host's clock."),
    (
        "state",
        "What became of it. lost: its scheduler came back and knows no end. unreported: the next run has started. removed: its job was deleted meanwhile. Of a host: alive where its scheduler polls, silent where it does not any more, unknown where it never did.",
    ),
    ("status", "How far it has come."),
    ("stop", "Do not run any more; the value does not matter."),
    ("success", "Runs that succeeded."),
    (
        "supported_actions",
        "What the client can do; without it, everything.",
    ),
    (
        "supported_engines",
        "How the client makes backups; without it, in every way.",
    ),
    (
        "supported_modes",
        "What the client can back up; without it, everything.",
    ),
    (
        "supported_storages",
        "Where the client puts backups; without it, everywhere.",
    ),
    ("text", "Words for people."),
    (
        "time_created",
        "When the job was created, in seconds since 1970.",
    ),
    (
        "time_end",
        "When the session ended, in seconds since 1970; -1 for never.",
    ),
    (
        "time_ended",
        "When it ended, in seconds since 1970; -1 for never.",
    ),
    (
        "time_start",
        "When the session started, in seconds since 1970; -1 for never.",
    ),
    (
        "time_started",
        "When it started, in seconds since 1970; -1 for never.",
    ),
    (
        "time_after",
        "The earliest time_stamp of a backup, in seconds since 1970. Other lists ignore it.",
    ),
    (
        "time_before",
        "The latest time_stamp of a backup, in seconds since 1970. Other lists ignore it.",
    ),
    ("timeout", "Seconds that the action may take."),
    ("title", "What kind of error it is."),
    ("total", "How many there are."),
    ("trust_id", "The trust at Keystone."),
    ("trustor_user_id", "The user who gave the trust."),
    (
        "unknown",
        "Hosts whose schedulers never polled since this is noted.",
    ),
    ("unreported", "Runs whose end was not reported."),
    ("updated", "When the interface last changed."),
    (
        "user_credentials",
        "The trust under which a central scheduler runs the job. Those of a request are not \
         stored.",
    ),
    (
        "until",
        "The time as of which is restored: that of this backup is the newest then. null where it needs none.",
    ),
    ("created_at", "When it was recorded."),
    ("first_at", "When the first one was recorded."),
    ("last_at", "When the last one was recorded."),
    ("last_backup_id", "The last one."),
    (
        "last_status",
        "The state of the last one; null where it was removed this moment.",
    ),
    (
        "resource_id",
        "The instance, image or volume; null for files.",
    ),
    ("series", "Series of backups."),
    ("series_id", "The identifier of the series."),
    ("storage", "The kind of storage."),
    ("user_id", "Who wrote it last."),
    ("uuid", "The identifier of the registration."),
    (
        "version",
        "A version that clients of the Python service expect; it has no meaning.",
    ),
    ("versions", "The versions of the interface."),
];

/// What the document says before all else.
pub(super) const INTRODUCTION: &str = "\
Clients (schedulers on hosts), actions (what to back up or restore), jobs (which actions run when and where), sessions (jobs \
of several hosts that run together) and records of backups. Each belongs to a project, which is the first part of the path.\n\n\
HEAD is answered as GET without a body, OPTIONS with the methods of a path, other methods with 405. A search is the body of a \
GET. Bodies are read as JSON whatever their Content-Type is; nesting beyond 128 levels, integers beyond 64 bits and NUL in \
identifiers are refused, and so is an integer that is written as 5.0.";

/// The line and the description of an operation.
#[expect(
    clippy::expect_used,
    reason = "a test makes the document, of every route"
)]
pub(super) fn of_operation(id: &str) -> (&'static str, &'static str) {
    let found = OPERATIONS.iter().find(|(name, _, _)| *name == id);
    let (_, summary, description) = found.expect("an operation has its words in OPERATIONS");
    (summary, description)
}

/// What a member means.
pub(super) fn of_member(name: &str) -> Option<&'static str> {
    let found = MEMBERS.iter().find(|(member, _)| *member == name);
    found.map(|(_, text)| *text)
}

/// What a status of success says.
pub(super) fn of_status(status: u16) -> &'static str {
    match status {
        201 => "It is stored.",
        202 => "What became of the request.",
        204 => "Done.",
        _ => "The answer.",
    }
}
