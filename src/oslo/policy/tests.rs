//! The policy engine by example.

mod enforcement;
mod language;

use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn options() -> Options {
    Options::default()
}

fn member() -> Credentials {
    Credentials::from_values(object(json!({
        "user_id": "u1", "project_id": "p1", "roles": ["Member", "reader"], "is_admin": false, "level": 3,
        "token": {"user": {"id": "u1", "groups": [{"id": "g1"}, {"id": "g2"}]}, "methods": ["password", ["totp"]]},
    })))
}

fn target() -> Map<String, Value> {
    object(
        json!({"project_id": "p1", "user_id": "u2", "role.name": "Member", "enabled": true, "wanted": "READER"}),
    )
}
