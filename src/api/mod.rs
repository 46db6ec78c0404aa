//! REST version 2: which paths there are, which rule guards each, and the handlers that answer them.
//!
//! A handler parses, asks `domain` and the store, and answers. What every request goes through before that stands
//! in `middleware`, in the order that [`service`] shows.

mod accept;
mod actions;
mod authorize;
mod backups;
mod clients;
mod extract;
mod healthcheck;
mod jobs;
mod middleware;
mod path;
mod sessions;
mod trusts;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get, on, options};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{Keystone, Trusts};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::domain::rules::{self, Rule};
use crate::domain::schema::Schemas;
use crate::error::ApiError;
use crate::oslo::policy::Enforcer;
use crate::store::Store;

/// What the handlers work with, for as long as the program runs.
pub struct Api {
    /// The database.
    pub store: Store,
    /// The checks of request bodies.
    pub schemas: Schemas,
    /// The policy.
    pub policy: Enforcer,
    /// How callers prove who they are.
    pub authentication: Authentication,
    /// Time.
    pub clock: Clock,
    /// Identifiers.
    pub ids: Ids,
    /// The options.
    pub config: Config,
    turns: trusts::Turns,
}

impl Api {
    /// Puts the parts together.
    pub fn new(
        store: Store,
        schemas: Schemas,
        policy: Enforcer,
        authentication: Authentication,
        (clock, ids): (Clock, Ids),
        config: Config,
    ) -> Api {
        Api {
            store,
            schemas,
            policy,
            authentication,
            clock,
            ids,
            config,
            turns: trusts::Turns::default(),
        }
    }
}

/// How callers prove who they are.
pub enum Authentication {
    /// By a token of Keystone; with the trusts that central schedulers need.
    Keystone(Box<Keystone>, Box<Trusts>),
    /// Not at all: everyone administers the project of the path. For development, on loopback only.
    None,
}

/// One line of the REST interface.
pub struct Endpoint {
    /// The method; GET answers HEAD too.
    pub method: Method,
    /// The path with its parameters.
    pub path: &'static str,
    /// The policy rule that guards it.
    pub rule: Rule,
    handler: MethodRouter<Arc<Api>>,
}

fn endpoint<H, T>(method: Method, path: &'static str, rule: Rule, handler: H) -> Endpoint
where
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    // All methods of the table below have a filter.
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
    Endpoint {
        method,
        path,
        rule,
        handler: on(filter, handler),
    }
}

