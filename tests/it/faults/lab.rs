//! A database server and two servers of ours, all of which can be broken.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::data::upgrade_check;
use crate::support::Engine;
use crate::support::disk::Disk;
use crate::support::galera::{start_cluster, start_divided_cluster};
use crate::support::locks::Holder;
use crate::support::mariadb::MariaDb;
use crate::support::network::Network;
use crate::support::postgres::Postgres;
use crate::support::process::Server;

/// Longer than any request may take; what hangs is to fail.
const PATIENCE: Duration = Duration::from_secs(60);
/// For how long something is broken.
const BROKEN: Duration = Duration::from_secs(4);

/// For how long a node of a cluster is: its others wait five seconds for it before they go on without it.
const NODE_BROKEN: Duration = Duration::from_secs(8);

/// Limits that are short, so that scenarios are, and few connections, so that requests have to wait for one.
const CONFIGURATION: &str = "max_pool_size = 4
max_overflow = 0
pool_timeout = 2
[api]
max_limit = 1000000
request_timeout = 10
";

/// A database server of the test's own.
pub(super) enum DatabaseServer {
    MariaDb(MariaDb),
    Postgres(Postgres),
    /// The nodes of a cluster. The last one is broken.
    Galera(Vec<MariaDb>),
    /// A file in this folder.
    Sqlite(TempDir),
}

/// Makes an account that is no administrator, for whom `read_only` would not count.
async fn create_account(server: &MariaDb) {
    server.run("CREATE USER api@'%' IDENTIFIED BY 'api'").await;
    server.run("GRANT ALL ON freezer.* TO api@'%'").await;
}

impl DatabaseServer {
    pub(super) async fn mariadb(options: &[&str]) -> DatabaseServer {
        DatabaseServer::of_mariadb(MariaDb::start(options).await).await
    }

    async fn of_mariadb(server: MariaDb) -> DatabaseServer {
        create_account(&server).await;
        DatabaseServer::MariaDb(server)
    }

    /// A server, or a file, with all that it has on this disk.
    pub(super) async fn on_disk(engine: Engine, disk: &Disk) -> DatabaseServer {
        let folder = tempfile::tempdir_in(disk.path()).unwrap();
        match engine {
            Engine::MySql => {
                let options = [
                    "--innodb-flush-log-at-trx-commit=1",
                    "--innodb-log-file-size=8M",
                ];
                DatabaseServer::of_mariadb(MariaDb::start_in(folder, None, &options, &[]).await)
                    .await
            }
            Engine::Postgres => {
                let settings = ["max_wal_size=48MB", "min_wal_size=32MB"];
                DatabaseServer::Postgres(Postgres::start_in(folder, &settings).await)
            }
            Engine::Sqlite => DatabaseServer::Sqlite(folder),
        }
    }

    pub(super) async fn postgres(settings: &[&str]) -> DatabaseServer {
        DatabaseServer::Postgres(Postgres::start(settings).await)
    }

    pub(super) async fn galera() -> DatabaseServer {
        DatabaseServer::of_nodes(start_cluster().await).await
    }

    /// A cluster whose last node is in this network.
    pub(super) async fn divided_galera(network: &Arc<Network>) -> DatabaseServer {
        DatabaseServer::of_nodes(start_divided_cluster(network).await).await
    }

    async fn of_nodes(nodes: Vec<MariaDb>) -> DatabaseServer {
        create_account(&nodes[0]).await;
        DatabaseServer::Galera(nodes)
    }

