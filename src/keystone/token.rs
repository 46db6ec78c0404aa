//! What Keystone says about a token (`GET /v3/auth/tokens`), cut down to what this service decides by.

use regex::Regex;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::authz::RequestContext;

/// A token that Keystone has validated. Holds no secret: this is also what the shared cache stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValidToken {
    /// Seconds since the epoch; at this second the token is no longer good.
    pub(crate) expires_at: i64,
    pub(crate) user: User,
    pub(crate) project: Option<Project>,
    pub(crate) domain_id: Option<String>,
    pub(crate) system: bool,
    pub(crate) roles: Vec<Role>,
    pub(crate) is_admin_project: bool,
    /// Present on tokens of a restricted application credential.
    pub(crate) access: Option<Access>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) domain_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// The limits of a restricted application credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    rules: Vec<AccessRule>,
    /// The service types of the token's catalog.
    service_types: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AccessRule {
    service: String,
    method: String,
    path: String,
}

impl ValidToken {
    /// Reads the body of `POST` or `GET /v3/auth/tokens`.
    ///
    /// # Errors
    /// What is missing or of another type, without any of the body's content.
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, String> {
        let Body { token } = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        token.try_into()
    }

    pub(crate) fn expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at <= now.unix_timestamp()
    }

    /// Whether one of the token's roles is in `wanted` (names compare exactly, as in keystonemiddleware).
    pub(crate) fn has_any_role(&self, wanted: &[String]) -> bool {
        self.roles.iter().any(|role| wanted.contains(&role.name))
    }

    /// Whether an application credential's access rules, if any, allow the request.
    ///
    /// `from_service` says that a token with a service role came along: the request is then one of a chain, and the rules
    /// apply to its first link only (keystonemiddleware `validate_allowed_request`).
    pub(crate) fn allows(
        &self,
        service_type: Option<&str>,
        method: &str,
        path: &str,
        from_service: bool,
    ) -> bool {
        let Some(access) = &self.access else {
            return true;
        };
        let Some(service_type) = service_type else {
            tracing::warn!(
                "a token with access rules was refused: set [keystone_authtoken] service_type to have them checked"
            );
            return false;
        };
        if !access
            .service_types
            .iter()
            .any(|known| known == service_type)
        {
            tracing::warn!(
                service_type,
                "a token with access rules was refused: its catalog has no such service type"
            );
            return false;
        }
        from_service
            || access.rules.iter().any(|rule| {
                rule.service == service_type
                    && rule.method == method
                    && path_matches(&rule.path, path)
            })
    }

    /// The caller that the token stands for.
    pub(crate) fn context(&self, token: &str) -> RequestContext {
        RequestContext {
            user_id: self.user.id.clone(),
            user_name: self.user.name.clone(),
            user_domain_id: self.user.domain_id.clone(),
            project_id: self.project.as_ref().map(|p| p.id.clone()),
            project_name: self.project.as_ref().and_then(|p| p.name.clone()),
            project_domain_id: self.project.as_ref().and_then(|p| p.domain_id.clone()),
            domain_id: self.domain_id.clone(),
            system_scope: self.system.then(|| "all".to_owned()),
            roles: self
                .roles
                .iter()
                .map(|role| role.name.trim().to_lowercase())
                .collect(),
            role_ids: self.roles.iter().map(|role| role.id.clone()).collect(),
            is_admin_project: self.is_admin_project,
            token: token.into(),
        }
    }
}

/// The caller whom Keystone's answer to `GET /v3/auth/tokens` describes, read as the service reads it for a request. The
/// context has no token.
///
/// # Errors
/// What is missing or of another type.
pub fn context_of_token(answer: &[u8]) -> Result<RequestContext, String> {
    Ok(ValidToken::from_body(answer)?.context(""))
}

