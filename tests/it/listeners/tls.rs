//! TLS to clients.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;

use crate::server::{Answer, Connection, PATIENCE, configuration, refusal, request, start};
use crate::stops::{keep_asking, none_is_lost, stop_under_load, tcp};
use crate::support::authority::Authority;
use crate::support::process::Server;
use crate::support::{Database, Engine};

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// What servers and clients of an authority need.
impl Authority {
    fn options(&self) -> String {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        format!(
            "[ssl]\ncert_file = {}\nkey_file = {}\n",
            cert.display(),
            key.display()
        )
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of(&[&TLS13, &TLS12], &[], None)
    }

    fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
        identity: Option<(rcgen::Certificate, KeyPair)>,
    ) -> Client {
        let builder = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(self.roots());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                let chain = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let names = protocols.iter();
        config.alpn_protocols = names.map(|name| name.as_bytes().to_vec()).collect();
        // Each connection is to show the server's certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Client(Arc::new(config))
    }
}

#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<TlsStream> {
        let session = ClientConnection::new(Arc::clone(&self.0), "localhost".try_into().unwrap());
        Ok(StreamOwned::new(session.unwrap(), tcp(address)?))
    }

    /// One request on a connection of its own, which is returned too.
    fn ask(&self, server: &Server, path: &str) -> io::Result<(Answer, TlsStream)> {
        let mut connection = Connection(self.connect(server.address())?);
        connection
            .0
            .write_all(request("GET", path, "").as_bytes())?;
        // What a server that refuses the client says comes behind the handshake.
        connection.0.conn.complete_io(&mut connection.0.sock)?;
        let answer = connection.answer().ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((answer, connection.0))
    }

    /// The certificate that the server shows.
    fn certificate(&self, server: &Server) -> CertificateDer<'static> {
        let (_, stream) = self.ask(server, "/healthcheck").unwrap();
        let certificates = stream.conn.peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    }
}

#[tokio::test]
async fn tls_carries_both_versions_of_http() {
    let database = Database::create(Engine::Sqlite).await;
    let authority = Authority::new();
    authority.renew("localhost");
    let server = start(&database, &authority.options());
    for version in [&TLS12, &TLS13] {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let client = authority.client_of(&[version], offered, None);
            let mut stream = client.connect(server.address()).unwrap();
            stream.conn.complete_io(&mut stream.sock).unwrap();
            assert_eq!(stream.conn.protocol_version(), Some(version.version));
            let protocol = stream.conn.alpn_protocol();
            assert_eq!(protocol, chosen.map(str::as_bytes), "{offered:?}");
        }
    }
    let (answer, stream) = authority.client().ask(&server, "/").unwrap();
    let versions: Value = serde_json::from_str(&answer.body).unwrap();
    let link = &versions["versions"][0]["links"][0]["href"];
    assert_eq!(link, "https://localhost/v2/");
    // The connection is kept.
    let mut connection = Connection(stream);
    connection.send(request("GET", "/v2/p/clients", ""));
    assert_eq!(connection.answer().unwrap().status, 200);
    // What speaks no TLS gets no answer, and the others go on.
    let mut plain = Connection::open(&server);
    plain.send(request("GET", "/", ""));
    plain.closed();
    connection.send(request("GET", "/v2/p/clients", ""));
    assert_eq!(connection.answer().unwrap().status, 200);

    let ca = fs::read(authority.file("ca.pem")).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/v2/p/clients", server.address().port());
    let answer = client.get(url).send().await.unwrap();
    let (status, version) = (answer.status().as_u16(), answer.version());
    assert_eq!((status, version), (200, reqwest::Version::HTTP_2));
    let banner = format!("listening on  https://{}", server.address());
    assert!(server.output().contains(&banner), "{}", server.output());
}

