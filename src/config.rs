//! The configuration: an operator's `freezer-api.conf` as typed groups, one for each section.
//!
//! `config/options.rs` is the one table of options, `config/types.rs` says what each kind of value may be. Reading files
//! is [`crate::oslo`]'s work. Nothing here acts on a value.

mod elasticsearch;
mod ignored;
mod log_types;
mod metrics_types;
mod options;
mod paste;
mod reader;
mod sample;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod types;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use log_types::{DateFormat, SyslogFacility};
pub use metrics_types::PerClient;
pub use options::{
    Api, AuthPlugin, CentralizedScheduler, Cors, Database, Global, Healthcheck, KeystoneAuthtoken,
    Metrics, Middleware, PasteDeploy, Policy, Report, Ssl, Storage, Ui,
};
use reader::Reader;
pub use reader::{Warning, WarningKind, WrongValue};
pub use sample::sample;
pub use sources::Sources;
pub use types::{
    AuthType, FileMode, HealthcheckBackend, Interface, MemcacheStrategy, PortPath, Repeated,
    StorageBackend, Token, UnusedUrl, UrlPath,
};

use crate::oslo::ini::normalize_section;
pub use crate::oslo::settings::Argument;
use crate::oslo::settings::{Location, Settings, SettingsError};

/// All options, with the values of the files, the environment and the defaults. Each field is the section of its name.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[DEFAULT]`.
    pub default: Global,
    /// `[database]`.
    pub database: Database,
    /// `[paste_deploy]`.
    pub paste_deploy: PasteDeploy,
    /// `[storage]`.
    pub storage: Storage,
    /// `[api]`.
    pub api: Api,
    /// `[ssl]`.
    pub ssl: Ssl,
    /// `[oslo_middleware]`.
    pub oslo_middleware: Middleware,
    /// `[healthcheck]`.
    pub healthcheck: Healthcheck,
    /// Further health checks, each at a path of its own, that the file of Paste Deploy has.
    pub more_healthchecks: Vec<Healthcheck>,
    /// `[cors]`.
    pub cors: Cors,
    /// `[report]`.
    pub report: Report,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// `[ui]`.
    pub ui: Ui,
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
    /// The folders in which a relative file name of an option is looked for, in this order.
    pub search_dirs: Vec<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Options have values that they cannot have. One line each.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<WrongValue>),
}

