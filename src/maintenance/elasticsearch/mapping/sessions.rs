//! Sessions.

use serde_json::{Value, json};

use super::{Kept, Mapped, Owner, cut, fitting_id, keep_refused, seconds};
use crate::domain::document::{Object, owned_text};
use crate::domain::session::{Session, SessionReplacement};
use crate::domain::validation::Schemas;
use crate::maintenance::elasticsearch::document::{Document, Kind};

/// The members that may be absent.
const OPTIONAL: [&str; 8] = [
    "description",
    "status",
    "result",
    "hold_off",
    "time_start",
    "time_end",
    "time_started",
    "time_ended",
];

/// The body of a request for the session, without its jobs.
fn body(schemas: &Schemas, rest: &mut Object, kept: &mut Kept) -> Object {
    let mut body = Object::new();
    for (key, default) in [("schedule", json!({})), ("session_tag", json!(0))] {
        let given = rest.shift_remove(key).filter(|value| !value.is_null());
        body.insert(key.to_owned(), given.unwrap_or(default));
    }
    let required = body.clone();
    for key in OPTIONAL {
        if let Some(value) = rest.shift_remove(key) {
            body.insert(key.to_owned(), value);
        }
    }
    cut(&mut body, "description", kept);
    keep_refused(
        &schemas.session_replace,
        &mut body,
        &OPTIONAL,
        &required,
        kept,
    );
    body
}

/// The row of a session.
pub(in super::super) fn map(
    schemas: &Schemas,
    document: &Document,
    owner: Owner<'_>,
) -> Result<Mapped<Session>, String> {
    let mut rest = document.members.clone();
    let mut kept = Kept::default();
    let id = owned_text(&rest, "session_id").unwrap_or_else(|| document.id().to_owned());
    let id = fitting_id(schemas, Kind::Sessions, &id, &mut kept);
    for key in ["session_id", "user_id", "project_id"] {
        rest.shift_remove(key);
    }
    // Never used: what was written there is always empty.
    if rest.get("last_start") == Some(&json!("")) {
        rest.shift_remove("last_start");
    }
    let mut body = body(schemas, &mut rest, &mut kept);
    // A session that never had jobs has an empty list.
    let jobs = rest.shift_remove("jobs").filter(|jobs| *jobs != json!([]));
    let is_empty = jobs.as_ref().is_none_or(Value::is_null);
    body.extend(jobs.map(|jobs| ("jobs".to_owned(), jobs)));
    let created = body
        .get("schedule")
        .and_then(|schedule| seconds(schedule.get("time_created")));
    let replacement = SessionReplacement::parse(schemas, body, owner.project_id)
        .map_err(|refusal| refusal.to_string())?;
    let mut session = replacement.apply(None, id, owner.project_id, owner.user_id);
    if is_empty {
        session.job = None;
    }
    kept.add_rest(rest);
    Ok(Mapped {
        row: session,
        created,
        kept,
    })
}
