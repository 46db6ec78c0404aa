//! The credentials that policies see: the only builder, for requests and for `freezer-manage policy check`.

use serde_json::{Map, Value, json};

use super::context::{RequestContext, TokenScope};
use crate::oslo::policy::{Credentials, Scope};

/// The credentials of a caller: the keys that the reference's `FreezerContext.to_dict()` gives oslo.policy, no more and no
/// fewer, so that a policy file decides here as it decides there.
///
/// Left out are the token and the request ids of `to_dict()`: no rule can decide by them, and credentials are printed in
/// explanations of decisions. `system_scope` and `is_admin_project` carry the token's values, where the reference's
/// context is never given them and has `None` and `True`.
pub fn policy_credentials(context: &RequestContext) -> Credentials {
    let values = [
        ("user", json!(context.user_id)),
        ("project_id", json!(context.project_id)),
        ("system_scope", json!(context.system_scope)),
        ("project", json!(context.project_id)),
        ("domain", json!(context.domain_id)),
        ("user_domain", json!(context.user_domain_id)),
        ("project_domain", json!(context.project_domain_id)),
        ("is_admin", json!(context.has_role("admin"))),
        ("read_only", json!(false)),
        ("show_deleted", json!(false)),
        ("resource_uuid", Value::Null),
        ("roles", json!(context.roles)),
        ("user_identity", json!(context.user_identity())),
        ("is_admin_project", json!(context.is_admin_project)),
    ];
    let values: Map<String, Value> = values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let scope = match context.scope() {
        TokenScope::Project(_) => Scope::Project,
        TokenScope::Domain(_) => Scope::Domain,
        TokenScope::System => Scope::System,
        TokenScope::Unscoped => Scope::Unscoped,
    };
    Credentials::new(values, scope)
}
