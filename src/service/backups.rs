//! Backups: what agents report that they have made.

use std::slice;

use super::Catalogue;
use super::answer::Document;
use super::documents::lock;
use super::liveness::Agent;
use crate::authz::Authorized;
use crate::domain::backup::{self, Backup, BackupPatch};
use crate::domain::document::Object;
use crate::domain::resource::Resource;
use crate::error::ApiError;
use crate::store::Tx;

impl Catalogue {
    /// Records a backup; its id.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_backup(
        &self,
        caller: &Authorized,
        metadata: Object,
    ) -> Result<String, ApiError> {
        let (project_id, user_id) = (caller.project_id(), caller.user_id());
        let id = self.ids.hex();
        let agent = Agent::of(&metadata);
        let backup = backup::create(&self.schemas, metadata, id.clone(), project_id, user_id)?;
        let job_id = backup.job_id.clone();
        self.store
            .insert_row("recording a backup", async move |tx: &mut Tx| {
                tx.insert(&backup).await
            })
            .await?;
        if let (Some(agent), Some(job_id)) = (agent, job_id) {
            self.liveness.note_backup(project_id, &job_id, agent);
        }
        Ok(id)
    }

    /// Changes what the body names of a backup; the backup as it is then.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`](crate::domain::Refusal::NotFound).
    pub async fn update_backup(
        &self,
        caller: &Authorized,
        backup_id: String,
        body: Object,
    ) -> Result<Document, ApiError> {
        let patch = BackupPatch::parse(&self.schemas, body, &backup_id)?;
        let caller = caller.clone();
        self.store
            .write("changing a backup", async move |tx: &mut Tx| {
                let mut backup = lock::<Backup>(tx, &caller.scope(), &backup_id).await?;
                patch.apply(&mut backup);
                caller.user_id().clone_into(&mut backup.user_id);
                tx.update(&backup).await?;
                tx.place_again(&backup).await?;
                Ok(Document::new(backup.to_json(), tx.room()))
            })
            .await
    }

    /// Deletes the record of a backup.
    ///
    /// # Errors
    /// [`ApiError`]; unlike for other kinds, [`Refusal::NotFound`](crate::domain::Refusal::NotFound) where there is none.
    pub async fn delete_backup(
        &self,
        caller: &Authorized,
        backup_id: String,
    ) -> Result<(), ApiError> {
        let scope = caller.scope();
        self.store
            .write("deleting a backup", async move |tx: &mut Tx| {
                let backup = lock::<Backup>(tx, &scope, &backup_id).await?;
                tx.remove_from_series(slice::from_ref(&backup.id)).await?;
                Ok(tx.delete::<Backup>(&backup.id).await?)
            })
            .await
    }
}
