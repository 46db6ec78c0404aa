//! A database URL as SQLAlchemy writes it, for example `mysql+pymysql://user:p%40ss@host:3306/name?charset=utf8`.
//!
//! Only the address is read here; nothing connects. The grammar is that of `sqlalchemy.engine.make_url`: user, password
//! and database are percent-decoded, a password may hold `/` and `:` as they are, a query value may hold `+` for a blank.
//! The `+driver` part names a Python driver and has no meaning here: it is checked against those that speak the same
//! protocol, and otherwise ignored.

mod hosts;
mod parameters;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

pub use hosts::Host;

/// The database systems that a URL can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MySQL, MariaDB, Percona Server, Galera.
    MySql,
    /// PostgreSQL.
    Postgres,
    /// SQLite, in a file.
    Sqlite,
}

/// How a PostgreSQL connection is encrypted (libpq's `sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only when the server insists.
    Allow,
    /// When the server can; libpq's default.
    Prefer,
    /// Always, without a look at the certificate.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for this host name.
    VerifyFull,
}

/// What a server must be for its sessions, of those that libpq's `target_session_attrs` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// One that lets its sessions write.
    ReadWrite,
    /// One that is no standby.
    Primary,
}

/// What the URL says of encryption. Everything is empty when it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PostgreSQL's `sslmode`.
    pub mode: Option<SslMode>,
    /// The authorities that are trusted: `ssl_ca` (MySQL), `sslrootcert` (PostgreSQL). A PEM file.
    pub ca: Option<PathBuf>,
    /// Our certificate: `ssl_cert`, `sslcert`. A PEM file.
    pub cert: Option<PathBuf>,
    /// The certificate's key: `ssl_key`, `sslkey`. A PEM file.
    pub key: Option<PathBuf>,
    /// Whether the certificate must be for this host name: `ssl_check_hostname` (MySQL). PyMySQL's default is true when
    /// there is a `ca`.
    pub check_hostname: Option<bool>,
    /// Whether the certificate must be of a known authority: `ssl_verify_cert` (MySQL). The default is true when there is a
    /// `ca`.
    pub verify_cert: Option<bool>,
    /// Whether there is none: `ssl_disabled` (MySQL), also by `ssl_mode`, which sets these three.
    pub disabled: bool,
}

/// A parsed database URL. `Debug` and `Display` never show the password.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    /// The database system.
    pub engine: Engine,
    /// The scheme as it was written, for example `mysql+pymysql`.
    pub scheme: String,
    /// Host name or address, an IPv6 address without its brackets. None: the local machine.
    pub host: Option<String>,
    /// TCP port. None: the engine's own.
    pub port: Option<u16>,
    /// Hosts that are tried, in this order, where the one before cannot be used (PostgreSQL).
    pub further_hosts: Vec<Host>,
    /// What a host must be to be used (PostgreSQL).
    pub target: Option<TargetSession>,
    /// User name, decoded.
    pub user: Option<String>,
    /// Password, decoded. None when the URL has none, empty when it has an empty one.
    pub password: Option<SecretString>,
    /// The database's name, decoded; for SQLite the path of its file, relative to the working directory unless it begins with `/`.
    pub database: String,
    /// A Unix socket instead of TCP: MySQL's `unix_socket` (the socket), PostgreSQL's `host` (the folder that holds it).
    pub socket: Option<PathBuf>,
    /// Encryption.
    pub tls: Tls,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long a statement may take, from its sending to the last of its answer (MySQL).
    pub read_timeout: Option<Duration>,
    /// How long a statement may wait for a lock (SQLite's `timeout`).
    pub lock_timeout: Option<Duration>,
    /// Settings of the session that PostgreSQL's `options` names, such as `search_path`, with their values.
    pub settings: Vec<(String, String)>,
    /// PostgreSQL's `application_name`.
    pub application_name: Option<String>,
    /// A statement that prepares each connection (MySQL's `init_command`).
    pub init_command: Option<String>,
    /// Parameters that change nothing here, in the order of the URL, so that the caller can say so.
    pub ignored: Vec<String>,
}

