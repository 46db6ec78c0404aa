//! One SQL text with `?` for all engines, and its arguments.

use std::borrow::Cow;
use std::fmt::Write as _;

use time::{OffsetDateTime, PrimitiveDateTime};

use super::{Engine, sqlite_time};
use crate::domain::Scope;

/// A value of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Text(Option<String>),
    Integer(Option<i64>),
    Boolean(Option<bool>),
    Time(PrimitiveDateTime),
}

impl Argument {
    /// Writes it as a literal of MySQL's.
    fn write_literal(&self, sql: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Argument::Text(None) | Argument::Integer(None) | Argument::Boolean(None) => {
                write!(sql, "NULL")
            }
            Argument::Text(Some(text)) => {
                let bytes = text.bytes();
                let digits: String = bytes.map(|byte| format!("{byte:02x}")).collect();
                write!(sql, "_utf8mb4 X'{digits}'")
            }
            Argument::Integer(Some(number)) => write!(sql, "{number}"),
            Argument::Boolean(Some(value)) => write!(sql, "{value}"),
            Argument::Time(time) => {
                write!(
                    sql,
                    "TIMESTAMP '{}'",
                    sqlite_time(time.truncate_to_second())
                )
            }
        };
    }
}

impl From<&str> for Argument {
    fn from(value: &str) -> Self {
        Argument::Text(Some(value.to_owned()))
    }
}

impl From<&String> for Argument {
    fn from(value: &String) -> Self {
        Argument::Text(Some(value.clone()))
    }
}

impl From<String> for Argument {
    fn from(value: String) -> Self {
        Argument::Text(Some(value))
    }
}

impl From<&Option<String>> for Argument {
    fn from(value: &Option<String>) -> Self {
        Argument::Text(value.clone())
    }
}

impl From<Option<String>> for Argument {
    fn from(value: Option<String>) -> Self {
        Argument::Text(value)
    }
}

impl From<Option<&str>> for Argument {
    fn from(value: Option<&str>) -> Self {
        Argument::Text(value.map(str::to_owned))
    }
}

impl From<i64> for Argument {
    fn from(value: i64) -> Self {
        Argument::Integer(Some(value))
    }
}

impl From<Option<i64>> for Argument {
    fn from(value: Option<i64>) -> Self {
        Argument::Integer(value)
    }
}

impl From<Option<i32>> for Argument {
    fn from(value: Option<i32>) -> Self {
        Argument::Integer(value.map(i64::from))
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Argument::Boolean(Some(value))
    }
}

impl From<Option<bool>> for Argument {
    fn from(value: Option<bool>) -> Self {
        Argument::Boolean(value)
    }
}

impl From<OffsetDateTime> for Argument {
    fn from(value: OffsetDateTime) -> Self {
        Argument::Time(PrimitiveDateTime::new(value.date(), value.time()))
    }
}

impl From<PrimitiveDateTime> for Argument {
    fn from(value: PrimitiveDateTime) -> Self {
        Argument::Time(value)
    }
}

/// A statement under construction: text with `?`, and as many arguments.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) arguments: Vec<Argument>,
    /// Whether connections keep it prepared.
    pub(super) is_kept: bool,
}

/// Starts a statement.
pub(crate) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement {
        sql: text.into(),
        arguments: Vec::new(),
        is_kept: true,
    }
}

impl Statement {
    /// For a text that depends on the request, of which there are many: connections do not keep it prepared.
    pub(super) fn not_kept(mut self) -> Statement {
        self.is_kept = false;
        self
    }

    /// Adds the value of the next `?`.
    pub(crate) fn bind(mut self, value: impl Into<Argument>) -> Statement {
        self.arguments.push(value.into());
        self
    }

    /// Adds the values of the next `?`s.
    pub(crate) fn bind_all(
        mut self,
        values: impl IntoIterator<Item = impl Into<Argument>>,
    ) -> Statement {
        self.arguments.extend(values.into_iter().map(Into::into));
        self
    }

    /// Adds to the text.
    pub(crate) fn push(mut self, text: &str) -> Statement {
        self.sql.to_mut().push_str(text);
        self
    }

    /// Adds the condition that the rows are those of a scope; `column` is that of their project.
    pub(super) fn of_scope(self, scope: &Scope, column: &str) -> Statement {
        match scope {
            Scope::Project(project_id) => self.push(&format!(" AND {column} = ?")).bind(project_id),
            Scope::All => self,
        }
    }

