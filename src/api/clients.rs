//! `/v2/{project_id}/clients`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::Authorized;
use super::extract::{Body, ListParameters};
use super::{Api, answer, list_answer};
use crate::domain::client::{Outcome, Registration};
use crate::domain::search::Search;
use crate::domain::{Refusal, rules};
use crate::error::ApiError;
use crate::store::Tx;

/// `GET /clients`: those of the project and the central ones of all.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    parameters: ListParameters,
    body: Body,
) -> Result<Response, ApiError> {
    let search = Search::parse(&body.or_empty())?;
    let scope = caller.scope();
    let clients = api
        .store
        .read("listing clients", async move |tx: &mut Tx| {
            tx.list_clients(&scope, parameters.page, search.as_ref())
                .await
                .map_err(ApiError::from)
        })
        .await?;
    Ok(list_answer("clients", clients))
}

/// `POST /clients`: registers a client, or renews its registration.
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let body = body.required()?;
    if Registration::wants_central(&body) {
        caller.require(rules::CLIENTS_CREATE_CENTRAL)?;
    }
    let registration = Registration::parse(&api.schemas, body, caller.project_id())?;
    let document = json!({"client_id": registration.client_id});
    let may_change_central = caller.may(rules::CLIENTS_CREATE_CENTRAL);
    let new_uuid = registration.uuid.clone().unwrap_or_else(|| api.ids.hex());
    api.store
        .write("registering a client", async move |tx: &mut Tx| {
            let (project_id, user_id) = (caller.project_id(), caller.user_id());
            tx.lock_registration(&registration.client_id).await?;
            let existing = tx.find_registered(project_id, &registration).await?;
            match registration.against(existing.as_ref(), project_id, may_change_central)? {
                Outcome::Create => tx
                    .insert_client(project_id, user_id, &new_uuid, &registration)
                    .await
                    .map_err(|error| ApiError::taken(error, "Client", &new_uuid)),
                Outcome::Update { uuid } => {
                    Ok(tx.renew_client(&uuid, user_id, &registration).await?)
                }
            }
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `GET /clients/{client_id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, client_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let client = api
        .store
        .read("getting a client", async move |tx: &mut Tx| {
            tx.get_client(caller.project_id(), &client_id)
                .await?
                .ok_or_else(|| ApiError::from(Refusal::not_found("Client", &client_id)))
        })
        .await?;
    Ok(answer(StatusCode::OK, &client.document()))
}

/// `DELETE /clients/{client_id}`: 204 also where there is none; a central client of another project is not deleted.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, client_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("deleting a client", async move |tx: &mut Tx| {
            match tx.get_client(caller.project_id(), &client_id).await? {
                Some(client) if !client.belongs_to(caller.project_id()) => Err(Refusal::Forbidden(
                    "You are not permitted to delete this client".to_owned(),
                )
                .into()),
                Some(client) => Ok::<_, ApiError>(tx.delete_client(&client.uuid).await?),
                None => Ok(()),
            }
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
