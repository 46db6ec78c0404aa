//! The answers of a request that is not carried out.

use serde_json::{Map, Value, json};

use super::answers::reference;
use super::insert;

/// A status other than success.
pub(super) struct Refusal {
    pub(super) status: u16,
    name: &'static str,
    description: &'static str,
    /// Title and description of an example; none where the answer has no body.
    example: Option<(&'static str, &'static str)>,
    /// A header that the answer has.
    header: Option<&'static str>,
}

/// Those that every operation may answer.
pub(super) const ALWAYS: &[u16] = &[400, 401, 403, 406, 414, 431, 500, 503];
/// Those that reading a body may come to.
pub(super) const OF_BODIES: &[u16] = &[408, 413];

/// All of them.
pub(super) const REFUSALS: &[Refusal] = &[
    Refusal {
        status: 400,
        name: "BadRequest",
        description: "The path, a parameter, a header or the body is malformed, or breaks a rule.",
        example: Some((
            "Bad request format",
            "max_retries: \"5\" is not of types \"integer\", \"null\"",
        )),
        header: None,
    },
    Refusal {
        status: 401,
        name: "Unauthorized",
        description: "There is no valid token.",
        example: None,
        header: Some("WWW-Authenticate"),
    },
    Refusal {
        status: 403,
        name: "Forbidden",
        description: "The policy does not allow it.",
        example: Some((
            "Access Forbidden",
            "You are not allowed to access this resource",
        )),
        header: None,
    },
    Refusal {
        status: 404,
        name: "NotFound",
        description: "The project does not have the document that the path names.",
        example: Some(("Not Found", "Job not registered with ID 6f1c")),
        header: None,
    },
    Refusal {
        status: 406,
        name: "NotAcceptable",
        description: "The client does not take JSON. The answer is empty where it takes no XML either.",
        example: Some((
            "406 Not Acceptable",
            "Freezer-api only supports responses encoded as JSON.",
        )),
        header: None,
    },
    Refusal {
        status: 408,
        name: "RequestTimeout",
        description: "The body did not arrive within [api] read_timeout.",
        example: Some(("Request Timeout", "The request body did not arrive in time")),
        header: None,
    },
    Refusal {
        status: 409,
        name: "Conflict",
        description: "The identifier is in use, by a deleted document or by one of another project too.",
        example: Some((
            "Document already existing",
            "Job already registered with ID 6f1c",
        )),
        header: None,
    },
    Refusal {
        status: 413,
        name: "ContentTooLarge",
        description: "The body is larger than [oslo_middleware] max_request_body_size, or the document would become too large.",
        example: Some((
            "Request Entity Too Large",
            "The request body is larger than 1048576 bytes",
        )),
        header: None,
    },
    Refusal {
        status: 414,
        name: "UriTooLong",
        description: "The path and the query have more than 65,534 bytes.",
        example: None,
        header: None,
    },
    Refusal {
        status: 422,
        name: "UnprocessableContent",
        description: "The client or an action of the job does not exist or does not fit, or no trust can be had.",
        example: Some(("Unprocessable Entity", "Client not found with ID host1")),
        header: None,
    },
    Refusal {
        status: 431,
        name: "HeadersTooLarge",
        description: "The header of the request is too large.",
        example: None,
        header: None,
    },
    Refusal {
        status: 500,
        name: "InternalServerError",
        description: "A fault of the service or of its tables. The log says more.",
        example: Some(("Internal Storage Error", "Database operation failed.")),
        header: None,
    },
    Refusal {
        status: 503,
        name: "ServiceUnavailable",
        description: "The database or Keystone cannot be reached, or there is too much to do. Try again.",
        example: Some(("Service Unavailable", "The database is unavailable.")),
        header: Some("Retry-After"),
    },
];

/// The answers by name, for the components of the document.
pub(super) fn components() -> Value {
    let all = REFUSALS
        .iter()
        .map(|refusal| (refusal.name.to_owned(), component(refusal)));
    Value::Object(all.collect())
}

fn component(refusal: &Refusal) -> Value {
    let mut component = json!({"description": refusal.description});
    let schema = if refusal.status == 401 {
        "Unauthorized"
    } else {
        "Error"
    };
    let mut json = json!({"schema": reference(schema)});
    let mut content = Map::new();
    if let Some((title, description)) = refusal.example {
        insert(
            &mut json,
            "example",
            json!({"title": title, "description": description}),
        );
    }
    content.insert("application/json".to_owned(), json);
    if refusal.status == 406 {
        for xml in ["application/xml", "text/xml"] {
            content.insert(xml.to_owned(), json!({}));
        }
    }
    if refusal.example.is_some() || refusal.status == 401 {
        insert(&mut component, "content", Value::Object(content));
    }
    if let Some(header) = refusal.header {
        insert(
            &mut component,
            "headers",
            json!({header: {"schema": {"type": "string"}}}),
        );
    }
    component
}

/// The answers with these statuses, in their order, as references.
pub(super) fn references(statuses: &[u16]) -> impl Iterator<Item = (u16, Value)> {
    REFUSALS
        .iter()
        .filter(move |refusal| statuses.contains(&refusal.status))
        .map(|refusal| {
            let path = format!("#/components/responses/{}", refusal.name);
            (refusal.status, json!({"$ref": path}))
        })
}