/// Whether a path fits an access rule's pattern: `{tag}` and `*` stand for one path segment, `**` for anything
/// (Keystone, "Access Rules"). All else is literal; keystonemiddleware lets `.` and its like act as regular expressions.
fn path_matches(pattern: &str, path: &str) -> bool {
    let mut expression = String::from(r"\A(?s:");
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        rest = if let Some(behind) = rest.strip_prefix("**") {
            expression.push_str(".*");
            behind
        } else if let Some(behind) = rest.strip_prefix('*') {
            expression.push_str("[^/]+");
            behind
        } else if next == '{'
            && let Some((_, behind)) = rest.split_once('}')
        {
            expression.push_str("[^/]+");
            behind
        } else {
            expression.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            rest.split_at(next.len_utf8()).1
        };
    }
    expression.push_str(r")\z");
    Regex::new(&expression).is_ok_and(|expression| expression.is_match(path))
}

/// The catalog of a token body, for those who look for an endpoint in it.
pub(crate) fn catalog(body: &[u8]) -> serde_json::Result<Vec<CatalogEntry>> {
    Ok(serde_json::from_slice::<Body>(body)?.token.catalog)
}

#[derive(Deserialize)]
struct Body {
    token: WireToken,
}

#[derive(Deserialize)]
struct WireToken {
    expires_at: String,
    user: WireNamed,
    project: Option<WireNamed>,
    domain: Option<WireNamed>,
    system: Option<WireSystem>,
    #[serde(default)]
    roles: Vec<Role>,
    is_admin_project: Option<bool>,
    application_credential: Option<WireApplicationCredential>,
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
}

#[derive(Deserialize)]
struct WireNamed {
    id: String,
    name: Option<String>,
    domain: Option<WireDomain>,
}

#[derive(Deserialize)]
struct WireDomain {
    id: Option<String>,
}

#[derive(Deserialize)]
struct WireSystem {
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
struct WireApplicationCredential {
    access_rules: Option<Vec<AccessRule>>,
}

/// One service of a catalog.
#[derive(Deserialize)]
pub(crate) struct CatalogEntry {
    #[serde(rename = "type")]
    pub(crate) service_type: String,
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One address of a service.
#[derive(Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) interface: String,
    pub(crate) region: Option<String>,
    pub(crate) region_id: Option<String>,
    pub(crate) url: String,
}

impl TryFrom<WireToken> for ValidToken {
    type Error = String;

