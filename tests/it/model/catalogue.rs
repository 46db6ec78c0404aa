//! The sequential truth: what the service answers where one request comes after the other.

mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::operation::{Operation, schedule};

use crate::support::START;
use sessions::Session;

/// What an operation answers; or the statuses with which it may be refused.
pub(super) type Outcome = Result<Value, Vec<u16>>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Catalogue {
    /// By name and project.
    clients: BTreeMap<(String, String), Client>,
    /// Names and projects of private clients that there ever were, and names of central ones.
    once_private: BTreeSet<(String, String)>,
    once_central: BTreeSet<String>,
    actions: Documents<Action>,
    jobs: Documents<Job>,
    sessions: Documents<Session>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Client {
    is_central: bool,
    weak: bool,
}

/// Documents by id; an id is given once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Documents<T> {
    live: BTreeMap<String, (String, T)>,
    used: BTreeSet<String>,
}

impl<T> Default for Documents<T> {
    fn default() -> Self {
        Documents {
            live: BTreeMap::new(),
            used: BTreeSet::new(),
        }
    }
}

impl<T> Documents<T> {
    fn get(&self, project: &str, id: &str) -> Option<&T> {
        let (owner, document) = self.live.get(id)?;
        (owner == project).then_some(document)
    }

    fn get_mut(&mut self, project: &str, id: &str) -> Option<&mut T> {
        let (owner, document) = self.live.get_mut(id)?;
        (owner == project).then_some(document)
    }

    fn insert(&mut self, project: &str, id: &str, document: T) {
        self.used.insert(id.to_owned());
        self.live
            .insert(id.to_owned(), (project.to_owned(), document));
    }

    /// Whether the id is another project's or a deleted document's.
    fn is_lost(&self, project: &str, id: &str) -> bool {
        self.used.contains(id) && self.get(project, id).is_none()
    }

    /// Whether there was such a document.
    fn delete(&mut self, project: &str, id: &str) -> bool {
        let is_there = self.get(project, id).is_some();
        if is_there {
            self.live.remove(id);
        }
        is_there
    }

