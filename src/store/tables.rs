//! The catalogue of tables: every table and column that the newest layout has, in one place.
//!
//! What copies, exports, compares, searches or limits columns reads them here. A test compares the catalogue with the tables
//! of each engine and with the documents of the API, so a new column that is missing here fails.

mod column;

pub(crate) use column::{Column, ColumnKind, Json, Role, Table};
use column::{boolean, integer, json, shared, text, time};

const PROJECT_ID: Column = text("project_id", 36).shown("project_id");
const USER_ID: Column = text("user_id", 64).shown("user_id");
const DELETED: Column = boolean("deleted");
const DELETED_AT: Column = time("deleted_at");
const CREATED_AT: Column = time("created_at");
const UPDATED_AT: Column = time("updated_at");

/// Clients. `id` always equals `uuid`.
pub(crate) static CLIENTS: Table = shared(
    "clients",
    true,
    &[
        text("id", 255).key(),
        PROJECT_ID,
        USER_ID,
        text("client_id", 255).shown("client_id"),
        text("hostname", 255).wider_than(128).shown("hostname"),
        text("description", 255).shown("description"),
        text("uuid", 36).shown("uuid"),
        json("supported_actions", Json::Strings)
            .width(255)
            .shown("supported_actions"),
        json("supported_modes", Json::Strings)
            .width(255)
            .shown("supported_modes"),
        json("supported_storages", Json::Strings)
            .width(255)
            .shown("supported_storages"),
        json("supported_engines", Json::Strings)
            .width(255)
            .shown("supported_engines"),
        boolean("is_central").shown("is_central"),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// Sessions.
pub(crate) static SESSIONS: Table = shared(
    "sessions",
    true,
    &[
        text("id", 36).key().shown("session_id"),
        PROJECT_ID,
        USER_ID,
        text("description", 255).shown("description"),
        json("schedule", Json::Schedule).shown("schedule"),
        json("job", Json::Object).shown("jobs"),
        text("status", 255).shown("status"),
        text("result", 255).shown("result"),
        integer("session_tag").counting().shown("session_tag"),
        integer("hold_off").shown("hold_off"),
        integer("time_start").shown("time_start"),
        integer("time_end").shown("time_end"),
        integer("time_started").shown("time_started"),
        integer("time_ended").shown("time_ended"),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// Actions.
pub(crate) static ACTIONS: Table = Table {
    computed: &["names_client_id"],
    ..shared(
        "actions",
        true,
        &[
            text("id", 36).key().shown("action_id"),
            PROJECT_ID,
            USER_ID,
            text("action", 255).shown("action"),
            text("actionmode", 255).shown("mode"),
            text("path_to_backup", 255).shown("path_to_backup"),
            text("backup_name", 255).shown("backup_name"),
            text("container", 255).shown("container"),
            text("log_file", 255).shown("log_file"),
            json("backup_metadata", Json::Object).shown("freezer_action"),
            integer("timeout").shown("timeout"),
            integer("priority").shown("priority"),
            integer("max_retries_interval").shown("max_retries_interval"),
            integer("max_retries").shown("max_retries"),
            boolean("mandatory").shown("mandatory"),
            DELETED,
            DELETED_AT,
            CREATED_AT,
            UPDATED_AT,
        ],
    )
};

/// Jobs.
pub(crate) static JOBS: Table = shared(
    "jobs",
    true,
    &[
        text("id", 36).key().shown("job_id"),
        PROJECT_ID,
        USER_ID,
        text("client_id", 255).shown("client_id"),
        text("session_id", 36).shown("session_id"),
        text("description", 255).shown("description"),
        json("schedule", Json::Schedule).shown("job_schedule"),
        integer("session_tag").counting().shown("session_tag"),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// Which actions a job has, in their order.
pub(crate) static JOB_ACTIONS: Table = shared(
    "job_actions",
    false,
    &[
        text("id", 36).key(),
        text("job_id", 36),
        text("action_id", 36),
        integer("position"),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// The trusts under which jobs run; shown in the job.
pub(crate) static USER_CREDENTIALS: Table = shared(
    "user_credentials",
    false,
    &[
        text("id", 36).key(),
        text("trust_id", 255).shown("trust_id"),
        text("trustor_user_id", 64).shown("trustor_user_id"),
        text("job_id", 36),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// Backups.
pub(crate) static BACKUPS: Table = Table {
    computed: &[
        "metadata_backup_name",
        "metadata_hostname",
        "metadata_container",
        "metadata_client_id",
        "metadata_job_id",
    ],
    ..shared(
        "backups",
        true,
        &[
            text("id", 36).key().shown("backup_id"),
            PROJECT_ID,
            USER_ID,
            // Shown as part of the metadata.
            text("job_id", 36),
            text("status", 64).shown("status"),
            json("backup_metadata", Json::Object).shown("backup_metadata"),
            DELETED,
            DELETED_AT,
            CREATED_AT,
            UPDATED_AT,
        ],
    )
};

/// Neither read nor written any more.
static ACTION_REPORTS: Table = shared(
    "action_reports",
    true,
    &[
        text("id", 36).key(),
        text("project_id", 36),
        text("user_id", 64),
        text("result", 255),
        text("time_elapsed", 255),
        Column::new("log", ColumnKind::Bytes),
        time("report_date"),
        DELETED,
        DELETED_AT,
        CREATED_AT,
        UPDATED_AT,
    ],
);

/// Values that have no place in the other tables.
pub(crate) static LEFTOVERS: Table = Table {
    name: "freezer_api_leftovers",
    role: Role::Leftovers,
    owned: false,
    columns: &[
        text("table_name", 32).key(),
        text("row_id", 255).key(),
        text("column_name", 32).key(),
        integer("position").key(),
        Column::new("value", ColumnKind::Text),
        text("reason", 255),
    ],
    computed: &[],
};

/// The runs of jobs.
static RUNS: Table = Table {
    name: "freezer_api_runs",
    role: Role::History,
    owned: true,
    columns: &[
        text("id", 36).key(),
        text("project_id", 36),
        text("job_id", 36),
        text("client_id", 255),
        text("session_id", 36),
        integer("session_tag"),
        text("actions", 255),
        text("state", 16),
        integer("attempts"),
        integer("started_at"),
        integer("ended_at"),
        integer("seen_started_at"),
        integer("seen_ended_at"),
    ],
    computed: &[],
};

/// What was seen of the schedulers of clients.
static CLIENT_ACTIVITY: Table = Table {
    name: "freezer_api_client_activity",
    role: Role::History,
    owned: true,
    columns: &[
        text("project_id", 36).key(),
        text("client_id", 255).key(),
        integer("last_poll_at"),
        integer("poll_interval"),
        integer("polls"),
        integer("addresses"),
        integer("restarts"),
        text("os", 64),
        text("agent_version", 64),
    ],
    computed: &[],
};

/// Who does what one node among all does.
static LEASES: Table = Table {
    name: "freezer_api_leases",
    role: Role::Bookkeeping,
    owned: false,
    columns: &[
        text("name", 64).key(),
        text("holder", 36),
        integer("since"),
        integer("held_until"),
        integer("done_at"),
    ],
    computed: &[],
};

/// Which backups belong together; made again from those.
static SERIES: Table = Table {
    name: "freezer_api_series",
    role: Role::Bookkeeping,
    owned: true,
    columns: &[
        text("id", 36).key(),
        text("project_id", 36),
        text("job_id", 36),
        text("hostname", 255),
        text("backup_name", 255),
        text("container", 255),
        text("storage", 255),
        text("resource_id", 255),
        integer("backups"),
        integer("first_at"),
        integer("last_at"),
        text("last_backup_id", 36),
    ],
    computed: &[],
};

/// The series of each backup.
static BACKUP_SERIES: Table = Table {
    name: "freezer_api_backup_series",
    role: Role::Bookkeeping,
    owned: false,
    columns: &[
        text("backup_id", 36).key(),
        text("series_id", 36),
        integer("created_at"),
    ],
    computed: &[],
};

/// How hosts fare, which the next round finds again.
static HOSTS: Table = Table {
    name: "freezer_api_hosts",
    role: Role::Bookkeeping,
    owned: true,
    columns: &[
        text("id", 36).key(),
        text("project_id", 36),
        text("client_id", 255),
        text("hostname", 255),
        boolean("is_central"),
        boolean("is_registered"),
        text("state", 16),
        text("findings", 255),
        integer("jobs"),
        integer("active_jobs"),
        boolean("is_protected"),
        integer("last_success_at"),
        integer("due_at"),
        integer("running"),
        integer("running_since"),
        integer("failed_in_a_row"),
        integer("clock_skew"),
        text("job_findings", 255),
        boolean("is_red"),
    ],
    computed: &[],
};

/// What is wrong, which the next round finds again.
static PROBLEMS: Table = Table {
    name: "freezer_api_problems",
    role: Role::Bookkeeping,
    owned: true,
    columns: &[
        text("id", 36).key(),
        integer("urgency"),
        integer("since"),
        text("project_id", 36),
        text("client_id", 255),
        text("job_id", 36),
        text("series_id", 36),
        text("description", 255),
        integer("last_success_at"),
        integer("due_at"),
        integer("failed_in_a_row"),
        integer("clock_skew"),
    ],
    computed: &[],
};

/// How many runs each day had, also of days whose runs are forgotten.
static RUN_DAYS: Table = Table {
    name: "freezer_api_run_days",
    role: Role::History,
    owned: true,
    columns: &[
        text("project_id", 36).key(),
        integer("day").key(),
        text("state", 16).key(),
        integer("runs"),
        integer("seconds"),
        integer("longest"),
    ],
    computed: &[],
};

/// How many runs each hour of today and yesterday had, which the next round counts again.
static RUN_HOURS: Table = Table {
    name: "freezer_api_run_hours",
    role: Role::Bookkeeping,
    owned: true,
    columns: &[
        text("project_id", 36).key(),
        integer("hour").key(),
        text("state", 16).key(),
        integer("runs"),
        integer("seconds"),
        integer("longest"),
    ],
    computed: &[],
};

/// Its rows are made by registrations.
static CLIENT_REGISTRATIONS: Table = Table {
    name: "client_registrations",
    role: Role::Bookkeeping,
    owned: false,
    columns: &[text("client_id", 255).key(), integer("registrations")],
    computed: &[],
};

static FREEZER_API_VERSION: Table = Table {
    name: "freezer_api_version",
    role: Role::Bookkeeping,
    owned: false,
    columns: &[text("version_num", 32).key()],
    computed: &[],
};

/// All tables but those of other tools (`alembic_version`, `migrate_version`). What refers to others comes after them.
pub(crate) static TABLES: [&Table; 20] = [
    &CLIENTS,
    &SESSIONS,
    &ACTIONS,
    &JOBS,
    &JOB_ACTIONS,
    &USER_CREDENTIALS,
    &BACKUPS,
    &ACTION_REPORTS,
    &LEFTOVERS,
    &RUNS,
    &RUN_DAYS,
    &RUN_HOURS,
    &CLIENT_ACTIVITY,
    &HOSTS,
    &PROBLEMS,
    &LEASES,
    &SERIES,
    &BACKUP_SERIES,
    &CLIENT_REGISTRATIONS,
    &FREEZER_API_VERSION,
];

/// The tables that the Python service has too.
pub(crate) fn shared_tables() -> impl Iterator<Item = &'static Table> {
    TABLES
        .into_iter()
        .filter(|table| table.role == Role::Shared)
}

/// The tables whose rows are worth carrying to another database.
pub(crate) fn carried_tables() -> impl Iterator<Item = &'static Table> {
    TABLES
        .into_iter()
        .filter(|table| table.role != Role::Bookkeeping)
}

/// The columns with whole documents, with their tables.
pub(crate) fn documents() -> impl Iterator<Item = (&'static Table, &'static Column)> {
    shared_tables().flat_map(|table| {
        let documents = table.columns.iter().filter(|column| column.is_document());
        documents.map(move |column| (table, column))
    })
}
