//! `GET` of what is shown as it is stored: `/v2/{project_id}/clients`, `…/clients/{client_id}` and the same of actions,
//! sessions and backups.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::Api;
use super::extract::PathId;
use super::paging::List;
use super::respond::{document_response, list_response};
use crate::authz::Authorized;
use crate::error::ApiError;
use crate::store::Listed;

/// A page of those that the project sees.
pub(super) async fn list<T: Listed>(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    List { listing, marker }: List,
) -> Result<Response, ApiError> {
    let answer = api.catalogue.list::<T>(&caller, listing, marker).await?;
    Ok(list_response(answer))
}

/// One of them.
pub(super) async fn get<T: Listed>(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(id): PathId,
) -> Result<Response, ApiError> {
    let document = api.catalogue.get::<T>(&caller, id).await?;
    Ok(document_response(document))
}
