//! The parsed form of rules: one flat list of nodes, in which a node names its children by position.
//!
//! Nothing that builds, walks or drops a tree is recursive, so no depth of nesting can exhaust the stack.

use super::check::Check;

/// The position of a node in its [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// The position of a rule in its rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleId(pub(super) usize);

#[derive(Debug)]
pub(super) enum Node {
    Check(Check),
    Not(NodeId),
    /// Passes when all children do. Has at least one child.
    All(Vec<NodeId>),
    /// Passes when any child does. Has at least one child.
    Any(Vec<NodeId>),
    /// `rule:name`; a name that is not defined stands for the default rule, hence the name as written.
    Rule {
        name: String,
        rule: RuleId,
    },
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    #[expect(
        clippy::expect_used,
        reason = "ids come from `add`, and nodes are only forgotten with all that refers to them"
    )]
    pub(super) fn get(&self, id: NodeId) -> &Node {
        self.nodes.get(id.0).expect("a node")
    }

    /// The children of a node that has a list of them.
    pub(super) fn children_mut(&mut self, id: NodeId) -> Option<&mut Vec<NodeId>> {
        match self.nodes.get_mut(id.0)? {
            Node::All(children) | Node::Any(children) => Some(children),
            Node::Check(_) | Node::Not(_) | Node::Rule { .. } => None,
        }
    }

    /// How many nodes there are: the position of the next one.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets the nodes from position `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.nodes.truncate(len);
    }

    /// The nodes from position `start` on, which are those of one rule while the rules are being read.
    #[expect(clippy::expect_used, reason = "`start` was the number of nodes")]
    pub(super) fn since(&self, start: usize) -> &[Node] {
        self.nodes.get(start..).expect("a start within the nodes")
    }
}
