//! A marked `impl`, `trait` or `mod`: expands every function in it, also in inner modules.
//!
//! An item does not change if its own attribute makes it something else: an activity, a workflow, or a test,
//! whose `async fn` belongs to another runtime.

use super::function::{declared, function_of};
use super::{Mark, SelfHome};
use crate::args::HelperArgs;
use crate::errors::{Code, Errors};
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
            let mut mark = own_mark(mark, &mut block.attrs, errors);
            if let (SelfHome::State, Some((path, _))) = (mark.home, &block.trait_) {
                no_trait(path, errors);
                mark.home = SelfHome::Refused;
            }
            for item in &mut block.items {
                if let ImplItem::Fn(function) = item {
                    method(private, mark, function, errors).into_iter().for_each(|new| *item = new);
                }
            }
        }
        Item::Trait(block) if !is_other(&block.attrs) => {
            let mut mark = own_mark(mark, &mut block.attrs, errors);
            if mark.home == SelfHome::State {
                no_trait(&block.ident, errors);
                mark.home = SelfHome::Refused;
            }
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

/// The signature in the trait decides how a method takes `self`. That of a state's method would differ.
fn no_trait(at: &impl ToTokens, errors: &mut Errors) {
    let help =
        "the method of a trait cannot hand the state over: write an inherent method, and call it from there";
    errors.add(Code::Misplaced, at, "a trait's methods with the workflow's state", help);
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

/// Whether the item is not a helper: an activity, a workflow, a test.
pub(crate) fn is_other(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let last = attr.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        match last.as_str() {
            "activity" | "workflow" | "test" | "bench" => true,
            "cfg" => attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")),
            _ => false,
        }
    })
}

/// Removes a second mark of ours from an item in a marked block, because rustc would expand it again.
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

/// Removes the mark of a helper from a workflow or an activity, and reports it.
pub(crate) fn refuse_mark(attrs: &mut Vec<Attribute>, what: &str, errors: &mut Errors) {
    attrs.retain(|attr| {
        if let Some(attribute) = helper_attribute(attr) {
            errors.add(Code::Misplaced, &attr.meta, &format!("`{attribute}` on {what}"), TWO_MARKS);
        }
        helper_attribute(attr).is_none()
    });
}

/// The same if the mark comes first and the other attribute after it.
pub(super) fn refuse_other(attrs: &[Attribute], attribute: &str, errors: &mut Errors) -> bool {
    let other = attrs.iter().find(|attr| {
        let last = attr.path().segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        last == "activity" || last == "workflow"
    });
    if let Some(other) = other {
        let what = if other.path().is_ident("activity") { "an activity" } else { "a workflow" };
        errors.add(Code::Misplaced, &other.meta, &format!("`{attribute}` on {what}"), TWO_MARKS);
    }
    other.is_some()
}

const TWO_MARKS: &str =
    "an activity runs in a worker, a helper inside of a workflow: a function has one of the marks";

/// `#[workflow::helper]`, `#[helper]` if it is imported, and the same for `deterministic`.
fn helper_attribute(attr: &Attribute) -> Option<&'static str> {
    let words: Vec<String> = attr.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
    let ours = matches!(words.as_slice(), [_]) || words.iter().rev().nth(1).is_some_and(|m| m == "workflow");
    match words.last().map(String::as_str) {
        Some("helper") if ours => Some("#[workflow::helper]"),
        Some("deterministic") if ours => Some("#[workflow::deterministic]"),
        _ => None,
    }
}
