//! One tenant against another, with tokens of a real Keystone: what is in a project is neither seen nor changed from another
//! one, by whatever name or reference; and who may only read changes nothing.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::cloud::Cloud;
use crate::support::keystone::Token;

/// Stands in every document of the victim, and in none of the attacker's requests.
const SECRET: &str = "only-the-victim-knows";

const DOCUMENTS: [&str; 5] = [
    "clients/victim",
    "actions/va",
    "jobs/vj",
    "sessions/vs",
    "backups",
];

/// A document of each kind, which refer to each other: a session of a job with an action on a client.
async fn settle(cloud: &Cloud, owner: &Token, prefix: &str, client: &str, text: &str) {
    let post = async |path: &str, body: Value| {
        cloud
            .post(owner, &owner.project, path, body)
            .await
            .expect(201)
    };
    post("clients", json!({"client_id": client, "description": text})).await;
    let action = json!({"action_id": format!("{prefix}a"), "freezer_action": {"action": "exec", "note": text}});
    post("actions", action).await;
    let entries = json!([{"action_id": format!("{prefix}a")}]);
    post("jobs", json!({"job_id": format!("{prefix}j"), "client_id": client, "job_actions": entries, "description": text})).await;
    let session = json!({"schedule": {}, "session_tag": 0, "description": text});
    post(&format!("sessions/{prefix}s"), session).await;
    post(
        "backups",
        json!({"backup_name": text, "container": "c", "hostname": "h"}),
    )
    .await;
    let member = format!("sessions/{prefix}s/jobs/{prefix}j");
    cloud
        .ask(owner, "PUT", &owner.project, &member, Value::Null)
        .await
        .expect(204);
}

/// All that the victim has.
async fn belongings(cloud: &Cloud, owner: &Token) -> Vec<Value> {
    let mut documents = Vec::new();
    for path in DOCUMENTS {
        documents.push(
            cloud
                .get(owner, &owner.project, path)
                .await
                .expect(200)
                .json(),
        );
    }
    documents
}

/// Requests that change a document, with valid bodies.
fn writes(
    session: &str,
    job: &str,
    action: &str,
    client: &str,
    backup: &str,
) -> Vec<(&'static str, String, Value)> {
    let full_job = json!({"client_id": client, "job_actions": [{"action_id": action}]});
    let full_session = json!({"schedule": {}, "session_tag": 0});
    vec![
        ("POST", "clients".to_owned(), json!({"client_id": client})),
        ("DELETE", format!("clients/{client}"), Value::Null),
        (
            "PATCH",
            format!("actions/{action}"),
            json!({"max_retries": 9}),
        ),
        (
            "POST",
            format!("actions/{action}"),
            json!({"freezer_action": {"action": "exec"}}),
        ),
        ("DELETE", format!("actions/{action}"), Value::Null),
        (
            "PATCH",
            format!("jobs/{job}"),
            json!({"description": "mine"}),
        ),
        ("POST", format!("jobs/{job}"), full_job),
        ("POST", format!("jobs/{job}/event"), json!({"start": null})),
        ("DELETE", format!("jobs/{job}"), Value::Null),
        (
            "PATCH",
            format!("sessions/{session}"),
            json!({"description": "mine"}),
        ),
        ("POST", format!("sessions/{session}"), full_session),
        (
            "POST",
            format!("sessions/{session}/action"),
            json!({"start": {"job_id": job, "current_tag": 0}}),
        ),
        (
            "POST",
            format!("sessions/{session}/action"),
            json!({"end": {"job_id": job, "result": "success"}}),
        ),
        ("PUT", format!("sessions/{session}/jobs/{job}"), Value::Null),
        (
            "DELETE",
            format!("sessions/{session}/jobs/{job}"),
            Value::Null,
        ),
        ("DELETE", format!("sessions/{session}"), Value::Null),
        (
            "PATCH",
            format!("backups/{backup}"),
            json!({"status": "error"}),
        ),
        ("DELETE", format!("backups/{backup}"), Value::Null),
    ]
}

