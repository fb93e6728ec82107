//! Token trees that can be changed at any place, for the mutations of real workflows.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A token or a group, numbered in the order of the text.
#[derive(Clone)]
pub(super) enum Node {
    Leaf(TokenTree),
    Group(Delimiter, Vec<Node>),
}

pub(super) fn grow(tokens: TokenStream) -> Vec<Node> {
    let node = |token| match token {
        TokenTree::Group(group) => Node::Group(group.delimiter(), grow(group.stream())),
        leaf => Node::Leaf(leaf),
    };
    tokens.into_iter().map(node).collect()
}

pub(super) fn tokens(nodes: Vec<Node>) -> TokenStream {
    let token = |node| match node {
        Node::Leaf(token) => token,
        Node::Group(delimiter, inner) => Group::new(delimiter, tokens(inner)).into(),
    };
    nodes.into_iter().map(token).collect()
}

pub(super) fn count(nodes: &[Node]) -> usize {
    let one = |node: &Node| match node {
        Node::Leaf(_) => 1,
        Node::Group(_, inner) => 1 + count(inner),
    };
    nodes.iter().map(one).sum()
}

/// One change. Places are any numbers, taken modulo the number of nodes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Delete,
    Double,
    SwapWithNext,
    /// With a copy of the node at another place: a subtree where it does not belong.
    CopyFrom(usize),
    Replace(String),
    Insert(String),
    Delimit(Delimiter),
    /// In this many nested groups.
    Wrap(Delimiter, usize),
}

/// Changes the node at `place`.
pub(super) fn change(nodes: &mut Vec<Node>, place: usize, change: &Change) {
    let all = count(nodes);
    if all == 0 {
        return;
    }
    let copied = match change {
        Change::CopyFrom(from) => node(nodes, &mut (from % all)).cloned().into_iter().collect(),
        Change::Replace(text) | Change::Insert(text) => grow(text.parse().expect("a piece is tokens")),
        _ => Vec::new(),
    };
    change_at(nodes, &mut (place % all), change, copied);
}

fn node<'a>(nodes: &'a [Node], place: &mut usize) -> Option<&'a Node> {
    for node in nodes {
        if *place == 0 {
            return Some(node);
        }
        *place -= 1;
        if let Node::Group(_, inner) = node
            && let Some(found) = self::node(inner, place)
        {
            return Some(found);
        }
    }
    None
}

/// Changes the node. Returns whether the place was found here.
fn change_at(nodes: &mut Vec<Node>, place: &mut usize, change: &Change, other: Vec<Node>) -> bool {
    for at in 0..nodes.len() {
        if *place == 0 {
            change_here(nodes, at, change, other);
            return true;
        }
        *place -= 1;
        if let Node::Group(_, inner) = &mut nodes[at]
            && change_at(inner, place, change, other.clone())
        {
            return true;
        }
    }
    false
}

fn change_here(nodes: &mut Vec<Node>, at: usize, change: &Change, other: Vec<Node>) {
    match change {
        Change::Delete => drop(nodes.remove(at)),
        Change::Double => nodes.insert(at, nodes[at].clone()),
        Change::SwapWithNext => {
            let next = (at + 1) % nodes.len();
            nodes.swap(at, next);
        }
        Change::CopyFrom(_) | Change::Replace(_) => drop(nodes.splice(at..=at, other)),
        Change::Insert(_) => drop(nodes.splice(at..at, other)),
        Change::Delimit(delimiter) => match &mut nodes[at] {
            Node::Group(old, _) => *old = *delimiter,
            Node::Leaf(_) => nodes[at] = Node::Group(*delimiter, vec![nodes[at].clone()]),
        },
        Change::Wrap(delimiter, depth) => {
            for _ in 0..*depth {
                nodes[at] = Node::Group(*delimiter, vec![nodes[at].clone()]);
            }
        }
    }
}
