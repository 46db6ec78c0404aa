//! The search document of lists: `{"match": [{key: value, …}, …], "match_not": [{key: value, …}, …]}`.
//!
//! A key is looked for at any depth of an answer's document. `match` lets a document pass if any occurrence of the
//! key has the value, `match_not` drops it if any has (deviation D18). A key that occurs nowhere equals null. What
//! is found is not searched again, and lists are searched for the objects in them.

use std::fmt::{self, Formatter};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

    /// Whether a document of ours passes. It is read once, however many pairs there are.
    ///
    /// Its nesting is not limited here: what is stored was measured when it was shown.
    pub fn accepts(&self, document: &str) -> bool {
        let pairs = self.matching.iter().chain(&self.not_matching);
        let mut conditions: Vec<Condition> = pairs.map(Condition::new).collect();
        let mut deserializer = serde_json::Deserializer::from_str(document);
        deserializer.disable_recursion_limit();
        let walk = Walk {
            conditions: &mut conditions,
            is_item: true,
        };
        if let Err(error) = walk.deserialize(&mut deserializer) {
            tracing::warn!(%error, "a document cannot be searched");
        }
        let (matching, not_matching) = conditions.split_at(self.matching.len());
        matching.iter().all(Condition::holds) && !not_matching.iter().any(Condition::holds)
    }
}

/// A pair of a search, and what a document has told of it so far.
struct Condition<'s> {
    key: &'s str,
    value: &'s Value,
    occurs: bool,
    is_equal: bool,
    /// Whether the walk is inside a value of the key, which is not searched again.
    is_inside: bool,
}

impl<'s> Condition<'s> {
    fn new((key, value): &'s Pair) -> Condition<'s> {
        Condition {
            key,
            value,
            occurs: false,
            is_equal: false,
            is_inside: false,
        }
    }

    /// Whether the key looks for a member of this name here.
    fn looks_for(&self, name: &str) -> bool {
        self.key == name && !self.is_inside
    }

    /// Whether any occurrence of the key has the value; a key without one equals null.
    fn holds(&self) -> bool {
        if self.occurs {
            self.is_equal
        } else {
            self.value.is_null()
        }
    }
}

/// Reads a document, or a part of it, for the values of the conditions' keys. Only those become values in memory.
struct Walk<'w, 's> {
    conditions: &'w mut [Condition<'s>],
    /// Whether it stands in a list: a list in a list is not searched.
    is_item: bool,
}

impl<'s> Walk<'_, 's> {
    /// The same for a part.
    fn part(&mut self, is_item: bool) -> Walk<'_, 's> {
        Walk {
            conditions: self.conditions,
            is_item,
        }
    }

    /// Compares the value of a member that is looked for, and walks on inside of it for the other keys.
    fn compare(&mut self, name: &str, value: &Value) -> Result<(), serde_json::Error> {
        let mut entered = Vec::new();
        for (index, condition) in self.conditions.iter_mut().enumerate() {
            if condition.looks_for(name) {
                condition.occurs = true;
                condition.is_equal |= equal(value, condition.value);
                condition.is_inside = true;
                entered.push(index);
            }
        }
        self.part(false).deserialize(value)?;
        for index in entered {
            if let Some(condition) = self.conditions.get_mut(index) {
                condition.is_inside = false;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(found) = members.next_key_seed(Name(self.conditions))? {
            match found {
                Some(name) => {
                    let value: Value = members.next_value()?;
                    self.compare(&name, &value).map_err(A::Error::custom)?;
                }
                None => members.next_value_seed(self.part(false))?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        if self.is_item {
            while items.next_element::<IgnoredAny>()?.is_some() {}
        } else {
            while items.next_element_seed(self.part(true))?.is_some() {}
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the name of a member: itself, if a condition looks for it.
struct Name<'w, 's>(&'w [Condition<'s>]);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let is_sought = self.0.iter().any(|condition| condition.looks_for(name));
        Ok(is_sought.then(|| name.to_owned()))
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
            assert!(search(json!({"match": [{"backup_name": name}]})).accepts(&job.to_string()));
            assert!(
                !search(json!({"match_not": [{"backup_name": name}]})).accepts(&job.to_string())
            );
        }
        assert!(!search(json!({"match": [{"backup_name": "c"}]})).accepts(&job.to_string()));
        assert!(
            !search(json!({"match": [{"job_id": "j", "status": "running"}]}))
                .accepts(&job.to_string())
        );
        assert!(
            !search(json!({"match": [{"job_schedule.status": "completed"}]}))
                .accepts(&job.to_string())
        );
    }

    #[test]
    fn a_missing_key_equals_null() {
        let document = json!({"a": 1});
        assert!(search(json!({"match": [{"x": null}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match_not": [{"x": null}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match": [{"a": null}]})).accepts(&document.to_string()));
    }

    #[test]
    fn types_are_strict_and_numbers_compare_by_value() {
        let document =
            json!({"n": 2, "z": 0, "f": false, "big": u64::MAX, "o": {"a": 1, "b": [2.0]}});
        assert!(search(json!({"match": [{"n": 2.0}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match": [{"z": false}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match": [{"f": 0}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match": [{"n": "2"}]})).accepts(&document.to_string()));
        assert!(
            search(json!({"match": [{"o": {"b": [2], "a": 1}}]})).accepts(&document.to_string())
        );
        assert!(!search(json!({"match": [{"big": u64::MAX - 1}]})).accepts(&document.to_string()));
    }

    #[test]
    fn what_is_found_is_not_searched() {
        let document = json!({"a": {"a": 1}, "l": [[{"b": 1}], {"b": 2}]});
        assert!(!search(json!({"match": [{"a": 1}]})).accepts(&document.to_string()));
        assert!(!search(json!({"match": [{"b": 1}]})).accepts(&document.to_string()));
        assert!(search(json!({"match": [{"b": 2}]})).accepts(&document.to_string()));
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
