//! The search document of lists:
//! `{"match": [{key: value, …}, …], "match_not": [{key: value, …}, …], "time_after": SECONDS, "time_before": SECONDS}`.
//!
//! A key is looked for at any depth of an answer's document. `match` lets a document pass if any occurrence of the
//! key has the value, `match_not` drops it if any has (deviation D18). A key that occurs nowhere equals null. What
//! is found is not searched again, and lists are searched for the objects in them.
//!
//! The key `_all` stands for all values: a document has it if its text occurs in any of them, whatever the case of its letters
//! (deviation D47). The times limit the `time_stamp` of backups, and include it (deviation D48).

mod walk;

use serde_json::Value;

use self::walk::Condition;
use super::Refusal;
use super::document::{self, Object};

/// A key and the value that it is compared with.
pub type Pair = (String, Value);

/// The key of a text that any value may contain.
const ANY_VALUE: &str = "_all";

/// Conditions of one part of a search.
const PART: usize = 4;

/// A search with at least one condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Every one of these must be equal.
    pub matching: Vec<Pair>,
    /// None of these may be equal.
    pub not_matching: Vec<Pair>,
    /// Every one of these must occur in some value. In lower case.
    containing: Vec<String>,
    /// None of these may occur in a value. In lower case.
    not_containing: Vec<String>,
    /// The earliest time of a document, in seconds since 1970.
    time_after: Option<i64>,
    /// The latest one.
    time_before: Option<i64>,
}

impl Search {
    /// Reads the body of a list request; `None` where it asks for no search.
    ///
    /// The first entry of `match` may be `{"_all": TEXT}`, where TEXT is a JSON list of entries that replaces all others.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for `match` or `match_not` that are no lists of objects, or have more than `max_terms` pairs
    /// together, for an `_all` that is no text, and for times that are no integers.
    pub fn parse(body: &Object, max_terms: usize) -> Result<Option<Search>, Refusal> {
        let mut matching = entries(body, "match")?;
        let mut not_matching = entries(body, "match_not")?;
        if let Some(list) = matching.first().and_then(replacement) {
            matching = entries(&Object::from_iter([("match".to_owned(), list)]), "match")?;
            not_matching = Vec::new();
        }
        let terms: usize = matching.iter().chain(&not_matching).map(Object::len).sum();
        if terms > max_terms {
            return Err(Refusal::Invalid(format!(
                "The search has {terms} pairs of key and value; it may have {max_terms} ([api] max_search_terms)"
            )));
        }
        let (containing, matching) = split(matching, "match")?;
        let (not_containing, not_matching) = split(not_matching, "match_not")?;
        let search = Search {
            matching,
            not_matching,
            containing,
            not_containing,
            time_after: time(body, "time_after")?,
            time_before: time(body, "time_before")?,
        };
        Ok(Some(search).filter(|search| *search != Search::default()))
    }

    /// The client whose jobs a scheduler polls by this search, in the shape that schedulers send.
    pub fn polled_client(&self) -> Option<&str> {
        if !self.has_pairs_alone() {
            return None;
        }
        match (self.matching.as_slice(), self.not_matching.as_slice()) {
            ([(client, Value::String(client_id))], [(status, Value::String(completed))]) => {
                let is_poll =
                    client == "client_id" && status == "status" && completed == "completed";
                is_poll.then_some(client_id)
            }
            _ => None,
        }
    }

    /// Whether it has more conditions than a scheduler's poll.
    pub fn is_long(&self) -> bool {
        self.matching.len() > 1 || self.not_matching.len() > 1
    }

    /// Whether it has no other conditions than pairs of key and value.
    pub fn has_pairs_alone(&self) -> bool {
        self.containing.is_empty()
            && self.not_containing.is_empty()
            && self.time_after.is_none()
            && self.time_before.is_none()
    }

    /// Searches of few conditions each, all of which a document has to pass: for large documents, so that others have their turn in
    /// between.
    pub fn parts(&self) -> Vec<Search> {
        let mut parts = vec![Search {
            time_after: self.time_after,
            time_before: self.time_before,
            ..Search::default()
        }];
        let mut add = |part: Search| parts.push(part);
        for pairs in self.matching.chunks(PART) {
            add(Search {
                matching: pairs.to_vec(),
                ..Search::default()
            });
        }
        for pairs in self.not_matching.chunks(PART) {
            add(Search {
                not_matching: pairs.to_vec(),
                ..Search::default()
            });
        }
        for texts in self.containing.chunks(PART) {
            add(Search {
                containing: texts.to_vec(),
                ..Search::default()
            });
        }
        for texts in self.not_containing.chunks(PART) {
            add(Search {
                not_containing: texts.to_vec(),
                ..Search::default()
            });
        }
        parts.retain(|part| *part != Search::default());
        parts
    }

