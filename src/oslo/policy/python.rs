//! How Python prints values and reads literals, as far as policy checks compare them.
//!
//! oslo.policy compares `str(value)` of a credential with a formatted string, so a check such as `is_admin:True`
//! holds only when a JSON `true` prints as `True`.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Number, Value};

/// What `str(value)` gives in Python for the value that JSON `value` becomes there.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("True"),
        Value::Bool(false) => Cow::Borrowed("False"),
        Value::Null => Cow::Borrowed("None"),
        Value::Number(number) => Cow::Owned(number_text(number)),
        Value::Array(_) | Value::Object(_) => {
            let mut out = String::new();
            write_repr(&mut out, value);
            Cow::Owned(out)
        }
    }
}

/// Whether Python takes `value` for true in a condition.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Whether `\s` of Python's `re` matches `c`: Unicode white space and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str(ast.literal_eval(source))` for the scalars a rule may hold on its left side: one quoted string, an
/// integer, a float, `True`, `False`, `None`. `None` for anything else.
pub(super) fn literal(source: &str) -> Option<String> {
    match source {
        "True" | "False" | "None" => Some(source.to_owned()),
        _ if source.starts_with(['\'', '"']) => string_literal(source),
        _ => number_literal(source),
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_text(float),
        _ => number.to_string(),
    }
}

/// `repr(float)`: Rust's debug form switches to exponents at the same magnitudes, but writes them `1e16`, `1e-5`
/// where Python writes `1e+16`, `1e-05`.
fn float_text(float: f64) -> String {
    let plain = format!("{float:?}");
    match plain.split_once('e') {
        None => plain,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(size) => format!("{digits}e-{size:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
    }
}

/// `repr(value)`. Recursive: JSON readers bound the depth of what gets here.
fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_string_repr(out, text),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (position, (key, member)) in members.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write_string_repr(out, key);
                out.push_str(": ");
                write_repr(out, member);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&text(value)),
    }
}

fn write_string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push(quote);
}

fn number_literal(source: &str) -> Option<String> {
    let (negative, digits) = match source.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, source.strip_prefix('+').unwrap_or(source)),
    };
    let plain = without_underscores(digits)?;
    if let Some(integer) = integer_literal(&plain) {
        return Some(if negative && integer != "0" {
            format!("-{integer}")
        } else {
            integer
        });
    }
    let is_float = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && plain
            .chars()
            .all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'))
        && plain.contains(['.', 'e', 'E']);
    if !is_float {
        return None;
    }
    let size: f64 = plain.parse().ok()?;
    Some(float_text(if negative { -size } else { size }))
}

/// The digits without Python's separating underscores, which may stand only between digits (or after a base prefix).
fn without_underscores(digits: &str) -> Option<String> {
    let mut previous = '_';
    let mut plain = String::with_capacity(digits.len());
    for c in digits.chars() {
        if c == '_' {
            if !previous.is_ascii_alphanumeric() {
                return None;
            }
        } else {
            if previous == '_' && !plain.is_empty() && !c.is_ascii_alphanumeric() {
                return None;
            }
            plain.push(c);
        }
        previous = c;
    }
    (previous != '_').then_some(plain)
}

/// An unsigned integer as Python prints it: decimal of any length, or hexadecimal, octal, binary below 2^128.
fn integer_literal(plain: &str) -> Option<String> {
    let base = match plain.get(..2) {
        Some("0x" | "0X") => 16,
        Some("0o" | "0O") => 8,
        Some("0b" | "0B") => 2,
        _ => 10,
    };
    if base != 10 {
        let digits = plain.get(2..).filter(|digits| !digits.starts_with('+'))?;
        return u128::from_str_radix(digits, base)
            .ok()
            .map(|value| value.to_string());
    }
    if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = plain.trim_start_matches('0');
    match (significant.is_empty(), significant.len() == plain.len()) {
        (true, _) => Some("0".to_owned()),
        (false, true) => Some(plain.to_owned()),
        // "007" is a syntax error in Python.
        (false, false) => None,
    }
}

