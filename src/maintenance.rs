//! What operators do to the whole database: purge deleted rows, check that rows fit together, copy, export and import.
//!
//! Behind `freezer-manage`; no request comes through here.

mod check;
mod copy;
pub mod elasticsearch;
mod export;
mod import;
mod purge;
mod rows;
mod series;

pub use check::{DuplicateClient, Finding, Findings};
pub use copy::{Copied, CopyError};
pub use export::ExportError;
pub use import::{ImportError, Imported};
pub use purge::PurgedRows;
pub use series::RebuiltSeries;
