//! The OpenAPI document: it is current, its examples work, and answers are as it says.

use std::collections::HashMap;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use freezer_api::api;
use freezer_api::service::SeriesKeeper;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::support::{Answer, PROJECT, Service};

#[test]
fn the_document_in_the_repository_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let document = api::openapi_text();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "docs/openapi.json is stale: UPDATE_GOLDEN=1 cargo test --test it openapi rewrites it"
    );
}

/// One operation of the document.
struct Operation<'d> {
    path: &'d str,
    method: &'d str,
    says: &'d Value,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        self.says["operationId"].as_str().unwrap()
    }

    /// The body that the document shows.
    fn example(&self) -> Option<&Value> {
        self.says
            .pointer("/requestBody/content/application~1json/example")
    }

    /// When it is run: first what creates, then what reads and changes, last what deletes, with members before their owners.
    fn turn(&self) -> (usize, isize) {
        let depth = self.path.len() as isize;
        match (self.method, self.id()) {
            // The start of a run, which the report shows.
            (_, "request_session_action" | "update_job") => (2, depth),
            ("post", _) => (0, 0),
            ("put", _) => (1, depth),
            ("delete", _) => (4, -depth),
            _ => (3, depth),
        }
    }
}

struct Document(Value);

impl Document {
    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let mut operations = Vec::new();
        for (path, item) in paths {
            let methods = item.as_object().unwrap().iter();
            operations.extend(
                methods
                    .filter(|(name, _)| *name != "parameters")
                    .map(|(method, says)| Operation { path, method, says }),
            );
        }
        operations
    }

    /// A part of the document, where it stands or where a reference leads.
    fn resolved<'d>(&'d self, part: &'d Value) -> &'d Value {
        match part["$ref"].as_str() {
            Some(reference) => self.0.pointer(&reference[1..]).unwrap(),
            None => part,
        }
    }

    /// The check of a schema of the document.
    fn validator(&self, schema: &Value) -> Validator {
        let mut root = json!({"components": self.0["components"]});
        for (key, value) in schema.as_object().unwrap() {
            root[key] = value.clone();
        }
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&root)
            .unwrap()
    }

    /// Checks that an answer is one that the document has for the operation.
    fn check(&self, operation: &Operation<'_>, answer: &Answer) {
        let (id, status) = (operation.id(), answer.status.to_string());
        let says = self.resolved(&operation.says["responses"][&status]);
        assert!(
            says.is_object(),
            "{id} does not say {status}: {}",
            answer.text()
        );
        let Some(content) = says["content"].as_object() else {
            assert_eq!(answer.text(), "", "{id} {status}");
            return;
        };
        let media_type = answer.header("content-type").unwrap();
        let (media_type, _) = media_type.split_once(';').unwrap_or((media_type, ""));
        let content = &content[media_type];
        if let Some(example) = content.get("example") {
            self.valid(&content["schema"], example, id);
        }
        if media_type.contains("json") && !(answer.status == 406 && answer.body.is_empty()) {
            self.valid(&content["schema"], &answer.json(), id);
        }
        for name in says["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            assert!(answer.header(name).is_some(), "{id} {status} has no {name}");
        }
    }

    fn valid(&self, schema: &Value, document: &Value, what: &str) {
        let errors: Vec<String> = self
            .validator(schema)
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{what}: {}\n{document:#}",
            errors.join("\n")
        );
    }

    /// The path of an operation with these identifiers, or else those of the examples.
    fn path(&self, operation: &Operation<'_>, known: &HashMap<String, String>) -> String {
        let segment =
            |segment: &str| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some("project_id") => PROJECT.to_owned(),
                Some(name) => known.get(name).cloned().unwrap_or_else(|| {
                    let parameter = &self.0["components"]["parameters"][name];
                    parameter["example"].as_str().unwrap().to_owned()
                }),
                None => segment.to_owned(),
            };
        operation
            .path
            .split('/')
            .map(segment)
            .collect::<Vec<_>>()
            .join("/")
    }
}

fn document() -> Document {
    Document(api::openapi())
}

/// Puts identifiers that the service chose in the place of those in an example.
fn with_known(example: &Value, known: &HashMap<String, String>) -> Value {
    let mut body = example.clone();
    if let Some(job_id) = body.pointer_mut("/start/job_id") {
        *job_id = known["job_id"].as_str().into();
    }
    body
}

