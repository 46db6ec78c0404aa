//! The specification's `backups.client_id`, which later layouts do not have: it goes into the backup's metadata, where the
//! agents write it and the API shows it.

use serde_json::Value;

use super::super::statement::sql;
use super::super::{Engine, StoreError};
use super::runner::Runner;
use super::{MigrateError, Progress};

/// How many backups one transaction changes.
const BATCH: u64 = 500;

/// A row of `backups`, as far as it matters here.
#[derive(sqlx::FromRow)]
struct Backup {
    id: String,
    client_id: String,
    backup_metadata: Option<String>,
}

impl Runner<'_> {
    /// Moves the client of all backups, deleted ones too. The column is emptied together with it, so that a migration that
    /// was killed goes on with the next.
    pub(super) async fn keep_backup_clients(&mut self) -> Result<(), MigrateError> {
        let count = "SELECT COUNT(*) FROM backups WHERE client_id <> ''";
        let counted: Vec<(i64,)> = self.session.fetch_all(sql(count)).await?;
        let total = counted.first().map_or(0, |(total,)| total.unsigned_abs());
        let mut done = 0;
        loop {
            let backups = self.keep_batch().await?;
            if backups == 0 {
                return Ok(());
            }
            done += backups;
            self.tell(Progress::Rows {
                what: "backups",
                done,
                total,
            });
            self.done();
        }
    }

    /// The other engines have a transaction around the whole revision.
    async fn keep_batch(&mut self) -> Result<u64, StoreError> {
        if self.session.engine() == Engine::MySql {
            self.session.begin().await?;
        }
        let query = "SELECT id, client_id, backup_metadata FROM backups WHERE client_id <> '' ORDER BY id LIMIT ";
        let backups: Vec<Backup> = self
            .session
            .fetch_all(sql(format!("{query}{BATCH}")))
            .await?;
        for backup in &backups {
            let metadata = match with_client(backup) {
                Ok(metadata) => Some(metadata),
                Err(reason) => {
                    self.keep(
                        "backups",
                        &backup.id,
                        "client_id",
                        -1,
                        &backup.client_id,
                        reason,
                    )
                    .await?;
                    backup.backup_metadata.clone()
                }
            };
            let update = sql("UPDATE backups SET backup_metadata = ?, client_id = '' WHERE id = ?")
                .bind(&metadata)
                .bind(&backup.id);
            self.session.execute(update).await?;
        }
        if self.session.engine() == Engine::MySql {
            self.session.commit().await?;
        }
        Ok(backups.len() as u64)
    }
}

/// The metadata with the client in it, or why it cannot be.
fn with_client(backup: &Backup) -> Result<String, &'static str> {
    let text = backup.backup_metadata.as_deref().unwrap_or("{}");
    let Ok(Value::Object(mut metadata)) = serde_json::from_str(text) else {
        return Err("the backup's metadata is no JSON object that could take its client");
    };
    match metadata.get("client_id") {
        Some(client) if client == backup.client_id.as_str() => Ok(text.to_owned()),
        Some(Value::Null) | None => {
            metadata.insert("client_id".to_owned(), backup.client_id.clone().into());
            Ok(Value::Object(metadata).to_string())
        }
        Some(_) => Err("the backup's metadata names another client"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(metadata: Option<&str>) -> Result<String, &'static str> {
        with_client(&Backup {
            id: "b".to_owned(),
            client_id: "node1".to_owned(),
            backup_metadata: metadata.map(str::to_owned),
        })
    }

    #[test]
    fn the_client_joins_the_metadata() {
        assert_eq!(moved(None).unwrap(), r#"{"client_id":"node1"}"#);
        assert_eq!(
            moved(Some(r#"{"b": 1, "a": "ü"}"#)).unwrap(),
            r#"{"b":1,"a":"ü","client_id":"node1"}"#
        );
        let same = r#"{ "client_id": "node1" }"#;
        assert_eq!(moved(Some(same)).unwrap(), same);
    }

    #[test]
    fn another_client_or_no_object_stays() {
        assert!(moved(Some(r#"{"client_id": "node2"}"#)).is_err());
        assert!(moved(Some("[]")).is_err());
        assert!(moved(Some("{")).is_err());
    }
}
