//! `freezer-manage report summary`, `hosts` and `rebuild`: what the rounds of the service have found, and finding it anew.

use anyhow::bail;
use time::OffsetDateTime;

use super::super::output;
use super::{Format, Of, time_of};
use crate::app;
use crate::domain::Scope;
use crate::domain::finding::Finding;
use crate::domain::host::{HostQuery, HostReport, NEVER, NO_MORE, ROUNDS};
use crate::domain::summary::Counts;
use crate::store::{Store, StoreError, Tx};

/// How many hosts are read at once.
const BATCH: usize = 500;
/// How many seconds ago the last round may have ended.
const OLD: i64 = 600;

/// Prints how all is, and fails where backups are missing, or where nobody has looked for long.
pub(super) async fn summary(store: &Store, of: Of) -> anyhow::Result<()> {
    let (scope, now) = (of.scope(), store.clock.timestamp());
    let counts = store
        .read("counting what a summary has", async |tx: &mut Tx| {
            let mut counts = tx.count_all(&scope).await?;
            counts.as_of = tx.lease_done_at(ROUNDS).await?;
            Ok::<_, StoreError>(counts)
        })
        .await?;
    let summary = counts.summary(now);
    match of.format {
        Format::Json => output::json_line(&summary.text)?,
        Format::Table => print_counts(&counts)?,
    }
    require_rounds(counts.as_of, now)?;
    if summary.red > 0 {
        bail!("{} findings mean that backups are missing", summary.red);
    }
    Ok(())
}

fn print_counts(counts: &Counts) -> Result<(), output::OutputError> {
    for (finding, (count, since)) in counts.by_kind() {
        output::line!(
            "{:<12} {:<6} {count:>8}  since {}",
            finding.name(),
            finding.severity(),
            time_of(Some(since), "ever")
        )?;
    }
    let hosts = &counts.hosts;
    output::line!(
        "{} hosts: {} alive, {} silent, {} unknown; backups are missing on {}",
        hosts.total,
        hosts.alive,
        hosts.silent,
        hosts.unknown,
        hosts.red
    )?;
    output::line!(
        "{} jobs, {} of them active; {} run, {} are due within the hour",
        hosts.jobs,
        hosts.active_jobs,
        hosts.running,
        hosts.due_soon
    )?;
    output::line!("as of {}", time_of(counts.as_of, "no round yet"))
}

/// Prints each host, and fails where backups of one are missing.
pub(super) async fn hosts(store: &Store, of: Of) -> anyhow::Result<()> {
    let scope = of.scope();
    let (mut listed, mut red) = (0, 0);
    let mut marker = None;
    loop {
        let hosts = batch(store, &scope, marker.take()).await?;
        marker = hosts.get(BATCH - 1).map(|report| report.host.id.clone());
        for report in hosts.iter().take(BATCH) {
            listed += 1;
            red += usize::from(report.host.is_red());
            match of.format {
                Format::Json => output::json_line(report.to_json().get())?,
                Format::Table => print_host(report)?,
            }
        }
        if hosts.len() <= BATCH {
            break;
        }
    }
    if of.format == Format::Table {
        output::line!("{listed} hosts, backups are missing on {red}")?;
    }
    let done_at = async |tx: &mut Tx| tx.lease_done_at(ROUNDS).await;
    let as_of = store.read("looking at the rounds", done_at).await?;
    require_rounds(as_of, store.clock.timestamp())?;
    if red > 0 {
        bail!("backups are missing on {red} hosts");
    }
    Ok(())
}

/// What nobody has looked at for long says nothing.
pub(super) fn require_rounds(as_of: Option<i64>, now: i64) -> anyhow::Result<()> {
    match as_of {
        Some(as_of) if now.saturating_sub(as_of) <= OLD => Ok(()),
        Some(as_of) => bail!(
            "no service has looked at jobs and hosts since {}",
            time_of(Some(as_of), "ever")
        ),
        None => {
            bail!("no service has looked at jobs and hosts yet; run: freezer-manage report rebuild")
        }
    }
}

async fn batch(
    store: &Store,
    scope: &Scope,
    marker: Option<String>,
) -> Result<Vec<HostReport>, StoreError> {
    let query = HostQuery {
        limit: BATCH,
        ..HostQuery::default()
    };
    store
        .read("listing hosts", async |tx: &mut Tx| {
            let after = match &marker {
                None => None,
                // It was removed this moment; what would come behind it is not known.
                Some(id) => Some(
                    tx.find_host(scope, id)
                        .await?
                        .ok_or(StoreError::BrokenOff)?,
                ),
            };
            tx.list_hosts(scope, &query, after.as_ref()).await
        })
        .await
}

fn print_host(report: &HostReport) -> Result<(), output::OutputError> {
    let host = &report.host;
    let findings = host.findings.iter().chain(&host.tally.findings);
    let findings: Vec<&str> = findings.copied().map(Finding::name).collect();
    let given = |time: i64, none: i64| Some(time).filter(|time| *time != none);
    output::line!(
        "{:<8} {:<32} {:<30} last poll {}, last success {}, due {}, {} jobs {}",
        host.state.name(),
        host.project_id.as_deref().unwrap_or("-"),
        // Texts of users may have characters that steer a terminal.
        host.client_id.escape_debug().to_string(),
        time_of(report.last_poll_at, "never"),
        time_of(given(host.tally.last_success_at, NEVER), "never"),
        time_of(given(host.tally.due_at, NO_MORE), "no more"),
        host.tally.jobs,
        findings.join(",")
    )
}

/// Has a round, and counts the runs of all days anew, as far as there are runs.
pub(super) async fn rebuild(store: &Store, run_days: u32) -> anyhow::Result<()> {
    let started = OffsetDateTime::from_unix_timestamp(store.clock.timestamp())?;
    output::note!("looking at all jobs and clients, and counting the runs of {run_days} days");
    app::rebuild_reports(store, run_days.into()).await?;
    let took = OffsetDateTime::from_unix_timestamp(store.clock.timestamp())? - started;
    let counts = store
        .read("counting what there is", async |tx: &mut Tx| {
            tx.count_all(&Scope::All).await
        })
        .await?;
    let problems: i64 = counts.findings.iter().map(|one| one.count).sum();
    output::line!(
        "{} hosts, {} jobs, {problems} problems, after {} s",
        counts.hosts.total,
        counts.hosts.jobs,
        took.whole_seconds()
    )?;
    Ok(())
}
