//! How each engine runs the statements of reports on large tables: by indexes, and without sorting a table.

use std::sync::LazyLock;

use freezer_api::domain::figures::Single;
use regex::{Captures, Regex};
use tracing::Instrument as _;

use crate::plans::{numbered, numbers};
use crate::support::api::START;
use crate::support::statements::Statements;
use crate::support::{Database, Engine, Service, rows};

/// Rows of each of the tables that grow.
const ROWS: usize = 20_000;
/// Rows that may be sorted: those of a page, or of a project.
const FEW: usize = 1_000;
const HOUR: i64 = 3600;

/// What stands for these tables in statements, by which a plan names them.
const LARGE: [&str; 14] = [
    "jobs",
    "backups",
    "freezer_api_runs",
    "freezer_api_series",
    "freezer_api_backup_series",
    "freezer_api_hosts",
    "freezer_api_problems",
    "freezer_api_run_days",
    "freezer_api_run_hours",
    "j",
    "b",
    "s",
    "h",
    "r",
];

/// Asked of one project, and with `all_projects` of all.
const LISTS: [&str; 25] = [
    "summary",
    "days",
    "problems?limit=50",
    "problems?limit=50&kind=overdue",
    "problems?limit=50&severity=red",
    "problems?limit=50&client_id=c1",
    "problems?limit=50&job_id=j1",
    "hosts?limit=50",
    "hosts?limit=50&state=silent",
    "hosts?limit=50&sort=last_success_at",
    "hosts?limit=50&sort=due_at:desc",
    "jobs?limit=50",
    "jobs?limit=50&sort=created_at:desc",
    "jobs?limit=50&client_id=c1",
    "runs?limit=50",
    "runs?limit=50&sort=started_at:asc",
    "runs?limit=50&marker=r101",
    "runs?limit=50&state=running",
    "runs?limit=50&state=running&state=fail",
    "runs?limit=50&state=fail&state=lost&marker=r101",
    "runs?limit=50&job_id=j1",
    "runs?limit=50&client_id=c1",
    "series?limit=50",
    "series?limit=50&hostname=c1",
    "series?limit=50&job_id=j1",
];
/// Asked of one thing.
const SINGLE: [&str; 4] = [
    "runs/r101",
    "hosts/c1",
    "series/s1/backups?limit=50",
    "backups/b1/restore",
];

/// The columns of tables: a hundred projects, of ten clients and twenty jobs with a hundredth of the runs and backups each. `@p{n}` is a
/// text with a number in it, `@time` one time a minute.
#[rustfmt::skip]
const TABLES: [(&str, &str); 9] = [
    ("jobs", "id=@j{n}; project_id=@p{n % 100}; user_id='u'; deleted=FALSE; created_at=@time; client_id=@c{n % 1000}; session_tag=0; \
        description=''; schedule='{\"status\":\"scheduled\"}'"),
    ("backups", "id=@b{n}; project_id=@p{n % 100}; user_id='u'; deleted=FALSE; created_at=@time; job_id=@j{n % 2000}; status='available'; \
        backup_metadata='{\"hostname\":\"h\",\"backup_name\":\"n\",\"container\":\"/c\",\"storage\":\"local\",\"time_stamp\":1}'"),
    ("freezer_api_runs", "id=@r{n}; project_id=@p{n % 100}; job_id=@j{n % 2000}; client_id=@c{n % 1000}; attempts=1; started_at=START - n * 60; \
        state=CASE WHEN n % 97 = 0 THEN 'fail' WHEN n % 1009 = 0 THEN 'running' ELSE 'success' END"),
    ("freezer_api_series", "id=@s{n}; project_id=@p{n % 100}; job_id=@j{n % 2000}; hostname=@c{n % 1000}; backups=10; first_at=1; last_at=START - n; \
        last_backup_id=@b{n}"),
    ("freezer_api_backup_series", "backup_id=@b{n}; series_id=@s{n % 2000}; created_at=START - n * 60"),
    ("freezer_api_hosts", "id=@h{n}; project_id=@p{n % 100}; client_id=@c{n}; is_central=FALSE; is_registered=TRUE; findings=''; jobs=2; active_jobs=2; \
        state=CASE WHEN n % 50 = 0 THEN 'silent' ELSE 'alive' END; is_protected=TRUE; last_success_at=START - n; due_at=START + n; running=0; \
        failed_in_a_row=0; job_findings=''; is_red=CASE WHEN n % 30 = 0 THEN TRUE ELSE FALSE END"),
    ("freezer_api_problems", "id=@q{n}; project_id=@p{n % 100}; client_id=@c{n % 1000}; job_id=@j{n % 2000}; urgency=10 + n % 13 * 10; \
        since=START - n; failed_in_a_row=0"),
    ("freezer_api_run_days", "project_id=@p{n % 100}; day=19675 - n DIV 100; state='success'; runs=1; seconds=1; longest=1"),
    ("freezer_api_run_hours", "project_id=@p{n % 400}; hour=START DIV 3600 - n DIV 400; state='success'; runs=1; seconds=1; longest=1"),
];

