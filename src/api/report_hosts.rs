//! `/v2/{project_id}/report` on hosts and what is wrong.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;
use super::csv::Form;
use super::extract::PathId;
use super::forwarded::public_url;
use super::paging::{self, AllProjects, identifier, invalid, parameter, parameters};
use super::report::{PageDocument, page_json, page_response};
use super::respond::json_response;
use crate::authz::Authorized;
use crate::domain::finding::{Finding, ProblemQuery};
use crate::domain::host::{HostKey, HostQuery, HostState};
use crate::domain::run::iso_time;
use crate::error::ApiError;
use crate::store::{NextPage, Order};

/// Hosts of a page at most.
const MAX_HOSTS: u64 = 500;
/// Problems of a page at most.
const MAX_PROBLEMS: u64 = 1000;

/// What a list of hosts is asked for.
pub(super) struct HostList {
    query: HostQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for HostList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<HostList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_HOSTS);
        let keys = HostKey::ALL.map(HostKey::name);
        let (key, order) = paging::order_by_any(text, &keys, Order::OldestFirst)?;
        let key = HostKey::ALL.into_iter().find(|other| other.name() == key);
        let query = HostQuery {
            states: words(text, "state", &HostState::ALL, HostState::name)?,
            client_id: identifier(text, "client_id")?,
            key: key.unwrap_or_default(),
            is_descending: order == Order::NewestFirst,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(HostList { query, next })
    }
}

/// What a list of problems is asked for.
pub(super) struct ProblemList {
    query: ProblemQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for ProblemList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<ProblemList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_PROBLEMS);
        let query = ProblemQuery {
            findings: findings(text)?,
            client_id: identifier(text, "client_id")?,
            job_id: identifier(text, "job_id")?,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(ProblemList { query, next })
    }
}

/// The findings of the kinds and the severity that are asked for; none for all.
fn findings(query: &str) -> Result<Vec<Finding>, ApiError> {
    let all: Vec<Finding> = Finding::all().collect();
    let kinds = words(query, "kind", &all, Finding::name)?;
    let severity = parameter(query, "severity");
    match severity.as_deref() {
        None => return Ok(kinds),
        Some("red" | "amber") => {}
        Some(_) => return Err(invalid("severity", "The value must be one of red, amber.")),
    }
    let kinds = if kinds.is_empty() { all } else { kinds };
    let found: Vec<Finding> = kinds
        .into_iter()
        .filter(|finding| Some(finding.severity()) == severity.as_deref())
        .collect();
    if found.is_empty() {
        return Err(invalid("severity", "No kind that is asked for has it."));
    }
    Ok(found)
}

/// The values of a parameter that has words, each once, so that no statement grows with the request.
fn words<T: Copy + Ord>(
    query: &str,
    name: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, ApiError> {
    let mut found = Vec::new();
    for text in parameters(query, name) {
        let value = all.iter().find(|value| word(**value) == text);
        found.push(*value.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|value| word(*value)).collect();
            let names = names.join(", ");
            invalid(name, &format!("The value must be one of {names}."))
        })?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// `GET /report/hosts`: those of the project, or with `all_projects` of all.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    form: Form,
    HostList { query, next }: HostList,
) -> Result<Response, ApiError> {
    let catalogue = &api.catalogue;
    let page = catalogue.list_hosts(&caller, all_projects, query).await?;
    Ok(page_response(form, "hosts", page, Some(&next)))
}

/// `GET /report/hosts/{client_id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(client_id): PathId,
) -> Result<Response, ApiError> {
    let host = api.catalogue.get_host(&caller, client_id).await?;
    Ok(json_response(StatusCode::OK, &host))
}

/// `GET /report/problems`: what is wrong in the project, or with `all_projects` in all.
pub(super) async fn problems(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    form: Form,
    ProblemList { query, next }: ProblemList,
) -> Result<Response, ApiError> {
    let catalogue = &api.catalogue;
    let (page, as_of) = catalogue
        .list_problems(&caller, all_projects, query)
        .await?;
    if form == Form::Csv {
        return Ok(page_response(form, "problems", page, Some(&next)));
    }
    let room = page.room.clone();
    let document = PageDocument::new("problems", page, Some(&next));
    let document = document.dated(as_of.and_then(iso_time));
    Ok(page_json(&document, room))
}
