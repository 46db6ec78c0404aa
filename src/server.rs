//! Serving HTTP/1.1 and HTTP/2 without TLS (h2c): a bounded number of connections, limits on slow clients, and an
//! end that lets requests in flight end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
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
    stream: TcpStream,
    remote: SocketAddr,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<
    Error = Box<dyn std::error::Error + Send + Sync>,
> + use<> {
    // Small answers must not wait for the acknowledgement of others.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(remote));
        router.clone().call(request)
    });
    builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned()
}
