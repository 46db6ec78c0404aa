//! Files of Python's `logging.config.fileConfig` (`log_config_append`), as far as one logger is concerned: its level, where its
//! handlers write, and in which form.
//!
//! The arguments of handlers are Python; of them a path, a stream and a syslog facility are understood.

use std::collections::BTreeSet;

use super::ini::{self, Entry, SyntaxError, normalize_section};

/// What a file says of a logger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logging {
    /// The level below which nothing is logged. None: every level.
    pub level: Option<Level>,
    /// The handlers, those of the logger before those of the root logger.
    pub handlers: Vec<Handler>,
    /// What has no effect here, in words.
    pub not_taken: Vec<String>,
}

/// Python's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `DEBUG` and below.
    Debug,
    /// `INFO`.
    Info,
    /// `WARNING`.
    Warning,
    /// `ERROR` and above.
    Error,
}

/// A place to which lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// Where it is.
    pub target: Target,
    /// The level below which the handler writes nothing.
    pub level: Option<Level>,
    /// The form of a line.
    pub form: Form,
    /// The form of `%(asctime)s`, where the file has one.
    pub date_format: Option<String>,
}

/// Where a handler writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a file.
    File(String),
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To syslog, under a facility.
    Syslog(String),
    /// To systemd's journal.
    Journal,
}

/// How a handler writes a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// By a format string.
    Format(String),
    /// As oslo.log's `ContextFormatter`, by the options of the configuration.
    Context,
    /// As oslo.log's `JSONFormatter`.
    Json,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggingFileError {
    /// It is no configuration file.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It has no root logger.
    #[error("there is no section [logger_root]")]
    NoRoot,
    /// A level that does not exist.
    #[error("line {line}: {got:?} is no level; wanted is DEBUG, INFO, WARNING, ERROR or CRITICAL")]
    Level {
        /// The line.
        line: usize,
        /// The word.
        got: String,
    },
    /// A name that has no section.
    #[error("line {line}: there is no section [{section}]")]
    NoSection {
        /// The line of the name.
        line: usize,
        /// The section that it stands for.
        section: String,
    },
}

struct File(Vec<Entry>);

impl Logging {
    /// Reads what a file says of the first of these loggers that it has, and of the root logger.
    ///
    /// # Errors
    /// [`LoggingFileError`].
    pub fn parse(text: &str, loggers: &[&str]) -> Result<Logging, LoggingFileError> {
        let file = File(ini::parse(text)?);
        if !file.has("logger_root") {
            return Err(LoggingFileError::NoRoot);
        }
        let ours = loggers.iter().find_map(|name| file.section_of_logger(name));
        let mut logging = Logging {
            level: file.level("logger_root")?,
            ..Logging::default()
        };
        let mut names = BTreeSet::new();
        if let Some(section) = &ours {
            logging.level = file.level(section)?.or(logging.level);
            logging.add_handlers(&file, section, &mut names)?;
        }
        let propagates = |section| file.value(section, "propagate") != Some("0");
        if ours.as_deref().is_none_or(propagates) {
            logging.add_handlers(&file, "logger_root", &mut names)?;
        }
        logging
            .not_taken
            .extend(file.other_loggers(ours.as_deref()));
        Ok(logging)
    }

    fn add_handlers(
        &mut self,
        file: &File,
        logger: &str,
        names: &mut BTreeSet<String>,
    ) -> Result<(), LoggingFileError> {
        let Some(entry) = file.entry(logger, "handlers") else {
            return Ok(());
        };
        for name in list(&entry.value) {
            if !names.insert(name.to_owned()) {
                continue;
            }
            let section = file.named("handler", name, entry.line)?;
            match file.target(&section) {
                Ok(Some(target)) => self.handlers.push(file.handler(&section, target)?),
                Ok(None) => {}
                Err(what) => self.not_taken.push(format!("[{section}] {what}")),
            }
        }
        Ok(())
    }
}

impl File {
    fn has(&self, section: &str) -> bool {
        self.0.iter().any(|entry| entry.section == section)
    }

    fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        let mut entries = self.0.iter();
        entries.rfind(|entry| entry.section == section && entry.key == key)
    }

    fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.entry(section, key).map(|entry| entry.value.as_str())
    }

    fn level(&self, section: &str) -> Result<Option<Level>, LoggingFileError> {
        let Some(entry) = self.entry(section, "level") else {
            return Ok(None);
        };
        match entry.value.to_ascii_uppercase().as_str() {
            "CRITICAL" | "FATAL" | "ERROR" => Ok(Some(Level::Error)),
            "WARNING" | "WARN" => Ok(Some(Level::Warning)),
            "INFO" | "AUDIT" => Ok(Some(Level::Info)),
            "DEBUG" | "TRACE" => Ok(Some(Level::Debug)),
            "NOTSET" | "" => Ok(None),
            _ => Err(LoggingFileError::Level {
                line: entry.line,
                got: entry.value.clone(),
            }),
        }
    }

    /// The section of a name that stands in the line.
    fn named(&self, kind: &str, name: &str, line: usize) -> Result<String, LoggingFileError> {
        let section = normalize_section(&format!("{kind}_{name}"));
        if self.has(&section) {
            Ok(section)
        } else {
            Err(LoggingFileError::NoSection { line, section })
        }
    }

    /// The sections of the loggers that `[loggers] keys` names.
    fn loggers(&self) -> impl Iterator<Item = String> {
        let names = list(self.value("loggers", "keys").unwrap_or_default());
        names.map(|name| normalize_section(&format!("logger_{name}")))
    }

    fn section_of_logger(&self, logger: &str) -> Option<String> {
        self.loggers()
            .find(|section| self.value(section, "qualname") == Some(logger))
    }

    fn other_loggers(&self, ours: Option<&str>) -> Vec<String> {
        self.loggers()
            .filter(|section| section != "logger_root" && Some(section.as_str()) != ours)
            .map(|section| format!("[{section}]"))
            .collect()
    }

    /// Where a handler writes; None: nowhere.
    ///
    /// # Errors
    /// What is not understood.
    fn target(&self, section: &str) -> Result<Option<Target>, String> {
        let class = self.value(section, "class").unwrap_or_default();
        let args = self.value(section, "args").unwrap_or_default();
        let path = || quoted(args).map(|path| Some(Target::File(path.to_owned())));
        let unknown = || format!("class = {class}, args = {args}");
        match class.rsplit('.').next().unwrap_or_default() {
            "NullHandler" => Ok(None),
            "StreamHandler" | "ColorHandler" if args.contains("stdout") => Ok(Some(Target::Stdout)),
            "StreamHandler" | "ColorHandler" => Ok(Some(Target::Stderr)),
            "FileHandler" | "WatchedFileHandler" => path().ok_or_else(unknown),
            "SysLogHandler" | "OSSysLogHandler" => Ok(Some(Target::Syslog(facility(args)))),
            "OSJournalHandler" | "JournalHandler" | "JournaldLogHandler" => {
                Ok(Some(Target::Journal))
            }
            _ => Err(unknown()),
        }
    }

    fn handler(&self, section: &str, target: Target) -> Result<Handler, LoggingFileError> {
        let (form, date_format) = match self.entry(section, "formatter") {
            Some(entry) if !entry.value.is_empty() => {
                let formatter = self.named("formatter", &entry.value, entry.line)?;
                self.form(&formatter)
            }
            _ => (Form::Format(MESSAGE.to_owned()), None),
        };
        Ok(Handler {
            target,
            level: self.level(section)?,
            form,
            date_format,
        })
    }

    /// The form of a line, and of the time in it.
    fn form(&self, section: &str) -> (Form, Option<String>) {
        let class = self.value(section, "class").unwrap_or_default();
        let form = match class.rsplit('.').next().unwrap_or_default() {
            "ContextFormatter" => Form::Context,
            "JSONFormatter" => Form::Json,
            _ => Form::Format(self.value(section, "format").unwrap_or(MESSAGE).to_owned()),
        };
        let date_format = self
            .value(section, "datefmt")
            .filter(|text| !text.is_empty());
        (form, date_format.map(str::to_owned))
    }
}

