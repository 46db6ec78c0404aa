//! What the tests stand on: the real database servers, Keystone and Python that `./test` started, and our own
//! programs as processes. Nothing here imitates a server.

pub(crate) mod api;
pub(crate) mod authority;
pub(crate) mod choices;
pub(crate) mod cloud;
pub(crate) mod database;
pub(crate) mod disk;
pub(crate) mod galera;
pub(crate) mod keystone;
pub(crate) mod locks;
pub(crate) mod mariadb;
pub(crate) mod network;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rows;
pub(crate) mod statements;
pub(crate) mod tcp_proxy;

#[allow(unused_imports, reason = "not every test names them")]
pub(crate) use api::{Answer, PROJECT, START, Service};
pub(crate) use database::{Database, Engine, engines};

use std::env;

/// The environment variable by which `./test` hands over a server; `None` when it was not started.
pub(crate) fn provided(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// As [`provided`], for a test that is nothing without it. Such a test is marked `#[ignore]`, so that plain `cargo test`
/// counts it as ignored; `./test` runs those whose servers it has started.
///
/// # Panics
/// When it is missing.
pub(crate) fn needed(name: &str) -> String {
    provided(name).unwrap_or_else(|| panic!("this test needs {name}: ./test sets it"))
}

/// How often a test repeats what chance may decide: `FREEZER_TEST_ROUNDS` for the long forms whose figures stand in
/// docs/reliability.md.
pub(crate) fn rounds(short: usize) -> usize {
    provided("FREEZER_TEST_ROUNDS").map_or(short, |number| number.parse().unwrap())
}

/// Keystone's URL (`http://127.0.0.1:PORT/v3`) with the accounts that `tests/clients/keystone` seeds.
pub(crate) fn keystone_url() -> String {
    needed("FREEZER_TEST_KEYSTONE_URL")
}

/// The Python interpreter of the environment that `tests/requirements.txt` describes (with the reference and oslo.policy).
pub(crate) fn python() -> String {
    needed("FREEZER_TEST_PYTHON")
}

/// Makes one test an engine of each `async fn name(database: Database) { … }`: `name::sqlite`, `name::mariadb`,
/// `name::postgres`. Each gets a fresh, empty database, which is dropped afterwards. Those that need a server are ignored
/// unless they are asked for; with `needs "…":` in front, that is SQLite's too.
macro_rules! on_each_engine {
    (needs $needs:literal: $(async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        on_each_engine!(@tests $name $database $body [#[ignore = $needs]] [#[ignore = $needs]] [#[ignore = $needs]]);
    )+};
    ($(async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        on_each_engine!(@tests $name $database $body []
            [#[ignore = "needs MariaDB: ./test starts it"]] [#[ignore = "needs PostgreSQL: ./test starts it"]]);
    )+};
    (@tests $name:ident $database:ident $body:block
        [$($sqlite:tt)*] [$($mariadb:tt)*] [$($postgres:tt)*]) => {
        pub(crate) mod $name {
            #[allow(unused_imports)]
            use super::*;

            pub(crate) async fn body($database: $crate::support::Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $($sqlite)*
            async fn sqlite() {
                body($crate::support::Database::create($crate::support::Engine::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $($mariadb)*
            async fn mariadb() {
                body($crate::support::Database::create($crate::support::Engine::MySql).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $($postgres)*
            async fn postgres() {
                body($crate::support::Database::create($crate::support::Engine::Postgres).await).await;
            }
        }
    };
}
