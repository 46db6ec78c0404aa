//! `freezer-manage db purge`, `db check`, `db copy`, `export` and `import` on documents that the API made.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use freezer_api::schema::ColumnDifference;
use serde_json::{Value, json};

use crate::migrations::schema::texts;
use crate::support::process::manage;
use crate::support::{Database, Engine, Service, engines};

/// Runs `freezer-manage` on a database; what it printed and whether it succeeded.
fn run(database: &Database, arguments: &[&str]) -> (String, bool) {
    let output = manage(&database.configuration(), arguments);
    let parts = [&output.stdout, &output.stderr];
    let text = parts.map(|part| String::from_utf8_lossy(part)).concat();
    (text, output.status.success())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[track_caller]
fn succeeds(database: &Database, arguments: &[&str]) -> String {
    let (text, success) = run(database, arguments);
    assert!(success, "{arguments:?}: {text}");
    text
}

/// What docs/upgrading.md says to type, in its order.
#[tokio::test]
async fn the_commands_of_the_upgrade_guide_run() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("F"), database.configuration()).unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/upgrading.md");
    let guide = fs::read_to_string(guide).unwrap();
    let commands = guide.lines().map(str::trim);
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("freezer-manage"))
        .collect();
    assert_eq!(commands.len(), 7, "{commands:?}");
    for command in commands {
        let (program, arguments) = command.split_once(' ').unwrap();
        let is_check = program == "freezer-manager-status";
        let program = match is_check {
            true => env!("CARGO_BIN_EXE_freezer-manager-status"),
            false => env!("CARGO_BIN_EXE_freezer-manage"),
        };
        if arguments.contains(" export ") {
            // The downgrade before it is another way back.
            succeeds(&database, &["db", "sync"]);
        }
        let output = Command::new(program)
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        // Before the upgrade the check warns of tables that are behind.
        assert!(code == i32::from(is_check), "{command}: {output:?}");
    }
}

/// `freezer-manager-status upgrade check --json`: its exit code, and the result of each check by its name.
pub(crate) fn status(database: &Database) -> (i32, Vec<(String, i64)>) {
    status_with(&database.configuration())
}

pub(crate) fn status_with(configuration: &str) -> (i32, Vec<(String, i64)>) {
    let output = upgrade_check(configuration);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap().iter();
    let results = checks.map(|check| {
        let name = check["check"].as_str().unwrap().to_owned();
        (name, check["result"].as_i64().unwrap())
    });
    (output.status.code().unwrap(), results.collect())
}

/// What it prints.
pub(crate) fn upgrade_check(configuration: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("freezer-api.conf");
    fs::write(&file, configuration).unwrap();
    Command::new(env!("CARGO_BIN_EXE_freezer-manager-status"))
        .arg("--config-file")
        .arg(&file)
        .args(["upgrade", "check", "--json"])
        .output()
        .unwrap()
}

on_each_engine! {
    async fn the_upgrade_check_tells_what_is_to_be_done(database: Database) {
        let result = |checks: &[(String, i64)], name: &str| checks.iter().find(|check| check.0 == name).map(|check| check.1);
        let (code, checks) = status(&database);
        assert_eq!((code, result(&checks, "Database Revision")), (1, Some(1)));
        let service = Service::start(&database).await;
        fill(&service).await;
        let (code, checks) = status(&database);
        assert_eq!(code, 0, "{checks:?}");
        assert_eq!(checks.len(), 9);
        let memcached = format!("{}\n[keystone_authtoken]\nmemcached_servers = 127.0.0.1:1\n", database.configuration());
        let (code, checks) = status_with(&memcached);
        assert_eq!((code, result(&checks, "Tokens in Memcached")), (1, Some(1)));
        let (code, _) = status_with(&format!("{memcached}memcache_secret_key = k\n"));
        assert_eq!(code, 0);
        database.run("UPDATE sessions SET session_tag = 2147483640".to_owned()).await;
        database.run("UPDATE clients SET client_id = 'same', deleted = FALSE".to_owned()).await;
        let (code, checks) = status(&database);
        assert_eq!(code, 1);
        for name in ["Duplicate Clients", "Consistent Rows", "Columns Near Their Limits"] {
            assert_eq!(result(&checks, name), Some(1), "{checks:?}");
        }
        database.run("UPDATE alembic_version SET version_num = 'ffff'".to_owned()).await;
        let (code, checks) = status(&database);
        assert_eq!((code, result(&checks, "Database Revision")), (2, Some(2)));
    }
}

