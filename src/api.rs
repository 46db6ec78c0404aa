//! REST version 2: the routes, what every request goes through before its handler, and the handlers.
//!
//! A handler parses, calls the catalogue once, and answers. The routes stand in [`routes`]; what every request goes through
//! stands in `middleware`, in the order that [`service`] shows.

mod accept;
mod actions;
mod authorize;
mod backups;
mod clients;
mod documents;
mod extract;
mod forwarded;
mod healthcheck;
mod jobs;
mod middleware;
mod openapi;
mod operation;
mod page;
mod paging;
mod path;
mod report;
mod report_backups;
mod respond;
mod routes;
mod sessions;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, get, options};
use tower_http::catch_panic::CatchPanicLayer;

use crate::clock::Ids;
use crate::config::Config;
use crate::error::ApiError;
use crate::keystone::Keystone;
use crate::oslo::policy::Enforcer;
use crate::service::Catalogue;

pub use extract::MAX_SEARCH_BODY;
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

/// The whole HTTP service. The layers are listed from the inside out: the last one sees a request first.
pub fn service(api: Arc<Api>) -> Router {
    let guarded = guarded(&api)
        .layer(from_fn(middleware::hold_memory))
        .layer(from_fn(middleware::detach_writes))
        .layer(from_fn(accept::require_json))
        .layer(from_fn_with_state(
            Arc::clone(&api),
            authorize::authenticate,
        ));
    let versions = allowing(get(versions::versions), &[Method::GET]);
    let to_the_page = from_fn_with_state(Arc::clone(&api), page::redirect_browsers);
    let document = allowing(get(openapi::get), &[Method::GET]);
    let mut public = Router::new()
        .route(
            "/",
            versions
                .layer(from_fn(accept::require_json))
                .layer(to_the_page),
        )
        .route(openapi::PATH, document.layer(from_fn(accept::require_json)))
        .route(
            api.config.healthcheck.path.as_str(),
            any(healthcheck::check),
        );
    if api.config.ui.enabled {
        public = public.merge(page::routes());
    }
    let public = public
        .with_state(Arc::clone(&api))
        .fallback_service(guarded);
    let outer = Router::new()
        .fallback_service(public)
        .layer(from_fn(path::normalize));
    middleware::cors(outer, &api.config.cors)
        .layer(from_fn(middleware::refuse_repeated_headers))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(api, middleware::observe))
}

/// The same for one user on this machine: it answers no page of another site.
pub fn local_service(api: Arc<Api>) -> Router {
    service(api).layer(from_fn(middleware::refuse_foreign_pages))
}

/// What a client gets that comes while all connections are in use: the health check, or when to come again.
pub fn full_service(api: Arc<Api>) -> Router {
    let public = Router::new()
        .route(
            api.config.healthcheck.path.as_str(),
            any(healthcheck::check),
        )
        .with_state(Arc::clone(&api))
        .fallback(async || ApiError::TooManyConnections);
    Router::new()
        .fallback_service(public)
        .layer(from_fn(path::normalize))
        .layer(from_fn_with_state(api, middleware::observe))
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
