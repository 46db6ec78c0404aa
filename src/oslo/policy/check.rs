//! The single checks, such as `role:admin` or `project_id:%(project_id)s`, and what decides them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::credentials::Credentials;
use super::python;
use super::template::Template;

/// One check that looks at nothing but the credentials and the target.
#[derive(Debug)]
pub(super) struct Check {
    /// The check as the policy writes it.
    pub(super) text: String,
    kind: CheckKind,
}

#[derive(Debug)]
enum CheckKind {
    Always,
    Never,
    /// Text that is no check: it denies, as in oslo.policy.
    Unreadable,
    /// `role:…`, compared without case.
    Role(RoleName),
    /// A literal on the left side.
    Literal {
        value: String,
        wanted: Template,
    },
    /// A dotted path into the credentials on the left side.
    Attribute {
        path: Vec<String>,
        wanted: Template,
    },
}

#[derive(Debug)]
enum RoleName {
    Lowercase(String),
    Filled(Template),
}

/// What a text of the form `kind:match` is, apart from references to other rules.
impl Check {
    /// `@`
    pub(super) fn always() -> Self {
        Self {
            text: "@".to_owned(),
            kind: CheckKind::Always,
        }
    }

    /// `!`
    pub(super) fn never() -> Self {
        Self {
            text: "!".to_owned(),
            kind: CheckKind::Never,
        }
    }

    /// Text that could not be understood.
    pub(super) fn unreadable(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            kind: CheckKind::Unreadable,
        }
    }

    /// Reads `kind:wanted`, where kind is neither `rule` nor a remote check.
    ///
    /// # Errors
    /// Why oslo.policy could not evaluate such a check, and so this module does not load it.
    pub(super) fn parse(kind: &str, wanted: &str) -> Result<Self, String> {
        let text = format!("{kind}:{wanted}");
        let wanted = Template::parse(wanted).map_err(|place| {
            format!("check {text:?}: {place:?} is not %(key)s (write %% for a percent sign)")
        })?;
        let kind = match kind {
            "role" => CheckKind::Role(match wanted {
                Template::Fixed(name) => RoleName::Lowercase(name.to_lowercase()),
                filled @ Template::Parts(_) => RoleName::Filled(filled),
            }),
            _ => left_side(kind, wanted).ok_or_else(|| {
                format!(
                    "check {text:?}: the left side {kind:?} is neither an attribute of the credentials \
                     (names joined by dots) nor a literal ('text', a number, True, False or None)"
                )
            })?,
        };
        Ok(Self { text, kind })
    }

    /// Whether the check passes.
    pub(super) fn passes(&self, target: &Map<String, Value>, credentials: &Credentials) -> bool {
        match &self.kind {
            CheckKind::Always => true,
            CheckKind::Never | CheckKind::Unreadable => false,
            CheckKind::Role(RoleName::Lowercase(name)) => credentials.has_role(name),
            CheckKind::Role(RoleName::Filled(name)) => name
                .fill(target)
                .is_ok_and(|name| credentials.has_role(&name.to_lowercase())),
            CheckKind::Literal { value, wanted } => {
                wanted.fill(target).is_ok_and(|wanted| wanted == *value)
            }
            CheckKind::Attribute { path, wanted } => wanted
                .fill(target)
                .is_ok_and(|wanted| holds(credentials.values(), path, &wanted)),
        }
    }

    /// Why [`Check::passes`] says what it says, for a person.
    pub(super) fn reason(&self, target: &Map<String, Value>, credentials: &Credentials) -> String {
        let filled = |wanted: &Template| match wanted.fill(target) {
            Ok(text) => Ok(text.into_owned()),
            Err(key) => Err(format!("the target has no {key:?}")),
        };
        let reason = match &self.kind {
            CheckKind::Always => Ok("always passes".to_owned()),
            CheckKind::Never => Ok("never passes".to_owned()),
            CheckKind::Unreadable => {
                Ok("the text is not a policy check, so it never passes".to_owned())
            }
            CheckKind::Role(name) => match name {
                RoleName::Lowercase(name) => Ok(name.clone()),
                RoleName::Filled(template) => filled(template),
            }
            .map(|name| {
                format!(
                    "role {name:?}, the credentials have {:?}",
                    credentials.roles()
                )
            }),
            CheckKind::Literal { value, wanted } => filled(wanted)
                .map(|wanted| format!("the literal is {value:?}, compared with {wanted:?}")),
            CheckKind::Attribute { path, wanted } => filled(wanted).map(|wanted| {
                let found = found(credentials.values(), path);
                let name = path.join(".");
                match found.as_slice() {
                    [] => format!("the credentials have no {name:?}, compared with {wanted:?}"),
                    [one] => format!("{name} is {one:?}, compared with {wanted:?}"),
                    many => format!("{name} is one of {many:?}, compared with {wanted:?}"),
                }
            }),
        };
        reason.unwrap_or_else(|missing| missing)
    }
}

/// The left side of a generic check: a Python literal, else a dotted path.
fn left_side(kind: &str, wanted: Template) -> Option<CheckKind> {
    let trimmed = kind.trim_start_matches([' ', '\t']);
    if let Some(value) = python::literal(trimmed) {
        return Some(CheckKind::Literal { value, wanted });
    }
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    let starts_as_name = kind.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let path: Vec<String> = kind.split('.').map(str::to_owned).collect();
    (starts_as_name && path.iter().all(|name| is_name(name)))
        .then_some(CheckKind::Attribute { path, wanted })
}

/// Whether the credential at `path` prints as `wanted`; of a list on the way, any item will do.
fn holds(values: &Map<String, Value>, path: &[String], wanted: &str) -> bool {
    visit(values, path, &mut |value| python::text(value) == wanted)
}

/// The printed credentials at `path`.
fn found<'a>(values: &'a Map<String, Value>, path: &[String]) -> Vec<Cow<'a, str>> {
    let mut found = Vec::new();
    visit(values, path, &mut |value| {
        found.push(python::text(value));
        false
    });
    found
}

/// Shows each credential at `path` to `accept` until one is accepted. A list is entered once per step of the path, so a
/// list in a list is compared as a whole. Recursive by the steps of the path that exist in the credentials.
fn visit<'a>(
    values: &'a Map<String, Value>,
    path: &[String],
    accept: &mut dyn FnMut(&'a Value) -> bool,
) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    let mut enter = |value: &'a Value| match value {
        value if rest.is_empty() => accept(value),
        Value::Object(members) => visit(members, rest, accept),
        _ => false,
    };
    match values.get(name) {
        None => false,
        Some(Value::Array(items)) => items.iter().any(enter),
        Some(value) => enter(value),
    }
}
