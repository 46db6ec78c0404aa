//! What other pages and thieves of cookies may try.

use freezer_api::config::{Config, Cors};
use serde_json::{Value, json};

use super::logins::{PAGE, cloud, cloud_with, demo, log_in, password, send};
use crate::support::keystone;
use crate::support::{Database, Engine};

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn the_cookie_is_for_our_page_alone() {
    let database = Database::create(Engine::Sqlite).await;
    let cloud = cloud(&database).await;
    let cookie = log_in(&cloud, demo(&cloud)).await;
    let client = format!("/v2/{}/clients", cloud.tokens.member.project);
    let from = |page: &'static [(&'static str, &'static str)]| {
        let (cloud, client, cookie) = (&cloud, &client, cookie.as_str());
        async move {
            let host = [("host", "backup.example.com"), ("cookie", cookie)];
            let headers = [&host[..], page].concat();
            let got = cloud.send("GET", client, &headers, "").await.status;
            let body = json!({"client_id": "stolen"}).to_string();
            let posted = cloud.send("POST", client, &headers, body).await.status;
            (got, posted)
        }
    };
    let others: &[&'static [(&str, &str)]] = &[
        // A form or an image of any page.
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "cross-site"), ("x-freezer-ui", "1")],
        // Horizon on a sister host.
        &[("sec-fetch-site", "same-site"), ("x-freezer-ui", "1")],
        &[("sec-fetch-site", "none"), ("x-freezer-ui", "1")],
        &[
            ("sec-fetch-site", ""),
            ("x-freezer-ui", "1"),
            ("origin", "https://backup.example.com"),
        ],
        &[
            ("origin", "https://evil.example.com"),
            ("x-freezer-ui", "1"),
        ],
        &[
            ("origin", "https://backup.example.com.evil.example.com"),
            ("x-freezer-ui", "1"),
        ],
        &[
            ("origin", "https://backup.example.com:8443"),
            ("x-freezer-ui", "1"),
        ],
        &[("origin", "null"), ("x-freezer-ui", "1")],
        &[("origin", ""), ("x-freezer-ui", "1")],
    ];
    for page in others {
        assert_eq!(from(page).await, (401, 401), "{page:?}");
    }
    // A browser that sends neither, as without TLS, may read by a script of ours, and change nothing.
    assert_eq!(from(&[("x-freezer-ui", "1")]).await, (200, 401));
    let listed = send(&cloud, "GET", &client, &cookie, Value::Null)
        .await
        .expect(200);
    assert_eq!(listed.json()["clients"], json!([]), "nothing was changed");
    let by_origin: &'static [(&str, &str)] = &[
        ("origin", "https://backup.example.com"),
        ("x-freezer-ui", "1"),
    ];
    assert_eq!(from(by_origin).await, (200, 201));
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn no_other_page_logs_a_user_in_or_out() {
    let database = Database::create(Engine::Sqlite).await;
    let cloud = cloud(&database).await;
    let cookie = log_in(&cloud, demo(&cloud)).await;
    let others: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "cross-site"), ("x-freezer-ui", "1")],
        &[("x-freezer-ui", "1")],
        &[
            ("origin", "https://evil.example.com"),
            ("x-freezer-ui", "1"),
        ],
    ];
    for page in others {
        let host = [
            ("host", "backup.example.com"),
            ("x-forwarded-proto", "https"),
            ("cookie", &*cookie),
        ];
        let headers = [&host[..], page].concat();
        for (method, body) in [
            ("POST", password("demo").to_string()),
            ("PUT", json!({"project_id": "x"}).to_string()),
            ("DELETE", String::new()),
        ] {
            let answer = cloud.send(method, "/ui/session", &headers, body).await;
            answer.refused(403, "Access Forbidden");
            assert_eq!(answer.header("set-cookie"), None, "{method} {page:?}");
        }
    }
    let shown = send(&cloud, "GET", "/ui/session", &cookie, Value::Null)
        .await
        .expect(200);
    assert_eq!(
        shown.json()["session"]["user"]["name"],
        "demo",
        "still logged in"
    );
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_header_wins_over_the_cookie() {
    let database = Database::create(Engine::Sqlite).await;
    let cloud = cloud(&database).await;
    let cookie = log_in(&cloud, demo(&cloud)).await;
    let jobs = format!("/v2/{}/jobs", cloud.tokens.member.project);
    for (token, status) in [
        ("gAAAAnonsense", 401),
        (&*cloud.tokens.other.id, 403),
        (&*cloud.tokens.member.id, 200),
    ] {
        let headers = [&PAGE[..], &[("cookie", &*cookie), ("x-auth-token", token)]].concat();
        assert_eq!(cloud.send("GET", &jobs, &headers, "").await.status, status);
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn cookies_of_other_keys_and_changed_ones_are_none() {
    let (database, folder) = (
        Database::create(Engine::Sqlite).await,
        tempfile::tempdir().unwrap(),
    );
    let file = folder.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let with_key = || {
        cloud_with(&database, |config| {
            config.ui.session_key_file = Some(file.clone())
        })
    };
    let (one, other, alone) = (with_key().await, with_key().await, cloud(&database).await);
    let cookie = log_in(&one, demo(&one)).await;
    let jobs = format!("/v2/{}/jobs", one.tokens.member.project);
    send(&other, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(200);
    send(&alone, "GET", &jobs, &cookie, Value::Null)
        .await
        .expect(401);
    let token = keystone::member_token().await.id;
    let (name, value) = cookie.split_once('=').unwrap();
    for changed in [
        format!("{name}={token}"),
        format!("{name}={}", value.to_uppercase()),
        format!("{name}={}A", value),
        format!("{name}={}", &value[4..]),
        format!("freezer={value}"),
        format!("x={value}"),
        name.to_owned(),
    ] {
        send(&one, "GET", &jobs, &changed, Value::Null)
            .await
            .expect(401);
    }
}

/// Whatever an operator allows other pages, it is not our header: a browser asks before it sends that.
#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn cors_never_allows_the_header_of_our_page() {
    let database = Database::create(Engine::Sqlite).await;
    for origin in ["*", "https://horizon.example.com"] {
        let cloud = cloud_with(&database, |config| {
            config.cors = cors(&format!(
                "allowed_origin = {origin}\nallow_headers = X-Auth-Token, X-Freezer-UI\n"
            ));
        })
        .await;
        let preflight = [
            ("origin", "https://horizon.example.com"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-freezer-ui"),
        ];
        let answer = cloud
            .send("OPTIONS", "/ui/session", &preflight, "")
            .await
            .expect(200);
        let allowed = answer.header("access-control-allow-headers").unwrap();
        assert!(
            allowed.contains("x-auth-token") && !allowed.contains("freezer"),
            "{allowed}"
        );
    }
}

fn cors(options: &str) -> Cors {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[cors]\n{options}")).unwrap();
    Config::load_file(file.path().to_owned()).unwrap().0.cors
}
