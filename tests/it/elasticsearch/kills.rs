//! An import that is killed in the middle of a transaction, and run again: at ten points, which a trigger holds until the kill has
//! come. At the end all is as if nothing had happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{PROJECT, USER, dump, import, lines, verify};
use crate::migrations::schema::texts;
use crate::support::{Database, Engine, Service};

/// How many points there are in each table, in the order in which rows come into them. Those of backups are in different batches.
const POINTS: [(&str, usize); 8] = [
    ("clients", 1),
    ("actions", 2),
    ("jobs", 1),
    ("job_actions", 1),
    ("user_credentials", 1),
    ("sessions", 1),
    ("backups", 2),
    ("freezer_api_leftovers", 1),
];

/// The documents of two dumps, and so many backups that they take several batches.
fn documents() -> Vec<Value> {
    let mut documents = Vec::new();
    for name in ["es2-mixed", "os2-19.0.0"] {
        let text = fs::read_to_string(dump(name)).unwrap();
        documents.extend(
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
    }
    let mut backups = documents
        .iter()
        .filter(|hit| hit["_source"].get("backup_metadata").is_some());
    let backup = backups.next_back().unwrap().clone();
    for number in 0..600 {
        let mut copy = backup.clone();
        copy["_id"] = json!(format!("{number:032x}"));
        copy["_source"]["backup_id"] = copy["_id"].clone();
        documents.push(copy);
    }
    documents
}

/// Holds an INSERT of the row where `column` is `value`, until its connection is closed.
async fn hold(database: &Database, table: &str, column: &str, value: &str) {
    let condition = format!("NEW.{column} = '{value}'");
    let statements = match database.engine() {
        Engine::Sqlite => vec![
            "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n".to_owned(),
            format!("CREATE TRIGGER held BEFORE INSERT ON {table} WHEN {condition} BEGIN SELECT COUNT(*) FROM endless; END"),
        ],
        Engine::MySql => vec![format!(
            "CREATE TRIGGER held BEFORE INSERT ON {table} FOR EACH ROW BEGIN IF {condition} THEN DO SLEEP(600); END IF; END"
        )],
        Engine::Postgres => vec![
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'".to_owned(),
            format!("CREATE TRIGGER held BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION hold()"),
        ],
    };
    for statement in statements {
        database.run(statement).await;
    }
}

/// Whether an INSERT is held.
async fn is_held(database: &Database) -> bool {
    let name = database.name();
    match database.engine() {
        // Nobody else can write.
        Engine::Sqlite => {
            let options: sqlx::sqlite::SqliteConnectOptions = database.sqlx_url().parse().unwrap();
            let connection =
                sqlx::ConnectOptions::connect(&options.busy_timeout(Duration::from_millis(300)))
                    .await;
            sqlx::Executor::execute(&mut connection.unwrap(), "BEGIN IMMEDIATE")
                .await
                .is_err()
        }
        Engine::MySql => {
            let condition = format!("db = '{name}' AND state = 'User sleep'");
            database
                .rows("information_schema.processlist", &condition)
                .await
                > 0
        }
        Engine::Postgres => {
            let condition = format!("datname = '{name}' AND wait_event = 'PgSleep'");
            database.rows("pg_stat_activity", &condition).await > 0
        }
    }
}

/// Ends what was held, of which the server does not notice by itself that nobody waits for it.
async fn let_go(database: &Database, table: &str) {
    let name = database.name();
    let statements = match database.engine() {
        Engine::Sqlite => vec![
            "DROP TRIGGER held".to_owned(),
            "DROP VIEW endless".to_owned(),
        ],
        Engine::MySql => {
            let query = format!(
                "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE db = '{name}' AND state = 'User sleep'"
            );
            let held = texts(database, &query).await;
            let kills = held.iter().map(|id| format!("KILL {id}"));
            kills.chain(["DROP TRIGGER held".to_owned()]).collect()
        }
        Engine::Postgres => vec![
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'"
            ),
            format!("DROP TRIGGER held ON {table}"),
            "DROP FUNCTION hold()".to_owned(),
        ],
    };
    for statement in statements {
        database.run(statement).await;
    }
}

