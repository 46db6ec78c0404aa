//! Closes a listener without losing a connection that the kernel has accepted.

use std::io;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::time::sleep;

use super::listener::{Accepted, Listener, Socket};

/// How long a handshake that has begun may take to end: more than a round trip within a data centre.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// For the kernel: drop segments with SYN, and let all others pass. In instructions of the classic BPF, which sees the
/// header of TCP: the flags are its byte 13, SYN is 2.
const NO_SYN: [SockFilter; 4] = [
    // A = byte 13
    SockFilter::new(0x30, 0, 0, 13),
    // if A & 2, skip one
    SockFilter::new(0x45, 1, 0, 2),
    // pass all of it
    SockFilter::new(0x06, 0, 0, u32::MAX),
    // pass none of it
    SockFilter::new(0x06, 0, 0, 0),
];

/// Closes the listener; the connections that the kernel had accepted for it.
///
/// Closing alone resets them. So first no handshake begins any more: a client whose SYN is dropped sends it again a second
/// later, and is refused then, so it uses another server. A Unix socket loses its name instead. What systemd has opened stays open,
/// and what waits there is for the next process.
pub(super) async fn last_connections(listener: Listener) -> io::Result<Vec<Accepted>> {
    if listener.is_inherited {
        return Ok(Vec::new());
    }
    let listener = listener.without_name();
    if let Socket::Tcp(socket) = &listener.socket
        && let Err(error) = SockRef::from(socket).attach_filter(&NO_SYN)
    {
        tracing::warn!(%error, "requests of clients that connect at this moment may be lost");
    }
    sleep(HANDSHAKE).await;
    listener.into_waiting()
}
