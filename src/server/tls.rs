//! TLS: a certificate that is read again when its files change, and handshakes with it.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::config;

/// How often the files are looked at.
const WATCH: Duration = Duration::from_secs(2);

/// What a client may speak, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One option without the other.
    #[error("[ssl] cert_file and key_file need each other; ca_file needs both")]
    Incomplete,
    /// A file is not what it should be.
    #[error("[ssl] {option}: cannot use {}: {source}", path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The key is not that of the certificate, or of a kind that cannot be used.
    #[error("[ssl] cert_file {} and key_file {} do not go together: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authorities for certificates of clients cannot be used.
    #[error("[ssl] ca_file {}: {source}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// The server's side of TLS.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    config: ArcSwap<ServerConfig>,
    seen: Mutex<Vec<Stamp>>,
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    /// Of clients, which must then have a certificate.
    authorities: Option<PathBuf>,
}

/// What tells one content of a file from another: device, inode, length, and the time of its last change. None: it is not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Tls {
    /// Reads the files that the options name. None: they name none.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(options: &config::Ssl) -> Result<Option<Arc<Tls>>, TlsError> {
        let files = match (&options.cert_file, &options.key_file, &options.ca_file) {
            (Some(cert), Some(key), authorities) => Files {
                cert: cert.clone(),
                key: key.clone(),
                authorities: authorities.clone(),
            },
            (None, None, None) => return Ok(None),
            _ => return Err(TlsError::Incomplete),
        };
        let seen = files.stamps();
        Ok(Some(Arc::new(Tls {
            config: ArcSwap::from_pointee(files.read()?),
            seen: Mutex::new(seen),
            files,
        })))
    }

    /// What makes a handshake with the certificate of this moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again. Where they cannot be used, all stays as it was. Connections that exist do not notice.
    pub fn reload(&self) {
        // Before the files, so that a change while they are read is seen.
        let stamps = self.files.stamps();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps;
        let cert_file = self.files.cert.display();
        match self.files.read() {
            Ok(config) => {
                self.config.store(Arc::new(config));
                tracing::info!(%cert_file, "the certificate was read again");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::error!(
                    error,
                    "the certificate cannot be read again and stays as it was"
                );
            }
        }
    }

    fn reload_if_changed(&self) {
        let stamps = self.files.stamps();
        let is_changed = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamps;
        if is_changed {
            self.reload();
        }
    }

    /// Looks at the files from time to time, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            sleep(WATCH).await;
            let tls = Arc::clone(&self);
            // A disk may be slow. A panic is in the log, and the next look is a new one.
            let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
        }
    }
}

impl Files {
    fn stamps(&self) -> Vec<Stamp> {
        let paths = [&self.cert, &self.key].into_iter().chain(&self.authorities);
        paths.map(|path| stamp(path)).collect()
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        let certificates = certificates("cert_file", &self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| file_error("key_file", &self.key, source))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|source| self.pair_error(source))?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        };
        let mut config = builder
            .with_single_cert(certificates, key)
            .map_err(|source| self.pair_error(source))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    fn pair_error(&self, source: rustls::Error) -> TlsError {
        TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        }
    }
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca_file", path)?);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|source| TlsError::Authorities {
            path: path.to_owned(),
            source,
        })
}

/// All certificates of a file, at least one.
fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let certificates = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            Err(pem::Error::NoItemsFound)
        } else {
            Ok(certificates)
        }
    };
    read().map_err(|source| file_error(option, path, source))
}

fn file_error(option: &'static str, path: &Path, source: pem::Error) -> TlsError {
    TlsError::File {
        option,
        path: path.to_owned(),
        source,
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    Some((
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        seconds,
        nanoseconds,
    ))
}
