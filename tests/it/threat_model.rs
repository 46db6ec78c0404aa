//! The table of limits in docs/threat-model.md has the program's own defaults.

use std::path::Path;
use std::time::Duration;

use freezer_api::api::MAX_SEARCH_BODY;
use freezer_api::config::Config;
use freezer_api::domain::document::MAX_NESTING;
use freezer_api::domain::validation::MAX_JOB_ACTIONS;
use freezer_api::pace::PROCESSORS_FOR_NOTHING;
use freezer_api::server::{MAX_HEADER, MAX_STREAMS};
use freezer_api::store::MAX_TEXT;

/// The cells of the rows of a table that begins with this line.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with(heading))
        .skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

/// Each default of the table with the options that change it.
fn defaults() -> Vec<(String, &'static str)> {
    let config = Config::default();
    let (api, database) = (&config.api, &config.database);
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let bytes = |size: usize| format!("{size} bytes");
    vec![
        (api.max_connections.to_string(), "`[api] max_connections`"),
        (format!("{} KiB", MAX_HEADER / 1024), ""),
        // hyper's: attacks/framing.rs sends so many, and one more.
        ("100".to_owned(), ""),
        (MAX_STREAMS.to_string(), ""),
        (seconds(api.read_timeout), "`[api] read_timeout`"),
        (seconds(api.idle_timeout), "`[api] idle_timeout`"),
        (seconds(api.request_timeout), "`[api] request_timeout`"),
        (
            bytes(config.oslo_middleware.max_request_body_size),
            "`[oslo_middleware] max_request_body_size`",
        ),
        (format!("{MAX_NESTING} levels"), ""),
        (bytes(MAX_SEARCH_BODY), ""),
        (api.max_search_terms.to_string(), "`[api] max_search_terms`"),
        (api.max_limit.to_string(), "`[api] max_limit`"),
        (MAX_JOB_ACTIONS.to_string(), ""),
        (bytes(api.max_document_size), "`[api] max_document_size`"),
        (bytes(MAX_TEXT), ""),
        (bytes(api.max_memory), "`[api] max_memory`"),
        (
            format!(
                "{}, and {} more",
                database.max_pool_size, database.max_overflow
            ),
            "`[database] max_pool_size`, `max_overflow`",
        ),
        (
            database.connections_per_caller.to_string(),
            "`[database] connections_per_caller`",
        ),
        // Refusals, and the ends of flooded connections.
        (format!("one in {PROCESSORS_FOR_NOTHING} processors"), ""),
        (format!("one in {PROCESSORS_FOR_NOTHING} processors"), ""),
        (
            config.metrics.max_clients.to_string(),
            "`[metrics] max_clients`",
        ),
    ]
}

#[test]
fn the_table_of_limits_has_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
    let rows = table(&std::fs::read_to_string(path).unwrap(), "| limit |");
    let written: Vec<(String, &str)> = rows
        .iter()
        .map(|row| (row[1].clone(), row[2].as_str()))
        .collect();
    assert_eq!(written, defaults());
    for row in &rows {
        assert!(
            row.len() == 4
                && row
                    .iter()
                    .enumerate()
                    .all(|(cell, text)| cell == 2 || !text.is_empty()),
            "{row:?}"
        );
    }
}
