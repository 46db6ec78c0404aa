//! Several nodes of the API with one memcached, which each test starts for itself.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freezer_api::clock::Clock;
use freezer_api::config::Config;
use freezer_api::keystone::{AuthError, Keystone};

use super::lab::{Lab, keystone, keystone_at};
use super::proxy::Proxy;
use crate::support::process::free_address;

struct Memcached {
    process: Child,
    address: SocketAddr,
}

impl Memcached {
    fn start() -> Self {
        let address = free_address();
        let port = address.port().to_string();
        let started = Command::new("memcached")
            .args(["-u", "nobody", "-U", "0", "-l", "127.0.0.1", "-p", &port])
            .spawn();
        let process = started.expect("the program memcached");
        let memcached = Self { process, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "memcached does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        memcached
    }

    /// An answer that ends with `END`.
    fn ask(&self, command: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while !answer.ends_with(b"END\r\n") {
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "memcached closed the connection");
            answer.extend_from_slice(&part[..length]);
        }
        answer
    }

    /// All keys, once there are as many as wanted.
    fn keys(&self, wanted: usize) -> Vec<String> {
        let started = Instant::now();
        loop {
            let dump = String::from_utf8(self.ask("lru_crawler metadump all")).unwrap();
            let keys: Vec<String> = dump
                .lines()
                .filter_map(|line| line.strip_prefix("key=")?.split(' ').next())
                .map(|key| key.replace("%2F", "/"))
                .collect();
            if keys.len() == wanted {
                return keys;
            }
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{wanted} keys wanted, there are {keys:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn ask(keystone: &Keystone, token: &str) -> Result<String, AuthError> {
    keystone
        .authenticate(Some(token), None, "GET", "/")
        .await
        .map(|context| context.user_id)
}

fn node(
    proxy: &Proxy,
    memcached: &Memcached,
    secret: Option<&str>,
    cache_time: i64,
) -> Arc<Keystone> {
    keystone(&proxy.url(), |config| {
        share(config, memcached, secret, cache_time);
    })
}

fn share(config: &mut Config, memcached: &Memcached, secret: Option<&str>, cache_time: i64) {
    config.keystone_authtoken.memcached_servers = vec![memcached.address.to_string()];
    config.keystone_authtoken.memcache_secret_key = secret.map(Into::into);
    config.keystone_authtoken.token_cache_time = cache_time;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn what_one_node_learned_the_others_know() {
    let lab = Lab::find();
    let memcached = Memcached::start();
    let proxy = Proxy::start(&lab.url).await;
    // Nodes at the moment in which the first asks Keystone, and later.
    let now = Clock::System.timestamp();
    let with_clock = |clock: &Clock| {
        keystone_at(&proxy.url(), clock.clone(), |config| {
            share(config, &memcached, Some("s"), 60);
        })
    };
    let at = |seconds: i64| with_clock(&Clock::fixed(now + seconds));
    let later = Clock::fixed(now + 58);
    let (first, second) = (at(0), with_clock(&later));
    let token = lab.demo().await;
    let user = ask(&first, &token).await.unwrap();
    let keys = memcached.keys(1);
    assert_eq!(ask(&second, &token).await.unwrap(), user);
    assert_eq!(proxy.validations(), 1);

    // Neither the token nor what it says can be read in there.
    let stored = memcached.ask(&format!("get {}", keys[0]));
    assert!(stored.len() > 200);
    for readable in [&token, &user, "demo", "member"] {
        assert!(
            !stored
                .windows(readable.len())
                .any(|part| part == readable.as_bytes()),
            "{readable}"
        );
    }

    // Nobody believes it for longer than the first: the second keeps it for two seconds, a later node not at all.
    lab.revoke(&token).await;
    assert!(ask(&at(60), &token).await.is_err());
    assert_eq!(proxy.validations(), 2);
    later.advance(2);
    let revoked = Instant::now();
    while ask(&second, &token).await.is_ok() {
        assert!(revoked.elapsed() < Duration::from_secs(30), "it is kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn entries_that_no_node_made_are_not_believed() {
    let lab = Lab::find();
    let memcached = Memcached::start();
    let proxy = Proxy::start(&lab.url).await;
    let (admin, demo) = (lab.admin().await, lab.demo().await);
    let first = node(&proxy, &memcached, Some("s"), 300);
    let is_admin = ask(&first, &admin).await.unwrap();
    let keys = memcached.keys(1);
    let is_demo = ask(&first, &demo).await.unwrap();
    let demo_key = memcached
        .keys(2)
        .into_iter()
        .find(|key| *key != keys[0])
        .unwrap();
    assert_eq!(proxy.validations(), 2);

    // Another secret cannot read them, and asks Keystone.
    assert_eq!(
        ask(&node(&proxy, &memcached, Some("other"), 300), &admin)
            .await
            .unwrap(),
        is_admin
    );
    assert_eq!(proxy.validations(), 3);
    // The admin's entry in the place of demo's.
    let stored = memcached.ask(&format!("get {}", keys[0]));
    let head = stored.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let value = &stored[head..stored.len() - "\r\nEND\r\n".len()];
    let mut stream = TcpStream::connect(memcached.address).unwrap();
    stream
        .write_all(format!("set {demo_key} 0 100 {}\r\n", value.len()).as_bytes())
        .unwrap();
    stream.write_all(value).unwrap();
    stream.write_all(b"\r\n").unwrap();
    let mut said = [0; 8];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"STORED\r\n");
    assert_eq!(
        ask(&node(&proxy, &memcached, Some("s"), 300), &demo)
            .await
            .unwrap(),
        is_demo
    );
    assert_eq!(proxy.validations(), 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn without_memcached_everything_goes_on() {
    let lab = Lab::find();
    let memcached = Memcached::start();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = node(&proxy, &memcached, None, 300);
    ask(&keystone, &lab.demo().await).await.unwrap();
    drop(memcached);
    for asked in 2..5 {
        let token = lab.demo().await;
        ask(&keystone, &token).await.unwrap();
        ask(&keystone, &token).await.unwrap();
        assert_eq!(proxy.validations(), asked);
    }
}

/// What python-memcached writes `unix:/path`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_memcached_may_be_on_a_unix_socket() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memcached.sock");
    // The program gives up root's rights before it makes the socket.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let start = || {
        let started = Command::new("memcached")
            .args(["-u", "nobody", "-a", "666", "-s"])
            .arg(&path)
            .spawn();
        let process = started.expect("the program memcached");
        let begun = Instant::now();
        while UnixStream::connect(&path).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    };
    let mut memcached = start();
    let node = || {
        keystone(&proxy.url(), |config| {
            let options = &mut config.keystone_authtoken;
            options.memcached_servers = vec![format!("unix:{}", path.display())];
            options.memcache_secret_key = Some("s".into());
        })
    };
    let (first, second) = (node(), node());
    let token = lab.demo().await;
    let user = ask(&first, &token).await.unwrap();
    assert_eq!(ask(&second, &token).await.unwrap(), user);
    assert_eq!(proxy.validations(), 1);
    // A connection that was kept, once the server is another, does not cost the entry.
    memcached.kill().unwrap();
    memcached.wait().unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut memcached = start();
    let token = lab.demo().await;
    ask(&first, &token).await.unwrap();
    ask(&second, &token).await.unwrap();
    assert_eq!(proxy.validations(), 2);
    memcached.kill().unwrap();
    memcached.wait().unwrap();
}
