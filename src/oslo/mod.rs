//! What every OpenStack service shares with its siblings, written once and free of this service's own words.

pub mod policy;
