//! `freezer-manage`: the tables, and samples of the files that an operator writes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand};

use super::progress::Display;
use super::{
    CompletionArguments, ConfigArguments, MANAGE, block_on, connect_for_maintenance, data, exit,
    output, policy, report,
};
use crate::app;
use crate::authz::rules;
use crate::config::{self, Config};
use crate::oslo::policy::Enforcer;
use crate::schema::{Migration, Report};
use crate::store::Store;

/// Manages the database of freezer-api.
#[derive(Debug, Parser)]
#[command(name = MANAGE, version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    completion: CompletionArguments,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Manages the tables.
    #[command(subcommand)]
    Db(Db),
    /// Writes all documents that are not deleted as JSON Lines.
    Export(data::Export),
    /// Adds the documents of an export that are not there yet.
    Import(data::Import),
    /// Says what is wrong with jobs.
    #[command(subcommand)]
    Report(report::Report),
    /// Prints a sample configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Shows and tests the policy.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
enum Db {
    #[command(flatten)]
    Configured(ConfiguredDb),
    /// Copies all rows into another database, which may be of another engine, and compares both. If interrupted, it continues
    /// when run again.
    Copy(Box<data::Copy>),
}

/// What is done to the database that the configuration names.
#[derive(Debug, Subcommand)]
enum ConfiguredDb {
    /// Creates the tables, or upgrades them from any older layout. Running it twice, or two at once, is harmless.
    #[command(visible_alias = "update")]
    Sync {
        /// The Alembic revision to stop at. Without it, the newest, with our additions.
        version: Option<String>,
        /// Print the plan and the SQL, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// For tests of interrupted migrations: abort the process after this many statements.
        #[arg(long, hide = true, value_name = "STATEMENTS")]
        abort_after: Option<u64>,
    },
    /// Removes what this program adds to the tables of the Python service, which needs none of it. If interrupted, it continues
    /// when run again; `db sync` adds it again.
    Downgrade {
        /// For tests of interrupted migrations: abort the process after this many statements.
        #[arg(long, hide = true, value_name = "STATEMENTS")]
        abort_after: Option<u64>,
    },
    /// Removes rows that were marked as deleted long ago, in small transactions.
    Purge(data::Purge),
    /// Finds inconsistent rows: jobs without client or action, sessions with missing jobs, invalid JSON, duplicate clients.
    /// Fails when any is left.
    Check(data::Check),
    /// Prints the names of all tables as a JSON list.
    Show,
    /// Prints the revision of the tables and whether it is the newest.
    Version,
    /// Drops all tables, with everything in them.
    Remove {
        /// Confirm that everything is to be deleted.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints a configuration file with every option, its meaning and its default.
    Sample,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Prints a policy file with every rule, its meaning and its default.
    Sample,
    /// Prints the rules in force and where each comes from.
    List,
    /// Tells whether a rule allows a token, and which check decided.
    Check {
        /// Keystone's answer to GET /v3/auth/tokens, or an object of credentials, as JSON.
        #[arg(long, value_name = "PATH")]
        token_file: PathBuf,
        /// The rule, for instance jobs:create.
        #[arg(long)]
        rule: String,
        /// An attribute of what the request is about, for instance project_id=4f6a…; may be repeated.
        #[arg(long, value_name = "KEY=VALUE")]
        target: Vec<String>,
    },
}

/// The program's command line.
pub(super) fn command() -> clap::Command {
    Arguments::command()
}

/// The program.
pub fn main() -> ExitCode {
    exit(run(Arguments::parse()))
}

async fn report(config: &Config, command: report::Report) -> anyhow::Result<()> {
    let store = connect_for_maintenance(config).await?;
    report::report(&store, command, config.report.run_days).await
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(script) = arguments.completion.script::<Arguments>() {
        return Ok(output::write(format_args!("{script}"))?);
    }
    let Some(command) = arguments.command else {
        // As the Python service's program does.
        return Ok(output::write(format_args!(
            "{}",
            Arguments::command().render_help()
        ))?);
    };
    let begin = || arguments.config.begin(MANAGE);
    match command {
        Command::Config(ConfigCommand::Sample) => {
            Ok(output::write(format_args!("{}", config::sample()))?)
        }
        Command::Policy(command) => {
            let (config, _log) = begin()?;
            ask_policy(&config, command)
        }
        Command::Export(export) => {
            let (config, _log) = begin()?;
            block_on(async { data::export(&connect_for_maintenance(&config).await?, export).await })
        }
        Command::Import(import) => {
            let (config, _log) = begin()?;
            block_on(async {
                data::import(&config, &connect_for_maintenance(&config).await?, import).await
            })
        }
        Command::Report(command) => {
            let (config, _log) = begin()?;
            block_on(report(&config, command))
        }
        Command::Db(Db::Copy(copy)) => block_on(data::copy(&arguments.config, *copy)),
        Command::Db(Db::Configured(command)) => {
            let (config, _log) = begin()?;
            block_on(db(&config, command))
        }
    }
}

fn ask_policy(config: &Config, command: PolicyCommand) -> anyhow::Result<()> {
    let enforcer = &Enforcer::new(rules::DEFAULTS, app::policy_options(config))?;
    match command {
        PolicyCommand::Sample => output::write(format_args!("{}", policy::sample()))?,
        PolicyCommand::List => output::write(format_args!("{}", policy::list(enforcer)))?,
        PolicyCommand::Check {
            token_file,
            rule,
            target,
        } => {
            let token = std::fs::read_to_string(&token_file)
                .with_context(|| format!("cannot read {}", token_file.display()))?;
            let verdict = policy::check(enforcer, &token, &rule, &target)?;
            output::write(format_args!("{verdict}"))?;
        }
    }
    Ok(())
}

async fn db(config: &Config, command: ConfiguredDb) -> anyhow::Result<()> {
    let store = &connect_for_maintenance(config).await?;
    match command {
        ConfiguredDb::Sync {
            version,
            dry_run: true,
            ..
        } => plan(store, version.as_deref()).await,
        ConfiguredDb::Sync {
            version,
            abort_after,
            ..
        } => sync(store, version.as_deref(), &migration(abort_after)).await,
        ConfiguredDb::Downgrade { abort_after } => downgrade(store, &migration(abort_after)).await,
        ConfiguredDb::Purge(arguments) => data::purge(store, arguments).await,
        ConfiguredDb::Check(arguments) => data::check(store, arguments).await,
        ConfiguredDb::Show => {
            output::line!("{}", serde_json::to_string(&store.tables().await?)?)?;
            Ok(())
        }
        ConfiguredDb::Version => version(store).await,
        ConfiguredDb::Remove { yes: false } => {
            bail!(
                "this drops all tables of the database, with everything in them; confirm with --yes"
            )
        }
        ConfiguredDb::Remove { yes: true } => {
            for table in store.db_remove().await? {
                output::line!("dropped {table}")?;
            }
            Ok(())
        }
    }
}

fn migration(abort_after: Option<u64>) -> Migration {
    Migration {
        abort_after,
        ..Migration::default()
    }
}

async fn downgrade(store: &Store, migration: &Migration) -> anyhow::Result<()> {
    let mut display = Display::new();
    let report = store
        .db_downgrade(migration, &mut |progress| display.show(progress))
        .await?;
    drop(display);
    if report.applied.is_empty() {
        output::line!("there was nothing of ours in the tables")?;
    } else {
        output::line!("the tables are as the Python service makes them")?;
    }
    Ok(())
}

async fn plan(store: &Store, target: Option<&str>) -> anyhow::Result<()> {
    let plan = store.db_plan(target).await?;
    if plan.is_empty() {
        output::line!("-- nothing to do")?;
    }
    for revision in plan {
        output::line!("-- revision {}: {}", revision.id, revision.title)?;
        for statement in revision.statements {
            let end = if statement.starts_with("--") { "" } else { ";" };
            output::line!("{statement}{end}\n")?;
        }
    }
    Ok(())
}

async fn sync(store: &Store, target: Option<&str>, migration: &Migration) -> anyhow::Result<()> {
    let mut display = Display::new();
    let Report {
        applied,
        data_warnings,
    } = store
        .db_sync(target, migration, &mut |progress| display.show(progress))
        .await?;
    match applied.last() {
        None => output::line!("nothing to do")?,
        Some(last) => output::line!("done: the tables are at {last}")?,
    }
    if data_warnings > 0 {
        output::line!(
            "{data_warnings} values had no place in the new tables; they are in freezer_api_leftovers"
        )?;
    }
    if let Some(limit) = store.narrow_encoding().await? {
        output::note!("warning: {limit}");
    }
    Ok(())
}

async fn version(store: &Store) -> anyhow::Result<()> {
    let (alembic, own) = store.revisions().await?;
    output::line!("alembic_version: {}", alembic.as_deref().unwrap_or("none"))?;
    output::line!("freezer_api_version: {}", own.as_deref().unwrap_or("none"))?;
    output::line!("{}", store.schema_state().await?)?;
    Ok(())
}
