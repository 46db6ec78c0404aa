//! Token authentication as keystonemiddleware's `auth_token` does it: a token is what Keystone says it is, asked once
//! in `token_cache_time`. Identity headers of the client are ignored.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::cache::{Refusal, TokenCache};
use super::client::{
    AUTH_TOKEN, Call, IdentityClient, Repeat, SUBJECT_TOKEN, SetupError, secret_header,
};
use super::memcached::Memcached;
use super::service_token::{ServiceSession, ServiceToken};
use super::token::ValidToken;
use crate::authz::RequestContext;
use crate::clock::Clock;
use crate::config::{Config, KeystoneAuthtoken};

/// Longer texts are no tokens (Fernet tokens have some 200 bytes, signed ones up to 2 kB) and are refused unasked.
const MAX_TOKEN_LENGTH: usize = 8 * 1024;
/// Tells Keystone that we check access rules; without it, it refuses tokens that have some.
const ACCESS_RULES: HeaderName = HeaderName::from_static("openstack-identity-access-rules");

/// Why a request is not authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// 401: no token, or none that is good for this request. The reason is for the log; it is no part of the answer.
    #[error("not authenticated: {0}")]
    Unauthorized(&'static str),
    /// 503: Keystone cannot be asked.
    #[error("Keystone is unavailable")]
    Unavailable {
        /// When the client may try again (`Retry-After`).
        retry_after: Duration,
    },
}

/// Warns of options that weaken authentication.
fn warn_of_weak_options(options: &KeystoneAuthtoken) {
    if options.trusts_memcached() {
        tracing::warn!(
            "[keystone_authtoken] memcached_servers without memcache_secret_key: whoever can write to memcached can make \
             administrators; set the same secret on all API services"
        );
    }
    if !options.service_token_roles_required {
        tracing::warn!(
            "[keystone_authtoken] service_token_roles_required is off: any valid token passes for a service's token"
        );
    }
}

/// The client of `memcached_servers`, where there are any.
fn shared_cache(servers: &[String]) -> Result<Option<Memcached>, SetupError> {
    if servers.is_empty() {
        return Ok(None);
    }
    let memcached = Memcached::new(servers);
    memcached
        .map(Some)
        .map_err(|error| SetupError(format!("[keystone_authtoken] {error}")))
}

/// Validates tokens at Keystone. One for the process.
pub struct Keystone {
    session: Arc<ServiceSession>,
    cache: TokenCache,
    clock: Clock,
    www_authenticate_uri: String,
    service_token_roles: Vec<String>,
    service_token_roles_required: bool,
    service_type: Option<String>,
    delay_auth_decision: bool,
}

