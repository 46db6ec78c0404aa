//! `/v2/{project_id}/backups`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::Authorized;
use super::extract::{Body, ListParameters};
use super::{Api, answer, list_answer};
use crate::domain::Refusal;
use crate::domain::backup::{self, Patch};
use crate::domain::search::Search;
use crate::error::ApiError;
use crate::store::Tx;

/// `GET /backups`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    parameters: ListParameters,
    body: Body,
) -> Result<Response, ApiError> {
    let search = Search::parse(&body.or_empty())?;
    let scope = caller.scope();
    let backups = api
        .store
        .read("listing backups", async move |tx: &mut Tx| {
            tx.list_backups(&scope, parameters.page, search.as_ref())
                .await
                .map_err(ApiError::from)
        })
        .await?;
    Ok(list_answer("backups", backups))
}

/// `POST /backups`: the body is the backup's metadata.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let backup = backup::create(
        &api.schemas,
        body.required()?,
        api.ids.hex(),
        project_id,
        user_id,
    )?;
    let document = json!({"backup_id": backup.id});
    api.store
        .write("recording a backup", async move |tx: &mut Tx| {
            tx.insert_backup(&backup).await.map_err(ApiError::from)
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `GET /backups/{backup_id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, backup_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let backup = api
        .store
        .read("getting a backup", async move |tx: &mut Tx| {
            tx.get_backup(&caller.scope(), &backup_id)
                .await?
                .ok_or_else(|| ApiError::from(Refusal::not_found("Backup", &backup_id)))
        })
        .await?;
    Ok(answer(StatusCode::OK, &backup.document()))
}

/// `PATCH /backups/{backup_id}`: answers the whole document.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, backup_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let patch = Patch::parse(&api.schemas, body.required()?, caller.project_id())?;
    let backup = api
        .store
        .write("changing a backup", async move |tx: &mut Tx| {
            let mut backup = tx
                .lock_backup(&caller.scope(), &backup_id)
                .await?
                .ok_or_else(|| Refusal::not_found("Backup", &backup_id))?;
            patch.apply(&mut backup);
            caller.user_id().clone_into(&mut backup.user_id);
            tx.update_backup(&backup).await?;
            Ok::<_, ApiError>(backup)
        })
        .await?;
    Ok(answer(StatusCode::OK, &backup.document()))
}

/// `DELETE /backups/{backup_id}`: unlike other kinds, 404 where there is none (D13).
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, backup_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("deleting a backup", async move |tx: &mut Tx| {
            let backup = tx
                .lock_backup(&caller.scope(), &backup_id)
                .await?
                .ok_or_else(|| Refusal::not_found("Backup", &backup_id))?;
            Ok::<_, ApiError>(tx.delete_backup(&backup.id).await?)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
