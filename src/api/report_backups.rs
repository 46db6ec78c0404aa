//! `/v2/{project_id}/report` on backups: their series, and how one is brought back.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::Api;
use super::csv::{Form, csv_response};
use super::extract::PathId;
use super::forwarded::public_url;
use super::paging::{self, AllProjects, identifier, invalid, parameter};
use super::report::page_response;
use super::respond::{document_response, list_response};
use crate::authz::Authorized;
use crate::domain::restore::DEFAULT_PATH;
use crate::domain::series::{MemberQuery, SeriesQuery};
use crate::error::ApiError;
use crate::store::{NextPage, Order};

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
    Ok(document_response(restore))
}

/// Series, or backups of one, on a page at most.
const MAX_SERIES: u64 = 50;

/// What a list of series is asked for.
pub(super) struct SeriesList {
    query: SeriesQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for SeriesList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<SeriesList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_SERIES);
        let order = paging::order_by(text, "last_at", Order::NewestFirst)?;
        let query = SeriesQuery {
            job_id: identifier(text, "job_id")?,
            hostname: identifier(text, "hostname")?,
            newest_first: order == Order::NewestFirst,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(SeriesList { query, next })
    }
}

/// What the list of a series is asked for.
pub(super) struct MemberList {
    query: MemberQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for MemberList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<MemberList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_SERIES);
        let order = paging::order_by(text, "created_at", Order::NewestFirst)?;
        let query = MemberQuery {
            newest_first: order == Order::NewestFirst,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(MemberList { query, next })
    }
}

/// `GET /report/series`: those of the project's backups, or with `all_projects` of all.
pub(super) async fn series(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    form: Form,
    SeriesList { query, next }: SeriesList,
) -> Result<Response, ApiError> {
    let catalogue = &api.catalogue;
    let page = catalogue.list_series(&caller, all_projects, query).await?;
    Ok(page_response(form, "series", page, Some(&next)))
}

/// `GET /report/series/{series_id}/backups`: of any project for those who see all.
pub(super) async fn series_backups(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(series_id): PathId,
    form: Form,
    MemberList { query, next }: MemberList,
) -> Result<Response, ApiError> {
    let page = api
        .catalogue
        .list_backups_of_series(&caller, series_id, query, next, form.shape("backups"))
        .await?;
    Ok(match form {
        Form::Json => list_response(page.answer),
        Form::Csv => csv_response(page.answer, page.next),
    })
}
