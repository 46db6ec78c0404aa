//! `freezer-manage db check`: finds inconsistent rows, and repairs those that need no decision.

use serde_json::{Map, Value};

use crate::schema::{Catalog, ColumnDifference};
use crate::store::rows::impl_from_row;
use crate::store::statement::{placeholders, sql};
use crate::store::tables::{Column, documents, shared_tables};
use crate::store::{Engine, Store, StoreError, Tx};

/// How many rows are read at once.
const BATCH: usize = 500;

/// An inconsistent row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The table of the row.
    pub table: &'static str,
    /// The row's id.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
    /// What the repair does, or did; none where somebody has to decide.
    pub repair: Option<&'static str>,
}

/// Where findings go; there may be many.
pub type Findings<'a> = &'a mut (dyn FnMut(&Finding) + Send);

/// A condition on single rows that SQL can state.
struct RowCheck {
    table: &'static str,
    /// On a row `t`.
    condition: &'static str,
    problem: &'static str,
    /// The statement that repairs it, and what it does.
    repair: Option<(&'static str, &'static str)>,
}

const ROW_CHECKS: [RowCheck; 5] = [
    RowCheck {
        table: "jobs",
        condition: "t.deleted = FALSE AND NOT EXISTS (SELECT 1 FROM clients c WHERE c.client_id = t.client_id \
                    AND c.deleted = FALSE AND (c.project_id = t.project_id OR c.is_central = TRUE))",
        problem: "its client is not registered",
        repair: None,
    },
    RowCheck {
        table: "jobs",
        condition: "t.deleted = FALSE AND t.session_id <> '' AND NOT EXISTS (SELECT 1 FROM sessions s \
                    WHERE s.id = t.session_id AND s.deleted = FALSE)",
        problem: "its session does not exist",
        repair: Some((
            "UPDATE jobs SET session_id = '', session_tag = 0 WHERE id = ?",
            "the job belongs to no session",
        )),
    },
    RowCheck {
        table: "job_actions",
        // Those of a job that is marked as deleted go with it when it is purged.
        condition: "NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = t.job_id)",
        problem: "its job does not exist",
        repair: Some(("DELETE FROM job_actions WHERE id = ?", "the row is removed")),
    },
    RowCheck {
        table: "job_actions",
        condition: "t.deleted = FALSE AND EXISTS (SELECT 1 FROM jobs j WHERE j.id = t.job_id AND j.deleted = FALSE) \
                    AND NOT EXISTS (SELECT 1 FROM actions a WHERE a.id = t.action_id AND a.deleted = FALSE)",
        problem: "its action does not exist, so the job lacks it",
        repair: Some((
            "UPDATE job_actions SET deleted = TRUE, deleted_at = CURRENT_TIMESTAMP WHERE id = ?",
            "the row is marked as deleted, as when an action is deleted",
        )),
    },
    RowCheck {
        table: "user_credentials",
        condition: "t.deleted = FALSE AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = t.job_id AND j.deleted = FALSE)",
        problem: "its job does not exist; the trust may still exist in Keystone",
        repair: Some((
            "UPDATE user_credentials SET deleted = TRUE, deleted_at = CURRENT_TIMESTAMP WHERE id = ?",
            "the row is marked as deleted",
        )),
    },
];

/// An integer column holds 2147483647 at most; values above this one are reported.
const NEARLY_FULL_COUNTER: &str = "2000000000";
/// Documents with more bytes are reported as large. Documents end at [`MAX_TEXT`](crate::store::MAX_TEXT).
const LARGE_DOCUMENT: &str = "6000000";

/// The condition on rows whose value will not fit for much longer, and what it means.
fn near_limit(column: &Column) -> Option<(String, &'static str)> {
    let name = column.name;
    if column.counts {
        Some((format!("{name} > {NEARLY_FULL_COUNTER}"), "2147483647"))
    } else if column.is_document() {
        Some((format!("LENGTH({name}) > {LARGE_DOCUMENT}"), "7 MiB"))
    } else {
        None
    }
}

