//! What can go wrong between us and the database. Knows nothing of HTTP. What each code of the engines means is in
//! [`failure`](super::failure).

use std::time::Duration;

use super::failure::{self, Failure};

/// How many bytes a text may have. Two of them, the most of one row, go into the 16 MiB that MariaDB takes in one packet
/// by default.
pub const MAX_TEXT: usize = 7 * 1024 * 1024;

/// A failure of the database or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// The database refused a connection, or did not answer.
    #[error("cannot connect to the database: {0}")]
    Connect(sqlx::Error),
    /// The server identifies the account in a way that we do not have.
    #[error(
        "cannot connect to the database: it identifies the account by {0}, which this program does not have; identify it by \
         mysql_native_password, or on MySQL by caching_sha2_password over TLS"
    )]
    Plugin(String),
    /// The server takes the account's password over TLS, or encrypted by a key of its own (RSA), which we do not do.
    #[error(
        "cannot connect to the database: the server identifies the account by caching_sha2_password or sha256_password and does not know \
         the password yet, which this program sends over TLS alone: let the server speak TLS, and the URL not disable it"
    )]
    NeedsTls,
    /// The server's certificate is of a kind that our TLS does not take.
    #[error("cannot connect to the database: the server's certificate is not accepted: {0}")]
    Certificate(&'static str),
    /// The server is set up in a way in which we cannot work.
    #[error("{0}")]
    Settings(String),
    /// COMMIT failed in a way that does not tell whether the work is done.
    #[error("the outcome of a commit is unknown: {0}")]
    UnknownOutcome(Box<StoreError>),
    /// All connections were in use for as long as `[database] pool_timeout` allows.
    #[error("no database connection became free within {} s", .0.as_secs())]
    PoolTimeout(Duration),
    /// A statement did not answer in time; its connection is gone.
    #[error("the database did not answer within {} s", .0.as_secs())]
    QueryTimeout(Duration),
    /// The connection was lost earlier in the same unit of work.
    #[error("the database connection was lost")]
    ConnectionGone,
    /// A text that does not stand for a value of its column.
    #[error("got {got}, wanted {wanted}")]
    Value {
        /// The text, or its beginning.
        got: String,
        /// What the column holds.
        wanted: &'static str,
    },
    /// A text that the store does not take, in bytes; see [`MAX_TEXT`].
    #[error("a text of {0} bytes, the limit is {MAX_TEXT}")]
    TooLarge(usize),
    /// The database refused or broke off.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A statement had to be prepared inside of a transaction on Galera; nothing of the transaction stays, and another try
    /// finds the statement prepared.
    #[error("a statement had to be prepared first")]
    PreparedInTransaction,
    /// Another transaction took an id that was free a moment ago.
    #[error("another transaction was faster")]
    Overtaken,
    /// A list takes more than one statement, which must see one moment.
    #[error("a snapshot is needed")]
    NeedsSnapshot,
    /// A large list, and no memory for it now.
    #[error("no memory is left for a list of this size")]
    NeedsMemory,
    /// Documents of so many bytes, whose memory is to be taken first.
    #[error("memory for documents of {0} bytes is needed")]
    NeedsRoom(usize),
    /// A list of which the client has a part already.
    #[error("a list broke off, or its client did not take it in time")]
    BrokenOff,
    /// Any of the above, with what was being done.
    #[error("{action}")]
    While {
        /// What was being done, in the words of the caller.
        action: &'static str,
        /// What went wrong.
        source: Box<StoreError>,
    },
}

/// An error after which the whole transaction may simply be tried again.
pub trait Transient: From<StoreError> {
    /// Whether another try can succeed with nothing half-made.
    fn is_transient(&self) -> bool;

    /// Whether that is because of rivals, who were faster or hold what is needed.
    fn is_contended(&self) -> bool;

    /// Whether only a statement had to be prepared ([`StoreError::PreparedInTransaction`]), so that another try on the same
    /// connection comes further at once.
    fn is_newly_prepared(&self) -> bool;

    /// How many bytes of documents need memory before they are read ([`StoreError::NeedsRoom`]).
    fn needs_room(&self) -> Option<usize>;
}

impl StoreError {
    /// Adds what was being done.
    pub fn context(self, action: &'static str) -> StoreError {
        StoreError::While {
            action,
            source: Box::new(self),
        }
    }

    /// Whether the database cannot do it now, so that a client should come back later.
    pub fn is_unavailable(&self) -> bool {
        match self {
            StoreError::Unreachable(_)
            | StoreError::Connect(_)
            | StoreError::Plugin(_)
            | StoreError::NeedsTls
            | StoreError::Certificate(_)
            | StoreError::Settings(_)
            | StoreError::UnknownOutcome(_)
            | StoreError::PoolTimeout(_)
            | StoreError::QueryTimeout(_)
            | StoreError::PreparedInTransaction
            | StoreError::Overtaken
            | StoreError::NeedsSnapshot
            | StoreError::NeedsMemory
            | StoreError::NeedsRoom(_)
            | StoreError::BrokenOff
            | StoreError::ConnectionGone => true,
            StoreError::Database(error) => Failure::of(error) != Failure::Fault,
            StoreError::TooLarge(_) | StoreError::Value { .. } => false,
            StoreError::While { source, .. } => source.is_unavailable(),
        }
    }

