//! Lists of reports as CSV (RFC 4180), for spreadsheets and scripts: the documents of the same page, a line each.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use csv::{Terminator, WriterBuilder};
use serde_json::Value;
use serde_json::value::RawValue;

use super::accept::prefers_csv;
use crate::error::ApiError;

/// Lists that can be CSV, and the members of their documents that become columns: all but the runs of jobs, which are a list of their own.
pub(super) const TABLES: [(&str, &[&str]); 7] = [
    ("jobs", JOBS),
    ("runs", RUNS),
    ("hosts", HOSTS),
    ("problems", PROBLEMS),
    ("series", SERIES),
    ("backups", BACKUPS),
    ("days", DAYS),
];

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

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Form, Infallible> {
        let is_csv = prefers_csv(&parts.headers);
        Ok(if is_csv { Form::Csv } else { Form::Json })
    }
}

/// The answer with a page as CSV; `next` is the address of the page that follows.
pub(super) fn csv_response(
    collection: &str,
    documents: &[Box<RawValue>],
    next: Option<String>,
) -> Response {
    let text = match table(collection, documents) {
        Ok(text) => text,
        Err(error) => {
            let error = ApiError::Panic(format!("a table cannot be written: {error}"));
            return error.into_response();
        }
    };
    let csv = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, csv)], text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    let link = next.and_then(|href| HeaderValue::try_from(format!("<{href}>; rel=\"next\"")).ok());
    if let Some(link) = link {
        headers.insert(header::LINK, link);
    }
    response
}

/// The documents as lines, behind one with the names of their members. What has members stays the text that it is: it can be large.
#[expect(
    clippy::expect_used,
    reason = "the callers name lists of TABLES, as the tests of all of them show"
)]
fn table(collection: &str, documents: &[Box<RawValue>]) -> Result<Vec<u8>, csv::Error> {
    let mut tables = TABLES.iter();
    let found = tables.find(|(name, _)| *name == collection);
    let columns = found.expect("a list of TABLES").1;
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(columns)?;
    for document in documents {
        let members: HashMap<&str, &RawValue> =
            serde_json::from_str(document.get()).map_err(std::io::Error::from)?;
        for name in columns {
            let text = members.get(name).map_or("null", |value| value.get());
            let cell = cell(text).map_err(std::io::Error::from)?;
            writer.write_field(&*cell)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

/// A value in a cell, from its JSON: lists of words with commas, what has members as JSON.
fn cell(json: &str) -> serde_json::Result<Cow<'_, str>> {
    Ok(match json.as_bytes() {
        [b'n', ..] => Cow::Borrowed(""),
        [b'"', ..] => as_text(Cow::Owned(serde_json::from_str(json)?)),
        [b'[', ..] => {
            let items: Vec<Value> = serde_json::from_str(json)?;
            let words = items.into_iter().map(|item| match item {
                Value::String(word) => word,
                other => other.to_string(),
            });
            as_text(Cow::Owned(words.collect::<Vec<_>>().join(",")))
        }
        _ => Cow::Borrowed(json),
    })
}

/// A text as spreadsheets read it: as text, never as a formula.
fn as_text(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(documents: &[Value]) -> String {
        let documents: Vec<Box<RawValue>> = documents
            .iter()
            .map(|document| RawValue::from_string(document.to_string()).unwrap())
            .collect();
        String::from_utf8(table("backups", &documents).unwrap()).unwrap()
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
        for text in ["=", "+1", "-1", "@x", "\t", "\r", "\n="] {
            assert_eq!(as_text(text.into()), format!("'{text}"));
        }
        assert_eq!(as_text("'=".into()), "'=");
    }
}
