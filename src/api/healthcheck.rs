//! `/healthcheck`, as oslo.middleware answers it: without a token, to any method.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::accept::{accept_header, accepts};

const DISABLED: &str = "DISABLED BY FILE";

/// Whether this server wants requests.
pub(super) async fn check(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (status, reason) = match is_disabled(&api) {
        true => (StatusCode::SERVICE_UNAVAILABLE, DISABLED),
        false => (StatusCode::OK, "OK"),
    };
    if request.method() == Method::HEAD {
        // oslo.middleware's answer to HEAD; load balancers ask so.
        let status = if status == StatusCode::OK {
            StatusCode::NO_CONTENT
        } else {
            status
        };
        return status.into_response();
    }
    let accept = accept_header(request.headers());
    let (content_type, body) = if accepts(&accept, "text", "plain") {
        ("text/plain; charset=UTF-8", reason.to_owned())
    } else if accepts(&accept, "text", "html") {
        (
            "text/html; charset=UTF-8",
            format!(
                "<!DOCTYPE html><html><head><title>Healthcheck Status</title></head>\
                 <body><p>Result: {reason}</p></body></html>"
            ),
        )
    } else {
        (
            "application/json",
            json!({"detailed": false, "reasons": [reason]}).to_string(),
        )
    };
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
        body,
    )
        .into_response()
}

/// Whether an operator has put down one of the files that take this server out of service.
fn is_disabled(api: &Api) -> bool {
    let options = &api.config.healthcheck;
    let port = api.config.default.bind_port.to_string();
    options
        .backends
        .iter()
        .any(|backend| match backend.as_str() {
            "disable_by_file" => options
                .disable_by_file_path
                .as_deref()
                .is_some_and(Path::exists),
            "disable_by_files_ports" => options
                .disable_by_file_paths
                .iter()
                .filter_map(|entry| entry.split_once(':'))
                .any(|(of_port, path)| of_port == port && Path::new(path).exists()),
            _ => false,
        })
}
