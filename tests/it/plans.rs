//! How each engine runs the statements of lists on large tables: by an index that gives the rows in their order, so that a
//! page costs what it shows and not what the table has.

use serde_json::{Value, json};

use crate::support::statements::Statements;
use crate::support::{Database, Engine, Service, rows};

/// Jobs, and as many backups.
const ROWS: usize = 100_000;
/// Rows of each of the other tables.
const FEW: usize = 2_000;

/// When the row with the id `id70001` was created.
const CREATED: &str = "2024-02-18 14:41:00";
/// The values of a marker's condition.
const BEHIND: [&str; 3] = [CREATED, CREATED, "id70001"];

/// A select of the numbers from 1.
pub(crate) fn numbers(engine: Engine, count: usize) -> String {
    match engine {
        Engine::MySql => format!("(SELECT seq AS n FROM seq_1_to_{count}) numbers"),
        Engine::Postgres => format!("generate_series(1, {count}) AS numbers (n)"),
        Engine::Sqlite => format!(
            "(WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {count}) SELECT n FROM counted)"
        ),
    }
}

/// A text with a number in it.
pub(crate) fn numbered(engine: Engine, before: &str, number: &str, behind: &str) -> String {
    match engine {
        Engine::MySql => format!("CONCAT('{before}', {number}, '{behind}')"),
        Engine::Postgres | Engine::Sqlite => format!("'{before}' || ({number}) || '{behind}'"),
    }
}

/// Adds rows to a table: one a minute, of ten projects in turn, and each fifth of a project is deleted.
fn fill_table(engine: Engine, table: &str, count: usize, columns: &[(&str, &str)]) -> String {
    let time = match engine {
        Engine::MySql => "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n MINUTE",
        Engine::Postgres => "TIMESTAMP '2024-01-01 00:00:00' + n * INTERVAL '1 minute'",
        Engine::Sqlite => "datetime('2024-01-01 00:00:00', n || ' minutes') || '.000000'",
    };
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = columns.iter().map(|(_, value)| *value).collect();
    format!(
        "INSERT INTO {table} (id, project_id, user_id, deleted, created_at, {}) SELECT {}, {}, 'u', \
         CASE WHEN n % 50 >= 40 THEN TRUE ELSE FALSE END, {time}, {} FROM {}",
        names.join(", "),
        numbered(engine, "id", "n", ""),
        numbered(engine, "p", "n % 10", ""),
        values.join(", "),
        numbers(engine, count)
    )
}

/// The metadata of a backup: a name of its own, a host of a thousand, a container that nearly all have.
fn metadata(engine: Engine) -> String {
    let parts = [
        numbered(engine, "{\"backup_name\":\"b", "n", "\",\"client_id\":\"c"),
        numbered(engine, "", "n % 1000", "\",\"hostname\":\"h"),
        numbered(engine, "", "n % 1000", "\",\"job_id\":\"j"),
        numbered(engine, "", "n % 5000", "\",\"container\":\"c\"}"),
    ];
    match engine {
        Engine::MySql => format!("CONCAT({})", parts.join(", ")),
        Engine::Postgres | Engine::Sqlite => parts.join(" || "),
    }
}

async fn fill(database: &Database) {
    let engine = database.engine();
    // A client has jobs of one project. A few clients are central, of another project than that of the lists.
    let client: &str = &numbered(engine, "c", "n % 1000", "");
    let metadata: &str = &metadata(engine);
    let job = [
        ("client_id", client),
        ("session_tag", "0"),
        ("description", "''"),
        ("schedule", "'{\"status\":\"scheduled\"}'"),
    ];
    let central = "CASE WHEN n % 200 = 12 THEN TRUE ELSE FALSE END";
    let action = [("action", "'exec'"), ("backup_metadata", "'{}'")];
    let registered = [
        ("client_id", client),
        ("uuid", client),
        ("is_central", central),
    ];
    let inserts = [
        fill_table(engine, "jobs", ROWS, &job),
        fill_table(engine, "backups", ROWS, &[("backup_metadata", metadata)]),
        fill_table(engine, "actions", FEW, &action),
        fill_table(engine, "sessions", FEW, &[("session_tag", "0")]),
        fill_table(engine, "clients", FEW, &registered),
    ];
    let analyze = match engine {
        Engine::MySql => "ANALYZE TABLE jobs, backups, actions, sessions, clients",
        Engine::Postgres | Engine::Sqlite => "ANALYZE",
    };
    rows::execute_all(database, inserts.into_iter().chain([analyze.to_owned()])).await;
}

