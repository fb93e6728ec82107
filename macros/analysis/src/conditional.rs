//! `#[cfg(..)]` inside a marked item, wherever rustc accepts one: methods, parameters, generics, statements,
//! arms, fields, elements. They are evaluated first, because the expansion of a function depends on the
//! number of its arguments, and a handler may be written twice, for one platform and for all others.
//!
//! Values on rustc's command line are known (features, `test`, the user's own flags). If a condition is
//! unknown (`unix`, `debug_assertions`; in an editor: all), the item is emitted once for each possible
//! outcome, under `#[cfg(all(..))]` and with the attribute again. rustc compiles one of them. rustc handles
//! the conditions on the item itself.

mod places;
#[cfg(test)]
mod tests;

use crate::errors::{Code, Errors};
use crate::helper::is_other;
use crate::krate::Private;
use crate::signature::contains_word;
use crate::source::{Crate, Predicate};
use crate::workflow::handles;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use std::collections::BTreeMap;
use syn::punctuated::{Pair, Punctuated};
use syn::visit_mut::VisitMut;
use syn::{Attribute, Expr, Item, Meta, Token};

/// The most different unknown conditions in one item. Each one doubles the number of emitted items.
const MAX_OPEN: usize = 5;

/// `expand(args, item)` for an item without conditions; see the head of this module. `attribute`: its name in
/// `__private`.
pub(crate) fn decided(
    attribute: &str,
    args: TokenStream,
    item: TokenStream,
    expand: impl FnOnce(TokenStream, TokenStream) -> TokenStream,
) -> TokenStream {
    if !contains_word(item.clone(), &["cfg", "cfg_attr"]) {
        return expand(args, item);
    }
    let Some(parsed) = Marked::parse(&item) else { return expand(args, item) };
    let krate = Crate::current();
    let cfgs = krate.is_known().then(|| krate.cfgs());
    // The body of an activity does not change.
    let bodies = attribute != "activity";
    let mut decide = Decide::new(cfgs, attribute, bodies);
    let mut decided = parsed.clone();
    decided.visit(&mut decide);
    if decide.open.len() > MAX_OPEN {
        // Statements and arms need no evaluation: their expansion keeps their conditions.
        decide = Decide::new(cfgs, attribute, false);
        decided = parsed.clone();
        decided.visit(&mut decide);
    }
    if decide.open.is_empty() {
        let around = decided.ask(&decide.closed);
        let expanded = expand(args, decided.into_token_stream());
        return quote!(#expanded #around);
    }
    let open: Vec<(String, Meta)> = decide.open.clone().into_iter().collect();
    if open.len() <= MAX_OPEN {
        return ways(attribute, &args, &parsed, &open, decide);
    }
    if cfgs.is_none() {
        // In an editor, expand one of the outcomes: any is better than none.
        decide.assumed = Some(open.into_iter().map(|(text, _)| (text, false)).collect());
        decided = parsed;
        decided.visit(&mut decide);
        return expand(args, decided.into_token_stream());
    }
    let mut errors = Errors::default();
    let message = format!("{} different conditions in one marked item, {MAX_OPEN} at most", open.len());
    let help = "move what differs into functions of its own, and put `#[cfg(..)]` on those";
    open.iter().take(1).for_each(|(_, meta)| errors.add(Code::Conditions, meta, &message, help));
    quote!(#errors)
}

/// The item for each possible outcome of its conditions.
fn ways(
    attribute: &str,
    args: &TokenStream,
    item: &Marked,
    open: &[(String, Meta)],
    mut decide: Decide<'_>,
) -> TokenStream {
    let private = Private::new(krate_of(args).as_ref());
    let name = format_ident!("{}", attribute);
    let ways = (0..1_usize << open.len()).map(|way| {
        let holds = |index: usize| way >> index & 1 == 1;
        let conditions = open.iter().enumerate().map(|(at, (_, meta))| match holds(at) {
            true => quote!(#meta),
            false => quote!(not(#meta)),
        });
        let assumed = open.iter().enumerate().map(|(at, (text, _))| (text.clone(), holds(at)));
        decide.assumed = Some(assumed.collect());
        let mut item = item.clone();
        item.visit(&mut decide);
        quote!(#[cfg(all(#(#conditions),*))] #[#private::attributes::#name(#args)] #item)
    });
    ways.collect()
}

/// The `crate = path` argument, among any other arguments.
fn krate_of(args: &TokenStream) -> Option<syn::Path> {
    let mut tokens = args.clone().into_iter();
    tokens.find(|token| matches!(token, proc_macro2::TokenTree::Ident(word) if word == "crate"))?;
    tokens.next()?;
    let path = tokens.take_while(|token| !crate::source::is_punct(token, ','));
    syn::parse2(path.collect()).ok()
}

/// The item under one of our attributes.
#[derive(Clone)]
enum Marked {
    Item(Item),
    Method(syn::ImplItemFn),
    Declared(syn::TraitItemFn),
}

impl Marked {
    fn parse(tokens: &TokenStream) -> Option<Self> {
        // A method with a body also parses as a free function, with or without `self`, and prints the same.
        if let Ok(item) = syn::parse2(tokens.clone())
            && !matches!(item, Item::Verbatim(_))
        {
            return Some(Self::Item(item));
        }
        if let Ok(method) = syn::parse2(tokens.clone()) {
            return Some(Self::Method(method));
        }
        syn::parse2(tokens.clone()).ok().map(Self::Declared)
    }

    /// Keeps the evaluated conditions visible to rustc, which has a lint for unknown names. For a function
    /// they go into its body, because it may be in an `impl` or a `trait`. For other items, returns tokens to
    /// emit after the item.
    fn ask(&mut self, closed: &BTreeMap<String, Meta>) -> Option<TokenStream> {
        let asked = closed.values();
        let asked = quote!(
            #[cfg(any(#(#asked),*))]
            const _: () = ();
        );
        let block = match self {
            _ if closed.is_empty() => return None,
            Self::Item(Item::Fn(function)) => &mut function.block,
            Self::Method(method) => &mut method.block,
            Self::Item(_) => return Some(asked),
            Self::Declared(method) => {
                let asked = closed.values();
                // This attribute never applies.
                method
                    .attrs
                    .push(syn::parse_quote!(#[cfg_attr(all(any(#(#asked),*), false), allow(unused))]));
                return None;
            }
        };
        block.stmts.insert(0, syn::Stmt::Item(syn::parse_quote!(#asked)));
        None
    }

    fn visit(&mut self, decide: &mut Decide<'_>) {
        decide.outermost = true;
        match self {
            Self::Item(item) => decide.visit_item_mut(item),
            Self::Method(method) => decide.visit_impl_item_fn_mut(method),
            Self::Declared(method) => decide.visit_trait_item_fn_mut(method),
        }
    }
}

impl ToTokens for Marked {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Item(item) => item.to_tokens(tokens),
            Self::Method(method) => method.to_tokens(tokens),
            Self::Declared(method) => method.to_tokens(tokens),
        }
    }
}

/// Removes code that is not compiled, and the conditions of the compiled code.
struct Decide<'a> {
    /// The `cfg`s of rustc's command line. `None`: unknown.
    cfgs: Option<&'a [String]>,
    /// Conditions that they decided.
    closed: BTreeMap<String, Meta>,
    /// Conditions with an unknown outcome, by their text.
    open: BTreeMap<String, Meta>,
    /// The outcomes that are assumed for them.
    assumed: Option<BTreeMap<String, bool>>,
    /// Whether the marked item has helpers. Other items in it then do not change.
    helpers: bool,
    /// Whether bodies are visited.
    bodies: bool,
    /// Whether the next visited item is the marked item itself.
    outermost: bool,
}

impl<'a> Decide<'a> {
    fn new(cfgs: Option<&'a [String]>, attribute: &str, bodies: bool) -> Self {
        Self {
            cfgs,
            closed: BTreeMap::new(),
            open: BTreeMap::new(),
            assumed: None,
            helpers: matches!(attribute, "helper" | "deterministic"),
            bodies,
            outermost: true,
        }
    }

    /// Whether an item in a marked one is left unchanged: an activity among helpers, a test.
    fn is_other(&mut self, attrs: &[Attribute]) -> bool {
        !std::mem::take(&mut self.outermost) && self.helpers && is_other(attrs)
    }

    /// Whether the node stays. Removes its evaluated conditions and keeps the unknown ones.
    fn stays(&mut self, attrs: &mut Vec<Attribute>) -> bool {
        let mut kept = Vec::new();
        let mut stays = true;
        // The attributes of a `cfg_attr` may contain conditions again.
        let mut left: Vec<Attribute> = std::mem::take(attrs).into_iter().rev().collect();
        while let Some(attr) = left.pop() {
            if attr.path().is_ident("cfg") {
                let predicate = attr.parse_args::<Predicate>().ok();
                match predicate.map(|predicate| self.holds(&predicate)) {
                    // Kept, because it tells tests from helpers.
                    Some(Some(true)) if is_test(&attr) => kept.push(attr),
                    Some(Some(held)) => stays &= held,
                    Some(None) | None => kept.push(attr),
                }
            } else if let Some((predicate, given)) = conditional_attributes(&attr) {
                match self.holds(&predicate) {
                    Some(true) => left.extend(given.into_iter().rev()),
                    Some(false) => {}
                    None => kept.push(attr),
                }
            } else {
                kept.push(attr);
            }
        }
        *attrs = kept;
        stays
    }

    /// The same for a method. A handler under `#[cfg(test)]` is checked like any other. The condition is only
    /// needed to tell tests from helpers.
    fn method_stays(&mut self, attrs: &mut Vec<Attribute>) -> bool {
        let stays = self.stays(attrs);
        if handles(attrs) {
            attrs.retain(|attr| !attr.path().is_ident("cfg") || !is_test(attr));
        }
        stays
    }

    fn holds(&mut self, predicate: &Predicate) -> Option<bool> {
        let (cfgs, assumed) = (self.cfgs, self.assumed.as_ref());
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        let held = predicate.holds(&mut |leaf: &Meta| {
            let text = leaf.to_token_stream().to_string();
            let known = cfgs.and_then(|cfgs| Predicate::leaf(leaf, cfgs));
            let held = known.or_else(|| assumed.and_then(|assumed| assumed.get(&text).copied()));
            match held {
                None => open.push((text, leaf.clone())),
                Some(_) => closed.push((text, leaf.clone())),
            }
            held
        });
        self.closed.extend(closed);
        if held.is_none() {
            self.open.extend(open);
        }
        held
    }

    fn list<T, P: Default>(
        &mut self,
        list: &mut Punctuated<T, P>,
        attrs: impl Fn(&mut T) -> Option<&mut Vec<Attribute>>,
    ) {
        let trailing = list.trailing_punct();
        let pairs = std::mem::take(list).into_pairs().map(Pair::into_value);
        let kept = pairs.into_iter().filter_map(|mut value| {
            let stays = attrs(&mut value).is_none_or(|attrs| self.stays(attrs));
            stays.then_some(value)
        });
        kept.for_each(|value| list.push(value));
        if trailing && !list.is_empty() {
            list.push_punct(P::default());
        }
    }

    fn expressions(&mut self, list: &mut Punctuated<Expr, Token![,]>) {
        if contains_word(list.to_token_stream(), &["cfg", "cfg_attr"]) {
            self.list(list, crate::attributes::of_expression_mut);
        }
    }
}

/// Exactly `#[cfg(test)]`.
fn is_test(attr: &Attribute) -> bool {
    attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

/// The predicate of a `#[cfg_attr(..)]`, and its attributes.
fn conditional_attributes(attr: &Attribute) -> Option<(Predicate, Vec<Attribute>)> {
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let parse = |input: syn::parse::ParseStream<'_>| {
        let predicate: Predicate = input.parse()?;
        input.parse::<Token![,]>()?;
        let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
        Ok((predicate, metas.into_iter().map(|meta| Attribute { meta, ..attr.clone() }).collect()))
    };
    attr.parse_args_with(parse).ok()
}
