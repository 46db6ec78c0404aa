//! Jobs in the database, with the actions they run and the trusts they run under.

mod documents;

use std::collections::BTreeSet;

use super::list::Listed;
use super::narrowing::{Searchable, narrowing};
use super::rows::{Conditions, Record, of_credentials};
use super::statement::{Argument, pieces, sql};
use super::{Engine, StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::action::Action;
use crate::domain::job::{Job, UserCredentials};
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
    indexed: None,
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

/// Whether SQL says all of a search for jobs.
fn covers_jobs(engine: Engine, search: &Search) -> bool {
    let in_actions = |pair| Action::SEARCHABLE.alternatives(engine, pair).is_some();
    JOBS.covers(engine, search) && search.matching.iter().all(in_actions)
}

impl Tx {
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

    /// The actions of a job that the transaction has locked, each once, in no order: none goes or changes until the transaction
    /// ends. A job's action is one of its own project.
    pub(crate) async fn lock_actions_of(&mut self, job: &Job) -> Result<Vec<Action>, StoreError> {
        let links = sql("SELECT action_id FROM job_actions WHERE job_id = ? AND deleted = FALSE");
        let links: Vec<(String,)> = self.session.fetch_all(links.bind(&job.id)).await?;
        let ids: BTreeSet<&str> = links.iter().map(|(id,)| id.as_str()).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut actions = self.lock_actions(&Scope::All, &ids).await?;
        actions.retain(|action| action.project_id == job.project_id);
        Ok(actions)
    }

    /// Adds a job with its actions and its trust.
    ///
    /// # Errors
    /// [`StoreError`]; a duplicate key where the id is in use.
    pub async fn insert_job(&mut self, job: &Job, action_ids: &[String]) -> Result<(), StoreError> {
        self.insert(job).await?;
        self.link_actions(&job.id, action_ids).await
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

    /// The trust that a job has whose row the transaction has locked; of the locked row's own it may be an older one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn credentials_of(
        &mut self,
        job: &Job,
    ) -> Result<Option<UserCredentials>, StoreError> {
        let query = sql(
            "SELECT MIN(trust_id), MIN(trustor_user_id) FROM user_credentials WHERE job_id = ? AND deleted = FALSE",
        );
        let query = query.bind(&job.id);
        let rows: Vec<(Option<String>, Option<String>)> = self.session.fetch_all(query).await?;
        let found = rows.into_iter().next();
        Ok(found.and_then(|(trust_id, trustor_user_id)| {
            Some(UserCredentials {
                trust_id: trust_id?,
                trustor_user_id: trustor_user_id.unwrap_or_default(),
            })
        }))
    }

    /// The trust that a deleted job of the scope had last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn trust_of_deleted(
        &mut self,
        scope: &Scope,
        job_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let query = sql(
            "SELECT u.job_id, u.trust_id FROM user_credentials u JOIN jobs j ON j.id = u.job_id \
             WHERE u.job_id = ? AND u.deleted = TRUE AND j.deleted = TRUE",
        );
        let query = query.bind(job_id).of_scope(scope, "j.project_id");
        let query = query.push(" ORDER BY u.deleted_at DESC, u.created_at DESC LIMIT 1");
        let rows: Vec<(String, Option<String>)> = self.session.fetch_all(query).await?;
        let same = rows.into_iter().find(|(found, _)| found == job_id);
        Ok(same.and_then(|(_, trust_id)| trust_id))
    }

    /// Waits until nothing that was sent before is done to a job any more, whose id may not be in use yet, and sees to it that nothing is
    /// later.
    ///
    /// # Errors
    /// [`StoreError`]: what was sent before may still be done.
    pub async fn overtake_job(&mut self, job_id: &str) -> Result<(), StoreError> {
        let job = Job {
            id: job_id.to_owned(),
            ..Job::default()
        };
        self.overtake(&job).await
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
        let ids = conditions.select::<Job>("j.id");
        let ids: Vec<(String,)> = self.session.fetch_all(ids).await?;
        for (id,) in ids {
            // Locked, since it may get another trust or be deleted meanwhile.
            let Some(job) = self.lock::<Job>(scope, &id).await? else {
                continue;
            };
            let old = UserCredentials {
                trust_id: trust_id.to_owned(),
                trustor_user_id: new.trustor_user_id.clone(),
            };
            if self.credentials_of(&job).await? == Some(old) {
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
        self.delete::<Job>(id).await
    }
}
