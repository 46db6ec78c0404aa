//! `/ui/session`: how a user of the page logs in at Keystone, changes the project, and logs out.
//!
//! The token goes into the cookie ([`super::cookie`]) and never to a script. The cookie counts only on requests of the page
//! ([`is_from_page`]), so that no other page can use it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequest, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attempts::{self, Attempts};
use super::cookie::{KeyError, Seal, Session, no_cookie};
use crate::api::extract::Body;
use crate::api::forwarded::{Forwarded, public_url};
use crate::api::respond::json_response;
use crate::api::{Api, Authentication};
use crate::authz::RequestContext;
use crate::config;
use crate::domain::Refusal;
use crate::domain::document::Object;
use crate::error::ApiError;
use crate::keystone::{Credentials, Keystone, Login, LoginError, NamedProject};

/// The header that only our page sends. A page of another origin would have to ask for leave first, and never gets it.
pub(in crate::api) const OUR_PAGE: &str = "x-freezer-ui";

/// What becomes of logins, for as long as the program runs.
pub struct Logins {
    seal: Seal,
    attempts: Attempts,
}

impl Logins {
    /// With the options of `[ui]`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(options: &config::Ui) -> Result<Logins, KeyError> {
        Ok(Logins {
            seal: Seal::new(options)?,
            attempts: Attempts::new(),
        })
    }
}

/// The session of a request of the page, where it has a good one.
pub(in crate::api) fn session_of(api: &Api, request: &Request) -> Option<Session> {
    if !(api.config.ui.enabled && is_from_page(&api.config, request)) {
        return None;
    }
    let now = api.catalogue.clock.timestamp();
    api.logins.seal.session(request.headers(), now)
}

/// Whether our page sent a request, and not one of another origin. Browsers say so themselves (`Sec-Fetch-Site`) where they take
/// the connection for secure; else `Origin`, which they leave out only where nothing is changed.
fn is_from_page(config: &config::Config, request: &Request) -> bool {
    let headers = request.headers();
    if !headers.contains_key(OUR_PAGE) {
        return false;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match headers.get(header::ORIGIN) {
        Some(origin) => {
            let own = authority(&public_url(config, request));
            own.is_some() && origin.to_str().ok().and_then(authority) == own
        }
        None => matches!(*request.method(), Method::GET | Method::HEAD),
    }
}

fn authority(url: &str) -> Option<Authority> {
    url.parse::<Uri>().ok()?.authority().cloned()
}

/// What a request to `/ui/session` is checked for first.
struct Visit<'a> {
    keystone: &'a Keystone,
    is_secure: bool,
    now: i64,
}

impl<'a> Visit<'a> {
    /// # Errors
    /// 403 for requests of other pages, and for those that would send secrets in clear.
    fn check(api: &'a Api, request: &Request) -> Result<Visit<'a>, ApiError> {
        let forbidden = |why: &str| ApiError::from(Refusal::Forbidden(why.to_owned()));
        if !is_from_page(&api.config, request) {
            return Err(forbidden("Only the page itself logs users in and out"));
        }
        let Authentication::Keystone(keystone) = &api.authentication else {
            return Err(forbidden("This server has no authentication"));
        };
        let is_secure = is_secure(api, request);
        if !(is_secure || api.config.ui.allow_http) {
            return Err(forbidden(NO_TLS));
        }
        Ok(Visit {
            keystone,
            is_secure,
            now: api.catalogue.clock.timestamp(),
        })
    }
}

const NO_TLS: &str = "This connection has no TLS: passwords and tokens could be read on the way. Open the page by https://, or have the \
     operator set [ssl], or [oslo_middleware] enable_proxy_headers_parsing behind a proxy with TLS";

fn is_secure(api: &Api, request: &Request) -> bool {
    public_url(&api.config, request).starts_with("https://")
}

/// `GET /ui/session`: who is logged in, or how one can. Never an error for those who are not.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let version = env!("CARGO_PKG_VERSION");
    let Authentication::Keystone(keystone) = &api.authentication else {
        let document = json!({"login": "none", "version": version});
        return Ok(json_response(StatusCode::OK, &document));
    };
    let refused = !(is_secure(&api, &request) || api.config.ui.allow_http);
    let nobody =
        json!({"login": "keystone", "version": version, "refused": refused.then_some(NO_TLS)});
    let Some(session) = session_of(&api, &request) else {
        return Ok(json_response(StatusCode::OK, &nobody));
    };
    let projects = match keystone.projects(&session.token).await {
        Ok(projects) => projects,
        Err(LoginError::Refused) => return Ok(json_response(StatusCode::OK, &nobody)),
        Err(error) => return Err(failure(error)),
    };
    // The methods and paths of access rules are those of requests for documents.
    let context = keystone.owner(&session.token).await.map_err(failure)?;
    let document = json!({
        "login": "keystone",
        "version": version,
        "session": described(&context, &projects, session.expires_at),
    });
    Ok(json_response(StatusCode::OK, &document))
}

/// `POST /ui/session`: logs in.
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let visit = Visit::check(&api, &request)?;
    let address = client_address(&api, &request);
    let too_many = ApiError::TooManyLogins(attempts::WINDOW);
    let attempt = api.logins.attempts.begin(&address).await.ok_or(too_many)?;
    let form = match Body::from_request(request, &api)
        .await
        .and_then(Body::required)
    {
        Ok(form) => form,
        Err(error) => {
            attempt.forgive();
            return Err(error);
        }
    };
    let credentials = match credentials(&form) {
        Ok(credentials) => credentials,
        Err(error) => {
            attempt.forgive();
            return Err(error);
        }
    };
    let wanted = text(&form, "project_id").ok();
    match visit.keystone.log_in(&credentials, wanted.as_deref()).await {
        Ok(login) => {
            attempt.forgive();
            answer(&api, &visit, login).await
        }
        Err(error @ (LoginError::Refused | LoginError::NoProject)) => {
            tracing::warn!(address, %error, "a login failed");
            Err(failure(error))
        }
        Err(error) => {
            attempt.forgive();
            Err(failure(error))
        }
    }
}

