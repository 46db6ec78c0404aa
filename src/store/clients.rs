//! Clients in the database.

use std::collections::HashSet;

use super::list::Listed;
use super::narrowing::Searchable;
use super::rows::{Conditions, Record};
use super::statement::{in_lists, placeholders, sql};
use super::{Engine, StoreError, Tx, tables};
use crate::domain::Scope;
use crate::domain::client::{Client, Registration};
use crate::domain::job::Job;

impl Listed for Client {
    const SEARCHABLE: Searchable = Searchable {
        table: &tables::CLIENTS,
        alias: Client::ALIAS,
        composed: &["client"],
        joined: &[],
        indexed: None,
    };

    /// A project sees its own, and the central ones of all projects.
    fn visible(scope: &Scope) -> Conditions {
        match scope {
            Scope::Project(project_id) => Conditions::live::<Client>()
                .and("(c.project_id = ? OR c.is_central = TRUE)", [project_id]),
            Scope::All => Conditions::live::<Client>(),
        }
    }

    /// Paths have its name, which several may have.
    async fn find(
        tx: &mut Tx,
        scope: &Scope,
        client_id: &str,
    ) -> Result<Option<Client>, StoreError> {
        tx.get_client(scope, client_id).await
    }
}

/// Of several clients with one name, a project's own comes first (deviation D14), then the smallest key decides.
fn preferred(clients: impl IntoIterator<Item = Client>, scope: &Scope) -> Option<Client> {
    let is_own = |client: &Client| match scope {
        Scope::Project(project_id) => client.belongs_to(project_id),
        Scope::All => true,
    };
    clients
        .into_iter()
        .min_by_key(|client| (!is_own(client), client.uuid.clone()))
}

/// The clients of that name that a project sees.
fn named(scope: &Scope, client_id: &str) -> Conditions {
    Client::visible(scope).and("c.client_id = ?", [client_id])
}

/// The preferred one of those that have exactly this name: MySQL's comparison ignores trailing blanks.
fn preferred_of_name(clients: Vec<Client>, scope: &Scope, client_id: &str) -> Option<Client> {
    let same = |client: &Client| client.client_id == client_id;
    preferred(clients.into_iter().filter(same), scope)
}

impl Tx {
    /// The client of that name that a project sees.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_client(
        &mut self,
        scope: &Scope,
        client_id: &str,
    ) -> Result<Option<Client>, StoreError> {
        let clients = self.select(named(scope, client_id)).await?;
        Ok(preferred_of_name(clients, scope, client_id))
    }

    /// The same client for a job that is stored on it: nobody deletes it or changes what it can do until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_client(
        &mut self,
        scope: &Scope,
        client_id: &str,
    ) -> Result<Option<Client>, StoreError> {
        let clients = self.select_shared(named(scope, client_id)).await?;
        Ok(preferred_of_name(clients, scope, client_id))
    }

    /// Which of these names clients of the project itself have.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn own_clients(
        &mut self,
        project_id: &str,
        client_ids: &[&str],
    ) -> Result<HashSet<String>, StoreError> {
        let scope = Scope::Project(project_id.to_owned());
        let mut own = HashSet::new();
        for client_ids in in_lists(client_ids) {
            let condition = format!("c.client_id IN ({})", placeholders(client_ids.len()));
            let conditions = Conditions::within::<Client>(&scope).and(&condition, client_ids);
            let names = conditions.select::<Client>("c.client_id");
            self.session
                .fetch_each(names, |(name,): (String,)| {
                    own.insert(name);
                })
                .await?;
        }
        Ok(own)
    }

    /// Waits for all other registrations of this name, on whichever node, and keeps further ones out until the
    /// transaction ends. What is registered can have duplicates from older times, so no unique key could do it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_registration(&mut self, client_id: &str) -> Result<(), StoreError> {
        let statement = match self.engine() {
            Engine::MySql => {
                "INSERT INTO client_registrations (client_id, registrations) VALUES (?, 1) \
                 ON DUPLICATE KEY UPDATE registrations = registrations + 1"
            }
            Engine::Postgres | Engine::Sqlite => {
                "INSERT INTO client_registrations (client_id, registrations) VALUES (?, 1) \
                 ON CONFLICT (client_id) DO UPDATE SET registrations = client_registrations.registrations + 1"
            }
        };
        self.session.execute(sql(statement).bind(client_id)).await?;
        Ok(())
    }

    /// The client that a registration meets. A central one is known by name and host in all projects, others by
    /// their name among those that the project sees.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_registered(
        &mut self,
        scope: &Scope,
        registration: &Registration,
    ) -> Result<Option<Client>, StoreError> {
        if !registration.is_central {
            return self.get_client(scope, &registration.client_id).await;
        }
        let named = Conditions::live::<Client>().and("c.client_id = ?", [&registration.client_id]);
        let conditions = match &registration.hostname {
            Some(hostname) => named.and("c.hostname = ?", [hostname]),
            None => named.and("c.hostname IS NULL", [""; 0]),
        };
        let clients: Vec<Client> = self.select(conditions).await?;
        let same = |client: &Client| client.hostname == registration.hostname;
        Ok(preferred(clients.into_iter().filter(same), scope))
    }

    /// Whether a private client of any project has the name; or, where no central client has it now, live jobs do that may
    /// have been made for a private one: those of a project that had one, and all where no central client ever had it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_private_name(&mut self, client_id: &str) -> Result<bool, StoreError> {
        let private = Conditions::live::<Client>()
            .and("c.client_id = ?", [client_id])
            .and("c.is_central = FALSE", [""; 0]);
        if self.exists::<Client>(private).await? {
            return Ok(true);
        }
        let jobs = Conditions::live::<Job>().and("j.client_id = ?", [client_id]).and(
            "(EXISTS (SELECT 1 FROM clients c WHERE c.client_id = j.client_id AND c.project_id = j.project_id \
             AND c.is_central = FALSE) OR NOT EXISTS (SELECT 1 FROM clients c WHERE c.client_id = j.client_id \
             AND c.is_central = TRUE)) AND NOT EXISTS (SELECT 1 FROM clients c WHERE c.client_id = j.client_id \
             AND c.is_central = TRUE AND c.deleted = FALSE)",
            [""; 0],
        );
        self.exists::<Job>(jobs).await
    }

    /// Renews what a registration may change of a client.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn renew_client(
        &mut self,
        uuid: &str,
        user_id: &str,
        registration: &Registration,
    ) -> Result<(), StoreError> {
        let statement = sql(
            "UPDATE clients SET user_id = ?, description = ?, supported_actions = ?, supported_modes = ?, \
             supported_storages = ?, supported_engines = ?, updated_at = ? WHERE id = ?",
        )
        .bind(user_id)
        .bind(&registration.description)
        .bind(&registration.supported_actions)
        .bind(&registration.supported_modes)
        .bind(&registration.supported_storages)
        .bind(&registration.supported_engines)
        .bind(self.now())
        .bind(uuid);
        self.session.execute(statement).await?;
        Ok(())
    }
}
