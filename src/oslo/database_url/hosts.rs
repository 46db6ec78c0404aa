//! The hosts of a URL: one, or for PostgreSQL several. Both ways of writing them are read, libpq's `host1:5432,host2:5432` and
//! SQLAlchemy's `?host=host1:5432&host=host2:5432`.

use std::fmt;

use super::parameters::{port, wrong};
use super::{DatabaseUrl, DatabaseUrlError, Engine};

/// Where a server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Host name or address, an IPv6 address without its brackets. None: the local machine.
    pub name: Option<String>,
    /// TCP port. None: the engine's own.
    pub port: Option<u16>,
}

impl Host {
    fn of(text: &str) -> Result<Host, DatabaseUrlError> {
        let (name, port) = match text.strip_prefix('[') {
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
            Some(bracketed) => match bracketed.split_once(']').ok_or(DatabaseUrlError::Host)? {
                (name, "") => (name, None),
                (name, after) => (
                    name,
                    Some(after.strip_prefix(':').ok_or(DatabaseUrlError::Host)?),
                ),
            },
        };
        let number = |text: &str| {
            text.parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or(DatabaseUrlError::Port)
        };
        Ok(Host {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            port: port.map(number).transpose()?,
        })
    }

    /// As a parameter has it, where an IPv6 address needs no brackets.
    fn of_parameter(text: &str) -> Result<Host, DatabaseUrlError> {
        if text.matches(':').count() > 1 && !text.starts_with('[') {
            return Ok(Host {
                name: Some(text.to_owned()),
                port: None,
            });
        }
        Host::of(text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if name.contains(':') => write!(f, "[{name}]")?,
            Some(name) => f.write_str(name)?,
            None => {}
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The hosts between the `@` and the database. A port behind the last one alone is that of all, as libpq is told by SQLAlchemy.
pub(super) fn of_authority(engine: Engine, authority: &str) -> Result<Vec<Host>, DatabaseUrlError> {
    if authority.contains('@') {
        return Err(DatabaseUrlError::SecondAt);
    }
    if !authority.contains(',') {
        return Ok(vec![Host::of(authority)?]);
    }
    if engine != Engine::Postgres {
        return Err(DatabaseUrlError::SeveralHosts);
    }
    let hosts = authority.split(',').map(Host::of);
    let mut hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    if let Some((last, others)) = hosts.split_last_mut()
        && others.iter().all(|host| host.port.is_none())
    {
        others.iter_mut().for_each(|host| host.port = last.port);
    }
    Ok(hosts)
}

impl DatabaseUrl {
    /// The URL of each of its hosts alone, in the order in which they are tried.
    pub fn servers(&self) -> Vec<DatabaseUrl> {
        let server = |host: &Host| DatabaseUrl {
            host: host.name.clone(),
            port: host.port,
            further_hosts: Vec::new(),
            ..self.clone()
        };
        let first = self.first_host();
        std::iter::once(&first)
            .chain(&self.further_hosts)
            .map(server)
            .collect()
    }

    pub(super) fn first_host(&self) -> Host {
        Host {
            name: self.host.clone(),
            port: self.port,
        }
    }

    pub(super) fn set_hosts(&mut self, hosts: Vec<Host>) -> Result<(), DatabaseUrlError> {
        let is_remote = |host: &Host| host.name.as_ref().is_some_and(|name| !name.contains('/'));
        if hosts.len() > 1 && !hosts.iter().all(is_remote) {
            return Err(DatabaseUrlError::Host);
        }
        let mut hosts = hosts.into_iter();
        let first = hosts.next().unwrap_or_default();
        (self.host, self.port) = (first.name, first.port);
        self.further_hosts = hosts.collect();
        Ok(())
    }

    /// Takes what PostgreSQL's parameters `host` and `port` say, each of which may stand several times and may be a list.
    pub(super) fn add_hosts(
        &mut self,
        hosts: &[String],
        ports: &[String],
    ) -> Result<(), DatabaseUrlError> {
        let hosts: Vec<&str> = hosts.iter().flat_map(|hosts| hosts.split(',')).collect();
        let mut have_ports = false;
        match hosts[..] {
            [] => {}
            [folder] if folder.starts_with('/') => {
                self.socket = Some(folder.into());
                self.further_hosts.clear();
            }
            _ => {
                let hosts = hosts.into_iter().map(Host::of_parameter);
                let mut hosts = hosts.collect::<Result<Vec<_>, _>>()?;
                have_ports = hosts.iter().any(|host| host.port.is_some());
                if let [host] = &mut hosts[..] {
                    host.port = host.port.or(self.port);
                }
                self.set_hosts(hosts)?;
            }
        }
        self.add_ports(ports, have_ports)
    }

    fn add_ports(&mut self, ports: &[String], have_ports: bool) -> Result<(), DatabaseUrlError> {
        const WANTED: &str =
            "one port for all hosts, or one for each, and not beside ports of the parameter host";
        let text = ports.join(",");
        let ports = match (ports, text.split_once(',')) {
            ([], _) => return Ok(()),
            (_, None) => vec![Some(port("port", text.clone())?); 1 + self.further_hosts.len()],
            (_, Some(_)) => {
                let number = |text: &str| match text {
                    "" => Ok(None),
                    text => port("port", text.to_owned()).map(Some),
                };
                text.split(',').map(number).collect::<Result<_, _>>()?
            }
        };
        if have_ports || ports.len() != 1 + self.further_hosts.len() {
            return Err(wrong("port", text, WANTED));
        }
        let further = self.further_hosts.iter_mut().map(|host| &mut host.port);
        for (place, port) in std::iter::once(&mut self.port).chain(further).zip(ports) {
            *place = port;
        }
        Ok(())
    }
}
