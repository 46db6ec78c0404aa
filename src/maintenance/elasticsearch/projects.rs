//! Whose a document is. Version 1 of the API stored no project, and the tables need one.
//!
//! What tells it, in this order: the document itself; the name of its client, which is `PROJECT_HOST` unless somebody chose
//! another; the jobs that it names or that name it; what the operator says of its user; the only project in which its user
//! has a role; the operator's default.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde_json::Value;

use super::document::{Document, Kind};
use super::mapping::client_name;
use crate::domain::document::{Object, text};

/// What the operator says of documents that do not tell their project.
#[derive(Debug, Clone, Default)]
pub struct ProjectRules {
    /// The project of each user.
    pub users: BTreeMap<String, String>,
    /// The only project in which a user of whom nothing is said has a role.
    pub assignments: BTreeMap<String, String>,
    /// The project of all others.
    pub default: Option<String>,
}

/// What told the project of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToldBy {
    /// It has a `project_id`.
    Document,
    /// The name of its client.
    ClientName,
    /// A job that it names, or that names it.
    Job,
    /// The rule for its user.
    UserRule,
    /// The roles of its user.
    Assignment,
    /// The default.
    Default,
}

impl fmt::Display for ToldBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            ToldBy::Document => "by the document",
            ToldBy::ClientName => "by the client's name",
            ToldBy::Job => "by its jobs",
            ToldBy::UserRule => "by the rule for the user",
            ToldBy::Assignment => "by the user's roles in Keystone",
            ToldBy::Default => "by the default",
        })
    }
}

/// A project by its number in [`Projects::names`].
type ProjectNumber = u32;

/// What the documents say of each other's projects.
#[derive(Debug, Default)]
pub(super) struct Projects {
    names: Vec<String>,
    numbers: HashMap<String, ProjectNumber>,
    jobs: HashMap<String, Told>,
    /// By the jobs that have them.
    actions: HashMap<String, Told>,
    /// The projects of each user, as far as documents tell them.
    users: BTreeMap<String, BTreeSet<ProjectNumber>>,
}

/// What is known of one document's project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    One(ProjectNumber),
    /// Several documents say different things.
    Several,
}

impl Projects {
    /// Takes in what a document tells.
    pub(super) fn learn(&mut self, document: &Document) {
        let members = &document.members;
        let own = own_project(members);
        let Some(project) = own.or_else(|| of_client_name(document)) else {
            return;
        };
        let number = self.number(project);
        if let Some(user) = text(members, "user_id") {
            self.users
                .entry(user.to_owned())
                .or_default()
                .insert(number);
        }
        if document.kind != Kind::Jobs {
            return;
        }
        let id = text(members, "job_id").unwrap_or(document.id());
        insert(&mut self.jobs, id, number);
        if own.is_none() {
            for action in action_ids(members) {
                insert(&mut self.actions, action, number);
            }
        }
    }

    fn number(&mut self, project: &str) -> ProjectNumber {
        if let Some(number) = self.numbers.get(project) {
            return *number;
        }
        let number = ProjectNumber::try_from(self.names.len()).unwrap_or(ProjectNumber::MAX);
        self.names.push(project.to_owned());
        self.numbers.insert(project.to_owned(), number);
        number
    }

    fn name(&self, told: Option<&Told>) -> Option<&str> {
        match told? {
            Told::One(number) => self.names.get(*number as usize).map(String::as_str),
            Told::Several => None,
        }
    }

