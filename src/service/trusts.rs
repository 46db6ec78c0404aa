//! Trusts for jobs that a central scheduler runs in the name of their project.
//!
//! Keystone is asked before the job's transaction, never inside it. A trust that was made for a job that then is not
//! stored is deleted again, as is one that no job uses any more. Both hold the project's lock, so that no request of
//! this server deletes a trust between another's finding it and storing the job that uses it. Where nobody knows whether a job was stored,
//! the trusts of it are looked at once its transaction has ended for certain, and otherwise left. Other servers do not know
//! that lock: who has stored a job under a trust that existed before looks once more whether it still does, and who has
//! deleted a trust looks once more whether a job uses it; either then gives those jobs a new trust.

use tokio::sync::MutexGuard;
use tokio::time::timeout_at;

use super::Catalogue;
use crate::authz::Authorized;
use crate::domain::client::Client;
use crate::domain::job::UserCredentials;
use crate::error::ApiError;
use crate::keystone::{StripedLocks, Trust, TrustError, Trusts};
use crate::store::Tx;

/// How many trusts one request makes in place of one that was deleted, at most. Each but the first takes another server that
/// does the same in the same moment.
const MAX_RENEWALS: u32 = 3;

/// Which jobs run under a trust.
#[derive(Clone, Copy)]
pub(super) struct TrustRule {
    /// Whether trusts are made at all: `[centralized_scheduler] enabled`.
    enabled: bool,
    /// Whether jobs of every client get one: `[centralized_scheduler] enforce_trusts`.
    for_all_clients: bool,
}

/// What a change of a job does to its trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrustChange {
    /// It stays as it is.
    Keep,
    /// The job gets a trust of the caller, in place of what it has.
    Give,
    /// The trust is taken from the job.
    Remove,
}

impl TrustRule {
    pub(super) fn makes_trusts(self) -> bool {
        self.enabled
    }

    /// Whether what becomes of the trust of a job that was there before depends on whether it holds one.
    pub(super) fn asks_what_is_held(self, has_client: bool, arrives: bool) -> bool {
        arrives || self.enabled && has_client
    }

    /// What becomes of the trust of a job on `client`. `arrives` says that the job is new to the client, `holds` that it has
    /// a trust. One that was stored for another client is never kept: whose it is was not checked for this one.
    pub(super) fn change(self, client: Option<&Client>, arrives: bool, holds: bool) -> TrustChange {
        let needed = client.map(|client| self.for_all_clients || client.is_central);
        match (self.enabled, needed) {
            (true, Some(true)) if arrives || !holds => TrustChange::Give,
            (true, Some(false)) if holds => TrustChange::Remove,
            _ if arrives && holds => TrustChange::Remove,
            _ => TrustChange::Keep,
        }
    }
}

/// Which jobs run under a trust, and the way to Keystone that makes them.
pub struct JobTrusts {
    keystone: Option<Box<Trusts>>,
    for_all_clients: bool,
    locks: StripedLocks,
}

impl JobTrusts {
    /// Trusts made at Keystone, or with `None` no trusts at all; `for_all_clients`: not only for jobs of central ones.
    pub fn new(keystone: Option<Box<Trusts>>, for_all_clients: bool) -> JobTrusts {
        JobTrusts {
            keystone,
            for_all_clients,
            locks: StripedLocks::default(),
        }
    }

    pub(super) fn rule(&self) -> TrustRule {
        TrustRule {
            enabled: self.keystone.is_some(),
            for_all_clients: self.for_all_clients,
        }
    }
}

/// A trust for a job that is about to be stored; while it is held, no trust of the project is released.
pub(super) struct JobTrust<'a> {
    keystone: &'a Trusts,
    trust: Trust,
    _lock: MutexGuard<'a, ()>,
}

impl JobTrust<'_> {
    /// What the job stores.
    pub(super) fn credentials(&self) -> UserCredentials {
        credentials(&self.trust)
    }
}

fn credentials(trust: &Trust) -> UserCredentials {
    UserCredentials {
        trust_id: trust.id.clone(),
        trustor_user_id: trust.trustor_user_id.clone(),
    }
}

