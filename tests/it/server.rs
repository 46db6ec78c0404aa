//! The server as a process: connections, limits, its end and its start.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::process::{Ended, Server, manage};
use crate::support::{Database, Engine};

/// Longer than anything here takes; what hangs is to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn configuration(database: &Database, more: &str) -> String {
    format!("[database]\nconnection = {}\n{more}\n", database.url())
}

/// A development server on a database, with further options.
pub(crate) fn start(database: &Database, more: &str) -> Server {
    let server = Server::start(&configuration(database, more), &["--dev"]);
    server.unwrap_or_else(|ended| panic!("{}", ended.output))
}

/// Why a server did not start.
pub(crate) fn refusal(configuration: &str, arguments: &[&str]) -> Ended {
    let ended = match Server::start(configuration, arguments) {
        Ok(_) => panic!("it starts with {arguments:?}"),
        Err(ended) => ended,
    };
    assert!(!ended.status.success());
    ended
}

thread_local! {
    /// Where this thread connects from, if the system does not choose it.
    static SOURCE: Cell<Option<IpAddr>> = const { Cell::new(None) };
}

/// Lets this thread connect from an address of its own, as another machine does. Who connects again and again uses up the ports of
/// its address.
pub(crate) fn connect_from(source: impl Into<IpAddr>) {
    SOURCE.set(Some(source.into()));
}

/// A connection to a server from this thread.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let Some(source) = SOURCE.get() else {
        return TcpStream::connect(address).unwrap();
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// A connection on which reading does not take for ever.
pub(crate) struct Connection<S = TcpStream>(pub(crate) S);

/// An answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn open(server: &Server) -> Connection {
        Connection::to(server.address())
    }

    pub(crate) fn to(address: SocketAddr) -> Connection {
        let stream = connect(address);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection(stream)
    }
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).unwrap();
    }

    /// One answer, whose length its header says; `None` when the server closes instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) => {
                    assert!(head.is_empty(), "{}", String::from_utf8_lossy(&head));
                    return None;
                }
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        Some(Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// Waits until the server closes; how long that took.
    pub(crate) fn closed(&mut self) -> Duration {
        let start = Instant::now();
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
        start.elapsed()
    }
}

/// A request with its whole body.
pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One request on a connection of its own.
pub(crate) fn ask(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    let mut connection = Connection::open(server);
    connection.send(request(method, path, body));
    connection.answer().unwrap()
}

pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

