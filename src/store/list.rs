//! Lists: pages cut by the database, and searches that it narrows and `domain::search` decides.
//!
//! A search looks at any depth of a document, which SQL cannot say exactly. So SQL drops rows that cannot pass, by
//! columns and by the text of the JSON, and what is left is read in batches and tested document by document until
//! the page is full. Memory is bounded by a batch, however many rows there are.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::rows::{Conditions, Cursor, Page, Record, of_credentials};
use super::statement::Argument;
use super::{Engine, StoreError, Tx};
use crate::domain::document;
use crate::domain::search::{Pair, Search};

/// Rows that the first batch of a search reads, at least; each further batch is twice as large.
const FIRST_BATCH: u64 = 64;
/// Rows that a batch reads at most.
const LARGEST_BATCH: u64 = 1024;

/// Where the members of a document are found in the tables.
pub(super) struct Searchable {
    /// Members that have a column of text: name and column.
    text: &'static [(&'static str, &'static str)],
    /// Members that have a column of another type, which SQL does not test.
    other: &'static [&'static str],
    /// Columns with JSON that can have any member.
    json: &'static [&'static str],
    /// A column with JSON that is flat and has only the members of a schedule.
    schedule: Option<&'static str>,
}

/// The members of a schedule; others are refused by us and by the reference.
const SCHEDULE: &[&str] = &[
    "time_created",
    "time_started",
    "time_ended",
    "current_pid",
    "event",
    "status",
    "result",
    "schedule_date",
    "schedule_start_date",
    "schedule_end_date",
    "schedule_interval",
    "schedule_year",
    "schedule_month",
    "schedule_day",
    "schedule_week",
    "schedule_day_of_week",
    "schedule_hour",
    "schedule_minute",
    "schedule_second",
];

pub(super) const CLIENTS: Searchable = Searchable {
    text: &[
        ("project_id", "c.project_id"),
        ("user_id", "c.user_id"),
        ("uuid", "c.uuid"),
        ("hostname", "c.hostname"),
        ("client_id", "c.client_id"),
        ("description", "c.description"),
    ],
    other: &[
        "client",
        "is_central",
        "supported_actions",
        "supported_modes",
        "supported_storages",
        "supported_engines",
    ],
    json: &[],
    schedule: None,
};

pub(super) const ACTIONS: Searchable = Searchable {
    text: &[
        ("project_id", "a.project_id"),
        ("user_id", "a.user_id"),
        ("action_id", "a.id"),
        ("action", "a.action"),
        ("mode", "a.actionmode"),
        ("backup_name", "a.backup_name"),
        ("container", "a.container"),
        ("path_to_backup", "a.path_to_backup"),
        ("log_file", "a.log_file"),
    ],
    other: &[
        "freezer_action",
        "timeout",
        "priority",
        "mandatory",
        "max_retries",
        "max_retries_interval",
    ],
    json: &["a.backup_metadata"],
    schedule: None,
};

pub(super) const JOBS: Searchable = Searchable {
    text: &[
        ("project_id", "j.project_id"),
        ("user_id", "j.user_id"),
        ("job_id", "j.id"),
        ("client_id", "j.client_id"),
        ("session_id", "j.session_id"),
        ("description", "j.description"),
        ("trust_id", of_credentials!(trust_id)),
        ("trustor_user_id", of_credentials!(trustor_user_id)),
    ],
    other: &[
        "job_schedule",
        "session_tag",
        "job_actions",
        "user_credentials",
    ],
    json: &[],
    schedule: Some("j.schedule"),
};

pub(super) const SESSIONS: Searchable = Searchable {
    text: &[
        ("project_id", "s.project_id"),
        ("user_id", "s.user_id"),
        ("session_id", "s.id"),
        ("description", "s.description"),
        ("status", "s.status"),
        ("result", "s.result"),
    ],
    other: &[
        "session_tag",
        "hold_off",
        "time_start",
        "time_end",
        "time_started",
        "time_ended",
        "schedule",
        "jobs",
    ],
    json: &["s.job"],
    schedule: Some("s.schedule"),
};

