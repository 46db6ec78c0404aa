//! Whether the client takes JSON, or CSV.
//!
//! Read here, since no crate fits: `headers-accept` orders what is offered where one type is asked for, `accept-header` and
//! `mime` stand still at http 0.2, `http-content-negotiation` brings a middleware of its own.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, header};

use crate::error::{ApiError, ErrorForm};

/// Refuses with 406 what takes neither JSON nor, on these paths, CSV.
pub(super) fn require_json_or_csv(
    request: &mut Request,
    tables: &[&'static str],
) -> Result<(), ApiError> {
    let path = request.extensions().get::<MatchedPath>();
    let is_table = path.is_some_and(|path| tables.contains(&path.as_str()));
    if is_table && accepts(&accept_header(request.headers()), "text", "csv") {
        return Ok(());
    }
    require_json(request)
}

/// Refuses with 406 what does not take JSON, before the path is looked at. The home document has its own type too.
pub(super) fn require_json(request: &mut Request) -> Result<(), ApiError> {
    let accept = accept_header(request.headers());
    let is_home = request.uri().path() == "/v2";
    if accepts(&accept, "application", "json")
        || (is_home && accepts(&accept, "application", "json-home"))
    {
        return Ok(());
    }
    let form = if accepts(&accept, "application", "xml") {
        ErrorForm::Xml("application/xml")
    } else if accepts(&accept, "text", "xml") {
        ErrorForm::Xml("text/xml")
    } else if accept.contains("+json") {
        ErrorForm::Json
    } else {
        ErrorForm::Empty
    };
    Err(ApiError::NotAcceptable(form))
}

/// The header's values as one list, in lower case: media types compare without case (RFC 9110, section 8.3.1).
pub(super) fn accept_header(headers: &HeaderMap) -> String {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    texts.collect::<Vec<_>>().join(",").to_ascii_lowercase()
}

/// Whether a header allows a media type: the most specific range that covers it has a weight above 0.
pub(super) fn accepts(header: &str, main: &str, sub: &str) -> bool {
    if header.trim().is_empty() {
        return true;
    }
    header
        .split(',')
        .filter_map(|range| weight(range, main, sub))
        .max_by_key(|(specificity, _)| *specificity)
        .is_some_and(|(_, quality)| quality > 0.0)
}

/// Whether a client names HTML, and would rather have it than JSON, as browsers do.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = accept_header(headers);
    let wish = |main, sub| {
        let ranges = accept
            .split(',')
            .filter_map(|range| weight(range, main, sub));
        ranges.max_by_key(|(specificity, _)| *specificity)
    };
    wish("text", "html").is_some_and(|(specificity, html)| {
        specificity == 2 && html > wish("application", "json").map_or(0.0, |(_, json)| json)
    })
}

/// Whether a client would rather have CSV than JSON: by the weights, and where these are equal by what it names.
pub(super) fn prefers_csv(headers: &HeaderMap) -> bool {
    let accept = accept_header(headers);
    let wish = |main, sub| {
        let ranges = accept
            .split(',')
            .filter_map(|range| weight(range, main, sub));
        let wish = ranges.max_by_key(|(specificity, _)| *specificity);
        wish.map_or((0.0, 0), |(specificity, quality)| (quality, specificity))
    };
    let csv = wish("text", "csv");
    csv.0 > 0.0 && csv > wish("application", "json")
}

/// The first of the media types that a client would rather have than the others: by the weights, and where these are equal by how
/// specific the range is that covers it. `None` where it takes none of them.
pub(super) fn preferred<'t>(
    header: &str,
    types: &[(&'t str, &'t str)],
) -> Option<(&'t str, &'t str)> {
    if header.trim().is_empty() {
        return types.first().copied();
    }
    let wish = |(main, sub)| {
        let ranges = header
            .split(',')
            .filter_map(|range| weight(range, main, sub));
        let (specificity, quality) = ranges.max_by_key(|(specificity, _)| *specificity)?;
        (quality > 0.0).then_some((quality, specificity))
    };
    let wishes = types
        .iter()
        .filter_map(|media| Some((wish(*media)?, *media)));
    let best = wishes.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, media)| media)
}

/// How specific a range is and its weight, if it covers the type. Java's `HttpURLConnection` writes `*` for `*/*`.
fn weight(range: &str, main: &str, sub: &str) -> Option<(u8, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let (range_main, range_sub) = match parts.next()? {
        "*" => ("*", "*"),
        range => range.split_once('/')?,
    };
    let specificity = match (range_main.trim(), range_sub.trim()) {
        ("*", "*") => 0,
        (m, "*") if m == main => 1,
        (m, s) if m == main && s == sub => 2,
        _ => return None,
    };
    // A range whose weight is no number is refused, as in the reference.
    let quality = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim() == "q")
        .map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
    Some((specificity, quality))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{accepts, preferred, prefers_csv, prefers_html};

    #[test]
    fn browsers_prefer_html() {
        let prefers = |accept: &'static str| {
            let accept = HeaderValue::from_static(accept);
            prefers_html(&HeaderMap::from_iter([(header::ACCEPT, accept)]))
        };
        for accept in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0.5, Text/HTML;q=0.6",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "text/html, application/json",
            "text/html, */*",
            "text/html;q=0",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn csv_is_for_those_who_ask_for_it() {
        let prefers = |accept: &'static str| {
            let accept = HeaderValue::from_static(accept);
            prefers_csv(&HeaderMap::from_iter([(header::ACCEPT, accept)]))
        };
        for accept in [
            "text/csv",
            "Text/CSV; header=present",
            "text/*",
            "text/csv, */*",
            "text/csv, */*;q=0.1",
            "application/json;q=0.5, text/csv;q=0.6",
            "text/csv;q=0.1, application/json;q=0",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/csv, application/json",
            "text/csv;q=0.5, */*",
            "text/csv;q=0",
            "text/csv;q=NaN",
            "text/html, application/*",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_csv(&HeaderMap::new()));
    }

    #[test]
    fn ranges_and_weights() {
        for header in [
            "",
            "*/*",
            "application/*",
            "application/json;q=0.1",
            "text/html, */*;q=0.1",
            "application/json;charset=utf-8",
            "application/json, */*;q=0",
            "*",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        ] {
            assert!(accepts(header, "application", "json"), "{header}");
        }
        for header in [
            "text/html",
            "application/json-home",
            "application/json;q=0",
            "application/json;q=high",
            "*/*;q=0",
            "*/*, application/json;q=0",
            "text/*",
            "*;q=0",
            "**",
            "nonsense",
        ] {
            assert!(!accepts(header, "application", "json"), "{header}");
        }
    }

    #[test]
    fn the_preferred_type() {
        let types = [("text", "plain"), ("text", "html"), ("application", "json")];
        for (accept, sub) in [
            ("", Some("plain")),
            ("*/*", Some("plain")),
            ("*", Some("plain")),
            ("text/*", Some("plain")),
            ("text/html, text/plain", Some("plain")),
            ("text/html, */*", Some("html")),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Some("html"),
            ),
            ("application/json, text/plain;q=0.5", Some("json")),
            ("application/json;q=0.5, text/plain;q=0", Some("json")),
            ("text/plain;q=0, */*", Some("html")),
            ("application/xml", None),
            ("*/*;q=0", None),
        ] {
            let preferred = preferred(accept, &types).map(|(_, sub)| sub);
            assert_eq!(preferred, sub, "{accept}");
        }
    }
}
