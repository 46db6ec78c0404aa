//! Sessions: jobs of several hosts that run together.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Refusal;
use super::document::{self, Object, int, owned_text};
use super::job::Job;
use super::validation::Schemas;

/// Seconds in which a started session accepts no further start, where the document does not say.
const DEFAULT_HOLD_OFF: i32 = 30;
/// A time that has not come.
const NEVER: i32 = -1;

/// A row of `sessions`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
#[cfg_attr(test, derive(Default))]
pub struct Session {
    pub id: String,
    pub project_id: Option<String>,
    pub user_id: String,
    pub description: Option<String>,
    pub session_tag: Option<i32>,
    pub result: Option<String>,
    pub hold_off: Option<i32>,
    pub status: Option<String>,
    pub time_start: Option<i32>,
    pub time_end: Option<i32>,
    pub time_started: Option<i32>,
    pub time_ended: Option<i32>,
    /// The schedule as JSON.
    pub schedule: Option<String>,
    /// The members as JSON: job id → entry.
    pub job: Option<String>,
}

/// The document of a session, as `GET /sessions/{session_id}` answers it.
#[derive(Serialize)]
pub struct SessionDocument<'a> {
    session_id: &'a str,
    project_id: &'a Option<String>,
    user_id: &'a str,
    description: &'a Option<String>,
    session_tag: Option<i32>,
    result: &'a Option<String>,
    hold_off: Option<i32>,
    status: &'a Option<String>,
    time_start: Option<i32>,
    time_end: Option<i32>,
    time_started: Option<i32>,
    time_ended: Option<i32>,
    schedule: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Box<RawValue>>,
}

impl Session {
    /// The document that answers show.
    pub fn document(&self) -> SessionDocument<'_> {
        SessionDocument {
            session_id: &self.id,
            project_id: &self.project_id,
            user_id: &self.user_id,
            description: &self.description,
            session_tag: self.session_tag,
            result: &self.result,
            hold_off: self.hold_off,
            status: &self.status,
            time_start: self.time_start,
            time_end: self.time_end,
            time_started: self.time_started,
            time_ended: self.time_ended,
            schedule: document::stored(self.schedule.as_deref().unwrap_or("null")),
            jobs: self.job.as_deref().map(document::stored),
        }
    }

    fn members(&self) -> Object {
        document::stored_object(self.job.as_deref())
    }

    fn set_members(&mut self, members: &Object) {
        self.job = Some(document::to_text(members));
    }

    /// Puts entries in front of the others, in place of older ones of the same job.
    fn merge_members(&mut self, mut entries: Object) {
        for (job_id, entry) in self.members() {
            entries.entry(job_id).or_insert(entry);
        }
        self.set_members(&entries);
    }

    /// The tag that the next start needs.
    pub fn tag(&self) -> i32 {
        self.session_tag.unwrap_or(0)
    }

    /// Adds a job: the session gets an entry with the job's present state, the job gets the session's id, tag and
    /// whole schedule.
    pub fn add(&mut self, job: &mut Job) {
        let schedule = job.schedule();
        let present = |key: &str| schedule.get(key).cloned().unwrap_or_else(|| "".into());
        let entry = json!({
            "client_id": job.client_id,
            "status": present("status"),
            "result": present("result"),
            "time_started": present("time_started"),
            "time_ended": present("time_ended"),
        });
        self.merge_members(Object::from_iter([(job.id.clone(), entry)]));
        job.session_id = Some(self.id.clone());
        job.session_tag = Some(self.tag());
        job.set_schedule(&document::stored_object(self.schedule.as_deref()));
    }

    /// Whether the session ever had jobs and its list was not cleared.
    pub fn has_members(&self) -> bool {
        self.job.as_deref().is_some_and(|members| members != "null")
    }

    /// Removes a job's entry; whether there was one.
    pub fn remove(&mut self, job_id: &str) -> bool {
        let mut members = self.members();
        let removed = members.shift_remove(job_id).is_some();
        if removed {
            self.set_members(&members);
        }
        removed
    }

    /// Carries out what a job asks of the session; `now` in seconds since the epoch.
    ///
    /// # Errors
    /// Those of [`Session::start`] and [`Session::end`].
    pub fn apply_action(
        &mut self,
        action: &SessionAction,
        now: i64,
    ) -> Result<ActionOutcome, Refusal> {
        match action {
            SessionAction::Start {
                job_id,
                current_tag,
            } => self.start(job_id, *current_tag, now),
            SessionAction::End { job_id, result } => {
                self.end(job_id, result.clone(), now)?;
                Ok(ActionOutcome::Ended)
            }
        }
    }

    /// Requests the start of the session for one job that knows the tag `current_tag`; `now` in seconds since the
    /// epoch.
    ///
    /// Outside the hold-off window the first job with the session's tag starts it: the tag grows by one. Within the
    /// window, jobs with an older tag join the start that has happened.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for a tag beyond the session's, for a job that is no member and for a session without a
    /// hold-off window.
    pub fn start(
        &mut self,
        job_id: &str,
        current_tag: i64,
        now: i64,
    ) -> Result<ActionOutcome, Refusal> {
        let tag = i64::from(self.tag());
        if current_tag > tag {
            return Err(Refusal::Invalid(format!(
                "requested tag value too high. Session Tag: {tag} Job Tag: {current_tag}"
            )));
        }
        let age = now - self.time_start.map_or(0, i64::from);
        // A patch can clear it; the reference then breaks off the connection (deviation D4).
        let hold_off = self.hold_off.map(i64::from).ok_or_else(|| {
            Refusal::Invalid("the session cannot start: its hold_off is null".to_owned())
        })?;
        // A start in the future, by a clock that was wrong, holds nobody off, unless it is as near as clocks of nodes are.
        let is_recent = (-hold_off..=hold_off).contains(&age);
        let result = match (is_recent, current_tag == tag) {
            (true, true) => return Ok(ActionOutcome::HoldOff),
            (false, false) => return Ok(ActionOutcome::OutOfSync),
            (true, false) => ActionOutcome::Joined,
            (false, true) => ActionOutcome::Started,
        };
        let mut members = self.members();
        let entry = member(&mut members, job_id)?;
        entry.insert("status".to_owned(), "running".into());
        entry.insert("result".to_owned(), "".into());
        entry.insert("time_started".to_owned(), now.into());
        if result == ActionOutcome::Started {
            self.begin(now)?;
        }
        self.set_members(&members);
        Ok(result)
    }

    fn begin(&mut self, now: i64) -> Result<(), Refusal> {
        let next = self.tag().checked_add(1).ok_or_else(|| {
            Refusal::Invalid("the session's tag has reached its limit".to_owned())
        })?;
        self.session_tag = Some(next);
        self.time_start = Some(seconds(now));
        self.status = Some("running".to_owned());
        self.result = Some(String::new());
        Ok(())
    }

    /// Records the end of one job, and with it the session's, where that decides it; `now` in seconds since the
    /// epoch.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for a job that is no member.
    pub fn end(&mut self, job_id: &str, result: Value, now: i64) -> Result<(), Refusal> {
        let mut members = self.members();
        let entry = member(&mut members, job_id)?;
        entry.insert("status".to_owned(), "completed".into());
        entry.insert("result".to_owned(), result);
        entry.insert("time_ended".to_owned(), now.into());
        self.set_members(&members);
        if self.status.as_deref() != Some("completed")
            && let Some(result) = overall_result(&members)
        {
            self.time_end = Some(seconds(now));
            self.result = Some(result.to_owned());
            self.status = Some("completed".to_owned());
        }
        Ok(())
    }
}