/// Requests that bring something of the victim into something of the attacker's.
fn references(victim: &Token) -> Vec<(&'static str, String, Value, &'static [u16])> {
    let job = |client: &str, action: &str| json!({"client_id": client, "job_actions": [{"action_id": action}]});
    vec![
        ("POST", "jobs".to_owned(), job("victim", "aa"), &[422]),
        ("POST", "jobs".to_owned(), job("attacker", "va"), &[422]),
        ("POST", "jobs/aj".to_owned(), job("attacker", "va"), &[422]),
        (
            "PATCH",
            "jobs/aj".to_owned(),
            json!({"client_id": "victim"}),
            &[422],
        ),
        (
            "PATCH",
            "jobs/aj".to_owned(),
            json!({"job_actions": [{"action_id": "va"}]}),
            &[422],
        ),
        (
            "PATCH",
            "jobs/aj".to_owned(),
            json!({"job_actions": [{"action_id": "va", "freezer_action": {"action": "exec"}}]}),
            &[409, 422],
        ),
        (
            "POST",
            "jobs".to_owned(),
            json!({"job_id": "vj", "client_id": "attacker", "job_actions": []}),
            &[409],
        ),
        (
            "POST",
            "actions".to_owned(),
            json!({"action_id": "va", "freezer_action": {"action": "exec"}}),
            &[409],
        ),
        ("PUT", "sessions/as/jobs/vj".to_owned(), Value::Null, &[404]),
        ("PUT", "sessions/vs/jobs/aj".to_owned(), Value::Null, &[404]),
        (
            "DELETE",
            "sessions/vs/jobs/aj".to_owned(),
            Value::Null,
            &[404],
        ),
        (
            "DELETE",
            "sessions/as/jobs/vj".to_owned(),
            Value::Null,
            &[404],
        ),
        // A session's members are its own words; no job follows from them.
        (
            "PATCH",
            "sessions/as".to_owned(),
            json!({"jobs": {"vj": {"status": "running"}}}),
            &[200],
        ),
        (
            "POST",
            "sessions/as/action".to_owned(),
            json!({"start": {"job_id": "vj", "current_tag": 0}}),
            &[202, 404, 422],
        ),
        (
            "POST",
            "sessions/as/action".to_owned(),
            json!({"end": {"job_id": "vj", "result": "fail"}}),
            &[202, 404, 422],
        ),
        (
            "PATCH",
            "jobs/aj".to_owned(),
            json!({"session_id": "vs", "session_tag": 7}),
            &[200, 404, 422],
        ),
        ("DELETE", "jobs/aj".to_owned(), Value::Null, &[204]),
        (
            "PATCH",
            "sessions/as".to_owned(),
            json!({"project_id": victim.project}),
            &[400],
        ),
        (
            "PATCH",
            "backups/as".to_owned(),
            json!({"project_id": victim.project}),
            &[400, 404],
        ),
    ]
}

/// Lists of the attacker that ask for more than its own.
async fn lists(cloud: &Cloud, attacker: &Token, victim: &Token) -> Vec<Answer> {
    let mut answers = Vec::new();
    for kind in ["clients", "actions", "jobs", "sessions", "backups"] {
        for query in [
            "limit=1000".to_owned(),
            "all_projects=false".to_owned(),
            "all_tenants=1".to_owned(),
            format!("project_id={}", victim.project),
            format!("tenant={0}&tenant_id={0}&project={0}", victim.project),
        ] {
            answers.push(
                cloud
                    .get(attacker, &attacker.project, &format!("{kind}?{query}"))
                    .await
                    .expect(200),
            );
        }
        let ids = json!([{"job_id": "vj"}, {"action_id": "va"}, {"session_id": "vs"}, {"client_id": "victim"}]);
        for pair in ids.as_array().unwrap().iter().cloned().chain([
            json!({"project_id": victim.project}),
            json!({"description": SECRET}),
            json!({"backup_name": SECRET}),
            json!({"note": SECRET}),
            json!({"_all": format!("[{{\"project_id\": \"{}\"}}]", victim.project)}),
            json!({"_all": "x"}),
        ]) {
            for search in [
                json!({"match": [pair]}),
                json!({"match_not": [pair, {"project_id": attacker.project}]}),
            ] {
                answers.push(
                    cloud
                        .ask(attacker, "GET", &attacker.project, kind, search)
                        .await
                        .expect(200),
                );
            }
        }
    }
    answers
}

