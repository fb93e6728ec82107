//! `#[workflow::helper]`: code that workflows may call. A plain function stays as it is; an `async` one becomes a
//! function that gives a workflow future. On an inline `mod` it means every function in it.

use crate::args::{self, WorkflowArgs};
use crate::body::{AsyncBody, Home, sync_body};
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::{self, SelfKind, into_future_fn, names};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{ImplItem, ImplItemFn, Item, ItemImpl};

const HELP: &str = "put it on a function, on a method, or on an inline `mod { .. }` of them";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = WorkflowArgs::parse(args, "#[workflow::helper]", &mut errors);
    let private = Private::new(args.krate.as_ref());
    marked(&private, item, "#[workflow::helper]", !args.no_probes, errors)
}

pub(crate) fn expand_deterministic(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    if args::reason(args).is_none() {
        errors.at(
            Code::Value,
            Span::call_site(),
            "`#[workflow::deterministic]` needs a reason",
            "write why every run gives the same: `#[workflow::deterministic(\"a pure table lookup\")]`",
        );
    }
    // Its author vouches for it.
    marked(&Private::new(None), item, "#[workflow::deterministic]", false, errors)
}

fn marked(
    private: &Private,
    item: TokenStream,
    attribute: &str,
    probes: bool,
    mut errors: Errors,
) -> TokenStream {
    // A method parses as an `ImplItemFn`, a free function too: its grammar is the wider one.
    let expanded = if let Ok(function) = syn::parse2::<ImplItemFn>(item.clone()) {
        function_of(private, &function, probes, &mut errors)
    } else if let Ok(Item::Mod(mut module)) = syn::parse2::<Item>(item.clone()) {
        match &mut module.content {
            Some((_, items)) => {
                items.iter_mut().for_each(|item| in_module(private, item, probes, &mut errors));
                module.into_token_stream()
            }
            None => {
                let message = format!("`{attribute}` cannot see into another file");
                errors.add(Code::Misplaced, &module, &message, HELP);
                item
            }
        }
    } else {
        errors.add(Code::Misplaced, &head(&item), &format!("`{attribute}` does not belong here"), HELP);
        item
    };
    quote!(#errors #expanded)
}

/// The first words of an item, to be underlined: up to its body.
pub(crate) fn head(item: &TokenStream) -> TokenStream {
    let is_body = |token: &proc_macro2::TokenTree| matches!(token, proc_macro2::TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace);
    item.clone().into_iter().take_while(|token| !is_body(token)).collect()
}

fn in_module(private: &Private, item: &mut Item, probes: bool, errors: &mut Errors) {
    let expanded = match item {
        Item::Fn(function) => match syn::parse2::<ImplItemFn>(function.to_token_stream()) {
            Ok(function) => function_of(private, &function, probes, errors),
            Err(_) => return,
        },
        Item::Impl(block) => return in_impl(private, block, probes, errors),
        Item::Mod(module) => {
            if let Some((_, items)) = &mut module.content {
                items.iter_mut().for_each(|item| in_module(private, item, probes, errors));
            }
            return;
        }
        _ => return,
    };
    *item = Item::Verbatim(expanded);
}

/// The methods of an impl in a marked module. Those of a trait keep the shape that the trait asks for.
fn in_impl(private: &Private, block: &mut ItemImpl, probes: bool, errors: &mut Errors) {
    if block.trait_.is_some() {
        return;
    }
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            *item = ImplItem::Verbatim(function_of(private, function, probes, errors));
        }
    }
}

/// A marked function or method; with `probes`, the values in its body are probed.
pub(crate) fn function_of(
    private: &Private,
    function: &ImplItemFn,
    probes: bool,
    errors: &mut Errors,
) -> TokenStream {
    let ImplItemFn { attrs, vis, sig, block, .. } = function;
    match sig.asyncness {
        Some(_) => async_fn(private, function, probes, errors),
        None => {
            let receiver = sig.receiver().map(|receiver| receiver.self_token.span());
            // A probe is no constant.
            let probes = probes && sig.constness.is_none();
            let body = sync_body(private, receiver, block, &signature::output(sig), probes, errors);
            quote!(#(#attrs)* #vis #sig #body)
        }
    }
}

fn async_fn(private: &Private, function: &ImplItemFn, probes: bool, errors: &mut Errors) -> TokenStream {
    let ImplItemFn { attrs, vis, sig, block, .. } = function;
    let kind = signature::self_kind(sig);
    if kind == SelfKind::Other {
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
            SelfKind::None | SelfKind::Other => Home::Free,
            SelfKind::Shared | SelfKind::Exclusive => Home::Method,
        },
        shared: kind == SelfKind::Shared,
        receiver: sig.receiver().map_or_else(Span::call_site, |receiver| receiver.self_token.span()),
        bindings: TokenStream::new(),
        names: names(&signature::arguments(sig)),
        output: &output,
        block,
        probes,
    };
    let expanded = body.expand(errors);
    let future = quote!(#private::WorkflowFuture);
    let mut sig = into_future_fn(sig, &future);
    // What the body never says, the signature must not either: `mut` of an argument moves into the body with it.
    sig.constness = None;
    quote!(#(#attrs)* #vis #sig { #expanded })
}
