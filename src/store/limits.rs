//! The time limits that the databases themselves keep.
//!
//! They are below our own, so that a statement that we give up has ended in the database too: closing a connection ends none.
//! Ours then is for servers that do not answer at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{MySqlConnection, PgConnection, SqliteConnection};

use super::Engine;

/// The longest wait for a lock. Longer waits end with the statement's limit anyway, when nothing can be tried again.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(10);
/// SQLite looks whether its statement is abandoned after this many steps of its machine: some microseconds.
const STEPS: i32 = 1000;

/// How long the database lets a statement run, and wait for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    statement: Duration,
    pub(super) lock: Duration,
}

impl Limits {
    /// Nine tenths and, where `lock` is not given, a third of the time that we wait ourselves.
    pub(super) fn below(limit: Duration, lock: Option<Duration>) -> Limits {
        Limits {
            statement: limit.mul_f64(0.9),
            lock: lock.unwrap_or_else(|| (limit / 3).min(MAX_LOCK_WAIT)),
        }
    }

    /// MariaDB ends any statement, MySQL only those that read. Locks have whole seconds.
    pub(super) fn mysql(self) -> String {
        let lock = self.lock.as_secs().max(1);
        let seconds = self.statement.as_secs_f64();
        let milliseconds = self.statement.as_millis();
        format!(
            "SET SESSION innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock} \
             /*M!100101 , max_statement_time = {seconds:.3} */ /*!80000 , max_execution_time = {milliseconds} */"
        )
    }

    /// The limits for a session; `None` where the URL sets all of them. PostgreSQL 14 and newer also look whether the client is
    /// still there.
    pub(super) fn postgres(self, settings: &[(String, String)]) -> Option<String> {
        let interval = ("client_connection_check_interval", 1000);
        let ours = self.beside(settings).chain([interval]);
        let values: Vec<String> = ours
            .filter(|(name, _)| !is_set(settings, name))
            .map(|(name, value)| format!("('{name}', '{value}')"))
            .collect();
        (!values.is_empty()).then(|| {
            format!(
                "SELECT set_config(known.name, wanted.value, false) \
                 FROM pg_settings known JOIN (VALUES {}) wanted (name, value) ON known.name = wanted.name",
                values.join(", ")
            )
        })
    }

    /// The limits and the settings of the URL for a transaction.
    pub(super) fn postgres_transaction(self, settings: &[(String, String)]) -> String {
        let set = |name: &str, value: &str| {
            let value = value.replace('\'', "''");
            format!("set_config('{name}', '{value}', true)")
        };
        let theirs = settings.iter().map(|(name, value)| set(name, value));
        let ours = self
            .beside(settings)
            .map(|(name, value)| set(name, &value.to_string()));
        let all: Vec<String> = theirs.chain(ours).collect();
        format!("SELECT {}", all.join(", "))
    }

    /// Those that the URL does not set.
    fn beside(self, settings: &[(String, String)]) -> impl Iterator<Item = (&'static str, u128)> {
        let ours = [
            ("statement_timeout", self.statement.as_millis()),
            ("lock_timeout", self.lock.as_millis()),
        ];
        ours.into_iter().filter(|(name, _)| !is_set(settings, name))
    }
}

fn is_set(settings: &[(String, String)], name: &str) -> bool {
    settings.iter().any(|(theirs, _)| theirs == name)
}

/// What takes the limits from a connection that is for a migration; behind a pooler, from a transaction.
pub(super) fn lift(engine: Engine, is_pooled: bool) -> Option<&'static str> {
    match engine {
        Engine::MySql => Some(
            "SET SESSION innodb_lock_wait_timeout = DEFAULT, lock_wait_timeout = DEFAULT \
             /*M!100101 , max_statement_time = 0 */ /*!80000 , max_execution_time = 0 */",
        ),
        Engine::Postgres if is_pooled => {
            Some("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        }
        Engine::Postgres => Some("SET statement_timeout = 0; SET lock_timeout = 0"),
        Engine::Sqlite => None,
    }
}

/// Ends a statement that nobody waits for any more, where no server does it.
pub(super) trait Interrupt {
    /// From when `abandoned` is set, statements end.
    fn interrupt_when(
        &mut self,
        abandoned: &Arc<AtomicBool>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

impl Interrupt for SqliteConnection {
    async fn interrupt_when(&mut self, abandoned: &Arc<AtomicBool>) -> sqlx::Result<()> {
        let abandoned = Arc::clone(abandoned);
        let goes_on = move || !abandoned.load(Ordering::Relaxed);
        self.lock_handle()
            .await?
            .set_progress_handler(STEPS, goes_on);
        Ok(())
    }
}

impl Interrupt for MySqlConnection {
    async fn interrupt_when(&mut self, _: &Arc<AtomicBool>) -> sqlx::Result<()> {
        Ok(())
    }
}

impl Interrupt for PgConnection {
    async fn interrupt_when(&mut self, _: &Arc<AtomicBool>) -> sqlx::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_sets_stays() {
        let limits = Limits::below(Duration::from_secs(30), None);
        let setting = |name: &str| (name.to_owned(), "0".to_owned());
        let text = limits.postgres(&[]).unwrap();
        assert!(text.contains("('statement_timeout', '27000')"), "{text}");
        let text = limits.postgres(&[setting("statement_timeout")]).unwrap();
        assert!(
            !text.contains("statement_timeout") && text.contains("lock_timeout"),
            "{text}"
        );
        let all = [
            "statement_timeout",
            "lock_timeout",
            "client_connection_check_interval",
        ]
        .map(setting);
        assert_eq!(limits.postgres(&all), None);
        let path = ("search_path".to_owned(), "it's".to_owned());
        assert_eq!(
            limits.postgres_transaction(&[path, setting("lock_timeout")]),
            "SELECT set_config('search_path', 'it''s', true), set_config('lock_timeout', '0', true), \
             set_config('statement_timeout', '27000', true)"
        );
    }
}