/// How the rows of a page are found.
enum Read {
    /// In their order, by this index.
    InOrder(&'static str),
    /// By these indexes, which leave few, and sorted.
    Sorted(&'static [&'static str]),
    /// By this index for each of two values, and sorted then.
    LookedUp(&'static str),
}

/// A list, the values of its statement, and how it is read.
struct List {
    path: &'static str,
    search: Option<Value>,
    values: Vec<&'static str>,
    /// Those behind the limit.
    last_values: Vec<&'static str>,
    read: Read,
}

impl List {
    fn new(path: &'static str, values: &[&'static str], index: &'static str) -> List {
        List {
            path,
            search: None,
            values: values.to_vec(),
            last_values: Vec::new(),
            read: Read::InOrder(index),
        }
    }

    fn searching(self, search: Value) -> List {
        List {
            search: Some(search),
            ..self
        }
    }
}

fn lists_of_one_index() -> Vec<List> {
    let jobs = |path, values: &[_]| List::new(path, values, "ix_jobs_project");
    let all_jobs = |path, values: &[_]| List::new(path, values, "ix_jobs_live");
    let backups = |path, values: &[_]| List::new(path, values, "ix_backups_project");
    let behind = [&["p1"][..], &BEHIND].concat();
    vec![
        jobs("jobs?limit=10", &["p1"]),
        jobs("jobs?limit=10&sort=created_at:desc", &["p1"]),
        jobs("jobs?limit=10&marker=id70001", &behind),
        jobs("jobs?limit=10&sort_dir=desc&marker=id70001", &behind),
        all_jobs("jobs?limit=10&all_projects=true", &[]),
        all_jobs("jobs?limit=10&all_projects=true&sort_dir=desc", &[]),
        all_jobs("jobs?limit=10&all_projects=true&marker=id70001", &BEHIND),
        backups("backups?limit=10", &["p1"]),
        backups("backups?limit=10&sort=created_at:desc", &["p1"]),
        backups("backups?limit=10&sort_dir=desc&marker=id70001", &behind),
        List::new("actions?limit=10", &["p1"], "ix_actions_project"),
        List::new("sessions?limit=10", &["p1"], "ix_sessions_project"),
    ]
}

fn lists(engine: Engine) -> Vec<List> {
    let poll = json!({"match": [{"client_id": "c11"}], "match_not": [{"status": "completed"}]});
    let completed = ["\"status\":\"completed\"", "\"status\": \"completed\""];
    let polled = [&["p1", "c11"][..], &completed].concat();
    let poll = List {
        last_values: vec!["p1"],
        // PostgreSQL takes a client's jobs for so few that it does not look for their order. They are: those of one host.
        read: match engine {
            Engine::Postgres => Read::Sorted(&["ix_jobs_client"]),
            Engine::MySql | Engine::Sqlite => Read::InOrder("ix_jobs_client"),
        },
        ..List::new("jobs?limit=10", &polled, "ix_jobs_client").searching(poll)
    };
    // No index has both the project's own and the central ones of all projects in one order.
    let clients = List {
        read: Read::Sorted(&["ix_clients_project", "ix_clients_central"]),
        ..List::new("clients?limit=10", &["p1"], "")
    };
    let mut lists = lists_of_one_index();
    lists.extend([poll, clients]);
    lists.extend(searches_of_members(engine));
    lists
}

