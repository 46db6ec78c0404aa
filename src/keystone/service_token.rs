//! The service's own token: fetched with the operator's credentials when first needed, renewed before it expires and
//! when Keystone no longer accepts it. With it is kept what Keystone's answer says: our user id and the address of Keystone.

use std::sync::Arc;

use moka::future::Cache;
use moka::ops::compute::Op;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::client::{Answer, Call, IdentityClient, IdentityError, Repeat, SetupError};
use super::token::{CatalogEntry, ValidToken, catalog};
use crate::clock::Clock;
use crate::config::{AuthPlugin, AuthType, Interface, KeystoneAuthtoken};

/// A token with less than this to live is renewed first (keystoneauth's `MIN_TOKEN_LIFE_SECONDS`).
const MIN_LIFE: time::Duration = time::Duration::seconds(120);

/// Our own token.
pub(crate) struct ServiceToken {
    pub(crate) secret: SecretString,
    pub(crate) user_id: String,
    /// Keystone's API version 3, without a slash at the end.
    pub(crate) identity_url: String,
    token: ValidToken,
}

/// Credentials for Keystone and the token that they gave.
pub(crate) struct ServiceSession {
    client: IdentityClient,
    clock: Clock,
    section: String,
    auth_url: String,
    /// The body of `POST /v3/auth/tokens`; it holds the password.
    request: Value,
    interface: &'static str,
    region: Option<String>,
    /// At most one token. A cache for its single flight: many requests that need a new token make one call, and share
    /// its failure.
    own: Cache<(), Arc<ServiceToken>>,
}

impl ServiceSession {
    /// A session with the credentials of one section.
    ///
    /// # Errors
    /// Options that are missing or contradict each other.
    pub(crate) fn new(
        client: IdentityClient,
        options: &KeystoneAuthtoken,
        section: &str,
        plugin: &AuthPlugin,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let in_section = |reason: String| SetupError(format!("[{section}] {reason}"));
        let auth_url = plugin
            .auth_url
            .clone()
            .ok_or_else(|| in_section("auth_url is missing".to_owned()))?;
        if auth_url.trim_end_matches('/').ends_with("/v2.0") {
            return Err(in_section(
                "auth_url names version 2.0 of Keystone's API; name version 3, or none".to_owned(),
            ));
        }
        reqwest::Url::parse(&auth_url)
            .map_err(|e| in_section(format!("auth_url is not a URL: {e}")))?;
        Ok(Self {
            client,
            clock,
            section: section.to_owned(),
            auth_url,
            request: auth_request(plugin).map_err(in_section)?,
            interface: match options.interface {
                Interface::Internal => "internal",
                Interface::Public => "public",
                Interface::Admin => "admin",
            },
            region: options.region_name.clone(),
            own: Cache::new(1),
        })
    }

    pub(crate) fn client(&self) -> &IdentityClient {
        &self.client
    }

    pub(crate) fn auth_url(&self) -> &str {
        &self.auth_url
    }

    /// Our token, good for two minutes at least.
    pub(crate) async fn own(&self) -> Result<Arc<ServiceToken>, Arc<IdentityError>> {
        if let Some(token) = self.own.get(&()).await {
            if !token.token.expired(self.clock.now() + MIN_LIFE) {
                return Ok(token);
            }
            self.forget(&token).await;
        }
        Box::pin(self.own.try_get_with((), self.authenticate())).await
    }

    /// Drops a token that Keystone did not take, unless another request has renewed it already.
    pub(crate) async fn forget(&self, refused: &Arc<ServiceToken>) {
        self.own
            .entry(())
            .and_compute_with(|entry| {
                let same = entry.is_some_and(|entry| Arc::ptr_eq(entry.value(), refused));
                std::future::ready(if same { Op::Remove } else { Op::Nop })
            })
            .await;
    }

    async fn authenticate(&self) -> Result<Arc<ServiceToken>, IdentityError> {
        let base = self.client.version_3(&self.auth_url).await?;
        let answer = post_auth(&self.client, &base, &self.request).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST) => {
                return Err(IdentityError::Credentials {
                    section: self.section.clone(),
                    status,
                });
            }
            _ => return Err(answer.unexpected()),
        }
        let token =
            ValidToken::from_body(&answer.body).map_err(|reason| answer.malformed(reason))?;
        let catalog = catalog(&answer.body).map_err(|error| answer.malformed(error))?;
        let endpoint = self.endpoint(&catalog)?;
        tracing::debug!(
            section = self.section,
            "got the service's own token from Keystone"
        );
        Ok(Arc::new(ServiceToken {
            secret: answer.subject_token()?.into(),
            user_id: token.user.id.clone(),
            identity_url: self.client.version_3(&endpoint).await?,
            token,
        }))
    }

    /// Keystone's address in the catalog, for the configured interface and region.
    fn endpoint(&self, catalog: &[CatalogEntry]) -> Result<String, IdentityError> {
        let wanted = |region: &Option<String>| region.is_some() && *region == self.region;
        catalog
            .iter()
            .filter(|entry| entry.service_type == "identity")
            .flat_map(|entry| &entry.endpoints)
            .filter(|endpoint| endpoint.interface.trim_end_matches("URL") == self.interface)
            .find(|endpoint| {
                self.region.is_none() || wanted(&endpoint.region) || wanted(&endpoint.region_id)
            })
            .map(|endpoint| endpoint.url.clone())
            .ok_or_else(|| IdentityError::NoEndpoint {
                interface: self.interface.to_owned(),
                region: self.region.clone().unwrap_or_else(|| "(any)".to_owned()),
            })
    }
}