    /// Whether nobody knows if a change was made ([`StoreError::UnknownOutcome`]).
    pub fn is_of_unknown_outcome(&self) -> bool {
        match self {
            StoreError::UnknownOutcome(_) => true,
            StoreError::While { source, .. } => source.is_of_unknown_outcome(),
            _ => false,
        }
    }

    /// Whether another used what this needed, and still may: a lock, a connection.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            StoreError::Database(error) => Failure::of(error) == Failure::Busy,
            StoreError::While { source, .. } => source.is_busy(),
            _ => false,
        }
    }

    /// Whether a snapshot is needed.
    pub(super) fn needs_snapshot(&self) -> bool {
        match self {
            StoreError::NeedsSnapshot => true,
            StoreError::While { source, .. } => source.needs_snapshot(),
            _ => false,
        }
    }

    /// Whether it is for want of memory.
    pub fn is_short_of_memory(&self) -> bool {
        match self {
            StoreError::NeedsMemory => true,
            StoreError::While { source, .. } => source.is_short_of_memory(),
            _ => false,
        }
    }

    /// Whether a text is larger than the store takes.
    pub fn is_too_large(&self) -> bool {
        match self {
            StoreError::TooLarge(_) => true,
            StoreError::While { source, .. } => source.is_too_large(),
            _ => false,
        }
    }

    /// Whether a text has characters that the database cannot hold.
    pub fn is_unencodable(&self) -> bool {
        match self {
            StoreError::Database(error) => failure::is_unencodable(error),
            StoreError::While { source, .. } => source.is_unencodable(),
            _ => false,
        }
    }

    /// Whether the table does not have the index that a statement names.
    pub(super) fn is_missing_index(&self) -> bool {
        match self {
            StoreError::Database(error) => failure::is_missing_index(error),
            StoreError::While { source, .. } => source.is_missing_index(),
            _ => false,
        }
    }

    /// Whether the server does not have, or does not allow, what was asked for.
    pub fn is_unsupported(&self) -> bool {
        match self {
            StoreError::Database(error) => failure::is_unsupported(error),
            StoreError::While { source, .. } => source.is_unsupported(),
            _ => false,
        }
    }

    /// The failure of an insert whose id was free when the transaction looked: the next try finds the other's row.
    pub fn retry_if_duplicate(self) -> StoreError {
        if self.is_duplicate_key() {
            StoreError::Overtaken
        } else {
            self
        }
    }

    /// Whether a primary or unique key was taken already.
    pub fn is_duplicate_key(&self) -> bool {
        match self {
            StoreError::Database(error) => error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation()),
            StoreError::While { source, .. } => source.is_duplicate_key(),
            _ => false,
        }
    }
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        match self {
            StoreError::Database(error) => {
                matches!(Failure::of(error), Failure::Busy | Failure::Lost)
            }
            // Too many connections: one of our own may become free.
            StoreError::Connect(error) => Failure::of(error) == Failure::Busy,
            StoreError::While { source, .. } => source.is_transient(),
            StoreError::ConnectionGone
            | StoreError::Overtaken
            | StoreError::PreparedInTransaction => true,
            StoreError::Unreachable(_)
            | StoreError::Plugin(_)
            | StoreError::NeedsTls
            | StoreError::Certificate(_)
            | StoreError::Settings(_)
            | StoreError::UnknownOutcome(_)
            | StoreError::PoolTimeout(_)
            | StoreError::QueryTimeout(_)
            | StoreError::TooLarge(_)
            | StoreError::NeedsSnapshot
            | StoreError::NeedsMemory
            | StoreError::NeedsRoom(_)
            | StoreError::BrokenOff
            | StoreError::Value { .. } => false,
        }
    }

    fn is_contended(&self) -> bool {
        match self {
            StoreError::Overtaken => true,
            StoreError::While { source, .. } => source.is_contended(),
            other => other.is_busy(),
        }
    }

    fn is_newly_prepared(&self) -> bool {
        match self {
            StoreError::PreparedInTransaction => true,
            StoreError::While { source, .. } => source.is_newly_prepared(),
            _ => false,
        }
    }

    fn needs_room(&self) -> Option<usize> {
        match self {
            StoreError::NeedsRoom(bytes) => Some(*bytes),
            StoreError::While { source, .. } => source.needs_room(),
            _ => None,
        }
    }
}
