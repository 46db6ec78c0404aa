//! The first reading of all documents: what lies there, whose it is, and which clients are registered several times. Nothing
//! is written before it ends.
//!
//! Backups are read again later. The other documents, which may lie behind them, are put aside in files without a name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use super::ElasticsearchImportError;
use super::document::{Document, Kind, Layout, Recognized, recognize};
use super::mapping::{client_name, time_of_drawn_id};
use super::projects::{ProjectRules, Projects, ToldBy};
use crate::domain::document::text;
use crate::elasticsearch::{Hit, Reached, Source};
use crate::schema::{Progress, ProgressCallback};

/// How many users without a project are named.
const MAX_USERS: usize = 1000;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Documents by kind, index, and what told the kind.
    pub kinds: BTreeMap<(Kind, String, Layout), u64>,
    /// Documents by the releases that wrote them, as far as it shows.
    pub releases: BTreeMap<&'static str, u64>,
    /// Documents that are not freezer's, by index and type.
    pub foreign: BTreeMap<(String, String), u64>,
    /// Documents by kind and what told their project.
    pub projects: BTreeMap<(Kind, ToldBy), u64>,
    /// How many documents of a user have no project, and the project to propose.
    pub without_project: BTreeMap<String, (u64, Option<String>)>,
    /// Documents by project.
    pub by_project: BTreeMap<String, u64>,
}

impl Found {
    /// How many documents of a kind were read.
    pub fn read(&self, kind: Kind) -> u64 {
        let of_kind = self.kinds.iter().filter(|((other, ..), _)| *other == kind);
        of_kind.map(|(_, count)| count).sum()
    }
}

/// The first reading of all documents. [`Survey::complete`] says whose they are.
pub struct Survey {
    found: Found,
    projects: Projects,
    rules: ProjectRules,
    aside: [Aside; 4],
    foreign: Aside,
    /// For backups that do not tell their project: user and job, with how many there are.
    backups: HashMap<UserAndJob, (u64, Box<Document>)>,
    /// Of each client in a project the registration that counts.
    newest: HashMap<(String, String), Registered>,
}

/// What tells the project of a backup that does not say it.
type UserAndJob = (Option<String>, Option<String>);

/// A registration: when it was made as far as the `_id` tells, and where it lies.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Registered {
    time: Option<time::OffsetDateTime>,
    path: String,
}

impl Survey {
    fn new() -> io::Result<Survey> {
        Ok(Survey {
            found: Found::default(),
            projects: Projects::default(),
            rules: ProjectRules::default(),
            aside: [Aside::new()?, Aside::new()?, Aside::new()?, Aside::new()?],
            foreign: Aside::new()?,
            backups: HashMap::new(),
            newest: HashMap::new(),
        })
    }

    /// Reads all documents for the first time.
    ///
    /// # Errors
    /// [`ElasticsearchImportError`].
    pub async fn read(
        source: &Source,
        progress: ProgressCallback<'_>,
    ) -> Result<Survey, ElasticsearchImportError> {
        let mut survey = Survey::new()?;
        let mut scan = source.scan()?;
        loop {
            let hits = scan.page().await?;
            if hits.is_empty() {
                return Ok(survey);
            }
            for hit in hits {
                survey.add(hit)?;
            }
            let Reached { what, done, total } = scan.reached();
            progress(Progress::Rows { what, done, total });
        }
    }

    /// What was found.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Takes a document in.
    fn add(&mut self, hit: Hit) -> io::Result<()> {
        let document = match recognize(hit) {
            Recognized::Document(document) => document,
            Recognized::Foreign(hit) | Recognized::Unreadable(None, hit, _) => {
                self.foreign.add(&hit)?;
                let doc_type = hit.doc_type.unwrap_or_default();
                *self.found.foreign.entry((hit.index, doc_type)).or_default() += 1;
                return Ok(());
            }
            Recognized::Unreadable(Some(kind), hit, _) => {
                self.count(kind, &hit.index, Layout::Types);
                return self.put_aside(kind, &hit);
            }
        };
        self.count(document.kind, &document.hit.index, document.layout);
        *self.found.releases.entry(document.release()).or_default() += 1;
        self.projects.learn(&document);
        if document.kind == Kind::Backups {
            self.add_backup(document);
            return Ok(());
        }
        self.put_aside(document.kind, &document.hit)
    }

    fn count(&mut self, kind: Kind, index: &str, layout: Layout) {
        let key = (kind, index.to_owned(), layout);
        *self.found.kinds.entry(key).or_default() += 1;
    }

    fn put_aside(&mut self, kind: Kind, hit: &Hit) -> io::Result<()> {
        match self.aside.get_mut(kind as usize) {
            Some(aside) => aside.add(hit),
            None => Ok(()),
        }
    }

    /// Backups are many, so they are not put aside: those that tell their project are counted at once, of the others one of
    /// each user and job is kept until all jobs are known.
    fn add_backup(&mut self, mut document: Box<Document>) {
        let nobody = Projects::default();
        let no_rules = ProjectRules::default();
        if let Some((project, told_by)) = nobody.of(&document, &no_rules) {
            let project = project.to_owned();
            self.found.owned(&project, Kind::Backups, told_by, 1);
            return;
        }
        let members = &document.members;
        let metadata = members
            .get("backup_metadata")
            .and_then(|metadata| metadata.as_object());
        let job = metadata.and_then(|metadata| text(metadata, "job_id"));
        let job = job.or_else(|| text(members, "job_id"));
        let key = (
            text(members, "user_id").map(str::to_owned),
            job.map(str::to_owned),
        );
        if let Some((count, _)) = self.backups.get_mut(&key) {
            *count += 1;
            return;
        }
        document
            .members
            .retain(|name, _| ["user_id", "job_id", "backup_metadata"].contains(&name.as_str()));
        if let Some(metadata) = document
            .members
            .get_mut("backup_metadata")
            .and_then(|metadata| metadata.as_object_mut())
        {
            metadata.retain(|name, _| name == "job_id");
        }
        document.hit.source = serde_json::value::RawValue::NULL.to_owned();
        self.backups.insert(key, (1, document));
    }