/// The columns and the values of a table.
fn columns(engine: Engine, columns: &'static str) -> (Vec<&'static str>, Vec<String>) {
    let time = match engine {
        Engine::MySql => "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n MINUTE",
        Engine::Postgres => "TIMESTAMP '2024-01-01 00:00:00' + n * INTERVAL '1 minute'",
        Engine::Sqlite => "datetime('2024-01-01 00:00:00', n || ' minutes') || '.000000'",
    };
    let value = |value: &str| match value.strip_prefix('@') {
        Some("time") => time.to_owned(),
        Some(text) => {
            let (before, number) = text.strip_suffix('}').unwrap().split_once('{').unwrap();
            numbered(engine, before, number, "")
        }
        None if engine == Engine::MySql => value.replace("START", &START.to_string()),
        None => value
            .replace("START", &START.to_string())
            .replace(" DIV ", " / "),
    };
    let pairs = columns
        .split("; ")
        .map(|column| column.split_once('=').unwrap());
    pairs.map(|(name, text)| (name, value(text))).unzip()
}

async fn fill(database: &Database) {
    let engine = database.engine();
    let names = TABLES.map(|(table, _)| table).join(", ");
    let inserts = TABLES.iter().map(|(table, text)| {
        let (columns, values) = columns(engine, text);
        let numbers = numbers(engine, ROWS);
        let (columns, values) = (columns.join(", "), values.join(", "));
        format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {numbers}")
    });
    let analyze = match engine {
        Engine::MySql => format!("ANALYZE TABLE {names}"),
        Engine::Postgres | Engine::Sqlite => "ANALYZE".to_owned(),
    };
    rows::execute_all(database, inserts.chain([analyze])).await;
}

/// The value of a condition of a statement: something that is there, times from and to which there are some rows.
fn value(statement: &str, column: &str, comparison: &str) -> String {
    let is_first = !comparison.starts_with('<');
    let of_table = |table: &str| statement.contains(&format!("FROM {table} "));
    let span = |first: i64, end: i64| if is_first { first } else { end }.to_string();
    match column {
        "project_id" => "p1".to_owned(),
        "job_id" => "j1".to_owned(),
        "client_id" | "hostname" => "c1".to_owned(),
        "backup_id" => "b1".to_owned(),
        "series_id" => "s1".to_owned(),
        "state" if of_table("freezer_api_hosts") => "silent".to_owned(),
        "state" => "running".to_owned(),
        "name" => "rounds".to_owned(),
        "urgency" => "20".to_owned(),
        "id" if of_table("jobs") => "j1".to_owned(),
        "id" if of_table("backups") => "b1".to_owned(),
        "id" if of_table("freezer_api_series") => "s1".to_owned(),
        "id" => "r101".to_owned(),
        "started_at" | "last_at" => span(START - 24 * HOUR, START - HOUR),
        "due_at" => span(START, START + HOUR),
        "created_at" if of_table("freezer_api_backup_series") => span(START - 24 * HOUR, START),
        "created_at" => format!("2024-01-0{} 00:00:00", if is_first { 2 } else { 3 }),
        "day" => span(19_646, 19_676),
        "hour" => span(START / HOUR - 24, START / HOUR + 1),
        other => panic!("which {other}? {statement}"),
    }
}

