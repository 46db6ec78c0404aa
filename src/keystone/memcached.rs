//! A client for memcached's text protocol: `get` and `set`, which is all that a token cache needs.
//!
//! Written here because the async client of crate `memcache` is marked experimental and needs the meta protocol of newer
//! servers. A server that fails is not asked for 30 s, so a dead one delays one request in that time by 100 ms.

use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use ring::digest;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::unconstrained;
use tokio_util::either::Either;

/// Time for one `get` or `set`, with the connection where one must be made.
const TIMEOUT: Duration = Duration::from_millis(100);
/// How long a server that failed is not asked.
const BACKOFF: Duration = Duration::from_secs(30);
/// Idle connections kept for each server.
const MAX_IDLE: usize = 10;
/// The protocol takes larger numbers for points in time.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest line and the largest value that we read.
const MAX_LINE: u64 = 512;
const MAX_VALUE: usize = 1 << 20;

/// Memcached servers; a key has its place on one of them.
#[derive(Debug)]
pub(crate) struct Memcached {
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    /// The address as the log shows it, and by which keys find their server.
    name: String,
    address: Address,
    state: Mutex<State>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    /// `host:port`.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    backoff_until: Option<Instant>,
}

type Connection = BufStream<Either<TcpStream, UnixStream>>;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    async fn connect(&self) -> Result<Connection> {
        Ok(BufStream::new(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Either::Left(stream)
            }
            Self::Unix(path) => Either::Right(UnixStream::connect(path).await?),
        }))
    }
}

impl Memcached {
    /// Takes addresses as python-memcached writes them: `host`, `host:port`, `inet6:[::1]:11211`, `unix:/path`. Connects later.
    ///
    /// # Errors
    /// An address of a kind that is not supported.
    pub(crate) fn new(addresses: &[String]) -> std::result::Result<Self, String> {
        let servers = addresses
            .iter()
            .map(|address| {
                let address = socket_address(address)?;
                Ok(Server {
                    name: address.to_string(),
                    address,
                    state: Mutex::default(),
                })
            })
            .collect::<std::result::Result<_, String>>()?;
        Ok(Self { servers })
    }

    /// The value of a key; `None` also where its server does not answer.
    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let command = format!("get {key}\r\n");
        self.on_server(key, async |stream| {
            stream.write_all(command.as_bytes()).await?;
            stream.flush().await?;
            read_value(stream).await
        })
        .await
        .flatten()
    }

    /// Keeps a value for a while, 30 days at most. Failures are silent.
    pub(crate) async fn set(&self, key: &str, value: &[u8], lifetime: Duration) {
        let command = format!(
            "set {key} 0 {} {}\r\n",
            lifetime.min(MAX_LIFETIME).as_secs(),
            value.len()
        );
        self.on_server(key, async |stream| {
            stream.write_all(command.as_bytes()).await?;
            stream.write_all(value).await?;
            stream.write_all(b"\r\n").await?;
            stream.flush().await?;
            match read_line(stream).await?.as_str() {
                "STORED" => Ok(()),
                other => Err(Error::new(ErrorKind::InvalidData, format!("set: {other}"))),
            }
        })
        .await;
    }

    async fn on_server<T>(
        &self,
        key: &str,
        exchange: impl AsyncFnOnce(&mut Connection) -> Result<T>,
    ) -> Option<T> {
        let preferred = |server: &&Server| weight(&server.name, key);
        let server = self.servers.iter().max_by_key(preferred)?;
        server.exchange(exchange).await
    }
}

/// How much a server is preferred for a key; the one with the highest weight has it (rendezvous hashing). So a server that is
/// added or removed moves only its own share of the keys, and the order of `memcached_servers` does not matter. By SHA-256,
/// since all API nodes have to agree, whatever Rust release has built them: the hasher of the standard library may change.
fn weight(server: &str, key: &str) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [server, "\n", key] {
        context.update(part.as_bytes());
    }
    let mut weight = [0; digest::SHA256_OUTPUT_LEN];
    weight.copy_from_slice(context.finish().as_ref());
    weight
}

