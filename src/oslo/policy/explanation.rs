//! Which check decided, and why.

use std::fmt;

use super::Decision;

/// One step of a decision, in the order in which the checks were looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// How deep the step lies in the rule; the rule itself is at 0.
    pub depth: usize,
    /// The check as written, or `not`, `all of`, `any of`, `rule:name`.
    pub check: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was compared with what; empty for steps that only combine others.
    pub reason: String,
    /// Whether the decision would have needed another answer here to be another one. Of `any of` that passed, only the
    /// alternative that passed is decisive; of `any of` that did not, all are.
    pub decisive: bool,
}

/// A decision with the tree of checks that led to it. Checks that were not needed are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The rule that was asked for.
    pub rule: String,
    /// What was decided.
    pub decision: Decision,
    /// Where the deciding rule is written, and as what; the second also when another rule stands in for an unknown one.
    pub source: String,
    /// A remark about the token's scope, where the rule names scopes and the token's is none of them.
    pub scope: Option<String>,
    /// The checks, parents before children.
    pub steps: Vec<Step>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.rule, self.decision)?;
        writeln!(f, "  {}", self.source)?;
        if let Some(scope) = &self.scope {
            writeln!(f, "  {scope}")?;
        }
        for step in &self.steps {
            let mark = if step.decisive && !step.reason.is_empty() {
                '>'
            } else {
                ' '
            };
            let answer = if step.passed { "passes" } else { "fails" };
            write!(
                f,
                "{mark} {:indent$}{} {answer}",
                "",
                step.check,
                indent = 2 * step.depth
            )?;
            match step.reason.as_str() {
                "" => writeln!(f)?,
                reason => writeln!(f, ": {reason}")?,
            }
        }
        Ok(())
    }
}

/// What an evaluation reports while it walks.
pub(super) trait Trace {
    /// A node is entered; `describe` tells its text and, for a check, the reason.
    fn enter(&mut self, depth: usize, describe: impl FnOnce() -> (String, String));
    /// The node last entered and not yet left is left.
    fn leave(&mut self, passed: bool);
}

/// No report: the way of a request.
impl Trace for () {
    fn enter(&mut self, _depth: usize, _describe: impl FnOnce() -> (String, String)) {}
    fn leave(&mut self, _passed: bool) {}
}

/// Records all steps.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    steps: Vec<Step>,
    open: Vec<usize>,
}

impl Trace for Recorder {
    fn enter(&mut self, depth: usize, describe: impl FnOnce() -> (String, String)) {
        let (check, reason) = describe();
        self.open.push(self.steps.len());
        self.steps.push(Step {
            depth,
            check,
            passed: false,
            reason,
            decisive: false,
        });
    }

    #[expect(clippy::expect_used, reason = "only what was entered is left")]
    fn leave(&mut self, passed: bool) {
        let open = self.open.pop();
        let step = open.and_then(|position| self.steps.get_mut(position));
        step.expect("an open step").passed = passed;
    }
}

impl Recorder {
    /// The steps, with the decisive ones marked: the root, and each child of a decisive step whose answer is its parent's
    /// (of `not`: the opposite, so always).
    pub(super) fn finish(mut self) -> Vec<Step> {
        let mut parents: Vec<(bool, bool, bool)> = Vec::new();
        for step in &mut self.steps {
            parents.truncate(step.depth);
            step.decisive = match parents.last() {
                None => true,
                Some(&(decisive, passed, is_not)) => decisive && (is_not || passed == step.passed),
            };
            parents.push((step.decisive, step.passed, step.check == "not"));
        }
        self.steps
    }
}
