//! Jobs of central clients run under trusts of a real Keystone: made with the job, gone with the last one, and never
//! half-made.

use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::keystone::trusts;
use crate::support::{Database, engines};

/// The trust that a job's document shows.
async fn trust_of(cloud: &Cloud, job_id: &str) -> Option<String> {
    let member = &cloud.tokens.member;
    let job = cloud
        .get(member, &member.project, &format!("jobs/{job_id}"))
        .await
        .expect(200)
        .json();
    job["user_credentials"]["trust_id"]
        .as_str()
        .map(str::to_owned)
}

async fn create_job(cloud: &Cloud, job: Value, status: u16) {
    let member = &cloud.tokens.member;
    cloud
        .post(member, &member.project, "jobs", job)
        .await
        .expect(status);
}

async fn delete_job(cloud: &Cloud, job_id: &str) {
    let member = &cloud.tokens.member;
    let path = format!("jobs/{job_id}");
    cloud
        .ask(member, "DELETE", &member.project, &path, Value::Null)
        .await
        .expect(204);
}

async fn move_job(cloud: &Cloud, job_id: &str, client_id: &str) {
    let member = &cloud.tokens.member;
    let path = format!("jobs/{job_id}");
    let change = json!({"client_id": client_id});
    cloud
        .ask(member, "PATCH", &member.project, &path, change)
        .await
        .expect(200);
}

/// One engine after the other: the trusts of a user in a project are the same for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Keystone: ./test starts it"]
async fn trusts_come_and_go_with_jobs() {
    for engine in engines() {
        let database = Database::create(engine).await;
        let cloud = Cloud::with(&database, |config| {
            config.centralized_scheduler.enabled = true
        })
        .await;
        let (admin, member) = (&cloud.tokens.admin, &cloud.tokens.member);
        let central = json!({"client_id": "central", "hostname": "central", "is_central": true});
        cloud
            .post(admin, &admin.project, "clients", central)
            .await
            .expect(201);
        cloud
            .post(
                member,
                &member.project,
                "clients",
                json!({"client_id": "own"}),
            )
            .await
            .expect(201);
        let before = trusts(member).await;

        // One trust for all jobs of a user in a project; it goes with the last of them.
        let on = |client_id: &str, job_id: &str| json!({"client_id": client_id, "job_id": job_id, "job_actions": []});
        create_job(&cloud, on("central", "j1"), 201).await;
        let trust = trust_of(&cloud, "j1")
            .await
            .expect("a job of a central client has a trust");
        assert!(trusts(member).await.contains(&trust));
        create_job(&cloud, on("central", "j2"), 201).await;
        assert_eq!(trust_of(&cloud, "j2").await.as_ref(), Some(&trust));
        delete_job(&cloud, "j1").await;
        assert!(
            trusts(member).await.contains(&trust),
            "another job still runs under it"
        );
        delete_job(&cloud, "j2").await;
        assert_eq!(trusts(member).await, before);

        // A refused job leaves no trust, and no job.
        let refused = json!({"client_id": "central", "job_id": "j3", "job_actions": [{"action_id": "missing"}]});
        create_job(&cloud, refused, 422).await;
        assert_eq!(trusts(member).await, before);
        cloud
            .get(member, &member.project, "jobs/j3")
            .await
            .refused(404, "Not Found");

        // Nobody delegates roles that they do not have: an administrator without one in the project gets no job.
        let answer = cloud
            .post(admin, &member.project, "jobs", on("central", "j4"))
            .await;
        answer.refused(422, "Missing required credentials");
        cloud
            .get(member, &member.project, "jobs/j4")
            .await
            .refused(404, "Not Found");

        // A job that comes to a central client gets a trust, one that leaves gives it up.
        create_job(&cloud, on("own", "j5"), 201).await;
        assert_eq!(trust_of(&cloud, "j5").await, None);
        move_job(&cloud, "j5", "central").await;
        let trust = trust_of(&cloud, "j5")
            .await
            .expect("it came to a central client");
        assert!(trusts(member).await.contains(&trust));
        move_job(&cloud, "j5", "own").await;
        assert_eq!(trust_of(&cloud, "j5").await, None);
        assert_eq!(trusts(member).await, before);

        // Whoever makes many jobs at once gets one trust, and none is left when all are gone.
        let names: Vec<String> = (0..8).map(|number| format!("many{number}")).collect();
        let making = names
            .iter()
            .map(|name| create_job(&cloud, on("central", name), 201));
        futures_util::future::join_all(making).await;
        futures_util::future::join_all(names.iter().map(|name| delete_job(&cloud, name))).await;
        assert_eq!(trusts(member).await, before);
    }
}