    /// Whether a document of ours passes. It is read once, however many pairs there are. `time_member` names the time
    /// that the search may limit; without one the limits have no effect.
    ///
    /// Its nesting is not limited here: what is stored was measured when it was shown.
    pub fn accepts(&self, document: &str, time_member: Option<&str>) -> bool {
        let mut conditions = self::conditions(&self.matching, &self.containing);
        if let Some(member) = time_member {
            let after = self
                .time_after
                .map(|time| Condition::not_before(member, time));
            let before = self
                .time_before
                .map(|time| Condition::not_after(member, time));
            conditions.extend(after.into_iter().chain(before));
        }
        let wanted = conditions.len();
        conditions.extend(self::conditions(&self.not_matching, &self.not_containing));
        walk::read(document, &mut conditions);
        let (wanted, unwanted) = conditions.split_at(wanted);
        wanted.iter().all(Condition::holds) && !unwanted.iter().any(Condition::holds)
    }
}

fn conditions<'s>(pairs: &'s [Pair], texts: &'s [String]) -> Vec<Condition<'s>> {
    let texts = texts.iter().map(|text| Condition::contains(text));
    pairs.iter().map(Condition::equals).chain(texts).collect()
}

/// The list of entries that stands as JSON text in an entry, as freezerclient sends it.
fn replacement(entry: &Object) -> Option<Value> {
    let text = entry.get(ANY_VALUE)?.as_str()?;
    document::parse(text.as_bytes())
        .ok()
        .filter(Value::is_array)
}

/// The texts of `_all`, without empty ones, which occur everywhere, and all other pairs.
fn split(entries: Vec<Object>, name: &str) -> Result<(Vec<String>, Vec<Pair>), Refusal> {
    let (mut texts, mut pairs) = (Vec::new(), Vec::new());
    for (key, value) in entries.into_iter().flatten() {
        match value {
            _ if key != ANY_VALUE => pairs.push((key, value)),
            Value::Null => {}
            Value::String(text) => texts.push(text.to_lowercase()),
            Value::Number(_) | Value::Bool(_) => texts.push(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(Refusal::Invalid(format!(
                    "'{ANY_VALUE}' in '{name}' must be a text"
                )));
            }
        }
    }
    texts.retain(|text| !text.is_empty());
    Ok((texts, pairs))
}

/// Digits of a time that is sent as text: each number of so many has 64 bits.
const MAX_TIME_DIGITS: usize = 18;

/// A time of a search: an integer, also as text.
fn time(body: &Object, key: &str) -> Result<Option<i64>, Refusal> {
    let seconds = match body.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            text.parse()
                .ok()
                .filter(|_| digits.len() <= MAX_TIME_DIGITS)
        }
        Some(value) => value.as_i64(),
    };
    let malformed = || Refusal::Invalid(format!("'{key}' must be an integer: seconds since 1970"));
    seconds.map(Some).ok_or_else(malformed)
}

