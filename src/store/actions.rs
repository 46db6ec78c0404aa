//! Actions in the database.

use std::collections::HashMap;

use super::list::Listed;
use super::narrowing::Searchable;
use super::rows::{Conditions, Record};
use super::statement::{in_lists, placeholders, sql};
use super::{Engine, StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::action::Action;

impl Listed for Action {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::ACTIONS,
        alias: Action::ALIAS,
        composed: &[],
        joined: &[],
        indexed: None,
    };
}

fn of_ids(scope: &Scope, ids: &[&str]) -> Conditions {
    let condition = format!("a.id IN ({})", placeholders(ids.len()));
    Conditions::within::<Action>(scope).and(&condition, ids.iter().copied())
}

impl Tx {
    /// The actions of these ids for a job that takes them: none goes or changes until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_actions(
        &mut self,
        scope: &Scope,
        ids: &[&str],
    ) -> Result<Vec<Action>, StoreError> {
        let mut actions = Vec::new();
        for ids in in_lists(ids) {
            actions.extend(self.select_shared(of_ids(scope, &ids)).await?);
        }
        Ok(actions)
    }

    /// How many bytes the definitions of these actions have, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn action_sizes(
        &mut self,
        scope: &Scope,
        ids: &[&str],
    ) -> Result<HashMap<String, usize>, StoreError> {
        let mut sizes = HashMap::new();
        for ids in in_lists(ids) {
            let statement =
                of_ids(scope, &ids).select::<Action>("a.id, OCTET_LENGTH(a.backup_metadata)");
            // An action without a definition has no bytes.
            let add = |(id, size): (String, Option<i32>)| {
                sizes.insert(id, size.map_or(0, i32::unsigned_abs) as usize);
            };
            self.session.fetch_each(statement, add).await?;
        }
        Ok(sizes)
    }

    /// How many bytes the definitions have that the largest of the jobs with this action shows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn largest_job_with(&mut self, action_id: &str) -> Result<usize, StoreError> {
        let sum = match self.engine() {
            // It sums up decimals.
            Engine::MySql => "CAST(SUM(OCTET_LENGTH(a.backup_metadata)) AS SIGNED)",
            Engine::Postgres | Engine::Sqlite => "SUM(OCTET_LENGTH(a.backup_metadata))",
        };
        let statement = sql(format!(
            "SELECT COALESCE({sum}, 0) AS size FROM job_actions ja JOIN actions a ON a.id = ja.action_id \
             WHERE ja.deleted = FALSE AND a.deleted = FALSE AND ja.job_id IN \
             (SELECT own.job_id FROM job_actions own WHERE own.action_id = ? AND own.deleted = FALSE) \
             GROUP BY ja.job_id ORDER BY size DESC LIMIT 1"
        ));
        let sizes: Vec<(i64,)> = self.session.fetch_all(statement.bind(action_id)).await?;
        // No row: no job has the action.
        let size = sizes.first().map_or(0, |(size,)| size.unsigned_abs());
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
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
        self.delete::<Action>(id).await
    }
}
