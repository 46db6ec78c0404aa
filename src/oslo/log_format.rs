//! oslo.log's format strings: Python's `%(field)s`, with the fields of `logging` and of a request's context.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// A format string, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field, Spec),
}

/// What a field is replaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The time, in the form of `log_date_format`.
    Asctime,
    /// The time as ISO 8601 has it, with microseconds.
    Isotime,
    /// Seconds since the epoch.
    Created,
    /// Milliseconds of the second.
    Msecs,
    /// The process id.
    Process,
    /// The thread's name.
    ThreadName,
    /// The level's name.
    LevelName,
    /// The level's number.
    LevelNumber,
    /// The module that logs.
    Name,
    /// The file of the source.
    Pathname,
    /// The last part of that.
    Filename,
    /// The line of the source.
    Lineno,
    /// The message with its fields.
    Message,
    /// The error that a line tells of.
    ErrorSummary,
    /// The user of the request, as `logging_user_identity_format` has it.
    UserIdentity,
    /// A member of the request's context, by the name that the log has for it.
    Context(&'static str),
    /// What other services have and this one does not: an instance, a colour. Nothing.
    Empty,
    /// A name that means nothing here.
    Unknown,
}

/// The fields by their names.
const FIELDS: [(&str, Field); 40] = [
    ("asctime", Field::Asctime),
    ("isotime", Field::Isotime),
    ("created", Field::Created),
    ("msecs", Field::Msecs),
    ("process", Field::Process),
    ("threadName", Field::ThreadName),
    ("thread_name", Field::ThreadName),
    ("levelname", Field::LevelName),
    ("levelno", Field::LevelNumber),
    ("name", Field::Name),
    ("pathname", Field::Pathname),
    ("filename", Field::Filename),
    ("lineno", Field::Lineno),
    ("message", Field::Message),
    ("error_summary", Field::ErrorSummary),
    ("user_identity", Field::UserIdentity),
    ("request_id", Field::Context("request_id")),
    ("global_request_id", Field::Context("global_request_id")),
    ("user", Field::Context("user")),
    ("user_id", Field::Context("user")),
    ("project", Field::Context("project")),
    ("project_id", Field::Context("project")),
    ("tenant", Field::Context("project")),
    ("tenant_id", Field::Context("project")),
    ("domain", Field::Context("domain")),
    ("domain_id", Field::Context("domain")),
    ("system_scope", Field::Context("system_scope")),
    ("user_domain", Field::Context("user_domain")),
    ("user_domain_id", Field::Context("user_domain")),
    ("project_domain", Field::Context("project_domain")),
    ("project_domain_id", Field::Context("project_domain")),
    ("instance", Field::Empty),
    ("instance_uuid", Field::Empty),
    ("resource", Field::Empty),
    ("resource_uuid", Field::Empty),
    ("color", Field::Empty),
    ("reset_color", Field::Empty),
    ("exc_text", Field::Empty),
    ("user_name", Field::Empty),
    ("project_name", Field::Empty),
];

/// How a value is shown: the flags, width, precision and letter behind `%(name)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec {
    is_left: bool,
    is_zero_padded: bool,
    width: usize,
    precision: Option<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Float,
}

/// A format string that Python would not take either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no field at {0:?}; a percent sign itself is written %%")]
pub struct FormatError(String);

/// Wider columns are a mistake, and memory.
const MAX_WIDTH: usize = 200;

impl LogFormat {
    /// oslo.log's default for lines within a request.
    pub fn context() -> LogFormat {
        Self::constant(
            "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [%(global_request_id)s %(request_id)s %(user_identity)s] \
             %(instance)s%(message)s",
        )
    }

    /// oslo.log's default for other lines.
    pub fn outside() -> LogFormat {
        Self::constant(
            "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [-] %(instance)s%(message)s",
        )
    }

    /// oslo.log's default for the user of a request.
    pub fn identity() -> LogFormat {
        Self::constant(
            "%(user)s %(project)s %(domain)s %(system_scope)s %(user_domain)s %(project_domain)s",
        )
    }

    #[expect(clippy::expect_used, reason = "the texts are those above")]
    fn constant(text: &str) -> LogFormat {
        Self::parse(text).expect("a format string")
    }

