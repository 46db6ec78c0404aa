//! What a line looks like: text, as oslo.log's format strings say, or a JSON object.

use std::fmt::{self, Write};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tracing::Level;

use super::event::{Fields, RequestFields};
use crate::config::{self, DateFormat};
use crate::oslo::log_format::{Field, LogFormat};

/// How a line is written.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// As oslo.log's `ContextFormatter`.
    Text(TextLayout),
    /// As oslo.log's `JSONFormatter`, with the keys that mean something here.
    Json {
        /// How `asctime` is written.
        date: DateFormat,
        /// The name of this machine. None where there is no /proc.
        hostname: Option<String>,
    },
}

/// The format strings of a line of text.
#[derive(Debug, Clone)]
pub(super) struct TextLayout {
    /// Within a request.
    pub(super) context: LogFormat,
    /// Outside of requests.
    pub(super) outside: LogFormat,
    /// The user of a request.
    pub(super) identity: LogFormat,
    /// Behind lines of level DEBUG.
    pub(super) debug_suffix: Option<LogFormat>,
    /// The time.
    pub(super) date: DateFormat,
}

impl Layout {
    /// JSON.
    pub(super) fn json(date: DateFormat) -> Layout {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname");
        Layout::Json {
            date,
            hostname: hostname.ok().map(|name| name.trim().to_owned()),
        }
    }

    /// The format of the time.
    pub(super) fn date(&self) -> &DateFormat {
        match self {
            Layout::Text(text) => &text.date,
            Layout::Json { date, .. } => date,
        }
    }
}

impl TextLayout {
    /// What the options say.
    pub(super) fn new(options: &config::Global) -> TextLayout {
        TextLayout {
            context: options.logging_context_format_string.clone(),
            outside: options.logging_default_format_string.clone(),
            identity: options.logging_user_identity_format.clone(),
            debug_suffix: options.logging_debug_format_suffix.clone(),
            date: options.log_date_format.clone(),
        }
    }
}

/// All that a line is made of.
pub(super) struct LogLine<'a> {
    pub(super) time: OffsetDateTime,
    /// The time as the layout's format has it.
    pub(super) asctime: &'a str,
    pub(super) level: Level,
    /// The module.
    pub(super) module: &'a str,
    pub(super) file: Option<&'static str>,
    pub(super) line: Option<u32>,
    pub(super) fields: &'a Fields,
    pub(super) request: Option<&'a RequestFields>,
}

impl LogLine<'_> {
    /// Writes the line, without its end.
    pub(super) fn write(&self, out: &mut impl Write, layout: &Layout) -> fmt::Result {
        match layout {
            Layout::Text(text) => self.write_text(out, text),
            Layout::Json { hostname, .. } => {
                let object = self.json(hostname.as_deref());
                write!(out, "{object}")
            }
        }
    }

    /// `2026-11-22 19:00:00.123 4711 INFO freezer_api.api.jobs [- req-1 user project - - default default] message key=value`
    fn write_text(&self, out: &mut impl Write, layout: &TextLayout) -> fmt::Result {
        let format = match self.request {
            Some(_) => &layout.context,
            None => &layout.outside,
        };
        format.write(out, |field, out| self.write_field(field, out, layout))?;
        match &layout.debug_suffix {
            Some(suffix) if self.level == Level::DEBUG => {
                out.write_char(' ')?;
                suffix.write(out, |field, out| self.write_field(field, out, layout))
            }
            _ => Ok(()),
        }
    }

    fn write_field(
        &self,
        field: Field,
        mut out: &mut dyn Write,
        layout: &TextLayout,
    ) -> fmt::Result {
        match field {
            Field::Asctime => out.write_str(self.asctime),
            Field::Isotime => write!(out, "{}T{}+00:00", self.time.date(), clock_time(self.time)),
            Field::Created => write!(out, "{:.6}", self.created()),
            Field::Msecs => write!(out, "{}", self.time.millisecond()),
            Field::Process => write!(out, "{}", std::process::id()),
            Field::ThreadName => out.write_str(std::thread::current().name().unwrap_or("-")),
            Field::LevelName => out.write_str(level_name(self.level)),
            Field::LevelNumber => write!(out, "{}", level_number(self.level)),
            Field::Name => out.write_str(&self.name()),
            Field::Pathname => out.write_str(self.file.unwrap_or("-")),
            Field::Filename => {
                let file = self.file.and_then(|file| file.rsplit('/').next());
                out.write_str(file.unwrap_or("-"))
            }
            Field::Lineno => write!(out, "{}", self.line.unwrap_or(0)),
            Field::Message => self.write_message(&mut out),
            Field::ErrorSummary => write_escaped(&mut out, self.error().unwrap_or("-")),
            Field::UserIdentity if self.request.is_none() => Ok(()),
            Field::UserIdentity => layout.identity.write(&mut out, |field, out| match field {
                // It would be its own part.
                Field::UserIdentity => Ok(()),
                field => self.write_field(field, out, layout),
            }),
            Field::Context(name) => write_escaped(&mut out, self.context(name).unwrap_or("-")),
            Field::Empty => Ok(()),
            Field::Unknown => out.write_char('-'),
        }
    }

    /// The message and its fields: `message key=value`.
    fn write_message(&self, out: &mut impl Write) -> fmt::Result {
        write_escaped(out, &self.fields.message)?;
        for (name, value) in &self.fields.fields {
            match value {
                Value::String(text) if is_plain(text) => write!(out, " {name}={text}")?,
                value => write!(out, " {name}={value}")?,
            }
        }
        Ok(())
    }

    /// The module, with Python's separator.
    pub(super) fn name(&self) -> String {
        let parts = self.module.split(':').filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(".")
    }

    /// What the request's span tells under this name.
    pub(super) fn context(&self, name: &str) -> Option<&str> {
        self.request.and_then(|request| request.get(name))
    }

    fn error(&self) -> Option<&str> {
        let mut fields = self.fields.fields.iter();
        let (_, error) = fields.find(|(name, _)| *name == "error")?;
        error.as_str()
    }

    fn json(&self, hostname: Option<&str>) -> Value {
        let request = self.request.map(|request| &request.0).into_iter().flatten();
        let context: Map<String, Value> = request
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        let fields = self.fields.fields.iter().cloned();
        let extra: Map<String, Value> = fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        json!({
            "message": self.fields.message,
            "asctime": self.asctime,
            "name": self.name(),
            "levelname": level_name(self.level),
            "levelno": level_number(self.level),
            "pathname": self.file,
            "lineno": self.line,
            "created": self.created(),
            "msecs": self.time.millisecond(),
            "process": std::process::id(),
            "thread_name": std::thread::current().name(),
            "hostname": hostname,
            "context": context,
            "extra": extra,
        })
    }

    fn created(&self) -> f64 {
        self.time.unix_timestamp() as f64 + f64::from(self.time.microsecond()) / 1e6
    }
}

/// The time of day with microseconds.
fn clock_time(time: OffsetDateTime) -> String {
    let (hour, minute, second, microsecond) = time.to_hms_micro();
    format!("{hour:02}:{minute:02}:{second:02}.{microsecond:06}")
}

/// Python's names.
pub(super) fn level_name(level: Level) -> &'static str {
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
    if !text.contains(char::is_control) {
        return out.write_str(text);
    }
    for character in text.chars() {
        if character.is_control() {
            write!(out, "{}", character.escape_default())?;
        } else {
            out.write_char(character)?;
        }
    }
    Ok(())
}
