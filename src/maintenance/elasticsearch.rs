//! `freezer-manage import elasticsearch`: the documents that freezer-api of older releases kept in Elasticsearch.
//!
//! All is read once before anything is written (`survey`), then kind after kind becomes rows (`mapping`, `plan`) in one
//! transaction for each batch (`writer`). The same documents become the same rows again, so an import that was interrupted is
//! simply run again. docs/adr/0008 says what was decided.

mod document;
mod mapping;
mod plan;
mod projects;
mod report;
mod survey;
mod writer;

use std::io::{self, Write};

use crate::domain::validation::Schemas;
use crate::elasticsearch::{Hit, ReadError, Source};
use crate::maintenance::rows::BATCH;
use crate::schema::{Progress, ProgressCallback};
use crate::store::{Store, StoreError};
pub use document::{Kind, Layout};
use plan::{Item, Plan, Planner};
pub use projects::{ProjectRules, ToldBy};
pub use report::{Report, Tally};
pub use survey::Found;
use survey::Survey;
use writer::Existing;
pub use writer::Writing;

/// Why documents of other programs are left.
const FOREIGN: &str = "not a document of freezer-api";

/// What is imported, and how.
#[derive(Debug, Clone)]
pub struct ElasticsearchImport {
    /// Where the documents are.
    pub source: Source,
    /// Whose documents are that do not tell it.
    pub rules: ProjectRules,
    /// What is done with rows.
    pub writing: Writing,
}

/// Why an import failed. What was written stays; another import continues.
#[derive(Debug, thiserror::Error)]
pub enum ElasticsearchImportError {
    /// The documents cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of leftovers, or one for documents that are put aside, cannot be written.
    #[error("cannot write a file")]
    File(#[from] io::Error),
    /// A schema is wrong.
    #[error("the checks of documents cannot be made: {0}")]
    Schemas(String),
}

impl Store {
    /// Imports all documents. What cannot be a row is written to `leftovers` as JSON lines.
    ///
    /// Where documents have no project, nothing is written and [`Found::without_project`] tells whose they are.
    ///
    /// # Errors
    /// [`ElasticsearchImportError`].
    pub async fn import_elasticsearch(
        &self,
        import: &ElasticsearchImport,
        leftovers: &mut (dyn Write + Send),
        progress: ProgressCallback<'_>,
    ) -> Result<Report, ElasticsearchImportError> {
        let schemas =
            Schemas::new().map_err(|error| ElasticsearchImportError::Schemas(error.to_string()))?;
        let survey = survey(import, progress).await?;
        let mut run = Run {
            store: self,
            import,
            planner: Planner::new(schemas, self.clock.now()),
            survey,
            report: Report::default(),
            clients: Existing::new(),
            leftovers,
            progress,
        };
        if import.writing == Writing::DryRun || run.survey.found.without_project.is_empty() {
            for kind in Kind::ALL {
                run.kind(kind).await?;
            }
            run.foreign().await?;
        }
        run.leftovers.flush()?;
        Ok(Report {
            found: run.survey.found,
            ..run.report
        })
    }
}

/// Reads all documents for the first time.
async fn survey(
    import: &ElasticsearchImport,
    progress: ProgressCallback<'_>,
) -> Result<Survey, ElasticsearchImportError> {
    let mut survey = Survey::new(import.rules.clone())?;
    let mut scan = import.source.scan()?;
    let mut done = 0;
    loop {
        let hits = scan.page().await?;
        if hits.is_empty() {
            break;
        }
        done += hits.len() as u64;
        for hit in hits {
            survey.add(hit)?;
        }
        progress(Progress::Rows {
            what: "documents read",
            done,
            total: scan.total(),
        });
    }
    survey.complete()?;
    Ok(survey)
}

/// An import under way.
struct Run<'a> {
    store: &'a Store,
    import: &'a ElasticsearchImport,
    planner: Planner,
    survey: Survey,
    report: Report,
    /// The clients that a dry run would have added.
    clients: Existing,
    leftovers: &'a mut (dyn Write + Send),
    progress: ProgressCallback<'a>,
}

impl Run<'_> {
    async fn kind(&mut self, kind: Kind) -> Result<(), ElasticsearchImportError> {
        if let Some(mut aside) = self.survey.aside(kind)? {
            let mut hits = Vec::new();
            while let Some(hit) = aside.next()? {
                hits.push(hit);
                if hits.len() == BATCH {
                    self.batch(kind, std::mem::take(&mut hits)).await?;
                }
            }
            return self.batch(kind, hits).await;
        }
        let mut scan = self.import.source.scan()?;
        loop {
            let hits = scan.page().await?;
            if hits.is_empty() {
                return Ok(());
            }
            self.batch(kind, hits).await?;
        }
    }

    async fn batch(&mut self, kind: Kind, hits: Vec<Hit>) -> Result<(), ElasticsearchImportError> {
        let (planner, survey) = (&mut self.planner, &self.survey);
        let planned = hits
            .into_iter()
            .filter_map(|hit| planner.plan(kind, hit, survey));
        let items: Vec<Item> = planned.collect();
        if items.is_empty() {
            return Ok(());
        }
        let store = self.store;
        let placed = match self.import.writing {
            Writing::DryRun => store.compare_batch(kind, &items, &mut self.clients).await?,
            writing => store.write_batch(kind, &items, writing).await?,
        };
        for (item, placed) in items.iter().zip(placed) {
            if let Some(reason) = placed.reason_to_leave() {
                leave(self.leftovers, &item.hit, &reason)?;
            }
            if let Plan::Write(rows) = &item.plan {
                self.report.note_kept(kind, rows, &item.hit, &placed);
            }
            self.report.count(kind, &item.hit, &placed.outcome);
        }
        (self.progress)(Progress::Rows {
            what: kind.name(),
            done: self.report.tally(kind).sum(),
            total: self.survey.found.read(kind),
        });
        Ok(())
    }
}

impl Run<'_> {
    /// What is not freezer's is kept.
    async fn foreign(&mut self) -> Result<(), ElasticsearchImportError> {
        let mut aside = self.survey.foreign()?;
        while let Some(hit) = aside.next()? {
            leave(self.leftovers, &hit, FOREIGN)?;
            if self.import.writing != Writing::DryRun {
                self.store.keep_foreign(&hit, FOREIGN).await?;
            }
        }
        Ok(())
    }
}

/// A line of the file of leftovers: the document as it was read, and why it is there.
fn leave(file: &mut (dyn Write + Send), hit: &Hit, reason: &str) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Left<'a> {
        reason: &'a str,
        #[serde(flatten)]
        hit: &'a Hit,
    }
    let mut line = serde_json::to_vec(&Left { reason, hit })?;
    line.push(b'\n');
    file.write_all(&line)
}
