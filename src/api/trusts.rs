//! Trusts for jobs that a central scheduler runs in the name of their project.
//!
//! Keystone is asked before the job's transaction, never inside it. A trust that was made for a job that then is not
//! stored is deleted again; one that no job uses any more is given up. Both take the project's turn, so that no request
//! of this server deletes a trust between another's finding it and storing the job that uses it.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use super::authorize::Authorized;
use super::{Api, Authentication};
use crate::auth::{Trust, Trusts};
use crate::domain::client::Client;
use crate::domain::job::UserCredentials;
use crate::error::ApiError;
use crate::store::Tx;

/// How many projects can have their turns without waiting for each other.
const TURNS: usize = 64;

/// One turn for each share of the projects.
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Turns([const { Mutex::const_new(()) }; TURNS])
    }
}

impl Turns {
    async fn take(&self, project_id: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        project_id.hash(&mut hasher);
        let turn = self.0.get(hasher.finish() as usize % TURNS)?;
        Some(turn.lock().await)
    }
}

/// A trust for a job that is about to be stored; while it is held, no trust of the project is given up.
pub(super) struct HeldTrust<'a> {
    trust: Trust,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl HeldTrust<'_> {
    /// What the job stores.
    pub(super) fn credentials(&self) -> UserCredentials {
        UserCredentials {
            trust_id: self.trust.id.clone(),
            trustor_user_id: self.trust.trustor_user_id.clone(),
        }
    }
}

impl Api {
    fn trusts(&self) -> Option<&Trusts> {
        match &self.authentication {
            Authentication::Keystone(_, trusts) if self.config.centralized_scheduler.enabled => {
                Some(trusts)
            }
            _ => None,
        }
    }

    /// Whether jobs of this client run under a trust (`[centralized_scheduler]`).
    pub(super) fn needs_trust(&self, client: Option<&Client>) -> bool {
        self.trusts().is_some()
            && (self.config.centralized_scheduler.enforce_trusts
                || client.is_some_and(|client| client.is_central))
    }

    /// The trust for a job of this client, if it needs one.
    pub(super) async fn make_trust(
        &self,
        caller: &Authorized,
        client_id: &str,
    ) -> Result<Option<HeldTrust<'_>>, ApiError> {
        let Some(trusts) = self.trusts() else {
            return Ok(None);
        };
        let project_id = caller.project_id();
        let client = self
            .store
            .read("looking for a job's client", {
                let (project_id, client_id) = (project_id.to_owned(), client_id.to_owned());
                async move |tx: &mut Tx| {
                    tx.get_client(&project_id, &client_id)
                        .await
                        .map_err(ApiError::from)
                }
            })
            .await?;
        if !self.needs_trust(client.as_ref()) {
            return Ok(None);
        }
        let turn = self.turns.take(project_id).await;
        let trust = trusts.create_or_reuse(caller.context(), project_id).await?;
        Ok(Some(HeldTrust { trust, _turn: turn }))
    }

    /// Deletes the trust again if it was made for a job that is not stored, or has another.
    pub(super) async fn take_trust_back(&self, caller: &Authorized, held: HeldTrust<'_>) {
        if held.trust.created {
            self.delete_unused(caller, &held.trust.id).await;
        }
    }

    /// Gives up the trust of a job that is gone, unless others use it.
    pub(super) async fn give_up_trust(&self, caller: &Authorized, trust_id: String) {
        let _turn = self.turns.take(caller.project_id()).await;
        self.delete_unused(caller, &trust_id).await;
    }

    /// Deletes a trust that no job uses. A failure is logged and otherwise without effect, as in the reference.
    async fn delete_unused(&self, caller: &Authorized, trust_id: &str) {
        let Some(trusts) = self.trusts() else {
            return;
        };
        let id = trust_id.to_owned();
        let in_use = self
            .store
            .read("looking for a trust's jobs", async move |tx: &mut Tx| {
                tx.trust_in_use(&id).await.map_err(ApiError::from)
            })
            .await;
        match in_use {
            Ok(true) => {}
            Ok(false) => {
                if let Err(error) = trusts
                    .delete(caller.context(), trust_id, caller.project_id())
                    .await
                {
                    tracing::warn!(%error, "a trust that no job uses cannot be deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "a trust that may be unused is kept"),
        }
    }
}
