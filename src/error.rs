//! The only place where an error becomes a status and a body.
//!
//! Bodies are `{"title": …, "description": …}` with the reference's titles. A 5xx says nothing of its cause, which
//! is logged here, once, with its chain.

use std::time::Duration;

use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::authz::Denied;
use crate::domain::Refusal;
use crate::keystone::{AuthError, TrustError};
use crate::store::{MAX_TEXT, StoreError, Transient};

/// Documentation for clients that ask for something else than JSON.
const LINK: &str = "https://docs.openstack.org/freezer-api/latest/";
const LINK_TEXT: &str = "Documentation related to this error";

/// When a client may try again that found the database unavailable or waited too long.
const RETRY_AFTER_LOAD: Duration = Duration::from_secs(5);

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The policy refuses it.
    #[error(transparent)]
    Forbidden(#[from] Denied),
    /// The body is no JSON.
    #[error("{0}")]
    MalformedJson(String),
    /// The path or a query parameter breaks a rule.
    #[error("{0}")]
    InvalidParameter(String),
    /// The method is no method of HTTP or WebDAV.
    #[error("Invalid HTTP method")]
    InvalidMethod,
    /// The body is larger than `[oslo_middleware] max_request_body_size`.
    #[error("The request body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body did not arrive in time.
    #[error("The request body did not arrive in time")]
    BodyTimeout,
    /// The connection broke while the body was read, or its framing is wrong.
    #[error("The request body cannot be read")]
    UnreadableBody,
    /// A header that has one value is repeated.
    #[error("The header {0} must not be repeated")]
    RepeatedHeader(HeaderName),
    /// There is no such path.
    #[error("There is no such path")]
    NoRoute,
    /// The path has other methods: the value of `Allow`.
    #[error("The path does not have this method; it has {0}")]
    MethodNotAllowed(String),
    /// The client does not take JSON; in which form it takes an error.
    #[error("Freezer-api only supports responses encoded as JSON.")]
    NotAcceptable(ErrorForm),
    /// There is no valid token: the value of `WWW-Authenticate`.
    #[error("{reason}")]
    Unauthorized {
        /// Why, for the log.
        reason: AuthError,
        /// The value of `WWW-Authenticate`.
        challenge: String,
    },
    /// A user of the web page gets no token, or has none.
    #[error("{0}")]
    LoginFailed(&'static str),
    /// An address has failed to log in too often.
    #[error("Too many failed logins; try again in a minute")]
    TooManyLogins(Duration),
    /// Keystone cannot be asked.
    #[error("The identity service is unavailable")]
    IdentityUnavailable(Duration),
    /// A trust could not be made.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The work took longer than `[api] request_timeout`.
    #[error("The request took too long")]
    Timeout,
    /// All of `[api] max_connections` are in use.
    #[error("Too many connections")]
    TooManyConnections,
    /// A bug.
    #[error("{0}")]
    Panic(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The form of a 406: what the client does take, where that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// JSON, for a client that takes some `+json` type.
    Json,
    /// XML, under this media type.
    Xml(&'static str),
    /// No body.
    Empty,
}

impl ApiError {
    /// An insert's failure, where the id may be in use.
    pub fn id_unavailable(error: StoreError, kind: &str, id: &str) -> ApiError {
        if error.is_duplicate_key() {
            Refusal::already_registered(kind, id).into()
        } else {
            error.into()
        }
    }

    /// Whether nobody knows if the change was made.
    pub fn is_of_unknown_outcome(&self) -> bool {
        matches!(self, ApiError::Store(error) if error.is_of_unknown_outcome())
    }

    fn status_and_title(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::Refused(refusal) => refused(refusal),
            ApiError::Forbidden(_) => (StatusCode::FORBIDDEN, "Access Forbidden"),
            ApiError::MalformedJson(_) => (StatusCode::BAD_REQUEST, "Malformed JSON"),
            ApiError::InvalidParameter(_) => (StatusCode::BAD_REQUEST, "Invalid parameter"),
            ApiError::InvalidMethod | ApiError::UnreadableBody | ApiError::RepeatedHeader(_) => {
                (StatusCode::BAD_REQUEST, "Bad request")
            }
            ApiError::BodyTooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            }
            ApiError::Store(error) if error.is_too_large() => {
                (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            }
            ApiError::Store(error) if error.is_unencodable() => {
                (StatusCode::BAD_REQUEST, "Bad request format")
            }
            ApiError::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            ApiError::NoRoute => (StatusCode::NOT_FOUND, "404 Not Found"),
            ApiError::MethodNotAllowed(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed")
            }
            ApiError::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "406 Not Acceptable"),
            ApiError::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            ApiError::LoginFailed(_) => (StatusCode::UNAUTHORIZED, "Login failed"),
            ApiError::TooManyLogins(_) => (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
            ApiError::Trust(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Missing required credentials",
            ),
            ApiError::IdentityUnavailable(_) | ApiError::Timeout | ApiError::TooManyConnections => {
                (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            ApiError::Store(error) if error.is_unavailable() => {
                (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            ApiError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Storage Error"),
            ApiError::Panic(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }

    /// What the client is told besides the title. Of server errors it is told nothing.
    fn description(&self) -> String {
        match self {
            ApiError::Panic(_) => "An unexpected error occurred.".to_owned(),
            ApiError::Store(error) if error.is_short_of_memory() => {
                "Too many large documents are being worked on.".to_owned()
            }
            ApiError::Store(error) if error.is_unavailable() => {
                "The database is unavailable.".to_owned()
            }
            ApiError::Store(error) if error.is_too_large() => {
                format!("The document would become larger than {MAX_TEXT} bytes")
            }
            ApiError::Store(error) if error.is_unencodable() => {
                "A text has characters that the encoding of the database does not have, or a stored one is not UTF-8.".to_owned()
            }
            ApiError::Store(_) => "Database operation failed.".to_owned(),
            ApiError::Refused(_)
            | ApiError::Forbidden(_)
            | ApiError::MalformedJson(_)
            | ApiError::InvalidParameter(_)
            | ApiError::InvalidMethod
            | ApiError::BodyTooLarge(_)
            | ApiError::BodyTimeout
            | ApiError::UnreadableBody
            | ApiError::RepeatedHeader(_)
            | ApiError::NoRoute
            | ApiError::MethodNotAllowed(_)
            | ApiError::NotAcceptable(_)
            | ApiError::Unauthorized { .. }
            | ApiError::LoginFailed(_)
            | ApiError::TooManyLogins(_)
            | ApiError::IdentityUnavailable(_)
            | ApiError::Trust(_)
            | ApiError::Timeout
            | ApiError::TooManyConnections => self.to_string(),
        }
    }

    /// The media type and the body.
    fn body(&self, title: &str) -> (&'static str, String) {
        let description = self.description();
        match self {
            ApiError::Unauthorized { .. } => (
                "application/json",
                // Exactly keystonemiddleware's answer: clients know it.
                json!({"error": {
                    "code": 401,
                    "title": "Unauthorized",
                    "message": "The request you have made requires authentication.",
                }})
                .to_string(),
            ),
            ApiError::NotAcceptable(ErrorForm::Xml(media_type)) => (
                media_type,
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error><title>{title}</title>\
                     <description>{description}</description><link><text>{LINK_TEXT}</text>\
                     <href>{LINK}</href><rel>help</rel></link></error>"
                ),
            ),
            ApiError::NotAcceptable(ErrorForm::Json) => (
                "application/json",
                json!({
                    "title": title,
                    "description": description,
                    "link": {"text": LINK_TEXT, "href": LINK, "rel": "help"},
                })
                .to_string(),
            ),
            ApiError::NotAcceptable(ErrorForm::Empty) => ("application/json", String::new()),
            _ => (
                "application/json",
                json!({"title": title, "description": description}).to_string(),
            ),
        }
    }

    fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            ApiError::MethodNotAllowed(allow) => Some((ALLOW, allow.clone())),
            ApiError::Unauthorized { challenge, .. } => Some((WWW_AUTHENTICATE, challenge.clone())),
            ApiError::IdentityUnavailable(after) | ApiError::TooManyLogins(after) => {
                Some((RETRY_AFTER, after.as_secs().max(1).to_string()))
            }
            ApiError::Timeout | ApiError::TooManyConnections => {
                Some((RETRY_AFTER, RETRY_AFTER_LOAD.as_secs().to_string()))
            }
            ApiError::Store(error) if error.is_unavailable() => {
                Some((RETRY_AFTER, RETRY_AFTER_LOAD.as_secs().to_string()))
            }
            _ => None,
        }
    }

    fn log(&self, status: StatusCode) {
        match self {
            ApiError::Unauthorized { reason, .. } => tracing::info!(%reason, "401"),
            _ if status.is_server_error() => {
                tracing::error!(error = self as &dyn std::error::Error, "the request failed");
            }
            _ => {
                tracing::debug!(reason = %self, status = status.as_u16(), "the request is refused")
            }
        }
    }
}

/// How a rule of the domain refuses.
fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, "Bad request format"),
        Refusal::Forbidden(_) => (StatusCode::FORBIDDEN, "Access Forbidden"),
        Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "Not Found"),
        Refusal::Conflict(_) => (StatusCode::CONFLICT, "Document already existing"),
        Refusal::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity"),
    }
}

impl Transient for ApiError {
    fn is_transient(&self) -> bool {
        matches!(self, ApiError::Store(error) if error.is_transient())
    }

    fn is_contended(&self) -> bool {
        matches!(self, ApiError::Store(error) if error.is_contended())
    }

    fn is_newly_prepared(&self) -> bool {
        matches!(self, ApiError::Store(error) if error.is_newly_prepared())
    }

    fn needs_room(&self) -> Option<usize> {
        match self {
            ApiError::Store(error) => error.needs_room(),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, title) = self.status_and_title();
        self.log(status);
        let (content_type, body) = self.body(title);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        if let Some((name, value)) = self.header()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
        response
    }
}
