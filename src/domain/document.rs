//! JSON documents: a request's body is parsed strictly, a stored text leniently.

use std::borrow::Cow;
use std::fmt::{self, Formatter};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Refusal;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Levels of nesting that a request's body may have.
pub const MAX_NESTING: usize = 128;
/// Levels of nesting up to which a stored text is read and shown. The reference takes no 500, and Python's clients read
/// no 1000.
const MAX_STORED_NESTING: usize = 512;

/// Reads a request's body.
///
/// What would not come back as it was sent is refused: besides everything that is no JSON (RFC 8259: NaN, lone
/// surrogates, a byte order mark, …) also nesting beyond 128 levels and integers beyond 64 bits, which would turn
/// into floating-point numbers.
///
/// # Errors
/// What is wrong and where, with line and column counted from 1.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let value = read(text, MAX_NESTING)?;
    match oversized_integer(text) {
        Some(position) => Err(format!(
            "integer beyond 64 bits at {}",
            place(text, position)
        )),
        None => Ok(value),
    }
}

/// Reads JSON of limited depth. serde_json's own limit cannot be set, only lifted.
fn read(text: &[u8], max_nesting: usize) -> Result<Value, String> {
    if let Some(position) = nested_beyond(text, max_nesting) {
        let place = place(text, position);
        return Err(format!("nesting beyond {max_nesting} levels at {place}"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.disable_recursion_limit();
    let value = Value::deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    value.map_err(|error| error.to_string())
}

/// Line and column of a position, counted from 1.
fn place(text: &[u8], position: usize) -> String {
    let (mut line, mut column) = (1, 1);
    for byte in text.iter().take(position) {
        if *byte == b'\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    format!("line {line} column {column}")
}

/// The position of the bracket that opens one level too many.
fn nested_beyond(text: &[u8], max_nesting: usize) -> Option<usize> {
    // Each level takes a byte.
    if text.len() <= max_nesting {
        return None;
    }
    let (mut position, mut depth) = (0, 0usize);
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => {
                position = after_string(text, position);
                continue;
            }
            b'[' | b'{' if depth == max_nesting => return Some(position),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        position += 1;
    }
    None
}

/// The position of an integer literal that fits neither `i64` nor `u64`, in a text known to be JSON.
fn oversized_integer(text: &[u8]) -> Option<usize> {
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => position = after_string(text, position),
            b'-' | b'0'..=b'9' => {
                let literal = text.iter().skip(position).map_while(number_character);
                let literal: String = literal.collect();
                if is_oversized_integer(&literal) {
                    return Some(position);
                }
                position += literal.len();
            }
            _ => position += 1,
        }
    }
    None
}

fn number_character(byte: &u8) -> Option<char> {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9').then_some(char::from(*byte))
}

fn is_oversized_integer(literal: &str) -> bool {
    !literal.contains(['.', 'e', 'E'])
        && literal.parse::<i64>().is_err()
        && literal.parse::<u64>().is_err()
}

/// How many bytes of memory a text takes about while it is read, changed and stored: itself in several copies, and its values,
/// which are many times as large as the shortest texts that make them.
pub fn memory_for(text: &[u8]) -> usize {
    const COPIES: usize = 6;
    const VALUE: usize = 160;
    let (mut position, mut values) = (0, 0usize);
    while let Some(byte) = text.get(position) {
        position = match byte {
            b'"' => after_string(text, position),
            b',' | b':' => {
                values += 1;
                position + 1
            }
            _ => position + 1,
        };
    }
    text.len() * COPIES + values * VALUE
}

/// The position behind the string that opens at `start`.
fn after_string(text: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(rest) = text.get(position..)
        && let Some(found) = memchr::memchr2(b'"', b'\\', rest)
    {
        position += found + 1;
        if text.get(position - 1) == Some(&b'"') {
            return position;
        }
        position += 1;
    }
    position.max(text.len())
}

/// A stored JSON text as it goes into an answer: unchanged when it is valid.
///
/// The reference could store what is no JSON (NaN, Infinity) or what few can read (lone surrogates). One such row
/// must not break a list, so it is repaired in the answer; the row stays as it is.
pub fn stored(text: &str) -> Box<RawValue> {
    // A lone surrogate is no fault to `RawValue`, which does not decode strings.
    let sound = if has_surrogate_escape(text) {
        RawValue::from_string(repair(text))
    } else {
        RawValue::from_string(text.to_owned()).or_else(|_| RawValue::from_string(repair(text)))
    };
    match sound {
        Ok(sound) if nested_beyond(sound.get().as_bytes(), MAX_STORED_NESTING).is_none() => sound,
        Ok(_) => {
            tracing::warn!("a stored document is nested too deeply; it is shown as null");
            RawValue::NULL.to_owned()
        }
        Err(error) => {
            tracing::warn!(%error, "a stored document is not valid JSON; it is shown as null");
            RawValue::NULL.to_owned()
        }
    }
}

/// A stored JSON text as a value, repaired like [`stored`].
pub fn stored_value(text: &str) -> Value {
    read(text.as_bytes(), MAX_STORED_NESTING)
        .or_else(|_| read(repair(text).as_bytes(), MAX_STORED_NESTING))
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "a stored document is not valid JSON; it is treated as null");
            Value::Null
        })
}

