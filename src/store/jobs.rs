//! Jobs in the database, with the actions they run and the trusts they run under.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::{ColumnIndex, Decode, FromRow, Type};

use super::list::{Batches, Listed, Searchable, Selection, narrowing};
use super::rows::{Conditions, Page, Record, of_credentials};
use super::sink::{SharedSink, Sink};
use super::statement::{Argument, Statement, in_lists, pieces, placeholders, sql};
use super::{Engine, StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::job::{Job, PidViewer, UserCredentials};
use crate::domain::resource::{Resource, raw};
use crate::domain::search::{Pair, Search};

/// Where the members of a job's document are, besides those of its actions.
pub(super) const JOBS: Searchable = Searchable {
    table: &tables::JOBS,
    alias: Job::ALIAS,
    composed: &["job_actions", "user_credentials"],
    joined: &[
        ("trust_id", of_credentials!(trust_id)),
        ("trustor_user_id", of_credentials!(trustor_user_id)),
    ],
};

/// The condition that one of a job's actions can have `key` = `value`, with its values; `None` where SQL cannot tell.
fn action_condition(engine: Engine, pair: &Pair) -> Option<(String, Vec<Argument>)> {
    let (sql, arguments) = Action::SEARCHABLE
        .alternatives(engine, pair)?
        .into_condition();
    let exists = format!(
        "EXISTS (SELECT 1 FROM job_actions ja JOIN actions a ON a.id = ja.action_id AND a.deleted = FALSE \
         WHERE ja.job_id = j.id AND ja.deleted = FALSE AND {sql})"
    );
    Some((exists, arguments))
}

/// Adds what SQL can say of a search for jobs. Where `client_id_is_column`, no action in question has a member of
/// that name, and the jobs of a client are found by their index.
fn narrow_jobs(
    engine: Engine,
    mut conditions: Conditions,
    search: &Search,
    client_id_is_column: bool,
) -> Conditions {
    for pair in narrowing(&search.matching) {
        let Some(mut alternatives) = JOBS.alternatives(engine, pair) else {
            continue;
        };
        if !(client_id_is_column && pair.0 == "client_id") {
            let Some((sql, arguments)) = action_condition(engine, pair) else {
                continue;
            };
            alternatives.add(sql, arguments);
        }
        let (sql, arguments) = alternatives.into_condition();
        conditions = conditions.and(&sql, arguments);
    }
    JOBS.narrow_not(engine, conditions, search)
}

/// An action as an entry of a job.
struct Link {
    action: Action,
    job_id: String,
    position: Option<i32>,
}

impl<'r, R> FromRow<'r, R> for Link
where
    R: sqlx::Row,
    Action: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Link {
            action: Action::from_row(row)?,
            job_id: row.try_get("job_id")?,
            position: row.try_get("position")?,
        })
    }
}

/// Binds the columns that a change may write, from `user_id` to `description`.
fn bind_columns(statement: Statement, job: &Job) -> Statement {
    statement
        .bind(&job.user_id)
        .bind(&job.schedule)
        .bind(&job.client_id)
        .bind(&job.session_id)
        .bind(job.session_tag)
        .bind(&job.description)
}

/// The actions of jobs in their order, by job.
pub(crate) type JobActions = HashMap<String, Vec<Arc<Action>>>;

