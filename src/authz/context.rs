//! Who calls: the identity behind a validated token, as policies and handlers see it.

use secrecy::SecretString;

/// What a token is good for (Keystone API v3, "scoped tokens"; a token has exactly one scope).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope<'a> {
    /// One project, by id.
    Project(&'a str),
    /// One domain, by id: administration of its users and projects, no project's data.
    Domain(&'a str),
    /// The whole deployment.
    System,
    /// An identity without any authorization.
    Unscoped,
}

impl TokenScope<'_> {
    /// The name that oslo.policy uses in `scope_types`; `None` for an unscoped token.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Project(_) => Some("project"),
            Self::Domain(_) => Some("domain"),
            Self::System => Some("system"),
            Self::Unscoped => None,
        }
    }
}

/// The caller of one request. Built from Keystone's answer alone: no header of the client gets in.
///
/// Field meanings are those of oslo.context's `RequestContext`, filled as the reference's
/// `freezer_api.api.common.middleware.ContextMiddleware` fills it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The caller's user id.
    pub user_id: String,
    /// The caller's name, for the log.
    pub user_name: Option<String>,
    /// The domain of the user.
    pub user_domain_id: Option<String>,
    /// The project of a project-scoped token.
    pub project_id: Option<String>,
    /// That project's name, for the log.
    pub project_name: Option<String>,
    /// The domain of that project.
    pub project_domain_id: Option<String>,
    /// The domain of a domain-scoped token.
    pub domain_id: Option<String>,
    /// `all` for a system-scoped token.
    pub system_scope: Option<String>,
    /// Role names, trimmed and in lower case. A name with a comma stays one role (the reference, which passes roles in
    /// a header, would take it for two).
    pub roles: Vec<String>,
    /// The ids of the same roles, for trusts that delegate all of them.
    pub role_ids: Vec<String>,
    /// Whether Keystone calls the project its admin project; true where Keystone does not say.
    pub is_admin_project: bool,
    /// The caller's token, with which trusts are made.
    pub token: SecretString,
}

impl RequestContext {
    /// The scope of the caller's token.
    pub fn scope(&self) -> TokenScope<'_> {
        if self.system_scope.is_some() {
            TokenScope::System
        } else if let Some(domain) = &self.domain_id {
            TokenScope::Domain(domain)
        } else if let Some(project) = &self.project_id {
            TokenScope::Project(project)
        } else {
            TokenScope::Unscoped
        }
    }

    /// Whether the caller has the role, given in lower case.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// oslo.context's `user_identity`: user, project, domain, user's domain and project's domain; `-` for what is not there.
    pub fn user_identity(&self) -> String {
        let parts = [
            Some(self.user_id.as_str()),
            self.project_id.as_deref(),
            self.domain_id.as_deref(),
            self.user_domain_id.as_deref(),
            self.project_domain_id.as_deref(),
        ];
        parts.map(|part| part.unwrap_or("-")).join(" ")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::authz) fn demo() -> RequestContext {
        RequestContext {
            user_id: "u1".into(),
            user_name: Some("demo".into()),
            user_domain_id: Some("default".into()),
            project_id: Some("p1".into()),
            project_name: Some("demo".into()),
            project_domain_id: Some("default".into()),
            domain_id: None,
            system_scope: None,
            roles: vec!["member".into()],
            role_ids: vec!["r1".into()],
            is_admin_project: true,
            token: "gAAAA-secret".into(),
        }
    }

    #[test]
    fn scope_follows_the_token() {
        let mut context = demo();
        assert_eq!(context.scope(), TokenScope::Project("p1"));
        context.project_id = None;
        assert_eq!(context.scope(), TokenScope::Unscoped);
        context.domain_id = Some("d1".into());
        assert_eq!(context.scope(), TokenScope::Domain("d1"));
        context.domain_id = None;
        context.system_scope = Some("all".into());
        assert_eq!(context.scope().name(), Some("system"));
    }

    #[test]
    fn debug_hides_the_token() {
        let printed = format!("{:?}", demo());
        assert!(!printed.contains("gAAAA"), "{printed}");
    }
}