/// A stored JSON text as an object; anything else counts as an empty one.
pub fn stored_object(text: Option<&str>) -> Object {
    match text.map(stored_value) {
        Some(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

/// The members of an object with their texts, in their order; none where it is no object.
pub fn members(object: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((Name(name), text)) = map.next_entry()? {
                members.push((name, text));
            }
            Ok(members)
        }
    }
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    let mut deserializer = serde_json::Deserializer::from_str(object.get());
    deserializer.deserialize_map(Members).unwrap_or_default()
}

fn has_surrogate_escape(text: &str) -> bool {
    text.contains('\\') && (text.contains("\\ud") || text.contains("\\uD"))
}

/// Replaces NaN, the infinities and numbers that no double can hold by null, and lone surrogates by U+FFFD. Python stores
/// integers of any length.
fn repair(text: &str) -> String {
    const NO_JSON: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            // Behind the closing quote, or at the end of a text that has none.
            let end = after_string(rest.as_bytes(), 0).min(rest.len());
            let (string, behind) = rest.split_at(end);
            replace_lone_surrogates(string, &mut repaired);
            rest = behind;
        } else if let Some(behind) = NO_JSON.iter().find_map(|word| rest.strip_prefix(word)) {
            repaired.push_str("null");
            rest = behind;
        } else if matches!(first, '-' | '0'..='9') {
            let length = rest
                .bytes()
                .map_while(|byte| number_character(&byte))
                .count();
            let (number, behind) = rest.split_at(length);
            let is_infinite = number.parse().is_ok_and(f64::is_infinite);
            repaired.push_str(if is_infinite { "null" } else { number });
            rest = behind;
        } else {
            repaired.push(first);
            rest = behind_first(rest);
        }
    }
    repaired
}

fn replace_lone_surrogates(string: &str, replaced: &mut String) {
    let mut rest = string;
    while let Some((plain, escape)) = rest.split_once('\\') {
        replaced.push_str(plain);
        let (sound, behind) = match utf16_unit(escape) {
            Some((0xD800..=0xDBFF, behind)) => match low_surrogate(behind) {
                Some(behind) => (true, behind),
                None => (false, behind),
            },
            Some((0xDC00..=0xDFFF, behind)) => (false, behind),
            _ => (true, behind_first(escape)),
        };
        if sound {
            let (sound, _) = escape.split_at(escape.len() - behind.len());
            replaced.push('\\');
            replaced.push_str(sound);
        } else {
            replaced.push_str("\\ufffd");
        }
        rest = behind;
    }
    replaced.push_str(rest);
}

/// The number of an escape without its backslash (`u` and four hexadecimal digits), and what follows it.
fn utf16_unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, behind) = escape.strip_prefix('u')?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, behind))
}

/// What follows the second half of a surrogate pair, if the text begins with one.
fn low_surrogate(text: &str) -> Option<&str> {
    match utf16_unit(text.strip_prefix('\\')?)? {
        (0xDC00..=0xDFFF, behind) => Some(behind),
        _ => None,
    }
}

