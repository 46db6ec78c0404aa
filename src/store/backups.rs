//! Backups in the database.

use super::list::{Listed, Searchable};
use super::rows::Record;
use super::statement::sql;
use super::{StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::backup::Backup;

impl Listed for Backup {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::BACKUPS,
        alias: Backup::ALIAS,
        composed: &[],
        joined: &[],
    };
}

impl Tx {
    /// One backup, locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_backup(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Backup>, StoreError> {
        self.find_locked(scope, id).await
    }

    /// Adds a backup.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_backup(&mut self, backup: &Backup) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO backups (id, job_id, project_id, user_id, status, backup_metadata, deleted, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, FALSE, ?)",
        )
        .bind(&backup.id)
        .bind(&backup.job_id)
        .bind(&backup.project_id)
        .bind(&backup.user_id)
        .bind(&backup.status)
        .bind(&backup.backup_metadata)
        .bind(self.now());
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Writes a changed backup back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_backup(&mut self, backup: &Backup) -> Result<(), StoreError> {
        let statement = sql(
            "UPDATE backups SET job_id = ?, user_id = ?, status = ?, backup_metadata = ?, updated_at = ? WHERE id = ?",
        )
        .bind(&backup.job_id)
        .bind(&backup.user_id)
        .bind(&backup.status)
        .bind(&backup.backup_metadata)
        .bind(self.now())
        .bind(&backup.id);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Marks a backup as deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_backup(&mut self, id: &str) -> Result<(), StoreError> {
        self.mark_deleted("backups", id).await
    }
}
