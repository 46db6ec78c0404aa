//! Trusts in a real Keystone.

use std::collections::BTreeSet;

use freezer_api::authz::RequestContext;
use freezer_api::config::{AuthPlugin, Config};
use freezer_api::keystone::{Keystone, TrustError, Trusts};
use reqwest::Method;
use serde_json::{Value, json};

use super::lab::{For, Lab, User, trusts};
use super::proxy::{Proxy, answer};

async fn context(lab: &Lab, keystone: &Keystone, user: &User, scope: For<'_>) -> RequestContext {
    let token = lab.token(&user.name, scope).await.0;
    keystone
        .authenticate(Some(&token), None, "POST", "/v2/p/jobs")
        .await
        .unwrap()
}

/// A user of the test with roles in demo.
async fn user(lab: &Lab, roles: &[&str]) -> (User, String) {
    let (user, project) = (lab.user().await, lab.id("projects", "demo").await);
    for role in roles {
        lab.grant(&user, role, &format!("projects/{project}")).await;
    }
    (user, project)
}

async fn about(lab: &Lab, user: &User, trust: &str) -> Value {
    let token = lab.token(&user.name, For::Nothing).await.0;
    let answer = lab
        .call(
            Method::GET,
            &format!("/OS-TRUST/trusts/{trust}"),
            &token,
            None,
        )
        .await;
    answer.json::<Value>().await.unwrap()["trust"].clone()
}

