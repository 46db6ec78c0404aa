//! The limit on open files, which is one on connections.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::RESERVE;
use crate::config::Config;

/// Files that are open beside connections: the log, the listener, libraries, Keystone, memcached.
const OTHERS: u64 = 128;

/// Raises the soft limit on open files to the hard one (systemd's default is 1,024, which `select` of old programs needs),
/// and warns where that is too low for all connections.
pub fn raise_file_limit(config: &Config) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files cannot be raised");
        }
    }
    let database = &config.database;
    // Without a limit (-1), nobody knows how many.
    let pool = u64::from(database.max_pool_size) + database.max_overflow.max(0).unsigned_abs();
    let wanted = u64::from(config.api.max_connections) + pool + RESERVE as u64 + OTHERS;
    if let Some(files) = getrlimit(Resource::Nofile).current
        && files < wanted
    {
        tracing::warn!(
            files,
            wanted,
            "the limit on open files is too low for [api] max_connections: raise LimitNOFILE in the unit, or lower max_connections"
        );
    }
}
