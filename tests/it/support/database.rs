//! Fresh databases on the real servers: one for each test, so that tests run side by side.

use std::{
    net::SocketAddr,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::{needed, provided};

/// A database engine that the project serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A file of its own; always there.
    Sqlite,
    /// MySQL or MariaDB at `FREEZER_TEST_MYSQL_URL`.
    MySql,
    /// PostgreSQL at `FREEZER_TEST_POSTGRES_URL`.
    Postgres,
}

impl Engine {
    /// The environment variable with the SQLAlchemy URL of the engine's server, without a database name (it ends in `/`);
    /// SQLite has none.
    fn variable(self) -> Option<&'static str> {
        match self {
            Engine::Sqlite => None,
            Engine::MySql => Some("FREEZER_TEST_MYSQL_URL"),
            Engine::Postgres => Some("FREEZER_TEST_POSTGRES_URL"),
        }
    }
}

/// The engines that this run has, SQLite first.
pub(crate) fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::Sqlite, Engine::MySql, Engine::Postgres];
    engines.retain(|engine| {
        engine
            .variable()
            .is_none_or(|name| provided(name).is_some())
    });
    engines
}

/// A database of its own, without tables. It is dropped, with everything in it, when the value is.
#[derive(Debug)]
pub(crate) struct Database {
    engine: Engine,
    url: String,
    place: Place,
}

/// Where a database lies, which is what has to be cleared away.
#[derive(Debug)]
enum Place {
    Folder { _folder: TempDir },
    Server { url: String, name: String },
}

impl Database {
    /// Makes a fresh database.
    ///
    /// # Panics
    /// When the engine is not there, or its server refuses.
    pub(crate) async fn create(engine: Engine) -> Database {
        let server = engine
            .variable()
            .map_or_else(|| "sqlite:///".to_owned(), needed);
        Database::create_on(engine, server).await
    }

    /// The same on this server.
    pub(crate) async fn create_on(engine: Engine, server: String) -> Database {
        let options = match engine {
            Engine::MySql => "CHARACTER SET utf8mb4",
            Engine::Postgres => "TEMPLATE template0",
            Engine::Sqlite => "",
        };
        Database::create_with(engine, server, options).await
    }

    /// A database of PostgreSQL that holds the characters of an encoding alone.
    ///
    /// # Panics
    /// When the server refuses.
    pub(crate) async fn create_in(encoding: &str) -> Database {
        let server = needed("FREEZER_TEST_POSTGRES_URL");
        let options =
            format!("TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        Database::create_with(Engine::Postgres, server, &options).await
    }

    /// A database on this server with these options of `CREATE DATABASE`.
    ///
    /// # Panics
    /// When the server refuses.
    pub(crate) async fn create_with(engine: Engine, server: String, options: &str) -> Database {
        if engine == Engine::Sqlite {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("{server}{}", folder.path().join("freezer.db").display());
            return Database {
                engine,
                url,
                place: Place::Folder { _folder: folder },
            };
        }
        let name = unique_name();
        let statement = format!("CREATE DATABASE {name} {options}");
        execute(engine, &server, statement)
            .await
            .unwrap_or_else(|error| panic!("creating {name} on {engine:?}: {error}"));
        Database {
            engine,
            url: format!("{server}{name}"),
            place: Place::Server { url: server, name },
        }
    }

    /// The same database by another way, for instance a proxy at `address`.
    pub(crate) fn url_by(&self, address: SocketAddr) -> String {
        let (before, after) = self.url.split_once('@').unwrap();
        let (_, name) = after.split_once('/').unwrap();
        format!("{before}@{address}/{name}")
    }

    /// Lets the service reach it another way, for instance by a pooler at `address`; the tests' own statements go to the server.
    pub(crate) fn reach_by(&mut self, address: SocketAddr) {
        self.url = self.url_by(address);
    }

    /// Where its server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let (_, after) = self.url.split_once('@').unwrap();
        let (address, _) = after.split_once('/').unwrap();
        address.parse().unwrap()
    }

