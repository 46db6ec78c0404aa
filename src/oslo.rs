//! What OpenStack's services share, written anew: configuration files, database URLs, policies. Knows nothing of this
//! service and imports nothing of it; it could be published by itself.

pub mod database_url;
pub mod ini;
pub mod policy;
pub mod settings;
pub mod template;
