//! Behind HAProxy, nginx and Apache, with the configurations of `deploy/`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::listeners::tls::Client;
use crate::server::{Answer, Connection, PATIENCE, configuration, json, request};
use crate::support::authority::Authority;
use crate::support::process::{Server, free_address};
use crate::support::{Database, Engine};

const PROXIED: &str = "[oslo_middleware]\nenable_proxy_headers_parsing = true\n[api]\n";

/// A service that listens where the configuration says.
fn service(database: &Database, options: &str) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer-api"));
    command.arg("--dev").stdin(Stdio::null());
    let server = Server::start_elsewhere(command, &configuration(database, options));
    server.wait_for_output("stop with");
    server
}

fn at(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("{PROXIED}drain_time = 1\n[DEFAULT]\nbind_host = {host}\nbind_port = {port}\n")
}

/// A proxy with a certificate of an authority of its own.
struct Proxy {
    child: Child,
    address: SocketAddr,
    authority: Authority,
    folder: TempDir,
}

impl Proxy {
    /// Starts a proxy by `command` on a file of `deploy/`, in which `replace` names the places of this machine.
    fn start(
        file: &str,
        around: impl Fn(&str, &Path) -> String,
        replace: &[(&str, String)],
        command: impl Fn(&Path, &Path) -> Command,
    ) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let (authority, address) = (Authority::new(), free_address());
        authority.renew("localhost");
        let (cert, key) = (authority.file("cert.pem"), authority.file("key.pem"));
        let both = [fs::read(&cert).unwrap(), fs::read(&key).unwrap()].concat();
        fs::write(authority.file("both.pem"), both).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file);
        let mut text = fs::read_to_string(path).unwrap();
        let port = address.port();
        let places = [
            (
                "/etc/haproxy/freezer.pem",
                authority.file("both.pem").display().to_string(),
            ),
            ("/etc/nginx/freezer.crt", cert.display().to_string()),
            ("/etc/nginx/freezer.key", key.display().to_string()),
            ("/etc/apache2/freezer.crt", cert.display().to_string()),
            ("/etc/apache2/freezer.key", key.display().to_string()),
            ("bind :9443", format!("bind 127.0.0.1:{port}")),
            ("listen 443", format!("listen 127.0.0.1:{port}")),
            ("Listen 443", format!("Listen 127.0.0.1:{port}")),
            ("*:443", format!("127.0.0.1:{port}")),
        ];
        for (there, here) in places.iter().chain(replace) {
            text = text.replace(there, here);
        }
        assert!(
            !text.contains("192.0.2.") && !text.contains("/etc/"),
            "{text}"
        );
        let file = folder.path().join(file);
        fs::write(&file, around(&text, folder.path())).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command(&file, folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let proxy = Proxy {
            child,
            address,
            authority,
            folder,
        };
        let start = Instant::now();
        while !proxy
            .ask(&request("GET", "/backup/healthcheck", ""))
            .is_ok_and(|answer| answer.status < 500)
        {
            assert!(start.elapsed() < PATIENCE, "{}", proxy.log());
            thread::sleep(Duration::from_millis(50));
        }
        proxy
    }

    /// What it has written.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn client(&self) -> Client {
        self.authority.client()
    }

    /// One request on a connection of its own.
    fn ask(&self, text: &str) -> io::Result<Answer> {
        let mut connection = Connection(self.client().connect(self.address)?);
        connection.0.write_all(text.as_bytes())?;
        connection
            .answer()
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Its workers too, which it could not end any more itself.
impl Drop for Proxy {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// What clients do, all of it through the proxy, which gives the service the prefix.
fn walk(proxy: &Proxy, prefix: &str) {
    let path = |path: &str| format!("{prefix}{path}");
    let clients = path("/v2/p/clients");
    let mut kept = Connection(proxy.client().connect(proxy.address).unwrap());
    kept.send(format!(
        "GET {prefix}/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n\r\n"
    ));
    let answer = kept.answer().unwrap();
    let link = json(&answer)["versions"][0]["links"][0]["href"].to_string();
    assert_eq!(
        (answer.status, link),
        (300, format!("\"https://localhost{prefix}/v2/\""))
    );
    for number in 0..3 {
        let body = format!(
            "{{\"client_id\": \"c{number}\", \"description\": \"{}\"}}",
            "d".repeat(200)
        );
        kept.send(request("POST", &clients, &body));
        assert_eq!(kept.answer().unwrap().status, 201);
    }
    // A long token, and a large body that is announced first.
    let token = "t".repeat(20_000);
    kept.send(format!(
        "GET {clients} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {token}\r\n\r\n"
    ));
    assert_eq!(
        json(&kept.answer().unwrap())["clients"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let backup = format!(
        "{{\"backup_name\": \"b\", \"container\": \"c\", \"hostname\": \"h\", \"x\": \"{}\"}}",
        "x".repeat(900_000)
    );
    let mut large = Connection(proxy.client().connect(proxy.address).unwrap());
    let (length, backups) = (backup.len(), path("/v2/p/backups"));
    large.send(format!(
        "POST {backups} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ));
    let mut go_on = Vec::new();
    while !go_on.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        large.0.read_exact(&mut byte).unwrap();
        go_on.push(byte[0]);
    }
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    large.send(&backup);
    assert_eq!(large.answer().unwrap().status, 201);
    large.send(request("DELETE", &path("/v2/p/clients/c0"), ""));
    assert_eq!(large.answer().unwrap().status, 204);
    let refused = proxy
        .ask(&request("POST", &backups, &backup.repeat(2)))
        .unwrap();
    assert_eq!(refused.status, 413);
    // What speaks the oldest HTTP.
    let old = proxy.ask(&format!(
        "GET {prefix}/healthcheck HTTP/1.0\r\nHost: localhost\r\n\r\n"
    ));
    assert_eq!(old.unwrap().status, 200);
}

fn haproxy(nodes: [SocketAddr; 3]) -> Proxy {
    let [one, two, three] = nodes.map(|address| address.to_string());
    let around = |text: &str, _: &Path| format!("{text}    server node3 {three}\n");
    let places = [("192.0.2.1:9090", one), ("192.0.2.2:9090", two)];
    Proxy::start("haproxy.cfg", around, &places, |file, _| {
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(file);
        command
    })
}

#[tokio::test]
#[ignore = "needs HAProxy: ./test installs it"]
async fn haproxy_serves_through_a_rolling_restart() {
    let database = Database::create(Engine::Sqlite).await;
    let nodes = [free_address(), free_address(), free_address()];
    let start = |node: SocketAddr| service(&database, &at(node));
    let mut servers = Vec::from(nodes.map(start));
    let proxy = haproxy(nodes);
    walk(&proxy, "");

    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (client, address, is_over) = (proxy.client(), proxy.address, Arc::clone(&is_over));
            thread::spawn(move || write_and_read(number, || client.connect(address), &is_over))
        })
        .collect();
    for node in nodes {
        let old = servers.remove(0);
        assert_eq!(old.stop().status.code(), Some(0));
        servers.push(start(node));
        // HAProxy sends nothing before two checks, a second apart, have succeeded.
        thread::sleep(Duration::from_secs(3));
    }
    is_over.store(true, Ordering::Relaxed);
    let answered: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(answered > 100, "{answered}");
    // Every other request has created one.
    let created = i64::try_from(answered / 2).unwrap();
    let clients = database.rows("clients", "client_id LIKE 'h%'").await;
    assert_eq!(clients, created);
    println!("{answered} requests answered, {created} documents there");
}

/// Creates and reads documents on connections that are kept; each request must be answered as on a quiet day.
fn write_and_read<S: Read + Write>(
    number: u32,
    connect: impl Fn() -> io::Result<S>,
    is_over: &AtomicBool,
) -> u64 {
    let mut answered = 0;
    let mut connection = Connection(connect().unwrap());
    while !is_over.load(Ordering::Relaxed) {
        let client = format!("h{number}-{answered}");
        for (text, status) in [
            (
                request(
                    "POST",
                    "/v2/p/clients",
                    &format!("{{\"client_id\": \"{client}\"}}"),
                ),
                201,
            ),
            (request("GET", &format!("/v2/p/clients/{client}"), ""), 200),
        ] {
            connection.send(text);
            let answer = connection.answer().unwrap();
            assert_eq!(answer.status, status, "{answer:?}");
            answered += 1;
            if answer.head.contains("connection: close") {
                connection = Connection(connect().unwrap());
            }
        }
    }
    answered
}

#[tokio::test]
#[ignore = "needs nginx: ./test installs it"]
async fn nginx_serves_below_a_prefix_by_a_unix_socket() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock").display().to_string();
    let _server = service(&database, &format!("{PROXIED}unix_socket = {socket}\n"));
    let around = |text: &str, folder: &Path| {
        let folder = folder.display();
        // The folders are this user's alone.
        format!(
            "user root;\ndaemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/f;\n\
             scgi_temp_path {folder}/s;\nuwsgi_temp_path {folder}/u;\n{text}}}\n"
        )
    };
    let places = [("/run/freezer/api.sock", socket.clone())];
    let proxy = Proxy::start("nginx.conf", around, &places, |file, folder| {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-p").arg(folder);
        command
    });
    walk(&proxy, "/backup");
}

#[tokio::test]
#[ignore = "needs Apache: ./test installs it"]
async fn apache_serves_below_a_prefix() {
    let database = Database::create(Engine::Sqlite).await;
    let node = free_address();
    let _server = service(&database, &at(node));
    let around = |text: &str, folder: &Path| {
        let modules = [
            "mpm_event",
            "authz_core",
            "proxy",
            "proxy_http",
            "headers",
            "socache_shmcb",
            "ssl",
        ];
        let load =
            |name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules: String = modules.map(load).concat();
        let folder = folder.display();
        format!(
            "ServerRoot {folder}\nServerName localhost\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nErrorLog /dev/stderr\n\
             {modules}User www-data\nGroup www-data\n{text}"
        )
    };
    let places = [("192.0.2.1:9090", node.to_string())];
    let proxy = Proxy::start("apache.conf", around, &places, |file, _| {
        let mut command = Command::new("apache2");
        command.arg("-DFOREGROUND").arg("-f").arg(file);
        command
    });
    walk(&proxy, "/backup");
}

/// docs/deployment.md shows what is run here.
#[test]
fn the_documentation_has_these_configurations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/deployment.md")).unwrap();
    for name in ["haproxy.cfg", "nginx.conf", "apache.conf"] {
        let file = fs::read_to_string(root.join("deploy").join(name)).unwrap();
        assert!(page.contains(&format!("```\n{file}```")), "{name}");
    }
}
