//! Who asks: the attributes of a token that checks are compared with.

use std::borrow::Cow;

use serde_json::{Map, Value};

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

/// Who asks, as checks see them: attributes in oslo.context's words, each looked up when a check names it.
pub trait Identity {
    /// The attribute of this name, if there is one.
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>>;
    /// The names of the roles, in lower case.
    fn roles(&self) -> &[String];
    /// What the token is scoped to.
    fn scope(&self) -> Scope;
}

/// The credentials of one request: a dictionary in oslo.context's words, and the scope of the token. Which keys there are
/// is the service's to say, as it is the service's context class that fills oslo.policy's dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    values: Map<String, Value>,
    lowercase_roles: Vec<String>,
    scope: Scope,
}

/// Keys whose values are secrets: no check may see or print them.
const SECRET_KEYS: [&str; 2] = ["auth_token", "service_token"];

impl Credentials {
    /// Takes a dictionary and the scope of the token. As oslo.policy does on enforcement, `system` is set from a true
    /// `system_scope`; `auth_token` and `service_token` are dropped.
    #[must_use]
    pub fn new(mut values: Map<String, Value>, scope: Scope) -> Self {
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

    /// Takes a dictionary alone, whose scope oslo.policy reads off `system`, `domain_id`, `project_id` in this order.
    #[must_use]
    pub fn from_values(values: Map<String, Value>) -> Self {
        let mut credentials = Self::new(values, Scope::Unscoped);
        let is_set = |key: &str| credentials.values.get(key).is_some_and(python::truthy);
        credentials.scope = if is_set("system") {
            Scope::System
        } else if is_set("domain_id") {
            Scope::Domain
        } else if is_set("project_id") {
            Scope::Project
        } else {
            Scope::Unscoped
        };
        credentials
    }

    /// The dictionary that checks look into.
    #[must_use]
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }
}

impl Identity for Credentials {
    fn attribute(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.values.get(name).map(Cow::Borrowed)
    }

    fn roles(&self) -> &[String] {
        &self.lowercase_roles
    }

    fn scope(&self) -> Scope {
        self.scope
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_scope_of_a_dictionary_is_oslo_policys() {
        for (values, scope) in [
            (json!({"roles": []}), Scope::Unscoped),
            (json!({"project_id": "p1"}), Scope::Project),
            (
                json!({"project_id": "p1", "domain_id": "d1"}),
                Scope::Domain,
            ),
            (
                json!({"domain_id": "d1", "system_scope": "all"}),
                Scope::System,
            ),
            (
                json!({"domain_id": null, "project_id": ""}),
                Scope::Unscoped,
            ),
        ] {
            let credentials = Credentials::from_values(values.as_object().unwrap().clone());
            assert_eq!(credentials.scope(), scope, "{values}");
            let system = credentials.values().get("system");
            assert_eq!(system.is_some(), scope == Scope::System, "{values}");
        }
    }

    #[test]
    fn secrets_are_dropped() {
        let values = json!({"auth_token": "gAAAA", "service_token": "gAAAB", "roles": "admin"});
        let credentials = Credentials::from_values(values.as_object().unwrap().clone());
        assert_eq!(credentials.values().len(), 1);
        assert!(credentials.roles().is_empty());
    }
}
