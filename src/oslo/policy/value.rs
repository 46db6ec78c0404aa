//! What a policy file holds for one rule, and how it is read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// A rule as a policy file writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleValue {
    /// `"role:admin or rule:owner"`; empty text allows everyone.
    Text(String),
    /// The list form: passes when one of the alternatives does. An empty list allows everyone.
    Alternatives(Vec<Alternative>),
}

/// One alternative of the list form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alternative {
    /// A single check; empty text does not count.
    One(String),
    /// Checks that must all pass; an empty list does not count.
    All(Vec<String>),
}

impl Alternative {
    /// The checks that must all pass.
    pub(super) fn checks(&self) -> &[String] {
        match self {
            Self::One(check) if check.is_empty() => &[],
            Self::One(check) => std::slice::from_ref(check),
            Self::All(checks) => checks,
        }
    }
}

/// The rule as a policy file may write it on one line: text in quotes, lists in brackets.
impl fmt::Display for RuleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Alternatives(alternatives) => {
                f.write_str("[")?;
                for (position, alternative) in alternatives.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    match alternative {
                        Alternative::One(check) => write!(f, "{separator}{check:?}")?,
                        Alternative::All(checks) => write!(f, "{separator}{checks:?}")?,
                    }
                }
                f.write_str("]")
            }
        }
    }
}

const WANTED_RULE: &str = "a text such as \"role:admin\", or a list of such texts and lists of them \
                           (\"@\" allows everyone, \"!\" no one)";
const WANTED_CHECK: &str = "a text with one check such as \"role:admin\"";

impl<'de> Deserialize<'de> for RuleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = RuleValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED_RULE)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RuleValue, E> {
                Ok(RuleValue::Text(text.to_owned()))
            }

            fn visit_unit<E: Error>(self) -> Result<RuleValue, E> {
                Err(E::invalid_type(Unexpected::Other("no value"), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RuleValue, A::Error> {
                let mut alternatives = Vec::new();
                while let Some(alternative) = items.next_element()? {
                    alternatives.push(alternative);
                }
                Ok(RuleValue::Alternatives(alternatives))
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}

impl<'de> Deserialize<'de> for Alternative {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AlternativeVisitor;
        impl<'de> Visitor<'de> for AlternativeVisitor {
            type Value = Alternative;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{WANTED_CHECK}, or a list of such texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Alternative, E> {
                Ok(Alternative::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Alternative, A::Error> {
                let mut checks = Vec::new();
                while let Some(CheckText(check)) = items.next_element()? {
                    checks.push(check);
                }
                Ok(Alternative::All(checks))
            }
        }
        deserializer.deserialize_any(AlternativeVisitor)
    }
}

/// A text that is written as one: `5` and `true` without quotes are none.
struct CheckText(String);

impl<'de> Deserialize<'de> for CheckText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = CheckText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WANTED_CHECK)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<CheckText, E> {
                Ok(CheckText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// The content of a policy file: rules in the order of the file, a repeated name as often as it is written.
#[derive(Debug, Default)]
pub(super) struct RuleFile {
    pub(super) rules: Vec<(String, serde_saphyr::Spanned<RuleValue>)>,
}

impl<'de> Deserialize<'de> for RuleFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileVisitor;
        impl<'de> Visitor<'de> for FileVisitor {
            type Value = RuleFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of rule names to rules")
            }

            // An empty file, or one of comments alone.
            fn visit_unit<E: Error>(self) -> Result<RuleFile, E> {
                Ok(RuleFile::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RuleFile, A::Error> {
                let mut rules = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    rules.push(entry);
                }
                Ok(RuleFile { rules })
            }
        }
        deserializer.deserialize_any(FileVisitor)
    }
}