    fn try_from(wire: WireToken) -> Result<Self, String> {
        let expires_at = OffsetDateTime::parse(&wire.expires_at, &Rfc3339)
            .map_err(|e| format!("expires_at is not an ISO 8601 time: {e}"))?
            .unix_timestamp();
        let catalog = wire.catalog;
        let access = wire
            .application_credential
            .and_then(|credential| credential.access_rules)
            .map(|rules| Access {
                rules,
                service_types: catalog
                    .into_iter()
                    .map(|entry| entry.service_type)
                    .collect(),
            });
        Ok(Self {
            expires_at,
            user: User {
                id: wire.user.id,
                name: wire.user.name,
                domain_id: wire.user.domain.and_then(|d| d.id),
            },
            project: wire.project.map(|project| Project {
                id: project.id,
                name: project.name,
                domain_id: project.domain.and_then(|d| d.id),
            }),
            domain_id: wire.domain.map(|domain| domain.id),
            system: wire.system.is_some_and(|system| system.all),
            roles: wire.roles,
            is_admin_project: wire.is_admin_project.unwrap_or(true),
            access,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut body = json!({"token": {
            "methods": ["password"],
            "user": {"domain": {"id": "default", "name": "Default"}, "id": "u1", "name": "demo", "password_expires_at": null},
            "audit_ids": ["x"], "expires_at": "2026-11-22T20:48:44.000000Z", "issued_at": "2026-11-22T19:48:44.000000Z",
            "project": {"domain": {"id": "default", "name": "Default"}, "id": "p1", "name": "demo"},
            "is_domain": false,
            "roles": [{"id": "r1", "name": "reader"}, {"id": "r2", "name": " Member "}],
            "catalog": [{"type": "backup", "endpoints": []}],
        }});
        change(&mut body["token"]);
        body.to_string().into_bytes()
    }

    #[test]
    fn project_scoped_token_becomes_a_context() {
        let token = ValidToken::from_body(&body(|_| ())).unwrap();
        assert_eq!(token.expires_at, 1_795_380_524);
        let context = token.context("secret");
        assert_eq!(context.user_id, "u1");
        assert_eq!(context.project_id.as_deref(), Some("p1"));
        assert_eq!(context.roles, ["reader", "member"]);
        assert_eq!(context.role_ids, ["r1", "r2"]);
        assert!(context.is_admin_project);
    }

    #[test]
    fn a_role_with_a_comma_stays_one_role() {
        let token = ValidToken::from_body(&body(|t| {
            t["roles"] = json!([{"id": "r", "name": "x,admin"}])
        }))
        .unwrap();
        assert!(!token.context("t").has_role("admin"));
    }

    #[test]
    fn expiry_is_exact_to_the_second() {
        let token = ValidToken::from_body(&body(|_| ())).unwrap();
        let expiry = OffsetDateTime::from_unix_timestamp(token.expires_at).unwrap();
        assert!(!token.expired(expiry - time::Duration::SECOND));
        assert!(token.expired(expiry));
    }

    #[test]
    fn a_body_that_is_no_token_is_refused() {
        for bad in [
            &b"{}"[..],
            b"<html>",
            b"",
            &body(|t| t["expires_at"] = json!("soon")),
            &body(|t| t["user"] = json!(null)),
        ] {
            assert!(
                ValidToken::from_body(bad).is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[test]
    fn access_rules_limit_method_and_path() {
        let rules = json!([{"id": "1", "service": "backup", "method": "GET", "path": "/v2/*/jobs/{id}"},
                           {"id": "2", "service": "compute", "method": "POST", "path": "/v2/p1/jobs"}]);
        let token = ValidToken::from_body(&body(|t| {
            t["application_credential"] = json!({"id": "a", "access_rules": rules})
        }))
        .unwrap();
        assert!(token.allows(Some("backup"), "GET", "/v2/p1/jobs/j1", false));
        assert!(!token.allows(Some("backup"), "DELETE", "/v2/p1/jobs/j1", false));
        assert!(!token.allows(Some("backup"), "GET", "/v2/p1/jobs/j1/event", false));
        assert!(!token.allows(Some("backup"), "POST", "/v2/p1/jobs", false));
        assert!(
            token.allows(Some("backup"), "POST", "/v2/p1/jobs", true),
            "a chain of services"
        );
        assert!(
            !token.allows(None, "GET", "/v2/p1/jobs/j1", false),
            "service_type is not configured"
        );
        assert!(
            !token.allows(Some("image"), "GET", "/v2/p1/jobs/j1", true),
            "not in the catalog"
        );
    }

    #[test]
    fn an_empty_list_of_access_rules_allows_nothing() {
        let token = ValidToken::from_body(&body(|t| {
            t["application_credential"] = json!({"access_rules": []})
        }))
        .unwrap();
        assert!(!token.allows(Some("backup"), "GET", "/v2/p1/jobs", false));
        let free = ValidToken::from_body(&body(|t| {
            t["application_credential"] = json!({"restricted": true})
        }))
        .unwrap();
        assert!(free.allows(None, "GET", "/v2/p1/jobs", false));
    }

    /// Cells checked against keystonemiddleware's `_path_matches`; the last three are where it takes literals for
    /// regular expressions.
    #[test]
    fn path_patterns() {
        for (pattern, path, wanted) in [
            ("/v2/p/jobs", "/v2/p/jobs", true),
            ("/v2/p/jobs", "/v2/p/jobs/", false),
            ("/v2/*/jobs", "/v2/p/jobs", true),
            ("/v2/*/jobs", "/v2//jobs", false),
            ("/v2/*/jobs", "/v2/a/b/jobs", false),
            ("/v2/{project_id}/jobs", "/v2/p/jobs", true),
            ("/v2/**", "/v2/a/b/jobs", true),
            ("/v2/**", "/v2/", true),
            ("/v2/**/jobs", "/v2/a/b/jobs", true),
            ("**", "/anything/at/all", true),
            ("/v2/p-*/x", "/v2/p-1/x", true),
            ("/v2/p.q", "/v2/pxq", false),
            ("/v2/(p|q)", "/v2/p", false),
            ("/v2/p+", "/v2/p+", true),
        ] {
            assert_eq!(path_matches(pattern, path), wanted, "{pattern} {path}");
        }
    }
}
