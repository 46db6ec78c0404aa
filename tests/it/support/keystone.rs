//! The accounts of the real Keystone that `./test` started, and tokens for them.

use std::collections::BTreeMap;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

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
        .get_or_init(async || Lab::find().tokens().await)
        .await
}

/// A token of its own, for a test that spoils it.
pub(crate) async fn member_token() -> Token {
    Lab::find().caller("demo", For::Project("demo")).await
}

/// Makes a token invalid.
pub(crate) async fn revoke(token: &Token) {
    Lab::find().revoke(&token.id).await;
}

/// The ids of the trusts that a token's user has given in the token's project.
pub(crate) async fn trusts(token: &Token) -> Vec<String> {
    let trusts = Lab::find().trusts_of(&token.user, &token.id).await;
    let trusts = trusts
        .iter()
        .filter(|trust| trust["project_id"] == token.project);
    trusts
        .map(|trust| trust["id"].as_str().unwrap().to_owned())
        .collect()
}

impl Token {
    /// A token, and what Keystone says of it.
    fn of((id, about): (String, Value)) -> Token {
        let text = |value: &Value| value["id"].as_str().unwrap_or_default().to_owned();
        Token {
            id,
            project: text(&about["project"]),
            user: text(&about["user"]),
        }
    }
}

/// A Keystone 30 with the accounts admin, demo, viewer, other and freezer (password = name) in the domain `default`.
pub(crate) struct Lab {
    /// With `/v3`.
    pub(crate) url: String,
    pub(crate) http: Client,
}

/// What a token is asked for.
pub(crate) enum For<'a> {
    Project(&'a str),
    Domain(&'a str),
    System,
    Nothing,
}

impl Lab {
    /// The Keystone that `./test` started.
    pub(crate) fn find() -> Self {
        let url = keystone_url();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            http: plain_http(),
        }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Response {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("x-auth-token", token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn authenticate(&self, identity: Value, scope: For<'_>) -> (String, Value) {
        let mut body = json!({"auth": {"identity": identity}});
        match scope {
            For::Project(name) => {
                body["auth"]["scope"] =
                    json!({"project": {"name": name, "domain": {"id": "default"}}});
            }
            For::Domain(id) => body["auth"]["scope"] = json!({"domain": {"id": id}}),
            For::System => body["auth"]["scope"] = json!({"system": {"all": true}}),
            For::Nothing => {}
        }
        let answer = self
            .http
            .post(format!("{}/auth/tokens", self.url))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        let token = answer.headers()["x-subject-token"]
            .to_str()
            .unwrap()
            .to_owned();
        (
            token,
            answer.json::<Value>().await.unwrap()["token"].clone(),
        )
    }

    /// A new token of a user of the domain `default`, whose password is the name, and what Keystone says of it. Made from
    /// an older token of the user, because passwords cost Keystone a lot of time; it expires with that one.
    pub(crate) async fn token(&self, user: &str, scope: For<'_>) -> (String, Value) {
        static OLDER: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());
        let older = {
            let mut known = OLDER.lock().await;
            if !known.contains_key(user) {
                let token = self.new_token(user, For::Nothing).await.0;
                known.insert(user.to_owned(), token);
            }
            known[user].clone()
        };
        self.authenticate(json!({"methods": ["token"], "token": {"id": older}}), scope)
            .await
    }

    /// As [`Lab::token`], with a life of its own.
    pub(crate) async fn new_token(&self, user: &str, scope: For<'_>) -> (String, Value) {
        let user = json!({"name": user, "domain": {"id": "default"}, "password": user});
        self.authenticate(
            json!({"methods": ["password"], "password": {"user": user}}),
            scope,
        )
        .await
    }

    pub(crate) async fn demo(&self) -> String {
        self.token("demo", For::Project("demo")).await.0
    }

    pub(crate) async fn admin(&self) -> String {
        self.token("admin", For::Project("admin")).await.0
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let answer = self
            .http
            .delete(format!("{}/auth/tokens", self.url))
            .header("x-auth-token", self.admin().await)
            .header("x-subject-token", token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// The id of something with a name: `kind` is `projects`, `users` or `roles`.
    pub(crate) async fn id(&self, kind: &str, name: &str) -> String {
        let answer = self
            .call(
                Method::GET,
                &format!("/{kind}?name={name}"),
                &self.admin().await,
                None,
            )
            .await;
        answer.json::<Value>().await.unwrap()[kind][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The trusts that a user gave, by a token of the user.
    pub(crate) async fn trusts_of(&self, user: &str, token: &str) -> Vec<Value> {
        let path = format!("/OS-TRUST/trusts?trustor_user_id={user}");
        let list = self.call(Method::GET, &path, token, None).await;
        let list: Value = list.json().await.unwrap();
        list["trusts"].as_array().unwrap().clone()
    }

    async fn caller(&self, user: &str, scope: For<'_>) -> Token {
        Token::of(self.new_token(user, scope).await)
    }

    async fn tokens(&self) -> Tokens {
        let admin = self.caller("admin", For::Project("admin")).await;
        let member = self.caller("demo", For::Project("demo")).await;
        self.seed(&admin, &member).await;
        let service = json!({
            "methods": ["application_credential"],
            "application_credential": {
                "name": "freezer-test", "secret": "freezer-test",
                "user": {"name": "freezer", "domain": {"id": "default"}},
            },
        });
        Tokens {
            manager: self.caller("freezer-test", For::Project("demo")).await,
            reader: self.caller("viewer", For::Project("demo")).await,
            other: self.caller("other", For::Project("other")).await,
            service: Token::of(self.authenticate(service, For::Nothing).await),
            domain: self.caller("freezer-test", For::Domain("default")).await,
            system: self.caller("admin", For::System).await,
            unscoped: self.caller("demo", For::Nothing).await,
            admin,
            member,
        }
    }

    /// Adds what the usual accounts do not have, unless an earlier run did.
    async fn seed(&self, admin: &Token, member: &Token) {
        let user = json!({"user": {"name": "freezer-test", "password": "freezer-test", "domain_id": "default"}});
        self.ensure(admin, Method::POST, "/users", Some(user)).await;
        let user = self.id("users", "freezer-test").await;
        for (target, role) in [
            (format!("projects/{}", member.project), "manager"),
            ("domains/default".to_owned(), "admin"),
        ] {
            let role = self.id("roles", role).await;
            let path = format!("/{target}/users/{user}/roles/{role}");
            self.ensure(admin, Method::PUT, &path, None).await;
        }
        let freezer = self.caller("freezer", For::Project("service")).await;
        let credential = json!({"application_credential": {
            "name": "freezer-test", "secret": "freezer-test", "roles": [{"name": "service"}],
        }});
        let path = format!("/users/{}/application_credentials", freezer.user);
        self.ensure(&freezer, Method::POST, &path, Some(credential))
            .await;
    }

    /// A call that succeeds, or finds that what it makes is there already.
    async fn ensure(&self, token: &Token, method: Method, path: &str, body: Option<Value>) {
        let answer = self.call(method, path, &token.id, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(
            status.is_success() || status == StatusCode::CONFLICT,
            "{path}: {status} {text}"
        );
    }
}

/// A client of the tests themselves, which needs no certificate authorities of the machine.
pub(crate) fn plain_http() -> Client {
    Client::builder().tls_certs_only([]).build().unwrap()
}
