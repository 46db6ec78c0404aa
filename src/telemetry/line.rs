//! One log line, as oslo.log writes it: text, or a JSON object.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{
    self as subscriber, FmtContext, FormatEvent, FormatFields, MakeWriter,
};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// What of a request's span goes into the brackets of a line, in this order (oslo.log's
/// `logging_context_format_string` with its `logging_user_identity_format`).
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

/// oslo.log's `log_date_format`.
const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As oslo.log's `ContextFormatter`.
    Text,
    /// As oslo.log's `JSONFormatter`, with the keys that mean something here.
    Json,
}

/// Writes each event as a line.
pub(super) fn layer<S, W>(format: Format, clock: Clock, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let line = LineFormat {
        format,
        clock,
        // JSON has null where there is no /proc.
        hostname: std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned()),
    };
    let lines = subscriber::layer()
        .fmt_fields(NoFields)
        .event_format(line)
        .with_writer(writer);
    RequestLayer.and_then(lines)
}

/// Keeps what the span of a request tells, for the lines that are logged within it.
struct RequestLayer;

/// Fields of spans as text, of which no line makes use: they are kept by the [`RequestLayer`].
struct NoFields;

impl FormatFields<'_> for NoFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'_>, _: R) -> fmt::Result {
        Ok(())
    }
}

/// How an event becomes a line.
struct LineFormat {
    format: Format,
    clock: Clock,
    hostname: Option<String>,
}

/// What a span tells about its request.
#[derive(Debug, Default)]
struct RequestFields(Vec<(&'static str, String)>);

impl RequestFields {
    fn get(&self, name: &str) -> Option<&str> {
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
struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
    /// The target of an event that comes from the `log` crate.
    log_target: Option<String>,
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

impl<S> Layer<S> for RequestLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut request = RequestFields::default();
        attributes.record(&mut request);
        if let Some(span) = context
            .span(id)
            .filter(|_| request.get("request_id").is_some())
        {
            span.extensions_mut().insert(request);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(request) = span.extensions_mut().get_mut::<RequestFields>()
        {
            values.record(request);
        }
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = context.event_scope().into_iter().flatten();
        let span = spans.find(|span| span.extensions().get::<RequestFields>().is_some());
        let extensions = span.as_ref().map(|span| span.extensions());
        let request = extensions
            .as_ref()
            .and_then(|extensions| extensions.get::<RequestFields>());
        let metadata = event.metadata();
        let line = LogLine {
            time: self.clock.now(),
            level: *metadata.level(),
            name: fields
                .log_target
                .as_deref()
                .unwrap_or(metadata.target())
                .replace("::", "."),
            file: metadata.file(),
            line: metadata.line(),
            fields: &fields,
            request,
        };
        match self.format {
            Format::Text => line.text(&mut writer),
            Format::Json => line.json(&mut writer, self.hostname.as_deref()),
        }
    }
}

/// All that a line is made of.
struct LogLine<'a> {
    time: OffsetDateTime,
    level: Level,
    /// The module, with Python's separator.
    name: String,
    file: Option<&'static str>,
    line: Option<u32>,
    fields: &'a Fields,
    request: Option<&'a RequestFields>,
}

impl LogLine<'_> {
    /// `2026-11-22 19:00:00.123 4711 INFO freezer_api.api.jobs [- req-1 user project - - default default] message key=value`
    fn text(&self, out: &mut impl Write) -> fmt::Result {
        write!(
            out,
            "{}.{:03} {} {} {} [",
            self.seconds(),
            self.time.millisecond(),
            std::process::id(),
            level_name(self.level),
            self.name
        )?;
        match self.request {
            None => out.write_char('-')?,
            Some(request) => {
                for (index, name) in CONTEXT.iter().enumerate() {
                    if index > 0 {
                        out.write_char(' ')?;
                    }
                    write_escaped(out, request.get(name).unwrap_or("-"))?;
                }
            }
        }
        out.write_str("] ")?;
        write_escaped(out, &self.fields.message)?;
        for (name, value) in &self.fields.fields {
            match value {
                Value::String(text) if is_plain(text) => write!(out, " {name}={text}")?,
                value => write!(out, " {name}={value}")?,
            }
        }
        out.write_char('\n')
    }

    fn json(&self, out: &mut impl Write, hostname: Option<&str>) -> fmt::Result {
        let request = self.request.map(|request| &request.0).into_iter().flatten();
        let context: Map<String, Value> = request
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        let fields = self.fields.fields.iter().cloned();
        let extra: Map<String, Value> = fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let line = json!({
            "message": self.fields.message,
            "asctime": self.seconds(),
            "name": self.name,
            "levelname": level_name(self.level),
            "levelno": level_number(self.level),
            "pathname": self.file,
            "lineno": self.line,
            "created": self.time.unix_timestamp() as f64 + f64::from(self.time.microsecond()) / 1e6,
            "msecs": self.time.millisecond(),
            "process": std::process::id(),
            "thread_name": std::thread::current().name(),
            "hostname": hostname,
            "context": context,
            "extra": extra,
        });
        writeln!(out, "{line}")
    }

    #[expect(
        clippy::expect_used,
        reason = "a point in time has a date and a time of day"
    )]
    fn seconds(&self) -> String {
        self.time.format(SECONDS).expect("a date and a time")
    }
}

