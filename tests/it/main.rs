//! The integration tests: one binary, so that the crate is linked once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

#[macro_use]
#[allow(dead_code, reason = "not every part has a user yet")]
mod support;

mod api_actions;
mod api_backups;
mod api_bodies;
mod api_clients;
mod api_cors;
mod api_http;
mod api_job_changes;
mod api_job_sizes;
mod api_jobs;
mod api_limits;
mod api_lists;
mod api_ownership;
mod api_resent;
mod api_roles;
mod api_search;
mod api_search_members;
mod api_search_random;
mod api_session_actions;
mod api_sessions;
mod api_trusts;
mod attacks;
mod authz_matrix;
mod client_activity;
mod command_lines;
mod connecting;
mod data;
mod deployers;
mod development;
mod elasticsearch;
mod encodings;
mod failures;
mod faults;
mod forwarded;
mod fuzz;
mod galera;
mod harness;
mod keystone;
mod large_lists;
mod layers;
mod listeners;
mod logs;
mod memory;
mod metrics;
mod migrations;
mod model;
mod openapi;
mod outages;
mod page;
mod paste;
mod pgbouncer;
mod plans;
mod policy_oracle;
mod proxies;
mod races;
mod races_of_clients;
mod races_of_jobs;
mod report_csv;
mod report_hosts;
mod report_jobs;
mod report_me;
mod report_nodes;
mod report_plans;
mod report_restores;
mod report_runs;
mod report_series;
mod report_summary;
mod round_trips;
mod server;
mod shares;
mod signals;
mod stops;
mod threat_model;
mod time_limits;
mod walk;
mod wrong_clocks;
