//! A document with what Elasticsearch says beside it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A document as searches and dumps show it. Other members than these (`_version`, `_score`, `sort`) have no meaning for
/// an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hit {
    /// The index.
    #[serde(rename = "_index", default)]
    pub index: String,
    /// The type; servers from 8 on have none.
    #[serde(rename = "_type", default, skip_serializing_if = "Option::is_none")]
    pub doc_type: Option<String>,
    /// The id within index and type.
    #[serde(rename = "_id")]
    pub id: String,
    /// The document, unparsed.
    #[serde(rename = "_source")]
    pub source: Box<RawValue>,
}

impl Hit {
    /// Index, type and id, as people read them.
    pub fn path(&self) -> String {
        let doc_type = self.doc_type.as_deref().unwrap_or("_doc");
        format!("{}/{doc_type}/{}", self.index, self.id)
    }
}
