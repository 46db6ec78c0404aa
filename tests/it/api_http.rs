//! HTTP itself: paths, methods, media types, headers and bodies, whatever the resource.

use axum::body::Body;
use freezer_api::config::{HealthcheckBackend, PortPath};
use serde_json::json;

use crate::support::api::request;
use crate::support::{Answer, Service};

/// All paths with the methods that each has.
const ROUTES: &[(&str, &str)] = &[
    ("/", "GET"),
    ("/v2", "GET"),
    ("/v2/", "GET"),
    ("/v2/p1/clients", "GET POST"),
    ("/v2/p1/clients/none", "GET DELETE"),
    ("/v2/p1/actions", "GET POST"),
    ("/v2/p1/actions/none", "GET PATCH POST DELETE"),
    ("/v2/p1/jobs", "GET POST"),
    ("/v2/p1/jobs/none", "GET PATCH POST DELETE"),
    ("/v2/p1/jobs/none/event", "POST"),
    ("/v2/p1/sessions", "GET POST"),
    ("/v2/p1/sessions/none", "GET PATCH POST DELETE"),
    ("/v2/p1/sessions/none/action", "POST"),
    ("/v2/p1/sessions/none/jobs/none", "PUT DELETE"),
    ("/v2/p1/backups", "GET POST"),
    ("/v2/p1/backups/none", "GET PATCH DELETE"),
];

/// Methods of HTTP and WebDAV.
const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "LOCK", "PROPFIND", "UPDATE",
];

pub(crate) const COLLECTIONS: [&str; 5] = ["clients", "actions", "jobs", "sessions", "backups"];

/// Sends a request with headers.
async fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(service, method, path, headers, Body::empty()).await
}

pub(crate) async fn ask_with(
    service: &Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    service.send(request(method, path, headers, body)).await
}

/// The words of an `Allow` header, sorted.
fn allowed(answer: &Answer) -> Vec<String> {
    let mut words: Vec<String> = answer
        .header("allow")
        .unwrap_or_default()
        .split(", ")
        .map(str::to_owned)
        .collect();
    words.sort();
    words
}

fn sorted(words: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.sort();
    words
}

