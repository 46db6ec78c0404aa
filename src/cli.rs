//! The command lines of the programs.

mod arguments;
mod data;
mod elasticsearch;
mod files;
pub mod manage;
mod output;
pub mod policy;
mod progress;
mod report;
mod sample;
pub mod serve;
mod signals;
pub mod status;
mod systemd;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::clock::{Clock, Ids};
use crate::config::{Argument, Config, Sources};
use crate::store::Store;
use crate::telemetry;
pub use arguments::{CompletionArguments, LogArguments};

/// The name of the program for the tables, also that of its log file.
const MANAGE: &str = "freezer-manage";

/// The command lines of the programs, for manual pages and completions.
pub fn commands() -> [clap::Command; 3] {
    [
        serve::Arguments::command(),
        manage::command(),
        status::command(),
    ]
}

/// Which configuration is read; the same for every program.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArguments {
    /// A configuration file; may be repeated, a later one wins. Without it: freezer.conf and freezer-api.conf in ~/.freezer, ~,
    /// /etc/freezer or /etc.
    #[arg(long, global = true, value_name = "PATH")]
    config_file: Vec<PathBuf>,
    /// A folder whose *.conf files win over the configuration files; may be repeated.
    #[arg(long, global = true, value_name = "PATH")]
    config_dir: Vec<PathBuf>,
    #[command(flatten)]
    log: LogArguments,
}

impl ConfigArguments {
    /// Reads the configuration; its warnings go to standard error.
    ///
    /// # Errors
    /// A file that cannot be read, or values that are wrong.
    pub fn load(&self) -> anyhow::Result<Config> {
        let (config, warnings) = Config::load(&self.sources(Vec::new()))?;
        for warning in warnings {
            output::note!("warning: {warning}");
        }
        Ok(config)
    }

    /// Reads one file alone, without the environment.
    fn load_file(file: PathBuf) -> anyhow::Result<Config> {
        let (config, warnings) = Config::load_file(file)?;
        for warning in warnings {
            output::note!("warning: {warning}");
        }
        Ok(config)
    }

    /// What is read, with further options of the command line.
    fn sources(&self, mut arguments: Vec<Argument>) -> Sources {
        arguments.extend(self.log.settings());
        Sources {
            config_files: self.config_file.clone(),
            config_dirs: self.config_dir.clone(),
            arguments,
        }
    }

    /// Reads the configuration for a command, and sets up its log, which the second value keeps open.
    fn begin(&self, program: &str) -> anyhow::Result<(Config, Option<telemetry::Guard>)> {
        let config = self.load()?;
        let log = open_log(&config, program);
        Ok((config, log))
    }

    /// The same for a command that the command line tells everything.
    fn begin_without_files(
        &self,
        program: &str,
    ) -> anyhow::Result<(Config, Option<telemetry::Guard>)> {
        let (config, _) = Config::load_arguments(&self.log.settings())?;
        let log = open_log(&config, program);
        Ok((config, log))
    }

    /// Whether the command line names any configuration.
    fn is_given(&self) -> bool {
        !self.config_file.is_empty() || !self.config_dir.is_empty()
    }
}

/// Who repairs a database must not be stopped by a log file that belongs to the service's user.
fn open_log(config: &Config, program: &str) -> Option<telemetry::Guard> {
    telemetry::init_for_command(config, program)
        .inspect_err(|error| output::note!("warning: {error}"))
        .ok()
}

/// Opens the database of `[database] connection`.
async fn connect(config: &Config) -> anyhow::Result<Store> {
    Store::connect(&config.database, Clock::default(), Ids::default())
        .await
        .context("[database] connection")
}

/// The same, for commands that work on all rows.
async fn connect_for_maintenance(config: &Config) -> anyhow::Result<Store> {
    Store::connect_for_maintenance(&config.database, Clock::default(), Ids::default())
        .await
        .context("[database] connection")
}

/// Runs `work` to its end on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

/// Ends a program: an error goes to standard error with its causes, each on a line of its own.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            output::note!("error: {}", causes.join("\n  because: "));
            ExitCode::FAILURE
        }
    }
}
