//! What many clients saw at once, and whether it could have come about one request after the other.
//!
//! A history is linearizable where each request can be given a moment between its sending and its answer, so that in the order
//! of these moments the sequential truth answers the same. The search is that of Wing and Gong, with Lowe's memory: what was
//! carried out, with the state that it led to, is looked at once.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::answer::Seen;
use super::catalogue::Catalogue;
use super::operation::Operation;

/// One request and its answer, at moments of one clock of the whole process.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) project: &'static str,
    pub(super) operation: Operation,
    pub(super) sent: u64,
    /// `None` where nobody knows whether it was carried out, now or later.
    pub(super) answered: Option<(u64, Seen)>,
}

/// Why a history is not linearizable: the most that could be ordered, and what of it came then.
#[derive(Debug)]
pub(super) struct Violation {
    ordered: Vec<Call>,
    left: Vec<Call>,
    state: Catalogue,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = |call: &Call| {
            let answer = match &call.answered {
                Some((at, seen)) => format!("{at}: {} {}", seen.status, seen.document),
                None => "never".to_owned(),
            };
            format!(
                "  {}: {} {:?} -> {answer}\n",
                call.sent, call.project, call.operation
            )
        };
        let text = |calls: &[Call]| calls.iter().map(call).collect::<String>();
        write!(
            f,
            "in this order:\n{}lead to {:?}\nwhere none of these could be next:\n{}",
            text(&self.ordered),
            self.state,
            text(&self.left)
        )
    }
}

/// Checks a history that begins with nothing.
///
/// # Errors
/// [`Violation`] where it is not linearizable.
pub(super) fn check(calls: &[Call]) -> Result<(), Box<Violation>> {
    assert!(calls.len() <= 128, "{} calls", calls.len());
    let mut search = Search {
        calls,
        looked_at: HashSet::new(),
        deepest: Vec::new(),
    };
    if search.reaches_the_end(0, &Catalogue::default(), &mut Vec::new()) {
        return Ok(());
    }
    let mut state = Catalogue::default();
    for index in &search.deepest {
        let call = &calls[*index];
        // What it answers was compared.
        state.apply(call.project, &call.operation).ok();
    }
    let is_left = |index: &usize| !search.deepest.contains(index);
    Err(Box::new(Violation {
        ordered: search
            .deepest
            .iter()
            .map(|index| calls[*index].clone())
            .collect(),
        left: (0..calls.len())
            .filter(is_left)
            .map(|index| calls[index].clone())
            .collect(),
        state,
    }))
}

struct Search<'a> {
    calls: &'a [Call],
    /// Which calls were carried out (a bit each), and to what that led: its hash, since a history that is not linearizable can
    /// have millions.
    looked_at: HashSet<(u128, u64)>,
    /// The longest order that was found.
    deepest: Vec<usize>,
}

impl Search<'_> {
    /// Whether all calls that are not `done` can be carried out in some order.
    fn reaches_the_end(&mut self, done: u128, state: &Catalogue, order: &mut Vec<usize>) -> bool {
        if order.len() > self.deepest.len() {
            self.deepest.clone_from(order);
        }
        let left = |index: &usize| done & (1 << index) == 0;
        let answers = (0..self.calls.len()).filter(left);
        let answers = answers.filter_map(|index| self.calls[index].answered.as_ref());
        // None is carried out after another was answered that is not.
        let Some(first_answer) = answers.map(|(at, _)| *at).min() else {
            return true;
        };
        if !self.looked_at.insert((done, hash(state))) {
            return false;
        }
        for index in (0..self.calls.len()).filter(left) {
            if self.calls[index].sent > first_answer {
                continue;
            }
            let Some(next) = after(state, &self.calls[index]) else {
                continue;
            };
            order.push(index);
            if self.reaches_the_end(done | 1 << index, &next, order) {
                return true;
            }
            order.pop();
        }
        false
    }
}

fn hash(state: &Catalogue) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// The state after a call, where it answers there what was seen.
fn after(state: &Catalogue, call: &Call) -> Option<Catalogue> {
    let mut next = state.clone();
    let outcome = next.apply(call.project, &call.operation);
    let fits = match (&outcome, &call.answered) {
        (outcome, None) => outcome.is_ok(),
        (Ok(document), Some((_, seen))) => {
            seen.status == call.operation.success() && seen.document == *document
        }
        (Err(statuses), Some((_, seen))) => statuses.contains(&seen.status),
    };
    fits.then(|| if outcome.is_ok() { next } else { state.clone() })
}
