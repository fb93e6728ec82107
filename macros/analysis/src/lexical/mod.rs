//! Layer L: reads workflow code. Every path in it is resolved with the crate's own aliases, modules and
//! functions, and checked against the rules. Functions of the same crate that it calls are followed, at any
//! depth.
//!
//! ```text
//! item → Walker (a body, its scopes and written types) → Hits → Errors, on the user's tokens
//!            └ follow: a function of the crate → the chains by which it reaches a forbidden call
//! ```
//! A name that is not known for certain is accepted. Layers A, V and P check the code after this one.

mod bind;
mod calls;
mod effects;
mod expand;
mod follow;
mod infer;
mod locals;
mod lookup;
mod macros;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;
mod walk;

use crate::errors::{Code, Errors};
use crate::helper::is_other;
use crate::rules;
use crate::source::{Crate, Env, Place, attrs_of};
use crate::workflow::is_init;
pub(crate) use calls::{completes_later, refuse_activities};
use follow::Reach;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use std::rc::Rc;
use syn::{ImplItem, ImplItemFn, Item, TraitItem, TraitItemFn, Type};
pub(crate) use syntax::exempts;
use walk::Walker;

/// A finding in a body, and its place.
pub(crate) struct Hit {
    start: Span,
    end: Span,
    kind: Kind,
}

enum Kind {
    /// A rule forbids it: the rule's code, the path in full and as written, and the texts of the rule.
    Rule { code: Code, what: String, reason: &'static str, instead: &'static str },
    /// A function or macro of the crate reaches a forbidden call.
    Reaches { what: String, chains: Vec<Reach> },
}

/// Checks an item under `#[workflow]` or `#[workflow::helper]`.
pub(crate) fn check_item(item: &Item, errors: &mut Errors) {
    Check { krate: Crate::current(), place: None }.item(item, errors);
}

/// Checks the item of `#[workflow::helper]`: an item, or a single method.
pub(crate) fn check_tokens(item: &TokenStream, errors: &mut Errors) {
    let check = Check { krate: Crate::current(), place: None };
    // A method parses as an `ImplItemFn`, and so does a free function: its grammar includes both.
    if let Ok(function) = syn::parse2::<ImplItemFn>(item.clone()) {
        check.function(&function, None, errors);
    } else if let Ok(TraitItemFn { attrs, sig, default: Some(block), .. }) = syn::parse2(item.clone()) {
        check.body(check.env(sig.ident.span(), None), &attrs, &sig, &block, errors);
    } else if let Ok(item) = syn::parse2::<Item>(item.clone()) {
        check.item(&item, errors);
    }
}

/// One check.
pub(crate) struct Check {
    pub(crate) krate: Rc<Crate>,
    /// The place of the item. `None`: its tokens have the place.
    pub(crate) place: Option<Place>,
}

impl Check {
    pub(crate) fn item(&self, item: &Item, errors: &mut Errors) {
        match item {
            Item::Fn(function) => {
                let env = self.env(function.sig.ident.span(), None);
                self.body(env, &function.attrs, &function.sig, &function.block, errors);
            }
            Item::Impl(block) => {
                let self_ty = Rc::from(block.self_ty.clone());
                for inner in &block.items {
                    if let ImplItem::Fn(function) = inner {
                        self.function(function, Some(&self_ty), errors);
                    }
                }
                let makes =
                    |item: &ImplItem| matches!(item, ImplItem::Fn(function) if is_init(&function.attrs));
                if block.trait_.is_none() && !block.items.iter().any(makes) {
                    self.default_state(&block.self_ty, errors);
                }
            }
            Item::Trait(item) => {
                for inner in &item.items {
                    if let TraitItem::Fn(TraitItemFn { attrs, sig, default: Some(block), .. }) = inner {
                        self.body(self.env(sig.ident.span(), None), attrs, sig, block, errors);
                    }
                }
            }
            Item::Mod(module) => {
                let items = module.content.iter().flat_map(|(_, items)| items);
                items
                    .filter(|item| is_workflow_code(attrs_of(item)))
                    .for_each(|item| self.item(item, errors));
            }
            _ => {}
        }
    }

