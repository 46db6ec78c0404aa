//! Our programs as an operator runs them: real processes with configuration files.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take until it listens, and until it is gone after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a release build's program has in memory, in KiB.
const RELEASED_PROGRAM: u64 = 20 * 1024;

/// A running `freezer-api` on a port of its own. It is killed when the value is dropped without [`Server::stop`].
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    folder: TempDir,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// All that it wrote to standard output and standard error, line by line as it came.
    pub(crate) output: String,
}

impl Server {
    /// Starts `freezer-api` with `configuration` (the text of a `freezer-api.conf`, to which a free loopback address is
    /// added in a second file) and waits until it listens.
    ///
    /// # Errors
    /// How it ended, when it ended before it listened.
    ///
    /// # Panics
    /// When it neither listens nor ends in time.
    pub(crate) fn start(configuration: &str, arguments: &[&str]) -> Result<Server, Ended> {
        Server::start_by(
            Command::new(env!("CARGO_BIN_EXE_freezer-api")),
            configuration,
            arguments,
        )
    }

    /// The same with limits on open files: a soft and a hard one.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn start_with_files(
        (soft, hard): (u32, u32),
        configuration: &str,
        arguments: &[&str],
    ) -> Result<Server, Ended> {
        let mut command = Command::new("sh");
        let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        command
            .args(["-c", &script])
            .arg(env!("CARGO_BIN_EXE_freezer-api"));
        Server::start_by(command, configuration, arguments)
    }

    /// The same by a command that ends in the program.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn start_by(
        mut command: Command,
        configuration: &str,
        arguments: &[&str],
    ) -> Result<Server, Ended> {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let listen = format!(
            "[DEFAULT]\nbind_host = {}\nbind_port = {}\n",
            address.ip(),
            address.port()
        );
        command
            .args(arguments)
            .args(config_file(
                folder.path(),
                "freezer-api.conf",
                configuration,
            ))
            .args(config_file(folder.path(), "listen.conf", &listen));
        Server::run(command, address, folder)
    }

    /// Starts `freezer-api` by a command that ends in it, without waiting: it listens where the configuration says.
    pub(crate) fn start_elsewhere(mut command: Command, configuration: &str) -> Server {
        let folder = tempfile::tempdir().unwrap();
        command.args(config_file(
            folder.path(),
            "freezer-api.conf",
            configuration,
        ));
        Server::spawn(command, free_address(), folder)
    }

    /// Starts `freezer-api --dev` without any configuration, for a user whose data lies in `data`.
    ///
    /// # Errors
    /// How it ended, when it ended before it listened.
    ///
    /// # Panics
    /// When it neither listens nor ends in time.
    pub(crate) fn develop(data: &Path, arguments: &[&str]) -> Result<Server, Ended> {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezer-api"));
        command
            .args(["--dev", "--bind-port", &address.port().to_string()])
            .args(arguments)
            .env("XDG_DATA_HOME", data);
        Server::run(command, address, tempfile::tempdir().unwrap())
    }

    fn run(mut command: Command, address: SocketAddr, folder: TempDir) -> Result<Server, Ended> {
        command.stdin(Stdio::null());
        Server::spawn(command, address, folder).wait_until_it_listens()
    }

    fn spawn(mut command: Command, address: SocketAddr, folder: TempDir) -> Server {
        let mut child = command
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&output)),
            collect(child.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        Server {
            child,
            address,
            output,
            readers,
            folder,
        }
    }

    fn wait_until_it_listens(mut self) -> Result<Server, Ended> {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return Err(self.ended());
            }
            assert!(
                start.elapsed() < PATIENCE,
                "freezer-api does not listen:\n{}",
                self.output()
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }

    /// `http://127.0.0.1:PORT`, without a closing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// The most resident memory that it has had, in KiB. Of the program itself no more counts than a release build has: a
    /// development build has three times as much.
    pub(crate) fn most_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = |name: &str| -> u64 {
            let mut lines = status.lines();
            let line = lines.find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        value("VmHWM:") - value("RssFile:").saturating_sub(RELEASED_PROGRAM)
    }

    /// Counts it anew.
    pub(crate) fn forget_most_memory(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Asks it to end (SIGTERM), without waiting.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Replaces its configuration, which it does not read by itself.
    pub(crate) fn configure(&self, configuration: &str) {
        config_file(self.folder.path(), "freezer-api.conf", configuration);
    }

    /// Waits until it has written `text`.
    ///
    /// # Panics
    /// When it does not in time.
    pub(crate) fn wait_for_output(&self, text: &str) {
        let start = Instant::now();
        while !self.output().contains(text) {
            let output = self.output();
            assert!(start.elapsed() < PATIENCE, "no {text:?} in:\n{output}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it by SIGTERM and waits until it is gone.
    ///
    /// # Panics
    /// When it is not gone in time.
    pub(crate) fn stop(self) -> Ended {
        self.terminate();
        self.end()
    }

    /// Waits until it is gone.
    ///
    /// # Panics
    /// When it is not gone in time.
    pub(crate) fn end(mut self) -> Ended {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < PATIENCE,
                "freezer-api does not end:\n{}",
                self.output()
            );
            thread::sleep(Duration::from_millis(20));
        }
        self.ended()
    }

    fn ended(&mut self) -> Ended {
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Ended {
            status,
            output: self.output(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs `freezer-manage --config-file F ARGUMENTS…` with `configuration` as F, to its end.
pub(crate) fn manage(configuration: &str, arguments: &[&str]) -> Output {
    manage_with(configuration, arguments, &[])
}

/// The same with variables in its environment.
pub(crate) fn manage_with(
    configuration: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
        .args(config_file(
            folder.path(),
            "freezer-api.conf",
            configuration,
        ))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// User and group of an account, where we are root: database servers refuse to run as root, or cannot do all of it.
pub(crate) fn account(name: &str) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let mut accounts = accounts.lines().map(|line| line.split(':'));
    let mut account = accounts.find(|account| account.clone().next() == Some(name))?;
    let mut number = |place| account.nth(place).unwrap().parse().unwrap();
    Some((number(2), number(0)))
}

/// The ports for servers that are started later, or again. The system gives none of them to a client that connects, as it does
/// with those from 32768 on, so that a port stays free while its server is down. `tests/servers.sh` and `tests/clients` have others.
const PORTS: Range<u16> = 10_000..17_000;

/// An address on the loopback that was free a moment ago, another one each time.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN_OUT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Two runs at once begin at different ones.
        let number =
            std::process::id().wrapping_mul(97) + GIVEN_OUT.fetch_add(1, Ordering::Relaxed);
        let port =
            PORTS.start + u16::try_from(number % u32::from(PORTS.end - PORTS.start)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn config_file(folder: &Path, name: &str, text: &str) -> [String; 2] {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    ["--config-file".to_owned(), path.display().to_string()]
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}
