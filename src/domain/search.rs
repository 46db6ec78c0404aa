//! The search document of lists: `{"match": [{key: value, …}, …], "match_not": [{key: value, …}, …]}`.
//!
//! A key is looked for at any depth of an answer's document. `match` lets a document pass if any occurrence of the
//! key has the value, `match_not` drops it if any has (deviation D18). A key that occurs nowhere equals null. What
//! is found is not searched again, and lists are searched for the objects in them.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::Refusal;
use super::document::{self, Object};

/// A key and the value that it is compared with.
pub type Pair = (String, Value);

/// A search with at least one condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// Every one of these must be equal.
    pub matching: Vec<Pair>,
    /// None of these may be equal.
    pub not_matching: Vec<Pair>,
}

impl Search {
    /// Reads the body of a list request; `None` where it asks for no search.
    ///
    /// The first entry of `match` may be `{"_all": TEXT}`, where TEXT is a JSON list of entries that replaces the
    /// whole search; another text is no search.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for `match` or `match_not` that are no lists of objects, or have more than `max_terms` pairs
    /// together.
    pub fn parse(body: &Object, max_terms: usize) -> Result<Option<Search>, Refusal> {
        let mut matching = entries(body, "match")?;
        let mut not_matching = entries(body, "match_not")?;
        if let Some(all) = matching.first().and_then(|entry| entry.get("_all")) {
            let all = all.as_str().map(|text| document::parse(text.as_bytes()));
            let Some(Ok(all @ Value::Array(_))) = all else {
                return Ok(None);
            };
            matching = entries(&Object::from_iter([("match".to_owned(), all)]), "match")?;
            not_matching = Vec::new();
        }
        let pairs = |entries: Vec<Object>| entries.into_iter().flatten().collect::<Vec<Pair>>();
        let search = Search {
            matching: pairs(matching),
            not_matching: pairs(not_matching),
        };
        let terms = search.matching.len() + search.not_matching.len();
        if terms > max_terms {
            return Err(Refusal::Invalid(format!(
                "The search has {terms} pairs of key and value; it may have {max_terms} ([api] max_search_terms)"
            )));
        }
        Ok(Some(search).filter(|search| *search != Search::default()))
    }

    /// Whether a document passes. It is walked once, however many pairs there are.
    pub fn accepts(&self, document: &Value) -> bool {
        let pairs = self.matching.iter().chain(&self.not_matching);
        let mut occurrences = Occurrences(
            pairs
                .map(|(key, _)| (key.as_str(), Occurrence::default()))
                .collect(),
        );
        occurrences.find_in(document);
        self.matching.iter().all(|pair| occurrences.have(pair))
            && !self.not_matching.iter().any(|pair| occurrences.have(pair))
    }
}

/// The values of a search's keys in a document.
struct Occurrences<'k, 'd>(HashMap<&'k str, Occurrence<'d>>);

#[derive(Default)]
struct Occurrence<'d> {
    values: Vec<&'d Value>,
    /// Whether the walk is inside one of the values, which is not searched again.
    is_inside: bool,
}

impl<'d> Occurrences<'_, 'd> {
    fn find_in(&mut self, document: &'d Value) {
        let Value::Object(members) = document else {
            return;
        };
        for (name, value) in members {
            let is_new = self.enter(name, value);
            match value {
                Value::Object(_) => self.find_in(value),
                Value::Array(items) => items.iter().for_each(|item| self.find_in(item)),
                _ => {}
            }
            if is_new && let Some(occurrence) = self.0.get_mut(name.as_str()) {
                occurrence.is_inside = false;
            }
        }
    }

    /// Notes the value of a key that is looked for, unless it lies inside of another one of that key.
    fn enter(&mut self, name: &str, value: &'d Value) -> bool {
        match self.0.get_mut(name) {
            Some(occurrence) if !occurrence.is_inside => {
                occurrence.values.push(value);
                occurrence.is_inside = true;
                true
            }
            _ => false,
        }
    }

    /// Whether any occurrence of the key has the value; a key without one equals null.
    fn have(&self, (key, value): &Pair) -> bool {
        let found = self.0.get(key.as_str());
        let values = found.map_or(&[][..], |found| &found.values);
        match values {
            [] => value.is_null(),
            values => values.iter().any(|found| equal(found, value)),
        }
    }
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

/// Equality of JSON values: types are strict, but an integer equals the same float; the order of members does not
/// matter.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => equal_numbers(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn equal_numbers(a: &Number, b: &Number) -> bool {
    match (a.is_f64(), b.is_f64()) {
        (false, false) | (true, true) => a == b,
        _ => a.as_f64() == b.as_f64(),
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
            assert!(search(json!({"match": [{"backup_name": name}]})).accepts(&job));
            assert!(!search(json!({"match_not": [{"backup_name": name}]})).accepts(&job));
        }
        assert!(!search(json!({"match": [{"backup_name": "c"}]})).accepts(&job));
        assert!(!search(json!({"match": [{"job_id": "j", "status": "running"}]})).accepts(&job));
        assert!(!search(json!({"match": [{"job_schedule.status": "completed"}]})).accepts(&job));
    }

    #[test]
    fn a_missing_key_equals_null() {
        let document = json!({"a": 1});
        assert!(search(json!({"match": [{"x": null}]})).accepts(&document));
        assert!(!search(json!({"match_not": [{"x": null}]})).accepts(&document));
        assert!(!search(json!({"match": [{"a": null}]})).accepts(&document));
    }

    #[test]
    fn types_are_strict_and_numbers_compare_by_value() {
        let document =
            json!({"n": 2, "z": 0, "f": false, "big": u64::MAX, "o": {"a": 1, "b": [2.0]}});
        assert!(search(json!({"match": [{"n": 2.0}]})).accepts(&document));
        assert!(!search(json!({"match": [{"z": false}]})).accepts(&document));
        assert!(!search(json!({"match": [{"f": 0}]})).accepts(&document));
        assert!(!search(json!({"match": [{"n": "2"}]})).accepts(&document));
        assert!(search(json!({"match": [{"o": {"b": [2], "a": 1}}]})).accepts(&document));
        assert!(!search(json!({"match": [{"big": u64::MAX - 1}]})).accepts(&document));
    }

    #[test]
    fn what_is_found_is_not_searched() {
        let document = json!({"a": {"a": 1}, "l": [[{"b": 1}], {"b": 2}]});
        assert!(!search(json!({"match": [{"a": 1}]})).accepts(&document));
        assert!(!search(json!({"match": [{"b": 1}]})).accepts(&document));
        assert!(search(json!({"match": [{"b": 2}]})).accepts(&document));
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
                not_matching: Vec::new(),
            }
        );
        for text in ["plain", "{\"a\": 1}", ""] {
            let body = json!({"match": [{"_all": text}]});
            assert_eq!(
                Search::parse(body.as_object().unwrap(), 50),
                Ok(None),
                "{text}"
            );
        }
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
