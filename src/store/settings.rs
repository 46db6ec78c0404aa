//! Settings of a server with which we cannot work, told before anything is changed.

use super::statement::sql;
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
}