/// `POST {base}/auth/tokens`.
pub(crate) async fn post_auth(
    client: &IdentityClient,
    base: &str,
    request: &Value,
) -> Result<Answer, IdentityError> {
    client
        .send(&Call {
            name: "POST /v3/auth/tokens",
            method: Method::POST,
            url: format!("{base}/auth/tokens"),
            headers: HeaderMap::new(),
            json: Some(request),
            repeat: Repeat::Always,
        })
        .await
}

/// The body of `POST /v3/auth/tokens` for a section's options, as keystoneauth's plugins of the same name write it.
fn auth_request(plugin: &AuthPlugin) -> Result<Value, String> {
    let (method, data) = match plugin.auth_type {
        None => {
            return Err(
                "auth_type is missing; it is one of password, v3applicationcredential, v3token"
                    .to_owned(),
            );
        }
        Some(AuthType::Password) => {
            let mut user = user(plugin)?;
            let password = plugin
                .password
                .as_ref()
                .ok_or("auth_type password needs a password")?;
            if let Some(user) = user.as_object_mut() {
                user.insert("password".to_owned(), json!(password.expose_secret()));
            }
            ("password", json!({ "user": user }))
        }
        Some(AuthType::ApplicationCredential) => {
            ("application_credential", application_credential(plugin)?)
        }
        Some(AuthType::Token) => {
            let token = plugin
                .token
                .as_ref()
                .ok_or("auth_type v3token needs a token")?;
            ("token", json!({"id": token.expose_secret()}))
        }
    };
    let mut auth = json!({"identity": {"methods": [method], method: data}});
    if let (Some(scope), Some(auth)) = (scope(plugin)?, auth.as_object_mut()) {
        auth.insert("scope".to_owned(), scope);
    }
    Ok(json!({ "auth": auth }))
}

fn application_credential(plugin: &AuthPlugin) -> Result<Value, String> {
    let secret = plugin
        .application_credential_secret
        .as_ref()
        .ok_or("auth_type v3applicationcredential needs application_credential_secret")?
        .expose_secret();
    match (
        &plugin.application_credential_id,
        &plugin.application_credential_name,
    ) {
        (Some(id), _) => Ok(json!({"id": id, "secret": secret})),
        (None, Some(name)) => Ok(json!({"name": name, "secret": secret, "user": user(plugin)?})),
        (None, None) => Err(
            "auth_type v3applicationcredential needs application_credential_id, or \
                             application_credential_name with the user"
                .to_owned(),
        ),
    }
}

fn user(plugin: &AuthPlugin) -> Result<Value, String> {
    if let Some(id) = &plugin.user_id {
        return Ok(json!({"id": id}));
    }
    let name = plugin
        .username
        .as_ref()
        .ok_or("username or user_id is missing")?;
    let domain = domain(plugin, &plugin.user_domain_id, &plugin.user_domain_name)
        .ok_or("a username needs user_domain_id or user_domain_name")?;
    Ok(json!({"name": name, "domain": domain}))
}

/// A domain by id or name, else the default domain of the section.
fn domain(plugin: &AuthPlugin, id: &Option<String>, name: &Option<String>) -> Option<Value> {
    match (
        id,
        name,
        &plugin.default_domain_id,
        &plugin.default_domain_name,
    ) {
        (Some(id), ..) => Some(json!({"id": id})),
        (None, Some(name), ..) => Some(json!({"name": name})),
        (None, None, Some(id), _) => Some(json!({"id": id})),
        (None, None, None, Some(name)) => Some(json!({"name": name})),
        (None, None, None, None) => None,
    }
}

