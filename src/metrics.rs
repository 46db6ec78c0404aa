//! What Prometheus scrapes: the counts of requests, and the text of all figures, in Prometheus' text format 0.0.4.
//!
//! It reads no database and serves nothing: whoever is asked for figures brings those that others keep.

mod catalogue;
mod families;
mod http;
mod process;
mod service;

pub use catalogue::catalogue_text;
pub use http::{Http, InFlight, OTHER};
pub use service::{ServiceFigures, service_text};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
