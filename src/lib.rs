//! freezer-api: the service that keeps the management data of OpenStack's backup system.
//!
//! The rooms, from those that know nothing of the others to those that put them together (ARCHITECTURE.md says who
//! may import whom):
//!
//! - [`clock`]: time and identifiers; [`oslo`]: what OpenStack's services share; [`config`], [`telemetry`]
//! - [`domain`]: the rules, without input or output
//! - [`store`]: the database; [`auth`]: Keystone
//! - [`error`]: from an error to a status; [`api`]: the REST interface; [`server`]: connections
//! - [`app`]: the composition root; [`cli`]: the command lines

pub mod clock;

pub mod oslo;

pub mod config;
pub mod telemetry;

pub mod domain;

pub mod auth;
pub mod store;

pub mod error;

pub mod api;
pub mod server;

pub mod app;
pub mod cli;
