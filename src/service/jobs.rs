//! Jobs: which actions run on which client, and when.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Catalogue;
use super::answer::{Answer, Document, answer};
use super::documents::{known, lock};
use super::trusts::{TrustChange, TrustRule};
use crate::authz::{Authorized, Denied, rules};
use crate::domain::action::Action;
use crate::domain::client::Client;
use crate::domain::document::Object;
use crate::domain::job::{
    self, ActionEntry, BodyContext, Job, JobChange, JobEvent, JobPatch, JobReplacement, NewJob,
    UserCredentials,
};
use crate::domain::{Refusal, Scope, run};
use crate::error::ApiError;
use crate::store::{Listing, Shape, Sink, StoreError, Tx};

impl Catalogue {
    /// A page of the project's jobs, or with `all_projects` of all, asked for from an address. The poll of a scheduler is noted.
    ///
    /// # Errors
    /// [`ApiError`]; [`Denied`] where the caller may not see all projects.
    pub async fn list_jobs(
        &self,
        caller: &Authorized,
        all_projects: bool,
        mut listing: Listing,
        marker: Option<String>,
        from: Option<IpAddr>,
    ) -> Result<Answer, ApiError> {
        let sees_all = caller.may(rules::JOBS_GET_ALL_PROJECTS);
        let scope = if all_projects {
            if !sees_all {
                return Err(Denied.into());
            }
            Scope::All
        } else {
            caller.scope()
        };
        let viewer = caller.pid_viewer(sees_all);
        if marker.is_none() {
            self.liveness
                .note_list(caller, &listing, from, self.clock.timestamp());
        }
        let store = self.store.clone();
        if let Some(id) = marker {
            let scope = scope.clone();
            let place = async move |tx: &mut Tx| tx.place_of_job(&scope, &id).await;
            listing.after = Some(known(store.read("listing jobs", place).await?)?);
        }
        let (sink, started) = Sink::new(Shape::Json("jobs"), &self.memory);
        let reading = Box::pin(async move {
            let into = Arc::clone(&sink);
            let list =
                async move |tx: &mut Tx| tx.list_jobs(&scope, &listing, &viewer, &into).await;
            store.read_list("listing jobs", sink, list).await
        });
        answer(started, reading).await
    }

    /// The document of one job; of any project for those who see all.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`].
    pub async fn get_job(&self, caller: &Authorized, job_id: String) -> Result<Document, ApiError> {
        let sees_all = caller.may(rules::JOBS_GET_ALL_PROJECTS);
        let scope = if sees_all { Scope::All } else { caller.scope() };
        let viewer = caller.pid_viewer(sees_all);
        self.store
            .read("getting a job", async move |tx: &mut Tx| {
                let found = tx.get_job_document(&scope, &job_id, &viewer).await?;
                let text = found.ok_or_else(|| Refusal::not_found("Job", &job_id))?;
                Ok(Document::new(text, tx.room()))
            })
            .await
    }

    /// Creates a job with its actions, and the trust that it needs; its id.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::Conflict`] where the id is in use, [`Refusal::Unprocessable`] where client or actions do
    /// not fit. Nothing of a refused job stays.
    pub async fn create_job(&self, caller: &Authorized, body: Object) -> Result<String, ApiError> {
        let new = NewJob::parse(&self.body_context(caller), body)?;
        let job_id = new.job_id().map_or_else(|| self.ids.hex(), str::to_owned);
        let now = self.clock.timestamp();
        let job = new.job(job_id.clone(), caller.project_id(), caller.user_id(), now);
        if let Stored::NeedsTrust = self.store_new_job(caller, &new, &job, None).await? {
            let trust = self.trust_for_job(caller).await?;
            let credentials = Some(trust.credentials());
            let stored = self.store_new_job(caller, &new, &job, credentials).await;
            if self.is_settled(&job_id, &stored).await {
                self.settle_trust(caller, trust).await;
            }
            stored?;
        }
        Ok(job_id)
    }

