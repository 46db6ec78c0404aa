//! Keystone: tokens validated into the callers they stand for ([`Keystone`]), and trusts for central schedulers
//! ([`Trusts`]).
//!
//! Knows Keystone's API and the options of `[keystone_authtoken]` and `[centralized_scheduler]`. It does not know our own
//! HTTP layer: an [`AuthError`] becomes a status and a body in `error`.

mod assignments;
mod cache;
mod client;
mod counts;
mod locks;
mod login;
pub mod memcached;
mod service_token;
mod token;
mod trusts;
mod validator;

pub(crate) use assignments::Assignments;
pub use client::SetupError;
pub use locks::StripedLocks;
pub use login::{Credentials, Login, LoginError, NamedProject};
pub use token::context_of_token;
pub use trusts::{Trust, TrustError, Trusts};
pub use validator::{AuthError, Keystone};
