//! Documents of an Elasticsearch cluster, or of a file that was dumped from one. Reads alone; what the documents mean is
//! `maintenance`'s business.

mod cluster;
mod hit;
mod lines;

use std::path::PathBuf;

use reqwest::Url;

use cluster::Scroll;
pub use cluster::{Cluster, ClusterOptions, Credentials, Version};
pub use hit::Hit;
use lines::Lines;

/// How many documents are read at once.
const PAGE: usize = 250;

/// Why documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of the file is no document.
    #[error("{path}, line {number}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// The cluster does not answer, or not with all documents.
    #[error("the cluster{place}: {reason}")]
    Cluster {
        /// The node, where it is known.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl ReadError {
    fn cluster(url: Option<&Url>, reason: &str) -> ReadError {
        ReadError::Cluster {
            place: url.map_or_else(String::new, |url| format!(" at {url}")),
            reason: reason.to_owned(),
        }
    }
}

/// Where documents come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Files of JSON lines, as elasticdump writes them: one document a line, with `_id` and `_source`.
    Files(Vec<PathBuf>),
    /// A cluster.
    Cluster(Box<Cluster>),
}

impl Source {
    /// Begins to read all documents.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn scan(&self) -> Result<Scan, ReadError> {
        Ok(match self {
            Source::Files(paths) => Scan::Lines(Lines::open(paths.clone())?),
            Source::Cluster(cluster) => Scan::Scroll(Box::new(Scroll::new((**cluster).clone()))),
        })
    }
}

/// A reading of all documents.
pub enum Scan {
    /// Of files.
    Lines(Lines),
    /// Of a cluster.
    Scroll(Box<Scroll>),
}

impl Scan {
    /// The next documents; none at the end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(&mut self) -> Result<Vec<Hit>, ReadError> {
        match self {
            Scan::Lines(lines) => lines.page(PAGE),
            Scan::Scroll(scroll) => scroll.page().await,
        }
    }

    /// How far the reading is.
    pub fn reached(&self) -> Reached {
        match self {
            Scan::Lines(lines) => lines.reached(),
            Scan::Scroll(scroll) => scroll.reached(),
        }
    }
}

/// How far a reading is.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// What is counted.
    pub what: &'static str,
    /// How much was read.
    pub done: u64,
    /// How much there is; 0 where nobody knows.
    pub total: u64,
}
