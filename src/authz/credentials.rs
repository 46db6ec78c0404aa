//! The credentials that policies see: the only builder, for requests and for `freezer-manage policy check`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::context::{RequestContext, TokenScope};
use crate::oslo::policy::{Credentials, Identity, Scope};

/// The keys that the reference's `FreezerContext.to_dict()` gives oslo.policy, no more and no fewer, so that a policy file
/// decides here as it decides there.
///
/// Left out are the token and the request ids of `to_dict()`: no rule can decide by them, and credentials are printed in
/// explanations of decisions.
const KEYS: [&str; 14] = [
    "user",
    "project_id",
    "system_scope",
    "project",
    "domain",
    "user_domain",
    "project_domain",
    "is_admin",
    "read_only",
    "show_deleted",
    "resource_uuid",
    "roles",
    "user_identity",
    "is_admin_project",
];

/// What a key says of a caller. `system_scope` and `is_admin_project` carry the token's values, where the reference's context is
/// never given them and has `None` and `True`.
fn value(context: &RequestContext, key: &str) -> Option<Value> {
    Some(match key {
        "user" => json!(context.user_id),
        "project_id" | "project" => json!(context.project_id),
        "system_scope" => json!(context.system_scope),
        "domain" => json!(context.domain_id),
        "user_domain" => json!(context.user_domain_id),
        "project_domain" => json!(context.project_domain_id),
        "is_admin" => json!(context.has_role("admin")),
        "read_only" | "show_deleted" => json!(false),
        "resource_uuid" => Value::Null,
        "roles" => json!(context.roles),
        "user_identity" => json!(context.user_identity()),
        "is_admin_project" => json!(context.is_admin_project),
        _ => return None,
    })
}

fn scope(context: &RequestContext) -> Scope {
    match context.scope() {
        TokenScope::Project(_) => Scope::Project,
        TokenScope::Domain(_) => Scope::Domain,
        TokenScope::System => Scope::System,
        TokenScope::Unscoped => Scope::Unscoped,
    }
}

/// The credentials of a caller, with all keys.
pub fn policy_credentials(context: &RequestContext) -> Credentials {
    let values = KEYS
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), value(context, key)?)));
    Credentials::new(Map::from_iter(values), scope(context))
}

/// The same without the keys that no check asks for, which are most of them.
impl Identity for RequestContext {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        // As oslo.policy has it: there only with a scope.
        let system = || self.system_scope.as_ref().filter(|scope| !scope.is_empty());
        let value = match name {
            "system" => system().map(|scope| json!(scope)),
            _ => value(self, name),
        };
        value.map(Cow::Owned)
    }

    fn roles(&self) -> &[String] {
        &self.roles
    }

    fn scope(&self) -> Scope {
        scope(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::demo;
    use super::*;

    #[test]
    fn a_caller_has_the_attributes_of_its_credentials() {
        let mut contexts = vec![demo(); 4];
        contexts[1].system_scope = Some("all".into());
        contexts[1].project_id = None;
        contexts[2].system_scope = Some(String::new());
        contexts[2].roles = vec!["admin".into(), "member".into()];
        contexts[3].domain_id = Some("d1".into());
        contexts[3].is_admin_project = false;
        for context in contexts {
            let credentials = policy_credentials(&context);
            assert_eq!(credentials.scope(), Identity::scope(&context));
            assert_eq!(credentials.roles(), Identity::roles(&context));
            for key in KEYS
                .into_iter()
                .chain(["system", "auth_token", "token", ""])
            {
                assert_eq!(credentials.attribute(key), context.attribute(key), "{key}");
            }
        }
    }
}
