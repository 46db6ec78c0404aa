//! The kinds of value that an option can have: how each is read from a file's text, and how it looks in the sample.
//! They read what oslo.config's types read, so that a file means the same to both.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use super::table::{Limits, NO_DEFAULT};
use crate::oslo::database_url::DatabaseUrl;
use crate::oslo::settings::Settings;

/// A kind of value.
pub(super) trait OptionType: Sized {
    /// The kind's name in the sample and in messages, as oslo.config has it.
    const NAME: &'static str;
    /// Whether the text must not be shown in a message.
    const SECRET: bool = false;
    /// Whether the key may be repeated, each time with a further value.
    const REPEATED: bool = false;
    /// Whether an empty text says nothing, so that the default counts. To oslo.config an empty number is none at all.
    const EMPTY_IS_UNSET: bool = false;

    /// Reads the text of one value. The limits are for numbers.
    ///
    /// # Errors
    /// What is wanted instead, to follow the word "wants"; never the text itself.
    fn parse(text: &str, limits: Option<&Limits>) -> Result<Self, String>;

    /// Reads the values of a key that is written more than once. Of a single value the last wins.
    ///
    /// # Errors
    /// As [`OptionType::parse`].
    fn parse_all(values: &[String], limits: Option<&Limits>) -> Result<Self, String> {
        Self::parse(values.last().map_or("", String::as_str), limits)
    }

    /// What is wanted instead of a wrong value, where other options say it better.
    fn instead(_settings: &Settings) -> Option<String> {
        None
    }

    /// What an operator should know of a value that is accepted and has no effect.
    fn warning(&self) -> Option<String> {
        None
    }

    /// The value as text for the sample, one item for each line.
    fn format(&self) -> Vec<String>;
}

