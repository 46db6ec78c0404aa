//! TLS to Keystone with a private authority.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use freezer_api::clock::Clock;
use freezer_api::config::KeystoneAuthtoken;
use freezer_api::keystone::{AuthError, Keystone};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::lab::{Lab, config, keystone};
use super::proxy::Proxy;

/// An authority of the test's own, and the files that operators have.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
            folder,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(self.file("key.pem"), key.serialize_pem()).unwrap();
        (certificate.der().clone(), key)
    }

    /// A server named 127.0.0.1, which asks for certificates of `clients` if there are any.
    fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let (certificate, key) = self.issue("127.0.0.1");
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = match clients {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certificate.clone()).unwrap();
                ServerConfig::builder().with_client_cert_verifier(
                    WebPkiClientVerifier::builder(Arc::new(roots))
                        .build()
                        .unwrap(),
                )
            }
        };
        builder.with_single_cert(vec![certificate], key).unwrap()
    }
}

async fn outcome(
    lab: &Lab,
    url: &str,
    change: impl FnOnce(&mut KeystoneAuthtoken),
) -> Result<(), AuthError> {
    let keystone = keystone(url, |config| change(&mut config.keystone_authtoken));
    keystone
        .authenticate(Some(&lab.demo().await), None, "GET", "/")
        .await
        .map(drop)
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_private_authority_is_trusted_where_cafile_names_it() {
    let lab = Lab::find();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let proxy = Proxy::start_with(&lab.url, Some(authority.server(None))).await;
    assert!(proxy.url().starts_with("https://"));
    outcome(&lab, &proxy.url(), |o| {
        o.cafile = Some(authority.file("ca.pem"))
    })
    .await
    .unwrap();
    assert_eq!(
        (proxy.authentications(), proxy.validations()),
        (1, 1),
        "someone went around TLS"
    );

    for cafile in [None, Some(stranger.file("ca.pem"))] {
        let refused = outcome(&lab, &proxy.url(), |o| o.cafile = cafile).await;
        assert!(
            matches!(refused, Err(AuthError::Unavailable { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(
        proxy.authentications(),
        1,
        "a password went to a server that nobody vouches for"
    );
    outcome(&lab, &proxy.url(), |o| o.insecure = true)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn our_own_certificate_is_shown() {
    let lab = Lab::find();
    let (authority, clients) = (Authority::new(), Authority::new());
    let proxy = Proxy::start_with(&lab.url, Some(authority.server(Some(&clients)))).await;
    clients.issue("freezer-api");
    let ca = Some(authority.file("ca.pem"));
    let without = outcome(&lab, &proxy.url(), |o| o.cafile = ca.clone()).await;
    assert!(
        matches!(without, Err(AuthError::Unavailable { .. })),
        "{without:?}"
    );
    outcome(&lab, &proxy.url(), |o| {
        o.cafile = ca.clone();
        o.certfile = Some(clients.file("cert.pem"));
        o.keyfile = Some(clients.file("key.pem"));
    })
    .await
    .unwrap();
    // One file with both, as some operators have it.
    let both = [clients.file("cert.pem"), clients.file("key.pem")]
        .map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(clients.file("both.pem"), both.concat()).unwrap();
    outcome(&lab, &proxy.url(), |o| {
        o.cafile = ca;
        o.certfile = Some(clients.file("both.pem"));
    })
    .await
    .unwrap();
}

/// As in a container without the package of certificates: the same test again, in a process that finds none.
#[test]
#[ignore = "needs Keystone: ./test starts it"]
fn plain_http_needs_no_authorities() {
    Lab::find();
    let test = "keystone::tokens::a_good_token_tells_who_calls";
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored"])
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn unusable_files_are_named() {
    let authority = Authority::new();
    std::fs::write(authority.file("empty.pem"), "no certificate").unwrap();
    let error = |change: &dyn Fn(&mut KeystoneAuthtoken)| {
        let mut config = config("https://127.0.0.1:1/v3");
        change(&mut config.keystone_authtoken);
        Keystone::new(&config, Clock::System)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let file = |name: &str| Some::<PathBuf>(Path::new(&authority.file(name)).to_owned());
    let missing = error(&|o| o.cafile = file("none.pem"));
    assert!(
        missing.contains("cafile") && missing.contains("none.pem"),
        "{missing}"
    );
    let empty = error(&|o| o.cafile = file("empty.pem"));
    assert!(
        empty.contains("cafile") && empty.contains("empty.pem"),
        "{empty}"
    );
    let no_key = error(&|o| o.certfile = file("ca.pem"));
    assert!(no_key.contains("certfile"), "{no_key}");
}
