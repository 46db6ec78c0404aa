//! Tokens and trusts with a real Keystone. `FREEZER_TEST_KEYSTONE_URL` says where it is; without it, these tests say that
//! they are skipped.

mod lab;
mod logs;
mod outages;
mod proxy;
mod shared_cache;
mod tls;
mod tokens;
mod trusts;
