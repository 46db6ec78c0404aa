//! Jobs, with the copies of actions in them.

use serde_json::Value;

use super::actions::{self, Known};
use super::{Kept, Mapped, Owner, cut, fitting_id, keep_refused, made_id, renamed, seconds};
use crate::clock::Ids;
use crate::domain::action::Action;
use crate::domain::document::{Object, owned_text};
use crate::domain::job::{BodyContext, Job, JobChange, JobReplacement, UserCredentials};
use crate::domain::validation::{MAX_JOB_ACTIONS, Schemas};
use crate::maintenance::elasticsearch::document::{Document, Kind};
use crate::store::MAX_TEXT;

/// The members that have columns.
const MEMBERS: [&str; 5] = [
    "client_id",
    "description",
    "job_schedule",
    "session_id",
    "session_tag",
];

/// The width of the columns of users, in characters.
const USER_WIDTH: usize = 64;

/// What is said of copies of actions that become actions.
const DIFFERS: &str = "an action that differs from the registered one: the job has one of its own";
const GONE: &str = "an action that is not registered any more: made from the job's copy";

/// A job with all that belongs to it.
#[derive(Debug)]
pub(in super::super) struct JobRows {
    pub(in super::super) job: Job,
    /// The ids of its actions in their order.
    pub(in super::super) action_ids: Vec<String>,
    /// The actions that have to be made, each with what of the entry is kept beside it.
    pub(in super::super) made: Vec<Mapped<Action>>,
    pub(in super::super) credentials: Option<UserCredentials>,
}

/// The rows of a job. `known` are the actions that there are; those that the job makes are added to it.
pub(in super::super) fn map(
    schemas: &Schemas,
    document: &Document,
    owner: Owner<'_>,
    known: &mut Known,
) -> Result<Mapped<JobRows>, String> {
    let mut rest = document.members.clone();
    let mut kept = Kept::default();
    let id = owned_text(&rest, "job_id").unwrap_or_else(|| document.id().to_owned());
    let id = fitting_id(schemas, Kind::Jobs, &id, &mut kept);
    // Elasticsearch's own, which nothing needs.
    for key in ["job_id", "user_id", "project_id", "_version"] {
        rest.shift_remove(key);
    }
    let entries = match rest.shift_remove("job_actions") {
        Some(Value::Array(entries)) if entries.len() > MAX_JOB_ACTIONS => {
            return Err(format!(
                "job_actions has more than {MAX_JOB_ACTIONS} entries"
            ));
        }
        Some(Value::Array(entries)) => entries,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err("job_actions is no list".to_owned()),
    };
    let credentials = credentials(schemas, &mut rest, &mut kept);
    let (job, created) = job(schemas, id, rest, owner, &mut kept)?;
    let mut rows = JobRows {
        job,
        action_ids: Vec::with_capacity(entries.len()),
        made: Vec::new(),
        credentials,
    };
    for (position, entry) in entries.into_iter().enumerate() {
        rows.add_entry(schemas, position, entry, owner, known, &mut kept);
    }
    Ok(Mapped {
        row: rows,
        created,
        kept,
    })
}

/// The job itself, by the code that replaces a job through the API.
fn job(
    schemas: &Schemas,
    id: String,
    rest: Object,
    owner: Owner<'_>,
    kept: &mut Kept,
) -> Result<(Job, Option<time::OffsetDateTime>), String> {
    let body = body(schemas, rest, kept);
    let created = body
        .get("job_schedule")
        .and_then(|schedule| seconds(schedule.get("time_created")));
    let context = BodyContext {
        schemas,
        project_id: owner.project_id,
        user_id: owner.user_id,
        ids: &Ids::default(),
        max_size: MAX_TEXT,
    };
    let replacement = JobReplacement::parse(&context, body).map(JobChange::Replace);
    let job =
        replacement.and_then(|change| change.apply(None, &id, owner.project_id, owner.user_id));
    Ok((job.map_err(|refusal| refusal.to_string())?, created))
}

/// The body of a request for the job, without its actions.
fn body(schemas: &Schemas, mut rest: Object, kept: &mut Kept) -> Object {
    let mut body = Object::from_iter([("job_actions".to_owned(), Value::Array(Vec::new()))]);
    for key in MEMBERS {
        let Some(value) = rest.shift_remove(key) else {
            continue;
        };
        // A null description is kept as one; elsewhere null is what an absent member is.
        if key == "description" || !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    }
    kept.add_rest(rest);
    cut(&mut body, "description", kept);
    let optional = ["description", "session_tag"];
    keep_refused(
        &schemas.job_patch,
        &mut body,
        &optional,
        &Object::new(),
        kept,
    );
    if let Some(Value::String(session)) = body.get_mut("session_id")
        && !session.is_empty()
    {
        *session = renamed(schemas, Kind::Sessions, session);
    }
    body
}

/// The trust under which the job runs.
fn credentials(schemas: &Schemas, rest: &mut Object, kept: &mut Kept) -> Option<UserCredentials> {
    let given = rest
        .shift_remove("user_credentials")
        .filter(|given| !given.is_null())?;
    let mut body = Object::from_iter([("user_credentials".to_owned(), given)]);
    let required = Object::from_iter([
        ("job_actions".to_owned(), Value::Array(Vec::new())),
        ("client_id".to_owned(), "c".into()),
    ]);
    keep_refused(
        &schemas.job,
        &mut body,
        &["user_credentials"],
        &required,
        kept,
    );
    let credentials = body.get("user_credentials")?.as_object()?;
    Some(UserCredentials {
        trust_id: owned_text(credentials, "trust_id")?,
        trustor_user_id: owned_text(credentials, "trustor_user_id")?,
    })
}

impl JobRows {
    /// The action of an entry. Schedulers ran the copy in the job, so the copy counts: where the registered action says
    /// something else, or is another project's, the copy becomes an action of its own.
    fn add_entry(
        &mut self,
        schemas: &Schemas,
        position: usize,
        entry: Value,
        owner: Owner<'_>,
        known: &mut Known,
        kept: &mut Kept,
    ) {
        let name = format!("job_actions[{position}]");
        let Value::Object(members) = entry.clone() else {
            return kept.add(
                &name,
                entry,
                "an entry of job_actions is no object".to_owned(),
            );
        };
        let own_id = made_id(Kind::Actions, &format!("{}/{position}", self.job.id));
        let named = owned_text(&members, "action_id").filter(|id| !id.is_empty());
        let user_id =
            owned_text(&members, "user_id").filter(|user_id| user_id.chars().count() <= USER_WIDTH);
        let owner = Owner {
            user_id: user_id.as_deref().unwrap_or(owner.user_id),
            ..owner
        };
        let id = named.as_deref().unwrap_or(&own_id);
        let mut mapped = match actions::map(schemas, members, id, owner) {
            Ok(mapped) => mapped,
            Err(reason) => {
                let reason = format!("an entry of job_actions cannot be an action: {reason}");
                return kept.add(&name, entry, reason);
            }
        };
        let reason = match known.is_same(&mapped) {
            Some(true) => return self.action_ids.push(mapped.row.id),
            Some(false) => Some(DIFFERS),
            None => named.is_some().then_some(GONE),
        };
        if let Some(reason) = reason {
            kept.add(&name, mapped.row.id.clone().into(), reason.to_owned());
        }
        if reason == Some(DIFFERS) {
            mapped.row.id = own_id;
        }
        known.add(&mapped);
        self.action_ids.push(mapped.row.id.clone());
        self.made.push(mapped);
    }
}