impl Server {
    async fn exchange<T>(
        &self,
        exchange: impl AsyncFnOnce(&mut Connection) -> Result<T>,
    ) -> Option<T> {
        if self.is_backing_off() {
            return None;
        }
        let outcome = tokio::time::timeout(TIMEOUT, async {
            let mut stream = self.connection().await?;
            let answer = exchange(&mut stream).await?;
            self.keep(stream);
            Ok::<_, Error>(answer)
        });
        match outcome
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.back_off(&error);
                None
            }
        }
    }

    /// An idle connection that is still open, or a new one.
    async fn connection(&self) -> Result<Connection> {
        loop {
            let Some(mut stream) = self.state().idle.pop() else {
                return self.address.connect().await;
            };
            // Nothing is to be read between exchanges: readable means closed by the server.
            if unconstrained(stream.fill_buf()).now_or_never().is_none() {
                return Ok(stream);
            }
        }
    }

    fn keep(&self, stream: Connection) {
        let mut state = self.state();
        if state.idle.len() < MAX_IDLE {
            state.idle.push(stream);
        }
    }

    fn is_backing_off(&self) -> bool {
        self.state()
            .backoff_until
            .is_some_and(|until| Instant::now() < until)
    }

    fn back_off(&self, error: &Error) {
        tracing::warn!(server = self.name, %error, "a memcached server fails; it is not asked for {} s", BACKOFF.as_secs());
        let mut state = self.state();
        state.idle.clear();
        state.backoff_until = Some(Instant::now() + BACKOFF);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn socket_address(text: &str) -> std::result::Result<Address, String> {
    let address = text.trim();
    let wanted = |reason: &str| Err(format!("memcached_servers: {address} {reason}"));
    if let Some(path) = address.strip_prefix("unix:") {
        return match path {
            "" => wanted("names no Unix socket; wanted is unix:/path"),
            path => Ok(Address::Unix(path.into())),
        };
    }
    if address.starts_with('/') {
        return wanted("is no host; a Unix socket is written unix:/path");
    }
    let address = address
        .strip_prefix("inet6:")
        .or_else(|| address.strip_prefix("inet:"))
        .unwrap_or(address);
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        }
        None => false,
    };
    Ok(Address::Tcp(
        match (has_port, address.contains(':') && !address.starts_with('[')) {
            (true, _) => address.to_owned(),
            (false, true) => format!("[{address}]:11211"),
            (false, false) => format!("{address}:11211"),
        },
    ))
}

async fn read_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<String> {
    let mut line = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    let line = line.strip_suffix(b"\r\n").ok_or(ErrorKind::InvalidData)?;
    String::from_utf8(line.to_vec()).map_err(|_| ErrorKind::InvalidData.into())
}

/// Reads the answer to `get`: `VALUE key flags length`, the value and `END`, or `END` alone.
///
/// # Errors
/// The stream's, or the answer is another one.
pub async fn read_value(stream: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>> {
    let head = read_line(stream).await?;
    if head == "END" {
        return Ok(None);
    }
    let unreadable = || Error::new(ErrorKind::InvalidData, "get: unreadable answer");
    let mut words = head.split(' ');
    if words.next() != Some("VALUE") {
        return Err(unreadable());
    }
    let length: usize = words
        .nth(2)
        .and_then(|length| length.parse().ok())
        .ok_or_else(unreadable)?;
    if length > MAX_VALUE {
        return Err(unreadable());
    }
    let mut value = vec![0; length];
    stream.read_exact(&mut value).await?;
    if !read_line(stream).await?.is_empty() || read_line(stream).await? != "END" {
        return Err(unreadable());
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn addresses() {
        for (text, wanted) in [
            ("127.0.0.1:11212", "127.0.0.1:11212"),
            ("cache.example", "cache.example:11211"),
            ("inet6:[::1]:11212", "[::1]:11212"),
            ("[::1]", "[::1]:11211"),
            ("::1", "[::1]:11211"),
        ] {
            assert_eq!(
                socket_address(text),
                Ok(Address::Tcp(wanted.to_owned())),
                "{text}"
            );
        }
        let socket = socket_address(" unix:/run/memcached.sock");
        assert_eq!(socket, Ok(Address::Unix("/run/memcached.sock".into())));
        assert_eq!(socket.unwrap().to_string(), "unix:/run/memcached.sock");
        for text in ["unix:", "/run/memcached.sock"] {
            let error = socket_address(text).unwrap_err();
            assert!(error.contains("unix:/path"), "{error}");
        }
    }

    /// The server of a key, among those of these addresses.
    fn server_of<'a>(servers: &[&'a str], key: &str) -> &'a str {
        let preferred = |server: &&&str| weight(server, key);
        servers.iter().max_by_key(preferred).unwrap()
    }

    #[test]
    fn keys_stay_at_their_servers() {
        let servers = ["a:11211", "b:11211", "c:11211"];
        // Computed by another program, so that this one finds them in its next release too.
        for (number, server) in [
            "a:11211", "c:11211", "c:11211", "b:11211", "b:11211", "a:11211",
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(server_of(&servers, &format!("key{number}")), *server);
        }
        for number in 0..1000 {
            let key = format!("key{number}");
            let before = server_of(&servers, &key);
            assert_eq!(server_of(&["c:11211", "b:11211", "a:11211"], &key), before);
            if before != "c:11211" {
                assert_eq!(server_of(&["a:11211", "b:11211"], &key), before);
            }
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_asked_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cache = Memcached::new(&[listener.local_addr().unwrap().to_string()]).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..100 {
            assert_eq!(cache.get("k").await, None);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn nonsense_is_a_miss() {
        for nonsense in [
            "SERVER_ERROR out of memory\r\n",
            "VALUE k 0 99999999999\r\n",
            "VALUE\r\n",
            "VALUE k 0 1\r\nxyz",
            "\n",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let cache = Memcached::new(&[listener.local_addr().unwrap().to_string()]).unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(nonsense.as_bytes()).await.unwrap();
                stream
            });
            assert_eq!(cache.get("k").await, None, "{nonsense:?}");
            server.await.unwrap();
        }
    }
}
