//! The log: where its lines go, which are written, and what of a request each line names. `docs/logging.md` describes
//! both formats, which are an interface like any other.
//!
//! Lines are formatted where they arise and written by a thread of their own, so that a slow disk stalls no request. What
//! strangers may make long, and what waits, is bounded.

mod event;
mod file;
mod frame;
mod layout;
mod line;
mod queue;
mod setup;
mod socket;

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing::{Span, field};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::Layer as _;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::clock::Clock;
use crate::config::Config;
pub use event::shortened;
use file::LogFile;
use frame::Frame;
use line::RequestLayer;

use queue::queue;

/// How many lines were not written since the program started: the disk was too slow.
pub fn dropped_lines() -> u64 {
    queue::dropped()
}

pub use setup::SetupError;
use setup::{Destination, Setup};
use socket::Daemon;

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
    _workers: Vec<WorkerGuard>,
    filter: reload::Handle<Targets, Registry>,
    program: String,
}

impl Guard {
    /// From now on, messages are written as `debug`, `connection_debug` and the level of `log_config_append` say. Where the log
    /// goes stays; a log file is opened again when it was renamed, without a signal.
    ///
    /// # Errors
    /// The file of `log_config_append` cannot be used; nothing changes then.
    #[expect(
        clippy::expect_used,
        reason = "the log is there as long as the guard, and nothing panics while it changes the filter"
    )]
    pub fn set_level(&self, config: &Config) -> Result<(), TelemetryError> {
        let level = Setup::of(config, &self.program)?.level;
        self.filter.reload(filter(level, config)).expect("a log");
        Ok(())
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The file of `log_config_append` cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A log file cannot be opened.
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

/// Sets up the log of a service. `program` names the file when only a folder is configured.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &Config, program: &str) -> Result<Guard, TelemetryError> {
    start(Setup::of(config, program)?, config, program)
}

/// Sets up the log of a command, whose standard error is for the person who gave it: it gets warnings alone, unless the
/// configuration asks for more.
///
/// # Errors
/// [`TelemetryError`].
pub fn init_for_command(config: &Config, program: &str) -> Result<Guard, TelemetryError> {
    let mut setup = Setup::of(config, program)?;
    if !config.default.debug && !config.default.use_stderr {
        for output in &mut setup.outputs {
            if output.destination == Destination::Stderr {
                output.level = output.level.min(LevelFilter::WARN);
            }
        }
    }
    start(setup, config, program)
}

fn start(mut setup: Setup, config: &Config, program: &str) -> Result<Guard, TelemetryError> {
    setup.add_what_is_there();
    let (filter, handle) = reload::Layer::new(filter(setup.level, config));
    let (mut layers, mut workers, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for output in setup.outputs {
        let (frame, writer) = open(&output.destination, program, &mut missing)?;
        let (queue, worker) = queue(writer, report_dropped);
        let layer = line::layer(output.layout, frame, Clock::System, move || queue.clone());
        layers.push(layer.with_filter(output.level).boxed());
        workers.push(worker);
    }
    tracing_subscriber::registry()
        .with(filter)
        .with(RequestLayer)
        .with(layers)
        .try_init()?;
    for what in setup.not_taken {
        tracing::warn!("log_config_append: {what} has no effect in this program");
    }
    for daemon in missing {
        tracing::warn!("there is no {daemon}: until there is, it gets no lines of the log");
    }
    Ok(Guard {
        _workers: workers,
        filter: handle,
        program: program.to_owned(),
    })
}

/// What the lines for a place look like, and what takes them. A daemon that is not there is added to `missing`.
fn open(
    destination: &Destination,
    program: &str,
    missing: &mut Vec<&'static str>,
) -> Result<(Frame, Box<dyn io::Write + Send>), TelemetryError> {
    let program = program.to_owned();
    let mut daemon = |path: &'static str| {
        let daemon = Daemon::at(Path::new(path));
        if !daemon.is_there() {
            missing.push(path);
        }
        Box::new(daemon)
    };
    Ok(match destination {
        Destination::File(path) => {
            let file = LogFile::open(path).map_err(|source| TelemetryError::File {
                path: path.clone(),
                source,
            })?;
            (Frame::Line, Box::new(BufWriter::new(file)))
        }
        Destination::Stdout => (Frame::Line, Box::new(BufWriter::new(io::stdout()))),
        Destination::Stderr => (Frame::Line, Box::new(BufWriter::new(io::stderr()))),
        Destination::Syslog(facility) => {
            let facility = *facility;
            (Frame::Syslog { facility, program }, daemon(socket::SYSLOG))
        }
        Destination::Journal(facility) => {
            let facility = *facility;
            (
                Frame::Journal { facility, program },
                daemon(socket::JOURNAL),
            )
        }
    })
}

fn report_dropped(lines: u64) {
    tracing::warn!(
        lines,
        "the log could not be written fast enough: lines were dropped"
    );
}

/// Which messages are written.
fn filter(level: LevelFilter, config: &Config) -> Targets {
    let statements = (config.database.connection_debug >= STATEMENTS)
        .then_some(("sqlx::query", LevelFilter::DEBUG));
    Targets::new()
        .with_default(level)
        .with_targets(QUIET.map(|target| (target, level.min(LevelFilter::WARN))))
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
    tracing::record_all!(
        span,
        user = identity.user,
        project = identity.project,
        domain = identity.domain,
        system_scope = identity.system_scope,
        user_domain = identity.user_domain,
        project_domain = identity.project_domain,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_for_our_own_messages_and_statements_for_connection_debug() {
        use tracing::Level;
        let filter =
            |config: &Config| filter(Setup::of(config, "freezer-api").unwrap().level, config);
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
        let path = Destination::File("/proc/none/freezer-api.log".into());
        let error = open(&path, "freezer-api", &mut Vec::new()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "cannot open the log file /proc/none/freezer-api.log: No such file or directory (os error 2); \
             see log_file and log_dir in [DEFAULT]"
        );
    }
}
