//! Jobs of central clients run under trusts of a real Keystone: made with the job, gone with the last one, and never
//! half-made.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::keystone::trusts;
use crate::support::tcp_proxy::TcpProxy;
use crate::support::{Database, Engine, engines};

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

/// A central client of the administrator, and a private one of the member's project.
async fn register_clients(cloud: &Cloud) {
    let (admin, member) = (&cloud.tokens.admin, &cloud.tokens.member);
    let central = json!({"client_id": "central", "hostname": "central", "is_central": true});
    cloud
        .post(admin, &admin.project, "clients", central)
        .await
        .expect(201);
    let own = json!({"client_id": "own"});
    cloud
        .post(member, &member.project, "clients", own)
        .await
        .expect(201);
}

fn on(client_id: &str, job_id: &str) -> Value {
    json!({"client_id": client_id, "job_id": job_id, "job_actions": []})
}

/// Stores a trust as the Python service stores one that stands in the body of a private client's job.
async fn store_trust(database: &Database, job_id: &str, trust_id: &str) {
    let values = format!("'{job_id}', '{trust_id}', 'somebody', '{job_id}', FALSE");
    let columns = "id, trust_id, trustor_user_id, job_id, deleted";
    database
        .run(format!(
            "INSERT INTO user_credentials ({columns}) VALUES ({values})"
        ))
        .await;
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
        register_clients(&cloud).await;
        let before = trusts(member).await;

        // One trust for all jobs of a user in a project; it goes with the last of them.
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

        no_trust_is_stolen(&database, &cloud).await;
        assert_eq!(trusts(member).await, before);
        two_servers_share_trusts(&database, &cloud).await;
        assert_eq!(trusts(member).await, before);
        if engine != Engine::Sqlite {
            commits_are_lost(&database).await;
            assert_eq!(trusts(member).await, before);
        }
    }
}

/// A central scheduler runs a job with the trust of the job's own user alone, whatever a body says or an older service has
/// stored; and a job of another project that has the trust does not keep it from being deleted.
async fn no_trust_is_stolen(database: &Database, cloud: &Cloud) {
    let member = &cloud.tokens.member;
    let credentials = json!({"trust_id": "stolen", "trustor_user_id": "victim"});
    for (job_id, way) in [("s1", "PATCH"), ("s2", "POST")] {
        let mut job = on("own", job_id);
        job["user_credentials"] = credentials.clone();
        create_job(cloud, job.clone(), 201).await;
        assert_eq!(trust_of(cloud, job_id).await, None, "a body gives no trust");
        store_trust(database, job_id, "stolen").await;
        job["client_id"] = json!("central");
        if way == "PATCH" {
            job = json!({"client_id": "central"});
        }
        let path = format!("jobs/{job_id}");
        let answer = cloud.ask(member, way, &member.project, &path, job).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let trust = trust_of(cloud, job_id).await.expect("a trust");
        assert!(trusts(member).await.contains(&trust), "{way}: {trust}");
    }
    // A trust that was stored for the private client is not taken along to another private one either.
    create_job(cloud, on("own", "s3"), 201).await;
    store_trust(database, "s3", "stolen").await;
    move_job(cloud, "s3", "own").await;
    assert_eq!(trust_of(cloud, "s3").await, None);

    let other = &cloud.tokens.other;
    let clients = json!({"client_id": "others"});
    cloud
        .post(other, &other.project, "clients", clients)
        .await
        .expect(201);
    cloud
        .post(other, &other.project, "jobs", on("others", "thief"))
        .await
        .expect(201);
    let trust = trust_of(cloud, "s1").await.expect("a trust");
    store_trust(database, "thief", &trust).await;
    for job_id in ["s1", "s2", "s3"] {
        delete_job(cloud, job_id).await;
    }
}

/// Two servers on one database: one deletes the last job of a trust while the other makes the next one.
async fn two_servers_share_trusts(database: &Database, first: &Cloud) {
    let enabled =
        |config: &mut freezer_api::config::Config| config.centralized_scheduler.enabled = true;
    let second = Cloud::with(database, enabled).await;
    create_job(first, on("central", "t0"), 201).await;
    for round in 0..8 {
        let (last, next) = (format!("t{round}"), format!("t{}", round + 1));
        let delete = delete_job(first, &last);
        tokio::join!(delete, create_job(&second, on("central", &next), 201));
        let trust = trust_of(first, &next).await.expect("a trust");
        let all = trusts(&first.tokens.member).await;
        assert!(
            all.contains(&trust),
            "round {round}: {trust} is not among {all:?}"
        );
    }
    delete_job(first, "t8").await;
}

/// Connections break during COMMIT. The database carries it out a moment later, or not at all: a job that is there has a trust that
/// exists, and no trust is left.
async fn commits_are_lost(database: &Database) {
    const LATER: Option<Duration> = Some(Duration::from_millis(700));
    let proxy = TcpProxy::start(database.address()).await;
    let cloud = Cloud::with(database, |config| {
        config.centralized_scheduler.enabled = true;
        config.database.connection = Some(database.url_by(proxy.address()).parse().unwrap());
    })
    .await;
    let member = &cloud.tokens.member;
    let before = trusts(member).await;
    let ask = async |method, path: &str, body: Value, status| {
        let answer = cloud.ask(member, method, &member.project, path, body).await;
        answer.expect(status);
        assert!(proxy.has_lost_commit(), "{method} {path}");
    };
    for (job_id, delay) in [("late", LATER), ("never", None)] {
        // The first COMMIT is that of the look whether the job needs a trust.
        proxy.lose_commit(1, delay);
        ask("POST", "jobs", on("central", job_id), 503).await;
        let is_there = database.rows("jobs", &format!("id = '{job_id}'")).await == 1;
        assert_eq!(is_there, delay.is_some(), "{job_id}");
        if is_there {
            let trust = trust_of(&cloud, job_id).await.expect("a trust");
            assert!(trusts(member).await.contains(&trust), "{job_id}");
        } else {
            assert_eq!(trusts(member).await.len(), before.len() + 1);
            create_job(&cloud, on("central", job_id), 201).await;
        }
    }
    delete_job(&cloud, "never").await;
    proxy.lose_commit(0, LATER);
    ask("PATCH", "jobs/late", json!({"client_id": "own"}), 503).await;
    assert_eq!(trust_of(&cloud, "late").await, None);
    assert_eq!(trusts(member).await, before);
    move_job(&cloud, "late", "central").await;
    proxy.lose_commit(0, None);
    ask("PATCH", "jobs/late", json!({"client_id": "own"}), 503).await;
    let trust = trust_of(&cloud, "late").await.expect("a trust");
    assert!(trusts(member).await.contains(&trust));
    proxy.lose_commit(0, LATER);
    ask("DELETE", "jobs/late", Value::Null, 204).await;
    assert_eq!(trusts(member).await, before);
    create_job(&cloud, on("central", "gone"), 201).await;
    proxy.lose_commit(0, None);
    ask("DELETE", "jobs/gone", Value::Null, 204).await;
    assert_eq!(trusts(member).await, before);
    // A server of ours was killed behind the COMMIT: whoever sends the request again has the trust deleted too.
    create_job(&cloud, on("central", "killed"), 201).await;
    for table in ["user_credentials", "jobs"] {
        let deleted = format!(
            "UPDATE {table} SET deleted = TRUE, deleted_at = created_at WHERE deleted = FALSE"
        );
        database.run(deleted).await;
    }
    delete_job(&cloud, "killed").await;
}