    async fn store_new_job(
        &self,
        caller: &Authorized,
        new: &NewJob,
        job: &Job,
        credentials: Option<UserCredentials>,
    ) -> Result<Stored, ApiError> {
        let (caller, new, job) = (caller.clone(), new.clone(), job.clone());
        let (rule, sizes) = (self.trusts.rule(), (new.size(), self.max_document_size));
        self.store
            .write("creating a job", async move |tx: &mut Tx| {
                if tx.job_exists(&job.id).await? {
                    return Err(Refusal::already_registered("Job", &job.id).into());
                }
                let actions = resolve_actions(tx, &caller.scope(), new.entries(), sizes).await?;
                let client = tx.lock_client(&caller.scope(), &job.client_id).await?;
                check_client(client.as_ref(), &job, &actions)?;
                let gives = rule.change(client.as_ref(), true, false) == TrustChange::Give;
                if gives && credentials.is_none() {
                    return Ok(Stored::NeedsTrust);
                }
                insert_job(tx, &job, &actions)
                    .await
                    .map_err(|error| ApiError::id_unavailable(error, "Job", &job.id))?;
                if gives {
                    tx.set_user_credentials(&job.id, credentials.as_ref())
                        .await?;
                }
                in_time(&caller)?;
                Ok(Stored::Done)
            })
            .await
    }

    /// Replaces a job, or creates it under this id.
    ///
    /// # Errors
    /// As [`Catalogue::create_job`].
    pub async fn replace_job(
        &self,
        caller: &Authorized,
        job_id: String,
        body: Object,
    ) -> Result<(), ApiError> {
        let context = self.body_context(caller);
        let replacement = JobReplacement::parse(&context, body)?;
        self.schemas.check_identifier("job_id", &job_id)?;
        self.change_job(caller, job_id, JobChange::Replace(replacement))
            .await
    }

    /// Changes the members of a job that the body names.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`], [`Refusal::Unprocessable`] where client or actions do not fit.
    pub async fn update_job(
        &self,
        caller: &Authorized,
        job_id: String,
        body: Object,
    ) -> Result<(), ApiError> {
        let context = self.body_context(caller);
        let patch = JobPatch::parse(&context, body)?;
        self.change_job(caller, job_id, JobChange::Patch(patch))
            .await
    }

