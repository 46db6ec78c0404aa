//! The log: where its lines go, which are written, and what of a request each line names. `docs/logging.md` describes
//! both formats, which are an interface like any other.
//!
//! Lines are formatted where they arise and written by a thread of their own, so that a slow disk stalls no request. What
//! strangers may make long, and what waits, is bounded.

mod file;
mod line;
mod queue;

use std::io;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;
use tracing::{Span, field};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::clock::Clock;
use crate::config::Config;
use file::LogFile;
use line::Format;
pub use line::shortened;
use queue::{Queue, queue};

/// Libraries whose own messages are of interest only when they warn, as with oslo.log's `default_log_levels`.
const QUIET: [&str; 9] = [
    "h2",
    "hyper",
    "hyper_util",
    "log",
    "mio",
    "reqwest",
    "rustls",
    "sqlx",
    "tower",
];

/// From this `[database] connection_debug` on, statements are logged (SQLAlchemy's INFO of its engine).
const STATEMENTS: u32 = 50;

/// Keeps the log open. What was logged is written to the end when it is dropped.
#[must_use = "lines that wait to be written are lost when the program ends without dropping this"]
#[derive(Debug)]
pub struct Guard {
    _worker: WorkerGuard,
    filter: reload::Handle<Targets, Registry>,
}

impl Guard {
    /// From now on, messages are written as `debug` and `connection_debug` of this configuration say. Where the log goes stays.
    #[expect(
        clippy::expect_used,
        reason = "the log is there as long as the guard, and nothing panics while it changes the filter"
    )]
    pub fn set_level(&self, config: &Config) {
        self.filter.reload(filter(config)).expect("a log");
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log file cannot be opened.
    #[error("cannot open the log file {}: {source}; see log_file and log_dir in [DEFAULT]", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log was set up before.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
}

/// Sets up the log of the whole process. `program` names the file when only a folder is configured.
///
/// # Errors
/// The log file cannot be opened, or there is a log already.
pub fn init(config: &Config, program: &str) -> Result<Guard, TelemetryError> {
    let (writer, worker) = writer(config, program)?;
    let format = if config.default.use_json {
        Format::Json
    } else {
        Format::Text
    };
    let (filter, handle) = reload::Layer::new(filter(config));
    tracing_subscriber::registry()
        .with(filter)
        .with(line::layer(format, Clock::System, move || writer.clone()))
        .try_init()?;
    Ok(Guard {
        _worker: worker,
        filter: handle,
    })
}

/// The log file that is configured: `log_file`, which lies in `log_dir` when it is relative, or the program's own file in
/// `log_dir`. None: standard error.
fn path(config: &Config, program: &str) -> Option<PathBuf> {
    match (&config.default.log_dir, &config.default.log_file) {
        (Some(folder), Some(file)) => Some(folder.join(file)),
        (Some(folder), None) => Some(folder.join(format!("{program}.log"))),
        (None, file) => file.clone(),
    }
}

fn writer(config: &Config, program: &str) -> Result<(Queue, WorkerGuard), TelemetryError> {
    let report = |lines| {
        tracing::warn!(
            lines,
            "the log could not be written fast enough: lines were dropped"
        )
    };
    Ok(match path(config, program) {
        Some(path) => {
            let file = LogFile::open(&path);
            queue(
                file.map_err(|source| TelemetryError::File { path, source })?,
                report,
            )
        }
        None => queue(io::stderr(), report),
    })
}

/// Which messages are written.
fn filter(config: &Config) -> Targets {
    let level = if config.default.debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let statements = (config.database.connection_debug >= STATEMENTS)
        .then_some(("sqlx::query", LevelFilter::DEBUG));
    Targets::new()
        .with_default(level)
        .with_targets(QUIET.map(|target| (target, LevelFilter::WARN)))
        .with_targets(statements)
}

/// The span of one request. Every line that is logged within it names the request, and after [`identify`] its user.
pub fn request_span(request_id: &str, global_request_id: Option<&str>) -> Span {
    tracing::info_span!(
        "request",
        request_id,
        global_request_id,
        user = field::Empty,
        project = field::Empty,
        domain = field::Empty,
        system_scope = field::Empty,
        user_domain = field::Empty,
        project_domain = field::Empty,
    )
}

/// Who makes a request: ids, in the order of oslo.log's `logging_user_identity_format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The user.
    pub user: Option<&'a str>,
    /// The project of the token.
    pub project: Option<&'a str>,
    /// The domain of a token that is scoped to a domain.
    pub domain: Option<&'a str>,
    /// `all` for a token that is scoped to the system.
    pub system_scope: Option<&'a str>,
    /// The user's domain.
    pub user_domain: Option<&'a str>,
    /// The project's domain.
    pub project_domain: Option<&'a str>,
}

/// Names in a request's span who makes it.
pub fn identify(span: &Span, identity: &Identity<'_>) {
    span.record("user", identity.user);
    span.record("project", identity.project);
    span.record("domain", identity.domain);
    span.record("system_scope", identity.system_scope);
    span.record("user_domain", identity.user_domain);
    span.record("project_domain", identity.project_domain);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(folder: Option<&str>, file: Option<&str>) -> Config {
        let mut config = Config::default();
        config.default.log_dir = folder.map(PathBuf::from);
        config.default.log_file = file.map(PathBuf::from);
        config
    }

    #[test]
    fn the_file_is_where_oslo_log_has_it() {
        let of = |folder, file| path(&config(folder, file), "freezer-api");
        assert_eq!(of(None, None), None);
        assert_eq!(
            of(Some("/d"), None).as_deref(),
            Some(Path::new("/d/freezer-api.log"))
        );
        assert_eq!(
            of(Some("/d"), Some("f")).as_deref(),
            Some(Path::new("/d/f"))
        );
        assert_eq!(
            of(Some("/d"), Some("/e/f")).as_deref(),
            Some(Path::new("/e/f"))
        );
        assert_eq!(of(None, Some("f")).as_deref(), Some(Path::new("f")));
    }

    #[test]
    fn debug_is_for_our_own_messages_and_statements_for_connection_debug() {
        use tracing::Level;
        let ours = "freezer_api::api::jobs";
        let mut config = Config::default();
        assert!(filter(&config).would_enable(ours, &Level::INFO));
        assert!(!filter(&config).would_enable(ours, &Level::DEBUG));
        assert!(!filter(&config).would_enable("hyper::proto", &Level::INFO));
        assert!(filter(&config).would_enable("rustls::client", &Level::WARN));
        config.default.debug = true;
        assert!(filter(&config).would_enable(ours, &Level::DEBUG));
        assert!(!filter(&config).would_enable("sqlx::query", &Level::DEBUG));
        config.database.connection_debug = STATEMENTS;
        assert!(filter(&config).would_enable("sqlx::query", &Level::DEBUG));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = writer(&config(Some("/proc/none"), None), "freezer-api").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open the log file /proc/none/freezer-api.log: No such file or directory (os error 2); \
             see log_file and log_dir in [DEFAULT]"
        );
    }
}
