//! What the tests of `freezer_api::keystone` make in Keystone, and the configurations with which they use it.

use std::sync::Arc;

use freezer_api::clock::{Clock, Ids};
use freezer_api::config::{AuthPlugin, AuthType, Config};
use freezer_api::keystone::{Keystone, Trusts};
use reqwest::Method;
use serde_json::{Value, json};

pub(super) use crate::support::keystone::{For, Lab, plain_http};

impl Lab {
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

    /// Ids of the trusts that a user gave.
    pub(super) async fn trusts(&self, trustor: &User) -> Vec<String> {
        let token = self.token(&trustor.name, For::Nothing).await.0;
        let trusts = self.trusts_of(&trustor.id, &token).await;
        trusts.iter().map(id).collect()
    }
}

fn id(document: &Value) -> String {
    document["id"].as_str().unwrap().to_owned()
}

pub(super) struct ApplicationCredential {
    path: String,
    pub(super) token: String,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
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
    keystone_at(auth_url, Clock::System, change)
}

/// The same with a clock of its own.
pub(super) fn keystone_at(
    auth_url: &str,
    clock: Clock,
    change: impl FnOnce(&mut Config),
) -> Arc<Keystone> {
    let mut config = config(auth_url);
    change(&mut config);
    Arc::new(Keystone::new(&config, clock).unwrap())
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