/// One string in single or double quotes, with Python's escapes except `\N{…}`.
fn string_literal(source: &str) -> Option<String> {
    let mut chars = source.chars();
    let quote = chars.next()?;
    let mut out = String::new();
    loop {
        match chars.next()? {
            c if c == quote => break,
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'a' => out.push('\u{7}'),
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'v' => out.push('\u{b}'),
                '\n' => {}
                c @ ('\\' | '\'' | '"') => out.push(c),
                'x' => out.push(escaped(&mut chars, 2)?),
                'u' => out.push(escaped(&mut chars, 4)?),
                'U' => out.push(escaped(&mut chars, 8)?),
                'N' => return None,
                c @ '0'..='7' => out.push(octal(c, &mut chars)?),
                other => out.extend(['\\', other]),
            },
            '\n' => return None,
            c => out.push(c),
        }
    }
    chars.as_str().is_empty().then_some(out)
}

fn escaped(chars: &mut std::str::Chars<'_>, length: usize) -> Option<char> {
    let digits = chars.as_str().get(..length)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    chars.nth(length - 1);
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

fn octal(first: char, chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut code = first.to_digit(8)?;
    for _ in 0..2 {
        match chars.clone().next().and_then(|c| c.to_digit(8)) {
            Some(digit) => {
                code = code * 8 + digit;
                chars.next();
            }
            None => break,
        }
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_in_python() {
        for (value, expected) in [
            (json!("x'y"), "x'y"),
            (json!(true), "True"),
            (json!(null), "None"),
            (json!(-3), "-3"),
            (json!(18446744073709551615u64), "18446744073709551615"),
            (json!(1.0), "1.0"),
            (json!(1e16), "1e+16"),
            (json!(123456789012345.0), "123456789012345.0"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(1e300), "1e+300"),
            (json!(-0.0), "-0.0"),
            (json!(["a", 1, false]), "['a', 1, False]"),
            (
                json!({"a": {"b'": "q\"'\n\u{1}"}}),
                "{'a': {\"b'\": 'q\"\\'\\n\\x01'}}",
            ),
        ] {
            assert_eq!(text(&value), expected, "{value}");
        }
    }

    #[test]
    fn scalars_are_read_as_python_literals() {
        for (source, expected) in [
            ("True", Some("True")),
            ("'Member'", Some("Member")),
            ("\"it's\"", Some("it's")),
            (r"'\x41\u00e9\101\q\\'", Some("AéA\\q\\")),
            ("''", Some("")),
            ("'a''b'", None),
            ("'a", None),
            ("0", Some("0")),
            ("00", Some("0")),
            ("007", None),
            ("-5", Some("-5")),
            ("+5", Some("5")),
            ("-0", Some("0")),
            ("1_000", Some("1000")),
            ("1__0", None),
            ("1_", None),
            ("_1", None),
            ("0x_ff", Some("255")),
            ("0b101", Some("5")),
            ("0o17", Some("15")),
            ("0x", None),
            ("0x+1", None),
            (
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            ("1e3", Some("1000.0")),
            ("1.", Some("1.0")),
            (".5", Some("0.5")),
            ("-1.50", Some("-1.5")),
            ("1e", None),
            (".", None),
            ("--1", None),
            ("1+1", None),
            ("inf", None),
            ("1abc", None),
            ("[1]", None),
        ] {
            assert_eq!(literal(source).as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn truth_is_pythons() {
        for value in [
            json!(null),
            json!(false),
            json!(0),
            json!(0.0),
            json!(""),
            json!([]),
            json!({}),
        ] {
            assert!(!truthy(&value), "{value}");
        }
        for value in [
            json!(true),
            json!(-1),
            json!(0.1),
            json!("0"),
            json!([null]),
            json!({"a": 0}),
        ] {
            assert!(truthy(&value), "{value}");
        }
    }
}
