//! In which projects users have roles, for documents that name a user and no project.

use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::client::{
    AUTH_TOKEN, Call, IdentityClient, IdentityError, Repeat, SetupError, secret_header,
};
use super::service_token::ServiceSession;
use crate::clock::Clock;
use crate::config::{AuthPlugin, KeystoneAuthtoken};

/// Why Keystone does not tell the roles of a user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssignmentsError {
    /// It does not let the credentials' user see them.
    #[error(
        "Keystone does not let these credentials list role assignments: it takes the role reader of the whole system \
         (system_scope = all), or the role admin"
    )]
    Forbidden,
    /// It cannot be asked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] std::sync::Arc<IdentityError>),
}

/// The role assignments of a cloud.
pub(crate) struct Assignments(ServiceSession);

#[derive(Deserialize)]
struct List {
    role_assignments: Vec<Assignment>,
}

#[derive(Deserialize)]
struct Assignment {
    scope: Scope,
}

/// A project; else a domain or the system.
#[derive(Deserialize)]
struct Scope {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

impl Assignments {
    /// Asks with the credentials of `plugin`, which come from `section`.
    ///
    /// # Errors
    /// Credentials that cannot work.
    pub(crate) fn new(
        options: &KeystoneAuthtoken,
        section: &str,
        plugin: &AuthPlugin,
        clock: Clock,
    ) -> Result<Assignments, SetupError> {
        let client = IdentityClient::new(options)?;
        ServiceSession::new(client, options, section, plugin, clock).map(Assignments)
    }

    /// The projects in which a user has a role: also through groups, and what a domain or a project above hands down.
    ///
    /// # Errors
    /// [`AssignmentsError`].
    pub(crate) async fn projects_of(
        &self,
        user_id: &str,
    ) -> Result<BTreeSet<String>, AssignmentsError> {
        let token = self.0.own().await?;
        let mut headers = HeaderMap::new();
        headers
            .extend(secret_header(token.secret.expose_secret()).map(|value| (AUTH_TOKEN, value)));
        let user = utf8_percent_encode(user_id, NON_ALPHANUMERIC);
        let answer = self
            .0
            .client()
            .send(&Call {
                name: "GET /v3/role_assignments",
                method: Method::GET,
                url: format!(
                    "{}/role_assignments?user.id={user}&effective",
                    token.identity_url
                ),
                headers,
                json: None,
                repeat: Repeat::Always,
            })
            .await?;
        match answer.status {
            StatusCode::OK => {}
            // A user that is gone.
            StatusCode::NOT_FOUND => return Ok(BTreeSet::new()),
            StatusCode::FORBIDDEN => return Err(AssignmentsError::Forbidden),
            _ => return Err(answer.unexpected().into()),
        }
        let list: List =
            serde_json::from_slice(&answer.body).map_err(|error| answer.malformed(error))?;
        let projects = list
            .role_assignments
            .into_iter()
            .filter_map(|assignment| assignment.scope.project);
        Ok(projects.map(|project| project.id).collect())
    }
}
