//! A consistent set of rules, and how it answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use super::credentials::Identity;
use super::default::ScopeType;
use super::error::{Origin, PolicyError};
use super::explanation::{Explanation, Recorder, Trace};
use super::parser::{self, Refusal};
use super::tree::{Node, NodeId, RuleId, Tree};
use super::value::RuleValue;
use super::{Decision, cycle};

/// A rule before it is parsed.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) value: RuleValue,
    pub(super) origin: Origin,
    pub(super) scope_types: &'static [ScopeType],
}

/// Rules that are parsed, whose references all lead somewhere and never in a circle.
#[derive(Debug)]
pub(super) struct RuleSet {
    tree: Tree,
    /// Sorted by name.
    rules: Vec<Rule>,
    by_name: HashMap<String, RuleId>,
    default: Option<RuleId>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    source: Source,
    root: NodeId,
    /// Whether a token of another scope was already warned about.
    warned_of_scope: AtomicBool,
}

/// A node whose children are being looked at.
struct Frame<'a> {
    node: &'a Node,
    rest: std::slice::Iter<'a, NodeId>,
}

impl RuleSet {
    /// Parses the rules. A reference to a name that is not defined means the rule called `default_rule`, where there is
    /// one.
    pub(super) fn build(
        sources: BTreeMap<String, Source>,
        default_rule: &str,
    ) -> Result<Self, PolicyError> {
        let by_name: HashMap<String, RuleId> = sources
            .keys()
            .enumerate()
            .map(|(position, name)| (name.clone(), RuleId(position)))
            .collect();
        let default = by_name.get(default_rule).copied();
        let mut tree = Tree::default();
        let mut rules = Vec::with_capacity(sources.len());
        let mut references = Vec::with_capacity(sources.len());
        for (name, source) in sources {
            let start = tree.len();
            let resolve = |wanted: &str| by_name.get(wanted).copied().or(default);
            let root = match parser::parse(&name, &source.value, &mut tree, &resolve) {
                Ok(root) => root,
                Err(refusal) => return Err(refused(name, source.origin, refusal)),
            };
            references.push(referenced(tree.since(start)));
            warn_of_stand_ins(&name, tree.since(start), &by_name, default_rule);
            rules.push(Rule {
                name,
                source,
                root,
                warned_of_scope: AtomicBool::new(false),
            });
        }
        if let Some(cycle) = cycle::find(&references) {
            return Err(cyclic(&rules, &cycle));
        }
        Ok(Self {
            tree,
            rules,
            by_name,
            default,
        })
    }

    /// Whether the rule lets the credentials do what it guards.
    pub(super) fn decide(
        &self,
        name: &str,
        target: &Map<String, Value>,
        credentials: &dyn Identity,
        enforce_scope: bool,
    ) -> Decision {
        let Some(rule) = self.find(name) else {
            tracing::warn!(rule = name, "policy rule is not defined, so it denies");
            return Decision::Denied;
        };
        if !rule.takes(credentials) {
            if enforce_scope {
                return Decision::WrongScope;
            }
            rule.warn_of_scope(credentials);
        }
        Decision::from(self.evaluate(rule.root, target, credentials, &mut ()))
    }

    /// The same answer as [`RuleSet::decide`], with its reasons.
    pub(super) fn explain(
        &self,
        name: &str,
        target: &Map<String, Value>,
        credentials: &dyn Identity,
        enforce_scope: bool,
    ) -> Explanation {
        let rule = name.to_owned();
        let Some(found) = self.find(name) else {
            let source = "not defined, and there is no default rule, so it denies".to_owned();
            return Explanation {
                rule,
                decision: Decision::Denied,
                source,
                scope: None,
                steps: Vec::new(),
            };
        };
        let mut recorder = Recorder::default();
        let passed = self.evaluate(found.root, target, credentials, &mut recorder);
        let scope = found.scope_remark(credentials, enforce_scope);
        let decision = if scope.is_some() && enforce_scope {
            Decision::WrongScope
        } else {
            Decision::from(passed)
        };
        let stand_in = if found.name == name {
            ""
        } else {
            "not defined, the default rule stands in: "
        };
        let source = format!(
            "{stand_in}\"{}\": {} ({})",
            found.name, found.source.value, found.source.origin
        );
        Explanation {
            rule,
            decision,
            source,
            scope,
            steps: recorder.finish(),
        }
    }