on_each_engine! {
    needs "needs Keystone: ./test starts it":
    async fn no_tenant_reaches_another(database: Database) {
        let cloud = Cloud::start(&database).await;
        let (victim, attacker) = (&cloud.tokens.member, &cloud.tokens.other);
        settle(&cloud, victim, "v", "victim", SECRET).await;
        settle(&cloud, attacker, "a", "attacker", "plain").await;
        let before = belongings(&cloud, victim).await;
        let backup = before[4]["backups"][0]["backup_id"].as_str().unwrap();
        let keeps_its_own = async |answer: &Answer, what: &str| {
            assert!(!answer.text().contains(SECRET), "{what}: {}", answer.text());
            assert_eq!(belongings(&cloud, victim).await, before, "{what}: {}", answer.text());
        };
        for path in ["clients/victim", "actions/va", "jobs/vj", "sessions/vs", &format!("backups/{backup}")] {
            cloud.get(attacker, &attacker.project, path).await.refused(404, "Not Found");
            // The victim's own path is the victim's alone, and so is every spelling of it.
            for project in [victim.project.clone(), format!("{}/../{}", attacker.project, victim.project), format!("{}%2f..%2f{}", attacker.project, victim.project)] {
                cloud.get(attacker, &project, path).await.refused(403, "Access Forbidden");
            }
        }
        for (method, path, body) in writes("vs", "vj", "va", "victim", backup) {
            let what = format!("{method} {path} {body}");
            let answer = cloud.ask(attacker, method, &attacker.project, &path, body.clone()).await;
            match (method, path.as_str()) {
                // A client of that name of its own, and deletions of nothing.
                ("POST", "clients") => assert_eq!(answer.status, 201, "{what}"),
                ("DELETE", _) if !path.contains("/jobs/") => assert!(matches!(answer.status, 204 | 404), "{what}: {}", answer.status),
                _ => assert!(matches!(answer.status, 404 | 409 | 422), "{what}: {} {}", answer.status, answer.text()),
            }
            keeps_its_own(&answer, &what).await;
            let answer = cloud.ask(attacker, method, &victim.project, &path, body).await;
            assert_eq!(answer.status, 403, "{what}");
            keeps_its_own(&answer, &what).await;
        }
        for (method, path, body, statuses) in references(victim) {
            let what = format!("{method} {path} {body}");
            let answer = cloud.ask(attacker, method, &attacker.project, &path, body).await;
            assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
            keeps_its_own(&answer, &what).await;
        }
        for answer in lists(&cloud, attacker, victim).await {
            assert!(!answer.text().contains(SECRET) && !answer.text().contains(&victim.project), "{}", answer.text());
        }
        let all = cloud.get(attacker, &attacker.project, "jobs?all_projects=true").await;
        assert!(all.status == 403 || !all.text().contains(SECRET), "{}", all.text());
    }

    async fn who_may_read_changes_nothing(database: Database) {
        let cloud = Cloud::start(&database).await;
        let (owner, reader) = (&cloud.tokens.member, &cloud.tokens.reader);
        settle(&cloud, owner, "v", "victim", SECRET).await;
        let before = belongings(&cloud, owner).await;
        let backup = before[4]["backups"][0]["backup_id"].as_str().unwrap();
        let new = [
            ("POST", "actions".to_owned(), json!({"freezer_action": {"action": "exec"}})),
            ("POST", "jobs".to_owned(), json!({"client_id": "victim", "job_actions": []})),
            ("POST", "sessions".to_owned(), json!({"schedule": {}})),
            ("POST", "backups".to_owned(), json!({"backup_name": "b", "container": "c", "hostname": "h"})),
        ];
        for (method, path, body) in writes("vs", "vj", "va", "victim", backup).into_iter().chain(new) {
            cloud.ask(reader, method, &reader.project, &path, body).await.refused(403, "Access Forbidden");
            assert_eq!(belongings(&cloud, owner).await, before, "{method} {path}");
        }
    }
}
