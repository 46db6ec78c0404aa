//! `/v2/{project_id}/sessions`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::authorize::Authorized;
use super::extract::{Body, ListParameters};
use super::{Api, answer, list_answer};
use crate::domain::search::Search;
use crate::domain::session::{self, Action, Patch, Replacement, Session};
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::Tx;

/// `GET /sessions`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    parameters: ListParameters,
    body: Body,
) -> Result<Response, ApiError> {
    let search = Search::parse(&body.or_empty())?;
    let scope = caller.scope();
    let sessions = api
        .store
        .read("listing sessions", async move |tx: &mut Tx| {
            tx.list_sessions(&scope, parameters.page, search.as_ref())
                .await
                .map_err(ApiError::from)
        })
        .await?;
    Ok(list_answer("sessions", sessions))
}

/// `POST /sessions`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    body: Body,
) -> Result<Response, ApiError> {
    let (project_id, user_id) = (caller.project_id(), caller.user_id());
    let session = session::create(
        &api.schemas,
        body.required()?,
        api.ids.hex(),
        project_id,
        user_id,
    )?;
    let document = json!({"session_id": session.id});
    api.store
        .write("creating a session", async move |tx: &mut Tx| {
            tx.insert_session(&session).await.map_err(ApiError::from)
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `GET /sessions/{session_id}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let session = api
        .store
        .read("getting a session", async move |tx: &mut Tx| {
            tx.get_session(&caller.scope(), &session_id)
                .await?
                .ok_or_else(|| ApiError::from(Refusal::not_found("Session", &session_id)))
        })
        .await?;
    Ok(answer(StatusCode::OK, &session.document()))
}

/// `PATCH /sessions/{session_id}`.
pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let patch = Patch::parse(&api.schemas, body.or_empty(), caller.project_id())?;
    let document = json!({"session_id": session_id, "version": 0});
    api.store
        .write("changing a session", async move |tx: &mut Tx| {
            let mut session = lock(tx, &caller.scope(), &session_id).await?;
            patch.apply(&mut session);
            caller.user_id().clone_into(&mut session.user_id);
            Ok::<_, ApiError>(tx.update_session(&session).await?)
        })
        .await?;
    Ok(answer(StatusCode::OK, &document))
}

/// `POST /sessions/{session_id}`: replaces the session, or creates it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let replacement = Replacement::parse(&api.schemas, body.required()?, caller.project_id())?;
    api.schemas.check_identifier("session_id", &session_id)?;
    let document = json!({"session_id": session_id, "version": session_id});
    api.store
        .write("replacing a session", async move |tx: &mut Tx| {
            let old = tx.lock_session(&caller.scope(), &session_id).await?;
            let exists = old.is_some();
            let (project_id, user_id) = (caller.project_id(), caller.user_id());
            let session = replacement.apply(old, session_id.clone(), project_id, user_id);
            if exists {
                return Ok(tx.update_session(&session).await?);
            }
            if tx.is_taken::<Session>(&caller.scope(), &session_id).await? {
                return Err(Refusal::already_registered("Session", &session_id).into());
            }
            tx.insert_session(&session)
                .await
                .map_err(|error| ApiError::from(error.or_overtaken()))
        })
        .await?;
    Ok(answer(StatusCode::CREATED, &document))
}

/// `DELETE /sessions/{session_id}`: 204 also where there is none.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("deleting a session", async move |tx: &mut Tx| {
            match tx.lock_session(&caller.scope(), &session_id).await? {
                Some(session) => Ok::<_, ApiError>(tx.delete_session(&session.id).await?),
                None => Ok(()),
            }
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /sessions/{session_id}/action`: a job asks to start, or has ended.
pub(super) async fn action(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, ApiError> {
    let action = Action::parse(&body.or_empty())?;
    let now = api.clock.timestamp();
    let (result, tag) = api
        .store
        .write("acting on a session", async move |tx: &mut Tx| {
            let mut session = lock(tx, &caller.scope(), &session_id).await?;
            let (result, changed) = match action.clone() {
                Action::Start {
                    job_id,
                    current_tag,
                } => {
                    let result = session.start(&job_id, current_tag, now)?;
                    (result.text(), result.changed())
                }
                Action::End { job_id, result } => {
                    session.end(&job_id, result, now)?;
                    ("success", true)
                }
            };
            if changed {
                caller.user_id().clone_into(&mut session.user_id);
                tx.update_session(&session).await?;
            }
            Ok::<_, ApiError>((result, session.tag()))
        })
        .await?;
    Ok(answer(
        StatusCode::ACCEPTED,
        &json!({"result": result, "session_tag": tag}),
    ))
}

/// `PUT /sessions/{session_id}/jobs/{job_id}`: adds the job, or renews its entry.
pub(super) async fn add_job(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id, job_id)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("adding a job to a session", async move |tx: &mut Tx| {
            let scope = caller.scope();
            let mut session = lock(tx, &scope, &session_id).await?;
            let mut job = tx
                .lock_job(&scope, &job_id)
                .await?
                .ok_or_else(|| Refusal::not_found("Job", &job_id))?;
            session.add(&mut job);
            caller.user_id().clone_into(&mut session.user_id);
            caller.user_id().clone_into(&mut job.user_id);
            tx.update_session(&session).await?;
            Ok::<_, ApiError>(tx.update_job(&job).await?)
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /sessions/{session_id}/jobs/{job_id}`: removes the entry, also one whose job is gone (D10).
pub(super) async fn remove_job(
    State(api): State<Arc<Api>>,
    caller: Authorized,
    Path((_, session_id, job_id)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    api.store
        .write("removing a job from a session", async move |tx: &mut Tx| {
            let scope = caller.scope();
            let mut session = lock(tx, &scope, &session_id).await?;
            let job = tx.lock_job(&scope, &job_id).await?;
            if !session.has_members() || !session.remove(&job_id) && job.is_none() {
                return Err(Refusal::not_found("Job", &job_id).into());
            }
            caller.user_id().clone_into(&mut session.user_id);
            tx.update_session(&session).await?;
            if let Some(mut job) = job {
                job.leave_session();
                caller.user_id().clone_into(&mut job.user_id);
                tx.update_job(&job).await?;
            }
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session that a request changes.
async fn lock(tx: &mut Tx, scope: &Scope, session_id: &str) -> Result<Session, ApiError> {
    tx.lock_session(scope, session_id)
        .await?
        .ok_or_else(|| Refusal::not_found("Session", session_id).into())
}
