//! The tables: made, upgraded from every layout that was ever deployed, and compared with those of the reference.
//!
//! `tests/oracle/layouts.py` makes the old layouts with the reference's own migrations, fills them and compares every
//! value after the upgrade.

mod documents;
mod downgrade;
pub(crate) mod schema;

use std::collections::HashSet;
use std::process::{Command, Output};
use std::thread;

use freezer_api::clock::{Clock, Ids};
use freezer_api::config::{self, Config};
use freezer_api::schema::SchemaState;
use freezer_api::store::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::manage;
use crate::support::{Database, Engine, Service, python};
use schema::{columns, schema};

/// The reference's revisions, from the first to its head.
const REVISIONS: [&str; 9] = [
    "1333cef214d9",
    "e74c32f034c5",
    "23c8ad2655a6",
    "29a2fd19eb86",
    "30a3fd20ec97",
    "4f8c679a1d3b",
    "a1b2c3d4e5f6",
    "5c9d21e87f34",
    "7a3b9c1d2e4f",
];
/// The layouts from before Alembic, and what the reference makes of the last of them. The reference cannot make tables on
/// PostgreSQL, so there only the specification's is possible.
const LEGACY: [&str; 5] = [
    "spec",
    "migrate1",
    "migrate2",
    "migrate3",
    "migrate3-stamped",
];

/// Runs `freezer-manage db …` and returns what it printed.
fn db(database: &Database, arguments: &[&str]) -> String {
    let output = try_db(database, arguments);
    assert!(
        output.status.success(),
        "db {arguments:?}: {}",
        text(&output)
    );
    text(&output)
}

fn try_db(database: &Database, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["db"].iter().chain(arguments).copied().collect();
    manage(&database.configuration(), &arguments)
}

fn text(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr];
    parts.map(|part| String::from_utf8_lossy(part)).concat()
}

async fn connect(database: &Database) -> Store {
    let config = Config {
        database: config::Database {
            connection: Some(database.url().parse().unwrap()),
            ..config::Database::default()
        },
        ..Config::default()
    };
    Store::connect(&config.database, Clock::System, Ids::Random)
        .await
        .unwrap()
}

/// Runs the oracle with the Python environment.
fn oracle(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/layouts.py");
    let output = Command::new(python()).arg(script).args(arguments).output();
    output.unwrap()
}