/// Python's names.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// Python's numbers; oslo.log's for TRACE.
fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// Whether a field's value can stand without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|character: char| {
            character.is_whitespace() || character.is_control() || character == '"'
        })
}

/// The text with its control characters escaped, so that nobody makes a second line out of one.
fn write_escaped(out: &mut impl Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        if character.is_control() {
            write!(out, "{}", character.escape_default())?;
        } else {
            out.write_char(character)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;
    use crate::telemetry::{Identity, identify, request_span};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at 2026-11-22 19:00:00.
    fn logged(format: Format, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = layer(format, Clock::fixed(1_795_374_000), move || writer.clone());
        with_default(registry().with(layer), log);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .replace(&format!(" {} ", std::process::id()), " PID ")
    }

    fn in_request(log: impl FnOnce()) {
        let span = request_span("req-1", None);
        identify(
            &span,
            &Identity {
                user: Some("u1"),
                project: Some("p1"),
                user_domain: Some("default"),
                ..Identity::default()
            },
        );
        span.in_scope(|| tracing::debug_span!("inner", user = "not this").in_scope(log));
    }

    #[test]
    fn text_outside_of_a_request() {
        let text = logged(Format::Text, || {
            tracing::info!(port = 9090, ready = true, path = "/a b", empty = "", plain = %"x:y", "listening");
            tracing::warn!(target: "a::b", "first\nsecond \u{1b}[1m");
        });
        insta::assert_snapshot!(text, @r#"
        2026-11-22 19:00:00.000 PID INFO freezer_api.telemetry.line.tests [-] listening port=9090 ready=true path="/a b" empty="" plain=x:y
        2026-11-22 19:00:00.000 PID WARNING a.b [-] first\nsecond \u{1b}[1m
        "#);
    }

    #[test]
    fn text_within_a_request() {
        insta::assert_snapshot!(logged(Format::Text, || in_request(|| tracing::error!("no"))), @"2026-11-22 19:00:00.000 PID ERROR freezer_api.telemetry.line.tests [- req-1 u1 p1 - - default -] no");
        let global = || request_span("req-2", Some("req-0")).in_scope(|| tracing::debug!("yes"));
        insta::assert_snapshot!(logged(Format::Text, global), @"2026-11-22 19:00:00.000 PID DEBUG freezer_api.telemetry.line.tests [req-0 req-2 - - - - - -] yes");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("in\nner"));
        let text = logged(Format::Text, || {
            tracing::error!(error = &error as &dyn Error, "failed")
        });
        insta::assert_snapshot!(text, @r#"2026-11-22 19:00:00.000 PID ERROR freezer_api.telemetry.line.tests [-] failed error="outer: in\nner""#);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("aéb", 2), "a… (4 bytes)");
        let long = "é".repeat(1 << 20);
        for format in [Format::Text, Format::Json] {
            let text = logged(format, || tracing::warn!(statement = long, "{long}"));
            assert!(text.len() < 9000, "{}", text.len());
            assert_eq!(text.matches("… (2097152 bytes)").count(), 2);
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(Format::Json, || {
            in_request(|| tracing::info!(status = 200, path = "/v2/\n", "done"))
        });
        assert_eq!(text.lines().count(), 1);
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let object = line.as_object_mut().unwrap();
        assert_eq!(object.remove("process"), Some(std::process::id().into()));
        assert!(
            object
                .remove("hostname")
                .is_some_and(|name| name.is_string())
        );
        assert!(object.remove("lineno").is_some_and(|line| line.is_u64()));
        assert!(object.remove("thread_name").is_some());
        insta::assert_snapshot!(line.to_string(), @r#"{"message":"done","asctime":"2026-11-22 19:00:00","name":"freezer_api.telemetry.line.tests","levelname":"INFO","levelno":20,"pathname":"src/telemetry/line.rs","context":{"request_id":"req-1","user":"u1","project":"p1","user_domain":"default"},"created":1795374000.0,"msecs":0,"extra":{"status":200,"path":"/v2/\n"}}"#);
    }
}
