//! `freezer-manage report`: what is wrong with jobs, for a terminal, cron and monitoring.

mod overview;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use time::OffsetDateTime;

use super::data::require_current;
use super::output;
use super::progress::Display;
use crate::domain::Scope;
use crate::domain::finding::Finding;
use crate::domain::job_report::{JobHistory, JobQuery, Judgement};
use crate::store::{Store, StoreError, Tx};

/// How many jobs are read at once.
const BATCH: usize = 50;

#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// Lists the jobs with which something is wrong. Fails when one is failing or overdue, or has never succeeded.
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
        Report::Problems(of) => problems(store, of).await,
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

async fn problems(store: &Store, arguments: Of) -> anyhow::Result<()> {
    let scope = arguments.scope();
    let now = store.clock.now();
    let (mut looked_at, mut wrong, mut urgent) = (0, 0, 0);
    let mut marker = None;
    loop {
        let jobs = batch(store, &scope, marker.take()).await?;
        marker = jobs.get(BATCH - 1).map(|job| job.job_id.clone());
        for job in jobs.iter().take(BATCH) {
            looked_at += 1;
            let judgement = job.judge(now);
            let findings: Vec<Finding> = judgement.found.iter().map(|one| one.finding).collect();
            if findings.is_empty() {
                continue;
            }
            wrong += 1;
            urgent += usize::from(findings.iter().any(|finding| finding.is_urgent()));
            match arguments.format {
                Format::Json => output::line!("{}", job.report(now))?,
                Format::Table => print(job, &judgement, &findings)?,
            }
        }
        if jobs.len() <= BATCH {
            break;
        }
    }
    if arguments.format == Format::Table {
        output::line!("{looked_at} jobs, something is wrong with {wrong}")?;
    }
    if urgent > 0 {
        bail!("{urgent} jobs fail, or have not succeeded in time");
    }
    Ok(())
}

/// The next jobs, and one more where there are more.
async fn batch(
    store: &Store,
    scope: &Scope,
    marker: Option<String>,
) -> Result<Vec<JobHistory>, StoreError> {
    let query = JobQuery {
        limit: BATCH,
        ..JobQuery::default()
    };
    store
        .read("reporting jobs", async |tx: &mut Tx| {
            let after = match &marker {
                None => None,
                Some(id) => match tx.place_of_job(scope, id).await? {
                    // It was purged this moment; what would come behind it is not known.
                    None => return Err(StoreError::BrokenOff),
                    place => place,
                },
            };
            tx.list_job_histories(scope, &query, after).await
        })
        .await
}

fn print(
    job: &JobHistory,
    judgement: &Judgement,
    findings: &[Finding],
) -> Result<(), output::OutputError> {
    let findings: Vec<&str> = findings.iter().map(|finding| finding.name()).collect();
    let description = job.description.as_deref().unwrap_or_default();
    output::line!(
        "{:<20} {:<32} {:<30} last success {}, due {}: {} {description:?}",
        findings.join(","),
        job.project_id.as_deref().unwrap_or("-"),
        // Texts of users may have characters that steer a terminal.
        job.client_id.escape_debug().to_string(),
        time_of(judgement.last_success_at, "never"),
        time_of(judgement.due_at, "no more"),
        job.job_id,
    )
}

fn time_of(seconds: Option<i64>, none: &str) -> String {
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| none.to_owned(), |time| time.to_string())
}
