//! Pure rules of the service: no I/O, no database, no HTTP.

pub mod rules;
