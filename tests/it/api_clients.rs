//! Clients: registration in all its cases, get, delete.

use serde_json::{Value, json};

use crate::support::{Answer, PROJECT, Service};

/// What a client can do that does not say.
fn capabilities() -> Value {
    json!({
        "supported_actions": ["backup", "restore", "info", "admin", "exec"],
        "supported_modes": ["fs", "mongo", "mysql", "sqlserver", "cinder", "glance", "cindernative", "nova"],
        "supported_storages": ["local", "swift", "ssh", "s3", "ftp", "ftps"],
        "supported_engines": ["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"],
    })
}

/// A document with members added or replaced.
fn with(mut document: Value, more: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    document
}

/// Registers a client in a project.
async fn register(service: &Service, project: &str, body: Value) -> Answer {
    service.post(&format!("/v2/{project}/clients"), body).await
}

/// The client of this name that a project sees.
async fn seen(service: &Service, project: &str, client_id: &str) -> Value {
    let answer = service
        .get(&format!("/v2/{project}/clients/{client_id}"))
        .await;
    answer.expect(200).json()
}

/// The uuids of the clients that a project sees, sorted.
async fn uuids(service: &Service, project: &str) -> Vec<String> {
    let list = service
        .get(&format!("/v2/{project}/clients?limit=1000"))
        .await
        .expect(200)
        .json();
    let uuid = |client: &Value| client["client"]["uuid"].as_str().unwrap().to_owned();
    let mut uuids: Vec<String> = list["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(uuid)
        .collect();
    uuids.sort();
    uuids
}

on_each_engine! {
    async fn the_document_has_defaults(database: Database) {
        let service = Service::start(&database).await;
        let answer = register(&service, PROJECT, json!({"client_id": "c", "x": {"y": 1}, "supported_x": 5})).await;
        assert_eq!(answer.expect(201).json(), json!({"client_id": "c"}));
        let client = seen(&service, PROJECT, "c").await;
        let uuid = client["client"]["uuid"].as_str().unwrap();
        assert!(uuid.len() == 32 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{uuid}");
        let plain = json!({
            "uuid": uuid, "hostname": null, "client_id": "c", "is_central": false, "description": null,
        });
        let expected = json!({
            "client": with(plain, capabilities()), "user_id": "dev", "project_id": PROJECT,
        });
        assert_eq!(client, expected);
        let list = service.get("clients").await.expect(200).json();
        assert_eq!(list, json!({"clients": [client]}));
    }

    async fn every_field_is_kept(database: Database) {
        let service = Service::start(&database).await;
        let fields = json!({
            "client_id": "tenant_host-1.example.com", "hostname": "host-1.example.com", "uuid": "my uuid é",
            "description": "😀 \u{1} ü \"quoted\" \\ \n '; --", "is_central": true,
            "supported_actions": ["backup", "backup", "exec"], "supported_modes": [],
            "supported_storages": ["swift"], "supported_engines": ["glance", "tar"],
        });
        register(&service, PROJECT, fields.clone()).await.expect(201);
        let client = seen(&service, PROJECT, "tenant_host-1.example.com").await;
        assert_eq!(client["client"], fields);
    }

    async fn what_is_allowed_and_what_is_not(database: Database) {
        let service = Service::start(&database).await;
        let label = "a".repeat(63);
        let longest = [label.as_str(); 4].join(".").chars().take(255).collect::<String>();
        let allowed = [
            ("client_id", json!("h")),
            ("client_id", json!("H.example.com")),
            ("client_id", json!("9")),
            ("client_id", json!(label)),
            ("client_id", json!(longest)),
            ("client_id", json!("0f1e_h")),
            ("client_id", json!("a_b-c_d_h-1.x")),
            ("client_id", json!("тенант_h")),
            ("client_id", json!("-_h")),
            ("hostname", json!("h")),
            ("hostname", json!("  not anchored: h  ")),
            ("hostname", json!("x".repeat(255))),
            ("hostname", json!("a😀")),
            ("description", json!("")),
            ("description", json!("d".repeat(255))),
            ("description", json!("😀".repeat(255))),
            ("uuid", json!("u".repeat(36))),
            ("uuid", json!("😀")),
            ("supported_actions", json!([])),
            ("supported_modes", json!(["nova"])),
            ("supported_engines", json!(["tar", "tar"])),
            ("is_central", json!(false)),
            ("is_central", json!(true)),
            ("project_id", json!(PROJECT)),
            ("project_id", json!("other")),
            ("user_id", json!("mallory")),
        ];
        for (number, (field, value)) in allowed.into_iter().enumerate() {
            let client = with(json!({"client_id": format!("c{number}")}), json!({field: value}));
            register(&service, PROJECT, client.clone()).await.expect(201);
            let client_id = client["client_id"].as_str().unwrap();
            let escaped = percent_encoding::utf8_percent_encode(client_id, percent_encoding::NON_ALPHANUMERIC);
            let stored = seen(&service, PROJECT, &escaped.to_string()).await;
            assert_eq!(stored["user_id"], "dev");
            if !matches!(field, "project_id" | "user_id") {
                assert_eq!(stored["client"][field], value);
            }
        }
        let before = uuids(&service, PROJECT).await;
        let refused = [
            ("client_id", json!("")),
            ("client_id", json!(null)),
            ("client_id", json!(5)),
            ("client_id", json!(["h"])),
            ("client_id", json!("h\n")),
            ("client_id", json!("\nh")),
            ("client_id", json!("h ")),
            ("client_id", json!("-h")),
            ("client_id", json!("h-")),
            ("client_id", json!(".h")),
            ("client_id", json!("h.")),
            ("client_id", json!("h..x")),
            ("client_id", json!("h_")),
            ("client_id", json!("é")),
            ("client_id", json!("h/x")),
            ("client_id", json!("h\u{0}")),
            ("client_id", json!("a".repeat(64))),
            ("client_id", json!(format!("{longest}.a"))),
            ("client_id", json!(format!("{}_h", "t".repeat(254)))),
            ("hostname", json!("")),
            ("hostname", json!("é")),
            ("hostname", json!("- .")),
            ("hostname", json!(null)),
            ("hostname", json!(1)),
            ("hostname", json!("x".repeat(256))),
            ("hostname", json!("h\u{0}")),
            ("description", json!(null)),
            ("description", json!(5)),
            ("description", json!("d".repeat(256))),
            ("description", json!("😀".repeat(256))),
            ("description", json!("\u{0}")),
            ("uuid", json!(null)),
            ("uuid", json!(7)),
            ("uuid", json!("u".repeat(37))),
            ("uuid", json!("u\u{0}")),
            ("supported_actions", json!(["fly"])),
            ("supported_actions", json!("backup")),
            ("supported_actions", json!(null)),
            ("supported_modes", json!(["FS"])),
            ("supported_modes", json!({"fs": true})),
            ("supported_storages", json!([null])),
            ("supported_storages", json!([["local"]])),
            ("supported_engines", json!(["tar", 5])),
            // The JSON text of a list has 255 characters.
            ("supported_actions", json!(vec!["backup"; 50])),
            ("is_central", json!(null)),
            ("is_central", json!("yes")),
            ("is_central", json!(1)),
            ("is_central", json!(0)),
            ("is_central", json!([])),
        ];
        for (field, value) in refused {
            let client = with(json!({"client_id": "bad"}), json!({field: value}));
            let answer = register(&service, PROJECT, client).await;
            let description = answer.refused(400, "Bad request format");
            assert!(description.contains(field), "{field} {value}: {description}");
            assert!(description.lines().count() == 1 && description.chars().count() < 700, "{description}");
        }
        let answer = register(&service, PROJECT, json!({"hostname": "h"})).await;
        assert_eq!(answer.refused(400, "Bad request format"), "'client_id' is a required property");
        assert_eq!(uuids(&service, PROJECT).await, before, "what is refused leaves nothing");
    }

    async fn registering_again_renews(database: Database) {
        let service = Service::start(&database).await;
        let first = json!({
            "client_id": "c", "hostname": "one", "uuid": "u1", "description": "first", "supported_modes": ["fs"],
        });
        register(&service, PROJECT, first).await.expect(201);
        let again = json!({
            "client_id": "c", "hostname": "two", "uuid": "u2", "description": "second",
            "supported_actions": ["info"], "supported_engines": [],
        });
        register(&service, PROJECT, again).await.expect(201);
        let client = seen(&service, PROJECT, "c").await["client"].clone();
        let kept = json!({"uuid": "u1", "hostname": "one", "client_id": "c", "is_central": false});
        let renewed = json!({"description": "second", "supported_actions": ["info"], "supported_engines": []});
        assert_eq!(client, with(with(kept.clone(), capabilities()), renewed));
        register(&service, PROJECT, json!({"client_id": "c"})).await.expect(201);
        let client = seen(&service, PROJECT, "c").await["client"].clone();
        assert_eq!(client, with(with(kept, capabilities()), json!({"description": null})));
        // The same words do no harm either.
        register(&service, PROJECT, json!({"client_id": "c"})).await.expect(201);
        assert_eq!(uuids(&service, PROJECT).await, ["u1"]);
    }

    async fn a_uuid_is_taken_once(database: Database) {
        let service = Service::start(&database).await;
        register(&service, PROJECT, json!({"client_id": "a", "uuid": "u"})).await.expect(201);
        let taken = async |project: &str, client_id: &str| {
            let answer = register(&service, project, json!({"client_id": client_id, "uuid": "u"})).await;
            answer.refused(409, "Document already existing");
        };
        taken(PROJECT, "b").await;
        taken("p2", "a").await;
        service.delete("clients/a").await.expect(204);
        taken(PROJECT, "a").await;
        taken("p2", "b").await;
        // The uuid compares exactly.
        register(&service, PROJECT, json!({"client_id": "d", "uuid": "U"})).await.expect(201);
        assert_eq!(uuids(&service, PROJECT).await, ["U"]);
    }

    async fn a_deleted_client_comes_back_as_another(database: Database) {
        let service = Service::start(&database).await;
        register(&service, PROJECT, json!({"client_id": "c", "hostname": "one", "uuid": "u1"})).await.expect(201);
        let job = service.job("c").await;
        for _ in 0..2 {
            assert!(service.delete("clients/c").await.expect(204).body.is_empty());
            service.get("clients/c").await.refused(404, "Not Found");
        }
        service.get(&format!("jobs/{job}")).await.expect(200);
        register(&service, PROJECT, json!({"client_id": "c", "hostname": "two", "uuid": "u2"})).await.expect(201);
        let client = seen(&service, PROJECT, "c").await;
        assert_eq!((&client["client"]["uuid"], &client["client"]["hostname"]), (&json!("u2"), &json!("two")));
    }

    async fn names_compare_exactly(database: Database) {
        let service = Service::start(&database).await;
        for name in ["host", "HOST", "é_h", "e_h"] {
            register(&service, PROJECT, json!({"client_id": name, "description": name})).await.expect(201);
        }
        for (path, name) in [("host", "host"), ("HOST", "HOST"), ("%C3%A9_h", "é_h"), ("e_h", "e_h")] {
            assert_eq!(seen(&service, PROJECT, path).await["client"]["description"], name);
        }
        for path in ["Host", "host%20", "%20host", "host%09", "E_h", "hos", "host_", "%", "ho%25t", "h_st"] {
            service.get(&format!("clients/{path}")).await.refused(404, "Not Found");
            service.delete(&format!("clients/{path}")).await.expect(204);
        }
        assert_eq!(uuids(&service, PROJECT).await.len(), 4);
    }

    async fn projects_do_not_see_each_other(database: Database) {
        let service = Service::start(&database).await;
        for project in ["a", "b"] {
            let client = json!({"client_id": "c", "uuid": format!("{project}1"), "description": project});
            register(&service, project, client).await.expect(201);
        }
        assert_eq!(uuids(&service, "a").await, ["a1"]);
        assert_eq!(seen(&service, "b", "c").await["project_id"], "b");
        service.delete("/v2/a/clients/c").await.expect(204);
        service.get("/v2/a/clients/c").await.refused(404, "Not Found");
        assert_eq!(seen(&service, "b", "c").await["client"]["uuid"], "b1");
        service.delete("/v2/x/clients/c").await.expect(204);
        assert_eq!(uuids(&service, "b").await, ["b1"]);
    }

    async fn a_central_client_is_everyones(database: Database) {
        let service = Service::start(&database).await;
        let central = json!({"client_id": "c", "hostname": "h", "is_central": true, "uuid": "u1"});
        register(&service, "a", central.clone()).await.expect(201);
        register(&service, "b", json!({"client_id": "own", "uuid": "u2"})).await.expect(201);
        assert_eq!(uuids(&service, "a").await, ["u1"]);
        assert_eq!(uuids(&service, "b").await, ["u1", "u2"]);
        let client = seen(&service, "b", "c").await;
        assert_eq!((&client["project_id"], &client["client"]["is_central"]), (&json!("a"), &json!(true)));
        service.delete("/v2/b/clients/c").await.refused(403, "Access Forbidden");
        // Neither its pair of names nor its name can be taken by another project.
        for client in [central.clone(), json!({"client_id": "c"}), json!({"client_id": "c", "hostname": "x"})] {
            let description = register(&service, "b", client).await.refused(409, "Document already existing");
            assert_eq!(description, "Client c is already registered by another project");
        }
        // Another host of that name may be central elsewhere.
        let elsewhere = json!({"client_id": "c", "hostname": "other", "is_central": true, "uuid": "u3"});
        register(&service, "b", elsewhere).await.expect(201);
        assert_eq!(uuids(&service, "a").await, ["u1", "u3"]);
        // Its own project renews it, and it stays central, whatever the registration says.
        let renewed = json!({"client_id": "c", "hostname": "h", "description": "again", "uuid": "u9"});
        for is_central in [true, false] {
            register(&service, "a", with(renewed.clone(), json!({"is_central": is_central}))).await.expect(201);
            let client = seen(&service, "a", "c").await["client"].clone();
            assert_eq!(
                [&client["uuid"], &client["is_central"], &client["description"]],
                [&json!("u1"), &json!(true), &json!("again")]
            );
        }
        service.delete("/v2/a/clients/c").await.expect(204);
        // What is left of that name is the other project's.
        assert_eq!(seen(&service, "a", "c").await["client"]["uuid"], "u3");
        service.delete("/v2/a/clients/c").await.refused(403, "Access Forbidden");
    }

    async fn a_private_client_stays_private(database: Database) {
        let service = Service::start(&database).await;
        register(&service, "a", json!({"client_id": "c", "hostname": "h", "uuid": "u1"})).await.expect(201);
        let central = json!({"client_id": "c", "hostname": "h", "is_central": true, "uuid": "u2", "description": "d"});
        register(&service, "a", central.clone()).await.expect(201);
        assert_eq!(uuids(&service, "a").await, ["u1"]);
        let client = seen(&service, "a", "c").await["client"].clone();
        assert_eq!((&client["is_central"], &client["description"]), (&json!(false), &json!("d")));
        // The pair belongs to project a, also as a private client.
        register(&service, "b", central).await.refused(409, "Document already existing");
        // Another host would make a central client beside it.
        let second = json!({"client_id": "c", "hostname": "h2", "is_central": true, "uuid": "u2"});
        register(&service, "a", second.clone()).await.refused(409, "Document already existing");
        service.delete("/v2/a/clients/c").await.expect(204);
        register(&service, "a", second).await.expect(201);
        // Of several of the name the smallest uuid is shown.
        let third = json!({"client_id": "c", "hostname": "h3", "is_central": true, "uuid": "u0"});
        register(&service, "a", third).await.expect(201);
        assert_eq!(uuids(&service, "a").await, ["u0", "u2"]);
        assert_eq!(seen(&service, "a", "c").await["client"]["uuid"], "u0");
        // Without a host only clients without a host are the same.
        register(&service, "a", json!({"client_id": "c", "is_central": true, "uuid": "u3"})).await.expect(201);
        register(&service, "a", json!({"client_id": "c", "is_central": true, "uuid": "u4"})).await.expect(201);
        // Hosts compare exactly.
        for (host, uuid) in [("H2", "u5"), ("h2 ", "u6")] {
            let client = json!({"client_id": "c", "hostname": host, "is_central": true, "uuid": uuid});
            register(&service, "a", client).await.expect(201);
        }
        assert_eq!(uuids(&service, "a").await, ["u0", "u2", "u3", "u5", "u6"]);
    }

    // A central scheduler polls the jobs of all projects by its name; those of private clients must not be among them.
    async fn no_name_is_central_and_anothers_private_one(database: Database) {
        let service = Service::start(&database).await;
        register(&service, "b", json!({"client_id": "c", "hostname": "squatter"})).await.expect(201);
        let job = service.created("/v2/b/jobs", json!({"client_id": "c", "job_actions": []}), "job_id").await;
        let central = json!({"client_id": "c", "hostname": "h", "is_central": true});
        let refused = async || {
            for project in ["a", "b", "operators"] {
                let description = register(&service, project, central.clone()).await.refused(409, "Document already existing");
                assert_eq!(description, "Client c is already the name of a client that is not central, or jobs of one are left");
            }
        };
        refused().await;
        // Nor does a private client that goes leave its jobs to the central one.
        service.delete("/v2/b/clients/c").await.expect(204);
        refused().await;
        service.delete(&format!("/v2/b/jobs/{job}")).await.expect(204);
        register(&service, "a", central.clone()).await.expect(201);
        register(&service, "a", json!({"client_id": "c", "hostname": "h2", "is_central": true})).await.expect(201);
        service.delete("/v2/a/clients/c").await.expect(204);
        // Jobs that were made for a central client wait for it to come back.
        let job = service.created("/v2/d/jobs", json!({"client_id": "c", "job_actions": []}), "job_id").await;
        service.delete("/v2/a/clients/c").await.expect(204);
        register(&service, "a", central.clone()).await.expect(201);
        // Not if their project had a private client of that name in the meantime.
        service.delete("/v2/a/clients/c").await.expect(204);
        register(&service, "d", json!({"client_id": "c"})).await.expect(201);
        service.delete("/v2/d/clients/c").await.expect(204);
        refused().await;
        service.delete(&format!("/v2/d/jobs/{job}")).await.expect(204);
        register(&service, "a", central.clone()).await.expect(201);
        register(&service, "b", json!({"client_id": "c", "hostname": "squatter"})).await.refused(409, "Document already existing");
        // Both at once: one wins.
        for round in 0..10 {
            let name = format!("r{round}");
            let private = register(&service, "b", json!({"client_id": name}));
            let central = register(&service, "a", json!({"client_id": name, "is_central": true}));
            let (private, central) = tokio::join!(private, central);
            let mut statuses = [private.status, central.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [201, 409], "{name}");
        }
    }

    // Deviation D14.
    async fn ones_own_client_comes_before_a_foreign_one(database: Database) {
        let service = Service::start(&database).await;
        let own = json!({"client_id": "q", "uuid": "z", "supported_modes": ["fs"], "description": "own"});
        register(&service, "b", own).await.expect(201);
        // The Python service lets both have the name.
        let central = json!({"client_id": "p", "hostname": "h", "is_central": true, "uuid": "a"});
        register(&service, "a", central).await.expect(201);
        database.run("UPDATE clients SET client_id = 'q' WHERE id = 'a'".to_owned()).await;
        assert_eq!(seen(&service, "b", "q").await["client"]["uuid"], "z");
        assert_eq!(seen(&service, "c", "q").await["client"]["uuid"], "a");
        // Jobs are checked against one's own client too.
        let job = |mode: &str| {
            let action = json!({"freezer_action": {"action": "backup", "mode": mode}});
            json!({"client_id": "q", "job_actions": [action]})
        };
        service.post("/v2/b/jobs", job("nova")).await.refused(422, "Unprocessable Entity");
        service.post("/v2/b/jobs", job("fs")).await.expect(201);
        service.post("/v2/c/jobs", job("nova")).await.expect(201);
        register(&service, "b", json!({"client_id": "q", "description": "renewed"})).await.expect(201);
        assert_eq!(seen(&service, "b", "q").await["client"]["description"], "renewed");
        service.delete("/v2/b/clients/q").await.expect(204);
        assert_eq!(seen(&service, "b", "q").await["client"]["uuid"], "a");
        service.delete("/v2/b/clients/q").await.refused(403, "Access Forbidden");
    }
}
