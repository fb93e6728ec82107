//! One marked function: its signature without `async`, and its body rewritten.

use super::{Mark, SelfHome};
use crate::attributes::refuse_instrument;
use crate::body::{AsyncBody, Home, sync_body};
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::{
    self, SelfKind, contains_word, has_impl_trait, into_borrowing_fn, into_future_fn, names,
};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Block, ImplItemFn, Signature, TraitItemFn, Visibility};

/// A marked function or method with a body.
pub(crate) fn function_of(
    private: &Private,
    mark: Mark,
    function: &ImplItemFn,
    errors: &mut Errors,
) -> TokenStream {
    let ImplItemFn { attrs, vis, sig, block, .. } = function;
    of(private, mark, &Parts { attrs, vis, sig, block }, errors)
}

/// A marked method of a trait, with or without a body of its own.
pub(crate) fn declared(
    private: &Private,
    mark: Mark,
    function: &TraitItemFn,
    errors: &mut Errors,
) -> TokenStream {
    let TraitItemFn { attrs, sig, default, .. } = function;
    if let Some(block) = default {
        return of(private, mark, &Parts { attrs, vis: &Visibility::Inherited, sig, block }, errors);
    }
    let sig = match sig.asyncness {
        Some(_) => borrowing(private, sig),
        None => sig.clone(),
    };
    quote!(#(#attrs)* #sig;)
}

struct Parts<'a> {
    attrs: &'a [Attribute],
    vis: &'a Visibility,
    sig: &'a Signature,
    block: &'a Block,
}

fn of(private: &Private, mark: Mark, parts: &Parts<'_>, errors: &mut Errors) -> TokenStream {
    let Parts { attrs, vis, sig, block } = parts;
    if sig.asyncness.is_some() {
        return async_fn(private, mark, parts, errors);
    }
    let receiver = match mark.home {
        SelfHome::State => sig.receiver().map(|receiver| receiver.self_token.span()),
        SelfHome::Value | SelfHome::Refused => None,
    };
    let waits = contains_word(block.to_token_stream(), &["async"]);
    let lints = mark.lints();
    let before = errors.len();
    // A probe cannot run in a constant.
    let probes = mark.probes && sig.constness.is_none();
    let body = sync_body(private, receiver, block, &signature::output(sig), probes, errors);
    if errors.len() > before {
        let value = stub(private, sig);
        return quote!(#(#attrs)* #lints #[allow(unused_variables)] #vis #sig { #value });
    }
    let body = match value_check(private, mark, sig).filter(|_| waits) {
        Some(check) => quote_spanned!(block.brace_token.span.join()=> { #check #body }),
        None => body,
    };
    quote!(#(#attrs)* #lints #vis #sig #body)
}

fn async_fn(private: &Private, mark: Mark, parts: &Parts<'_>, errors: &mut Errors) -> TokenStream {
    let Parts { attrs, vis, sig, block } = parts;
    let (mut attrs, mut block) = (attrs.to_vec(), (*block).clone());
    refuse_instrument(&mut attrs, sig, &mut block, errors);
    let kind = signature::self_kind(sig);
    let is_state = mark.home == SelfHome::State;
    if is_state && kind == SelfKind::Other {
        let receiver = sig.receiver();
        errors.add(
            Code::Signature,
            &receiver,
            "an async method of a workflow takes `&self` or `&mut self`",
            "the state stays with its workflow: write `&mut self`, and move out of it with `std::mem::take`",
        );
    }
    if let Some(token) = &sig.constness {
        errors.add(Code::Signature, token, "an async function cannot be `const`", "remove the `const`");
    }
    let output = signature::output(sig);
    let body = AsyncBody {
        private,
        home: match kind {
            SelfKind::Shared | SelfKind::Exclusive if is_state => Home::Method,
            _ => Home::Free,
        },
        shared: kind == SelfKind::Shared,
        receiver: sig.receiver().map_or_else(Span::call_site, |receiver| receiver.self_token.span()),
        bindings: TokenStream::new(),
        names: names(&signature::arguments(sig)),
        output: &output,
        block: &block,
        probes: mark.probes,
    };
    let expanded = body.expand(errors);
    let borrows = !is_state || kind == SelfKind::None;
    let mut new = match borrows {
        true => borrowing(private, sig),
        false => into_future_fn(sig, &quote!(#private::WorkflowFuture)),
    };
    new.constness = None;
    let check = value_check(private, mark, sig);
    let lints = mark.lints();
    // If the trait's method is written as `-> impl WorkflowFuture`, the `impl` has one more bound.
    let refines = (borrows && kind != SelfKind::None).then(|| quote!(#[allow(refining_impl_trait)]));
    quote!(#(#attrs)* #refines #lints #vis #new { #check #expanded })
}

fn borrowing(private: &Private, sig: &Signature) -> Signature {
    into_borrowing_fn(sig, &quote!(#private::WorkflowFuture), &quote!(#private::Borrows))
}

/// A value of the type that `sig` returns, for a body with mistakes.
fn stub(private: &Private, sig: &Signature) -> TokenStream {
    let output = signature::output(sig);
    let future = has_impl_trait(&output) && contains_word(output.to_token_stream(), &["WorkflowFuture"]);
    match future {
        true => quote!(#private::later()),
        false => quote!(#private::never()),
    }
}

/// Refuses a workflow's own state as `self` of a plain value's method. Its future would hold the state across
/// its caller's awaits, and rustc's message for that does not say what helps. The check calls a method that
/// exists only for a workflow, so it also works in generic `impl`s.
fn value_check(private: &Private, mark: Mark, sig: &Signature) -> Option<TokenStream> {
    let receiver = sig.receiver().filter(|_| mark.home == SelfHome::Value)?;
    let at = receiver.self_token.span().resolved_at(Span::call_site());
    let private = private.at(at);
    Some(quote_spanned! {at=>
        if false {
            #[allow(unused_imports)]
            use #private::AnyValue as _;
            #private::only_a_value(#private::Owner::<Self>::new().whose());
        }
    })
}
