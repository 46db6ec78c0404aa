//! `freezer-manage import elasticsearch`.

use std::fs;
use std::io::{BufWriter, Write, sink};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

mod print;
mod projects;
mod source;

use super::files::private_file;
use super::output;
use super::progress::Display;
use crate::config::Config;
use crate::elasticsearch::Source;
use crate::maintenance::elasticsearch::{Survey, Writing};
use crate::store::Store;
use projects::ProjectArguments;
use source::SourceArguments;

/// `import elasticsearch`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Read everything, print what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Read everything again, compare each document with what the API shows for it, and write nothing. Fails where one is not shown
    /// as it was, but for what the import has told.
    #[arg(long, conflicts_with_all = ["dry_run", "overwrite", "leftovers"])]
    verify: bool,
    /// Overwrite rows that differ from the documents; without it they are told, and stay.
    #[arg(long, conflicts_with = "dry_run")]
    overwrite: bool,
    #[command(flatten)]
    projects: ProjectArguments,
    /// The file for documents that cannot be rows, readable by its owner alone; where there are none, there is no file. A dry run
    /// writes it only when it is named.
    #[arg(long, value_name = "PATH")]
    leftovers: Option<PathBuf>,
}

impl Arguments {
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

pub(super) async fn import(
    config: &Config,
    store: &Store,
    arguments: Arguments,
) -> anyhow::Result<()> {
    let source = arguments.source.open().await?;
    let mut display = Display::new();
    let mut survey = Survey::read(&source, &mut |progress| display.show(progress)).await?;
    drop(display);
    let rules = arguments.projects.rules(config, &mut survey).await?;
    survey.complete(rules)?;
    print::found(survey.found())?;
    print::refuse_without_project(survey.found(), arguments.dry_run)?;
    if arguments.verify {
        return verify(store, &source, &mut survey).await;
    }
    let path = arguments.leftovers();
    let mut leftovers = Leftovers::open(path)?;
    let mut display = Display::new();
    let report = store
        .import_elasticsearch(
            &source,
            &mut survey,
            arguments.writing(),
            &mut *leftovers.file,
            &mut |progress| display.show(progress),
        )
        .await?;
    drop((display, leftovers));
    print::done(survey.found(), &report, arguments.dry_run)?;
    print::conclude(survey.found(), &report, arguments.dry_run, path)
}

async fn verify(store: &Store, source: &Source, survey: &mut Survey) -> anyhow::Result<()> {
    let mut display = Display::new();
    let verification = store
        .verify_elasticsearch(source, survey, &mut |progress| display.show(progress))
        .await?;
    drop(display);
    print::verified(survey.found(), &verification)
}

/// The file of leftovers, which goes when nothing is in it.
struct Leftovers<'a> {
    path: Option<&'a Path>,
    file: Box<dyn Write + Send>,
}

impl<'a> Leftovers<'a> {
    fn open(path: Option<&'a Path>) -> anyhow::Result<Leftovers<'a>> {
        let file: Box<dyn Write + Send> = match path {
            Some(path) => Box::new(BufWriter::new(
                private_file(path).with_context(|| format!("cannot write {}", path.display()))?,
            )),
            None => Box::new(sink()),
        };
        Ok(Leftovers { path, file })
    }
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        // Whatever is in the way of it, an empty file does no harm.
        let _ = self.file.flush();
        let is_empty = |path: &Path| {
            let about = fs::metadata(path);
            about.is_ok_and(|about| about.is_file() && about.len() == 0)
        };
        if let Some(path) = self.path.filter(|path| is_empty(path)) {
            let _ = fs::remove_file(path);
        }
    }
}