impl Config {
    /// Reads the files and the environment. The warnings are for the log, which is set up from the configuration.
    ///
    /// # Errors
    /// A file that cannot be read, or all values that are wrong.
    pub fn load(sources: &Sources) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::load_with(sources, std::env::vars_os().collect())
    }

    /// Reads the command line alone: no file, and not the environment.
    ///
    /// # Errors
    /// Values that are wrong.
    pub fn load_arguments(arguments: &[Argument]) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut settings = Settings::default();
        settings.add_arguments(arguments);
        Self::from_settings(&settings)
    }

    /// Reads one file alone: another one than the program's own, which the environment is about.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_file(file: PathBuf) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut settings = Settings::default();
        settings.read_file(&file)?;
        Self::from_settings(&settings)
    }

    /// As [`Config::load`], with the environment as a parameter.
    fn load_with(
        sources: &Sources,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let bundle = authorities_of_requests(&variables);
        let (mut settings, search_dirs) = sources.read(variables)?;
        let paste = paste::read(&mut settings, &search_dirs);
        let (mut config, mut warnings) = Self::from_settings(&settings)?;
        config.search_dirs = search_dirs;
        warnings.extend(paste.warning);
        for settings in &paste.more_healthchecks {
            warnings.extend(config.add_healthcheck(settings)?);
        }
        warnings.extend(config.take_old_policy_file(&settings));
        warnings.extend(bundle.and_then(|bundle| config.take_authorities(bundle)));
        Ok((config, warnings))
    }

    /// Adds the health check that these settings mean, if its path is free.
    fn add_healthcheck(&mut self, settings: &Settings) -> Result<Vec<Warning>, ConfigError> {
        let mut reader = Reader::new(settings, options::GROUPS);
        let healthcheck = read_healthcheck(&mut reader);
        let path = reader.settings.find(Healthcheck::SECTION, &["path"]);
        let mut others = self.healthchecks();
        if let Some(path) = path
            && others.any(|other| other.path == healthcheck.path)
        {
            reader.warnings.push(Warning {
                kind: WarningKind::Unknown,
                message: format!("{} has a health check already", path.value()),
                location: path.location,
            });
        } else {
            drop(others);
            self.more_healthchecks.push(healthcheck);
        }
        reader.finish().map_err(ConfigError::Wrong)
    }

    /// Takes the `policy.json` of a site that has no `policy.yaml` and does not say which file it means. oslo.policy
    /// did so before its version 5, and without the rules more may be allowed than the site wants.
    fn take_old_policy_file(&mut self, settings: &Settings) -> Option<Warning> {
        const OLD: &str = "policy.json";
        let is_named = settings.find(Policy::SECTION, &["policy_file"]).is_some();
        if is_named || self.find_file(&self.oslo_policy.policy_file).is_some() {
            return None;
        }
        let path = self.find_file(Path::new(OLD))?;
        self.oslo_policy.policy_file = PathBuf::from(OLD);
        Some(Warning {
            kind: WarningKind::Deprecated,
            location: Location::File {
                path: path.into(),
                line: 1,
            },
            message: "is taken as [oslo_policy] policy_file, since there is no policy.yaml; oslopolicy-convert-json-to-yaml \
                      makes one that means the same"
                .to_owned(),
        })
    }

    /// Trusts the authorities of a file that the environment names where `cafile` names none.
    fn take_authorities(&mut self, (name, path): (&str, PathBuf)) -> Option<Warning> {
        let options = &mut self.keystone_authtoken;
        if options.cafile.is_some() || options.insecure {
            return None;
        }
        if path.is_file() {
            options.cafile = Some(path);
            return None;
        }
        Some(Warning {
            kind: WarningKind::Unknown,
            location: Location::Environment(name.to_owned()),
            message: format!(
                "{} is no file and is not used; [keystone_authtoken] cafile names a file of authorities",
                path.display()
            ),
        })
    }

    /// All health checks. Each has another path.
    pub fn healthchecks(&self) -> impl Iterator<Item = &Healthcheck> {
        std::iter::once(&self.healthcheck).chain(&self.more_healthchecks)
    }

    fn from_settings(settings: &Settings) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut reader = Reader::new(settings, options::GROUPS);
        let keystone_authtoken = read_keystone_authtoken(&mut reader);
        let centralized_scheduler =
            CentralizedScheduler::read(&mut reader, CentralizedScheduler::SECTION);
        let service_section = credentials_section(settings, KeystoneAuthtoken::SECTION);
        let trustee_section = credentials_section(settings, &centralized_scheduler.auth_section);
        let service_auth = AuthPlugin::read(&mut reader, &service_section);
        let is_another = trustee_section != service_section;
        let trustee_auth = is_another.then(|| AuthPlugin::read(&mut reader, &trustee_section));
        let trustee_auth = trustee_auth.unwrap_or_else(|| service_auth.clone());
        let config = Self {
            default: Global::read(&mut reader, Global::SECTION),
            database: read_database(&mut reader),
            paste_deploy: PasteDeploy::read(&mut reader, PasteDeploy::SECTION),
            storage: Storage::read(&mut reader, Storage::SECTION),
            api: Api::read(&mut reader, Api::SECTION),
            ssl: Ssl::read(&mut reader, Ssl::SECTION),
            oslo_middleware: Middleware::read(&mut reader, Middleware::SECTION),
            healthcheck: read_healthcheck(&mut reader),
            more_healthchecks: Vec::new(),
            cors: Cors::read(&mut reader, Cors::SECTION),
            report: Report::read(&mut reader, Report::SECTION),
            metrics: Metrics::read(&mut reader, Metrics::SECTION),
            ui: Ui::read(&mut reader, Ui::SECTION),
            oslo_policy: Policy::read(&mut reader, Policy::SECTION),
            centralized_scheduler,
            keystone_authtoken,
            service_auth,
            trustee_auth,
            search_dirs: Vec::new(),
        };
        let credentials = [
            service_section,
            trustee_section,
            normalize_section(&config.centralized_scheduler.auth_section),
        ];
        let unused = unused_entries(settings, &credentials);
        reader.warnings.extend(unused);
        Ok((config, reader.finish().map_err(ConfigError::Wrong)?))
    }

    /// The file that a relative name of an option means: beside the configuration files, or in the default folders. None
    /// when there is no such file. An absolute name is that file, when it exists.
    pub fn find_file(&self, name: &Path) -> Option<PathBuf> {
        sources::find_file(&self.search_dirs, name)
    }
}

/// The file of authorities for calls to Keystone in the environment, as the library requests of the Python service has it: deployers
/// of clouds with authorities of their own set it in containers and units. With the variable's name.
fn authorities_of_requests(variables: &[(OsString, OsString)]) -> Option<(&'static str, PathBuf)> {
    let value = |name: &'static str| {
        let mut all = variables.iter();
        let (_, value) = all.find(|(other, value)| other == name && !value.is_empty())?;
        Some((name, PathBuf::from(value)))
    };
    value("REQUESTS_CA_BUNDLE").or_else(|| value("CURL_CA_BUNDLE"))
}

/// The section that holds the credentials: `section`, or the one that its `auth_section` names (one step, as in
/// keystoneauth).
fn credentials_section(settings: &Settings, section: &str) -> String {
    let named = settings
        .find(section, &["auth_section"])
        .map(|found| found.value());
    normalize_section(named.filter(|name| !name.is_empty()).unwrap_or(section))
}

