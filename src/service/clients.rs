//! Clients: the schedulers that are registered.

use super::Catalogue;
use crate::authz::{Authorized, rules};
use crate::domain::client::{Client, Outcome, Registration};
use crate::domain::document::Object;
use crate::error::ApiError;
use crate::store::Tx;

impl Catalogue {
    /// Registers a client, or renews its registration; its `client_id`.
    ///
    /// No name is that of a central client and of a private one at once, and none that jobs of a private one still have
    /// becomes central: a central scheduler polls the jobs of all projects by its name, and would run those of the private
    /// client, which were made without a trust and without a look at what the central one may do.
    ///
    /// # Errors
    /// [`ApiError`]; [`ApiError::Forbidden`] for a central client without the right to create one, [`Refusal::Conflict`](crate::domain::Refusal::Conflict)
    /// where the name is another project's.
    pub async fn register_client(
        &self,
        caller: &Authorized,
        body: Object,
    ) -> Result<String, ApiError> {
        if Registration::wants_central(&body) {
            caller.require(rules::CLIENTS_CREATE_CENTRAL)?;
        }
        let registration = Registration::parse(&self.schemas, body)?;
        let client_id = registration.client_id.clone();
        let may_change_central = caller.may(rules::CLIENTS_CREATE_CENTRAL);
        let new_uuid = registration.uuid.clone().unwrap_or_else(|| self.ids.hex());
        let project_id = caller.project_id().to_owned();
        let caller = caller.clone();
        let is_known = self
            .store
            .write("registering a client", async move |tx: &mut Tx| {
                let (project_id, user_id) = (caller.project_id(), caller.user_id());
                tx.lock_registration(&registration.client_id).await?;
                let existing = tx.find_registered(&caller.scope(), &registration).await?;
                match registration.against(existing.as_ref(), project_id, may_change_central)? {
                    Outcome::Create
                        if registration.is_central
                            && tx.is_private_name(&registration.client_id).await? =>
                    {
                        Err(registration.is_private_name().into())
                    }
                    Outcome::Create => tx
                        .insert(&registration.client(&new_uuid, project_id, user_id))
                        .await
                        .map(|()| false)
                        .map_err(|error| ApiError::id_unavailable(error, "Client", &new_uuid)),
                    Outcome::Update { uuid } => {
                        tx.renew_client(&uuid, user_id, &registration).await?;
                        Ok(true)
                    }
                }
            })
            .await?;
        if is_known {
            self.liveness.note_restart(&project_id, &client_id);
        }
        Ok(client_id)
    }

    /// Deletes a client. One that the project does not see changes nothing.
    ///
    /// # Errors
    /// [`ApiError`]; [`Refusal::Forbidden`](crate::domain::Refusal::Forbidden) for a central client of another project, or without the right to create one.
    pub async fn delete_client(
        &self,
        caller: &Authorized,
        client_id: String,
    ) -> Result<(), ApiError> {
        let scope = caller.scope();
        let project_id = caller.project_id().to_owned();
        let may_change_central = caller.may(rules::CLIENTS_CREATE_CENTRAL);
        self.store
            .write("deleting a client", async move |tx: &mut Tx| {
                // Only a name that is registered is worth a row of the lock's table.
                if tx.get_client(&scope, &client_id).await?.is_none() {
                    return Ok(());
                }
                tx.lock_registration(&client_id).await?;
                let Some(client) = tx.get_client(&scope, &client_id).await? else {
                    return Ok(());
                };
                client.check_deletion(&project_id, may_change_central)?;
                Ok::<_, ApiError>(tx.delete::<Client>(&client.uuid).await?)
            })
            .await
    }
}
