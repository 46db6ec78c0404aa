//! Columns of backups that later layouts do not have: the specification's `client_id`, and `user_name` of all layouts up to
//! revision 4f8c679a1d3b. They go into the backup's metadata, where the agents write the client and the API shows it. So does
//! the specification's `job_id`, which stays a column too.

use serde_json::Value;

use super::catalog::Catalog;
use super::runner::Runner;
use super::{MigrateError, Progress};
use crate::store::rows::impl_from_row;
use crate::store::statement::{placeholders, sql};
use crate::store::{Engine, StoreError};

/// How many backups one transaction changes.
const BATCH: u64 = 500;
/// How many rows one statement changes. With texts of 64 KiB that stays below every server's packet limit.
const UPDATE: usize = 50;
/// What MySQL's TEXT takes, in bytes.
const TEXT_LIMIT: usize = 65_535;

/// The columns that are removed. One that is empty in all rows is done.
const LEAVING: [&str; 2] = ["client_id", "user_name"];

/// A row of `backups`, as far as it matters here; a column that the table does not have is empty.
struct Backup {
    id: String,
    job_id: Option<String>,
    backup_metadata: Option<String>,
    client_id: String,
    user_name: String,
}

impl_from_row!(Backup {
    id,
    job_id,
    backup_metadata,
    client_id,
    user_name
});

impl Backup {
    /// The members that the metadata is to have.
    fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        // Only the specification's layout has a client, and in all others the job is in the metadata.
        let job_id = self
            .job_id
            .as_deref()
            .filter(|_| !self.client_id.is_empty());
        [
            ("client_id", Some(self.client_id.as_str())),
            ("job_id", job_id),
            ("user_name", Some(&self.user_name)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
    }
}

impl Runner<'_> {
    /// Moves the leaving columns of all backups, deleted ones too. They are emptied together with it, so that a migration
    /// that was killed continues with the next.
    pub(super) async fn keep_backup_columns(
        &mut self,
        catalog: &Catalog,
    ) -> Result<(), MigrateError> {
        let leaving: Vec<&str> = LEAVING
            .into_iter()
            .filter(|column| catalog.has_column("backups", column))
            .collect();
        let left: Vec<String> = leaving
            .iter()
            .map(|column| format!("{column} <> ''"))
            .collect();
        let condition = format!("({})", left.join(" OR "));
        let count = format!("SELECT COUNT(*) FROM backups WHERE {condition}");
        let total = self.session.count(sql(count)).await?;
        let (mut done, mut last) = (0, None);
        while let Some(id) = self
            .keep_batch(&leaving, &condition, last.as_deref())
            .await?
        {
            last = Some(id);
            done = (done + BATCH).min(total);
            self.tell(Progress::Rows {
                what: "backups",
                done,
                total,
            });
            self.done();
        }
        Ok(())
    }

    /// Moves those behind an id, or the first; the last of them. The other engines have a transaction around the whole revision.
    async fn keep_batch(
        &mut self,
        leaving: &[&str],
        condition: &str,
        last: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        if self.session.engine() == Engine::MySql {
            self.session.begin().await?;
        }
        let behind = last.map_or("", |_| "id > ? AND ");
        let query = format!(
            "SELECT id, job_id, backup_metadata, {} FROM backups WHERE {behind}{condition} ORDER BY id LIMIT {BATCH}",
            selected(leaving)
        );
        let backups: Vec<Backup> = self.session.fetch_all(sql(query).bind_all(last)).await?;
        let emptied: String = leaving
            .iter()
            .map(|column| format!(", {column} = ''"))
            .collect();
        for backups in backups.chunks(UPDATE) {
            let mut metadata = Vec::with_capacity(backups.len());
            for backup in backups {
                metadata.push(self.keep_columns(backup).await?);
            }
            let whens = " WHEN ? THEN ?".repeat(backups.len());
            let ids = placeholders(backups.len());
            let mut update = sql(format!(
                "UPDATE backups SET backup_metadata = CASE id{whens} ELSE backup_metadata END{emptied} WHERE id IN ({ids})"
            ));
            for (backup, metadata) in backups.iter().zip(&metadata) {
                update = update.bind(&backup.id).bind(metadata);
            }
            let update = update.bind_all(backups.iter().map(|backup| &backup.id));
            self.session.execute(update).await?;
        }
        if self.session.engine() == Engine::MySql {
            self.session.commit().await?;
        }
        Ok(backups.into_iter().next_back().map(|backup| backup.id))
    }