fn start(database: &Database, file: &Path, folder: &Path) -> Child {
    let configuration = folder.join("freezer-api.conf");
    fs::write(&configuration, database.configuration()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
        .args([
            "--config-file",
            configuration.to_str().unwrap(),
            "import",
            "elasticsearch",
            "--file",
        ])
        .arg(file)
        .args(["--project", &format!("{USER}={PROJECT}")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Imports until the row is held, and kills the import there.
async fn kill_at(database: &Database, file: &Path, [table, column, value]: [&str; 3]) {
    let folder = tempfile::tempdir().unwrap();
    hold(database, table, column, value).await;
    let mut import = start(database, file, folder.path());
    while !is_held(database).await {
        let ended = import.try_wait().unwrap();
        assert!(ended.is_none(), "{table} {value}: it was not held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // SIGKILL.
    import.kill().unwrap();
    import.wait().unwrap();
    let_go(database, table).await;
    let condition = format!("{column} = '{value}'");
    assert_eq!(database.rows(table, &condition).await, 0, "{table} {value}");
}

/// All rows but for the moments at which they were written, which some documents do not tell.
async fn state(database: &Database) -> BTreeSet<String> {
    let queries = [
        "SELECT CONCAT_WS('|', id, project_id, user_id, client_id, description) FROM clients",
        "SELECT CONCAT_WS('|', id, project_id, user_id, max_retries, backup_metadata) FROM actions",
        "SELECT CONCAT_WS('|', id, project_id, user_id, client_id, session_id, schedule) FROM jobs",
        "SELECT CONCAT_WS('|', id, job_id, action_id, position) FROM job_actions",
        "SELECT CONCAT_WS('|', id, job_id, trust_id, trustor_user_id) FROM user_credentials",
        "SELECT CONCAT_WS('|', id, project_id, user_id, status, schedule, job) FROM sessions",
        "SELECT CONCAT_WS('|', id, project_id, user_id, job_id, status, backup_metadata) FROM backups",
        "SELECT CONCAT_WS('|', table_name, row_id, column_name, value, reason) FROM freezer_api_leftovers",
        "SELECT CONCAT_WS('|', client_id, registrations) FROM client_registrations",
    ];
    let mut state = BTreeSet::new();
    for query in queries {
        let rows = texts(database, query).await;
        assert!(!rows.is_empty(), "{query}");
        state.extend(rows);
    }
    state
}

on_each_engine! {
    async fn an_import_that_is_killed_goes_on(database: Database) {
        let (_folder, file) = lines(&documents());
        let other = Database::create(database.engine()).await;
        let (_service, _other) = (Service::start(&database).await, Service::start(&other).await);
        let rule = format!("{USER}={PROJECT}");
        let whole = import(&other, &file, &["--project", &rule]).succeeds();
        let mut points = 0;
        for (table, number) in POINTS {
            let column = if table == "freezer_api_leftovers" { "row_id" } else { "id" };
            let ids = texts(&other, &format!("SELECT {column} FROM {table} ORDER BY {column}")).await;
            for at in 0..number {
                // The last one, and one from the middle, which is in a later batch where there are several.
                let id = &ids[if at == 0 { ids.len() - 1 } else { ids.len() / 2 }];
                if database.rows(table, &format!("{column} = '{id}'")).await == 0 {
                    kill_at(&database, &file, [table, column, id]).await;
                    points += 1;
                }
            }
        }
        assert!(points >= 10, "{points}");
        let rest = import(&database, &file, &["--project", &rule]).succeeds();
        assert_eq!(state(&database).await, state(&other).await);
        assert_eq!(rest.left.len(), whole.left.len());
        let verified = import(&database, &file, &["--project", &rule, "--verify"]);
        verify::is_clean(&verified, "killed");
    }
}
