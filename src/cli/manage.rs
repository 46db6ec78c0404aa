//! `freezer-manage`: the tables, and samples of the files that an operator writes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use super::progress::Display;
use super::{ConfigArguments, block_on, connect, data, exit, policy};
use crate::app;
use crate::authz::rules;
use crate::config;
use crate::oslo::policy::Enforcer;
use crate::schema::{Migration, Report};
use crate::store::Store;

/// Looks after the database of freezer-api.
#[derive(Debug, Parser)]
#[command(name = "freezer-manage", version)]
struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The tables.
    #[command(subcommand)]
    Db(Db),
    /// Writes all documents that are not deleted as JSON Lines.
    Export(data::Export),
    /// Adds the documents of an export that are not there yet.
    Import(data::Import),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The policy.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
enum Db {
    /// Makes the tables, or upgrades them from any older layout. Doing it twice, or two at once, is harmless.
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
    /// Takes back what this program adds to the tables of the Python service, which needs none of it.
    Downgrade,
    /// Removes rows that have been marked as deleted for long, in small transactions.
    Purge(data::Purge),
    /// Looks for rows that do not fit together: jobs without client or action, sessions with missing jobs, JSON that is none,
    /// duplicate clients. Fails when any is left.
    Check(data::Check),
    /// Copies every row into another database, of another engine too, and compares both. Doing it again goes on.
    Copy(Box<data::Copy>),
    /// Prints the names of all tables as a JSON list.
    Show,
    /// Prints the revision of the tables and whether it is the newest.
    Version,
    /// Drops all tables, with everything in them.
    Remove {
        /// Yes, everything goes.
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
    /// Says whether a rule lets a token pass, and which check decided.
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

/// The program.
pub fn main() -> ExitCode {
    exit(run(Arguments::parse()))
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Config(ConfigCommand::Sample) => {
            print!("{}", config::sample());
            Ok(())
        }
        Command::Policy(command) => ask_policy(&enforcer(&arguments.config)?, command),
        Command::Db(Db::Copy(arguments)) => block_on(data::copy(*arguments)),
        Command::Export(export) => {
            let config = arguments.config.load()?;
            block_on(async { data::export(&connect(&config).await?, export).await })
        }
        Command::Import(import) => {
            let config = arguments.config.load()?;
            block_on(async { data::import(&connect(&config).await?, import).await })
        }
        Command::Db(command) => {
            let config = arguments.config.load()?;
            block_on(async { db(&connect(&config).await?, command).await })
        }
    }
}

fn enforcer(arguments: &ConfigArguments) -> anyhow::Result<Enforcer> {
    let options = app::policy_options(&arguments.load()?);
    Ok(Enforcer::new(rules::DEFAULTS, options)?)
}

fn ask_policy(enforcer: &Enforcer, command: PolicyCommand) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Sample => print!("{}", policy::sample()),
        PolicyCommand::List => print!("{}", policy::list(enforcer)),
        PolicyCommand::Check {
            token_file,
            rule,
            target,
        } => {
            let token = std::fs::read_to_string(&token_file)
                .with_context(|| format!("cannot read {}", token_file.display()))?;
            print!("{}", policy::check(enforcer, &token, &rule, &target)?);
        }
    }
    Ok(())
}

async fn db(store: &Store, command: Db) -> anyhow::Result<()> {
    match command {
        Db::Sync {
            version,
            dry_run: true,
            ..
        } => plan(store, version.as_deref()).await,
        Db::Sync {
            version,
            abort_after,
            ..
        } => {
            let migration = Migration {
                abort_after,
                ..Migration::default()
            };
            sync(store, version.as_deref(), &migration).await
        }
        Db::Downgrade => {
            let mut display = Display::new();
            let report = store
                .db_downgrade(&Migration::default(), &mut |progress| {
                    display.show(progress)
                })
                .await?;
            match report.applied.is_empty() {
                true => println!("there was nothing of ours in the tables"),
                false => println!("the tables are as the Python service makes them"),
            }
            Ok(())
        }
        Db::Purge(arguments) => data::purge(store, arguments).await,
        Db::Check(arguments) => data::check(store, arguments).await,
        Db::Copy(arguments) => data::copy(*arguments).await,
        Db::Show => {
            println!("{}", serde_json::to_string(&store.tables().await?)?);
            Ok(())
        }
        Db::Version => version(store).await,
        Db::Remove { yes: false } => {
            bail!(
                "this drops all tables of the database, with everything in them; add --yes to do it"
            )
        }
        Db::Remove { yes: true } => {
            for table in store.db_remove().await? {
                println!("dropped {table}");
            }
            Ok(())
        }
    }
}

async fn plan(store: &Store, target: Option<&str>) -> anyhow::Result<()> {
    let plan = store.db_plan(target).await?;
    if plan.is_empty() {
        println!("-- nothing to do");
    }
    for revision in plan {
        println!("-- revision {}: {}", revision.id, revision.title);
        for statement in revision.statements {
            match statement.starts_with("--") {
                true => println!("{statement}\n"),
                false => println!("{statement};\n"),
            }
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
        None => println!("nothing to do"),
        Some(last) => println!("done: the tables are at {last}"),
    }
    if data_warnings > 0 {
        println!(
            "{data_warnings} values had no place in the new tables; they are in freezer_api_leftovers"
        );
    }
    Ok(())
}

async fn version(store: &Store) -> anyhow::Result<()> {
    let (alembic, own) = store.revisions().await?;
    println!("alembic_version: {}", alembic.as_deref().unwrap_or("none"));
    println!("freezer_api_version: {}", own.as_deref().unwrap_or("none"));
    println!("{}", store.schema_state().await?);
    Ok(())
}
