//! The attributes before any statement or expression, and the inner attributes of a function.

use crate::errors::{Code, Errors};
use crate::signature::contains_word;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    AttrStyle, Attribute, Block, Expr, ImplItemFn, Item, ItemFn, ItemImpl, Signature, Stmt, TraitItemFn,
};

/// Moves `#![allow(..)]` from the inside of functions and `impl`s to the place where attributes are printed:
/// before them. The meaning is the same there.
pub(crate) struct Outward;

impl Outward {
    fn turn(attributes: &mut [Attribute]) {
        attributes.iter_mut().for_each(|attribute| attribute.style = AttrStyle::Outer);
    }
}

impl VisitMut for Outward {
    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        Self::turn(&mut item.attrs);
        visit_mut::visit_item_fn_mut(self, item);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        Self::turn(&mut item.attrs);
        visit_mut::visit_impl_item_fn_mut(self, item);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut TraitItemFn) {
        Self::turn(&mut item.attrs);
        visit_mut::visit_trait_item_fn_mut(self, item);
    }

    fn visit_item_impl_mut(&mut self, item: &mut ItemImpl) {
        Self::turn(&mut item.attrs);
        visit_mut::visit_item_impl_mut(self, item);
    }
}

/// Parses an item under one of our attributes, with its own attributes.
pub(crate) fn parse_item(tokens: &TokenStream) -> syn::Result<Item> {
    let mut item = syn::parse2(tokens.clone())?;
    Outward.visit_item_mut(&mut item);
    Ok(item)
}

/// The attributes of a statement.
pub(crate) fn of_statement(stmt: &Stmt) -> &[Attribute] {
    match stmt {
        Stmt::Local(local) => &local.attrs,
        Stmt::Item(item) => crate::source::attrs_of(item),
        Stmt::Macro(mac) => &mac.attrs,
        Stmt::Expr(expr, _) => of_expression(expr).map_or(&[], Vec::as_slice),
    }
}

/// The same, mutable.
pub(crate) fn of_statement_mut(stmt: &mut Stmt) -> Option<&mut Vec<Attribute>> {
    match stmt {
        Stmt::Local(local) => Some(&mut local.attrs),
        Stmt::Item(item) => crate::source::attrs_of_mut(item),
        Stmt::Macro(mac) => Some(&mut mac.attrs),
        Stmt::Expr(expr, _) => of_expression_mut(expr),
    }
}

/// The attributes before an expression. syn attaches those of a statement `a = b` or `a + b` to its first
/// operand.
macro_rules! before_expression {
    ($name:ident, $($mutable:tt)?) => {
        pub(crate) fn $name(expr: &$($mutable)? Expr) -> Option<&$($mutable)? Vec<Attribute>> {
            match expr {
                Expr::Assign(expr) => $name(&$($mutable)? expr.left),
                Expr::Binary(expr) => $name(&$($mutable)? expr.left),
                Expr::Cast(expr) => $name(&$($mutable)? expr.expr),
                Expr::Array(syn::ExprArray { attrs, .. })
                | Expr::Async(syn::ExprAsync { attrs, .. })
                | Expr::Await(syn::ExprAwait { attrs, .. })
                | Expr::Block(syn::ExprBlock { attrs, .. })
                | Expr::Break(syn::ExprBreak { attrs, .. })
                | Expr::Call(syn::ExprCall { attrs, .. })
                | Expr::Closure(syn::ExprClosure { attrs, .. })
                | Expr::Const(syn::ExprConst { attrs, .. })
                | Expr::Continue(syn::ExprContinue { attrs, .. })
                | Expr::Field(syn::ExprField { attrs, .. })
                | Expr::ForLoop(syn::ExprForLoop { attrs, .. })
                | Expr::Group(syn::ExprGroup { attrs, .. })
                | Expr::If(syn::ExprIf { attrs, .. })
                | Expr::Index(syn::ExprIndex { attrs, .. })
                | Expr::Infer(syn::ExprInfer { attrs, .. })
                | Expr::Let(syn::ExprLet { attrs, .. })
                | Expr::Lit(syn::ExprLit { attrs, .. })
                | Expr::Loop(syn::ExprLoop { attrs, .. })
                | Expr::Macro(syn::ExprMacro { attrs, .. })
                | Expr::Match(syn::ExprMatch { attrs, .. })
                | Expr::MethodCall(syn::ExprMethodCall { attrs, .. })
                | Expr::Paren(syn::ExprParen { attrs, .. })
                | Expr::Path(syn::ExprPath { attrs, .. })
                | Expr::Range(syn::ExprRange { attrs, .. })
                | Expr::RawAddr(syn::ExprRawAddr { attrs, .. })
                | Expr::Reference(syn::ExprReference { attrs, .. })
                | Expr::Repeat(syn::ExprRepeat { attrs, .. })
                | Expr::Return(syn::ExprReturn { attrs, .. })
                | Expr::Struct(syn::ExprStruct { attrs, .. })
                | Expr::Try(syn::ExprTry { attrs, .. })
                | Expr::TryBlock(syn::ExprTryBlock { attrs, .. })
                | Expr::Tuple(syn::ExprTuple { attrs, .. })
                | Expr::Unary(syn::ExprUnary { attrs, .. })
                | Expr::Unsafe(syn::ExprUnsafe { attrs, .. })
                | Expr::While(syn::ExprWhile { attrs, .. })
                | Expr::Yield(syn::ExprYield { attrs, .. }) => Some(attrs),
                _ => None,
            }
        }
    };
}

before_expression!(of_expression,);
before_expression!(of_expression_mut, mut);

/// Whether rustc may remove the node.
pub(crate) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

/// Whether the tokens contain an expansion of `#[tracing::instrument]`.
pub(crate) fn is_instrumented(tokens: TokenStream) -> bool {
    contains_word(tokens, &["__tracing_attr_span"])
}

/// Refuses `#[tracing::instrument]` on a function that becomes another one: it would not wrap the body.
/// Removes it.
pub(crate) fn refuse_instrument(
    attrs: &mut Vec<Attribute>,
    sig: &Signature,
    block: &mut Block,
    errors: &mut Errors,
) {
    const HELP: &str = "make the span in its body: `async { .. }.instrument(tracing::info_span!(\"order\", id)).await` \
                        is a workflow future, or instrument the calls of it";
    const MESSAGE: &str = "`#[tracing::instrument]` does not work on workflow code that is `async`";
    if sig.asyncness.is_none() {
        return;
    }
    let is_instrument =
        |attr: &Attribute| attr.path().segments.last().is_some_and(|last| last.ident == "instrument");
    if let Some(at) = attrs.iter().position(is_instrument) {
        let attr = attrs.remove(at);
        errors.add(Code::Instrument, &attr.meta, MESSAGE, HELP);
    } else if is_instrumented(block.to_token_stream()) {
        // It was above our attribute, so it was expanded first.
        errors.add(Code::Instrument, &sig.ident, MESSAGE, HELP);
        *block = syn::parse_quote!({ ::core::unreachable!() });
        attrs.push(syn::parse_quote!(#[allow(unused_variables)]));
    }
}
