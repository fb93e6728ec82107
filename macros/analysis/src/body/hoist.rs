//! The hoisting rule. `self.items.push(a().await?)` borrows `self.items` before it waits. Plain Rust accepts
//! that, but the hand-over of the state cannot. So the awaits are moved first:
//! `match (a().await?,) { (v0,) => self.items.push(v0) }`.
//!
//! An operand *before* an await stays in place only if it is a place of the state, or a borrow of one: it has
//! no effect, so the order of effects does not change. All other operands before the await move with it in
//! their order. A receiver that is a call does not move, and rustc then reports its error.

use super::cells::{self, Ends};
use super::rewrite::Rewriter;
use super::{awaiting, uses_self};
use crate::signature::contains_word;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{BinOp, Expr, UnOp};

/// The operands of an expression that move.
pub(super) struct Plan {
    /// Indexes into the expression's arguments. For `place op= value`, the value is argument 0.
    arguments: Vec<usize>,
}

/// Whether and how `expr` must be hoisted.
pub(super) fn plan(expr: &Expr) -> Option<Plan> {
    match expr {
        Expr::MethodCall(call) => arguments(is_state_place(&call.receiver), call.args.iter()),
        Expr::Call(call) => arguments(false, call.args.iter()),
        Expr::Binary(binary) if is_assign_op(&binary.op) => {
            (is_state_place(&binary.left) && has_await(&binary.right)).then(|| Plan { arguments: vec![0] })
        }
        _ => None,
    }
}

/// For the arguments of a macro that takes them by reference, like `println!`: a place stays in place.
pub(super) fn plan_by_reference(args: &[Expr]) -> Option<Plan> {
    let last = args.iter().rposition(has_await)?;
    let (before, _) = args.split_at(last);
    if !before.iter().any(|arg| !has_await(arg) && uses_self(arg)) {
        return None;
    }
    let goes = |arg: &Expr| has_await(arg) || !(is_pure(arg) || is_place(arg));
    Some(Plan { arguments: (0..=last).filter(|index| args.get(*index).is_some_and(goes)).collect() })
}

fn arguments<'a>(receiver: bool, args: impl Iterator<Item = &'a Expr>) -> Option<Plan> {
    let args: Vec<&Expr> = args.collect();
    let last = args.iter().rposition(|arg| has_await(arg))?;
    let holds = receiver || args[..last].iter().any(|arg| is_state_borrow(arg));
    if !holds {
        return None;
    }
    let goes = |index: usize| {
        let arg = args[index];
        let later = |name: &Ident| args[index + 1..=last].iter().any(|arg| mentions(arg, name));
        match arg {
            _ if has_await(arg) => true,
            _ if is_state_borrow(arg) => false,
            Expr::Path(path) => path.path.get_ident().is_some_and(later),
            _ => !is_pure(arg),
        }
    };
    Some(Plan { arguments: (0..=last).filter(|index| goes(*index)).collect() })
}

fn mentions(expr: &Expr, name: &Ident) -> bool {
    contains_word(expr.to_token_stream(), &[&name.to_string()])
}

