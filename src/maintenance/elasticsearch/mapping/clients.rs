//! Clients.

use serde_json::Value;

use super::{Kept, Mapped, Owner, cut, keep_refused, made_id, time_of_drawn_id};
use crate::domain::client::{Client, Registration};
use crate::domain::document::{self, Object, owned_text};
use crate::domain::validation::Schemas;
use crate::maintenance::elasticsearch::document::{Document, Kind};

/// The members of a registration that may be absent.
const OPTIONAL: [&str; 8] = [
    "hostname",
    "description",
    "uuid",
    "is_central",
    "supported_actions",
    "supported_modes",
    "supported_storages",
    "supported_engines",
];

/// A client with the registration that makes it.
#[derive(Debug)]
pub(in super::super) struct ClientRow {
    pub(in super::super) registration: Registration,
    pub(in super::super) client: Client,
}

/// The name of a client.
pub(in super::super) fn name(members: &Object) -> Option<&str> {
    document::text(members.get("client")?.as_object()?, "client_id")
}

/// The id of a client: up to 4.0.0 it lies beside the description, later in it.
fn uuid(document: &Document) -> String {
    let members = &document.members;
    let described = members.get("client").and_then(Value::as_object);
    described
        .and_then(|client| document::text(client, "uuid"))
        .or_else(|| document::text(members, "uuid"))
        .filter(|uuid| !uuid.is_empty())
        .map_or_else(|| made_id(Kind::Clients, document.id()), str::to_owned)
}

/// Where both have one, which may differ, the client's own counts.
fn take_uuid(client: &mut Object, rest: &mut Object, uuid: String) {
    if document::text(rest, "uuid") == Some(&uuid) {
        rest.shift_remove("uuid");
    }
    client.insert("uuid".to_owned(), uuid.into());
}

/// The row of a client.
pub(in super::super) fn map(
    schemas: &Schemas,
    document: &Document,
    owner: Owner<'_>,
) -> Result<Mapped<ClientRow>, String> {
    let mut rest = document.members.clone();
    let mut kept = Kept::default();
    let Some(Value::Object(mut client)) = rest.shift_remove("client") else {
        return Err("it describes no client".to_owned());
    };
    take_uuid(&mut client, &mut rest, uuid(document));
    for key in ["user_id", "project_id"] {
        rest.shift_remove(key);
    }
    let mut body = Object::new();
    for key in ["client_id"].into_iter().chain(OPTIONAL) {
        if let Some(value) = client.shift_remove(key).filter(|value| !value.is_null()) {
            body.insert(key.to_owned(), value);
        }
    }
    cut(&mut body, "description", &mut kept);
    let required = Object::from_iter([(
        "client_id".to_owned(),
        body.get("client_id").cloned().unwrap_or_default(),
    )]);
    schemas
        .client
        .check(required.clone())
        .map_err(|refusal| refusal.to_string())?;
    keep_refused(&schemas.client, &mut body, &OPTIONAL, &required, &mut kept);
    let uuid = owned_text(&body, "uuid").unwrap_or_else(|| made_id(Kind::Clients, document.id()));
    let registration = Registration::parse(schemas, body).map_err(|refusal| refusal.to_string())?;
    client.extend(rest);
    kept.add_rest(client);
    Ok(Mapped {
        row: ClientRow {
            client: registration.client(&uuid, owner.project_id, owner.user_id),
            registration,
        },
        created: time_of_drawn_id(document.id()),
        kept,
    })
}