/// Python's form of a line where none is given.
const MESSAGE: &str = "%(message)s";

/// The names of a list, without quotes.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(|name| name.trim().trim_matches(['"', '\'']))
        .filter(|name| !name.is_empty())
}

/// The first string of Python in a text.
fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['"', '\''])?;
    let (quote, rest) = (text.get(start..=start)?, text.get(start + 1..)?);
    rest.split_once(quote).map(|(string, _)| string)
}

/// The facility that the arguments of a handler name.
fn facility(args: &str) -> String {
    let mut words = args.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.find(|word| word.starts_with("LOG_"));
    named.unwrap_or("LOG_USER").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 2] = ["freezer_api", "freezer"];

    fn read(text: &str) -> Logging {
        Logging::parse(text, &OURS).unwrap()
    }

    /// As openstack-helm writes it: the root logger is silent, and the service's own writes.
    #[test]
    fn a_logger_of_ours_counts_before_the_root() {
        let logging = read(
            "[loggers]
keys = root, freezer, amqp
[handlers]
keys = stdout, stderr, \"null\"
[formatters]
keys = context, default
[logger_root]
level = WARNING
handlers = 'null'
[logger_freezer]
level = INFO
handlers = stdout
qualname = freezer
[logger_amqp]
level = WARNING
handlers = stderr
qualname = amqp
[handler_null]
class = logging.NullHandler
formatter = default
args = ()
[handler_stdout]
class = StreamHandler
args = (sys.stdout,)
formatter = context
[formatter_context]
class = oslo_log.formatters.ContextFormatter
datefmt = %Y-%m-%d %H:%M:%S
[formatter_default]
format = %(message)s
",
        );
        let stdout = Handler {
            target: Target::Stdout,
            level: None,
            form: Form::Context,
            date_format: Some("%Y-%m-%d %H:%M:%S".to_owned()),
        };
        assert_eq!(
            logging,
            Logging {
                level: Some(Level::Info),
                handlers: vec![stdout],
                not_taken: vec!["[logger_amqp]".to_owned()],
            }
        );
    }

    #[test]
    fn handlers_of_the_root() {
        let logging = read(
            "[logger_root]
level = NOTSET
handlers = file, log, mail, file
[handler_file]
class = logging.handlers.WatchedFileHandler
args = ('/var/log/freezer/api.log', 'a')
level = ERROR
formatter = json
[handler_log]
class = handlers.SysLogHandler
args = ('/dev/log', handlers.SysLogHandler.LOG_LOCAL3)
[handler_mail]
class = handlers.SMTPHandler
args = ('localhost',)
[formatter_json]
class = oslo_log.formatters.JSONFormatter
",
        );
        assert_eq!(logging.level, None);
        let handlers: Vec<_> = logging
            .handlers
            .iter()
            .map(|handler| (&handler.target, handler.level, &handler.form))
            .collect();
        let message = Form::Format(MESSAGE.to_owned());
        assert_eq!(
            handlers,
            [
                (
                    &Target::File("/var/log/freezer/api.log".to_owned()),
                    Some(Level::Error),
                    &Form::Json
                ),
                (&Target::Syslog("LOG_LOCAL3".to_owned()), None, &message),
            ]
        );
        assert_eq!(
            logging.not_taken,
            ["[handler_mail] class = handlers.SMTPHandler, args = ('localhost',)"]
        );
    }

    #[test]
    fn what_python_refuses_is_refused() {
        let error = |text| Logging::parse(text, &OURS).unwrap_err().to_string();
        assert_eq!(
            error("[loggers]\nkeys = root\n"),
            "there is no section [logger_root]"
        );
        assert_eq!(
            error("[logger_root]\nhandlers = x\n"),
            "line 2: there is no section [handler_x]"
        );
        assert!(error("[logger_root]\nlevel = LOUD\n").contains("line 2: \"LOUD\" is no level"));
        assert!(error("nothing").contains("line 1"));
    }
}