    /// Adds another statement's text and values.
    pub(super) fn push_statement(mut self, other: Statement) -> Statement {
        self.is_kept &= other.is_kept;
        self.push(&other.sql).bind_all(other.arguments)
    }

    /// The text with its values in it, for MySQL. Of texts nothing but their bytes in hexadecimal is written, so no mode of the
    /// server, no character set and no quotation mark makes anything else of them.
    pub(super) fn with_values(&self) -> String {
        let mut text = String::with_capacity(2 * self.sql.len());
        let mut values = self.arguments.iter();
        for part in self.sql.split_inclusive('?') {
            match (part.strip_suffix('?'), values.next()) {
                (Some(before), Some(value)) => {
                    text.push_str(before);
                    value.write_literal(&mut text);
                }
                _ => text.push_str(part),
            }
        }
        text
    }

    /// How many bytes the largest of its texts has.
    pub(super) fn largest_text(&self) -> usize {
        let lengths = self.arguments.iter().map(|argument| match argument {
            Argument::Text(Some(text)) => text.len(),
            Argument::Text(None)
            | Argument::Integer(_)
            | Argument::Boolean(_)
            | Argument::Time(_) => 0,
        });
        lengths.max().unwrap_or_default()
    }

    /// The text as the engine wants it: PostgreSQL numbers its placeholders.
    ///
    /// No text of ours has a `?` inside a literal.
    pub(super) fn text_for(&self, engine: Engine) -> String {
        if engine != Engine::Postgres {
            return self.sql.to_string();
        }
        let mut text = String::with_capacity(self.sql.len() + 16);
        let mut number = 0;
        for part in self.sql.split_inclusive('?') {
            match part.strip_suffix('?') {
                Some(before) => {
                    number += 1;
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{before}${number}");
                }
                None => text.push_str(part),
            }
        }
        text
    }
}

/// How many values the lists in statements have: few sizes, so that connections keep the texts prepared, and fewer values than
/// any engine binds.
const SIZES: [usize; 4] = [1, 4, 16, 64];

/// Cuts values into lists for `IN (…)`. Each is filled up to its size with its last value.
pub(crate) fn in_lists<T: Clone>(values: &[T]) -> impl Iterator<Item = Vec<T>> {
    let [.., largest] = SIZES;
    values.chunks(largest).map(move |values| {
        let mut list = values.to_vec();
        let fits = |size: &usize| *size >= values.len();
        let size = SIZES.into_iter().find(fits).unwrap_or(largest);
        if let Some(last) = values.last() {
            list.resize(size, last.clone());
        }
        list
    })
}

/// Cuts rows into pieces for one INSERT each.
pub(crate) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().rfind(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// `?, ?, ?` for an `IN` list of `count` values.
pub(crate) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn postgres_numbers_placeholders() {
        let statement = sql("SELECT a FROM t WHERE b = ? AND c IN (?, ?) LIMIT 1");
        assert_eq!(
            statement.text_for(Engine::Postgres),
            "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) LIMIT 1"
        );
        assert_eq!(statement.text_for(Engine::MySql), statement.sql);
    }

    #[test]
    fn values_are_written_as_nothing_but_values() {
        let statement =
            sql("SELECT a FROM t WHERE b = ? AND c IN (?, ?) AND d > ? AND e = ? LIMIT ?")
                .bind("'\\\0? OR 1=1 é")
                .bind(None::<&str>)
                .bind("")
                .bind(datetime!(2024-02-29 23:59:59.9 UTC))
                .bind(true)
                .bind(-7);
        assert_eq!(
            statement.with_values(),
            "SELECT a FROM t WHERE b = _utf8mb4 X'275c003f204f5220313d3120c3a9' AND c IN (NULL, _utf8mb4 X'') \
             AND d > TIMESTAMP '2024-02-29 23:59:59.000000' AND e = true LIMIT -7"
        );
    }

    #[test]
    fn lists_have_few_sizes_and_all_values() {
        for count in 0..=300 {
            let values: Vec<usize> = (0..count).collect();
            let lists: Vec<Vec<usize>> = in_lists(&values).collect();
            assert!(
                lists.iter().all(|list| SIZES.contains(&list.len())),
                "{count}"
            );
            let mut listed = lists.concat();
            listed.dedup();
            assert_eq!(listed, values);
            let cut: Vec<&[usize]> = pieces(&values).collect();
            assert!(
                cut.iter().all(|piece| SIZES.contains(&piece.len())),
                "{count}"
            );
            assert_eq!(cut.concat(), values);
        }
    }
}
