//! freezer-api: the service that keeps the management data of OpenStack's backup system.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod oslo;
pub mod server;
pub mod store;
pub mod telemetry;
