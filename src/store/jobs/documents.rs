//! Jobs as documents: each with its actions, which one statement reads with it, so that they are of one moment.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use time::PrimitiveDateTime;

use super::super::list::{Batches, Listing, Selection};
use super::super::pages::{Batch, Cursor, Order, Slice, order_by};
use super::super::rows::{Conditions, Record, SMALL_TEXT, Values, of_credentials};
use super::super::sink::{SharedSink, Sink};
use super::super::statement::{Statement, sql};
use super::super::{Engine, StoreError, Tx};
use super::{covers_jobs, narrow_jobs};
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::job::{Job, PidViewer};
use crate::domain::resource::{Resource, raw};
use crate::domain::search::Search;

/// The entries of jobs with their actions, one row each. Joined from the left in this order, so that no database sorts rows with
/// large texts.
const ENTRIES: &str = " LEFT JOIN job_actions ja ON ja.job_id = j.id AND ja.deleted = FALSE \
     LEFT JOIN actions a ON a.id = ja.action_id AND a.deleted = FALSE";
/// The first of a job's rows.
const FIRST_OF_JOB: &str = "NOT EXISTS (SELECT 1 FROM job_actions f \
     WHERE f.job_id = ja.job_id AND f.deleted = FALSE AND f.id < ja.id)";
/// The first of a job's rows with an action.
const FIRST_OF_ACTION: &str = "NOT EXISTS (SELECT 1 FROM job_actions f \
     WHERE f.job_id = ja.job_id AND f.action_id = ja.action_id AND f.deleted = FALSE AND f.id < ja.id)";

/// Which of the large texts the rows have: each row repeats its job, and an action that the job names again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Those of at most 4 KiB, which is quicker than to look where each comes first.
    Short,
    /// Those of at most so many bytes, where they come first.
    UpTo(usize),
    /// All, where they come first.
    Once,
}

impl Texts {
    /// The columns of a record.
    fn columns<T: Record>(self, is_first: &str) -> String {
        let mut columns = T::COLUMNS.to_owned();
        for document in T::DOCUMENTS {
            let column = format!("{}.{document}", T::ALIAS);
            let condition = match self {
                Texts::Short => &format!("OCTET_LENGTH({column}) <= 4096"),
                Texts::UpTo(most) => &format!("OCTET_LENGTH({column}) <= {most} AND {is_first}"),
                Texts::Once => is_first,
            };
            // Named, since MySQL sends the text of what has no name with each answer.
            let given = format!("CASE WHEN {condition} THEN {column} END AS {document}");
            columns = columns.replace(&column, &given);
        }
        columns
    }

    /// How many bytes the texts of a row have, if one of them is missing because of its size.
    fn left_out(self) -> String {
        let most = match self {
            Texts::Short => 4096,
            Texts::UpTo(most) => most,
            Texts::Once => return "0 AS left_out".to_owned(),
        };
        let [schedule, action] =
            ["j.schedule", "a.backup_metadata"].map(|text| format!("OCTET_LENGTH({text})"));
        format!(
            "CASE WHEN {schedule} > {most} OR {action} > {most} THEN COALESCE({schedule}, 0) + COALESCE({action}, 0) ELSE 0 END AS left_out"
        )
    }

    /// The columns of a query for a page, whose trusts are the page's.
    fn of_page(self) -> String {
        let job = self
            .columns::<Job>(FIRST_OF_JOB)
            .replace(of_credentials!(trust_id), "p.trust_id")
            .replace(of_credentials!(trustor_user_id), "p.trustor_user_id");
        format!(
            "SELECT p.names_a_client, {}, {job}, p.listed_at, ja.position, {} FROM (",
            self.left_out(),
            self.columns::<Action>(FIRST_OF_ACTION)
        )
    }

    /// A query for one job, without its conditions.
    fn of_one(self) -> String {
        let named = |column, name| (column, format!("{column} AS {name}"));
        let job = [
            named(of_credentials!(trust_id), "trust_id"),
            named(of_credentials!(trustor_user_id), "trustor_user_id"),
        ]
        .iter()
        .fold(self.columns::<Job>(FIRST_OF_JOB), |job, (column, named)| {
            job.replace(column, named)
        });
        format!(
            "SELECT 0 AS names_a_client, {}, {job}, j.created_at, ja.position, {} FROM jobs j{ENTRIES}",
            self.left_out(),
            self.columns::<Action>(FIRST_OF_ACTION)
        )
    }
}

/// What nearly all queries for jobs begin with.
static SHORT_OF_PAGE: LazyLock<String> = LazyLock::new(|| Texts::Short.of_page());
static SHORT_OF_ONE: LazyLock<String> = LazyLock::new(|| Texts::Short.of_one());

/// A job with one of its entries.
struct Entry {
    job: Job,
    created_at: Option<PrimitiveDateTime>,
    position: Option<i32>,
    action: Option<Action>,
}

