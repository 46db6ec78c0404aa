//! A way to a database server that can be cut or held up, as networks and servers do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A COMMIT during which the connection of its client breaks.
struct LostCommit {
    /// How many others come before it.
    others: u32,
    /// How much later it arrives all the same.
    delay: Option<Duration>,
}

/// Forwards connections until it is shut, which breaks those that are open.
pub(crate) struct TcpProxy {
    address: SocketAddr,
    server: SocketAddr,
    /// Whether requests, and answers, are kept back.
    requests: Arc<watch::Sender<bool>>,
    answers: Arc<watch::Sender<bool>>,
    /// How long bytes are under way, to each side.
    delay: Arc<watch::Sender<Duration>>,
    cut: Arc<watch::Sender<()>>,
    commit: Arc<Mutex<Option<LostCommit>>>,
    serving: Option<JoinHandle<()>>,
}

impl TcpProxy {
    pub(crate) async fn start(server: SocketAddr) -> TcpProxy {
        let mut proxy = TcpProxy {
            address: ([127, 0, 0, 1], 0).into(),
            server,
            requests: Arc::new(watch::Sender::new(false)),
            answers: Arc::new(watch::Sender::new(false)),
            delay: Arc::new(watch::Sender::new(Duration::ZERO)),
            cut: Arc::new(watch::Sender::new(())),
            commit: Arc::new(Mutex::new(None)),
            serving: None,
        };
        proxy.open().await;
        proxy
    }

    /// Where it listens; the same after every [`TcpProxy::open`].
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens again.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = self.server;
        let (requests, answers) = (Arc::clone(&self.requests), Arc::clone(&self.answers));
        let (delay, cut) = (Arc::clone(&self.delay), Arc::clone(&self.cut));
        let commit = Arc::clone(&self.commit);
        self.serving = Some(tokio::spawn(async move {
            // Dropping the set breaks the connections.
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (requests, answers) = (requests.subscribe(), answers.subscribe());
                let delay = (delay.subscribe(), delay.subscribe());
                let (mut cut, commit) = (cut.subscribe(), Arc::clone(&commit));
                connections.spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    let lost = tokio::select! {
                        lost = forward(from_client, to_server, requests, delay.0, Some(commit)) => lost,
                        _ = forward(from_server, to_client, answers, delay.1, None) => None,
                        _ = cut.changed() => None,
                    };
                    if let Some(lost) = lost {
                        lost.arrive().await;
                    }
                });
            }
        }));
    }

    /// Breaks the connection of the client that sends the COMMIT after `others`. It arrives later by `delay`, or never.
    pub(crate) fn lose_commit(&self, others: u32, delay: Option<Duration>) {
        *self.commit.lock().unwrap() = Some(LostCommit { others, delay });
    }

    /// Whether there was such a COMMIT.
    pub(crate) fn has_lost_commit(&self) -> bool {
        self.commit.lock().unwrap().is_none()
    }

    /// Breaks all connections, and refuses others.
    pub(crate) async fn shut(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            serving.await.ok();
        }
    }

    /// Breaks the connections that are open; others are accepted.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Keeps all bytes back, or lets them go on.
    pub(crate) fn hold(&self, held: bool) {
        self.requests.send_replace(held);
        self.hold_answers(held);
    }

    /// Lets each piece of bytes take so long to either side.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }

    /// Keeps what the server answers back, or lets it go on.
    pub(crate) fn hold_answers(&self, held: bool) {
        self.answers.send_replace(held);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// What is sent to a server whose client is gone.
struct Late {
    to: OwnedWriteHalf,
    bytes: Vec<u8>,
    delay: Duration,
}

impl Late {
    async fn arrive(mut self) {
        tokio::time::sleep(self.delay).await;
        self.to.write_all(&self.bytes).await.ok();
        // The server reads it before it notices.
        tokio::time::sleep(self.delay).await;
    }
}

/// Whether these bytes are the COMMIT that is to be lost.
fn is_lost(commit: &Mutex<Option<LostCommit>>, bytes: &[u8]) -> Option<LostCommit> {
    // PostgreSQL's messages end with a NUL; it is told READ COMMITTED, too.
    let is_commit = bytes
        .strip_suffix(b"\0")
        .unwrap_or(bytes)
        .ends_with(b"COMMIT");
    let mut commit = commit.lock().unwrap();
    match commit.as_mut().filter(|_| is_commit) {
        Some(LostCommit { others: 0, .. }) => commit.take(),
        Some(lost) => {
            lost.others -= 1;
            None
        }
        None => None,
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
    delay: watch::Receiver<Duration>,
    commit: Option<Arc<Mutex<Option<LostCommit>>>>,
) -> Option<Late> {
    let mut bytes = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        held.wait_for(|held| !held).await.ok()?;
        let delay = *delay.borrow();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let lost = commit
            .as_ref()
            .and_then(|commit| is_lost(commit, &bytes[..count]));
        if let Some(LostCommit { delay, .. }) = lost {
            bytes.truncate(count);
            return delay.map(|delay| Late { to, bytes, delay });
        }
        to.write_all(&bytes[..count]).await.ok()?;
    }
    None
}
