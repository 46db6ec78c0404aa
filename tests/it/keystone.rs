//! Tokens and trusts with a real Keystone, which `FREEZER_TEST_KEYSTONE_URL` names.

mod lab;
mod logs;
mod outages;
pub(crate) mod proxy;
mod shared_cache;
pub(crate) mod tls;
mod tokens;
mod trusts;
