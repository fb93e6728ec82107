//! A marked `impl`, `trait` or `mod`: every function in it, modules inside of it included.
//!
//! What bears an attribute of its own that says otherwise is left alone: an activity and a workflow, and tests, whose
//! `async fn`s belong to another runtime.

use super::function::{declared, function_of};
use super::{Mark, SelfHome};
use crate::args::HelperArgs;
use crate::errors::Errors;
use crate::krate::Private;
use quote::ToTokens;
use syn::{Attribute, ImplItem, ImplItemFn, Item, Meta, TraitItem, TraitItemFn};

/// Expands all functions in `item`.
pub(super) fn item(private: &Private, mark: Mark, item: &mut Item, errors: &mut Errors) {
    match item {
        Item::Fn(function) if !is_other(&function.attrs) => {
            let Ok(mut function) = syn::parse2::<ImplItemFn>(function.to_token_stream()) else { return };
            let mark = own_mark(mark, &mut function.attrs, errors);
            *item = Item::Verbatim(function_of(private, mark, &function, errors));
        }
        Item::Impl(block) if !is_other(&block.attrs) => {
            let mark = own_mark(mark, &mut block.attrs, errors);
            for item in &mut block.items {
                if let ImplItem::Fn(function) = item {
                    method(private, mark, function, errors).into_iter().for_each(|new| *item = new);
                }
            }
        }
        Item::Trait(block) if !is_other(&block.attrs) => {
            let mark = own_mark(mark, &mut block.attrs, errors);
            for item in &mut block.items {
                if let TraitItem::Fn(function) = item {
                    trait_method(private, mark, function, errors).into_iter().for_each(|new| *item = new);
                }
            }
        }
        Item::Mod(module) if !is_other(&module.attrs) => {
            let mark = own_mark(mark, &mut module.attrs, errors);
            if let Some((_, items)) = &mut module.content {
                items.iter_mut().for_each(|inner| self::item(private, mark, inner, errors));
            }
        }
        _ => {}
    }
}

fn method(private: &Private, mark: Mark, function: &mut ImplItemFn, errors: &mut Errors) -> Option<ImplItem> {
    if is_other(&function.attrs) {
        return None;
    }
    let mark = own_mark(mark, &mut function.attrs, errors);
    Some(ImplItem::Verbatim(function_of(private, mark, function, errors)))
}

fn trait_method(
    private: &Private,
    mark: Mark,
    function: &mut TraitItemFn,
    errors: &mut Errors,
) -> Option<TraitItem> {
    if is_other(&function.attrs) {
        return None;
    }
    let mark = own_mark(mark, &mut function.attrs, errors);
    Some(TraitItem::Verbatim(declared(private, mark, function, errors)))
}

/// Whether the item is something else than a helper: an activity, a workflow, a test.
fn is_other(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let last = attr.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        match last.as_str() {
            "activity" | "workflow" | "test" | "bench" => true,
            "cfg" => attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")),
            _ => false,
        }
    })
}

/// Takes a second mark of ours off an item in a marked block: rustc would expand it once more.
pub(crate) fn own_mark(mut mark: Mark, attrs: &mut Vec<Attribute>, errors: &mut Errors) -> Mark {
    attrs.retain(|attr| {
        let Some(attribute) = helper_attribute(attr) else { return true };
        let tokens = match &attr.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => proc_macro2::TokenStream::new(),
        };
        let args = HelperArgs::parse_at(tokens, attribute, attr, errors);
        if args.state.is_some() {
            mark.home = SelfHome::State;
        }
        mark.vouched |= attribute == "#[workflow::deterministic]";
        mark.probes &= !mark.vouched && !args.no_probes;
        false
    });
    mark
}

/// `#[workflow::helper]`, `#[helper]` where it is imported, and the same for `deterministic`.
fn helper_attribute(attr: &Attribute) -> Option<&'static str> {
    let words: Vec<String> = attr.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
    let ours = matches!(words.as_slice(), [_]) || words.iter().rev().nth(1).is_some_and(|m| m == "workflow");
    match words.last().map(String::as_str) {
        Some("helper") if ours => Some("#[workflow::helper]"),
        Some("deterministic") if ours => Some("#[workflow::deterministic]"),
        _ => None,
    }
}
