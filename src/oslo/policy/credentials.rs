//! Who asks: the attributes of a token that checks are compared with.

use serde_json::{Map, Value, json};

use super::python;

/// What a token is scoped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One project.
    Project,
    /// One domain, not a project in it.
    Domain,
    /// The whole deployment.
    System,
    /// Nothing: the token only says who the user is. For `scope_types` it counts as a project, as in oslo.policy.
    Unscoped,
}

impl Scope {
    /// The name in `scope_types`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project | Self::Unscoped => "project",
            Self::Domain => "domain",
            Self::System => "system",
        }
    }
}

/// The credentials of one request: a dictionary in oslo.context's words.
///
/// [`Credentials::from_token`] gives these keys, absent ones as JSON null (a check sees Python's `None`):
///
/// | key | value |
/// |---|---|
/// | `user_id`, `user_domain_id` | strings |
/// | `project_id`, `project_domain_id` | of a project-scoped token |
/// | `domain_id` | of a domain-scoped token |
/// | `system_scope`, `system` | `"all"` of a system-scoped token |
/// | `roles` | list of names in lower case, empty for an unscoped token |
/// | `is_admin` | whether `admin` is among the roles |
/// | `is_admin_project` | the token's own word, `true` where it has none |
/// | `service_user_id`, `service_user_domain_id`, `service_project_id`, `service_project_domain_id`, `service_roles` | of the service token, see [`Credentials::with_service_token`] |
/// | `user`, `tenant`, `project`, `domain`, `user_domain`, `project_domain` | the ids again, by older names |
///
/// That is the union of `RequestContext.to_policy_values()` (the standard keys) and `RequestContext.to_dict()`, which some
/// services pass to oslo.policy and so their operators' files may name; `tenant` was in `to_dict` before `project`.
/// Left out are `to_dict`'s keys that say nothing about the caller: the token itself, request ids, `read_only`,
/// `show_deleted`, `resource_uuid`, `user_identity`. `system` is what oslo.policy adds on enforcement.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    values: Map<String, Value>,
    lowercase_roles: Vec<String>,
    scope: Scope,
}

/// Keys whose values are secrets: no check may see or print them.
const SECRET_KEYS: [&str; 2] = ["auth_token", "service_token"];

/// A Keystone answer that lacks what credentials need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token has no {field}: wanted {wanted}")]
pub struct InvalidToken {
    field: &'static str,
    wanted: &'static str,
}

impl Credentials {
    /// Takes a dictionary as oslo.policy's callers pass it. `system` is set from a true `system_scope`; the scope is read
    /// off `system`, `domain_id`, `project_id` in this order; `auth_token` and `service_token` are dropped.
    #[must_use]
    pub fn from_values(mut values: Map<String, Value>) -> Self {
        for key in SECRET_KEYS {
            values.shift_remove(key);
        }
        if let Some(system) = values
            .get("system_scope")
            .filter(|value| python::truthy(value))
            .cloned()
        {
            values.insert("system".to_owned(), system);
        }
        let is_set = |key: &str| values.get(key).is_some_and(python::truthy);
        let scope = if is_set("system") {
            Scope::System
        } else if is_set("domain_id") {
            Scope::Domain
        } else if is_set("project_id") {
            Scope::Project
        } else {
            Scope::Unscoped
        };
        let lowercase_roles = match values.get("roles") {
            Some(Value::Array(roles)) => roles
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_lowercase)
                .collect(),
            _ => Vec::new(),
        };
        Self {
            values,
            lowercase_roles,
            scope,
        }
    }

    /// Reads what Keystone's `GET /v3/auth/tokens` answers under `token` (Identity API v3, "Validate and show information
    /// for token").
    ///
    /// # Errors
    /// When `user.id` is missing.
    pub fn from_token(token: &Value) -> Result<Self, InvalidToken> {
        let user_id = token
            .pointer("/user/id")
            .filter(|id| id.is_string())
            .ok_or(InvalidToken {
                field: "user.id",
                wanted: "the text at token.user.id",
            })?;
        let at = |pointer: &str| token.pointer(pointer).cloned().unwrap_or(Value::Null);
        let user_domain_id = at("/user/domain/id");
        let (project_id, project_domain_id) = (at("/project/id"), at("/project/domain/id"));
        let domain_id = at("/domain/id");
        let system_scope = match token.get("system") {
            Some(system) if python::truthy(system) => json!("all"),
            _ => Value::Null,
        };
        let roles = role_names(token);
        let is_admin = roles.iter().any(|role| role == "admin");
        let is_admin_project = token
            .get("is_admin_project")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        let values = [
            ("user_id", user_id.clone()),
            ("user_domain_id", user_domain_id.clone()),
            ("system_scope", system_scope),
            ("domain_id", domain_id.clone()),
            ("project_id", project_id.clone()),
            ("project_domain_id", project_domain_id.clone()),
            ("roles", json!(roles)),
            ("is_admin", json!(is_admin)),
            ("is_admin_project", json!(is_admin_project)),
            ("service_user_id", Value::Null),
            ("service_user_domain_id", Value::Null),
            ("service_project_id", Value::Null),
            ("service_project_domain_id", Value::Null),
            ("service_roles", json!([])),
            ("user", user_id.clone()),
            ("tenant", project_id.clone()),
            ("project", project_id),
            ("domain", domain_id),
            ("user_domain", user_domain_id),
            ("project_domain", project_domain_id),
        ];
        Ok(Self::from_values(
            values
                .map(|(key, value)| (key.to_owned(), value))
                .into_iter()
                .collect(),
        ))
    }

    /// Adds the `service_*` keys from the token of the service that passes the request on, in the form that
    /// [`Credentials::from_token`] reads.
    #[must_use]
    pub fn with_service_token(mut self, token: &Value) -> Self {
        let at = |pointer: &str| token.pointer(pointer).cloned().unwrap_or(Value::Null);
        for (key, value) in [
            ("service_user_id", at("/user/id")),
            ("service_user_domain_id", at("/user/domain/id")),
            ("service_project_id", at("/project/id")),
            ("service_project_domain_id", at("/project/domain/id")),
            ("service_roles", json!(role_names(token))),
        ] {
            self.values.insert(key.to_owned(), value);
        }
        self
    }

    /// What the token is scoped to.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The dictionary that checks look into.
    #[must_use]
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The names of the roles, in lower case.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.lowercase_roles
    }

    /// Whether the role of this lower-case name is held.
    pub(super) fn has_role(&self, lowercase_name: &str) -> bool {
        self.lowercase_roles
            .iter()
            .any(|role| role == lowercase_name)
    }
}

