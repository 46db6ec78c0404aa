//! What each error code of the three engines means for the work and for its connection.
//!
//! | class | the work | the connection | MySQL, MariaDB, Galera | PostgreSQL | SQLite |
//! |---|---|---|---|---|---|
//! | [`Busy`]: rivals, for the moment | is tried again for a time, then 503 | is kept | 1205 lock wait, 1213 deadlock and certification, 1020, 1412, 1614, 1637, 1689, 3101, 3572; too many connections: 1040, 1203, 1226 | 40000, 40001, 40P01, 55P03; 53300 too many connections | 5 BUSY, 6 LOCKED |
//! | [`Lost`]: the server cannot be used over this connection | is tried again a dozen times on other ones, then 503 | is closed, and all of the pool that are older | 1047 node not ready, 1053 shutdown, 1079, 1927 killed, 3169, 4031, broken connections 1152, 1158 to 1161, 1184; read-only: 1290, 1792, 1836; prepared statements: 1243, 1461, 1615 | 57P01 to 57P05, 08xxx, 25P03, 25P04; read-only: 25006; prepared statements: 26000 | 8 READONLY |
//! | [`Unavailable`]: not now | 503 | is kept | cancelled: 1317, 1969, 3024; full: 3, 20, 1021, 1026, 1030, 1037, 1038, 1041, 1114, 1135, 1206, 1878; at commit: 1180, 1181, 3100 | cancelled: 57014; full: 53xxx, 58xxx; 40003 | 7 NOMEM, 9 INTERRUPT, 10 IOERR, 13 FULL, 14 CANTOPEN, 15 PROTOCOL |
//! | [`Fault`]: ours, or the tables' | 500 | is kept | all others | all others | all others |
//!
//! Extended codes of SQLite go with their primary code. When COMMIT fails otherwise than by [`Busy`], or without an answer,
//! nobody knows whether the work is done: it is not tried again, the answer is 503, and the connection is closed. A
//! statement without an answer in time is [`StoreError::QueryTimeout`](super::StoreError::QueryTimeout): 503, not tried
//! again, and its connection is closed at once, without ROLLBACK.
//!
//! [`Busy`]: Failure::Busy
//! [`Lost`]: Failure::Lost
//! [`Unavailable`]: Failure::Unavailable
//! [`Fault`]: Failure::Fault

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// The plugin by which the server wants to identify the account, where the driver does not have it. It tells it by this text
/// alone.
pub(super) fn unknown_plugin(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Protocol(text) if text.starts_with("mysql_cleartext_plugin disabled") => {
            Some("mysql_clear_password")
        }
        sqlx::Error::Protocol(text) => text
            .strip_prefix("unknown authentication plugin: ")?
            .split(' ')
            .next(),
        _ => None,
    }
}

/// Whether the server wants the password encrypted by its RSA key, since the connection has no TLS. The driver, which is built without
/// RSA, tells it by this text alone.
pub(super) fn needs_tls(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(reason) if reason.to_string().starts_with("RSA auth backend disabled"))
}

/// What is wrong with a server's certificate that OpenSSL, and with it the Python service, would take. The libraries tell it by these
/// words alone.
pub(super) fn refused_certificate(error: &sqlx::Error) -> Option<&'static str> {
    let text = error.to_string();
    if text.contains("CaUsedAsEndEntity") {
        Some(
            "it is a certificate of an authority (CA:TRUE), as `openssl req -x509` makes them; give the server one that an authority has \
             signed, or make its own with `-addext basicConstraints=critical,CA:FALSE`",
        )
    } else if text.contains("UnsupportedCertVersion") {
        Some(
            "it is of version 1, as `openssl x509 -req` makes them without extensions; sign it again with an `-extfile` that has \
             `basicConstraints=CA:FALSE` and its names in `subjectAltName`",
        )
    } else {
        None
    }
}

/// Whether a pooler has refused a connection for a parameter that only the server itself would understand. It tells it by its text
/// alone.
pub(super) fn is_refused_parameter(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.message().starts_with("unsupported startup parameter"))
}

/// Whether a text of ours has characters that the encoding of the database, or of a column, does not have: MySQL's
/// ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, of which only texts remain, since all else is bound as what it is, and PostgreSQL's
/// `untranslatable_character`. Or whether a stored text is not UTF-8, which a database without an encoding (SQL_ASCII) takes from other
/// programs: PostgreSQL's `character_not_in_repertoire`.
pub(super) fn is_unencodable(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return error.number() == 1366;
    }
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    postgres.is_some_and(|error| matches!(error.code(), "22P05" | "22021"))
}

/// Whether a server of MySQL's kind does not have what was asked for: ER_UNKNOWN_ERROR, with which Percona XtraDB Cluster refuses what
/// its strict mode does not allow, and ER_NOT_SUPPORTED_YET, MariaDB's word for the same.
pub(super) fn is_unsupported(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| matches!(error.number(), 1105 | 1235))
}

/// Whether a table of MySQL's kind does not have the index that a statement names: ER_KEY_DOES_NOT_EXITS.
pub(super) fn is_missing_index(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| error.number() == 1176)
}

/// The class of a failure; the table is the module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another was faster, or holds what we need: locks, deadlocks, connections. Another try can succeed.
    Busy,
    /// The connection is gone, or leads to a server that is stopping, not ready or read-only.
    Lost,
    /// The database works, but not for this statement now: cancelled, out of space or memory.
    Unavailable,
    /// Another try would fail too.
    Fault,
}

impl Failure {
    /// The class of an error.
    pub(super) fn of(error: &sqlx::Error) -> Failure {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Failure::Lost
            }
            sqlx::Error::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                    Failure::of_mysql(error.number())
                } else if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    Failure::of_postgres(error.code())
                } else if error.try_downcast_ref::<SqliteError>().is_some() {
                    Failure::of_sqlite(error.code().as_deref().unwrap_or_default())
                } else {
                    Failure::Fault
                }
            }
            _ => Failure::Fault,
        }
    }

    fn of_mysql(number: u16) -> Failure {
        match number {
            1020 | 1040 | 1203 | 1205 | 1213 | 1226 | 1412 | 1614 | 1637 | 1689 | 3101 | 3572 => {
                Failure::Busy
            }
            1047
            | 1053
            | 1079
            | 1152
            | 1158..=1161
            | 1184
            | 1243
            | 1290
            | 1461
            | 1615
            | 1792
            | 1836
            | 1927
            | 3169
            | 4031 => Failure::Lost,
            3 | 20 | 1021 | 1026 | 1030 | 1037 | 1038 | 1041 | 1114 | 1135 | 1180 | 1181 | 1206
            | 1317 | 1878 | 1969 | 3024 | 3100 => Failure::Unavailable,
            _ => Failure::Fault,
        }
    }

    fn of_postgres(code: &str) -> Failure {
        match code {
            "40000" | "40001" | "40P01" | "53300" | "55P03" => Failure::Busy,
            "25006" | "25P03" | "25P04" | "26000" | "57P01" | "57P02" | "57P03" | "57P04"
            | "57P05" => Failure::Lost,
            "40003" | "57014" => Failure::Unavailable,
            _ => match code.get(..2) {
                Some("08") => Failure::Lost,
                Some("53" | "58") => Failure::Unavailable,
                _ => Failure::Fault,
            },
        }
    }

    fn of_sqlite(code: &str) -> Failure {
        match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(5 | 6) => Failure::Busy,
            Ok(8) => Failure::Lost,
            Ok(7 | 9 | 10 | 13 | 14 | 15) => Failure::Unavailable,
            _ => Failure::Fault,
        }
    }
}

#[cfg(test)]
mod tests;
