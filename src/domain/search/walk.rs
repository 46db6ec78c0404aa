//! What a search reads of a document: each condition of it is told what occurs.

use std::fmt::{self, Formatter};

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::Pair;
use crate::domain::document;

/// Reads a document for the conditions. One with a number that no double can hold is read as a change of it would; one that is
/// not JSON has nothing.
pub(super) fn read(document: &str, conditions: &mut [Condition<'_>]) {
    let mut deserializer = serde_json::Deserializer::from_str(document);
    deserializer.disable_recursion_limit();
    if walk(&mut deserializer, conditions).is_ok() {
        return;
    }
    conditions.iter_mut().for_each(Condition::forget);
    if let Err(error) = walk(&document::stored_value(document), conditions) {
        tracing::warn!(%error, "a document cannot be searched");
    }
}

fn walk<'de, D: Deserializer<'de>>(
    document: D,
    conditions: &mut [Condition<'_>],
) -> Result<(), D::Error> {
    let walk = Walk {
        looks_at_values: conditions.iter().any(Condition::looks_at_values),
        conditions,
        is_item: true,
    };
    walk.deserialize(document)
}

/// What a search asks of a document, and what the document has told of it so far.
pub(super) struct Condition<'s> {
    test: Test<'s>,
    occurs: bool,
    is_met: bool,
    /// Whether the walk is inside a value of the key, which is not searched again.
    is_inside: bool,
}

enum Test<'s> {
    /// The key has the value.
    Equals(&'s str, &'s Value),
    /// Any value contains the text, which is in lower case.
    Contains(&'s str),
    /// The key has this time or a later one.
    NotBefore(&'s str, i64),
    /// The key has this time or an earlier one.
    NotAfter(&'s str, i64),
}

impl<'s> Condition<'s> {
    fn new(test: Test<'s>) -> Condition<'s> {
        Condition {
            test,
            occurs: false,
            is_met: false,
            is_inside: false,
        }
    }

    /// Begins again.
    fn forget(&mut self) {
        (self.occurs, self.is_met, self.is_inside) = (false, false, false);
    }

    pub(super) fn equals((key, value): &'s Pair) -> Condition<'s> {
        Condition::new(Test::Equals(key, value))
    }

    pub(super) fn contains(text: &'s str) -> Condition<'s> {
        Condition::new(Test::Contains(text))
    }

    pub(super) fn not_before(key: &'s str, time: i64) -> Condition<'s> {
        Condition::new(Test::NotBefore(key, time))
    }

    pub(super) fn not_after(key: &'s str, time: i64) -> Condition<'s> {
        Condition::new(Test::NotAfter(key, time))
    }

    /// Whether it holds for the document; a key without an occurrence equals null.
    pub(super) fn holds(&self) -> bool {
        match self.test {
            Test::Equals(_, value) if !self.occurs => value.is_null(),
            _ => self.is_met,
        }
    }

    fn looks_at_values(&self) -> bool {
        matches!(self.test, Test::Contains(_))
    }

    /// Whether it looks for a member of this name here.
    fn looks_for(&self, name: &str) -> bool {
        match self.test {
            Test::Equals(key, _) | Test::NotBefore(key, _) | Test::NotAfter(key, _) => {
                key == name && !self.is_inside
            }
            Test::Contains(_) => false,
        }
    }

    /// Takes the value of a member that it looks for.
    fn take(&mut self, value: &Value) {
        self.occurs = true;
        self.is_inside = true;
        self.is_met |= match self.test {
            Test::Equals(_, wanted) => equal(value, wanted),
            Test::NotBefore(_, time) => seconds(value).is_some_and(|seconds| seconds >= time),
            Test::NotAfter(_, time) => seconds(value).is_some_and(|seconds| seconds <= time),
            Test::Contains(_) => false,
        };
    }
}

/// The time that a value says: agents send an integer, some clients its text.
fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "beyond the range it is the nearest end"
        )]
        _ => value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds as i64)),
    }
}

/// Reads a document, or a part of it, for the values of the conditions' keys. Only those become values in memory.
struct Walk<'w, 's> {
    conditions: &'w mut [Condition<'s>],
    /// Whether it stands in a list: a list in a list is not searched.
    is_item: bool,
    looks_at_values: bool,
}

impl<'s> Walk<'_, 's> {
    /// The same for a part.
    fn part(&mut self, is_item: bool) -> Walk<'_, 's> {
        Walk {
            conditions: self.conditions,
            is_item,
            looks_at_values: self.looks_at_values,
        }
    }

    /// Shows a value to the conditions that look at all of them.
    fn show(&mut self, value: impl FnOnce() -> String) {
        if !self.looks_at_values {
            return;
        }
        let value = value();
        for condition in self.conditions.iter_mut().filter(|one| !one.is_met) {
            if let Test::Contains(text) = condition.test {
                condition.is_met = value.contains(text);
            }
        }
    }

    /// Compares the value of a member that is looked for, and walks on inside of it for the other keys.
    fn compare(&mut self, name: &str, value: &Value) -> Result<(), serde_json::Error> {
        let mut entered = Vec::new();
        for (index, condition) in self.conditions.iter_mut().enumerate() {
            if condition.looks_for(name) {
                condition.take(value);
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

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.show(|| text.to_lowercase());
        Ok(())
    }

    fn visit_bool<E>(mut self, is_true: bool) -> Result<(), E> {
        self.show(|| is_true.to_string());
        Ok(())
    }

    fn visit_i64<E>(mut self, number: i64) -> Result<(), E> {
        self.show(|| number.to_string());
        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.show(|| number.to_string());
        Ok(())
    }

    fn visit_f64<E>(mut self, number: f64) -> Result<(), E> {
        self.show(|| number.to_string());
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
