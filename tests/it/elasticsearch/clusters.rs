//! The same from real servers, which hold the documents of the dumps. `FREEZER_TEST_ELASTICSEARCH` has their URLs:
//! `es1=http://…,es2=…,es7=…,os2=…`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{Imported, KINDS, PROJECT, USER, dump, run};
use crate::support::{Database, Engine, Service, needed};

/// The dumps that a server can hold as they are: those with types, or those without.
pub(super) fn dumps_of(server: &str) -> &'static [&'static str] {
    match server {
        "es1" => &["es1-2.0.0"],
        "es2" => &["es2-3.0.0", "es2-mixed"],
        _ => &["os2-19.0.0", "os2-field", "os2-bare"],
    }
}

/// Gives each index a name of its own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A server with the documents of a dump in an index of its own.
pub(super) struct Filled {
    http: Client,
    url: String,
    pub(super) index: String,
}

impl Filled {
    pub(super) async fn new(server: &str, url: &str, name: &str) -> Filled {
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let filled = Filled {
            http: Client::new(),
            url: url.to_owned(),
            index: format!("freezer-{name}-{}-{number}", std::process::id()),
        };
        // Nothing is indexed: only what is stored counts here.
        let mappings = match server {
            "es1" | "es2" => json!({"_default_": {"dynamic": false}}),
            _ => json!({"dynamic": false}),
        };
        let settings = json!({"mappings": mappings, "settings": {"number_of_shards": 3, "number_of_replicas": 0}});
        filled.send(Method::PUT, "", settings.to_string()).await;
        let mut lines = String::new();
        for line in fs::read_to_string(dump(name)).unwrap().lines() {
            let hit: Value = serde_json::from_str(line).unwrap();
            let mut head = json!({"_id": hit["_id"]});
            if let ("es1" | "es2", Some(doc_type)) = (server, hit.get("_type")) {
                head["_type"] = doc_type.clone();
            }
            lines += &format!("{}\n{}\n", json!({"index": head}), hit["_source"]);
        }
        let answer = filled
            .send(Method::POST, "/_bulk?refresh=true", lines)
            .await;
        assert_eq!(answer["errors"], false, "{answer}");
        filled
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Value {
        let url = format!("{}/{}{path}", self.url, self.index);
        let request = self
            .http
            .request(method, &url)
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{url}: {}",
            response.text().await.unwrap()
        );
        response.json().await.unwrap()
    }

    fn import(&self, database: &Database, more: &[&str]) -> Imported {
        let mut source = vec!["--url", &self.url, "--index", &self.index];
        source.extend(more);
        run(database, &source)
    }
}

pub(super) fn servers() -> BTreeMap<String, String> {
    let all = needed("FREEZER_TEST_ELASTICSEARCH");
    let pairs = all.split(',').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, url)| (name.to_owned(), url.to_owned()))
        .collect()
}

#[tokio::test]
#[ignore = "needs Elasticsearch: ./test starts it"]
async fn a_cluster_gives_what_its_dump_gives() {
    let rule = format!("{USER}={PROJECT}");
    for (server, url) in servers() {
        for name in dumps_of(&server) {
            let filled = Filled::new(&server, &url, name).await;
            let database = Database::create(Engine::Sqlite).await;
            let service = Service::start(&database).await;
            // A node that is down comes first.
            let down = ["--url", "http://127.0.0.1:1", "--project", &rule];
            let by_url = run(
                &database,
                &[
                    &down[..2],
                    &["--url", &url, "--index", &filled.index],
                    &down[2..],
                ]
                .concat(),
            )
            .succeeds();
            let by_file = super::import(&database, &dump(name), &["--project", &rule]).succeeds();
            for kind in KINDS {
                let ([read, ..], [again, written, ..]) =
                    (by_url.counts(kind), by_file.counts(kind));
                assert_eq!(
                    (read, written),
                    (again, 0),
                    "{server} {name}: {}{}",
                    by_url.text,
                    by_file.text
                );
            }
            let verified = filled.import(&database, &["--project", &rule, "--verify"]);
            super::verify::is_clean(&verified, &format!("{server} {name}"));
            super::shows_all(&service, name).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs Elasticsearch: ./test starts it"]
async fn a_cluster_that_cannot_give_all_is_refused() {
    for (server, url) in servers() {
        let name = dumps_of(&server)[0];
        let filled = Filled::new(&server, &url, name).await;
        let database = Database::create(Engine::Sqlite).await;
        let _service = Service::start(&database).await;
        let refused = run(&database, &["--url", &url, "--index", "nowhere"]);
        assert!(
            !refused.success && refused.text.contains("--index names the indices"),
            "{server}: {}",
            refused.text
        );
        filled.send(Method::POST, "/_close", String::new()).await;
        let refused = filled.import(&database, &["--default-project", PROJECT]);
        assert!(
            !refused.success && refused.text.contains("the cluster at http://127.0.0.1"),
            "{server}: {}",
            refused.text
        );
        let secret = run(&database, &["--url", "http://u:hunter2@127.0.0.1:1"]);
        assert!(
            !secret.success && !secret.text.contains("hunter2"),
            "{}",
            secret.text
        );
    }
}
