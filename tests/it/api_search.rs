//! Searches: what they mean, that the database's part in them changes nothing, and that they use an index.

use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::{Database, Engine, PROJECT, Service, rows};

const KINDS: [(&str, &str); 5] = [
    ("clients", "uuid"),
    ("actions", "action_id"),
    ("jobs", "job_id"),
    ("sessions", "session_id"),
    ("backups", "backup_id"),
];

/// The documents that a search finds.
async fn found(service: &Service, path: &str, search: &Value) -> Vec<Value> {
    let list = service
        .search(path, search.clone())
        .await
        .expect(200)
        .json();
    let (kind, _) = path.split_once('?').unwrap_or((path, ""));
    list[kind.rsplit('/').next().unwrap()]
        .as_array()
        .unwrap()
        .clone()
}

on_each_engine! {
    async fn a_search_is_a_list_of_pairs(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        for (kind, _) in KINDS {
            for body in [
                json!({"match": {"a": 1}}),
                json!({"match": "a"}),
                json!({"match": 5}),
                json!({"match": true}),
                json!({"match": [1]}),
                json!({"match": ["a"]}),
                json!({"match": [null]}),
                json!({"match": [["a", "b"]]}),
                json!({"match": [{}, 1]}),
                json!({"match_not": {"a": 1}}),
                json!({"match_not": "a"}),
                json!({"match_not": [[]]}),
                json!({"match": [], "match_not": [0]}),
                json!({"match": [{"_all": "[1]"}]}),
                json!({"match": [{"_all": "[[]]"}]}),
            ] {
                let description = service.search(kind, body.clone()).await.refused(400, "Bad request format");
                assert!(description.contains("'match"), "{body}: {description}");
            }
            let all = service.get(kind).await.expect(200).json();
            for body in [
                json!({}),
                json!({"match": []}),
                json!({"match": null, "match_not": null}),
                json!({"match": [], "match_not": []}),
                json!({"match": [{}], "match_not": [{}]}),
                json!({"match": {}, "match_not": {}}),
                json!({"matches": [{"a": 1}], "time_after": 5, "x": null}),
                json!({"match": [{"_all": "plain text"}]}),
                json!({"match": [{"_all": "{\"a\": 1}"}]}),
                json!({"match": [{"_all": ""}], "match_not": [{"user_id": "dev"}]}),
                json!({"match": [{"_all": "[]"}, {"a": 1}], "match_not": [{"user_id": "dev"}]}),
                json!({"match": [{"_all": "[{\"nowhere\": null}]"}, {"user_id": "x"}]}),
                json!({"match": [{"_all": 5}]}),
                json!({"match": [{"_all": null}]}),
            ] {
                assert_eq!(service.search(kind, body.clone()).await.expect(200).json(), all, "{kind} {body}");
            }
        }
    }

    async fn pairs_have_a_meaning(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let job = json!({
            "client_id": "c", "job_schedule": {"status": "completed", "schedule_month": "x"}, "description": null,
            "job_actions": [
                {"freezer_action": {"action": "backup", "backup_name": "one", "n": 2, "zero": 0, "no": false, "l": [1, {"k": 2.0}]}},
                {"freezer_action": {"action": "restore", "backup_name": "two", "mode": "fs", "client_id": "inner"}},
            ],
        });
        service.post("jobs", job).await.expect(201);
        for (search, passes) in [
            // Any depth, any occurrence (deviation D18), whole values only.
            (json!({"match": [{"client_id": "c"}]}), true),
            (json!({"match": [{"client_id": "inner"}]}), true),
            (json!({"match": [{"client_id": "c", "status": "completed"}]}), true),
            (json!({"match": [{"client_id": "c"}, {"client_id": "inner"}]}), true),
            (json!({"match": [{"client_id": "d"}]}), false),
            (json!({"match_not": [{"client_id": "inner"}]}), false),
            (json!({"match_not": [{"client_id": "d"}]}), true),
            (json!({"match": [{"backup_name": "one"}]}), true),
            (json!({"match": [{"backup_name": "two"}]}), true),
            (json!({"match": [{"backup_name": "o"}]}), false),
            (json!({"match": [{"backup_name": "ONE"}]}), false),
            (json!({"match": [{"backup_name": "one "}]}), false),
            (json!({"match": [{"backup_name": "%"}]}), false),
            (json!({"match_not": [{"backup_name": "one"}]}), false),
            (json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]}), false),
            (json!({"match": [{"client_id": "c"}], "match_not": [{"status": "running"}]}), true),
            (json!({"match": [{"client_id": "c"}, {"status": "running"}]}), false),
            (json!({"match": [{"action": "backup", "mode": "fs"}]}), true),
            (json!({"match": [{"job_schedule.status": "completed"}]}), false),
            (json!({"match": [{"job_schedule": {"schedule_month": "x", "status": "completed", "time_started": -1,
                "time_ended": -1, "time_created": crate::support::START}}]}), true),
            (json!({"match": [{"job_schedule": {"status": "completed"}}]}), false),
            (json!({"match": [{"job_actions": []}]}), false),
            // Null is what is null, and what is nowhere.
            (json!({"match": [{"nowhere": null}]}), true),
            (json!({"match_not": [{"nowhere": null}]}), false),
            (json!({"match": [{"description": null}]}), true),
            (json!({"match": [{"client_id": null}]}), false),
            (json!({"match": [{"mode": null}]}), true),
            // Types are strict, numbers compare by value.
            (json!({"match": [{"n": 2}]}), true),
            (json!({"match": [{"n": 2.0}]}), true),
            (json!({"match": [{"n": "2"}]}), false),
            (json!({"match": [{"zero": false}]}), false),
            (json!({"match": [{"no": 0}]}), false),
            (json!({"match": [{"no": false, "zero": 0.0}]}), true),
            (json!({"match": [{"l": [1, {"k": 2}]}]}), true),
            (json!({"match": [{"l": [{"k": 2}, 1]}]}), false),
            (json!({"match": [{"session_tag": 0}]}), true),
            (json!({"match": [{"k": 2}]}), true),
            (json!({"match": [{"session_id": ""}]}), true),
            // An ordinary key, where it is not the first.
            (json!({"match": [{"client_id": "c"}, {"_all": "[]"}]}), false),
            (json!({"match_not": [{"_all": "[]"}]}), true),
            (json!({"match": [{"_all": "[{\"client_id\": \"c\"}, {\"status\": \"completed\"}]"}]}), true),
            (json!({"match": [{"_all": "[{\"client_id\": \"c\"}, {\"status\": \"running\"}]"}]}), false),
            // Texts that mean something to a database or to JSON.
            (json!({"match": [{"client_id": "c' OR '1'='1"}]}), false),
            (json!({"match": [{"client_id": "\u{0}"}]}), false),
            (json!({"match": [{"\u{0}": "c"}]}), false),
            (json!({"match_not": [{"status": "\u{0}"}]}), true),
            (json!({"match": [{"\"": "x\\"}]}), false),
            (json!({"match": [{"": ""}]}), false),
            (json!({"match": [{"?": "?"}]}), false),
            (json!({"match": [{"status": "completed\",\"schedule_month\":\"x"}]}), false),
        ] {
            let expected = usize::from(passes);
            assert_eq!(found(&service, "jobs", &search).await.len(), expected, "{search}");
        }
    }

    async fn a_page_is_one_of_hits(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let mut made = Vec::new();
        for number in 0..30 {
            let job = json!({"client_id": "c", "job_actions": [], "description": if number % 2 == 0 { "even" } else { "odd" }});
            made.push(service.created("jobs", job, "job_id").await);
            service.clock.advance(1);
        }
        let even: Vec<String> = made.iter().step_by(2).cloned().collect();
        for (query, hits) in [
            ("", &even[..10]), ("?offset=3&limit=4", &even[3..7]), ("?offset=14", &even[14..]), ("?offset=15", &[]),
        ] {
            let search = json!({"match": [{"client_id": "c"}, {"description": "even"}]});
            let ids: Vec<Value> = found(&service, &format!("jobs{query}"), &search).await.iter().map(|job| job["job_id"].clone()).collect();
            assert_eq!(json!(ids), json!(hits), "{query}");
        }
    }
}

