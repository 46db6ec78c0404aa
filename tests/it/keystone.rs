//! Tokens and trusts with a real Keystone. `FREEZER_TEST_KEYSTONE_URL` says where it is; without it, these tests say that
//! they are skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod lab;
mod logs;
mod outages;
mod proxy;
mod shared_cache;
mod tls;
mod tokens;
mod trusts;
