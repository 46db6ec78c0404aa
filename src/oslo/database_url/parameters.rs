//! What the parameters of a URL mean. Each is obeyed, or changes nothing and is told, or is refused: none that says where or
//! how to work is left out.

use std::time::Duration;

use super::{DatabaseUrl, DatabaseUrlError, Engine, SslMode, TargetSession, Tls};

/// PyMySQL's that are obeyed.
const MYSQL: &[&str] = &[
    "charset",
    "connect_timeout",
    "database",
    "host",
    "init_command",
    "password",
    "port",
    "read_timeout",
    "ssl_ca",
    "ssl_cert",
    "ssl_check_hostname",
    "ssl_disabled",
    "ssl_key",
    "ssl_mode",
    "ssl_verify_cert",
    "ssl_verify_identity",
    "unix_socket",
    "user",
];
/// libpq's that are obeyed.
const POSTGRES: &[&str] = &[
    "application_name",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];
/// SQLite's that are obeyed.
const SQLITE: &[&str] = &["timeout"];

/// Those that change nothing here: of the Python drivers and SQLAlchemy alone, or about what we do in our own way. The time for an
/// answer begins when a statement is sent, so it limits the sending too (`write_timeout`), and texts are always compared with columns,
/// whose `collation` counts.
const MYSQL_WITHOUT_EFFECT: &[&str] = &[
    "autocommit",
    "binary_prefix",
    "collation",
    "cursorclass",
    "local_infile",
    "max_allowed_packet",
    "plugin",
    "program_name",
    "use_unicode",
    "write_timeout",
];
const POSTGRES_WITHOUT_EFFECT: &[&str] = &[
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "plugin",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];
const SQLITE_WITHOUT_EFFECT: &[&str] = &[
    "cached_statements",
    "check_same_thread",
    "detect_types",
    "isolation_level",
    "plugin",
];
/// libpq's that ask for what is the case anyway, where they have this value.
const POSTGRES_AS_IT_IS: &[(&str, &[&str])] = &[
    ("channel_binding", &["disable", "prefer"]),
    ("gssencmode", &["disable", "prefer"]),
    ("load_balance_hosts", &["disable"]),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("sslcertmode", &["allow"]),
    ("sslnegotiation", &["postgres"]),
];

impl DatabaseUrl {
    pub(super) fn add_parameter(
        &mut self,
        name: &str,
        value: String,
    ) -> Result<(), DatabaseUrlError> {
        let without_effect = match self.engine {
            Engine::MySql => MYSQL_WITHOUT_EFFECT,
            Engine::Postgres => POSTGRES_WITHOUT_EFFECT,
            Engine::Sqlite => SQLITE_WITHOUT_EFFECT,
        };
        let is_as_it_is =
            |(known, values): &(&str, &[&str])| *known == name && values.contains(&value.as_str());
        if without_effect.contains(&name)
            || self.engine == Engine::Postgres && POSTGRES_AS_IT_IS.iter().any(is_as_it_is)
        {
            self.ignored.push(name.to_owned());
            return Ok(());
        }
        match self.engine {
            Engine::MySql => self.add_of_mysql(name, value),
            Engine::Postgres => self.add_of_postgres(name, value),
            Engine::Sqlite => self.add_of_sqlite(name, value),
        }
    }

    fn add_of_mysql(&mut self, name: &str, value: String) -> Result<(), DatabaseUrlError> {
        match name {
            // We always speak utf8mb4, of which every other choice is a part.
            "charset" => {}
            "unix_socket" => self.socket = Some(value.into()),
            "ssl_ca" => self.tls.ca = Some(value.into()),
            "ssl_cert" => self.tls.cert = Some(value.into()),
            "ssl_key" => self.tls.key = Some(value.into()),
            "ssl_check_hostname" | "ssl_verify_identity" => {
                self.tls.check_hostname = Some(boolean(name, value)?);
            }
            "ssl_verify_cert" => self.tls.verify_cert = Some(boolean(name, value)?),
            "ssl_mode" => self.tls.set_mysql_mode(value)?,
            "ssl_disabled" => self.tls.disabled = boolean(name, value)?,
            "read_timeout" => self.read_timeout = Some(seconds(name, value)?),
            "init_command" => self.init_command = Some(value),
            "database" | "db" => self.database = value,
            "host" => self.host = Some(value),
            _ => self.add_of_servers(name, value, MYSQL)?,
        }
        Ok(())
    }

    fn add_of_postgres(&mut self, name: &str, value: String) -> Result<(), DatabaseUrlError> {
        match name {
            // We always speak UTF-8.
            "client_encoding" => {}
            "sslmode" => self.tls.mode = Some(ssl_mode(value)?),
            "sslrootcert" => self.tls.ca = Some(value.into()),
            "sslcert" => self.tls.cert = Some(value.into()),
            "sslkey" => self.tls.key = Some(value.into()),
            "target_session_attrs" => self.target = target(value)?,
            "dbname" | "database" => self.database = value,
            "application_name" => self.application_name = Some(value),
            "options" => self.settings.extend(settings(value)?),
            _ => self.add_of_servers(name, value, POSTGRES)?,
        }
        Ok(())
    }

