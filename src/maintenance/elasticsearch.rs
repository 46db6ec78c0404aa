//! `freezer-manage import elasticsearch`: the documents that freezer-api of older releases kept in Elasticsearch.
//!
//! All is read once before anything is written ([`Survey`]), then kind after kind becomes rows (`mapping`, `plan`) in one
//! transaction for each batch (`writer`). `verify` reads all again and compares it with what the API shows (`comparison`). The same documents become the same rows again, so an import that was interrupted is
//! simply run again. docs/adr/0008 says what was decided.

mod comparison;
mod document;
mod mapping;
mod plan;
mod projects;
mod report;
mod survey;
mod verify;
mod writer;

use std::io::{self, Write};

use crate::domain::validation::Schemas;
use crate::elasticsearch::{Hit, ReadError, Scan, Source};
use crate::maintenance::rows::BATCH;
use crate::schema::{Progress, ProgressCallback};
use crate::store::{Store, StoreError};
pub use document::{Kind, Layout};
use plan::{Item, Plan, Planner};
pub use projects::{ProjectRules, ToldBy};
pub use report::{Report, Tally};
use survey::AsideReader;
pub use survey::{Found, Survey};
pub use verify::{Checked, Difference, Verification};
use writer::Existing;
pub use writer::Writing;

/// How many bytes of documents a batch has, as far as one is not larger.
const BATCH_BYTES: usize = 2 << 20;

/// Why documents of other programs are left.
const FOREIGN: &str = "not a document of freezer-api";

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
    /// Imports all documents of a survey that is complete. What cannot be a row is written to `leftovers` as JSON lines.
    ///
    /// # Errors
    /// [`ElasticsearchImportError`].
    pub async fn import_elasticsearch(
        &self,
        source: &Source,
        survey: &mut Survey,
        writing: Writing,
        leftovers: &mut (dyn Write + Send),
        progress: ProgressCallback<'_>,
    ) -> Result<Report, ElasticsearchImportError> {
        let mut run = Run {
            store: self,
            source,
            writing,
            planner: Planner::new(schemas()?, self.clock.now()),
            survey,
            report: Report::default(),
            clients: Existing::new(),
            leftovers,
            progress,
        };
        for kind in Kind::ALL {
            run.kind(kind).await?;
        }
        run.foreign().await?;
        run.leftovers.flush()?;
        Ok(run.report)
    }
}

fn schemas() -> Result<Schemas, ElasticsearchImportError> {
    Schemas::new().map_err(|error| ElasticsearchImportError::Schemas(error.to_string()))
}

/// The second reading, of the documents of one kind: those that were put aside, or the source again, in which others are too.
enum Batches {
    Aside(AsideReader),
    Source(Scan),
}

impl Batches {
    fn new(
        source: &Source,
        survey: &mut Survey,
        kind: Kind,
    ) -> Result<Batches, ElasticsearchImportError> {
        Ok(match survey.aside(kind)? {
            Some(aside) => Batches::Aside(aside),
            None => Batches::Source(source.scan()?),
        })
    }

    /// The next documents; none at the end.
    async fn next(&mut self) -> Result<Vec<Hit>, ElasticsearchImportError> {
        match self {
            Batches::Source(scan) => Ok(scan.page().await?),
            Batches::Aside(aside) => {
                let (mut hits, mut bytes) = (Vec::new(), 0);
                while hits.len() < BATCH
                    && bytes < BATCH_BYTES
                    && let Some(hit) = aside.next()?
                {
                    bytes += hit.source.get().len();
                    hits.push(hit);
                }
                Ok(hits)
            }
        }
    }
}

/// An import under way.
struct Run<'a> {
    store: &'a Store,
    source: &'a Source,
    writing: Writing,
    planner: Planner,
    survey: &'a mut Survey,
    report: Report,
    /// The clients that a dry run would have added.
    clients: Existing,
    leftovers: &'a mut (dyn Write + Send),
    progress: ProgressCallback<'a>,
}

impl Run<'_> {
    async fn kind(&mut self, kind: Kind) -> Result<(), ElasticsearchImportError> {
        let mut batches = Batches::new(self.source, self.survey, kind)?;
        loop {
            let hits = batches.next().await?;
            if hits.is_empty() {
                return Ok(());
            }
            self.batch(kind, hits).await?;
        }
    }

    async fn batch(&mut self, kind: Kind, hits: Vec<Hit>) -> Result<(), ElasticsearchImportError> {
        let (planner, survey) = (&mut self.planner, &*self.survey);
        let planned = hits
            .into_iter()
            .filter_map(|hit| planner.plan(kind, hit, survey));
        let items: Vec<Item> = planned.collect();
        if items.is_empty() {
            return Ok(());
        }
        let store = self.store;
        let placed = match self.writing {
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
            total: self.survey.found().read(kind),
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
            if self.writing != Writing::DryRun {
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
