//! The commands of `freezer-manage` that work on what is in the tables: purge, check, copy, export, import.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use time::Duration;

use super::elasticsearch;
use super::files::private_file;
use super::output::{self, OutputError};
use super::progress::Display;
use super::{ConfigArguments, MANAGE};
use crate::clock::{Clock, Ids};
use crate::config::{self, Config};
use crate::maintenance::ExportError;
use crate::oslo::database_url::DatabaseUrl;
use crate::schema::{Migration, SchemaState};
use crate::store::Store;

/// `db purge`.
#[derive(Debug, Args)]
pub(super) struct Purge {
    /// How long rows must have been marked as deleted, such as 30d, 12h or "1w 2d".
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Duration,
    /// How many rows one transaction removes.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Print how many rows would be removed, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// `db check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Repair what can be repaired without a decision.
    #[arg(long)]
    fix: bool,
    /// Change nothing, as without --fix.
    #[arg(long, conflicts_with = "fix")]
    dry_run: bool,
}

/// `db copy`. A URL on the command line shows its password in the list of processes; files and the environment do not.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The database to read. Default: [database] connection.
    #[arg(
        long,
        value_name = "URL",
        env = "FREEZER_COPY_FROM",
        hide_env_values = true
    )]
    from: Option<DatabaseUrl>,
    /// The database to write. Its tables are created when it has none.
    #[arg(
        long,
        value_name = "URL",
        env = "FREEZER_COPY_TO",
        hide_env_values = true,
        required_unless_present = "to_config_file"
    )]
    to: Option<DatabaseUrl>,
    /// A configuration file whose [database] connection is the database to write.
    #[arg(long, value_name = "PATH", conflicts_with = "to")]
    to_config_file: Option<PathBuf>,
    /// Only print whether both can be reached and the state of their tables.
    #[arg(long)]
    dry_run: bool,
}

/// `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Only the documents of this project.
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// The file to write, readable by its owner alone. Default: standard output.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// `import`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Import {
    #[command(subcommand)]
    source: Option<ImportSource>,
    #[command(flatten)]
    file: ImportFile,
}

#[derive(Debug, Subcommand)]
enum ImportSource {
    /// Adds the documents that freezer-api of older releases kept in Elasticsearch. If interrupted, it continues when run again.
    Elasticsearch(Box<elasticsearch::Arguments>),
}

/// A file of an export.
#[derive(Debug, Args)]
struct ImportFile {
    /// The file to read; - is standard input.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Only check that every line can be read.
    #[arg(long)]
    dry_run: bool,
}

/// The age of rows; an age beyond a hundred years, which are older than any row, is a hundred years.
fn parse_age(text: &str) -> Result<Duration, String> {
    const HUNDRED_YEARS: u64 = 36_525 * 86_400;
    let age = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; wanted is for example 30d, 12h or \"1w 2d\""))?;
    #[expect(
        clippy::cast_possible_wrap,
        reason = "a hundred years are far fewer seconds than an i64 holds"
    )]
    let seconds = age.as_secs().min(HUNDRED_YEARS) as i64;
    Ok(Duration::seconds(seconds))
}

/// These commands need the newest tables.
pub(super) async fn require_current(store: &Store) -> anyhow::Result<()> {
    match store.schema_state().await? {
        SchemaState::Current => Ok(()),
        state => bail!("{state}"),
    }
}

pub(super) async fn purge(store: &Store, arguments: Purge) -> anyhow::Result<()> {
    require_current(store).await?;
    let (rows, verb) = if arguments.dry_run {
        let rows = store.purgeable(arguments.older_than).await?;
        (rows, "would be removed")
    } else {
        let mut display = Display::new();
        let rows = store
            .purge(arguments.older_than, arguments.batch, &mut |progress| {
                display.show(progress)
            })
            .await?;
        (rows, "removed")
    };
    for purged in rows {
        output::line!("{}: {} rows {verb}", purged.table, purged.rows)?;
    }
    Ok(())
}

/// Fails when an inconsistent row is left.
pub(super) async fn check(store: &Store, arguments: Check) -> anyhow::Result<()> {
    require_current(store).await?;
    let (mut repaired, mut left) = (0u64, 0u64);
    let mut printed = Ok(());
    store
        .check(arguments.fix, &mut |finding| {
            let repair = match (finding.repair, arguments.fix) {
                (None, _) => String::new(),
                (Some(repair), true) => format!("; repaired: {repair}"),
                (Some(repair), false) => format!("; --fix: {repair}"),
            };
            match (finding.repair, arguments.fix) {
                (Some(_), true) => repaired += 1,
                _ => left += 1,
            }
            // The work is finished even when nobody reads the output.
            if printed.is_ok() {
                let (table, id, problem) = (finding.table, &finding.id, &finding.problem);
                printed = output::line!("{table} {id}: {problem}{repair}");
            }
        })
        .await?;
    printed?;
    output::line!("{repaired} repaired, {left} left")?;
    match left {
        0 => Ok(()),
        _ => bail!("the tables have {left} inconsistent rows"),
    }
}

