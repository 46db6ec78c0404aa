//! `/v2/{project_id}/jobs`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::Authorized;
use super::extract::{AllProjects, Body, ListParameters};
use super::trusts::HeldTrust;
use super::{Api, answer, list_answer};
use crate::domain::action::Action;
use crate::domain::client::Client;
use crate::domain::job::{Entry, Event, Job, Kind, Request};
use crate::domain::search::Search;
use crate::domain::{Refusal, Scope, rules};
use crate::error::ApiError;
use crate::store::{StoreError, Tx};

/// `GET /jobs`: those of the project, or with `all_projects` of all.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    AllProjects(all_projects): AllProjects,
    parameters: ListParameters,
    body: Body,
) -> Result<Response, ApiError> {
    let search = Search::parse(&body.or_empty())?;
    let sees_all = caller.may(rules::JOBS_GET_ALL_PROJECTS);
    let scope = match all_projects {
        true if !sees_all => return Err(ApiError::Forbidden),
        true => Scope::All,
        false => caller.scope(),
    };
    let viewer = caller.viewer(sees_all);
    let jobs = api
        .store
        .read("listing jobs", async move |tx: &mut Tx| {
            tx.list_jobs(&scope, parameters.page, search.as_ref(), &viewer)
                .await
                .map_err(ApiError::from)
        })
        .await?;
    Ok(list_answer("jobs", jobs))
}

/// `GET /jobs/{job_id}`: of any project for those who see all.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let sees_all = caller.may(rules::JOBS_GET_ALL_PROJECTS);
    let scope = if sees_all { Scope::All } else { caller.scope() };
    let viewer = caller.viewer(sees_all);
    let job = api
        .store
        .read("getting a job", async move |tx: &mut Tx| {
            tx.get_job_document(&scope, &job_id, &viewer)
                .await?
                .ok_or_else(|| ApiError::from(Refusal::not_found("Job", &job_id)))
        })
        .await?;
    Ok(answer(StatusCode::OK, &job))
}

/// `POST /jobs`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let request = parse(&api, &caller, Kind::Create, body)?;
    let trust = api
        .make_trust(&caller, request.client_id().unwrap_or_default())
        .await?;
    let credentials = trust
        .as_ref()
        .map(HeldTrust::credentials)
        .or(request.user_credentials());
    let job_id = request
        .job_id()
        .map_or_else(|| api.ids.hex(), str::to_owned);
    let document = json!({"job_id": job_id});
    let now = api.clock.timestamp();
    let created = api
        .store
        .write("creating a job", {
            let caller = caller.clone();
            async move |tx: &mut Tx| {
                if tx.job_exists(&job_id).await? {
                    return Err(Refusal::already_registered("Job", &job_id).into());
                }
                let job =
                    request.create(job_id.clone(), caller.project_id(), caller.user_id(), now);
                let actions = take_actions(tx, &caller.scope(), request.entries.as_deref()).await?;
                check_client(tx, &caller, &job, &actions).await?;
                insert(tx, &job, &actions)
                    .await
                    .map_err(|error| ApiError::taken(error, "Job", &job_id))?;
                Ok::<_, ApiError>(
                    tx.set_user_credentials(&job_id, credentials.as_ref())
                        .await?,
                )
            }
        })
        .await;
    if let (Err(_), Some(trust)) = (&created, trust) {
        api.take_trust_back(&caller, trust).await;
    }
    created?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `POST /jobs/{job_id}`: replaces the job, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = parse(&api, &caller, Kind::Replace, body)?;
    api.schemas.check_identifier("job_id", &job_id)?;
    let document = json!({"job_id": job_id, "version": job_id});
    change(&api, &caller, job_id, request, Kind::Replace).await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `PATCH /jobs/{job_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let request = parse(&api, &caller, Kind::Patch, body)?;
    let document = json!({"job_id": job_id, "version": 0});
    change(&api, &caller, job_id, request, Kind::Patch).await?;
    Ok(answer(StatusCode::OK, &document))
}

/// `DELETE /jobs/{job_id}`: 204 also where the project has none. Its actions stay.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, job_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let scope = caller.scope();
    let trust_id = api
        .store
        .write("deleting a job", async move |tx: &mut Tx| {
            let Some(job) = tx.lock_job(&scope, &job_id).await? else {
                return Ok(None);
            };
            tx.delete_job(&job.id).await?;
            Ok::<_, ApiError>(job.trust_id)
        })
        .await?;
    if let Some(trust_id) = trust_id {
        api.give_up_trust(&caller, trust_id).await;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /jobs/{job_id}/event`: asks the job's scheduler to start, stop or abort it.
