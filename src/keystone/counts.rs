//! How often Keystone was called, and where the answers to questions for tokens came from.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;

/// Counts since the program started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    unreachable: AtomicU64,
    hits: AtomicU64,
    refused_hits: AtomicU64,
    shared_hits: AtomicU64,
    misses: AtomicU64,
}

/// Where the answer to a question for a token came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// The cache of this process.
    Hit,
    /// The cache of this process, which knows that Keystone refused it.
    Refused,
    /// Memcached.
    Shared,
    /// Keystone, for all that asked meanwhile.
    Keystone,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    /// Keystone has answered a call.
    pub(crate) fn answered(&self, status: StatusCode) {
        add(if status.is_server_error() {
            &self.failed
        } else if status.is_client_error() {
            &self.refused
        } else {
            &self.accepted
        });
    }

    /// Keystone has not answered a call.
    pub(crate) fn unreachable(&self) {
        add(&self.unreachable);
    }

    /// It is known of a token whether it is valid.
    pub(crate) fn known(&self, source: Source) {
        add(match source {
            Source::Hit => &self.hits,
            Source::Refused => &self.refused_hits,
            Source::Shared => &self.shared_hits,
            Source::Keystone => &self.misses,
        });
    }

    /// Calls by their outcome.
    pub(crate) fn calls(&self) -> Vec<(&'static str, u64)> {
        let calls = [
            ("success", &self.accepted),
            ("refused", &self.refused),
            ("error", &self.failed),
            ("unreachable", &self.unreachable),
        ];
        calls
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
            .into()
    }

    /// Questions for tokens, by where the answer came from.
    pub(crate) fn tokens(&self) -> Vec<(&'static str, u64)> {
        let tokens = [
            ("hit", &self.hits),
            ("refused", &self.refused_hits),
            ("shared", &self.shared_hits),
            ("miss", &self.misses),
        ];
        tokens
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
            .into()
    }
}
