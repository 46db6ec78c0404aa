//! The catalogue in numbers, as monitoring asks for them: by project, and for single clients.

use super::host::HostState;
use super::run::RunState;
use super::summary::FindingCount;

/// Of which clients there are figures of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Single {
    /// Of those with which, or with whose jobs, something is wrong.
    #[default]
    Problems,
    /// Of all.
    All,
    /// Of none.
    None,
}

/// Clients of a project whose schedulers are in one state, and their jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "counts of what they are called")]
pub struct HostFigures {
    pub project_id: Option<String>,
    pub state: HostState,
    /// Those that are registered in the project.
    pub clients: i64,
    pub jobs: i64,
    pub active_jobs: i64,
    pub running: i64,
    /// The oldest of the last successes of each, in seconds since 1970.
    pub oldest_success_at: Option<i64>,
}

/// Runs of a project that began within the last day and came to one state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "counts of what they are called")]
pub struct RunFigures {
    pub project_id: Option<String>,
    pub state: RunState,
    pub runs: i64,
    /// How long those that succeeded took together.
    pub seconds: i64,
}

/// Series of a project, and the backups in them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "counts of what they are called")]
pub struct SeriesFigures {
    pub project_id: Option<String>,
    pub series: i64,
    pub backups: i64,
}

/// One client in one project. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct ClientFigures {
    pub project_id: Option<String>,
    pub client_id: String,
    pub last_success_at: Option<i64>,
    pub due_at: Option<i64>,
    pub failed_in_a_row: i64,
    pub last_poll_at: Option<i64>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "what they are called")]
pub struct CatalogueFigures {
    pub hosts: Vec<HostFigures>,
    pub findings: Vec<FindingCount>,
    pub runs: Vec<RunFigures>,
    pub series: Vec<SeriesFigures>,
    pub clients: Vec<ClientFigures>,
    /// How many clients have no figures of their own, since there are too many.
    pub clients_left_out: i64,
    /// When one node among all came to the end of a round last, and of bringing series up to date.
    pub rounds_done_at: Option<i64>,
    pub series_done_at: Option<i64>,
}
