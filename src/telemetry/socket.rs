//! A local daemon that takes lines as datagrams: syslog, or systemd's journal.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where syslog listens.
pub(super) const SYSLOG: &str = "/dev/log";

/// Where the journal listens.
pub(super) const JOURNAL: &str = "/run/systemd/journal/socket";

/// A connection to the daemon. One `write` is one datagram.
#[derive(Debug)]
pub(super) struct Daemon {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Daemon {
    pub(super) fn at(path: &Path) -> Daemon {
        Daemon {
            path: path.to_owned(),
            socket: connect(path).ok(),
        }
    }

    /// Whether there was a daemon.
    pub(super) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(&self.path)?,
        };
        socket.send(datagram)?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

impl Write for Daemon {
    /// A daemon that was started anew has a new socket. While there is none, lines are lost, as with C's `syslog`.
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.send(datagram).or_else(|_| self.send(datagram))?;
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_was_started_anew_gets_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut buffer = [0; 16];
        let mut daemon = Daemon::at(&path);
        assert!(!daemon.is_there());
        daemon.write_all(b"lost").unwrap_err();
        for round in 0..2 {
            let listener = UnixDatagram::bind(&path).unwrap();
            for line in ["one", "two"] {
                daemon.write_all(line.as_bytes()).unwrap();
                let length = listener.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], line.as_bytes(), "{round}");
            }
            std::fs::remove_file(&path).unwrap();
        }
    }
}