    /// What servers of either kind have.
    fn add_of_servers(
        &mut self,
        name: &str,
        value: String,
        supported: &[&str],
    ) -> Result<(), DatabaseUrlError> {
        match name {
            "user" => self.user = Some(value),
            "password" | "passwd" => self.password = Some(value.into()),
            "port" => self.port = Some(port(name, value)?),
            "connect_timeout" => self.connect_timeout = Some(seconds(name, value)?),
            _ => return Err(unsupported(name, supported)),
        }
        Ok(())
    }

    fn add_of_sqlite(&mut self, name: &str, value: String) -> Result<(), DatabaseUrlError> {
        match name {
            "timeout" => self.lock_timeout = Some(seconds(name, value)?),
            _ => return Err(unsupported(name, SQLITE)),
        }
        Ok(())
    }
}

/// What cannot be a name is not shown: where an `@` was forgotten, it is a part of the password.
fn unsupported(name: &str, supported: &[&str]) -> DatabaseUrlError {
    let is_name = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    DatabaseUrlError::Unsupported {
        name: if is_name {
            name.to_owned()
        } else {
            "…".to_owned()
        },
        supported: supported.join(", "),
    }
}

/// The settings of a server's command line, as `options` has them: `-c name=value`, `-cname=value` or `--name=value`, where a
/// backslash keeps a blank in a value.
fn settings(options: String) -> Result<Vec<(String, String)>, DatabaseUrlError> {
    let mut settings = Vec::new();
    let mut words = words(&options).into_iter();
    let mut setting = |text: &str, dashes: bool| {
        let (name, value) = text.split_once('=')?;
        let name = if dashes {
            name.replace('-', "_")
        } else {
            name.to_owned()
        };
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        is_name.then(|| settings.push((name, value.to_owned())))
    };
    while let Some(word) = words.next() {
        let found = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(text), _) => setting(text, true),
            (None, Some("")) => words.next().and_then(|text| setting(&text, false)),
            (None, Some(text)) => setting(text, false),
            (None, None) => None,
        };
        if found.is_none() {
            const WANTED: &str = "settings of PostgreSQL such as -csearch_path=NAME";
            return Err(wrong("options", options, WANTED));
        }
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

pub(super) fn port(name: &str, value: String) -> Result<u16, DatabaseUrlError> {
    match value.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(wrong(name, value, "a whole number from 1 to 65535")),
    }
}

pub(super) fn wrong(name: &str, value: String, wanted: &'static str) -> DatabaseUrlError {
    DatabaseUrlError::Parameter {
        name: name.to_owned(),
        value,
        wanted,
    }
}

fn seconds(name: &str, value: String) -> Result<Duration, DatabaseUrlError> {
    value
        .parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| wrong(name, value, "a number of seconds above 0"))
}

fn boolean(name: &str, value: String) -> Result<bool, DatabaseUrlError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(wrong(name, value, "true or false")),
    }
}

fn ssl_mode(value: String) -> Result<SslMode, DatabaseUrlError> {
    match value.as_str() {
        "disable" => Ok(SslMode::Disable),
        "allow" => Ok(SslMode::Allow),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(wrong(
            "sslmode",
            value,
            "one of disable, allow, prefer, require, verify-ca, verify-full",
        )),
    }
}

impl Tls {
    /// What mysqlclient, the driver of `mysql://`, calls the mode.
    fn set_mysql_mode(&mut self, value: String) -> Result<(), DatabaseUrlError> {
        let (verify_cert, check_hostname) = match value.to_ascii_uppercase().as_str() {
            "DISABLED" => {
                self.disabled = true;
                return Ok(());
            }
            "PREFERRED" => return Ok(()),
            "REQUIRED" => (false, false),
            "VERIFY_CA" => (true, false),
            "VERIFY_IDENTITY" => (true, true),
            _ => {
                return Err(wrong(
                    "ssl_mode",
                    value,
                    "one of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY",
                ));
            }
        };
        self.verify_cert = Some(verify_cert);
        self.check_hostname = Some(check_hostname);
        Ok(())
    }
}

/// A standby would refuse what the service writes.
fn target(value: String) -> Result<Option<TargetSession>, DatabaseUrlError> {
    match value.as_str() {
        "any" => Ok(None),
        "read-write" => Ok(Some(TargetSession::ReadWrite)),
        "primary" => Ok(Some(TargetSession::Primary)),
        _ => Err(wrong(
            "target_session_attrs",
            value,
            "one of read-write, primary and any: the service writes",
        )),
    }
}
