//! What an import did: counts that have to add up, and what is said of single documents.

use std::collections::BTreeMap;

use super::document::Kind;
use super::plan::{Rows, With};
use super::writer::{Outcome, Placed, reason_to_leave};
use crate::elasticsearch::Hit;

/// How many different notes are kept; further ones are counted together.
const MAX_NOTES: usize = 500;

/// What became of the documents of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They are rows now.
    pub written: u64,
    /// They are further registrations of a client that is a row.
    pub merged: u64,
    /// They were rows already.
    pub there: u64,
    /// Rows with their ids are there, and differ.
    pub differing: u64,
    /// They cannot be rows.
    pub left: u64,
}

impl Tally {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.written + self.merged + self.there + self.differing + self.left
    }
}

/// What is said of documents of a kind: how often, and of which one for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How often.
    pub count: u64,
    /// The path of one of the documents.
    pub example: String,
}

/// What an import did, or would do.
#[derive(Debug, Default)]
pub struct Report {
    /// What became of it.
    pub tallies: BTreeMap<Kind, Tally>,
    /// What is said of documents.
    pub notes: BTreeMap<(Kind, String), Note>,
    /// Actions that were made from the copies in jobs.
    pub made_actions: u64,
}

impl Report {
    /// What became of the documents of a kind.
    pub fn tally(&self, kind: Kind) -> Tally {
        self.tallies.get(&kind).copied().unwrap_or_default()
    }

    /// How many documents are not as rows in the tables.
    pub fn not_there(&self) -> u64 {
        let tallies = self.tallies.values();
        tallies.map(|tally| tally.differing + tally.left).sum()
    }

    pub(super) fn count(&mut self, kind: Kind, hit: &Hit, outcome: &Outcome) {
        let tally = self.tallies.entry(kind).or_default();
        match outcome {
            Outcome::Written | Outcome::Overwritten(_) => tally.written += 1,
            Outcome::There | Outcome::Deleted => tally.there += 1,
            Outcome::Merged(_) => tally.merged += 1,
            Outcome::Differs(_) => tally.differing += 1,
            Outcome::Left(_) => tally.left += 1,
        }
        match outcome {
            Outcome::Merged(_) => {
                self.note(kind, "registered several times; the newest counts", hit)
            }
            Outcome::Deleted => {
                self.note(kind, "deleted since it was imported; it stays deleted", hit)
            }
            Outcome::Overwritten(columns) => {
                self.note(
                    kind,
                    &format!("overwritten, since they differed: {}", columns.join(", ")),
                    hit,
                );
            }
            other => {
                if let Some(reason) = reason_to_leave(other) {
                    self.note(kind, &format!("left: {reason}"), hit);
                }
            }
        }
    }

    /// Notes what of a document that is a row now is kept beside it.
    pub(super) fn note_kept(&mut self, kind: Kind, rows: &Rows, hit: &Hit, placed: &Placed) {
        if let Some(renamed) = &placed.renamed {
            self.note(kind, renamed, hit);
        }
        if !matches!(placed.outcome, Outcome::Written | Outcome::Overwritten(_)) {
            return;
        }
        for reason in rows.main.kept.reasons() {
            self.note(kind, reason, hit);
        }
        if let With::Job { made, .. } = &rows.with {
            self.made_actions += made.len() as u64;
            for reason in made.iter().flat_map(|action| action.kept.reasons()) {
                self.note(kind, &format!("in an action of the job: {reason}"), hit);
            }
        }
    }

    fn note(&mut self, kind: Kind, text: &str, hit: &Hit) {
        let key = (kind, text.to_owned());
        let is_full = self.notes.len() >= MAX_NOTES && !self.notes.contains_key(&key);
        let key = if is_full {
            (kind, "further notes".to_owned())
        } else {
            key
        };
        let note = self.notes.entry(key).or_insert_with(|| Note {
            count: 0,
            example: hit.path(),
        });
        note.count += 1;
    }
}
