//! From `[database]` to a pool of connections.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, QueueMode, Timeouts};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Database, Postgres};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::connection::{Manager, Pooler, STATEMENT_CACHE, Server};
use super::failure::Failure;
use super::limits::{Interrupt, Limits};
use super::shares::Shares;
use super::tries::contended_limit;
use super::{Engine, Pool, Store, StoreError};
use crate::clock::{Clock, Ids};
use crate::config;
use crate::oslo::database_url::{DatabaseUrl, SslMode, TargetSession, Tls};

/// How long an answer may take where the URL has no `read_timeout`.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take where the URL has no `connect_timeout`.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a request waits for a connection where `pool_timeout` is not set.
const POOL_LIMIT: Duration = Duration::from_secs(30);
/// Connections to an SQLite file; it has one writer anyway, and each connection is a thread.
const SQLITE_CONNECTIONS: usize = 8;
/// Has a row on a node of a Galera cluster (MariaDB, Percona XtraDB Cluster).
const GALERA_CHECK: &str = "SHOW VARIABLES WHERE Variable_name = 'wsrep_on' AND Value = 'ON'";
/// A setting that a connection to PostgreSQL begins with.
const OUR_SETTING: (&str, &str) = ("freezer_api.connection", "direct");
/// Has a row where that did not reach the server.
const POOLER_CHECK: &str =
    "SELECT 1 WHERE current_setting('freezer_api.connection', true) IS DISTINCT FROM 'direct'";
/// Connections where the configuration has no limit.
const UNLIMITED: usize = 1000;
/// How long one statement of a maintenance command may take: a table of millions of rows is counted by one.
const MAINTENANCE_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How long a connection beyond `max_pool_size` is kept without being used.
const SPARE_LIMIT: Duration = Duration::from_secs(5);
/// How often such connections are looked for.
const SPARE_INTERVAL: Duration = Duration::from_secs(1);

impl Store {
    /// Opens the database that `[database]` names and makes sure that it answers. What may pass is tried again as often as
    /// `max_retries` says; a wrong password, an unknown database or a certificate that is not trusted is told at once.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] without an address, [`StoreError::Connect`].
    pub async fn connect(
        options: &config::Database,
        clock: Clock,
        ids: Ids,
    ) -> Result<Store, StoreError> {
        let url = options.connection.as_ref().ok_or_else(|| {
            StoreError::Unreachable("[database] connection is not set".to_owned())
        })?;
        check_files(url)?;
        let pool_limit = options.pool_timeout.unwrap_or(POOL_LIMIT);
        let statement_limit = url.read_timeout.unwrap_or(STATEMENT_LIMIT);
        let pool = open_pool(url, options, pool_limit)?;
        let shares = Shares::new(pool.size(), options.connections_per_caller as usize);
        let store = Store {
            pool,
            shares: Arc::new(shares),
            clock,
            ids,
            statement_limit,
            contended_limit: contended_limit(statement_limit),
            pool_limit,
            writer: Arc::new(Semaphore::new(1)),
            memory: None,
        };
        let mut retries = options.max_retries;
        loop {
            match store.open().await {
                Ok(_) => return Ok(store),
                Err(error) if retries == 0 || !may_pass(&error, url.engine) => return Err(error),
                Err(error) => {
                    tracing::warn!(
                        database = %url, %error, retry_in_s = options.retry_interval.as_secs_f64(),
                        "cannot connect yet"
                    );
                    retries -= 1;
                    tokio::time::sleep(options.retry_interval).await;
                }
            }
        }
    }

    /// As [`Store::connect`], for commands whose statements work on all rows.
    ///
    /// # Errors
    /// [`StoreError::Connect`].
    pub async fn connect_for_maintenance(
        options: &config::Database,
        clock: Clock,
        ids: Ids,
    ) -> Result<Store, StoreError> {
        let mut options = options.clone();
        if let Some(url) = &mut options.connection {
            url.read_timeout = Some(MAINTENANCE_LIMIT);
        }
        Store::connect(&options, clock, ids).await
    }

    /// How many connections there are at most.
    pub fn connections(&self) -> usize {
        self.pool.size()
    }