/// Makes and fills the tables of `layout`; the file in the folder holds all rows.
fn make(database: &Database, layout: &str) -> TempDir {
    if database.engine() == Engine::Postgres && REVISIONS.contains(&layout) {
        db(database, &["sync", layout]);
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let output = oracle(&["make", &database.url(), layout, state.to_str().unwrap()]);
    assert!(output.status.success(), "{layout}: {}", text(&output));
    folder
}

fn assert_nothing_is_lost(database: &Database, layout: &str, state: &TempDir) {
    let state = state.path().join("state.json");
    let output = oracle(&["check", &database.url(), state.to_str().unwrap()]);
    assert!(output.status.success(), "{layout}:\n{}", text(&output));
}

/// All rows of before.
fn noted(state: &TempDir) -> Value {
    let text = std::fs::read_to_string(state.path().join("state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

on_each_engine! {
    async fn a_first_sync_makes_the_tables_and_a_second_nothing(database: Database) {
        let store = connect(&database).await;
        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Empty);
        let plan = db(&database, &["sync", "--dry-run"]);
        assert!(plan.contains("CREATE TABLE jobs"), "{plan}");
        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Empty);
        db(&database, &["sync"]);
        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
        let made = schema(&database).await;
        assert_eq!(db(&database, &["update"]), "nothing to do\n");
        assert_eq!(db(&database, &["sync", "--dry-run"]), "-- nothing to do\n");
        assert_eq!(schema(&database).await, made);
        let tables: Vec<String> = serde_json::from_str(&db(&database, &["show"])).unwrap();
        assert!(tables.contains(&"user_credentials".to_owned()), "{tables:?}");
    }
}

on_each_engine! {
    async fn two_syncs_at_once_are_one(database: Database) {
        let start = || {
            let configuration = database.configuration();
            thread::spawn(move || manage(&configuration, &["db", "sync"]))
        };
        let running = [start(), start(), start()];
        for sync in running {
            let output = sync.join().unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
        let alone = Database::create(database.engine()).await;
        db(&alone, &["sync"]);
        assert_eq!(schema(&database).await, schema(&alone).await);
    }
}

on_each_engine! {
    async fn revisions_that_nobody_knows_are_refused(database: Database) {
        db(&database, &["sync"]);
        let store = connect(&database).await;
        for (table, head) in [("alembic_version", "7a3b9c1d2e4f"), ("freezer_api_version", "0011")] {
            database.run(format!("UPDATE {table} SET version_num = 'ffff'")).await;
            let output = try_db(&database, &["sync"]);
            assert!(!output.status.success());
            assert!(text(&output).contains(&format!("revision ffff (table {table})")), "{}", text(&output));
            assert!(matches!(store.schema_state().await.unwrap(), SchemaState::Unknown { .. }));
            database.run(format!("UPDATE {table} SET version_num = '{head}'")).await;
        }
        assert!(text(&try_db(&database, &["sync", "12"])).contains("12 is not a revision"));
        assert!(text(&try_db(&database, &["sync", "1333cef214d9"])).contains("only goes forward"));
    }
}

on_each_engine! {
    async fn tables_of_unknown_origin_are_left_alone(database: Database) {
        database.run("CREATE TABLE jobs (id INTEGER)".to_owned()).await;
        let output = try_db(&database, &["sync"]);
        assert!(!output.status.success());
        assert!(text(&output).contains("the tables jobs, but no revision"), "{}", text(&output));
        assert!(!try_db(&database, &["remove", "--yes"]).status.success());
    }
}

on_each_engine! {
    async fn remove_wants_a_yes_and_drops_all(database: Database) {
        db(&database, &["sync"]);
        assert!(!try_db(&database, &["remove"]).status.success());
        db(&database, &["remove", "--yes"]);
        assert_eq!(db(&database, &["show"]), "[]\n");
    }
}

on_each_engine! {
    needs "needs Python with the reference: ./test installs it":
    async fn every_alembic_revision_is_upgraded(database: Database) {
        upgraded(&database, &REVISIONS).await;
    }
}

on_each_engine! {
    needs "needs Python with the reference: ./test installs it":
    async fn every_layout_from_before_alembic_is_upgraded(database: Database) {
        match database.engine() {
            Engine::Postgres => upgraded(&database, &["spec"]).await,
            Engine::MySql | Engine::Sqlite => upgraded(&database, &LEGACY).await,
        }
    }
}

/// Upgrades each layout in a database of its own; `fresh` becomes what they are to be equal to.
async fn upgraded(fresh: &Database, layouts: &[&str]) {
    db(fresh, &["sync"]);
    let wanted = schema(fresh).await;
    for layout in layouts {
        let old = Database::create(fresh.engine()).await;
        let state = make(&old, layout);
        db(&old, &["sync"]);
        assert_nothing_is_lost(&old, layout, &state);
        assert_eq!(schema(&old).await, wanted, "{layout}");
        let service = Service::start(&old).await;
        documents::assert_found(&service, layout, &noted(&state)).await;
        let found = connect(&old).await.schema_state().await.unwrap();
        assert_eq!(found, SchemaState::Current);
    }
}

on_each_engine! {
    needs "needs Python with the reference: ./test installs it":
    async fn a_sync_that_is_killed_after_each_statement_goes_on(database: Database) {
        db(&database, &["sync"]);
        let wanted = schema(&database).await;
        let layouts: &[&str] = match database.engine() {
            Engine::Postgres => &["spec", "1333cef214d9"],
            Engine::MySql | Engine::Sqlite => &["spec", "migrate1"],
        };
        for layout in layouts {
            let old = Database::create(database.engine()).await;
            let state = make(&old, layout);
            let kills = with_kills(&old, "sync");
            assert!(kills > 15, "{layout}: only {kills} kills");
            assert_nothing_is_lost(&old, layout, &state);
            assert_eq!(schema(&old).await, wanted, "{layout}");
        }
    }
}

on_each_engine! {
    needs "needs Python with the reference: ./test installs it":
    async fn old_documents_are_found_through_the_api(database: Database) {
        make(&database, "spec");
        db(&database, &["sync"]);
        let service = Service::start(&database).await;
        let client = service.get("clients/node1").await.expect(200).json();
        assert_eq!(client["client"]["description"], "Zürich 東京 ' \" \\ %");
        assert_eq!(client["client"]["is_central"], false);
        let job = service.get("jobs/job-plain").await.expect(200).json();
        assert_eq!(job["job_schedule"]["note"], "日本");
        let actions: Vec<&Value> = ["a1", "", "a1"]
            .iter()
            .zip(job["job_actions"].as_array().unwrap())
            .map(|(id, action)| {
                assert!(id.is_empty() || action["action_id"] == **id, "{action}");
                &action["freezer_action"]
            })
            .collect();
        assert_eq!(actions.len(), 3);
        assert_eq!(actions[0]["path_to_backup"], "/ä b");
        assert_eq!(actions[1]["path_to_backup"], "/東京");
        assert_eq!(actions[1]["nested"], json!({"x": [1]}));
        let large = service.get("actions/a2").await.expect(200).json();
        assert_eq!(large["freezer_action"]["note"], "é".repeat(10_000));
        let session = service.get("sessions/s1").await.expect(200).json();
        assert_eq!(session["schedule"]["schedule_interval"], "1 days");
        assert_eq!(session["jobs"]["job-plain"]["result"], "é");
        let backup = service.get("backups/b1").await.expect(200).json();
        assert_eq!(backup["status"], "available");
        assert_eq!(backup["backup_metadata"]["client_id"], "node1");
        assert_eq!(backup["backup_metadata"]["container"], "/日本");
        let lists = [("clients", 3), ("actions", 8), ("jobs", 12), ("sessions", 2), ("backups", 4)];
        for (kind, count) in lists {
            let list = service.get(&format!("{kind}?limit=100")).await.expect(200).json();
            assert_eq!(list[kind].as_array().unwrap().len(), count, "{kind}");
        }
    }
}

/// Kills one migration after the other, so that each statement is once the last that was done, until one comes to its end;
/// how many were killed.
fn with_kills(database: &Database, direction: &str) -> usize {
    let mut last_ones = HashSet::new();
    let mut after = 1;
    for kills in 0..500 {
        let Err(output) = killed(database, direction, after) else {
            return kills;
        };
        let is_new = last_ones.insert(text(&output).lines().last().map(str::to_owned));
        // Where a transaction undoes what was done, the next has to come further.
        after = match database.engine() {
            Engine::MySql if is_new => 1,
            _ => after + 1,
        };
    }
    panic!("the {direction} comes to no end");
}

/// Runs a migration that is killed after so many statements, unless it comes to its end before.
fn killed(database: &Database, direction: &str, after: u64) -> Result<(), Output> {
    let output = try_db(database, &[direction, "--abort-after", &after.to_string()]);
    if output.status.success() {
        return Ok(());
    }
    // Killed, not failed: a failure has an exit code.
    assert_eq!(output.status.code(), None, "{}", text(&output));
    Err(output)
}

/// Makes a test on SQLite and one on MariaDB: the reference does not work with PostgreSQL.
macro_rules! on_engines_of_the_reference {
    ($name:ident, $body:ident) => {
        mod $name {
            use super::*;

            #[tokio::test]
            #[ignore = "needs Python with the reference: ./test installs it"]
            async fn sqlite() {
                $body(Database::create(Engine::Sqlite).await).await;
            }

            #[tokio::test]
            #[ignore = "needs MariaDB, and Python with the reference: ./test starts them"]
            async fn mariadb() {
                $body(Database::create(Engine::MySql).await).await;
            }
        }
    };
}

/// Ours has all that the reference's has, and the additions that are listed here.
async fn tables_are_those_of_the_reference(ours: Database) {
    let engine = ours.engine();
    let theirs = Database::create(engine).await;
    make(&theirs, "7a3b9c1d2e4f");
    db(&ours, &["sync"]);
    let (ours, theirs) = (columns(&ours).await, columns(&theirs).await);
    let documents = [
        ("actions", "backup_metadata"),
        ("backups", "backup_metadata"),
        ("jobs", "schedule"),
        ("sessions", "job"),
        ("sessions", "schedule"),
    ];
    for (place, theirs) in &theirs {
        let (table, column) = (place.0.as_str(), place.1.as_str());
        let wanted = match (engine, table, column) {
            (Engine::MySql, "clients", "hostname") => theirs.replace("128", "255"),
            (Engine::MySql, ..) if documents.contains(&(table, column)) => {
                theirs.replace("text", "mediumtext")
            }
            _ => theirs.clone(),
        };
        assert_eq!(ours.get(place), Some(&wanted), "{table}.{column}");
    }
    let added: Vec<String> = ours
        .keys()
        .filter(|place| !theirs.contains_key(*place))
        .map(|(table, column)| format!("{table}.{column}"))
        .collect();
    let mut wanted = vec![
        "client_registrations.client_id",
        "client_registrations.registrations",
        "freezer_api_backup_series.backup_id",
        "freezer_api_backup_series.created_at",
        "freezer_api_backup_series.series_id",
        "freezer_api_client_activity.addresses",
        "freezer_api_client_activity.agent_version",
        "freezer_api_client_activity.client_id",
        "freezer_api_client_activity.last_poll_at",
        "freezer_api_client_activity.os",
        "freezer_api_client_activity.poll_interval",
        "freezer_api_client_activity.polls",
        "freezer_api_client_activity.project_id",
        "freezer_api_client_activity.restarts",
        "freezer_api_hosts.active_jobs",
        "freezer_api_hosts.client_id",
        "freezer_api_hosts.clock_skew",
        "freezer_api_hosts.due_at",
        "freezer_api_hosts.failed_in_a_row",
        "freezer_api_hosts.findings",
        "freezer_api_hosts.hostname",
        "freezer_api_hosts.id",
        "freezer_api_hosts.is_central",
        "freezer_api_hosts.is_protected",
        "freezer_api_hosts.is_red",
        "freezer_api_hosts.is_registered",
        "freezer_api_hosts.job_findings",
        "freezer_api_hosts.jobs",
        "freezer_api_hosts.last_success_at",
        "freezer_api_hosts.project_id",
        "freezer_api_hosts.running",
        "freezer_api_hosts.running_since",
        "freezer_api_hosts.state",
        "freezer_api_leases.done_at",
        "freezer_api_leases.held_until",
        "freezer_api_leases.holder",
        "freezer_api_leases.name",
        "freezer_api_leases.since",
        "freezer_api_leftovers.column_name",
        "freezer_api_leftovers.position",
        "freezer_api_leftovers.reason",
        "freezer_api_leftovers.row_id",
        "freezer_api_leftovers.table_name",
        "freezer_api_leftovers.value",
        "freezer_api_problems.client_id",
        "freezer_api_problems.clock_skew",
        "freezer_api_problems.description",
        "freezer_api_problems.due_at",
        "freezer_api_problems.failed_in_a_row",
        "freezer_api_problems.id",
        "freezer_api_problems.job_id",
        "freezer_api_problems.last_success_at",
        "freezer_api_problems.project_id",
        "freezer_api_problems.series_id",
        "freezer_api_problems.since",
        "freezer_api_problems.urgency",
        "freezer_api_run_days.day",
        "freezer_api_run_days.longest",
        "freezer_api_run_days.project_id",
        "freezer_api_run_days.runs",
        "freezer_api_run_days.seconds",
        "freezer_api_run_days.state",
        "freezer_api_run_hours.hour",
        "freezer_api_run_hours.longest",
        "freezer_api_run_hours.project_id",
        "freezer_api_run_hours.runs",
        "freezer_api_run_hours.seconds",
        "freezer_api_run_hours.state",
        "freezer_api_runs.actions",
        "freezer_api_runs.attempts",
        "freezer_api_runs.client_id",
        "freezer_api_runs.ended_at",
        "freezer_api_runs.id",
        "freezer_api_runs.job_id",
        "freezer_api_runs.project_id",
        "freezer_api_runs.seen_ended_at",
        "freezer_api_runs.seen_started_at",
        "freezer_api_runs.session_id",
        "freezer_api_runs.session_tag",
        "freezer_api_runs.started_at",
        "freezer_api_runs.state",
        "freezer_api_series.backup_name",
        "freezer_api_series.backups",
        "freezer_api_series.container",
        "freezer_api_series.first_at",
        "freezer_api_series.hostname",
        "freezer_api_series.id",
        "freezer_api_series.job_id",
        "freezer_api_series.last_at",
        "freezer_api_series.last_backup_id",
        "freezer_api_series.project_id",
        "freezer_api_series.resource_id",
        "freezer_api_series.storage",
        "freezer_api_version.version_num",
    ];
    if engine == Engine::MySql {
        let indexed = [
            "actions.names_client_id",
            "backups.metadata_backup_name",
            "backups.metadata_client_id",
            "backups.metadata_container",
            "backups.metadata_hostname",
            "backups.metadata_job_id",
        ];
        wanted.splice(0..0, indexed);
    }
    assert_eq!(added, wanted, "{engine:?}");
}

on_engines_of_the_reference!(
    the_tables_are_those_of_the_reference,
    tables_are_those_of_the_reference
);

/// What the reference's own database code writes on our tables, both read as the same documents. (It does not work with
/// PostgreSQL: it writes its documents as bytes, which are no text there.)
async fn reference_works_on_our_tables(database: Database) {
    db(&database, &["sync"]);
    let written = oracle(&["orm", &database.url(), "write"]);
    assert!(written.status.success(), "{}", text(&written));
    let read = oracle(&["orm", &database.url(), "read"]);
    assert!(read.status.success(), "{}", text(&read));
    let theirs: Value = serde_json::from_slice(&read.stdout).unwrap();
    let ours = documents(&database).await;
    assert_eq!(ours, theirs, "{:?}", database.engine());
}

on_engines_of_the_reference!(
    the_reference_works_on_our_tables,
    reference_works_on_our_tables
);

async fn documents(database: &Database) -> Value {
    let service = Service::start(database).await;
    let mut all = serde_json::Map::new();
    for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
        let path = format!("/v2/p1/{kind}?limit=100");
        let list = service.get(&path).await.expect(200).json();
        all.insert(kind.to_owned(), list[kind].clone());
    }
    all.into()
}

#[test]
fn each_engine_has_the_same_scripts() {
    let names = |engine: &str| {
        let folder = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("mysql"), names("postgres"));
    assert_eq!(names("mysql"), names("sqlite"));
}
