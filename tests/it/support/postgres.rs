//! A PostgreSQL of a test's own, for what must not happen to the one that all tests share.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::process::{account, free_address};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with a superuser `root` without a password and an empty database `freezer`.
pub(crate) struct Postgres {
    server: Child,
    port: u16,
    options: Vec<String>,
    folder: TempDir,
}

impl Postgres {
    /// Makes its files and starts it with further settings, for instance `fsync=off`.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub(crate) async fn start(settings: &[&str]) -> Postgres {
        Postgres::start_in(tempfile::tempdir().unwrap(), settings).await
    }

    /// The same in this folder.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub(crate) async fn start_in(folder: TempDir, settings: &[&str]) -> Postgres {
        give_to_server(&folder);
        let install = [
            "--username=root",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=trust",
        ];
        assert!(
            program("initdb", folder.path())
                .args(install)
                .status()
                .unwrap()
                .success()
        );
        let options = settings.iter().map(|setting| format!("-c{setting}"));
        let server = Postgres::run_in(folder, options.collect()).await;
        let mut connection = PgConnection::connect(&server.url("postgres"))
            .await
            .unwrap();
        connection.execute("CREATE DATABASE freezer").await.unwrap();
        server
    }

    /// A standby that follows this server, with what it has now.
    ///
    /// # Panics
    /// When it cannot be made.
    pub(crate) async fn standby(&self) -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        give_to_server(&folder);
        let copy = program("pg_basebackup", folder.path())
            .args(["--write-recovery-conf", "--checkpoint=fast"])
            .args(["--host=127.0.0.1", "--username=root", "--port"])
            .arg(self.port.to_string())
            .status();
        assert!(copy.unwrap().success());
        Postgres::run_in(folder, Vec::new()).await
    }

    /// Starts it on its files.
    async fn run_in(folder: TempDir, options: Vec<String>) -> Postgres {
        let port = free_address().port();
        let server = Postgres {
            server: serve(folder.path(), port, &options),
            port,
            options,
            folder,
        };
        server.wait_until_it_answers().await;
        server
    }

    async fn wait_until_it_answers(&self) {
        let start = Instant::now();
        while PgConnection::connect(&self.url("postgres")).await.is_err() {
            assert!(start.elapsed() < PATIENCE, "PostgreSQL does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills all of its processes (SIGKILL): what they have not written to its files is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.server.wait().unwrap();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.server.try_wait().unwrap().is_some()
    }

    /// Starts it again on its files and its port. Its memory is free once the last of the killed processes is gone.
    pub(crate) async fn restart(&mut self) {
        let start = Instant::now();
        loop {
            self.server = serve(self.folder.path(), self.port, &self.options);
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.server.try_wait().unwrap().is_none() {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "PostgreSQL does not start");
        }
        self.wait_until_it_answers().await;
    }

    /// Sends a signal to the server and then to those that it has started.
    pub(crate) fn signal(&self, signal: Signal) {
        for process in self.processes() {
            let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
            // It may have ended by itself.
            kill_process(process, signal).ok();
        }
    }

    /// The server, and the processes that it has started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let server = self.server.id();
        let children =
            fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        let children = children
            .split_whitespace()
            .map(|child| child.parse().unwrap());
        std::iter::once(server).chain(children).collect()
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement as `root`.
    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url("freezer")).await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        connection.execute(statement).await.unwrap();
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, query: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.url("freezer")).await.unwrap();
        sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://root@127.0.0.1:{}/{database}", self.port)
    }
}

/// Its files are not ours, where it may not run as root.
fn give_to_server(folder: &TempDir) {
    if let Some((user, group)) = account("postgres") {
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
}

fn serve(folder: &Path, port: u16, options: &[String]) -> Child {
    program("postgres", folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
        .arg(folder)
        .args(options)
        .spawn()
        .unwrap()
}

/// One of PostgreSQL's programs, of the newest release that is installed.
fn program(name: &str, folder: &Path) -> Command {
    let releases = fs::read_dir("/usr/lib/postgresql").unwrap();
    let release: PathBuf = releases
        .map(|release| release.unwrap().path())
        .max()
        .unwrap();
    let mut command = Command::new(release.join("bin").join(name));
    if let Some((user, group)) = account("postgres") {
        use std::os::unix::process::CommandExt;
        command.uid(user).gid(group);
    }
    command
        .arg("-D")
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT ends its children too, without waiting for clients.
        kill_process(Pid::from_child(&self.server), Signal::QUIT).ok();
        self.server.wait().ok();
    }
}
