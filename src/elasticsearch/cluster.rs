//! Documents of a cluster, by scrolling: the one way of reading all documents that Elasticsearch 1.7 to 8 and OpenSearch 1
//! to 3 have in common. A scroll sees the documents of one moment.
//!
//! Nothing is written. A page that may have been lost on its way is never asked for again, since the cluster would answer
//! with the next one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Chain;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hit, PAGE, Reached, ReadError};

/// How long the cluster keeps a scroll between two pages; a batch is written meanwhile.
const KEEP: &str = "30m";
/// How long a connection may take, and a page.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(300);
/// How large an answer may be, in bytes: a page of documents as large as releases of freezer-api took them has a tenth of it.
const LARGEST_ANSWER: usize = 256 << 20;
/// How much of what the cluster says is shown, in characters.
const SHOWN: usize = 300;
/// What stays as it is in the name of an index: patterns, lists and dates.
const INDEX: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b',');

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Its nodes. The first one that can be reached answers.
    pub urls: Vec<Url>,
    /// Names of indices, patterns and aliases.
    pub indices: Vec<String>,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// Authorities whose certificates are trusted, besides the system's: a file of PEM.
    pub ca_file: Option<PathBuf>,
    /// A client certificate: a file of PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, where the file of the certificate does not have it.
    pub key_file: Option<PathBuf>,
}

/// Who asks a cluster.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user with a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// An API key as Elasticsearch gives it: `ID:KEY` in base64.
    ApiKey(SecretString),
}

/// A cluster whose nodes answer.
#[derive(Debug, Clone)]
pub struct Cluster {
    http: Client,
    options: ClusterOptions,
    version: Version,
}

/// What `GET /` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    number: String,
    is_opensearch: bool,
}

impl Version {
    /// Elasticsearch 1 takes the id of a scroll as the whole body.
    fn is_first(&self) -> bool {
        !self.is_opensearch && self.number.starts_with("1.")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_opensearch {
            "OpenSearch"
        } else {
            "Elasticsearch"
        };
        write!(formatter, "{name} {}", self.number)
    }
}

#[derive(Deserialize)]
struct Root {
    version: RootVersion,
}

#[derive(Deserialize)]
struct RootVersion {
    number: String,
    distribution: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    scroll_id: Option<String>,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    total: u64,
    successful: u64,
}

#[derive(Deserialize)]
struct Hits {
    total: Value,
    hits: Vec<Hit>,
}

impl Hits {
    /// A number up to version 6, an object from 7 on.
    fn total(&self) -> Option<u64> {
        self.total
            .as_u64()
            .or_else(|| self.total.get("value")?.as_u64())
    }
}

impl Cluster {
    /// Asks the nodes for the version of the cluster.
    ///
    /// # Errors
    /// [`ReadError`], where none answers.
    pub async fn connect(options: ClusterOptions) -> Result<Cluster, ReadError> {
        let mut cluster = Cluster {
            http: client(&options)?,
            options,
            version: Version {
                number: String::new(),
                is_opensearch: false,
            },
        };
        let root: Root = cluster.ask(Method::GET, "", None).await?;
        cluster.version = Version {
            number: root.version.number.chars().take(SHOWN).collect(),
            is_opensearch: root.version.distribution.as_deref() == Some("opensearch"),
        };
        Ok(cluster)
    }

    /// The cluster's version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Sends a request to the first node to which a connection comes about.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Body>,
    ) -> Result<T, ReadError> {
        let mut unreachable = ReadError::cluster(None, "no URL is given");
        for url in &self.options.urls {
            let place = format!("{}/{path}", url.as_str().trim_end_matches('/'));
            let request = self.http.request(method.clone(), &place);
            let request = match body {
                Some(body) => body.add_to(request),
                None => request,
            };
            match self.authorized(request).send().await {
                Ok(response) => return read(url, response).await,
                Err(error) if error.is_connect() => {
                    unreachable = ReadError::cluster(Some(url), &chain(&error.without_url()));
                }
                Err(error) => {
                    return Err(ReadError::cluster(Some(url), &chain(&error.without_url())));
                }
            }
        }
        Err(unreachable)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.options.credentials {
            None => request,
            Some(Credentials::Basic { user, password }) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            Some(Credentials::ApiKey(key)) => {
                let value = HeaderValue::from_str(&format!("ApiKey {}", key.expose_secret()));
                match value {
                    Ok(mut value) => {
                        value.set_sensitive(true);
                        request.header(AUTHORIZATION, value)
                    }
                    // It cannot be one; the cluster says so.
                    Err(_) => request,
                }
            }
        }
    }
}

