//! Serving HTTP/1.1 and HTTP/2, with and without TLS (h2c): a bounded number of connections, limits on slow clients, and a
//! shutdown that loses no request.

mod activity;
mod drain;
mod farewell;
mod files;
mod linger;
mod listener;
mod stream;
mod tls;

use std::convert::Infallible;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::Scheme;
use axum::response::Response;
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::Service;

use crate::config;
use crate::pace::Pace;
use activity::{Activity, Answer, TrackedStream, Work};
use farewell::{FLOOD, Farewell};
pub use files::raise_file_limit;
use listener::{Accepted, Listener};
pub use listener::{ListenError, Listeners};
use stream::Stream;
pub use tls::{Tls, TlsError};

/// How long to wait when no connection can be accepted (for instance for want of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections beyond `[api] max_connections`, for the health check.
const RESERVE: usize = 32;

/// How long a client on such a connection has.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client has to end a connection that the server has ended, to take the end of one on which nothing moved, or to send its first request when the
/// service is stopped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest header of a request, as uWSGI has it for Python services (`buffer-size`). Strangers can make a connection hold as
/// much for `read_timeout`.
pub const MAX_HEADER: usize = 64 * 1024;

/// Requests that a connection of HTTP/2 has at once. Each may hold as much memory as a connection of HTTP/1.
pub const MAX_STREAMS: u32 = 32;

/// What is served.
#[derive(Clone)]
pub struct Services {
    /// To everybody.
    pub main: Router,
    /// To clients that come while all connections are in use.
    pub full: Router,
}

/// How far the server has come towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It serves.
    Serving,
    /// It serves, and asks clients to use other servers.
    Draining,
    /// Requests in flight end.
    Closing,
}

/// Serves until `stop` is ready. Then clients have `[api] drain_time` to move to other servers, and requests in flight
/// `shutdown_timeout` to end.
pub async fn serve(
    listeners: Listeners,
    services: Services,
    options: &config::Api,
    stop: impl Future<Output = ()>,
) {
    let server = Server::new(services, options);
    let Listeners { sockets, tls } = listeners;
    let mut watch = JoinSet::new();
    if let Some(tls) = tls {
        watch.spawn(tls.watch());
    }
    tokio::select! {
        () = stop => {}
        () = server.accept_from_all(&sockets) => {}
    }
    tracing::info!("stopping: clients are asked to use other servers");
    server.phase.send_replace(Phase::Draining);
    tokio::select! {
        () = server.accept_from_all(&sockets) => {}
        () = sleep(options.drain_time) => {}
        // No client is connected.
        () = server.phase.closed() => {}
    }
    for listener in sockets {
        match drain::last_connections(listener).await {
            Ok(connections) => {
                for accepted in connections {
                    server.open(accepted, None);
                }
            }
            Err(error) => tracing::warn!(%error, "connections that were not accepted yet are lost"),
        }
    }
    tracing::info!("stopping: no further connections are accepted");
    server.phase.send_replace(Phase::Closing);
    let end = tokio::time::timeout(options.shutdown_timeout, server.phase.closed());
    if end.await.is_err() {
        tracing::warn!("requests that did not finish in time are aborted");
    }
}

/// A place among the connections, while it is kept.
struct Place {
    _permit: OwnedSemaphorePermit,
    is_reserve: bool,
}

struct Server {
    services: Services,
    read_timeout: Duration,
    idle_timeout: Duration,
    places: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    floods: Arc<Pace>,
    /// Each connection has a receiver, so that it is closed when all are gone.
    phase: watch::Sender<Phase>,
}