/// Why a URL was refused. The text never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// There is no `scheme://`.
    #[error(
        "it does not begin with a scheme such as mysql+pymysql://, postgresql:// or sqlite:///"
    )]
    NoScheme,
    /// The scheme names a database that is not served here.
    #[error(
        "the database {0:?} is not supported; supported are mysql, mariadb, postgresql and sqlite, \
         each with or without a driver such as mysql+pymysql"
    )]
    Database(String),
    /// The driver part is not one that is known for the database.
    #[error(
        "the driver {driver:?} is not known for {database}; leave it out, or use one of {known}"
    )]
    Driver {
        /// The database part of the scheme.
        database: String,
        /// What follows the `+`.
        driver: String,
        /// The drivers that are known, separated by commas.
        known: String,
    },
    /// SQLite without a file.
    #[error(
        "it names a SQLite database in memory, which each connection would see empty and which ends with the \
         process; name a file: sqlite:///relative/path.db or sqlite:////absolute/path.db"
    )]
    InMemory,
    /// A SQLite URL with a host, which is most often a missing slash.
    #[error(
        "a SQLite URL has no host: write sqlite:///relative/path.db or sqlite:////absolute/path.db"
    )]
    SqliteHost,
    /// There is no database name.
    #[error("it names no database; the name follows the host, as in {0}://user:password@host/name")]
    NoDatabase(String),
    /// The port is no port. Its text is not shown: where an `@` was forgotten, it is the password.
    #[error("the port is not a whole number from 1 to 65535 (is the @ before the host missing?)")]
    Port,
    /// An IPv6 address is not closed, or something stands between it and the port. Not shown, as with the port.
    #[error("the host is not a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// There is an `@` in the host, which belongs to the password.
    #[error("it holds more than one @; write an @ in the user name or password as %40")]
    SecondAt,
    /// A percent escape does not give UTF-8.
    #[error("the {0} is not UTF-8 once its percent escapes are decoded")]
    NotUtf8(&'static str),
    /// A parameter has a value of another kind than it wants.
    #[error("the parameter {name} is {value:?}, which is not {wanted}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// Its value. No known parameter holds a secret.
        value: String,
        /// What it could be.
        wanted: &'static str,
    },
    /// A parameter that is not one of ours. It may say where or how to work, so it is not left out.
    #[error(
        "the parameter {name} is not supported; it could change which database is used, or how, so it is not ignored. \
         Remove it; supported are {supported}"
    )]
    Unsupported {
        /// The parameter's name.
        name: String,
        /// Those that the engine has here, separated by commas.
        supported: String,
    },
    /// A list of hosts for another database than PostgreSQL.
    #[error(
        "it names several hosts, which only PostgreSQL's may; name one, which may be an address that moves between the servers"
    )]
    SeveralHosts,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = url.split_once("://").ok_or(DatabaseUrlError::NoScheme)?;
        let engine = engine(scheme)?;
        let (user, password, address) = split_credentials(rest);
        let (location, query) = address.split_once('?').unwrap_or((address, ""));
        let (authority, database) = location.split_once('/').unwrap_or((location, ""));
        let hosts = hosts::of_authority(engine, authority)?;
        let mut url = Self {
            user: user.map(|text| decode("user name", text)).transpose()?,
            password: password
                .map(|text| decode("password", text))
                .transpose()?
                .map(SecretString::from),
            ..Self::new(engine, scheme, decode("database name", database)?)
        };
        url.set_hosts(hosts)?;
        url.add_parameters(query)?;
        url.check_database()?;
        Ok(url)
    }
}

impl DatabaseUrl {
    /// The URL of an SQLite file, whatever characters its path has.
    pub fn sqlite(path: &str) -> Self {
        Self::new(Engine::Sqlite, "sqlite", path.to_owned())
    }

    /// A database of which nothing else is said.
    fn new(engine: Engine, scheme: &str, database: String) -> Self {
        Self {
            engine,
            scheme: scheme.to_owned(),
            host: None,
            port: None,
            further_hosts: Vec::new(),
            target: None,
            user: None,
            password: None,
            database,
            socket: None,
            tls: Tls::default(),
            connect_timeout: None,
            read_timeout: None,
            lock_timeout: None,
            settings: Vec::new(),
            application_name: None,
            init_command: None,
            ignored: Vec::new(),
        }
    }

