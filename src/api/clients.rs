//! `/v2/{project_id}/clients`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::extract::{Body, PathId};
use super::respond::json_response;
use crate::authz::Authorized;
use crate::error::ApiError;

/// `POST /clients`: registers a client, or renews its registration.
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let client_id = api
        .catalogue
        .register_client(&caller, body.required()?)
        .await?;
    let document = json!({"client_id": client_id});
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `DELETE /clients/{client_id}`: 204 also where there is none; a central client of another project is not deleted.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(client_id): PathId,
) -> Result<Response, ApiError> {
    api.catalogue.delete_client(&caller, client_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
