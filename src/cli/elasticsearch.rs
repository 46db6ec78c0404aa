//! `freezer-manage import elasticsearch`: its arguments, and what it prints.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write, sink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

mod source;

use super::files::private_file;
use super::output;
use super::progress::Display;
use crate::maintenance::elasticsearch::{
    ElasticsearchImport, Found, Kind, ProjectRules, Report, Writing,
};
use crate::store::Store;
use source::SourceArguments;

/// How many projects and notes are printed.
const MAX_LINES: usize = 60;

/// `import elasticsearch`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Read everything, print what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Overwrite rows that differ from the documents; without it they are told, and stay.
    #[arg(long, conflicts_with = "dry_run")]
    overwrite: bool,
    /// The project of a user's documents, where they do not tell it. May be repeated.
    #[arg(long, value_name = "USER=PROJECT")]
    project: Vec<String>,
    /// A file of such pairs, one a line; # begins a comment.
    #[arg(long, value_name = "PATH")]
    projects_file: Option<PathBuf>,
    /// The project of all other documents that do not tell it.
    #[arg(long, value_name = "PROJECT")]
    default_project: Option<String>,
    /// The file for documents that cannot be rows, readable by its owner alone. A dry run writes it only when it is named.
    #[arg(long, value_name = "PATH")]
    leftovers: Option<PathBuf>,
}

impl Arguments {
    fn rules(&self) -> anyhow::Result<ProjectRules> {
        let mut users = BTreeMap::new();
        if let Some(path) = &self.projects_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            for line in text.lines() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if !line.is_empty() {
                    users.extend([pair(line).with_context(|| path.display().to_string())?]);
                }
            }
        }
        for argument in &self.project {
            users.extend([pair(argument)?]);
        }
        Ok(ProjectRules {
            users,
            default: self.default_project.clone(),
        })
    }

    fn writing(&self) -> Writing {
        match (self.dry_run, self.overwrite) {
            (true, _) => Writing::DryRun,
            (false, true) => Writing::Overwrite,
            (false, false) => Writing::Add,
        }
    }

    /// Where documents are written that cannot be rows.
    fn leftovers(&self) -> Option<&Path> {
        match (&self.leftovers, self.dry_run) {
            (Some(path), _) => Some(path),
            (None, true) => None,
            (None, false) => Some(Path::new("elasticsearch-leftovers.jsonl")),
        }
    }
}

/// `USER=PROJECT`.
fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((user, project)) if !user.trim().is_empty() && !project.trim().is_empty() => {
            Ok((user.trim().to_owned(), project.trim().to_owned()))
        }
        _ => bail!("{text}: wanted is USER=PROJECT"),
    }
}

pub(super) async fn import(store: &Store, arguments: Arguments) -> anyhow::Result<()> {
    let import = ElasticsearchImport {
        rules: arguments.rules()?,
        source: arguments.source.open().await?,
        writing: arguments.writing(),
    };
    let path = arguments.leftovers();
    let mut leftovers: Box<dyn Write + Send> = match path {
        Some(path) => Box::new(BufWriter::new(
            private_file(path).with_context(|| format!("cannot write {}", path.display()))?,
        )),
        None => Box::new(sink()),
    };
    let mut display = Display::new();
    let report = store
        .import_elasticsearch(&import, &mut *leftovers, &mut |progress| {
            display.show(progress)
        })
        .await?;
    drop(display);
    print_found(&report.found)?;
    refuse_without_project(&report.found, arguments.dry_run)?;
    print_done(&report, arguments.dry_run)?;
    conclude(&report, arguments.dry_run, path)
}

fn print_found(found: &Found) -> anyhow::Result<()> {
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
fn refuse_without_project(found: &Found, dry_run: bool) -> anyhow::Result<()> {
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

fn print_done(report: &Report, dry_run: bool) -> anyhow::Result<()> {
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
        let (read, tally) = (report.found.read(kind), report.tally(kind));
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
    print_notes(report)
}

fn print_notes(report: &Report) -> anyhow::Result<()> {
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

/// Succeeds when every document of freezer's that was read is in the tables.
fn conclude(report: &Report, dry_run: bool, leftovers: Option<&Path>) -> anyhow::Result<()> {
    let missing: Vec<&str> = report.missing().into_iter().map(Kind::name).collect();
    if !missing.is_empty() {
        bail!(
            "the count does not add up for {}: the documents changed while they were read",
            missing.join(", ")
        );
    }
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