/// Pseudo-random choices (xorshift64*), the same in every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize) % bound
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A text that documents and searches share.
    fn text(&mut self) -> Value {
        let texts = [
            "completed",
            "running",
            "c1",
            "c2",
            "fs",
            "one",
            "",
            " ",
            "a b",
            "é",
            "😀",
            "\"quoted\"",
            "back\\slash",
            "/",
            "x\ny",
            "\",\"status\":\"completed\"",
            "\"status\":\"completed\"",
            "{\"status\": \"completed\"}",
            "null",
            "0",
            "%",
            "_",
            "success",
            "backup",
            PROJECT,
            "dev",
        ];
        json!(self.of(&texts))
    }

    fn value(&mut self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(self.below(2)),
            2 => json!(2.0),
            3 => json!(self.below(2) == 0),
            4 => json!([self.text()]),
            5 => json!({self.key(): self.text()}),
            6 => json!([{self.key(): self.text()}, {self.key(): self.text()}]),
            7 => json!([[{self.key(): self.text()}]]),
            8 => json!({"inner": {self.key(): self.text()}}),
            _ => self.text(),
        }
    }

    fn key(&mut self) -> String {
        let keys = [
            "status",
            "client_id",
            "result",
            "event",
            "backup_name",
            "description",
            "x",
            "level",
            "job_id",
            "session_id",
            "user_id",
            "project_id",
            "container",
            "hostname",
            "schedule_month",
            "a b",
            "é",
            "q\"",
            "inner",
            "job_schedule",
            "mode",
            "action",
            "storage",
            "timeout",
            "max_retries",
            "action_id",
            "backup_id",
            "jobs",
            "freezer_action",
            "trust_id",
            "client",
            "uuid",
            "backup_metadata",
            "mandatory",
            "session_tag",
            "schedule",
        ];
        (*self.of(&keys)).to_owned()
    }

    /// Members with any keys but those that have types of their own.
    fn members(&mut self, typed: &[&str]) -> Map<String, Value> {
        let mut members = Map::new();
        for _ in 0..self.below(5) {
            let key = self.key();
            if !typed.contains(&key.as_str()) {
                members.insert(key, self.value());
            }
        }
        members
    }

    fn freezer_action(&mut self) -> Value {
        let typed = [
            "backup_name",
            "action",
            "mode",
            "container",
            "timeout",
            "mandatory",
            "storage",
        ];
        let mut action = self.members(&typed);
        action.insert(
            "action".to_owned(),
            json!(self.of(&["backup", "restore", "exec"])),
        );
        for (key, value) in [
            ("mode", json!(self.of(&["fs", "nova"]))),
            ("backup_name", self.text()),
            ("container", self.text()),
            ("timeout", json!(self.below(3))),
            ("storage", json!("local")),
        ] {
            if self.below(2) == 0 {
                action.insert(
                    key.to_owned(),
                    if self.below(5) == 0 {
                        Value::Null
                    } else {
                        value
                    },
                );
            }
        }
        Value::Object(action)
    }

    fn schedule(&mut self) -> Value {
        let mut schedule = Map::new();
        for (key, value) in [
            (
                "status",
                json!(self.of(&["", "completed", "running", "stop"])),
            ),
            ("result", json!(self.of(&["", "success", "fail"]))),
            ("event", json!(self.of(&["", "start", "stop"]))),
            ("schedule_month", self.text()),
            ("schedule_day", self.text()),
            ("current_pid", json!(self.below(3))),
        ] {
            if self.below(2) == 0 {
                schedule.insert(key.to_owned(), value);
            }
        }
        Value::Object(schedule)
    }

    /// The path and body of a request that makes a document.
    fn document(&mut self, kind: &str, number: usize) -> (String, Value) {
        let path = kind.to_owned();
        match kind {
            "clients" => (
                path,
                json!({
                    "client_id": format!("c{number}"), "description": self.text(), "hostname": format!("h{}", self.below(3)),
                    "is_central": self.below(2) == 0, "supported_modes": self.of(&[json!([]), json!(["fs"])]),
                }),
            ),
            "actions" => (
                path,
                json!({"freezer_action": self.freezer_action(), "max_retries": self.below(3)}),
            ),
            "jobs" => {
                let actions: Vec<Value> = (0..self.below(3))
                    .map(|_| json!({"freezer_action": self.freezer_action()}))
                    .collect();
                (
                    path,
                    json!({
                        "client_id": self.of(&["c1", "c2", "c3"]), "description": self.text(), "job_schedule": self.schedule(),
                        "job_actions": actions, "session_id": self.of(&["", "one", "c1"]),
                    }),
                )
            }
            "sessions" => {
                let entry = Value::Object(self.members(&[]));
                (
                    format!("sessions/s{number}"),
                    json!({
                        "schedule": self.schedule(), "session_tag": self.below(3), "description": self.text(),
                        "status": self.text(), "result": self.text(), "jobs": {(*self.of(&["j1", "status"])): entry},
                    }),
                )
            }
            _ => {
                let mut backup =
                    self.members(&["backup_name", "container", "hostname", "status", "job_id"]);
                backup.insert(
                    "backup_name".to_owned(),
                    json!(self.of(&["one", "two", "completed"])),
                );
                backup.insert(
                    "status".to_owned(),
                    json!(self.of(&["creating", "error", "deleting"])),
                );
                (path, Value::Object(backup))
            }
        }
    }

    fn pairs(&mut self) -> Vec<Value> {
        let entries = self.below(3);
        (0..entries)
            .map(|_| {
                let mut entry = Map::new();
                for _ in 0..=self.below(2) {
                    entry.insert(self.key(), self.value());
                }
                Value::Object(entry)
            })
            .collect()
    }
}

