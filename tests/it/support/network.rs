//! A network of a test's own, in which one server runs, so that its way to others can be cut. Making one takes root.

use std::net::Ipv4Addr;
use std::process::{self, Command};

/// A network namespace with two wires to this one: for the members of a group, which can be cut, and for clients.
pub(crate) struct Network {
    name: String,
}

/// One of the wires, by the last byte of the first address of its network (198.18.0.0/15 is for tests of devices).
#[derive(Clone, Copy)]
enum Wire {
    Group = 0,
    Clients = 4,
}

impl Wire {
    /// Its end here, or the one inside.
    fn end(self, inside: bool) -> Ipv4Addr {
        let [low, high, ..] = process::id().to_le_bytes();
        // 198.18 or 198.19.
        Ipv4Addr::new(198, 18 + (high & 1), low, self as u8 + 1 + u8::from(inside))
    }
}

impl Network {
    /// Makes it.
    ///
    /// # Panics
    /// Without root, or where it exists.
    pub(crate) fn create() -> Network {
        let name = format!("freezer-{}", process::id());
        ip(&["netns", "add", &name]);
        let network = Network { name };
        network.inside(&["link", "set", "lo", "up"]);
        for wire in [Wire::Group, Wire::Clients] {
            network.lay(wire);
        }
        network
    }

    /// The name of a wire's end here; the one inside is the wire's number.
    fn device(wire: Wire) -> (String, String) {
        let (here, inside) = (process::id(), wire as u8);
        (format!("fz{here}-{inside}"), format!("wire{inside}"))
    }

    fn lay(&self, wire: Wire) {
        let (here, inside) = Network::device(wire);
        let address = |is_inside| format!("{}/30", wire.end(is_inside));
        ip(&[
            "link", "add", &here, "type", "veth", "peer", "name", &inside, "netns", &self.name,
        ]);
        ip(&["address", "add", &address(false), "dev", &here]);
        ip(&["link", "set", &here, "up"]);
        self.inside(&["address", "add", &address(true), "dev", &inside]);
        self.inside(&["link", "set", &inside, "up"]);
    }

    fn inside(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.name], arguments].concat());
    }

    /// A command that runs a program inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Where members of the group listen: those here, and the one inside.
    pub(crate) fn group(&self, inside: bool) -> Ipv4Addr {
        Wire::Group.end(inside)
    }

    /// Where clients reach the server inside.
    pub(crate) fn server(&self) -> Ipv4Addr {
        Wire::Clients.end(true)
    }

    /// Cuts the wire of the group: what is sent is lost, and nobody is told.
    pub(crate) fn cut(&self) {
        self.inside(&["link", "set", &Network::device(Wire::Group).1, "down"]);
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.inside(&["link", "set", &Network::device(Wire::Group).1, "up"]);
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().unwrap();
    assert!(done.success(), "ip {arguments:?}; this test needs root");
}

impl Drop for Network {
    fn drop(&mut self) {
        // The wires go with it.
        let gone = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
        if !gone.is_ok_and(|status| status.success()) {
            eprintln!("the network namespace {} stays", self.name);
        }
    }
}
