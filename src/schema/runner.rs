//! Runs revisions on one connection, under the lock.

use std::time::{Duration, Instant};

use super::catalog::Catalog;
use super::revisions::{ALEMBIC, BOOKKEEPING, OWN_DOWN, Revision, Script};
use super::script::{self, StepAction};
use super::state::{self, Position, RevisionLine, Target};
use super::{MigrateError, Migration, Planned, Progress, ProgressCallback, Report};
use crate::clock::Ids;
use crate::store::connection::DbSession;
use crate::store::statement::{Statement, sql};
use crate::store::tables::shared_tables;
use crate::store::{Engine, StoreError, Transient};

/// How long to wait between two tries to get the lock.
const LOCK_RETRY: Duration = Duration::from_millis(200);
/// The first half of PostgreSQL's advisory lock; the second is the schema.
const POSTGRES_LOCK: i64 = 1_179_796_805;

/// A migration that runs.
pub(super) struct Runner<'a> {
    pub(super) session: DbSession,
    pub(super) ids: Ids,
    migration: &'a Migration,
    progress: ProgressCallback<'a>,
    statements: u64,
    report: Report,
}

impl<'a> Runner<'a> {
    /// The session must not be used for anything else afterwards: its settings and its lock end with it.
    pub(super) fn new(
        session: DbSession,
        ids: Ids,
        migration: &'a Migration,
        progress: ProgressCallback<'a>,
    ) -> Self {
        Runner {
            session,
            ids,
            migration,
            progress,
            statements: 0,
            report: Report::default(),
        }
    }

    /// Applies one revision after the other until the target is reached. Each reads the revision again, since
    /// on SQLite another migration may run in between.
    pub(super) async fn sync(mut self, target: Target) -> Result<Report, MigrateError> {
        self.lock().await?;
        loop {
            self.begin().await?;
            let position = self.position().await?;
            let Some((line, revision)) = position.remaining(target)?.next() else {
                break;
            };
            self.tell(Progress::Revision {
                id: revision.id,
                title: revision.title,
            });
            self.run(&BOOKKEEPING).await?;
            for script in revision.scripts {
                self.run(script).await?;
            }
            self.stamp(line, revision).await?;
            self.commit().await?;
            self.report.applied.push(revision.id);
        }
        if target == Target::Head {
            let missing = state::missing(&Catalog::read(&mut self.session).await?);
            if !missing.is_empty() {
                return Err(MigrateError::Incomplete(missing));
            }
        }
        Ok(self.report)
    }

    /// Takes our additions back. The stamp goes first, so that a sync can repair what a killed downgrade leaves.
    pub(super) async fn downgrade(mut self) -> Result<Report, MigrateError> {
        self.lock().await?;
        self.begin().await?;
        let position = self.position().await?;
        if position.alembic < ALEMBIC.len() {
            // A sync that was killed has not come to our additions, and needs the bookkeeping to go on.
            return Ok(self.report);
        }
        self.refuse_large_values().await?;
        self.refuse_similar_ids().await?;
        if position.own > 0 {
            self.session
                .execute_raw("DELETE FROM freezer_api_version")
                .await?;
            self.done();
        }
        for script in OWN_DOWN.iter().rev() {
            self.run(script).await?;
        }
        self.forget_bookkeeping().await?;
        self.commit().await?;
        if self.statements > 0 {
            self.report.applied.push("downgrade");
        }
        Ok(self.report)
    }

    /// Refuses before anything changes: a database that is not strict would cut such values off.
    async fn refuse_large_values(&mut self) -> Result<(), MigrateError> {
        let engine = self.session.engine();
        for table in shared_tables() {
            for column in table.columns {
                let Some((limit, exceeds)) = column.beyond_shared(engine) else {
                    continue;
                };
                let query = format!("SELECT id FROM {} WHERE {exceeds} LIMIT 1", table.name);
                let found: Vec<(String,)> = self.session.fetch_all(sql(query)).await?;
                if let Some((id,)) = found.into_iter().next() {
                    return Err(MigrateError::LargeValue {
                        table: table.name,
                        column: column.name,
                        id,
                        limit,
                    });
                }
            }
        }
        Ok(())
    }

    /// Refuses before anything changes: without our additions MySQL compares without case, accents and trailing blanks, so
    /// that of two ids that differ in these alone the second one would end the downgrade halfway.
    async fn refuse_similar_ids(&mut self) -> Result<(), MigrateError> {
        if self.session.engine() != Engine::MySql {
            return Ok(());
        }
        for table in shared_tables() {
            // The charset's default collation is that of the converted tables, and of CONVERT.
            let table = table.name;
            let query = format!(
                "SELECT MIN(id), MAX(id) FROM {table} GROUP BY CONVERT(id USING utf8mb4) HAVING COUNT(*) > 1 LIMIT 1"
            );
            let found: Vec<(String, String)> = self.session.fetch_all(sql(query)).await?;
            if let Some((id, other)) = found.into_iter().next() {
                return Err(MigrateError::SimilarIds { table, id, other });
            }
        }
        Ok(())
    }

