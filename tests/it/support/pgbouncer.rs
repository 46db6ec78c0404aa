//! PgBouncer in front of the PostgreSQL server, with few connections to it, so that transactions of different clients share them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::free_address;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running pooler; what a plain configuration has besides is its default.
pub(crate) struct PgBouncer {
    pooler: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts it in front of a server.
    ///
    /// # Panics
    /// When PgBouncer is not installed or does not start.
    pub(crate) fn start(server: SocketAddr, mode: &str, connections: u16) -> PgBouncer {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let file = folder.path().join("pgbouncer.ini");
        let configuration = format!(
            "[databases]\n* = host={} port={} user=test password=test\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\nmax_client_conn = 500\n",
            server.ip(),
            server.port(),
            address.ip(),
            address.port()
        );
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("pgbouncer");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let pooler = command
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < PATIENCE, "PgBouncer does not start");
            thread::sleep(Duration::from_millis(20));
        }
        PgBouncer {
            pooler,
            address,
            _folder: folder,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.pooler.kill().ok();
        self.pooler.wait().ok();
    }
}
