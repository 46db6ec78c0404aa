//! A real Keystone, its accounts, and what the tests make in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use freezer_api::clock::{Clock, Ids};
use freezer_api::config::{AuthPlugin, AuthType, Config};
use freezer_api::keystone::{Keystone, Trusts};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::support::keystone_url;

/// A Keystone 30 with the accounts admin, demo, viewer, other and freezer (password = name) in the domain `default`.
pub(super) struct Lab {
    /// With `/v3`.
    pub(super) url: String,
    pub(super) http: Client,
}

/// What a token is asked for.
pub(super) enum For<'a> {
    Project(&'a str),
    Domain(&'a str),
    System,
    Nothing,
}

impl Lab {
    /// The Keystone that `./test` started.
    pub(super) fn find() -> Self {
        let url = keystone_url();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            http: plain_http(),
        }
    }

    pub(super) async fn call(
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

    pub(super) async fn authenticate(&self, identity: Value, scope: For<'_>) -> (String, Value) {
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
    pub(super) async fn token(&self, user: &str, scope: For<'_>) -> (String, Value) {
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
    pub(super) async fn new_token(&self, user: &str, scope: For<'_>) -> (String, Value) {
        let user = json!({"name": user, "domain": {"id": "default"}, "password": user});
        self.authenticate(
            json!({"methods": ["password"], "password": {"user": user}}),
            scope,
        )
        .await
    }

    pub(super) async fn demo(&self) -> String {
        self.token("demo", For::Project("demo")).await.0
    }

    pub(super) async fn admin(&self) -> String {
        self.token("admin", For::Project("admin")).await.0
    }

    pub(super) async fn revoke(&self, token: &str) {
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

    /// An application credential of demo in demo, and a token from it.
    pub(super) async fn application_credential(&self, more: Value) -> ApplicationCredential {
        let (token, about) = self.token("demo", For::Project("demo")).await;
        let user_id = about["user"]["id"].as_str().unwrap().to_owned();
        let mut wanted = json!({"name": Ids::default().hex(), "secret": "app-cred-secret"});
        wanted
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = format!("/users/{user_id}/application_credentials");
        let made = self
            .call(
                Method::POST,
                &path,
                &token,
                Some(json!({"application_credential": wanted})),
            )
            .await;
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
        let id = made.json::<Value>().await.unwrap()["application_credential"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let identity = json!({"methods": ["application_credential"],
                              "application_credential": {"id": id, "secret": "app-cred-secret"}});
        ApplicationCredential {
            path: format!("{path}/{id}"),
            token: self.authenticate(identity, For::Nothing).await.0,
        }
    }

    pub(super) async fn drop_application_credential(&self, credential: &ApplicationCredential) {
        self.call(Method::DELETE, &credential.path, &self.demo().await, None)
            .await;
    }

    /// A new user of the domain `default`, whose password is the name.
    pub(super) async fn user(&self) -> User {
        let name = format!("it-{}", Ids::default().hex());
        let admin = self.admin().await;
        let user = json!({"user": {"name": name, "password": name, "domain_id": "default"}});
        let answer = self.call(Method::POST, "/users", &admin, Some(user)).await;
        assert_eq!(answer.status(), 201);
        let id = answer.json::<Value>().await.unwrap()["user"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        User { id, name }
    }

    /// Gives a role: `on` is `projects/{id}` or `domains/{id}`.
    pub(super) async fn grant(&self, user: &User, role: &str, on: &str) {
        let admin = self.admin().await;
        let role = self.id("roles", role).await;
        let path = format!("/{on}/users/{}/roles/{role}", user.id);
        assert_eq!(
            self.call(Method::PUT, &path, &admin, None).await.status(),
            204
        );
    }

    pub(super) async fn drop_user(&self, user: &User) {
        let path = format!("/users/{}", user.id);
        assert_eq!(
            self.call(Method::DELETE, &path, &self.admin().await, None)
                .await
                .status(),
            204
        );
    }

    /// The id of something with a name: `kind` is `projects`, `users` or `roles`.
    pub(super) async fn id(&self, kind: &str, name: &str) -> String {
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

    /// Ids of the trusts that a user gave.
    pub(super) async fn trusts(&self, trustor: &User) -> Vec<String> {
        let token = self.token(&trustor.name, For::Nothing).await.0;
        let path = format!("/OS-TRUST/trusts?trustor_user_id={}", trustor.id);
        let list = self
            .call(Method::GET, &path, &token, None)
            .await
            .json::<Value>()
            .await
            .unwrap();
        let trusts = list["trusts"].as_array().unwrap();
        trusts
            .iter()
            .map(|trust| trust["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(super) struct ApplicationCredential {
    path: String,
    pub(super) token: String,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
}

/// A client of the tests themselves, which needs no certificate authorities of the machine.
pub(super) fn plain_http() -> Client {
    Client::builder().tls_certs_only([]).build().unwrap()
}

/// A configuration as operators write it: the user freezer, with the Keystone at `auth_url`.
pub(super) fn config(auth_url: &str) -> Config {
    let mut config = Config {
        service_auth: AuthPlugin {
            auth_type: Some(AuthType::Password),
            auth_url: Some(auth_url.to_owned()),
            username: Some("freezer".to_owned()),
            password: Some("freezer".into()),
            project_name: Some("service".to_owned()),
            user_domain_name: Some("Default".to_owned()),
            project_domain_name: Some("Default".to_owned()),
            ..AuthPlugin::default()
        },
        ..Config::default()
    };
    config.keystone_authtoken.region_name = Some("RegionOne".to_owned());
    config
}

/// A checker of tokens with a changed configuration.
pub(super) fn keystone(auth_url: &str, change: impl FnOnce(&mut Config)) -> Arc<Keystone> {
    let mut config = config(auth_url);
    change(&mut config);
    Arc::new(Keystone::new(&config, Clock::System).unwrap())
}

pub(super) fn trusts(
    auth_url: &str,
    change: impl FnOnce(&mut Config),
) -> (Arc<Keystone>, Arc<Trusts>) {
    let mut config = config(auth_url);
    change(&mut config);
    let keystone = Keystone::new(&config, Clock::System).unwrap();
    let trusts = Trusts::new(&config, &keystone, Clock::System).unwrap();
    (Arc::new(keystone), Arc::new(trusts))
}
