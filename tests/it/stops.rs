//! The end of the server while clients ask it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::server::{Connection, PATIENCE, request, start};
use crate::support::process::Server;
use crate::support::{Database, Engine};

/// Asks on kept-alive connections until the server is gone; answers and lost requests.
pub(crate) fn keep_asking<S: Read + Write>(connect: impl Fn() -> io::Result<S>) -> (u64, u64) {
    let (mut answered, mut lost) = (0, 0);
    loop {
        let mut connection = match connect() {
            Ok(stream) => Connection(stream),
            // This is what a client can act on: nobody listens, or the socket has no name any more.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
                ) =>
            {
                return (answered, lost);
            }
            Err(_) => return (answered, lost + 1),
        };
        loop {
            let asked = request("GET", "/v2/p/clients", "");
            if connection.0.write_all(asked.as_bytes()).is_err() {
                lost += 1;
                break;
            }
            match connection.answer() {
                Some(answer) => {
                    assert_eq!(answer.status, 200);
                    answered += 1;
                    if answer.head.contains("connection: close") {
                        break;
                    }
                }
                None => {
                    lost += 1;
                    break;
                }
            }
        }
    }
}

/// A connection on which reading does not take for ever.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Waits for the clients of [`keep_asking`], none of which may have lost a request.
#[track_caller]
pub(crate) fn none_is_lost(clients: Vec<JoinHandle<(u64, u64)>>) {
    let totals = clients.into_iter().map(|client| client.join().unwrap());
    let (answered, lost) = totals.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(
        answered > 12 && lost == 0,
        "{answered} answered, {lost} lost"
    );
}

/// Stops a server while twelve clients ask it; none of them may lose a request.
pub(crate) fn stop_under_load<S: Read + Write>(
    server: Server,
    connect: impl Fn() -> io::Result<S> + Clone + Send + 'static,
) {
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let connect = connect.clone();
            thread::spawn(move || keep_asking(connect))
        })
        .collect();
    thread::sleep(Duration::from_millis(400));
    server.terminate();
    none_is_lost(clients);
    assert_eq!(server.stop().status.code(), Some(0));
}

#[tokio::test]
async fn a_stop_under_load_loses_no_request() {
    let database = Database::create(Engine::Sqlite).await;
    for _ in 0..4 {
        let server = start(&database, "[api]\ndrain_time = 1");
        let address = server.address();
        stop_under_load(server, move || tcp(address));
    }
}