/// One document of each kind that is there, and one that is deleted. The ids of the job and of the session.
async fn fill(service: &Service) -> (String, String) {
    service.client("node1").await;
    service.client("gone").await;
    let mut action =
        json!({"freezer_action": {"action": "backup", "mode": "fs", "path_to_backup": "/ä 😀"}});
    let action_id = service
        .created("actions", action.clone(), "action_id")
        .await;
    action["action_id"] = json!(action_id);
    let job = json!({"client_id": "node1", "description": "日本 '\"\\", "job_actions": [
        action,
        {"freezer_action": {"action": "restore", "restore_abs_path": "/"}},
    ]});
    let job_id = service.created("jobs", job, "job_id").await;
    let gone = service.job("node1").await;
    let session_id = service.session().await;
    service
        .put(&format!("sessions/{session_id}/jobs/{job_id}"))
        .await
        .expect(204);
    let backup =
        json!({"backup_name": "b", "container": "c", "hostname": "h", "large": "é".repeat(50_000)});
    service
        .created("backups", backup.clone(), "backup_id")
        .await;
    let backup = service.created("backups", backup, "backup_id").await;
    for path in [
        "clients/gone",
        &format!("jobs/{gone}"),
        &format!("backups/{backup}"),
    ] {
        service.delete(path).await.expect(204);
    }
    (job_id, session_id)
}

/// All lists.
async fn lists(service: &Service) -> Value {
    let mut all = json!({});
    for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
        all[kind] = service.get(kind).await.expect(200).json()[kind].take();
        assert_ne!(all[kind], json!([]), "{kind}");
    }
    all
}

on_each_engine! {
    async fn a_copy_has_every_row_on_every_engine(database: Database) {
        let service = Service::start(&database).await;
        fill(&service).await;
        let wanted = lists(&service).await;
        for engine in engines() {
            let other = Database::create(engine).await;
            let copy = ["db", "copy", "--from", &database.url(), "--to", &other.url()];
            let first = succeeds(&database, &copy);
            assert!(first.contains("jobs: 2 rows read, 2 rows there, equal"), "{first}");
            // Again, as after an interruption: what is there stays.
            succeeds(&database, &copy);
            assert_eq!(lists(&Service::start(&other).await).await, wanted, "{engine:?}");
            other.run("UPDATE jobs SET description = 'other'".to_owned()).await;
            let (different, success) = run(&database, &copy);
            assert!(!success);
            assert!(different.contains("jobs: 2 rows read, 2 rows there, NOT equal"), "{different}");
        }
    }
}

on_each_engine! {
    async fn the_catalogue_has_every_column_of_the_database(database: Database) {
        let service = Service::start(&database).await;
        let store = &service.api.catalogue.store;
        assert_eq!(store.column_differences().await.unwrap(), []);
        // A column that nobody placed is not left behind in silence.
        let other = Database::create(Engine::Sqlite).await;
        succeeds(&other, &["db", "sync"]);
        database.run("ALTER TABLE jobs ADD COLUMN extra VARCHAR(10)".to_owned()).await;
        let unknown = ColumnDifference::Unknown { table: "jobs", column: "extra".to_owned() };
        assert_eq!(store.column_differences().await.unwrap(), [unknown]);
        for (from, to) in [(&database, &other), (&other, &database)] {
            let (refused, success) = run(&database, &["db", "copy", "--from", &from.url(), "--to", &to.url()]);
            assert!(!success && refused.contains("jobs.extra is a column that this program does not know"), "{refused}");
        }
        database.run("ALTER TABLE jobs DROP COLUMN extra".to_owned()).await;
        if database.engine() == Engine::Sqlite {
            return;
        }
        let narrow = match database.engine() {
            Engine::MySql => "ALTER TABLE clients MODIFY description VARCHAR(9), MODIFY hostname INT",
            _ => "ALTER TABLE clients ALTER description TYPE VARCHAR(9), ALTER hostname TYPE INT USING 1",
        };
        database.run(narrow.to_owned()).await;
        let differences = store.column_differences().await.unwrap();
        let words: Vec<String> = differences.iter().map(ColumnDifference::to_string).collect();
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].starts_with("clients.hostname has the unexpected type int"), "{words:?}");
        assert_eq!(words[1], "clients.description holds 9 characters instead of 255");
    }

    async fn a_removed_database_has_no_table_left(database: Database) {
        let service = Service::start(&database).await;
        let store = &service.api.catalogue.store;
        store.db_remove().await.unwrap();
        assert_eq!(store.tables().await.unwrap(), [""; 0]);
    }

    async fn impossible_times_are_copied_as_null(database: Database) {
        if database.engine() != Engine::MySql {
            return;
        }
        let service = Service::start(&database).await;
        fill(&service).await;
        let wanted = lists(&service).await;
        for time in ["0000-00-00 00:00:00", "2020-00-00 00:00:00", "2020-02-30 00:00:00"] {
            let update = format!("UPDATE clients SET updated_at = '{time}' WHERE client_id = 'node1'");
            database.run(format!("SET sql_mode = 'ALLOW_INVALID_DATES'; {update}")).await;
            for engine in engines() {
                let other = Database::create(engine).await;
                let copied = succeeds(&database, &["db", "copy", "--from", &database.url(), "--to", &other.url()]);
                assert!(copied.contains(&format!("updated_at is {time}.000000, which is not a date")), "{copied}");
                assert_eq!(lists(&Service::start(&other).await).await, wanted, "{engine:?}");
            }
        }
    }
}

