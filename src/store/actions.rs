//! Actions in the database.

use super::list::{Listed, Searchable};
use super::rows::{Conditions, Record};
use super::statement::{placeholders, sql};
use super::{StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::action::Action;

impl Listed for Action {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::ACTIONS,
        alias: Action::ALIAS,
        composed: &[],
        joined: &[],
    };
}

impl Tx {
    /// One action, locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_action(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Action>, StoreError> {
        self.find_locked(scope, id).await
    }

    /// The actions of these ids, locked until the transaction ends, so that none goes while a job takes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_actions(
        &mut self,
        scope: &Scope,
        ids: &[&str],
    ) -> Result<Vec<Action>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let condition = format!("a.id IN ({})", placeholders(ids.len()));
        let conditions = Conditions::within::<Action>(scope).and(&condition, ids.iter().copied());
        self.select_locked(conditions).await
    }

    /// Adds an action.
    ///
    /// # Errors
    /// [`StoreError`]; a duplicate key where the id is in use.
    pub async fn insert_action(&mut self, action: &Action) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO actions (id, project_id, user_id, action, actionmode, path_to_backup, backup_name, container, \
             timeout, priority, max_retries_interval, max_retries, mandatory, log_file, backup_metadata, deleted, \
             created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, ?)",
        )
        .bind(&action.id)
        .bind(&action.project_id)
        .bind(&action.user_id)
        .bind(&action.action)
        .bind(&action.actionmode)
        .bind(&action.path_to_backup)
        .bind(&action.backup_name)
        .bind(&action.container)
        .bind(action.timeout)
        .bind(action.priority)
        .bind(action.max_retries_interval)
        .bind(action.max_retries)
        .bind(action.mandatory)
        .bind(&action.log_file)
        .bind(&action.backup_metadata)
        .bind(self.now());
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Writes a changed action back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_action(&mut self, action: &Action) -> Result<(), StoreError> {
        let statement = sql(
            "UPDATE actions SET user_id = ?, action = ?, actionmode = ?, path_to_backup = ?, backup_name = ?, \
             container = ?, timeout = ?, priority = ?, max_retries_interval = ?, max_retries = ?, mandatory = ?, \
             log_file = ?, backup_metadata = ?, updated_at = ? WHERE id = ?",
        )
        .bind(&action.user_id)
        .bind(&action.action)
        .bind(&action.actionmode)
        .bind(&action.path_to_backup)
        .bind(&action.backup_name)
        .bind(&action.container)
        .bind(action.timeout)
        .bind(action.priority)
        .bind(action.max_retries_interval)
        .bind(action.max_retries)
        .bind(action.mandatory)
        .bind(&action.log_file)
        .bind(&action.backup_metadata)
        .bind(self.now())
        .bind(&action.id);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Marks an action as deleted, with its report, and takes it out of the jobs that name it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_action(&mut self, id: &str) -> Result<(), StoreError> {
        let unlink = sql(
            "UPDATE job_actions SET deleted = TRUE, deleted_at = ? WHERE action_id = ? AND deleted = FALSE",
        );
        self.session
            .execute(unlink.bind(self.now()).bind(id))
            .await?;
        self.mark_deleted("action_reports", id).await?;
        self.mark_deleted("actions", id).await
    }
}
