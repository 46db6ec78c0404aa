//! From a document to the rows that it becomes: pure, one file for each kind.
//!
//! What a row may hold is decided by the code that checks bodies of requests. What has no column, or does not fit into it,
//! is kept beside the row ([`Kept`]); a document that cannot be a row at all is refused with the reason.

mod actions;
mod backups;
mod clients;
mod jobs;
mod sessions;

pub(super) use actions::Known;
pub(super) use jobs::JobRows;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::document::Kind;
use crate::domain::document::{self, Object};
use crate::domain::validation::{Schema, Schemas, TEXT_WIDTH};

pub(super) use actions::map as map_action;
pub(super) use backups::{composed_id, map as map_backup};
pub(super) use clients::{map as map_client, name as client_name};
pub(super) use jobs::map as map_job;
pub(super) use sessions::map as map_session;

/// The name space of ids that an import makes, so that the same import makes the same ids again.
const MADE_IDS: Uuid = Uuid::from_u128(0x6b1c_4f0e_8d1b_4f5c_9a36_1f8e_52b7_c0d3);

/// The id that takes the place of one that cannot be, or that a document without one gets.
pub(super) fn made_id(kind: Kind, name: &str) -> String {
    let name = format!("{}/{name}", kind.name());
    Uuid::new_v5(&MADE_IDS, name.as_bytes())
        .simple()
        .to_string()
}

/// To whom a row belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) project_id: &'a str,
    pub(super) user_id: &'a str,
}

/// A row, when it came to be as far as the document tells, and what of the document is kept beside it.
#[derive(Debug)]
pub(super) struct Mapped<R> {
    pub(super) row: R,
    pub(super) created: Option<OffsetDateTime>,
    pub(super) kept: Kept,
}

/// What of a document has no place in its row.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    members: Object,
    reasons: Vec<String>,
}

impl Kept {
    /// Keeps a member, with why it has no place. Of two values the first counts, which is the document's.
    pub(super) fn add(&mut self, key: &str, value: Value, reason: String) {
        self.members.entry(key).or_insert(value);
        self.reasons.push(reason);
    }

    /// Keeps what is left of a document, but for nulls, which say nothing.
    fn add_rest(&mut self, rest: Object) {
        for (key, value) in rest {
            if !value.is_null() {
                let reason = format!("{key} has no column");
                self.add(&key, value, reason);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// The members with their values, as JSON.
    pub(super) fn text(&self) -> String {
        document::to_text(&self.members)
    }
}

/// An id of a document: its own where it can be one, else a made one.
fn fitting_id(schemas: &Schemas, kind: Kind, old: &str, kept: &mut Kept) -> String {
    if is_id(schemas, old) {
        return old.to_owned();
    }
    let name = format!("{kind} id");
    kept.add(
        &name,
        old.into(),
        "its id cannot be one (36 letters, digits, - and _ at most); it has a new one".to_owned(),
    );
    made_id(kind, old)
}

/// The id by which another document is named now.
fn renamed(schemas: &Schemas, kind: Kind, old: &str) -> String {
    if is_id(schemas, old) {
        old.to_owned()
    } else {
        made_id(kind, old)
    }
}

fn is_id(schemas: &Schemas, id: &str) -> bool {
    schemas.check_identifier("id", id).is_ok()
}

/// Cuts a text to its column, and keeps the whole one.
fn cut(object: &mut Object, key: &str, kept: &mut Kept) {
    let Some(Value::String(text)) = object.get_mut(key) else {
        return;
    };
    if text.chars().count() > TEXT_WIDTH {
        let whole = text.clone();
        *text = whole.chars().take(TEXT_WIDTH).collect();
        let reason = format!("{key} is longer than {TEXT_WIDTH} characters and was cut");
        kept.add(key, whole.into(), reason);
    }
}

/// Takes those members out of a body that the schema does not take, one by one, and keeps them. `required` is what a body
/// has to have besides.
fn keep_refused(
    schema: &Schema,
    body: &mut Object,
    optional: &[&str],
    required: &Object,
    kept: &mut Kept,
) {
    for key in optional {
        let Some(value) = body.get(*key) else {
            continue;
        };
        let mut alone = required.clone();
        alone.insert((*key).to_owned(), value.clone());
        if let Err(refusal) = schema.check(alone) {
            let reason = format!(
                "{key} cannot be stored: {}",
                first_words(&refusal.to_string())
            );
            if let Some(value) = body.shift_remove(*key) {
                kept.add(key, value, reason);
            }
        }
    }
}

/// The beginning of a description, which may quote a whole value.
fn first_words(text: &str) -> String {
    const LENGTH: usize = 100;
    if text.chars().count() <= LENGTH {
        return text.to_owned();
    }
    let beginning = text.chars().take(LENGTH);
    beginning.chain(['…']).collect()
}

/// A time in seconds since the epoch, as number or digits, if it can be one of a document.
fn seconds(value: Option<&Value>) -> Option<OffsetDateTime> {
    const YEAR_2200: i64 = 7_258_118_400;
    let seconds = match value? {
        Value::Number(number) => number.as_i64()?,
        Value::String(digits) => digits.parse().ok()?,
        _ => return None,
    };
    (1..YEAR_2200)
        .contains(&seconds)
        .then(|| OffsetDateTime::from_unix_timestamp(seconds).ok())?
}

/// The time in an `_id` that Elasticsearch 1 and 2 drew: 20 characters, of which the first eight are 48 bits of milliseconds
/// in the alphabet of base64url.
pub(super) fn time_of_drawn_id(id: &str) -> Option<OffsetDateTime> {
    const FREEZER_BEGAN_MS: u64 = 1_388_534_400_000;
    const YEAR_2100_MS: u64 = 4_102_444_800_000;
    if id.len() != 20 {
        return None;
    }
    let mut ms = 0;
    for byte in id.bytes().take(8) {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        ms = ms << 6 | u64::from(digit);
    }
    (FREEZER_BEGAN_MS..YEAR_2100_MS)
        .contains(&ms)
        .then(|| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_carry_their_time() {
        let time = time_of_drawn_id("AVJ3vB0vHk2nLJkKEZPl").unwrap();
        assert_eq!(time.year(), 2016);
        for other in ["", "7f3e", "zzzzzzzzzzzzzzzzzzzz", "AVJ3vB0vHk2nLJkKEZP!x"] {
            assert_eq!(time_of_drawn_id(other), None, "{other}");
        }
    }

    #[test]
    fn times_are_numbers_or_digits() {
        for value in [Value::from(1_450_000_000), Value::from("1450000000")] {
            assert_eq!(seconds(Some(&value)).unwrap().year(), 2015);
        }
        for value in [
            Value::from(-1),
            Value::from("x"),
            Value::Null,
            Value::from(1e99),
        ] {
            assert_eq!(seconds(Some(&value)), None);
        }
    }

    #[test]
    fn made_ids_are_always_the_same() {
        assert_eq!(made_id(Kind::Jobs, "a"), made_id(Kind::Jobs, "a"));
        assert_ne!(made_id(Kind::Jobs, "a"), made_id(Kind::Actions, "a"));
        assert_eq!(made_id(Kind::Jobs, "a").len(), 32);
    }
}