/// A row of the query.
struct Joined {
    names_a_client: i32,
    left_out: i32,
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
        let (names_a_client, left_out) = (values.take()?, values.take()?);
        let entry = if values.has_text()? {
            Some(Entry {
                job: Job::from_values(&mut values)?,
                created_at: values.take()?,
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
            left_out,
            entry,
        })
    }
}

/// A job with its actions.
struct FullJob {
    job: Job,
    /// Position and action.
    entries: Vec<(Option<i32>, String)>,
    actions: HashMap<String, Action>,
}

impl FullJob {
    fn new(job: Job) -> FullJob {
        FullJob {
            job,
            entries: Vec::new(),
            actions: HashMap::new(),
        }
    }

    /// Adds an entry, if its action is one of the job's project.
    fn add(&mut self, position: Option<i32>, action: Action) {
        if action.project_id != self.job.project_id {
            return;
        }
        self.entries.push((position, action.id.clone()));
        if action.backup_metadata.is_some() || !self.actions.contains_key(&action.id) {
            self.actions.insert(action.id.clone(), action);
        }
    }

    /// How many bytes the texts in its document have.
    fn size(&self) -> usize {
        let sizes = self
            .entries
            .iter()
            .filter_map(|(_, id)| self.actions.get(id).map(Action::weight));
        self.job.weight() + sizes.sum::<usize>()
    }

    /// Its document. Of an action that it names several times the text is made once.
    fn document(mut self) -> Box<RawValue> {
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
    /// How many bytes the largest job has in rows of which a text is missing, and the one that was added last.
    left_out: usize,
    left_out_of_last: usize,
}

impl Collector {
    fn new(max_weight: usize) -> Collector {
        Collector {
            batch: Batch::new(max_weight),
            names_a_client: false,
            left_out: 0,
            left_out_of_last: 0,
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
        if is_new {
            self.left_out_of_last = 0;
        }
        self.left_out_of_last += row.left_out.unsigned_abs() as usize;
        self.left_out = self.left_out.max(self.left_out_of_last);
        self.batch
            .weigh(entry.job.weight() + entry.action.as_ref().map_or(0, Action::weight));
        if is_new {
            self.batch.last = Some(Cursor::new(entry.created_at, &entry.job.id));
            self.batch.rows.push(FullJob::new(entry.job));
        } else if let (Some(full), Some(schedule)) =
            (self.batch.rows.last_mut(), entry.job.schedule)
        {
            full.job.schedule = Some(schedule);
        }
        if let (Some(full), Some(action)) = (self.batch.rows.last_mut(), entry.action) {
            full.add(entry.position, action);
        }
    }
}

/// The columns by which [`select_page`] knows the jobs of a page. The trust is looked up here, once a job, and not for each of
/// its entries.
const PAGE: &str = concat!(
    "j.id, j.created_at AS listed_at, 0 AS names_a_client, ",
    of_credentials!(trust_id),
    " AS trust_id, ",
    of_credentials!(trustor_user_id),
    " AS trustor_user_id"
);

/// Adds to the jobs of a page a row without a job, which says whether an action meets the conditions.
fn with_probe(page: Statement, probe: Conditions) -> Statement {
    sql("SELECT q.id, q.listed_at, q.names_a_client, q.trust_id, q.trustor_user_id FROM (")
        .push_statement(page)
        .push(") q UNION ALL SELECT NULL, NULL, CASE WHEN EXISTS (")
        .push_statement(probe.select::<Action>("1"))
        .push(") THEN 1 ELSE 0 END, NULL, NULL")
}

/// The query for the jobs of a page.
fn select_page(engine: Engine, texts: Texts, page: Statement, order: Order) -> Statement {
    let query = match texts {
        Texts::Short => sql(SHORT_OF_PAGE.as_str()),
        Texts::UpTo(_) | Texts::Once => sql(texts.of_page()),
    };
    query
        .push_statement(page)
        .push(") p LEFT JOIN jobs j ON j.id = p.id")
        .push(ENTRIES)
        .push(&order_by(engine, order, "p.listed_at", "p.id"))
}

/// The query for one job.
fn select_one(texts: Texts, conditions: Conditions) -> Statement {
    let query = match texts {
        Texts::Short => sql(SHORT_OF_ONE.as_str()),
        Texts::UpTo(_) | Texts::Once => sql(texts.of_one()),
    };
    conditions.apply_to(query)
}

/// A search whose `client_id` may be the job's own.
fn names_client(search: &Search) -> bool {
    search.matching.iter().any(|(key, _)| key == "client_id")
}

impl Tx {
    /// The place of a job in lists of the scope, also of a deleted one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn place_of_job(
        &mut self,
        scope: &Scope,
        id: &str,
    ) -> Result<Option<Cursor>, StoreError> {
        self.place::<Job>(Conditions::within::<Job>(scope), scope, id)
            .await
    }

