//! The OpenAPI document of the REST interface, made from the table of routes and the schemas that check bodies.

mod answers;
mod examples;
mod public;
mod queries;
mod responses;
mod texts;

use std::sync::{Arc, OnceLock};

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Api;
use super::operation::Body;
use super::routes::{Endpoint, routes};
use crate::config::Config;
use crate::domain::validation::{self, ID_WIDTH};
use answers::reference;

/// Where it is served.
pub(super) const PATH: &str = "/v2/openapi.json";

/// `GET /v2/openapi.json`, with the health checks where this service has them.
pub(super) fn route(config: &Config) -> MethodRouter<Arc<Api>> {
    let paths = config.healthchecks().map(|check| check.path.as_str());
    let paths: Vec<String> = paths.map(str::to_owned).collect();
    let text = Arc::new(OnceLock::new());
    get(async move || -> Response {
        let text: &Bytes = text.get_or_init(|| {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            Bytes::from(text_of(&document_with(&paths)))
        });
        ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response()
    })
}

/// The document as text, the same each time.
pub fn document_text() -> String {
    text_of(&document())
}

fn text_of(document: &Value) -> String {
    format!("{document:#}\n")
}

/// The document: OpenAPI 3.1. The health check is where it is without an option.
pub fn document() -> Value {
    document_with(&["/healthcheck"])
}

fn document_with(health_checks: &[&str]) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "freezer-api",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The management API of OpenStack's backup service.",
            "description": texts::INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths(health_checks),
        "components": {
            "securitySchemes": {"token": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Auth-Token",
                "description": "A token of Keystone, for the project of the path or with a role that may act in all.",
            }},
            "headers": {"RequestId": {
                "description": "The request's id in the log.",
                "schema": {"type": "string"},
            }},
            "parameters": parameters(),
            "schemas": schemas(),
            "responses": responses::components(),
        },
    })
}

fn paths(health_checks: &[&str]) -> Value {
    let endpoints = routes();
    let mut paths = public::paths(health_checks);
    for endpoint in &endpoints {
        let item = paths
            .entry(endpoint.path)
            .or_insert_with(|| json!({"parameters": path_parameters(endpoint.path)}));
        insert(
            item,
            &method_name(&endpoint.method),
            operation(endpoint, &endpoints),
        );
    }
    Value::Object(paths)
}

fn method_name(method: &Method) -> String {
    method.as_str().to_ascii_lowercase()
}

fn path_parameters(path: &str) -> Value {
    let names = path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(parameter).collect()
}

fn parameter(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// The parameter of a path where it becomes the identifier of a new document; others are looked for only.
fn new_id(name: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "schema": validation::identifier(),
        "description": "The identifier of the document, which is made where there is none.",
    })
}

fn operation(endpoint: &Endpoint, endpoints: &[Endpoint]) -> Value {
    let operation = &endpoint.operation;
    let (summary, description) = texts::of_operation(operation.id);
    let rule = format!("Policy rule: {}.", endpoint.rule.name());
    let mut value = json!({
        "operationId": operation.id,
        "tags": [endpoint.path.split('/').nth(3)],
        "summary": summary,
        "description": format!("{description} {rule}").trim_start(),
    });
    let query = operation.query.iter().copied().map(parameter);
    let parameters: Vec<Value> = query.chain(operation.new_id.map(new_id)).collect();
    if !parameters.is_empty() {
        insert(&mut value, "parameters", parameters.into());
    }
    let mut refusals = [responses::ALWAYS, operation.refusals].concat();
    if let Some(body) = &operation.body {
        refusals.extend(responses::OF_BODIES);
        insert(&mut value, "requestBody", request_body(operation.id, body));
    }
    let (status, schema) = operation.success;
    let mut success = answer(texts::of_status(status), schema);
    if operation.is_table {
        add_table(&mut success);
    }
    let links = links(endpoint, endpoints);
    if !links.is_empty() {
        insert(&mut success, "links", Value::Object(links));
    }
    let mut answers = Map::from_iter([(status.to_string(), success)]);
    answers.extend(
        responses::references(&refusals).map(|(status, answer)| (status.to_string(), answer)),
    );
    insert(&mut value, "responses", Value::Object(answers));
    value
}

fn request_body(id: &str, body: &Body) -> Value {
    let mut content = json!({"schema": reference(body.schema)});
    if let Some(example) = examples::of_operation(id) {
        insert(&mut content, "example", example);
    }
    json!({"required": body.is_required, "content": {"application/json": content}})
}