pub(super) async fn event(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, job_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let event = Event::parse(&body.or_empty())?;
    let result = api
        .store
        .write("requesting a job's event", async move |tx: &mut Tx| {
            let mut job = lock(tx, &caller.scope(), &job_id).await?;
            let Some(schedule) = event.request(job.schedule()) else {
                return Ok(event.already_requested());
            };
            let actions = tx
                .actions_of(std::slice::from_ref(&job))
                .await?
                .remove(&job_id);
            let actions: Vec<Taken> = actions
                .unwrap_or_default()
                .into_iter()
                .map(Taken::Stored)
                .collect();
            check_client(tx, &caller, &job, &actions).await?;
            job.set_schedule(&schedule);
            caller.user_id().clone_into(&mut job.user_id);
            tx.update_job(&job).await?;
            Ok::<_, ApiError>("success".to_owned())
        })
        .await?;
    Ok(answer(StatusCode::ACCEPTED, &json!({"result": result})))
}

fn parse(api: &Api, caller: &Authorized, kind: Kind, body: Body) -> Result<Request, ApiError> {
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let new_id = || api.ids.hex();
    Ok(Request::parse(
        &api.schemas,
        kind,
        body.or_empty(),
        project_id,
        user_id,
        new_id,
    )?)
}

/// Replaces or patches a job. A job that comes to a central client gets a trust, one that leaves it gives it up.
async fn change(
    api: &Api,
    caller: &Authorized,
    job_id: String,
    request: Request,
    kind: Kind,
) -> Result<(), ApiError> {
    let trust = match request.client_id() {
        Some(client_id) => api.make_trust(caller, client_id).await?,
        None => None,
    };
    let moves = request.client_id().is_some();
    let credentials = trust.as_ref().map(HeldTrust::credentials);
    let changed = api
        .store
        .write("changing a job", {
            let caller = caller.clone();
            async move |tx: &mut Tx| {
                let old = write_change(tx, &caller, &job_id, &request, kind).await?;
                let held = old.as_ref().and_then(|job| job.trust_id.clone());
                let leaves_central = match &old {
                    Some(job) if moves && held.is_some() && credentials.is_none() => {
                        let client = tx.get_client(caller.project_id(), &job.client_id).await?;
                        client.is_some_and(|client| client.is_central)
                    }
                    _ => false,
                };
                if leaves_central || (held.is_none() && credentials.is_some()) {
                    tx.set_user_credentials(&job_id, credentials.as_ref())
                        .await?;
                }
                Ok::<_, ApiError>(held.filter(|_| leaves_central))
            }
        })
        .await;
    // A trust that was made now is in no job when the change failed, or the job had one already.
    if let Some(trust) = trust {
        api.take_trust_back(caller, trust).await;
    }
    if let Some(trust_id) = changed? {
        api.give_up_trust(caller, trust_id).await;
    }
    Ok(())
}

