//! `#[workflow::helper]` and `#[workflow::deterministic]`: code that workflows may call. A plain function
//! does not change. An `async` one becomes a function that returns a workflow future. On an `impl`, a `trait`
//! or an inline `mod`, the attribute applies to every function in it.
//!
//! The meaning of `self`: in a `#[workflow] impl`, it is the workflow's state, which each await hands over,
//! so the future must not hold it. Elsewhere it is an ordinary value, and the future borrows it. A second
//! `impl` with methods of a workflow needs `#[workflow::helper(state)]`. If it is missing, a type check
//! reports that.

mod blocks;
mod function;

use crate::args::HelperArgs;
use crate::attributes::{self, Outward};
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::lexical;
use crate::lints;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit_mut::VisitMut;
use syn::{ImplItemFn, Item, TraitItemFn};

pub(crate) use blocks::{is_other, own_mark, refuse_mark};
pub(crate) use function::function_of;

const HELP: &str = "put it on a function, a method, an `impl`, a `trait`, or an inline `mod { .. }` of them";

/// The kind of a marked function.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) home: SelfHome,
    /// Its author takes responsibility: `#[workflow::deterministic("why")]`.
    pub(crate) vouched: bool,
    /// Whether the values in its body are probed.
    pub(crate) probes: bool,
}

impl Mark {
    /// A function with no other options.
    pub(crate) fn of(home: SelfHome) -> Self {
        Self { home, vouched: false, probes: true }
    }

    /// The levels of clippy's lints for such a function.
    fn lints(self) -> syn::Attribute {
        if self.vouched { lints::allow() } else { lints::deny() }
    }
}

/// The meaning of `self` in a method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelfHome {
    /// The workflow's state.
    State,
    /// A value that no workflow hands over.
    Value,
    /// Like a value. Its mistake was reported.
    Refused,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    marked(args, item, "#[workflow::helper]")
}

pub(crate) fn expand_deterministic(args: TokenStream, item: TokenStream) -> TokenStream {
    marked(args, item, "#[workflow::deterministic]")
}

fn marked(args: TokenStream, item: TokenStream, attribute: &str) -> TokenStream {
    let mut errors = Errors::default();
    let args = HelperArgs::parse(args, attribute, &mut errors);
    let private = Private::new(args.krate.as_ref());
    let home = match args.state {
        Some(_) => SelfHome::State,
        None => SelfHome::Value,
    };
    let item = refuse_expanded(item, &mut errors);
    let vouched = attribute == "#[workflow::deterministic]";
    let mark = Mark { home, vouched, probes: !vouched && !args.no_probes };
    if let (Some(state), Ok(function)) = (&args.state, syn::parse2::<ImplItemFn>(item.clone()))
        && function.sig.receiver().is_none()
    {
        let help = "it says that `self` is the workflow's state: remove it, or write `&mut self`";
        errors.at(Code::Misplaced, state.span(), "`state` on a function without `self`", help);
    }
    if !mark.vouched {
        lexical::check_tokens(&item, &mut errors);
    }
    let expanded = item_of(&private, mark, item, attribute, &mut errors);
    quote!(#errors #expanded)
}

/// A function that `#[tracing::instrument]` has already replaced, with an empty body.
fn refuse_expanded(item: TokenStream, errors: &mut Errors) -> TokenStream {
    if !attributes::is_instrumented(item.clone()) {
        return item;
    }
    let Ok(mut function) = syn::parse2::<ImplItemFn>(item.clone()) else { return item };
    let ImplItemFn { attrs, sig, block, .. } = &mut function;
    attributes::refuse_instrument(attrs, sig, block, errors);
    function.into_token_stream()
}

fn item_of(
    private: &Private,
    mark: Mark,
    item: TokenStream,
    attribute: &str,
    errors: &mut Errors,
) -> TokenStream {
    // A method parses as an `ImplItemFn`, and so does a free function: its grammar includes both.
    if let Ok(mut function) = syn::parse2::<ImplItemFn>(item.clone()) {
        Outward.visit_impl_item_fn_mut(&mut function);
        if blocks::refuse_other(&function.attrs, attribute, errors) {
            return item;
        }
        return function_of(private, mark, &function, errors);
    }
    if let Ok(mut function) = syn::parse2::<TraitItemFn>(item.clone()) {
        Outward.visit_trait_item_fn_mut(&mut function);
        return function::declared(private, mark, &function, errors);
    }
    match attributes::parse_item(&item) {
        Ok(Item::Mod(module)) if module.content.is_none() => {
            let message = format!("`{attribute}` cannot see into another file");
            let help = "rustc shows a macro only what stands between braces: mark the functions in that \
                        file, or its `impl`s";
            errors.add(Code::Misplaced, &module, &message, help);
            item
        }
        Ok(mut known @ (Item::Mod(_) | Item::Impl(_) | Item::Trait(_))) => {
            blocks::item(private, mark, &mut known, errors);
            known.into_token_stream()
        }
        Ok(_) => {
            let message = format!("`{attribute}` does not belong here");
            errors.add(Code::Misplaced, &head(&item), &message, HELP);
            item
        }
        Err(error) => {
            errors.syn(Code::Misplaced, &error, HELP);
            item
        }
    }
}

/// The first tokens of an item, to underline: up to its body.
pub(crate) fn head(item: &TokenStream) -> TokenStream {
    let is_body =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    item.clone().into_iter().take_while(|token| !is_body(token)).collect()
}
