//! HTTP to Keystone: one client with the operator's TLS options, retries while nobody answers, and version discovery.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Chain;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::counts::Counts;
use crate::config::KeystoneAuthtoken;

/// The token by which a call is authorized.
pub(crate) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// The token that a call is about.
pub(crate) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Time for a whole call where `http_connect_timeout` is not set. (keystoneauth then waits for ever.)
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for establishing a connection; a host that is down does not refuse, it does not answer at all.
const MAX_CONNECT: Duration = Duration::from_secs(3);
/// The pause before the first repetition; each further one is twice as long, up to the longest. Shorter than
/// keystoneauth's (0.5 s, 1 s, 2 s, …): requests wait meanwhile, and continue as soon as Keystone is back.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_millis(400);
/// What callers are told to wait where Keystone does not say.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest wait that we pass on from Keystone.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A call to Keystone failed for another reason than an invalid token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// No answer: refused, timed out, TLS failed. The text has no URL (ids stand in some) and no token.
    #[error("no answer from Keystone: {reason}")]
    Unreachable { reason: String },
    /// An answer with a status that the call does not have.
    #[error("Keystone answered {status} to {call}")]
    Unexpected {
        call: &'static str,
        status: StatusCode,
        retry_after: Duration,
    },
    /// Our own credentials are refused.
    #[error(
        "Keystone refused the service's own credentials (status {status}): check the user, password and project in [{section}]"
    )]
    Credentials { section: String, status: StatusCode },
    /// An answer that cannot be read.
    #[error("Keystone's answer to {call} cannot be read: {reason}")]
    Malformed { call: &'static str, reason: String },
    /// The catalog has no Keystone for us.
    #[error(
        "the catalog has no identity endpoint with interface {interface} in region {region}: check interface and region_name in [keystone_authtoken]"
    )]
    NoEndpoint { interface: String, region: String },
}

impl IdentityError {
    /// When a caller may try again.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Unexpected { retry_after, .. } => *retry_after,
            Self::Unreachable { .. }
            | Self::Credentials { .. }
            | Self::Malformed { .. }
            | Self::NoEndpoint { .. } => DEFAULT_RETRY_AFTER,
        }
    }
}

/// The options cannot be used; the service must not start with them.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);

/// Whether a call may be sent again when it is not known if it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or nothing that matters.
    Always,
    /// It makes something: only when no connection came about.
    IfUnsent,
}

/// One call. `name` stands for it in logs: URLs hold ids that do not belong there.
pub(crate) struct Call<'a> {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Option<&'a Value>,
    pub(crate) repeat: Repeat,
}

/// A complete answer, whatever its status.
pub(crate) struct Answer {
    call: &'static str,
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer as an error, where its status is not one that the call expects.
    pub(crate) fn unexpected(&self) -> IdentityError {
        let seconds = self
            .headers
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.trim().parse().ok());
        IdentityError::Unexpected {
            call: self.call,
            status: self.status,
            retry_after: seconds
                .map_or(DEFAULT_RETRY_AFTER, Duration::from_secs)
                .min(MAX_RETRY_AFTER),
        }
    }

    /// The answer as an error, where its content is not what the status promises.
    pub(crate) fn malformed(&self, reason: impl ToString) -> IdentityError {
        IdentityError::Malformed {
            call: self.call,
            reason: reason.to_string(),
        }
    }

    /// Whether the answer has a header.
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    /// The token that the answer brings.
    pub(crate) fn subject_token(&self) -> Result<String, IdentityError> {
        self.headers
            .get(SUBJECT_TOKEN)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
            .ok_or_else(|| self.malformed("it has no X-Subject-Token"))
    }
}

/// A header value that debug output hides; `None` where the text cannot stand in a header.
pub(crate) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The HTTP client for Keystone.
#[derive(Debug, Clone)]
pub(crate) struct IdentityClient {
    http: Client,
    retries: u32,
    timeout: Duration,
    counts: Arc<Counts>,
}

