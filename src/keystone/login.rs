//! What users of the web page need of Keystone beside the check of their token: getting one, for which project, and giving it
//! up again.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{
    AUTH_TOKEN, Answer, Call, IdentityError, Repeat, SUBJECT_TOKEN, secret_header,
};
use super::service_token::post_auth;
use super::token::ValidToken;
use super::validator::{AuthError, Keystone};
use crate::authz::RequestContext;

/// Comes with the 401 to a user who has shown one factor of several.
const RECEIPT: HeaderName = HeaderName::from_static("openstack-auth-receipt");

/// What a user shows.
pub enum Credentials {
    /// The user's name and domain with the password and, where the user has one, the code of the moment (TOTP).
    Password {
        /// The name.
        user: String,
        /// The name of the domain.
        domain: String,
        /// The password.
        password: SecretString,
        /// The code.
        passcode: Option<SecretString>,
    },
    /// An application credential, which is good for one project.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// A token that Keystone has given the user elsewhere.
    Token(SecretString),
}

/// A token of the user's for one project.
pub struct Login {
    /// The token that the user has shown, or got for what they have shown. All others are made from it, and end with it.
    pub root: SecretString,
    /// The token for the project; it may be the same.
    pub token: SecretString,
    /// When it ends, in seconds since the epoch.
    pub expires_at: i64,
    /// Who the user is, and what they are in the project.
    pub context: RequestContext,
}

/// A project in which a user has a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedProject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Why a user gets no token.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Keystone refuses what was shown, or the project.
    #[error("Keystone refuses the login")]
    Refused,
    /// The password is right, and a code is needed too.
    #[error("a second factor is needed")]
    SecondFactor,
    /// The user has no role in any project.
    #[error("the user has no role in any project")]
    NoProject,
    /// Keystone cannot be asked.
    #[error("Keystone is unavailable")]
    Unavailable {
        /// When the user may try again.
        retry_after: Duration,
    },
}

impl From<IdentityError> for LoginError {
    fn from(error: IdentityError) -> LoginError {
        tracing::error!(%error, "nobody can log in");
        LoginError::Unavailable {
            retry_after: error.retry_after(),
        }
    }
}

