//! freezer-api: the service that keeps the management data of OpenStack's backup system.

pub mod auth;
pub mod clock;
pub mod config;
pub mod domain;
pub mod oslo;
pub mod telemetry;
