//! Where the server listens: TLS, Unix sockets, and sockets of systemd.

mod sockets;
mod tls;
