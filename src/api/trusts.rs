//! Trusts for jobs that a central scheduler runs in the name of their project.
//!
//! Keystone is asked before the job's transaction, never inside it. A trust that was made for a job that then is not
//! stored is deleted again; one that no job uses any more is given up.

use super::authorize::Authorized;
use super::{Api, Authentication};
use crate::auth::{Trust, Trusts};
use crate::domain::client::Client;
use crate::domain::job::UserCredentials;
use crate::error::ApiError;
use crate::store::Tx;

impl From<&Trust> for UserCredentials {
    fn from(trust: &Trust) -> Self {
        UserCredentials {
            trust_id: trust.id.clone(),
            trustor_user_id: trust.trustor_user_id.clone(),
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
    ) -> Result<Option<Trust>, ApiError> {
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
        Ok(Some(
            trusts.create_or_reuse(caller.context(), project_id).await?,
        ))
    }

    /// Deletes a trust that no job uses. A failure is logged and otherwise without effect, as in the reference.
    pub(super) async fn give_up_trust(&self, caller: &Authorized, trust_id: String) {
        let Some(trusts) = self.trusts() else {
            return;
        };
        let id = trust_id.clone();
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
                    .delete(caller.context(), &trust_id, caller.project_id())
                    .await
                {
                    tracing::warn!(%error, "a trust that no job uses cannot be deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "a trust that may be unused is kept"),
        }
    }
}