impl Server {
    fn new(services: Services, options: &config::Api) -> Server {
        Server {
            services,
            read_timeout: options.read_timeout,
            idle_timeout: options.idle_timeout,
            places: Arc::new(Semaphore::new(options.max_connections as usize)),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            floods: Arc::new(Pace::new(FLOOD)),
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    async fn accept_from_all(&self, listeners: &[Listener]) {
        join_all(listeners.iter().map(|listener| self.accept(listener))).await;
    }

    /// Accepts connections, for ever.
    async fn accept(&self, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(accepted) => self.open(accepted, Some(self.place().await)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    #[expect(clippy::expect_used, reason = "nobody closes the semaphores")]
    async fn place(&self) -> Place {
        let (places, reserve) = (Arc::clone(&self.places), Arc::clone(&self.reserve));
        let (permit, is_reserve) = tokio::select! {
            biased;
            permit = places.acquire_owned() => (permit, false),
            permit = reserve.acquire_owned() => (permit, true),
        };
        Place {
            _permit: permit.expect("a place"),
            is_reserve,
        }
    }

    /// Serves a connection in a task of its own.
    fn open(&self, accepted: Accepted, place: Option<Place>) {
        let is_reserve = place.as_ref().is_some_and(|place| place.is_reserve);
        let (router, limits) = if is_reserve {
            (&self.services.full, (RESERVE_TIMEOUT, RESERVE_TIMEOUT))
        } else {
            (&self.services.main, (self.read_timeout, self.idle_timeout))
        };
        let (router, builder) = (router.clone(), builder(!is_reserve));
        let farewell = Farewell::new(Arc::clone(&self.floods));
        let phase = self.phase.subscribe();
        let peer = Peer {
            remote: accepted.remote(),
            is_tls: accepted.is_tls(),
        };
        tokio::spawn(async move {
            let served = async {
                let stream = handshake(accepted, limits.0, phase.clone()).await?;
                let activity = Arc::new(Activity::new(limits.0, limits.1));
                let stream = TrackedStream::new(stream, Arc::clone(&activity), farewell);
                connection(stream, peer, router, builder, activity, phase).await
            };
            if let Err(error) = served.await {
                let remote = peer.remote.map(tracing::field::display);
                tracing::debug!(remote, error, "a connection failed");
            }
            drop(place);
        });
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
struct Peer {
    /// None behind a Unix socket.
    remote: Option<SocketAddr>,
    is_tls: bool,
}

impl Peer {
    /// What handlers may know of it.
    fn describe(self, request: &mut Request<Incoming>) {
        let extensions = request.extensions_mut();
        if let Some(remote) = self.remote {
            extensions.insert(ConnectInfo(remote));
        }
        if self.is_tls {
            extensions.insert(Scheme::HTTPS);
        }
    }
}

/// Makes a connection ready for requests, unless its client takes longer than `limit`; while the service stops, [`CLOSE_TIMEOUT`].
async fn handshake(
    accepted: Accepted,
    limit: Duration,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<Stream> {
    if !accepted.is_tls() {
        return accepted.handshake().await;
    }
    let stopped = async {
        // An error: the server is gone.
        let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
        sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        stream = accepted.handshake() => stream,
        () = sleep(limit) => Err(io::ErrorKind::TimedOut.into()),
        () = stopped => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// `keep_alive` says whether a connection of HTTP/1 outlives its first answer.
fn builder(keep_alive: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .keep_alive(keep_alive)
        .max_buf_size(MAX_HEADER)
        .timer(TokioTimer::new())
        // Ours tells idle connections from slow headers.
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// One connection to its end.
async fn connection(
    stream: TrackedStream,
    peer: Peer,
    router: Router,
    builder: Builder<TokioExecutor>,
    activity: Arc<Activity>,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stopping = phase.clone();
    let service = service_fn(|mut request: Request<Incoming>| {
        peer.describe(&mut request);
        respond(router.clone(), request, activity.begin(), stopping.clone())
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // When it is asked to end, and when it is cut off.
    let (mut shutdown, mut end) = (None, None);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = activity.expired(), if end.is_none() => {
                connection.as_mut().graceful_shutdown();
                end = Some(Instant::now() + CLOSE_TIMEOUT);
            }
            () = reached(end) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            () = reached(shutdown) => {
                connection.as_mut().graceful_shutdown();
                shutdown = None;
            }
            Ok(()) = phase.changed() => {
                if *phase.borrow_and_update() == Phase::Closing || activity.is_http2() {
                    // The first request of a new connection is on its way.
                    let patience = if activity.is_new() { CLOSE_TIMEOUT } else { Duration::ZERO };
                    shutdown = Some(Instant::now() + patience);
                }
            }
        }
    }
}

/// Answers one request; while the service stops, with the advice to use another connection.
async fn respond(
    mut router: Router,
    request: Request<Incoming>,
    work: Work,
    phase: watch::Receiver<Phase>,
) -> Result<Response<Answer>, Infallible> {
    let mut response = router.call(request).await?;
    let activity = work.activity();
    // HTTP/2 has GOAWAY instead.
    if *phase.borrow() != Phase::Serving && !activity.is_http2() {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer::new(body, activity)))
}

/// Waits for a point in time; without one, for ever.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}