impl IdentityClient {
    /// Builds the client from the TLS and HTTP options of `[keystone_authtoken]`.
    ///
    /// # Errors
    /// A certificate or key file that cannot be read or holds no PEM.
    pub(crate) fn new(options: &KeystoneAuthtoken) -> Result<Self, SetupError> {
        // reqwest takes the process's TLS provider. An error means that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if options.insecure {
            tracing::warn!(
                "[keystone_authtoken] insecure is set: Keystone's certificate is not verified"
            );
        }
        let timeout = options.http_connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let unusable = |e| SetupError(format!("HTTP client for Keystone: {}", chain(&e)));
        let http = match tls(options, timeout)?.build() {
            // A machine without any certificate authority may still have a Keystone with plain HTTP.
            Err(error) if options.cafile.is_none() => {
                let http = tls(options, timeout)?
                    .tls_certs_only([])
                    .build()
                    .map_err(unusable)?;
                tracing::warn!(
                    error = chain(&error),
                    "no certificate authorities found: no certificate of Keystone will be trusted"
                );
                http
            }
            built => built.map_err(unusable)?,
        };
        Ok(Self {
            http,
            retries: options.http_request_max_retries,
            timeout,
            counts: Arc::default(),
        })
    }

    /// What is counted of its calls.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Makes one call, repeated while nobody answers (`http_request_max_retries` times, within the time for one call).
    ///
    /// # Errors
    /// [`IdentityError::Unreachable`]; every answer, of whatever status, is `Ok`.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Answer, IdentityError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut left = self.retries;
        loop {
            let error = match self.exchange(call).await {
                Ok(answer) => {
                    self.counts.answered(answer.status);
                    return Ok(answer);
                }
                Err(error) => error.without_url(),
            };
            let repeatable =
                !error.is_builder() && (call.repeat == Repeat::Always || error.is_connect());
            if left == 0 || !repeatable || started.elapsed() >= self.timeout {
                self.counts.unreachable();
                return Err(IdentityError::Unreachable {
                    reason: chain(&error),
                });
            }
            tracing::debug!(
                call = call.name,
                error = chain(&error),
                "no answer from Keystone, trying again"
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
            left -= 1;
        }
    }

    async fn exchange(&self, call: &Call<'_>) -> reqwest::Result<Answer> {
        let mut request = self
            .http
            .request(call.method.clone(), &call.url)
            .headers(call.headers.clone());
        if let Some(json) = call.json {
            request = request.json(json);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            call: call.name,
            status,
            headers,
            body: response.bytes().await?,
        })
    }

    /// The address of API version 3 below `base`: `base` itself where it ends in `/v3`, else where Keystone's version
    /// document says, else `base` with `/v3`. No slash at the end.
    ///
    /// Only the path of the document's link is used: a Keystone behind a proxy often announces a host or a scheme by which
    /// it cannot be reached, and tokens must not go to an address that the operator did not configure.
    ///
    /// # Errors
    /// As [`IdentityClient::send`].
    pub(crate) async fn version_3(&self, base: &str) -> Result<String, IdentityError> {
        let base = base.trim().trim_end_matches('/');
        if base.ends_with("/v3") {
            return Ok(base.to_owned());
        }
        let answer = self
            .send(&Call {
                name: "version discovery",
                method: Method::GET,
                url: format!("{base}/"),
                headers: HeaderMap::new(),
                json: None,
                repeat: Repeat::Always,
            })
            .await?;
        if answer.status.is_server_error() {
            return Err(answer.unexpected());
        }
        // An answer that names no version 3, as of a proxy for /v3 alone: it is where it always is.
        Ok(discovered(base, &answer.body).unwrap_or_else(|| format!("{base}/v3")))
    }
}

/// `base` with the path of the version 3 link in a version document.
fn discovered(base: &str, document: &[u8]) -> Option<String> {
    let document: VersionDocument = serde_json::from_slice(document).ok()?;
    let versions = document
        .versions
        .map(|versions| versions.values)
        .or(document.version.map(|version| vec![version]))?;
    let version = versions
        .into_iter()
        .find(|version| version.id == "v3" || version.id.starts_with("v3."))?;
    let link = version.links.into_iter().find(|link| link.rel == "self")?;
    let mut url = Url::parse(base).ok()?;
    let path = url
        .join(&link.href)
        .ok()?
        .path()
        .trim_end_matches('/')
        .to_owned();
    url.set_path(&path);
    Some(url.into())
}

#[derive(Deserialize)]
struct VersionDocument {
    versions: Option<Versions>,
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Versions {
    values: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: String,
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

/// Follows redirections within one server only, so that no token leaves it, and never from TLS to plain HTTP.
fn stay_on_the_server(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let to = attempt.url();
    let stays = attempt.previous().last().is_some_and(|from| {
        from.host() == to.host() && (to.scheme() == from.scheme() || to.scheme() == "https")
    });
    if stays && attempt.previous().len() <= 5 {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// A client with the operator's certificates: `cafile` beside the system's authorities, and our own certificate.
fn tls(options: &KeystoneAuthtoken, timeout: Duration) -> Result<ClientBuilder, SetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("freezer-api/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .connect_timeout(timeout.min(MAX_CONNECT))
        .redirect(reqwest::redirect::Policy::custom(stay_on_the_server))
        .tls_danger_accept_invalid_certs(options.insecure);
    if let Some(file) = &options.cafile {
        let wrong = |reason| {
            SetupError(format!(
                "[keystone_authtoken] cafile {} {reason}",
                file.display()
            ))
        };
        let authorities = reqwest::Certificate::from_pem_bundle(&read("cafile", file)?)
            .map_err(|e| wrong(format!("cannot be used: {}", chain(&e))))?;
        if authorities.is_empty() {
            return Err(wrong("holds no PEM certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    if let Some(file) = &options.certfile {
        let mut pem = read("certfile", file)?;
        if let Some(key) = &options.keyfile {
            pem.push(b'\n');
            pem.extend(read("keyfile", key)?);
        }
        let identity = reqwest::Identity::from_pem(&pem).map_err(|e| {
            SetupError(format!(
                "[keystone_authtoken] certfile and keyfile: {}",
                chain(&e)
            ))
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn read(option: &str, file: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(file).map_err(|e| {
        SetupError(format!(
            "[keystone_authtoken] {option} {}: {e}",
            file.display()
        ))
    })
}

/// An error with all that caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = Chain::new(error).map(ToString::to_string).collect();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &[u8] = br#"{"versions": {"values": [
        {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "http://inner:5000/identity/v3/"}]},
        {"id": "v2.0", "status": "deprecated", "links": [{"rel": "self", "href": "http://inner:5000/v2.0/"}]}]}}"#;

    #[test]
    fn discovery_keeps_to_the_operators_server() {
        assert_eq!(
            discovered("https://keystone.example/identity", ROOT).as_deref(),
            Some("https://keystone.example/identity/v3")
        );
        let single =
            br#"{"version": {"id": "v3.14", "links": [{"rel": "self", "href": "http://k/v3/"}]}}"#;
        assert_eq!(
            discovered("http://k:5000", single).as_deref(),
            Some("http://k:5000/v3")
        );
    }

    #[test]
    fn discovery_of_something_else_finds_nothing() {
        for document in [&b"<html>"[..], b"{}", br#"{"versions": {"values": []}}"#] {
            assert_eq!(discovered("http://k", document), None);
        }
    }
}