fn roles(trust: &Value) -> BTreeSet<&str> {
    trust["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["name"].as_str().unwrap())
        .collect()
}

fn all_roles(config: &mut Config) {
    config.centralized_scheduler.trusts_delegated_roles = Vec::new();
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_trust_is_made_once_reused_and_deleted() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member"]).await;
    let (keystone, trusts) = trusts(&lab.url, |_| ());
    let caller = context(&lab, &keystone, &user, For::Project("demo")).await;

    let made = trusts.create_or_reuse(&caller, &project).await.unwrap();
    assert!(made.created);
    assert_eq!(made.trustor_user_id, user.id);
    let trust = about(&lab, &user, &made.id).await;
    assert_eq!(trust["trustee_user_id"], lab.id("users", "freezer").await);
    assert_eq!(trust["project_id"], project);
    assert_eq!(
        (&trust["impersonation"], &trust["expires_at"]),
        (&json!(false), &json!(null))
    );
    assert_eq!(trust["redelegation_count"], 0);
    assert_eq!(roles(&trust), BTreeSet::from(["member"]));

    let reused = trusts.create_or_reuse(&caller, &project).await.unwrap();
    assert_eq!((&reused.id, reused.created), (&made.id, false));
    assert_eq!(lab.trusts(&user).await, [made.id.as_str()]);

    // The trustee can use it.
    let freezer = json!({"name": "freezer", "domain": {"id": "default"}, "password": "freezer"});
    let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": freezer}},
                               "scope": {"OS-TRUST:trust": {"id": made.id}}}});
    let answer = lab
        .http
        .post(format!("{}/auth/tokens", lab.url))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);

    assert!(!format!("{made:?}").contains(&made.id));
    trusts.delete(&caller, &made.id, &project).await.unwrap();
    assert!(lab.trusts(&user).await.is_empty());
    trusts
        .delete(&caller, &made.id, &project)
        .await
        .expect("it is gone, as wanted");
    lab.drop_user(&user).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_token_for_another_project_is_changed_into_one_for_the_jobs() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member", "reader"]).await;
    let service = lab.id("projects", "service").await;
    lab.grant(&user, "admin", &format!("projects/{service}"))
        .await;
    let (keystone, trusts) = trusts(&lab.url, all_roles);
    let caller = context(&lab, &keystone, &user, For::Project("service")).await;
    let made = trusts.create_or_reuse(&caller, &project).await.unwrap();
    let trust = about(&lab, &user, &made.id).await;
    assert_eq!(trust["project_id"], project);
    assert_eq!(
        roles(&trust),
        BTreeSet::from(["member", "reader"]),
        "the roles of the job's project, not the token's"
    );
    trusts.delete(&caller, &made.id, &project).await.unwrap();
    assert!(lab.trusts(&user).await.is_empty());
    lab.drop_user(&user).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_trust_with_fewer_roles_or_with_an_end_is_not_reused() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member", "reader"]).await;
    let (keystone, trusts) = trusts(&lab.url, |_| ());
    let caller = context(&lab, &keystone, &user, For::Project("demo")).await;
    let token = lab.token(&user.name, For::Project("demo")).await.0;
    let trustee = lab.id("users", "freezer").await;
    for change in [
        json!({"roles": [{"name": "reader"}]}),
        json!({"impersonation": true}),
        json!({"expires_at": "2099-01-01T00:00:00.000000Z"}),
        json!({"remaining_uses": 5}),
    ] {
        let mut trust = json!({"trustor_user_id": user.id, "trustee_user_id": trustee, "project_id": project,
                               "impersonation": false, "roles": [{"name": "member"}]});
        trust
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let made = lab
            .call(
                Method::POST,
                "/OS-TRUST/trusts",
                &token,
                Some(json!({"trust": trust})),
            )
            .await;
        assert_eq!(
            made.status(),
            201,
            "{change}: {}",
            made.text().await.unwrap()
        );
    }
    let made = trusts.create_or_reuse(&caller, &project).await.unwrap();
    assert!(made.created);
    assert_eq!(
        trusts.create_or_reuse(&caller, &project).await.unwrap().id,
        made.id
    );
    assert_eq!(lab.trusts(&user).await.len(), 5);
    lab.drop_user(&user).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn jobs_made_at_once_share_a_trust() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member"]).await;
    let (keystone, trusts) = trusts(&lab.url, |_| ());
    let caller = context(&lab, &keystone, &user, For::Project("demo")).await;
    let jobs = (0..16).map(|_| {
        let (trusts, caller, project) = (trusts.clone(), caller.clone(), project.clone());
        tokio::spawn(async move { trusts.create_or_reuse(&caller, &project).await.unwrap() })
    });
    let mut made = Vec::new();
    for job in jobs.collect::<Vec<_>>() {
        made.push(job.await.unwrap());
    }
    assert_eq!(made.iter().filter(|trust| trust.created).count(), 1);
    assert_eq!(
        made.iter()
            .map(|trust| &trust.id)
            .collect::<BTreeSet<_>>()
            .len(),
        1
    );
    assert_eq!(lab.trusts(&user).await.len(), 1);
    lab.drop_user(&user).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn another_section_names_the_trustee() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member"]).await;
    let scheduler = lab.user().await;
    let service = lab.id("projects", "service").await;
    lab.grant(&scheduler, "member", &format!("projects/{service}"))
        .await;
    let (keystone, trusts) = trusts(&lab.url, |config| {
        config.centralized_scheduler.auth_section = "scheduler".to_owned();
        config.trustee_auth = AuthPlugin {
            username: Some(scheduler.name.clone()),
            password: Some(scheduler.name.as_str().into()),
            ..config.service_auth.clone()
        };
    });
    let caller = context(&lab, &keystone, &user, For::Project("demo")).await;
    let made = trusts.create_or_reuse(&caller, &project).await.unwrap();
    assert_eq!(
        about(&lab, &user, &made.id).await["trustee_user_id"],
        scheduler.id
    );
    lab.drop_user(&user).await;
    lab.drop_user(&scheduler).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn every_failure_has_its_name_and_leaves_nothing() {
    let lab = Lab::find();
    let (reader, project) = user(&lab, &["reader"]).await;
    let proxy = Proxy::start(&lab.url).await;
    let (keystone, trusts) = trusts(&proxy.url(), |_| ());

    let caller = context(&lab, &keystone, &reader, For::Project("demo")).await;
    let missing = trusts.create_or_reuse(&caller, &project).await.unwrap_err();
    assert_eq!(missing, TrustError::RolesMissing(vec!["member".to_owned()]));

    let token = lab.admin().await;
    let admin = keystone
        .authenticate(Some(&token), None, "POST", "/")
        .await
        .unwrap();
    let other = lab.id("projects", "other").await;
    for elsewhere in [other.as_str(), "no-such-project", ""] {
        let outcome = trusts.create_or_reuse(&admin, elsewhere).await;
        assert_eq!(
            outcome,
            Err(TrustError::NoAccess {
                project_id: elsewhere.to_owned()
            })
        );
    }

    // An application credential that is restricted, as they are by default, makes no trusts.
    let credential = lab.application_credential(json!({})).await;
    let limited = keystone
        .authenticate(Some(&credential.token), None, "POST", "/")
        .await
        .unwrap();
    assert_eq!(
        trusts.create_or_reuse(&limited, &project).await,
        Err(TrustError::Refused(403))
    );
    lab.drop_application_credential(&credential).await;

    // A trust of somebody else.
    let (owner, _) = user(&lab, &["member"]).await;
    let owners = context(&lab, &keystone, &owner, For::Project("demo")).await;
    let made = trusts.create_or_reuse(&owners, &project).await.unwrap();
    assert_eq!(
        trusts.delete(&caller, &made.id, &project).await,
        Err(TrustError::Refused(403))
    );
    assert_eq!(
        trusts.delete(&caller, "../users", &project).await,
        Ok(()),
        "an odd id is an id that does not exist"
    );
    assert_eq!(lab.trusts(&owner).await, [made.id.as_str()]);

    proxy.interfere(|request| {
        request
            .uri()
            .path()
            .ends_with("/trusts")
            .then(|| answer(503, &[], ""))
    });
    assert_eq!(
        trusts.create_or_reuse(&caller, &project).await,
        Err(TrustError::Unavailable)
    );
    proxy.stop().await;
    assert_eq!(
        trusts.create_or_reuse(&caller, &project).await,
        Err(TrustError::Unavailable)
    );
    assert_eq!(
        trusts.create_or_reuse(&caller, &other).await,
        Err(TrustError::Unavailable)
    );
    assert_eq!(
        trusts.delete(&owners, &made.id, &project).await,
        Err(TrustError::Unavailable)
    );
    assert!(lab.trusts(&reader).await.is_empty());
    lab.drop_user(&owner).await;
    lab.drop_user(&reader).await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_trustee_that_cannot_log_in_is_named() {
    let lab = Lab::find();
    let (user, project) = user(&lab, &["member"]).await;
    let (keystone, trusts): (_, std::sync::Arc<Trusts>) = trusts(&lab.url, |config| {
        config.centralized_scheduler.auth_section = "scheduler".to_owned();
        config.trustee_auth = AuthPlugin {
            password: Some("wrong".into()),
            ..config.service_auth.clone()
        };
    });
    let caller = context(&lab, &keystone, &user, For::Project("demo")).await;
    assert_eq!(
        trusts.create_or_reuse(&caller, &project).await,
        Err(TrustError::NoTrustee)
    );
    lab.drop_user(&user).await;
}
