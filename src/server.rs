//! Serving HTTP/1.1 and HTTP/2 without TLS (h2c): a bounded number of connections, limits on slow clients, and an
//! end that lets requests in flight end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tower::Service;

use crate::config;

/// How long to wait when no connection can be accepted (for instance for want of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready. Then no connection is accepted any more, idle ones are closed, and requests in
/// flight have `[api] shutdown_timeout` to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: &config::Api,
    stop: impl Future<Output = ()>,
) {
    let builder = Arc::new(builder(options));
    let places = Arc::new(Semaphore::new(options.max_connections as usize));
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for the acknowledgement of others.
        let _ = stream.set_nodelay(true);
        let stream = PrefaceTimeout::new(stream, options.read_timeout);
        let connection = open.watch(connection(&builder, stream, remote, router.clone()));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%remote, error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    tracing::info!("stopping: no further connections are accepted");
    if tokio::time::timeout(options.shutdown_timeout, open.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that did not end in time are cut off");
    }
}

fn builder(options: &config::Api) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.read_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .keep_alive_interval(options.read_timeout);
    builder
}

/// One connection, with the client's address in each of its requests.
fn connection(
    builder: &Arc<Builder<TokioExecutor>>,
    stream: PrefaceTimeout,
    remote: SocketAddr,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<
    Error = Box<dyn std::error::Error + Send + Sync>,
> + use<> {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(remote));
        router.clone().call(request)
    });
    builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned()
}

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection on which the client must soon say which HTTP it speaks. Until then neither HTTP/1.1 nor HTTP/2 is in
/// charge, with their limits: a client that stays silent, or stops within the preface, would keep its place for ever.
struct PrefaceTimeout {
    stream: TcpStream,
    /// Bytes of the preface that have come, and the time until which the rest must; `None` when all is clear.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
}

impl PrefaceTimeout {
    fn new(stream: TcpStream, limit: Duration) -> PrefaceTimeout {
        PrefaceTimeout {
            stream,
            waiting: Some((0, Box::pin(tokio::time::sleep(limit)))),
        }
    }
}

impl AsyncRead for PrefaceTimeout {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some((seen, limit)) = &mut this.waiting else {
            return read;
        };
        if read.is_pending() {
            ready!(limit.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let new = buffer.filled().get(before..).unwrap_or_default();
        *seen += new.len();
        let rest = PREFACE.get(*seen - new.len()..).unwrap_or_default();
        if new.is_empty() || new.len() >= rest.len() || !rest.starts_with(new) {
            this.waiting = None;
        }
        read
    }
}

impl AsyncWrite for PrefaceTimeout {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
