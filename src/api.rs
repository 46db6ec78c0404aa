//! REST version 2: the routes, what every request goes through before its handler, and the handlers.
//!
//! A handler parses, calls the catalogue once, and answers. The routes stand in [`routes`]; what every request goes through
//! stands in `middleware`, in the order that [`service`] shows.

mod accept;
mod actions;
mod authorize;
mod backups;
mod clients;
mod csv;
mod documents;
mod extract;
mod forwarded;
mod healthcheck;
mod jobs;
mod metrics;
mod middleware;
mod openapi;
mod operation;
mod page;
mod paging;
mod path;
mod report;
mod report_backups;
mod report_hosts;
mod report_me;
mod report_summary;
mod respond;
mod routes;
mod sessions;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, options};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::clock::Ids;
use crate::config::Config;
use crate::error::ApiError;
use crate::keystone::Keystone;
use crate::oslo::policy::Enforcer;
use crate::pace::Pace;
use crate::service::Catalogue;

pub use extract::MAX_SEARCH_BODY;
pub use metrics::{BearerError, Metrics, metrics_service};
pub use middleware::REFUSAL_OVERHEAD;
pub use openapi::{document as openapi, document_text as openapi_text};
pub use operation::Operation;
pub use page::{KeyError, Logins};
pub use routes::{Endpoint, routes};

/// What the handlers work with, for as long as the program runs.
pub struct Api {
    /// What the requests act on.
    pub catalogue: Catalogue,
    /// The policy.
    pub policy: Arc<Enforcer>,
    /// How callers prove who they are.
    pub authentication: Authentication,
    /// Who is logged in on the web page.
    pub logins: Logins,
    /// What is counted for Prometheus; `None`: nothing.
    pub metrics: Option<Metrics>,
    /// How fast refusals are answered.
    pub refusals: Pace,
    /// Makes the ids of requests.
    pub ids: Ids,
    /// The options.
    pub config: Config,
}

/// How callers prove who they are.
pub enum Authentication {
    /// By a token of Keystone.
    Keystone(Box<Keystone>),
    /// Not at all: everyone administers the project of the path. For development, on loopback only.
    None,
}

/// The whole HTTP service. A request goes through the layers from the top down.
pub fn service(api: Arc<Api>) -> Router {
    let endpoints = routes();
    let tables = endpoints.iter().filter(|one| one.operation.is_table);
    let tables: Arc<[&'static str]> = tables.map(|one| one.path).collect();
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(
            Arc::clone(&api),
            authorize::authenticate,
        ))
        .layer(check(move |request: &mut Request| {
            accept::require_json_or_csv(request, &tables)
        }))
        .layer(from_fn(middleware::detach_writes))
        .layer(from_fn(middleware::hold_memory));
    let guarded = guarded(&api).layer(layers);
    let router = metrics::named(public(&api).merge(guarded), &api);
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&api), middleware::observe))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(check(middleware::refuse_repeated_headers))
        .option_layer(middleware::cors(&api.config.cors))
        .layer(check(path::normalize));
    // A router of its own, since layers come behind the routing of their router.
    metrics::counted(Router::new().fallback_service(router).layer(layers), &api)
}

/// A layer of a check that waits for nothing, which needs no memory for a request, as those of [`from_fn`] do.
#[expect(
    clippy::result_large_err,
    reason = "the layer takes a check that answers so"
)]
fn check<F>(
    check: F,
) -> ValidateRequestHeaderLayer<impl Fn(&mut Request) -> Result<(), Response> + Clone>
where
    F: Fn(&mut Request) -> Result<(), ApiError> + Clone,
{
    ValidateRequestHeaderLayer::custom(move |request: &mut Request| {
        check(request).map_err(IntoResponse::into_response)
    })
}

/// The same for one user on this machine: it answers no page of another site.
pub fn local_service(api: Arc<Api>) -> Router {
    service(api).layer(check(middleware::refuse_foreign_pages))
}

/// What a client gets that comes while all connections are in use: the health check, or when to come again.
pub fn full_service(api: Arc<Api>) -> Router {
    let public = healthcheck::routes(&api.config)
        .with_state(Arc::clone(&api))
        .fallback(async || ApiError::TooManyConnections);
    let router = Router::new()
        .fallback_service(metrics::named(public, &api))
        .layer(check(path::normalize))
        .layer(from_fn_with_state(Arc::clone(&api), middleware::observe));
    metrics::counted(router, &api)
}

/// The paths that need no token, or look for it themselves.
fn public(api: &Arc<Api>) -> Router {
    let versions = allowing(get(versions::versions), &[Method::GET]);
    let to_the_page = from_fn_with_state(Arc::clone(api), page::redirect_browsers);
    let document = allowing(openapi::route(&api.config), &[Method::GET]);
    let mut router = Router::new()
        .route(
            "/",
            versions
                .layer(check(accept::require_json))
                .layer(to_the_page),
        )
        .route(openapi::PATH, document.layer(check(accept::require_json)))
        .merge(healthcheck::routes(&api.config))
        .route(metrics::PATH, metrics::on_the_api(api));
    if api.config.ui.enabled {
        router = router.merge(page::routes());
    }
    router.with_state(Arc::clone(api))
}

/// The paths that need a token.
fn guarded(api: &Arc<Api>) -> Router {
    let mut router = Router::new().route("/v2", allowing(get(versions::home), &[Method::GET]));
    let mut endpoints = routes();
    while let Some(path) = endpoints.first().map(|endpoint| endpoint.path) {
        let (here, others): (Vec<_>, Vec<_>) = endpoints
            .into_iter()
            .partition(|endpoint| endpoint.path == path);
        endpoints = others;
        let methods: Vec<Method> = here
            .iter()
            .map(|endpoint| endpoint.method.clone())
            .collect();
        let handlers = here
            .into_iter()
            .fold(MethodRouter::new(), |router, endpoint| {
                let guard = (Arc::clone(api), endpoint.rule);
                router.merge(
                    endpoint
                        .handler
                        .route_layer(from_fn_with_state(guard, authorize::authorize)),
                )
            });
        router = router.route(path, allowing(handlers, &methods));
    }
    router
        .fallback(async || ApiError::NoRoute)
        .with_state(Arc::clone(api))
}

/// Adds the answers to OPTIONS and to methods that the path does not have.
fn allowing(handlers: MethodRouter<Arc<Api>>, methods: &[Method]) -> MethodRouter<Arc<Api>> {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    let allow = names.join(", ");
    let allow_with_options = format!("{allow}, OPTIONS");
    handlers
        .merge(options(async move || {
            (StatusCode::OK, [(header::ALLOW, allow)])
        }))
        .fallback(async move |method: Method| {
            if METHODS.contains(&method.as_str()) {
                ApiError::MethodNotAllowed(allow_with_options)
            } else {
                ApiError::InvalidMethod
            }
        })
}

/// The methods of HTTP and WebDAV; others, also in lower case, are no methods at all.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "QUERY",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "UNCHECKIN",
    "UNLOCK",
    "UPDATE",
    "VERSION-CONTROL",
];