/// What a request to act on a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// This job started the session.
    Started,
    /// This job joined a start that had happened.
    Joined,
    /// The session was started not long ago and the job knows of it; nothing changed.
    HoldOff,
    /// The job has missed a start; nothing changed.
    OutOfSync,
    /// The end of this job is recorded.
    Ended,
}

impl ActionOutcome {
    /// What the answer says.
    pub fn text(self) -> &'static str {
        match self {
            ActionOutcome::Started | ActionOutcome::Joined | ActionOutcome::Ended => "success",
            ActionOutcome::HoldOff => "hold-off",
            ActionOutcome::OutOfSync => "out-of-sync",
        }
    }

    /// Whether the session has changed.
    pub fn changed(self) -> bool {
        !matches!(self, ActionOutcome::HoldOff | ActionOutcome::OutOfSync)
    }
}

fn member<'a>(members: &'a mut Object, job_id: &str) -> Result<&'a mut Object, Refusal> {
    members
        .get_mut(job_id)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| Refusal::Invalid("job_id not found in session".to_owned()))
}

/// The first entry that is not completed leaves the session running, the first that did not succeed makes it fail.
fn overall_result(members: &Object) -> Option<&'static str> {
    for entry in members.values() {
        if entry.get("status").and_then(Value::as_str) != Some("completed") {
            return None;
        }
        if entry.get("result").and_then(Value::as_str) != Some("success") {
            return Some("fail");
        }
    }
    Some("success")
}

/// The column has 32 bits; later times than 2038 stay at its limit.
fn seconds(now: i64) -> i32 {
    i32::try_from(now).unwrap_or(i32::MAX)
}

/// A checked body of `POST /sessions/{session_id}/action`.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionAction {
    /// A job asks to start.
    Start {
        /// The job.
        job_id: String,
        /// The session's tag as the job knows it.
        current_tag: i64,
    },
    /// A job has ended.
    End {
        /// The job.
        job_id: String,
        /// How it ended; any JSON value.
        result: Value,
    },
}

