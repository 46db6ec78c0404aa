//! The paths that are no part of the table of routes.

use serde_json::{Map, Value, json};

use super::answers::reference;
use super::{insert, responses};

/// The paths by themselves, with the health checks at theirs.
pub(super) fn paths(health_checks: &[&str]) -> Map<String, Value> {
    let checks = health_checks.iter().enumerate();
    let checks = checks.map(|(index, path)| (*path, healthcheck(index)));
    let paths = [("/", versions())]
        .into_iter()
        .chain(checks)
        .chain([("/v2/openapi.json", document()), ("/v2", home())]);
    let item = |(path, operation): (&str, Value)| (path.to_owned(), json!({"get": operation}));
    paths.map(item).collect()
}

fn versions() -> Value {
    let content = json!({"application/json": {"schema": reference("Versions")}});
    let summary = "List the versions of the interface";
    let answers = (
        300,
        "The versions.",
        content,
        &[400, 406, 414, 431, 503][..],
    );
    let mut operation = public(operation("list_versions", summary, answers));
    if let Some(answers) = operation.get_mut("responses") {
        let description = "A browser, which would rather have HTML, is sent to the web page.";
        insert(answers, "303", json!({"description": description}));
    }
    operation
}

/// Each has another operationId: there may be several.
fn healthcheck(index: usize) -> Value {
    let id = match index {
        0 => "check_health".to_owned(),
        index => format!("check_health_{}", index + 1),
    };
    let text = json!({"schema": {"type": "string"}});
    let content = json!({
        "application/json": {"schema": {"type": "object"}},
        "text/plain": text,
        "text/html": text,
    });
    let answers = (200, "It does.", content.clone(), &[400, 414, 431][..]);
    let summary = "Ask whether the service wants requests";
    let mut operation = public(operation(&id, summary, answers));
    if let Some(answers) = operation.get_mut("responses") {
        let answer = json!({"description": "It wants none.", "content": content});
        insert(answers, "503", answer);
    }
    operation
}

fn document() -> Value {
    let content = json!({"application/json": {"schema": {"type": "object"}}});
    let answers = (
        200,
        "The document.",
        content,
        &[400, 406, 414, 431, 503][..],
    );
    public(operation("show_openapi", "Show this document", answers))
}

fn home() -> Value {
    let content = json!({"application/json-home": {"schema": {"type": "object"}}});
    let refusals = &[400, 401, 406, 414, 431, 500, 503][..];
    let answers = (200, "A document of json-home.", content, refusals);
    operation("show_home", "List the kinds of documents", answers)
}

/// An operation with its answer in case of success, and its refusals.
fn operation(
    id: &str,
    summary: &str,
    (status, description, content, refusals): (u16, &str, Value, &[u16]),
) -> Value {
    let success = json!({"description": description, "content": content});
    let mut answers = Map::from_iter([(status.to_string(), success)]);
    answers.extend(
        responses::references(refusals).map(|(status, answer)| (status.to_string(), answer)),
    );
    json!({"operationId": id, "tags": ["service"], "summary": summary, "responses": answers})
}

/// One that needs no token.
fn public(mut operation: Value) -> Value {
    insert(&mut operation, "security", json!([]));
    operation
}