pub(super) async fn copy(config: &ConfigArguments, arguments: Copy) -> anyhow::Result<()> {
    // The database to read need not be the configuration's, which then need not be there.
    let (from, _log) = match arguments.from {
        Some(url) => (url, config.begin_without_files(MANAGE)?.1),
        None => {
            let (config, log) = config.begin(MANAGE)?;
            (connection(config).context("the database to read")?, log)
        }
    };
    let to = match (arguments.to, arguments.to_config_file) {
        (Some(url), _) => url,
        (None, Some(file)) => connection(ConfigArguments::load_file(file)?)?,
        (None, None) => bail!("--to or --to-config-file names the database to write"),
    };
    if from.is_same_database(&to) {
        bail!("{from} is the database to read and the database to write");
    }
    let from = open(from).await.context("the database to read")?;
    let to = open(to).await.context("the database to write")?;
    if arguments.dry_run {
        output::line!("from: {}", from.schema_state().await?)?;
        output::line!("to: {}", to.schema_state().await?)?;
        return Ok(());
    }
    copy_rows(&from, &to).await
}

async fn copy_rows(from: &Store, to: &Store) -> anyhow::Result<()> {
    let mut display = Display::new();
    if to.schema_state().await? == SchemaState::Empty {
        to.db_sync(None, &Migration::default(), &mut |_| {}).await?;
    }
    let copied = from
        .copy_to(to, &mut |progress| display.show(progress))
        .await?;
    drop(display);
    let all_equal = copied.iter().all(|table| table.equal);
    for table in copied {
        let verdict = if table.equal { "equal" } else { "NOT equal" };
        let (name, read, written) = (table.table, table.rows, table.written);
        output::line!("{name}: {read} rows read, {written} rows there, {verdict}")?;
    }
    if !all_equal {
        bail!(
            "the databases differ: the second had other rows, or the first was written to meanwhile"
        );
    }
    Ok(())
}

/// The URL that a configuration names.
fn connection(config: Config) -> anyhow::Result<DatabaseUrl> {
    config
        .database
        .connection
        .context("the configuration has no [database] connection")
}

async fn open(url: DatabaseUrl) -> anyhow::Result<Store> {
    let options = config::Database {
        connection: Some(url),
        max_retries: 0,
        ..config::Database::default()
    };
    Ok(Store::connect_for_maintenance(&options, Clock::default(), Ids::default()).await?)
}

pub(super) async fn export(store: &Store, arguments: Export) -> anyhow::Result<()> {
    require_current(store).await?;
    let (project, path) = (arguments.project.as_deref(), arguments.output.as_deref());
    let exported = match path {
        None => {
            store
                .export(project, &mut BufWriter::new(stdout().lock()))
                .await
        }
        Some(path) => {
            let file =
                private_file(path).with_context(|| format!("cannot write {}", path.display()))?;
            store.export(project, &mut BufWriter::new(file)).await
        }
    };
    let lines = exported.map_err(|error| match (error, path) {
        (ExportError::File(error), None) => anyhow::Error::new(OutputError(error)),
        (error, Some(path)) => {
            anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
        }
        (error, None) => error.into(),
    })?;
    output::note!("{lines} rows");
    Ok(())
}

pub(super) async fn import(config: &Config, store: &Store, import: Import) -> anyhow::Result<()> {
    require_current(store).await?;
    match import.source {
        Some(ImportSource::Elasticsearch(arguments)) => {
            elasticsearch::import(config, store, *arguments).await
        }
        None => import_file(store, import.file).await,
    }
}

async fn import_file(store: &Store, arguments: ImportFile) -> anyhow::Result<()> {
    let path = arguments.file.context("the file to read is missing")?;
    let mut file: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(stdin().lock())
    } else {
        Box::new(BufReader::new(
            File::open(&path).with_context(|| format!("cannot read {}", path.display()))?,
        ))
    };
    let mut display = Display::new();
    let imported = store
        .import(&mut file, arguments.dry_run, &mut |progress| {
            display.show(progress)
        })
        .await?;
    drop(display);
    if arguments.dry_run {
        output::line!("{} lines can be read", imported.rows)?;
    } else {
        output::line!("{} lines, {} rows are new", imported.rows, imported.new)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, age) in [
            ("30d", Duration::days(30)),
            ("0s", Duration::ZERO),
            ("2w", Duration::weeks(2)),
            ("1w 2d", Duration::days(9)),
            ("90m", Duration::minutes(90)),
            ("9999999999w", Duration::days(36_525)),
        ] {
            assert_eq!(parse_age(text), Ok(age), "{text}");
        }
        for wrong in [
            "",
            "d",
            "30",
            "-1d",
            "3dd",
            "99999999999999999999d",
            "30 fortnights",
        ] {
            let error = parse_age(wrong).unwrap_err();
            assert!(error.contains("wanted is for example 30d"), "{error}");
        }
    }
}