impl SessionAction {
    /// Reads a body: the first key is the action, its value the parameters.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn parse(body: &Object) -> Result<SessionAction, Refusal> {
        let Some((name, parameters)) = body.iter().next() else {
            return Err(Refusal::Invalid("Bad action request format".to_owned()));
        };
        let parameter = |key: &str| {
            parameters
                .get(key)
                .ok_or_else(|| Refusal::Invalid(format!("{name}: '{key}' is a required property")))
        };
        let job_id = || {
            let job_id = parameter("job_id")?.as_str().map(str::to_owned);
            job_id.ok_or_else(|| Refusal::Invalid(format!("{name}.job_id: must be a string")))
        };
        match name.as_str() {
            "start" => Ok(SessionAction::Start {
                job_id: job_id()?,
                current_tag: tag(parameter("current_tag")?)?,
            }),
            "end" => Ok(SessionAction::End {
                job_id: job_id()?,
                result: parameter("result")?.clone(),
            }),
            _ => Err(Refusal::Invalid("Bad Action Method".to_owned())),
        }
    }
}

/// A tag as the reference's `int()` reads it: numbers, numbers as text, booleans.
fn tag(value: &Value) -> Result<i64, Refusal> {
    let tag = match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        _ => None,
    };
    tag.ok_or_else(|| Refusal::Invalid("start.current_tag: must be an integer".to_owned()))
}

/// The session that a body of `POST /sessions` describes.
///
/// # Errors
/// [`Refusal::Invalid`] naming the field.
pub fn create(
    schemas: &Schemas,
    mut body: Object,
    id: String,
    project_id: &str,
    user_id: &str,
) -> Result<Session, Refusal> {
    body.shift_remove("project_id");
    let body = schemas.session.check(body)?;
    let mut session = blank(id, project_id, user_id);
    session.status = Some("active".to_owned());
    // A null counts as absent.
    for (key, _) in body.iter().filter(|(_, value)| !value.is_null()) {
        if key != "status" {
            session.set(key, &body);
        }
    }
    Ok(session)
}

fn blank(id: String, project_id: &str, user_id: &str) -> Session {
    Session {
        id,
        project_id: Some(project_id.to_owned()),
        user_id: user_id.to_owned(),
        description: None,
        session_tag: Some(0),
        result: None,
        hold_off: Some(DEFAULT_HOLD_OFF),
        status: None,
        time_start: Some(NEVER),
        time_end: Some(NEVER),
        time_started: Some(NEVER),
        time_ended: Some(NEVER),
        schedule: None,
        job: None,
    }
}

impl Session {
    /// Sets the column of one member of a checked body; other members have none.
    fn set(&mut self, key: &str, body: &Object) {
        match key {
            "description" => self.description = owned_text(body, key),
            "status" => self.status = owned_text(body, key),
            "result" => self.result = owned_text(body, key),
            "session_tag" => self.session_tag = int(body, key),
            "hold_off" => self.hold_off = int(body, key),
            "time_start" => self.time_start = int(body, key),
            "time_end" => self.time_end = int(body, key),
            "time_started" => self.time_started = int(body, key),
            "time_ended" => self.time_ended = int(body, key),
            "schedule" => self.schedule = body.get(key).map(Value::to_string),
            _ => {}
        }
    }
}

/// A checked body of `POST /sessions/{session_id}`.
#[derive(Clone, Debug)]
pub struct SessionReplacement(Object);

impl SessionReplacement {
    /// Checks a body.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn parse(
        schemas: &Schemas,
        body: Object,
        project_id: &str,
    ) -> Result<SessionReplacement, Refusal> {
        document::refuse_other_project(&body, project_id)?;
        schemas.session_replace.check(body).map(SessionReplacement)
    }

    /// The new session, given the one it replaces: members absent or null keep their value, but for `jobs`, where an empty
    /// list, which sessions without members had in Elasticsearch, is an empty object.
    pub fn apply(
        &self,
        old: Option<Session>,
        id: String,
        project_id: &str,
        user_id: &str,
    ) -> Session {
        let mut session = old.unwrap_or_else(|| blank(id, project_id, user_id));
        user_id.clone_into(&mut session.user_id);
        for (key, value) in &self.0 {
            if !value.is_null() {
                session.set(key, &self.0);
            }
        }
        session.job = Some(match self.0.get("jobs") {
            None => Value::Null.to_string(),
            Some(Value::Array(_)) => document::to_text(&Object::new()),
            Some(members) => members.to_string(),
        });
        session
    }
}

/// A checked body of `PATCH /sessions/{session_id}`.
#[derive(Clone, Debug)]
pub struct SessionPatch(Object);

impl SessionPatch {
    /// Checks a body: only members of the session's document are accepted (deviation D9).
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn parse(
        schemas: &Schemas,
        body: Object,
        project_id: &str,
    ) -> Result<SessionPatch, Refusal> {
        document::refuse_other_project(&body, project_id)?;
        schemas.session_patch.check(body).map(SessionPatch)
    }

    /// Overwrites what the patch names; `jobs` is merged by job id, and null there, as documents of replaced sessions have it,
    /// changes nothing; nor does an empty list.
    pub fn apply(&self, session: &mut Session) {
        for key in self.0.keys() {
            session.set(key, &self.0);
        }
        if let Some(Value::Object(entries)) = self.0.get("jobs") {
            session.merge_members(entries.clone());
        }
    }
}

#[cfg(test)]
mod tests;
