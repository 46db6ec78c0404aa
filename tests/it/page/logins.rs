//! Logging in on the page, at a real Keystone.

use axum::body::Body;
use freezer_api::clock::{Clock, Ids};
use freezer_api::config::Config;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::keystone::{self, For, Lab};
use crate::support::{Answer, Database, Engine};

/// What our page sends with each request, over TLS that a proxy has ended.
pub(super) const PAGE: [(&str, &str); 4] = [
    ("host", "backup.example.com"),
    ("x-forwarded-proto", "https"),
    ("x-freezer-ui", "1"),
    ("sec-fetch-site", "same-origin"),
];

pub(super) async fn cloud(database: &Database) -> Cloud {
    cloud_with(database, |_| {}).await
}

pub(super) async fn cloud_with(database: &Database, change: impl FnOnce(&mut Config)) -> Cloud {
    Cloud::with(database, |config| {
        config.oslo_middleware.enable_proxy_headers_parsing = true;
        change(config);
    })
    .await
}

/// Sends a request of the page, with a cookie where there is one.
pub(super) async fn send(
    cloud: &Cloud,
    method: &str,
    path: &str,
    cookie: &str,
    body: Value,
) -> Answer {
    let headers = [&PAGE[..], &[("cookie", cookie)]].concat();
    let body = if body.is_null() {
        Body::empty()
    } else {
        body.to_string().into()
    };
    cloud.send(method, path, &headers, body).await
}

pub(super) fn password(user: &str) -> Value {
    json!({"method": "password", "user": user, "domain": "Default", "password": user})
}

/// The form of a member of the project demo, who may have roles elsewhere.
pub(super) fn demo(cloud: &Cloud) -> Value {
    let mut form = password("demo");
    form["project_id"] = json!(cloud.tokens.member.project);
    form
}

/// Logs in; the cookie as a browser sends it back.
pub(super) async fn log_in(cloud: &Cloud, form: Value) -> String {
    let answer = send(cloud, "POST", "/ui/session", "", form)
        .await
        .expect(200);
    cookie(&answer)
}

