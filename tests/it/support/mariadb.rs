//! A MariaDB of a test's own, for settings and accounts that other tests must not see.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use tempfile::TempDir;

use super::network::Network;
use super::process::{account, free_address};

/// How long it may take to start: a node of a cluster that was killed copies all data of another one first, while both
/// are at work.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a server may take to stop: systemd's `TimeoutStopSec`, shorter.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running server with a user `root` without a password and an empty database `freezer`.
pub(crate) struct MariaDb {
    server: Child,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
    /// The network of its own in which it runs.
    network: Option<Arc<Network>>,
}

impl MariaDb {
    /// Makes its files and starts it with further options.
    ///
    /// # Panics
    /// When MariaDB is not installed or does not start.
    pub(crate) async fn start(options: &[&str]) -> MariaDb {
        MariaDb::start_in(tempfile::tempdir().unwrap(), None, options, &[]).await
    }

    /// The same in this folder, where it is given in this network, and with options for its first start alone.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    pub(crate) async fn start_in(
        folder: TempDir,
        network: Option<Arc<Network>>,
        options: &[&str],
        first: &[&str],
    ) -> MariaDb {
        if let Some((user, group)) = account("mysql") {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let install = ["--auth-root-authentication-method=normal", "--skip-test-db"];
        assert!(
            program("mariadb-install-db", folder.path(), None)
                .args(install)
                .status()
                .unwrap()
                .success()
        );
        let port = free_address().port();
        let owned = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect();
        let options: Vec<String> = owned(options);
        let at_first = [options.clone(), owned(first)].concat();
        let mut server = MariaDb {
            server: serve(folder.path(), port, network.as_deref(), &at_first),
            port,
            options,
            folder,
            network,
        };
        server.wait_until_it_answers(&at_first).await;
        // A node of a cluster has it from the others.
        server
            .run("CREATE DATABASE IF NOT EXISTS freezer CHARACTER SET utf8mb4")
            .await;
        server
    }

    /// Waits until it can be read: a node of a cluster answers before it can. One that ends meanwhile, as a node does that finds
    /// nobody to give it the data, is started again, as systemd does.
    async fn wait_until_it_answers(&mut self, options: &[String]) {
        let start = Instant::now();
        while !self.can_be_read().await {
            assert!(start.elapsed() < PATIENCE, "no start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.has_ended() {
                println!("started again: {}", self.log());
                self.serve(options);
            }
        }
    }

    fn serve(&mut self, options: &[String]) {
        let network = self.network.as_deref();
        self.server = serve(self.folder.path(), self.port, network, options);
    }

    /// What it has written about itself since it was started.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn can_be_read(&self) -> bool {
        let Ok(mut connection) = MySqlConnection::connect(&self.root()).await else {
            return false;
        };
        let read = "SELECT COUNT(*) FROM mysql.user";
        connection.execute(read).await.is_ok()
    }

    /// Kills it (SIGKILL): what it has not written to its files is gone.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Ends it (SIGTERM), and waits until it is gone. One that hangs meanwhile is killed, as systemd does it: nodes of Galera that
    /// stop under load sometimes hang behind "FTS optimize thread exiting".
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > STOP_LIMIT {
                eprintln!(
                    "MariaDB on port {} hangs in its stop, and is killed",
                    self.port
                );
                return self.kill();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.server.try_wait().unwrap().is_some()
    }

    /// Starts it again on its files and its port.
    pub(crate) async fn restart(&mut self) {
        let options = self.options.clone();
        self.serve(&options);
        self.wait_until_it_answers(&options).await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).unwrap();
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Runs a statement as `root`.
    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = MySqlConnection::connect(&self.root()).await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        connection.execute(statement).await.unwrap();
    }

    /// A configuration whose URL has these credentials, for instance `user:password`, and this behind its host.
    pub(crate) fn configuration(&self, credentials: &str, name: &str) -> String {
        let (host, port) = (host(self.network.as_deref()), self.port);
        format!("[database]\nconnection = mysql+pymysql://{credentials}@{host}:{port}/{name}\n")
    }

    /// How many rows a table of the database `freezer` has.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let mut connection = MySqlConnection::connect(&self.root()).await.unwrap();
        let query = AssertSqlSafe(format!("SELECT COUNT(*) FROM freezer.{table}"));
        sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// The URL of `root`, as sqlx writes it.
    pub(crate) fn root(&self) -> String {
        let host = host(self.network.as_deref());
        format!("mysql://root@{host}:{}/", self.port)
    }
}

/// Where clients reach it.
fn host(network: Option<&Network>) -> Ipv4Addr {
    network.map_or(Ipv4Addr::LOCALHOST, Network::server)
}

fn serve(folder: &Path, port: u16, network: Option<&Network>, options: &[String]) -> Child {
    program("mariadbd", folder, network)
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--bind-address={}", host(network)))
        .arg("--innodb-buffer-pool-size=16M")
        .args(["--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve"])
        .args(options)
        .stderr(File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// One of MariaDB's programs, which read no files of the system.
fn program(name: &str, folder: &Path, network: Option<&Network>) -> Command {
    let mut command = match network {
        Some(network) => network.command(name),
        None => Command::new(name),
    };
    let data = folder.join("data");
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()));
    if account("mysql").is_some() {
        command.arg("--user=mysql");
    }
    command
        // When one starts, it removes the temporary tables of all others that have the same folder for them.
        .env("TMPDIR", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