/// All values that a key has in a document. What is found is not looked into, nor are lists in lists.
fn occurrences<'a>(document: &'a Value, key: &str) -> Vec<&'a Value> {
    let Some(members) = document.as_object() else {
        return Vec::new();
    };
    members
        .iter()
        .flat_map(|(name, value)| match value {
            _ if name == key => vec![value],
            Value::Object(_) => occurrences(value, key),
            Value::Array(items) => items
                .iter()
                .flat_map(|item| occurrences(item, key))
                .collect(),
            _ => Vec::new(),
        })
        .collect()
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

/// What a search means, said plainly.
fn passes(document: &Value, matching: &[Value], not_matching: &[Value]) -> bool {
    let is = |(key, value): (&String, &Value)| {
        let found = occurrences(document, key);
        found.iter().any(|found| same(found, value)) || (found.is_empty() && value.is_null())
    };
    let pairs = |entries: &[Value]| -> Vec<(String, Value)> {
        entries
            .iter()
            .flat_map(|entry| entry.as_object().unwrap().clone())
            .collect()
    };
    pairs(matching).iter().all(|(key, value)| is((key, value)))
        && !pairs(not_matching)
            .iter()
            .any(|(key, value)| is((key, value)))
}

on_each_engine! {
    async fn the_databases_part_changes_nothing(database: Database) {
        let service = Service::start(&database).await;
        let mut choices = Choices(0x5EED);
        for client_id in ["c1", "c2", "c3"] {
            service.client(client_id).await;
        }
        let mut hits = 0;
        for (kind, id) in KINDS {
            for number in 0..70 {
                let (path, body) = choices.document(kind, number + 10);
                service.post(&path, body).await.expect(201);
                service.clock.advance(i64::from(number % 3 == 0));
            }
            let all = service.get(&format!("{kind}?limit=1000")).await.expect(200).json();
            let all = all[kind].as_array().unwrap();
            assert!(all.len() >= 70);
            for _ in 0..150 {
                let (matching, mut not_matching) = (choices.pairs(), choices.pairs());
                if matching.is_empty() && not_matching.is_empty() {
                    not_matching = vec![json!({"status": "completed"})];
                }
                let (offset, limit) = (choices.below(4), 1 + choices.below(12));
                let search = json!({"match": matching, "match_not": not_matching});
                let expected: Vec<&Value> = all.iter().filter(|document| passes(document, &matching, &not_matching))
                    .skip(offset).take(limit).collect();
                hits += expected.len();
                let found = found(&service, &format!("{kind}?offset={offset}&limit={limit}"), &search).await;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{kind} {id} {search}");
            }
            // Searches for what is there: one value of each document.
            for document in all {
                let key = choices.key();
                let Some(value) = occurrences(document, &key).first().map(|value| (*value).clone()) else {
                    continue;
                };
                for (matching, not_matching) in [(vec![json!({key.clone(): value.clone()})], vec![]), (vec![], vec![json!({key: value})])] {
                    let search = json!({"match": matching, "match_not": not_matching});
                    let expected: Vec<&Value> = all.iter().filter(|document| passes(document, &matching, &not_matching)).collect();
                    let found = found(&service, &format!("{kind}?limit=1000"), &search).await;
                    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{kind} {search}");
                    hits += expected.len();
                }
            }
        }
        assert!(hits > 1000, "the searches found {hits} documents, too few to mean anything");
    }
}

