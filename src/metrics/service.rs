//! What this process tells of itself.

use std::fmt;
use std::sync::Arc;

use super::families::{Families, Figures, text};
use super::http::Http;
use super::process;

/// What others have counted.
pub struct ServiceFigures {
    /// The version of the program.
    pub version: &'static str,
    /// Connections to the database that are in use, and that are not.
    pub connections: (usize, usize),
    /// The most connections that there may be.
    pub max_connections: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Calls to Keystone by their outcome; none without Keystone.
    pub keystone: Vec<(&'static str, u64)>,
    /// Questions for tokens, by where the answer came from.
    pub tokens: Vec<(&'static str, u64)>,
    /// Lines that were not logged, since they could not be written fast enough.
    pub dropped_lines: u64,
}

struct Service {
    http: Arc<Http>,
    figures: ServiceFigures,
}

/// The text of what this process tells of itself.
pub fn service_text(http: Arc<Http>, figures: ServiceFigures) -> String {
    text(Service { http, figures })
}

/// Numbers of connections and the like, which are small.
fn small(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Figures for Service {
    fn write(&self, families: &mut Families<'_>) -> fmt::Result {
        let figures = &self.figures;
        families.gauges(
            "freezer_api_build_info",
            "1, with the version of the program.",
            [([("version", figures.version)], 1_u64)],
        )?;
        self.http.write(families)?;
        self.write_database(families)?;
        families.counters(
            "freezer_api_keystone_requests",
            "Calls to Keystone, by their outcome.",
            figures
                .keystone
                .iter()
                .map(|(outcome, count)| ([("outcome", *outcome)], *count)),
        )?;
        families.counters(
            "freezer_api_token_cache_requests",
            "Questions whether a token is valid, by where the answer came from.",
            figures
                .tokens
                .iter()
                .map(|(result, count)| ([("result", *result)], *count)),
        )?;
        families.counter(
            "freezer_api_log_lines_dropped",
            "Lines of the log that could not be written fast enough.",
            figures.dropped_lines,
        )?;
        process::write(families)
    }
}

impl Service {
    fn write_database(&self, families: &mut Families<'_>) -> fmt::Result {
        let (in_use, idle) = self.figures.connections;
        families.gauges(
            "freezer_api_db_connections",
            "Connections to the database.",
            [
                ([("state", "in_use")], small(in_use)),
                ([("state", "idle")], small(idle)),
            ],
        )?;
        families.gauge(
            "freezer_api_db_connections_max",
            "The most connections to the database that there may be.",
            small(self.figures.max_connections),
        )?;
        families.gauge(
            "freezer_api_db_requests_waiting",
            "Requests that wait for a connection to the database.",
            small(self.figures.waiting),
        )
    }
}