/// The document of a job. Of an action that it names several times the text is made once.
fn job_document(job: &Job, actions: &JobActions) -> Box<RawValue> {
    let entries = actions.get(&job.id).map_or(&[][..], Vec::as_slice);
    let mut texts: HashMap<&str, Box<RawValue>> = HashMap::new();
    for action in entries {
        texts.entry(&action.id).or_insert_with(|| action.to_json());
    }
    let shown: Vec<&RawValue> = entries
        .iter()
        .filter_map(|action| texts.get(action.id.as_str()).map(AsRef::as_ref))
        .collect();
    raw(&job.document(&shown))
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
        sink.begin()?;
        let listed = self
            .write_jobs(scope, page, search, viewer, &mut sink)
            .await;
        listed.map_err(|error| sink.failed(error))
    }

    async fn write_jobs(
        &mut self,
        scope: &Scope,
        page: Page,
        search: Option<&Search>,
        viewer: &PidViewer,
        sink: &mut Sink,
    ) -> Result<(), StoreError> {
        let conditions = Conditions::within::<Job>(scope);
        let mut batches = match search {
            None => Batches::page(conditions, page),
            Some(search) => {
                let names_client = |(key, _): &(String, Value)| key == "client_id";
                let client_id_is_column = search.matching.iter().any(names_client)
                    && !self.actions_name_a_client(scope).await?;
                let narrowed = narrow_jobs(self.engine(), conditions, search, client_id_is_column);
                Batches::all(narrowed, page)
            }
        };
        let mut selection = Selection::new(search, page);
        while !selection.is_full() {
            let mut jobs = batches.next::<Job>(self, sink.batch()).await?;
            if jobs.is_empty() {
                break;
            }
            self.hide_pids(&mut jobs, viewer).await?;
            self.offer_jobs(&jobs, &mut selection, sink).await?;
        }
        Ok(())
    }

    /// Offers jobs with their actions: of as many at once as have not too many bytes.
    async fn offer_jobs(
        &mut self,
        mut jobs: &[Job],
        selection: &mut Selection<'_>,
        sink: &mut Sink,
    ) -> Result<(), StoreError> {
        let mut size = jobs.len();
        while !jobs.is_empty() && !selection.is_full() {
            let (some, others) = jobs.split_at(size.min(jobs.len()));
            let limit = if some.len() > 1 {
                sink.batch()
            } else {
                usize::MAX
            };
            let Some(actions) = self.actions_within(some, limit).await? else {
                size = some.len() / 2;
                continue;
            };
            for job in some {
                let document = job_document(job, &actions);
                selection.offer(document, sink).await?;
            }
            jobs = others;
        }
        Ok(())
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
        let Some(job) = self.find::<Job>(scope, id).await? else {
            return Ok(None);
        };
        let mut jobs = [job];
        self.hide_pids(&mut jobs, viewer).await?;
        let actions = self.actions_of(&jobs).await?;
        Ok(jobs.first().map(|job| job_document(job, &actions)))
    }

    /// One job, locked until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_job(&mut self, scope: &Scope, id: &str) -> Result<Option<Job>, StoreError> {
        self.find_locked(scope, id).await
    }

    /// Whether a live job of any project has the id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job_exists(&mut self, id: &str) -> Result<bool, StoreError> {
        Ok(self.find::<Job>(&Scope::All, id).await?.is_some())
    }

    /// Whether a live job of the scope runs under the trust. Jobs of other projects do not count: a trust is for one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn trust_in_use(
        &mut self,
        scope: &Scope,
        trust_id: &str,
    ) -> Result<bool, StoreError> {
        let conditions = Conditions::within::<Job>(scope).and(
            "j.id IN (SELECT u.job_id FROM user_credentials u WHERE u.trust_id = ? AND u.deleted = FALSE)",
            [trust_id],
        );
        self.exists::<Job>(conditions).await
    }

    /// The actions of jobs in their order, by job. A job's action is one of its own project; one that several entries name is
    /// held once.
    pub(crate) async fn actions_of(&mut self, jobs: &[Job]) -> Result<JobActions, StoreError> {
        let actions = self.actions_within(jobs, usize::MAX).await?;
        Ok(actions.unwrap_or_default())
    }

    /// The same, or `None` where distinct actions have more bytes.
    async fn actions_within(
        &mut self,
        jobs: &[Job],
        bytes: usize,
    ) -> Result<Option<JobActions>, StoreError> {
        let Some(mut links) = self.links_of(jobs, bytes).await? else {
            return Ok(None);
        };
        links.sort_by_key(|(position, ..)| *position);
        let owners: HashMap<&str, &Option<String>> = jobs
            .iter()
            .map(|job| (job.id.as_str(), &job.project_id))
            .collect();
        let mut actions = JobActions::new();
        for (_, job_id, action) in links {
            if owners.get(job_id.as_str()) == Some(&&action.project_id) {
                actions.entry(job_id).or_default().push(action);
            }
        }
        Ok(Some(actions))
    }

    /// The entries of jobs in no order: position, job and action; `None` where distinct actions have more bytes.
    async fn links_of(
        &mut self,
        jobs: &[Job],
        bytes: usize,
    ) -> Result<Option<Vec<(Option<i32>, String, Arc<Action>)>>, StoreError> {
        let mut links = Vec::new();
        let mut distinct: HashMap<String, Arc<Action>> = HashMap::new();
        let mut weight = 0;
        let ids: Vec<&String> = jobs.iter().map(|job| &job.id).collect();
        for ids in in_lists(&ids) {
            // Ordered by the caller: ORDER BY beside TEXT columns makes MariaDB write a table to disk.
            let statement = sql(format!(
                "SELECT {}, ja.job_id, ja.position FROM job_actions ja JOIN actions a ON a.id = ja.action_id \
                 WHERE ja.job_id IN ({}) AND ja.deleted = FALSE AND a.deleted = FALSE",
                Action::COLUMNS,
                placeholders(ids.len())
            ));
            let add = |link: Link| {
                if weight > bytes {
                    return;
                }
                let id = link.action.id.clone();
                let shared = distinct.entry(id).or_insert_with(|| {
                    weight += link.action.weight();
                    Arc::new(link.action)
                });
                links.push((link.position, link.job_id, Arc::clone(shared)));
            };
            self.session
                .fetch_each(statement.bind_all(ids), add)
                .await?;
        }
        Ok((weight <= bytes).then_some(links))
    }

    async fn hide_pids(&mut self, jobs: &mut [Job], viewer: &PidViewer) -> Result<(), StoreError> {
        let PidViewer::Project(project_id) = viewer else {
            return Ok(());
        };
        let shown: HashSet<&str> = jobs
            .iter()
            .filter(|job| job.shows_pid())
            .map(|job| job.client_id.as_str())
            .collect();
        if shown.is_empty() {
            return Ok(());
        }
        let mut own: HashSet<String> = HashSet::new();
        if let Some(project_id) = project_id {
            let names: Vec<&str> = shown.into_iter().collect();
            let clients = self.get_clients(project_id, &names).await?.into_iter();
            let clients = clients.filter(|client| client.belongs_to(project_id));
            own.extend(clients.map(|client| client.client_id));
        }
        jobs.iter_mut()
            .filter(|job| job.shows_pid() && !own.contains(&job.client_id))
            .for_each(Job::hide_pid);
        Ok(())
    }

    /// Whether an action in question has a member `client_id`, which a search for that name must look at. Answered
    /// by an index that has only such actions.
    async fn actions_name_a_client(&mut self, scope: &Scope) -> Result<bool, StoreError> {
        let names_client = match self.engine() {
            Engine::MySql => "a.names_client_id = TRUE",
            Engine::Postgres | Engine::Sqlite => "a.backup_metadata LIKE '%\"client_id\":%'",
        };
        let conditions = Conditions::within::<Action>(scope).and(names_client, [""; 0]);
        self.exists::<Action>(conditions).await
    }

    /// Adds a job with its actions and its trust.
    ///
    /// # Errors
    /// [`StoreError`]; a duplicate key where the id is in use.
    pub async fn insert_job(&mut self, job: &Job, action_ids: &[String]) -> Result<(), StoreError> {
        let statement = sql(
            "INSERT INTO jobs (id, project_id, user_id, schedule, client_id, session_id, session_tag, description, \
             deleted, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, FALSE, ?)",
        )
        .bind(&job.id)
        .bind(&job.project_id);
        let statement = bind_columns(statement, job).bind(self.now());
        self.session.execute(statement).await?;
        self.link_actions(&job.id, action_ids).await
    }

    /// Writes a changed job back. Its actions and its trust have their own methods.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_job(&mut self, job: &Job) -> Result<(), StoreError> {
        let statement = sql(
            "UPDATE jobs SET user_id = ?, schedule = ?, client_id = ?, session_id = ?, session_tag = ?, \
             description = ?, updated_at = ? WHERE id = ?",
        );
        let statement = bind_columns(statement, job).bind(self.now()).bind(&job.id);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Gives a job other actions, in this order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_actions(
        &mut self,
        job_id: &str,
        action_ids: &[String],
    ) -> Result<(), StoreError> {
        self.unlink_actions(job_id).await?;
        self.link_actions(job_id, action_ids).await
    }

    async fn link_actions(
        &mut self,
        job_id: &str,
        action_ids: &[String],
    ) -> Result<(), StoreError> {
        let entries: Vec<(i64, &String)> = (0..).zip(action_ids).collect();
        for entries in pieces(&entries) {
            let rows = vec!["(?, ?, ?, ?, FALSE, ?)"; entries.len()].join(", ");
            let mut statement = sql(format!(
                "INSERT INTO job_actions (id, job_id, action_id, position, deleted, created_at) VALUES {rows}"
            ));
            for (position, action_id) in entries {
                statement = statement
                    .bind(self.ids.hex())
                    .bind(job_id)
                    .bind(*action_id)
                    .bind(*position)
                    .bind(self.now());
            }
            self.session.execute(statement).await?;
        }
        Ok(())
    }

    /// The rows really go, as in the reference.
    async fn unlink_actions(&mut self, job_id: &str) -> Result<(), StoreError> {
        let statement = sql("DELETE FROM job_actions WHERE job_id = ?").bind(job_id);
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Gives a job the trust to run under, or takes it away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_user_credentials(
        &mut self,
        job_id: &str,
        credentials: Option<&UserCredentials>,
    ) -> Result<(), StoreError> {
        let forget = sql(
            "UPDATE user_credentials SET deleted = TRUE, deleted_at = ? WHERE job_id = ? AND deleted = FALSE",
        );
        self.session
            .execute(forget.bind(self.now()).bind(job_id))
            .await?;
        let Some(credentials) = credentials else {
            return Ok(());
        };
        let statement = sql(
            "INSERT INTO user_credentials (id, trust_id, trustor_user_id, job_id, deleted, created_at) \
             VALUES (?, ?, ?, ?, FALSE, ?)",
        )
        .bind(self.ids.hex())
        .bind(&credentials.trust_id)
        .bind(&credentials.trustor_user_id)
        .bind(job_id)
        .bind(self.now());
        self.session.execute(statement).await?;
        Ok(())
    }

    /// Gives the live jobs of the scope that run under a trust another one of the same user. Those of other users keep what
    /// they have: nobody's job gets the rights of somebody else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_trust(
        &mut self,
        scope: &Scope,
        trust_id: &str,
        new: &UserCredentials,
    ) -> Result<(), StoreError> {
        let conditions = Conditions::within::<Job>(scope).and(
            "j.id IN (SELECT u.job_id FROM user_credentials u WHERE u.trust_id = ? AND u.deleted = FALSE)",
            [trust_id],
        );
        let jobs: Vec<Job> = self.select(conditions).await?;
        for job in jobs {
            // Locked, since it may get another trust or be deleted meanwhile.
            let job = self.lock_job(scope, &job.id).await?;
            let same = |job: &Job| {
                job.trust_id.as_deref() == Some(trust_id)
                    && job.trustor_user_id.as_ref() == Some(&new.trustor_user_id)
            };
            if let Some(job) = job.filter(same) {
                self.set_user_credentials(&job.id, Some(new)).await?;
            }
        }
        Ok(())
    }

    /// Marks a job and its trust as deleted and drops its links to actions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_job(&mut self, id: &str) -> Result<(), StoreError> {
        self.unlink_actions(id).await?;
        self.set_user_credentials(id, None).await?;
        self.mark_deleted("jobs", id).await
    }
}
