//! Jobs: which actions run on which client, and when.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Refusal;
use super::action::{self, Action};
use super::document::{self, Object, int, owned_text};
use super::schema::Schemas;

/// A row of `jobs` with its row of `user_credentials`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Job {
    pub id: String,
    pub project_id: Option<String>,
    pub user_id: String,
    /// The `job_schedule` as JSON.
    pub schedule: Option<String>,
    pub client_id: String,
    pub session_id: Option<String>,
    pub session_tag: Option<i32>,
    pub description: Option<String>,
    pub trust_id: Option<String>,
    pub trustor_user_id: Option<String>,
}

/// The trust under which a central scheduler runs a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct UserCredentials {
    pub trust_id: String,
    pub trustor_user_id: String,
}

/// The document of a job, as `GET /jobs/{job_id}` answers it.
#[derive(Serialize)]
pub struct Document<'a> {
    job_id: &'a str,
    project_id: &'a Option<String>,
    user_id: &'a str,
    job_schedule: Box<RawValue>,
    client_id: &'a str,
    session_id: &'a Option<String>,
    session_tag: Option<i32>,
    description: &'a Option<String>,
    job_actions: Vec<action::Document<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_credentials: Option<Value>,
}

impl Job {
    /// The document that answers show, with the job's actions in their order.
    pub fn document<'a>(&'a self, actions: &'a [Action]) -> Document<'a> {
        Document {
            job_id: &self.id,
            project_id: &self.project_id,
            user_id: &self.user_id,
            job_schedule: document::stored(self.schedule.as_deref().unwrap_or("null")),
            client_id: &self.client_id,
            session_id: &self.session_id,
            session_tag: self.session_tag,
            description: &self.description,
            job_actions: actions.iter().map(Action::document).collect(),
            user_credentials: self.trust_id.as_ref().map(
                |trust_id| json!({"trust_id": trust_id, "trustor_user_id": self.trustor_user_id}),
            ),
        }
    }

    /// The schedule as an object.
    pub fn schedule(&self) -> Object {
        document::stored_object(self.schedule.as_deref())
    }

    /// Replaces the schedule.
    pub fn set_schedule(&mut self, schedule: &Object) {
        self.schedule = Some(document::to_text(schedule));
    }

    /// Takes the job out of its session and asks its scheduler to stop it.
    pub fn leave_session(&mut self) {
        self.session_id = Some(String::new());
        self.session_tag = Some(0);
        self.set_schedule(&Object::from_iter([("event".to_owned(), "stop".into())]));
    }

    /// Whether the schedule may show the process id of a scheduler.
    pub fn shows_pid(&self) -> bool {
        self.schedule
            .as_deref()
            .is_some_and(|schedule| schedule.contains("\"current_pid\""))
    }

    /// Takes the scheduler's process id out of the schedule, for callers whom it does not concern.
    pub fn hide_pid(&mut self) {
        let mut schedule = self.schedule();
        schedule.remove("current_pid");
        self.set_schedule(&schedule);
    }
}

/// One entry of `job_actions` in a request.
#[derive(Clone, Debug)]
pub enum Entry {
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

impl Entry {
    /// Refuses a reference whose entry says something else than the stored action. Null and absent are equal, and
    /// the members that the reference ignores are ignored.
    ///
    /// # Errors
    /// [`Refusal::Unprocessable`].
    pub fn check_against(&self, stored: &Action) -> Result<(), Refusal> {
        let Entry::Reference {
            freezer_action: Some(claimed),
            ..
        } = self
        else {
            return Ok(());
        };
        let stored_action = stored.freezer_action();
        let differs = |key: &String| {
            let value = |object: &Object| object.get(key).filter(|value| !value.is_null()).cloned();
            !matches!(key.as_str(), "_version" | "user_id")
                && value(claimed) != value(&stored_action)
        };
        if claimed.keys().chain(stored_action.keys()).any(differs) {
            return Err(Refusal::Unprocessable(format!(
                "Action id: {} already exists with a different definition. \
                 Update the action directly, or omit action_id to create a new one.",
                stored.id
            )));
        }
        Ok(())
    }
}

/// A checked body of `POST /jobs`, `POST /jobs/{job_id}` or `PATCH /jobs/{job_id}`.
#[derive(Clone, Debug)]
pub struct Request {
    fields: Object,
    /// The job's actions, where the body names them.
    pub entries: Option<Vec<Entry>>,
}

/// Which of the three requests a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new job.
    Create,
    /// A complete job, new or in place of an old one.
    Replace,
    /// Changes to a job.
    Patch,
}