on_each_engine! {
    async fn connections_are_kept_and_bodies_come_in_pieces(database: Database) {
        let server = start(&database, "");
        let mut connection = Connection::open(&server);
        for number in 0..3 {
            connection.send(request("POST", "/v2/p/clients", &format!("{{\"client_id\": \"c{number}\"}}")));
            assert_eq!(connection.answer().unwrap().status, 201);
            connection.send(format!("GET /v2/p/clients/c{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            let answer = connection.answer().unwrap();
            assert_eq!((answer.status, &json(&answer)["client"]["client_id"]), (200, &json!(format!("c{number}"))));
        }
        // Two requests at once, and errors between them, do not end it.
        connection.send(request("GET", "/v2/p/nothing", "") + &request("POST", "/v2/p/clients", "{bad"));
        assert_eq!(connection.answer().unwrap().status, 404);
        assert_eq!(connection.answer().unwrap().status, 400);
        // HEAD has the header of GET.
        connection.send("HEAD /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        assert!(head.starts_with("http/1.1 200") && length > 500, "{head}");
        // Chunks (deviation D19).
        let chunks = "Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                      9\r\n{\"client_\r\n10\r\nid\": \"in-pieces\"\r\n1\r\n}\r\n0\r\n\r\n";
        connection.send(format!("POST /v2/p/clients HTTP/1.1\r\n{chunks}"));
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, json(&answer)), (201, json!({"client_id": "in-pieces"})));
        // A client may ask before it sends the body.
        connection.send("POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nContent-Length: 25\r\nExpect: 100-continue\r\n\r\n");
        let mut go_on = [0; 25];
        connection.0.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        connection.send("{\"client_id\": \"expected\"}");
        assert_eq!(connection.answer().unwrap().status, 201);
        connection.send("GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let list = json(&connection.answer().unwrap());
        assert_eq!(list["clients"].as_array().unwrap().len(), 5);
        assert!(connection.answer().is_none());
        // What HTTP/1.0 and odd targets bring.
        for (text, status) in [
            ("GET / HTTP/1.0\r\n\r\n", 300),
            ("GET http://127.0.0.1/v2/p/clients/c1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
            ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            ("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            ("GET /v2/p/clients/%FF HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            ("get /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            ("GET /v2/p/clients HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
            ("nonsense\r\n\r\n", 400),
            ("POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
            ("POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n", 400),
        ] {
            let mut connection = Connection::open(&server);
            connection.send(text);
            assert_eq!(connection.answer().unwrap_or_else(|| panic!("{text}")).status, status, "{text}");
        }
        assert_eq!(server.stop().status.code(), Some(0));
    }

    async fn http2_is_spoken_at_once(database: Database) {
        let server = start(&database, "");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let url = format!("{}/v2/p/clients", server.url());
        let register = async |number: usize| {
            let body = json!({"client_id": format!("c{number}")}).to_string();
            let response = client.post(&url).body(body).send().await.unwrap();
            (response.status().as_u16(), response.version())
        };
        let answers = futures_util::future::join_all((0..20).map(register)).await;
        assert!(answers.iter().all(|answer| *answer == (201, reqwest::Version::HTTP_2)), "{answers:?}");
        let list: Value = client.get(format!("{url}?limit=100")).send().await.unwrap().json().await.unwrap();
        assert_eq!(list["clients"].as_array().unwrap().len(), 20);
        // A list is searched by the body of its request.
        let search = json!({"match": [{"client_id": "c7"}]}).to_string();
        let found: Value = client.get(&url).body(search).send().await.unwrap().json().await.unwrap();
        assert_eq!(found["clients"].as_array().unwrap().len(), 1);
        let versions = client.get(server.url()).send().await.unwrap();
        assert_eq!(versions.status(), 300);
        let href = versions.json::<Value>().await.unwrap()["versions"][0]["links"][0]["href"].clone();
        assert_eq!(href, json!(format!("{}/v2/", server.url())));
        assert_eq!(server.stop().status.code(), Some(0));
    }

    async fn data_stays_over_a_restart(database: Database) {
        let server = start(&database, "");
        assert_eq!(ask(&server, "POST", "/v2/p/clients", r#"{"client_id": "c"}"#).status, 201);
        let job = json(&ask(&server, "POST", "/v2/p/jobs", r#"{"client_id": "c", "job_actions": []}"#));
        let path = format!("/v2/p/jobs/{}", job["job_id"].as_str().unwrap());
        let before = ask(&server, "GET", &path, "");
        assert_eq!(server.stop().status.code(), Some(0));
        let server = start(&database, "");
        let after = ask(&server, "GET", &path, "");
        assert_eq!((after.status, after.body), (200, before.body));
    }

    async fn requests_in_flight_end(database: Database) {
        let server = start(&database, "");
        let (mut begun, mut idle) = (Connection::open(&server), Connection::open(&server));
        let body = r#"{"client_id": "late"}"#;
        let whole = request("POST", "/v2/p/clients", body);
        let (first, rest) = whole.split_at(whole.len() - 5);
        begun.send(first);
        idle.send(request("GET", "/v2/p/clients", ""));
        assert_eq!(idle.answer().unwrap().status, 200);
        server.terminate();
        // The idle connection is closed, and no other is accepted.
        assert!(idle.closed() < PATIENCE);
        let start_of_end = Instant::now();
        while TcpStream::connect(server.address()).is_ok() {
            assert!(start_of_end.elapsed() < PATIENCE, "connections are still accepted");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        begun.send(rest);
        let answer = begun.answer().unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(begun.closed() < PATIENCE);
        let ended = server.stop();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        let server = self::start(&database, "");
        assert_eq!(ask(&server, "GET", "/v2/p/clients/late", "").status, 200);
    }

    async fn production_needs_its_tables(database: Database) {
        let keystone = "[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:1/v3\nauth_url = http://127.0.0.1:1/v3\n\
                        auth_type = password\nusername = freezer\npassword = freezer\nproject_name = service\n\
                        user_domain_name = Default\nproject_domain_name = Default";
        let configuration = configuration(&database, keystone);
        let ended = refusal(&configuration, &[]);
        assert!(ended.output.contains("freezer-manage db sync"), "{}", ended.output);
        let synced = manage(&configuration, &["db", "sync"]);
        assert!(synced.status.success(), "{synced:?}");
        let server = Server::start(&configuration, &[]).unwrap_or_else(|ended| panic!("{}", ended.output));
        let answer = ask(&server, "GET", "/v2/p/clients", "");
        assert_eq!(answer.status, 401);
        assert!(answer.head.contains("www-authenticate: keystone uri=\"http://127.0.0.1:1/v3\""), "{}", answer.head);
        assert_eq!(ask(&server, "GET", "/", "").status, 300);
        // Keystone does not answer: 503, and when to come back.
        let mut connection = Connection::open(&server);
        connection.send("GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: t\r\n\r\n");
        let answer = connection.answer().unwrap();
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        // Two tokens are none, whichever a proxy in front looked at (D34).
        for tokens in [
            "X-Auth-Token: t\r\nX-Auth-Token: t",
            "X-Auth-Token: t\r\nX-Storage-Token: u\r\nX-Storage-Token: u",
            "X-Auth-Token: t\r\nX-Service-Token: s\r\nX-Service-Token: other",
        ] {
            let mut connection = Connection::open(&server);
            connection.send(format!("GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n{tokens}\r\n\r\n"));
            assert_eq!(connection.answer().unwrap().status, 401, "{tokens}");
        }
        let ended = server.stop();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        assert!(!ended.output.contains("password = freezer"));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_unread() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(&database, "[oslo_middleware]\nmax_request_body_size = 1000");
    let body = |size: usize| {
        let start = r#"{"backup_name": "b", "container": "c", "hostname": "h", "x": ""#;
        format!("{start}{}\"}}", "x".repeat(size - start.len() - 2))
    };
    assert_eq!(
        ask(&server, "POST", "/v2/p/backups", &body(1000)).status,
        201
    );
    for size in [1001, 100_000, 5_000_000] {
        let mut connection = Connection::open(&server);
        // The server answers while we are still sending, and lets us end.
        connection.send(request("POST", "/v2/p/backups", &body(size)));
        let answer = connection.answer().unwrap();
        assert_eq!(
            (answer.status, &json(&answer)["title"]),
            (413, &json!("Request Entity Too Large"))
        );
        let mut connection = Connection::open(&server);
        connection.send(format!(
            "POST /v2/p/backups HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        ));
        assert_eq!(
            connection.answer().unwrap().status,
            413,
            "refused before a byte of it came"
        );
    }
    let mut connection = Connection::open(&server);
    connection.send(
        "POST /v2/p/backups HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for _ in 0..3 {
        connection.send(format!("1f4\r\n{}\r\n", " ".repeat(500)));
    }
    assert_eq!(connection.answer().unwrap().status, 413);
    assert_eq!(ask(&server, "GET", "/v2/p/backups", "").status, 200);
}

#[tokio::test]
async fn slow_clients_lose_their_place() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(
        &database,
        "[api]\nread_timeout = 1\nidle_timeout = 1\nmax_connections = 3",
    );
    let limits = Duration::from_millis(500)..Duration::from_secs(10);
    // What comes before the server knows what is wanted: nothing, half a header, half of HTTP/2's preface.
    let starts = [
        "",
        "GET /v2/p/cli",
        "GET /v2/p/clients HTTP/1.1\r\nHost: localhost\r\nX: ",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r",
    ];
    for start in starts {
        let mut connection = Connection::open(&server);
        connection.send(start);
        let closed = connection.closed();
        assert!(limits.contains(&closed), "{start:?}: {closed:?}");
    }
    // A connection that stays idle after an answer is closed too.
    let mut connection = Connection::open(&server);
    connection.send(request("GET", "/v2/p/clients", ""));
    assert_eq!(connection.answer().unwrap().status, 200);
    assert!(limits.contains(&connection.closed()));
    // A body that does not come to its end.
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut connection = Connection::open(&server);
        connection.send(format!(
            "POST /v2/p/clients HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
        ));
        let answer = connection.answer().unwrap();
        assert_eq!(
            (answer.status, &json(&answer)["title"]),
            (408, &json!("Request Timeout"))
        );
    }
    // All places taken by silent clients: others are told so, and served when those have lost them.
    let silent: Vec<Connection> = (0..6).map(|_| Connection::open(&server)).collect();
    let full = ask(&server, "GET", "/v2/p/clients", "");
    assert_eq!(full.status, 503, "{full:?}");
    for header in ["retry-after: 5\r\n", "connection: close\r\n"] {
        assert!(full.head.contains(header), "{full:?}");
    }
    assert_eq!(ask(&server, "GET", "/healthcheck", "").status, 200);
    let start = Instant::now();
    while ask(&server, "GET", "/v2/p/clients", "").status != 200 {
        assert!(
            start.elapsed() < PATIENCE,
            "the silent clients keep their places"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(silent);
    std::thread::sleep(Duration::from_millis(300));
    // One who sends bit by bit, in time, is served.
    let mut connection = Connection::open(&server);
    for piece in [
        "GET /v2/p/clie",
        "nts HTTP/1.1\r\n",
        "Host: localhost\r\n\r\n",
    ] {
        connection.send(piece);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(connection.answer().unwrap().status, 200);
    assert_eq!(server.stop().status.code(), Some(0));
}

/// Whether the server closes or resets a connection in time, and how soon.
fn ends(connection: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut bytes = [0; 65536];
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        match connection.read(&mut bytes) {
            Ok(0) => return start.elapsed(),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return start.elapsed();
            }
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Ten backups with nine megabytes in all.
fn fill(database: &Database) {
    let server = start(database, "");
    let large = "x".repeat(900_000);
    let backup = json!({"backup_name": "b", "container": "c", "hostname": "h", "x": large});
    for _ in 0..10 {
        let answer = ask(&server, "POST", "/v2/p/backups", &backup.to_string());
        assert_eq!(answer.status, 201);
    }
    server.stop();
}

#[tokio::test]
async fn connections_on_which_nothing_moves_are_closed() {
    let database = Database::create(Engine::Sqlite).await;
    let server = start(
        &database,
        "[api]\nread_timeout = 1\nidle_timeout = 3\nmax_connections = 2",
    );
    // An idle connection has more time than a header.
    let mut idle = Connection::open(&server);
    idle.send(request("GET", "/v2/p/clients", ""));
    assert_eq!(idle.answer().unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(1700));
    idle.send(request("GET", "/v2/p/clients", ""));
    assert_eq!(idle.answer().unwrap().status, 200);
    drop(idle);
    let backup =
        json!({"backup_name": "b", "container": "c", "hostname": "h", "x": "x".repeat(900_000)});
    for _ in 0..10 {
        assert_eq!(
            ask(&server, "POST", "/v2/p/backups", &backup.to_string()).status,
            201
        );
    }
    // Two that ask for much more than the kernel buffers, over and over, and take none of it.
    let stalled: Vec<Connection> = (0..2)
        .map(|_| {
            let mut connection = Connection::open(&server);
            connection.send(request("GET", "/v2/p/backups", "").repeat(20));
            connection
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    while ask(&server, "GET", "/v2/p/clients", "").status != 200 {
        assert!(begin.elapsed() < PATIENCE, "they keep their places");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(stalled);
    // One of HTTP/2 that answers pings, and asks nothing.
    let mut connection = TcpStream::connect(server.address()).unwrap();
    connection
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        .unwrap();
    let mut pings = connection.try_clone().unwrap();
    std::thread::spawn(move || {
        // Until the server closes.
        while pings
            .write_all(b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678")
            .is_ok()
        {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let closed = ends(&mut connection);
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(10)).contains(&closed),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_its_answer() {
    let database = Database::create(Engine::Sqlite).await;
    fill(&database);
    let server = start(&database, "[api]\nread_timeout = 1\nidle_timeout = 1");
    let mut connection = Connection::open(&server);
    connection.send("GET /v2/p/backups HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    // Nine megabytes in three seconds, with pauses.
    let (mut taken, mut bytes) = (0, vec![0; 1 << 20]);
    loop {
        match connection.0.read(&mut bytes).unwrap() {
            0 => break,
            read => taken += read,
        }
        if taken % (1 << 19) < 1 << 16 {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert!(taken > 9_000_000, "{taken}");
}

#[tokio::test]
async fn the_limit_on_open_files_is_raised() {
    let database = Database::create(Engine::Sqlite).await;
    let configuration = configuration(&database, "");
    let server = Server::start_with_files((64, 400), &configuration, &["--dev"])
        .unwrap_or_else(|ended| panic!("{}", ended.output));
    let mut connections: Vec<Connection> = (0..200).map(|_| Connection::open(&server)).collect();
    for connection in &mut connections {
        connection.send(request("GET", "/v2/p/clients", ""));
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    drop(connections);
    let ended = server.stop();
    assert!(
        ended.output.contains("raise LimitNOFILE") && ended.output.contains("files=400"),
        "{}",
        ended.output
    );
}