pub(super) const BACKUPS: Searchable = Searchable {
    text: &[
        ("project_id", "b.project_id"),
        ("user_id", "b.user_id"),
        ("backup_id", "b.id"),
        ("status", "b.status"),
    ],
    other: &["backup_metadata"],
    json: &["b.backup_metadata"],
    schedule: None,
};

/// Alternatives of which one must hold, with their values; none of them: nothing can pass.
#[derive(Default)]
pub(super) struct Alternatives {
    sql: Vec<String>,
    arguments: Vec<Argument>,
}

impl Alternatives {
    fn add(&mut self, sql: String, arguments: impl IntoIterator<Item = Argument>) {
        self.sql.push(sql);
        self.arguments.extend(arguments);
    }

    fn into_condition(self) -> (String, Vec<Argument>) {
        match self.sql.is_empty() {
            true => ("1 = 0".to_owned(), Vec::new()),
            false => (format!("({})", self.sql.join(" OR ")), self.arguments),
        }
    }
}

/// Whether a text stands in every JSON text as it is: both writers, ours and the reference's, escape the others,
/// each in its own way.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// What the JSON text of an object contains when the member `key` is `value`: with a blank behind the colon, as the
/// reference writes, and without, as we do.
fn member_texts(key: &str, value: &str) -> [Argument; 2] {
    [
        format!("\"{key}\":\"{value}\"").into(),
        format!("\"{key}\": \"{value}\"").into(),
    ]
}

impl Searchable {
    /// Ways in which a row can have `key` = `value`; `None` where SQL cannot tell.
    pub(super) fn alternatives(&self, engine: Engine, (key, value): &Pair) -> Option<Alternatives> {
        let text = value.as_str().filter(|text| is_plain(text));
        let (true, Some(text)) = (is_plain(key), text) else {
            return None;
        };
        if self.other.contains(&key.as_str()) {
            return None;
        }
        let mut alternatives = Alternatives::default();
        for (_, column) in self.text.iter().filter(|(name, _)| name == key) {
            alternatives.add(format!("{column} = ?"), [text.into()]);
        }
        let schedule = self.schedule.filter(|_| SCHEDULE.contains(&key.as_str()));
        for column in self.json.iter().copied().chain(schedule) {
            alternatives.add(contains_either(engine, column), member_texts(key, text));
        }
        Some(alternatives)
    }

    /// Adds what SQL can say of a search.
    pub(super) fn narrow(
        &self,
        engine: Engine,
        mut conditions: Conditions,
        search: &Search,
    ) -> Conditions {
        for pair in &search.matching {
            if let Some(alternatives) = self.alternatives(engine, pair) {
                let (sql, arguments) = alternatives.into_condition();
                conditions = conditions.and(&sql, arguments);
            }
        }
        self.narrow_not(engine, conditions, search)
    }

    /// Adds what SQL can say of `match_not`. Only a flat text tells that a member has a value, rather than that it may.
    pub(super) fn narrow_not(
        &self,
        engine: Engine,
        mut conditions: Conditions,
        search: &Search,
    ) -> Conditions {
        let Some(column) = self.schedule else {
            return conditions;
        };
        for (key, value) in &search.not_matching {
            if let Some(text) = value.as_str().filter(|text| is_plain(text))
                && SCHEDULE.contains(&key.as_str())
            {
                let sql = format!(
                    "({column} IS NULL OR NOT {})",
                    contains_either(engine, column)
                );
                conditions = conditions.and(&sql, member_texts(key, text));
            }
        }
        conditions
    }
}

/// A condition on two values, of which the column contains one.
fn contains_either(engine: Engine, column: &str) -> String {
    let function = match engine {
        Engine::MySql | Engine::Sqlite => "INSTR",
        Engine::Postgres => "STRPOS",
    };
    format!("({function}({column}, ?) > 0 OR {function}({column}, ?) > 0)")
}

/// Ways in which one of a job's actions can have `key` = `value`.
fn action_alternatives(engine: Engine, pair: &Pair) -> Option<Alternatives> {
    let (sql, arguments) = ACTIONS.alternatives(engine, pair)?.into_condition();
    let mut alternatives = Alternatives::default();
    alternatives.add(
        format!(
            "EXISTS (SELECT 1 FROM job_actions ja JOIN actions a ON a.id = ja.action_id AND a.deleted = FALSE \
             WHERE ja.job_id = j.id AND ja.deleted = FALSE AND {sql})"
        ),
        arguments,
    );
    Some(alternatives)
}