    /// How many connections are in use, how many are not, and how many requests wait for one.
    pub fn usage(&self) -> (usize, usize, usize) {
        let status = match &self.pool {
            Pool::MySql(pool) => pool.status(),
            Pool::Postgres(pool) => pool.status(),
            Pool::Sqlite(pool) => pool.status(),
        };
        let in_use = status.size.saturating_sub(status.available);
        (in_use, status.available, status.waiting)
    }

    /// The engine behind the store.
    pub fn engine(&self) -> Engine {
        match &self.pool {
            Pool::MySql(_) => Engine::MySql,
            Pool::Postgres(_) => Engine::Postgres,
            Pool::Sqlite(_) => Engine::Sqlite,
        }
    }
}

impl Pool {
    /// How many connections there are at most.
    fn size(&self) -> usize {
        match self {
            Pool::MySql(pool) => pool.status().max_size,
            Pool::Postgres(pool) => pool.status().max_size,
            Pool::Sqlite(pool) => pool.status().max_size,
        }
    }
}

/// Makes sure that the files of certificates and keys can be read, and that there are authorities in theirs: the driver would not name
/// the one that is wrong.
fn check_files(url: &DatabaseUrl) -> Result<(), StoreError> {
    for file in [&url.tls.ca, &url.tls.cert, &url.tls.key]
        .into_iter()
        .flatten()
    {
        File::open(file).map_err(|error| unusable(file, &error))?;
    }
    if let Some(file) = &url.tls.ca {
        let text = fs::read(file).map_err(|error| unusable(file, &error))?;
        // With none, the driver would trust the system's authorities alone.
        if CertificateDer::pem_slice_iter(&text).next().is_none() {
            let file = file.display();
            return Err(StoreError::Unreachable(format!(
                "{file}, which the URL names, holds no PEM certificate"
            )));
        }
    }
    Ok(())
}

fn unusable(file: &Path, error: &io::Error) -> StoreError {
    let file = file.display();
    StoreError::Unreachable(format!("cannot read {file}, which the URL names: {error}"))
}

/// Whether another try to connect may succeed. As in oslo.db, not where the server refuses: waiting changes no password.
fn may_pass(error: &StoreError, engine: Engine) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, PermissionDenied};
    match error {
        // An SQLite file is there or is not.
        StoreError::Connect(error) if engine == Engine::Sqlite => {
            Failure::of(error) == Failure::Busy
        }
        // A handshake of TLS that failed comes as InvalidData.
        StoreError::Connect(sqlx::Error::Io(error)) => {
            !matches!(error.kind(), InvalidData | InvalidInput | PermissionDenied)
        }
        StoreError::Connect(error) => Failure::of(error) != Failure::Fault,
        StoreError::PoolTimeout(_) => true,
        _ => false,
    }
}

fn open_pool(
    url: &DatabaseUrl,
    options: &config::Database,
    pool_limit: Duration,
) -> Result<Pool, StoreError> {
    let limits = Limits::below(
        url.read_timeout.unwrap_or(STATEMENT_LIMIT),
        url.lock_timeout,
    );
    let size = connections(options);
    Ok(match url.engine {
        Engine::MySql => {
            let prepare = mysql_session(url, options, limits);
            let server = server(url, mysql(url), None, options);
            let mut manager = manager(vec![server], prepare, url, options);
            manager.galera_check = Some(GALERA_CHECK);
            Pool::MySql(pool(manager, options, size, pool_limit)?)
        }
        Engine::Postgres => {
            let prepare = limits.postgres(&url.settings).into_iter().collect();
            let settings = limits.postgres_transaction(&url.settings).into();
            let servers = postgres_servers(url, &settings, options);
            let mut manager = manager(servers, prepare, url, options);
            manager.server_check = url.target.map(server_check);
            Pool::Postgres(pool(manager, options, size, pool_limit)?)
        }
        Engine::Sqlite => {
            let server = server(url, sqlite(url, limits), None, options);
            let manager = manager(vec![server], Vec::new(), url, options);
            let size = size.min(SQLITE_CONNECTIONS);
            Pool::Sqlite(pool(manager, options, size, pool_limit)?)
        }
    })
}

/// `max_pool_size` and `max_overflow` as one limit; 0 and -1 mean that there is none.
fn connections(options: &config::Database) -> usize {
    match (options.max_pool_size, usize::try_from(options.max_overflow)) {
        (0, _) | (_, Err(_)) => UNLIMITED,
        (size, Ok(overflow)) => (size as usize).saturating_add(overflow).min(UNLIMITED),
    }
}