impl Keystone {
    /// Gets a token for a project: for `wanted` where the user has a role in it, else for the first by name. Application
    /// credentials and tokens that have a project keep theirs.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn log_in(
        &self,
        credentials: &Credentials,
        wanted: Option<&str>,
    ) -> Result<Login, LoginError> {
        let first = match credentials {
            Credentials::Token(token) => self.adopt(token).await?,
            other => self.post_identity(&identity(other)).await?,
        };
        if first.context.project_id.is_some() {
            return Ok(first);
        }
        let projects = self.projects(&first.token).await?;
        let of_choice = projects.iter().find(|project| Some(&*project.id) == wanted);
        let project = of_choice
            .or(projects.first())
            .ok_or(LoginError::NoProject)?;
        self.enter(&first.token, &project.id).await
    }

    /// Gets a token for another project of the same user, made from `root`.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn enter(&self, root: &SecretString, project_id: &str) -> Result<Login, LoginError> {
        let request = json!({"auth": {
            "identity": {"methods": ["token"], "token": {"id": root.expose_secret()}},
            "scope": {"project": {"id": project_id}},
        }});
        let login = self.post_identity(&request).await?;
        Ok(Login {
            root: root.clone(),
            ..login
        })
    }

    /// The projects that a token's user can enter, by name.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn projects(&self, token: &SecretString) -> Result<Vec<NamedProject>, LoginError> {
        #[derive(Deserialize)]
        struct Projects {
            projects: Vec<Project>,
        }
        #[derive(Deserialize)]
        struct Project {
            enabled: Option<bool>,
            #[serde(flatten)]
            named: NamedProject,
        }
        let answer = self
            .call_as_user(
                "GET /v3/auth/projects",
                Method::GET,
                "/auth/projects",
                token,
            )
            .await?;
        let Projects { projects } =
            serde_json::from_slice(&answer.body).map_err(|error| answer.malformed(error))?;
        let mut projects: Vec<NamedProject> = projects
            .into_iter()
            .filter(|project| project.enabled != Some(false))
            .map(|project| project.named)
            .collect();
        projects.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(projects)
    }

    /// Who the owner of a token is, and what they are in its project.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn owner(&self, token: &SecretString) -> Result<RequestContext, LoginError> {
        Ok(self.adopt(token).await?.context)
    }

    /// Makes a token invalid, and at Keystone all that were made from it. Where that fails it ends by itself; the log says so.
    pub async fn revoke(&self, token: &SecretString) {
        let revoked = self
            .call_as_user(
                "DELETE /v3/auth/tokens",
                Method::DELETE,
                "/auth/tokens",
                token,
            )
            .await;
        match revoked {
            Ok(_) | Err(LoginError::Refused) => self.forget(token).await,
            Err(error) => tracing::warn!(%error, "a token was not revoked"),
        }
    }

    /// Who the owner of a token from elsewhere is.
    async fn adopt(&self, token: &SecretString) -> Result<Login, LoginError> {
        let text = token.expose_secret().trim();
        let valid = self.check(text, false).await.map_err(|error| match error {
            AuthError::Unauthorized(_) => LoginError::Refused,
            AuthError::Unavailable { retry_after } => LoginError::Unavailable { retry_after },
        })?;
        Ok(Login {
            root: text.into(),
            token: text.into(),
            expires_at: valid.expires_at,
            context: valid.context(text),
        })
    }

    async fn post_identity(&self, request: &Value) -> Result<Login, LoginError> {
        let own = self.session().own().await.map_err(unavailable)?;
        let answer = post_auth(self.session().client(), &own.identity_url, request).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::UNAUTHORIZED if answer.has(&RECEIPT) => {
                return Err(LoginError::SecondFactor);
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST => return Err(LoginError::Refused),
            _ => return Err(answer.unexpected().into()),
        }
        let valid =
            ValidToken::from_body(&answer.body).map_err(|reason| answer.malformed(reason))?;
        let token = answer.subject_token()?;
        Ok(Login {
            expires_at: valid.expires_at,
            context: valid.context(&token),
            root: token.as_str().into(),
            token: token.into(),
        })
    }

    /// A call with the user's own token, which is also its subject.
    async fn call_as_user(
        &self,
        name: &'static str,
        method: Method,
        path: &str,
        token: &SecretString,
    ) -> Result<Answer, LoginError> {
        let own = self.session().own().await.map_err(unavailable)?;
        let token = secret_header(token.expose_secret()).ok_or(LoginError::Refused)?;
        let call = Call {
            name,
            method,
            url: format!("{}{path}", own.identity_url),
            headers: HeaderMap::from_iter([(AUTH_TOKEN, token.clone()), (SUBJECT_TOKEN, token)]),
            json: None,
            repeat: Repeat::Always,
        };
        let answer = self.session().client().send(&call).await?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                Err(LoginError::Refused)
            }
            _ => Err(answer.unexpected().into()),
        }
    }
}

fn unavailable(error: std::sync::Arc<IdentityError>) -> LoginError {
    tracing::error!(%error, "nobody can log in");
    LoginError::Unavailable {
        retry_after: error.retry_after(),
    }
}

/// The body of `POST /v3/auth/tokens`. Without a scope by intention: Keystone would choose the user's default project, in which
/// they may have no role.
fn identity(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password {
            user,
            domain,
            password,
            passcode,
        } => {
            let user = |key: &str, secret: &SecretString| json!({"user": {"name": user, "domain": {"name": domain}, key: secret.expose_secret()}});
            let password = user("password", password);
            let identity = match passcode {
                None => json!({"methods": ["password"], "password": password}),
                Some(passcode) => json!({
                    "methods": ["password", "totp"],
                    "password": password,
                    "totp": user("passcode", passcode),
                }),
            };
            json!({"auth": {"identity": identity, "scope": "unscoped"}})
        }
        Credentials::ApplicationCredential { id, secret } => json!({"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": id, "secret": secret.expose_secret()},
        }}}),
        Credentials::Token(token) => json!({"auth": {"identity": {
            "methods": ["token"], "token": {"id": token.expose_secret()},
        }}}),
    }
}