/// The statements that sqlx sent for services with `connection_debug`.
fn statements() -> Arc<Mutex<Vec<String>>> {
    static STATEMENTS: OnceLock<Arc<Mutex<Vec<String>>>> = OnceLock::new();
    let install = || {
        let statements = Arc::new(Mutex::new(Vec::new()));
        let layer = Statements(Arc::clone(&statements));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .unwrap();
        statements
    };
    Arc::clone(STATEMENTS.get_or_init(install))
}

/// Keeps the text of each statement in the log.
struct Statements(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let text = if text.whole.trim().is_empty() {
            text.summary
        } else {
            text.whole
        };
        self.0
            .lock()
            .unwrap()
            .push(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

#[derive(Default)]
struct Text {
    summary: String,
    whole: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Jobs of 100 clients in two projects, as the reference and as we write them.
async fn many_jobs(database: &Database, service: &Service) {
    let mut inserts = Vec::new();
    for batch in 0..10 {
        let values: Vec<String> = (0..600)
            .map(|number| {
                let number = batch * 600 + number;
                let status = if number % 3 == 0 { "completed" } else { "scheduled" };
                let blank = if number % 2 == 0 { " " } else { "" };
                format!(
                    "('j{number:05}', 'p{}', 'u', '{{\"time_created\":{blank}1, \"status\":{blank}\"{status}\"}}', 'c{}', '', 0, '', \
                     FALSE, '2024-01-01 00:{:02}:{:02}.000000')",
                    1 + number % 2, number % 100, number / 60 % 60, number % 60
                )
            })
            .collect();
        inserts.push(format!(
            "INSERT INTO jobs (id, project_id, user_id, schedule, client_id, session_id, session_tag, description, deleted, \
             created_at) VALUES {}",
            values.join(", ")
        ));
    }
    inserts.push(
        match database.engine() {
            Engine::MySql => "ANALYZE TABLE jobs, actions",
            Engine::Sqlite | Engine::Postgres => "ANALYZE",
        }
        .to_owned(),
    );
    for client in 0..100 {
        service.client(&format!("c{client}")).await;
    }
    rows::execute_all(database, inserts).await;
}

/// A scheduler asks this every minute. Each engine must find the client's jobs by their index, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedulers_poll_uses_the_index_on_clients() {
    // One engine after the other: the log is that of the whole process.
    for engine in crate::support::engines() {
        let database = Database::create(engine).await;
        let sent = statements();
        let service =
            Service::with(&database, |config| config.database.connection_debug = 100).await;
        many_jobs(&database, &service).await;
        let poll = json!({"match": [{"client_id": "c42"}], "match_not": [{"status": "completed"}]});
        for (path, hits, values) in [
            (
                "jobs",
                40,
                &[
                    "p1",
                    "c42",
                    "\"status\":\"completed\"",
                    "\"status\": \"completed\"",
                ][..],
            ),
            (
                "/v2/p2/jobs?all_projects=true",
                40,
                &[
                    "c42",
                    "\"status\":\"completed\"",
                    "\"status\": \"completed\"",
                ],
            ),
        ] {
            sent.lock().unwrap().clear();
            let separator = if path.contains('?') { '&' } else { '?' };
            let list = service
                .search(&format!("{path}{separator}limit=1000"), poll.clone())
                .await
                .expect(200)
                .json();
            let list = list["jobs"].as_array().unwrap();
            assert_eq!(list.len(), hits, "{engine:?} {path}");
            let is_hit = |job: &Value| {
                job["client_id"] == "c42" && job["job_schedule"]["status"] == "scheduled"
            };
            assert!(list.iter().all(is_hit));
            let statements: Vec<String> = sent.lock().unwrap().drain(..).collect();
            let of_jobs: Vec<&String> = statements
                .iter()
                .filter(|statement| statement.contains("FROM jobs j"))
                .collect();
            let [statement] = of_jobs[..] else {
                panic!("{engine:?} sends {statements:#?}");
            };
            let plan = rows::explain(&database, statement, values).await;
            assert!(
                plan.contains("ix_jobs_client"),
                "{engine:?} {statement}\n{plan}"
            );
            // Whether actions name a client is answered by an index that has only such actions.
            let of_actions = statements
                .iter()
                .find(|statement| statement.contains("FROM actions a WHERE"))
                .unwrap();
            let plan = rows::explain(&database, of_actions, &values[..values.len() - 3]).await;
            let index = plan.contains("ix_actions_naming_client") || engine == Engine::Postgres;
            assert!(index, "{engine:?} {of_actions}\n{plan}");
        }
    }
}
