//! The static graph of a workflow function: its await points and the control flow between them, as the macro
//! found them. It is used for documentation, for the live position, and in the first line of a mismatch
//! report.
//!
//! All types are const-constructible, so that an unused graph costs a program nothing at run time.

use crate::site::Site;
use std::fmt;

/// The graph of one function of a workflow.
#[derive(Clone, Copy, Debug)]
pub struct FnGraph {
    /// The function's name: `run`, a handler, a helper.
    pub name: &'static str,
    /// The role of the function.
    pub role: FnRole,
    /// Its await points, in source order. Edges name them by their index here.
    pub nodes: &'static [Node],
    /// The control flow between them.
    pub edges: &'static [Edge],
}

/// The role of a function in its workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FnRole {
    /// The workflow's own body.
    Run,
    /// A signal handler.
    Signal,
    /// An async handler of an update.
    Update,
    /// A helper that workflows may await.
    Helper,
}

/// An await point.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The kind of the await.
    pub kind: NodeKind,
    /// Its place and source text.
    pub site: Site,
    /// The awaited expression in canonical form: its tokens with one blank between each two.
    pub canonical: &'static str,
}

/// The kind of an await point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// An expression before `.await`.
    Await,
    /// A branch of `workflow::select!`.
    Branch,
    /// A whole `workflow::select!`, which waits for the first of its branches.
    Select,
}

/// Control can flow from one point to another without an await between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// From here.
    pub from: Point,
    /// To here.
    pub to: Point,
    /// The branch on the way, as in the source (`if`, `else`, `match Ok(_)`, `loop`, `?`), or "" for none.
    pub label: &'static str,
}

/// One end of an [`Edge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Where the function begins.
    Start,
    /// An await point, by its index in [`FnGraph::nodes`].
    Node(u16),
    /// Where the function ends: the last expression, a `return`, a `?`.
    End,
}

impl FnGraph {
    /// The canonical form. It is the same for two functions that differ only in formatting, comments or
    /// place.
    pub fn canonical(&self) -> impl fmt::Display + '_ {
        Canonical(self)
    }
}

struct Canonical<'a>(&'a FnGraph);

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fn {}", self.0.name)?;
        for (index, node) in self.0.nodes.iter().enumerate() {
            writeln!(f, "  {index}: {:?} {}", node.kind, node.canonical)?;
        }
        for edge in self.0.edges {
            write!(f, "  {} -> {}", edge.from, edge.to)?;
            match edge.label {
                "" => writeln!(f)?,
                label => writeln!(f, " [{label}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Node(index) => index.fmt(f),
            Self::End => f.write_str("end"),
        }
    }
}