impl Store {
    /// What comes close to the limits of its column, in words with how many rows, and columns that are too narrow.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn near_limits(&self) -> Result<Vec<String>, StoreError> {
        let mut near = Vec::new();
        for table in shared_tables() {
            for column in table.columns {
                let Some((condition, limit)) = near_limit(column) else {
                    continue;
                };
                let (table, column) = (table.name, column.name);
                let query =
                    format!("SELECT COUNT(*) FROM {table} WHERE deleted = FALSE AND {condition}");
                let mut tx = self.open().await?;
                let counted: Vec<(i64,)> = tx.session.fetch_all(sql(query)).await?;
                if let Some((count @ 1..,)) = counted.first() {
                    near.push(format!(
                        "{count} rows of {table} have a {column} close to {limit}"
                    ));
                }
            }
        }
        let narrow = self.column_differences().await?.into_iter();
        let narrow =
            narrow.filter(|difference| matches!(difference, ColumnDifference::Narrow { .. }));
        near.extend(narrow.map(|difference| difference.to_string()));
        Ok(near)
    }

    /// Reports all inconsistent rows; with `fix`, repairs those that need no decision.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn check(&self, fix: bool, findings: Findings<'_>) -> Result<(), StoreError> {
        for check in &ROW_CHECKS {
            self.check_rows(check, fix, findings).await?;
        }
        for (table, column) in documents() {
            self.check_documents(table.name, column.name, findings)
                .await?;
        }
        self.check_sessions(fix, findings).await?;
        for duplicate in self.duplicate_clients().await? {
            findings(&Finding {
                table: "clients",
                id: duplicate.client_id,
                problem: format!(
                    "registered more than once in project {}",
                    duplicate.project_id.as_deref().unwrap_or("none")
                ),
                repair: None,
            });
        }
        Ok(())
    }

    async fn check_rows(
        &self,
        check: &RowCheck,
        fix: bool,
        findings: Findings<'_>,
    ) -> Result<(), StoreError> {
        let query = format!(
            "SELECT t.id FROM {} t WHERE t.id > ? AND {} ORDER BY t.id LIMIT {BATCH}",
            check.table, check.condition
        );
        let mut after = String::new();
        loop {
            let mut tx = self.open().await?;
            let found: Vec<(String,)> = tx
                .session
                .fetch_all(sql(query.clone()).bind(&after))
                .await?;
            let Some((last,)) = found.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (id,) in found {
                if fix && !self.repair(check, &id).await? {
                    continue;
                }
                findings(&Finding {
                    table: check.table,
                    id,
                    problem: check.problem.to_owned(),
                    repair: check.repair.map(|(_, words)| words),
                });
            }
        }
    }

    /// Locks a row that was found, checks it again, and repairs it where that is possible. Whether it
    /// was still inconsistent.
    async fn repair(&self, check: &RowCheck, id: &str) -> Result<bool, StoreError> {
        let query = format!(
            "SELECT t.id FROM {} t WHERE t.id = ? AND {}{}",
            check.table,
            check.condition,
            self.lock_of("t")
        );
        self.write("repairing a row", async |tx| {
            let query = sql(query.clone()).bind(id);
            let found: Vec<(String,)> = tx.session.fetch_all(query).await?;
            if let (false, Some((repair, _))) = (found.is_empty(), check.repair) {
                tx.session.execute(sql(repair).bind(id)).await?;
            }
            Ok(!found.is_empty())
        })
        .await
    }

    /// What locks the rows of a query's table. SQLite's transactions have locked the whole file already.
    fn lock_of(&self, table: &str) -> String {
        match self.engine() {
            Engine::Sqlite => String::new(),
            Engine::MySql => " FOR UPDATE".to_owned(),
            Engine::Postgres => format!(" FOR UPDATE OF {table}"),
        }
    }

    async fn check_documents(
        &self,
        table: &'static str,
        column: &'static str,
        findings: Findings<'_>,
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows = self.documents(table, column, &after).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (id, text) in rows {
                let problem = match serde_json::from_str(&text) {
                    Ok(Value::Object(_) | Value::Null) => continue,
                    Ok(_) => format!("{column} is not a JSON object"),
                    Err(error) => format!("{column} is not valid JSON: {error}"),
                };
                findings(&Finding {
                    table,
                    id,
                    problem,
                    repair: None,
                });
            }
        }
    }

    /// The next ids and JSON texts of a table, along its primary key.
    async fn documents(
        &self,
        table: &str,
        column: &str,
        after: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let query = format!(
            "SELECT id, {column} FROM {table} WHERE id > ? AND deleted = FALSE AND {column} IS NOT NULL \
             ORDER BY id LIMIT {BATCH}"
        );
        let mut tx = self.open().await?;
        tx.session.fetch_all(sql(query).bind(after)).await
    }

    /// Sessions that have entries of jobs that do not exist.
    async fn check_sessions(&self, fix: bool, findings: Findings<'_>) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows = self.documents("sessions", "job", &after).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (id, text) in rows {
                let missing = if fix {
                    self.remove_entries(&id).await?
                } else {
                    let mut tx = self.open().await?;
                    missing_jobs(&mut tx, &entries(&text)).await?
                };
                if !missing.is_empty() {
                    findings(&Finding {
                        table: "sessions",
                        id,
                        problem: format!("it names jobs that do not exist: {}", missing.join(", ")),
                        repair: Some("the entries are removed"),
                    });
                }
            }
        }
    }

    /// Removes the entries of a session whose jobs do not exist, under its lock; their ids.
    async fn remove_entries(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let lock = self.lock_of("s");
        let query = format!(
            "SELECT s.job FROM sessions s WHERE s.id = ? AND s.deleted = FALSE AND s.job IS NOT NULL{lock}"
        );
        self.write("repairing a session", async |tx| {
            let found: Vec<(String,)> = tx.session.fetch_all(sql(query.clone()).bind(id)).await?;
            let Some((text,)) = found.into_iter().next() else {
                return Ok(Vec::new());
            };
            let mut jobs = entries(&text);
            let missing = missing_jobs(tx, &jobs).await?;
            if !missing.is_empty() {
                jobs.retain(|job, _| !missing.contains(job));
                let update = sql("UPDATE sessions SET job = ? WHERE id = ?")
                    .bind(Value::Object(jobs).to_string())
                    .bind(id);
                tx.session.execute(update).await?;
            }
            Ok(missing)
        })
        .await
    }
}