    /// Deletes a job and its trust, if no other job uses it; its actions stay. A job that the project does not have
    /// changes nothing.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_job(&self, caller: &Authorized, job_id: String) -> Result<(), ApiError> {
        let mut deleted = self.store_deletion(caller, &job_id).await;
        if let Err(error) = &deleted
            && error.is_of_unknown_outcome()
        {
            // Whatever became of it, the job is gone after another one, which waits for the first.
            deleted = self.store_deletion(caller, &job_id).await;
        }
        if let Some(trust_id) = deleted? {
            self.release_trust(caller, trust_id).await;
        }
        Ok(())
    }

    /// Deletes a job; the trust that it had. That of one that is deleted already is told again: whoever deleted it may not have come to
    /// releasing it.
    async fn store_deletion(
        &self,
        caller: &Authorized,
        job_id: &str,
    ) -> Result<Option<String>, ApiError> {
        let (scope, job_id) = (caller.scope(), job_id.to_owned());
        let makes_trusts = self.trusts.rule().makes_trusts();
        self.store
            .write("deleting a job", async move |tx: &mut Tx| {
                let Some(job) = tx.lock::<Job>(&scope, &job_id).await? else {
                    if makes_trusts {
                        return Ok(tx.trust_of_deleted(&scope, &job_id).await?);
                    }
                    return Ok(None);
                };
                let held = held_by(tx, Some(&job), makes_trusts).await?;
                tx.delete_job(&job.id).await?;
                tx.remove_runs(&job).await?;
                Ok::<_, ApiError>(held)
            })
            .await
    }

    /// Asks a job's scheduler to start, stop or abort it; the result in the answer's words.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::NotFound`], [`Refusal::Unprocessable`] where the client cannot run the job any more.
    pub async fn request_job_event(
        &self,
        caller: &Authorized,
        job_id: String,
        event: JobEvent,
    ) -> Result<String, ApiError> {
        let caller = caller.clone();
        self.store
            .write("requesting a job's event", async move |tx: &mut Tx| {
                let mut job = lock::<Job>(tx, &caller.scope(), &job_id).await?;
                let Some(schedule) = event.request(job.schedule()) else {
                    return Ok(event.already_requested());
                };
                let actions = stored_actions(tx, &job).await?;
                let client = tx.lock_client(&caller.scope(), &job.client_id).await?;
                check_client(client.as_ref(), &job, &actions)?;
                job.set_schedule(&schedule);
                caller.user_id().clone_into(&mut job.user_id);
                tx.update(&job).await?;
                Ok("success".to_owned())
            })
            .await
    }

    fn body_context<'a>(&'a self, caller: &'a Authorized) -> BodyContext<'a> {
        BodyContext {
            schemas: &self.schemas,
            project_id: caller.project_id(),
            user_id: caller.user_id(),
            ids: &self.ids,
            max_size: self.max_document_size,
        }
    }

    /// Replaces or patches a job. One that comes to a central client gets a trust, one that leaves it loses its trust.
    async fn change_job(
        &self,
        caller: &Authorized,
        job_id: String,
        change: JobChange,
    ) -> Result<(), ApiError> {
        let given_up = GivenUp::default();
        let mut stored = self
            .store_change(caller, (&job_id, &change), None, &given_up)
            .await;
        let mut new = None;
        if let Ok(Stored::NeedsTrust) = stored {
            let trust = self.trust_for_job(caller).await?;
            let credentials = Some(trust.credentials());
            stored = self
                .store_change(caller, (&job_id, &change), credentials, &given_up)
                .await;
            new = Some(trust);
        }
        if self.is_settled(&job_id, &stored).await {
            if let Some(trust) = new {
                self.settle_trust(caller, trust).await;
            }
            for trust_id in given_up.take() {
                self.release_trust(caller, trust_id).await;
            }
        }
        stored.map(drop)
    }

    async fn store_change(
        &self,
        caller: &Authorized,
        (job_id, change): (&str, &JobChange),
        credentials: Option<UserCredentials>,
        given_up: &GivenUp,
    ) -> Result<Stored, ApiError> {
        let (caller, job_id, change) = (caller.clone(), job_id.to_owned(), change.clone());
        let given_up = given_up.clone();
        let terms = Terms {
            rule: self.trusts.rule(),
            max_size: self.max_document_size,
        };
        self.store
            .write("changing a job", async move |tx: &mut Tx| {
                let credentials = (credentials.as_ref(), &given_up);
                let stored =
                    apply_change(tx, &caller, terms, &job_id, &change, credentials).await?;
                in_time(&caller)?;
                Ok::<_, ApiError>(stored)
            })
            .await
    }

    /// Whether it is certain what became of a change of a job, or cannot change any more. Where nobody knows, it may have been sent to a
    /// database that carries it out later: as long as that is possible, its trusts are left alone.
    async fn is_settled(&self, job_id: &str, stored: &Result<Stored, ApiError>) -> bool {
        match stored {
            Err(error) if error.is_of_unknown_outcome() => {}
            Ok(_) | Err(_) => return true,
        }
        let job_id = job_id.to_owned();
        let overtaking = self
            .store
            .write("waiting for the end of a change", async move |tx| {
                Ok::<_, ApiError>(tx.overtake_job(&job_id).await?)
            });
        let outcome = overtaking.await;
        outcome
            .inspect_err(|error| {
                tracing::warn!(%error, "a trust may be left unused at Keystone: nobody knows whether its job is stored");
            })
            .is_ok()
    }
}

/// The trusts that the tries of a change have taken from a job. Of a try that was rolled back, or of which nobody knows, the job may still
/// have it: who releases it looks.
#[derive(Clone, Default)]
struct GivenUp(Arc<Mutex<BTreeSet<String>>>);