    /// Reads a format string.
    ///
    /// # Errors
    /// A percent sign that begins no field.
    pub fn parse(text: &str) -> Result<LogFormat, FormatError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, field)) = rest.split_once('%') {
            pieces.push(Piece::Text(before.to_owned()));
            if let Some(behind) = field.strip_prefix('%') {
                pieces.push(Piece::Text("%".to_owned()));
                rest = behind;
            } else {
                let error =
                    || FormatError(format!("%{}", field.chars().take(20).collect::<String>()));
                let (piece, behind) = parse_field(field).ok_or_else(error)?;
                pieces.push(piece);
                rest = behind;
            }
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(LogFormat {
            text: text.to_owned(),
            pieces,
        })
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names what this program does not have.
    pub fn has_unknown(&self) -> bool {
        let is_unknown = |piece: &Piece| matches!(piece, Piece::Field(Field::Unknown, _));
        self.pieces.iter().any(is_unknown)
    }

    /// Writes the string with its fields replaced by what `write_field` writes for each.
    ///
    /// # Errors
    /// Those of the writers.
    pub fn write<W: Write>(
        &self,
        out: &mut W,
        mut write_field: impl FnMut(Field, &mut dyn Write) -> fmt::Result,
    ) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.write_str(text)?,
                Piece::Field(field, spec) if spec.is_plain() => write_field(*field, out)?,
                Piece::Field(field, spec) => {
                    let mut value = String::new();
                    write_field(*field, &mut value)?;
                    spec.write(out, &value)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a field from the text behind its percent sign; the rest of the text.
fn parse_field(text: &str) -> Option<(Piece, &str)> {
    let (name, rest) = text.strip_prefix('(')?.split_once(')')?;
    let (flags, rest) = split_while(rest, |c| "#0 +-".contains(c));
    let (width, rest) = split_while(rest, |c| c.is_ascii_digit());
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = split_while(rest, |c| c.is_ascii_digit());
            (Some(digits.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    let kind = match rest.chars().next()? {
        's' | 'r' | 'a' => Kind::Text,
        'd' | 'i' | 'u' => Kind::Integer,
        'f' | 'F' => Kind::Float,
        _ => return None,
    };
    let spec = Spec {
        is_left: flags.contains('-'),
        is_zero_padded: flags.contains('0') && kind != Kind::Text,
        width: if width.is_empty() {
            0
        } else {
            width.parse().ok()?
        },
        precision,
        kind,
    };
    if spec.width.max(spec.precision.unwrap_or(0)) > MAX_WIDTH {
        return None;
    }
    let known = FIELDS.iter().find(|(known, _)| *known == name);
    let field = known.map_or(Field::Unknown, |(_, field)| *field);
    Some((Piece::Field(field, spec), rest.get(1..)?))
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !belongs(character));
    text.split_at(end.unwrap_or(text.len()))
}

impl Spec {
    fn is_plain(self) -> bool {
        self.width == 0 && self.precision.is_none() && self.kind == Kind::Text
    }

    fn write(self, out: &mut impl Write, value: &str) -> fmt::Result {
        let text: Cow<str> = match (self.kind, value.parse::<f64>()) {
            (Kind::Integer, Ok(_)) => value.split('.').next().unwrap_or(value).into(),
            (Kind::Float, Ok(number)) => format!("{number:.*}", self.precision.unwrap_or(6)).into(),
            _ => match self.precision {
                Some(precision) => value.chars().take(precision).collect(),
                None => Cow::Borrowed(value),
            },
        };
        let width = self.width;
        match (self.is_left, self.is_zero_padded) {
            (true, _) => write!(out, "{text:<width$}"),
            (false, true) => write!(out, "{text:0>width$}"),
            (false, false) => write!(out, "{text:>width$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str) -> String {
        let mut text = String::new();
        let format = LogFormat::parse(format).unwrap();
        format
            .write(&mut text, |field, out| match field {
                Field::Msecs => out.write_str("7"),
                Field::Created => out.write_str("1795374000.25"),
                Field::LevelName => out.write_str("INFO"),
                Field::Context(name) => out.write_str(name),
                Field::Unknown => out.write_str("-"),
                _ => Ok(()),
            })
            .unwrap();
        text
    }

    #[test]
    fn fields_are_replaced_as_python_does() {
        for (format, text) in [
            ("", ""),
            ("plain é", "plain é"),
            ("100%% %(levelname)s%%", "100% INFO%"),
            (
                "%(msecs)03d|%(msecs)d|%(msecs)5d|%(msecs)-3d|",
                "007|7|    7|7  |",
            ),
            (
                "%(created)f %(created).1f %(created)d",
                "1795374000.250000 1795374000.2 1795374000",
            ),
            (
                "%(levelname)-8s|%(levelname)8s|%(levelname).2s|%(levelname)08s",
                "INFO    |    INFO|IN|    INFO",
            ),
            (
                "%(tenant)s %(user_id)s %(nothing)s%(instance)s",
                "project user -",
            ),
        ] {
            assert_eq!(written(format), text, "{format:?}");
        }
        assert!(LogFormat::parse("%(funcName)s").unwrap().has_unknown());
        assert!(!LogFormat::parse("%(asctime)s").unwrap().has_unknown());
    }

    #[test]
    fn what_python_does_not_take_is_refused() {
        for format in [
            "%",
            "50% off",
            "%(name",
            "%(name)",
            "%(name)y",
            "%(name).s",
            "%(name)999999999s",
            "%s",
        ] {
            assert!(LogFormat::parse(format).is_err(), "{format:?}");
        }
    }
}