    /// As lists are compared.
    fn list(&self, project: &str, show: impl Fn(&T) -> Value) -> Value {
        let own = self.live.iter().filter(|(_, (owner, _))| owner == project);
        Value::Object(
            own.map(|(id, (_, document))| (id.clone(), json!([show(document)])))
                .collect(),
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Action {
    project: String,
    does: String,
    command: String,
}

/// An action of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Link {
    Own { does: String, command: String },
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Job {
    project: String,
    client: String,
    description: String,
    session_id: String,
    session_tag: i64,
    schedule: Map<String, Value>,
    actions: Vec<Link>,
}

const NEVER: i64 = -1;

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn versioned(version: &str) -> Map<String, Value> {
    schedule(version).as_object().unwrap().clone()
}

impl Action {
    fn shown(&self) -> Value {
        json!({"action": self.does, "command": self.command, "project_id": self.project})
    }
}

impl Catalogue {
    /// Carries out what a project asks for.
    pub(super) fn apply(&mut self, project: &str, operation: &Operation) -> Outcome {
        use Operation as O;
        match operation {
            O::Register {
                client,
                central,
                weak,
            } => self.register(project, client, *central, *weak),
            O::DeleteClient { client } => self.delete_client(project, client),
            O::GetClient { client } => {
                let owner = self.visible(project, client).ok_or(vec![404])?;
                Ok(self.shown_client(&owner, client))
            }
            O::ListClients => Ok(self.list_clients(project)),
            O::CreateAction {
                action,
                does,
                version,
            } => {
                refuse([(self.actions.used.contains(*action), 409)])?;
                self.put_action(project, action, does, version)
            }
            O::ReplaceAction {
                action,
                does,
                version,
            } => {
                refuse([(self.actions.is_lost(project, action), 409)])?;
                self.put_action(project, action, does, version)
            }
            O::PatchAction { action, does } => {
                let action = self.actions.get_mut(project, action).ok_or(vec![404])?;
                (*does).clone_into(&mut action.does);
                Ok(Value::Null)
            }
            O::DeleteAction { action } => {
                if self.actions.delete(project, action) {
                    let others = |link: &Link| !matches!(link, Link::Named(id) if id == action);
                    self.jobs
                        .live
                        .values_mut()
                        .for_each(|(_, job)| job.actions.retain(others));
                }
                Ok(Value::Null)
            }
            O::GetAction { action } => self
                .actions
                .get(project, action)
                .map(Action::shown)
                .ok_or(vec![404]),
            O::ListActions => Ok(self.actions.list(project, Action::shown)),
            O::GetJob { job } => {
                // An operator sees the jobs of all projects.
                self.jobs
                    .live
                    .get(*job)
                    .map(|(_, job)| self.shown_job(job))
                    .ok_or(vec![404])
            }
            O::ListJobs => Ok(self.jobs.list(project, |job| self.shown_job(job))),
            O::GetSession { session } => self
                .sessions
                .get(project, session)
                .map(Session::shown)
                .ok_or(vec![404]),
            O::ListSessions => Ok(self.sessions.list(project, Session::shown)),
            O::CreateJob { .. }
            | O::ReplaceJob { .. }
            | O::RewriteJob { .. }
            | O::MoveJob { .. }
            | O::ScheduleJob { .. }
            | O::RequestEvent { .. }
            | O::DeleteJob { .. } => self.change_job(project, operation),
            O::ReplaceSession { .. }
            | O::PatchSession { .. }
            | O::DeleteSession { .. }
            | O::AddJob { .. }
            | O::RemoveJob { .. }
            | O::Start { .. }
            | O::End { .. } => self.change_session(project, operation),
        }
    }

    /// The project of the client that a project sees under a name: its own, or a central one.
    fn visible(&self, project: &str, name: &str) -> Option<String> {
        let named = || {
            self.clients
                .iter()
                .filter(move |((client, _), _)| client == name)
        };
        let own = named().find(|((_, owner), _)| owner == project);
        let seen = own.or_else(|| named().find(|(_, client)| client.is_central));
        seen.map(|((_, owner), _)| owner.clone())
    }

    fn client(&self, owner: &str, name: &str) -> &Client {
        &self.clients[&(name.to_owned(), owner.to_owned())]
    }

    fn shown_client(&self, owner: &str, name: &str) -> Value {
        let client = self.client(owner, name);
        json!({"is_central": client.is_central, "project_id": owner, "actions": if client.weak { 1 } else { 5 }})
    }

    fn list_clients(&self, project: &str) -> Value {
        let mut shown: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for ((name, owner), client) in &self.clients {
            if owner == project || client.is_central {
                shown
                    .entry(name)
                    .or_default()
                    .push(self.shown_client(owner, name));
            }
        }
        json!(shown)
    }

    /// The client that a registration meets: a central one is looked for in all projects, and takes a private one for it.
    fn registered(&self, project: &str, name: &str, central: bool) -> Option<String> {
        self.visible(project, name).or_else(|| {
            let mut owners = self
                .clients
                .keys()
                .filter(|(client, _)| central && client == name);
            owners.next().map(|(_, owner)| owner.clone())
        })
    }

    fn register(&mut self, project: &str, name: &str, is_central: bool, weak: bool) -> Outcome {
        let key = (name.to_owned(), project.to_owned());
        match self.registered(project, name, is_central) {
            Some(owner) if owner != project => return Err(vec![409]),
            Some(_) => {
                self.clients
                    .entry(key)
                    .and_modify(|client| client.weak = weak);
                return Ok(Value::Null);
            }
            None => {}
        }
        refuse([(is_central && self.is_private_name(name), 409)])?;
        if is_central {
            self.once_central.insert(name.to_owned());
        } else {
            self.once_private.insert(key.clone());
        }
        self.clients.insert(key, Client { is_central, weak });
        Ok(Value::Null)
    }

    /// Whether jobs have the name that may have been made for a private client; no client has it now.
    fn is_private_name(&self, name: &str) -> bool {
        let mut jobs = self
            .jobs
            .live
            .values()
            .filter(|(_, job)| job.client == name);
        jobs.any(|(project, _)| {
            self.once_private
                .contains(&(name.to_owned(), project.clone()))
                || !self.once_central.contains(name)
        })
    }

    fn delete_client(&mut self, project: &str, name: &str) -> Outcome {
        match self.visible(project, name) {
            Some(owner) if owner != project => return Err(vec![403]),
            Some(owner) => drop(self.clients.remove(&(name.to_owned(), owner))),
            None => {}
        }
        Ok(Value::Null)
    }

    fn put_action(&mut self, project: &str, id: &str, does: &str, command: &str) -> Outcome {
        let action = Action {
            project: project.to_owned(),
            does: does.to_owned(),
            command: command.to_owned(),
        };
        self.actions.insert(project, id, action);
        Ok(Value::Null)
    }

    /// What the document of a job shows.
    fn shown_job(&self, job: &Job) -> Value {
        let action = |link: &Link| match link {
            Link::Own { does, command } => {
                json!({"action": does, "command": command, "project_id": job.project})
            }
            Link::Named(id) => self.actions.live[id].1.shown(),
        };
        json!({
            "project_id": job.project, "client_id": job.client, "description": job.description,
            "session_id": job.session_id, "session_tag": job.session_tag, "job_schedule": job.schedule,
            "job_actions": job.actions.iter().map(action).collect::<Vec<_>>(),
        })
    }

    /// Refuses a job whose client is not there or cannot do what its actions do.
    fn check_client(&self, project: &str, name: &str, actions: &[Link]) -> Result<(), Vec<u16>> {
        let owner = self.visible(project, name).ok_or(vec![422])?;
        let does = |link: &Link| match link {
            Link::Own { does, .. } => does.clone(),
            Link::Named(id) => self.actions.live[id].1.does.clone(),
        };
        let weak = self.client(&owner, name).weak;
        refuse([(
            weak && actions.iter().any(|link| does(link) != "backup"),
            422,
        )])
    }

    /// The actions of a job: one that there is, or two of its own.
    fn resolve(
        &self,
        project: &str,
        action: Option<&str>,
        version: &str,
    ) -> Result<Vec<Link>, Vec<u16>> {
        if let Some(action) = action {
            refuse([(self.actions.get(project, action).is_none(), 422)])?;
            return Ok(vec![Link::Named(action.to_owned())]);
        }
        let own = Link::Own {
            does: "exec".to_owned(),
            command: version.to_owned(),
        };
        Ok(vec![own.clone(), own])
    }

    /// Stores a job. A refusal for its id and one for what it needs may both be true: either is right.
    fn put_job(&mut self, project: &str, id: &str, is_taken: bool, job: &Operation) -> Outcome {
        let (Operation::CreateJob {
            client,
            action,
            version,
            ..
        }
        | Operation::ReplaceJob {
            client,
            action,
            version,
            ..
        }) = job
        else {
            unreachable!("{job:?}")
        };
        let taken = refuse([(is_taken, 409)]);
        let actions = self.resolve(project, *action, version);
        let fits = actions.as_ref().map_err(Vec::clone);
        let fits = fits.and_then(|actions| self.check_client(project, client, actions));
        let refusals = [taken.err(), fits.err()].into_iter().flatten().flatten();
        let refusals: Vec<u16> = refusals.collect();
        let Ok(actions) = actions else {
            return Err(refusals);
        };
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let schedule = match job {
            Operation::CreateJob { .. } => object([
                ("time_created", json!(START)),
                ("time_started", json!(NEVER)),
                ("time_ended", json!(NEVER)),
            ]),
            _ => Map::new(),
        };
        let job = Job {
            project: project.to_owned(),
            client: (*client).to_owned(),
            description: version.clone(),
            session_id: String::new(),
            session_tag: 0,
            schedule,
            actions,
        };
        self.jobs.insert(project, id, job);
        Ok(Value::Null)
    }

    fn change_job(&mut self, project: &str, operation: &Operation) -> Outcome {
        use Operation as O;
        match operation {
            O::CreateJob { job, .. } => {
                let is_taken = self.jobs.used.contains(*job);
                return self.put_job(project, job, is_taken, operation);
            }
            O::ReplaceJob { job, .. } => {
                let is_taken = self.jobs.is_lost(project, job);
                return self.put_job(project, job, is_taken, operation);
            }
            O::RewriteJob { job, version } => {
                let client = self.jobs.get(project, job).ok_or(vec![404])?.client.clone();
                let actions = self.resolve(project, None, version)?;
                self.check_client(project, &client, &actions)?;
                let job = self.jobs.get_mut(project, job).ok_or(vec![404])?;
                job.description.clone_from(version);
                job.actions = actions;
            }
            O::MoveJob { job, client } => {
                let stored = self.jobs.get(project, job).ok_or(vec![404])?;
                if stored.client != *client {
                    self.check_client(project, client, &stored.actions)?;
                }
                self.jobs.get_mut(project, job).ok_or(vec![404])?.client = (*client).to_owned();
            }
            O::ScheduleJob { job, version } => {
                let job = self.jobs.get_mut(project, job).ok_or(vec![404])?;
                job.schedule = versioned(version);
            }
            O::RequestEvent { job, event } => return self.request_event(project, job, event),
            O::DeleteJob { job } => drop(self.jobs.delete(project, job)),
            other => unreachable!("{other:?}"),
        }
        Ok(Value::Null)
    }

    fn request_event(&mut self, project: &str, job: &str, event: &str) -> Outcome {
        let stored = self.jobs.get(project, job).ok_or(vec![404])?;
        if stored.schedule.get("event") == Some(&json!(event)) {
            return Ok(json!({"result": format!("{event} already requested")}));
        }
        self.check_client(project, &stored.client, &stored.actions)?;
        let schedule = &mut self.jobs.get_mut(project, job).ok_or(vec![404])?.schedule;
        schedule.insert("event".to_owned(), json!(event));
        if event == "start" {
            schedule.extend(object([("status", json!("")), ("result", json!(""))]));
        }
        Ok(json!({"result": "success"}))
    }
}

/// The refusals that are true.
fn refuse<const N: usize>(reasons: [(bool, u16); N]) -> Result<(), Vec<u16>> {
    let refusals: Vec<u16> = reasons
        .into_iter()
        .filter(|(is_true, _)| *is_true)
        .map(|(_, status)| status)
        .collect();
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(refusals)
    }
}
