//! How backups are brought back.

use super::Catalogue;
use super::answer::Document;
use crate::authz::{Authorized, rules};
use crate::domain::backup::Backup;
use crate::domain::document::{self, Object};
use crate::domain::restore::{Place, RecordedBackup, time_stamp};
use crate::domain::run::Run;
use crate::domain::{Refusal, Scope};
use crate::error::ApiError;
use crate::store::{Listed, StoreError, Tx};

impl Catalogue {
    /// How a backup is brought back, files below this path; of any project for those who see all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn restore_of_backup(
        &self,
        caller: &Authorized,
        backup_id: String,
        path: String,
    ) -> Result<Document, ApiError> {
        let sees_all = caller.may(rules::REPORT_GET_ALL_PROJECTS);
        let scope = if sees_all { Scope::All } else { caller.scope() };
        self.store
            .read(
                "showing how a backup is restored",
                async move |tx: &mut Tx| {
                    let found = Backup::find(tx, &scope, &backup_id).await?;
                    let backup = found.ok_or_else(|| Refusal::not_found("Backup", &backup_id))?;
                    let restore = recorded(tx, backup).await?.restore(&path);
                    Ok(Document::new(restore, tx.room()))
                },
            )
            .await
    }
}

/// A backup with what the catalogue knows around it.
async fn recorded(tx: &mut Tx, backup: Backup) -> Result<RecordedBackup, StoreError> {
    let metadata = document::stored_object(backup.backup_metadata.as_deref());
    let began = time_stamp(&metadata);
    let run = match began {
        Some(second) => tx.run_at(&backup, second).await?,
        None => None,
    };
    let created_at = tx.backup_created_at(&backup.id).await?;
    let next = match created_at {
        Some(created_at) => tx.metadata_from(&backup, created_at).await?,
        None => Vec::new(),
    };
    let ended_at = |run: &Run| run.ended_at.filter(|ended_at| Some(*ended_at) >= began);
    Ok(RecordedBackup {
        run_ended_at: run.as_ref().and_then(ended_at),
        next_time_stamp: next_time_stamp(&metadata, &next),
        client_id: tx
            .client_of_backup(&backup)
            .await?
            .or(run.map(|run| run.client_id)),
        created_at: created_at.map(|time| time.assume_utc().unix_timestamp()),
        backup,
    })
}

/// The first time of a backup at the same place that is later than this one's.
fn next_time_stamp(metadata: &Object, others: &[String]) -> Option<i64> {
    let (place, began) = (Place::of(metadata), time_stamp(metadata));
    let others = others
        .iter()
        .map(|other| document::stored_object(Some(other)));
    let same = others.filter(|other| Place::of(other) == place);
    same.filter_map(|other| time_stamp(&other))
        .filter(|time| Some(*time) > began)
        .min()
}