/// The values of a statement's placeholders, by what stands before each.
fn values(statement: &str) -> Vec<String> {
    static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\?|\$\d+").unwrap());
    static COMPARED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([a-z_]+) (=|<>|<=|>=|<|>) $").unwrap());
    static LISTED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([a-z_]+) IN \([?$\d, ]*$").unwrap());
    static ROW: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"VALUES [()?$\d, ]*$").unwrap());
    let of = |before: &str| {
        if let Some(found) = COMPARED.captures(before) {
            value(statement, &found[1], &found[2])
        } else if let Some(found) = LISTED.captures(before) {
            value(statement, &found[1], "=")
        } else if ROW.is_match(before) {
            value(statement, "job_id", "=")
        } else if before.ends_with("LIMIT ") {
            "51".to_owned()
        } else if before.ends_with("OFFSET ") {
            "0".to_owned()
        } else {
            panic!("what is behind {before}?")
        }
    };
    let found = PLACEHOLDER.find_iter(statement);
    found.map(|found| of(&statement[..found.start()])).collect()
}

/// The large tables that a plan reads from one end to the other.
fn read_whole(engine: Engine, plan: &str) -> Vec<String> {
    let pattern = match engine {
        Engine::MySql => r"table=(\w+)\b.*type=ALL",
        Engine::Postgres => r"Seq Scan on \w+ (\w+)|Seq Scan on (\w+)",
        Engine::Sqlite => r"(?m)SCAN (\w+)$",
    };
    let pattern = Regex::new(pattern).unwrap();
    let found = pattern.captures_iter(plan).map(|found| {
        let name = found.get(1).filter(|name| LARGE.contains(&name.as_str()));
        name.or(found.get(2))
            .or(found.get(1))
            .unwrap()
            .as_str()
            .to_owned()
    });
    found
        .filter(|table| LARGE.contains(&table.as_str()))
        .collect()
}

/// The lists of which a statement puts the first rows in order, each as a statement of its own: it sorts these few.
fn parts(statement: &str) -> Vec<String> {
    static PART: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\((SELECT id, .*? LIMIT \d+)\) r\d").unwrap());
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\d+").unwrap());
    if !statement.contains(") freezer_api_runs ORDER BY ") {
        return Vec::new();
    }
    let renumbered = |part: &str| {
        let mut number = 0;
        let next = |_: &Captures<'_>| {
            number += 1;
            format!("${number}")
        };
        NUMBER.replace_all(part, next).into_owned()
    };
    let found = PART.captures_iter(statement);
    found.map(|part| renumbered(&part[1])).collect()
}

/// Whether a plan sorts more than a page or a project has. MariaDB and SQLite do not say how much, but groups are few.
fn sorts(engine: Engine, statement: &str, plan: &str) -> bool {
    static ROWS_OF_SORT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"Sort .*rows=(\d+)").unwrap());
    let is_grouped = statement.contains(" GROUP BY ");
    match engine {
        Engine::MySql => !is_grouped && plan.contains("filesort"),
        Engine::Sqlite => !is_grouped && plan.contains("TEMP B-TREE FOR ORDER BY"),
        // One that sorts as it goes stops when the page is full.
        Engine::Postgres => ROWS_OF_SORT
            .captures_iter(&plan.replace("Incremental Sort", ""))
            .any(|found| found[1].parse::<usize>().unwrap() > FEW),
    }
}

/// What is read whole for good reason: an overview of all projects adds up all hosts and problems, which are as many as there are
/// hosts, and not as there were runs or backups.
fn may_be_read_whole(path: &str, table: &str) -> bool {
    let is_of_hosts = ["freezer_api_hosts", "freezer_api_problems", "h"].contains(&table);
    is_of_hosts && ["report/summary?all_projects=true", "figures"].contains(&path)
}

