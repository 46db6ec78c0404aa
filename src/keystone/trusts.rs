//! Trusts: a user's permission for the service user to act in a project, so that a central scheduler can run the user's jobs.
//!
//! As in freezer-api 19.0.0 (`freezer_api.keystone_client`): made with the caller's token, from the caller to the user
//! of `[centralized_scheduler] auth_section`, in the job's project, without impersonation, redelegation and expiry. One that
//! exists is reused; unlike there, only when it is of this kind and has the roles.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{AUTH_TOKEN, Answer, Call, IdentityError, Repeat, SetupError, secret_header};
use super::locks::StripedLocks;
use super::service_token::{ServiceSession, post_auth};
use super::token::{Role, ValidToken};
use super::validator::Keystone;
use crate::authz::RequestContext;
use crate::clock::Clock;
use crate::config::{Config, KeystoneAuthtoken};

/// A trust in Keystone.
#[derive(Clone, PartialEq, Eq)]
pub struct Trust {
    /// Its id, with which the trustee gets tokens. Not for logs.
    pub id: String,
    /// The user who gave it.
    pub trustor_user_id: String,
    /// Whether it was made now: who then fails to store it, deletes it.
    pub created: bool,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("id", &"***")
            .field("trustor_user_id", &self.trustor_user_id)
            .field("created", &self.created)
            .finish()
    }
}

/// Why there is no trust. Each is a 422 `Missing required credentials`, and its text may stand in the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The caller's token is not valid for the project: no role there, or a token that cannot be changed into one for
    /// the project.
    #[error("The token gives no access to project {project_id}, so no trust can be made for it")]
    NoAccess {
        /// The project of the job.
        project_id: String,
    },
    /// The caller does not have a role that is to be delegated.
    #[error("A trust needs roles that the user does not have in the project: {}", .0.join(", "))]
    RolesMissing(Vec<String>),
    /// The user of `auth_section` is unknown.
    #[error("The user that trusts are made for cannot be deduced from the configuration")]
    NoTrustee,
    /// Keystone refuses it.
    #[error("Keystone refused the trust (status {0})")]
    Refused(u16),
    /// The trust is for another project.
    #[error("The trust is for another project")]
    OtherProject,
    /// Keystone did not answer as it should.
    #[error("Keystone is unavailable, so no trust can be made")]
    Unavailable,
}

/// Makes, finds and deletes trusts.
pub struct Trusts {
    keystone: Arc<ServiceSession>,
    trustee: Arc<ServiceSession>,
    /// Names of the roles to delegate; empty: all that the caller has in the project.
    delegated_roles: Vec<String>,
    /// Jobs that are made at once by one user in one project wait for each other here, so that they share a trust.
    making: StripedLocks,
}

/// The caller, in the project of the trust.
struct Caller<'a> {
    user_id: &'a str,
    project_id: &'a str,
    token: SecretString,
    role_ids: Vec<String>,
}

impl Trusts {
    /// Takes the options of `[centralized_scheduler]`; the session of `keystone` is shared where both have one section.
    ///
    /// # Errors
    /// Credentials of the trustee that cannot work.
    pub fn new(config: &Config, keystone: &Keystone, clock: Clock) -> Result<Self, SetupError> {
        let options = &config.centralized_scheduler;
        let trustee = if options.auth_section == KeystoneAuthtoken::SECTION {
            Arc::clone(keystone.session())
        } else {
            let client = keystone.session().client().clone();
            let authtoken = &config.keystone_authtoken;
            Arc::new(ServiceSession::new(
                client,
                authtoken,
                &options.auth_section,
                &config.trustee_auth,
                clock,
            )?)
        };
        Ok(Self {
            keystone: Arc::clone(keystone.session()),
            trustee,
            delegated_roles: options.trusts_delegated_roles.clone(),
            making: StripedLocks::default(),
        })
    }

    /// A trust from the caller to the service user in the project: one that exists, or a new one.
    ///
    /// # Errors
    /// [`TrustError`]; then no trust was made.
    pub async fn create_or_reuse(
        &self,
        context: &RequestContext,
        project_id: &str,
    ) -> Result<Trust, TrustError> {
        let caller = self.caller(context, project_id).await?;
        let trustee = self.trustee.own().await.map_err(|error| {
            tracing::error!(%error, "cannot find out the trustee of [centralized_scheduler] auth_section");
            match *error {
                IdentityError::Unreachable { .. } | IdentityError::Unexpected { .. } => TrustError::Unavailable,
                IdentityError::Credentials { .. } | IdentityError::Malformed { .. } | IdentityError::NoEndpoint { .. } => {
                    TrustError::NoTrustee
                }
            }
        })?;
        let _turn = self.making.lock(&(caller.user_id, project_id)).await;
        if let Some(trust) = self.find(&caller, &trustee.user_id).await? {
            return Ok(trust.into_trust(false));
        }
        self.create(&caller, &trustee.user_id)
            .await
            .map(|trust| trust.into_trust(true))
    }

