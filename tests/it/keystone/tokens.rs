//! Which tokens are good, and whom they stand for.

use std::time::Duration;

use freezer_api::authz::{RequestContext, TokenScope, policy_credentials};
use freezer_api::clock::Clock;
use freezer_api::config::{AuthPlugin, AuthType};
use freezer_api::keystone::{AuthError, Keystone};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;

use super::lab::{For, Lab, config, keystone};
use super::proxy::{Proxy, answer};

/// A request without a service token, to a path without meaning.
async fn ask(keystone: &Keystone, token: &str) -> Result<RequestContext, AuthError> {
    keystone
        .authenticate(Some(token), None, "GET", "/v2/p/jobs")
        .await
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, AuthError>) -> &'static str {
    match outcome {
        Err(AuthError::Unauthorized(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_good_token_tells_who_calls() {
    let lab = Lab::find();
    let (token, about) = lab.token("demo", For::Project("demo")).await;
    let keystone = keystone(&lab.url, |_| ());
    let context = ask(&keystone, &format!(" {token} ")).await.unwrap();
    assert_eq!(context.user_id, about["user"]["id"].as_str().unwrap());
    assert_eq!(context.user_name.as_deref(), Some("demo"));
    assert_eq!(context.user_domain_id.as_deref(), Some("default"));
    assert_eq!(
        context.project_id.as_deref(),
        about["project"]["id"].as_str()
    );
    assert_eq!(context.project_domain_id.as_deref(), Some("default"));
    assert!(context.has_role("member") && context.has_role("reader") && !context.has_role("admin"));
    assert_eq!(context.scope().name(), Some("project"));
    assert_eq!(context.token.expose_secret(), token);
    assert_eq!(
        keystone.www_authenticate(),
        format!("Keystone uri=\"{}\"", lab.url)
    );
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn questions_and_calls_are_counted() {
    let lab = Lab::find();
    let (token, _) = lab.token("demo", For::Project("demo")).await;
    let keystone = keystone(&lab.url, |_| ());
    for _ in 0..3 {
        ask(&keystone, &token).await.unwrap();
        ask(&keystone, "no-such-token").await.unwrap_err();
    }
    let questions = keystone.token_questions();
    assert_eq!(
        questions,
        [("hit", 2), ("refused", 2), ("shared", 0), ("miss", 2)]
    );
    // One for the service's own token, perhaps one for the versions, and one for each of the two tokens.
    let calls = keystone.calls();
    assert!(
        matches!(
            calls[..],
            [
                ("success", 2..=3),
                ("refused", 1),
                ("error", 0),
                ("unreachable", 0)
            ]
        ),
        "{calls:?}"
    );
    let nobody = super::lab::keystone("http://127.0.0.1:1", |config| {
        config.keystone_authtoken.http_request_max_retries = 0;
    });
    ask(&nobody, &token).await.unwrap_err();
    assert_eq!(nobody.calls().last(), Some(&("unreachable", 1)));
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn the_scope_is_the_tokens() {
    let lab = Lab::find();
    let keystone = keystone(&lab.url, |_| ());
    let user = lab.user().await;
    lab.grant(&user, "admin", "domains/default").await;

    let domain = ask(
        &keystone,
        &lab.token(&user.name, For::Domain("default")).await.0,
    )
    .await
    .unwrap();
    assert_eq!(domain.scope(), TokenScope::Domain("default"));
    assert!(domain.has_role("admin") && domain.project_id.is_none());

    let unscoped = ask(&keystone, &lab.token(&user.name, For::Nothing).await.0)
        .await
        .unwrap();
    assert_eq!(unscoped.scope(), TokenScope::Unscoped);
    assert!(unscoped.roles.is_empty());

    let system = ask(&keystone, &lab.token("admin", For::System).await.0)
        .await
        .unwrap();
    assert_eq!(system.scope(), TokenScope::System);
    assert_eq!(policy_credentials(&system).values()["system_scope"], "all");
    lab.drop_user(&user).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn no_token_and_nonsense_are_refused() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |_| ());
    assert_eq!(
        refused(keystone.authenticate(None, None, "GET", "/").await),
        "no token"
    );
    for empty in ["", "  ", "\t"] {
        assert_eq!(
            refused(ask(&keystone, empty).await),
            "no token",
            "{empty:?}"
        );
    }
    for unsendable in [
        "x".repeat(100_000),
        "x\r\nx-roles: admin".to_owned(),
        "x\0".to_owned(),
    ] {
        refused(ask(&keystone, &unsendable).await);
    }
    assert_eq!(
        proxy.validations(),
        0,
        "Keystone was asked about what cannot be a token"
    );

    let tampered = {
        let mut token = lab.demo().await;
        let last = if token.pop() == Some('A') { 'B' } else { 'A' };
        token.push(last);
        token.insert(20, 'x');
        token
    };
    let long = "gAAAAA".repeat(500);
    for (place, nonsense) in ["garbage", "none", "ünïcode", &tampered, &long]
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            refused(ask(&keystone, nonsense).await),
            "the token is invalid",
            "{nonsense}"
        );
        assert_eq!(
            refused(ask(&keystone, nonsense).await),
            "the token is invalid",
            "{nonsense}"
        );
        assert_eq!(proxy.validations(), place + 1, "one call for each, not two");
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_revoked_token_is_refused_within_the_cache_time() {
    let lab = Lab::find();
    let cached = keystone(&lab.url, |config| {
        config.keystone_authtoken.token_cache_time = 2
    });
    let uncached = keystone(&lab.url, |config| {
        config.keystone_authtoken.token_cache_time = -1
    });
    let token = lab.demo().await;
    ask(&cached, &token).await.unwrap();
    ask(&uncached, &token).await.unwrap();
    lab.revoke(&token).await;
    assert_eq!(
        refused(ask(&uncached, &token).await),
        "the token is invalid"
    );
    // Use does not prolong an entry.
    for _ in 0..22 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = ask(&cached, &token).await;
    }
    assert_eq!(refused(ask(&cached, &token).await), "the token is invalid");
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn without_a_cache_time_every_request_asks() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |config| {
        config.keystone_authtoken.token_cache_time = -1
    });
    let token = lab.demo().await;
    for asked in 1..=3 {
        ask(&keystone, &token).await.unwrap();
        assert_eq!(proxy.validations(), asked);
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_token_that_expires_in_the_cache_is_refused() {
    let lab = Lab::find();
    let clock = Clock::fixed(Clock::System.timestamp());
    let keystone = Keystone::new(&config(&lab.url), clock.clone()).unwrap();
    let token = lab.new_token("demo", For::Project("demo")).await.0;
    ask(&keystone, &token).await.unwrap();
    clock.advance(3590);
    ask(&keystone, &token).await.unwrap();
    clock.advance(20);
    assert_eq!(
        refused(ask(&keystone, &token).await),
        "the token has expired"
    );
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn an_expired_token_needs_a_service_that_passes_it_on() {
    let lab = Lab::find();
    let expires_at = Clock::System.now() + time::Duration::seconds(8);
    let end = expires_at
        .format(time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].000000"
        ))
        .unwrap();
    let credential = lab.application_credential(json!({"expires_at": end})).await;
    // It is Keystone that says the token has expired, and Keystone's clock is its machine's.
    let left = expires_at + time::Duration::seconds(1) - Clock::System.now();
    tokio::time::sleep(left.unsigned_abs()).await;
    let keystone = keystone(&lab.url, |_| ());
    let service = lab.token("freezer", For::Project("service")).await.0;
    assert_eq!(
        refused(ask(&keystone, &credential.token).await),
        "the token is invalid"
    );
    let passed_on = keystone
        .authenticate(Some(&credential.token), Some(&service), "GET", "/")
        .await
        .unwrap();
    assert_eq!(passed_on.user_name.as_deref(), Some("demo"));
    assert_eq!(
        refused(ask(&keystone, &credential.token).await),
        "the token is invalid",
        "the cache let it in"
    );
    lab.drop_application_credential(&credential).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn service_tokens() {
    let lab = Lab::find();
    let strict = keystone(&lab.url, |_| ());
    let (demo, service) = (
        lab.demo().await,
        lab.token("freezer", For::Project("service")).await.0,
    );
    let context = strict
        .authenticate(Some(&demo), Some(&service), "GET", "/")
        .await
        .unwrap();
    assert_eq!(context.user_name.as_deref(), Some("demo"));
    assert!(
        !context.has_role("service"),
        "the service's roles are not the caller's"
    );

    let with = async |keystone: &Keystone, service: &str| {
        keystone
            .authenticate(Some(&demo), Some(service), "GET", "/")
            .await
    };
    assert_eq!(
        refused(with(&strict, "garbage").await),
        "the service token is invalid"
    );
    assert!(refused(with(&strict, &demo).await).contains("service_token_roles"));
    assert!(with(&strict, " ").await.is_ok(), "an empty header is none");
    refused(strict.authenticate(None, Some(&service), "GET", "/").await);

    let lenient = keystone(&lab.url, |config| {
        config.keystone_authtoken.service_token_roles_required = false
    });
    assert!(with(&lenient, &demo).await.is_ok());
    assert_eq!(
        refused(with(&lenient, "garbage").await),
        "the service token is invalid"
    );

    let delaying = keystone(&lab.url, |config| {
        config.keystone_authtoken.delay_auth_decision = true
    });
    assert!(with(&delaying, "garbage").await.is_ok());
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn access_rules_of_application_credentials() {
    let lab = Lab::find();
    let rules = json!([{"service": "backup", "method": "GET", "path": "/v2/*/jobs"},
                       {"service": "backup", "method": "GET", "path": "/v2/{project_id}/clients/**"}]);
    let limited = lab
        .application_credential(json!({"access_rules": rules}))
        .await;
    let free = lab.application_credential(json!({})).await;
    let backup = keystone(&lab.url, |config| {
        config.keystone_authtoken.service_type = Some("backup".to_owned())
    });
    let limited_to = async |keystone: &Keystone, method, path| {
        keystone
            .authenticate(Some(&limited.token), None, method, path)
            .await
    };
    assert_eq!(
        limited_to(&backup, "GET", "/v2/p/jobs")
            .await
            .unwrap()
            .user_name
            .as_deref(),
        Some("demo")
    );
    limited_to(&backup, "GET", "/v2/p/clients/a/b")
        .await
        .unwrap();
    for (method, path) in [
        ("POST", "/v2/p/jobs"),
        ("GET", "/v2/p/jobs/j"),
        ("GET", "/v2/p/q/jobs"),
        ("get", "/v2/p/jobs"),
    ] {
        assert!(
            refused(limited_to(&backup, method, path).await).contains("access rules"),
            "{method} {path}"
        );
    }
    let service = lab.token("freezer", For::Project("service")).await.0;
    backup
        .authenticate(Some(&limited.token), Some(&service), "POST", "/v2/p/jobs")
        .await
        .unwrap();
    ask(&backup, &free.token).await.unwrap();
    // Where anybody's token passes for a service's, it lifts no rule all the same.
    let lenient = keystone(&lab.url, |config| {
        config.keystone_authtoken.service_type = Some("backup".to_owned());
        config.keystone_authtoken.service_token_roles_required = false;
    });
    let demo = lab.demo().await;
    let asked = async |service: &str| {
        lenient
            .authenticate(Some(&limited.token), Some(service), "POST", "/v2/p/jobs")
            .await
    };
    assert!(refused(asked(&demo).await).contains("access rules"));
    asked(&service).await.unwrap();

    let unnamed = keystone(&lab.url, |_| ());
    refused(limited_to(&unnamed, "GET", "/v2/p/jobs").await);
    ask(&unnamed, &free.token).await.unwrap();
    let image = keystone(&lab.url, |config| {
        config.keystone_authtoken.service_type = Some("image".to_owned())
    });
    refused(limited_to(&image, "GET", "/v2/p/jobs").await);
    lab.drop_application_credential(&limited).await;
    lab.drop_application_credential(&free).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_thousand_requests_with_one_new_token_make_one_call() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |_| ());
    for (token, good) in [(lab.demo().await, true), ("garbage".to_owned(), false)] {
        let before = proxy.validations();
        let requests = (0..1000).map(|_| {
            let (keystone, token) = (keystone.clone(), token.clone());
            tokio::spawn(async move { ask(&keystone, &token).await })
        });
        for request in requests.collect::<Vec<_>>() {
            assert_eq!(request.await.unwrap().is_ok(), good);
        }
        assert_eq!(proxy.validations() - before, 1);
    }
    assert_eq!(proxy.authentications(), 1);
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn our_own_token_is_renewed_when_keystone_refuses_it() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |_| ());
    let (first, second) = (lab.demo().await, lab.demo().await);
    ask(&keystone, &first).await.unwrap();
    let own = proxy
        .tokens()
        .into_iter()
        .find(|token| *token != first)
        .unwrap();
    lab.revoke(&own).await;
    ask(&keystone, &second).await.unwrap();
    assert_eq!((proxy.authentications(), proxy.validations()), (2, 3));
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn our_own_token_is_renewed_before_it_expires() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let clock = Clock::fixed(Clock::System.timestamp());
    let keystone = Keystone::new(&config(&proxy.url()), clock.clone()).unwrap();
    for (seconds, authentications) in [(0, 1), (3400, 1), (100, 2)] {
        clock.advance(seconds);
        ask(
            &keystone,
            &lab.new_token("demo", For::Project("demo")).await.0,
        )
        .await
        .unwrap();
        assert_eq!(
            proxy.authentications(),
            authentications,
            "after {seconds} more seconds"
        );
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn keystone_is_found_without_its_version() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let unversioned = proxy.url().trim_end_matches("/v3").to_owned();
    for auth_url in [
        unversioned.clone(),
        format!("{unversioned}/"),
        format!("{}/", proxy.url()),
    ] {
        let keystone = keystone(&auth_url, |_| ());
        ask(&keystone, &lab.demo().await).await.unwrap();
    }
    assert_eq!(proxy.authentications(), 3, "someone went around the proxy");
    // A server without a version document, such as a proxy for one path.
    proxy.interfere(|request| {
        (request.uri().path() == "/").then(|| answer(404, &[], "nothing here"))
    });
    ask(&keystone(&unversioned, |_| ()), &lab.demo().await)
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn all_kinds_of_own_credentials_work() {
    let lab = Lab::find();
    let (token, about) = lab.token("freezer", For::Project("service")).await;
    let (user, project) = (
        about["user"]["id"].as_str().unwrap(),
        about["project"]["id"].as_str().unwrap(),
    );
    let path = format!("/users/{user}/application_credentials");
    let wanted = json!({"application_credential": {"name": format!("it-{}", Clock::System.timestamp()), "secret": "s"}});
    let made = lab
        .call(Method::POST, &path, &token, Some(wanted))
        .await
        .json::<serde_json::Value>()
        .await
        .unwrap();
    let id = made["application_credential"]["id"].as_str().unwrap();
    let name = made["application_credential"]["name"].as_str().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let credential = AuthPlugin {
        auth_type: Some(AuthType::ApplicationCredential),
        auth_url: text(&lab.url),
        application_credential_secret: Some("s".into()),
        ..AuthPlugin::default()
    };
    let plugins = [
        AuthPlugin {
            application_credential_id: text(id),
            ..credential.clone()
        },
        AuthPlugin {
            application_credential_name: text(name),
            user_id: text(user),
            ..credential
        },
        AuthPlugin {
            auth_type: Some(AuthType::Token),
            auth_url: text(&lab.url),
            token: Some(token.as_str().into()),
            project_id: text(project),
            ..AuthPlugin::default()
        },
        AuthPlugin {
            auth_type: Some(AuthType::Password),
            auth_url: text(&lab.url),
            user_id: text(user),
            password: Some("freezer".into()),
            project_id: text(project),
            ..AuthPlugin::default()
        },
    ];
    for plugin in plugins {
        let kind = plugin.auth_type;
        let keystone = keystone(&lab.url, |config| config.service_auth = plugin);
        ask(&keystone, &lab.demo().await)
            .await
            .unwrap_or_else(|error| panic!("{kind:?}: {error}"));
    }
    lab.call(Method::DELETE, &format!("{path}/{id}"), &token, None)
        .await;
}
