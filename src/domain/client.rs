//! Clients: schedulers on hosts, and what they can do.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Refusal;
use super::document::{self, Object, owned_text, required_text};
use super::validation::{self, Schemas};

/// A row of `clients`. Its primary key `id` always equals `uuid`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
#[cfg_attr(test, derive(Default))]
pub struct Client {
    pub uuid: String,
    pub project_id: Option<String>,
    pub user_id: String,
    pub client_id: String,
    pub hostname: Option<String>,
    pub description: Option<String>,
    pub supported_actions: Option<String>,
    pub supported_modes: Option<String>,
    pub supported_storages: Option<String>,
    pub supported_engines: Option<String>,
    pub is_central: bool,
}

/// The document of a client, as `GET /clients/{client_id}` answers it.
#[derive(Serialize)]
pub struct ClientDocument<'a> {
    project_id: &'a Option<String>,
    user_id: &'a str,
    client: Description<'a>,
}

#[derive(Serialize)]
struct Description<'a> {
    uuid: &'a str,
    hostname: &'a Option<String>,
    client_id: &'a str,
    is_central: bool,
    description: &'a Option<String>,
    supported_actions: Box<RawValue>,
    supported_modes: Box<RawValue>,
    supported_storages: Box<RawValue>,
    supported_engines: Box<RawValue>,
}

