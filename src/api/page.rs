//! `/ui/`: the web page of operators, with its files in the program.
//!
//! Its data come from `/v2` like everybody's. All addresses in it are relative, so that it works behind any prefix.

mod assets;
mod attempts;
mod cookie;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Api, accept, allowing, middleware};
use crate::error::ApiError;
use assets::{Asset, Assets};
pub use cookie::KeyError;
pub use session::Logins;
pub(super) use session::{OUR_PAGE, session_of};

/// Below which everything of the page is.
pub(super) const PATH: &str = "/ui";
const ASSET: &str = "/ui/assets/{version}/{*file}";
const SESSION: &str = "/ui/session";
/// All paths of it.
pub(super) const PATHS: [&str; 3] = [PATH, ASSET, SESSION];

/// What the page may do in a browser: run our own scripts, show our own styles and ask us. Nothing inline, nothing of others.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The paths of the page.
pub(super) fn routes() -> Router<Arc<Api>> {
    let session = get(session::show)
        .post(session::log_in)
        .put(session::enter)
        .delete(session::log_out)
        .layer(from_fn(middleware::detach_writes))
        .layer(from_fn(not_kept));
    let all = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    let read = [Method::GET];
    Router::new()
        .route(PATH, allowing(get(index), &read))
        .route(ASSET, allowing(get(asset), &read))
        .route(SESSION, allowing(session, &all))
        .layer(from_fn(secured))
}

/// Keeps answers about a user out of every cache.
async fn not_kept(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// Sends a browser that asks for `/` to the page; programs get the list of versions. The address is relative: proxies may have
/// cut off a prefix.
pub(super) async fn redirect_browsers(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !(reads && api.config.ui.enabled && accept::prefers_html(request.headers())) {
        return next.run(request).await;
    }
    let to_the_page = [
        (header::LOCATION, "ui/"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept"),
    ];
    (StatusCode::SEE_OTHER, to_the_page).into_response()
}

/// Adds the headers that browsers go by.
async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `GET /ui/`: the document that loads the rest. It is asked for each time, and names the files of this release.
async fn index(OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    if !uri.path().ends_with('/') {
        return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "ui/")]).into_response();
    }
    let assets = Assets::get();
    let etag = format!("\"{}\"", assets.version);
    let known = headers.get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(&assets.index, &headers)
    };
    let caching = [
        (header::ETAG, HeaderValue::try_from(etag)),
        (header::CACHE_CONTROL, HeaderValue::try_from("no-cache")),
    ];
    for (name, value) in caching {
        response
            .headers_mut()
            .extend(value.map(|value| (name, value)));
    }
    response
}

/// `GET /ui/assets/{version}/{file}`. During an upgrade of several services, one may be asked for the file of another: it
/// gives its own, which nobody then keeps.
async fn asset(
    Path((version, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let assets = Assets::get();
    let asset = assets.files.get(&file).ok_or(ApiError::NoRoute)?;
    let mut response = content(asset, &headers);
    let lifetime = if version == assets.version {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let lifetime = HeaderValue::from_static(lifetime);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, lifetime);
    Ok(response)
}

/// The answer with a file, compressed for those who can read it.
fn content(asset: &Asset, headers: &HeaderMap) -> Response {
    let about = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::VARY, "Accept-Encoding"),
    ];
    if takes_gzip(headers) {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        (about, encoding, asset.compressed.clone()).into_response()
    } else {
        (about, asset.plain.clone()).into_response()
    }
}

/// Whether the client takes gzip (RFC 9110, section 12.5.3). One that says nothing may be one that cannot.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_gzip
                && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f64| weight > 0.0))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(value),
            )]))
        };
        for value in [
            "gzip",
            "gzip, deflate, br",
            "br;q=1.0, GZIP;q=0.5",
            "gzip ; q=1",
        ] {
            assert!(takes(value), "{value}");
        }
        for value in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0.0",
            "identity, *;q=0.5",
            "gzip;q=x",
        ] {
            assert!(!takes(value), "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