    /// Whether a trust of the caller exists.
    ///
    /// # Errors
    /// [`TrustError`]: nobody knows.
    pub async fn exists(
        &self,
        context: &RequestContext,
        trust_id: &str,
        project_id: &str,
    ) -> Result<bool, TrustError> {
        let caller = self.caller(context, project_id).await?;
        Ok(self.get(&caller, trust_id).await?.is_some())
    }

    /// Deletes a trust of the caller in the project. One that does not exist any more is no error.
    ///
    /// # Errors
    /// [`TrustError`]: the trust still exists. [`TrustError::OtherProject`] where it is not the project's.
    pub async fn delete(
        &self,
        context: &RequestContext,
        trust_id: &str,
        project_id: &str,
    ) -> Result<(), TrustError> {
        let caller = self.caller(context, project_id).await?;
        match self.get(&caller, trust_id).await? {
            None => return Ok(()),
            Some(trust) if trust.project_id.as_deref() != Some(project_id) => {
                return Err(TrustError::OtherProject);
            }
            Some(_) => {}
        }
        let path = format!("/{}", encoded(trust_id));
        let answer = self
            .call(
                &caller,
                "DELETE /v3/OS-TRUST/trusts/{id}",
                Method::DELETE,
                &path,
                None,
            )
            .await?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(refused(&answer)),
        }
    }

    async fn get(
        &self,
        caller: &Caller<'_>,
        trust_id: &str,
    ) -> Result<Option<WireTrust>, TrustError> {
        let path = format!("/{}", encoded(trust_id));
        let name = "GET /v3/OS-TRUST/trusts/{id}";
        let answer = self.call(caller, name, Method::GET, &path, None).await?;
        match answer.status {
            StatusCode::OK => parse::<SingleTrust>(&answer).map(|single| Some(single.trust)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    /// The caller's token for the project: the one at hand, or one made from it (keystoneauth's `v3token`).
    async fn caller<'a>(
        &self,
        context: &'a RequestContext,
        project_id: &'a str,
    ) -> Result<Caller<'a>, TrustError> {
        let caller = |token, role_ids| Caller {
            user_id: &context.user_id,
            project_id,
            token,
            role_ids,
        };
        if context.project_id.as_deref() == Some(project_id) {
            return Ok(caller(context.token.clone(), context.role_ids.clone()));
        }
        let answer = self.rescope(&context.token, project_id).await?;
        let token = ValidToken::from_body(&answer.body)
            .map_err(|reason| unavailable(&answer.malformed(reason)))?;
        let secret = answer
            .subject_token()
            .map_err(|error| unavailable(&error))?;
        Ok(caller(
            secret.into(),
            token.roles.into_iter().map(|role| role.id).collect(),
        ))
    }

    /// Keystone's answer with a token for the project, made from the caller's.
    async fn rescope(&self, token: &SecretString, project_id: &str) -> Result<Answer, TrustError> {
        let own = self
            .keystone
            .own()
            .await
            .map_err(|error| unavailable(&error))?;
        let request = json!({"auth": {
            "identity": {"methods": ["token"], "token": {"id": token.expose_secret()}},
            "scope": {"project": {"id": project_id}},
        }});
        let answer = post_auth(self.keystone.client(), &own.identity_url, &request)
            .await
            .map_err(|error| unavailable(&error))?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => Ok(answer),
            status if status.is_client_error() => Err(TrustError::NoAccess {
                project_id: project_id.to_owned(),
            }),
            _ => Err(unavailable(&answer.unexpected())),
        }
    }

    /// The first trust of the wanted kind that has the wanted roles.
    async fn find(
        &self,
        caller: &Caller<'_>,
        trustee: &str,
    ) -> Result<Option<WireTrust>, TrustError> {
        let query = format!("?trustor_user_id={}", encoded(caller.user_id));
        let answer = self
            .call(caller, "GET /v3/OS-TRUST/trusts", Method::GET, &query, None)
            .await?;
        if answer.status != StatusCode::OK {
            // A policy may forbid listing and allow making.
            tracing::warn!(
                status = answer.status.as_u16(),
                "trusts cannot be listed; a new one is created"
            );
            return Ok(None);
        }
        let list: TrustList = parse(&answer)?;
        for listed in list
            .trusts
            .into_iter()
            .filter(|trust| trust.is_for(caller, trustee))
        {
            // The list has no roles.
            let trust = self.get(caller, &listed.id).await?;
            if let Some(trust) = trust.filter(|trust| self.has_roles(trust, caller)) {
                return Ok(Some(trust));
            }
        }
        Ok(None)
    }

    fn has_roles(&self, trust: &WireTrust, caller: &Caller<'_>) -> bool {
        if self.delegated_roles.is_empty() {
            caller
                .role_ids
                .iter()
                .all(|id| trust.roles.iter().any(|role| role.id == *id))
        } else {
            self.delegated_roles.iter().all(|name| {
                trust
                    .roles
                    .iter()
                    .any(|role| role.name.eq_ignore_ascii_case(name))
            })
        }
    }

    async fn create(&self, caller: &Caller<'_>, trustee: &str) -> Result<WireTrust, TrustError> {
        let roles: Vec<Value> = if self.delegated_roles.is_empty() {
            caller.role_ids.iter().map(|id| json!({"id": id})).collect()
        } else {
            self.delegated_roles
                .iter()
                .map(|name| json!({"name": name}))
                .collect()
        };
        let request = json!({"trust": {
            "trustor_user_id": caller.user_id,
            "trustee_user_id": trustee,
            "project_id": caller.project_id,
            "impersonation": false,
            "allow_redelegation": false,
            "roles": roles,
        }});
        let answer = self
            .call(
                caller,
                "POST /v3/OS-TRUST/trusts",
                Method::POST,
                "",
                Some(&request),
            )
            .await?;
        match answer.status {
            StatusCode::CREATED => parse::<SingleTrust>(&answer).map(|single| single.trust),
            StatusCode::NOT_FOUND => Err(TrustError::RolesMissing(self.delegated_roles.clone())),
            _ => Err(refused(&answer)),
        }
    }

    /// One call to `/v3/OS-TRUST/trusts`, in the caller's name.
    async fn call(
        &self,
        caller: &Caller<'_>,
        name: &'static str,
        method: Method,
        rest: &str,
        json: Option<&Value>,
    ) -> Result<Answer, TrustError> {
        let own = self
            .keystone
            .own()
            .await
            .map_err(|error| unavailable(&error))?;
        let mut headers = HeaderMap::new();
        headers
            .extend(secret_header(caller.token.expose_secret()).map(|value| (AUTH_TOKEN, value)));
        let repeat = if method == Method::POST {
            Repeat::IfUnsent
        } else {
            Repeat::Always
        };
        let url = format!("{}/OS-TRUST/trusts{rest}", own.identity_url);
        let call = Call {
            name,
            method,
            url,
            headers,
            json,
            repeat,
        };
        self.keystone
            .client()
            .send(&call)
            .await
            .map_err(|error| unavailable(&error))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn unavailable(error: &IdentityError) -> TrustError {
    tracing::error!(%error, "a trust cannot be created or deleted");
    TrustError::Unavailable
}

fn refused(answer: &Answer) -> TrustError {
    if answer.status.is_server_error() {
        unavailable(&answer.unexpected())
    } else {
        TrustError::Refused(answer.status.as_u16())
    }
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, TrustError> {
    serde_json::from_slice(&answer.body).map_err(|error| unavailable(&answer.malformed(error)))
}

#[derive(Deserialize)]
struct TrustList {
    trusts: Vec<WireTrust>,
}

#[derive(Deserialize)]
struct SingleTrust {
    trust: WireTrust,
}

#[derive(Deserialize)]
struct WireTrust {
    id: String,
    trustor_user_id: String,
    trustee_user_id: String,
    project_id: Option<String>,
    #[serde(default)]
    impersonation: bool,
    expires_at: Option<String>,
    remaining_uses: Option<i64>,
    deleted_at: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
}

impl WireTrust {
    /// Whether it is of the kind that we make. One that ends would leave a job without credentials some day.
    fn is_for(&self, caller: &Caller<'_>, trustee: &str) -> bool {
        self.trustor_user_id == caller.user_id
            && self.trustee_user_id == trustee
            && self.project_id.as_deref() == Some(caller.project_id)
            && !self.impersonation
            && self.expires_at.is_none()
            && self.remaining_uses.is_none()
            && self.deleted_at.is_none()
    }

    fn into_trust(self, created: bool) -> Trust {
        Trust {
            id: self.id,
            trustor_user_id: self.trustor_user_id,
            created,
        }
    }
}
