//! The list of versions and the home document of version 2.
//!
//! `Forwarded` is read here: of its grammar two parameters of the first entry count, as in oslo.middleware. What crates.io has
//! (`forwarded-header-value`, `rfc7239`) had no release for years.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::respond::json_response;

/// When version 2 last changed, as the reference has it.
const UPDATED: &str = "2018-02-21T13:30:00";

/// `GET /`: 300 with the versions. Links are made for the address that the client used.
pub(super) async fn versions(State(api): State<Arc<Api>>, request: Request) -> Response {
    let behind_proxy = api.config.oslo_middleware.enable_proxy_headers_parsing;
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.to_string()),
        None => text(request.headers(), header::HOST.as_str()).filter(|host| !host.is_empty()),
    };
    // A client that names none (HTTP/1.0 needs not) gets the address that the service listens on, as WSGI servers do it.
    let options = &api.config.default;
    let listening = || SocketAddr::new(options.bind_host, options.bind_port).to_string();
    let host = host.unwrap_or_else(listening);
    let public_url = PublicUrl::of(request.headers(), host, behind_proxy);
    let document = json!({"versions": [{
        "id": "v2",
        "status": "CURRENT",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": format!("{}://{}{}/v2/", public_url.scheme, public_url.host, public_url.prefix)}],
    }]});
    json_response(StatusCode::MULTIPLE_CHOICES, &document)
}

/// The address by which the client sees the service.
#[derive(Debug, PartialEq, Eq)]
struct PublicUrl {
    scheme: String,
    host: String,
    prefix: String,
}

impl PublicUrl {
    /// Trusts `Forwarded` (RFC 7239) or `X-Forwarded-*` where there is a proxy, as oslo.middleware does.
    fn of(headers: &HeaderMap, host: String, behind_proxy: bool) -> PublicUrl {
        let mut public_url = PublicUrl {
            scheme: "http".to_owned(),
            host,
            prefix: String::new(),
        };
        if !behind_proxy {
            return public_url;
        }
        let forwarded = first(headers, "forwarded");
        let parameter = |name: &str| {
            forwarded
                .as_deref()?
                .split(';')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        if let Some(scheme) = parameter("proto").or_else(|| first(headers, "x-forwarded-proto")) {
            public_url.scheme = scheme;
        }
        if let Some(host) = parameter("host").or_else(|| first(headers, "x-forwarded-host")) {
            public_url.host = host;
        }
        if let Some(prefix) = first(headers, "x-forwarded-prefix") {
            public_url.prefix = prefix.trim_end_matches('/').to_owned();
        }
        public_url
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

/// The first of a list, to which each proxy adds: the one next to the client.
fn first(headers: &HeaderMap, name: &str) -> Option<String> {
    let list = text(headers, name)?;
    let first = list.split(',').next()?.trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// `GET /v2/`: where the documents are, as json-home (draft-nottingham-json-home). Every caller may see it.
pub(super) async fn home() -> Response {
    let resource = |template: &str, variables: &[&str], allow: &[&str]| {
        let variables: serde_json::Map<_, _> = variables
            .iter()
            .map(|name| ((*name).to_owned(), format!("param/{name}").into()))
            .collect();
        json!({
            "href-template": template,
            "href-vars": variables,
            "hints": {"allow": allow, "formats": {"application/json": {}}},
        })
    };
    let document = json!({"resources": {
        "rel/backups": resource(
            "/v2/{project_id}/backups/{backup_id}",
            &["project_id", "backup_id"],
            &["GET"],
        ),
        "rel/jobs": resource(
            "/v2/{project_id}/jobs{?all_projects,offset,limit}",
            &["project_id", "all_projects", "offset", "limit"],
            &["GET", "POST"],
        ),
        "rel/job": resource(
            "/v2/{project_id}/jobs/{job_id}",
            &["project_id", "job_id"],
            &["GET", "PATCH", "POST", "DELETE"],
        ),
    }});
    let json_home = HeaderValue::from_static("application/json-home");
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, json_home)],
        document.to_string(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_believed_where_there_is_one() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("x-forwarded-prefix", HeaderValue::from_static("/backup/"));
        headers.insert(
            "forwarded",
            HeaderValue::from_static(
                "for=1.2.3.4;host=\"api.example.com\", for=5.6.7.8;host=other",
            ),
        );
        let plain = PublicUrl::of(&headers, "h:9090".to_owned(), false);
        assert_eq!(
            (plain.scheme.as_str(), plain.host.as_str()),
            ("http", "h:9090")
        );
        let public_url = PublicUrl::of(&headers, "h:9090".to_owned(), true);
        assert_eq!(
            (
                public_url.scheme.as_str(),
                public_url.host.as_str(),
                public_url.prefix.as_str()
            ),
            ("https", "api.example.com", "/backup")
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https, http"));
        headers.append("x-forwarded-proto", HeaderValue::from_static("http"));
        headers.insert(
            "x-forwarded-host",
            HeaderValue::from_static("api.example.com:443,inner:8080"),
        );
        let public_url = PublicUrl::of(&headers, "h".to_owned(), true);
        assert_eq!(
            (public_url.scheme.as_str(), public_url.host.as_str()),
            ("https", "api.example.com:443")
        );
    }
}
