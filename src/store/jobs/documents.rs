//! Jobs as documents: each with its actions, which one statement reads with it, so that they are of one moment.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;

use super::super::list::{Batches, Selection};
use super::super::rows::{Batch, Conditions, Cursor, Page, Record, Slice, Values, order_by};
use super::super::sink::{SharedSink, Sink};
use super::super::statement::{Statement, sql};
use super::super::{Engine, StoreError, Tx};
use super::narrow_jobs;
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::job::{Job, PidViewer};
use crate::domain::resource::{Resource, raw};
use crate::domain::search::Search;

/// Jobs with their entries and the actions of these, one row an entry, of the jobs that `p` names. Joined from the left in this
/// order, so that no database sorts rows with large texts.
const JOINED: &str = ") p LEFT JOIN jobs j ON j.id = p.id \
     LEFT JOIN job_actions ja ON ja.job_id = j.id AND ja.deleted = FALSE \
     LEFT JOIN actions a ON a.id = ja.action_id AND a.deleted = FALSE";
/// The first of a job's rows.
const FIRST_OF_JOB: &str = "NOT EXISTS (SELECT 1 FROM job_actions f \
     WHERE f.job_id = ja.job_id AND f.deleted = FALSE AND f.id < ja.id)";
/// The first of a job's rows with an action.
const FIRST_OF_ACTION: &str = "NOT EXISTS (SELECT 1 FROM job_actions f \
     WHERE f.job_id = ja.job_id AND f.action_id = ja.action_id AND f.deleted = FALSE AND f.id < ja.id)";
/// The name of a job's client where it is one of a project's own.
const OWN_CLIENT: &str = "(SELECT MIN(c.client_id) FROM clients c \
     WHERE c.client_id = j.client_id AND c.project_id = ? AND c.deleted = FALSE)";

/// The columns of a record, with its large texts in those rows alone that meet the condition.
fn columns<T: Record>(condition: &str) -> String {
    let mut columns = T::COLUMNS.to_owned();
    for document in T::DOCUMENTS {
        let column = format!("{}.{document}", T::ALIAS);
        let once = format!("CASE WHEN {condition} THEN {column} END");
        columns = columns.replace(&column, &once);
    }
    columns
}

/// A job with one of its entries.
struct Entry {
    job: Job,
    created_at: Option<PrimitiveDateTime>,
    own_client: Option<String>,
    position: Option<i32>,
    action: Option<Action>,
}

/// A row of the query.
struct Joined {
    names_a_client: i32,
    entry: Option<Entry>,
}

impl<'r, R> FromRow<'r, R> for Joined
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    PrimitiveDateTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let mut values = Values::of(row);
        let names_a_client = values.take()?;
        let entry = if values.has_text()? {
            Some(Entry {
                job: Job::from_values(&mut values)?,
                created_at: values.take()?,
                own_client: values.take()?,
                position: values.take()?,
                action: if values.has_text()? {
                    Some(Action::from_values(&mut values)?)
                } else {
                    None
                },
            })
        } else {
            None
        };
        Ok(Joined {
            names_a_client,
            entry,
        })
    }
}

/// A job with its actions.
struct FullJob {
    job: Job,
    own_client: Option<String>,
    /// Position and action.
    entries: Vec<(Option<i32>, String)>,
    actions: HashMap<String, Action>,
}

impl FullJob {
    fn new(entry: Entry) -> FullJob {
        let mut job = FullJob {
            job: entry.job.clone(),
            own_client: entry.own_client.clone(),
            entries: Vec::new(),
            actions: HashMap::new(),
        };
        job.add(entry);
        job
    }

    fn add(&mut self, entry: Entry) {
        if entry.job.schedule.is_some() {
            self.job.schedule = entry.job.schedule;
        }
        // A job's action is one of its own project.
        let of_project = |action: &Action| action.project_id == self.job.project_id;
        let Some(action) = entry.action.filter(of_project) else {
            return;
        };
        self.entries.push((entry.position, action.id.clone()));
        if action.backup_metadata.is_some() || !self.actions.contains_key(&action.id) {
            self.actions.insert(action.id.clone(), action);
        }
    }

    /// Its document. Of an action that it names several times the text is made once.
    fn document(mut self, viewer: &PidViewer) -> Box<RawValue> {
        let is_own = self.own_client.as_ref() == Some(&self.job.client_id);
        if *viewer != PidViewer::Operator && !is_own && self.job.shows_pid() {
            self.job.hide_pid();
        }
        self.entries.sort_by_key(|(position, _)| *position);
        let texts: HashMap<&str, Box<RawValue>> = self
            .actions
            .iter()
            .map(|(id, action)| (id.as_str(), action.to_json()))
            .collect();
        let shown: Vec<&RawValue> = self
            .entries
            .iter()
            .filter_map(|(_, id)| texts.get(id.as_str()).map(AsRef::as_ref))
            .collect();
        raw(&self.job.document(&shown))
    }
}

/// Puts the rows of jobs together, which come job by job.
struct Collector {
    batch: Batch<FullJob>,
    names_a_client: bool,
}

impl Collector {
    fn new(max_weight: usize) -> Collector {
        Collector {
            batch: Batch::new(max_weight),
            names_a_client: false,
        }
    }

    fn add(&mut self, row: Joined) {
        self.names_a_client |= row.names_a_client != 0;
        let Some(entry) = row.entry else {
            return;
        };
        let is_new = self
            .batch
            .rows
            .last()
            .is_none_or(|last| last.job.id != entry.job.id);
        if is_new && !self.batch.has_room() {
            return;
        }
        self.batch
            .weigh(entry.job.weight() + entry.action.as_ref().map_or(0, Action::weight));
        if is_new {
            self.batch.last = Some(Cursor::new(entry.created_at, &entry.job.id));
            self.batch.rows.push(FullJob::new(entry));
        } else if let Some(job) = self.batch.rows.last_mut() {
            job.add(entry);
        }
    }
}

