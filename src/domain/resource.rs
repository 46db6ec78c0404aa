//! What the kinds of document have in common that clients list and get.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::action::Action;
use super::backup::Backup;
use super::client::Client;
use super::session::Session;

/// A kind of row that is shown as a document. Jobs, whose documents need further rows, are none.
pub trait Resource {
    /// What several are called in paths and answers.
    const COLLECTION: &'static str;
    /// The member whose time a search may limit with `time_after` and `time_before`, which others ignore.
    const TIME_MEMBER: Option<&'static str> = None;

    /// The document that answers show.
    fn to_json(&self) -> Box<RawValue>;

    /// The document that lists show.
    fn to_list_item(&self) -> Box<RawValue> {
        self.to_json()
    }
}

/// A document as JSON text.
#[expect(
    clippy::expect_used,
    reason = "documents have string keys, and no member of theirs fails to serialise"
)]
pub fn raw(document: &impl Serialize) -> Box<RawValue> {
    to_raw_value(document).expect("a document is JSON")
}

impl Resource for Client {
    const COLLECTION: &'static str = "clients";

    fn to_json(&self) -> Box<RawValue> {
        raw(&self.document())
    }
}

impl Resource for Action {
    const COLLECTION: &'static str = "actions";

    fn to_json(&self) -> Box<RawValue> {
        raw(&self.document())
    }

    fn to_list_item(&self) -> Box<RawValue> {
        raw(&self.list_item())
    }
}

impl Resource for Session {
    const COLLECTION: &'static str = "sessions";

    fn to_json(&self) -> Box<RawValue> {
        raw(&self.document())
    }
}

impl Resource for Backup {
    const COLLECTION: &'static str = "backups";
    const TIME_MEMBER: Option<&'static str> = Some("time_stamp");

    fn to_json(&self) -> Box<RawValue> {
        raw(&self.document())
    }
}
