//! Who calls, and whether the policy allows it: a handler gets an [`Authorized`] or is not called.

use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use regex::Regex;
use secrecy::{ExposeSecret, SecretString};

use super::middleware::Deadline;
use super::{Api, Authentication, page};
use crate::authz::rules::Rule;
use crate::authz::{Authorized, RequestContext};
use crate::domain::Refusal;
use crate::domain::validation::ID_WIDTH;
use crate::error::ApiError;
use crate::keystone::{AuthError, Keystone};
use crate::store::Caller;
use crate::telemetry;

impl FromRequestParts<Arc<Api>> for Authorized {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Authorized, ApiError> {
        parts
            .extensions
            .get::<Authorized>()
            .cloned()
            .ok_or_else(|| ApiError::Panic("a route without a rule".to_owned()))
    }
}

/// Finds out who calls; without a valid token the request ends here.
pub(super) async fn authenticate(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let context = match &api.authentication {
        Authentication::Keystone(keystone) => {
            let session = page::session_of(&api, &request);
            let session = session.as_ref().map(|session| &session.token);
            let path = request.uri().path();
            caller(keystone, request.headers(), request.method(), path, session).await?
        }
        Authentication::None => developer(request.uri().path()),
    };
    telemetry::identify(
        &tracing::Span::current(),
        &telemetry::Identity {
            user: Some(&context.user_id),
            project: context.project_id.as_deref(),
            domain: context.domain_id.as_deref(),
            system_scope: context.system_scope.as_deref(),
            user_domain: context.user_domain_id.as_deref(),
            project_domain: context.project_domain_id.as_deref(),
        },
    );
    request.extensions_mut().insert(Arc::new(context));
    Ok(next.run(request).await)
}

/// The owner of the request's token: that of a header, else that of the web page's session.
async fn caller(
    keystone: &Keystone,
    headers: &HeaderMap,
    method: &Method,
    path: &str,
    session: Option<&SecretString>,
) -> Result<RequestContext, ApiError> {
    let unauthorized = |reason| ApiError::Unauthorized {
        reason,
        challenge: keystone.www_authenticate(),
    };
    let header = |name| token(headers, name).map_err(unauthorized);
    let (token, storage_token) = (header("x-auth-token")?, header("x-storage-token")?);
    let service_token = header("x-service-token")?;
    keystone
        .authenticate(
            token
                .or(storage_token)
                .or(session.map(|session| session.expose_secret())),
            service_token,
            method.as_str(),
            path,
        )
        .await
        .map_err(|error| match error {
            AuthError::Unauthorized(_) => unauthorized(error),
            AuthError::Unavailable { retry_after } => ApiError::IdentityUnavailable(retry_after),
        })
}

/// A token in a header. A repeated header is refused, equal or not: the reference's web server joins the values, and a proxy
/// in front may have used another one than we would. One that is no text is none: Keystone makes no such tokens.
fn token<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthError::Unauthorized("a token's header is repeated"));
    }
    Ok(first.and_then(|value| value.to_str().ok()))
}

/// The caller of a server without authentication: an administrator of the project of the path.
fn developer(path: &str) -> RequestContext {
    RequestContext {
        user_id: "dev".to_owned(),
        user_name: Some("dev".to_owned()),
        user_domain_id: Some("default".to_owned()),
        project_id: path.split('/').nth(2).map(str::to_owned),
        project_name: None,
        project_domain_id: Some("default".to_owned()),
        domain_id: None,
        system_scope: None,
        roles: ["admin", "manager", "member", "reader"]
            .map(str::to_owned)
            .to_vec(),
        role_ids: Vec::new(),
        is_admin_project: true,
        token: SecretString::from(""),
    }
}

/// Lets a request pass when the route's rule does, and checks the project of the path.
pub(super) async fn authorize(
    State((api, rule)): State<(Arc<Api>, Rule)>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let project_id = project_id(&parameters).to_owned();
    let context = request
        .extensions()
        .get::<Arc<RequestContext>>()
        .cloned()
        .ok_or_else(|| ApiError::Panic("a request without a caller".to_owned()))?;
    let Deadline(deadline) = *request
        .extensions()
        .get::<Deadline>()
        .ok_or_else(|| ApiError::Panic("a request without a time limit".to_owned()))?;
    let policy = Arc::clone(&api.policy);
    let authorized = Authorized::check(policy, context, project_id, rule, deadline)?;
    check_project(authorized.project_id())?;
    check_identifiers(&parameters)?;
    let user_id = match api.authentication {
        Authentication::Keystone(_) => authorized.user_id(),
        // Everybody is the same one: those of a project count as a user.
        Authentication::None => authorized.project_id(),
    };
    let caller = Caller::new(user_id, authorized.project_id());
    request.extensions_mut().insert(authorized);
    Ok(caller.served(next.run(request)).await)
}

#[expect(
    clippy::expect_used,
    reason = "every route that has a rule has a project in its path, as the authorization matrix shows"
)]
fn project_id(parameters: &RawPathParams) -> &str {
    let mut names = parameters.iter();
    let found = names.find(|(name, _)| *name == "project_id");
    found.expect("a path with a project").1
}

/// An administrator may name any project, but not any text.
fn check_project(project_id: &str) -> Result<(), Refusal> {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and every request reads it"
    )]
    static WORD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\w-]+$").expect("a regular expression"));
    if WORD.is_match(project_id) && project_id.chars().count() <= ID_WIDTH {
        return Ok(());
    }
    Err(Refusal::Invalid(format!(
        "project_id: must be a word of at most {ID_WIDTH} letters, digits, '_' and '-'"
    )))
}

/// PostgreSQL does not take NUL in a text, so no document has such an identifier.
fn check_identifiers(parameters: &RawPathParams) -> Result<(), Refusal> {
    match parameters.iter().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => Err(Refusal::Invalid(format!("{name}: must not contain NUL"))),
        None => Ok(()),
    }
}