fn server<DB: Database>(
    url: &DatabaseUrl,
    connect: <DB::Connection as sqlx::Connection>::Options,
    pooler: Option<Pooler<DB>>,
    options: &config::Database,
) -> Server<DB> {
    Server {
        url: url.to_string(),
        options: quiet(connect, options),
        pooler,
    }
}

/// One for each host of the URL.
fn postgres_servers(
    url: &DatabaseUrl,
    transaction_settings: &Arc<str>,
    options: &config::Database,
) -> Vec<Server<Postgres>> {
    let pooler = |url: &DatabaseUrl| Pooler {
        options: quiet(postgres(url), options),
        check: POOLER_CHECK,
        transaction_settings: Arc::clone(transaction_settings),
        is_known: AtomicBool::new(false),
    };
    url.servers()
        .iter()
        .map(|url| server(url, postgres_itself(url), Some(pooler(url)), options))
        .collect()
}

/// Has a row where a server is what `target_session_attrs` asks for.
fn server_check(target: TargetSession) -> &'static str {
    match target {
        // On a standby too: there transactions are always read-only.
        TargetSession::ReadWrite => {
            "SELECT 1 WHERE current_setting('transaction_read_only') = 'off'"
        }
        TargetSession::Primary => "SELECT 1 WHERE NOT pg_is_in_recovery()",
    }
}

fn manager<DB: Database>(
    servers: Vec<Server<DB>>,
    prepare: Vec<String>,
    url: &DatabaseUrl,
    options: &config::Database,
) -> Manager<DB> {
    Manager {
        servers,
        server_check: None,
        prepare,
        galera_check: None,
        max_age: u64::try_from(options.connection_recycle_time)
            .map_or(Duration::MAX, Duration::from_secs),
        connect_limit: url.connect_timeout.unwrap_or(CONNECT_LIMIT),
        generation: Arc::default(),
    }
}

/// Statements are logged as `connection_debug` says; slow ones by us, since sqlx shows their whole text.
fn quiet<O: ConnectOptions>(connect: O, options: &config::Database) -> O {
    let level = match options.connection_debug {
        0..50 => tracing::log::LevelFilter::Off,
        _ => tracing::log::LevelFilter::Debug,
    };
    connect
        .log_statements(level)
        .log_slow_statements(level, Duration::MAX)
}

/// The connection that was used last is used first, so that those that the load does not need are seen to be idle.
fn pool<DB>(
    manager: Manager<DB>,
    options: &config::Database,
    size: usize,
    pool_limit: Duration,
) -> Result<managed::Pool<Manager<DB>>, StoreError>
where
    DB: Database<Connection: Interrupt>,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    let pool = managed::Pool::builder(manager)
        .max_size(size)
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(pool_limit),
            ..Timeouts::default()
        })
        .build()
        .map_err(|error| StoreError::Unreachable(error.to_string()))?;
    let kept = match options.max_pool_size {
        0 => size,
        kept => kept as usize,
    };
    tokio::spawn(close_spare(pool.weak(), kept));
    Ok(pool)
}

/// Closes connections that are not used beyond the number that is kept, for as long as the pool lives.
async fn close_spare<DB>(pool: managed::WeakPool<Manager<DB>>, kept: usize)
where
    DB: Database<Connection: Interrupt>,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
{
    let mut ticks = tokio::time::interval(SPARE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut beyond = pool.status().size.saturating_sub(kept);
        let closed = pool.retain(|connection, _| {
            let goes = connection.is_outdated() || beyond > 0 && connection.is_idle(SPARE_LIMIT);
            beyond -= usize::from(goes && beyond > 0);
            !goes
        });
        drop(pool);
        for connection in closed.removed {
            connection.end().await;
        }
    }
}

/// Adds what a URL has, by methods that both drivers have without a trait in common.
macro_rules! with_given_parts {
    ($connect:ident, $url:ident) => {
        with_given_parts!($connect,
            host: &$url.host,
            port: $url.port,
            socket: &$url.socket,
            username: &$url.user,
            password: password($url),
            ssl_client_cert: &$url.tls.cert,
            ssl_client_key: &$url.tls.key
        )
    };
    ($connect:ident, $($method:ident: $value:expr),+) => {{
        $(if let Some(value) = $value {
            $connect = $connect.$method(value);
        })+
        $connect
    }};
}