#[test]
fn examples_are_as_their_schemas_say() {
    let document = document();
    let mut examples = 0;
    for operation in document.operations() {
        let Some(body) = operation.says.get("requestBody") else {
            continue;
        };
        let example = operation.example();
        let example = example.unwrap_or_else(|| panic!("{} has no example", operation.id()));
        document.valid(
            &body["content"]["application/json"]["schema"],
            example,
            operation.id(),
        );
        examples += 1;
    }
    assert!(examples >= 19, "{examples}");
}

on_each_engine! {
    async fn each_example_works(database: Database) {
        let service = Service::start(&database).await;
        let document = document();
        let mut operations = document.operations();
        operations.sort_by_key(Operation::turn);
        let mut known = HashMap::new();
        for operation in operations {
            let path = document.path(&operation, &known);
            if path.contains("/report/") {
                // Its run goes on for so long that something is wrong.
                service.clock.advance(7 * 3600);
                crate::report_hosts::round(&service).await;
                service.api.catalogue.count_days(1, 36_500).await.unwrap();
            }
            let body = operation.example().map_or(Body::empty(), |example| {
                Body::from(with_known(example, &known).to_string())
            });
            let answer = service.raw(&operation.method.to_uppercase(), &path, body).await;
            let id = operation.id();
            if id == "list_backups" {
                let kept = service.api.catalogue.keep_series(&mut SeriesKeeper::default()).await;
                assert!(kept.unwrap());
            }
            assert!((200..=300).contains(&answer.status), "{id}: {} {}", answer.status, answer.text());
            document.check(&operation, &answer);
            if answer.status == 201 {
                for (name, value) in answer.json().as_object().unwrap() {
                    if let (true, Some(value)) = (name.ends_with("_id"), value.as_str()) {
                        known.insert(name.clone(), value.to_owned());
                    }
                }
            }
            if id == "list_runs" {
                known.insert("run_id".to_owned(), answer.json()["runs"][0]["run_id"].as_str().unwrap().to_owned());
            }
            if id == "list_series" {
                known.insert("series_id".to_owned(), answer.json()["series"][0]["series_id"].as_str().unwrap().to_owned());
            }
            // The lists found what they looked for.
            if id.starts_with("list_") && id != "list_versions" {
                let list = answer.json();
                let mut members = list.as_object().unwrap().values();
                assert!(!members.find_map(Value::as_array).unwrap().is_empty(), "{id}");
            }
        }
    }

    async fn refusals_are_those_of_the_document(database: Database) {
        let service = Service::start(&database).await;
        let document = document();
        let absent = ["client_id", "action_id", "job_id", "session_id", "backup_id", "run_id", "series_id"].map(|name| (name.to_owned(), "absent".to_owned()));
        let absent = HashMap::from(absent);
        for operation in document.operations() {
            let (method, path) = (operation.method.to_uppercase(), document.path(&operation, &absent));
            let ask = async |uri: &str, accept: &str, body: &str| {
                let request = Request::builder().method(&*method).uri(uri).header("accept", accept);
                let answer = service.send(request.body(Body::from(body.to_owned())).unwrap()).await;
                document.check(&operation, &answer);
                answer.status
            };
            let names_project = operation.path.contains("{project_id}");
            let nothing = ask(&path, "application/json", &operation.example().map(Value::to_string).unwrap_or_default()).await;
            if operation.says.get("requestBody").is_some() {
                assert_eq!(ask(&path, "application/json", "{").await, 400, "{}", operation.id());
            }
            if operation.path != "/healthcheck" {
                for accept in ["text/html", "text/xml", "application/x+json"] {
                    let status = ask(&path, accept, "").await;
                    let is_browser = operation.path == "/" && accept == "text/html";
                    assert_eq!(status, if is_browser { 303 } else { 406 }, "{} {accept}", operation.id());
                }
            }
            if names_project {
                let other = path.replace(PROJECT, "no%20word");
                assert_eq!(ask(&other, "*/*", "").await, 400, "{}", operation.id());
            }
            let says_404 = operation.says["responses"].get("404").is_some();
            let names_one = operation.path.ends_with("_id}") && method != "POST" && !operation.path.ends_with("project_id}");
            if names_one && !(method == "DELETE" && nothing == 204) {
                assert_eq!((nothing, says_404), (404, true), "{}", operation.id());
            }
        }
    }

    async fn the_document_is_served_to_everyone(database: Database) {
        let service = Service::start(&database).await;
        let answer = service.get("/v2/openapi.json").await.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.text(), api::openapi_text());
        let answer = service.raw("POST", "/v2/openapi.json", "").await.expect(405);
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
}
