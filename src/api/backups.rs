//! `/v2/{project_id}/backups`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::extract::{Body, PathId};
use super::respond::{document_response, json_response};
use crate::authz::Authorized;
use crate::error::ApiError;

/// `POST /backups`: the body is the backup's metadata.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let backup_id = api
        .catalogue
        .create_backup(&caller, body.required()?)
        .await?;
    let document = json!({"backup_id": backup_id});
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `PATCH /backups/{backup_id}`: answers the whole document.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(backup_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let backup = api
        .catalogue
        .update_backup(&caller, backup_id, body.required()?)
        .await?;
    Ok(document_response(backup))
}

/// `DELETE /backups/{backup_id}`: unlike other kinds, 404 where there is none.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(backup_id): PathId,
) -> Result<Response, ApiError> {
    api.catalogue.delete_backup(&caller, backup_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
