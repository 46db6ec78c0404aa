//! Unix sockets, and what systemd opens and is told.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::server::{Connection, PATIENCE, configuration, request};
use crate::stops::{stop_under_load, tcp};
use crate::support::process::{Server, manage};
use crate::support::{Database, Engine};

fn unix(path: &Path) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A development server that listens on a Unix socket.
fn start(database: &Database, socket: &Path, more: &str) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer-api"));
    command.arg("--dev").stdin(Stdio::null());
    let options = format!("[api]\nunix_socket = {}\n{more}", socket.display());
    Server::start_elsewhere(command, &configuration(database, &options))
}

#[tokio::test]
async fn a_unix_socket_serves_those_who_may() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    // One that nobody listens on any more.
    drop(UnixListener::bind(&socket).unwrap());
    let server = start(&database, &socket, "unix_socket_mode = 0600\n");
    server.wait_for_output("stop with");
    let metadata = fs::symlink_metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let mut connection = Connection(unix(&socket).unwrap());
    for _ in 0..2 {
        connection.send(request("GET", "/v2/p/clients", ""));
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    server.wait_for_output("request method=GET path=/v2/p/clients status=200");
    // Another one does not take it away.
    let ended = start(&database, &socket, "").end();
    assert!(!ended.status.success());
    let told = format!("cannot listen on {}", socket.display());
    assert!(ended.output.contains(&told), "{}", ended.output);
    drop(connection);
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(!socket.exists());
    // Nor does it touch what is no socket.
    fs::write(&socket, "a file").unwrap();
    let ended = start(&database, &socket, "").end();
    let told = "it exists and is no socket";
    assert!(ended.output.contains(told), "{}", ended.output);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "a file");
}

#[tokio::test]
async fn a_stop_under_load_loses_no_request_of_a_unix_socket() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    for _ in 0..2 {
        let server = start(&database, &socket, "drain_time = 1\n");
        server.wait_for_output("stop with");
        let path = socket.clone();
        stop_under_load(server, move || unix(&path));
    }
}

/// The configuration of a server for production, with its tables, whose Keystone nobody asks.
fn production(database: &Database) -> String {
    let keystone = "[keystone_authtoken]\nauth_type = password\nauth_url = http://127.0.0.1:1\nusername = u\npassword = p\nuser_domain_id = default\n";
    let configuration = configuration(database, keystone);
    let output = manage(&configuration, &["db", "sync"]);
    assert!(output.status.success(), "{output:?}");
    configuration
}

/// The program with a socket as systemd passes it on.
fn with_socket(socket: impl Into<OwnedFd>) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_freezer-api")])
        .stdin(Stdio::from(socket.into()));
    command
}

#[tokio::test]
async fn sockets_of_systemd_outlive_the_service() {
    let database = Database::create(Engine::Sqlite).await;
    let configuration = production(&database);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for round in 0..3 {
        // This waits in the kernel until a service is there.
        let mut early = Connection(tcp(address).unwrap());
        early.send(request("GET", "/", ""));
        let command = with_socket(listener.try_clone().unwrap());
        let server = Server::start_elsewhere(command, &configuration);
        assert_eq!(early.answer().unwrap().status, 300, "{round}");
        server.wait_for_output(&format!("listening addresses=http://{address}"));
        assert_eq!(server.stop().status.code(), Some(0));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::start_elsewhere(with_socket(listener), &configuration);
    let mut connection = Connection(unix(&path).unwrap());
    connection.send(request("GET", "/", ""));
    assert_eq!(connection.answer().unwrap().status, 300);
    server.wait_for_output(&format!("listening addresses=unix:{}", path.display()));
    drop(connection);
    assert_eq!(server.stop().status.code(), Some(0));
    assert!(path.exists(), "systemd keeps it");
}

#[tokio::test]
async fn systemd_is_told_what_the_service_does() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = |expected: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            if expected == "WATCHDOG=1" || !text.starts_with("WATCHDOG=1") {
                assert!(text.starts_with(expected), "{text} instead of {expected}");
                return text.to_owned();
            }
        }
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer-api"));
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000");
    let server = Server::start_by(command, &configuration(&database, ""), &["--dev"]);
    let server = server.unwrap_or_else(|ended| panic!("{}", ended.output));
    told("READY=1");
    told("WATCHDOG=1");
    server.signal(Signal::HUP);
    assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
    told("READY=1");
    server.terminate();
    told("STOPPING=1");
    assert_eq!(server.end().status.code(), Some(0));
}
