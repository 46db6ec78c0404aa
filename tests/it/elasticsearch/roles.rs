//! `--projects-from-keystone`, with the real Keystone.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Imported, hit, lines, run_with};
use crate::migrations::schema::texts;
use crate::support::keystone::{For, Lab};
use crate::support::{Database, Engine, Service};

/// A backup without a project.
fn backup(user_id: &str) -> Value {
    let body =
        json!({"backup_id": format!("b{user_id}"), "user_id": user_id, "backup_metadata": {}});
    hit("backups", user_id, body)
}

/// A new user with the role member in these projects, through a group or directly.
async fn user(lab: &Lab, projects: &[&str], by_group: bool) -> String {
    let admin = lab.admin().await;
    let name = format!("it-{}", freezer_api::clock::Ids::default().hex());
    let made = async |kind: &str, body: Value| {
        let answer = lab
            .call(
                Method::POST,
                &format!("/{kind}s"),
                &admin,
                Some(json!({kind: body})),
            )
            .await;
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()[kind]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let put = async |path: String| {
        let answer = lab.call(Method::PUT, &path, &admin, None).await;
        assert_eq!(answer.status(), 204, "{path}");
    };
    let user = made("user", json!({"name": name, "domain_id": "default"})).await;
    let mut holder = format!("users/{user}");
    if by_group {
        let group = made("group", json!({"name": name, "domain_id": "default"})).await;
        put(format!("/groups/{group}/users/{user}")).await;
        holder = format!("groups/{group}");
    }
    let role = lab.id("roles", "member").await;
    for project in projects {
        let project = lab.id("projects", project).await;
        put(format!("/projects/{project}/{holder}/roles/{role}")).await;
    }
    user
}

/// `[keystone_authtoken]` of a user, with a scope.
fn authtoken(lab: &Lab, user: &str, scope: &str) -> String {
    format!(
        "[keystone_authtoken]\nauth_type = password\nauth_url = {}\nusername = {user}\npassword = {user}\nuser_domain_id = default\n{scope}\n",
        lab.url
    )
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn roles_tell_the_projects_of_users() {
    let lab = Lab::find();
    let direct = user(&lab, &["demo"], false).await;
    let by_group = user(&lab, &["other"], true).await;
    let of_two = user(&lab, &["demo", "other"], false).await;
    let of_none = user(&lab, &[], false).await;
    let gone = "0123456789abcdef0123456789abcdef";
    let (demo, other) = (
        lab.id("projects", "demo").await,
        lab.id("projects", "other").await,
    );
    let documents: Vec<Value> = [&direct, &by_group, &of_two, &of_none, gone]
        .map(backup)
        .into();
    let (_folder, file) = lines(&documents);
    let import = |database: &Database,
                  keystone: &str,
                  more: &[&str],
                  variables: &[(&str, &str)]|
     -> Imported {
        let source = ["--file", file.to_str().unwrap(), "--projects-from-keystone"];
        run_with(
            &(database.configuration() + keystone),
            &[&source, more].concat(),
            variables,
        )
    };
    let project = "project_name = admin\nproject_domain_id = default";
    for scope in ["system_scope = all", project] {
        let database = Database::create(Engine::Sqlite).await;
        let _service = Service::start(&database).await;
        let keystone = authtoken(&lab, "admin", scope);
        let refused = import(&database, &keystone, &[], &[]);
        assert!(!refused.success, "{}", refused.text);
        refused.says(&format!("user {of_two} has roles in 2 projects: "));
        for user in [&of_none, gone] {
            refused.says(&format!("user {user} has no role in any project"));
        }
        refused.says("3 documents have no project");
        // What the operator says counts more, and the default for those of whom nothing is known.
        let rule = format!("{of_two}={other}");
        let imported = import(
            &database,
            &keystone,
            &["--project", &rule, "--default-project", "left"],
            &[],
        )
        .succeeds();
        imported.says("by the user's roles in Keystone");
        for (user, project) in [
            (&*direct, &*demo),
            (&by_group, &other),
            (&of_two, &other),
            (&of_none, "left"),
            (gone, "left"),
        ] {
            let query = format!("SELECT project_id FROM backups WHERE user_id = '{user}'");
            assert_eq!(
                texts(&database, &query).await,
                [project],
                "{}",
                imported.text
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn the_environment_has_an_administrators_credentials() {
    let lab = Lab::find();
    let direct = user(&lab, &["demo"], false).await;
    let demo = lab.id("projects", "demo").await;
    let (_folder, file) = lines(&[backup(&direct)]);
    let database = Database::create(Engine::Sqlite).await;
    let _service = Service::start(&database).await;
    let source = ["--file", file.to_str().unwrap(), "--projects-from-keystone"];
    // Members may not see the roles of others.
    let member = authtoken(
        &lab,
        "demo",
        "project_name = demo\nproject_domain_id = default",
    );
    let configuration = database.configuration() + &member;
    let import = |variables: &[(&str, &str)]| run_with(&configuration, &source, variables);
    let refused = import(&[]);
    assert!(!refused.success, "{}", refused.text);
    refused.says("Keystone does not let these credentials list role assignments");
    let mut variables = vec![
        ("OS_AUTH_URL", lab.url.as_str()),
        ("OS_USERNAME", "admin"),
        ("OS_PASSWORD", "wrong-hunter2"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_SYSTEM_SCOPE", "all"),
        ("OS_INTERFACE", "public"),
        ("OS_REGION_NAME", "RegionOne"),
    ];
    let refused = import(&variables);
    assert!(
        !refused.success && !refused.text.contains("hunter2"),
        "{}",
        refused.text
    );
    refused.says("OS_* of the environment");
    variables[2].1 = "admin";
    import(&variables).succeeds();
    assert_eq!(
        texts(&database, "SELECT project_id FROM backups").await,
        [demo.as_str()]
    );
    // A token that is there already.
    let (token, _) = lab.token("admin", For::Project("admin")).await;
    let by_token = [
        ("OS_AUTH_TYPE", "v3token"),
        ("OS_AUTH_URL", lab.url.as_str()),
        ("OS_TOKEN", token.as_str()),
        ("OS_PROJECT_NAME", "admin"),
        ("OS_PROJECT_DOMAIN_ID", "default"),
    ];
    let again = import(&by_token).succeeds();
    assert!(!again.text.contains(&token));
}
