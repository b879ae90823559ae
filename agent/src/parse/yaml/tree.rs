//! The tree.

use std::ops::Range;

use super::super::edit::LineIndex;

/// A node, by its number in the order of the text.
pub type NodeId = usize;

/// A pair of a mapping or an item of a sequence: the collection and the number in it.
pub type Entry = (NodeId, usize);

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value.
    Scalar {
        /// What it says, quotes and escapes undone.
        text: String,
        /// Whether it has no quotes.
        plain: bool,
        /// Whether it is a block of lines, after `|` or `>`.
        block: bool,
    },
    /// A list.
    Sequence(Vec<NodeId>),
    /// Keys and values, in order; a key may be there twice.
    Mapping(Vec<(NodeId, NodeId)>),
    /// Another node, named by its anchor.
    Alias(Option<NodeId>),
}

/// A part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// The bytes of a single value; of a collection, those before its first entry: anchor, tag,
    /// bracket.
    pub header: Range<usize>,
    /// Where it ends.
    pub end: usize,
    /// Whether it is a collection in brackets.
    pub flow: bool,
}

/// The documents of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Yaml {
    /// Every node, in the order of the text.
    pub nodes: Vec<Node>,
    /// The root of each document.
    pub roots: Vec<NodeId>,
    /// The outermost collections in brackets, in order.
    pub(super) brackets: Vec<Range<usize>>,
}

impl Yaml {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node that an alias names, or the node itself.
    pub fn resolve(&self, id: NodeId) -> NodeId {
        match self.nodes[id].value {
            Value::Alias(Some(target)) => target,
            _ => id,
        }
    }

    /// The pairs of a mapping; none where it is something else.
    pub fn pairs(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match &self.nodes[self.resolve(id)].value {
            Value::Mapping(pairs) => pairs,
            _ => &[],
        }
    }

    /// The items of a sequence; none where it is something else.
    pub fn items(&self, id: NodeId) -> &[NodeId] {
        match &self.nodes[self.resolve(id)].value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The text of a single value.
    pub fn scalar(&self, id: NodeId) -> Option<&str> {
        match &self.nodes[self.resolve(id)].value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether a node is a mapping.
    pub fn is_mapping(&self, id: NodeId) -> bool {
        matches!(self.nodes[self.resolve(id)].value, Value::Mapping(_))
    }

    /// Whether a node says nothing.
    pub fn is_null(&self, id: NodeId) -> bool {
        match &self.nodes[self.resolve(id)].value {
            Value::Scalar { text, plain, .. } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The value of a key; the last one where it is there more than once.
    pub fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let mut pairs = self.pairs(id).iter().rev();
        let (_, value) = pairs.find(|(name, _)| self.scalar(*name) == Some(key))?;
        Some(*value)
    }

    /// The nodes that a collection holds, keys among them; aliases are not followed.
    pub fn children(&self, id: NodeId) -> Vec<NodeId> {
        match &self.nodes[id].value {
            Value::Mapping(pairs) => pairs
                .iter()
                .flat_map(|(key, value)| [*key, *value])
                .collect(),
            Value::Sequence(items) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// The nodes of an entry: key and value, or the item.
    pub fn entry(&self, (parent, number): Entry) -> (NodeId, NodeId) {
        match &self.nodes[parent].value {
            Value::Mapping(pairs) => pairs[number],
            Value::Sequence(items) => (items[number], items[number]),
            _ => (parent, parent),
        }
    }

    /// How many entries a collection has.
    pub fn len(&self, id: NodeId) -> usize {
        match &self.nodes[id].value {
            Value::Mapping(pairs) => pairs.len(),
            Value::Sequence(items) => items.len(),
            _ => 0,
        }
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The line of a node, from 1.
    pub fn line(&self, id: NodeId, lines: &LineIndex) -> usize {
        lines.line(self.nodes[id].header.start)
    }

    /// Whether an offset lies within a value of several lines, or within brackets.
    pub fn covers(&self, offset: usize) -> bool {
        let before = |start: usize| start < offset;
        let value = self.nodes.partition_point(|node| before(node.header.start));
        let in_value = value.checked_sub(1).is_some_and(|last| {
            let node = &self.nodes[last];
            matches!(node.value, Value::Scalar { .. }) && offset < node.end
        });
        let bracket = self.brackets.partition_point(|range| before(range.start));
        let in_brackets = bracket
            .checked_sub(1)
            .is_some_and(|last| offset < self.brackets[last].end);
        in_value || in_brackets
    }
}
