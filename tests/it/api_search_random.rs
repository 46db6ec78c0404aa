//! Searches of random documents find what a plain filter finds: the database's part in a search changes nothing.

use serde_json::{Map, Value, json};

use crate::support::choices::Choices;
use crate::support::{PROJECT, Service};

const KINDS: [&str; 5] = ["clients", "actions", "jobs", "sessions", "backups"];

/// The documents that a search finds.
async fn found(service: &Service, kind: &str, query: &str, search: &Value) -> Vec<Value> {
    let answer = service
        .search(&format!("{kind}?{query}"), search.clone())
        .await;
    let list = answer.expect(200).json();
    list[kind].as_array().unwrap().clone()
}

/// What random documents and searches are made of.
impl Choices {
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
                let typed = ["backup_name", "container", "hostname", "status", "job_id"];
                let mut backup = self.members(&typed);
                for member in ["container", "hostname", "job_id"] {
                    let value = [json!("c1"), json!("a b"), json!("é"), Value::Null];
                    if self.below(2) == 0 {
                        backup.insert(member.to_owned(), self.of(&value).clone());
                    }
                }
                backup.insert(
                    "backup_name".to_owned(),
                    json!(self.of(&["one", "two", "completed"])),
                );
                backup.insert(
                    "status".to_owned(),
                    json!(self.of(&["creating", "error", "deleting"])),
                );
                if self.below(5) > 0 {
                    backup.insert("time_stamp".to_owned(), json!(1000 + self.below(20)));
                }
                (path, Value::Object(backup))
            }
        }
    }

    /// A limit on times, mostly none.
    fn time(&mut self) -> Option<i64> {
        (self.below(4) == 0).then(|| 1000 + self.below(20) as i64)
    }

    fn pairs(&mut self) -> Vec<Value> {
        let entries = self.below(3);
        (0..entries)
            .map(|_| {
                let mut entry = Map::new();
                for _ in 0..=self.below(2) {
                    entry.insert(self.key(), self.value());
                }
                if self.below(6) == 0 {
                    let texts = [
                        "C", "one", "BACK", "Ck\\sL", "É", "😀", "2", "true", "dev", "\"quo",
                    ];
                    entry.insert("_all".to_owned(), json!(self.of(&texts)));
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

/// Whether a value in a document contains a text, or is a number that does. Lists in lists are not looked into.
fn contains(document: &Value, text: &str) -> bool {
    match document {
        Value::Object(members) => members.values().any(|value| contains(value, text)),
        Value::Array(items) => items
            .iter()
            .any(|item| !item.is_array() && contains(item, text)),
        Value::String(value) => value.to_lowercase().contains(&text.to_lowercase()),
        Value::Null => false,
        value => value.to_string().contains(text),
    }
}

/// Whether the time stamp of a backup lies between two limits, where there are any.
fn is_between(backup: &Value, after: Option<i64>, before: Option<i64>) -> bool {
    let time = backup["backup_metadata"]["time_stamp"].as_i64();
    after.is_none_or(|after| time.is_some_and(|time| time >= after))
        && before.is_none_or(|before| time.is_some_and(|time| time <= before))
}

/// What a search means, said plainly.
pub(crate) fn passes(document: &Value, matching: &[Value], not_matching: &[Value]) -> bool {
    let is = |(key, value): (&String, &Value)| {
        if let ("_all", Some(text)) = (key.as_str(), value.as_str()) {
            return contains(document, text);
        }
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
        let mut choices = Choices::new(0x5EED);
        for client_id in ["c1", "c2", "c3"] {
            service.client(client_id).await;
        }
        let mut hits = 0;
        for kind in KINDS {
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
                let (after, before) = (choices.time(), choices.time());
                let search = json!({"match": matching, "match_not": not_matching, "time_after": after, "time_before": before});
                let is_in_time = |document: &Value| kind != "backups" || is_between(document, after, before);
                let expected: Vec<&Value> = all.iter()
                    .filter(|document| passes(document, &matching, &not_matching) && is_in_time(document))
                    .skip(offset).take(limit).collect();
                hits += expected.len();
                let found = found(&service, kind, &format!("offset={offset}&limit={limit}"), &search).await;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{kind} {search}");
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
                    let found = found(&service, kind, "limit=1000", &search).await;
                    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{kind} {search}");
                    hits += expected.len();
                }
            }
        }
        assert!(hits > 1000, "the searches found {hits} documents, too few to mean anything");
    }
}
