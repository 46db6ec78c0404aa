//! The policy language: text or lists to a tree of checks.
//!
//! The language is what oslo.policy accepts, odd corners included. Tokens are separated by white space; parentheses count
//! only at the ends of a token (so that `%(key)s` stays whole); `and`, `or`, `not` have no case; each token is reduced
//! with those before it as soon as a pattern fits. A text that does not reduce to one check is logged and denies.

use super::check::Check;
use super::python;
use super::tree::{Node, NodeId, RuleId, Tree};
use super::value::{Alternative, RuleValue};

/// Why a rule is not loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A check that could only fail at the time of a request.
    Check(String),
    /// `rule:` with a name that is not defined, and there is no default rule.
    UnknownRule(String),
}

/// Reads one rule into the tree, and gives its topmost node. `resolve` finds the rule that a name stands for.
///
/// # Errors
/// The first check that cannot be loaded. A text that is no rule at all is no error, but a rule that denies.
pub(super) fn parse(
    name: &str,
    value: &RuleValue,
    tree: &mut Tree,
    resolve: &dyn Fn(&str) -> Option<RuleId>,
) -> Result<NodeId, Refusal> {
    let start = tree.len();
    let mut parser = Parser {
        rule: name,
        tree,
        resolve,
        stack: Vec::new(),
        refusal: None,
    };
    match value {
        RuleValue::Text(text) => match parser.text(text) {
            Some(root) => parser.finish(root),
            None => {
                tracing::error!(
                    rule = name,
                    text,
                    "policy rule cannot be understood, so it denies everything"
                );
                tree.truncate(start);
                Ok(tree.add(Node::Check(Check::unreadable(text))))
            }
        },
        RuleValue::Alternatives(alternatives) => {
            let root = parser.alternatives(alternatives);
            parser.finish(root)
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A token in quotes, which fits no pattern.
    Quoted,
    /// A whole check: a single one, a negated one, or anything in parentheses.
    Check(NodeId),
    /// Checks joined by `and`, still open to one more.
    All(NodeId),
    /// Checks joined by `or`, still open to one more.
    Any(NodeId),
}

struct Parser<'a> {
    rule: &'a str,
    tree: &'a mut Tree,
    resolve: &'a dyn Fn(&str) -> Option<RuleId>,
    stack: Vec<Item>,
    refusal: Option<Refusal>,
}

impl Parser<'_> {
    fn finish(self, root: NodeId) -> Result<NodeId, Refusal> {
        self.refusal.map_or(Ok(root), Err)
    }

    fn text(&mut self, text: &str) -> Option<NodeId> {
        if text.is_empty() {
            return Some(self.add_check(Check::always()));
        }
        for token in text
            .split(python::is_space)
            .filter(|token| !token.is_empty())
        {
            self.token(token);
        }
        match self.stack.as_slice() {
            [Item::Check(node) | Item::All(node) | Item::Any(node)] => Some(*node),
            _ => None,
        }
    }

    fn token(&mut self, token: &str) {
        let body = token.trim_start_matches('(');
        for _ in body.len()..token.len() {
            self.shift(Item::Open);
        }
        let clean = body.trim_end_matches(')');
        if !clean.is_empty() {
            let item = if clean.eq_ignore_ascii_case("and") {
                Item::And
            } else if clean.eq_ignore_ascii_case("or") {
                Item::Or
            } else if clean.eq_ignore_ascii_case("not") {
                Item::Not
            } else if is_quoted(body) {
                Item::Quoted
            } else {
                Item::Check(self.check(clean))
            };
            self.shift(item);
        }
        for _ in clean.len()..body.len() {
            self.shift(Item::Close);
        }
    }

    fn shift(&mut self, item: Item) {
        self.stack.push(item);
        while self.reduce() {}
    }

    /// Replaces the top of the stack by what it amounts to, if a pattern fits.
    fn reduce(&mut self) -> bool {
        use Item::{All, And, Any, Check, Close, Not, Open, Or};
        let (length, item) = match *self.stack.as_slice() {
            [.., Open, Check(inner) | All(inner) | Any(inner), Close] => (3, Check(inner)),
            [.., Check(left), And, Check(right)] => {
                (3, All(self.tree.add(Node::All(vec![left, right]))))
            }
            [.., All(left), And, Check(right)] => {
                self.extend(left, right);
                (3, All(left))
            }
            [.., Any(left), And, Check(right)] => {
                self.bind_last(left, right);
                (3, Any(left))
            }
            [.., Check(left) | All(left), Or, Check(right)] => {
                (3, Any(self.tree.add(Node::Any(vec![left, right]))))
            }
            [.., Any(left), Or, Check(right)] => {
                self.extend(left, right);
                (3, Any(left))
            }
            [.., Not, Check(inner)] => (2, Check(self.tree.add(Node::Not(inner)))),
            _ => return false,
        };
        self.stack.truncate(self.stack.len() - length);
        self.stack.push(item);
        true
    }

    fn extend(&mut self, joined: NodeId, child: NodeId) {
        self.joined(joined).push(child);
    }

    /// What is joined by a node of [`Item::All`] or [`Item::Any`].
    #[expect(
        clippy::expect_used,
        reason = "these items are made with such nodes, which stay what they are"
    )]
    fn joined(&mut self, id: NodeId) -> &mut Vec<NodeId> {
        self.tree.children_mut(id).expect("a list of children")
    }

    /// `… or last and child`: `and` binds closer, so the last alternative becomes `last and child`.
    #[expect(
        clippy::expect_used,
        reason = "a node that joins others has at least two"
    )]
    fn bind_last(&mut self, any: NodeId, child: NodeId) {
        let last = self.joined(any).pop().expect("an alternative");
        let bound = if let Node::All(_) = self.tree.get(last) {
            self.extend(last, child);
            last
        } else {
            self.tree.add(Node::All(vec![last, child]))
        };
        self.extend(any, bound);
    }

    /// Lists: any of the outer list, all of an inner list. Empty alternatives do not count.
    fn alternatives(&mut self, alternatives: &[Alternative]) -> NodeId {
        if alternatives.is_empty() {
            return self.add_check(Check::always());
        }
        let mut any = Vec::new();
        for alternative in alternatives {
            let mut all: Vec<NodeId> = alternative
                .checks()
                .iter()
                .map(|text| self.check(text))
                .collect();
            match (all.len(), all.pop()) {
                (_, None) => {}
                (1, Some(single)) => any.push(single),
                (_, Some(last)) => {
                    all.push(last);
                    any.push(self.tree.add(Node::All(all)));
                }
            }
        }
        match (any.len(), any.first().copied()) {
            (_, None) => self.add_check(Check::never()),
            (1, Some(single)) => single,
            _ => self.tree.add(Node::Any(any)),
        }
    }

    /// One check, without the operators around it.
    fn check(&mut self, text: &str) -> NodeId {
        let node = match text {
            "!" => Node::Check(Check::never()),
            "@" => Node::Check(Check::always()),
            _ => match text.split_once(':') {
                Some((kind, wanted)) => self.kind(text, kind, wanted),
                None => {
                    tracing::error!(
                        rule = self.rule,
                        check = text,
                        "policy check cannot be understood, so it denies: wanted kind:value, @ or !"
                    );
                    Node::Check(Check::unreadable(text))
                }
            },
        };
        self.tree.add(node)
    }

    fn kind(&mut self, text: &str, kind: &str, wanted: &str) -> Node {
        let refusal = match kind {
            "rule" => match (self.resolve)(wanted) {
                Some(rule) => {
                    return Node::Rule {
                        name: wanted.to_owned(),
                        rule,
                    };
                }
                None => Refusal::UnknownRule(wanted.to_owned()),
            },
            "http" | "https" => Refusal::Check(format!(
                "check {text:?} asks a remote server, which is not supported: write the decision as a rule"
            )),
            _ => match Check::parse(kind, wanted) {
                Ok(check) => return Node::Check(check),
                Err(reason) => Refusal::Check(reason),
            },
        };
        self.refusal.get_or_insert(refusal);
        Node::Check(Check::unreadable(text))
    }

    fn add_check(&mut self, check: Check) -> NodeId {
        self.tree.add(Node::Check(check))
    }
}

/// Whether a token begins and ends with the same quote, as oslo.policy sees it: parentheses before it are gone,
/// those after it are not.
fn is_quoted(body: &str) -> bool {
    body.chars().nth(1).is_some()
        && ['\'', '"']
            .into_iter()
            .any(|quote| body.starts_with(quote) && body.ends_with(quote))
}
