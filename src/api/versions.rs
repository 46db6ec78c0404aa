//! The list of versions and the home document of version 2.

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::forwarded::public_url;
use super::respond::json_response;

/// When version 2 last changed, as the reference has it.
const UPDATED: &str = "2018-02-21T13:30:00";

/// `GET /`: 300 with the versions.
pub(super) async fn versions(State(api): State<Arc<Api>>, request: Request) -> Response {
    let base = public_url(&api.config, &request);
    let document = json!({"versions": [{
        "id": "v2",
        "status": "CURRENT",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": format!("{base}/v2/")}],
    }]});
    json_response(StatusCode::MULTIPLE_CHOICES, &document)
}

/// `GET /v2/`: where the documents are. Every caller may see it.
pub(super) async fn home() -> Response {
    static HOME: LazyLock<Bytes> = LazyLock::new(|| home_document().to_string().into());
    let json_home = HeaderValue::from_static("application/json-home");
    ([(header::CONTENT_TYPE, json_home)], HOME.clone()).into_response()
}

/// The home document (draft-nottingham-json-home).
fn home_document() -> Value {
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
    json!({"resources": {
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
    }})
}