/// A session's entries by job; none where the text is no object, which is a finding of its own.
fn entries(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(jobs)) => jobs,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// The keys that are no live job.
async fn missing_jobs(tx: &mut Tx, jobs: &Map<String, Value>) -> Result<Vec<String>, StoreError> {
    let ids: Vec<&String> = jobs.keys().collect();
    let mut live = std::collections::HashSet::new();
    for ids in ids.chunks(BATCH) {
        let query = format!(
            "SELECT id FROM jobs WHERE deleted = FALSE AND id IN ({})",
            placeholders(ids.len())
        );
        let query = sql(query).bind_all(ids.iter().copied());
        let found: Vec<(String,)> = tx.session.fetch_all(query).await?;
        live.extend(found.into_iter().map(|(id,)| id));
    }
    let missing = ids.into_iter().filter(|id| !live.contains(*id));
    Ok(missing.cloned().collect())
}

/// A name under which a project has several clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct DuplicateClient {
    pub project_id: Option<String>,
    pub client_id: String,
}

impl_from_row!(DuplicateClient {
    project_id,
    client_id
});

impl Store {
    /// The names under which a project has several clients that are not deleted. Central clients, where the tables know
    /// them already, are told apart by their host too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn duplicate_clients(&self) -> Result<Vec<DuplicateClient>, StoreError> {
        let session = &mut self.open().await?.session;
        let knows_central = Catalog::read(session)
            .await?
            .has_column("clients", "is_central");
        let apart = if knows_central {
            ", is_central, CASE WHEN is_central THEN hostname END"
        } else {
            ""
        };
        let query = format!(
            "SELECT project_id, client_id FROM clients WHERE deleted = FALSE \
             GROUP BY project_id, client_id{apart} HAVING COUNT(*) > 1 ORDER BY project_id, client_id"
        );
        session.fetch_all(sql(query)).await
    }
}
