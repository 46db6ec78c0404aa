//! Where the log goes and what its lines look like: by the options of the configuration, or by a file of Python's logging module
//! (`log_config_append`).

use std::io;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use super::layout::{Layout, TextLayout};
use super::socket::{Daemon, JOURNAL, SYSLOG};
use crate::config::{Config, DateFormat, Global, SyslogFacility};
use crate::oslo::log_format::LogFormat;
use crate::oslo::logging_file::{Form, Handler, Level, Logging, LoggingFileError, Target};

/// The loggers of a Python logging file that are this program's: the package of the Python service, or the word that stands for it in
/// deployers' files.
const LOGGERS: [&str; 2] = ["freezer_api", "freezer"];

/// What the configuration makes of the log.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) level: LevelFilter,
    pub(super) outputs: Vec<Output>,
    /// What of the file has no effect.
    pub(super) not_taken: Vec<String>,
}

/// One place that gets the lines.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) destination: Destination,
    pub(super) layout: Layout,
    /// What the place gets of all that is logged.
    pub(super) level: LevelFilter,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    File(PathBuf),
    Stdout,
    Stderr,
    Syslog(SyslogFacility),
    Journal(SyslogFacility),
}

/// Why a file of Python's logging module does not say where the log goes.
#[derive(Debug, thiserror::Error)]
#[error("log_config_append: cannot use {}: {source}", path.display())]
pub struct SetupError {
    path: PathBuf,
    source: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(transparent)]
    Content(#[from] LoggingFileError),
    #[error("{0:?} is no {1}")]
    Value(String, &'static str),
}

impl Setup {
    /// `program` names the file when only a folder is configured.
    pub(super) fn of(config: &Config, program: &str) -> Result<Setup, SetupError> {
        let options = &config.default;
        match logging_file(config) {
            Some(path) => {
                let read = || Setup::of_file(options, &path);
                read().map_err(|source| SetupError {
                    path: path.clone(),
                    source,
                })
            }
            None => Ok(Setup::of_options(options, program)),
        }
    }

    /// Adds standard error where every place is a daemon that is not there, as in a container: somebody must be told.
    pub(super) fn add_what_is_there(&mut self) {
        let is_missing = |output: &Output| match output.destination {
            Destination::Syslog(_) => !Daemon::at(Path::new(SYSLOG)).is_there(),
            Destination::Journal(_) => !Daemon::at(Path::new(JOURNAL)).is_there(),
            Destination::File(_) | Destination::Stdout | Destination::Stderr => false,
        };
        if let Some(first) = self.outputs.first()
            && self.outputs.iter().all(is_missing)
        {
            self.outputs.push(Output {
                destination: Destination::Stderr,
                layout: first.layout.clone(),
                level: first.level,
            });
        }
    }

    fn of_options(options: &Global, program: &str) -> Setup {
        let facility = options.syslog_log_facility;
        let mut destinations: Vec<Destination> = log_path(options, program)
            .map(Destination::File)
            .into_iter()
            .collect();
        for (is_used, destination) in [
            (options.use_stderr, Destination::Stderr),
            (options.use_journal, Destination::Journal(facility)),
            (options.use_syslog, Destination::Syslog(facility)),
        ] {
            if is_used {
                destinations.push(destination);
            }
        }
        if destinations.is_empty() {
            destinations.push(Destination::Stderr);
        }
        let layout = if options.use_json {
            Layout::json(options.log_date_format.clone())
        } else {
            Layout::Text(TextLayout::new(options))
        };
        let output = |destination| Output {
            destination,
            layout: layout.clone(),
            level: LevelFilter::TRACE,
        };
        Setup {
            level: if options.debug {
                LevelFilter::DEBUG
            } else {
                LevelFilter::INFO
            },
            outputs: destinations.into_iter().map(output).collect(),
            not_taken: Vec::new(),
        }
    }

    fn of_file(options: &Global, path: &Path) -> Result<Setup, Reason> {
        let logging = Logging::parse(&std::fs::read_to_string(path)?, &LOGGERS)?;
        let outputs = logging
            .handlers
            .into_iter()
            .map(|handler| output(handler, options));
        Ok(Setup {
            level: level(logging.level),
            outputs: outputs.collect::<Result<_, _>>()?,
            not_taken: logging.not_taken,
        })
    }
}

/// The file of `log_config_append`, found beside the configuration when it is relative.
fn logging_file(config: &Config) -> Option<PathBuf> {
    let path = config.default.log_config_append.as_ref()?;
    Some(config.find_file(path).unwrap_or_else(|| path.clone()))
}

/// The log file that is configured: `log_file`, which lies in `log_dir` when it is relative, or the program's own file in
/// `log_dir`.
fn log_path(options: &Global, program: &str) -> Option<PathBuf> {
    match (&options.log_dir, &options.log_file) {
        (Some(folder), Some(file)) => Some(folder.join(file)),
        (Some(folder), None) => Some(folder.join(format!("{program}.log"))),
        (None, file) => file.clone(),
    }
}

fn output(handler: Handler, options: &Global) -> Result<Output, Reason> {
    let date = match &handler.date_format {
        Some(text) => DateFormat::new(text).map_err(|_| Reason::Value(text.clone(), "datefmt"))?,
        None => options.log_date_format.clone(),
    };
    let layout = match handler.form {
        Form::Json => Layout::json(date),
        Form::Context => Layout::Text(TextLayout {
            date,
            ..TextLayout::new(options)
        }),
        Form::Format(text) => {
            let format = LogFormat::parse(&text).map_err(|_| Reason::Value(text, "format"))?;
            Layout::Text(TextLayout {
                context: format.clone(),
                outside: format,
                identity: options.logging_user_identity_format.clone(),
                debug_suffix: None,
                date,
            })
        }
    };
    Ok(Output {
        destination: destination(handler.target)?,
        layout,
        level: level(handler.level),
    })
}

fn destination(target: Target) -> Result<Destination, Reason> {
    Ok(match target {
        Target::File(path) => Destination::File(path.into()),
        Target::Stdout => Destination::Stdout,
        Target::Stderr => Destination::Stderr,
        Target::Journal => Destination::Journal(SyslogFacility::USER),
        Target::Syslog(name) => match SyslogFacility::named(&name) {
            Some(facility) => Destination::Syslog(facility),
            None => return Err(Reason::Value(name, "facility of syslog")),
        },
    })
}

fn level(level: Option<Level>) -> LevelFilter {
    match level {
        None => LevelFilter::TRACE,
        Some(Level::Debug) => LevelFilter::DEBUG,
        Some(Level::Info) => LevelFilter::INFO,
        Some(Level::Warning) => LevelFilter::WARN,
        Some(Level::Error) => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(change: impl FnOnce(&mut Global)) -> Vec<Destination> {
        let mut config = Config::default();
        change(&mut config.default);
        let setup = Setup::of(&config, "freezer-api").unwrap();
        let outputs = setup.outputs.into_iter();
        outputs.map(|output| output.destination).collect()
    }

    #[test]
    fn the_file_is_where_oslo_log_has_it() {
        for (folder, file, path) in [
            (Some("/d"), None, "/d/freezer-api.log"),
            (Some("/d"), Some("f"), "/d/f"),
            (Some("/d"), Some("/e/f"), "/e/f"),
            (None, Some("f"), "f"),
        ] {
            let destinations = destinations(|options| {
                options.log_dir = folder.map(PathBuf::from);
                options.log_file = file.map(PathBuf::from);
            });
            assert_eq!(destinations, [Destination::File(path.into())]);
        }
    }

    #[test]
    fn places_stand_beside_each_other() {
        assert_eq!(destinations(|_| ()), [Destination::Stderr]);
        let facility = SyslogFacility::named("local3").unwrap();
        let all = destinations(|options| {
            options.log_file = Some("/f".into());
            options.use_stderr = true;
            options.use_journal = true;
            options.use_syslog = true;
            options.syslog_log_facility = facility;
        });
        assert_eq!(
            all,
            [
                Destination::File("/f".into()),
                Destination::Stderr,
                Destination::Journal(facility),
                Destination::Syslog(facility),
            ]
        );
    }

    #[test]
    fn a_logging_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logging.conf");
        let mut config = Config::default();
        config.default.log_config_append = Some(path.clone());
        let error = || {
            let error = Setup::of(&config, "freezer-api").unwrap_err();
            error
                .to_string()
                .replace(folder.path().to_str().unwrap(), "")
        };
        assert_eq!(
            error(),
            "log_config_append: cannot use /logging.conf: No such file or directory (os error 2)"
        );
        std::fs::write(&path, "[logger_root]\nhandlers = a\n[handler_a]\nclass = StreamHandler\nformatter = b\n[formatter_b]\nformat = %d\n").unwrap();
        assert_eq!(
            error(),
            "log_config_append: cannot use /logging.conf: \"%d\" is no format"
        );
    }
}