on_each_engine! {
    async fn each_path_has_its_methods(database: Database) {
        let service = Service::start(&database).await;
        for (path, methods) in ROUTES {
            let mut has: Vec<&str> = methods.split(' ').collect();
            if has.contains(&"GET") {
                has.push("HEAD");
            }
            for method in METHODS {
                let answer = service.raw(method, path, Body::empty()).await;
                let asked = format!("{method} {path}: {answer:?}");
                if has.contains(method) {
                    assert_ne!(answer.status, 405, "{asked}");
                    assert!(answer.status < 500, "{asked}");
                    continue;
                }
                if *method == "HEAD" {
                    assert_eq!((answer.status, &answer.body[..]), (405, &b""[..]), "{asked}");
                } else {
                    answer.refused(405, "405 Method Not Allowed");
                }
                assert_eq!(allowed(&answer), sorted(&[&has[..], &["OPTIONS"]].concat()), "{asked}");
                assert_eq!(answer.header("vary"), Some("Accept"), "{asked}");
            }
            let answer = service.raw("OPTIONS", path, Body::empty()).await.expect(200);
            assert_eq!(allowed(&answer), sorted(&has), "{path}");
            assert!(answer.body.is_empty(), "{path}");
            for method in ["FOO", "get", "Post"] {
                let answer = service.raw(method, path, Body::empty()).await;
                assert_eq!(answer.refused(400, "Bad request"), "Invalid HTTP method");
            }
        }
    }

    async fn other_paths_are_not_found(database: Database) {
        let service = Service::start(&database).await;
        for path in [
            "/v1/p1/clients",
            "/v3",
            "/v2/p1",
            "/v2/p1/nothing",
            "/V2/p1/clients",
            "/v2/p1/Clients",
            "/v2/p1/clients/a/b",
            "/v2/p1/clients/a%2Fb",
            "/v2/p1/jobs/j/events",
            "/v2/p1/sessions/s/jobs",
            "/healthcheck/x",
        ] {
            for method in ["GET", "POST", "OPTIONS", "FOO"] {
                let answer = service.raw(method, path, Body::empty()).await;
                answer.refused(404, "404 Not Found");
                assert_eq!(answer.header("vary"), Some("Accept"));
                assert_eq!(answer.header("content-type"), Some("application/json"));
            }
        }
    }

    async fn a_path_has_many_spellings(database: Database) {
        let service = Service::start(&database).await;
        service.client("h").await;
        service.client("ключ_h").await;
        for path in [
            "/v2/p1/clients/h",
            "/v2/p1/clients/h/",
            "/v2/p1/clients/h///",
            "//v2//p1///clients//h",
            "/v2/./p1/clients/././h",
            "/v2/other/../p1/clients/h",
            "/../v2/p1/clients/h",
            "/%76%32/p1/clients/%68",
            "/v2/p1%2Fclients%2Fh",
            "http://example.com/v2/p1/clients/h",
        ] {
            let client = ask(&service, "GET", path, &[]).await.expect(200).json();
            assert_eq!(client["client"]["client_id"], "h", "{path}");
        }
        let path = "/v2/p1/clients/%D0%BA%D0%BB%D1%8E%D1%87_h";
        assert_eq!(service.get(path).await.expect(200).json()["client"]["client_id"], "ключ_h");
        for path in ["/v2/p1/clients/%FF%FE", "/v2/%C3/clients", "/%80"] {
            service.get(path).await.refused(400, "Invalid parameter");
        }
        for kind in COLLECTIONS {
            service.get(&format!("{kind}/%00")).await.refused(400, "Bad request format");
            service.delete(&format!("{kind}/a%00b")).await.refused(400, "Bad request format");
            for id in ["%20", "%E2%82%AC", "%F0%9F%98%80", "%01", "'", "%22", "%3F", &"x".repeat(5000)] {
                service.get(&format!("{kind}/{id}")).await.refused(404, "Not Found");
            }
        }
    }

    async fn a_project_is_a_word(database: Database) {
        let service = Service::start(&database).await;
        let longest = "p".repeat(36);
        for project in ["p", "P-1_2", &longest, "%C3%A9", "%D9%A3"] {
            service.get(&format!("/v2/{project}/jobs")).await.expect(200);
            service.post(&format!("/v2/{project}/clients"), json!({"client_id": "c"})).await.expect(201);
        }
        let too_long = "p".repeat(37);
        for project in ["p%20q", "p.q", "p%0A", "p%00", "%F0%9F%98%80", "p:q", &too_long] {
            service.get(&format!("/v2/{project}/jobs")).await.refused(400, "Bad request format");
            let client = json!({"client_id": "c"});
            service.post(&format!("/v2/{project}/clients"), client).await.refused(400, "Bad request format");
        }
    }

    async fn answers_are_json(database: Database) {
        let service = Service::start(&database).await;
        for accept in [
            "", "*/*", "application/*", "application/json", "application/json;q=0.1", "APPLICATION/JSON",
            "Application/Json; Q=0.5", "text/html, application/json;q=0.1", "application/json;charset=utf-8",
            "text/html,*/*;q=0.001",
        ] {
            for (path, status) in [("/v2/p1/clients", 200), ("/v2/", 200), ("/", 300)] {
                if path == "/" && accept.starts_with("text/html") {
                    // A browser, which is sent to the page.
                    ask(&service, "GET", path, &[("accept", accept)]).await.expect(303);
                    continue;
                }
                let answer = ask(&service, "GET", path, &[("accept", accept)]).await.expect(status);
                let home = path == "/v2/";
                let expected = if home { "application/json-home" } else { "application/json" };
                assert_eq!(answer.header("content-type"), Some(expected), "{accept}");
                answer.json();
            }
        }
        ask(&service, "GET", "/v2", &[("accept", "application/json-home")]).await.expect(200);
        ask(&service, "GET", "/v2/", &[("accept", "Application/JSON-Home, text/html")]).await.expect(200);
    }

    async fn other_media_types_are_not_acceptable(database: Database) {
        let service = Service::start(&database).await;
        let without_page = Service::with(&database, |config| config.ui.enabled = false).await;
        let refuse = async |path: &str, accept: &str| {
            let is_browser = path == "/" && accept.starts_with("text/html");
            // Only without the page are browsers refused too.
            let service = if is_browser { &without_page } else { &service };
            let answer = ask(service, "GET", path, &[("accept", accept)]).await.expect(406);
            assert_eq!(answer.header("vary"), Some("Accept"), "{accept}");
            answer
        };
        for path in ["/v2/p1/clients", "/v2/p1/nothing", "/v2/p1/jobs/none", "/"] {
            for accept in ["text/html", "image/*", "application/json;q=0", "application/json-home", "*/*;q=0", "json"] {
                assert_eq!(refuse(path, accept).await.text(), "", "{accept}");
            }
            for (accept, media_type) in [
                ("application/xml", "application/xml"),
                ("text/html, application/xml;q=0.9", "application/xml"),
                ("text/xml", "text/xml"),
                ("text/*", "text/xml"),
            ] {
                let answer = refuse(path, accept).await;
                assert_eq!(answer.header("content-type"), Some(media_type), "{accept}");
                let text = answer.text();
                assert!(text.contains("<title>406 Not Acceptable</title>"), "{text}");
                assert!(text.contains("<description>Freezer-api only supports responses encoded as JSON."), "{text}");
            }
            let answer = refuse(path, "application/vnd.api+json").await;
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let document = answer.json();
            assert_eq!(document["title"], "406 Not Acceptable");
            assert_eq!(document["description"], "Freezer-api only supports responses encoded as JSON.");
            assert_eq!(document["link"].as_object().unwrap().keys().collect::<Vec<_>>(), ["text", "href", "rel"]);
        }
    }

    async fn the_versions_are_listed(database: Database) {
        let service = Service::start(&database).await;
        let href = |answer: Answer| {
            let document = answer.expect(300).json();
            assert_eq!(
                document,
                json!({"versions": [{
                    "id": "v2", "status": "CURRENT", "updated": "2018-02-21T13:30:00",
                    "links": [{"rel": "self", "href": document["versions"][0]["links"][0]["href"]}],
                }]})
            );
            document["versions"][0]["links"][0]["href"].as_str().unwrap().to_owned()
        };
        let host = [("host", "api.example.com:9090"), ("x-forwarded-proto", "https"), ("x-auth-token", "bad")];
        for path in ["/", "//", "/?x=1", "/?limit=-1"] {
            assert_eq!(href(ask(&service, "GET", path, &host).await), "http://api.example.com:9090/v2/");
        }
        assert!(service.raw("HEAD", "/", Body::empty()).await.expect(300).body.is_empty());
        let behind_proxy = Service::with(&database, |config| {
            config.oslo_middleware.enable_proxy_headers_parsing = true;
        })
        .await;
        assert_eq!(href(ask(&behind_proxy, "GET", "/", &host).await), "https://api.example.com:9090/v2/");
    }

    async fn the_home_document_names_the_resources(database: Database) {
        let service = Service::start(&database).await;
        let formats = json!({"application/json": {}});
        let home = json!({"resources": {
            "rel/backups": {
                "href-template": "/v2/{project_id}/backups/{backup_id}",
                "href-vars": {"project_id": "param/project_id", "backup_id": "param/backup_id"},
                "hints": {"allow": ["GET"], "formats": formats},
            },
            "rel/jobs": {
                "href-template": "/v2/{project_id}/jobs{?all_projects,offset,limit}",
                "href-vars": {
                    "project_id": "param/project_id", "all_projects": "param/all_projects",
                    "offset": "param/offset", "limit": "param/limit",
                },
                "hints": {"allow": ["GET", "POST"], "formats": formats},
            },
            "rel/job": {
                "href-template": "/v2/{project_id}/jobs/{job_id}",
                "href-vars": {"project_id": "param/project_id", "job_id": "param/job_id"},
                "hints": {"allow": ["GET", "PATCH", "POST", "DELETE"], "formats": formats},
            },
        }});
        for path in ["/v2", "/v2/", "/v2//", "/v2/?x=1"] {
            assert_eq!(service.get(path).await.expect(200).json(), home, "{path}");
        }
    }

    async fn health_is_answered_to_any_method(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("disabled");
        let service = Service::with(&database, |config| {
            config.healthcheck.backends = vec![HealthcheckBackend::DisableByFile];
            config.healthcheck.disable_by_file_path = Some(flag.clone());
        })
        .await;
        for (accept, media_type, body) in [
            ("*/*", "text/plain; charset=UTF-8", "OK"),
            ("text/plain", "text/plain; charset=UTF-8", "OK"),
            ("text/html", "text/html; charset=UTF-8", "OK"),
            ("application/json", "application/json", "{\"detailed\":false,\"reasons\":[\"OK\"]}"),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"] {
                for path in ["/healthcheck", "/healthcheck/"] {
                    let answer = ask(&service, method, path, &[("accept", accept)]).await.expect(200);
                    assert_eq!(answer.header("content-type"), Some(media_type));
                    assert_eq!(answer.header("x-openstack-request-id"), None);
                    match accept {
                        "text/html" => assert!(answer.text().contains(body)),
                        _ => assert_eq!(answer.text(), body),
                    }
                }
            }
        }
        ask(&service, "HEAD", "/healthcheck", &[]).await.expect(204);
        std::fs::write(&flag, "").unwrap();
        let answer = ask(&service, "GET", "/healthcheck", &[]).await.expect(503);
        assert_eq!(answer.text(), "DISABLED BY FILE");
        ask(&service, "HEAD", "/healthcheck", &[]).await.expect(503);
    }

    async fn health_is_told_in_detail(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let (flag, needed) = (folder.path().join("<disabled>"), folder.path().join("needed"));
        let (flag_path, needed_path) = (flag.display().to_string(), needed.display().to_string());
        let service = Service::with(&database, |config| {
            config.healthcheck.detailed = true;
            config.default.bind_port = 9999;
            config.healthcheck.backends =
                vec![HealthcheckBackend::DisableByFilesPorts, HealthcheckBackend::EnableByFiles];
            config.healthcheck.disable_by_file_paths = vec![
                PortPath { port: 9090, path: folder.path().to_owned() },
                PortPath { port: 9999, path: flag.clone() },
            ];
            config.healthcheck.enable_by_file_paths = vec![folder.path().to_owned(), needed.clone()];
        })
        .await;
        let accept = async |media_type, status| {
            ask(&service, "GET", "/healthcheck", &[("accept", media_type)]).await.expect(status)
        };
        let reason = |reason: &str, details: &str| json!({"class": "HealthcheckResult", "details": details, "reason": reason});
        let missing = format!("File path {needed_path} is missing");

        let document = accept("application/json", 503).await.json();
        assert_eq!(document["reasons"], json!([reason("OK", ""), reason("FILE PATH MISSING", &missing)]));
        assert_eq!((&document["detailed"], &document["now"]), (&json!(true), &json!("2023-11-14 22:13:20.000000")));
        assert!(document["platform"].as_str().unwrap().starts_with("Linux-"), "{document}");
        assert_eq!(accept("text/plain", 503).await.text(), "OK\nFILE PATH MISSING");

        std::fs::write(&needed, "").unwrap();
        assert_eq!(accept("text/plain", 200).await.text(), "OK\nOK");
        // What a browser asks for, and Java.
        let page = accept("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200).await.text();
        assert!(page.starts_with("<HTML>"), "{page}");
        assert_eq!(accept("image/gif, *; q=.2, */*; q=.2", 200).await.text(), "OK\nOK");
        let page = accept("text/html", 200).await.text();
        for part in [
            "<H2>Result of 2 checks:</H2>",
            "<TR><TH>Kind</TH><TH>Reason</TH><TH>Details</TH></TR>",
            "<TR><TD>HealthcheckResult</TD><TD>OK</TD><TD>Specified file paths are available</TD></TR>",
            "<B>Current time:</B><PRE>2023-11-14 22:13:20.000000</PRE>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        std::fs::write(&flag, "").unwrap();
        accept("text/html", 503).await;

        let service = Service::with(&database, |config| {
            config.healthcheck.detailed = true;
            config.healthcheck.backends = vec![HealthcheckBackend::DisableByFile];
            config.healthcheck.disable_by_file_path = Some(flag.clone());
        })
        .await;
        let page = ask(&service, "GET", "/healthcheck", &[("accept", "text/html")]).await.expect(503).text();
        let path = flag_path.replace('<', "&lt;").replace('>', "&gt;");
        assert!(page.contains(&format!("<TD>Path &#39;{path}&#39; was found</TD>")), "{page}");
    }

    async fn answers_name_their_request(database: Database) {
        let service = Service::start(&database).await;
        for (path, method) in [
            ("/v2/p1/clients", "GET"),
            ("/v2/p1/clients", "POST"),
            ("/v2/p1/clients", "PUT"),
            ("/v2/p1/clients/none", "GET"),
            ("/v2/p1/clients/none", "DELETE"),
            ("/v2/p1/nothing", "GET"),
            ("/v2", "GET"),
            ("/v2", "OPTIONS"),
        ] {
            let answer = ask(&service, method, path, &[]).await;
            let id = answer.header("x-openstack-request-id").unwrap();
            let uuid = id.strip_prefix("req-").unwrap();
            assert!(uuid.len() == 36 && uuid.split('-').map(str::len).eq([8, 4, 4, 4, 12]), "{id}");
            for (sent, answered) in [
                ("req-5f0e5f3c-3f6d-4b0e-9a43-0c0a0c9c8f1d", "req-5f0e5f3c-3f6d-4b0e-9a43-0c0a0c9c8f1d"),
                ("req-x", "req-x"),
                ("any text", "req-any text"),
            ] {
                let answer = ask(&service, method, path, &[("x-openstack-request-id", sent)]).await;
                assert_eq!(answer.header("x-openstack-request-id"), Some(answered), "{method} {path}");
            }
            let again = ask(&service, method, path, &[("x-openstack-request-id", "")]).await;
            assert_ne!(again.header("x-openstack-request-id"), Some(id), "{method} {path}");
        }
        for path in ["/", "/healthcheck", "//", "/healthcheck/"] {
            let answer = ask(&service, "GET", path, &[("x-openstack-request-id", "req-x")]).await;
            assert_eq!(answer.header("x-openstack-request-id"), None, "{path}");
        }
    }

    async fn what_may_stand_once_stands_once(database: Database) {
        let service = Service::start(&database).await;
        for name in ["host", "origin", "x-openstack-request-id", "content-length"] {
            for path in ["/v2/p1/clients", "/v2", "/", "/healthcheck", "/nothing"] {
                let answer = ask(&service, "GET", path, &[(name, "0"), (name, "0")]).await;
                assert_eq!(answer.refused(400, "Bad request"), format!("The header {name} must not be repeated"));
            }
            ask(&service, "GET", "/v2/p1/clients", &[(name, "0")]).await.expect(200);
        }
    }

    async fn head_is_get_without_a_body(database: Database) {
        let service = Service::start(&database).await;
        service.client("h").await;
        for path in ["clients", "clients/h", "jobs", "sessions", "backups", "actions", "/v2"] {
            let get = service.get(path).await.expect(200);
            let head = service.raw("HEAD", path, Body::empty()).await.expect(200);
            assert!(head.body.is_empty(), "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        }
        assert!(service.raw("HEAD", "jobs/none", Body::empty()).await.expect(404).body.is_empty());
    }

    async fn what_is_missing_is_described(database: Database) {
        let service = Service::start(&database).await;
        for kind in COLLECTIONS {
            let answer = service.get(&format!("{kind}/none")).await;
            let description = answer.refused(404, "Not Found");
            assert!(description.contains("none"), "{description}");
            assert!(!description.contains("class") && !description.contains("models"), "{description}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("vary"), Some("Accept"));
            // Deviation D13: only a missing backup is told.
            let gone = service.delete(&format!("{kind}/none")).await;
            match kind {
                "backups" => drop(gone.refused(404, "Not Found")),
                _ => assert!(gone.expect(204).body.is_empty(), "{kind}"),
            }
        }
    }
}
