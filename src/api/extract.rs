//! What handlers take out of a request: its body and the parameters of lists.

use std::sync::Arc;

use axum::body::{Body as HttpBody, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Api;
use crate::domain::Refusal;
use crate::domain::document::{self, Object};
use crate::error::ApiError;
use crate::store::Page;

/// Documents in a list where the request does not say.
const DEFAULT_LIMIT: u64 = 10;

/// The JSON object in a request's body, whatever its content type says.
///
/// A missing body counts as none, and so does a JSON value that Python takes for false (null, [], "", 0, false), as
/// the reference has it; other values that are no objects are refused.
pub(super) struct Body(Option<Object>);

impl Body {
    /// The object, for requests that need one that is not empty.
    pub(super) fn required(self) -> Result<Object, ApiError> {
        match self.0 {
            Some(object) if !object.is_empty() => Ok(object),
            _ => Err(Refusal::Invalid("Missing request body".to_owned()).into()),
        }
    }

    /// The object, for requests that may have none.
    pub(super) fn or_empty(self) -> Object {
        self.0.unwrap_or_default()
    }
}

impl FromRequest<Arc<Api>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Body, ApiError> {
        let limit = api.config.oslo_middleware.max_request_body_size;
        let read = read(request.into_body(), limit);
        let text = tokio::time::timeout(api.config.api.read_timeout, read)
            .await
            .map_err(|_| ApiError::BodyTimeout)??;
        if text.is_empty() {
            return Ok(Body(None));
        }
        match document::parse(&text).map_err(ApiError::MalformedJson)? {
            Value::Object(object) => Ok(Body(Some(object))),
            value if document::is_falsy(Some(&value)) => Ok(Body(None)),
            _ => Err(Refusal::Invalid("The request body must be a JSON object".to_owned()).into()),
        }
    }
}

async fn read(body: HttpBody, limit: usize) -> Result<bytes::Bytes, ApiError> {
    // A body that says its length is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge(limit)),
        Err(error) => {
            tracing::debug!(error, "the body broke off");
            Err(ApiError::UnreadableBody)
        }
    }
}

/// The parameters of a list.
pub(super) struct ListParameters {
    /// Which part of the list.
    pub(super) page: Page,
}

impl FromRequestParts<Arc<Api>> for ListParameters {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        api: &Arc<Api>,
    ) -> Result<ListParameters, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let max_limit = u64::from(api.config.api.max_limit);
        let offset = integer(query, "offset")?.unwrap_or(0);
        let limit = integer(query, "limit")?
            .filter(|limit| *limit > 0)
            .unwrap_or(DEFAULT_LIMIT);
        Ok(ListParameters {
            page: Page {
                limit: limit.min(max_limit),
                offset,
            },
        })
    }
}

/// Whether a list shall have the documents of all projects.
pub(super) struct AllProjects(pub(super) bool);

impl FromRequestParts<Arc<Api>> for AllProjects {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<AllProjects, ApiError> {
        boolean(parts.uri.query().unwrap_or_default(), "all_projects").map(AllProjects)
    }
}

/// The value of a parameter: the last one where it is repeated or has several, separated by commas. Blank counts as
/// absent.
fn parameter(query: &str, name: &str) -> Option<String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| decode(key) == name)
        .flat_map(|(_, values)| values.split(',').map(decode).collect::<Vec<String>>())
        .rfind(|value| !value.is_empty())
}

fn integer(query: &str, name: &str) -> Result<Option<u64>, ApiError> {
    let invalid = || {
        ApiError::InvalidParameter(format!(
            "The \"{name}\" parameter is invalid. The value must be an integer from 0 to {}.",
            u64::MAX
        ))
    };
    match parameter(query, name) {
        None => Ok(None),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| invalid())
        }
        Some(_) => Err(invalid()),
    }
}

fn boolean(query: &str, name: &str) -> Result<bool, ApiError> {
    match parameter(query, name).as_deref() {
        Some("true" | "True" | "t" | "yes" | "y" | "1" | "on") => Ok(true),
        None | Some("false" | "False" | "f" | "no" | "n" | "0" | "off") => Ok(false),
        Some(_) => Err(ApiError::InvalidParameter(format!(
            "The \"{name}\" parameter is invalid. The value must be \"true\" or \"false\"."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        assert_eq!(parameter("limit=5,2", "limit").as_deref(), Some("2"));
        assert_eq!(
            parameter("limit=5&x=1&limit=3,", "limit").as_deref(),
            Some("3")
        );
        assert_eq!(parameter("limit=", "limit"), None);
        assert_eq!(parameter("%6cimit=%35", "limit").as_deref(), Some("5"));
    }

    #[test]
    fn integers_are_plain_decimals() {
        assert_eq!(
            integer("n=18446744073709551615", "n").unwrap(),
            Some(u64::MAX)
        );
        for text in [
            "-1",
            "%2B5",
            "1_000",
            "18446744073709551616",
            "5.0",
            "+5",
            "x",
            "%D9%A3",
        ] {
            assert!(integer(&format!("n={text}"), "n").is_err(), "{text}");
        }
    }
}
