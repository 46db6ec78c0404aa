//! `/v2/{project_id}/actions`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::Authorized;
use super::extract::{Body, ListParameters};
use super::{Api, answer, list_answer};
use crate::domain::Refusal;
use crate::domain::action::{self, Action, Patch};
use crate::domain::search::Search;
use crate::error::ApiError;
use crate::store::Tx;

/// `GET /actions`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    parameters: ListParameters,
    body: Body,
) -> Result<Response, ApiError> {
    let search = Search::parse(&body.or_empty())?;
    let scope = caller.scope();
    let actions = api
        .store
        .read("listing actions", async move |tx: &mut Tx| {
            tx.list_actions(&scope, parameters.page, search.as_ref())
                .await
                .map_err(ApiError::from)
        })
        .await?;
    Ok(list_answer("actions", actions))
}

/// `POST /actions`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let action = action::parse(&api.schemas, body.required()?, project_id, user_id, || {
        api.ids.hex()
    })?;
    let document = json!({"action_id": action.id});
    api.store
        .write("creating an action", async move |tx: &mut Tx| {
            tx.insert_action(&action)
                .await
                .map_err(|error| ApiError::taken(error, "Action", &action.id))
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `GET /actions/{action_id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, action_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let action = api
        .store
        .read("getting an action", async move |tx: &mut Tx| {
            tx.get_action(&caller.scope(), &action_id)
                .await?
                .ok_or_else(|| ApiError::from(Refusal::not_found("Action", &action_id)))
        })
        .await?;
    Ok(answer(StatusCode::OK, &action.document()))
}

/// `PATCH /actions/{action_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, action_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let patch = Patch::parse(&api.schemas, body.or_empty(), caller.project_id())?;
    let document = json!({"action_id": action_id, "version": action_id});
    api.store
        .write("changing an action", async move |tx: &mut Tx| {
            let mut action = tx
                .lock_action(&caller.scope(), &action_id)
                .await?
                .ok_or_else(|| Refusal::not_found("Action", &action_id))?;
            patch.apply(&mut action);
            caller.user_id().clone_into(&mut action.user_id);
            Ok::<_, ApiError>(tx.update_action(&action).await?)
        })
        .await?;
    Ok(answer(StatusCode::OK, &document))
}

/// `POST /actions/{action_id}`: replaces the action, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, action_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let mut body = body.required()?;
    body.insert("action_id".to_owned(), action_id.clone().into());
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let action = action::parse(&api.schemas, body, project_id, user_id, || {
        action_id.clone()
    })?;
    let document = json!({"action_id": action_id, "version": action_id});
    api.store
        .write("replacing an action", async move |tx: &mut Tx| {
            if tx.lock_action(&caller.scope(), &action_id).await?.is_some() {
                return Ok(tx.update_action(&action).await?);
            }
            if tx.is_taken::<Action>(&caller.scope(), &action_id).await? {
                return Err(Refusal::already_registered("Action", &action_id).into());
            }
            tx.insert_action(&action)
                .await
                .map_err(|error| ApiError::from(error.or_overtaken()))
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `DELETE /actions/{action_id}`: 204 also where the project has none; then nothing changes anywhere (D7).
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, action_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("deleting an action", async move |tx: &mut Tx| {
            match tx.lock_action(&caller.scope(), &action_id).await? {
                Some(action) => Ok::<_, ApiError>(tx.delete_action(&action.id).await?),
                None => Ok(()),
            }
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
