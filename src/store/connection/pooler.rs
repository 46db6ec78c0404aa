//! Poolers such as PgBouncer, which may give each transaction another connection to the server.
//!
//! What a connection is told when it begins reaches the server only where there is none in between, so a setting of our own
//! tells. Behind one nothing is left in a session: each statement runs in a transaction, which has the settings that ours have, and
//! is prepared without a name. That holds in each of PgBouncer's modes that has transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{ConnectOptions, Database};

use super::super::failure;
use super::{DbSession, has_row};
use crate::store::StoreError;

/// How to connect where there may be a pooler.
pub(in crate::store) struct Pooler<DB: Database> {
    /// Options with nothing that one could refuse.
    pub(in crate::store) options: <DB::Connection as sqlx::Connection>::Options,
    /// A query with a row where there is one.
    pub(in crate::store) check: &'static str,
    /// What gives a transaction the settings that a connection to the server itself has.
    pub(in crate::store) transaction_settings: Arc<str>,
    /// Whether one has refused the other options.
    pub(in crate::store) is_known: AtomicBool,
}

impl<DB> Pooler<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    /// A new connection, with these options where none refuses them, and behind one what gives each transaction its settings.
    pub(super) async fn connect(
        &self,
        options: &<DB::Connection as sqlx::Connection>::Options,
    ) -> sqlx::Result<(DB::Connection, Option<Arc<str>>)> {
        let options = if self.is_known.load(Ordering::Relaxed) {
            &self.options
        } else {
            options
        };
        let mut connection = match options.connect().await {
            Err(error) if failure::is_refused_parameter(&error) => {
                self.is_known.store(true, Ordering::Relaxed);
                self.options.connect().await?
            }
            other => other?,
        };
        let is_pooled = has_row(&mut connection, self.check).await?;
        let settings = is_pooled.then(|| Arc::clone(&self.transaction_settings));
        Ok((connection, settings))
    }
}

impl DbSession {
    /// Whether there is a pooler between us and the server.
    pub(super) fn is_pooled(&self) -> bool {
        self.transaction_settings.is_some()
    }

    /// Opens a transaction for one statement, where it needs one; whether it did.
    pub(super) async fn begin_alone(&mut self) -> Result<bool, StoreError> {
        let alone = self.is_pooled() && !self.in_transaction;
        if alone {
            self.begin().await?;
        }
        Ok(alone)
    }

    /// Ends the transaction that was opened for one statement.
    pub(super) async fn end_alone<T>(
        &mut self,
        alone: bool,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match (&result, alone) {
            (_, false) => {}
            (Ok(_), true) => self.commit().await?,
            (Err(_), true) => {
                if let Err(error) = self.rollback().await {
                    tracing::debug!(%error, "rollback failed");
                }
            }
        }
        result
    }
}
