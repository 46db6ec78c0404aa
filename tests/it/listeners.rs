//! Where the server listens: TLS, Unix sockets, and sockets of systemd.

mod sockets;
pub(crate) mod tls;
