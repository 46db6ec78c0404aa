//! `freezer-manage db purge`: removes rows that are marked as deleted, and names that no client has any more.

use time::{Duration, OffsetDateTime};

use crate::schema::{Progress, ProgressCallback};
use crate::store::statement::{placeholders, sql};
use crate::store::{Store, StoreError};

/// A table whose rows are marked as deleted, and when one may be removed.
struct Purged {
    table: &'static str,
    /// A further condition on a row `t`.
    condition: &'static str,
    /// Tables whose rows are removed with it, and their columns that name it.
    children: &'static [(&'static str, &'static str)],
}

/// A table with rows of clients, which are never marked as deleted, and which of them belong to no client any more, not even to one
/// that is marked as deleted.
struct OfClients {
    table: &'static str,
    condition: &'static str,
}

const OF_CLIENTS: [OfClients; 2] = [
    OfClients {
        table: "client_registrations",
        condition: "NOT EXISTS (SELECT 1 FROM clients c WHERE c.client_id = client_registrations.client_id)",
    },
    OfClients {
        table: "freezer_api_client_activity",
        condition: "NOT EXISTS (SELECT 1 FROM clients c WHERE c.client_id = freezer_api_client_activity.client_id \
                    AND c.project_id = freezer_api_client_activity.project_id)",
    },
];

/// What refers to others goes first. An action that a job still has stays.
const PURGED: [Purged; 8] = [
    Purged::simple("job_actions"),
    Purged::simple("user_credentials"),
    Purged {
        table: "jobs",
        condition: "",
        children: &[("job_actions", "job_id"), ("user_credentials", "job_id")],
    },
    Purged {
        table: "actions",
        condition: " AND NOT EXISTS (SELECT 1 FROM job_actions ja WHERE ja.action_id = t.id)",
        children: &[],
    },
    Purged::simple("sessions"),
    Purged::simple("backups"),
    Purged::simple("clients"),
    Purged::simple("action_reports"),
];

impl Purged {
    const fn simple(table: &'static str) -> Purged {
        Purged {
            table,
            condition: "",
            children: &[],
        }
    }

    /// `FROM … WHERE …` with the age as its argument.
    fn rows_that_go(&self) -> String {
        format!(
            "FROM {} t WHERE t.deleted = TRUE AND COALESCE(t.deleted_at, t.updated_at, t.created_at) < ?{}",
            self.table, self.condition
        )
    }
}

/// How many rows of a table are, or were, removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgedRows {
    /// The table.
    pub table: &'static str,
    /// Its rows, without those of other tables that go with them.
    pub rows: u64,
}

