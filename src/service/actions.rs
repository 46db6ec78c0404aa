//! Actions: what a job runs.

use super::Catalogue;
use super::documents::lock;
use crate::authz::Authorized;
use crate::domain::Refusal;
use crate::domain::action::{self, Action, ActionPatch};
use crate::domain::document::Object;
use crate::domain::job;
use crate::domain::validation::MAX_JOB_ACTIONS;
use crate::error::ApiError;
use crate::store::Tx;

impl Catalogue {
    /// Defines an action; its id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::Conflict`] where the id is in use.
    pub async fn create_action(
        &self,
        caller: &Authorized,
        body: Object,
    ) -> Result<String, ApiError> {
        let (project_id, user_id) = (caller.project_id(), caller.user_id());
        let new_id = || self.ids.hex();
        let action = action::parse(&self.schemas, body, project_id, user_id, new_id)?;
        let action_id = action.id.clone();
        self.store
            .write("creating an action", async move |tx: &mut Tx| {
                tx.insert(&action)
                    .await
                    .map_err(|error| ApiError::id_unavailable(error, "Action", &action.id))
            })
            .await?;
        Ok(action_id)
    }

    /// Changes the members of an action that the body names.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn update_action(
        &self,
        caller: &Authorized,
        action_id: String,
        body: Object,
    ) -> Result<(), ApiError> {
        let patch = ActionPatch::parse(&self.schemas, body)?;
        let caller = caller.clone();
        let max_size = self.max_document_size;
        self.store
            .write("changing an action", async move |tx: &mut Tx| {
                let mut action = lock::<Action>(tx, &caller.scope(), &action_id).await?;
                patch.apply(&mut action);
                caller.user_id().clone_into(&mut action.user_id);
                write_changed(tx, &action, max_size).await
            })
            .await
    }

    /// Replaces an action, or creates it under this id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::Conflict`] where the id is another project's or a deleted action's.
    pub async fn replace_action(
        &self,
        caller: &Authorized,
        action_id: String,
        mut body: Object,
    ) -> Result<(), ApiError> {
        body.insert("action_id".to_owned(), action_id.clone().into());
        let (project_id, user_id) = (caller.project_id(), caller.user_id());
        let same_id = || action_id.clone();
        let action = action::parse(&self.schemas, body, project_id, user_id, same_id)?;
        let scope = caller.scope();
        let max_size = self.max_document_size;
        self.store
            .write("replacing an action", async move |tx: &mut Tx| {
                if tx.lock::<Action>(&scope, &action.id).await?.is_some() {
                    return write_changed(tx, &action, max_size).await;
                }
                if tx.id_unavailable::<Action>(&scope, &action.id).await? {
                    return Err(Refusal::already_registered("Action", &action.id).into());
                }
                tx.insert(&action)
                    .await
                    .map_err(|error| ApiError::from(error.retry_if_duplicate()))
            })
            .await
    }

    /// Deletes an action. An id that the project does not have changes nothing anywhere.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_action(
        &self,
        caller: &Authorized,
        action_id: String,
    ) -> Result<(), ApiError> {
        let scope = caller.scope();
        self.store
            .write("deleting an action", async move |tx: &mut Tx| {
                if let Some(action) = tx.lock::<Action>(&scope, &action_id).await? {
                    tx.delete_action(&action.id).await?;
                }
                Ok(())
            })
            .await
    }
}

/// Writes a changed action, unless a job that has it would become too large. An action that is so small that the largest number
/// of it fits is not looked at: beside large ones, a job can outgrow the limit by as much again.
async fn write_changed(tx: &mut Tx, action: &Action, max_size: usize) -> Result<(), ApiError> {
    tx.update(action).await?;
    if action.size() > max_size / MAX_JOB_ACTIONS {
        job::refuse_larger(tx.largest_job_with(&action.id).await?, max_size)?;
    }
    Ok(())
}
