//! `/v2/{project_id}/report`: what the catalogue has seen happen.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Api;
use super::csv::{Form, csv_page, table_of};
use super::extract::PathId;
use super::forwarded::public_url;
use super::paging::{self, AllProjects, identifier, invalid, parameter, parameters};
use super::respond::{json_response, list_response, unwritten};
use crate::authz::Authorized;
use crate::domain::job_report::JobQuery;
use crate::domain::run::{RunQuery, RunState};
use crate::error::ApiError;
use crate::service::{Answer, ReportPage};
use crate::store::{NextPage, Order, Room, with_room};

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

/// The document of a page, with the link to the next one. It is written at once, from the documents to the answer.
pub(super) struct PageDocument {
    collection: &'static str,
    documents: Vec<Box<RawValue>>,
    link: Option<Link>,
    /// As of when it is, where it is not of this moment.
    as_of: Option<Option<String>>,
}

impl PageDocument {
    pub(super) fn new(
        collection: &'static str,
        page: ReportPage,
        next: Option<&NextPage>,
    ) -> PageDocument {
        let link = page.next.zip(next).map(|(id, next)| Link {
            rel: "next",
            href: next.behind(&id),
        });
        PageDocument {
            collection,
            documents: page.documents,
            link,
            as_of: None,
        }
    }

    /// The same with the time as of which it is.
    pub(super) fn dated(self, time: Option<String>) -> PageDocument {
        PageDocument {
            as_of: Some(time),
            ..self
        }
    }

    /// About how many bytes it is written with.
    pub(super) fn size(&self) -> usize {
        let documents = self.documents.iter();
        let text: usize = documents.map(|document| document.get().len() + 1).sum();
        let link = self.link.as_ref().map_or(0, |link| link.href.len());
        text + link + 128
    }
}

impl Serialize for PageDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(time) = &self.as_of {
            map.serialize_entry("as_of", time)?;
        }
        map.serialize_entry(self.collection, &self.documents)?;
        if let Some(link) = &self.link {
            map.serialize_entry(&format!("{}_links", self.collection), &[link])?;
        }
        map.end()
    }
}

/// The answer with a page, which keeps the memory of what it shows.
pub(super) fn page_json(document: &PageDocument, room: Room) -> Response {
    let mut text = Vec::with_capacity(document.size());
    match serde_json::to_writer(&mut text, document) {
        Ok(()) => list_response(Answer::Whole(with_room(text, room))),
        Err(error) => unwritten(&error),
    }
}

/// The answer with a page.
pub(super) fn page_response(
    form: Form,
    collection: &'static str,
    page: ReportPage,
    next: Option<&NextPage>,
) -> Response {
    match form {
        Form::Json => {
            let room = page.room.clone();
            page_json(&PageDocument::new(collection, page, next), room)
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
