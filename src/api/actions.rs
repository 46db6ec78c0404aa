//! `/v2/{project_id}/actions`.

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

/// `POST /actions`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let action_id = api
        .catalogue
        .create_action(&caller, body.required()?)
        .await?;
    let document = json!({"action_id": action_id});
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `PATCH /actions/{action_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(action_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"action_id": action_id, "version": action_id});
    api.catalogue
        .update_action(&caller, action_id, body.changes()?)
        .await?;
    Ok(json_response(StatusCode::OK, &document))
}

/// `POST /actions/{action_id}`: replaces the action, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(action_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"action_id": action_id, "version": action_id});
    api.catalogue
        .replace_action(&caller, action_id, body.required()?)
        .await?;
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `DELETE /actions/{action_id}`: 204 also where the project has none.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(action_id): PathId,
) -> Result<Response, ApiError> {
    api.catalogue.delete_action(&caller, action_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
