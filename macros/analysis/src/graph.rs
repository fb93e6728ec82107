//! The static graph of a function: its await points, and how control flows from one to the next.
//!
//! The walk tracks the point that control comes from. Branches join in junctions, which are removed at the
//! end. An edge of the result leads from one await to the next one, with the labels on the way.

use crate::body::{awaiting, select_of};
use crate::krate::Private;
use crate::text;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use std::collections::BTreeSet;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Lifetime, Macro, Token};

/// `FnGraph { .. }` of a body.
pub(crate) fn of(private: &Private, name: &str, role: &str, block: &Block) -> TokenStream {
    let mut walk = Walk {
        private,
        points: vec![Point::Start, Point::End],
        edges: Vec::new(),
        nodes: Vec::new(),
        at: Some(0),
        end: 1,
        loops: Vec::new(),
    };
    walk.visit_block(block);
    walk.go(1, "");
    let role = format_ident!("{}", role);
    let nodes = &walk.nodes;
    let edges = walk.direct().into_iter().map(|(from, to, label)| {
        let (from, to) = (walk.point(from), walk.point(to));
        quote!(#private::Edge { from: #from, to: #to, label: #label })
    });
    quote! {
        #private::FnGraph { name: #name, role: #private::FnRole::#role, nodes: &[#(#nodes),*], edges: &[#(#edges),*] }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    Start,
    End,
    Node(u16),
    Junction,
}

struct Loop {
    label: Option<Lifetime>,
    head: usize,
    exit: usize,
}

struct Walk<'a> {
    private: &'a Private,
    points: Vec<Point>,
    edges: Vec<(usize, usize, String)>,
    nodes: Vec<TokenStream>,
    /// The point that control comes from. `None` after a `return`, `break` or `continue`.
    at: Option<usize>,
    /// Where `return` and `?` go.
    end: usize,
    loops: Vec<Loop>,
}

impl Walk<'_> {
    fn junction(&mut self) -> usize {
        self.points.push(Point::Junction);
        self.points.len() - 1
    }

    /// Adds an edge from the current point if control reaches it.
    fn go(&mut self, to: usize, label: &str) {
        if let Some(at) = self.at {
            self.edges.push((at, to, label.to_owned()));
        }
    }

    fn go_on(&mut self, to: usize, label: &str) {
        self.go(to, label);
        self.at = self.at.map(|_| to);
    }

    /// Walks one branch that begins at `from` and ends in `exit`.
    fn branch(&mut self, from: Option<usize>, exit: usize, label: &str, walk: impl FnOnce(&mut Self)) {
        self.at = from;
        let entry = self.junction();
        self.go_on(entry, label);
        walk(self);
        self.go(exit, "");
    }

    /// Continues from a junction if a branch reached it.
    fn meet(&mut self, point: usize) {
        self.at = self.edges.iter().any(|(_, to, _)| *to == point).then_some(point);
    }

    fn node(&mut self, kind: &str, tokens: &impl ToTokens) -> usize {
        let index = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let private = self.private;
        let (kind, canonical) = (format_ident!("{}", kind), text::canonical(tokens));
        let site = text::site(private, tokens, tokens.span());
        self.nodes.push(
            quote!(#private::Node { kind: #private::NodeKind::#kind, site: #site, canonical: #canonical }),
        );
        self.points.push(Point::Node(index));
        self.points.len() - 1
    }

    fn repeat(&mut self, label: Option<&syn::Label>, word: &str, parts: impl FnOnce(&mut Self, usize)) {
        let (head, exit) = (self.junction(), self.junction());
        self.go_on(head, word);
        self.loops.push(Loop { label: label.map(|label| label.name.clone()), head, exit });
        parts(self, exit);
        self.go(head, "");
        self.loops.pop();
        self.meet(exit);
    }

    /// `break` and `continue`: an edge to the exit or head of the named loop.
    fn jump(&mut self, label: Option<&Lifetime>, target: impl Fn(&Loop) -> usize, word: &str) {
        let named = |found: &&Loop| label.is_none_or(|label| found.label.as_ref() == Some(label));
        let to = self.loops.iter().rev().find(named).map(target);
        if let Some(to) = to {
            self.go(to, word);
        }
        self.at = None;
    }

    fn select(&mut self, mac: &Macro) -> bool {
        let Some(select) = select_of(mac) else { return false };
        for branch in &select.branches {
            self.visit_expr(&branch.future);
        }
        let node = self.node("Select", mac);
        self.go_on(node, "");
        let (from, exit) = (self.at, self.junction());
        for branch in &select.branches {
            let label = text::canonical(&branch.future);
            self.branch(from, exit, &label, |walk| walk.visit_expr(&branch.handler));
        }
        if let Some(otherwise) = &select.otherwise {
            self.branch(from, exit, "else", |walk| walk.visit_expr(otherwise));
        }
        self.meet(exit);
        true
    }

    /// The edges between points that are not junctions.
    fn direct(&self) -> BTreeSet<(usize, usize, String)> {
        let mut direct = BTreeSet::new();
        for from in (0..self.points.len()).filter(|from| self.points[*from] != Point::Junction) {
            let mut seen = BTreeSet::new();
            let mut open = vec![(from, String::new())];
            while let Some((at, label)) = open.pop() {
                for (_, to, word) in self.edges.iter().filter(|(start, _, _)| *start == at) {
                    let label = [label.as_str(), word]
                        .into_iter()
                        .filter(|word| !word.is_empty())
                        .collect::<Vec<_>>();
                    let label = label.join(", ");
                    match self.points[*to] {
                        Point::Junction if seen.insert(*to) => open.push((*to, label)),
                        Point::Junction => {}
                        _ => {
                            direct.insert((from, *to, label));
                        }
                    }
                }
            }
        }
        direct
    }

    fn point(&self, index: usize) -> TokenStream {
        let private = self.private;
        match self.points[index] {
            Point::Start => quote!(#private::Point::Start),
            Point::Node(node) => quote!(#private::Point::Node(#node)),
            Point::End | Point::Junction => quote!(#private::Point::End),
        }
    }

    fn expr_if(&mut self, expr: &syn::ExprIf) {
        self.visit_expr(&expr.cond);
        let (from, exit) = (self.at, self.junction());
        self.branch(from, exit, "if", |walk| walk.visit_block(&expr.then_branch));
        self.branch(from, exit, "else", |walk| {
            if let Some((_, otherwise)) = &expr.else_branch {
                walk.visit_expr(otherwise);
            }
        });
        self.meet(exit);
    }

    fn expr_match(&mut self, expr: &syn::ExprMatch) {
        self.visit_expr(&expr.expr);
        let (from, exit) = (self.at, self.junction());
        for arm in &expr.arms {
            let label = format!("match {}", text::canonical(&arm.pat));
            self.branch(from, exit, &label, |walk| {
                walk.visit_pat(&arm.pat);
                walk.visit_expr(&arm.body);
            });
        }
        self.meet(exit);
    }

    /// An async block. Its awaits happen when it is polled. Its `return` and `?` end only the block.
    fn expr_async(&mut self, block: &Block) {
        let exit = self.junction();
        let end = std::mem::replace(&mut self.end, exit);
        let loops = std::mem::take(&mut self.loops);
        self.visit_block(block);
        self.go(exit, "");
        (self.end, self.loops) = (end, loops);
        self.meet(exit);
    }

    fn expr_macro(&mut self, mac: &Macro) {
        if self.select(mac) {
            return;
        }
        let joins = awaiting(mac).is_some();
        if let Ok(args) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(mac.tokens.clone()) {
            args.iter().for_each(|arg| self.visit_expr(arg));
        }
        if joins {
            let node = self.node("Await", mac);
            self.go_on(node, "");
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Await(expr) => {
                self.visit_expr(&expr.base);
                let node = self.node("Await", &expr.base);
                self.go_on(node, "");
            }
            Expr::Try(expr) => {
                self.visit_expr(&expr.expr);
                self.go(self.end, "?");
            }
            Expr::Return(expr) => {
                if let Some(value) = &expr.expr {
                    self.visit_expr(value);
                }
                self.go(self.end, "return");
                self.at = None;
            }
            Expr::Break(expr) => {
                if let Some(value) = &expr.expr {
                    self.visit_expr(value);
                }
                self.jump(expr.label.as_ref(), |found| found.exit, "break");
            }
            Expr::Continue(expr) => self.jump(expr.label.as_ref(), |found| found.head, "continue"),
            Expr::If(expr) => self.expr_if(expr),
            Expr::Match(expr) => self.expr_match(expr),
            Expr::Loop(expr) => {
                self.repeat(expr.label.as_ref(), "loop", |walk, _| walk.visit_block(&expr.body))
            }
            Expr::While(expr) => self.repeat(expr.label.as_ref(), "while", |walk, exit| {
                walk.visit_expr(&expr.cond);
                walk.go(exit, "done");
                walk.visit_block(&expr.body);
            }),
            Expr::ForLoop(expr) => {
                self.visit_expr(&expr.expr);
                self.repeat(expr.label.as_ref(), "for", |walk, exit| {
                    walk.go(exit, "done");
                    walk.visit_block(&expr.body);
                });
            }
            Expr::Async(expr) => self.expr_async(&expr.block),
            Expr::Closure(expr) => {
                if let Expr::Async(inner) = &*expr.body {
                    self.expr_async(&inner.block);
                }
            }
            Expr::Const(_) => {}
            Expr::Macro(expr) => self.expr_macro(&expr.mac),
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_stmt_macro(&mut self, stmt: &'ast syn::StmtMacro) {
        self.expr_macro(&stmt.mac);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
