//! The single checks, such as `role:admin` or `project_id:%(project_id)s`, and what decides them.

use serde_json::{Map, Value};

use super::credentials::Identity;
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
    pub(super) fn passes(&self, target: &Map<String, Value>, credentials: &dyn Identity) -> bool {
        match &self.kind {
            CheckKind::Always => true,
            CheckKind::Never | CheckKind::Unreadable => false,
            CheckKind::Role(RoleName::Lowercase(name)) => has_role(credentials, name),
            CheckKind::Role(RoleName::Filled(name)) => name
                .fill(target)
                .is_ok_and(|name| has_role(credentials, &name.to_lowercase())),
            CheckKind::Literal { value, wanted } => {
                wanted.fill(target).is_ok_and(|wanted| wanted == *value)
            }
            CheckKind::Attribute { path, wanted } => wanted
                .fill(target)
                .is_ok_and(|wanted| holds(credentials, path, &wanted)),
        }
    }

    /// Why [`Check::passes`] says what it says, for a person.
    pub(super) fn reason(&self, target: &Map<String, Value>, credentials: &dyn Identity) -> String {
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
                let found = found(credentials, path);
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

/// Whether the role of this lower-case name is held.
fn has_role(credentials: &dyn Identity, lowercase_name: &str) -> bool {
    let mut roles = credentials.roles().iter();
    roles.any(|role| role == lowercase_name)
}

/// Whether the credential at `path` prints as `wanted`; of a list on the way, any item will do.
fn holds(credentials: &dyn Identity, path: &[String], wanted: &str) -> bool {
    visit(credentials, path, &mut |value| {
        python::text(value) == wanted
    })
}

/// The printed credentials at `path`.
fn found(credentials: &dyn Identity, path: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    visit(credentials, path, &mut |value| {
        found.push(python::text(value).into_owned());
        false
    });
    found
}

/// Shows each credential at `path` to `accept` until one is accepted.
fn visit(
    credentials: &dyn Identity,
    path: &[String],
    accept: &mut dyn FnMut(&Value) -> bool,
) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    let value = credentials.attribute(name);
    value.is_some_and(|value| enter(&value, rest, accept))
}

/// Goes on from a value. A list is entered once per step of the path, so a list in a list is compared as a whole. Recursive by
/// the steps of the path that exist in the credentials.
fn enter(value: &Value, path: &[String], accept: &mut dyn FnMut(&Value) -> bool) -> bool {
    let mut step = |value: &Value| match (value, path.split_first()) {
        (value, None) => accept(value),
        (Value::Object(members), Some((name, rest))) => members
            .get(name)
            .is_some_and(|value| enter(value, rest, accept)),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().any(step),
        value => step(value),
    }
}
