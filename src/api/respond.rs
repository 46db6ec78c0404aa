//! Answers with JSON documents.

use std::io;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::error::ApiError;
use crate::service::{Answer, Document, Pieces};
use crate::store::Piece;

/// The answer to a list.
pub(super) fn list_response(answer: Answer) -> Response {
    response_of(answer, HeaderValue::from_static("application/json"))
}

/// The answer to a list of this media type. One that breaks off breaks the connection, so that nobody takes it for whole.
pub(super) fn response_of(answer: Answer, media_type: HeaderValue) -> Response {
    let body = match answer {
        Answer::Whole(text) => Body::from(text),
        Answer::Pieces(pieces) => Body::from_stream(stream::unfold(Some(pieces), next_piece)),
    };
    (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// The answer where a document could not be written.
pub(super) fn unwritten(error: &serde_json::Error) -> Response {
    ApiError::Panic(format!("an answer cannot be written: {error}")).into_response()
}

/// The answer to a request for one document.
pub(super) fn document_response(document: Document) -> Response {
    list_response(Answer::Whole(document.into_bytes()))
}

async fn next_piece(pieces: Option<Pieces>) -> Option<(io::Result<Bytes>, Option<Pieces>)> {
    let mut pieces = pieces?;
    match pieces.next().await {
        Some(Piece::Text(text)) => Some((Ok(text), Some(pieces))),
        Some(Piece::End) => None,
        None => Some((Err(io::Error::other("the list broke off")), None)),
    }
}

/// An answer with a JSON document.
pub(super) fn json_response(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(error) => unwritten(&error),
    }
}