    /// Its engine.
    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    /// Its URL as SQLAlchemy and `[database] connection` write it, for instance `mysql+pymysql://u:p@127.0.0.1:3307/name`
    /// or `sqlite:////tmp/x/freezer.db`.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// How many rows of a table meet a condition, as the database itself says.
    pub(crate) async fn rows(&self, table: &str, condition: &str) -> i64 {
        let url = self.sqlx_url();
        let query = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table} WHERE {condition}"));
        let counted = match self.engine {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut connection).await
            }
            Engine::MySql => {
                let mut connection = MySqlConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut connection).await
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                sqlx::query_scalar(query).fetch_one(&mut connection).await
            }
        };
        counted.unwrap()
    }

    /// The database's name on its server.
    pub(crate) fn name(&self) -> &str {
        match &self.place {
            Place::Folder { .. } => "freezer.db",
            Place::Server { name, .. } => name,
        }
    }

    /// How many connections to it are open besides the one that asks: all, or those that have a statement running.
    ///
    /// # Panics
    /// On SQLite, which has no server.
    pub(crate) async fn connections(&self, running: bool) -> i64 {
        let name = self.name();
        let (table, mut condition) = match self.engine {
            Engine::MySql => (
                "information_schema.processlist",
                format!("db = '{name}' AND id <> CONNECTION_ID()"),
            ),
            Engine::Postgres => (
                "pg_stat_activity",
                format!("datname = '{name}' AND pid <> pg_backend_pid()"),
            ),
            Engine::Sqlite => panic!("SQLite has no server"),
        };
        if running {
            condition += match self.engine {
                Engine::MySql => " AND command <> 'Sleep'",
                _ => " AND state <> 'idle'",
            };
        }
        self.rows(table, &condition).await
    }

    /// Runs a statement beside the service.
    pub(crate) async fn run(&self, statement: String) {
        let url = self.sqlx_url();
        // MariaDB reads a backslash in a literal, the others do not.
        let statement = AssertSqlSafe(match self.engine {
            Engine::MySql => statement.replace('\\', "\\\\"),
            Engine::Postgres | Engine::Sqlite => statement,
        });
        let ran = match self.engine {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                connection.execute(statement).await.map(drop)
            }
            Engine::MySql => {
                let mut connection = MySqlConnection::connect(&url).await.unwrap();
                connection.execute(statement).await.map(drop)
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                connection.execute(statement).await.map(drop)
            }
        };
        ran.unwrap();
    }

    /// The text of a `freezer-api.conf` that names it.
    pub(crate) fn configuration(&self) -> String {
        format!("[database]\nconnection = {}\n", self.url)
    }

    /// Its URL as sqlx writes it (for the tests' own connections): the scheme without a driver name.
    pub(crate) fn sqlx_url(&self) -> String {
        match &self.place {
            Place::Folder { .. } => sqlx_url(&self.url),
            Place::Server { url, name } => sqlx_url(&format!("{url}{name}")),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Place::Server { url, name } = &self.place else {
            return;
        };
        let (engine, url, name) = (self.engine, url.clone(), name.clone());
        // A runtime of its own: `drop` is no place to await, and the test's runtime may be shutting down.
        let dropping = thread::spawn(move || {
            let force = if engine == Engine::Postgres {
                " WITH (FORCE)"
            } else {
                ""
            };
            let statement = format!("DROP DATABASE {name}{force}");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            if let Err(error) = runtime.block_on(execute(engine, &url, statement)) {
                eprintln!("{name} stays on {engine:?}: {error}");
            }
        });
        dropping.join().ok();
    }
}

/// A name that no other test of this run has, in this process or another.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "freezer_test_{}_{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

async fn execute(engine: Engine, server: &str, statement: String) -> sqlx::Result<()> {
    if engine == Engine::Postgres {
        let mut connection =
            PgConnection::connect(&format!("{}postgres", sqlx_url(server))).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    } else {
        let mut connection = MySqlConnection::connect(&sqlx_url(server)).await?;
        // A transaction that is still open must not hold a DROP, and so the run, up.
        connection.execute("SET lock_wait_timeout = 5").await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    }
}

/// `mysql+pymysql://…` → `mysql://…`; an SQLite file is made when it is missing.
fn sqlx_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    match scheme.split('+').next().unwrap() {
        "sqlite" => format!("sqlite://{}?mode=rwc", rest.strip_prefix('/').unwrap()),
        engine => format!("{engine}://{rest}"),
    }
}