pub(super) fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-freezer="), "{set}");
    for attribute in ["; Path=/;", "; HttpOnly;", "; SameSite=Strict;", "; Secure"] {
        assert!(set.contains(attribute), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

async fn database() -> Database {
    Database::create(Engine::Sqlite).await
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_password_opens_a_session_and_logout_ends_it() {
    let database = database().await;
    let cloud = cloud(&database).await;
    let answer = send(&cloud, "POST", "/ui/session", "", password("demo"))
        .await
        .expect(200);
    let document = answer.json();
    let session = &document["session"];
    assert_eq!(session["user"]["name"], "demo");
    let project = session["project"]["id"].as_str().unwrap().to_owned();
    assert!(
        !answer.text().contains("gAAAA"),
        "the token is for nobody to see"
    );
    let cookie = cookie(&answer);

    let jobs = format!("/v2/{project}/jobs");
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);
    let shown = send(&cloud, "GET", "/ui/session", &cookie, Value::Null)
        .await
        .expect(200);
    assert_eq!(shown.json()["session"]["project"]["id"], project);

    let ended = send(&cloud, "DELETE", "/ui/session", &cookie, Value::Null)
        .await
        .expect(204);
    assert!(
        ended
            .header("set-cookie")
            .unwrap()
            .contains("=; Path=/; Max-Age=0;")
    );
    // The token is revoked, so a copy of the cookie is worth nothing.
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(401);
    let shown = send(&cloud, "GET", "/ui/session", &cookie, Value::Null)
        .await
        .expect(200);
    assert_eq!(shown.json()["session"], Value::Null);
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn tokens_and_application_credentials_open_a_session() {
    let database = database().await;
    let (cloud, lab) = (cloud(&database).await, Lab::find());
    let token = keystone::member_token().await;
    let cookie = log_in(&cloud, json!({"method": "token", "token": token.id})).await;
    let jobs = format!("/v2/{}/jobs", token.project);
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);

    let (unscoped, _) = lab.token("demo", For::Nothing).await;
    let form = json!({"method": "token", "token": unscoped, "project_id": token.project});
    let cookie = log_in(&cloud, form).await;
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);

    let owner = lab.demo().await;
    let credentials = format!("/users/{}/application_credentials", token.user);
    let name = Ids::default().hex();
    let wanted = json!({"application_credential": {"name": name, "secret": "of the test"}});
    let made = lab
        .call(Method::POST, &credentials, &owner, Some(wanted))
        .await;
    let made: Value = made.json().await.unwrap();
    let id = made["application_credential"]["id"].as_str().unwrap();
    let form = json!({"method": "application_credential", "id": id, "secret": "of the test"});
    let cookie = log_in(&cloud, form).await;
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);
    lab.call(Method::DELETE, &format!("{credentials}/{id}"), &owner, None)
        .await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_project_is_entered_by_those_who_have_a_role_in_it() {
    let database = database().await;
    let cloud = cloud(&database).await;
    let tokens = cloud.tokens;
    let cookie_of_demo = log_in(&cloud, demo(&cloud)).await;
    let foreign = json!({"project_id": tokens.other.project});
    let refused = send(&cloud, "PUT", "/ui/session", &cookie_of_demo, foreign).await;
    refused.refused(401, "Login failed");

    let lab = Lab::find();
    let (_, about) = lab.token("demo", For::Project("demo")).await;
    let own = json!({"project_id": about["project"]["id"]});
    let entered = send(&cloud, "PUT", "/ui/session", &cookie_of_demo, own.clone())
        .await
        .expect(200);
    assert_eq!(
        entered.json()["session"]["project"]["id"],
        own["project_id"]
    );
    let jobs = format!("/v2/{}/jobs", tokens.member.project);
    send(&cloud, "GET", &jobs, &cookie(&entered), Value::Null)
        .await
        .expect(200);
    // The old token is given up.
    send(&cloud, "GET", &jobs, &cookie_of_demo, Value::Null)
        .await
        .expect(401);
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn wrong_logins_are_refused_and_soon_not_asked_about() {
    let database = database().await;
    let cloud = cloud(&database).await;
    for form in [
        json!({}),
        json!({"method": "password"}),
        json!({"method": "kerberos"}),
        json!({"method": "password", "user": "demo", "domain": "Default", "password": 7}),
        json!({"method": "token", "token": ""}),
    ] {
        send(&cloud, "POST", "/ui/session", "", form)
            .await
            .refused(400, "Bad request format");
    }
    let wrong = [
        json!({"method": "password", "user": "demo", "domain": "Default", "password": "wrong"}),
        json!({"method": "password", "user": "nobody", "domain": "Default", "password": "demo"}),
        json!({"method": "password", "user": "demo", "domain": "Nowhere", "password": "demo"}),
        json!({"method": "token", "token": "gAAAA\nx"}),
        json!({"method": "application_credential", "id": "x", "secret": "y"}),
    ];
    for form in wrong {
        let answer = send(&cloud, "POST", "/ui/session", "", form.clone()).await;
        let said = answer.refused(401, "Login failed");
        assert_eq!(said, "Keystone refuses this login", "{form}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let answer = send(&cloud, "POST", "/ui/session", "", password("demo")).await;
    answer.refused(429, "Too Many Requests");
    assert!(answer.header("retry-after").is_some());
    // Others are not held up.
    let other = [&PAGE[..], &[("x-forwarded-for", "192.0.2.9")]].concat();
    let form = password("demo").to_string();
    cloud
        .send("POST", "/ui/session", &other, form)
        .await
        .expect(200);
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn without_tls_nobody_logs_in_unless_the_operator_says_so() {
    let database = database().await;
    let refusing = Cloud::start(&database).await;
    let plain = [
        ("x-freezer-ui", "1"),
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-proto", "https"),
    ];
    let form = password("demo").to_string();
    let answer = refusing
        .send("POST", "/ui/session", &plain, form.clone())
        .await;
    assert!(answer.refused(403, "Access Forbidden").contains("TLS"));
    let shown = refusing
        .send("GET", "/ui/session", &plain, "")
        .await
        .expect(200)
        .json();
    assert!(
        shown["refused"].as_str().unwrap().contains("TLS"),
        "{shown}"
    );

    let allowing = Cloud::with(&database, |config| config.ui.allow_http = true).await;
    let answer = allowing
        .send("POST", "/ui/session", &plain, form)
        .await
        .expect(200);
    let set = answer.header("set-cookie").unwrap();
    assert!(
        set.starts_with("freezer=") && set.contains("HttpOnly") && !set.contains("Secure"),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap();
    let jobs = format!("/v2/{}/jobs", allowing.tokens.member.project);
    let headers = [&plain[..], &[("cookie", cookie)]].concat();
    allowing.send("GET", &jobs, &headers, "").await.expect(200);
}

/// The code of the moment (RFC 6238) for a secret of 20 bytes.
fn passcode(secret: &[u8]) -> String {
    let step = Clock::System.timestamp() / 30;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let code = hmac::sign(&key, &step.to_be_bytes());
    let code = code.as_ref();
    let at = usize::from(code[19] & 15);
    let number = u32::from_be_bytes(code[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A user of the project demo who needs a password, the name, and a code of this secret; the path of the user.
async fn user_of_two_factors(
    lab: &Lab,
    name: &str,
    project: &str,
    secret_in_base32: &str,
) -> String {
    let admin = lab.admin().await;
    let ask = async |method, path: &str, body: Option<Value>| {
        let answer = lab.call(method, path, &admin, body).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap_or_default()
    };
    let options = json!({"multi_factor_auth_enabled": true, "multi_factor_auth_rules": [["password", "totp"]]});
    let user = json!({"user": {"name": name, "password": name, "domain_id": "default", "options": options}});
    let user = ask(Method::POST, "/users", Some(user)).await;
    let user = user["user"]["id"].as_str().unwrap();
    let roles = ask(Method::GET, "/roles?name=member", None).await;
    let role = roles["roles"][0]["id"].as_str().unwrap();
    ask(
        Method::PUT,
        &format!("/projects/{project}/users/{user}/roles/{role}"),
        None,
    )
    .await;
    let credential =
        json!({"credential": {"user_id": user, "type": "totp", "blob": secret_in_base32}});
    ask(Method::POST, "/credentials", Some(credential)).await;
    format!("/users/{user}")
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_second_factor_is_asked_for_where_the_user_has_one() {
    let database = database().await;
    let (cloud, lab) = (cloud(&database).await, Lab::find());
    let (name, project) = (
        format!("ui-{}", Ids::default().hex()),
        &cloud.tokens.member.project,
    );
    // Twenty bytes of zeros.
    let user = user_of_two_factors(&lab, &name, project, &"A".repeat(32)).await;
    let mut form = password(&name);
    let answer = send(&cloud, "POST", "/ui/session", "", form.clone()).await;
    assert_eq!(
        answer.refused(401, "Login failed"),
        "A code (TOTP) is needed too"
    );
    form["passcode"] = "000000x".into();
    let answer = send(&cloud, "POST", "/ui/session", "", form.clone()).await;
    assert_eq!(
        answer.refused(401, "Login failed"),
        "Keystone refuses this login"
    );
    form["passcode"] = passcode(&[0; 20]).into();
    let cookie = log_in(&cloud, form).await;
    let jobs = format!("/v2/{project}/jobs");
    send(&cloud, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);
    lab.call(Method::DELETE, &user, &lab.admin().await, None)
        .await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn what_keystone_cannot_take_is_not_sent_to_it() {
    let database = database().await;
    let cloud = cloud(&database).await;
    for (member, text) in [
        ("user", "n".repeat(256)),
        ("user", "a\0b".to_owned()),
        ("domain", "\u{1b}[2J".to_owned()),
        ("password", "p".repeat(8193)),
        ("password", "p".repeat(500_000)),
        ("passcode", "p".repeat(8193)),
    ] {
        // More often than a password may be wrong: nobody has tried one.
        for _ in 0..6 {
            let mut form = password("demo");
            form[member] = json!(text);
            let answer = send(&cloud, "POST", "/ui/session", "", form).await;
            answer.refused(400, "Bad request format");
        }
    }
    send(&cloud, "POST", "/ui/session", "", password("demo"))
        .await
        .expect(200);
}