    /// The project of a document, and what told it.
    pub(super) fn of<'a>(
        &'a self,
        document: &'a Document,
        rules: &'a ProjectRules,
    ) -> Option<(&'a str, ToldBy)> {
        let members = &document.members;
        if let Some(project) = own_project(members) {
            return Some((project, ToldBy::Document));
        }
        if let Some(project) = of_client_name(document) {
            return Some((project, ToldBy::ClientName));
        }
        if let Some(project) = self.by_jobs(document) {
            return Some((project, ToldBy::Job));
        }
        let user = text(members, "user_id");
        let of_user = |projects: &'a BTreeMap<String, String>| projects.get(user?);
        let by_rule = of_user(&rules.users).map(|project| (project.as_str(), ToldBy::UserRule));
        let by_roles = || Some((of_user(&rules.assignments)?.as_str(), ToldBy::Assignment));
        let default = || Some((rules.default.as_deref()?, ToldBy::Default));
        by_rule.or_else(by_roles).or_else(default)
    }

    fn by_jobs<'a>(&'a self, document: &'a Document) -> Option<&'a str> {
        let members = &document.members;
        match document.kind {
            Kind::Clients | Kind::Jobs => None,
            Kind::Actions => {
                let id = text(members, "action_id").unwrap_or(document.id());
                self.name(self.actions.get(id))
            }
            Kind::Backups => self.name(self.jobs.get(job_of_backup(members)?)),
            Kind::Sessions => {
                let jobs = members.get("jobs")?.as_object()?;
                let of_entry = |(id, entry): (&'a String, &'a Value)| {
                    let client = entry.as_object().and_then(|entry| text(entry, "client_id"));
                    let by_client = client.and_then(project_of_name);
                    by_client.or_else(|| self.name(self.jobs.get(id)))
                };
                let mut told = jobs.iter().filter_map(of_entry);
                let first = told.next()?;
                told.all(|project| project == first).then_some(first)
            }
        }
    }

    /// The only project that a user's other documents name, as something to propose.
    pub(super) fn proposal(&self, user: &str) -> Option<&str> {
        let projects = self.users.get(user)?;
        let mut projects = projects.iter();
        let (first, None) = (projects.next()?, projects.next()) else {
            return None;
        };
        self.name(Some(&Told::One(*first)))
    }
}

fn insert(map: &mut HashMap<String, Told>, id: &str, number: ProjectNumber) {
    let told = map.entry(id.to_owned()).or_insert(Told::One(number));
    if *told != Told::One(number) {
        *told = Told::Several;
    }
}

fn own_project(members: &Object) -> Option<&str> {
    text(members, "project_id").filter(|project| !project.is_empty())
}

/// The project in the name of the client that a document is, names or comes from.
fn of_client_name(document: &Document) -> Option<&str> {
    let members = &document.members;
    let name = match document.kind {
        Kind::Clients => client_name(members),
        Kind::Jobs => text(members, "client_id"),
        Kind::Backups => text(members.get("backup_metadata")?.as_object()?, "client_id"),
        Kind::Actions | Kind::Sessions => None,
    };
    project_of_name(name?)
}

/// The project in a name that schedulers give by default: `PROJECT_HOST`, with a project's id as Keystone draws them.
fn project_of_name(client_id: &str) -> Option<&str> {
    const LENGTH: usize = 32;
    let (project, host) = client_id.split_once('_')?;
    let is_id = project.len() == LENGTH
        && project
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && !host.is_empty()).then_some(project)
}

fn job_of_backup(members: &Object) -> Option<&str> {
    let metadata = members.get("backup_metadata")?.as_object();
    let in_metadata = metadata.and_then(|metadata| text(metadata, "job_id"));
    in_metadata.or_else(|| text(members, "job_id"))
}

fn action_ids(job: &Object) -> impl Iterator<Item = &str> {
    let entries = job.get("job_actions").and_then(Value::as_array);
    let entries = entries.into_iter().flatten().filter_map(Value::as_object);
    entries.filter_map(|entry| text(entry, "action_id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_tell_projects() {
        let project = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
        assert_eq!(
            project_of_name(&format!("{project}_web-1.example.org")),
            Some(project)
        );
        assert_eq!(project_of_name(&format!("{project}_a_b")), Some(project));
        for name in [
            "named-by-hand",
            "a_b",
            project,
            &format!("{project}_"),
            &format!("{project}0_a"),
        ] {
            assert_eq!(project_of_name(name), None, "{name}");
        }
    }
}