on_each_engine! {
    async fn purge_removes_what_is_deleted_for_long(database: Database) {
        let service = Service::start(&database).await;
        fill(&service).await;
        let wanted = lists(&service).await;
        // The service's clock stands in 2023.
        let nothing = succeeds(&database, &["db", "purge", "--older-than", "1000w"]);
        assert!(nothing.contains("jobs: 0 rows removed"), "{nothing}");
        let dry = succeeds(&database, &["db", "purge", "--older-than", "30d", "--dry-run"]);
        assert!(dry.contains("jobs: 1 rows would be removed"), "{dry}");
        let purged = succeeds(&database, &["db", "purge", "--older-than", "30d", "--batch", "1"]);
        for table in ["jobs", "backups", "clients"] {
            assert!(purged.contains(&format!("{table}: 1 rows removed")), "{purged}");
            let left = texts(&database, &format!("SELECT id FROM {table} WHERE deleted = TRUE")).await;
            assert!(left.is_empty(), "{left:?}");
        }
        let names = texts(&database, "SELECT client_id FROM client_registrations").await;
        let clients = texts(&database, "SELECT DISTINCT client_id FROM clients").await;
        assert_eq!(names.iter().collect::<BTreeSet<_>>(), clients.iter().collect(), "{purged}");
        assert_eq!(lists(&service).await, wanted);
        let (wrong, success) = run(&database, &["db", "purge", "--older-than", "30"]);
        assert!(!success && wrong.contains("wanted is for example 30d, 12h"), "{wrong}");
    }
}

on_each_engine! {
    async fn check_finds_and_mends(database: Database) {
        let service = Service::start(&database).await;
        let (job, session) = fill(&service).await;
        succeeds(&database, &["db", "check"]);
        database.run(format!("UPDATE jobs SET deleted = TRUE WHERE id = '{job}'")).await;
        database.run("UPDATE backups SET backup_metadata = '{' WHERE deleted = FALSE".to_owned()).await;
        let other = service.job("node1").await;
        database.run(format!("UPDATE jobs SET session_id = 'nowhere' WHERE id = '{other}'")).await;
        let without_keys = match database.engine() {
            Engine::Sqlite => "PRAGMA foreign_keys = OFF",
            Engine::MySql => "SET foreign_key_checks = 0",
            Engine::Postgres => "SET session_replication_role = replica",
        };
        let orphans = format!(
            "INSERT INTO job_actions (id, job_id, action_id, deleted) VALUES ('orphan', 'no', 'no', FALSE), \
             ('dangling', '{other}', 'no', FALSE)"
        );
        database.run(format!("{without_keys}; {orphans}")).await;
        let (found, success) = run(&database, &["db", "check"]);
        assert!(!success);
        for line in [
            format!("jobs {other}: its session does not exist"),
            "job_actions orphan: its job does not exist; --fix: the row is removed".to_owned(),
            "job_actions dangling: its action does not exist, so the job lacks it; --fix: the row is marked as deleted".to_owned(),
            format!("sessions {session}: it names jobs that do not exist: {job}"),
            "backup_metadata is not valid JSON".to_owned(),
            "0 repaired, 5 left".to_owned(),
        ] {
            assert!(found.contains(&line), "{line}:\n{found}");
        }
        let (repaired, _) = run(&database, &["db", "check", "--fix"]);
        assert!(repaired.contains("4 repaired, 1 left"), "{repaired}");
        let (rest, success) = run(&database, &["db", "check", "--dry-run"]);
        assert!(!success && rest.contains("0 repaired, 1 left"), "{rest}");
        let document = service.get(&format!("sessions/{session}")).await.expect(200).json();
        assert!(document["jobs"].as_object().is_none_or(|jobs| jobs.is_empty()), "{document}");
        // A client that is gone, and one that is there twice.
        database.run("UPDATE clients SET client_id = 'renamed', deleted = FALSE".to_owned()).await;
        let (found, _) = run(&database, &["db", "check"]);
        assert!(found.contains(&format!("jobs {other}: its client is not registered")), "{found}");
        assert!(found.contains("clients renamed: registered more than once in project p1"), "{found}");
    }
}

