//! Where the server accepts connections: a TCP address, with or without TLS, a Unix socket, or sockets that systemd has opened.

use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::stream::Stream;
use super::tls::{Tls, TlsError};
use crate::config::Config;

/// All sockets of a service.
#[derive(Debug)]
pub struct Listeners {
    pub(super) sockets: Vec<Listener>,
    pub(super) tls: Option<Arc<Tls>>,
}

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be taken.
    #[error("cannot listen on {address}")]
    Address {
        /// The address, or the path of a socket.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A socket that systemd has opened cannot be used.
    #[error("cannot listen on the sockets that systemd has opened; wanted are streams")]
    Inherited(#[source] io::Error),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Listeners {
    /// Takes the sockets that systemd has opened for this process (`LISTEN_FDS`). Without any, the Unix socket or the address that the
    /// configuration names.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn open(config: &Config, mut inherited: ListenFd) -> Result<Listeners, ListenError> {
        let tls = Tls::new(&config.ssl)?;
        let sockets = match inherited.len() {
            0 => vec![listen(config, tls.clone()).await?],
            number => (0..number)
                .map(|index| inherit(&mut inherited, index, tls.as_ref()))
                .collect::<io::Result<_>>()
                .map_err(ListenError::Inherited)?,
        };
        Ok(Listeners { sockets, tls })
    }

    /// Listens on one address, without TLS.
    ///
    /// # Errors
    /// [`ListenError::Address`].
    pub async fn plain(address: SocketAddr) -> Result<Listeners, ListenError> {
        let listener = Listener::tcp(address, None).await;
        let sockets = vec![listener.map_err(|source| ListenError::Address {
            address: address.to_string(),
            source,
        })?];
        Ok(Listeners { sockets, tls: None })
    }

    /// The addresses, as clients have them.
    pub fn addresses(&self) -> Vec<String> {
        self.sockets.iter().map(ToString::to_string).collect()
    }

    /// The certificate of those that have one.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }
}

async fn listen(config: &Config, tls: Option<Arc<Tls>>) -> Result<Listener, ListenError> {
    let error = |address: String| move |source| ListenError::Address { address, source };
    let (options, mode) = (&config.default, config.api.unix_socket_mode.bits());
    match &config.api.unix_socket {
        Some(path) => Listener::unix(path, mode).map_err(error(path.display().to_string())),
        None => {
            let address = SocketAddr::new(options.bind_host, options.bind_port);
            Listener::tcp(address, tls)
                .await
                .map_err(error(address.to_string()))
        }
    }
}

/// A socket on which connections arrive.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: Socket,
    tls: Option<Arc<Tls>>,
    /// Whether systemd has opened it and keeps it: what nobody has accepted waits for the next process.
    pub(super) is_inherited: bool,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

/// The name of a Unix socket, which goes away with the value.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have taken the name meanwhile.
    identity: (u64, u64),
}

/// A connection that nothing was read from.
pub(super) struct Accepted {
    carrier: Carrier,
    tls: Option<Arc<Tls>>,
}

enum Carrier {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    async fn tcp(address: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Listener> {
        Ok(Listener {
            socket: Socket::Tcp(TcpListener::bind(address).await?),
            tls,
            is_inherited: false,
        })
    }

    /// Listens on a Unix socket, which only those may use whom `mode` allows to write to it. One that nobody listens on any more is
    /// replaced.
    fn unix(path: &Path, mode: u32) -> io::Result<Listener> {
        if StdUnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        if fs::symlink_metadata(path).is_ok_and(|metadata| !is_socket(&metadata)) {
            return Err(io::Error::other("it exists and is no socket"));
        }
        // Under its name only with its mode.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        let listener = UnixListener::bind(&new)?;
        let metadata = fs::set_permissions(&new, Permissions::from_mode(mode))
            .and_then(|()| fs::symlink_metadata(&new))
            .and_then(|metadata| fs::rename(&new, path).map(|()| metadata))
            .inspect_err(|_| drop(fs::remove_file(&new)))?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        };
        Ok(Listener {
            socket: Socket::Unix(listener, Some(file)),
            tls: None,
            is_inherited: false,
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let carrier = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                Carrier::Tcp(stream, remote)
            }
            Socket::Unix(listener, _) => Carrier::Unix(listener.accept().await?.0),
        };
        Ok(self.accepted(carrier))
    }

