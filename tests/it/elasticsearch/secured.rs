//! Clusters behind TLS, which ask who reads: real servers behind a proxy that ends TLS and checks credentials as theirs do.

use std::fs;
use std::path::PathBuf;

use super::clusters::{Filled, dumps_of, servers};
use super::{Imported, KINDS, PROJECT, run_with};
use crate::keystone::proxy::{Proxy, answer};
use crate::keystone::tls::server as tls;
use crate::support::authority::Authority;
use crate::support::{Database, Engine, Service};

/// A cluster whose proxy wants this `Authorization`, if any, and certificates of an authority, if any.
struct Secured {
    filled: Filled,
    proxy: Proxy,
    authority: Authority,
    database: Database,
    _service: Service,
}

impl Secured {
    async fn new(wanted: Option<&'static str>, clients: Option<&Authority>) -> Secured {
        let (server, url) = servers().into_iter().next().unwrap();
        let database = Database::create(Engine::Sqlite).await;
        let authority = Authority::new();
        let proxy = Proxy::start_with(&url, Some(tls(&authority, clients))).await;
        if let Some(wanted) = wanted {
            proxy.interfere(move |request| {
                let given = request.headers().get("authorization");
                let is_right = given.is_some_and(|given| given == wanted);
                let body = r#"{"error": {"root_cause": [{"reason": "unable to authenticate"}]}, "status": 401}"#;
                (!is_right).then(|| answer(401, &[("content-type", "application/json")], body))
            });
        }
        Secured {
            filled: Filled::new(&server, &url, dumps_of(&server)[0]).await,
            proxy,
            authority,
            _service: Service::start(&database).await,
            database,
        }
    }

    fn import(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Imported {
        let url = self.proxy.root();
        assert!(url.starts_with("https://"));
        let source = [
            "--url",
            &url,
            "--index",
            &self.filled.index,
            "--default-project",
            PROJECT,
        ];
        let imported = run_with(
            &self.database.configuration(),
            &[&source, arguments].concat(),
            variables,
        );
        for secret in ["hunter2", "a2V5"] {
            assert!(!imported.text.contains(secret), "{}", imported.text);
        }
        imported
    }

    fn ca(&self) -> String {
        self.authority.file("ca.pem").display().to_string()
    }
}

/// Something was read, and all of it is in the tables.
#[track_caller]
fn is_read(imported: Imported) {
    let imported = imported.succeeds();
    let read: u64 = KINDS.map(|kind| imported.counts(kind)[0]).iter().sum();
    assert!(read > 10, "{}", imported.text);
}

#[track_caller]
fn is_refused(imported: &Imported, words: &str) {
    assert!(!imported.success, "{}", imported.text);
    imported.says(words);
}

fn secret(folder: &tempfile::TempDir, text: &str) -> String {
    let path: PathBuf = folder.path().join("secret");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Elasticsearch: ./test starts it"]
async fn a_password_is_from_a_file_or_the_environment() {
    // freezer:hunter2
    let secured = Secured::new(Some("Basic ZnJlZXplcjpodW50ZXIy"), None).await;
    let (ca, folder) = (secured.ca(), tempfile::tempdir().unwrap());
    let password = secret(&folder, "hunter2\n");
    let user = ["--ca-file", &ca, "--user", "freezer"];
    is_read(secured.import(&[&user[..], &["--password-file", &password]].concat(), &[]));
    let again = secured.import(&user, &[("FREEZER_ELASTICSEARCH_PASSWORD", "hunter2")]);
    is_read(again);
    let hint =
        "401 Unauthorized: check the user and the password, or the API key: unable to authenticate";
    is_refused(
        &secured.import(&user, &[("FREEZER_ELASTICSEARCH_PASSWORD", "hunter3")]),
        hint,
    );
    is_refused(&secured.import(&user[..2], &[]), hint);
    is_refused(
        &secured.import(&user, &[]),
        "--user needs --password-file or FREEZER_ELASTICSEARCH_PASSWORD",
    );
    // The proxy's certificate is nobody's whom the system trusts.
    is_refused(
        &secured.import(&[], &[]),
        "the cluster at https://127.0.0.1",
    );
    let stranger = Authority::new();
    let other = stranger.file("ca.pem").display().to_string();
    is_refused(&secured.import(&["--ca-file", &other], &[]), "certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Elasticsearch: ./test starts it"]
async fn an_api_key_is_from_a_file_or_the_environment() {
    let secured = Secured::new(Some("ApiKey aWQ6a2V5"), None).await;
    let (ca, folder) = (secured.ca(), tempfile::tempdir().unwrap());
    let key = secret(&folder, "aWQ6a2V5\n");
    is_read(secured.import(&["--ca-file", &ca, "--api-key-file", &key], &[]));
    is_read(secured.import(
        &["--ca-file", &ca],
        &[("FREEZER_ELASTICSEARCH_API_KEY", "aWQ6a2V5")],
    ));
    is_refused(
        &secured.import(
            &["--ca-file", &ca],
            &[("FREEZER_ELASTICSEARCH_API_KEY", "b3RoZXI=")],
        ),
        "401 Unauthorized",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Elasticsearch: ./test starts it"]
async fn a_client_certificate_is_shown() {
    let clients = Authority::new();
    clients.renew("freezer");
    let secured = Secured::new(None, Some(&clients)).await;
    let (ca, folder) = (secured.ca(), tempfile::tempdir().unwrap());
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| clients.file(name));
    let [cert_file, key_file] = [&certificate, &key].map(|path| path.display().to_string());
    is_read(secured.import(
        &[
            "--ca-file",
            &ca,
            "--cert-file",
            &cert_file,
            "--key-file",
            &key_file,
        ],
        &[],
    ));
    // Both in one file.
    let both = fs::read_to_string(&certificate).unwrap() + &fs::read_to_string(&key).unwrap();
    let both = secret(&folder, &both);
    is_read(secured.import(&["--ca-file", &ca, "--cert-file", &both], &[]));
    is_refused(
        &secured.import(&["--ca-file", &ca], &[]),
        "the cluster at https://127.0.0.1",
    );
    is_refused(
        &secured.import(&["--ca-file", &ca, "--cert-file", &cert_file], &[]),
        "cannot be used",
    );
}
