//! The entries of a job's `job_actions`: new actions, and references to stored ones.

use std::fmt::Display;

use serde_json::Value;

use crate::clock::Ids;
use crate::domain::Refusal;
use crate::domain::action::{self, Action};
use crate::domain::document::{self, Object};
use crate::domain::validation::Schemas;

/// One entry of `job_actions` in a request.
#[derive(Clone, Debug)]
pub enum ActionEntry {
    /// A new action, described in the job itself.
    Inline(Box<Action>),
    /// An action of the project; with its definition, where the entry repeats it.
    Reference {
        /// The action's identifier.
        action_id: String,
        /// What the entry says that the action is.
        freezer_action: Option<Object>,
    },
}

impl ActionEntry {
    /// The stored action that it names.
    pub fn reference(&self) -> Option<&str> {
        match self {
            ActionEntry::Reference { action_id, .. } => Some(action_id),
            ActionEntry::Inline(_) => None,
        }
    }

    /// What it says of the action of this id, where it names that one and says anything.
    fn claim(&self, id: &str) -> Option<&Object> {
        match self {
            ActionEntry::Reference {
                action_id,
                freezer_action,
            } if action_id == id => freezer_action.as_ref(),
            ActionEntry::Reference { .. } | ActionEntry::Inline(_) => None,
        }
    }
}

/// Refuses entries that name an action and say something else than what is stored. Null and absent are equal, and the members
/// that the reference ignores are ignored.
///
/// # Errors
/// [`Refusal::Unprocessable`].
pub fn check_claims(entries: &[ActionEntry], stored: &Action) -> Result<(), Refusal> {
    let mut claims = entries
        .iter()
        .filter_map(|entry| entry.claim(&stored.id))
        .peekable();
    if claims.peek().is_none() {
        return Ok(());
    }
    let stored_action = stored.freezer_action();
    let differs = |claimed: &Object| {
        let is_other = |key: &String| {
            let value =
                |object: &'_ Object| object.get(key).filter(|value| !value.is_null()).cloned();
            !matches!(key.as_str(), "_version" | "user_id")
                && value(claimed) != value(&stored_action)
        };
        claimed.keys().chain(stored_action.keys()).any(is_other)
    };
    if claims.any(differs) {
        return Err(Refusal::Unprocessable(format!(
            "Action id: {} already exists with a different definition. \
             Update the action directly, or omit action_id to create a new one.",
            stored.id
        )));
    }
    Ok(())
}

/// Refuses a job whose document would be too large, given the sizes of those stored actions that there are.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn check_size(
    body: usize,
    entries: &[ActionEntry],
    stored: impl Fn(&str) -> Option<usize>,
    max: usize,
) -> Result<(), Refusal> {
    let size = |entry: &ActionEntry| entry.reference().and_then(&stored);
    refuse_larger(body + entries.iter().filter_map(size).sum::<usize>(), max)
}

/// Refuses a job whose document would have more bytes than it may.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn refuse_larger(size: usize, max: usize) -> Result<(), Refusal> {
    if size <= max {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "The job would have {size} bytes with its actions; it may have {max} ([api] max_document_size)"
    )))
}

/// What the parsing of a body needs besides it.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BodyContext<'a> {
    pub schemas: &'a Schemas,
    pub project_id: &'a str,
    pub user_id: &'a str,
    /// Makes the ids of new actions.
    pub ids: &'a Ids,
    /// How many bytes the document of a job may have.
    pub max_size: usize,
}

/// Reads the entries of a body, each with the defaults that it lacks.
///
/// # Errors
/// [`Refusal::Invalid`] naming the field; [`Refusal::Unprocessable`] for an `action_id` that cannot be one.
pub(super) fn parse_entries(
    context: &BodyContext<'_>,
    entries: Vec<Value>,
    defaults: &Object,
) -> Result<Vec<ActionEntry>, Refusal> {
    entries
        .into_iter()
        .map(|entry| parse_entry(context, entry, defaults))
        .collect()
}

/// How many bytes a body has once each entry has the defaults that it lacks.
pub(super) fn expanded_size(members: &Object, defaults: &Object) -> usize {
    let defaults: Vec<(&String, usize)> = defaults
        .iter()
        .map(|(key, value)| (key, key.len() + document::size(value)))
        .collect();
    let entries = members.get("job_actions").and_then(Value::as_array);
    let added = entries.into_iter().flatten().map(|entry| {
        let freezer_action = entry.get("freezer_action");
        let lacks = |key: &str| {
            let given = freezer_action.and_then(|action| action.get(key));
            given.is_none_or(Value::is_null)
        };
        let lacking = defaults.iter().filter(|(key, _)| lacks(key));
        lacking.map(|(_, size)| size).sum::<usize>()
    });
    document::size(members) + added.sum::<usize>()
}

/// Puts the job's `action_defaults` where an entry has nothing.
fn add_defaults(entry: &mut Object, defaults: &Object) -> Result<(), Refusal> {
    if defaults.is_empty() {
        return Ok(());
    }
    let Some(Value::Object(freezer_action)) = entry.get_mut("freezer_action") else {
        return Err(Refusal::Invalid("Missing request body".to_owned()));
    };
    for (key, value) in defaults {
        if freezer_action.get(key).is_none_or(Value::is_null) {
            freezer_action.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

fn parse_entry(
    context: &BodyContext<'_>,
    entry: Value,
    defaults: &Object,
) -> Result<ActionEntry, Refusal> {
    let Value::Object(mut entry) = entry else {
        return Err(Refusal::Invalid("job_actions must be objects".to_owned()));
    };
    add_defaults(&mut entry, defaults)?;
    let action_id = entry
        .shift_remove("action_id")
        .filter(|id| !document::is_falsy(Some(id)));
    let Some(action_id) = action_id else {
        let (project_id, user_id) = (context.project_id, context.user_id);
        let new_id = || context.ids.hex();
        let action = action::parse(context.schemas, entry, project_id, user_id, new_id)?;
        return Ok(ActionEntry::Inline(Box::new(action)));
    };
    let not_found =
        |id: &dyn Display| Refusal::Unprocessable(format!("Action id: {id} not found."));
    let Value::String(action_id) = action_id else {
        return Err(not_found(&action_id));
    };
    // What cannot be an identifier is not looked for.
    let checked = context.schemas.check_identifier("action_id", &action_id);
    if checked.is_err() {
        return Err(not_found(&action_id));
    }
    let freezer_action = entry.get("freezer_action").and_then(Value::as_object);
    Ok(ActionEntry::Reference {
        action_id,
        freezer_action: freezer_action.cloned(),
    })
}
