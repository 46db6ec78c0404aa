//! The credentials that policies see: the only builder, for requests and for `freezer-manage policy check`.

use serde_json::{Map, Value, json};

use super::context::RequestContext;
use crate::oslo::policy::Credentials;

/// The credentials of a caller, in oslo.context's words: what the reference's `FreezerContext.to_dict()` gives oslo.policy,
/// and the keys of `to_policy_values()`, which operators' guides document.
///
/// Left out are the token and the request ids of `to_dict()`: no rule can decide by them, and credentials are printed in
/// explanations of decisions. `system_scope` and `is_admin_project` carry the token's values, where the reference has
/// constants.
pub fn policy_credentials(context: &RequestContext) -> Credentials {
    let service = context.service.as_ref();
    let values = [
        ("user", json!(context.user_id)),
        ("user_id", json!(context.user_id)),
        ("user_domain", json!(context.user_domain_id)),
        ("user_domain_id", json!(context.user_domain_id)),
        ("project", json!(context.project_id)),
        ("project_id", json!(context.project_id)),
        ("project_domain", json!(context.project_domain_id)),
        ("project_domain_id", json!(context.project_domain_id)),
        ("domain", json!(context.domain_id)),
        ("domain_id", json!(context.domain_id)),
        ("system_scope", json!(context.system_scope)),
        ("roles", json!(context.roles)),
        ("is_admin", json!(context.has_role("admin"))),
        ("is_admin_project", json!(context.is_admin_project)),
        ("read_only", json!(false)),
        ("show_deleted", json!(false)),
        ("resource_uuid", Value::Null),
        ("user_identity", json!(context.user_identity())),
        ("service_user_id", json!(service.map(|s| &s.user_id))),
        (
            "service_user_domain_id",
            json!(service.and_then(|s| s.user_domain_id.as_ref())),
        ),
        (
            "service_project_id",
            json!(service.and_then(|s| s.project_id.as_ref())),
        ),
        (
            "service_project_domain_id",
            json!(service.and_then(|s| s.project_domain_id.as_ref())),
        ),
        (
            "service_roles",
            json!(service.map(|s| s.roles.as_slice()).unwrap_or_default()),
        ),
    ];
    let values: Map<String, Value> = values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Credentials::from_values(values)
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::demo;
    use super::*;

    /// What `FreezerContext(user='u1', tenant='p1', user_domain='default', project_domain='default', roles=['member'])
    /// .to_dict()` gives in Python, without its token and request ids.
    #[test]
    fn credentials_contain_the_references() {
        let credentials = policy_credentials(&demo());
        let reference = json!({
            "user": "u1", "project_id": "p1", "system_scope": null, "project": "p1", "domain": null,
            "user_domain": "default", "project_domain": "default", "is_admin": false, "read_only": false,
            "show_deleted": false, "resource_uuid": null, "roles": ["member"],
            "user_identity": "u1 p1 - default default", "is_admin_project": true,
        });
        for (key, value) in reference.as_object().unwrap() {
            assert_eq!(credentials.values().get(key), Some(value), "{key}");
        }
        assert!(!credentials.values().contains_key("auth_token"));
    }
}
