//! `freezer-manage policy`: the sample file, the rules in force, and how they decide about a token.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::authz::{policy_credentials, rules};
use crate::keystone;
use crate::oslo::policy::{Enforcer, Explanation, Origin};

/// A question that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The token file does not hold a token.
    #[error(
        "the token file: wanted Keystone's answer to GET /v3/auth/tokens, {{\"token\": {{…}}}}: {0}"
    )]
    Token(String),
    /// No rule has this name.
    #[error("there is no policy rule {0:?}: \"freezer-manage policy list\" shows all")]
    UnknownRule(String),
    /// A target attribute is not written as `key=value`.
    #[error("target attribute {0:?}: wanted key=value, such as project_id=4f6a…")]
    Target(String),
}

/// The answer to `freezer-manage policy check`, which prints as lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request would be let through.
    pub allowed: bool,
    /// The target that was asked about.
    pub target: Map<String, Value>,
    /// Which check decided and why.
    pub explanation: Explanation,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.explanation)?;
        write!(f, "target:")?;
        for (key, value) in &self.target {
            match value {
                Value::String(text) => write!(f, " {key}={text}")?,
                other => write!(f, " {key}={other}")?,
            }
        }
        writeln!(f)
    }
}

/// The sample policy file.
#[must_use]
pub fn sample() -> String {
    rules::policy_sample()
}

