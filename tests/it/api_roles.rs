//! Who may what, with tokens of a real Keystone: each route, each role, the own project and another.

use axum::body::Body;
use axum::http::Method;
use freezer_api::api;
use serde_json::{Value, json};

use crate::support::cloud::Cloud;
use crate::support::keystone::{self, Token};
use crate::support::{Answer, keystone_url};

/// Whether a caller may do what a route does.
fn may(role: &str, method: &Method, path: &str, own: bool) -> bool {
    match role {
        "admin" => true,
        "service" => *method == Method::GET || path.contains("/backups"),
        "manager" | "member" => own,
        "reader" => own && *method == Method::GET,
        _ => false,
    }
}

on_each_engine! {
    needs "needs Keystone: ./test starts it":
    async fn each_route_knows_each_role(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let callers = [
            ("admin", &tokens.admin), ("manager", &tokens.manager), ("member", &tokens.member), ("reader", &tokens.reader),
            ("member", &tokens.other), ("service", &tokens.service), ("domain", &tokens.domain), ("system", &tokens.system),
            ("unscoped", &tokens.unscoped),
        ];
        let projects = [&tokens.member.project, &tokens.other.project, &tokens.admin.project, &"any-word_1".to_owned()];
        let mut answered = 0;
        for route in api::routes() {
            for project in projects {
                let path = route.path.replace("{project_id}", project);
                let path = path.replace("{client_id}", "none").replace("{action_id}", "none").replace("{job_id}", "none");
                let path = path.replace("{session_id}", "none").replace("{backup_id}", "none").replace("{run_id}", "none").replace("{series_id}", "none");
                assert!(!path.contains('{'), "{path}");
                for (role, token) in callers {
                    let answer = cloud.send(route.method.as_str(), &path, &[("x-auth-token", &token.id)], Body::empty()).await;
                    let asked = format!("{role} {} {path}: {} {}", route.method, answer.status, answer.text());
                    if may(role, &route.method, &path, token.project == *project) {
                        assert!(!matches!(answer.status, 401 | 403 | 405) && answer.status < 500, "{asked}");
                    } else {
                        assert_eq!(answer.status, 403, "{asked}");
                        assert_eq!(answer.refused(403, "Access Forbidden"), "You are not allowed to access this resource");
                    }
                    answered += 1;
                }
            }
        }
        assert_eq!(answered, api::routes().len() * projects.len() * callers.len());
        // A project compares exactly.
        let upper = tokens.member.project.to_uppercase();
        cloud.get(&tokens.member, &upper, "jobs").await.refused(403, "Access Forbidden");
        cloud.get(&tokens.member, "p%20q", "jobs").await.refused(403, "Access Forbidden");
        cloud.get(&tokens.admin, "p%20q", "jobs").await.refused(400, "Bad request format");
    }

    async fn a_token_without_a_project_sees_the_home_document_alone(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        for token in [&tokens.unscoped, &tokens.domain, &tokens.system] {
            let headers = [("x-auth-token", token.id.as_str())];
            for path in ["/v2", "/v2/"] {
                let answer = cloud.send("GET", path, &headers, "").await.expect(200);
                assert_eq!(answer.header("content-type"), Some("application/json-home"));
            }
            for project in [&tokens.member.project, "None", "none"] {
                cloud.get(token, project, "clients").await.refused(403, "Access Forbidden");
                cloud.post(token, project, "backups", json!({})).await.refused(403, "Access Forbidden");
            }
            cloud.send("GET", "/v2/p/nothing", &headers, "").await.refused(404, "404 Not Found");
        }
        // Every project's token sees it, whatever its roles.
        for token in [&tokens.reader, &tokens.service, &tokens.other] {
            cloud.send("GET", "/v2", &[("x-auth-token", &token.id)], "").await.expect(200);
        }
        // An operator may let such tokens in.
        let open = Cloud::with(&database, |config| config.oslo_policy.enforce_scope = false).await;
        for token in [&tokens.domain, &tokens.system] {
            open.get(token, &tokens.member.project, "clients").await.expect(200);
        }
        open.get(&tokens.unscoped, &tokens.member.project, "clients").await.refused(403, "Access Forbidden");
    }

    async fn without_a_token_there_is_no_answer(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let revoked = keystone::member_token().await;
        keystone::revoke(&revoked).await;
        let project = &tokens.member.project;
        let confirmed = [
            ("x-identity-status", "Confirmed"), ("x-roles", "admin"), ("x-user-id", "u"), ("x-project-id", project),
        ];
        let long = "x".repeat(9000);
        let cases: [&[(&str, &str)]; 9] = [
            &[],
            &[("x-auth-token", "")],
            &[("x-auth-token", "nonsense")],
            &[("x-auth-token", "gAAAAABnonsense")],
            &[("x-auth-token", &long)],
            &[("x-auth-token", &revoked.id)],
            &confirmed,
            &[("x-auth-token", &tokens.member.id), ("x-service-token", "nonsense")],
            &[("x-auth-token", ""), ("x-service-token", &tokens.service.id)],
        ];
        for headers in cases {
            for (method, path) in [
                ("GET", format!("/v2/{project}/clients")),
                ("POST", format!("/v2/{project}/clients")),
                ("HEAD", format!("/v2/{project}/clients")),
                ("PUT", format!("/v2/{project}/clients")),
                ("FOO", format!("/v2/{project}/clients")),
                ("OPTIONS", format!("/v2/{project}/clients")),
                ("GET", "/v2".to_owned()),
                ("GET", "/v1/x/clients".to_owned()),
                ("GET", "/nothing".to_owned()),
            ] {
                for accept in ["application/json", "text/html", "application/xml"] {
                    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("accept", accept)]).collect();
                    let answer = cloud.send(method, &path, &headers, "{bad").await.expect(401);
                    let challenge = format!("Keystone uri=\"{}\"", keystone_url());
                    let row = format!("{method} {path} {headers:?}");
                    assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()), "{row}");
                    assert_eq!(answer.header("content-type"), Some("application/json"), "{row}");
                    assert_eq!(answer.header("x-openstack-request-id"), None, "{row}");
                    if method != "HEAD" {
                        let message = "The request you have made requires authentication.";
                        let error = json!({"error": {"code": 401, "title": "Unauthorized", "message": message}});
                        assert_eq!(answer.json(), error, "{row}");
                    }
                }
            }
            cloud.send("GET", "/", headers, "").await.expect(300);
            cloud.send("GET", "/healthcheck", headers, "").await.expect(200);
        }
        // A service may pass a request on with both tokens.
        let both = [("x-auth-token", tokens.member.id.as_str()), ("x-service-token", tokens.service.id.as_str())];
        cloud.send("GET", &format!("/v2/{project}/clients"), &both, "").await.expect(200);
        cloud.send("GET", &format!("/v2/{}/clients", tokens.other.project), &both, "").await.refused(403, "Access Forbidden");
    }

    async fn what_a_caller_says_of_itself_is_not_believed(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let said = |token: &Token| {
            let mut headers = vec![("x-auth-token".to_owned(), token.id.clone())];
            for (name, value) in [
                ("x-roles", "admin,service"), ("x-role", "admin"), ("x-user-id", &tokens.admin.user), ("x-user-name", "admin"),
                ("x-project-id", &tokens.other.project), ("x-tenant-id", &tokens.other.project), ("x-identity-status", "Confirmed"),
                ("x-is-admin-project", "True"), ("x-domain-id", "default"), ("x-service-roles", "service"),
                ("x-service-identity-status", "Confirmed"), ("openstack-system-scope", "all"), ("x-user", "admin"), ("x-tenant", "x"),
            ] {
                headers.push((name.to_owned(), value.to_owned()));
            }
            headers
        };
        let send = async |token: &Token, method: &str, project: &str, path: &str, body: Value| {
            let headers = said(token);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            cloud.send(method, &format!("/v2/{project}/{path}"), &headers, body.to_string()).await
        };
        let (own, other) = (&tokens.reader.project, &tokens.other.project);
        send(&tokens.reader, "GET", own, "clients", json!({})).await.expect(200);
        send(&tokens.reader, "POST", own, "clients", json!({"client_id": "c"})).await.refused(403, "Access Forbidden");
        send(&tokens.reader, "GET", other, "clients", json!({})).await.refused(403, "Access Forbidden");
        send(&tokens.unscoped, "GET", own, "clients", json!({})).await.refused(403, "Access Forbidden");
        send(&tokens.member, "POST", own, "clients", json!({"client_id": "c"})).await.expect(201);
        let client = cloud.get(&tokens.member, own, "clients/c").await.expect(200).json();
        assert_eq!((&client["user_id"], &client["project_id"]), (&json!(tokens.member.user), &json!(own)));
    }

    async fn checks_have_an_order(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let (reader, own, other) = (&tokens.reader, &tokens.reader.project, &tokens.other.project);
        let send = async |method: &str, path: String, accept: &str, body: &str| {
            let headers = [("x-auth-token", reader.id.as_str()), ("accept", accept)];
            cloud.send(method, &path, &headers, body.to_owned()).await
        };
        // Accept, the route, the method, the policy, the parameters, the body.
        send("POST", format!("/v2/{own}/nothing"), "text/html", "{bad").await.expect(406);
        send("FOO", format!("/v2/{other}/clients"), "text/html", "").await.expect(406);
        send("GET", format!("/v2/{other}/nothing"), "*/*", "").await.refused(404, "404 Not Found");
        send("PUT", format!("/v2/{other}/clients"), "*/*", "").await.refused(405, "405 Method Not Allowed");
        send("FOO", format!("/v2/{other}/clients"), "*/*", "").await.refused(400, "Bad request");
        send("OPTIONS", format!("/v2/{other}/clients"), "*/*", "").await.expect(200);
        for path in ["clients?limit=-1", "clients/none", "jobs/none?x", "jobs?all_projects=x"] {
            send("GET", format!("/v2/{other}/{path}"), "*/*", "{bad").await.refused(403, "Access Forbidden");
        }
        send("POST", format!("/v2/{own}/clients"), "*/*", "{bad").await.refused(403, "Access Forbidden");
        send("DELETE", format!("/v2/{own}/backups/none"), "*/*", "").await.refused(403, "Access Forbidden");
        send("GET", format!("/v2/{own}/clients?limit=-1"), "*/*", "{bad").await.refused(400, "Invalid parameter");
        send("GET", format!("/v2/{own}/clients"), "*/*", "{bad").await.refused(400, "Malformed JSON");
        send("GET", format!("/v2/{own}/clients"), "*/*", "[1]").await.refused(400, "Bad request format");
    }

    async fn central_clients_are_for_operators(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let own = &tokens.member.project;
        for wish in [json!(true), json!("yes"), json!(1), json!([0]), json!({"a": 1})] {
            let client = json!({"client_id": "c", "is_central": wish});
            for token in [&tokens.member, &tokens.manager, &tokens.reader] {
                cloud.post(token, own, "clients", client.clone()).await.refused(403, "Access Forbidden");
            }
            // The role service alone may not register anything.
            cloud.post(&tokens.service, &tokens.service.project, "clients", client.clone()).await.refused(403, "Access Forbidden");
            let answer = cloud.post(&tokens.admin, own, "clients", client).await;
            assert_eq!(answer.status, if wish == json!(true) { 201 } else { 400 }, "{wish}");
        }
        for wish in [json!(""), json!(0), json!(null), json!([])] {
            let client = json!({"client_id": "d", "is_central": wish});
            cloud.post(&tokens.member, own, "clients", client).await.refused(400, "Bad request format");
        }
        // Deviation D20: nor may a member change a central client of the own project.
        let renewed = json!({"client_id": "c", "description": "by a member"});
        cloud.post(&tokens.member, own, "clients", renewed.clone()).await.refused(403, "Access Forbidden");
        let client = cloud.get(&tokens.other, &tokens.other.project, "clients/c").await.expect(200).json();
        assert_eq!((&client["client"]["description"], &client["client"]["is_central"]), (&json!(null), &json!(true)));
        cloud.ask(&tokens.other, "DELETE", &tokens.other.project, "clients/c", Value::Null).await.refused(403, "Access Forbidden");
        cloud.ask(&tokens.member, "DELETE", own, "clients/c", Value::Null).await.refused(403, "Access Forbidden");
        cloud.post(&tokens.admin, own, "clients", renewed).await.expect(201);
        let client = cloud.get(&tokens.reader, own, "clients/c").await.expect(200).json();
        assert_eq!(client["client"]["description"], "by a member");
        assert_eq!(client["user_id"], json!(tokens.admin.user));
    }

    async fn who_writes_owns_the_row(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let own = &tokens.member.project;
        let (member, admin) = (&tokens.member, &tokens.admin);
        let owner = async |path: &str| cloud.get(admin, own, path).await.expect(200).json()["user_id"].clone();
        let (members, admins) = (json!(member.user), json!(admin.user));
        let client = json!({"client_id": "c"});
        cloud.post(member, own, "clients", client.clone()).await.expect(201);
        assert_eq!(owner("clients/c").await, members);
        cloud.post(admin, own, "clients", client).await.expect(201);
        assert_eq!(owner("clients/c").await, admins);
        let make = async |path: &str, body: Value, key: &str| {
            let answer = cloud.post(member, own, path, body).await.expect(201).json();
            answer[key].as_str().unwrap().to_owned()
        };
        let action = json!({"freezer_action": {"action": "backup"}, "user_id": "x", "project_id": own});
        let action_id = make("actions", action.clone(), "action_id").await;
        let job = json!({"client_id": "c", "job_actions": [], "user_id": "x"});
        let job_id = make("jobs", job.clone(), "job_id").await;
        let session = json!({"schedule": {}, "session_tag": 0, "user_id": "x"});
        let session_id = make("sessions", session.clone(), "session_id").await;
        let backup = json!({"backup_name": "b", "container": "c", "hostname": "h", "user_id": "x"});
        let backup_id = make("backups", backup, "backup_id").await;
        let [action_path, job_path] = [format!("actions/{action_id}"), format!("jobs/{job_id}")];
        let [session_path, backup_path] = [format!("sessions/{session_id}"), format!("backups/{backup_id}")];
        for path in [&action_path, &job_path, &session_path, &backup_path] {
            assert_eq!(owner(path).await, members, "{path}");
        }
        // Each write in turn, by the one who does not own the row at the time.
        for (method, path, body, row) in [
            ("PATCH", action_path.clone(), json!({"max_retries": 1, "user_id": "x"}), &action_path),
            ("POST", action_path.clone(), action, &action_path),
            ("PATCH", job_path.clone(), json!({"description": "d"}), &job_path),
            ("POST", job_path.clone(), job, &job_path),
            ("POST", format!("{job_path}/event"), json!({"start": null}), &job_path),
            ("PUT", format!("{session_path}/jobs/{job_id}"), json!({}), &session_path),
            ("POST", format!("{session_path}/action"), json!({"start": {"job_id": job_id, "current_tag": 0}}), &session_path),
            ("PATCH", session_path.clone(), json!({"description": "d"}), &session_path),
            ("POST", session_path.clone(), json!({"schedule": {}, "session_tag": 1, "jobs": {(job_id.clone()): {}}}), &session_path),
            ("DELETE", format!("{session_path}/jobs/{job_id}"), json!({}), &session_path),
            ("PATCH", backup_path.clone(), json!({"status": "error"}), &backup_path),
            ("PATCH", backup_path.clone(), json!({"backup_metadata": {"x": 1}}), &backup_path),
        ] {
            let (writer, writers) = if owner(row).await == members { (admin, &admins) } else { (member, &members) };
            let answer = cloud.ask(writer, method, own, &path, body).await;
            assert!(matches!(answer.status, 200..=204), "{method} {path}: {}", answer.text());
            assert_eq!(owner(row).await, *writers, "{method} {path}");
        }
    }

    async fn operators_see_the_jobs_of_all_projects(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let mut jobs = Vec::new();
        for token in [&tokens.member, &tokens.other] {
            cloud.post(token, &token.project, "clients", json!({"client_id": "c"})).await.expect(201);
            let answer = cloud.post(token, &token.project, "jobs", json!({"client_id": "c", "job_actions": []})).await;
            jobs.push(answer.expect(201).json()["job_id"].as_str().unwrap().to_owned());
        }
        let (own, other) = (&tokens.member.project, &tokens.other.project);
        let ids = |answer: Answer| {
            let list = answer.expect(200).json();
            let mut ids: Vec<String> = list["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            ids
        };
        let mut both = jobs.clone();
        both.sort();
        for token in [&tokens.admin, &tokens.service] {
            // Deviation D16: of all projects when asked for, else of the path's.
            assert_eq!(ids(cloud.get(token, own, "jobs?all_projects=true").await), both);
            assert_eq!(ids(cloud.get(token, own, "jobs?all_projects=false").await), jobs[..1]);
            assert_eq!(ids(cloud.get(token, own, "jobs").await), jobs[..1]);
            assert_eq!(ids(cloud.get(token, &token.project, "jobs").await), Vec::<String>::new());
            let search = json!({"match": [{"client_id": "c"}], "match_not": [{"status": "completed"}]});
            assert_eq!(ids(cloud.ask(token, "GET", &token.project, "jobs?all_projects=1", search).await), both);
            for job in &jobs {
                let document = cloud.get(token, &token.project, &format!("jobs/{job}")).await.expect(200).json();
                assert_eq!(document["job_id"], json!(job));
            }
        }
        for token in [&tokens.member, &tokens.manager, &tokens.reader] {
            cloud.get(token, own, "jobs?all_projects=true").await.refused(403, "Access Forbidden");
            assert_eq!(ids(cloud.get(token, own, "jobs?all_projects=false").await), jobs[..1]);
            cloud.get(token, own, "jobs?all_projects=x").await.refused(400, "Invalid parameter");
            cloud.get(token, own, &format!("jobs/{}", jobs[1])).await.refused(404, "Not Found");
            cloud.get(token, other, &format!("jobs/{}", jobs[1])).await.refused(403, "Access Forbidden");
        }
    }

    async fn process_ids_concern_the_schedulers_project(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let (member, own) = (&tokens.member, &tokens.member.project);
        let central = json!({"client_id": "central", "is_central": true, "hostname": "h"});
        cloud.post(&tokens.admin, &tokens.service.project, "clients", central).await.expect(201);
        cloud.post(member, own, "clients", json!({"client_id": "private"})).await.expect(201);
        let make = async |client_id: &str| {
            let schedule = json!({"current_pid": 42, "status": "running"});
            let job = json!({"client_id": client_id, "job_actions": [], "job_schedule": schedule});
            let answer = cloud.post(member, own, "jobs", job).await.expect(201).json();
            answer["job_id"].as_str().unwrap().to_owned()
        };
        let (central, private) = (make("central").await, make("private").await);
        let pid = |document: &Value| document["job_schedule"]["current_pid"].clone();
        let sees = async |token: &Token, job: &str, expected: Value| {
            let document = cloud.get(token, own, &format!("jobs/{job}")).await.expect(200).json();
            assert_eq!(pid(&document), expected);
            assert_eq!(document["job_schedule"]["status"], "running");
            let list = cloud.get(token, own, "jobs").await.expect(200).json();
            let listed = list["jobs"].as_array().unwrap().iter().find(|listed| listed["job_id"] == json!(job)).unwrap();
            assert_eq!(pid(listed), expected);
            let search = json!({"match": [{"job_id": job, "current_pid": 42}]});
            let found = cloud.ask(token, "GET", own, "jobs", search).await.expect(200).json();
            assert_eq!(found["jobs"].as_array().unwrap().len(), usize::from(!expected.is_null()));
        };
        for token in [member, &tokens.manager, &tokens.reader] {
            sees(token, &central, Value::Null).await;
            sees(token, &private, json!(42)).await;
        }
        for token in [&tokens.admin, &tokens.service] {
            sees(token, &central, json!(42)).await;
            sees(token, &private, json!(42)).await;
        }
        // It can be written unseen, and what is written otherwise leaves it.
        let patch = json!({"job_schedule": {"current_pid": 7, "status": "running"}});
        cloud.ask(member, "PATCH", own, &format!("jobs/{central}"), patch).await.expect(200);
        cloud.ask(member, "PATCH", own, &format!("jobs/{central}"), json!({"description": "d"})).await.expect(200);
        let document = cloud.get(&tokens.admin, own, &format!("jobs/{central}")).await.expect(200).json();
        assert_eq!((pid(&document), &document["description"]), (json!(7), &json!("d")));
        let document = cloud.get(member, own, &format!("jobs/{central}")).await.expect(200).json();
        assert_eq!(pid(&document), Value::Null);
        // A client of the own project under that name is the scheduler's.
        cloud.post(&tokens.admin, own, "clients", json!({"client_id": "central", "is_central": true, "hostname": "mine"})).await.expect(201);
        let document = cloud.get(member, own, &format!("jobs/{central}")).await.expect(200).json();
        assert_eq!(pid(&document), json!(7));
    }
}
