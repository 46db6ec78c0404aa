//! What OpenStack's services share (oslo.config, SQLAlchemy's URLs, oslo.policy) in Rust. Independent of this service; it
//! could be a crate of its own.

pub mod database_url;
pub mod ini;
pub mod log_format;
pub mod logging_file;
pub mod paste;
pub mod policy;
pub mod settings;
pub mod template;
