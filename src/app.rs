//! The composition root: from a configuration to a running service.

mod housekeeper;
mod rounds;

use std::path::Path;
use std::sync::Arc;

use jsonschema::ValidationError;
use listenfd::ListenFd;

use rounds::Rounds;

use crate::api::{
    self, Api, Authentication, BearerError, KeyError, Logins, Metrics, REFUSAL_OVERHEAD,
};
use crate::authz::rules;
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::domain::host::ROUNDS;
use crate::domain::validation::Schemas;
use crate::keystone::{Keystone, SetupError, Trusts};
use crate::oslo::policy::{Enforcer, Options, PolicyError};
use crate::pace::Pace;
use crate::schema::{MigrateError, Migration, SchemaState};
use crate::server::{self, ListenError, Listeners, Services};
use crate::service::{Catalogue, JobTrusts, RoundTerms, count_days, judge_all};
use crate::store::{Memory, Store, StoreError, Tx};

/// Connections of those who scrape that are served at once.
const MOST_SCRAPES: u32 = 32;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables are not those of this program.
    #[error("{0}")]
    Schema(SchemaState),
    /// The tables cannot be made.
    #[error("cannot make the tables")]
    Migrate(#[from] MigrateError),
    /// The policy cannot be loaded.
    #[error("cannot load the policy")]
    Policy(#[from] PolicyError),
    /// The cookies of the web page have no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody can show the token of those who scrape.
    #[error(transparent)]
    Bearer(#[from] BearerError),
    /// The options of Keystone cannot work.
    #[error(transparent)]
    Keystone(#[from] SetupError),
    /// A schema of ours is wrong.
    #[error("a schema is wrong: {0}")]
    Schemas(#[from] ValidationError<'static>),
    /// The service cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// How the service is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For users: callers show a token of Keystone, and the tables must be there.
    Production,
    /// For development: no authentication, and the tables are made.
    Development,
}

/// Puts the parts together.
///
/// # Errors
/// [`StartError`].
pub async fn build(
    config: Config,
    mode: Mode,
    clock: Clock,
    ids: Ids,
) -> Result<Arc<Api>, StartError> {
    let policy = Enforcer::new(rules::DEFAULTS, policy_options(&config))?;
    let (logins, metrics) = (Logins::new(&config.ui)?, Metrics::new(&config)?);
    let (authentication, trusts) = match mode {
        Mode::Production => {
            let keystone = Keystone::new(&config, clock.clone())?;
            let trusts = Trusts::new(&config, &keystone, clock.clone())?;
            let options = &config.centralized_scheduler;
            let trusts = options.enabled.then(|| Box::new(trusts));
            let trusts = JobTrusts::new(trusts, options.enforce_trusts);
            (Authentication::Keystone(Box::new(keystone)), trusts)
        }
        Mode::Development => (Authentication::None, JobTrusts::new(None, false)),
    };
    let store = Store::connect(&config.database, clock.clone(), ids.clone()).await?;
    store.check_settings().await?;
    match (store.schema_state().await?, mode) {
        (SchemaState::Current, _) => {}
        (_, Mode::Development) => {
            store
                .db_sync(None, &Migration::default(), &mut |_| {})
                .await?;
        }
        (state, Mode::Production) => return Err(StartError::Schema(state)),
    }
    if let Some(limit) = store.narrow_encoding().await? {
        tracing::warn!("{limit}");
    }
    let catalogue = catalogue(store, &config, trusts, clock, ids.clone())?;
    Ok(Arc::new(Api {
        catalogue,
        policy: Arc::new(policy),
        authentication,
        logins,
        metrics,
        refusals: Pace::new(REFUSAL_OVERHEAD),
        ids,
        config,
    }))
}

fn catalogue(
    store: Store,
    config: &Config,
    trusts: JobTrusts,
    clock: Clock,
    ids: Ids,
) -> Result<Catalogue, StartError> {
    let options = &config.api;
    // Half of a request's time, so that there is some left for the list itself.
    let memory = Memory::new(
        options.max_memory,
        store.connections(),
        options.request_timeout / 2,
    );
    let (schemas, max_size) = (Schemas::new()?, options.max_document_size);
    let store = store
        .accounting(memory.clone())
        .answering_within(options.request_timeout);
    Ok(Catalogue::new(
        store, schemas, trusts, clock, ids, max_size, memory,
    ))
}

/// The options of `[oslo_policy]`, with its files found beside the configuration.
pub fn policy_options(config: &Config) -> Options {
    let options = &config.oslo_policy;
    Options {
        // One that does not exist yet is read as soon as it does.
        policy_file: config
            .find_file(&options.policy_file)
            .or_else(|| Some(config.search_dirs.first()?.join(&options.policy_file))),
        policy_dirs: options
            .policy_dirs
            .0
            .iter()
            .filter_map(|folder| config.find_file(Path::new(folder)))
            .collect(),
        default_rule: options.policy_default_rule.clone(),
        enforce_scope: options.enforce_scope,
    }
}

/// Finds anew how hosts fare and what is wrong, and counts the runs of the last days, as the service does by itself.
///
/// # Errors
/// [`StoreError`].
pub async fn rebuild_reports(store: &Store, days: i64) -> Result<(), StoreError> {
    const HOLDER: &str = "freezer-manage";
    const TERM: i64 = 20;
    let hold = async |tx: &mut Tx| tx.hold_lease(ROUNDS, HOLDER, TERM).await;
    let held = store.write("holding a lease", hold).await?;
    let heard = async |tx: &mut Tx| tx.lease_since(ROUNDS).await;
    let watching = store.read("looking at a lease", heard).await?;
    let terms = RoundTerms {
        watching: watching.unwrap_or_else(|| store.clock.timestamp()),
        // All is counted below.
        heard_since: i64::MAX,
        is_gentle: false,
    };
    // Beside a node that has its rounds, both write the same.
    judge_all(store, terms).await?;
    count_days(store, days, days).await?;
    if held.is_some() {
        let end = async |tx: &mut Tx| {
            tx.finish_lease(ROUNDS, HOLDER).await?;
            tx.release_lease(ROUNDS, HOLDER).await
        };
        store.write("giving a lease back", end).await?;
    }
    Ok(())
}

/// Takes the sockets that systemd has opened, else those that the configuration names.
///
/// # Errors
/// [`StartError::Listen`].
pub async fn listen(config: &Config, inherited: ListenFd) -> Result<Listeners, StartError> {
    Ok(Listeners::open(config, inherited).await?)
}

/// Takes the address of `[metrics] listen`, where there is one.
///
/// # Errors
/// [`StartError::Listen`].
pub async fn listen_for_scrapes(config: &Config) -> Result<Option<Listeners>, StartError> {
    let Some(address) = config.metrics.listen else {
        return Ok(None);
    };
    let listeners = Listeners::plain(address).await?;
    let addresses = listeners.addresses().join(" ");
    tracing::info!(addresses, "figures for Prometheus are served at /metrics");
    Ok(Some(listeners))
}

/// Answers scrapes until it is dropped.
async fn serve_scrapes(api: Arc<Api>, listeners: Listeners) {
    let options = crate::config::Api {
        max_connections: MOST_SCRAPES,
        ..api.config.api.clone()
    };
    let service = api::metrics_service(api);
    let services = Services {
        main: service.clone(),
        full: service,
    };
    server::serve(listeners, services, &options, std::future::pending()).await;
}

/// Serves until `stop` is ready; scrapes, where there is a listener for them, until requests have ended.
pub async fn run(
    api: Arc<Api>,
    listeners: Listeners,
    scrapes: Option<Listeners>,
    stop: impl Future<Output = ()>,
) {
    let options = api.config.api.clone();
    server::raise_file_limit(&api.config);
    let full = api::full_service(Arc::clone(&api));
    let rounds = Rounds::new(Arc::clone(&api));
    let keeping_house = tokio::spawn(housekeeper::keep(Arc::clone(&api)));
    let having_rounds = tokio::spawn(rounds.clone().keep());
    let main = match api.authentication {
        Authentication::Keystone(_) => api::service(Arc::clone(&api)),
        Authentication::None => api::local_service(Arc::clone(&api)),
    };
    let scraping = scrapes.map(|scrapes| tokio::spawn(serve_scrapes(Arc::clone(&api), scrapes)));
    server::serve(listeners, Services { main, full }, &options, stop).await;
    if let Some(scraping) = scraping {
        scraping.abort();
    }
    keeping_house.abort();
    having_rounds.abort();
    housekeeper::end(&api).await;
    rounds.end().await;
}