/// The body of a request.
enum Body {
    Json(Value),
    Text(String),
}

impl Body {
    fn add_to(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Body::Json(value) => request.json(value),
            Body::Text(text) => request
                .header(CONTENT_TYPE, "text/plain")
                .body(text.clone()),
        }
    }
}

/// A reading of all documents of the indices.
pub struct Scroll {
    cluster: Cluster,
    id: Option<String>,
    read: u64,
    total: Option<u64>,
}

impl Scroll {
    pub(super) fn new(cluster: Cluster) -> Scroll {
        Scroll {
            cluster,
            id: None,
            read: 0,
            total: None,
        }
    }

    pub(super) fn reached(&self) -> Reached {
        Reached {
            what: "documents read",
            done: self.read,
            total: self.total.unwrap_or(0),
        }
    }

    pub(super) async fn page(&mut self) -> Result<Vec<Hit>, ReadError> {
        let page: Page = match &self.id {
            None => self.first().await?,
            Some(id) => {
                self.cluster
                    .ask(Method::POST, &self.next_path(), Some(&self.next_body(id)))
                    .await?
            }
        };
        let fail = |reason: String| Err(ReadError::cluster(None, &reason));
        if page.timed_out || page.shards.successful < page.shards.total {
            return fail(format!(
                "only {} of {} shards answered: documents would be missing",
                page.shards.successful, page.shards.total
            ));
        }
        self.total = self.total.or(page.hits.total());
        self.id = page.scroll_id.or(self.id.take());
        self.read += page.hits.hits.len() as u64;
        if self.total.is_some_and(|total| self.read > total) {
            return fail(format!(
                "{} documents were read of {}: it has no end",
                self.read,
                self.total.unwrap_or_default()
            ));
        }
        if page.hits.hits.is_empty() {
            self.end().await;
            if self.total.is_some_and(|total| total != self.read) {
                return fail(format!(
                    "{} documents were read of {}",
                    self.read,
                    self.total.unwrap_or_default()
                ));
            }
        }
        Ok(page.hits.hits)
    }

    async fn first(&self) -> Result<Page, ReadError> {
        let indices = self.cluster.options.indices.join(",");
        let path = format!(
            "{}/_search?scroll={KEEP}",
            utf8_percent_encode(&indices, INDEX)
        );
        let query = json!({"query": {"match_all": {}}, "size": PAGE, "sort": ["_doc"]});
        self.cluster
            .ask(Method::POST, &path, Some(&Body::Json(query)))
            .await
    }

    fn next_path(&self) -> String {
        if self.cluster.version.is_first() {
            format!("_search/scroll?scroll={KEEP}")
        } else {
            "_search/scroll".to_owned()
        }
    }

    fn next_body(&self, id: &str) -> Body {
        if self.cluster.version.is_first() {
            Body::Text(id.to_owned())
        } else {
            Body::Json(json!({"scroll": KEEP, "scroll_id": id}))
        }
    }

    /// Lets the cluster forget the scroll, which it would do by itself after a while.
    async fn end(&mut self) {
        let Some(id) = self.id.take() else {
            return;
        };
        let body = if self.cluster.version.is_first() {
            Body::Text(id)
        } else {
            Body::Json(json!({"scroll_id": [id]}))
        };
        let ended: Result<Value, ReadError> = self
            .cluster
            .ask(Method::DELETE, "_search/scroll", Some(&body))
            .await;
        if let Err(error) = ended {
            tracing::debug!(%error, "the scroll could not be ended");
        }
    }
}