fn role_names(token: &Value) -> Vec<String> {
    let roles = token
        .get("roles")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    roles
        .iter()
        .filter_map(|role| role.get("name")?.as_str())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Value {
        json!({
            "user": {"id": "u1", "name": "ann", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "name": "backup", "domain": {"id": "d1", "name": "One"}},
            "roles": [{"id": "1", "name": "Member"}, {"id": "2", "name": "reader"}],
            "methods": ["password"],
            "is_admin_project": false,
        })
    }

    #[test]
    fn a_project_token_gives_the_keys_of_oslo_context() {
        let credentials = Credentials::from_token(&token())
            .unwrap()
            .with_service_token(&json!({
                "user": {"id": "u2", "domain": {"id": "d2"}}, "roles": [{"name": "Service"}],
            }));
        assert_eq!(credentials.scope(), Scope::Project);
        assert_eq!(credentials.roles(), ["member", "reader"]);
        assert_eq!(
            Value::Object(credentials.values().clone()),
            json!({
                "user_id": "u1", "user_domain_id": "default", "system_scope": null, "domain_id": null,
                "project_id": "p1", "project_domain_id": "d1", "roles": ["member", "reader"],
                "is_admin": false, "is_admin_project": false,
                "service_user_id": "u2", "service_user_domain_id": "d2", "service_project_id": null,
                "service_project_domain_id": null, "service_roles": ["service"],
                "user": "u1", "tenant": "p1", "project": "p1", "domain": null,
                "user_domain": "default", "project_domain": "d1",
            })
        );
    }

    #[test]
    fn the_scope_follows_the_token() {
        let mut token = token();
        token.as_object_mut().unwrap().remove("project");
        assert_eq!(
            Credentials::from_token(&token).unwrap().scope(),
            Scope::Unscoped
        );
        token["domain"] = json!({"id": "d1"});
        assert_eq!(
            Credentials::from_token(&token).unwrap().scope(),
            Scope::Domain
        );
        token["system"] = json!({"all": true});
        let credentials = Credentials::from_token(&token).unwrap();
        assert_eq!(credentials.scope(), Scope::System);
        assert_eq!(credentials.values()["system"], "all");
    }

    #[test]
    fn a_token_without_user_is_refused_and_secrets_are_dropped() {
        let error = Credentials::from_token(&json!({"user": {"id": 5}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the token has no user.id: wanted the text at token.user.id"
        );
        let values = json!({"auth_token": "gAAAA", "service_token": "gAAAB", "roles": "admin"});
        let credentials = Credentials::from_values(values.as_object().unwrap().clone());
        assert_eq!(credentials.values().len(), 1);
        assert!(credentials.roles().is_empty());
    }
}
