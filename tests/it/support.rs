//! What the tests stand on: the real database servers, Keystone and Python that `./test` started, and our own
//! programs as processes. Nothing here imitates a server; what `./test` did not provide is skipped, or is a failure
//! where `FREEZER_TEST_REQUIRE` (or `CI=true`) says that it has to be there.

pub(crate) mod api;
pub(crate) mod cloud;
pub(crate) mod database;
pub(crate) mod keystone;
pub(crate) mod process;
pub(crate) mod rows;

#[allow(unused_imports, reason = "not every test names them")]
pub(crate) use api::{Answer, PROJECT, START, Service};
pub(crate) use database::{Database, Engine, engines};

use std::env;

/// The value of the environment variable `name` by which `./test` hands over the server `server` (`mysql`, `postgres`,
/// `keystone`, `python`); `None` when it was not started.
///
/// # Panics
/// When it is missing although `FREEZER_TEST_REQUIRE` (a comma-separated list) names it, or `CI` is `true`.
pub(crate) fn provided(server: &str, name: &str) -> Option<String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(
            !required(server),
            "{name} is not set, but this run requires {server}: start the tests by ./test"
        );
    }
    value
}

fn required(server: &str) -> bool {
    let listed = env::var("FREEZER_TEST_REQUIRE").unwrap_or_default();
    listed.split(',').any(|name| name.trim() == server)
        || env::var("CI").is_ok_and(|value| value == "true")
}

/// Keystone's URL (`http://127.0.0.1:PORT/v3`) with the accounts that `tests/clients/keystone` seeds, when it runs.
pub(crate) fn keystone_url() -> Option<String> {
    provided("keystone", "FREEZER_TEST_KEYSTONE_URL")
}

/// The Python interpreter of the environment that `tests/requirements.txt` describes (with the reference and oslo.policy).
pub(crate) fn python() -> Option<String> {
    provided("python", "FREEZER_TEST_PYTHON")
}

/// Makes one test an engine of each `async fn name(database: Database) { … }`: `name::sqlite`, `name::mariadb`,
/// `name::postgres`. Each gets a fresh, empty database, which is dropped afterwards.
macro_rules! on_each_engine {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($database: $crate::support::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn sqlite() {
                $crate::support::database::on($crate::support::Engine::Sqlite, body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn mariadb() {
                $crate::support::database::on($crate::support::Engine::MySql, body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $(#[$attribute])*
            async fn postgres() {
                $crate::support::database::on($crate::support::Engine::Postgres, body).await;
            }
        }
    )+};
}