/// Adds what SQL can say of a search for jobs. Where `client_id_is_column`, no action in question has a member of
/// that name, and the jobs of a client are found by their index.
pub(super) fn narrow_jobs(
    engine: Engine,
    mut conditions: Conditions,
    search: &Search,
    client_id_is_column: bool,
) -> Conditions {
    for pair in &search.matching {
        let Some(mut alternatives) = JOBS.alternatives(engine, pair) else {
            continue;
        };
        if !(client_id_is_column && pair.0 == "client_id") {
            let Some(actions) = action_alternatives(engine, pair) else {
                continue;
            };
            alternatives.sql.extend(actions.sql);
            alternatives.arguments.extend(actions.arguments);
        }
        let (sql, arguments) = alternatives.into_condition();
        conditions = conditions.and(&sql, arguments);
    }
    JOBS.narrow_not(engine, conditions, search)
}

/// Rows that a list shows.
pub(super) trait Listed: Record {
    /// Where the members of their documents are.
    const SEARCHABLE: Searchable;
    /// The document that the list shows.
    fn document(&self) -> Box<RawValue>;
}

/// A document as JSON text. Documents of ours have string keys and no member that fails.
pub(super) fn raw(document: &impl Serialize) -> Box<RawValue> {
    to_raw_value(document).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Collects the documents of a page from those that a search finds.
pub(super) struct Collector<'a> {
    search: &'a Search,
    page: Page,
    passed: u64,
    documents: Vec<Box<RawValue>>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(search: &'a Search, page: Page) -> Collector<'a> {
        Collector {
            search,
            page,
            passed: 0,
            documents: Vec::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.documents.len() as u64 >= self.page.limit
    }

    /// Takes a document, if the search finds it and the page has come to it.
    pub(super) fn offer(&mut self, document: Box<RawValue>) {
        if self.is_full()
            || !self
                .search
                .accepts(&document::parse_document(document.get()))
        {
            return;
        }
        self.passed += 1;
        if self.passed > self.page.offset {
            self.documents.push(document);
        }
    }

    pub(super) fn into_documents(self) -> Vec<Box<RawValue>> {
        self.documents
    }
}

/// Reads the rows that meet the conditions, batch by batch, ordered by creation time and id.
pub(super) struct Batches {
    conditions: Conditions,
    after: Option<Cursor>,
    size: u64,
    ended: bool,
}

impl Batches {
    /// Batches for a page: the first one is as large as the page may need when every row is a hit.
    pub(super) fn new(conditions: Conditions, page: Page) -> Batches {
        Batches {
            conditions,
            after: None,
            size: page
                .limit
                .saturating_add(page.offset)
                .clamp(FIRST_BATCH, LARGEST_BATCH),
            ended: false,
        }
    }

    /// The next batch; empty when there are no more rows.
    pub(super) async fn next<T: Record>(&mut self, tx: &mut Tx) -> Result<Vec<T>, StoreError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let (rows, last) = tx
            .select_after::<T>(self.conditions.clone(), self.after.take(), self.size)
            .await?;
        self.ended = (rows.len() as u64) < self.size;
        self.after = last;
        self.size = (self.size * 2).min(LARGEST_BATCH);
        Ok(rows)
    }
}

impl Tx {
    /// The documents of one page of the rows that meet the conditions, and the search where there is one.
    pub(super) async fn list<T: Listed>(
        &mut self,
        conditions: Conditions,
        page: Page,
        search: Option<&Search>,
    ) -> Result<Vec<Box<RawValue>>, StoreError> {
        let Some(search) = search else {
            let rows = self.select_page::<T>(conditions, page).await?;
            return Ok(rows.iter().map(T::document).collect());
        };
        let conditions = T::SEARCHABLE.narrow(self.engine(), conditions, search);
        let mut batches = Batches::new(conditions, page);
        let mut collector = Collector::new(search, page);
        while !collector.is_full() {
            let rows = batches.next::<T>(self).await?;
            if rows.is_empty() {
                break;
            }
            rows.iter()
                .map(T::document)
                .for_each(|document| collector.offer(document));
        }
        Ok(collector.into_documents())
    }
}