/// The REST interface, a line each. The router, the answers to OPTIONS and the tests of authorization go through it.
pub fn routes() -> Vec<Endpoint> {
    use Method as M;
    const CLIENTS: &str = "/v2/{project_id}/clients";
    const CLIENT: &str = "/v2/{project_id}/clients/{client_id}";
    const ACTIONS: &str = "/v2/{project_id}/actions";
    const ACTION: &str = "/v2/{project_id}/actions/{action_id}";
    const JOBS: &str = "/v2/{project_id}/jobs";
    const JOB: &str = "/v2/{project_id}/jobs/{job_id}";
    const JOB_EVENT: &str = "/v2/{project_id}/jobs/{job_id}/event";
    const SESSIONS: &str = "/v2/{project_id}/sessions";
    const SESSION: &str = "/v2/{project_id}/sessions/{session_id}";
    const SESSION_ACTION: &str = "/v2/{project_id}/sessions/{session_id}/action";
    const SESSION_JOB: &str = "/v2/{project_id}/sessions/{session_id}/jobs/{job_id}";
    const BACKUPS: &str = "/v2/{project_id}/backups";
    const BACKUP: &str = "/v2/{project_id}/backups/{backup_id}";
    vec![
        endpoint(M::GET, CLIENTS, rules::CLIENTS_GET_ALL, clients::list),
        endpoint(M::POST, CLIENTS, rules::CLIENTS_CREATE, clients::register),
        endpoint(M::GET, CLIENT, rules::CLIENTS_GET, clients::get),
        endpoint(M::DELETE, CLIENT, rules::CLIENTS_DELETE, clients::delete),
        endpoint(M::GET, ACTIONS, rules::ACTIONS_GET_ALL, actions::list),
        endpoint(M::POST, ACTIONS, rules::ACTIONS_CREATE, actions::create),
        endpoint(M::GET, ACTION, rules::ACTIONS_GET, actions::get),
        endpoint(M::PATCH, ACTION, rules::ACTIONS_UPDATE, actions::update),
        endpoint(M::POST, ACTION, rules::ACTIONS_REPLACE, actions::replace),
        endpoint(M::DELETE, ACTION, rules::ACTIONS_DELETE, actions::delete),
        endpoint(M::GET, JOBS, rules::JOBS_GET_ALL, jobs::list),
        endpoint(M::POST, JOBS, rules::JOBS_CREATE, jobs::create),
        endpoint(M::GET, JOB, rules::JOBS_GET, jobs::get),
        endpoint(M::PATCH, JOB, rules::JOBS_UPDATE, jobs::update),
        endpoint(M::POST, JOB, rules::JOBS_CREATE, jobs::replace),
        endpoint(M::DELETE, JOB, rules::JOBS_DELETE, jobs::delete),
        endpoint(M::POST, JOB_EVENT, rules::JOBS_EVENT_CREATE, jobs::event),
        endpoint(M::GET, SESSIONS, rules::SESSIONS_GET_ALL, sessions::list),
        endpoint(M::POST, SESSIONS, rules::SESSIONS_CREATE, sessions::create),
        endpoint(M::GET, SESSION, rules::SESSIONS_GET, sessions::get),
        endpoint(M::PATCH, SESSION, rules::SESSIONS_UPDATE, sessions::update),
        endpoint(M::POST, SESSION, rules::SESSIONS_REPLACE, sessions::replace),
        endpoint(M::DELETE, SESSION, rules::SESSIONS_DELETE, sessions::delete),
        endpoint(
            M::POST,
            SESSION_ACTION,
            rules::SESSIONS_ACTION_CREATE,
            sessions::action,
        ),
        endpoint(
            M::PUT,
            SESSION_JOB,
            rules::SESSIONS_JOB_ADD,
            sessions::add_job,
        ),
        endpoint(
            M::DELETE,
            SESSION_JOB,
            rules::SESSIONS_JOB_REMOVE,
            sessions::remove_job,
        ),
        endpoint(M::GET, BACKUPS, rules::BACKUPS_GET_ALL, backups::list),
        endpoint(M::POST, BACKUPS, rules::BACKUPS_CREATE, backups::create),
        endpoint(M::GET, BACKUP, rules::BACKUPS_GET, backups::get),
        endpoint(M::PATCH, BACKUP, rules::BACKUPS_UPDATE, backups::update),
        endpoint(M::DELETE, BACKUP, rules::BACKUPS_DELETE, backups::delete),
    ]
}

/// The whole HTTP service. The layers are listed from the inside out: the last one sees a request first.
pub fn service(api: Arc<Api>) -> Router {
    let guarded = guarded(&api)
        .layer(from_fn(middleware::finish_writes))
        .layer(from_fn(accept::require_json))
        .layer(from_fn_with_state(
            Arc::clone(&api),
            authorize::authenticate,
        ));
    let versions = allowing(get(versions::versions), &[Method::GET]);
    let public = Router::new()
        .route("/", versions.layer(from_fn(accept::require_json)))
        .route(&api.config.healthcheck.path, any(healthcheck::check))
        .with_state(Arc::clone(&api))
        .fallback_service(guarded);
    let outer = Router::new()
        .fallback_service(public)
        .layer(from_fn(path::normalize));
    middleware::cors(outer, &api.config.cors)
        .layer(CatchPanicLayer::custom(middleware::panicked))
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
        .fallback(
            async move |method: Method| match METHODS.contains(&method.as_str()) {
                true => ApiError::MethodNotAllowed(allow_with_options),
                false => ApiError::InvalidMethod,
            },
        )
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

/// The answer to a list: `{NAME: [document, …]}`.
fn list_answer(name: &'static str, documents: Vec<Box<RawValue>>) -> Response {
    answer(StatusCode::OK, &List { name, documents })
}

/// Stored documents go into the answer as they are: read again, one that is nested deeper than we read, or holds a number
/// that we cannot hold, would break the whole list.
struct List {
    name: &'static str,
    documents: Vec<Box<RawValue>>,
}

impl Serialize for List {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.documents)?;
        map.end()
    }
}

/// An answer with a JSON document.
fn answer(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(error) => {
            ApiError::Panic(format!("an answer cannot be written: {error}")).into_response()
        }
    }
}
