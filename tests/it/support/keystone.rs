//! The accounts of the real Keystone that `./test` started, and tokens for them.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::keystone_url;

/// A token, and what it is good for.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    /// The project of its scope; empty where it has none.
    pub(crate) project: String,
    pub(crate) user: String,
}

/// One token for each kind of caller.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Role admin, in a project of its own.
    pub(crate) admin: Token,
    /// Roles manager, member and reader in the project `demo`.
    pub(crate) manager: Token,
    pub(crate) member: Token,
    pub(crate) reader: Token,
    /// Role member in the project `other`.
    pub(crate) other: Token,
    /// Role service and no other, in the project `service`.
    pub(crate) service: Token,
    /// Role admin of a domain, and of the system.
    pub(crate) domain: Token,
    pub(crate) system: Token,
    /// No scope at all.
    pub(crate) unscoped: Token,
}

/// The tokens of this run.
pub(crate) async fn tokens() -> &'static Tokens {
    static TOKENS: OnceCell<Tokens> = OnceCell::const_new();
    TOKENS
        .get_or_init(|| Keystone::new(keystone_url()).tokens())
        .await
}

/// A token of its own, for a test that spoils it.
pub(crate) async fn member_token() -> Token {
    let keystone = Keystone::new(keystone_url());
    keystone.password("demo", Some(project("demo"))).await
}

/// Makes a token invalid.
pub(crate) async fn revoke(token: &Token) {
    let keystone = Keystone::new(keystone_url());
    let request = keystone
        .client
        .delete(format!("{}/auth/tokens", keystone.url));
    let request = request
        .header("x-auth-token", &token.id)
        .header("x-subject-token", &token.id);
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
}

/// The ids of the trusts that a token's user has given in the token's project.
pub(crate) async fn trusts(token: &Token) -> Vec<String> {
    let keystone = Keystone::new(keystone_url());
    let path = format!("OS-TRUST/trusts?trustor_user_id={}", token.user);
    let list = keystone.call(token, Method::GET, &path, &json!(null)).await;
    let in_project = |trust: &&Value| trust["project_id"] == token.project;
    let trusts = list["trusts"].as_array().unwrap().iter().filter(in_project);
    trusts
        .map(|trust| trust["id"].as_str().unwrap().to_owned())
        .collect()
}

struct Keystone {
    client: Client,
    url: String,
}

fn project(name: &str) -> Value {
    json!({"project": {"name": name, "domain": {"id": "default"}}})
}

impl Keystone {
    fn new(url: String) -> Keystone {
        // An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Keystone {
            client: Client::new(),
            url,
        }
    }

    async fn tokens(self) -> Tokens {
        let admin = self.password("admin", Some(project("admin"))).await;
        let member = self.password("demo", Some(project("demo"))).await;
        self.seed(&admin, &member).await;
        let service = json!({
            "methods": ["application_credential"],
            "application_credential": {
                "name": "freezer-test", "secret": "freezer-test",
                "user": {"name": "freezer", "domain": {"id": "default"}},
            },
        });
        Tokens {
            manager: self.password("freezer-test", Some(project("demo"))).await,
            reader: self.password("viewer", Some(project("demo"))).await,
            other: self.password("other", Some(project("other"))).await,
            service: self.token(service, None).await,
            domain: self
                .password("freezer-test", Some(json!({"domain": {"id": "default"}})))
                .await,
            system: self
                .password("admin", Some(json!({"system": {"all": true}})))
                .await,
            unscoped: self.password("demo", None).await,
            admin,
            member,
        }
    }

    /// Adds what the usual accounts do not have, unless an earlier run did.
    async fn seed(&self, admin: &Token, member: &Token) {
        let user = json!({"user": {"name": "freezer-test", "password": "freezer-test", "domain_id": "default"}});
        self.call(admin, Method::POST, "users", &user).await;
        let id = async |kind: &str, name: &str| {
            let list = self
                .call(
                    admin,
                    Method::GET,
                    &format!("{kind}?name={name}"),
                    &json!(null),
                )
                .await;
            list[kind][0]["id"]
                .as_str()
                .unwrap_or_else(|| panic!("{kind} {name}: {list}"))
                .to_owned()
        };
        let user = id("users", "freezer-test").await;
        for (target, role) in [
            (format!("projects/{}", member.project), "manager"),
            ("domains/default".to_owned(), "admin"),
        ] {
            let path = format!("{target}/users/{user}/roles/{}", id("roles", role).await);
            self.call(admin, Method::PUT, &path, &json!(null)).await;
        }
        let freezer = self.password("freezer", Some(project("service"))).await;
        let credential = json!({"application_credential": {
            "name": "freezer-test", "secret": "freezer-test", "roles": [{"name": "service"}],
        }});
        let path = format!("users/{}/application_credentials", freezer.user);
        self.call(&freezer, Method::POST, &path, &credential).await;
    }

    /// A call that succeeds, or finds that what it makes is there already.
    async fn call(&self, token: &Token, method: Method, path: &str, body: &Value) -> Value {
        let mut request = self.client.request(method, format!("{}/{path}", self.url));
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.header("x-auth-token", &token.id).send().await;
        let response = response.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(
            status.is_success() || status == StatusCode::CONFLICT,
            "{path}: {status} {text}"
        );
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A token for one of the usual accounts, whose passwords are their names.
    async fn password(&self, user: &str, scope: Option<Value>) -> Token {
        let user = json!({"name": user, "password": user, "domain": {"id": "default"}});
        self.token(
            json!({"methods": ["password"], "password": {"user": user}}),
            scope,
        )
        .await
    }

    async fn token(&self, identity: Value, scope: Option<Value>) -> Token {
        let mut auth = json!({"identity": identity});
        if let Some(scope) = scope {
            auth["scope"] = scope;
        }
        let request = self.client.post(format!("{}/auth/tokens", self.url));
        let response = request.json(&json!({"auth": auth})).send().await.unwrap();
        let status = response.status();
        let id = response
            .headers()
            .get("x-subject-token")
            .map(|id| id.to_str().unwrap().to_owned());
        let token: Value = response.json().await.unwrap();
        let text = |pointer: &str| {
            token
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Token {
            id: id.unwrap_or_else(|| panic!("{status}: {token}")),
            project: text("/token/project/id"),
            user: text("/token/user/id"),
        }
    }
}
