//! Sessions: jobs of several hosts that run together.

use super::Catalogue;
use super::documents::lock;
use crate::authz::Authorized;
use crate::domain::Refusal;
use crate::domain::document::Object;
use crate::domain::job::Job;
use crate::domain::session::{self, Session, SessionAction, SessionPatch, SessionReplacement};
use crate::error::ApiError;
use crate::store::Tx;

impl Catalogue {
    /// Creates a session; its id.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_session(
        &self,
        caller: &Authorized,
        body: Object,
    ) -> Result<String, ApiError> {
        let (project_id, user_id) = (caller.project_id(), caller.user_id());
        let id = self.ids.hex();
        let session = session::create(&self.schemas, body, id.clone(), project_id, user_id)?;
        self.store
            .insert_row("creating a session", async move |tx: &mut Tx| {
                tx.insert(&session).await
            })
            .await?;
        Ok(id)
    }

    /// Changes the members of a session that the body names.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn update_session(
        &self,
        caller: &Authorized,
        session_id: String,
        body: Object,
    ) -> Result<(), ApiError> {
        let patch = SessionPatch::parse(&self.schemas, body, caller.project_id())?;
        let caller = caller.clone();
        self.store
            .write("changing a session", async move |tx: &mut Tx| {
                let mut session = lock::<Session>(tx, &caller.scope(), &session_id).await?;
                patch.apply(&mut session);
                caller.user_id().clone_into(&mut session.user_id);
                Ok(tx.update(&session).await?)
            })
            .await
    }

    /// Replaces a session, or creates it under this id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::Conflict`] where the id is another project's or a deleted session's.
    pub async fn replace_session(
        &self,
        caller: &Authorized,
        session_id: String,
        body: Object,
    ) -> Result<(), ApiError> {
        let replacement = SessionReplacement::parse(&self.schemas, body, caller.project_id())?;
        self.schemas.check_identifier("session_id", &session_id)?;
        let caller = caller.clone();
        self.store
            .write("replacing a session", async move |tx: &mut Tx| {
                let scope = caller.scope();
                let old = tx.lock::<Session>(&scope, &session_id).await?;
                let exists = old.is_some();
                let (project_id, user_id) = (caller.project_id(), caller.user_id());
                let session = replacement.apply(old, session_id.clone(), project_id, user_id);
                if exists {
                    return Ok(tx.update(&session).await?);
                }
                if tx.id_unavailable::<Session>(&scope, &session_id).await? {
                    return Err(Refusal::already_registered("Session", &session_id).into());
                }
                tx.insert(&session)
                    .await
                    .map_err(|error| ApiError::from(error.retry_if_duplicate()))
            })
            .await
    }

    /// Deletes a session; its jobs keep its id. One that the project does not have changes nothing.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_session(
        &self,
        caller: &Authorized,
        session_id: String,
    ) -> Result<(), ApiError> {
        let scope = caller.scope();
        self.store
            .write("deleting a session", async move |tx: &mut Tx| {
                if let Some(session) = tx.lock::<Session>(&scope, &session_id).await? {
                    tx.delete::<Session>(&session.id).await?;
                }
                Ok(())
            })
            .await
    }

    /// Starts or ends a session for one of its jobs; the result in the answer's words, and the session's tag.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`], and [`Refusal::Invalid`] where the session's state forbids it.
    pub async fn act_on_session(
        &self,
        caller: &Authorized,
        session_id: String,
        action: SessionAction,
    ) -> Result<(&'static str, i32), ApiError> {
        let (clock, caller) = (self.clock.clone(), caller.clone());
        self.store
            .write("acting on a session", async move |tx: &mut Tx| {
                let mut session = lock::<Session>(tx, &caller.scope(), &session_id).await?;
                // The time at which it is decided, not that before another request had its turn.
                let outcome = session.apply_action(&action, clock.timestamp())?;
                if outcome.changed() {
                    caller.user_id().clone_into(&mut session.user_id);
                    tx.update(&session).await?;
                }
                Ok((outcome.text(), session.tag()))
            })
            .await
    }

    /// Adds a job to a session, or renews its entry.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`] for either.
    pub async fn add_job_to_session(
        &self,
        caller: &Authorized,
        session_id: String,
        job_id: String,
    ) -> Result<(), ApiError> {
        let caller = caller.clone();
        self.store
            .write("adding a job to a session", async move |tx: &mut Tx| {
                let scope = caller.scope();
                let mut session = lock::<Session>(tx, &scope, &session_id).await?;
                let mut job = lock::<Job>(tx, &scope, &job_id).await?;
                session.add(&mut job);
                caller.user_id().clone_into(&mut session.user_id);
                caller.user_id().clone_into(&mut job.user_id);
                tx.update(&session).await?;
                Ok(tx.update(&job).await?)
            })
            .await
    }

    /// Removes a job's entry from a session, also one whose job is gone (deviation D10).
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`] where there is neither entry nor job.
    pub async fn remove_job_from_session(
        &self,
        caller: &Authorized,
        session_id: String,
        job_id: String,
    ) -> Result<(), ApiError> {
        let caller = caller.clone();
        self.store
            .write("removing a job from a session", async move |tx: &mut Tx| {
                let scope = caller.scope();
                let mut session = lock::<Session>(tx, &scope, &session_id).await?;
                let job = tx.lock::<Job>(&scope, &job_id).await?;
                if !session.has_members() || !session.remove(&job_id) && job.is_none() {
                    return Err(Refusal::not_found("Job", &job_id).into());
                }
                caller.user_id().clone_into(&mut session.user_id);
                tx.update(&session).await?;
                if let Some(mut job) = job {
                    job.leave_session();
                    caller.user_id().clone_into(&mut job.user_id);
                    tx.update(&job).await?;
                }
                Ok(())
            })
            .await
    }
}
