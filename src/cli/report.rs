//! `freezer-manage report`: how hosts fare and what is wrong, for a terminal, cron and monitoring.

mod overview;
mod problems;

use clap::{Args, Subcommand, ValueEnum};
use time::OffsetDateTime;

use super::data::require_current;
use super::output;
use super::progress::Display;
use crate::domain::Scope;
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// Lists what is wrong with jobs, clients and series of backups, the worst first. Fails when backups are missing, or no service has
    /// looked for ten minutes.
    Problems(Of),
    /// Shows how many findings, hosts, jobs and runs there are. Fails when backups are missing, or no service has looked for ten minutes.
    Summary(Of),
    /// Lists how hosts fare. Fails when backups of one are missing, or no service has looked for ten minutes.
    Hosts(Of),
    /// Puts all backups into their series anew, finds how hosts fare and what is wrong, and counts the runs of each day: after an import, or
    /// after another program has changed the tables. The service may run meanwhile.
    Rebuild,
}

/// What is shown, and how.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// Only what this project has.
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Lines of words, or documents as the REST interface shows them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Of {
    fn scope(&self) -> Scope {
        self.project.clone().map_or(Scope::All, Scope::Project)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub(super) async fn report(store: &Store, command: Report, run_days: u32) -> anyhow::Result<()> {
    require_current(store).await?;
    match command {
        Report::Problems(of) => problems::problems(store, of).await,
        Report::Summary(of) => overview::summary(store, of).await,
        Report::Hosts(of) => overview::hosts(store, of).await,
        Report::Rebuild => {
            rebuild(store).await?;
            overview::rebuild(store, run_days).await
        }
    }
}

async fn rebuild(store: &Store) -> anyhow::Result<()> {
    let mut display = Display::new();
    let rebuilt = store
        .rebuild_series(&mut |progress| display.show(progress))
        .await?;
    output::line!(
        "{} backups, {} were put into a series, {} that are gone were taken out",
        rebuilt.backups,
        rebuilt.placed,
        rebuilt.removed
    )?;
    Ok(())
}

fn time_of(seconds: Option<i64>, none: &str) -> String {
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| none.to_owned(), |time| time.to_string())
}
