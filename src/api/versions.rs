//! The list of versions and the home document of version 2.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::forwarded::Forwarded;
use super::respond::json_response;

/// When version 2 last changed, as the reference has it.
const UPDATED: &str = "2018-02-21T13:30:00";

/// `GET /`: 300 with the versions. Links are made for the address that the client used.
pub(super) async fn versions(State(api): State<Arc<Api>>, request: Request) -> Response {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.to_string()),
        None => text(request.headers(), header::HOST.as_str()).filter(|host| !host.is_empty()),
    };
    // A client that names none (HTTP/1.0 needs not) gets the address that the service listens on, as WSGI servers do it.
    let options = &api.config.default;
    let listening = || SocketAddr::new(options.bind_host, options.bind_port).to_string();
    let host = host.unwrap_or_else(listening);
    let forwarded = Forwarded::believed(request.headers(), &api.config.oslo_middleware);
    // What the server says of the connection.
    let own = request
        .extensions()
        .get::<Scheme>()
        .unwrap_or(&Scheme::HTTP);
    let scheme = forwarded.scheme.unwrap_or_else(|| own.to_string());
    let host = forwarded.host.unwrap_or(host);
    let document = json!({"versions": [{
        "id": "v2",
        "status": "CURRENT",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": format!("{scheme}://{host}{}/v2/", forwarded.prefix)}],
    }]});
    json_response(StatusCode::MULTIPLE_CHOICES, &document)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
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