    pub(crate) fn function(&self, function: &ImplItemFn, self_ty: Option<&Rc<Type>>, errors: &mut Errors) {
        if !is_workflow_code(&function.attrs) {
            return;
        }
        let env = self.env(function.sig.ident.span(), self_ty);
        self.body(env, &function.attrs, &function.sig, &function.block, errors);
    }

    fn body(
        &self,
        env: Env,
        attrs: &[syn::Attribute],
        sig: &syn::Signature,
        block: &syn::Block,
        errors: &mut Errors,
    ) {
        let mut walker = Walker::new(&self.krate, env, false);
        walker.function(attrs, sig, block);
        walker.hits.into_iter().for_each(|hit| hit.tell(errors));
    }

    /// If there is no `#[init]`, the engine makes a workflow's state with `Default`, also on every replay.
    fn default_state(&self, ty: &Type, errors: &mut Errors) {
        let self_ty: Rc<Type> = Rc::new(ty.clone());
        let env = self.env(first_span(ty), Some(&self_ty));
        let mut walker = Walker::new(&self.krate, env, false);
        walker.default_of(ty);
        walker.hits.into_iter().for_each(|hit| hit.tell(errors));
    }

    fn env(&self, at: Span, self_ty: Option<&Rc<Type>>) -> Env {
        let place = || match (&self.place, self.krate.is_known()) {
            (Some(place), _) => Some(Place { line: place.line + at.start().line, ..place.clone() }),
            (None, true) => Some(Place { file: Rc::from(at.local_file()?), line: at.start().line }),
            (None, false) => None,
        };
        let mut env = self.krate.env_at(place().as_ref());
        if let Some(ty) = self_ty {
            env.self_ty = Some(ty.clone());
        }
        env
    }
}

/// Whether a part of a marked item is checked with it. An activity, a test, or code marked `deterministic` is
/// not.
fn is_workflow_code(attrs: &[syn::Attribute]) -> bool {
    let last_is =
        |attr: &syn::Attribute, word| attr.path().segments.last().is_some_and(|last| last.ident == word);
    !is_other(attrs) && !attrs.iter().any(|attr| last_is(attr, "deterministic"))
}

impl Hit {
    /// A finding: a rule forbids `tokens`.
    fn rule(
        tokens: &impl ToTokens,
        code: Code,
        what: String,
        reason: &'static str,
        instead: &'static str,
    ) -> Self {
        let (start, end) = ends(tokens);
        Self { start, end, kind: Kind::Rule { code, what, reason, instead } }
    }

    fn tell(self, errors: &mut Errors) {
        match self.kind {
            Kind::Rule { code, what, reason, instead } => {
                errors.range(code, self.start, self.end, &format!("{what} {reason}"), instead);
            }
            Kind::Reaches { what, chains } => {
                let mut message = format!("`{what}` reaches a forbidden call");
                for (index, chain) in chains.iter().take(MAX_CHAINS).enumerate() {
                    message.push_str(if index == 0 { "\n" } else { "\nand\n" });
                    message.push_str(&chain.to_string());
                }
                if chains.len() > MAX_CHAINS {
                    message.push_str(&format!("\nand {} more", chains.len() - MAX_CHAINS));
                }
                errors.range(Code::Reaches, self.start, self.end, &message, HELP);
            }
        }
    }
}

/// The most chains that are printed. The others are counted.
const MAX_CHAINS: usize = 3;
const HELP: &str =
    "make it an `#[activity]`, pass the value in, or mark it `#[workflow::deterministic(\"why\")]`";

/// The first and last span of some tokens.
fn ends(tokens: &impl ToTokens) -> (Span, Span) {
    let stream: TokenStream = tokens.to_token_stream();
    let mut spans = stream.into_iter().map(|token| token.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    (start, spans.last().unwrap_or(start))
}

fn first_span(tokens: &impl ToTokens) -> Span {
    ends(tokens).0
}

/// How a finding names a path: in full, and as written if that differs.
fn named(full: &str, written: &str) -> String {
    match full.ends_with(written) {
        true => format!("`{full}`"),
        false => format!("`{full}` (written as `{written}`)"),
    }
}

/// The name of a code's class, for the end of a chain.
fn class(code: Code) -> String {
    format!("{} {}", code.text(), rules::class(code))
}