    fn accepted(&self, carrier: Carrier) -> Accepted {
        Accepted {
            carrier,
            tls: self.tls.clone(),
        }
    }

    /// The same, but a Unix socket that no client finds any more.
    pub(super) fn without_name(mut self) -> Listener {
        if let Socket::Unix(_, file) = &mut self.socket {
            *file = None;
        }
        self
    }

    /// What the kernel has accepted and nobody has taken yet. New connections must not arrive any more.
    pub(super) fn into_waiting(self) -> io::Result<Vec<Accepted>> {
        let tls = self.tls;
        let accepted = |carrier| Accepted {
            carrier,
            tls: tls.clone(),
        };
        match self.socket {
            Socket::Tcp(listener) => {
                let listener = listener.into_std()?;
                let streams = waiting(|| listener.accept())?.into_iter();
                let carriers = streams.map(|(stream, remote)| {
                    stream.set_nonblocking(true)?;
                    Ok(accepted(Carrier::Tcp(TcpStream::from_std(stream)?, remote)))
                });
                carriers.collect()
            }
            Socket::Unix(listener, _) => {
                let listener = listener.into_std()?;
                let streams = waiting(|| listener.accept())?.into_iter();
                let carriers = streams.map(|(stream, _)| {
                    stream.set_nonblocking(true)?;
                    Ok(accepted(Carrier::Unix(UnixStream::from_std(stream)?)))
                });
                carriers.collect()
            }
        }
    }
}

/// All that a listener which does not block accepts at this moment.
fn waiting<T>(mut accept: impl FnMut() -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut streams = Vec::new();
    loop {
        match accept() {
            Ok(stream) => streams.push(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(streams),
            // The client has gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The address as a client has it.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        match &self.socket {
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{scheme}://{address}"),
                Err(_) => f.write_str(scheme),
            },
            Socket::Unix(_, Some(file)) => write!(f, "unix:{}", file.path.display()),
            Socket::Unix(listener, None) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                write!(f, "unix:{}", path.unwrap_or(Path::new("")).display())
            }
        }
    }
}

fn inherit(sockets: &mut ListenFd, index: usize, tls: Option<&Arc<Tls>>) -> io::Result<Listener> {
    let (socket, tls) = match sockets.take_tcp_listener(index) {
        Ok(Some(listener)) => {
            listener.set_nonblocking(true)?;
            (Socket::Tcp(TcpListener::from_std(listener)?), tls.cloned())
        }
        _ => {
            let listener = sockets.take_unix_listener(index)?;
            let listener = listener.ok_or(io::ErrorKind::NotFound)?;
            listener.set_nonblocking(true)?;
            (Socket::Unix(UnixListener::from_std(listener)?, None), None)
        }
    };
    Ok(Listener {
        socket,
        tls,
        is_inherited: true,
    })
}

fn is_socket(metadata: &Metadata) -> bool {
    metadata.file_type().is_socket()
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the socket stays");
        }
    }
}

impl Accepted {
    /// The client's address; none behind a Unix socket.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        match self.carrier {
            Carrier::Tcp(_, remote) => Some(remote),
            Carrier::Unix(_) => None,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Makes the connection ready for requests.
    pub(super) async fn handshake(self) -> io::Result<Stream> {
        match (self.carrier, self.tls) {
            (Carrier::Unix(stream), _) => Ok(Stream::Unix(stream)),
            (Carrier::Tcp(stream, _), tls) => {
                // Small answers must not wait for the acknowledgement of others. Without it they are slow, not wrong.
                let _ = stream.set_nodelay(true);
                match tls {
                    None => Ok(Stream::Tcp(stream)),
                    Some(tls) => Ok(Stream::Tls(Box::new(tls.acceptor().accept(stream).await?))),
                }
            }
        }
    }
}
