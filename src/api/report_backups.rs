//! `/v2/{project_id}/report` on backups: how one is brought back.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::Api;
use super::extract::PathId;
use super::paging::{invalid, parameter};
use super::respond::json_response;
use crate::authz::Authorized;
use crate::domain::restore::DEFAULT_PATH;
use crate::error::ApiError;

/// Where files shall be put.
pub(super) struct RestorePath(String);

impl FromRequestParts<Arc<Api>> for RestorePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<RestorePath, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let path = parameter(query, "path").unwrap_or_else(|| DEFAULT_PATH.to_owned());
        // Agents give it to a shell as it is.
        let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:=%".contains(c);
        if !path.starts_with('/') || !path.chars().all(is_plain) {
            let reason =
                "The value must be an absolute path of letters, digits and any of ._-+@:=%.";
            return Err(invalid("path", reason));
        }
        Ok(RestorePath(path))
    }
}

/// `GET /report/backups/{backup_id}/restore`: the command and the job; of any project for those who see all.
pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(backup_id): PathId,
    RestorePath(path): RestorePath,
) -> Result<Response, ApiError> {
    let restore = api
        .catalogue
        .restore_of_backup(&caller, backup_id, path)
        .await?;
    Ok(json_response(StatusCode::OK, &restore))
}