impl Store {
    /// How many rows have been marked as deleted for at least `age`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn purgeable(&self, age: Duration) -> Result<Vec<PurgedRows>, StoreError> {
        let before = self.time_before(age).await?;
        let mut all = Vec::new();
        for purged in &PURGED {
            all.push(PurgedRows {
                table: purged.table,
                rows: self.count_purgeable(purged, before).await?,
            });
        }
        for unused in &OF_CLIENTS {
            all.push(PurgedRows {
                table: unused.table,
                rows: self.count_unused(unused).await?,
            });
        }
        Ok(all)
    }

    /// Removes the rows that have been marked as deleted for at least `age`, in transactions of `batch` rows, so that nobody
    /// has to wait for long.
    ///
    /// # Errors
    /// [`StoreError`]. What was removed stays removed; another call continues.
    pub async fn purge(
        &self,
        age: Duration,
        batch: u32,
        progress: ProgressCallback<'_>,
    ) -> Result<Vec<PurgedRows>, StoreError> {
        let before = self.time_before(age).await?;
        let mut all = Vec::new();
        for purged in &PURGED {
            let total = self.count_purgeable(purged, before).await?;
            let mut last = Some(String::new());
            let mut rows = 0;
            while let Some(after) = last {
                let ids = self.purge_batch(purged, before, &after, batch).await?;
                rows += ids.len() as u64;
                last = ids.into_iter().next_back();
                if last.is_some() {
                    progress(Progress::Rows {
                        what: purged.table,
                        done: rows,
                        total,
                    });
                }
            }
            all.push(PurgedRows {
                table: purged.table,
                rows,
            });
        }
        for unused in &OF_CLIENTS {
            all.push(PurgedRows {
                table: unused.table,
                rows: self.purge_unused(unused, batch, progress).await?,
            });
        }
        Ok(all)
    }

    /// A time so long ago by our clock and the database server's: one that is ahead would remove what was deleted today.
    async fn time_before(&self, age: Duration) -> Result<OffsetDateTime, StoreError> {
        let now = OffsetDateTime::from_unix_timestamp(self.earlier_time().await?);
        Ok(now.unwrap_or(OffsetDateTime::UNIX_EPOCH) - age)
    }

    async fn count_unused(&self, unused: &OfClients) -> Result<u64, StoreError> {
        let OfClients { table, condition } = unused;
        let query = format!("SELECT COUNT(*) FROM {table} WHERE {condition}");
        let mut tx = self.open().await?;
        tx.session.count(sql(query)).await
    }

    /// Removes the rows of names that no client has any more. Of a registration a row holds nothing but a lock: one that waits for
    /// a row that goes inserts it anew.
    async fn purge_unused(
        &self,
        unused: &OfClients,
        batch: u32,
        progress: ProgressCallback<'_>,
    ) -> Result<u64, StoreError> {
        let OfClients { table, condition } = unused;
        let query = format!("SELECT client_id FROM {table} WHERE {condition} LIMIT {batch}");
        let total = self.count_unused(unused).await?;
        let mut rows = 0;
        loop {
            let removed = self
                .write("purging names of clients", async |tx| {
                    let names: Vec<(String,)> = tx.session.fetch_all(sql(query.clone())).await?;
                    if names.is_empty() {
                        return Ok::<_, StoreError>(0);
                    }
                    let list = placeholders(names.len());
                    let delete =
                        format!("DELETE FROM {table} WHERE client_id IN ({list}) AND {condition}");
                    let names = names.iter().map(|(name,)| name);
                    tx.session.execute(sql(delete).bind_all(names)).await
                })
                .await?;
            if removed == 0 {
                return Ok(rows);
            }
            rows += removed;
            progress(Progress::Rows {
                what: table,
                done: rows,
                total,
            });
        }
    }

    async fn count_purgeable(
        &self,
        purged: &Purged,
        before: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let query = format!("SELECT COUNT(*) {}", purged.rows_that_go());
        let mut tx = self.open().await?;
        tx.session.count(sql(query).bind(before)).await
    }

    /// The ids of the removed rows. In the order of the primary key, so that no row is looked at twice.
    async fn purge_batch(
        &self,
        purged: &Purged,
        before: OffsetDateTime,
        after: &str,
        batch: u32,
    ) -> Result<Vec<String>, StoreError> {
        let query = format!(
            "SELECT t.id {} AND t.id > ? ORDER BY t.id LIMIT {batch}",
            purged.rows_that_go()
        );
        self.write("purging deleted rows", async |tx| {
            let found = sql(query.clone()).bind(before).bind(after);
            let ids: Vec<(String,)> = tx.session.fetch_all(found).await?;
            let ids: Vec<String> = ids.into_iter().map(|(id,)| id).collect();
            if !ids.is_empty() {
                let own = [(purged.table, "id")];
                for (table, column) in purged.children.iter().chain(&own) {
                    let list = placeholders(ids.len());
                    let delete = format!("DELETE FROM {table} WHERE {column} IN ({list})");
                    tx.session.execute(sql(delete).bind_all(&ids)).await?;
                }
            }
            Ok(ids)
        })
        .await
    }
}
