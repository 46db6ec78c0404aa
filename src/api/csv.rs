//! Lists of reports as CSV (RFC 4180), for spreadsheets and scripts: the documents of the same page, a line each.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use csv::{Terminator, WriterBuilder};
use serde_json::value::RawValue;

use super::accept::prefers_csv;
use super::respond::response_of;
use crate::service::{Answer, ReportPage};
use crate::store::{Lines, NextPage, Shape, with_room};

/// A list that can be CSV, and the members of its documents that become columns.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) collection: &'static str,
    pub(super) columns: &'static [&'static str],
}

/// All of them; of jobs without their runs, which are a list of their own.
pub(super) static TABLES: [Table; 7] = [
    table("jobs", JOBS),
    table("runs", RUNS),
    table("hosts", HOSTS),
    table("problems", PROBLEMS),
    table("series", SERIES),
    table("backups", BACKUPS),
    table("days", DAYS),
];

const fn table(collection: &'static str, columns: &'static [&'static str]) -> Table {
    Table {
        collection,
        columns,
    }
}

const JOBS: &[&str] = &[
    "job_id",
    "project_id",
    "client_id",
    "description",
    "status",
    "period",
    "due_at",
    "last_success_at",
    "failed_in_a_row",
    "findings",
];

const RUNS: &[&str] = &[
    "run_id",
    "project_id",
    "job_id",
    "client_id",
    "session_id",
    "session_tag",
    "actions",
    "state",
    "attempts",
    "started_at",
    "ended_at",
    "duration",
    "seen_started_at",
    "seen_ended_at",
    "description",
];

const HOSTS: &[&str] = &[
    "host_id",
    "project_id",
    "client_id",
    "hostname",
    "is_central",
    "is_registered",
    "state",
    "last_poll_at",
    "poll_interval",
    "addresses",
    "restarts",
    "jobs",
    "active_jobs",
    "last_success_at",
    "due_at",
    "running",
    "failed_in_a_row",
    "os",
    "agent_version",
    "clock_skew",
    "findings",
];

const PROBLEMS: &[&str] = &[
    "problem_id",
    "kind",
    "severity",
    "project_id",
    "client_id",
    "job_id",
    "series_id",
    "description",
    "since",
    "last_success_at",
    "due_at",
    "failed_in_a_row",
    "clock_skew",
    "next_step",
];

const SERIES: &[&str] = &[
    "series_id",
    "project_id",
    "job_id",
    "description",
    "hostname",
    "backup_name",
    "container",
    "storage",
    "resource_id",
    "backups",
    "first_at",
    "last_at",
    "last_backup_id",
    "last_status",
    "findings",
];

const BACKUPS: &[&str] = &[
    "backup_id",
    "project_id",
    "user_id",
    "status",
    "created_at",
    "backup_metadata",
];

const DAYS: &[&str] = &[
    "day",
    "running",
    "success",
    "fail",
    "aborted",
    "lost",
    "unreported",
    "removed",
    "seconds",
    "longest",
];

/// How a list is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
}

impl Form {
    /// How the documents of a list are written.
    pub(super) fn shape(self, collection: &'static str) -> Shape {
        match self {
            Form::Json => Shape::Json(collection),
            Form::Csv => Shape::Table(table_of(collection)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Form, Infallible> {
        let is_csv = prefers_csv(&parts.headers);
        Ok(if is_csv { Form::Csv } else { Form::Json })
    }
}

/// The table of a list.
#[expect(
    clippy::expect_used,
    reason = "the callers name lists of TABLES, as the tests of all of them show"
)]
pub(super) fn table_of(collection: &str) -> &'static Table {
    let mut tables = TABLES.iter();
    let found = tables.find(|table| table.collection == collection);
    found.expect("a list of TABLES")
}

