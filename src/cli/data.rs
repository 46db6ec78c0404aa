//! The commands of `freezer-manage` that work on what is in the tables: purge, check, copy, export, import.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use time::Duration;

use super::progress::Display;
use crate::clock::{Clock, Ids};
use crate::config;
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
    /// Print how many rows would go, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// `db check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Mend what can be mended without a decision.
    #[arg(long)]
    fix: bool,
    /// Change nothing, as without --fix.
    #[arg(long, conflicts_with = "fix")]
    dry_run: bool,
}

/// `db copy`.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The database to read.
    #[arg(long, value_name = "URL")]
    from: DatabaseUrl,
    /// The database to write. Its tables are made when it has none.
    #[arg(long, value_name = "URL")]
    to: DatabaseUrl,
    /// Only say whether both can be reached and what they are.
    #[arg(long)]
    dry_run: bool,
}

/// `export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Only the documents of this project.
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// The file to write. Without it, standard output.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file to read; - is standard input.
    file: PathBuf,
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
async fn require_current(store: &Store) -> anyhow::Result<()> {
    match store.schema_state().await? {
        SchemaState::Current => Ok(()),
        state => bail!("{state}"),
    }
}

pub(super) async fn purge(store: &Store, arguments: Purge) -> anyhow::Result<()> {
    require_current(store).await?;
    let (rows, verb) = if arguments.dry_run {
        (store.purgeable(arguments.older_than).await?, "would go")
    } else {
        let mut display = Display::new();
        let rows = store
            .purge(arguments.older_than, arguments.batch, &mut |progress| {
                display.show(progress)
            })
            .await?;
        (rows, "are gone")
    };
    for purged in rows {
        println!("{}: {} rows {verb}", purged.table, purged.rows);
    }
    Ok(())
}

/// Fails when something is left that does not fit.
pub(super) async fn check(store: &Store, arguments: Check) -> anyhow::Result<()> {
    require_current(store).await?;
    let (mut mended, mut left) = (0u64, 0u64);
    store
        .check(arguments.fix, &mut |finding| {
            let remedy = match (finding.remedy, arguments.fix) {
                (None, _) => String::new(),
                (Some(remedy), true) => format!("; mended: {remedy}"),
                (Some(remedy), false) => format!("; --fix: {remedy}"),
            };
            match (finding.remedy, arguments.fix) {
                (Some(_), true) => mended += 1,
                _ => left += 1,
            }
            println!(
                "{} {}: {}{remedy}",
                finding.table, finding.id, finding.problem
            );
        })
        .await?;
    println!("{mended} mended, {left} left");
    match left {
        0 => Ok(()),
        _ => bail!("the tables have {left} rows that do not fit together"),
    }
}

pub(super) async fn copy(arguments: Copy) -> anyhow::Result<()> {
    let from = open(arguments.from).await.context("--from")?;
    let to = open(arguments.to).await.context("--to")?;
    if arguments.dry_run {
        println!("from: {}", from.schema_state().await?);
        println!("to: {}", to.schema_state().await?);
        return Ok(());
    }
    let mut display = Display::new();
    if to.schema_state().await? == SchemaState::Empty {
        to.db_sync(None, &Migration::default(), &mut |_| {}).await?;
    }
    let copied = from
        .copy_to(&to, &mut |progress| display.show(progress))
        .await?;
    let mut all_equal = true;
    for table in copied {
        let verdict = match table.equal {
            true => "equal",
            false => "NOT equal",
        };
        all_equal &= table.equal;
        println!(
            "{}: {} rows read, {} rows there, {verdict}",
            table.table, table.rows, table.written
        );
    }
    match all_equal {
        true => Ok(()),
        false => bail!(
            "the databases differ: the second had other rows, or the first was written to meanwhile"
        ),
    }
}

async fn open(url: DatabaseUrl) -> anyhow::Result<Store> {
    let options = config::Database {
        connection: Some(url),
        max_retries: 0,
        ..config::Database::default()
    };
    Ok(Store::connect(&options, Clock::default(), Ids::default()).await?)
}

pub(super) async fn export(store: &Store, arguments: Export) -> anyhow::Result<()> {
    require_current(store).await?;
    let mut file: Box<dyn Write> = match &arguments.output {
        None => Box::new(BufWriter::new(stdout().lock())),
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
        )),
    };
    let lines = store
        .export(arguments.project.as_deref(), &mut file)
        .await?;
    eprintln!("{lines} rows");
    Ok(())
}

pub(super) async fn import(store: &Store, arguments: Import) -> anyhow::Result<()> {
    require_current(store).await?;
    let mut file: Box<dyn BufRead> = match arguments.file == Path::new("-") {
        true => Box::new(stdin().lock()),
        false => Box::new(BufReader::new(
            File::open(&arguments.file)
                .with_context(|| format!("cannot read {}", arguments.file.display()))?,
        )),
    };
    let mut display = Display::new();
    let imported = store
        .import(&mut file, arguments.dry_run, &mut |progress| {
            display.show(progress)
        })
        .await?;
    match arguments.dry_run {
        true => println!("{} lines can be read", imported.rows),
        false => println!("{} lines, {} rows are new", imported.rows, imported.new),
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
