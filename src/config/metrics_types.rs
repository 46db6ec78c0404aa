//! The kinds of value that the options of the figures for Prometheus have.

use std::net::SocketAddr;

use super::table::Limits;
use super::types::OptionType;

/// An address with its port.
impl OptionType for SocketAddr {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        text.trim().parse().map_err(|_| {
            "an IP address and a port, such as 127.0.0.1:9190 or [::1]:9190".to_owned()
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Of which clients Prometheus gets figures of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerClient {
    /// Of those with problems.
    Problems,
    /// Of all.
    All,
    /// Of none.
    Off,
}

impl OptionType for PerClient {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        match text.trim() {
            "problems" => Ok(PerClient::Problems),
            "all" => Ok(PerClient::All),
            "off" => Ok(PerClient::Off),
            _ => Err("one of problems, all, off".to_owned()),
        }
    }

    fn format(&self) -> Vec<String> {
        let word = match self {
            PerClient::Problems => "problems",
            PerClient::All => "all",
            PerClient::Off => "off",
        };
        vec![word.to_owned()]
    }
}
