//! Settings of a server with which we cannot work, or not with all texts, told before anything is changed.

use super::statement::{placeholders, sql};
use super::tables::TABLES;
use super::{Engine, Store, StoreError, Tx};

impl Tx {
    /// The time by the clock that is behind, ours or the database server's, in seconds since 1970: what is removed because it is old is
    /// old by both. SQLite's is ours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn earlier_time(&mut self) -> Result<i64, StoreError> {
        let now = self.now().unix_timestamp();
        let query = match self.engine() {
            Engine::MySql => "SELECT CAST(UNIX_TIMESTAMP() AS SIGNED)",
            Engine::Postgres => "SELECT CAST(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) AS BIGINT)",
            Engine::Sqlite => return Ok(now),
        };
        let rows: Vec<(i64,)> = self.session.fetch_all(sql(query)).await?;
        Ok(rows.into_iter().fold(now, |now, (server,)| now.min(server)))
    }
}

impl Store {
    /// [`Tx::earlier_time`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn earlier_time(&self) -> Result<i64, StoreError> {
        let read = async |tx: &mut Tx| tx.earlier_time().await;
        self.read("asking for the server's time", read).await
    }

    /// Makes sure that the server can do what we need: that MySQL or MariaDB is not too old, has room in its keys, and does not write
    /// its binary log by statements (each write of a READ COMMITTED transaction would be error 1665).
    ///
    /// # Errors
    /// [`StoreError::Settings`], or a query failed.
    pub async fn check_settings(&self) -> Result<(), StoreError> {
        if self.engine() != Engine::MySql {
            return Ok(());
        }
        let session = &mut self.open().await?.session;
        let query = "SELECT VERSION(), CAST(@@log_bin AS SIGNED), CAST(@@binlog_format AS CHAR)";
        let rows: Vec<(String, i64, String)> = session.fetch_all(sql(query)).await?;
        // Newer servers do not have these variables.
        let query = "SHOW GLOBAL VARIABLES WHERE variable_name IN ('innodb_large_prefix', 'innodb_file_format')";
        let keys: Vec<(String, String)> = session.fetch_all(sql(query)).await?;
        let keys_are_short = keys
            .iter()
            .any(|(_, value)| value == "OFF" || value == "Antelope");
        let problem = rows.first().and_then(|(version, log, format)| {
            if is_too_old(version) {
                Some(format!(
                    "the server is version {version}; MySQL 5.7.8 or MariaDB 10.2.3 is the oldest that has what the tables need \
                     (indexes of generated columns)"
                ))
            } else if keys_are_short {
                Some(
                    "the server limits keys to 767 bytes, too short for ids of 255 characters; set innodb_large_prefix to ON and \
                     innodb_file_format to Barracuda, which are the defaults"
                        .to_owned(),
                )
            } else if *log == 1 && format == "STATEMENT" {
                Some(
                    "the server writes its binary log by statements (binlog_format = STATEMENT), so it refuses the changes of \
                     READ COMMITTED transactions; set binlog_format to MIXED, which is MariaDB's default, or to ROW"
                        .to_owned(),
                )
            } else {
                None
            }
        });
        problem.map_or(Ok(()), |problem| Err(StoreError::Settings(problem)))
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
        Ok(found.first().map(|(place, encoding)| match encoding.as_str() {
            "SQL_ASCII" => format!(
                "{place} has no encoding (SQL_ASCII), so other programs can store texts in it that are not UTF-8: requests that \
                 meet one are refused with 400. To keep them out, {remedy}"
            ),
            _ => format!(
                "{place} has the encoding {encoding}, which does not have all characters: requests with others are refused \
                 with 400. To take them all, {remedy}"
            ),
        }))
    }
}

/// Whether a version, as the server's `VERSION()` writes it, is older than all that we can work with. What is not understood is not.
fn is_too_old(version: &str) -> bool {
    let oldest = if version.contains("MariaDB") {
        [10, 2, 3]
    } else {
        [5, 7, 8]
    };
    let numbers = version.split(|character: char| !character.is_ascii_digit());
    let mut numbers = numbers.map_while(|number| number.parse::<u32>().ok());
    match [numbers.next(), numbers.next(), numbers.next()] {
        [Some(major), Some(minor), Some(patch)] => [major, minor, patch] < oldest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_too_old;

    #[test]
    fn versions_of_both_kinds_are_compared() {
        for version in [
            "5.6.24",
            "5.7.7-rc-log",
            "5.5.68-MariaDB",
            "10.2.2-MariaDB",
            "10.1.48-MariaDB-1~jessie",
        ] {
            assert!(is_too_old(version), "{version}");
        }
        for version in [
            "5.7.8",
            "5.7.44-log",
            "8.0.36-28.1",
            "8.4.3",
            "9.1.0",
            "10.2.3-MariaDB",
            "11.4.5-MariaDB-ubu2404",
            "8.0.0-dolt",
            "unknown",
        ] {
            assert!(!is_too_old(version), "{version}");
        }
    }
}