    /// Where clients of a single server reach it.
    pub(super) fn address(&self) -> SocketAddr {
        let port = match self {
            DatabaseServer::MariaDb(server) => server.port(),
            DatabaseServer::Postgres(server) => server.port(),
            DatabaseServer::Galera(_) | DatabaseServer::Sqlite(_) => {
                panic!("it has not one address")
            }
        };
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// The configuration of the server of ours with this number.
    fn configuration(&self, number: usize) -> String {
        let limits = "freezer?read_timeout=3&connect_timeout=2";
        match self {
            DatabaseServer::MariaDb(server) => {
                server.configuration("api:api", limits) + CONFIGURATION
            }
            DatabaseServer::Postgres(server) => {
                let url = server.url("freezer");
                format!("[database]\nconnection = {url}?connect_timeout=2\n{CONFIGURATION}")
            }
            DatabaseServer::Galera(nodes) => {
                let node = nodes[number].configuration("api:api", limits);
                format!("{node}mysql_wsrep_sync_wait = 1\n{CONFIGURATION}")
            }
            DatabaseServer::Sqlite(folder) => {
                let file = folder.path().join("freezer.sqlite");
                format!(
                    "[database]\nconnection = sqlite:///{}?timeout=3\n{CONFIGURATION}",
                    file.display()
                )
            }
        }
    }

    pub(super) async fn kill_and_restart(&mut self) {
        match self {
            DatabaseServer::MariaDb(server) => {
                server.kill();
                server.restart().await;
            }
            DatabaseServer::Postgres(server) => {
                server.kill();
                server.restart().await;
            }
            DatabaseServer::Galera(nodes) => {
                let node = nodes.last_mut().unwrap();
                node.kill();
                tokio::time::sleep(NODE_BROKEN).await;
                node.restart().await;
            }
            DatabaseServer::Sqlite(_) => panic!("SQLite has no server"),
        }
    }

    /// Fills its disk for a while. A server that ends then is started again once there is room, as systemd does it.
    pub(super) async fn be_full_for_a_while(&mut self, disk: &Disk) {
        disk.fill();
        tokio::time::sleep(BROKEN).await;
        disk.free();
        match self {
            DatabaseServer::MariaDb(server) => {
                if server.has_ended() {
                    server.restart().await;
                }
            }
            DatabaseServer::Postgres(server) => {
                if server.has_ended() {
                    server.restart().await;
                }
            }
            DatabaseServer::Galera(_) | DatabaseServer::Sqlite(_) => {}
        }
    }

    /// Stops each node of a cluster and starts it again, one after the other.
    pub(super) async fn restart_each_node(&mut self) {
        let DatabaseServer::Galera(nodes) = self else {
            panic!("only a cluster goes on without a node");
        };
        for node in nodes {
            block_in_place(|| node.stop());
            node.restart().await;
        }
    }

    pub(super) async fn freeze_for_a_while(&self) {
        let signal = |signal| match self {
            DatabaseServer::MariaDb(server) => server.signal(signal),
            DatabaseServer::Postgres(server) => server.signal(signal),
            DatabaseServer::Galera(nodes) => nodes.last().unwrap().signal(signal),
            DatabaseServer::Sqlite(_) => panic!("SQLite has no server"),
        };
        let is_node = matches!(self, DatabaseServer::Galera(_));
        signal(Signal::STOP);
        tokio::time::sleep(if is_node { NODE_BROKEN } else { BROKEN }).await;
        signal(Signal::CONT);
    }

    pub(super) async fn run(&self, statement: &str) {
        match self {
            DatabaseServer::MariaDb(server) => {
                server.run(&format!("USE freezer; {statement}")).await
            }
            DatabaseServer::Postgres(server) => server.run(statement).await,
            DatabaseServer::Galera(nodes) => {
                nodes[0].run(&format!("USE freezer; {statement}")).await
            }
            DatabaseServer::Sqlite(folder) => {
                let file = folder.path().join("freezer.sqlite");
                let mut file = SqliteConnection::connect(&format!("sqlite://{}", file.display()))
                    .await
                    .unwrap();
                file.execute(AssertSqlSafe(statement.to_owned()))
                    .await
                    .unwrap();
            }
        }
    }

    /// Ends all connections of the service again and again.
    pub(super) async fn kill_connections_for_a_while(&self) {
        let start = Instant::now();
        while start.elapsed() < BROKEN {
            match self {
                DatabaseServer::MariaDb(server) => server.run("KILL USER api").await,
                DatabaseServer::Galera(nodes) => {
                    for node in nodes {
                        node.run("KILL USER api").await;
                    }
                }
                DatabaseServer::Postgres(server) => {
                    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'freezer-api'";
                    server.run(kill).await;
                }
                DatabaseServer::Sqlite(_) => panic!("SQLite has no server"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn be_read_only_for_a_while(&self) {
        self.be_read_only(true).await;
        tokio::time::sleep(BROKEN).await;
        self.be_read_only(false).await;
    }

    async fn be_read_only(&self, read_only: bool) {
        match self {
            DatabaseServer::MariaDb(server) => {
                server
                    .run(&format!("SET GLOBAL read_only = {read_only}"))
                    .await;
            }
            DatabaseServer::Galera(nodes) => {
                let last = nodes.last().unwrap();
                last.run(&format!("SET GLOBAL read_only = {read_only}"))
                    .await;
            }
            DatabaseServer::Postgres(server) => {
                let set = format!("ALTER SYSTEM SET default_transaction_read_only = {read_only}");
                server.run(&set).await;
                server.run("SELECT pg_reload_conf()").await;
            }
            DatabaseServer::Sqlite(_) => panic!("SQLite has no server"),
        }
    }

    /// Keeps all statements on sessions waiting, until each connection does.
    pub(super) async fn hold_all_connections_for_a_while(&self) {
        let holder = match self {
            DatabaseServer::Galera(_) | DatabaseServer::Sqlite(_) => panic!("it locks no tables"),
            DatabaseServer::MariaDb(server) => {
                let url = format!("{}freezer", server.root());
                let mut connection = MySqlConnection::connect(&url).await.unwrap();
                connection
                    .execute("LOCK TABLES sessions WRITE")
                    .await
                    .unwrap();
                Holder::MySql(connection)
            }
            DatabaseServer::Postgres(server) => {
                let mut connection = PgConnection::connect(&server.url("freezer")).await.unwrap();
                let lock = AssertSqlSafe("BEGIN; LOCK TABLE sessions".to_owned());
                connection.execute(lock).await.unwrap();
                Holder::Postgres(connection)
            }
        };
        tokio::time::sleep(BROKEN).await;
        holder.release().await;
    }
}

/// A server of ours, which may be another process each time.
pub(super) struct Api {
    configuration: String,
    http: Client,
    server: Mutex<Server>,
    /// Where it listens, with the project.
    url: Mutex<String>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Reply {
    /// `None` where there was no answer.
    pub(super) status: Option<u16>,
    pub(super) document: Value,
    pub(super) took: Duration,
}

impl Reply {
    /// The document of an answer with this status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, Some(status), "{}", self.document);
        self.document
    }
}

fn process(configuration: &str) -> Server {
    Server::start(configuration, &["--dev"]).unwrap_or_else(|ended| panic!("{}", ended.output))
}

fn url(server: &Server) -> String {
    format!("{}/v2/p/", server.url())
}

impl Api {
    /// The server with this number; on a cluster it uses the node of that number.
    pub(super) fn start(database: &DatabaseServer, number: usize) -> Api {
        Api::start_with(database.configuration(number))
    }

    /// A server that reaches its database by this address.
    pub(super) fn start_by(address: SocketAddr, database: &DatabaseServer) -> Api {
        let there = database.address().to_string();
        Api::start_with(
            database
                .configuration(0)
                .replace(&there, &address.to_string()),
        )
    }

    fn start_with(configuration: String) -> Api {
        // Somebody else may have chosen it.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let server = process(&configuration);
        Api {
            http: Client::builder().timeout(PATIENCE).build().unwrap(),
            url: Mutex::new(url(&server)),
            server: Mutex::new(server),
            configuration,
        }
    }

    /// What the upgrade check says of its database.
    pub(super) fn upgrade_check(&self) -> String {
        let output = block_in_place(|| upgrade_check(&self.configuration));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills the process, and starts another.
    pub(super) fn kill_and_restart(&self) {
        self.server.lock().unwrap().signal(Signal::KILL);
        drop(self.replace());
    }

    /// Starts another process, for further requests; the one that it takes the place of.
    pub(super) fn replace(&self) -> Server {
        let new = process(&self.configuration);
        *self.url.lock().unwrap() = url(&new);
        std::mem::replace(&mut *self.server.lock().unwrap(), new)
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let url = format!("{}{path}", self.url.lock().unwrap());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let start = Instant::now();
        let answer = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        let (status, text) = answer
            .await
            .map_or((None, String::new()), |(status, text)| (Some(status), text));
        Reply {
            status,
            document: serde_json::from_str(&text).unwrap_or_default(),
            took: start.elapsed(),
        }
    }

    /// Makes a document before anything is broken. As any client, it comes again after a 503: on a cluster others write the
    /// same rows at the same time.
    pub(super) async fn make(&self, path: &str, body: &Value) -> Value {
        let start = Instant::now();
        loop {
            let reply = self.send("POST", path, body).await;
            if reply.status != Some(503) || start.elapsed() > PATIENCE {
                return reply.expect(201);
            }
        }
    }

    /// A document that has to be there.
    pub(super) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, &Value::Null).await.expect(200)
    }

    /// Waits until a write is acknowledged; how long that took.
    pub(super) async fn recover(&self) -> Duration {
        let start = Instant::now();
        let backup =
            serde_json::json!({"backup_name": "recovered", "container": "c", "hostname": "h"});
        while self.send("POST", "backups", &backup).await.status != Some(201) {
            assert!(start.elapsed() < PATIENCE, "the service does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        start.elapsed()
    }
}