    /// Name, text and origin of each rule, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RuleValue, &Origin)> {
        self.rules
            .iter()
            .map(|rule| (rule.name.as_str(), &rule.source.value, &rule.source.origin))
    }

    fn find(&self, name: &str) -> Option<&Rule> {
        let id = self.by_name.get(name).copied().or(self.default)?;
        Some(self.rule(id))
    }

    /// Walks the tree from `root`, looking at no more children than the answer needs.
    #[expect(clippy::expect_used, reason = "only checks have no children")]
    fn evaluate<T: Trace>(
        &self,
        root: NodeId,
        target: &Map<String, Value>,
        credentials: &dyn Identity,
        trace: &mut T,
    ) -> bool {
        let mut frames: Vec<Frame<'_>> = Vec::new();
        let mut id = root;
        loop {
            let node = self.tree.get(id);
            trace.enter(frames.len(), || describe(node, target, credentials));
            let mut answer = if let Node::Check(check) = node {
                check.passes(target, credentials)
            } else {
                let mut rest = self.children(node).iter();
                id = *rest.next().expect("a child");
                frames.push(Frame { node, rest });
                continue;
            };
            trace.leave(answer);
            // Upwards, to the first node that needs another child.
            id = loop {
                let Some(frame) = frames.last_mut() else {
                    return answer;
                };
                let is_open = match frame.node {
                    Node::All(_) => answer,
                    Node::Any(_) => !answer,
                    Node::Check(_) | Node::Not(_) | Node::Rule { .. } => false,
                };
                if is_open && let Some(next) = frame.rest.next() {
                    break *next;
                }
                answer ^= matches!(frame.node, Node::Not(_));
                frames.pop();
                trace.leave(answer);
            };
        }
    }

    fn children<'a>(&'a self, node: &'a Node) -> &'a [NodeId] {
        match node {
            Node::Check(_) => &[],
            Node::Not(child) => std::slice::from_ref(child),
            Node::All(children) | Node::Any(children) => children,
            Node::Rule { rule, .. } => std::slice::from_ref(&self.rule(*rule).root),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "ids are made for the rules that there are"
    )]
    fn rule(&self, RuleId(position): RuleId) -> &Rule {
        self.rules.get(position).expect("a rule")
    }
}

impl Rule {
    /// Whether the rule is meant for tokens of this scope.
    fn takes(&self, credentials: &dyn Identity) -> bool {
        let scope = credentials.scope().name();
        self.source.scope_types.is_empty()
            || self
                .source
                .scope_types
                .iter()
                .any(|wanted| wanted.name() == scope)
    }

    /// What an explanation says of a token whose scope the rule is not meant for.
    fn scope_remark(&self, credentials: &dyn Identity, enforce_scope: bool) -> Option<String> {
        if self.takes(credentials) {
            return None;
        }
        let wanted = self.source.scope_types.iter().map(|scope| scope.name());
        let wanted = wanted.collect::<Vec<_>>().join(", ");
        let scope = credentials.scope().name();
        let consequence = if enforce_scope {
            "refused"
        } else {
            "enforce_scope is off, so this is only a warning"
        };
        Some(format!(
            "the token's scope is {scope}, the rule takes {wanted}: {consequence}"
        ))
    }

    fn warn_of_scope(&self, credentials: &dyn Identity) {
        if !self.warned_of_scope.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                rule = self.name,
                scope = credentials.scope().name(),
                "a token of a scope that the policy rule is not meant for was let through to its checks, \
                 because enforce_scope is off"
            );
        }
    }
}

/// The text of a node and, of a check, what it compares.
fn describe(
    node: &Node,
    target: &Map<String, Value>,
    credentials: &dyn Identity,
) -> (String, String) {
    let text = match node {
        Node::Check(check) => return (check.text.clone(), check.reason(target, credentials)),
        Node::Not(_) => "not".to_owned(),
        Node::All(_) => "all of".to_owned(),
        Node::Any(_) => "any of".to_owned(),
        Node::Rule { name, .. } => format!("rule:{name}"),
    };
    (text, String::new())
}

/// The rules that the nodes refer to.
fn referenced(nodes: &[Node]) -> Vec<usize> {
    let position = |node: &Node| match node {
        Node::Rule {
            rule: RuleId(position),
            ..
        } => Some(*position),
        _ => None,
    };
    nodes.iter().filter_map(position).collect()
}

fn warn_of_stand_ins(
    rule: &str,
    nodes: &[Node],
    by_name: &HashMap<String, RuleId>,
    default_rule: &str,
) {
    for node in nodes {
        if let Node::Rule { name, .. } = node
            && !by_name.contains_key(name)
        {
            tracing::warn!(
                rule,
                unknown = name,
                default_rule,
                "policy rule refers to a rule that is not defined: the default rule stands in"
            );
        }
    }
}

fn refused(rule: String, origin: Origin, refusal: Refusal) -> PolicyError {
    match refusal {
        Refusal::Check(reason) => PolicyError::Check {
            rule,
            origin,
            reason,
        },
        Refusal::UnknownRule(unknown) => PolicyError::UnknownRule {
            rule,
            origin,
            unknown,
        },
    }
}

#[expect(clippy::expect_used, reason = "a circle has at least one rule")]
fn cyclic(rules: &[Rule], positions: &[usize]) -> PolicyError {
    let members: Vec<&Rule> = positions
        .iter()
        .filter_map(|position| rules.get(*position))
        .collect();
    let first = members.first().expect("a rule");
    PolicyError::Cycle {
        rule: first.name.clone(),
        origin: first.source.origin.clone(),
        cycle: members
            .iter()
            .chain([first])
            .map(|rule| rule.name.clone())
            .collect(),
    }
}
