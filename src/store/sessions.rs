//! Sessions in the database.

use super::list::{Listed, Searchable};
use super::rows::Record;
use super::statement::{Statement, sql};
use super::{StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::session::Session;

impl Listed for Session {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::SESSIONS,
        alias: Session::ALIAS,
        composed: &[],
        joined: &[],
    };
}

/// Binds the columns that a change may write, from `user_id` to `job`.
fn bind_columns(statement: Statement, session: &Session) -> Statement {
    statement
        .bind(&session.user_id)
        .bind(&session.description)
        .bind(session.session_tag)
        .bind(&session.result)
        .bind(session.hold_off)
        .bind(&session.status)
        .bind(session.time_start)
        .bind(session.time_end)
        .bind(session.time_started)
        .bind(session.time_ended)
        .bind(&session.schedule)
        .bind(&session.job)
}

impl Tx {
    /// One session, locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_session(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Session>, StoreError> {
        self.find_locked(scope, id).await
    }

    /// Adds a session.
    ///
    /// # Errors
    /// [`StoreError`]; a duplicate key where the id is in use.
    pub async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO sessions (id, project_id, user_id, description, session_tag, result, hold_off, status, \
             time_start, time_end, time_started, time_ended, schedule, job, deleted, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, ?)",
        )
        .bind(&session.id)
        .bind(&session.project_id);
        let statement = bind_columns(statement, session).bind(self.now());
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Writes a changed session back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_session(&mut self, session: &Session) -> Result<(), StoreError> {
        let statement = sql(
            "UPDATE sessions SET user_id = ?, description = ?, session_tag = ?, result = ?, hold_off = ?, status = ?, \
             time_start = ?, time_end = ?, time_started = ?, time_ended = ?, schedule = ?, job = ?, updated_at = ? \
             WHERE id = ?",
        );
        let statement = bind_columns(statement, session)
            .bind(self.now())
            .bind(&session.id);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Marks a session as deleted. Its jobs keep its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_session(&mut self, id: &str) -> Result<(), StoreError> {
        self.mark_deleted("sessions", id).await
    }
}