    /// Drops all tables; their names.
    pub(super) async fn remove(mut self) -> Result<Vec<&'static str>, MigrateError> {
        self.lock().await?;
        self.begin().await?;
        self.position().await?;
        let tables = state::removable(&Catalog::read(&mut self.session).await?);
        for table in &tables {
            self.session
                .execute_raw(&format!("DROP TABLE {table}"))
                .await?;
        }
        self.commit().await?;
        Ok(tables)
    }

    /// Our own table of revisions goes, and the leftovers when there are none.
    async fn forget_bookkeeping(&mut self) -> Result<(), MigrateError> {
        let catalog = Catalog::read(&mut self.session).await?;
        if catalog.has_table("freezer_api_leftovers") {
            let some: Vec<(String,)> = self
                .session
                .fetch_all(sql("SELECT row_id FROM freezer_api_leftovers LIMIT 1"))
                .await?;
            if some.is_empty() {
                self.session
                    .execute_raw("DROP TABLE freezer_api_leftovers")
                    .await?;
                self.done();
            } else {
                self.warn("freezer_api_leftovers stays: it holds values that have no place in the other tables");
            }
        }
        if catalog.has_table("freezer_api_version") {
            self.session
                .execute_raw("DROP TABLE freezer_api_version")
                .await?;
            self.done();
        }
        Ok(())
    }

    async fn position(&mut self) -> Result<Position, MigrateError> {
        let catalog = Catalog::read(&mut self.session).await?;
        state::find(&mut self.session, &catalog)
            .await?
            .map_err(MigrateError::Refused)
    }

    /// Excludes other migrations for as long as the connection lives. PostgreSQL and SQLite have each revision in a transaction,
    /// which excludes them. Percona XtraDB Cluster refuses such locks in its strict mode; each statement looks whether it is done already,
    /// so two migrations at once end in an error of one of them, and a third goes on.
    async fn lock(&mut self) -> Result<(), MigrateError> {
        if self.session.engine() != Engine::MySql {
            return Ok(());
        }
        // Columns of a foreign key change together with those they refer to, in several statements. A table in use makes all
        // later statements wait too, so the wait is short.
        self.session
            .execute_raw("SET SESSION foreign_key_checks = 0, lock_wait_timeout = 60")
            .await?;
        let query =
            sql("SELECT COALESCE(GET_LOCK(CONCAT('freezer-db-sync-', MD5(DATABASE())), 0), 0)");
        let start = Instant::now();
        loop {
            match self.is_granted(query.clone()).await {
                Ok(true) => return Ok(()),
                Ok(false) => self.wait(start).await?,
                Err(error) if error.is_unsupported() => {
                    tracing::warn!(%error, "no lock keeps another migration from running at the same time");
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn is_granted(&mut self, query: Statement) -> Result<bool, StoreError> {
        let answer: Vec<(i64,)> = self.session.fetch_all(query).await?;
        Ok(answer == [(1,)])
    }

    async fn begin(&mut self) -> Result<(), MigrateError> {
        let start = Instant::now();
        loop {
            match self.session.engine() {
                Engine::MySql => return Ok(()),
                Engine::Postgres => {
                    self.session.begin().await?;
                    if self.lock_transaction().await? {
                        return Ok(());
                    }
                    self.session.rollback().await?;
                    self.wait(start).await?;
                }
                Engine::Sqlite => match self.session.begin().await {
                    Err(error) if error.is_transient() => self.wait(start).await?,
                    other => return Ok(other?),
                },
            }
        }
    }

    /// Excludes others until the transaction ends; whether it does. A lock of the session would stay with the server behind a
    /// pooler.
    async fn lock_transaction(&mut self) -> Result<bool, StoreError> {
        self.session
            .execute_raw("SET LOCAL lock_timeout = '60s'")
            .await?;
        let query = sql(
            "SELECT CASE WHEN pg_try_advisory_xact_lock(CAST(? AS INTEGER), hashtext(current_schema())) \
             THEN CAST(1 AS BIGINT) ELSE 0 END",
        );
        self.is_granted(query.bind(POSTGRES_LOCK)).await
    }

    async fn wait(&mut self, start: Instant) -> Result<(), MigrateError> {
        if start.elapsed() > self.migration.lock_limit {
            return Err(MigrateError::Locked(self.migration.lock_limit));
        }
        self.tell(Progress::Waiting);
        tokio::time::sleep(LOCK_RETRY).await;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        match self.session.engine() {
            Engine::MySql => Ok(()),
            Engine::Postgres | Engine::Sqlite => self.session.commit().await,
        }
    }

    async fn run(&mut self, script: &'static Script) -> Result<(), MigrateError> {
        let text = script.text(self.session.engine());
        for step in parse(script, text)? {
            let catalog = Catalog::read(&mut self.session).await?;
            if step.guard.is_some_and(|guard| !guard.holds(&catalog)) {
                continue;
            }
            match step.action {
                StepAction::Sql(statement) => {
                    let statement = with_charset(statement, &catalog);
                    self.tell(Progress::Statement(&statement));
                    self.session
                        .execute_raw(&statement)
                        .await
                        .map_err(|source| MigrateError::Statement {
                            file: script.file,
                            statement,
                            source,
                        })?;
                    self.done();
                }
                StepAction::KeepBackupColumns => self.keep_backup_columns(&catalog).await?,
                StepAction::NormalizeJobActions => self.normalize_job_actions().await?,
            }
        }
        Ok(())
    }

    /// One row holds the revision of a line. An update, where there is one, so that a kill leaves the old or the new.
    async fn stamp(&mut self, line: RevisionLine, revision: &Revision) -> Result<(), MigrateError> {
        let table = line.table();
        let update = sql(format!("UPDATE {table} SET version_num = ?")).bind(revision.id);
        let insert = sql(format!("INSERT INTO {table} (version_num) VALUES (?)"));
        let statement = if self.has_stamp(table).await? {
            update
        } else {
            insert.bind(revision.id)
        };
        self.session.execute(statement).await?;
        self.done();
        Ok(())
    }

    async fn has_stamp(&mut self, table: &str) -> Result<bool, StoreError> {
        let query = sql(format!("SELECT version_num FROM {table}"));
        let found: Vec<(String,)> = self.session.fetch_all(query).await?;
        Ok(!found.is_empty())
    }

    pub(super) fn tell(&mut self, progress: Progress<'_>) {
        (self.progress)(progress);
    }

    pub(super) fn warn(&mut self, warning: &str) {
        self.report.data_warnings += 1;
        self.tell(Progress::DataWarning(warning));
    }

    /// Keeps a value that has no place in the newer tables, unchanged, and reports it. Position -1 stands for the
    /// whole value, others for an entry of its list.
    pub(super) async fn keep(
        &mut self,
        table: &str,
        row_id: &str,
        column: &str,
        position: i64,
        value: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO freezer_api_leftovers (table_name, row_id, column_name, position, value, reason) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind_all([table, row_id, column])
        .bind(position)
        .bind_all([value, reason]);
        self.session.execute(statement).await?;
        let entry = match position {
            0.. => format!("[{position}]"),
            _ => String::new(),
        };
        self.warn(&format!("{table} {row_id}, {column}{entry}: {reason}"));
        Ok(())
    }

    /// Counts a statement, and aborts the process when a test asks for it.
    pub(super) fn done(&mut self) {
        self.statements += 1;
        if self.migration.abort_after == Some(self.statements) {
            std::process::abort();
        }
    }
}

/// The statements that a migration would run.
pub(super) async fn plan(
    session: &mut DbSession,
    target: Target,
) -> Result<Vec<Planned>, MigrateError> {
    let engine = session.engine();
    let catalog = Catalog::read(session).await?;
    let position = state::find(session, &catalog)
        .await?
        .map_err(MigrateError::Refused)?;
    let mut planned = Vec::new();
    let mut made = Vec::new();
    for (line, revision) in position.remaining(target)? {
        let mut statements = Vec::new();
        let bookkeeping = planned.is_empty().then_some(&BOOKKEEPING);
        for script in bookkeeping.into_iter().chain(revision.scripts) {
            for step in parse(script, script.text(engine))? {
                if step
                    .guard
                    .is_none_or(|guard| guard.will_hold(&catalog, &made))
                {
                    made.extend(step.action.made_table());
                    statements.push(match step.action {
                        StepAction::Sql(statement) => with_charset(statement, &catalog),
                        StepAction::KeepBackupColumns => {
                            "-- moves columns of backups into backups.backup_metadata".to_owned()
                        }
                        StepAction::NormalizeJobActions => {
                            "-- moves the JSON of jobs.job_actions into rows of actions and job_actions".to_owned()
                        }
                    });
                }
            }
        }
        statements.push(format!("-- stamps {} with {}", line.table(), revision.id));
        planned.push(Planned {
            id: revision.id,
            title: revision.title,
            statements,
        });
    }
    Ok(planned)
}

fn parse<'s>(script: &Script, text: &'s str) -> Result<Vec<script::Step<'s>>, MigrateError> {
    script::parse(text).map_err(|reason| MigrateError::Script {
        file: script.file,
        reason,
    })
}

/// A table that refers to jobs by a foreign key must have their character set, which is an old one in old databases.
fn with_charset(statement: &str, catalog: &Catalog) -> String {
    let charset = match catalog.collation("jobs") {
        Some(collation) => format!("COLLATE={collation}"),
        None => "DEFAULT CHARSET=utf8mb4".to_owned(),
    };
    statement.replace("{charset of jobs}", &charset)
}