/// The times in a schedule that a new job gets, whatever was sent for them.
const FIRST_TIMES: [&str; 3] = ["time_created", "time_started", "time_ended"];

impl Request {
    /// Checks a body.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field; [`Refusal::Unprocessable`] for an `action_id` that cannot be one.
    pub fn parse(
        schemas: &Schemas,
        kind: Kind,
        mut body: Object,
        project_id: &str,
        user_id: &str,
        new_id: impl Fn() -> String,
    ) -> Result<Request, Refusal> {
        document::refuse_other_project(&body, project_id)?;
        if kind == Kind::Patch {
            // Never changed by a patch, whatever it says.
            for key in ["job_id", "user_id", "user_credentials"] {
                body.remove(key);
            }
        }
        if matches!(body.get("action_defaults"), Some(defaults) if !defaults.is_object() && !defaults.is_null())
        {
            return Err(Refusal::Invalid(
                "action_defaults should be a dictionary".to_owned(),
            ));
        }
        if document::is_falsy(body.get("job_id")) {
            body.remove("job_id");
        }
        if kind == Kind::Create
            && let Some(Value::Object(schedule)) = body.get_mut("job_schedule")
        {
            schedule.retain(|key, _| !FIRST_TIMES.contains(&key.as_str()));
        }
        let mut fields = match kind {
            Kind::Create | Kind::Replace => schemas.job.check(body)?,
            Kind::Patch => schemas.job_patch.check(body)?,
        };
        let defaults = match fields.remove("action_defaults") {
            Some(Value::Object(defaults)) => defaults,
            _ => Object::new(),
        };
        let entries = match fields.remove("job_actions") {
            Some(Value::Array(entries)) => Some(
                entries
                    .into_iter()
                    .map(|entry| {
                        parse_entry(schemas, entry, &defaults, project_id, user_id, &new_id)
                    })
                    .collect::<Result<Vec<Entry>, Refusal>>()?,
            ),
            _ if !defaults.is_empty() => {
                return Err(Refusal::Invalid(
                    "action_defaults need job_actions".to_owned(),
                ));
            }
            _ => None,
        };
        Ok(Request { fields, entries })
    }

    /// The identifier that the caller chose.
    pub fn job_id(&self) -> Option<&str> {
        document::text(&self.fields, "job_id")
    }

    /// The client that the body names.
    pub fn client_id(&self) -> Option<&str> {
        document::text(&self.fields, "client_id")
    }

    /// The trust that the caller sent along.
    pub fn user_credentials(&self) -> Option<UserCredentials> {
        let credentials = self.fields.get("user_credentials")?.as_object()?;
        Some(UserCredentials {
            trust_id: owned_text(credentials, "trust_id")?,
            trustor_user_id: owned_text(credentials, "trustor_user_id")?,
        })
    }

    /// The schedule that the body names.
    fn schedule(&self) -> Option<&Object> {
        self.fields.get("job_schedule").and_then(Value::as_object)
    }

    /// The new job of `POST /jobs`; `now` in seconds since the epoch.
    pub fn create(&self, id: String, project_id: &str, user_id: &str, now: i64) -> Job {
        let mut job = self.replace(None, id, project_id, user_id);
        let mut schedule = job.schedule();
        for (key, time) in FIRST_TIMES.into_iter().zip([now, -1, -1]) {
            schedule.insert(key.to_owned(), time.into());
        }
        job.set_schedule(&schedule);
        let given = |key: &str, absent: &str| match self.fields.contains_key(key) {
            true => owned_text(&self.fields, key),
            false => Some(absent.to_owned()),
        };
        job.description = given("description", "");
        job.session_id = given("session_id", "");
        job
    }

    /// The job of `POST /jobs/{job_id}`, given the one that it replaces. A null description or session keeps the
    /// old value; the stored trust stays.
    pub fn replace(&self, old: Option<&Job>, id: String, project_id: &str, user_id: &str) -> Job {
        let empty = Object::new();
        let kept = |key: &str, old: Option<Option<String>>| match self.fields.get(key) {
            None => Some(String::new()),
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => old.flatten(),
        };
        Job {
            id,
            project_id: Some(project_id.to_owned()),
            user_id: user_id.to_owned(),
            schedule: Some(document::to_text(self.schedule().unwrap_or(&empty))),
            client_id: self.client_id().unwrap_or_default().to_owned(),
            session_id: kept("session_id", old.map(|old| old.session_id.clone())),
            session_tag: Some(int(&self.fields, "session_tag").unwrap_or(0)),
            description: kept("description", old.map(|old| old.description.clone())),
            trust_id: old.and_then(|old| old.trust_id.clone()),
            trustor_user_id: old.and_then(|old| old.trustor_user_id.clone()),
        }
    }

