//! `/v2/{project_id}/sessions`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::extract::{Body, PathId, SessionJob};
use super::respond::json_response;
use crate::authz::Authorized;
use crate::domain::session::SessionAction;
use crate::error::ApiError;

/// `POST /sessions`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let session_id = api
        .catalogue
        .create_session(&caller, body.required()?)
        .await?;
    let document = json!({"session_id": session_id});
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `PATCH /sessions/{session_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(session_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"session_id": session_id, "version": 0});
    api.catalogue
        .update_session(&caller, session_id, body.changes()?)
        .await?;
    Ok(json_response(StatusCode::OK, &document))
}

/// `POST /sessions/{session_id}`: replaces the session, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(session_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"session_id": session_id, "version": session_id});
    api.catalogue
        .replace_session(&caller, session_id, body.required()?)
        .await?;
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `DELETE /sessions/{session_id}`: 204 also where there is none.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(session_id): PathId,
) -> Result<Response, ApiError> {
    api.catalogue.delete_session(&caller, session_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /sessions/{session_id}/action`: a job asks to start, or has ended.
pub(super) async fn action(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(session_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let action = SessionAction::parse(&body.or_empty())?;
    let (result, tag) = api
        .catalogue
        .act_on_session(&caller, session_id, action)
        .await?;
    let document = json!({"result": result, "session_tag": tag});
    Ok(json_response(StatusCode::ACCEPTED, &document))
}

/// `PUT /sessions/{session_id}/jobs/{job_id}`: adds the job, or renews its entry.
pub(super) async fn add_job(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    SessionJob { session_id, job_id }: SessionJob,
) -> Result<Response, ApiError> {
    api.catalogue
        .add_job_to_session(&caller, session_id, job_id)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /sessions/{session_id}/jobs/{job_id}`: removes the entry, also one whose job is gone.
pub(super) async fn remove_job(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    SessionJob { session_id, job_id }: SessionJob,
) -> Result<Response, ApiError> {
    api.catalogue
        .remove_job_from_session(&caller, session_id, job_id)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