impl OptionType for bool {
    const NAME: &'static str = "boolean value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Ok(true),
            "false" | "0" | "off" | "no" => Ok(false),
            _ => Err("true or false (or yes, no, on, off, 1, 0)".to_owned()),
        }
    }

    fn format(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Whole numbers of the widths that the table uses.
macro_rules! integers {
    ($($type:ty as $name:literal),+) => { $(
        impl OptionType for $type {
            const NAME: &'static str = $name;
            const EMPTY_IS_UNSET: bool = true;

            fn parse(text: &str, limits: Option<&Limits>) -> Result<Self, String> {
                let within = |number: &Self| {
                    limits.is_none_or(|limits| i64::try_from(*number).is_ok_and(|number| limits.contains(&number)))
                };
                text.trim().parse().ok().filter(within).ok_or_else(|| match limits {
                    Some(limits) => format!("a whole number from {} to {}", limits.start(), limits.end()),
                    None => format!("a whole number from {} to {}", Self::MIN, Self::MAX),
                })
            }

            fn format(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )+ };
}

integers!(u16 as "port value", u32 as "integer value", i64 as "integer value", usize as "integer value");

impl OptionType for Duration {
    const NAME: &'static str = "seconds";
    const EMPTY_IS_UNSET: bool = true;

    fn parse(text: &str, limits: Option<&Limits>) -> Result<Self, String> {
        let within = |duration: &Self| {
            limits.is_none_or(|limits| {
                let bound = |seconds: &i64| Self::from_secs(seconds.unsigned_abs());
                (bound(limits.start())..=bound(limits.end())).contains(duration)
            })
        };
        let seconds = text
            .trim()
            .parse()
            .ok()
            .and_then(|seconds| Self::try_from_secs_f64(seconds).ok());
        seconds.filter(within).ok_or_else(|| match limits {
            Some(limits) => format!(
                "a number of seconds from {} to {}",
                limits.start(),
                limits.end()
            ),
            None => "a number of seconds, 0 or more".to_owned(),
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.as_secs_f64().to_string()]
    }
}

impl OptionType for String {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn format(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl OptionType for PathBuf {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(text.into())
    }

    fn format(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }
}

impl OptionType for IpAddr {
    const NAME: &'static str = "IP address value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        text.trim()
            .parse()
            .map_err(|_| "an IPv4 or IPv6 address, such as 0.0.0.0 or ::".to_owned())
    }

    fn format(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// A network, or a single address. As in Python, the bits beyond its prefix are zero.
impl OptionType for IpNet {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = text.parse::<IpNet>().ok().or_else(address);
        network
            .filter(|network| network.trunc() == *network)
            .ok_or_else(|| "a list of networks such as 192.0.2.0/24 or 2001:db8::/32".to_owned())
    }

    fn format(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// Text that neither a log nor `Debug` shows.
impl OptionType for SecretString {
    const NAME: &'static str = "string value";
    const SECRET: bool = true;

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(text.into())
    }

    fn format(&self) -> Vec<String> {
        Vec::new()
    }
}

impl OptionType for DatabaseUrl {
    const NAME: &'static str = "string value";
    const SECRET: bool = true;

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        text.parse().map_err(|error| {
            format!("a database URL such as mysql+pymysql://user:password@host/name, but {error}")
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// A database that is not used.
#[derive(Debug, Clone)]
pub struct UnusedUrl;

impl OptionType for UnusedUrl {
    const NAME: &'static str = "string value";
    const SECRET: bool = true;

    fn parse(_text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(Self)
    }

    fn warning(&self) -> Option<String> {
        Some("is not used: all requests read from [database] connection".to_owned())
    }

    fn format(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A list in one value, separated by commas.
impl<T: OptionType> OptionType for Vec<T> {
    const NAME: &'static str = "list value";

    fn parse(text: &str, limits: Option<&Limits>) -> Result<Self, String> {
        let text = text.trim().trim_end_matches(',');
        if text.is_empty() {
            return Ok(Self::new());
        }
        text.split(',')
            .map(|item| T::parse(item.trim(), limits))
            .collect()
    }

    fn format(&self) -> Vec<String> {
        let items: Vec<String> = self.iter().flat_map(T::format).collect();
        vec![items.join(",")]
    }
}

/// A list whose key is repeated, one value each (oslo.config's multi-valued options).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated(pub Vec<String>);

impl OptionType for Repeated {
    const NAME: &'static str = "multi valued";
    const REPEATED: bool = true;

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(Self(vec![text.to_owned()]))
    }

    fn parse_all(values: &[String], _limits: Option<&Limits>) -> Result<Self, String> {
        Ok(Self(values.to_vec()))
    }

    fn format(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// A value that may be missing. An empty text is a missing value, as it is in effect in Python.
impl<T: OptionType> OptionType for Option<T> {
    const NAME: &'static str = T::NAME;
    const SECRET: bool = T::SECRET;
    const REPEATED: bool = T::REPEATED;

    fn parse(text: &str, limits: Option<&Limits>) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        T::parse(text, limits).map(Some)
    }

    fn warning(&self) -> Option<String> {
        self.as_ref().and_then(T::warning)
    }

    fn format(&self) -> Vec<String> {
        self.as_ref()
            .map_or_else(|| vec![NO_DEFAULT.to_owned()], T::format)
    }
}

/// One of a few words.
macro_rules! choices {
    ($(
        $(#[doc = $about:literal])+
        $Name:ident { $( $(#[doc = $help:literal])+ $Variant:ident = $first:literal $(| $other:literal)* ),+ $(,)? }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Name { $( $(#[doc = $help])+ $Variant ),+ }

        impl FromStr for $Name {
            type Err = String;

            /// Fails with what is wanted.
            fn from_str(text: &str) -> Result<Self, String> {
                Self::parse(text, None)
            }
        }

        impl OptionType for $Name {
            const NAME: &'static str = "string value";

            fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
                match text.trim() {
                    $( $first $(| $other)* => Ok(Self::$Variant), )+
                    _ => Err(format!("one of {}", [$($first $(, $other)*),+].join(", "))),
                }
            }

            fn format(&self) -> Vec<String> {
                vec![match self { $( Self::$Variant => $first ),+ }.to_owned()]
            }
        }
    )+ };
}

choices! {
    /// The way in which the service itself gets a token from Keystone (keystoneauth's plugin names).
    AuthType {
        /// A user's name or id, and password.
        Password = "password" | "v3password",
        /// An application credential.
        ApplicationCredential = "v3applicationcredential",
        /// A token that exists already.
        Token = "v3token" | "token",
    }
    /// Which of Keystone's endpoints in the catalogue is used.
    Interface {
        /// The internal one.
        Internal = "internal" | "internalURL",
        /// The public one.
        Public = "public" | "publicURL",
        /// The administrative one.
        Admin = "admin" | "adminURL",
    }
    /// What the health check looks at (oslo.middleware's backends).
    HealthcheckBackend {
        /// Unhealthy while a file is there.
        DisableByFile = "disable_by_file",
        /// The same with a file for each port.
        DisableByFilesPorts = "disable_by_files_ports",
        /// Unhealthy while one of some files is missing.
        EnableByFiles = "enable_by_files",
    }
}

/// A path of the service that is free for something else than the REST interface. Its text has no closing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath(String);

impl UrlPath {
    /// `/healthcheck`.
    pub(super) fn healthcheck() -> Self {
        Self("/healthcheck".to_owned())
    }

    /// The path, beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OptionType for UrlPath {
    const NAME: &'static str = "string value";

    /// Requests are routed by their decoded path without empty, `.` and `..` segments: any other could never be asked for.
    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "-._~".contains(character);
        let segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
        let path = text.trim().trim_end_matches('/');
        path.strip_prefix('/')
            .filter(|rest| rest.split('/').all(segment))
            .filter(|rest| !matches!(rest.split('/').next(), Some("v2" | "ui" | "metrics")))
            .map(|rest| Self(format!("/{rest}")))
            .ok_or_else(|| {
                "a path such as /healthcheck: it begins with /, has letters, digits, - . _ and ~ between slashes, and is \
                 neither / nor below /v2, /ui or /metrics"
                    .to_owned()
            })
    }

    fn format(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// How keystonemiddleware protects its entries in memcached. Ours are always encrypted and, with a key, authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemcacheStrategy {
    /// Not at all.
    None,
    /// Entries are authenticated.
    Mac,
    /// Entries are encrypted and authenticated.
    Encrypt,
}

impl OptionType for MemcacheStrategy {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "mac" => Ok(Self::Mac),
            "encrypt" => Ok(Self::Encrypt),
            _ => Err("one of None, MAC, ENCRYPT".to_owned()),
        }
    }

    fn format(&self) -> Vec<String> {
        let name = match self {
            Self::None => "None",
            Self::Mac => "MAC",
            Self::Encrypt => "ENCRYPT",
        };
        vec![name.to_owned()]
    }
}

/// A name of HTTP, such as that of a method or a header (RFC 9110, "token").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub(super) fn list<const N: usize>(names: [&str; N]) -> Vec<Self> {
        names.map(|name| Self(name.to_owned())).to_vec()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OptionType for Token {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.is_empty() || !text.chars().all(is_plain) {
            return Err("names without blanks, separated by commas".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn format(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// The permissions of a file, in octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u16);

impl FileMode {
    /// For the owner and the group.
    pub(super) const GROUP: Self = Self(0o660);

    /// The bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl OptionType for FileMode {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        u16::from_str_radix(text.trim(), 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .map(Self)
            .ok_or_else(|| "permissions such as 0660".to_owned())
    }

    fn format(&self) -> Vec<String> {
        vec![format!("{:04o}", self.0)]
    }
}

/// A file for the service on one port, written `port:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPath {
    /// The port.
    pub port: u16,
    /// The file.
    pub path: PathBuf,
}

impl OptionType for PortPath {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(port, path)| {
                let port = port.trim().parse().ok()?;
                let path = PathBuf::from(path);
                Some(Self { port, path })
            })
            .ok_or_else(|| "a list of port:path, such as 9090:/run/freezer/disabled".to_owned())
    }

    fn format(&self) -> Vec<String> {
        vec![format!("{}:{}", self.port, self.path.display())]
    }
}

/// The kind of storage as files name it. It is always the SQL database of `[database] connection`: Elasticsearch, which old
/// releases had, is no longer supported, and any other word means SQL to the reference too (kolla has written `sqlachemy` since 2019).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageBackend(String);

impl StorageBackend {
    const SQL: &'static str = "sqlalchemy";
}

impl Default for StorageBackend {
    fn default() -> Self {
        Self(Self::SQL.to_owned())
    }
}

impl OptionType for StorageBackend {
    const NAME: &'static str = "string value";

    fn parse(text: &str, _limits: Option<&Limits>) -> Result<Self, String> {
        match text.trim() {
            "elasticsearch" => Err(Self::SQL.to_owned()),
            name => Ok(Self(name.to_owned())),
        }
    }

    fn instead(settings: &Settings) -> Option<String> {
        Some(super::elasticsearch::instead(settings))
    }

    fn warning(&self) -> Option<String> {
        (self.0 != Self::SQL).then(|| {
            format!(
                "is {:?}; the storage is the SQL database of [database] connection, whose name here is {}",
                self.0,
                Self::SQL
            )
        })
    }

    fn format(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What oslo.config's types make of texts (tests/oracle/configuration.py).
    #[test]
    fn values_mean_what_they_mean_to_oslo_config() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/oracle/configuration.json")).unwrap();
        for case in oracle["lists"].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            assert_eq!(
                case[1],
                serde_json::json!(Vec::<String>::parse(text, None).unwrap()),
                "{text:?}"
            );
        }
        for case in oracle["booleans"].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            assert_eq!(case[1].as_bool(), bool::parse(text, None).ok(), "{text:?}");
        }
    }
}