impl Catalogue {
    /// The caller's trust for a job. Waits for other jobs of the project as long as the request has time.
    pub(super) async fn trust_for_job(
        &self,
        caller: &Authorized,
    ) -> Result<JobTrust<'_>, ApiError> {
        let keystone = self.trusts.keystone.as_deref();
        let keystone = keystone.ok_or(TrustError::NoTrustee)?;
        let project_id = caller.project_id();
        let lock = timeout_at(caller.deadline().into(), self.trusts.locks.lock(project_id))
            .await
            .map_err(|_| ApiError::Timeout)?;
        let trust = keystone
            .create_or_reuse(caller.context(), project_id)
            .await?;
        Ok(JobTrust {
            keystone,
            trust,
            _lock: lock,
        })
    }

    /// Once the transaction of the trust's job has ended, in whichever way: deletes a trust that was made for it and is in
    /// no job, and renews one that existed before and was deleted meanwhile.
    pub(super) async fn settle_trust(&self, caller: &Authorized, trust: JobTrust<'_>) {
        let JobTrust {
            keystone, trust, ..
        } = &trust;
        let outcome = if trust.created {
            self.delete_unused_trust(caller, keystone, &trust.id).await
        } else {
            self.renew_deleted_trust(caller, keystone, &trust.id).await
        };
        log_failure(outcome);
    }

    /// Deletes the trust that a job no longer uses, unless others use it. A service that makes no trusts deletes none.
    pub(super) async fn release_trust(&self, caller: &Authorized, trust_id: String) {
        let Some(keystone) = self.trusts.keystone.as_deref() else {
            return;
        };
        let _lock = self.trusts.locks.lock(caller.project_id()).await;
        log_failure(self.delete_unused_trust(caller, keystone, &trust_id).await);
    }

    /// Deletes a trust that no job of the project uses; then those that it made for jobs that got them in the meantime, should
    /// they be unused in turn.
    async fn delete_unused_trust(
        &self,
        caller: &Authorized,
        keystone: &Trusts,
        trust_id: &str,
    ) -> Result<(), ApiError> {
        let mut unused = trust_id.to_owned();
        for _ in 0..MAX_RENEWALS {
            if self.trust_in_use(caller, &unused).await? {
                return Ok(());
            }
            keystone
                .delete(caller.context(), &unused, caller.project_id())
                .await?;
            if !self.trust_in_use(caller, &unused).await? {
                return Ok(());
            }
            match self.renew_trust(caller, keystone, &unused).await? {
                Some(made) => unused = made,
                None => return Ok(()),
            }
        }
        tracing::warn!(
            "a trust may be left unused at Keystone: others renewed it at the same time"
        );
        Ok(())
    }

    /// Gives the jobs of a trust another one, if it does not exist any more.
    async fn renew_deleted_trust(
        &self,
        caller: &Authorized,
        keystone: &Trusts,
        trust_id: &str,
    ) -> Result<(), ApiError> {
        let exists = keystone
            .exists(caller.context(), trust_id, caller.project_id())
            .await?;
        if exists || !self.trust_in_use(caller, trust_id).await? {
            return Ok(());
        }
        match self.renew_trust(caller, keystone, trust_id).await? {
            Some(made) => self.delete_unused_trust(caller, keystone, &made).await,
            None => Ok(()),
        }
    }

    /// Gives the jobs of a deleted trust another one. Two servers may do so at once, and then one of their trusts is in no
    /// job: the id of one that was made here.
    async fn renew_trust(
        &self,
        caller: &Authorized,
        keystone: &Trusts,
        deleted: &str,
    ) -> Result<Option<String>, ApiError> {
        let trust = keystone
            .create_or_reuse(caller.context(), caller.project_id())
            .await?;
        let (scope, deleted, new) = (caller.scope(), deleted.to_owned(), credentials(&trust));
        let renewed = self
            .store
            .write("renewing a deleted trust", async move |tx: &mut Tx| {
                Ok::<_, ApiError>(tx.replace_trust(&scope, &deleted, &new).await?)
            })
            .await;
        log_failure(renewed);
        Ok(trust.created.then_some(trust.id))
    }

    async fn trust_in_use(&self, caller: &Authorized, trust_id: &str) -> Result<bool, ApiError> {
        let (scope, trust_id) = (caller.scope(), trust_id.to_owned());
        self.store
            .read("looking for a trust's jobs", async move |tx: &mut Tx| {
                Ok(tx.trust_in_use(&scope, &trust_id).await?)
            })
            .await
    }
}

/// The job's request has succeeded or failed by itself; as in the reference, what becomes of its trust does not change that.
fn log_failure(outcome: Result<(), ApiError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a trust may be left unused at Keystone, or a job's trust may not exist any more");
    }
}

#[cfg(test)]
mod tests {
    use super::TrustChange::{Give, Keep, Remove};
    use super::*;

    fn client(is_central: bool) -> Client {
        Client {
            is_central,
            ..Client::default()
        }
    }

    #[test]
    fn a_trust_is_never_taken_to_another_client() {
        let (central, private) = (client(true), client(false));
        for enabled in [true, false] {
            for for_all_clients in [true, false] {
                let rule = TrustRule {
                    enabled,
                    for_all_clients,
                };
                for client in [Some(&central), Some(&private), None] {
                    assert_ne!(rule.change(client, true, true), Keep, "{client:?}");
                    assert_ne!(rule.change(client, false, false), Remove, "{client:?}");
                }
            }
        }
        let rule = TrustRule {
            enabled: true,
            for_all_clients: false,
        };
        for (client, arrives, holds, change) in [
            (Some(&central), true, false, Give),
            (Some(&central), true, true, Give),
            (Some(&central), false, false, Give),
            (Some(&central), false, true, Keep),
            (Some(&private), false, true, Remove),
            (Some(&private), true, false, Keep),
            (None, false, true, Keep),
        ] {
            assert_eq!(rule.change(client, arrives, holds), change, "{client:?}");
        }
    }
}
