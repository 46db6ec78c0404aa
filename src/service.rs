//! What the API does: one function for each operation, which may touch several tables and Keystone.
//!
//! It takes an [`Authorized`](crate::authz::Authorized) caller and a parsed body, decides with `domain` on rows that it has
//! locked, and commits one transaction. It knows no route, no header and no SQL.

mod actions;
mod answer;
mod backups;
mod clients;
mod days;
mod documents;
mod figures;
mod hosts;
mod jobs;
mod judging;
mod leases;
mod liveness;
mod report;
mod restores;
mod series;
mod sessions;
mod summary;
mod trusts;

use crate::clock::{Clock, Ids};
use crate::domain::validation::Schemas;
use crate::store::{Memory, Store};
use figures::FiguresOfLate;
use liveness::Liveness;
use summary::Summaries;

pub use answer::{Answer, Document, Pieces};
pub use days::{count_changed_hours, count_days};
pub use judging::{RoundTerms, judge_all};
pub use report::ReportPage;
pub use series::{SeriesBackups, SeriesKeeper};
pub use trusts::JobTrusts;

/// The catalogue: clients, actions, jobs, sessions and backups, for as long as the program runs.
pub struct Catalogue {
    /// The database.
    pub store: Store,
    schemas: Schemas,
    trusts: JobTrusts,
    /// Time.
    pub clock: Clock,
    ids: Ids,
    /// How many bytes the document of a job may have.
    max_document_size: usize,
    /// The memory for large lists and bodies.
    pub memory: Memory,
    liveness: Liveness,
    summaries: Summaries,
    figures: FiguresOfLate,
}

impl Catalogue {
    /// Puts the parts together.
    pub fn new(
        store: Store,
        schemas: Schemas,
        trusts: JobTrusts,
        clock: Clock,
        ids: Ids,
        max_document_size: usize,
        memory: Memory,
    ) -> Catalogue {
        Catalogue {
            store,
            schemas,
            trusts,
            clock,
            ids,
            max_document_size,
            memory,
            liveness: Liveness::default(),
            summaries: Summaries::default(),
            figures: FiguresOfLate::default(),
        }
    }
}