/// Writes a replaced or patched job with its actions; the job as it was before.
async fn write_change(
    tx: &mut Tx,
    caller: &Authorized,
    job_id: &str,
    request: &Request,
    kind: Kind,
) -> Result<Option<Job>, ApiError> {
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let scope = caller.scope();
    let old = tx.lock_job(&scope, job_id).await?;
    let actions = take_actions(tx, &scope, request.entries.as_deref()).await?;
    let job = match (kind, &old) {
        (Kind::Create | Kind::Replace, old) => {
            request.replace(old.as_ref(), job_id.to_owned(), project_id, user_id)
        }
        (Kind::Patch, None) => return Err(Refusal::not_found("Job", job_id).into()),
        (Kind::Patch, Some(old)) => {
            let mut job = Job {
                user_id: user_id.to_owned(),
                ..old.clone()
            };
            request.patch(&mut job);
            job
        }
    };
    let Some(before) = &old else {
        check_client(tx, caller, &job, &actions).await?;
        if tx.is_taken::<Job>(&scope, job_id).await? {
            return Err(Refusal::already_registered("Job", job_id).into());
        }
        insert(tx, &job, &actions)
            .await
            .map_err(StoreError::or_overtaken)?;
        return Ok(None);
    };
    if request.entries.is_some() {
        check_client(tx, caller, &job, &actions).await?;
    } else if job.client_id != before.client_id {
        let kept = tx
            .actions_of(std::slice::from_ref(before))
            .await?
            .remove(job_id);
        let kept: Vec<Taken> = kept
            .unwrap_or_default()
            .into_iter()
            .map(Taken::Stored)
            .collect();
        check_client(tx, caller, &job, &kept).await?;
    }
    tx.update_job(&job).await?;
    if request.entries.is_some() {
        insert_new(tx, &actions).await?;
        tx.replace_actions(job_id, &ids(&actions)).await?;
    }
    Ok(old)
}

/// An action that a job takes.
enum Taken {
    /// It exists.
    Stored(Action),
    /// The job brings it along.
    New(Action),
}

impl Taken {
    fn action(&self) -> &Action {
        match self {
            Taken::Stored(action) | Taken::New(action) => action,
        }
    }
}

fn ids(actions: &[Taken]) -> Vec<String> {
    actions
        .iter()
        .map(|taken| taken.action().id.clone())
        .collect()
}

/// The actions that the entries of a job stand for. Those that exist are locked until the transaction ends.
async fn take_actions(
    tx: &mut Tx,
    scope: &Scope,
    entries: Option<&[Entry]>,
) -> Result<Vec<Taken>, ApiError> {
    let entries = entries.unwrap_or_default();
    let named: Vec<&str> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Reference { action_id, .. } => Some(action_id.as_str()),
            Entry::Inline(_) => None,
        })
        .collect();
    let stored: HashMap<String, Action> = tx
        .lock_actions(scope, &named)
        .await?
        .into_iter()
        .map(|action| (action.id.clone(), action))
        .collect();
    entries
        .iter()
        .map(|entry| match entry {
            Entry::Inline(action) => Ok(Taken::New(Action::clone(action))),
            Entry::Reference { action_id, .. } => {
                let action = stored.get(action_id).ok_or_else(|| {
                    Refusal::Unprocessable(format!("Action id: {action_id} not found."))
                })?;
                entry.check_against(action)?;
                Ok(Taken::Stored(action.clone()))
            }
        })
        .collect()
}

/// Refuses a job whose client the project does not see, or cannot do what the actions need.
async fn check_client(
    tx: &mut Tx,
    caller: &Authorized,
    job: &Job,
    actions: &[Taken],
) -> Result<Client, ApiError> {
    let client = tx
        .get_client(caller.project_id(), &job.client_id)
        .await?
        .ok_or_else(|| {
            Refusal::Unprocessable(format!("Client not found with ID {}", job.client_id))
        })?;
    let wanted: Vec<_> = actions
        .iter()
        .map(|taken| taken.action().freezer_action())
        .collect();
    client.check_capabilities(&wanted)?;
    Ok(client)
}

async fn insert(tx: &mut Tx, job: &Job, actions: &[Taken]) -> Result<(), StoreError> {
    insert_new(tx, actions).await?;
    tx.insert_job(job, &ids(actions)).await
}

async fn insert_new(tx: &mut Tx, actions: &[Taken]) -> Result<(), StoreError> {
    for taken in actions {
        if let Taken::New(action) = taken {
            tx.insert_action(action).await?;
        }
    }
    Ok(())
}

async fn lock(tx: &mut Tx, scope: &Scope, job_id: &str) -> Result<Job, ApiError> {
    tx.lock_job(scope, job_id)
        .await?
        .ok_or_else(|| Refusal::not_found("Job", job_id).into())
}
