//! Who may do what: the caller of a request, the default policies, and the proof that a policy was asked.
//!
//! Knows the policy language ([`crate::oslo::policy`]) and nothing of HTTP, of Keystone's API or of the database.

mod authorized;
mod context;
mod credentials;
pub mod rules;

pub use authorized::{Authorized, Denied};
pub use context::{RequestContext, TokenScope};
pub use credentials::policy_credentials;
