//! The rules of the service, without input or output: what a document must look like, how a request changes what is
//! stored, and which documents a search finds.
//!
//! Everything in here is a pure function of its arguments; the time is one of them. Nothing in here may know HTTP
//! or SQL. The structs are the rows of the tables, with the columns' names.

pub mod action;
pub mod backup;
pub mod client;
pub mod document;
pub mod figures;
pub mod finding;
pub mod host;
pub mod job;
pub mod job_report;
pub mod liveness;
pub mod resource;
pub mod restore;
pub mod run;
pub mod run_day;
pub mod schedule;
pub mod search;
pub mod series;
pub mod session;
pub mod summary;
pub mod validation;

/// Why a well-formed request is not carried out. The text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document or a parameter breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not do this to this document.
    #[error("{0}")]
    Forbidden(String),
    /// The document named in the path does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The identifier is in use.
    #[error("{0}")]
    Conflict(String),
    /// The document refers to something that is missing or does not fit.
    #[error("{0}")]
    Unprocessable(String),
}

impl Refusal {
    /// [`Refusal::NotFound`] in the words used for every kind of document.
    pub fn not_found(kind: &str, id: &str) -> Refusal {
        Refusal::NotFound(format!("{kind} not registered with ID {id}"))
    }

    /// [`Refusal::Conflict`] in the words used for every kind of document.
    pub fn already_registered(kind: &str, id: &str) -> Refusal {
        Refusal::Conflict(format!("{kind} already registered with ID {id}"))
    }
}

/// Which rows a request may touch: the first argument of every query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one project.
    Project(String),
    /// Those of all projects.
    All,
}
