//! `freezer-api`: reads the command line and serves.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use futures_util::FutureExt as _;
use listenfd::ListenFd;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use crate::app::{self, Mode};
use crate::cli::arguments::setting;
use crate::cli::sample;
use crate::cli::signals::Signals;
use crate::cli::systemd;
use crate::cli::{CompletionArguments, ConfigArguments, output};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::oslo::database_url::{DatabaseUrl, Engine};
use crate::oslo::policy::Enforcer;
use crate::telemetry;

/// The management API of OpenStack's backup service.
#[derive(Debug, Parser)]
#[command(name = "freezer-api", version, infer_long_args = true)]
pub struct Arguments {
    /// Address to listen on, instead of [DEFAULT] bind_host.
    #[arg(long, visible_alias = "bind_host", value_name = "ADDRESS")]
    bind_host: Option<IpAddr>,
    /// Port to listen on, instead of [DEFAULT] bind_port.
    #[arg(long, visible_alias = "bind_port", value_name = "PORT")]
    bind_port: Option<u16>,
    /// Serve without authentication on loopback, create the tables and, where the configuration names no database, use an
    /// SQLite file.
    #[arg(long)]
    dev: bool,
    /// With --dev: fill an empty database with sample hosts and two weeks of their runs.
    #[arg(long, requires = "dev")]
    sample: bool,
    #[command(flatten)]
    completion: CompletionArguments,
    #[command(flatten)]
    configuration: ConfigArguments,
}

/// Runs the program.
///
/// # Errors
/// Why it did not start.
pub fn main(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(script) = arguments.completion.script::<Arguments>() {
        return Ok(output::write(format_args!("{script}"))?);
    }
    // While this is the only thread: it changes the environment.
    let inherited = ListenFd::from_env();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(arguments, inherited))
}

async fn serve(arguments: Arguments, inherited: ListenFd) -> anyhow::Result<()> {
    // Before anything that takes time: logrotate may send its signal at any moment.
    let signals = Signals::new()?;
    let (config, warnings) = configuration(&arguments)?;
    let log = telemetry::init(&config, "freezer-api")?;
    for warning in &warnings {
        warning.log();
    }
    let mode = match arguments.dev {
        true if inherited.len() > 0 => {
            bail!("--dev has no authentication and takes no sockets of others")
        }
        true => Mode::Development,
        false => Mode::Production,
    };
    let api = app::build(config, mode, Clock::System, Ids::Random).await?;
    // Not earlier: a service that listens is expected to answer, and the database may be slow, or refused.
    let listeners = app::listen(&api.config, inherited).await?;
    let scrapes = app::listen_for_scrapes(&api.config).await?;
    if arguments.sample {
        // These are no requests of users, so they are not in the access log.
        sample::add(&api)
            .with_subscriber(NoSubscriber::default())
            .await?;
    }
    announce(&arguments, &api.config, &listeners.addresses());
    let (policy, tls) = (Arc::clone(&api.policy), listeners.tls());
    let stop = signals.until_stopped(|| {
        systemd::reloading();
        reload(&arguments, &log, &policy);
        if let Some(tls) = &tls {
            tls.reload();
        }
        systemd::ready();
    })?;
    systemd::ready();
    let _watchdog = systemd::watchdog();
    let stop = stop.inspect(|()| systemd::stopping());
    app::run(api, listeners, scrapes, stop).await;
    Ok(())
}

/// Tells where the service listens.
fn announce(arguments: &Arguments, config: &Config, addresses: &[String]) {
    if arguments.dev {
        // Instead of the line in the log, which is written by a thread of its own and might come after it. A closed standard
        // output is no reason not to serve.
        let _ = std::io::stdout().write_all(banner(config, addresses).as_bytes());
    } else {
        let addresses = addresses.join(" ");
        tracing::info!(addresses, version = env!("CARGO_PKG_VERSION"), "listening");
    }
}

