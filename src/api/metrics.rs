//! `/metrics`, on the API's own listener or another, and what counts requests. Without `[metrics]` there is none of it: no layer, and the
//! path is not there.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::stream;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Mutex;

use super::{Api, Authentication, allowing, openapi, page, routes};
use crate::config::{self, Config, PerClient};
use crate::domain::figures::{CatalogueFigures, Single};
use crate::error::ApiError;
use crate::metrics::{CONTENT_TYPE, Http, ServiceFigures, catalogue_text, service_text};
use crate::telemetry;

/// Where the figures are.
pub(super) const PATH: &str = "/metrics";
/// A shorter secret can be guessed.
const LEAST_SECRET: usize = 16;
/// How long reading the tables may take; Prometheus waits for ten seconds by default.
const READING: Duration = Duration::from_secs(5);

/// Why nobody can show a bearer token.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// The file cannot be read.
    #[error("[metrics] bearer_token_file {0}: {1}")]
    File(String, std::io::Error),
    /// There is too little in it, or more than a token.
    #[error(
        "[metrics] bearer_token_file {0} has no token: one line of {LEAST_SECRET} characters or more, without blanks; openssl rand -base64 24 makes a good one"
    )]
    NoToken(String),
    /// The system has no random numbers.
    #[error("no random numbers to compare bearer tokens with")]
    Random,
}

/// The token of those who may scrape. It is compared by a keyed hash, which takes as long whatever is shown.
struct Bearer {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Bearer {
    fn read(file: &Path) -> Result<Bearer, BearerError> {
        let name = || file.display().to_string();
        let text = std::fs::read(file).map_err(|error| BearerError::File(name(), error))?;
        let token = text.trim_ascii();
        if token.len() < LEAST_SECRET || !token.iter().all(u8::is_ascii_graphic) {
            return Err(BearerError::NoToken(name()));
        }
        let mut random = [0; 32];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| BearerError::Random)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random);
        let tag = hmac::sign(&key, token);
        Ok(Bearer { key, tag })
    }

    /// Whether a request shows the token, once.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let (scheme, token) = match value.as_bytes().split_at_checked("Bearer ".len()) {
            Some(parts) => parts,
            None => return false,
        };
        scheme.eq_ignore_ascii_case(b"bearer ")
            && hmac::verify(&self.key, token.trim_ascii(), self.tag.as_ref()).is_ok()
    }
}

/// What is counted, and who may know.
pub struct Metrics {
    http: Arc<Http>,
    bearer: Option<Bearer>,
    /// The text of the figures that were shown last: it can be large, and all that ask at once take the same.
    catalogue: Mutex<Option<(Arc<CatalogueFigures>, Bytes)>>,
}

impl Metrics {
    /// What `[metrics]` asks for: nothing unless there is a place where it is shown.
    ///
    /// # Errors
    /// [`BearerError`].
    pub fn new(config: &Config) -> Result<Option<Metrics>, BearerError> {
        let config::Metrics {
            listen,
            bearer_token_file,
            ..
        } = &config.metrics;
        let bearer = bearer_token_file.as_deref().map(Bearer::read).transpose()?;
        if listen.is_none() && bearer.is_none() {
            return Ok(None);
        }
        let http = Arc::new(Http::new(paths(config)));
        Ok(Some(Metrics {
            http,
            bearer,
            catalogue: Mutex::default(),
        }))
    }

    async fn text_of_catalogue(&self, figures: Option<Arc<CatalogueFigures>>) -> Bytes {
        let Some(figures) = figures else {
            return catalogue_text(None).into();
        };
        let mut last = self.catalogue.lock().await;
        if let Some((of, text)) = &*last
            && Arc::ptr_eq(of, &figures)
        {
            return text.clone();
        }
        let text = Bytes::from(catalogue_text(Some(Arc::clone(&figures))));
        *last = Some((figures, text.clone()));
        text
    }

    fn may_scrape(&self, headers: &HeaderMap) -> bool {
        let bearer = self.bearer.as_ref();
        bearer.is_none_or(|bearer| bearer.is_shown(headers))
    }
}

/// The paths of all routes, with their parameters.
fn paths(config: &Config) -> Vec<String> {
    let of_the_api = routes().into_iter().map(|endpoint| endpoint.path);
    let others = ["/", "/v2", PATH, openapi::PATH];
    let checks = config.healthchecks().map(|check| check.path.as_str());
    let all = of_the_api.chain(others).chain(checks).chain(page::PATHS);
    all.map(str::to_owned).collect()
}