/// Searches of backups by members that have an index: of one, and from a place on.
fn searches_of_members(engine: Engine) -> Vec<List> {
    let limit: &[&str] = match engine {
        Engine::MySql | Engine::Postgres => &["10", "0"],
        Engine::Sqlite => &[],
    };
    let search =
        |query: &'static str, behind: &[&'static str], member: &str, text: &'static str, index| {
            let texts = ["\":\"", "\": \""]
                .map(|colon| format!("\"{member}{colon}{text}\"").leak() as &str);
            let conditions = [&["p1"][..], &texts, behind].concat();
            List {
                // The rows of the mark, and then those of the page, with their limits.
                last_values: [&conditions[..], limit, limit].concat(),
                read: match (engine, member) {
                    (Engine::Postgres, "container") => Read::InOrder(index),
                    _ => Read::LookedUp(index),
                },
                ..List::new(query, &[&conditions[..], &[text]].concat(), index)
            }
            .searching(json!({"match": [{member: text}]}))
        };
    let container = "ix_backups_metadata_container";
    vec![
        search(
            "backups?limit=10",
            &[],
            "backup_name",
            "b90001",
            "ix_backups_metadata_backup_name",
        ),
        search(
            "backups?limit=10",
            &[],
            "hostname",
            "h11",
            "ix_backups_metadata_hostname",
        ),
        search(
            "backups?limit=10",
            &[],
            "client_id",
            "c11",
            "ix_backups_metadata_client_id",
        ),
        search(
            "backups?limit=10",
            &[],
            "job_id",
            "j11",
            "ix_backups_metadata_job_id",
        ),
        search("backups?limit=10", &[], "container", "c", container),
        search(
            "backups?limit=10&sort_dir=desc",
            &[],
            "container",
            "c",
            container,
        ),
        search(
            "backups?limit=10&marker=id70001",
            &BEHIND,
            "container",
            "c",
            container,
        ),
        search(
            "backups?limit=10&sort_dir=desc&marker=id70001",
            &BEHIND,
            "container",
            "c",
            container,
        ),
    ]
}

/// Whether the lines of a plan say that rows are read in their order by an index. The page itself, a table of a few rows, may be
/// sorted again.
fn is_in_order(engine: Engine, plan: &str, index: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    let mut by_index = lines.iter().filter(|line| line.contains(index)).peekable();
    by_index.peek().is_some()
        && match engine {
            Engine::MySql => by_index.all(|line| !line.contains("filesort")),
            Engine::Postgres => lines
                .windows(2)
                .any(|pair| pair[0].contains("Limit") && pair[1].contains(index)),
            Engine::Sqlite => !lines
                .iter()
                .take_while(|line| !line.contains("SCAN p"))
                .any(|line| line.contains("USE TEMP B-TREE")),
        }
}

/// The same for the rows of two values. PostgreSQL sorts those of a value of which it knows that they are few.
fn is_looked_up(engine: Engine, plan: &str, index: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    let mut pairs = lines
        .windows(2)
        .filter(|pair| pair[0].contains("ix_backups_"));
    match engine {
        Engine::MySql => is_in_order(engine, plan, index),
        Engine::Postgres => plan.matches(index).count() == 2,
        // What nearly all rows have, SQLite reads in the order of the list.
        Engine::Sqlite => {
            let by_order = plan.contains("ix_backups_project") && !index.ends_with("container");
            plan.contains(index)
                && !by_order
                && !pairs.any(|pair| pair[1].contains("USE TEMP B-TREE"))
        }
    }
}

/// Whether the plan reads the rows of a list as it should.
fn is_read(engine: Engine, plan: &str, read: &Read) -> bool {
    match read {
        Read::InOrder(index) => is_in_order(engine, plan, index),
        Read::Sorted(indexes) => indexes.iter().all(|index| plan.contains(index)),
        Read::LookedUp(index) => is_looked_up(engine, plan, index),
    }
}

/// The plan of the statement that the service sends for a list.
async fn plan(database: &Database, service: &Service, sent: &Statements, list: &List) -> String {
    sent.take();
    let answer = match &list.search {
        None => service.get(list.path).await,
        Some(search) => service.search(list.path, search.clone()).await,
    };
    let answer = answer.expect(200).json();
    let resource = list.path.split('?').next().unwrap();
    assert!(!answer[resource][0].is_null(), "{}: {answer}", list.path);
    let statement = sent.take().pop().unwrap();
    let limit: &[&str] = match database.engine() {
        Engine::MySql | Engine::Postgres => &["10", "0"],
        Engine::Sqlite => &[],
    };
    let values = [&list.values[..], limit, &list.last_values].concat();
    rows::explain(database, &statement, &values).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_large_tables_are_read_by_indexes() {
    let sent = Statements::of_process().await;
    let mut slow = Vec::new();
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let service = Service::with(&database, Statements::are_logged).await;
        fill(&database).await;
        for list in lists(engine) {
            let plan = plan(&database, &service, &sent, &list).await;
            if !is_read(engine, &plan, &list.read) {
                slow.push(format!("{engine:?}: {}\n{plan}", list.path));
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n\n"));
}
