//! A way to the real Keystone, or another server, that counts, that can be shut, that speaks TLS, and that can answer in Keystone's place.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::Client;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::lab::plain_http;

/// Answers in Keystone's place, or not.
type Interference = Box<dyn Fn(&Request<Incoming>) -> Option<Response<Full<Bytes>>> + Send + Sync>;

pub(crate) struct Proxy {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Keystone, without `/v3`.
    upstream: String,
    /// Ourselves, likewise.
    own: String,
    http: Client,
    validations: AtomicUsize,
    authentications: AtomicUsize,
    /// Every token that went through.
    tokens: Mutex<BTreeSet<String>>,
    interference: Mutex<Option<Interference>>,
}

impl Proxy {
    pub(super) async fn start(keystone: &str) -> Self {
        Self::start_with(keystone, None).await
    }

    pub(crate) async fn start_with(keystone: &str, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let proxy = Self {
            address,
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
            shared: Arc::new(Shared {
                upstream: keystone.trim_end_matches("/v3").to_owned(),
                own: format!("{scheme}://{address}"),
                http: plain_http(),
                validations: AtomicUsize::new(0),
                authentications: AtomicUsize::new(0),
                tokens: Mutex::default(),
                interference: Mutex::default(),
            }),
            serving: Mutex::default(),
        };
        proxy.serve(listener);
        proxy
    }

    /// Without a path.
    pub(crate) fn root(&self) -> String {
        self.shared.own.clone()
    }

    /// With `/v3`.
    pub(super) fn url(&self) -> String {
        format!("{}/v3", self.shared.own)
    }

    /// How often a token was validated.
    pub(super) fn validations(&self) -> usize {
        self.shared.validations.load(Ordering::SeqCst)
    }

    /// How often a token was asked for.
    pub(super) fn authentications(&self) -> usize {
        self.shared.authentications.load(Ordering::SeqCst)
    }

    /// Every token that went through, in either direction.
    pub(super) fn tokens(&self) -> BTreeSet<String> {
        self.shared.tokens.lock().unwrap().clone()
    }

    /// Lets something answer in Keystone's place.
    pub(crate) fn interfere(
        &self,
        with: impl Fn(&Request<Incoming>) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) {
        *self.shared.interference.lock().unwrap() = Some(Box::new(with));
    }

    pub(super) fn interfere_no_more(&self) {
        *self.shared.interference.lock().unwrap() = None;
    }

    /// Closes the port and all connections.
    pub(super) async fn stop(&self) {
        let serving = self.serving.lock().unwrap().take().unwrap();
        serving.abort();
        let _ = serving.await;
    }

    /// Opens the port again.
    pub(super) async fn resume(&self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&self, listener: TcpListener) {
        let (shared, tls) = (Arc::clone(&self.shared), self.tls.clone());
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        *self.serving.lock().unwrap() = Some(serving);
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, std::convert::Infallible>(shared.pass_on(request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Shared {
    async fn pass_on(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/v3/auth/tokens" {
            let counter = if request.method() == Method::POST {
                &self.authentications
            } else {
                &self.validations
            };
            counter.fetch_add(1, Ordering::SeqCst);
        }
        self.note_tokens(request.headers());
        if let Some(answer) = self
            .interference
            .lock()
            .unwrap()
            .as_ref()
            .and_then(|interfere| interfere(&request))
        {
            return answer;
        }
        let url = format!("{}{}", self.upstream, request.uri());
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        for hop in [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            headers.remove(hop);
        }
        let body = body.collect().await.unwrap().to_bytes();
        let answer = self
            .http
            .request(parts.method, url)
            .headers(headers)
            .body(body)
            .send()
            .await
            .unwrap();
        self.note_tokens(answer.headers());
        let mut response = Response::new(Full::default());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        for hop in [CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            response.headers_mut().remove(hop);
        }
        // Keystone's catalog and version document name Keystone; who comes through here must keep coming through here.
        let body = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
        *response.body_mut() = Full::new(body.replace(&self.upstream, &self.own).into());
        response
    }

    fn note_tokens(&self, headers: &hyper::HeaderMap) {
        let mut tokens = self.tokens.lock().unwrap();
        for name in ["x-auth-token", "x-subject-token"] {
            tokens.extend(
                headers
                    .get(name)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            );
        }
    }
}

/// An answer of another server that stands in Keystone's place.
pub(crate) fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