    /// Lists a page of jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_jobs(
        &mut self,
        scope: &Scope,
        listing: &Listing,
        viewer: &PidViewer,
        sink: &SharedSink,
    ) -> Result<(), StoreError> {
        let mut sink = sink.lock().await;
        // Where no action names a client, the jobs of a client are found by their index; whether one does, the same statement
        // says.
        let by_column = listing.search.as_ref().is_some_and(names_client);
        let is_listed = self
            .write_jobs(scope, listing, by_column, viewer, &mut sink)
            .await;
        let is_listed = is_listed.map_err(|error| sink.failed(error))?;
        if !is_listed {
            let listed = self
                .write_jobs(scope, listing, false, viewer, &mut sink)
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
        listing: &Listing,
        by_column: bool,
        viewer: &PidViewer,
        sink: &mut Sink,
    ) -> Result<bool, StoreError> {
        sink.begin(self.session.in_snapshot(), &mut self.share)?;
        let conditions = Conditions::within::<Job>(scope);
        let conditions = match &listing.search {
            None => conditions,
            Some(search) => narrow_jobs(self.engine(), conditions, search, by_column),
        };
        let search = listing.search.as_ref();
        let is_covered = search.is_some_and(|search| covers_jobs(self.engine(), search));
        let mut batches =
            Batches::new(conditions, listing, is_covered).starting_with(sink.first_rows());
        let mut selection = Selection::new(listing, None);
        while !selection.is_full()
            && let Some(slice) = batches.next_slice(self, sink)?
        {
            let probe = by_column.then(|| self.actions_with_client(scope));
            let found = self.select_jobs(slice, probe, sink).await?;
            if found.names_a_client {
                return Ok(false);
            }
            let mut jobs = batches.advance(found.batch);
            self.hide_pids(&mut jobs, viewer).await?;
            for job in jobs {
                sink.expect_document(job.size()).await?;
                let id = job.job.id.clone();
                selection.offer(&id, job.document(), sink).await?;
            }
        }
        Ok(true)
    }

    /// Reads a batch of jobs.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] outside of one where a text is not short: it takes another statement;
    /// [`StoreError::NeedsMemory`] where one is large.
    async fn select_jobs(
        &mut self,
        slice: Slice,
        probe: Option<Conditions>,
        sink: &mut Sink,
    ) -> Result<Collector, StoreError> {
        let order = slice.order;
        let page = slice.select::<Job>(self.engine(), PAGE);
        let page = match probe {
            Some(probe) => with_probe(page, probe),
            None => page,
        };
        loop {
            sink.next_turn().await;
            let texts = match (self.session.in_snapshot(), sink.largest_row()) {
                (false, _) => Texts::Short,
                (true, Some(most)) => Texts::UpTo(most),
                (true, None) => Texts::Once,
            };
            let query = select_page(self.engine(), texts, page.clone(), order);
            let mut found = Collector::new(sink.batch());
            self.session.fetch_each(query, |row| found.add(row)).await?;
            if found.left_out == 0 {
                return Ok(found);
            }
            if texts == Texts::Short {
                return Err(StoreError::NeedsSnapshot);
            }
            sink.expect_row(found.left_out).await?;
        }
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
        let mut found = self.select_job(scope, id, Texts::Short).await?;
        if found.left_out > SMALL_TEXT && !self.reads_all() {
            return Err(StoreError::NeedsRoom(found.left_out));
        }
        if found.left_out > 0 {
            found = self.select_job(scope, id, Texts::Once).await?;
        }
        let mut jobs = found.batch.rows;
        jobs.retain(|job| job.job.id == id);
        // Each of many short texts is none that was left out.
        self.keep_room(jobs.iter().map(FullJob::size).sum())?;
        self.hide_pids(&mut jobs, viewer).await?;
        Ok(jobs.pop().map(FullJob::document))
    }

    async fn select_job(
        &mut self,
        scope: &Scope,
        id: &str,
        texts: Texts,
    ) -> Result<Collector, StoreError> {
        let query = select_one(texts, Conditions::of_id::<Job>(scope, id));
        let mut found = Collector::new(usize::MAX);
        self.session.fetch_each(query, |row| found.add(row)).await?;
        Ok(found)
    }

    /// Takes the process ids out of jobs that do not run on a client of the viewer's own.
    async fn hide_pids(
        &mut self,
        jobs: &mut [FullJob],
        viewer: &PidViewer,
    ) -> Result<(), StoreError> {
        let PidViewer::Project(project_id) = viewer else {
            return Ok(());
        };
        let shown: HashSet<&str> = jobs
            .iter()
            .filter(|full| full.job.shows_pid())
            .map(|full| full.job.client_id.as_str())
            .collect();
        if shown.is_empty() {
            return Ok(());
        }
        let mut own = HashSet::new();
        if let Some(project_id) = project_id {
            let names: Vec<&str> = shown.into_iter().collect();
            own = self.own_clients(project_id, &names).await?;
        }
        jobs.iter_mut()
            .map(|full| &mut full.job)
            .filter(|job| job.shows_pid() && !own.contains(&job.client_id))
            .for_each(Job::hide_pid);
        Ok(())
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
