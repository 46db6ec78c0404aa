//! What handlers take out of a request: its body, and the identifiers of its path.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body as HttpBody, HttpBody as _};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::Api;
use super::forwarded::Forwarded;
use crate::domain::Refusal;
use crate::domain::document::{self, Object};
use crate::error::ApiError;
use crate::store::Reservation;

/// The memory of a request's body, which is held until the request is answered.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<Reservation>>);

impl Held {
    fn keep(&self, reserved: Reservation) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reserved;
    }
}

/// The largest body of a list request, in bytes.
pub const MAX_SEARCH_BODY: usize = 65_536;

/// The JSON object in a request's body, whatever its content type says.
///
/// A JSON value that Python takes for false (null, [], "", 0, false) counts as a missing body where the reference does so;
/// other values that are no objects are refused.
pub(super) enum Body {
    /// An object.
    Object(Object),
    /// A value that Python takes for false.
    Falsy,
    /// Nothing at all.
    Absent,
}

impl Body {
    async fn read(mut request: Request, api: &Api, limit: usize) -> Result<Body, ApiError> {
        let held = request.extensions_mut().remove::<Held>();
        let body = request.into_body();
        let memory = &api.catalogue.memory;
        let most = body.size_hint().upper().unwrap_or(u64::MAX);
        let most = usize::try_from(most).map_or(limit, |most| most.min(limit));
        let _uploading = memory.for_upload(most).await?;
        let read = read(body, limit);
        let text = tokio::time::timeout(api.config.api.read_timeout, read)
            .await
            .map_err(|_| ApiError::BodyTimeout)??;
        if text.is_empty() {
            return Ok(Body::Absent);
        }
        let reserved = memory.for_body(document::memory_for(&text)).await?;
        if let Some(held) = held {
            held.keep(reserved);
        }
        match document::parse(&text).map_err(ApiError::MalformedJson)? {
            Value::Object(object) => Ok(Body::Object(object)),
            value if document::is_falsy(Some(&value)) => Ok(Body::Falsy),
            _ => Err(not_an_object()),
        }
    }

    /// The body of a list request: what its search may need at most, however large bodies of other requests may be.
    pub(super) async fn of_search(request: Request, api: &Api) -> Result<Body, ApiError> {
        let limit = api.config.oslo_middleware.max_request_body_size;
        if limit <= MAX_SEARCH_BODY {
            return Body::read(request, api, limit).await;
        }
        match Body::read(request, api, MAX_SEARCH_BODY).await {
            Err(ApiError::BodyTooLarge(_)) => Err(Refusal::Invalid(format!(
                "The body of a search may have {MAX_SEARCH_BODY} bytes"
            ))
            .into()),
            other => other,
        }
    }

    /// The object, for requests that need one that is not empty.
    pub(super) fn required(self) -> Result<Object, ApiError> {
        match self {
            Body::Object(object) if !object.is_empty() => Ok(object),
            _ => Err(Refusal::Invalid("Missing request body".to_owned()).into()),
        }
    }

    /// The object, for requests that may have none.
    pub(super) fn or_empty(self) -> Object {
        match self {
            Body::Object(object) => object,
            Body::Falsy | Body::Absent => Object::new(),
        }
    }

    /// The members that a PATCH changes: an object, or nothing at all.
    pub(super) fn changes(self) -> Result<Object, ApiError> {
        match self {
            Body::Object(object) => Ok(object),
            Body::Absent => Ok(Object::new()),
            Body::Falsy => Err(not_an_object()),
        }
    }
}

fn not_an_object() -> ApiError {
    Refusal::Invalid("The request body must be a JSON object".to_owned()).into()
}

impl FromRequest<Arc<Api>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Body, ApiError> {
        Body::read(
            request,
            api,
            api.config.oslo_middleware.max_request_body_size,
        )
        .await
    }
}

async fn read(body: HttpBody, limit: usize) -> Result<bytes::Bytes, ApiError> {
    // A body that says its length is refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::BodyTooLarge(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge(limit)),
        Err(error) => {
            tracing::debug!(error, "the body ended early");
            Err(ApiError::UnreadableBody)
        }
    }
}

/// Where a request comes from, as far as it is known: what trusted proxies say, else the other end of the connection.
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

impl FromRequestParts<Arc<Api>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        api: &Arc<Api>,
    ) -> Result<ClientAddress, Infallible> {
        let forwarded = Forwarded::believed(&parts.headers, &api.config.oslo_middleware).client;
        let remote = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let remote = remote.map(|info| info.0.ip().to_canonical());
        let address = forwarded.and_then(|address| address.parse().ok());
        Ok(ClientAddress(address.or(remote)))
    }
}

/// The identifier in a path, behind the project's.
pub(super) struct PathId(pub(super) String);

impl FromRequestParts<Arc<Api>> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<PathId, ApiError> {
        let [id] = path_ids(parts, api).await?;
        Ok(PathId(id))
    }
}

/// The session and the job of a path.
pub(super) struct SessionJob {
    pub(super) session_id: String,
    pub(super) job_id: String,
}

impl FromRequestParts<Arc<Api>> for SessionJob {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<SessionJob, ApiError> {
        let [session_id, job_id] = path_ids(parts, api).await?;
        Ok(SessionJob { session_id, job_id })
    }
}

/// The parameters of the path behind the project.
async fn path_ids<const N: usize>(
    parts: &mut Parts,
    api: &Arc<Api>,
) -> Result<[String; N], ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, api)
        .await
        .map_err(|error| ApiError::InvalidParameter(error.to_string()))?;
    let ids: Vec<String> = parameters
        .iter()
        .skip(1)
        .map(|(_, value)| value.to_owned())
        .collect();
    ids.try_into()
        .map_err(|_| ApiError::Panic("a route without the identifiers of its handler".to_owned()))
}