/// The HTTP client for the cluster.
fn client(options: &ClusterOptions) -> Result<Client, ReadError> {
    // reqwest takes the process's TLS provider. An error means that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong =
        |error: reqwest::Error| ReadError::cluster(None, &format!("TLS: {}", chain(&error)));
    let built = builder(options)?.build();
    match built {
        // A machine without any certificate authority may still have a cluster with plain HTTP.
        Err(_) if options.ca_file.is_none() => {
            builder(options)?.tls_certs_only([]).build().map_err(wrong)
        }
        built => built.map_err(wrong),
    }
}

fn builder(options: &ClusterOptions) -> Result<ClientBuilder, ReadError> {
    let wrong = |path: &Path, error: reqwest::Error| {
        ReadError::cluster(
            None,
            &format!("{} cannot be used: {}", path.display(), chain(&error)),
        )
    };
    let mut builder = Client::builder()
        .user_agent(concat!("freezer-manage/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &options.ca_file {
        let authorities = reqwest::Certificate::from_pem_bundle(&pem(path)?);
        builder = builder.tls_certs_merge(authorities.map_err(|error| wrong(path, error))?);
    }
    if let Some(path) = &options.cert_file {
        let mut text = pem(path)?;
        if let Some(key) = &options.key_file {
            text.push(b'\n');
            text.extend(pem(key)?);
        }
        let identity = reqwest::Identity::from_pem(&text);
        builder = builder.identity(identity.map_err(|error| wrong(path, error))?);
    }
    Ok(builder)
}

fn pem(path: &Path) -> Result<Vec<u8>, ReadError> {
    std::fs::read(path).map_err(|source| ReadError::File {
        path: path.display().to_string(),
        source,
    })
}

/// The body of an answer, or what the cluster says is wrong.
async fn read<T: serde::de::DeserializeOwned>(
    url: &Url,
    response: reqwest::Response,
) -> Result<T, ReadError> {
    let status = response.status();
    let body = body(url, response).await?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| {
            ReadError::cluster(Some(url), &format!("the answer cannot be read: {error}"))
        });
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED => ": check the user and the password, or the API key",
        StatusCode::NOT_FOUND => ": --index names the indices",
        _ => "",
    };
    Err(ReadError::cluster(
        Some(url),
        &format!("{status}{hint}: {}", complaint(&body)),
    ))
}

/// The whole body, unless it is larger than any page.
async fn body(url: &Url, mut response: reqwest::Response) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await;
        let piece =
            piece.map_err(|error| ReadError::cluster(Some(url), &chain(&error.without_url())))?;
        let Some(piece) = piece else {
            return Ok(body);
        };
        if body.len() + piece.len() > LARGEST_ANSWER {
            let reason = format!("an answer has more than {LARGEST_ANSWER} bytes");
            return Err(ReadError::cluster(Some(url), &reason));
        }
        body.extend_from_slice(&piece);
    }
}

/// What an answer complains of, in the forms of all versions.
fn complaint(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(answer) => {
            let error = answer.get("error").cloned().unwrap_or_default();
            let reason = error
                .pointer("/root_cause/0/reason")
                .or_else(|| error.get("reason"));
            match reason.unwrap_or(&error) {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.chars().take(SHOWN).collect()
}

/// An error with all that caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> = Chain::new(error).map(ToString::to_string).collect();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_all_versions_are_read() {
        for (body, told) in [
            (
                r#"{"error":"IndexMissingException[[x] missing]","status":404}"#,
                "IndexMissingException[[x] missing]",
            ),
            (
                r#"{"error":{"root_cause":[{"reason":"no such index"}],"reason":"no such"},"status":404}"#,
                "no such index",
            ),
            ("<html>", "<html>"),
        ] {
            assert_eq!(complaint(body.as_bytes()), told);
        }
    }

    #[test]
    fn totals_are_numbers_or_objects() {
        for (total, wanted) in [
            (json!(7), Some(7)),
            (json!({"value": 7, "relation": "eq"}), Some(7)),
            (json!(null), None),
        ] {
            let hits = Hits {
                total,
                hits: Vec::new(),
            };
            assert_eq!(hits.total(), wanted);
        }
    }
}