/// The rules in force, one a line in the form of a policy file, each followed by the place that it comes from.
#[must_use]
pub fn list(enforcer: &Enforcer) -> String {
    let mut out = String::new();
    for rule in enforcer.rules() {
        let origin = match &rule.origin {
            Origin::File { .. } => {
                let replaces = rules::DEFAULTS
                    .iter()
                    .find(|default| default.name == rule.name);
                let replaces =
                    replaces.map(|default| format!(", instead of \"{}\"", default.check));
                format!("{}{}", rule.origin, replaces.unwrap_or_default())
            }
            Origin::Default => rule.origin.to_string(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\"{}\": {}  # {origin}", rule.name, rule.value);
    }
    out
}

/// Asks `rule` about the token in `token_file` (its content) and a target of `key=value` attributes, with the credentials
/// that a request with this token has. As in a request, the target has a `project_id`: the token's, where it names none.
///
/// # Errors
/// When the file, the rule or an attribute is not what it should be.
pub fn check(
    enforcer: &Enforcer,
    token_file: &str,
    rule: &str,
    target: &[String],
) -> Result<Verdict, CheckError> {
    let caller = keystone::context_of_token(token_file.as_bytes()).map_err(CheckError::Token)?;
    let credentials = policy_credentials(&caller);
    if !enforcer.defines(rule) {
        return Err(CheckError::UnknownRule(rule.to_owned()));
    }
    let mut attributes = Map::new();
    if let Some(project_id) = caller.project_id {
        attributes.insert("project_id".to_owned(), project_id.into());
    }
    for pair in target {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| CheckError::Target(pair.clone()))?;
        attributes.insert(key.to_owned(), Value::from(value));
    }
    let explanation = enforcer.explain(rule, &attributes, &credentials);
    Ok(Verdict {
        allowed: explanation.decision.is_allowed(),
        target: attributes,
        explanation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oslo::policy::Options;

    const TOKEN: &str = r#"{"token": {
        "user": {"id": "u1", "name": "ann", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p1", "name": "demo", "domain": {"id": "default", "name": "Default"}},
        "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "reader"}], "methods": ["password"],
        "expires_at": "2026-11-22T20:48:44.000000Z"}}"#;

    fn enforcer(policy: Option<&str>) -> (Enforcer, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.yaml");
        if let Some(policy) = policy {
            std::fs::write(&path, policy).unwrap();
        }
        let options = Options {
            policy_file: Some(path),
            ..Options::default()
        };
        (Enforcer::new(rules::DEFAULTS, options).unwrap(), directory)
    }

    #[test]
    fn a_token_is_checked_with_reasons() {
        let (enforcer, _directory) = enforcer(None);
        let own = check(&enforcer, TOKEN, "jobs:create", &[]).unwrap();
        assert!(own.allowed);
        assert_eq!(own.target["project_id"], "p1");
        let other = check(
            &enforcer,
            TOKEN,
            "jobs:create",
            &["project_id=p2".to_owned()],
        )
        .unwrap();
        assert!(!other.allowed);
        insta::assert_snapshot!(other, @r#"
        jobs:create: denied
          "jobs:create": "rule:admin_or_owner" (default)
          rule:admin_or_owner fails
            any of fails
              rule:context_is_admin fails
        >       role:admin fails: role "admin", the credentials have ["member", "reader"]
              rule:project_member fails
                all of fails
                  role:member passes: role "member", the credentials have ["member", "reader"]
        >         project_id:%(project_id)s fails: project_id is "p1", compared with "p2"
        target: project_id=p2
        "#);
    }

    #[test]
    fn rules_are_asked_about_the_credentials_of_a_request() {
        let (enforcer, _directory) = enforcer(Some(
            "known: user_identity:%(identity)s\n\
             identity: user:%(owner)s and read_only:False\n\
             foreign: tenant:p1 or user_id:u1 or service_roles:service\n",
        ));
        let answer = |rule, target: &[String]| check(&enforcer, TOKEN, rule, target).unwrap();
        assert!(answer("identity", &["owner=u1".to_owned()]).allowed);
        assert!(!answer("foreign", &[]).allowed, "no key of FreezerContext");
        let identity = ["identity=u1 p1 - default default".to_owned()];
        assert!(answer("known", &identity).allowed);
    }

    #[test]
    fn a_token_of_another_scope_is_refused() {
        let (enforcer, _directory) = enforcer(None);
        let domain = TOKEN.replace("\"project\"", "\"domain\"");
        let verdict = check(&enforcer, &domain, "backups:create", &[]).unwrap();
        assert!(!verdict.allowed);
        assert!(
            verdict
                .to_string()
                .contains("the token's scope is domain, the rule takes project: refused")
        );
    }

    #[test]
    fn questions_that_cannot_be_asked_say_what_is_wanted() {
        let (enforcer, _directory) = enforcer(None);
        let error = |token: &str, rule, target: &str| {
            check(&enforcer, token, rule, &[target.to_owned()])
                .unwrap_err()
                .to_string()
        };
        for (token, reason) in [
            ("{", "EOF while parsing an object"),
            ("[]", "invalid length 0, expected struct Body"),
            (r#"{"user_id": "u1"}"#, "missing field `token`"),
            (r#"{"token": {}}"#, "missing field `expires_at`"),
        ] {
            let error = error(token, "jobs:get", "a=b");
            assert!(
                error.starts_with("the token file: wanted Keystone's answer"),
                "{error}"
            );
            assert!(error.contains(reason), "{error}");
        }
        assert!(
            error(TOKEN, "jobs:fly", "a=b").starts_with("there is no policy rule \"jobs:fly\"")
        );
        assert!(
            error(TOKEN, "jobs:get", "a").starts_with("target attribute \"a\": wanted key=value")
        );
    }

    #[test]
    fn the_list_shows_where_rules_come_from() {
        let (enforcer, directory) = enforcer(Some(
            "\"jobs:get\": [[\"role:a\", \"role:b\"]]\nmine: '!'\n",
        ));
        let list = list(&enforcer);
        let path = directory.path().join("policy.yaml");
        for line in [
            "\"clients:get\": \"rule:admin_or_reader_or_service\"  # default\n".to_owned(),
            format!("\"mine\": \"!\"  # {}, line 2\n", path.display()),
            format!(
                "\"jobs:get\": [[\"role:a\", \"role:b\"]]  # {}, line 1, instead of \
                 \"rule:admin_or_reader_or_service\"\n",
                path.display()
            ),
        ] {
            assert!(list.contains(&line), "{line}{list}");
        }
        assert_eq!(list.lines().count(), rules::DEFAULTS.len() + 1);
        assert!(sample().contains("#\"jobs:get\": \"rule:admin_or_reader_or_service\"\n"));
    }
}