impl GivenUp {
    fn add(&self, trust_id: String) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(trust_id);
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the configuration says of changed jobs.
#[derive(Clone, Copy)]
struct Terms {
    rule: TrustRule,
    /// How many bytes a document may have.
    max_size: usize,
}

/// The outcome of a job's transaction.
enum Stored {
    /// Nothing is stored: the job needs a trust, and Keystone is not asked inside a transaction.
    NeedsTrust,
    /// The job is stored.
    Done,
}

/// Keeps a transaction from being committed once the caller was told that the request took too long.
fn in_time(caller: &Authorized) -> Result<(), ApiError> {
    if Instant::now() >= caller.deadline() {
        return Err(ApiError::Timeout);
    }
    Ok(())
}

/// Writes a replaced or patched job with its actions and its trust.
async fn apply_change(
    tx: &mut Tx,
    caller: &Authorized,
    terms: Terms,
    job_id: &str,
    change: &JobChange,
    (credentials, given_up): (Option<&UserCredentials>, &GivenUp),
) -> Result<Stored, ApiError> {
    let scope = caller.scope();
    let old = tx.lock::<Job>(&scope, job_id).await?;
    let named = match change.entries() {
        Some(entries) => {
            let sizes = (change.size(), terms.max_size);
            Some(resolve_actions(tx, &scope, entries, sizes).await?)
        }
        None => None,
    };
    let job = change.apply(old.as_ref(), job_id, caller.project_id(), caller.user_id())?;
    let arrives = old
        .as_ref()
        .is_none_or(|old| old.client_id != job.client_id);
    let client = if named.is_some() || change.client_id().is_some() {
        tx.lock_client(&caller.scope(), &job.client_id).await?
    } else {
        None
    };
    if let Some(actions) = &named {
        check_client(client.as_ref(), &job, actions)?;
    } else if let Some(old) = old.as_ref().filter(|_| arrives) {
        check_client(client.as_ref(), &job, &stored_actions(tx, old).await?)?;
    }
    let asks = terms.rule.asks_what_is_held(client.is_some(), arrives);
    let held = held_by(tx, old.as_ref(), asks).await?;
    let trust = terms.rule.change(client.as_ref(), arrives, held.is_some());
    if trust == TrustChange::Give && credentials.is_none() {
        return Ok(Stored::NeedsTrust);
    }
    write_job(tx, &scope, &job, old.is_some(), named).await?;
    if let Some(old) = old.filter(|old| old.schedule != job.schedule)
        && let Some(seen) = run::observe(&old.schedule(), &job.schedule())
    {
        tx.record_run(&job, seen).await?;
    }
    write_trust(tx, job_id, trust, held, (credentials, given_up)).await?;
    Ok(Stored::Done)
}

/// The trust that a locked job holds, where there is one that is asked for.
async fn held_by(tx: &mut Tx, job: Option<&Job>, asks: bool) -> Result<Option<String>, StoreError> {
    let Some(job) = job.filter(|_| asks) else {
        return Ok(None);
    };
    let held = tx.credentials_of(job).await?;
    Ok(held.map(|held| held.trust_id))
}

/// Writes the trust of a changed job that has held `held`, and notes the one that it no longer uses.
async fn write_trust(
    tx: &mut Tx,
    job_id: &str,
    change: TrustChange,
    held: Option<String>,
    (credentials, given_up): (Option<&UserCredentials>, &GivenUp),
) -> Result<(), StoreError> {
    let new = match change {
        TrustChange::Keep => return Ok(()),
        TrustChange::Give => credentials,
        TrustChange::Remove => None,
    };
    tx.set_user_credentials(job_id, new).await?;
    if let Some(held) = held.filter(|held| new.is_none_or(|new| new.trust_id != *held)) {
        given_up.add(held);
    }
    Ok(())
}

/// Writes the row of a changed job and, where they are named, its actions.
async fn write_job(
    tx: &mut Tx,
    scope: &Scope,
    job: &Job,
    exists: bool,
    named: Option<Vec<JobAction>>,
) -> Result<(), ApiError> {
    if !exists {
        if tx.id_unavailable::<Job>(scope, &job.id).await? {
            return Err(Refusal::already_registered("Job", &job.id).into());
        }
        #[expect(clippy::expect_used, reason = "only a replacement makes a job")]
        let actions = named.expect("the actions of a whole job");
        let inserted = insert_job(tx, job, &actions).await;
        return Ok(inserted.map_err(StoreError::retry_if_duplicate)?);
    }
    tx.update(job).await?;
    if let Some(actions) = named {
        insert_new_actions(tx, &actions).await?;
        tx.replace_actions(&job.id, &action_ids(&actions)).await?;
    }
    Ok(())
}

/// An action of a job.
enum JobAction {
    /// It exists; other entries may name it too.
    Existing(Arc<Action>),
    /// The job brings it along.
    New(Box<Action>),
}

impl JobAction {
    fn action(&self) -> &Action {
        match self {
            JobAction::Existing(action) => action,
            JobAction::New(action) => action,
        }
    }
}

fn action_ids(actions: &[JobAction]) -> Vec<String> {
    actions
        .iter()
        .map(|action| action.action().id.clone())
        .collect()
}

/// The actions that a locked job has, locked too.
async fn stored_actions(tx: &mut Tx, job: &Job) -> Result<Vec<JobAction>, StoreError> {
    let actions = tx.lock_actions_of(job).await?.into_iter().map(Arc::new);
    Ok(actions.map(JobAction::Existing).collect())
}

/// The actions that the entries of a job stand for. Those that exist stay as they are until the transaction ends. They are
/// measured before they are read: `body` bytes of the request and all of them may have `max` together.
async fn resolve_actions(
    tx: &mut Tx,
    scope: &Scope,
    entries: &[ActionEntry],
    (body, max): (usize, usize),
) -> Result<Vec<JobAction>, ApiError> {
    let named: HashSet<&str> = entries.iter().filter_map(ActionEntry::reference).collect();
    let named: Vec<&str> = named.into_iter().collect();
    let sizes = tx.action_sizes(scope, &named).await?;
    job::check_size(body, entries, |id| sizes.get(id).copied(), max)?;
    let mut stored: HashMap<String, Arc<Action>> = HashMap::new();
    for action in tx.lock_actions(scope, &named).await? {
        job::check_claims(entries, &action)?;
        stored.insert(action.id.clone(), Arc::new(action));
    }
    // One may have grown before it was locked.
    let size = |id: &str| stored.get(id).map(|action| action.size());
    job::check_size(body, entries, size, max)?;
    let resolve = |entry: &ActionEntry| match entry {
        ActionEntry::Inline(action) => Ok(JobAction::New(action.clone())),
        ActionEntry::Reference { action_id, .. } => {
            let action = stored.get(action_id).map(Arc::clone);
            action.map(JobAction::Existing).ok_or_else(|| {
                Refusal::Unprocessable(format!("Action id: {action_id} not found.")).into()
            })
        }
    };
    entries.iter().map(resolve).collect()
}

/// Refuses a job whose client the project does not see, or that cannot do what the actions need.
fn check_client(client: Option<&Client>, job: &Job, actions: &[JobAction]) -> Result<(), Refusal> {
    let client = client.ok_or_else(|| {
        Refusal::Unprocessable(format!("Client not found with ID {}", job.client_id))
    })?;
    let mut seen = HashSet::new();
    let distinct = actions
        .iter()
        .map(JobAction::action)
        .filter(|action| seen.insert(action.id.as_str()));
    client.check_capabilities(distinct.map(Action::freezer_action))
}

async fn insert_job(tx: &mut Tx, job: &Job, actions: &[JobAction]) -> Result<(), StoreError> {
    insert_new_actions(tx, actions).await?;
    tx.insert_job(job, &action_ids(actions)).await
}

async fn insert_new_actions(tx: &mut Tx, actions: &[JobAction]) -> Result<(), StoreError> {
    for action in actions {
        if let JobAction::New(action) = action {
            tx.insert(action.as_ref()).await?;
        }
    }
    Ok(())
}
