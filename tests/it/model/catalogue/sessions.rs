//! Sessions in the sequential truth.

use serde_json::{Map, Value, json};

use super::{Catalogue, Job, NEVER, Outcome, object, refuse, versioned};
use crate::model::operation::Operation;
use crate::support::START;

/// Seconds in which a started session is not started again.
const HOLD_OFF: i64 = 30;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    project: String,
    description: String,
    tag: i64,
    status: Option<String>,
    result: Option<String>,
    time_start: i64,
    time_end: i64,
    schedule: Map<String, Value>,
    /// In their order, which decides how the session ends. `None` until a job was added.
    members: Option<Vec<(String, Map<String, Value>)>>,
}

impl Session {
    fn new(project: &str, tag: i64, version: &str) -> Session {
        Session {
            project: project.to_owned(),
            description: version.to_owned(),
            tag,
            status: None,
            result: None,
            time_start: NEVER,
            time_end: NEVER,
            schedule: versioned(version),
            members: None,
        }
    }

    /// What its document shows.
    pub(super) fn shown(&self) -> Value {
        let member = |(id, member): &(String, Map<String, Value>)| (id.clone(), json!(member));
        let jobs = self
            .members
            .as_ref()
            .map(|members| members.iter().map(member).collect::<Map<_, _>>());
        json!({
            "project_id": self.project, "description": self.description, "session_tag": self.tag,
            "status": self.status, "result": self.result, "time_start": self.time_start,
            "time_end": self.time_end, "schedule": self.schedule, "jobs": jobs,
        })
    }

    fn member(&mut self, job: &str) -> Option<&mut Map<String, Value>> {
        let members = self.members.as_mut()?;
        members
            .iter_mut()
            .find(|(id, _)| id == job)
            .map(|(_, member)| member)
    }

    fn add(&mut self, id: &str, job: &mut Job) {
        let present = |key: &str| job.schedule.get(key).cloned().unwrap_or_else(|| json!(""));
        let member = object([
            ("client_id", json!(job.client)),
            ("status", present("status")),
            ("result", present("result")),
            ("time_started", present("time_started")),
            ("time_ended", present("time_ended")),
        ]);
        let members = self.members.get_or_insert_default();
        members.retain(|(other, _)| other != id);
        members.insert(0, (id.to_owned(), member));
    }

    /// The words of the answer.
    fn start(&mut self, job: &str, tag: i64) -> Result<&'static str, Vec<u16>> {
        if tag > self.tag {
            return Err(vec![400]);
        }
        let is_recent = START - self.time_start <= HOLD_OFF;
        let is_current = tag == self.tag;
        if is_recent == is_current {
            return Ok(if is_recent { "hold-off" } else { "out-of-sync" });
        }
        let member = self.member(job).ok_or(vec![400])?;
        member.extend(object([
            ("status", json!("running")),
            ("result", json!("")),
            ("time_started", json!(START)),
        ]));
        if is_current {
            self.tag += 1;
            self.time_start = START;
            self.status = Some("running".to_owned());
            self.result = Some(String::new());
        }
        Ok("success")
    }

    fn end(&mut self, job: &str, result: &str) -> Result<&'static str, Vec<u16>> {
        let member = self.member(job).ok_or(vec![400])?;
        member.extend(object([
            ("status", json!("completed")),
            ("result", json!(result)),
            ("time_ended", json!(START)),
        ]));
        if self.status.as_deref() != Some("completed")
            && let Some(result) = self.overall()
        {
            self.status = Some("completed".to_owned());
            self.result = Some(result.to_owned());
            self.time_end = START;
        }
        Ok("success")
    }

    /// The result of the session, where its members decide it.
    fn overall(&self) -> Option<&'static str> {
        for (_, member) in self.members.iter().flatten() {
            if member["status"] != "completed" {
                return None;
            }
            if member["result"] != "success" {
                return Some("fail");
            }
        }
        Some("success")
    }
}

impl Catalogue {
    pub(super) fn change_session(&mut self, project: &str, operation: &Operation) -> Outcome {
        use Operation as O;
        match operation {
            O::ReplaceSession {
                session,
                tag,
                version,
            } => {
                refuse([(self.sessions.is_lost(project, session), 409)])?;
                let new = Session::new(project, *tag, version);
                let new = match self.sessions.get(project, session) {
                    None => new,
                    // What the body does not name stays, but for the members.
                    Some(old) => Session {
                        description: new.description,
                        schedule: new.schedule,
                        tag: *tag,
                        members: None,
                        ..old.clone()
                    },
                };
                self.sessions.insert(project, session, new);
            }
            O::PatchSession { session, version } => {
                let session = self.sessions.get_mut(project, session).ok_or(vec![404])?;
                session.description.clone_from(version);
                session.schedule = versioned(version);
            }
            O::DeleteSession { session } => drop(self.sessions.delete(project, session)),
            O::AddJob { session: id, job } => {
                let session = self.sessions.get_mut(project, id).ok_or(vec![404])?;
                let stored = self.jobs.get_mut(project, job).ok_or(vec![404])?;
                session.add(job, stored);
                (*id).clone_into(&mut stored.session_id);
                stored.session_tag = session.tag;
                stored.schedule.clone_from(&session.schedule);
            }
            O::RemoveJob { session, job } => return self.remove_job(project, session, job),
            O::Start { session, job, tag } => {
                let session = self.sessions.get_mut(project, session).ok_or(vec![404])?;
                return session
                    .start(job, *tag)
                    .map(|result| json!({"result": result, "session_tag": session.tag}));
            }
            O::End {
                session,
                job,
                result,
            } => {
                let session = self.sessions.get_mut(project, session).ok_or(vec![404])?;
                return session
                    .end(job, result)
                    .map(|result| json!({"result": result, "session_tag": session.tag}));
            }
            other => unreachable!("{other:?}"),
        }
        Ok(Value::Null)
    }

    /// Takes out a job's entry, also one whose job is gone; the job is told to stop.
    fn remove_job(&mut self, project: &str, session: &str, id: &str) -> Outcome {
        let job = self.jobs.get_mut(project, id);
        let session = self.sessions.get_mut(project, session).ok_or(vec![404])?;
        let members = session.members.as_mut().ok_or(vec![404])?;
        let before = members.len();
        members.retain(|(other, _)| other != id);
        refuse([(members.len() == before && job.is_none(), 404)])?;
        if let Some(job) = job {
            job.session_id = String::new();
            job.session_tag = 0;
            job.schedule = object([("event", json!("stop"))]);
        }
        Ok(Value::Null)
    }
}
