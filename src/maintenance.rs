//! What operators do to the whole database: purge deleted rows, check that rows fit together, copy, export and import.
//!
//! Behind `freezer-manage`; no request comes through here. An import from Elasticsearch will live in
//! `maintenance/import/`.

mod check;
mod purge;
mod transfer;

pub use check::{DuplicateClient, Finding, Findings};
pub use purge::PurgedRows;
pub use transfer::{Copied, CopyError, ImportError, Imported};
