//! What an event and the span of its request tell.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// What of a request's span is known to its lines.
const CONTEXT: [&str; 8] = [
    "global_request_id",
    "request_id",
    "user",
    "project",
    "domain",
    "system_scope",
    "user_domain",
    "project_domain",
];

/// What a span tells about its request.
#[derive(Debug, Default)]
pub(super) struct RequestFields(pub(super) Vec<(&'static str, String)>);

impl RequestFields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Visit for RequestFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if CONTEXT.contains(&field.name()) {
            self.0.retain(|(name, _)| *name != field.name());
            self.0.push((field.name(), value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// What an event tells: its message and its other fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
    /// The target of an event that comes from the `log` crate.
    pub(super) log_target: Option<String>,
}

/// The longest text of a field, in bytes. Statements and errors may be as long as a request.
const MAX_TEXT: usize = 4096;

/// At most `max` bytes of a text, and how long it was where that is less than all.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let (start, _) = text.split_at(text.floor_char_boundary(max));
    Cow::Owned(format!("{start}… ({} bytes)", text.len()))
}

impl Fields {
    fn add(&mut self, field: &Field, mut value: Value) {
        if let Value::String(text) = &mut value
            && text.len() > MAX_TEXT
        {
            *text = shortened(text, MAX_TEXT).into_owned();
        }
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("log.target", Value::String(text)) => self.log_target = Some(text),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    /// The error and all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let causes = std::iter::successors(value.source(), |error| <dyn Error>::source(*error));
        let text = causes.fold(value.to_string(), |text, cause| format!("{text}: {cause}"));
        self.add(field, text.into());
    }
}