/// The answer with a table; `next` is the address of the page that follows.
pub(super) fn csv_response(answer: Answer, next: Option<String>) -> Response {
    let csv = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let mut response = response_of(answer, csv);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    let link = next.and_then(|href| HeaderValue::try_from(format!("<{href}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        headers.insert(header::LINK, link);
    }
    response
}

/// The answer with a page of a report.
pub(super) fn csv_page(table: &Table, page: ReportPage, next: Option<&NextPage>) -> Response {
    let mut text = table.head();
    for document in &page.documents {
        text.extend_from_slice(&table.line(document));
    }
    let next = page.next.zip(next).map(|(id, next)| next.behind(&id));
    csv_response(Answer::Whole(with_room(text, page.room)), next)
}

impl Lines for Table {
    fn head(&self) -> Vec<u8> {
        record(self.columns.iter().copied().map(Cow::Borrowed))
    }

    /// What has members stays the text that it is: it can be large.
    fn line(&self, document: &RawValue) -> Vec<u8> {
        // Its names are ours, so it is never none.
        let members: HashMap<&str, &RawValue> =
            serde_json::from_str(document.get()).unwrap_or_default();
        let cells = self.columns.iter().map(|name| {
            let value = members.get(name);
            cell(value.map_or("null", |value| value.get()))
        });
        record(cells)
    }
}

/// A line of the table.
fn record<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(&mut line);
    // A text in memory takes everything.
    for cell in cells {
        let _ = writer.write_field(&*cell);
    }
    let _ = writer.write_record(None::<&[u8]>);
    let _ = writer.flush();
    drop(writer);
    line
}

/// A value in a cell, from its JSON: lists of words with commas, what has members as JSON, and what cannot be read as it is.
fn cell(json: &str) -> Cow<'_, str> {
    let words = || serde_json::from_str::<Vec<Cow<str>>>(json).map(|words| words.join(","));
    let text = match json.as_bytes() {
        [b'n', ..] => return Cow::Borrowed(""),
        [b'"', ..] => serde_json::from_str(json),
        [b'[', ..] => words(),
        _ => return Cow::Borrowed(json),
    };
    as_text(text.map_or(Cow::Borrowed(json), Cow::Owned))
}

/// A text as spreadsheets read it: as text, never as a formula, which some of them let begin with wide signs too.
fn as_text(text: Cow<'_, str>) -> Cow<'_, str> {
    const SIGNS: [char; 11] = [
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ];
    if text.starts_with(SIGNS) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(documents: &[Value]) -> String {
        let table = table_of("backups");
        let lines = documents.iter().map(|document| {
            let document = RawValue::from_string(document.to_string()).unwrap();
            String::from_utf8(table.line(&document)).unwrap()
        });
        String::from_utf8(table.head()).unwrap() + &lines.collect::<String>()
    }

    #[test]
    fn texts_are_no_formulas_and_numbers_stay_numbers() {
        let head = "backup_id,project_id,user_id,status,created_at,backup_metadata\r\n";
        assert_eq!(text(&[]), head);
        let document = json!({
            "status": "=cmd|' /C calc'!A0", "project_id": null, "user_id": "a,\"b\"\r\nc", "backup_id": -5,
            "created_at": ["+1", "two"], "backup_metadata": {"a": "=1"},
        });
        let line = "-5,,\"a,\"\"b\"\"\r\nc\",'=cmd|' /C calc'!A0,\"'+1,two\",\"{\"\"a\"\":\"\"=1\"\"}\"\r\n";
        assert_eq!(text(&[document]), format!("{head}{line}"));
        for text in [
            "=", "+1", "-1", "@x", "\t", "\r", "\n=", "＝1", "＋", "－", "＠",
        ] {
            assert_eq!(as_text(text.into()), format!("'{text}"));
        }
        assert_eq!(as_text("'=".into()), "'=");
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for json in [r#"["\ud800"]"#, r#""\ud800""#, r#"["a",1]"#, &deep] {
            assert_eq!(cell(json), json);
        }
    }
}