on_each_engine! {
    async fn an_export_can_be_imported_twice(database: Database) {
        let service = Service::start(&database).await;
        fill(&service).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.jsonl");
        let file = path.to_str().unwrap();
        succeeds(&database, &["export", "--output", file]);
        let text = fs::read_to_string(&path).unwrap();
        // It has credentials of trusts in it.
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, format!("{text}{text}")).unwrap();
        succeeds(&database, &["export", "--output", file]);
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (0o600, text.clone()));
        for engine in engines() {
            let other = Database::create(engine).await;
            succeeds(&other, &["db", "sync"]);
            let lines = text.lines().count();
            let dry = succeeds(&other, &["import", "--dry-run", file]);
            assert_eq!(dry, format!("{lines} lines can be read\n"));
            let first = succeeds(&other, &["import", file]);
            assert!(first.contains(&format!("{lines} lines, {lines} rows are new")), "{first}");
            let second = succeeds(&other, &["import", file]);
            assert!(second.contains(&format!("{lines} lines, 0 rows are new")), "{second}");
            assert_eq!(lists(&Service::start(&other).await).await, lists(&service).await);
        }
        assert_eq!(manage(&database.configuration(), &["export", "--project", "p1"]).stdout, text.as_bytes());
        assert!(manage(&database.configuration(), &["export", "--project", "p2"]).stdout.is_empty());
        for touched in [format!("\u{feff}{text}"), text.replace('\n', "\r\n\n"), text.trim_end().to_owned()] {
            let other = Database::create(database.engine()).await;
            succeeds(&other, &["db", "sync"]);
            fs::write(&path, touched).unwrap();
            succeeds(&other, &["import", file]);
            assert_eq!(manage(&other.configuration(), &["export"]).stdout, text.as_bytes());
        }
        fs::write(&path, "{\"table\": \"jobs\", \"row\": {\"id\": 7}}\n").unwrap();
        let (wrong, success) = run(&database, &["import", file]);
        assert!(!success && wrong.contains("line 1: id is 7, wanted a string or null"), "{wrong}");
    }
}

on_each_engine! {
    async fn a_copy_needs_no_password_on_the_command_line(database: Database) {
        let service = Service::start(&database).await;
        fill(&service).await;
        let other = Database::create(Engine::Sqlite).await;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target.conf");
        fs::write(&target, other.configuration()).unwrap();
        let target = target.to_str().unwrap();
        let copied = succeeds(&database, &["db", "copy", "--to-config-file", target]);
        assert!(copied.contains("jobs: 2 rows read, 2 rows there, equal"), "{copied}");
        let third = Database::create(Engine::Sqlite).await;
        let output = Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
            .args(["db", "copy"])
            .env("FREEZER_COPY_FROM", database.url())
            .env("FREEZER_COPY_TO", third.url())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(lists(&Service::start(&third).await).await, lists(&service).await);
        // Without a place to write, and onto itself.
        assert!(!run(&database, &["db", "copy"]).1);
        let (refused, success) = run(&database, &["db", "copy", "--to", &database.url()]);
        assert!(!success && refused.contains("is the database to read and the database to write"), "{refused}");
    }

    async fn a_reader_that_goes_away_ends_an_export_quietly(database: Database) {
        let service = Service::start(&database).await;
        for number in 0..40 {
            let backup = json!({"backup_name": "b", "container": "c", "hostname": "h", "large": "x".repeat(10_000), "number": number});
            service.created("backups", backup, "backup_id").await;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("freezer-api.conf");
        fs::write(&file, database.configuration()).unwrap();
        let mut export = Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
            .arg("--config-file")
            .arg(&file)
            .arg("export")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // More than a pipe holds, so that it is still writing.
        drop(export.stdout.take());
        let ended = export.wait_with_output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    }
}