#[tokio::test]
async fn a_renewed_certificate_costs_no_request() {
    let database = Database::create(Engine::Sqlite).await;
    let authority = Authority::new();
    let first = authority.renew("localhost");
    let server = start(&database, &authority.options());
    let client = authority.client();
    assert_eq!(client.certificate(&server), first);
    let (_, kept) = client.ask(&server, "/healthcheck").unwrap();

    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (client, is_over) = (client.clone(), Arc::clone(&is_over));
            let address = server.address();
            thread::spawn(move || {
                keep_asking(|| match is_over.load(Ordering::Relaxed) {
                    true => Err(io::ErrorKind::ConnectionRefused.into()),
                    false => client.connect(address),
                })
            })
        })
        .collect();
    let shows = |certificate: &CertificateDer<'_>| {
        let start = Instant::now();
        while client.certificate(&server) != *certificate {
            assert!(start.elapsed() < PATIENCE, "{}", server.output());
            thread::sleep(Duration::from_millis(50));
        }
    };
    // It is found without a signal, and with one at once.
    shows(&authority.renew("localhost"));
    let third = authority.renew("localhost");
    server.signal(Signal::HUP);
    shows(&third);
    // A pair that does not go together, or is none, changes nothing.
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(authority.file("key.pem"), other).unwrap();
    server.wait_for_output("do not go together");
    fs::write(authority.file("cert.pem"), "nothing").unwrap();
    server.wait_for_output("[ssl] cert_file: cannot use");
    assert_eq!(client.certificate(&server), third);
    shows(&authority.renew("localhost"));

    let mut kept = Connection(kept);
    kept.send(request("GET", "/healthcheck", ""));
    assert_eq!(kept.answer().unwrap().status, 200);
    // They ask on their connections until the server closes them.
    is_over.store(true, Ordering::Relaxed);
    server.terminate();
    none_is_lost(clients);
    assert_eq!(server.end().status.code(), Some(0));
}

#[tokio::test]
async fn clients_show_certificates_where_the_operator_wants_them() {
    let database = Database::create(Engine::Sqlite).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.renew("localhost");
    let ca_file = format!("ca_file = {}\n", authority.file("ca.pem").display());
    let server = start(&database, &(authority.options() + &ca_file));
    let ask = |identity| {
        let client = authority.client_of(&[&TLS13], &[], identity);
        let answer = client.ask(&server, "/v2/p/clients");
        answer.map(|(answer, _)| answer.status)
    };
    assert!(ask(None).is_err());
    assert!(ask(Some(stranger.issue("client"))).is_err());
    assert_eq!(ask(Some(authority.issue("client"))).unwrap(), 200);
}

#[tokio::test]
async fn what_tls_cannot_work_with_is_told_at_start() {
    let database = Database::create(Engine::Sqlite).await;
    let authority = Authority::new();
    authority.renew("localhost");
    let told = |options: &str| refusal(&configuration(&database, options), &["--dev"]).output;
    let cert = authority.file("cert.pem");
    let output = told(&format!("[ssl]\ncert_file = {}\n", cert.display()));
    assert!(output.contains("need each other"), "{output}");
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(authority.file("key.pem"), other).unwrap();
    let output = told(&authority.options());
    assert!(output.contains("do not go together"), "{output}");
    fs::remove_file(&cert).unwrap();
    let output = told(&authority.options());
    assert!(output.contains("[ssl] cert_file: cannot use"), "{output}");
    assert!(output.contains("No such file"), "{output}");
}

#[tokio::test]
async fn limits_hold_for_tls_too() {
    let database = Database::create(Engine::Sqlite).await;
    let authority = Authority::new();
    authority.renew("localhost");
    let options = "[api]\nread_timeout = 1\nmax_connections = 1\n";
    let server = start(&database, &(authority.options() + options));
    let client = authority.client();
    let status = |path| client.ask(&server, path).unwrap().0.status;
    // The connection by which the server was waited for is gone.
    let until_served = || {
        let start = Instant::now();
        while status("/v2/p/clients") != 200 {
            assert!(start.elapsed() < PATIENCE);
        }
    };
    until_served();
    // Nobody keeps a place by a handshake that does not end.
    let mut silent = Connection::open(&server);
    let start = Instant::now();
    while status("/v2/p/clients") != 503 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(status("/healthcheck"), 200);
    assert!(silent.closed() < Duration::from_secs(10));
    // And nobody by a header.
    let mut slow = client.connect(server.address()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut rest = Vec::new();
    // Whether the end comes with TLS's own message does not matter.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.is_empty());
    until_served();
}

#[tokio::test]
async fn a_stop_under_load_loses_no_request_of_tls() {
    let database = Database::create(Engine::Sqlite).await;
    let authority = Authority::new();
    authority.renew("localhost");
    let options = authority.options() + "[api]\ndrain_time = 1\n";
    for _ in 0..2 {
        let server = start(&database, &options);
        // It keeps nobody from stopping.
        let _silent = Connection::open(&server);
        let (client, address) = (authority.client(), server.address());
        stop_under_load(server, move || client.connect(address));
    }
}