    /// Takes further parameters, `name=value&name=value`, as if they stood at the end of the URL (oslo.db's
    /// `connection_parameters`).
    ///
    /// # Errors
    /// A known parameter with a value that it does not take.
    pub fn add_parameters(&mut self, query: &str) -> Result<(), DatabaseUrlError> {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        // What a template has left empty is not said, as to SQLAlchemy.
        for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            let name = decode("parameter", &name.replace('+', " "))?;
            let value = decode("parameter", &value.replace('+', " "))?;
            match (self.engine, name.as_str()) {
                (Engine::Postgres, "host") => hosts.push(value),
                (Engine::Postgres, "port") => ports.push(value),
                _ => self.add_parameter(&name, value)?,
            }
        }
        self.add_hosts(&hosts, &ports)
    }

    /// Whether both name the same database, on any of their hosts, as far as their texts tell.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let place = |url: &Self| {
            let DatabaseUrl {
                engine,
                host,
                port,
                database,
                socket,
                settings,
                ..
            } = url.clone();
            let schema = settings
                .into_iter()
                .rfind(|(name, _)| name == "search_path");
            (engine, host, port, database, socket, schema)
        };
        let others: Vec<_> = other.servers().iter().map(place).collect();
        self.servers()
            .iter()
            .any(|url| others.contains(&place(url)))
    }

    fn check_database(&self) -> Result<(), DatabaseUrlError> {
        if self.host.as_ref().is_some_and(|host| host.contains(',')) {
            return Err(DatabaseUrlError::SeveralHosts);
        }
        match self.engine {
            Engine::Sqlite if self.host.is_some() || self.user.is_some() => {
                Err(DatabaseUrlError::SqliteHost)
            }
            Engine::Sqlite if self.database.is_empty() || self.database.starts_with(":memory:") => {
                Err(DatabaseUrlError::InMemory)
            }
            _ if self.database.is_empty() => Err(DatabaseUrlError::NoDatabase(self.scheme.clone())),
            _ => Ok(()),
        }
    }
}

/// The URL without its parameters, the password as `***`.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if self.password.is_some() {
                f.write_str(":***")?;
            }
            f.write_str("@")?;
        }
        write!(f, "{}", self.first_host())?;
        for host in &self.further_hosts {
            write!(f, ",{host}")?;
        }
        write!(f, "/{}", self.database)
    }
}

/// The engine that a scheme such as `mysql+pymysql` names.
fn engine(scheme: &str) -> Result<Engine, DatabaseUrlError> {
    const MYSQL: &[&str] = &[
        "pymysql",
        "mysqldb",
        "mysqlconnector",
        "aiomysql",
        "asyncmy",
        "mariadbconnector",
    ];
    const POSTGRES: &[&str] = &["psycopg2", "psycopg", "psycopg_async", "asyncpg", "pg8000"];
    const SQLITE: &[&str] = &["pysqlite", "aiosqlite"];
    let (database, driver) = match scheme.split_once('+') {
        Some((database, driver)) => (database, Some(driver)),
        None => (scheme, None),
    };
    let (engine, known) = match database {
        "mysql" | "mariadb" => (Engine::MySql, MYSQL),
        "postgresql" | "postgres" => (Engine::Postgres, POSTGRES),
        "sqlite" => (Engine::Sqlite, SQLITE),
        _ => return Err(DatabaseUrlError::Database(database.to_owned())),
    };
    match driver {
        Some(driver) if !known.contains(&driver) => Err(DatabaseUrlError::Driver {
            database: database.to_owned(),
            driver: driver.to_owned(),
            known: known.join(", "),
        }),
        _ => Ok(engine),
    }
}

/// User, password and what follows their `@`. A user holds no `:` and no `/`, a password no `@`.
fn split_credentials(rest: &str) -> (Option<&str>, Option<&str>, &str) {
    let (head, after) = rest.split_at(rest.find([':', '/']).unwrap_or(rest.len()));
    let password = after
        .strip_prefix(':')
        .and_then(|after| after.split_once('@'));
    match (password, head.rfind('@')) {
        (Some((password, address)), _) => (Some(head), Some(password), address),
        (None, Some(at)) => {
            let (user, address) = rest.split_at(at);
            (Some(user), None, address.trim_start_matches('@'))
        }
        (None, None) => (None, None, rest),
    }
}

fn decode(part: &'static str, text: &str) -> Result<String, DatabaseUrlError> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| DatabaseUrlError::NotUtf8(part))
}
