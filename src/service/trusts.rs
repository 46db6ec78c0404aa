//! Trusts for jobs that a central scheduler runs in the name of their project.
//!
//! Keystone is asked before the job's transaction, never inside it. A trust that was made for a job that then is not
//! stored is deleted again; one that no job uses any more is released. Both hold the project's lock, so that no request of
//! this server deletes a trust between another's finding it and storing the job that uses it.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use super::Catalogue;
use crate::authz::Authorized;
use crate::domain::client::Client;
use crate::domain::job::UserCredentials;
use crate::error::ApiError;
use crate::keystone::{Trust, Trusts};
use crate::store::Tx;

/// How many projects can hold their locks without waiting for each other.
const LOCKS: usize = 64;

/// One lock for each share of the projects.
struct ProjectLocks([Mutex<()>; LOCKS]);

impl ProjectLocks {
    async fn lock(&self, project_id: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        project_id.hash(&mut hasher);
        let share = hasher.finish() as usize % LOCKS;
        #[expect(
            clippy::indexing_slicing,
            reason = "a remainder of LOCKS is below LOCKS"
        )]
        self.0[share].lock().await
    }
}

/// Which jobs run under a trust, and the way to Keystone that makes them.
pub struct JobTrusts {
    keystone: Option<Box<Trusts>>,
    /// Whether jobs of every client get one: `[centralized_scheduler] enforce_trusts`.
    for_all_clients: bool,
    locks: ProjectLocks,
}

impl JobTrusts {
    /// Trusts made at Keystone, or with `None` no trusts at all.
    pub fn new(keystone: Option<Box<Trusts>>, for_all_clients: bool) -> JobTrusts {
        JobTrusts {
            keystone,
            for_all_clients,
            locks: ProjectLocks([const { Mutex::const_new(()) }; LOCKS]),
        }
    }

    fn needed_for(&self, client: Option<&Client>) -> bool {
        self.for_all_clients || client.is_some_and(|client| client.is_central)
    }
}

/// A trust for a job that is about to be stored; while it is held, no trust of the project is released.
pub(super) struct JobTrust<'a> {
    trust: Trust,
    _lock: MutexGuard<'a, ()>,
}

impl JobTrust<'_> {
    /// What the job stores.
    pub(super) fn credentials(&self) -> UserCredentials {
        UserCredentials {
            trust_id: self.trust.id.clone(),
            trustor_user_id: self.trust.trustor_user_id.clone(),
        }
    }
}

impl Catalogue {
    /// The trust for a job of this client, if it needs one.
    pub(super) async fn trust_for_client(
        &self,
        caller: &Authorized,
        client_id: &str,
    ) -> Result<Option<JobTrust<'_>>, ApiError> {
        let Some(keystone) = &self.trusts.keystone else {
            return Ok(None);
        };
        let project_id = caller.project_id();
        let client = self
            .store
            .read("looking for a job's client", {
                let (project_id, client_id) = (project_id.to_owned(), client_id.to_owned());
                async move |tx: &mut Tx| {
                    Ok::<_, ApiError>(tx.get_client(&project_id, &client_id).await?)
                }
            })
            .await?;
        if !self.trusts.needed_for(client.as_ref()) {
            return Ok(None);
        }
        let lock = self.trusts.locks.lock(project_id).await;
        let trust = keystone
            .create_or_reuse(caller.context(), project_id)
            .await?;
        Ok(Some(JobTrust { trust, _lock: lock }))
    }

    /// Deletes the trust again if it was made for a job that is not stored, or has another.
    pub(super) async fn discard_new_trust(&self, caller: &Authorized, trust: JobTrust<'_>) {
        if trust.trust.created {
            self.delete_unused_trust(caller, &trust.trust.id).await;
        }
    }

    /// Releases the trust of a job that is gone, unless others use it.
    pub(super) async fn release_trust(&self, caller: &Authorized, trust_id: String) {
        let _lock = self.trusts.locks.lock(caller.project_id()).await;
        self.delete_unused_trust(caller, &trust_id).await;
    }

    /// Deletes a trust that no job uses. A failure is logged and otherwise without effect, as in the reference.
    async fn delete_unused_trust(&self, caller: &Authorized, trust_id: &str) {
        let Some(keystone) = &self.trusts.keystone else {
            return;
        };
        let id = trust_id.to_owned();
        let in_use = self
            .store
            .read("looking for a trust's jobs", async move |tx: &mut Tx| {
                Ok::<_, ApiError>(tx.trust_in_use(&id).await?)
            })
            .await;
        match in_use {
            Ok(true) => {}
            Ok(false) => {
                let deleted = keystone
                    .delete(caller.context(), trust_id, caller.project_id())
                    .await;
                if let Err(error) = deleted {
                    tracing::warn!(%error, "a trust that no job uses cannot be deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "a trust that may be unused is kept"),
        }
    }
}
