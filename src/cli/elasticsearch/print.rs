//! What an import of documents prints, and with which outcome it ends.

use std::path::Path;

use anyhow::bail;

use super::output;
use crate::maintenance::elasticsearch::{Found, Kind, Report, Verification};

/// How many projects, notes and differences are printed.
const MAX_LINES: usize = 60;

/// What was read.
pub(super) fn found(found: &Found) -> anyhow::Result<()> {
    output::line!("documents:")?;
    for ((kind, index, layout), count) in &found.kinds {
        output::line!("  {count:>9} {kind:<8} in {index}, known {layout}")?;
    }
    for ((index, doc_type), count) in &found.foreign {
        output::line!("  {count:>9} others   in {index}, of type {doc_type}: not freezer-api's")?;
    }
    output::line!("written by releases:")?;
    for (release, count) in &found.releases {
        output::line!("  {count:>9} {release}")?;
    }
    output::line!("projects are told:")?;
    for ((kind, told_by), count) in &found.projects {
        output::line!("  {count:>9} {kind:<8} {told_by}")?;
    }
    output::line!("projects:")?;
    for (project, count) in found.by_project.iter().take(MAX_LINES) {
        output::line!("  {count:>9} {project}")?;
    }
    if let Some(more @ 1..) = found.by_project.len().checked_sub(MAX_LINES) {
        output::line!("  and {more} more")?;
    }
    Ok(())
}

/// Names the users whose documents have no project, as arguments that can be copied.
pub(super) fn refuse_without_project(found: &Found, dry_run: bool) -> anyhow::Result<()> {
    if found.without_project.is_empty() {
        return Ok(());
    }
    let mut documents = 0;
    output::line!("nothing tells the project of:")?;
    for (user, (count, proposal)) in &found.without_project {
        documents += count;
        let why = match proposal {
            Some(_) => "the only project of the user's other documents",
            None => "unknown",
        };
        let project = proposal.as_deref().unwrap_or("PROJECT");
        output::line!("  {count:>9} of user {user}: --project {user}={project}  ({why})")?;
    }
    if dry_run {
        return Ok(());
    }
    bail!(
        "nothing was written: {documents} documents have no project; say it with --project, --projects-file or \
         --default-project"
    )
}

/// What became of it.
pub(super) fn done(found: &Found, report: &Report, dry_run: bool) -> anyhow::Result<()> {
    let written = if dry_run { "to write" } else { "written" };
    output::line!(
        "{:<8} {:>9} {written:>9} {:>9} {:>9} {:>9} {:>9}",
        "",
        "read",
        "merged",
        "there",
        "differ",
        "left"
    )?;
    for kind in Kind::ALL {
        let (read, tally) = (found.read(kind), report.tally(kind));
        output::line!(
            "{kind:<8} {read:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            tally.written,
            tally.merged,
            tally.there,
            tally.differing,
            tally.left
        )?;
    }
    if report.made_actions > 0 {
        output::line!(
            "{} actions more, made from the copies in jobs",
            report.made_actions
        )?;
    }
    notes(report)
}

fn notes(report: &Report) -> anyhow::Result<()> {
    if !report.notes.is_empty() {
        output::line!("notes:")?;
    }
    for ((kind, text), note) in report.notes.iter().take(MAX_LINES) {
        output::line!(
            "  {:>9} {kind:<8} {text} (for example {})",
            note.count,
            note.example
        )?;
    }
    if let Some(more @ 1..) = report.notes.len().checked_sub(MAX_LINES) {
        output::line!("  and {more} different ones more")?;
    }
    Ok(())
}

/// Fails where not every document that was read became something.
fn refuse_other_count(found: &Found, counted: impl Fn(Kind) -> u64) -> anyhow::Result<()> {
    let adds_up = |kind: &Kind| found.read(*kind) == counted(*kind);
    let missing = Kind::ALL.into_iter().filter(|kind| !adds_up(kind));
    let missing: Vec<&str> = missing.map(Kind::name).collect();
    if !missing.is_empty() {
        bail!(
            "the count does not add up for {}: the documents changed while they were read",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Succeeds when every document of freezer's that was read is in the tables.
pub(super) fn conclude(
    found: &Found,
    report: &Report,
    dry_run: bool,
    leftovers: Option<&Path>,
) -> anyhow::Result<()> {
    refuse_other_count(found, |kind| report.tally(kind).sum())?;
    let place = leftovers.map_or_else(
        || "--leftovers writes them to a file".to_owned(),
        |path| format!("see {}", path.display()),
    );
    match (report.not_there(), dry_run) {
        (0, true) => output::line!("the count adds up; nothing was written")?,
        (0, false) => {
            output::line!("the count adds up: every document of freezer-api is in the tables")?
        }
        (count, _) => bail!(
            "the count adds up, but {count} documents are not in the tables as they were read; {place}"
        ),
    }
    Ok(())
}

/// What a comparison with the API found; succeeds when it shows every document as it was, but for what the import has told.
pub(super) fn verified(found: &Found, verification: &Verification) -> anyhow::Result<()> {
    output::line!(
        "{:<8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "",
        "read",
        "same",
        "merged",
        "left",
        "deleted",
        "differ"
    )?;
    for kind in Kind::ALL {
        let (read, checked) = (found.read(kind), verification.checked(kind));
        output::line!(
            "{kind:<8} {read:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            checked.same,
            checked.merged,
            checked.left,
            checked.deleted,
            checked.differing
        )?;
    }
    if !verification.differences.is_empty() {
        output::line!("differences:")?;
    }
    for difference in verification.differences.iter().take(MAX_LINES) {
        output::line!("  {}: {}", difference.path, difference.what)?;
    }
    if let Some(more @ 1..) = verification.differing.checked_sub(MAX_LINES as u64) {
        output::line!("  and {more} documents more")?;
    }
    refuse_other_count(found, |kind| verification.checked(kind).sum())?;
    match verification.differing {
        0 => output::line!(
            "the API shows every document as it was, but for what the import has told"
        )?,
        count => bail!("the API does not show {count} documents as they were"),
    }
    Ok(())
}