    /// Merges a patch into a job: what it does not name stays (deviation D11); a schedule replaces the old one.
    pub fn patch(&self, job: &mut Job) {
        if let Some(schedule) = self.schedule() {
            job.set_schedule(schedule);
        }
        if let Some(client_id) = self.client_id() {
            client_id.clone_into(&mut job.client_id);
        }
        if self.fields.contains_key("session_id") {
            job.session_id = owned_text(&self.fields, "session_id");
        }
        if self.fields.contains_key("session_tag") {
            job.session_tag = int(&self.fields, "session_tag");
        }
        if self.fields.contains_key("description") {
            job.description = owned_text(&self.fields, "description");
        }
    }
}

fn parse_entry(
    schemas: &Schemas,
    entry: Value,
    defaults: &Object,
    project_id: &str,
    user_id: &str,
    new_id: &impl Fn() -> String,
) -> Result<Entry, Refusal> {
    let Value::Object(mut entry) = entry else {
        return Err(Refusal::Invalid("job_actions must be objects".to_owned()));
    };
    if !defaults.is_empty() {
        let Some(Value::Object(freezer_action)) = entry.get_mut("freezer_action") else {
            return Err(Refusal::Invalid("Missing request body".to_owned()));
        };
        for (key, value) in defaults {
            if freezer_action.get(key).is_none_or(Value::is_null) {
                freezer_action.insert(key.clone(), value.clone());
            }
        }
    }
    if document::is_falsy(entry.get("action_id")) {
        entry.remove("action_id");
        // The entry's own `user_id` and `project_id` are overwritten, as the reference does.
        entry.remove("project_id");
        let action = action::parse(schemas, entry, project_id, user_id, new_id)?;
        return Ok(Entry::Inline(Box::new(action)));
    }
    match entry.get("action_id") {
        // What cannot be an identifier is not looked for.
        Some(Value::String(action_id))
            if schemas.check_identifier("action_id", action_id).is_ok() =>
        {
            Ok(Entry::Reference {
                action_id: action_id.clone(),
                freezer_action: match entry.get("freezer_action") {
                    Some(Value::Object(freezer_action)) => Some(freezer_action.clone()),
                    _ => None,
                },
            })
        }
        Some(Value::String(action_id)) => Err(Refusal::Unprocessable(format!(
            "Action id: {action_id} not found."
        ))),
        other => Err(Refusal::Unprocessable(format!(
            "Action id: {} not found.",
            other.unwrap_or(&Value::Null)
        ))),
    }
}

/// What an event asks of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Run now.
    Start,
    /// Run no more.
    Stop,
    /// Break off what runs.
    Abort,
}

impl Event {
    /// Reads the body of `POST /jobs/{job_id}/event`: the first key is the event, its value does not matter.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn parse(body: &Object) -> Result<Event, Refusal> {
        match body.keys().next().map(String::as_str) {
            Some("start") => Ok(Event::Start),
            Some("stop") => Ok(Event::Stop),
            Some("abort") => Ok(Event::Abort),
            Some(_) => Err(Refusal::Invalid("Bad Action Method".to_owned())),
            None => Err(Refusal::Invalid("Bad event request format".to_owned())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Event::Start => "start",
            Event::Stop => "stop",
            Event::Abort => "abort",
        }
    }

    /// Requests the event: the changed schedule, or `None` where it is requested already.
    pub fn request(self, mut schedule: Object) -> Option<Object> {
        if document::text(&schedule, "event") == Some(self.name()) {
            return None;
        }
        schedule.insert("event".to_owned(), self.name().into());
        if self == Event::Start {
            schedule.insert("status".to_owned(), "".into());
            schedule.insert("result".to_owned(), "".into());
        }
        Some(schedule)
    }

    /// What the answer says where the event is requested already.
    pub fn already_requested(self) -> String {
        format!("{} already requested", self.name())
    }
}
