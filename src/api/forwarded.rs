//! What proxies in front say of a request, read as oslo.middleware's HTTPProxyToWSGI does.
//!
//! Of the grammar of `Forwarded` three parameters of the first entry count. What crates.io has for it
//! (`forwarded-header-value`, `rfc7239`) had no release for years.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::header::{self, AsHeaderName, HeaderMap};
use axum::http::uri::Scheme;

use crate::config::{self, Config};

/// A request as the first proxy has seen it. What no proxy says is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    /// The scheme that the client used.
    pub(super) scheme: Option<String>,
    /// The host that the client asked, with its port.
    pub(super) host: Option<String>,
    /// What proxies have cut off the path, without a closing slash.
    pub(super) prefix: String,
    /// The client.
    pub(super) client: Option<String>,
}

impl Forwarded {
    /// What counts under `[oslo_middleware] enable_proxy_headers_parsing`.
    pub(super) fn believed(headers: &HeaderMap, options: &config::Middleware) -> Forwarded {
        if options.enable_proxy_headers_parsing {
            Forwarded::of(headers)
        } else {
            Forwarded::default()
        }
    }

    /// Reads `Forwarded` (RFC 7239), and only where it is missing `X-Forwarded-*`: of the two, a proxy replaces the one that it
    /// knows and passes on what a client wrote into the other.
    fn of(headers: &HeaderMap) -> Forwarded {
        let prefix = first(headers, "x-forwarded-prefix").unwrap_or_default();
        let prefix = prefix.trim_end_matches('/').to_owned();
        match first(headers, header::FORWARDED) {
            Some(entry) => Forwarded {
                scheme: parameter(entry, "proto"),
                host: parameter(entry, "host"),
                client: parameter(entry, "for"),
                prefix,
            },
            None => Forwarded {
                scheme: first(headers, "x-forwarded-proto").map(str::to_owned),
                host: first(headers, "x-forwarded-host").map(str::to_owned),
                client: first(headers, "x-forwarded-for").map(str::to_owned),
                prefix,
            },
        }
    }
}

/// The address at which the client reaches the service, for links: scheme, host and what proxies cut off the path. A client
/// that names no host (HTTP/1.0 needs not) gets the address that the service listens on, as WSGI servers do it.
pub(super) fn public_url(config: &Config, request: &Request) -> String {
    let forwarded = Forwarded::believed(request.headers(), &config.oslo_middleware);
    // What the server says of the connection.
    let scheme = request.extensions().get::<Scheme>();
    let scheme = forwarded
        .scheme
        .unwrap_or_else(|| scheme.unwrap_or(&Scheme::HTTP).to_string());
    let listening =
        || SocketAddr::new(config.default.bind_host, config.default.bind_port).to_string();
    let host = forwarded
        .host
        .or_else(|| host(request))
        .unwrap_or_else(listening);
    format!("{scheme}://{host}{}", forwarded.prefix)
}

/// The host that the request names.
fn host(request: &Request) -> Option<String> {
    match request.uri().authority() {
        Some(authority) => Some(authority.to_string()),
        None => {
            let host = request.headers().get(header::HOST)?.to_str().ok()?.trim();
            (!host.is_empty()).then(|| host.to_owned())
        }
    }
}

/// A parameter of an entry of `Forwarded`.
fn parameter(entry: &str, name: &str) -> Option<String> {
    entry
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .rfind(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
}

/// The first of a list, to which each proxy adds: the one next to the client.
fn first(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let list = headers.get(name)?.to_str().ok()?;
    let first = list.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::*;

    fn read(sent: &[(&str, &str)]) -> Forwarded {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        Forwarded::of(&headers)
    }

    fn shown(forwarded: &Forwarded) -> Value {
        json!([
            forwarded.scheme,
            forwarded.host,
            forwarded.prefix,
            forwarded.client
        ])
    }

    /// What HTTPProxyToWSGI makes of the headers of one proxy (tests/oracle/forwarded.py).
    #[test]
    fn one_proxy_says_what_it_says_to_oslo_middleware() {
        let oracle: Vec<(Vec<(String, String)>, Value)> =
            serde_json::from_str(include_str!("../../tests/oracle/forwarded.json")).unwrap();
        assert!(oracle.len() > 200);
        for (sent, expected) in oracle {
            let headers: Vec<(&str, &str)> = sent
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(shown(&read(&headers)), expected, "{sent:?}");
        }
    }

    #[test]
    fn of_several_proxies_the_first_counts() {
        let lists = read(&[
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example.com:443,inner:8080"),
            ("x-forwarded-for", "192.0.2.7, 10.0.0.1"),
            ("x-forwarded-prefix", "/backup/, /"),
        ]);
        assert_eq!(
            shown(&lists),
            json!(["https", "api.example.com:443", "/backup", "192.0.2.7"])
        );
        let entries = read(&[
            (
                "forwarded",
                "For=\"[2001:db8::7]:4711\" ; Host=\"api.example.com\", for=10.0.0.1;host=inner;proto=http",
            ),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(
            shown(&entries),
            json!([null, "api.example.com", "", "[2001:db8::7]:4711"])
        );
    }
}
