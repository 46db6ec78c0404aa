//! TLS to Keystone with a private authority.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use freezer_api::clock::Clock;
use freezer_api::config::KeystoneAuthtoken;
use freezer_api::keystone::{AuthError, Keystone};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;

use super::lab::{Lab, config, keystone};
use super::proxy::Proxy;
use crate::support::authority::Authority;

/// A server named 127.0.0.1, which asks for certificates of `clients` if there are any.
pub(crate) fn server(authority: &Authority, clients: Option<&Authority>) -> ServerConfig {
    let (certificate, key) = authority.issue("127.0.0.1");
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = match clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(clients) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots()));
            ServerConfig::builder().with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![certificate.der().clone()];
    builder.with_single_cert(chain, key).unwrap()
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
    let proxy = Proxy::start_with(&lab.url, Some(server(&authority, None))).await;
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
    let proxy = Proxy::start_with(&lab.url, Some(server(&authority, Some(&clients)))).await;
    clients.renew("freezer-api");
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
