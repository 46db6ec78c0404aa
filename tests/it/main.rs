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

mod api_clients;
mod api_http;
mod api_lists;
mod api_roles;
mod api_search;
mod api_search_random;
mod authz_matrix;
mod harness;
mod policy_oracle;
mod races;
mod server;
