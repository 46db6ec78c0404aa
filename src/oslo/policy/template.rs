//! The right side of a check: text with `%(key)s` places that the target fills.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::python;

/// Text that may depend on the target, read once when the rules are loaded.
///
/// Of Python's `%` formatting only `%(key)s` and `%%` are known, which are the two that policies use.
#[derive(Debug)]
pub(super) enum Template {
    /// Text without places.
    Fixed(String),
    /// Text with at least one place.
    Parts(Vec<Part>),
}

#[derive(Debug)]
pub(super) enum Part {
    Text(String),
    Key(String),
}

impl Template {
    /// Reads the right side of a check.
    ///
    /// # Errors
    /// The part of `source` that is no `%(key)s` and no `%%`.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            if let Some(tail) = after.strip_prefix('%') {
                text.push('%');
                rest = tail;
                continue;
            }
            let (key, tail) = place(after).ok_or_else(|| format!("%{after}"))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Key(key.to_owned()));
            rest = tail;
        }
        text.push_str(rest);
        if parts.is_empty() {
            return Ok(Self::Fixed(text));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self::Parts(parts))
    }

    /// The text for this target; `Err` holds the first key that the target lacks.
    pub(super) fn fill<'a>(
        &'a self,
        target: &'a Map<String, Value>,
    ) -> Result<Cow<'a, str>, &'a str> {
        match self {
            Self::Fixed(text) => Ok(Cow::Borrowed(text)),
            Self::Parts(parts) => match parts.as_slice() {
                [Part::Key(key)] => target.get(key).map(python::text).ok_or(key),
                parts => join(parts, target).map(Cow::Owned),
            },
        }
    }
}

fn join<'a>(parts: &'a [Part], target: &Map<String, Value>) -> Result<String, &'a str> {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Key(key) => out.push_str(&python::text(target.get(key).ok_or(key.as_str())?)),
        }
    }
    Ok(out)
}

/// Splits what follows a `%` into the key of `(key)s` and the rest. Parentheses inside a key nest, as in Python.
fn place(after: &str) -> Option<(&str, &str)> {
    let body = after.strip_prefix('(')?;
    let mut depth = 1_usize;
    for (position, c) in body.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (key, tail) = (body.get(..position)?, body.get(position..)?);
            return tail.strip_prefix(")s").map(|rest| (key, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(source: &str) -> Result<String, String> {
        let target = json!({"project_id": "p1", "n": 3, "a.b": true, "x(y)": null});
        let template = Template::parse(source)?;
        template
            .fill(target.as_object().unwrap())
            .map(Cow::into_owned)
            .map_err(|key| format!("missing {key}"))
    }

    #[test]
    fn places_are_filled() {
        for (source, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("%(project_id)s", "p1"),
            ("<%(project_id)s-%(n)s>", "<p1-3>"),
            ("100%%", "100%"),
            ("%%(n)s", "%(n)s"),
            ("%(a.b)s", "True"),
            ("%(x(y))s", "None"),
        ] {
            assert_eq!(fill(source).as_deref(), Ok(expected), "{source}");
        }
        assert_eq!(fill("%(n)s%(gone)s"), Err("missing gone".to_owned()));
        assert_eq!(fill("%()s"), Err("missing ".to_owned()));
    }

    #[test]
    fn other_formats_are_refused() {
        for source in [
            "%",
            "%s",
            "50%x",
            "%(n",
            "%(n)",
            "%(n)d",
            "%(n)5s",
            "a%(n)s%(m)r",
        ] {
            assert!(Template::parse(source).is_err(), "{source}");
        }
    }
}
