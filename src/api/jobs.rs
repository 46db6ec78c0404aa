//! `/v2/{project_id}/jobs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::extract::{Body, ClientAddress, PathId};
use super::paging::{AllProjects, List};
use super::respond::{document_response, json_response, list_response};
use crate::authz::Authorized;
use crate::domain::job::JobEvent;
use crate::error::ApiError;

/// `GET /jobs`: those of the project, or with `all_projects` of all.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    ClientAddress(from): ClientAddress,
    List { listing, marker }: List,
) -> Result<Response, ApiError> {
    let answer = api
        .catalogue
        .list_jobs(&caller, all_projects, listing, marker, from)
        .await?;
    Ok(list_response(answer))
}

/// `POST /jobs`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let job_id = api.catalogue.create_job(&caller, body.or_empty()).await?;
    let document = json!({"job_id": job_id});
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `GET /jobs/{job_id}`: of any project for those who see all.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(job_id): PathId,
) -> Result<Response, ApiError> {
    let job = api.catalogue.get_job(&caller, job_id).await?;
    Ok(document_response(job))
}

/// `PATCH /jobs/{job_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(job_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"job_id": job_id, "version": 0});
    api.catalogue
        .update_job(&caller, job_id, body.changes()?)
        .await?;
    Ok(json_response(StatusCode::OK, &document))
}

/// `POST /jobs/{job_id}`: replaces the job, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(job_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let document = json!({"job_id": job_id, "version": job_id});
    api.catalogue
        .replace_job(&caller, job_id, body.or_empty())
        .await?;
    Ok(json_response(StatusCode::CREATED, &document))
}

/// `DELETE /jobs/{job_id}`: 204 also where the project has none. Its actions stay.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(job_id): PathId,
) -> Result<Response, ApiError> {
    api.catalogue.delete_job(&caller, job_id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /jobs/{job_id}/event`: asks the job's scheduler to start, stop or abort it.
pub(super) async fn event(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(job_id): PathId,
    body: Body,
) -> Result<Response, ApiError> {
    let event = JobEvent::parse(&body.or_empty())?;
    let result = api
        .catalogue
        .request_job_event(&caller, job_id, event)
        .await?;
    let document = json!({"result": result});
    Ok(json_response(StatusCode::ACCEPTED, &document))
}
