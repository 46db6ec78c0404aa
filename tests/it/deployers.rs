//! The configurations that deployers write (`tests/fixtures/deployers/`): each starts the service, and docs/deployment.md
//! says which options it loses.

mod helm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use freezer_api::config::{Config, Sources};
use tempfile::TempDir;

use crate::server::{Connection, ask};
use crate::support::keystone::{Token, tokens};
use crate::support::process::Server;
use crate::support::{Database, Engine, keystone_url, needed};

/// Who writes which file, and how it makes the tables.
const DEPLOYERS: [(&str, &str, &str); 5] = [
    ("openstack-helm", "freezer.conf", "sync"),
    ("openstack-ansible", "freezer-api.conf", "sync"),
    ("kolla", "freezer.conf", "update"),
    ("devstack", "freezer-api.conf", "sync"),
    ("debian", "freezer-api.conf", "sync"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a deployer as they come to a machine, by their names.
fn files(deployer: &str) -> Vec<(String, String)> {
    let folder = root().join("tests/fixtures/deployers").join(deployer);
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    if deployer == "openstack-helm" {
        let ours = root().join("deploy/openstack-helm/values.yaml");
        return helm::render(&read(&folder.join("values.yaml")), &read(&ours));
    }
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, read(&path))
        })
        .collect()
}

/// A folder in the place of `/etc/freezer`, with the addresses of this machine's servers.
struct Etc(TempDir);

impl Etc {
    fn of(deployer: &str, places: &[(&str, String)]) -> Etc {
        let etc = Etc(tempfile::tempdir().unwrap());
        let folder = etc.0.path().display().to_string();
        for (name, mut text) in files(deployer) {
            for (there, here) in places {
                text = text.replace(there, here);
            }
            for there in ["/etc/freezer", "/var/log/kolla/freezer"] {
                text = text.replace(there, &folder);
            }
            fs::write(etc.file(&name), text).unwrap();
        }
        etc
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What reading the configuration tells: an option that is lost, each.
    fn lost(&self, name: &str) -> Vec<String> {
        let sources = Sources {
            config_files: vec![self.file(name)],
            ..Sources::default()
        };
        let (_, warnings) = Config::load(&sources).unwrap();
        warnings
            .into_iter()
            .map(|warning| warning.message)
            .collect()
    }
}

#[tokio::test]
#[ignore = "needs MariaDB, memcached and Keystone: ./test starts them"]
async fn their_configurations_start_the_service() {
    let token = &tokens().await.member;
    let mut databases = Vec::new();
    for _ in DEPLOYERS {
        // Devstack still makes its database so.
        let server = needed("FREEZER_TEST_MYSQL_URL");
        databases.push(Database::create_with(Engine::MySql, server, "CHARACTER SET utf8").await);
    }
    thread::scope(|scope| {
        for (deployer, database) in DEPLOYERS.into_iter().zip(&databases) {
            scope.spawn(move || start_and_ask(deployer, database.url(), token));
        }
    });
}

/// Makes the tables and serves, with the files of one deployer.
fn start_and_ask((deployer, file, make_tables): (&str, &str, &str), url: String, token: &Token) {
    let places = [
        ("mysql+pymysql://192.0.2.10:3306/freezer", url),
        ("http://192.0.2.20:5000/v3", keystone_url()),
        ("http://192.0.2.20:5000", keystone_url()),
        ("192.0.2.30:11211", needed("FREEZER_TEST_MEMCACHED")),
    ];
    let etc = Etc::of(deployer, &places);
    let with_file = |program| {
        let mut command = Command::new(program);
        command.arg("--config-file").arg(etc.file(file));
        command.stdin(Stdio::null());
        command
    };
    let tables = with_file(env!("CARGO_BIN_EXE_freezer-manage"))
        .args(["db", make_tables])
        .output()
        .unwrap();
    assert!(tables.status.success(), "{deployer}: {tables:?}");

    let more = "[DEFAULT]\nuse_stderr = true\n[api]\ndrain_time = 0\n";
    let server = Server::start_by(with_file(env!("CARGO_BIN_EXE_freezer-api")), more, &[]);
    let server = server.unwrap_or_else(|ended| panic!("{deployer}: {}", ended.output));
    assert_eq!(ask(&server, "GET", "/healthcheck", "").status, 200);
    let jobs = format!("/v2/{}/jobs", token.project);
    assert_eq!(ask(&server, "GET", &jobs, "").status, 401);
    let mut connection = Connection::open(&server);
    let id = &token.id;
    connection.send(format!(
        "GET {jobs} HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {id}\r\n\r\n"
    ));
    let answer = connection.answer().unwrap();
    assert_eq!(answer.status, 200, "{deployer}: {answer:?}");
    fs::write(etc.file("healthcheck_disable"), "").unwrap();
    assert_eq!(ask(&server, "GET", "/healthcheck", "").status, 503);
    complains_of_nothing_else(&server.stop().output, &etc.lost(file), deployer);
}

/// The log has no errors, and no warnings but of what is lost.
fn complains_of_nothing_else(log: &str, lost: &[String], deployer: &str) {
    assert!(log.contains("INFO"), "{deployer}: {log}");
    assert!(!log.contains(" ERROR "), "{deployer}: {log}");
    let warnings = log.lines().filter(|line| line.contains(" WARNING "));
    for line in warnings {
        let expected = lost.iter().any(|message| line.contains(message.as_str()))
            // A container may have no journal.
            || line.contains("/run/systemd/journal")
            // The deployer's choice, which the documentation of Keystone's middleware warns of too.
            || line.contains("memcache_secret_key");
        assert!(expected, "{deployer}: {line}");
    }
}

/// One row a deployer, which names each option that it loses and no other.
#[test]
fn the_documentation_names_what_each_loses() {
    let page = fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    for (deployer, file, _) in DEPLOYERS {
        let etc = Etc::of(deployer, &[]);
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {deployer} |")));
        let row = row.unwrap_or_else(|| panic!("no row for {deployer}"));
        let cell = row.split('|').nth(2).unwrap();
        let mut named: Vec<&str> = cell
            .split('`')
            .filter(|part| part.starts_with('['))
            .collect();
        let lost = etc.lost(file);
        let mut expected: Vec<String> = lost
            .iter()
            .map(|message| {
                message
                    .split_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .map(|option| option.trim_end_matches(':').to_owned())
            .collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{deployer}: {lost:#?}");
    }
}