/// Reads the configuration again, for what can change while the service runs. A mistake in it changes nothing.
fn reload(arguments: &Arguments, log: &telemetry::Guard, policy: &Enforcer) {
    match configuration(arguments) {
        Ok((config, warnings)) => {
            match log.set_level(&config) {
                Ok(()) => tracing::info!(
                    "the log level was read again; other options of the configuration need a restart"
                ),
                Err(error) => tracing::error!(%error, "the log level stays as it was"),
            }
            for warning in &warnings {
                warning.log();
            }
        }
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the configuration cannot be read again and stays as it was"
            );
        }
    }
    policy.reload_if_changed();
}

fn configuration(arguments: &Arguments) -> anyhow::Result<(Config, Vec<crate::config::Warning>)> {
    let host = arguments
        .bind_host
        .map(|host| setting("bind_host", "--bind-host", host));
    let port = arguments
        .bind_port
        .map(|port| setting("bind_port", "--bind-port", port));
    let sources = arguments
        .configuration
        .sources(host.into_iter().chain(port).collect());
    // A development server must not pick up the configuration of an installed service by itself.
    let (mut config, warnings) = if arguments.dev && !arguments.configuration.is_given() {
        Config::load_arguments(&sources.arguments)?
    } else {
        Config::load(&sources)?
    };
    if arguments.dev {
        develop(&mut config, arguments.bind_host.is_none())?;
    }
    Ok((config, warnings))
}

/// Keeps a server without authentication on loopback, and gives it a database where it has none.
fn develop(config: &mut Config, may_move: bool) -> anyhow::Result<()> {
    let host = &mut config.default.bind_host;
    if host.is_unspecified() && may_move {
        // The default of bind_host means all addresses.
        *host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    if !host.is_loopback() {
        bail!(
            "--dev has no authentication and listens on loopback only (127.0.0.1 or ::1), not on {host}"
        );
    }
    if config.database.connection.is_none() {
        let folder = data_folder()?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let file = folder.join("freezer.sqlite");
        let file = file
            .to_str()
            .with_context(|| format!("the data folder {} is not UTF-8", folder.display()))?;
        config.database.connection = Some(DatabaseUrl::sqlite(file));
    }
    Ok(())
}

/// Where a development server keeps its data (XDG Base Directory Specification).
fn data_folder() -> anyhow::Result<PathBuf> {
    let home = |name: &str| {
        std::env::var_os(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let data = home("XDG_DATA_HOME").or_else(|| Some(home("HOME")?.join(".local/share")));
    let data = data.context(
        "--dev keeps its data below XDG_DATA_HOME or HOME, and neither is set; a configuration file can name a database",
    )?;
    Ok(data.join("freezer-api"))
}

fn banner(config: &Config, addresses: &[String]) -> String {
    let url = config.database.connection.as_ref();
    #[expect(clippy::expect_used, reason = "the service runs on it")]
    let url = url.expect("a database");
    let data = match url.engine {
        Engine::Sqlite => url.database.clone(),
        Engine::MySql | Engine::Postgres => url.to_string(),
    };
    let address = addresses.join(" ");
    let curl = match address.strip_prefix("unix:") {
        Some(socket) => format!("curl -s --unix-socket {socket} http://localhost"),
        None => format!("curl -s {address}"),
    };
    let page = match addresses {
        [only] if config.ui.enabled && only.starts_with("http") => {
            format!("\x20 the page      {only}/ui/\n")
        }
        _ => String::new(),
    };
    format!(
        "freezer-api {version} for development: no authentication, loopback only\n\
         \x20 listening on  {address}\n\
         {page}\
         \x20 data in       {data}\n\
         \x20 try           {curl}/v2/{project}/jobs\n\
         \x20 stop with     Ctrl-C\n",
        version = env!("CARGO_PKG_VERSION"),
        project = sample::PROJECT,
    )
}