impl Keystone {
    /// Takes the options of `[keystone_authtoken]` and the service's own credentials. Reads the certificate files. Keystone
    /// is first called with the first token, so the service starts without it.
    ///
    /// # Errors
    /// Options that cannot work, named with their section.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, SetupError> {
        let options = &config.keystone_authtoken;
        let section = options
            .auth_section
            .as_deref()
            .unwrap_or(KeystoneAuthtoken::SECTION);
        let client = IdentityClient::new(options)?;
        let counts = Arc::clone(client.counts());
        let session = ServiceSession::new(
            client,
            options,
            section,
            &config.service_auth,
            clock.clone(),
        )?;
        warn_of_weak_options(options);
        Ok(Self {
            www_authenticate_uri: options
                .www_authenticate_uri
                .clone()
                .unwrap_or_else(|| session.auth_url().to_owned()),
            session: Arc::new(session),
            cache: TokenCache::new(
                options.token_cache_time,
                shared_cache(&options.memcached_servers)?,
                options.memcache_secret_key.as_ref(),
                clock.clone(),
                counts,
            ),
            clock,
            service_token_roles: options.service_token_roles.clone(),
            service_token_roles_required: options.service_token_roles_required,
            service_type: options.service_type.clone(),
            delay_auth_decision: options.delay_auth_decision,
        })
    }

    /// The value of the `WWW-Authenticate` header that goes with a 401.
    pub fn www_authenticate(&self) -> String {
        format!("Keystone uri=\"{}\"", self.www_authenticate_uri)
    }

    /// Finds out who calls. `token` is the text of `X-Auth-Token` (keystonemiddleware takes `X-Storage-Token` where that
    /// is missing), `service_token` that of `X-Service-Token`; method and path (as sent, without the query) are those of
    /// the request, for tokens whose application credential is limited to some.
    ///
    /// With `delay_auth_decision`, as in the reference, an invalid service token is as good as none, and an
    /// unavailable Keystone makes the request unauthenticated.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn authenticate(
        &self,
        token: Option<&str>,
        service_token: Option<&str>,
        method: &str,
        path: &str,
    ) -> Result<RequestContext, AuthError> {
        let service = match present(service_token) {
            None => None,
            Some(text) => match self.service(text).await {
                Ok(service) => Some(service),
                Err(AuthError::Unauthorized(_)) if self.delay_auth_decision => None,
                Err(error) => return Err(error),
            },
        };
        let text = present(token).ok_or(AuthError::Unauthorized("no token"))?;
        // With service_token_roles_required off, any user's token stands for a service's, but has no more rights for it.
        let from_service =
            service.is_some_and(|token| token.has_any_role(&self.service_token_roles));
        let valid = self.check(text, from_service).await?;
        if !valid.allows(self.service_type.as_deref(), method, path, from_service) {
            return Err(AuthError::Unauthorized(
                "the access rules of the application credential do not allow the request",
            ));
        }
        Ok(valid.context(text))
    }

    /// How often Keystone was called, by the outcome.
    pub fn calls(&self) -> Vec<(&'static str, u64)> {
        self.session.client().counts().calls()
    }

    /// How often it was asked whether a token is valid, by where the answer came from.
    pub fn token_questions(&self) -> Vec<(&'static str, u64)> {
        self.session.client().counts().tokens()
    }

    /// The session with our own credentials, for those who act beside the caller.
    pub(crate) fn session(&self) -> &Arc<ServiceSession> {
        &self.session
    }

    async fn service(&self, text: &str) -> Result<Arc<ValidToken>, AuthError> {
        let valid = self.check(text, false).await.map_err(|error| match error {
            AuthError::Unauthorized(_) => AuthError::Unauthorized("the service token is invalid"),
            unavailable @ AuthError::Unavailable { .. } => unavailable,
        })?;
        if self.service_token_roles_required && !valid.has_any_role(&self.service_token_roles) {
            return Err(AuthError::Unauthorized(
                "the service token has none of service_token_roles",
            ));
        }
        Ok(valid)
    }

    /// Forgets what Keystone said of a token that has just become invalid. Other processes know it for `token_cache_time` at
    /// most.
    pub async fn forget(&self, token: &SecretString) {
        self.cache.forget(token.expose_secret()).await;
    }

    /// What Keystone says of a token.
    pub(super) async fn check(
        &self,
        text: &str,
        allow_expired: bool,
    ) -> Result<Arc<ValidToken>, AuthError> {
        if text.len() > MAX_TOKEN_LENGTH {
            return Err(AuthError::Unauthorized("the token is too long"));
        }
        let subject = secret_header(text).ok_or(AuthError::Unauthorized(
            "the token cannot stand in a header",
        ))?;
        let valid = self
            .cache
            .get_or_validate(text, allow_expired, || {
                self.validate(subject, allow_expired)
            })
            .await
            .map_err(|refusal| match refusal {
                Refusal::Invalid => AuthError::Unauthorized("the token is invalid"),
                Refusal::Unavailable(_) if self.delay_auth_decision => {
                    AuthError::Unauthorized("Keystone is unavailable")
                }
                Refusal::Unavailable(error) => AuthError::Unavailable {
                    retry_after: error.retry_after(),
                },
            })?;
        // A token may expire while it is cached, and a service may have had an expired one accepted.
        if !allow_expired && valid.expired(self.clock.now()) {
            return Err(AuthError::Unauthorized("the token has expired"));
        }
        Ok(valid)
    }

    /// Asks Keystone about a token; once more with a new token of our own where it does not take ours.
    async fn validate(
        &self,
        subject: HeaderValue,
        allow_expired: bool,
    ) -> Result<ValidToken, Refusal> {
        let outcome = match self.ask(&subject, allow_expired).await {
            Err((Refusal::Unavailable(_), Some(refused))) => {
                self.session.forget(&refused).await;
                self.ask(&subject, allow_expired).await
            }
            outcome => outcome,
        };
        outcome.map_err(|(refusal, _)| {
            if let Refusal::Unavailable(error) = &refusal {
                tracing::error!(%error, "a token cannot be validated");
            }
            refusal
        })
    }

    /// Asks once. The error has our own token where Keystone refused it.
    async fn ask(
        &self,
        subject: &HeaderValue,
        allow_expired: bool,
    ) -> Result<ValidToken, (Refusal, Option<Arc<ServiceToken>>)> {
        let own = self
            .session
            .own()
            .await
            .map_err(|error| (Refusal::Unavailable(error), None))?;
        let unavailable = |error| (Refusal::Unavailable(Arc::new(error)), None);
        let mut headers = HeaderMap::new();
        headers.extend(secret_header(own.secret.expose_secret()).map(|value| (AUTH_TOKEN, value)));
        headers.insert(SUBJECT_TOKEN, subject.clone());
        headers.insert(ACCESS_RULES, HeaderValue::from_static("1"));
        let call = Call {
            name: "GET /v3/auth/tokens",
            method: Method::GET,
            url: self.validation_url(&own, allow_expired),
            headers,
            json: None,
            repeat: Repeat::Always,
        };
        let answer = self
            .session
            .client()
            .send(&call)
            .await
            .map_err(unavailable)?;
        match answer.status {
            StatusCode::OK => ValidToken::from_body(&answer.body)
                .map_err(|reason| unavailable(answer.malformed(reason))),
            StatusCode::NOT_FOUND => Err((Refusal::Invalid, None)),
            StatusCode::UNAUTHORIZED => Err((unavailable(answer.unexpected()).0, Some(own))),
            _ => Err(unavailable(answer.unexpected())),
        }
    }

    /// The catalog is only asked for where access rules need it: it is most of the answer.
    fn validation_url(&self, own: &ServiceToken, allow_expired: bool) -> String {
        let mut flags = Vec::new();
        if self.service_type.is_none() {
            flags.push("nocatalog");
        }
        if allow_expired {
            flags.push("allow_expired=1");
        }
        let query = if flags.is_empty() {
            String::new()
        } else {
            format!("?{}", flags.join("&"))
        };
        format!("{}/auth/tokens{query}", own.identity_url)
    }
}

/// The text of a header without the blanks around it; `None` where nothing is left.
fn present(header: Option<&str>) -> Option<&str> {
    header.map(str::trim).filter(|text| !text.is_empty())
}
