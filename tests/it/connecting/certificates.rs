//! Certificates of databases that are nobody's but their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

use super::{failure, succeeds};
use crate::support::mariadb::MariaDb;
use crate::support::process::manage;

/// Writes `cert.pem` and `key.pem`, signed by the certificate's own key.
fn sign_by_itself(folder: &TempDir, is_ca: IsCa) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn a_servers_own_certificate() {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    sign_by_itself(&folder, IsCa::Ca(BasicConstraints::Unconstrained));
    let options = [
        format!("--ssl-cert={}", file("cert.pem")),
        format!("--ssl-key={}", file("key.pem")),
    ];
    let server = MariaDb::start(&options.each_ref().map(String::as_str)).await;
    let sync = ["db", "sync"];
    let trusting = |name: &str| {
        let database = format!("freezer?ssl_ca={}", file(name));
        server.configuration("root", &database)
    };
    // OpenSSL takes it, since it is the trusted one itself; our TLS does not take an authority's.
    let text = failure(&trusting("cert.pem"), &sync);
    assert!(
        text.contains("a certificate of an authority (CA:TRUE)"),
        "{text}"
    );
    assert!(
        text.contains("basicConstraints=critical,CA:FALSE"),
        "{text}"
    );
    // As that text advises.
    sign_by_itself(&folder, IsCa::ExplicitNoCa);
    server.run("FLUSH SSL").await;
    succeeds(&manage(&trusting("cert.pem"), &sync));
    // Another one of the same name.
    fs::copy(file("cert.pem"), file("old.pem")).unwrap();
    sign_by_itself(&folder, IsCa::ExplicitNoCa);
    server.run("FLUSH SSL").await;
    let text = failure(&trusting("old.pem"), &sync);
    assert!(text.contains("invalid peer certificate"), "{text}");
    // A file of no authorities is not one of the system's.
    let text = failure(&trusting("key.pem"), &sync);
    assert!(
        text.contains("key.pem, which the URL names, holds no PEM certificate"),
        "{text}"
    );
}