impl Plan {
    /// Takes the operands out of `expr` and puts the `match` around it.
    pub(super) fn apply(self, rewriter: &mut Rewriter<'_>, mut expr: Expr) -> Expr {
        let ends = cells::ends(&expr);
        if let Expr::Binary(binary) = &mut expr {
            // The whole value moves, with its temporaries: `self.name += &a().await?`.
            let name = variable(0);
            let mut value = std::mem::replace(&mut *binary.right, Expr::Verbatim(name.to_token_stream()));
            rewriter.visit_expr_mut(&mut value);
            rewriter.visit_expr_mut(&mut binary.left);
            return Expr::Verbatim(rewriter.whole(ends, &quote!(match #value { #name => #binary })));
        }
        let mut taken = Vec::new();
        match &mut expr {
            Expr::MethodCall(call) => self.take(call.args.iter_mut(), &mut taken),
            Expr::Call(call) => self.take(call.args.iter_mut(), &mut taken),
            _ => {}
        }
        visit_mut::visit_expr_mut(rewriter, &mut expr);
        Expr::Verbatim(around(ends, rewriter, taken, &expr.to_token_stream()))
    }

    /// Replaces the planned operands of `args` by variables.
    pub(super) fn take<'a>(&self, args: impl Iterator<Item = &'a mut Expr>, taken: &mut Vec<Expr>) {
        for (index, arg) in args.enumerate() {
            if !self.arguments.contains(&index) {
                continue;
            }
            let name = Expr::Verbatim(variable(taken.len()).into_token_stream());
            // A named argument of a format macro keeps its name.
            let operand = match arg {
                Expr::Assign(assign) => &mut *assign.right,
                other => other,
            };
            taken.push(std::mem::replace(operand, name));
        }
    }
}

/// `match (taken, ..) { (v0, ..) => inner }`.
pub(super) fn around(
    ends: Ends,
    rewriter: &mut Rewriter<'_>,
    mut taken: Vec<Expr>,
    inner: &TokenStream,
) -> TokenStream {
    for operand in &mut taken {
        rewriter.visit_expr_mut(operand);
    }
    let names = (0..taken.len()).map(variable);
    rewriter.whole(ends, &quote!(match (#(#taken,)*) { (#(#names,)*) => #inner }))
}

fn variable(index: usize) -> Ident {
    format_ident!("__abide_{}", index, span = Span::call_site())
}

fn is_assign_op(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

/// `self`, `self.a.b`, `self.a[i]`, `*self.a`.
pub(super) fn is_state_place(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.is_ident("self"),
        Expr::Field(field) => is_state_place(&field.base),
        Expr::Index(index) => is_state_place(&index.expr) && !has_await(&index.index),
        Expr::Paren(paren) => is_state_place(&paren.expr),
        Expr::Unary(unary) => matches!(unary.op, UnOp::Deref(_)) && is_state_place(&unary.expr),
        _ => false,
    }
}

/// `self`, `&self.a`, `&mut self.a`: an expression that borrows the state and does nothing else.
fn is_state_borrow(expr: &Expr) -> bool {
    match expr {
        Expr::Path(path) => path.path.is_ident("self"),
        Expr::Reference(reference) => is_state_place(&reference.expr),
        Expr::Paren(paren) => is_state_borrow(&paren.expr),
        _ => false,
    }
}

/// Any place: a path, a field or an element of one.
fn is_place(expr: &Expr) -> bool {
    match expr {
        Expr::Path(_) => true,
        Expr::Field(field) => is_place(&field.base),
        Expr::Index(index) => is_place(&index.expr) && is_pure(&index.index),
        Expr::Reference(reference) => is_place(&reference.expr),
        Expr::Paren(paren) => is_place(&paren.expr),
        Expr::Unary(unary) => matches!(unary.op, UnOp::Deref(_)) && is_place(&unary.expr),
        Expr::Assign(named) => is_place(&named.right),
        _ => false,
    }
}

/// An expression that has no effect and reads no state.
fn is_pure(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(_) | Expr::Path(_) | Expr::Closure(_) | Expr::Const(_) => true,
        Expr::Field(field) => is_pure(&field.base) && !uses_self(expr),
        Expr::Reference(reference) => is_pure(&reference.expr) && !uses_self(expr),
        Expr::Paren(paren) => is_pure(&paren.expr),
        Expr::Unary(unary) => !matches!(unary.op, UnOp::Deref(_)) && is_pure(&unary.expr),
        _ => false,
    }
}

/// Whether the evaluation of `expr` can wait: it contains an await of the same body.
pub(super) fn has_await(expr: &Expr) -> bool {
    let mut search = Search(false);
    search.visit_expr(expr);
    search.0
}

struct Search(bool);

impl<'ast> Visit<'ast> for Search {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Await(_) => self.0 = true,
            Expr::Async(_) | Expr::Closure(_) | Expr::Const(_) => {}
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.0 |= awaiting(mac).is_some() || contains_word(mac.tokens.clone(), &["await"]);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