fn entries(body: &Object, key: &str) -> Result<Vec<Object>, Refusal> {
    let malformed = || Refusal::Invalid(format!("'{key}' must be a list of objects"));
    match body.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries
            .iter()
            .map(|entry| entry.as_object().cloned().ok_or_else(malformed))
            .collect(),
        // The reference sends empty objects where there is nothing to match.
        Some(Value::Object(object)) if object.is_empty() => Ok(Vec::new()),
        Some(_) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn search(body: Value) -> Search {
        Search::parse(body.as_object().unwrap(), 50)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn looks_at_any_depth_and_at_every_occurrence() {
        let job = json!({
            "job_id": "j",
            "job_schedule": {"status": "completed"},
            "job_actions": [{"freezer_action": {"backup_name": "a"}}, {"freezer_action": {"backup_name": "b"}}],
        });
        for name in ["a", "b"] {
            assert!(
                search(json!({"match": [{"backup_name": name}]})).accepts(&job.to_string(), None)
            );
            assert!(
                !search(json!({"match_not": [{"backup_name": name}]}))
                    .accepts(&job.to_string(), None)
            );
        }
        assert!(!search(json!({"match": [{"backup_name": "c"}]})).accepts(&job.to_string(), None));
        assert!(
            !search(json!({"match": [{"job_id": "j", "status": "running"}]}))
                .accepts(&job.to_string(), None)
        );
        assert!(
            !search(json!({"match": [{"job_schedule.status": "completed"}]}))
                .accepts(&job.to_string(), None)
        );
    }

    #[test]
    fn a_missing_key_equals_null() {
        let document = json!({"a": 1});
        assert!(search(json!({"match": [{"x": null}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match_not": [{"x": null}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match": [{"a": null}]})).accepts(&document.to_string(), None));
    }

    #[test]
    fn types_are_strict_and_numbers_compare_by_value() {
        let document =
            json!({"n": 2, "z": 0, "f": false, "big": u64::MAX, "o": {"a": 1, "b": [2.0]}});
        assert!(search(json!({"match": [{"n": 2.0}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match": [{"z": false}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match": [{"f": 0}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match": [{"n": "2"}]})).accepts(&document.to_string(), None));
        assert!(
            search(json!({"match": [{"o": {"b": [2], "a": 1}}]}))
                .accepts(&document.to_string(), None)
        );
        assert!(
            !search(json!({"match": [{"big": u64::MAX - 1}]})).accepts(&document.to_string(), None)
        );
    }

    #[test]
    fn a_number_beyond_doubles_hides_nothing() {
        let document = format!(r#"{{"a": 1, "n": {}, "b": 2}}"#, "9".repeat(400));
        assert!(search(json!({"match": [{"a": 1}, {"b": 2}]})).accepts(&document, None));
        assert!(!search(json!({"match_not": [{"b": 2}]})).accepts(&document, None));
    }

    #[test]
    fn what_is_found_is_not_searched() {
        let document = json!({"a": {"a": 1}, "l": [[{"b": 1}], {"b": 2}]});
        assert!(!search(json!({"match": [{"a": 1}]})).accepts(&document.to_string(), None));
        assert!(!search(json!({"match": [{"b": 1}]})).accepts(&document.to_string(), None));
        assert!(search(json!({"match": [{"b": 2}]})).accepts(&document.to_string(), None));
    }

    #[test]
    fn all_replaces_the_search() {
        let body = json!({
            "match": [{"_all": "[{\"a\": 1}, {\"b\": 2}]"}, {"c": 3}],
            "match_not": [{"d": 4}],
        });
        assert_eq!(
            search(body),
            Search {
                matching: vec![("a".to_owned(), json!(1)), ("b".to_owned(), json!(2))],
                ..Search::default()
            }
        );
    }

    #[test]
    fn a_text_is_looked_for_in_all_values() {
        let document = json!({"a": "Straße", "n": 158, "t": true, "x": null, "l": ["item", ["deep"]], "o": {"name": "ÉTÉ"}});
        for (text, occurs) in [
            (json!("STRAß"), true),
            (json!("été"), true),
            (json!("58"), true),
            (json!(158), true),
            (json!(true), true),
            (json!("item"), true),
            (json!("name"), false),
            (json!("null"), false),
            (json!("deep"), false),
        ] {
            let [wanted, unwanted] =
                ["match", "match_not"].map(|list| search(json!({list: [{"_all": text}]})));
            assert_eq!(
                wanted.accepts(&document.to_string(), None),
                occurs,
                "{text}"
            );
            assert_eq!(
                unwanted.accepts(&document.to_string(), None),
                !occurs,
                "{text}"
            );
        }
    }

    #[test]
    fn the_parts_are_the_search() {
        let document = json!({"a": "one two three four five", "b": 1, "time_stamp": 5}).to_string();
        let texts = ["one", "two", "three", "four", "five"];
        let entries: Vec<Value> = texts.map(|text| json!({"_all": text})).to_vec();
        let whole =
            json!({"match": entries, "match_not": [{"b": 2, "_all": "six"}], "time_after": 5});
        let parts = search(whole).parts();
        assert_eq!(parts.len(), 5);
        let accepts = |parts: &[Search]| {
            parts
                .iter()
                .filter(|part| part.accepts(&document, Some("time_stamp")))
                .count()
        };
        assert_eq!(accepts(&parts), 5);
        for other in [
            json!({"match": [{"_all": "six"}], "match_not": [{"b": 2}], "time_after": 5}),
            json!({"match": [{"_all": "one"}], "match_not": [{"b": 1}], "time_after": 5}),
            json!({"match": [{"_all": "one"}], "match_not": [{"_all": "two"}], "time_after": 5}),
            json!({"match": [{"b": 2}], "match_not": [{"_all": "six"}], "time_after": 5}),
            json!({"match": [{"b": 1}], "match_not": [{"_all": "six"}], "time_before": 4}),
        ] {
            let parts = search(other.clone()).parts();
            assert_eq!(accepts(&parts), parts.len() - 1, "{other}");
        }
    }

    #[test]
    fn a_text_and_a_key_may_find_the_same_value() {
        let document = json!({"a": {"b": "text"}}).to_string();
        assert!(
            search(json!({"match": [{"a": {"b": "text"}, "_all": "text"}]}))
                .accepts(&document, None)
        );
        assert!(
            !search(json!({"match": [{"a": {"b": "text"}, "_all": "other"}]}))
                .accepts(&document, None)
        );
    }

    #[test]
    fn malformed_searches_are_refused() {
        for body in [
            json!({"match": {"a": 1}}),
            json!({"match": "a"}),
            json!({"match": [1]}),
            json!({"match_not": [["a"]]}),
            json!({"match": [{"_all": "[1]"}]}),
        ] {
            assert!(
                Search::parse(body.as_object().unwrap(), 50).is_err(),
                "{body}"
            );
        }
        for body in [
            json!({}),
            json!({"match": [], "match_not": null}),
            json!({"match": [{}]}),
        ] {
            assert_eq!(
                Search::parse(body.as_object().unwrap(), 50),
                Ok(None),
                "{body}"
            );
        }
    }
}
