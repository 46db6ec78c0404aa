//! Settings of a server with which we cannot work, or not with all texts, told before anything is changed.

use super::statement::{placeholders, sql};
use super::tables::TABLES;
use super::{Engine, Store, StoreError};

impl Store {
    /// Makes sure that the server can do what we need. MySQL and MariaDB refuse each write of a READ COMMITTED transaction
    /// (error 1665) when they write their binary log by statements.
    ///
    /// # Errors
    /// [`StoreError::Settings`], or the query failed.
    pub async fn check_settings(&self) -> Result<(), StoreError> {
        if self.engine() != Engine::MySql {
            return Ok(());
        }
        let query = "SELECT CAST(@@log_bin AS SIGNED), CAST(@@binlog_format AS CHAR)";
        let rows: Vec<(i64, String)> = self.open().await?.session.fetch_all(sql(query)).await?;
        match rows.first() {
            Some((1, format)) if format == "STATEMENT" => Err(StoreError::Settings(
                "the server writes its binary log by statements (binlog_format = STATEMENT), so it refuses the changes of \
                 READ COMMITTED transactions; set binlog_format to MIXED, which is MariaDB's default, or to ROW",
            )),
            _ => Ok(()),
        }
    }

    /// What the database cannot hold of Unicode, and what to do about it; `None` where it holds all. A request with such a text is
    /// refused.
    ///
    /// # Errors
    /// The query failed.
    pub async fn narrow_encoding(&self) -> Result<Option<String>, StoreError> {
        let session = &mut self.open().await?.session;
        let (query, remedy) = match self.engine() {
            Engine::Sqlite => return Ok(None),
            Engine::Postgres => (
                sql("SELECT 'the database', current_setting('server_encoding') WHERE current_setting('server_encoding') <> 'UTF8'"),
                "restore a dump of it into a database that is created with ENCODING 'UTF8'",
            ),
            Engine::MySql => (
                sql(format!(
                    "SELECT CONCAT(table_name, '.', column_name), character_set_name FROM information_schema.columns \
                     WHERE table_schema = DATABASE() AND character_set_name <> 'utf8mb4' AND table_name IN ({}) \
                     ORDER BY table_name, ordinal_position LIMIT 1",
                    placeholders(TABLES.len())
                ))
                .bind_all(TABLES.iter().map(|table| table.name)),
                "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            ),
        };
        let found: Vec<(String, String)> = session.fetch_all(query).await?;
        Ok(found.first().map(|(place, encoding)| {
            format!(
                "{place} has the encoding {encoding}, which does not have all characters: requests with others are refused \
                 with 400. To take them all, {remedy}"
            )
        }))
    }
}