impl Client {
    /// The document that answers show.
    pub fn document(&self) -> ClientDocument<'_> {
        let capability = |text: &Option<String>| {
            document::stored(
                text.as_deref()
                    .filter(|text| !text.is_empty())
                    .unwrap_or("[]"),
            )
        };
        ClientDocument {
            project_id: &self.project_id,
            user_id: &self.user_id,
            client: Description {
                uuid: &self.uuid,
                hostname: &self.hostname,
                client_id: &self.client_id,
                is_central: self.is_central,
                description: &self.description,
                supported_actions: capability(&self.supported_actions),
                supported_modes: capability(&self.supported_modes),
                supported_storages: capability(&self.supported_storages),
                supported_engines: capability(&self.supported_engines),
            },
        }
    }

    /// Whether the project registered this client itself.
    pub fn belongs_to(&self, project_id: &str) -> bool {
        self.project_id.as_deref() == Some(project_id)
    }

    /// Refuses to delete another project's client, and a central one where the caller may not create one.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn check_deletion(
        &self,
        project_id: &str,
        may_change_central: bool,
    ) -> Result<(), Refusal> {
        if !self.belongs_to(project_id) || self.is_central && !may_change_central {
            return Err(Refusal::Forbidden(
                "You are not permitted to delete this client".to_owned(),
            ));
        }
        Ok(())
    }

    /// Refuses actions that need what the client does not have.
    ///
    /// For each action in turn its action, mode, storage and engine must be among the client's, where they are set.
    ///
    /// # Errors
    /// [`Refusal::Unprocessable`] naming the first one missing.
    pub fn check_capabilities(
        &self,
        freezer_actions: impl IntoIterator<Item = Object>,
    ) -> Result<(), Refusal> {
        let supported = [
            ("action", &self.supported_actions),
            ("mode", &self.supported_modes),
            ("storage", &self.supported_storages),
            ("engine", &self.supported_engines),
        ]
        .map(|(what, text)| (what, text.as_deref().map(document::stored_value)));
        for action in freezer_actions {
            for (what, list) in &supported {
                let Some(wanted) = action
                    .get(*what)
                    .filter(|value| !document::is_falsy(Some(value)))
                else {
                    continue;
                };
                let has = |list: &Value| list.as_array().is_some_and(|list| list.contains(wanted));
                if !list.as_ref().is_some_and(has) {
                    let wanted = wanted
                        .as_str()
                        .map_or_else(|| wanted.to_string(), str::to_owned);
                    return Err(Refusal::Unprocessable(format!(
                        "Client {} does not support {what}: {wanted}",
                        self.client_id
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What `POST /clients` asks for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Registration {
    pub client_id: String,
    pub hostname: Option<String>,
    pub description: Option<String>,
    /// The primary key that the caller chose.
    pub uuid: Option<String>,
    pub supported_actions: String,
    pub supported_modes: String,
    pub supported_storages: String,
    pub supported_engines: String,
    pub is_central: bool,
}

impl Registration {
    /// The client that it makes where there is none.
    pub fn client(&self, uuid: &str, project_id: &str, user_id: &str) -> Client {
        Client {
            uuid: uuid.to_owned(),
            project_id: Some(project_id.to_owned()),
            user_id: user_id.to_owned(),
            client_id: self.client_id.clone(),
            hostname: self.hostname.clone(),
            description: self.description.clone(),
            supported_actions: Some(self.supported_actions.clone()),
            supported_modes: Some(self.supported_modes.clone()),
            supported_storages: Some(self.supported_storages.clone()),
            supported_engines: Some(self.supported_engines.clone()),
            is_central: self.is_central,
        }
    }

    /// Whether a body asks for a central client, by Python's rule of truth: the policy is asked before the
    /// document is checked.
    pub fn wants_central(body: &Object) -> bool {
        !document::is_falsy(body.get("is_central"))
    }

    /// Checks a body.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] naming the field.
    pub fn parse(schemas: &Schemas, mut body: Object) -> Result<Registration, Refusal> {
        body.shift_remove("project_id");
        let body = schemas.client.check(body)?;
        let capability = |key: &str, default: &[&str]| {
            let list = body.get(key).cloned().unwrap_or_else(|| json!(default));
            let text = list.to_string();
            if text.chars().count() > validation::TEXT_WIDTH {
                return Err(Refusal::Invalid(format!(
                    "'{key}' is too long: its JSON text has {} characters, the limit is {}",
                    text.chars().count(),
                    validation::TEXT_WIDTH
                )));
            }
            Ok(text)
        };
        Ok(Registration {
            client_id: required_text(&body, "client_id"),
            hostname: owned_text(&body, "hostname"),
            description: owned_text(&body, "description"),
            uuid: owned_text(&body, "uuid"),
            supported_actions: capability("supported_actions", validation::ACTIONS)?,
            supported_modes: capability("supported_modes", validation::MODES)?,
            supported_storages: capability("supported_storages", validation::STORAGES)?,
            supported_engines: capability("supported_engines", validation::ENGINES)?,
            is_central: body.get("is_central") == Some(&Value::Bool(true)),
        })
    }

    /// The refusal of a central client whose name a private one has, or jobs of one that was deleted.
    pub fn is_private_name(&self) -> Refusal {
        Refusal::Conflict(format!(
            "Client {} is already the name of a client that is not central, or jobs of one are left",
            self.client_id
        ))
    }

    /// What becomes of the registration, given the client that has its name already.
    ///
    /// `may_change_central` says whether the caller passes `clients:create_central`.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when the name belongs to another project, [`Refusal::Forbidden`] when the registered
    /// client is central and the caller may not change one (deviation D20).
    pub fn against(
        &self,
        existing: Option<&Client>,
        project_id: &str,
        may_change_central: bool,
    ) -> Result<Outcome, Refusal> {
        match existing {
            None => Ok(Outcome::Create),
            Some(client) if !client.belongs_to(project_id) => Err(Refusal::Conflict(format!(
                "Client {} is already registered by another project",
                self.client_id
            ))),
            Some(client) if client.is_central && !may_change_central => Err(Refusal::Forbidden(
                "You are not allowed to change a central client".to_owned(),
            )),
            Some(client) => Ok(Outcome::Update {
                uuid: client.uuid.clone(),
            }),
        }
    }
}

/// What a registration does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It makes a new row.
    Create,
    /// It renews description and capabilities of this row.
    Update {
        /// The row's primary key.
        uuid: String,
    },
}
