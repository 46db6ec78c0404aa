//! The configuration: an operator's `freezer-api.conf` as typed groups, one for each section.
//!
//! [`options`] is the one table of options; what each kind of value may be is in [`types`]. Reading files is
//! [`crate::oslo`]'s work. Nothing here acts on a value.

mod options;
mod table;
mod types;

pub use options::{
    Api, AuthPlugin, CentralizedScheduler, Cors, Database, Global, Healthcheck, KeystoneAuthtoken,
    Middleware, Policy, Storage,
};
pub use types::{AuthType, Interface, Repeated, StorageBackend};

/// All options, with the values of the files, the environment and the defaults. Each field is the section of its name.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[DEFAULT]`.
    pub default: Global,
    /// `[database]`.
    pub database: Database,
    /// `[storage]`.
    pub storage: Storage,
    /// `[api]`.
    pub api: Api,
    /// `[oslo_middleware]`.
    pub oslo_middleware: Middleware,
    /// `[healthcheck]`.
    pub healthcheck: Healthcheck,
    /// `[cors]`.
    pub cors: Cors,
    /// `[oslo_policy]`.
    pub oslo_policy: Policy,
    /// `[centralized_scheduler]`.
    pub centralized_scheduler: CentralizedScheduler,
    /// `[keystone_authtoken]`.
    pub keystone_authtoken: KeystoneAuthtoken,
    /// The service's own credentials: those of `[keystone_authtoken]`, or of the section that its `auth_section` names.
    pub service_auth: AuthPlugin,
    /// The trustee's credentials: those of the section that `[centralized_scheduler] auth_section` names, or of the
    /// section that an `auth_section` in there names.
    pub trustee_auth: AuthPlugin,
}
