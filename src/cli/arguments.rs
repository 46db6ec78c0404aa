//! The options that oslo.config and oslo.log give to every program, beside the files.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::config::Argument;

/// The options of the log.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArguments {
    /// Log messages of level DEBUG too.
    #[arg(long, short, overrides_with = "nodebug")]
    debug: bool,
    /// The inverse of --debug.
    #[arg(long, overrides_with = "debug")]
    nodebug: bool,
    /// A file of Python's logging module that says where the log goes, instead of the options below.
    #[arg(long, visible_aliases = ["log-config", "log_config"], value_name = "PATH")]
    log_config_append: Option<String>,
    /// How the time of a line is written, as strftime does it.
    #[arg(long, value_name = "DATE_FORMAT")]
    log_date_format: Option<String>,
    /// File to log to.
    #[arg(long, visible_alias = "logfile", value_name = "PATH")]
    log_file: Option<String>,
    /// Folder of the log file.
    #[arg(long, visible_alias = "logdir", value_name = "DIR")]
    log_dir: Option<String>,
    /// Log to syslog.
    #[arg(long, overrides_with = "nouse_syslog")]
    use_syslog: bool,
    /// The inverse of --use-syslog.
    #[arg(long, overrides_with = "use_syslog")]
    nouse_syslog: bool,
    /// Log to systemd's journal.
    #[arg(long, overrides_with = "nouse_journal")]
    use_journal: bool,
    /// The inverse of --use-journal.
    #[arg(long, overrides_with = "use_journal")]
    nouse_journal: bool,
    /// Facility for syslog and the journal.
    #[arg(long, value_name = "FACILITY")]
    syslog_log_facility: Option<String>,
    /// Log JSON.
    #[arg(long, overrides_with = "nouse_json")]
    use_json: bool,
    /// The inverse of --use-json.
    #[arg(long, overrides_with = "use_json")]
    nouse_json: bool,
    // Older releases have it. Log files are always watched.
    #[arg(long, hide = true)]
    watch_log_file: bool,
    #[arg(long, hide = true)]
    nowatch_log_file: bool,
}

impl LogArguments {
    /// What they set in the configuration.
    pub(super) fn settings(&self) -> Vec<Argument> {
        self.switches().into_iter().chain(self.values()).collect()
    }

    fn switches(&self) -> Vec<Argument> {
        let mut settings = Vec::new();
        let mut add = |option, on: (&'static str, bool), off: (&'static str, bool)| {
            if on.1 {
                settings.push(setting(option, on.0, true));
            } else if off.1 {
                settings.push(setting(option, off.0, false));
            }
        };
        add(
            "debug",
            ("--debug", self.debug),
            ("--nodebug", self.nodebug),
        );
        let (on, off) = (self.use_syslog, self.nouse_syslog);
        add("use_syslog", ("--use-syslog", on), ("--nouse-syslog", off));
        let (on, off) = (self.use_journal, self.nouse_journal);
        add(
            "use_journal",
            ("--use-journal", on),
            ("--nouse-journal", off),
        );
        let (on, off) = (self.use_json, self.nouse_json);
        add("use_json", ("--use-json", on), ("--nouse-json", off));
        settings
    }

    fn values(&self) -> Vec<Argument> {
        let values = [
            (
                "log_config_append",
                "--log-config-append",
                &self.log_config_append,
            ),
            (
                "log_date_format",
                "--log-date-format",
                &self.log_date_format,
            ),
            ("log_file", "--log-file", &self.log_file),
            ("log_dir", "--log-dir", &self.log_dir),
            (
                "syslog_log_facility",
                "--syslog-log-facility",
                &self.syslog_log_facility,
            ),
        ];
        let given = |(option, argument, value): (_, _, &Option<String>)| {
            Some(setting(option, argument, value.as_deref()?))
        };
        values.into_iter().filter_map(given).collect()
    }
}

/// An option of `[DEFAULT]` as the command line has it.
pub(super) fn setting(
    option: &'static str,
    argument: &'static str,
    value: impl ToString,
) -> Argument {
    Argument {
        option,
        argument,
        value: value.to_string(),
    }
}

/// The option that prints a completion script.
#[derive(Debug, Clone, Default, Args)]
pub struct CompletionArguments {
    /// Print a script that completes the program's arguments in this shell.
    #[arg(long = "shell_completion", value_name = "SHELL", exclusive = true)]
    shell: Option<CompletedShell>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompletedShell {
    Bash,
    Zsh,
}

impl CompletionArguments {
    /// The script for the program `P`, when it is asked for.
    pub(super) fn script<P: CommandFactory>(&self) -> Option<String> {
        let shell = match self.shell? {
            CompletedShell::Bash => Shell::Bash,
            CompletedShell::Zsh => Shell::Zsh,
        };
        let (mut command, mut script) = (P::command(), Vec::new());
        let name = command.get_name().to_owned();
        clap_complete::generate(shell, &mut command, name, &mut script);
        Some(String::from_utf8_lossy(&script).into_owned())
    }
}
