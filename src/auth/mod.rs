//! Who calls, and in whose name we act: tokens checked at Keystone ([`Keystone`]), the caller they stand for
//! ([`RequestContext`]), and trusts for central schedulers ([`Trusts`]).
//!
//! This room knows Keystone's API and the options of `[keystone_authtoken]` and `[centralized_scheduler]`. It does not
//! know our own HTTP layer: an [`AuthError`] becomes a status and a body in `api`.

mod cache;
mod context;
mod identity;
mod keystone;
mod memcached;
mod session;
mod token;
mod trusts;

pub use context::{RequestContext, ServiceIdentity, TokenScope};
pub use identity::SetupError;
pub use keystone::{AuthError, Keystone};
pub use trusts::{Trust, TrustError, Trusts};
