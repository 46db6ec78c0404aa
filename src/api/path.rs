//! Paths as the reference's web server passes them on: decoded, without empty, `.` and `..` segments.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::ApiError;

/// What stands in a segment as it is (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Rewrites the request's path before it is routed.
pub(super) fn normalize(request: &mut Request) -> Result<(), ApiError> {
    let uri = request.uri();
    if is_normal(uri.path()) {
        return Ok(());
    }
    let path = normalized(uri.path())
        .ok_or_else(|| ApiError::InvalidParameter("The path is not UTF-8".to_owned()))?;
    let invalid = |error: axum::http::Error| {
        ApiError::InvalidParameter(format!("The path is invalid: {error}"))
    };
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    let path_and_query =
        PathAndQuery::try_from(path_and_query).map_err(|error| invalid(error.into()))?;
    parts.path_and_query = Some(path_and_query);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| invalid(error.into()))?;
    Ok(())
}

/// Whether a path has its one form already, as those of real clients have.
fn is_normal(path: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.strip_prefix('/').is_some_and(|segments| {
        segments.split('/').all(|segment| {
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_unreserved)
        })
    })
}

/// The path in its one form; `None` when it is not UTF-8. An escaped slash is a slash.
fn normalized(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let encoded: Vec<String> = segments
        .into_iter()
        .map(|segment| utf8_percent_encode(segment, SEGMENT).to_string())
        .collect();
    Some(format!("/{}", encoded.join("/")))
}

#[cfg(test)]
mod tests {
    use super::{is_normal, normalized};

    #[test]
    fn paths_have_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/v2/", "/v2"),
            ("/v2//p/./jobs///", "/v2/p/jobs"),
            ("/v2/p/x/../jobs", "/v2/p/jobs"),
            ("/../v2", "/v2"),
            ("/v2/p/jobs/a%2Fb", "/v2/p/jobs/a/b"),
            ("/v2/p/jobs/%E2%82%AC%20%3f", "/v2/p/jobs/%E2%82%AC%20%3F"),
            ("/%76%32", "/v2"),
        ] {
            assert_eq!(normalized(path).as_deref(), Some(expected), "{path}");
            assert!(!is_normal(path) || path == expected, "{path}");
        }
        assert_eq!(normalized("/v2/%FF%FE"), None);
        assert!(is_normal("/v2/p-1/jobs/a_b.c~d"));
    }
}