    /// The users whose documents do not tell their project, and of whom these rules say nothing.
    ///
    /// # Errors
    /// [`ElasticsearchImportError::File`].
    pub fn users_without_project(
        &mut self,
        rules: &ProjectRules,
    ) -> Result<BTreeSet<String>, ElasticsearchImportError> {
        let mut users = BTreeSet::new();
        self.each(&mut |survey, document, _| {
            if survey.projects.of(document, rules).is_none() {
                let user = text(&document.members, "user_id");
                users.extend(user.map(str::to_owned));
            }
        })?;
        Ok(users)
    }

    /// Finds the project of each document, and the registration of each client that counts.
    ///
    /// # Errors
    /// [`ElasticsearchImportError::File`].
    pub fn complete(&mut self, rules: ProjectRules) -> Result<(), ElasticsearchImportError> {
        self.rules = rules;
        self.each(&mut |survey, document, count| survey.assign(document, count))?;
        Ok(())
    }

    /// Every document but the backups that tell their project; of the other backups one of each user and job, with how many there
    /// are.
    fn each(&mut self, visit: &mut dyn FnMut(&mut Survey, &Document, u64)) -> io::Result<()> {
        for kind in Kind::ALL {
            let Some(mut reader) = self.aside(kind)? else {
                continue;
            };
            while let Some(hit) = reader.next()? {
                if let Recognized::Document(document) = recognize(hit) {
                    visit(self, &document, 1);
                }
            }
        }
        let backups = std::mem::take(&mut self.backups);
        for (count, document) in backups.values() {
            visit(self, document, *count);
        }
        self.backups = backups;
        Ok(())
    }

    fn assign(&mut self, document: &Document, count: u64) {
        let Some((project, told_by)) = self.projects.of(document, &self.rules) else {
            let user = text(&document.members, "user_id").unwrap_or_default();
            self.found
                .unowned(user, self.projects.proposal(user), count);
            return;
        };
        let project = project.to_owned();
        self.found.owned(&project, document.kind, told_by, count);
        if document.kind == Kind::Clients {
            self.register(document, project);
        }
    }

    fn register(&mut self, document: &Document, project: String) {
        let Some(name) = client_name(&document.members) else {
            return;
        };
        let registered = Registered {
            time: time_of_drawn_id(document.id()),
            path: document.hit.path(),
        };
        let newest = self.newest.entry((project, name.to_owned()));
        let newest = newest.or_insert_with(|| Registered {
            time: None,
            path: String::new(),
        });
        if registered > *newest {
            *newest = registered;
        }
    }

    /// The project of a document, after [`Survey::complete`].
    pub(super) fn project<'a>(&'a self, document: &'a Document) -> Option<&'a str> {
        let told = self.projects.of(document, &self.rules);
        told.map(|(project, _)| project)
    }

    /// The name of a client whose registration that counts is another one than this.
    pub(super) fn registered_again<'a>(
        &self,
        document: &'a Document,
        project: &str,
    ) -> Option<&'a str> {
        let name = client_name(&document.members)?;
        let newest = self.newest.get(&(project.to_owned(), name.to_owned()))?;
        (newest.path != document.hit.path()).then_some(name)
    }

    /// The documents of a kind that were put aside; none for backups.
    pub(super) fn aside(&mut self, kind: Kind) -> io::Result<Option<AsideReader>> {
        let aside = self.aside.get_mut(kind as usize);
        aside.map(Aside::reader).transpose()
    }
}

impl Survey {
    /// The documents that are not freezer's.
    pub(super) fn foreign(&mut self) -> io::Result<AsideReader> {
        self.foreign.reader()
    }
}

impl Found {
    fn owned(&mut self, project: &str, kind: Kind, told_by: ToldBy, count: u64) {
        *self.projects.entry((kind, told_by)).or_default() += count;
        if let Some(all) = self.by_project.get_mut(project) {
            *all += count;
        } else {
            self.by_project.insert(project.to_owned(), count);
        }
    }

    fn unowned(&mut self, user: &str, proposal: Option<&str>, count: u64) {
        if self.without_project.len() < MAX_USERS || self.without_project.contains_key(user) {
            let entry = self.without_project.entry(user.to_owned());
            entry.or_insert_with(|| (0, proposal.map(str::to_owned))).0 += count;
        }
    }
}

/// Documents in a file that has no name, so that nobody else can read it and nothing of it is left.
struct Aside(BufWriter<File>);

impl Aside {
    fn new() -> io::Result<Aside> {
        Ok(Aside(BufWriter::new(tempfile::tempfile()?)))
    }

    fn add(&mut self, hit: &Hit) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, hit)?;
        self.0.write_all(b"\n")
    }

    fn reader(&mut self) -> io::Result<AsideReader> {
        self.0.flush()?;
        let mut file = self.0.get_ref().try_clone()?;
        file.rewind()?;
        Ok(AsideReader {
            reader: BufReader::new(file),
            text: String::new(),
        })
    }
}

/// A reading of documents that were put aside.
pub(super) struct AsideReader {
    reader: BufReader<File>,
    text: String,
}

impl AsideReader {
    pub(super) fn next(&mut self) -> io::Result<Option<Hit>> {
        self.text.clear();
        if self.reader.read_line(&mut self.text)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&self.text)?))
    }
}
