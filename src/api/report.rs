//! `/v2/{project_id}/report`: what the catalogue has seen happen.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Api;
use super::csv::{Form, csv_page, table_of};
use super::extract::PathId;
use super::forwarded::public_url;
use super::paging::{self, AllProjects, identifier, invalid, parameter, parameters};
use super::respond::{json_response, page_json};
use crate::authz::Authorized;
use crate::domain::job_report::JobQuery;
use crate::domain::resource::raw;
use crate::domain::run::{RunQuery, RunState};
use crate::error::ApiError;
use crate::service::ReportPage;
use crate::store::{NextPage, Order};

/// Runs of a page at most.
const MAX_RUNS: u64 = 1000;

/// Jobs of a page at most: each is shown with its last runs.
const MAX_JOBS: u64 = 50;

/// What a list of jobs is asked for.
pub(super) struct JobReportList {
    query: JobQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for JobReportList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<JobReportList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_JOBS);
        let order = paging::order_by(text, "created_at", Order::OldestFirst)?;
        let query = JobQuery {
            client_id: identifier(text, "client_id")?,
            newest_first: order == Order::NewestFirst,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(JobReportList { query, next })
    }
}

/// What a list of runs is asked for.
pub(super) struct RunList {
    query: RunQuery,
    next: NextPage,
}

impl FromRequest<Arc<Api>> for RunList {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<RunList, ApiError> {
        let text = request.uri().query().unwrap_or_default();
        let next = paging::next_page(&public_url(&api.config, &request), &request);
        let limit = paging::limit(text, api)?.min(MAX_RUNS);
        let newest_first =
            paging::order_by(text, "started_at", Order::NewestFirst)? == Order::NewestFirst;
        let query = RunQuery {
            states: states(text)?,
            job_id: identifier(text, "job_id")?,
            client_id: identifier(text, "client_id")?,
            since: second(text, "since")?,
            until: second(text, "until")?,
            newest_first,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            marker: identifier(text, "marker")?,
        };
        Ok(RunList { query, next })
    }
}

fn states(query: &str) -> Result<Vec<RunState>, ApiError> {
    let mut states = Vec::new();
    for name in parameters(query, "state") {
        states.push(RunState::parse(&name).ok_or_else(|| {
            let names = RunState::ALL.map(RunState::name).join(", ");
            invalid("state", &format!("The value must be one of {names}."))
        })?);
    }
    // Each once, so that no statement grows with the request.
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

fn second(query: &str, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = parameter(query, name) else {
        return Ok(None);
    };
    let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        invalid(
            name,
            "The value must be a time such as 2024-02-29T23:59:58Z.",
        )
    })?;
    Ok(Some(time.unix_timestamp()))
}

#[derive(Serialize)]
struct Link {
    rel: &'static str,
    href: String,
}

/// The document of a page, with the link to the next one.
pub(super) fn document_of_page(
    collection: &str,
    page: ReportPage,
    next: Option<&NextPage>,
) -> BTreeMap<String, Box<RawValue>> {
    let mut document: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    document.insert(collection.to_owned(), raw(&page.documents));
    if let Some((id, next)) = page.next.zip(next) {
        let href = next.behind(&id);
        let links = [Link { rel: "next", href }];
        document.insert(format!("{collection}_links"), raw(&links));
    }
    document
}

/// The answer with a page.
pub(super) fn page_response(
    form: Form,
    collection: &str,
    page: ReportPage,
    next: Option<&NextPage>,
) -> Response {
    match form {
        Form::Json => {
            let room = page.room.clone();
            page_json(&document_of_page(collection, page, next), room)
        }
        Form::Csv => csv_page(table_of(collection), page, next),
    }
}

/// `GET /report/jobs`: how the project's jobs fare, or with `all_projects` all.
pub(super) async fn jobs(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    form: Form,
    JobReportList { query, next }: JobReportList,
) -> Result<Response, ApiError> {
    let catalogue = &api.catalogue;
    let page = catalogue
        .list_job_reports(&caller, all_projects, query)
        .await?;
    Ok(page_response(form, "jobs", page, Some(&next)))
}

/// `GET /report/runs`: those of the project's jobs, or with `all_projects` of all.
pub(super) async fn runs(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    form: Form,
    RunList { query, next }: RunList,
) -> Result<Response, ApiError> {
    let page = api
        .catalogue
        .list_runs(&caller, all_projects, query)
        .await?;
    Ok(page_response(form, "runs", page, Some(&next)))
}

/// `GET /report/runs/{run_id}`: of any project for those who see all.
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    PathId(run_id): PathId,
) -> Result<Response, ApiError> {
    let run = api.catalogue.get_run(&caller, run_id).await?;
    Ok(json_response(StatusCode::OK, &run))
}
