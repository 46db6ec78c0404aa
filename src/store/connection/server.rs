//! The servers that a URL names: a new connection leads to the first of them that can be used.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use sqlx::{AssertSqlSafe, ConnectOptions, Database};

use super::super::failure::Failure;
use super::super::limits::Interrupt;
use super::pooler::Pooler;
use super::{Guarded, Manager, has_row};

/// How to reach one of them.
pub(in crate::store) struct Server<DB: Database> {
    /// Its URL, for the log.
    pub(in crate::store) url: String,
    pub(in crate::store) options: <DB::Connection as sqlx::Connection>::Options,
    /// For engines whose servers have poolers in front of them.
    pub(in crate::store) pooler: Option<Pooler<DB>>,
}

impl<DB> Manager<DB>
where
    DB: Database<Connection: Interrupt>,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    /// Passes over servers that do not answer or are not what the URL asks for. As with libpq, each may take the whole time that
    /// connecting may take, and one that refuses us is the last one tried.
    pub(super) async fn open_first(&self, generation: u64) -> sqlx::Result<Guarded<DB>> {
        let mut opened = Err(io::Error::from(io::ErrorKind::NotFound).into());
        for server in &self.servers {
            opened = tokio::time::timeout(self.connect_limit, self.open(server, generation))
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            match &opened {
                Err(error) if self.servers.len() > 1 && Failure::of(error) == Failure::Lost => {
                    tracing::info!(database = server.url, %error, "this server is passed over");
                }
                _ => break,
            }
        }
        opened
    }

    async fn open(&self, server: &Server<DB>, generation: u64) -> sqlx::Result<Guarded<DB>> {
        let abandoned = Arc::default();
        let (mut connection, transaction_settings) = match &server.pooler {
            Some(pooler) => pooler.connect(&server.options).await?,
            None => (server.options.connect().await?, None),
        };
        self.check_server(&mut connection).await?;
        if transaction_settings.is_none() {
            for statement in &self.prepare {
                let statement = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
                sqlx::Executor::execute(&mut connection, statement).await?;
            }
        }
        connection.interrupt_when(&abandoned).await?;
        let in_galera = match self.galera_check {
            Some(query) => has_row(&mut connection, query).await?,
            None => false,
        };
        Ok(Guarded {
            connection: Some(connection),
            in_galera,
            reads: HashSet::new(),
            transaction_settings,
            busy: false,
            last_used: Instant::now(),
            generation,
            pool_generation: Arc::clone(&self.generation),
            abandoned,
        })
    }

    async fn check_server(&self, connection: &mut DB::Connection) -> sqlx::Result<()> {
        match self.server_check {
            Some(query) if !has_row(connection, query).await? => Err(io::Error::other(
                "it is a standby or read-only, and target_session_attrs asks for another",
            )
            .into()),
            _ => Ok(()),
        }
    }
}
