//! The service in this process, on a database of its own and with a clock that stands still.

use std::panic::Location;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use freezer_api::api::{self, Api};
use freezer_api::app::{self, Mode};
use freezer_api::clock::{Clock, Ids};
use freezer_api::config::Config;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Database;

/// The time at which a service starts, in seconds since the epoch.
pub(crate) const START: i64 = 1_700_000_000;

/// A service without authentication: the caller administers the project of the path. Paths of requests are relative
/// to `/v2/{PROJECT}/`, unless they begin with a slash.
pub(crate) struct Service {
    pub(crate) api: Arc<Api>,
    pub(crate) clock: Clock,
    router: Router,
}

/// The collections, and the member by which each of their documents is known.
pub(crate) const KINDS: [(&str, &str); 5] = [
    ("clients", "uuid"),
    ("actions", "action_id"),
    ("jobs", "job_id"),
    ("sessions", "session_id"),
    ("backups", "backup_id"),
];

/// The project of relative paths.
pub(crate) const PROJECT: &str = "p1";

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A request with these headers.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

impl Answer {
    /// What a router says to a request.
    pub(crate) async fn of(router: &Router, request: Request<Body>) -> Answer {
        let response = router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        // What the reference stored may be nested deeper than serde_json reads by default.
        reader.disable_recursion_limit();
        Value::deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .unwrap_or_else(|error| panic!("{error}: {self:?}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The answer, when it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body, when it contains what is expected.
    #[track_caller]
    pub(crate) fn shows(&self, expected: &Value) -> Value {
        let document = self.json();
        assert!(
            contains(&document, expected),
            "{document:#}\nshould contain {expected:#}"
        );
        document
    }

    /// Checks that the answer sends the client away for a while, without a word of why.
    #[track_caller]
    pub(crate) fn unavailable(&self, description: &str) {
        assert_eq!(self.status, 503, "{}", self.text());
        assert!(self.header("retry-after").is_some(), "{self:?}");
        assert_eq!(self.json()["description"], description);
    }

    /// Checks an error's status, title and that it has a description; returns the description.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, title: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let document = self.json();
        assert_eq!(document["title"], title, "{document}");
        let description = document["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(!description.is_empty(), "{document}");
        description
    }
}

/// Whether a document has all that is expected: the members of expected objects, at any depth; other values are equal.
pub(crate) fn contains(document: &Value, expected: &Value) -> bool {
    match (document, expected) {
        (Value::Object(document), Value::Object(expected)) => {
            expected.iter().all(|(key, expected)| {
                document
                    .get(key)
                    .is_some_and(|value| contains(value, expected))
            })
        }
        (Value::Array(items), Value::Array(expected)) => {
            items.len() == expected.len()
                && items
                    .iter()
                    .zip(expected)
                    .all(|(item, expected)| contains(item, expected))
        }
        _ => document == expected,
    }
}

/// A request that is refused: method, path, body, status, and words of the description.
pub(crate) type Refused<'a> = (&'a str, &'a str, Value, u16, &'a str);

/// The title under which a request is refused with this status.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad request format",
        403 => "Access Forbidden",
        404 => "Not Found",
        409 => "Document already existing",
        422 => "Unprocessable Entity",
        _ => panic!("{status} is no refusal"),
    }
}

impl Service {
    /// Starts a service on an empty database.
    pub(crate) async fn start(database: &Database) -> Service {
        Service::with(database, |_| {}).await
    }

    /// The same, with options changed.
    pub(crate) async fn with(database: &Database, change: impl FnOnce(&mut Config)) -> Service {
        let mut config = Config::default();
        config.database.connection = Some(database.url().parse().unwrap());
        change(&mut config);
        let clock = Clock::fixed(START);
        let api = app::build(config, Mode::Development, clock.clone(), Ids::Random)
            .await
            .unwrap();
        Service {
            router: api::service(Arc::clone(&api)),
            api,
            clock,
        }
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(&self.router, request).await
    }

    /// Sends a request with this text as its body, JSON or not.
    pub(crate) async fn raw(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let uri = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/v2/{PROJECT}/{path}"),
        };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(uri)
            .body(body.into())
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, Body::empty()).await
    }

    /// A list, searched.
    pub(crate) async fn search(&self, path: &str, search: Value) -> Answer {
        self.raw("GET", path, search.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.raw("POST", path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.raw("PATCH", path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str) -> Answer {
        self.raw("PUT", path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, Body::empty()).await
    }

    /// Sends each request and checks that it is refused as the row says.
    #[track_caller]
    pub(crate) fn refuses<'a>(
        &'a self,
        rows: &'a [Refused<'a>],
    ) -> impl Future<Output = ()> + use<'a> {
        let caller = Location::caller();
        async move {
            for (method, path, body, status, words) in rows {
                let answer = self.raw(method, path, body.to_string()).await;
                let row = format!("{caller}: {method} {path} {body}");
                assert_eq!(answer.status, *status, "{row}: {}", answer.text());
                let description = answer.refused(*status, title(*status));
                assert!(description.contains(words), "{row}: {description}");
            }
        }
    }

    /// Registers a client that can do everything.
    pub(crate) async fn client(&self, client_id: &str) {
        self.post("clients", json!({"client_id": client_id}))
            .await
            .expect(201);
    }

    /// Creates a job without actions on a client; its id.
    pub(crate) async fn job(&self, client_id: &str) -> String {
        let job = json!({"client_id": client_id, "job_actions": []});
        self.created("jobs", job, "job_id").await
    }

    /// Creates a session with an empty schedule; its id.
    pub(crate) async fn session(&self) -> String {
        self.created("sessions", json!({"schedule": {}}), "session_id")
            .await
    }

    /// Creates a document; the id that the answer has under `key`.
    pub(crate) async fn created(&self, path: &str, document: Value, key: &str) -> String {
        let answer = self.post(path, document).await.expect(201).json();
        answer[key].as_str().unwrap().to_owned()
    }
}
