//! What every request goes through, whoever sent it.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::extract::Held;
use super::forwarded::Forwarded;
use super::page::OUR_PAGE;
use super::{Api, openapi};
use crate::config::{self, Token};
use crate::domain::Refusal;
use crate::error::ApiError;
use crate::pace::measured;
use crate::telemetry;

/// The header of request ids, ours and those that callers send along.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// When a request is answered with 503 if it is still worked on.
#[derive(Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

/// How long a request was worked on in a task of its own.
#[derive(Clone, Copy)]
struct Worked(Duration);

/// What a refusal takes besides its handler: to read its header, to write its answer and its line in the log.
pub const REFUSAL_OVERHEAD: Duration = Duration::from_micros(100);

/// Paths of ours are shorter; strangers can send 64 kB, which would push other lines out of the log.
const MAX_LOGGED_PATH: usize = 512;

/// An IPv6 address with its port is shorter.
const MAX_LOGGED_CLIENT: usize = 64;

/// Names the request, limits its time, and writes its line in the access log (`docs/logging.md`).
pub(super) async fn observe(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = format!("req-{}", api.ids.hyphenated());
    let sent_id = request.headers().get(REQUEST_ID).cloned();
    let span = telemetry::request_span(&request_id, sent_id.as_ref().and_then(global_request_id));
    let started = Instant::now();
    let limit = api.config.api.request_timeout;
    request.extensions_mut().insert(Deadline(started + limit));
    let remote = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let client = Forwarded::believed(request.headers(), &api.config.oslo_middleware).client;
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    async {
        let (mut response, worked) = tokio::time::timeout(limit, measured(next.run(request)))
            .await
            .unwrap_or_else(|_| (ApiError::Timeout.into_response(), Duration::ZERO));
        if is_named(&api, &path, &response) {
            let id = answered_id(sent_id.as_ref(), &request_id);
            response.headers_mut().insert(REQUEST_ID, id);
        }
        tracing::info!(
            target: "freezer_api::access",
            remote = remote.map(tracing::field::display),
            forwarded_for = client.map(|client| telemetry::shortened(&client, MAX_LOGGED_CLIENT).into_owned()),
            %method,
            path = &*telemetry::shortened(&path, MAX_LOGGED_PATH),
            status = response.status().as_u16(),
            duration_ms = milliseconds(started.elapsed()),
            "request"
        );
        pace(&api, &mut response, worked).await;
        response
    }
    .instrument(span)
    .await
}

/// Keeps the answer back where too many requests are refused.
async fn pace(api: &Api, response: &mut Response, worked: Duration) {
    if response.status().is_client_error() {
        let apart = response.extensions_mut().remove::<Worked>();
        let worked = worked + apart.map_or(Duration::ZERO, |Worked(time)| time);
        let delay = api.refusals.delay(worked, Instant::now());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// Three decimals: the clock is not finer than that.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Answers behind authentication carry the request's id.
fn is_named(api: &Api, path: &str, response: &Response) -> bool {
    let path = path.trim_matches('/');
    let checks = api.config.healthchecks().map(|check| check.path.as_str());
    let mut others = checks.chain([openapi::PATH]);
    let public = path.is_empty() || others.any(|other| other.trim_matches('/') == path);
    !public && response.status() != axum::http::StatusCode::UNAUTHORIZED
}

/// The id in the answer's header: the caller's own, whatever text it is, with `req-` before it where that is missing;
/// else ours. So the reference does it.
#[expect(
    clippy::expect_used,
    reason = "ours is a UUID, theirs came in a header"
)]
fn answered_id(sent: Option<&HeaderValue>, ours: &str) -> HeaderValue {
    const PREFIX: &[u8] = b"req-";
    match sent {
        Some(id) if id.as_bytes().starts_with(PREFIX) => id.clone(),
        Some(id) if !id.is_empty() => {
            HeaderValue::from_bytes(&[PREFIX, id.as_bytes()].concat()).expect("a header's value")
        }
        Some(_) | None => HeaderValue::try_from(ours).expect("a header's value"),
    }
}

/// The id that a calling service gave the request: `req-` and a UUID; other texts are not logged.
fn global_request_id(sent: &HeaderValue) -> Option<&str> {
    let text = sent.to_str().ok()?;
    let uuid = text.strip_prefix("req-")?;
    (uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok()).then_some(text)
}

/// Runs requests that may write in tasks of their own: the server drops a request whose client disconnects, and a change
/// must not end between its transaction and what belongs to it.
pub(super) async fn detach_writes(request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    match tokio::spawn(measured(next.run(request)).in_current_span()).await {
        Ok((mut response, worked)) => {
            response.extensions_mut().insert(Worked(worked));
            response
        }
        Err(error) => panicked_with(&error.to_string()).into_response(),
    }
}

/// Holds the memory of the request's body until it is answered.
pub(super) async fn hold_memory(mut request: Request, next: Next) -> Response {
    let held = Held::default();
    request.extensions_mut().insert(held.clone());
    let response = next.run(request).await;
    drop(held);
    response
}

