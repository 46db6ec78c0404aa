//! `/v2/{project_id}/report/me`: what the caller may do, for programs that show people what they can.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::respond::json_response;
use crate::authz::{Authorized, rules};

/// Who asks, and which rules let them pass in the project of the path.
#[derive(Serialize)]
struct Me<'a> {
    user_id: &'a str,
    project_id: &'a str,
    rules: BTreeMap<&'static str, bool>,
}

/// `GET /report/me`.
pub(super) async fn show(caller: Authorized) -> Response {
    let me = Me {
        user_id: caller.user_id(),
        project_id: caller.project_id(),
        rules: rules::requested()
            .map(|rule| (rule.name(), caller.may(rule)))
            .collect(),
    };
    json_response(StatusCode::OK, &me)
}
