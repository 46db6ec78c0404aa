//! `/v2/{project_id}/report` on all at once: the overview, and the days.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::csv::Form;
use super::paging::{AllProjects, invalid, parameter};
use super::report::page_response;
use crate::authz::Authorized;
use crate::domain::run_day::parse_day;
use crate::error::ApiError;

/// `GET /report/summary`: of the project, or with `all_projects` of all. 304 where it says what the client knows already.
pub(super) async fn summary(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let summary = api.catalogue.summary(&caller, all_projects).await?;
    let tag = format!("W/\"{}\"", summary.tag);
    let is_known = is_known(&headers, &tag);
    let tag = HeaderValue::try_from(tag)
        .map_err(|error| ApiError::Panic(format!("a tag is no header: {error}")))?;
    // For as long as it is not computed again; proxies keep nothing.
    let age = HeaderValue::from_static("private, max-age=15");
    let cached = [(header::ETAG, tag), (header::CACHE_CONTROL, age)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    let content = [(header::CONTENT_TYPE, json)];
    Ok((StatusCode::OK, cached, content, summary.text.clone()).into_response())
}

/// Whether a request names the tag, or any (RFC 9110, section 13.1.2); tags are compared weakly.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| {
        let mut tags = text.split(',');
        text.trim() == "*" || tags.any(|known| opaque(known) == opaque(tag))
    })
}

/// From which day to before which one.
pub(super) struct Days {
    since: Option<i64>,
    until: Option<i64>,
}

impl FromRequestParts<Arc<Api>> for Days {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Days, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let day = |name| match parameter(query, name) {
            None => Ok(None),
            Some(text) => match parse_day(&text) {
                None => Err(invalid(
                    name,
                    "The value must be a date such as 2024-02-29.",
                )),
                day => Ok(day),
            },
        };
        let (since, until) = (day("since")?, day("until")?);
        Ok(Days { since, until })
    }
}

/// `GET /report/days`: of the project, or with `all_projects` of all together.
pub(super) async fn days(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    Days { since, until }: Days,
    form: Form,
) -> Result<Response, ApiError> {
    let catalogue = &api.catalogue;
    let days = catalogue
        .list_days(&caller, all_projects, since, until)
        .await?;
    Ok(page_response(form, "days", days, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let headers = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(text));
            }
            headers
        };
        for known in [
            &["W/\"a\""][..],
            &["\"a\""],
            &["\"b\", W/\"a\""],
            &["\"b\"", "\"a\""],
            &["*"],
        ] {
            assert!(is_known(&headers(known), "W/\"a\""), "{known:?}");
        }
        for unknown in [&[][..], &["\"b\""], &["a"], &["\"a"]] {
            assert!(!is_known(&headers(unknown), "W/\"a\""), "{unknown:?}");
        }
    }
}
