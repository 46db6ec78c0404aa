//! The service as a cloud runs it: with a real Keystone and the default policy, in this process.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use freezer_api::api;
use freezer_api::app::{self, Mode};
use freezer_api::clock::{Clock, Ids};
use freezer_api::config::{Config, Sources};
use serde_json::Value;

use super::api::request;
use super::keystone::{self, Token, Tokens};
use super::{Answer, Database, Service, keystone_url};

/// The service as it runs in a cloud, on a database with tables.
pub(crate) struct Cloud {
    pub(crate) tokens: &'static Tokens,
    router: Router,
}

impl Cloud {
    pub(crate) async fn start(database: &Database) -> Cloud {
        Cloud::with(database, |_| {}).await
    }

    pub(crate) async fn with(database: &Database, change: impl FnOnce(&mut Config)) -> Cloud {
        let tokens = keystone::tokens().await;
        // Makes the tables.
        Service::start(database).await;
        let mut config = configuration(database);
        // Trusts have tests of their own.
        config.centralized_scheduler.enabled = false;
        change(&mut config);
        let api = app::build(config, Mode::Production, Clock::System, Ids::Random)
            .await
            .unwrap();
        Cloud {
            tokens,
            router: api::service(Arc::clone(&api)),
        }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        Answer::of(&self.router, request(method, path, headers, body)).await
    }

    /// Sends a request in a project with a token.
    pub(crate) async fn ask(
        &self,
        token: &Token,
        method: &str,
        project: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(
            method,
            &format!("/v2/{project}/{path}"),
            &[("x-auth-token", &token.id)],
            body,
        )
        .await
    }

    pub(crate) async fn get(&self, token: &Token, project: &str, path: &str) -> Answer {
        self.ask(token, "GET", project, path, Value::Null).await
    }

    pub(crate) async fn post(
        &self,
        token: &Token,
        project: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        self.ask(token, "POST", project, path, body).await
    }
}

/// An operator's configuration file.
pub(crate) fn configuration(database: &Database) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("freezer-api.conf");
    let url = keystone_url();
    let text = format!(
        "[database]\nconnection = {}\n\
         [keystone_authtoken]\nwww_authenticate_uri = {url}\nauth_url = {url}\nauth_type = password\nusername = freezer\n\
         password = freezer\nproject_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n\
         region_name = RegionOne\ninterface = internal\n",
        database.url()
    );
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        config_files: vec![path],
        ..Sources::default()
    };
    Config::load(&sources).unwrap().0
}