/// Adds a member to an object.
fn insert(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// A successful answer.
fn answer(description: &str, schema: Option<&str>) -> Value {
    let mut answer = json!({
        "description": description,
        "headers": {"X-Openstack-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    });
    if let Some(schema) = schema {
        insert(
            &mut answer,
            "content",
            json!({"application/json": {"schema": reference(schema)}}),
        );
    }
    answer
}

/// Adds that the answer may be CSV.
fn add_table(success: &mut Value) {
    let description = "A line for each document, behind one with the names of their members. The header Link has the next page.";
    let csv = json!({"schema": {"type": "string", "description": description}});
    if let Some(content) = success.get_mut("content") {
        insert(content, "text/csv", csv);
    }
}

/// From the answer of a collection's POST to what can be done with the new document.
fn links(endpoint: &Endpoint, endpoints: &[Endpoint]) -> Map<String, Value> {
    if endpoint.method != Method::POST {
        return Map::new();
    }
    let member = |path: &str| {
        Some(
            path.strip_prefix(endpoint.path)?
                .strip_prefix("/{")?
                .strip_suffix('}')
                .filter(|name| !name.contains('/'))?
                .to_owned(),
        )
    };
    let members = endpoints
        .iter()
        .filter_map(|other| Some((other.operation.id, member(other.path)?)));
    let link = |(id, name): (&str, String)| {
        let link = json!({"operationId": id, "parameters": {
            "project_id": "$request.path.project_id",
            (&*name): format!("$response.body#/{name}"),
        }});
        (id.to_owned(), link)
    };
    members.map(link).collect()
}

/// The parameters of paths and queries by name.
fn parameters() -> Value {
    let mut parameters = named_in_paths();
    parameters.extend(named_in_queries());
    Value::Object(parameters)
}

fn named_in_paths() -> Map<String, Value> {
    let project = json!({
        "name": "project_id", "in": "path", "required": true, "example": "demo",
        "description": "The project in which to act.",
        "schema": {"type": "string", "minLength": 1, "maxLength": ID_WIDTH, "pattern": r"^[\p{L}\p{N}_\-]+$"},
    });
    let identifiers = [
        ("client_id", "The name of a client.", "host1.example.com"),
        ("action_id", "The identifier of an action.", "a1"),
        ("job_id", "The identifier of a job.", "j1"),
        ("session_id", "The identifier of a session.", "s1"),
        ("backup_id", "The identifier of a backup's record.", "b1"),
        ("run_id", "The identifier of a run.", "r1"),
        ("series_id", "The identifier of a series of backups.", "s1"),
    ];
    let identifiers = identifiers.map(|(name, description, example)| {
        let parameter = json!({
            "name": name, "in": "path", "required": true, "description": description, "example": example,
            "schema": {"type": "string", "minLength": 1, "pattern": r"^[^\x00]+$"},
        });
        (name.to_owned(), parameter)
    });
    Map::from_iter(
        [("project_id".to_owned(), project)]
            .into_iter()
            .chain(identifiers),
    )
}

/// The parameters of queries by the name of the component, which is their own, but for those that mean something else elsewhere.
fn named_in_queries() -> impl Iterator<Item = (String, Value)> {
    let own = queries::of_lists();
    let own = own.map(|(name, description, schema)| (name, name, description, schema));
    let all = own.into_iter().chain(queries::of_reports());
    all.map(|(component, name, description, schema)| {
        let parameter =
            json!({"name": name, "in": "query", "description": description, "schema": schema});
        (component.to_owned(), parameter)
    })
}

/// The schemas by name, with words for their members.
fn schemas() -> Value {
    let mut schemas = Map::new();
    let schedule = validation::schedule();
    for (name, mut schema) in validation::bodies().into_iter().chain(answers::answers()) {
        replace(&mut schema, &schedule, &reference("Schedule"));
        schemas.insert(name.to_owned(), schema);
    }
    schemas.insert("Schedule".to_owned(), schedule);
    let mut schemas = Value::Object(schemas);
    describe(&mut schemas);
    schemas
}

/// Puts a reference in the place of each copy of a schema.
fn replace(value: &mut Value, schema: &Value, reference: &Value) {
    if value == schema {
        reference.clone_into(value);
        return;
    }
    match value {
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| replace(value, schema, reference)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| replace(value, schema, reference)),
        _ => {}
    }
}

/// Adds to each member what it means, where its schema does not say it.
fn describe(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, schema) in properties.iter_mut() {
                    if let (Value::Object(schema), Some(text)) = (schema, texts::of_member(name)) {
                        schema.entry("description").or_insert_with(|| text.into());
                    }
                }
            }
            members.values_mut().for_each(describe);
        }
        Value::Array(items) => items.iter_mut().for_each(describe),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_have_the_members_of_their_documents() {
        let tables = routes().into_iter().filter(|one| one.operation.is_table);
        let answers = answers::answers();
        let schema = |name: &str| {
            let found = answers.iter().find(|(other, _)| *other == name);
            found.unwrap().1["properties"].as_object().unwrap()
        };
        let mut seen = 0;
        for endpoint in tables {
            let name = endpoint.operation.success.1.unwrap();
            let list = schema(name).iter();
            let (collection, items) = list
                .filter_map(|(name, list)| Some((name, list["items"]["$ref"].as_str()?)))
                .next()
                .unwrap();
            let members = schema(items.rsplit('/').next().unwrap()).iter();
            // Lists of documents are lists of their own.
            let members = members.filter(|(_, schema)| schema["items"]["$ref"].is_null());
            let members: BTreeSet<&str> = members.map(|(name, _)| name.as_str()).collect();
            let table = super::super::csv::table_of(collection);
            assert_eq!(
                table.columns.iter().copied().collect::<BTreeSet<_>>(),
                members,
                "{collection}"
            );
            seen += 1;
        }
        assert_eq!(seen, super::super::csv::TABLES.len());
    }

    #[test]
    fn everything_has_its_words_and_no_words_are_left_over() {
        let document = document();
        let mut undescribed = Vec::new();
        let mut described = Vec::new();
        walk(&document["components"]["schemas"], &mut |name, schema| {
            described.push(name.to_owned());
            if schema["description"].as_str().is_none_or(str::is_empty) {
                undescribed.push(name.to_owned());
            }
        });
        assert_eq!(undescribed, Vec::<String>::new());
        for (name, _) in texts::MEMBERS {
            assert!(
                described.iter().any(|member| member == name),
                "nothing is called {name}"
            );
        }
        let ids: Vec<&str> = routes()
            .iter()
            .map(|endpoint| endpoint.operation.id)
            .collect();
        for (id, _, _) in texts::OPERATIONS {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id}");
        }
        assert_eq!(ids.len(), texts::OPERATIONS.len());
    }

    fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    properties
                        .iter()
                        .for_each(|(name, schema)| see(name, schema));
                }
                members.values().for_each(|value| walk(value, see));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, see)),
            _ => {}
        }
    }
}
