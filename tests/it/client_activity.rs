//! When schedulers polled: what is seen of it, and what is written.

use std::sync::Arc;
use std::time::Duration;

use freezer_api::store::HeldLease;
use serde_json::{Value, json};

use crate::server::start;
use crate::support::api::{START, request};
use crate::support::{Database, Service};

/// The search with which schedulers ask for their jobs.
pub(crate) fn poll_of(client_id: &str) -> Value {
    json!({"match": [{"client_id": client_id}], "match_not": [{"status": "completed"}]})
}

/// Asks for the jobs of a client, as its scheduler does.
pub(crate) async fn poll(service: &Service, client_id: &str) {
    let path = "jobs?limit=10&offset=0&all_projects=False";
    let list = service.search(path, poll_of(client_id)).await;
    list.expect(200);
}

/// How many clients a service writes of.
pub(crate) async fn write(service: &Service) -> usize {
    service.api.catalogue.write_activity().await.unwrap()
}

/// Whether there is one row of a client, and it is so.
async fn is_written(database: &Database, condition: &str) -> bool {
    let condition = format!("client_id = 'host1' AND {condition}");
    database
        .rows("freezer_api_client_activity", &condition)
        .await
        == 1
}

on_each_engine! {
    async fn polls_are_written_in_batches(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        poll(&service, "host1").await;
        assert!(!is_written(&database, "1 = 1").await);
        assert_eq!(write(&service).await, 1);
        assert!(is_written(&database, &format!("project_id = 'p1' AND last_poll_at = {START} AND polls = 1")).await);
        assert!(is_written(&database, "poll_interval IS NULL AND restarts = 0 AND addresses = 0").await);
        assert_eq!(write(&service).await, 0);
        // More than one statement takes.
        for number in 0..501 {
            service.client(&format!("many{number}")).await;
            poll(&service, &format!("many{number}")).await;
        }
        assert_eq!(write(&service).await, 501);
        assert_eq!(database.rows("freezer_api_client_activity", "polls = 1").await, 502);
    }

    async fn the_interval_is_learned_on_all_nodes(database: Database) {
        let nodes = [Service::start(&database).await, Service::start(&database).await];
        nodes[0].client("host1").await;
        let mut now = START;
        // The nodes have their turn, and write at other times.
        for round in 0..10 {
            let node = &nodes[round % 2];
            node.clock.advance(now - node.clock.timestamp());
            poll(node, "host1").await;
            write(node).await;
            now += 600;
        }
        assert!(is_written(&database, "poll_interval = 600 AND polls = 10").await);
        // What another node has seen before is written after.
        let node = &nodes[1];
        node.clock.advance(START - node.clock.timestamp());
        poll(node, "host1").await;
        write(node).await;
        assert!(is_written(&database, &format!("poll_interval = 600 AND polls = 11 AND last_poll_at = {}", now - 600)).await);
        // A day of silence is no habit.
        let node = &nodes[0];
        node.clock.advance(now + 86_400 - node.clock.timestamp());
        poll(node, "host1").await;
        write(node).await;
        assert!(is_written(&database, "poll_interval = 2400").await);
        for interval in [1200, 600, 300, 150, 75, 60] {
            node.clock.advance(60);
            poll(node, "host1").await;
            write(node).await;
            assert!(is_written(&database, &format!("poll_interval = {interval}")).await, "{interval}");
        }
        // After a restart it may be another one.
        node.client("host1").await;
        poll(node, "host1").await;
        node.clock.advance(3600);
        poll(node, "host1").await;
        write(node).await;
        assert!(is_written(&database, "poll_interval = 3600 AND restarts = 1").await);
    }

    async fn only_polls_of_registered_clients_count(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.yaml");
        std::fs::write(&policy, "\"jobs:update\": \"project_id:p1\"\n").unwrap();
        let service = Service::with(&database, |config| config.oslo_policy.policy_file = policy).await;
        service.client("host1").await;
        let long = "c".repeat(256);
        for (path, search) in [
            ("jobs?limit=10&offset=0", json!({"match": [{"client_id": "host1"}]})),
            ("jobs?limit=10&offset=0", json!({"match": [{"client_id": "host1"}, {"status": ""}], "match_not": [{"status": "completed"}]})),
            ("jobs?limit=10&offset=0", json!({"match": [{"client_id": "host1"}], "match_not": [{"status": "stop"}]})),
            ("jobs?limit=10&offset=0", json!({"match": [{"client_id": 1}], "match_not": [{"status": "completed"}]})),
            ("jobs?limit=10&offset=0", poll_of("nobody")),
            ("jobs?limit=10&offset=0", poll_of(&long)),
            ("jobs?limit=10&offset=10", poll_of("host1")),
            ("jobs?limit=10&sort=created_at:asc", poll_of("host1")),
            ("sessions?limit=10", poll_of("host1")),
            // Who may not change jobs is no scheduler of theirs; and the client is of another project.
            ("/v2/p2/jobs?limit=10&offset=0", poll_of("host1")),
            ("/v2/p3/jobs?limit=10&offset=0&all_projects=true", poll_of("host1")),
        ] {
            service.search(path, search).await.expect(200);
        }
        assert_eq!(write(&service).await, 0);
        assert_eq!(database.rows("freezer_api_client_activity", "1 = 1").await, 0);
        poll(&service, "host1").await;
        service.delete("clients/host1").await.expect(204);
        assert_eq!(write(&service).await, 0);
    }

    async fn schedulers_of_one_name_have_several_addresses(database: Database) {
        let service = Service::with(&database, |config| config.oslo_middleware.enable_proxy_headers_parsing = true).await;
        service.client("host1").await;
        let from = async |address: &str| {
            let uri = "/v2/p1/jobs?limit=10&offset=0";
            let poll = request("GET", uri, &[("x-forwarded-for", address)], poll_of("host1").to_string());
            service.send(poll).await.expect(200);
        };
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1"] {
            from(address).await;
        }
        write(&service).await;
        assert!(is_written(&database, "addresses = 3").await);
        from("192.0.2.1").await;
        write(&service).await;
        assert!(is_written(&database, "addresses = 3").await);
        service.clock.advance(3600);
        for number in 0..20 {
            from(&format!("192.0.2.{number}")).await;
        }
        write(&service).await;
        assert!(is_written(&database, "addresses = 8").await);
    }

    async fn agents_say_what_they_are(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let job_id = service.job("host1").await;
        let backup = |job_id: &str, os: Value| json!({
            "backup_name": "b", "container": "c", "hostname": "h", "job_id": job_id, "client_os": os, "client_version": "19.0.0",
        });
        service.post("backups", backup(&job_id, json!("linux"))).await.expect(201);
        service.post("backups", backup("none", json!("other"))).await.expect(201);
        // Of another project's job it is not believed.
        service.post("/v2/p2/backups", backup(&job_id, json!("other"))).await.expect(201);
        write(&service).await;
        assert_eq!(database.rows("freezer_api_client_activity", "1 = 1").await, 0);
        service.post("backups", backup(&job_id, json!("linux"))).await.expect(201);
        write(&service).await;
        assert!(is_written(&database, "os = 'linux' AND agent_version = '19.0.0' AND polls = 0 AND last_poll_at IS NULL").await);
        poll(&service, "host1").await;
        write(&service).await;
        assert!(is_written(&database, &format!("os = 'linux' AND last_poll_at = {START}")).await);
    }

    async fn what_cannot_be_written_is_kept(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        poll(&service, "host1").await;
        database.run("ALTER TABLE freezer_api_client_activity RENAME TO elsewhere".to_owned()).await;
        service.api.catalogue.write_activity().await.unwrap_err();
        database.run("ALTER TABLE elsewhere RENAME TO freezer_api_client_activity".to_owned()).await;
        service.clock.advance(60);
        poll(&service, "host1").await;
        assert_eq!(write(&service).await, 1);
        assert!(is_written(&database, "polls = 2 AND poll_interval = 60").await);
    }

    async fn a_server_that_ends_writes_what_it_has_seen(database: Database) {
        let server = start(&database, "");
        let service = Service::start(&database).await;
        service.client("host1").await;
        let poll = poll_of("host1").to_string();
        let text = crate::server::request("GET", "/v2/p1/jobs?limit=10&offset=0", &poll);
        let mut connection = crate::server::Connection(crate::stops::tcp(server.address()).unwrap());
        std::io::Write::write_all(&mut connection.0, text.as_bytes()).unwrap();
        assert_eq!(connection.answer().unwrap().status, 200);
        drop(connection);
        server.stop();
        assert!(is_written(&database, "polls = 1 AND addresses = 1").await);
    }

    async fn many_nodes_count_each_poll_once(database: Database) {
        const NODES: usize = 4;
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(Arc::new(Service::start(&database).await));
        }
        for name in ["host1", "host2", "host3"] {
            nodes[0].client(name).await;
        }
        write_at_once(&nodes, 10).await;
        let all = format!("polls = {}", NODES * 10);
        assert_eq!(database.rows("freezer_api_client_activity", &all).await, 3);
    }

    async fn one_node_holds_a_lease(database: Database) {
        let nodes = [Service::start(&database).await, Service::start(&database).await];
        let hold = async |node: usize, at: i64| {
            let service = &nodes[node];
            service.clock.advance(START + at - service.clock.timestamp());
            let holder = format!("node{node}");
            service.api.catalogue.hold_lease("rounds", holder, 20).await.unwrap()
        };
        let first = Some(HeldLease { since: START });
        assert_eq!(hold(0, 0).await, first);
        assert_eq!(hold(1, 5).await, None);
        assert_eq!(hold(0, 15).await, first);
        assert_eq!(hold(1, 35).await, None);
        // It is held on without a gap.
        assert_eq!(hold(1, 36).await, first);
        let finish = async |node: usize| {
            let catalogue = &nodes[node].api.catalogue;
            catalogue.finish_lease("rounds", format!("node{node}")).await.unwrap();
            catalogue.lease_done_at("rounds").await.unwrap()
        };
        assert_eq!(finish(0).await, None);
        assert_eq!(finish(1).await, Some(START + 36));
        assert_eq!(hold(0, 40).await, None);
        nodes[1].api.catalogue.release_lease("rounds", "node1".to_owned()).await.unwrap();
        assert_eq!(hold(0, 40).await, first);
        // Nobody did for too long.
        let late = Some(HeldLease { since: START + 121 });
        assert_eq!(hold(1, 121).await, late);
    }

    async fn of_many_that_want_a_lease_one_gets_it(database: Database) {
        let service = Service::start(&database).await;
        let holds = (0..16).map(|number| {
            let holder = format!("node{number}");
            service.api.catalogue.hold_lease("rounds", holder, 20)
        });
        let held = futures_util::future::join_all(holds).await;
        let held = held.into_iter().filter(|held| held.as_ref().unwrap().is_some());
        assert_eq!(held.count(), 1);
    }
}

/// Polls of three clients on all nodes, all of which write at once, so many times.
pub(crate) async fn write_at_once(nodes: &[Arc<Service>], rounds: usize) {
    for _ in 0..rounds {
        let mut tasks = Vec::new();
        for node in nodes {
            for name in ["host1", "host2", "host3"] {
                poll(node, name).await;
            }
            let node = Arc::clone(node);
            tasks.push(tokio::spawn(async move { write(&node).await }));
        }
        for task in tasks {
            let writing = tokio::time::timeout(Duration::from_secs(60), task);
            assert_eq!(writing.await.unwrap().unwrap(), 3);
        }
    }
}
