//! Answers with JSON documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

use crate::error::ApiError;

/// The answer to a list: `{NAME: [document, …]}`.
pub(super) fn json_list(name: &'static str, documents: Vec<Box<RawValue>>) -> Response {
    json_response(StatusCode::OK, &NamedList { name, documents })
}

/// Stored documents go into the answer as they are: read again, one that is nested deeper than we read, or holds a number
/// that we cannot hold, would break the whole list.
struct NamedList {
    name: &'static str,
    documents: Vec<Box<RawValue>>,
}

impl Serialize for NamedList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.documents)?;
        map.end()
    }
}

/// An answer with a JSON document.
pub(super) fn json_response(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(error) => {
            ApiError::Panic(format!("an answer cannot be written: {error}")).into_response()
        }
    }
}
