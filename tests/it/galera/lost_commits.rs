//! A transaction of which nobody knows whether it will be committed is ruled out from another node.

use freezer_api::store::Tx;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{cluster, connect, servers};
use crate::support::Service;

async fn overtake(service: &Service, job_id: &str) {
    let job_id = job_id.to_owned();
    let store = &service.api.catalogue.store;
    let overtaking = store.write("overtaking", async move |tx: &mut Tx| {
        tx.overtake_job(&job_id).await
    });
    overtaking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Galera: ./test starts it"]
async fn a_lost_commit_is_ruled_out_from_another_node() {
    let (database, urls) = cluster().await;
    let servers = servers(&database, &urls).await;
    servers[0].client("c").await;
    let known = servers[0].job("c").await;
    let insert = "INSERT INTO jobs (id, project_id, user_id, client_id, deleted) VALUES ('new', 'p1', 'u', 'c', FALSE)";
    let update = format!("UPDATE jobs SET description = 'late' WHERE id = '{known}'");
    for (job_id, statement) in [("new", insert), (&*known, &*update)] {
        let mut lost = connect(&urls[0]).await;
        lost.execute("BEGIN").await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        lost.execute(statement).await.unwrap();
        overtake(&servers[1], job_id).await;
        lost.execute("COMMIT").await.unwrap_err();
    }
    let stored = database.rows("jobs", "id = 'new' OR description = 'late'");
    assert_eq!(stored.await, 0);
    assert_eq!(database.rows("jobs", "1 = 1").await, 1);
}
