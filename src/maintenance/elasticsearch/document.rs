//! What kind of document a hit is, in every layout that freezer's data lie in.

use std::fmt;

use serde_json::Value;

use crate::domain::document::{self, Object};
use crate::elasticsearch::Hit;
use crate::store::MAX_TEXT;
use crate::store::tables::{ACTIONS, BACKUPS, CLIENTS, JOBS, SESSIONS, Table};

/// The kinds of documents, in the order of their import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Schedulers on hosts.
    Clients,
    /// What to do.
    Actions,
    /// When and where to do it.
    Jobs,
    /// Jobs that run together.
    Sessions,
    /// What exists.
    Backups,
}

impl Kind {
    /// In the order of the import.
    pub const ALL: [Kind; 5] = [
        Kind::Clients,
        Kind::Actions,
        Kind::Jobs,
        Kind::Sessions,
        Kind::Backups,
    ];

    /// The name of its type in Elasticsearch, and of its table.
    pub fn name(self) -> &'static str {
        self.table().name
    }

    pub(super) fn table(self) -> &'static Table {
        match self {
            Kind::Clients => &CLIENTS,
            Kind::Actions => &ACTIONS,
            Kind::Jobs => &JOBS,
            Kind::Sessions => &SESSIONS,
            Kind::Backups => &BACKUPS,
        }
    }

    fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where no type says it: jobs name sessions too, so the order matters.
    fn of_shape(members: &Object) -> Option<Kind> {
        let kinds = [
            ("backup_metadata", Kind::Backups),
            ("client", Kind::Clients),
            ("job_schedule", Kind::Jobs),
            ("job_actions", Kind::Jobs),
            ("freezer_action", Kind::Actions),
            ("session_id", Kind::Sessions),
        ];
        let told = kinds.iter().find(|(key, _)| members.contains_key(*key));
        told.map(|(_, kind)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What told the kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// The type, as freezer-api wrote it.
    Types,
    /// A member `type`, which took the types' place.
    Field,
    /// Its members.
    Shape,
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Layout::Types => "by type",
            Layout::Field => "by a member `type`",
            Layout::Shape => "by their members",
        })
    }
}

/// A document of freezer-api.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    pub(super) hit: Hit,
    pub(super) members: Object,
}

/// What a hit is.
pub(super) enum Recognized {
    Document(Box<Document>),
    /// It cannot be read, and why.
    Unreadable(Option<Kind>, Hit, String),
    /// Not freezer-api's.
    Foreign(Hit),
}

/// Says what a hit is. Its JSON is read as strictly as the body of a request: what would not come back as it was written is
/// not taken.
pub(super) fn recognize(hit: Hit) -> Recognized {
    let named = hit.doc_type.as_deref().and_then(Kind::of_name);
    if hit.source.get().len() > MAX_TEXT {
        let reason = format!("it has more than {MAX_TEXT} bytes");
        return Recognized::Unreadable(named, hit, reason);
    }
    let mut members = match document::parse(hit.source.get().as_bytes()) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Recognized::Unreadable(named, hit, "it is no object".to_owned()),
        Err(reason) => return Recognized::Unreadable(named, hit, reason),
    };
    let by_field = document::text(&members, "type").and_then(Kind::of_name);
    let (kind, layout) = match (named, by_field, Kind::of_shape(&members)) {
        (Some(kind), _, _) => (kind, Layout::Types),
        (None, Some(kind), _) => {
            members.shift_remove("type");
            (kind, Layout::Field)
        }
        (None, None, Some(kind)) => (kind, Layout::Shape),
        (None, None, None) => return Recognized::Foreign(hit),
    };
    Recognized::Document(Box::new(Document {
        kind,
        layout,
        hit,
        members,
    }))
}

impl Document {
    /// The `_id` that the document had before a member `type` took the place of its type: Elastic's recipe puts the type in
    /// front of it.
    pub(super) fn id(&self) -> &str {
        let id = self.hit.id.as_str();
        let own = id.strip_prefix(self.kind.name());
        match (self.layout, own.and_then(|own| own.strip_prefix('-'))) {
            (Layout::Field, Some(own)) => own,
            _ => id,
        }
    }

    /// The releases that write such a document, as far as it shows.
    pub(super) fn release(&self) -> &'static str {
        let has = |key: &str| self.members.contains_key(key);
        let described = self.members.get("client").and_then(Value::as_object);
        let in_client = |key: &str| described.is_some_and(|client| client.contains_key(key));
        if has("user_credentials") || in_client("is_central") || self.has_status() {
            "18.0.0 or later"
        } else if in_client("supported_actions") {
            "16.0.0 or later"
        } else if has("project_id") {
            "5.0.0 or later, version 2 of the API"
        } else if has("backup_uuid") {
            "3.0.0 or earlier"
        } else if self.kind == Kind::Clients && has("uuid") {
            "4.0.0 or earlier"
        } else {
            "version 1 of the API"
        }
    }

    fn has_status(&self) -> bool {
        self.kind == Kind::Backups && self.members.contains_key("status")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(doc_type: Option<&str>, source: &str) -> Option<(Kind, Layout)> {
        let hit = Hit {
            index: "freezer".to_owned(),
            doc_type: doc_type.map(str::to_owned),
            id: "jobs-1".to_owned(),
            source: serde_json::from_str(source).unwrap(),
        };
        match recognize(hit) {
            Recognized::Document(document) => Some((document.kind, document.layout)),
            Recognized::Unreadable(..) | Recognized::Foreign(_) => None,
        }
    }

    #[test]
    fn every_layout_is_recognized() {
        let jobs = |layout| Some((Kind::Jobs, layout));
        assert_eq!(kind_of(Some("jobs"), "{}"), jobs(Layout::Types));
        let job = r#"{"job_id": "1", "session_id": "2", "job_actions": []}"#;
        assert_eq!(kind_of(None, job), jobs(Layout::Shape));
        assert_eq!(kind_of(Some("_doc"), job), jobs(Layout::Shape));
        let field = r#"{"type": "jobs", "job_id": "1"}"#;
        assert_eq!(kind_of(Some("_doc"), field), jobs(Layout::Field));
        for (source, kind) in [
            (r#"{"session_id": "1", "jobs": []}"#, Kind::Sessions),
            (r#"{"action_id": "1", "freezer_action": {}}"#, Kind::Actions),
            (r#"{"client": {}}"#, Kind::Clients),
            (
                r#"{"backup_id": "1", "backup_metadata": {}}"#,
                Kind::Backups,
            ),
        ] {
            assert_eq!(kind_of(None, source), Some((kind, Layout::Shape)));
        }
        let large = format!(r#"{{"job_id": "1", "x": "{}"}}"#, "x".repeat(MAX_TEXT));
        assert_eq!(kind_of(Some("jobs"), &large), None);
        assert_eq!(kind_of(Some("configs"), r#"{"config": {}}"#), None);
        assert_eq!(
            kind_of(Some("jobs"), r#"{"a": 99999999999999999999}"#),
            None
        );
    }
}
