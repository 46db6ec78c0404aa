//! freezer-api: the service that keeps the management data of OpenStack's backup system.
//!
//! The modules, from those that know nothing of the others to those that put them together (ARCHITECTURE.md says which may
//! use which):
//!
//! - [`clock`]: time and identifiers; [`pace`]: how fast what leads to nothing may follow each other; [`oslo`]: what OpenStack's services share; [`config`], [`telemetry`]
//! - [`domain`]: the rules, without input or output; [`authz`]: who may do what
//! - [`store`]: the database, as requests use it; [`schema`]: its tables; [`maintenance`]: what operators do to all rows
//! - [`keystone`]: tokens and trusts; [`elasticsearch`]: documents of a cluster that is left
//! - [`service`]: what the API does, one function for each operation
//! - [`error`]: from an error to a status; [`metrics`]: what Prometheus scrapes; [`api`]: the REST interface; [`server`]: connections
//! - [`app`]: the composition root; [`cli`]: the command lines

// Tests may list many rows.
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod clock;
pub mod pace;

pub mod oslo;

pub mod config;
pub mod telemetry;

pub mod authz;
pub mod domain;

pub mod elasticsearch;
pub mod keystone;
pub mod maintenance;
pub mod schema;
pub mod store;

pub mod error;
pub mod metrics;
pub mod service;

pub mod api;
pub mod server;

pub mod app;
pub mod cli;