/// Those of one job, and the jobs of one client, are a few.
fn may_be_sorted(path: &str) -> bool {
    let is_of_client = path.starts_with("report/jobs?") && path.contains("&client_id=");
    is_of_client || path.contains("&job_id=") || path == "figures"
}

/// The index that a statement is to be read by, where others would do and cost more.
fn index(engine: Engine, statement: &str) -> Option<&'static str> {
    let of = |table: &str| statement.contains(&format!("FROM {table} "));
    if statement.contains("b.job_id = ") {
        return Some("ix_backups_job");
    }
    if of("freezer_api_runs") && statement.contains("LIMIT 20") {
        // That of a job's runs, or of those of a state.
        return Some("ix_freezer_api_runs_");
    }
    if of("freezer_api_runs")
        && statement.contains(" AND project_id = ")
        && statement.contains(" AND state = ")
    {
        return Some("ix_freezer_api_runs_project_state");
    }
    let is_counted = of("freezer_api_run_days") || of("freezer_api_run_hours");
    let primary = match engine {
        Engine::MySql => "key=PRIMARY",
        Engine::Postgres => "_pkey",
        Engine::Sqlite => "sqlite_autoindex",
    };
    (is_counted && statement.contains("project_id = ")).then_some(primary)
}

/// What is wrong with the plans of these statements.
async fn look(database: &Database, path: &str, statements: &[String]) -> Vec<String> {
    let engine = database.engine();
    let mut slow = Vec::new();
    let selects = statements.iter().filter(|text| text.starts_with("SELECT"));
    let all = selects.flat_map(|text| parts(text).into_iter().chain([text.clone()]));
    for statement in all {
        let statement = statement.as_str();
        let is_merged = !parts(statement).is_empty();
        let values = values(statement);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let plan = rows::explain(database, statement, &values).await;
        let mut whole = read_whole(engine, &plan);
        // What is put in order has the name of the table.
        whole.retain(|table| {
            !(may_be_read_whole(path, table) || is_merged && table == "freezer_api_runs")
        });
        let is_by_another = index(engine, statement).is_some_and(|index| !plan.contains(index));
        if is_by_another
            || !whole.is_empty()
            || !may_be_sorted(path) && !is_merged && sorts(engine, statement, &plan)
        {
            slow.push(format!("{engine:?} {path}: {whole:?}\n{statement}\n{plan}"));
        }
    }
    slow
}

/// The figures of monitoring.
async fn read_figures(service: &Service) {
    let span = tracing::info_span!("scrape");
    let figures = service.api.catalogue.figures(Single::None, 10);
    figures.instrument(span).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_over_large_tables_are_read_by_indexes() {
    let sent = Statements::of_process().await;
    let mut slow = Vec::new();
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let service = Service::with(&database, Statements::are_logged).await;
        fill(&database).await;
        let all = LISTS.iter().map(|list| {
            let sign = if list.contains('?') { '&' } else { '?' };
            format!("{list}{sign}all_projects=true")
        });
        let list = "runs?limit=50&state=running&state=fail";
        sent.take();
        service.get(&format!("report/{list}")).await.expect(200);
        let merged: Vec<usize> = sent.take().iter().map(|text| parts(text).len()).collect();
        assert_eq!(merged, [2], "{engine:?} {list}");
        let lists = LISTS.iter().chain(&SINGLE).map(|list| (*list).to_owned());
        for path in lists.chain(all).map(|list| format!("report/{list}")) {
            sent.take();
            service.get(&path).await.expect(200);
            let statements = sent.take();
            assert!(!statements.is_empty(), "{engine:?} {path}");
            slow.extend(look(&database, &path, &statements).await);
        }
        sent.take();
        read_figures(&service).await;
        let mut statements = sent.take();
        // It adds up all series, once in five minutes.
        statements.retain(|text| !text.contains("FROM freezer_api_series "));
        assert!(!statements.is_empty(), "{engine:?}");
        slow.extend(look(&database, "figures", &statements).await);
    }
    assert!(slow.is_empty(), "{}", slow.join("\n\n"));
}