/// The text without its first character, if it has one.
fn behind_first(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

/// The text under which a document is stored.
pub fn to_text(object: &Object) -> String {
    #[expect(clippy::expect_used, reason = "the keys of an object are strings")]
    serde_json::to_string(object).expect("an object has a text")
}

/// How many bytes the text of a document has.
pub fn size(document: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    #[expect(clippy::expect_used, reason = "the keys of an object are strings")]
    serde_json::to_writer(&mut count, document).expect("a document has a text");
    count.0
}

/// The text of a member that is a string.
pub fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

/// A member as an owned string; null and absent are `None`.
pub fn owned_text(object: &Object, key: &str) -> Option<String> {
    text(object, key).map(str::to_owned)
}

/// A member as an owned string, where a schema has seen to it that it is there.
pub(super) fn required_text(object: &Object, key: &str) -> String {
    #[expect(
        clippy::expect_used,
        reason = "callers name members that their schema requires"
    )]
    owned_text(object, key).expect("a member that its schema requires")
}

/// A member as a 32-bit integer; null and absent are `None`. The schemas keep others out.
pub fn int(object: &Object, key: &str) -> Option<i32> {
    object
        .get(key)
        .and_then(Value::as_i64)
        .and_then(|value| i32::try_from(value).ok())
}

/// Whether a member counts as absent by Python's rule of truth, which the reference applies to identifiers.
pub fn is_falsy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Bool(true)) => false,
    }
}

/// Refuses a body that names another project than the one of the path; rows never move (deviation D6).
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn refuse_other_project(body: &Object, project_id: &str) -> Result<(), Refusal> {
    match body.get("project_id") {
        None => Ok(()),
        Some(Value::String(named)) if named == project_id => Ok(()),
        Some(_) => Err(Refusal::Invalid(
            "'project_id' must be the project of the path".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_stored_text_is_shown_as_json(text in r#"(["\\{}\[\]:, é€uUdD8cC0fF1]|\\\\u[dD][89cC]0[0f]|NaN|-Infinity)*"#) {
            let shown = stored(&text);
            prop_assert!(serde_json::from_str::<Value>(shown.get()).is_ok(), "{text:?}: {shown}");
        }
    }

    #[test]
    fn refuses_what_would_not_come_back() {
        for text in [
            "{bad",
            "",
            "  ",
            "\u{feff}{}",
            "NaN",
            "[Infinity]",
            "[1e400]",
            r#"["\ud800"]"#,
            "[18446744073709551616]",
            "[-9223372036854775809]",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"[\"\xff\"]").is_err());
        assert_eq!(
            parse(nested(129).as_bytes()).unwrap_err(),
            "nesting beyond 128 levels at line 1 column 129"
        );
    }

    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    #[test]
    fn reads_what_the_reference_nested() {
        assert!(parse(nested(128).as_bytes()).is_ok());
        assert!(parse(br#"["[[", "\"[", {"}": "]"}]"#).is_ok());
        assert!(stored_value(&nested(512)).is_array());
        assert_eq!(stored(&nested(512)).get(), nested(512));
        assert_eq!(stored_value(&nested(100_000)), Value::Null);
        assert_eq!(stored(&nested(100_000)).get(), "null");
    }

    #[test]
    fn accepts_the_edges() {
        for text in [
            "[18446744073709551615,-9223372036854775808]",
            r#"["\ud83d\ude00"]"#,
            "[100000000000000000000.0, 1e20]",
            r#"{"99999999999999999999": "99999999999999999999 \" 99999999999999999999"}"#,
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn tells_where_an_integer_is_too_large() {
        let error = parse(b"{\n \"a\": 99999999999999999999}").unwrap_err();
        assert_eq!(error, "integer beyond 64 bits at line 2 column 7");
    }

    #[test]
    fn repairs_what_the_reference_could_store() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \"\ud800x\udc00 \ud83d\ude00\\ud800"}"#;
        let value = stored_value(text);
        assert_eq!(
            value,
            serde_json::json!({"a": null, "b": [null, null], "c": "NaN \"\u{fffd}x\u{fffd} \u{1f600}\\ud800"})
        );
        // Valid JSON is shown as it is. Who has to read it, as a change has, loses the number, and nothing else.
        let huge = "9".repeat(400);
        for number in [&huge, "-1e999", "1E+400"] {
            let text = format!(r#"{{"a": {number}, "b": "1e999 {huge}", "c": [1e5]}}"#);
            assert_eq!(stored(&text).get(), text);
            assert_eq!(
                stored_value(&text),
                serde_json::json!({"a": null, "b": format!("1e999 {huge}"), "c": [1e5]})
            );
        }
        assert_eq!(stored("{broken").get(), "null");
        assert_eq!(stored(r#"{"a":  1}"#).get(), r#"{"a":  1}"#);
    }
}