/// `/metrics` beside the API: only for those who show a token.
pub(super) fn on_the_api(api: &Api) -> axum::routing::MethodRouter<Arc<Api>> {
    match &api.metrics {
        Some(metrics) if metrics.bearer.is_some() => allowing(get(scrape), &[Method::GET]),
        _ => any(async || ApiError::NoRoute),
    }
}

/// What is served on a listener of its own.
pub fn metrics_service(api: Arc<Api>) -> Router {
    Router::new()
        .route(PATH, allowing(get(scrape), &[Method::GET]))
        .fallback(async || ApiError::NoRoute)
        .with_state(api)
}

async fn scrape(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let Some(metrics) = &api.metrics else {
        return ApiError::NoRoute.into_response();
    };
    if !metrics.may_scrape(&headers) {
        let challenge = HeaderValue::from_static("Bearer realm=\"metrics\"");
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, challenge)],
        )
            .into_response();
    }
    let catalogue = catalogue_figures(&api).await;
    let catalogue = metrics.text_of_catalogue(catalogue).await;
    let service = service_text(Arc::clone(&metrics.http), service_figures(&api));
    let parts = [service.into(), catalogue].map(Ok::<Bytes, Infallible>);
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from_stream(stream::iter(parts))).into_response()
}

/// What the tables tell; none where they do not in time, so that the rest is told all the same.
async fn catalogue_figures(api: &Api) -> Option<Arc<CatalogueFigures>> {
    let options = &api.config.metrics;
    let single = match options.per_client {
        PerClient::Problems => Single::Problems,
        PerClient::All => Single::All,
        PerClient::Off => Single::None,
    };
    let figures = api.catalogue.figures(single, options.max_clients);
    match tokio::time::timeout(READING, figures).await {
        Ok(Ok(figures)) => Some(figures),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the figures of the catalogue cannot be read");
            None
        }
        Err(_) => {
            tracing::warn!("the figures of the catalogue cannot be read in time");
            None
        }
    }
}

fn service_figures(api: &Api) -> ServiceFigures {
    let store = &api.catalogue.store;
    let (in_use, idle, waiting) = store.usage();
    let (keystone, tokens) = match &api.authentication {
        Authentication::Keystone(keystone) => (keystone.calls(), keystone.token_questions()),
        Authentication::None => (Vec::new(), Vec::new()),
    };
    ServiceFigures {
        version: env!("CARGO_PKG_VERSION"),
        connections: (in_use, idle),
        max_connections: store.connections(),
        waiting,
        keystone,
        tokens,
        dropped_lines: telemetry::dropped_lines(),
    }
}

/// Where the routing of a request leaves the place of its route.
#[derive(Clone, Default)]
struct Place(Arc<AtomicUsize>);

/// Counts what `router` answers, also what it does not come to route.
pub(super) fn counted(router: Router, api: &Api) -> Router {
    match &api.metrics {
        None => router,
        Some(metrics) => router.layer(from_fn_with_state(Arc::clone(&metrics.http), count)),
    }
}

/// Tells which route it is; for the router of the routes.
pub(super) fn named(router: Router, api: &Api) -> Router {
    match &api.metrics {
        None => router,
        Some(metrics) => router.layer(from_fn_with_state(Arc::clone(&metrics.http), name)),
    }
}

async fn count(State(http): State<Arc<Http>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let place = Place::default();
    request.extensions_mut().insert(place.clone());
    let method = request.method().clone();
    let _in_flight = http.begin();
    let response = next.run(request).await;
    let route = place.0.load(Ordering::Relaxed);
    http.count(
        route,
        method.as_str(),
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}

async fn name(State(http): State<Arc<Http>>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let (Some(path), Some(place)) = (extensions.get::<MatchedPath>(), extensions.get::<Place>())
    {
        place.0.store(http.place(path.as_str()), Ordering::Relaxed);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(text: &str) -> Result<Bearer, BearerError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Bearer::read(file.path())
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_token_is_shown_whole_and_once() {
        let bearer = bearer("0123456789abcdef\n").unwrap();
        for good in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef"] {
            assert!(bearer.is_shown(&headers(&[good])), "{good}");
        }
        for bad in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer 0123456789abcde"],
            &["Bearer 0123456789abcdef0"],
            &["Basic 0123456789abcdef"],
            &["0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!bearer.is_shown(&headers(bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        for text in ["", "\n", "short", "0123456789abcdef 0123456789abcdef"] {
            assert!(
                matches!(bearer(text), Err(BearerError::NoToken(_))),
                "{text:?}"
            );
        }
        let missing = Bearer::read(Path::new("/nonexistent/token"));
        assert!(matches!(missing, Err(BearerError::File(..))));
    }
}
