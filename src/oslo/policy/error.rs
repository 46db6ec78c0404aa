//! Why rules cannot be loaded.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a rule was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults of the service.
    Default,
    /// A policy file.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the rule's value, from 1.
        line: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// Rules that cannot be loaded. Each names the file and the rule.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A policy file or directory that exists cannot be read.
    #[error("cannot read policy {path}: {source}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A policy file that was loaded before does not exist any more.
    #[error("policy file {path} does not exist any more")]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A policy file is not YAML or JSON, or not a mapping of names to rules.
    #[error("policy file {path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// A check that could not be evaluated.
    #[error("policy rule {rule:?} ({origin}): {reason}")]
    Check {
        /// The rule.
        rule: String,
        /// Where it was written.
        origin: Origin,
        /// What is wrong with which check.
        reason: String,
    },
    /// A reference to a rule that is not defined, where there is no default rule either.
    #[error("policy rule {rule:?} ({origin}) refers to rule {unknown:?}, which is not defined")]
    UnknownRule {
        /// The rule with the reference.
        rule: String,
        /// Where it was written.
        origin: Origin,
        /// The name that is not defined.
        unknown: String,
    },
    /// Rules that refer to each other in a circle.
    #[error("policy rule {rule:?} ({origin}) refers to itself: {}", .cycle.join(" -> "))]
    Cycle {
        /// One of the rules.
        rule: String,
        /// Where it was written.
        origin: Origin,
        /// The names along the circle, the first again at the end.
        cycle: Vec<String>,
    },
}