/// `PUT /ui/session`: enters another project.
pub(super) async fn enter(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let visit = Visit::check(&api, &request)?;
    let session = session_of(&api, &request).ok_or(ApiError::LoginFailed("Nobody is logged in"))?;
    let form = Body::from_request(request, &api).await?.required()?;
    let project = text(&form, "project_id")?;
    let login = visit.keystone.enter(&session.root, &project).await;
    let login = login.map_err(failure)?;
    if session.token.expose_secret() != session.root.expose_secret() {
        visit.keystone.revoke(&session.token).await;
    }
    answer(&api, &visit, login).await
}

/// `DELETE /ui/session`: logs out, and revokes the token.
pub(super) async fn log_out(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let visit = Visit::check(&api, &request)?;
    if let Some(session) = session_of(&api, &request) {
        visit.keystone.revoke(&session.root).await;
        visit.keystone.forget(&session.token).await;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &no_cookie(visit.is_secure));
    Ok(response)
}

/// The answer to who has just got a token.
async fn answer(api: &Api, visit: &Visit<'_>, login: Login) -> Result<Response, ApiError> {
    let session = Session {
        root: login.root,
        token: login.token,
        expires_at: login.expires_at,
    };
    let cookie = api.logins.seal.cookie(&session, visit.is_secure, visit.now);
    let cookie = cookie.ok_or(ApiError::LoginFailed("The token is too large for a cookie"))?;
    let projects = visit.keystone.projects(&session.token).await;
    let projects = projects.map_err(failure)?;
    let document = json!({
        "login": "keystone",
        "version": env!("CARGO_PKG_VERSION"),
        "session": described(&login.context, &projects, session.expires_at),
    });
    let mut response = json_response(StatusCode::OK, &document);
    set_cookie(&mut response, &cookie);
    Ok(response)
}

fn set_cookie(response: &mut Response, cookie: &str) {
    let value = HeaderValue::try_from(cookie).ok();
    response
        .headers_mut()
        .extend(value.map(|value| (header::SET_COOKIE, value)));
}

/// What the page shows of a user.
fn described(context: &RequestContext, projects: &[NamedProject], expires_at: i64) -> Value {
    let expires_at = OffsetDateTime::from_unix_timestamp(expires_at).ok();
    json!({
        "user": {"id": context.user_id, "name": context.user_name},
        "project": {"id": context.project_id, "name": context.project_name},
        "projects": projects,
        "expires_at": expires_at.and_then(|time| time.format(&Rfc3339).ok()),
    })
}

/// Characters of a name or an id, and of a secret: Keystone's passwords have 4096 at most, and no token is as long as a header.
const NAME_WIDTH: usize = 255;
const SECRET_WIDTH: usize = 8192;

/// The credentials of a form.
fn credentials(form: &Object) -> Result<Credentials, ApiError> {
    let secret = |name| secret(form, name).map(SecretString::from);
    match text(form, "method")?.as_str() {
        "password" => Ok(Credentials::Password {
            user: text(form, "user")?,
            domain: text(form, "domain")?,
            password: secret("password")?,
            passcode: match form.get("passcode").and_then(Value::as_str) {
                None | Some("") => None,
                Some(_) => Some(secret("passcode")?),
            },
        }),
        "application_credential" => Ok(Credentials::ApplicationCredential {
            id: text(form, "id")?,
            secret: secret("secret")?,
        }),
        "token" => Ok(Credentials::Token(secret("token")?)),
        _ => Err(Refusal::Invalid(
            "method is one of password, application_credential, token".to_owned(),
        )
        .into()),
    }
}

/// A text of a form that is not empty, and that Keystone can look for. The message does not repeat it.
fn text(form: &Object, name: &str) -> Result<String, ApiError> {
    let text = limited(form, name, NAME_WIDTH)?;
    if text.contains(char::is_control) {
        let reason = format!("{name} has a control character");
        return Err(Refusal::Invalid(reason).into());
    }
    Ok(text)
}

fn secret(form: &Object, name: &str) -> Result<String, ApiError> {
    limited(form, name, SECRET_WIDTH)
}

fn limited(form: &Object, name: &str, most: usize) -> Result<String, ApiError> {
    let text = form.get(name).and_then(Value::as_str).unwrap_or_default();
    let reason = match text.chars().count() {
        0 => format!("{name} is missing"),
        length if length > most => format!("{name} has more than {most} characters"),
        _ => return Ok(text.to_owned()),
    };
    Err(Refusal::Invalid(reason).into())
}

fn failure(error: LoginError) -> ApiError {
    match error {
        LoginError::Refused => ApiError::LoginFailed("Keystone refuses this login"),
        LoginError::SecondFactor => ApiError::LoginFailed("A code (TOTP) is needed too"),
        LoginError::NoProject => ApiError::LoginFailed("This user has no role in any project"),
        LoginError::Unavailable { retry_after } => ApiError::IdentityUnavailable(retry_after),
    }
}

/// Whom the limit counts: the client that a believed proxy names, else the other end of the connection.
fn client_address(api: &Api, request: &Request) -> String {
    let headers: &HeaderMap = request.headers();
    let forwarded = Forwarded::believed(headers, &api.config.oslo_middleware).client;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    forwarded
        .or_else(|| peer.map(|peer| peer.0.ip().to_string()))
        .unwrap_or_default()
}