/// An empty password is none, as it is to PyMySQL and libpq: a server that is sent one takes it for a wrong one.
fn password(url: &DatabaseUrl) -> Option<&str> {
    let password = url.password.as_ref()?.expose_secret();
    (!password.is_empty()).then_some(password)
}

fn mysql(url: &DatabaseUrl) -> MySqlConnectOptions {
    // Always utf8mb4: the URL's `charset=utf8` would be MySQL's three-byte one.
    let mut connect = MySqlConnectOptions::new()
        .charset("utf8mb4")
        .statement_cache_capacity(STATEMENT_CACHE)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .database(&url.database);
    connect = connect.ssl_mode(mysql_ssl_mode(&url.tls));
    if let Some(ca) = &url.tls.ca {
        connect = connect.ssl_ca(ca);
    }
    with_given_parts!(connect, url)
}

/// A URL that says anything of TLS gets TLS or no connection.
fn mysql_ssl_mode(tls: &Tls) -> MySqlSslMode {
    let has_ca = tls.ca.is_some();
    let verify_cert = tls.verify_cert.unwrap_or(has_ca);
    if tls.disabled {
        MySqlSslMode::Disabled
    } else if tls.check_hostname.unwrap_or(has_ca && verify_cert) {
        MySqlSslMode::VerifyIdentity
    } else if verify_cert {
        MySqlSslMode::VerifyCa
    } else if *tls != Tls::default() {
        MySqlSslMode::Required
    } else {
        MySqlSslMode::Preferred
    }
}

/// What a server's defaults for sessions may say otherwise: a statement outside of a transaction is committed, a transaction
/// ends with its COMMIT, and each statement does all that it says.
const MYSQL_SESSION: &str = "SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_safe_updates = 0, \
     sql_select_limit = 18446744073709551615, foreign_key_checks = 1, unique_checks = 1";

/// Row locks without gap locks: what a transaction decides on it has locked by key, and READ COMMITTED lets others
/// insert beside it.
fn mysql_session(url: &DatabaseUrl, options: &config::Database, limits: Limits) -> Vec<String> {
    let mut prepare = vec![limits.mysql()];
    prepare.extend(url.init_command.clone());
    prepare.push(MYSQL_SESSION.to_owned());
    prepare.push("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned());
    if !options.mysql_sql_mode.is_empty() {
        let mode = options.mysql_sql_mode.replace('\'', "''");
        prepare.push(format!("SET SESSION sql_mode = '{mode}'"));
    }
    if let Some(sync_wait) = options.mysql_wsrep_sync_wait {
        prepare.push(format!("SET SESSION wsrep_sync_wait = {sync_wait}"));
    }
    prepare
}

/// With what reaches the server itself alone: the settings of the URL, and one that tells.
fn postgres_itself(url: &DatabaseUrl) -> PgConnectOptions {
    let theirs = url
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    postgres(url).options(theirs.chain([OUR_SETTING]))
}

fn postgres(url: &DatabaseUrl) -> PgConnectOptions {
    let name = url.application_name.as_deref().unwrap_or("freezer-api");
    let mut connect = PgConnectOptions::new_without_pgpass()
        .application_name(name)
        // Poolers refuse it, and we have no such numbers.
        .extra_float_digits(None)
        .database(&url.database);
    if let Some(mode) = url.tls.mode {
        connect = connect.ssl_mode(match mode {
            SslMode::Disable => PgSslMode::Disable,
            SslMode::Allow => PgSslMode::Allow,
            SslMode::Prefer => PgSslMode::Prefer,
            SslMode::Require => PgSslMode::Require,
            SslMode::VerifyCa => PgSslMode::VerifyCa,
            SslMode::VerifyFull => PgSslMode::VerifyFull,
        });
    }
    if let Some(ca) = &url.tls.ca {
        connect = connect.ssl_root_cert(ca);
    }
    with_given_parts!(connect, url)
}

/// Foreign keys are not enforced, as in the reference: rows that are only marked as deleted keep theirs.
fn sqlite(url: &DatabaseUrl, limits: Limits) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&url.database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(limits.lock)
        .foreign_keys(false)
        // Rows that wait for us; some of them are large.
        .row_buffer_size(4)
}