/// `[database]`, its URL with `connection_parameters` added.
fn read_database(reader: &mut Reader<'_>) -> Database {
    let mut database = Database::read(reader, Database::SECTION);
    let found = |name: &'static str| reader.settings.find(Database::SECTION, &[name]);
    if let (Some(url), Some(found)) = (&mut database.connection, found("connection_parameters"))
        && let Err(error) = url.add_parameters(&database.connection_parameters)
    {
        reader.wrong.push(WrongValue {
            section: Database::SECTION.to_owned(),
            key: found.name.to_owned(),
            location: found.location,
            got: None,
            wanted: format!("name=value&name=value, but {error}"),
        });
    }
    if let (Some(url), Some(found)) = (&database.connection, found("connection")) {
        reader.warnings.extend(url.ignored.iter().map(|parameter| Warning {
            kind: WarningKind::Ignored,
            location: found.location.clone(),
            message: format!(
                "[database] connection: the parameter {parameter} has no meaning in this program and is not used"
            ),
        }));
    }
    database
}

/// `[healthcheck]`. As in oslo.middleware, a file cannot both enable and disable the service.
fn read_healthcheck(reader: &mut Reader<'_>) -> Healthcheck {
    use HealthcheckBackend::{DisableByFile, EnableByFiles};
    let healthcheck = Healthcheck::read(reader, Healthcheck::SECTION);
    let backends = &healthcheck.backends;
    if backends.contains(&DisableByFile)
        && backends.contains(&EnableByFiles)
        && let Some(found) = reader.settings.find(Healthcheck::SECTION, &["backends"])
    {
        reader.wrong.push(WrongValue {
            section: Healthcheck::SECTION.to_owned(),
            key: found.name.to_owned(),
            got: Some(found.value().to_owned()),
            location: found.location,
            wanted: "disable_by_file or enable_by_files, not both".to_owned(),
        });
    }
    healthcheck
}

/// `[keystone_authtoken]`. As in keystonemiddleware, a strategy needs a key.
fn read_keystone_authtoken(reader: &mut Reader<'_>) -> KeystoneAuthtoken {
    const STRATEGY: &str = "memcache_security_strategy";
    let options = KeystoneAuthtoken::read(reader, KeystoneAuthtoken::SECTION);
    if options.memcache_security_strategy != MemcacheStrategy::None
        && options.memcache_secret_key.is_none()
        && let Some(found) = reader
            .settings
            .find(KeystoneAuthtoken::SECTION, &[STRATEGY])
    {
        reader.wrong.push(WrongValue {
            section: KeystoneAuthtoken::SECTION.to_owned(),
            key: found.name.to_owned(),
            got: Some(found.value().to_owned()),
            location: found.location,
            wanted: "None, or a memcache_secret_key beside it".to_owned(),
        });
    }
    if !options.memcached_servers.is_empty() {
        let lost = lost_memcached_options(reader.settings);
        reader.warnings.extend(lost);
    }
    options
}

/// A warning for each way of keystonemiddleware to reach memcached that is asked for and not there.
fn lost_memcached_options(settings: &Settings) -> Vec<Warning> {
    const OPTIONS: [(&str, &str); 2] = [
        ("memcache_tls_enabled", "without TLS"),
        ("memcache_sasl_enabled", "without a password"),
    ];
    let lost = OPTIONS.iter().filter_map(|(name, how)| {
        let found = settings.find(KeystoneAuthtoken::SECTION, &[*name])?;
        let is_on = <bool as types::OptionType>::parse(found.value(), None) == Ok(true);
        is_on.then(|| Warning {
            kind: WarningKind::Unknown,
            location: found.location,
            message: format!(
                "[keystone_authtoken] {name} has no effect in this program: memcached_servers are asked {how}"
            ),
        })
    });
    lost.collect()
}

impl KeystoneAuthtoken {
    /// Whether everyone who writes to memcached can make tokens that are believed.
    pub fn trusts_memcached(&self) -> bool {
        !self.memcached_servers.is_empty() && self.memcache_secret_key.is_none()
    }
}

/// A warning for each entry that sets no option.
fn unused_entries(settings: &Settings, credentials: &[String]) -> Vec<Warning> {
    let known = |section: &str, key: &str| {
        is_option(section, key)
            || (credentials.iter().any(|name| name == section)
                && is_option(AuthPlugin::SECTION, key))
    };
    settings
        .entries()
        .filter(|(entry, _)| !known(&entry.section, &entry.key))
        .map(|(entry, location)| unused_entry(&entry.section, &entry.key, location, credentials))
        .collect()
}

/// Whether the table has an option of this name, or older name, in this section.
fn is_option(section: &str, name: &str) -> bool {
    table::find(options::GROUPS, section, name).is_some()
}

fn unused_entry(section: &str, key: &str, location: Location, credentials: &[String]) -> Warning {
    let holds_credentials = credentials.iter().any(|name| name == section);
    if ignored::contains(section, key) || (holds_credentials && ignored::contains_credential(key)) {
        return Warning {
            kind: WarningKind::Ignored,
            location,
            message: format!("[{section}] {key} has no meaning in this program and is not used"),
        };
    }
    let dashed = key.contains('-') && is_option(section, &key.replace('-', "_"));
    let hint = if dashed {
        "; the name is written with _ instead of -"
    } else {
        ""
    };
    Warning {
        kind: WarningKind::Unknown,
        location,
        message: format!("[{section}] {key} is not a known option and is not used{hint}"),
    }
}