/// The answer of a handler that panicked; the connection and other requests are not affected.
pub(super) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    panicked_with(text.unwrap_or("of an unknown kind")).into_response()
}

fn panicked_with(text: &str) -> ApiError {
    ApiError::Panic(format!("panic: {text}"))
}

/// Headers that have one value: with two, a proxy in front may have used the other one.
const SINGLE: [HeaderName; 4] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::ORIGIN,
    REQUEST_ID,
];

/// Refuses a request that repeats one of them. Tokens are looked at where they are read.
pub(super) fn refuse_repeated_headers(request: &mut Request) -> Result<(), ApiError> {
    let headers = request.headers();
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let is_repeated = |name: &&HeaderName| headers.get_all(*name).iter().count() > 1;
    match SINGLE.iter().find(is_repeated) {
        Some(name) => Err(ApiError::RepeatedHeader(name.clone())),
        None => Ok(()),
    }
}

/// Refuses what a browser sends for a page of another site. A server without authentication on loopback is reached by
/// every page that its user looks at: by a form, or by a name of the page's own that leads to 127.0.0.1.
pub(super) fn refuse_foreign_pages(request: &mut Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let host = |value: &HeaderValue| is_loopback(value.to_str().ok().and_then(|v| v.parse().ok()));
    let origin = |value: &HeaderValue| {
        let uri: Option<Uri> = value.to_str().ok().and_then(|value| value.parse().ok());
        is_loopback(uri.and_then(|uri| uri.authority().cloned()))
    };
    let authority = request.uri().authority();
    let foreign = if authority.is_some_and(|authority| !is_loopback(Some(authority.clone())))
        || !headers.get_all(header::HOST).iter().all(host)
    {
        "Host"
    } else if !headers.get_all(header::ORIGIN).iter().all(origin) {
        "Origin"
    } else {
        return Ok(());
    };
    Err(Refusal::Forbidden(format!(
        "{foreign} is not localhost or a loopback address: a server without authentication answers nobody else"
    ))
    .into())
}

/// Whether a host is this machine for every browser.
fn is_loopback(authority: Option<Authority>) -> bool {
    authority.is_some_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

/// Lets web pages of the origins in `[cors]` call the service; without origins nothing changes.
///
/// For `*` any page may call, but no browser sends credentials along, whatever `allow_credentials` is: oslo.middleware
/// answers with both headers, which browsers refuse. An origin that is named beside `*` has what the options say.
pub(super) fn cors(options: &config::Cors) -> Option<CorsLayer> {
    if options.allowed_origin.is_empty() {
        return None;
    }
    let (any, named): (Vec<String>, Vec<String>) = options
        .allowed_origin
        .iter()
        .cloned()
        .partition(|origin| origin == "*");
    let only_any = named.is_empty();
    // Whatever the options say: the cookie of the web page is for that page alone.
    let is_ours = |token: &&Token| token.as_str().eq_ignore_ascii_case(OUR_PAGE);
    let allowed = options.allow_headers.iter().filter(|token| !is_ours(token));
    let allowed: Vec<Token> = allowed.cloned().collect();
    let is_named = move |origin: &HeaderValue, _: &Parts| {
        named
            .iter()
            .any(|name| name.as_bytes() == origin.as_bytes())
    };
    let origins = if only_any {
        AllowOrigin::any()
    } else {
        let is_named = is_named.clone();
        AllowOrigin::predicate(move |origin, parts| !any.is_empty() || is_named(origin, parts))
    };
    let mut layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods(&options.allow_methods))
        .allow_headers(header_names(&allowed))
        .expose_headers(header_names(&options.expose_headers))
        .vary([header::ORIGIN]);
    if options.allow_credentials && !only_any {
        layer = layer.allow_credentials(AllowCredentials::predicate(is_named));
    }
    Some(layer.max_age(Duration::from_secs(options.max_age.into())))
}

#[expect(clippy::expect_used, reason = "a token of HTTP is a name of a header")]
fn header_names(tokens: &[Token]) -> Vec<HeaderName> {
    let name = |token: &Token| HeaderName::try_from(token.as_str()).expect("a name of a header");
    tokens.iter().map(name).collect()
}

#[expect(clippy::expect_used, reason = "a token of HTTP is a method")]
fn methods(tokens: &[Token]) -> Vec<Method> {
    let method = |token: &Token| Method::from_bytes(token.as_str().as_bytes()).expect("a method");
    tokens.iter().map(method).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn fails() -> StatusCode {
        panic!("a secret")
    }

    /// What a handler that panics answers behind the layers that [`crate::api::service`] has.
    async fn answer(method: Method) -> (StatusCode, Value) {
        let router = Router::new()
            .route("/", get(fails).post(fails))
            .layer(from_fn(detach_writes))
            .layer(CatchPanicLayer::custom(panicked));
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_says_nothing() {
        let expected = json!({"title": "Internal Server Error", "description": "An unexpected error occurred."});
        for method in [Method::GET, Method::POST] {
            let (status, body) = answer(method.clone()).await;
            assert_eq!((status.as_u16(), &body), (500, &expected), "{method}");
        }
    }
}