/// The scope that the options ask for; an application credential brings its own.
fn scope(plugin: &AuthPlugin) -> Result<Option<Value>, String> {
    let domain_scope = match (&plugin.domain_id, &plugin.domain_name) {
        (Some(id), _) => Some(json!({"domain": {"id": id}})),
        (None, Some(name)) => Some(json!({"domain": {"name": name}})),
        (None, None) => None,
    };
    let project_scope = match (&plugin.project_id, &plugin.project_name) {
        (Some(id), _) => Some(json!({"project": {"id": id}})),
        (None, Some(name)) => {
            let domain = domain(
                plugin,
                &plugin.project_domain_id,
                &plugin.project_domain_name,
            )
            .ok_or("project_name needs project_domain_id or project_domain_name")?;
            Some(json!({"project": {"name": name, "domain": domain}}))
        }
        (None, None) => None,
    };
    let trust_scope = plugin
        .trust_id
        .as_ref()
        .map(|id| json!({"OS-TRUST:trust": {"id": id.expose_secret()}}));
    let system_scope = match plugin.system_scope.as_deref() {
        None => None,
        Some("all") => Some(json!({"system": {"all": true}})),
        Some(_) => return Err("system_scope can only be all".to_owned()),
    };
    let mut scopes = [domain_scope, project_scope, trust_scope, system_scope]
        .into_iter()
        .flatten();
    match (scopes.next(), scopes.next()) {
        (scope, None) => Ok(scope),
        _ => Err(
            "a token has one scope: name only one of project, domain, trust_id and system_scope"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> AuthPlugin {
        AuthPlugin {
            auth_type: Some(AuthType::Password),
            auth_url: Some("http://k".to_owned()),
            username: Some("freezer".to_owned()),
            password: Some("secret".into()),
            user_domain_name: Some("Default".to_owned()),
            project_name: Some("service".to_owned()),
            project_domain_id: Some("default".to_owned()),
            ..AuthPlugin::default()
        }
    }

    #[test]
    fn password_request() {
        assert_eq!(
            auth_request(&password()).unwrap(),
            json!({"auth": {
                "identity": {"methods": ["password"],
                             "password": {"user": {"name": "freezer", "domain": {"name": "Default"}, "password": "secret"}}},
                "scope": {"project": {"name": "service", "domain": {"id": "default"}}}}})
        );
    }

    #[test]
    fn default_domain_serves_user_and_project() {
        let plugin = AuthPlugin {
            user_domain_name: None,
            project_domain_id: None,
            default_domain_id: Some("default".to_owned()),
            ..password()
        };
        let request = auth_request(&plugin).unwrap();
        assert_eq!(
            request["auth"]["identity"]["password"]["user"]["domain"]["id"],
            "default"
        );
        assert_eq!(
            request["auth"]["scope"]["project"]["domain"]["id"],
            "default"
        );
    }

    #[test]
    fn application_credential_request() {
        let mut plugin = AuthPlugin {
            auth_type: Some(AuthType::ApplicationCredential),
            application_credential_id: Some("a1".to_owned()),
            application_credential_secret: Some("s".into()),
            ..AuthPlugin::default()
        };
        let by_id = json!({"auth": {"identity": {"methods": ["application_credential"],
                                                 "application_credential": {"id": "a1", "secret": "s"}}}});
        assert_eq!(auth_request(&plugin).unwrap(), by_id);
        plugin.application_credential_id = None;
        plugin.application_credential_name = Some("n".to_owned());
        assert!(
            auth_request(&plugin).unwrap_err().contains("username"),
            "a name is only unique for its user"
        );
        plugin.user_id = Some("u".to_owned());
        let by_name = auth_request(&plugin).unwrap();
        assert_eq!(
            by_name["auth"]["identity"]["application_credential"]["user"],
            json!({"id": "u"})
        );
    }

    #[test]
    fn token_request() {
        let plugin = AuthPlugin {
            auth_type: Some(AuthType::Token),
            token: Some("t".into()),
            project_id: Some("p".to_owned()),
            ..AuthPlugin::default()
        };
        assert_eq!(
            auth_request(&plugin).unwrap(),
            json!({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}}, "scope": {"project": {"id": "p"}}}})
        );
    }

    #[test]
    fn incomplete_options_are_named() {
        for (plugin, wanted) in [
            (
                AuthPlugin {
                    auth_type: None,
                    ..password()
                },
                "auth_type",
            ),
            (
                AuthPlugin {
                    password: None,
                    ..password()
                },
                "password",
            ),
            (
                AuthPlugin {
                    username: None,
                    ..password()
                },
                "username",
            ),
            (
                AuthPlugin {
                    user_domain_name: None,
                    ..password()
                },
                "user_domain",
            ),
            (
                AuthPlugin {
                    project_domain_id: None,
                    ..password()
                },
                "project_domain",
            ),
            (
                AuthPlugin {
                    domain_id: Some("d".to_owned()),
                    ..password()
                },
                "one scope",
            ),
            (
                AuthPlugin {
                    project_name: None,
                    system_scope: Some("some".to_owned()),
                    ..password()
                },
                "system_scope",
            ),
        ] {
            let error = auth_request(&plugin).unwrap_err();
            assert!(error.contains(wanted), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