/// The columns by which [`select_full`] knows the jobs of a page.
const PAGE: &str = "j.id, j.created_at AS listed_at, 0 AS names_a_client";

/// Adds to the jobs of a page a row without a job, which says whether an action meets the conditions.
fn with_probe(page: Statement, probe: Conditions) -> Statement {
    sql("SELECT q.id, q.listed_at, q.names_a_client FROM (")
        .push_statement(page)
        .push(") q UNION ALL SELECT NULL, NULL, CASE WHEN EXISTS (")
        .push_statement(probe.select::<Action>("1"))
        .push(") THEN 1 ELSE 0 END")
}

/// The query for the jobs of a page as a viewer sees them.
fn select_full(engine: Engine, viewer: &PidViewer, page: Statement) -> Statement {
    let (own_client, project_id) = match viewer {
        PidViewer::Project(Some(project_id)) => (OWN_CLIENT, Some(project_id)),
        PidViewer::Project(None) | PidViewer::Operator => ("NULL", None),
    };
    sql(format!(
        "SELECT p.names_a_client, {}, p.listed_at, {own_client}, ja.position, {} FROM (",
        columns::<Job>(FIRST_OF_JOB),
        columns::<Action>(FIRST_OF_ACTION)
    ))
    .bind_all(project_id)
    .push_statement(page)
    .push(JOINED)
    .push(&order_by(engine, "p.listed_at", "p.id"))
}

/// A search whose `client_id` may be the job's own.
fn names_client(search: &Search) -> bool {
    search.matching.iter().any(|(key, _)| key == "client_id")
}

impl Tx {
    /// Lists a page of jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_jobs(
        &mut self,
        scope: &Scope,
        page: Page,
        search: Option<&Search>,
        viewer: &PidViewer,
        sink: &SharedSink,
    ) -> Result<(), StoreError> {
        let mut sink = sink.lock().await;
        // Where no action names a client, the jobs of a client are found by their index; whether one does, the same statement
        // says.
        let by_column = search.is_some_and(names_client);
        let is_listed = self
            .write_jobs(scope, page, (search, by_column), viewer, &mut sink)
            .await;
        let is_listed = is_listed.map_err(|error| sink.failed(error))?;
        if !is_listed {
            let listed = self
                .write_jobs(scope, page, (search, false), viewer, &mut sink)
                .await;
            listed.map_err(|error| sink.failed(error))?;
        }
        Ok(())
    }

    /// Writes a page of jobs; `false` if they may not be those that the search finds: `by_column` holds for jobs whose actions
    /// name no client.
    async fn write_jobs(
        &mut self,
        scope: &Scope,
        page: Page,
        (search, by_column): (Option<&Search>, bool),
        viewer: &PidViewer,
        sink: &mut Sink,
    ) -> Result<bool, StoreError> {
        sink.begin(self.session.in_snapshot())?;
        let conditions = Conditions::within::<Job>(scope);
        let mut batches = match search {
            None => Batches::page(conditions, page),
            Some(search) => {
                let narrowed = narrow_jobs(self.engine(), conditions, search, by_column);
                Batches::all(narrowed, page)
            }
        }
        .starting_with(sink.first_rows());
        let mut selection = Selection::new(search, page);
        while !selection.is_full()
            && let Some(slice) = batches.next_slice(self, sink)?
        {
            let probe = by_column.then(|| self.actions_with_client(scope));
            let found = self.select_jobs(slice, probe, viewer, sink.batch()).await?;
            if found.names_a_client {
                return Ok(false);
            }
            for job in batches.advance(found.batch) {
                selection.offer(job.document(viewer), sink).await?;
            }
        }
        Ok(true)
    }

    async fn select_jobs(
        &mut self,
        slice: Slice,
        probe: Option<Conditions>,
        viewer: &PidViewer,
        bytes: usize,
    ) -> Result<Collector, StoreError> {
        let page = slice.select::<Job>(self.engine(), PAGE);
        let page = match probe {
            Some(probe) => with_probe(page, probe),
            None => page,
        };
        let query = select_full(self.engine(), viewer, page);
        let mut found = Collector::new(bytes);
        self.session.fetch_each(query, |row| found.add(row)).await?;
        Ok(found)
    }

    /// The document of one job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_job_document(
        &mut self,
        scope: &Scope,
        id: &str,
        viewer: &PidViewer,
    ) -> Result<Option<Box<RawValue>>, StoreError> {
        let page = Conditions::of_id::<Job>(scope, id).select::<Job>(PAGE);
        let mut found = Collector::new(usize::MAX);
        let query = select_full(self.engine(), viewer, page);
        self.session.fetch_each(query, |row| found.add(row)).await?;
        let mut jobs = found.batch.rows.into_iter();
        let job = jobs.find(|job| job.job.id == id);
        Ok(job.map(|job| job.document(viewer)))
    }

    /// The actions in question that have a member `client_id`, which a search for that name must look at. An index has only
    /// those.
    fn actions_with_client(&self, scope: &Scope) -> Conditions {
        let names_client = match self.engine() {
            Engine::MySql => "a.names_client_id = TRUE",
            Engine::Postgres | Engine::Sqlite => "a.backup_metadata LIKE '%\"client_id\":%'",
        };
        Conditions::within::<Action>(scope).and(names_client, [""; 0])
    }
}
