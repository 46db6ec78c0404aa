//! Jobs: which actions run on which client, and when.

mod entries;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Refusal;
use super::document::{self, Object, int, owned_text};
use super::validation::Schema;
pub use entries::{ActionEntry, BodyContext, check_claims, check_size, refuse_larger};
use entries::{expanded_size, parse_entries};

/// A row of `jobs` with its row of `user_credentials`.
#[derive(Clone, Debug, Default)]
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

/// Who looks at jobs: a scheduler's process id concerns only the project whose scheduler it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidViewer {
    /// Sees process ids in every job.
    Operator,
    /// Sees those of the own clients of the token's project, where the token has one.
    Project(Option<String>),
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
pub struct JobDocument<'a> {
    job_id: &'a str,
    project_id: &'a Option<String>,
    user_id: &'a str,
    job_schedule: Box<RawValue>,
    client_id: &'a str,
    session_id: &'a Option<String>,
    session_tag: Option<i32>,
    description: &'a Option<String>,
    job_actions: &'a [&'a RawValue],
    #[serde(skip_serializing_if = "Option::is_none")]
    user_credentials: Option<Value>,
}

impl Job {
    /// The document that answers show, with the documents of the job's actions in their order.
    pub fn document<'a>(&'a self, actions: &'a [&'a RawValue]) -> JobDocument<'a> {
        JobDocument {
            job_id: &self.id,
            project_id: &self.project_id,
            user_id: &self.user_id,
            job_schedule: document::stored(self.schedule.as_deref().unwrap_or("null")),
            client_id: &self.client_id,
            session_id: &self.session_id,
            session_tag: self.session_tag,
            description: &self.description,
            job_actions: actions,
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

/// The checked members of a job's body, with its `job_actions` apart.
#[derive(Clone, Debug)]
struct JobBody {
    members: Object,
    /// Where the body names them.
    entries: Option<Vec<ActionEntry>>,
    /// How many bytes it has with the defaults in each entry.
    size: usize,
}

impl JobBody {
    fn parse(
        context: &BodyContext<'_>,
        validator: &Schema,
        mut body: Object,
    ) -> Result<JobBody, Refusal> {
        if matches!(body.get("action_defaults"), Some(defaults) if !defaults.is_object() && !defaults.is_null())
        {
            return Err(Refusal::Invalid(
                "action_defaults should be a dictionary".to_owned(),
            ));
        }
        if document::is_falsy(body.get("job_id")) {
            body.shift_remove("job_id");
        }
        let mut members = validator.check(body)?;
        let defaults = match members.shift_remove("action_defaults") {
            Some(Value::Object(defaults)) => defaults,
            _ => Object::new(),
        };
        let size = expanded_size(&members, &defaults);
        refuse_larger(size, context.max_size)?;
        let entries = match members.shift_remove("job_actions") {
            Some(Value::Array(entries)) => Some(parse_entries(context, entries, &defaults)?),
            _ if !defaults.is_empty() => {
                return Err(Refusal::Invalid(
                    "action_defaults need job_actions".to_owned(),
                ));
            }
            _ => None,
        };
        Ok(JobBody {
            members,
            entries,
            size,
        })
    }

    fn client_id(&self) -> Option<&str> {
        document::text(&self.members, "client_id")
    }

    #[expect(clippy::expect_used, reason = "the schema of whole jobs requires it")]
    fn required_client_id(&self) -> &str {
        self.client_id().expect("a job has a client_id")
    }

    #[expect(clippy::expect_used, reason = "the schema of whole jobs requires it")]
    fn required_entries(&self) -> &[ActionEntry] {
        self.entries.as_deref().expect("a job has job_actions")
    }

    fn schedule(&self) -> Option<&Object> {
        self.members.get("job_schedule").and_then(Value::as_object)
    }
}

/// The times in a schedule that a new job gets, whatever was sent for them.
const FIRST_TIMES: [&str; 3] = ["time_created", "time_started", "time_ended"];

/// A checked body of `POST /jobs`.
#[derive(Clone, Debug)]
pub struct NewJob(JobBody);

impl NewJob {
    /// Checks a body. Its `project_id` is ignored: a job exported from one project can be created in another. So are its
    /// `user_credentials`: nothing proves that the trust is the caller's.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field; [`Refusal::Unprocessable`] for an `action_id` that cannot be one.
    pub fn parse(context: &BodyContext<'_>, mut body: Object) -> Result<NewJob, Refusal> {
        body.shift_remove("project_id");
        if let Some(Value::Object(schedule)) = body.get_mut("job_schedule") {
            schedule.retain(|key, _| !FIRST_TIMES.contains(&key.as_str()));
        }
        JobBody::parse(context, &context.schemas.job, body).map(NewJob)
    }

    /// The identifier that the caller chose.
    pub fn job_id(&self) -> Option<&str> {
        document::text(&self.0.members, "job_id")
    }

    /// The client that runs the job.
    pub fn client_id(&self) -> &str {
        self.0.required_client_id()
    }

    /// The job's actions.
    pub fn entries(&self) -> &[ActionEntry] {
        self.0.required_entries()
    }

    /// How many bytes the body has with the defaults in each entry.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// The new job; `now` in seconds since the epoch.
    pub fn job(&self, id: String, project_id: &str, user_id: &str, now: i64) -> Job {
        let members = &self.0.members;
        let mut schedule = self.0.schedule().cloned().unwrap_or_default();
        for (key, time) in FIRST_TIMES.into_iter().zip([now, -1, -1]) {
            schedule.insert(key.to_owned(), time.into());
        }
        let given = |key: &str| {
            if members.contains_key(key) {
                owned_text(members, key)
            } else {
                Some(String::new())
            }
        };
        Job {
            id,
            project_id: Some(project_id.to_owned()),
            user_id: user_id.to_owned(),
            schedule: Some(document::to_text(&schedule)),
            client_id: self.client_id().to_owned(),
            session_id: given("session_id"),
            session_tag: Some(int(members, "session_tag").unwrap_or(0)),
            description: given("description"),
            trust_id: None,
            trustor_user_id: None,
        }
    }
}

/// A checked body of `POST /jobs/{job_id}`.
#[derive(Clone, Debug)]
pub struct JobReplacement(JobBody);

impl JobReplacement {
    /// Checks a body.
    ///
    /// # Errors
    /// As [`NewJob::parse`], and [`Refusal::Invalid`] for another project, into which the job would move.
    pub fn parse(context: &BodyContext<'_>, mut body: Object) -> Result<JobReplacement, Refusal> {
        document::refuse_other_project(&body, context.project_id)?;
        // The path names the job, whatever the body calls it.
        body.shift_remove("job_id");
        JobBody::parse(context, &context.schemas.job, body).map(JobReplacement)
    }

    /// The job, given the one that it replaces. A null description or session keeps the old value; the stored trust
    /// stays.
    fn job(&self, old: Option<&Job>, id: &str, project_id: &str, user_id: &str) -> Job {
        let members = &self.0.members;
        let kept = |key: &str, old: Option<Option<String>>| match members.get(key) {
            None => Some(String::new()),
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => old.flatten(),
        };
        let empty = Object::new();
        Job {
            id: id.to_owned(),
            project_id: Some(project_id.to_owned()),
            user_id: user_id.to_owned(),
            schedule: Some(document::to_text(self.0.schedule().unwrap_or(&empty))),
            client_id: self.0.required_client_id().to_owned(),
            session_id: kept("session_id", old.map(|old| old.session_id.clone())),
            session_tag: Some(int(members, "session_tag").unwrap_or(0)),
            description: kept("description", old.map(|old| old.description.clone())),
            trust_id: old.and_then(|old| old.trust_id.clone()),
            trustor_user_id: old.and_then(|old| old.trustor_user_id.clone()),
        }
    }
}

/// A checked body of `PATCH /jobs/{job_id}`.
#[derive(Clone, Debug)]
pub struct JobPatch(JobBody);

impl JobPatch {
    /// Checks a body. `job_id`, `user_id` and `user_credentials` are never changed by a patch, whatever it says.
    ///
    /// # Errors
    /// As [`JobReplacement::parse`].
    pub fn parse(context: &BodyContext<'_>, mut body: Object) -> Result<JobPatch, Refusal> {
        document::refuse_other_project(&body, context.project_id)?;
        for key in ["job_id", "user_id", "user_credentials"] {
            body.shift_remove(key);
        }
        JobBody::parse(context, &context.schemas.job_patch, body).map(JobPatch)
    }

    /// Merges the patch into a job: what it does not name stays (deviation D11); a schedule replaces the old one.
    fn apply(&self, job: &mut Job) {
        let members = &self.0.members;
        if let Some(schedule) = self.0.schedule() {
            job.set_schedule(schedule);
        }
        if let Some(client_id) = self.0.client_id() {
            client_id.clone_into(&mut job.client_id);
        }
        if members.contains_key("session_id") {
            job.session_id = owned_text(members, "session_id");
        }
        if members.contains_key("session_tag") {
            job.session_tag = int(members, "session_tag");
        }
        if members.contains_key("description") {
            job.description = owned_text(members, "description");
        }
    }
}

/// What a request changes of the job of its path.
#[derive(Clone, Debug)]
pub enum JobChange {
    /// All of it; the job may be new.
    Replace(JobReplacement),
    /// What the body names.
    Patch(JobPatch),
}

impl JobChange {
    fn body(&self) -> &JobBody {
        match self {
            JobChange::Replace(JobReplacement(body)) | JobChange::Patch(JobPatch(body)) => body,
        }
    }

    /// The client that the body names.
    pub fn client_id(&self) -> Option<&str> {
        self.body().client_id()
    }

    /// The job's actions, where the body names them.
    pub fn entries(&self) -> Option<&[ActionEntry]> {
        self.body().entries.as_deref()
    }

    /// How many bytes the body has with the defaults in each entry.
    pub fn size(&self) -> usize {
        self.body().size
    }

    /// The job as it shall be, given what is stored under its id.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a patch of nothing.
    pub fn apply(
        &self,
        old: Option<&Job>,
        id: &str,
        project_id: &str,
        user_id: &str,
    ) -> Result<Job, Refusal> {
        match (self, old) {
            (JobChange::Replace(replacement), old) => {
                Ok(replacement.job(old, id, project_id, user_id))
            }
            (JobChange::Patch(_), None) => Err(Refusal::not_found("Job", id)),
            (JobChange::Patch(patch), Some(old)) => {
                let mut job = old.clone();
                user_id.clone_into(&mut job.user_id);
                patch.apply(&mut job);
                Ok(job)
            }
        }
    }
}

/// What an event asks of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// Run now.
    Start,
    /// Run no more.
    Stop,
    /// Break off what runs.
    Abort,
}

impl JobEvent {
    /// Reads the body of `POST /jobs/{job_id}/event`: the first key is the event, its value does not matter.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn parse(body: &Object) -> Result<JobEvent, Refusal> {
        match body.keys().next().map(String::as_str) {
            Some("start") => Ok(JobEvent::Start),
            Some("stop") => Ok(JobEvent::Stop),
            Some("abort") => Ok(JobEvent::Abort),
            Some(_) => Err(Refusal::Invalid("Bad Action Method".to_owned())),
            None => Err(Refusal::Invalid("Bad event request format".to_owned())),
        }
    }

    fn name(self) -> &'static str {
        match self {
            JobEvent::Start => "start",
            JobEvent::Stop => "stop",
            JobEvent::Abort => "abort",
        }
    }

    /// Requests the event: the changed schedule, or `None` where it is requested already.
    pub fn request(self, mut schedule: Object) -> Option<Object> {
        if document::text(&schedule, "event") == Some(self.name()) {
            return None;
        }
        schedule.insert("event".to_owned(), self.name().into());
        if self == JobEvent::Start {
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