    /// The metadata with the values of the leaving columns; a value that does not fit is kept in `freezer_api_leftovers`.
    async fn keep_columns(&mut self, backup: &Backup) -> Result<Option<String>, StoreError> {
        let mut metadata = backup.backup_metadata.clone();
        for (column, value) in backup.members() {
            match with_member(metadata.as_deref().unwrap_or("{}"), column, value) {
                Ok(joined) => metadata = Some(joined),
                Err(reason) if LEAVING.contains(&column) => {
                    self.keep("backups", &backup.id, column, -1, value, reason)
                        .await?;
                }
                // A column that stays has the value still.
                Err(_) => {}
            }
        }
        Ok(metadata)
    }
}

/// The leaving columns as a query reads them, empty where the table does not have them.
fn selected(leaving: &[&str]) -> String {
    let columns = LEAVING.map(|column| {
        if leaving.contains(&column) {
            format!("COALESCE({column}, '') AS {column}")
        } else {
            format!("'' AS {column}")
        }
    });
    columns.join(", ")
}

/// The metadata with one more member, or why they cannot have it. The rest of the text stays as it is, numbers that Rust
/// would format differently for instance, unless it replaces a null.
pub(crate) fn with_member(text: &str, key: &str, value: &str) -> Result<String, &'static str> {
    let Ok(Value::Object(mut metadata)) = serde_json::from_str(text) else {
        return Err("the backup's metadata is not a JSON object that could hold it");
    };
    let joined = match (metadata.get(key), text.trim_end().strip_suffix('}')) {
        (Some(found), _) if found == value => return Ok(text.to_owned()),
        (None, Some(members)) => {
            let comma = if metadata.is_empty() { "" } else { ", " };
            format!("{members}{comma}\"{key}\": {}}}", Value::from(value))
        }
        (Some(Value::Null), _) => {
            metadata.insert(key.to_owned(), value.into());
            Value::Object(metadata).to_string()
        }
        _ => return Err("the backup's metadata has another value in its place"),
    };
    match joined.len() {
        ..=TEXT_LIMIT => Ok(joined),
        _ => Err("the backup's metadata would be too long with it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_joins_the_metadata() {
        let joined = |text| with_member(text, "client_id", "nöde \"1\"").unwrap();
        assert_eq!(joined("{}"), r#"{"client_id": "nöde \"1\""}"#);
        assert_eq!(
            joined("{\"b\": 1.00, \"a\": 18446744073709551616 } \n"),
            r#"{"b": 1.00, "a": 18446744073709551616 , "client_id": "nöde \"1\""}"#
        );
        assert_eq!(
            joined(r#"{"b": 1, "client_id": null, "a": []}"#),
            r#"{"b":1,"client_id":"nöde \"1\"","a":[]}"#
        );
        let same = "{ \"client_id\": \"nöde \\\"1\\\"\" } ";
        assert_eq!(joined(same), same);
    }

    #[test]
    fn what_metadata_cannot_take_is_refused() {
        for text in [
            r#"{"client_id": "node2"}"#,
            r#"{"client_id": ""}"#,
            "[]",
            "{",
            "null",
        ] {
            assert!(with_member(text, "client_id", "node1").is_err(), "{text}");
        }
        let large = |length| format!("{{\"a\": \"{}\"}}", "x".repeat(length - 9));
        let added = r#", "k": "v""#.len();
        assert!(with_member(&large(TEXT_LIMIT - added), "k", "v").is_ok());
        assert!(with_member(&large(TEXT_LIMIT - added + 1), "k", "v").is_err());
    }
}
