//! Parses `select!` and expands it into one await and a `match`. Handlers are outside of the future, so that
//! `?`, `return`, `break` and further awaits in them keep their meaning. The other branches are dropped
//! before the handler runs.

use super::macros::{of_macro, variants};
use super::rewrite::{Rewriter, Scope};
use crate::errors::Code;
use crate::text;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Macro, Pat, Token};

/// A `select!`, as typed.
pub(crate) struct Select {
    pub(crate) branches: Vec<Branch>,
    pub(crate) otherwise: Option<Expr>,
}

/// `pattern = future, if condition => handler`.
pub(crate) struct Branch {
    pub(crate) pattern: Pat,
    pub(crate) future: Expr,
    pub(crate) condition: Option<Expr>,
    pub(crate) handler: Expr,
}

impl Parse for Select {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut select = Self { branches: Vec::new(), otherwise: None };
        // tokio's word for this order. Our `select!` has no other order.
        if input.fork().parse::<syn::Ident>().is_ok_and(|word| word == "biased") && input.peek2(Token![;]) {
            input.parse::<syn::Ident>()?;
            input.parse::<Token![;]>()?;
        }
        while !input.is_empty() {
            if input.peek(Token![else]) {
                input.parse::<Token![else]>()?;
                input.parse::<Token![=>]>()?;
                select.otherwise = Some(handler(input)?);
                break;
            }
            let pattern = Pat::parse_multi_with_leading_vert(input)?;
            input.parse::<Token![=]>()?;
            let future = input.parse()?;
            let condition = match input.peek(Token![,]) {
                true => {
                    input.parse::<Token![,]>()?;
                    input.parse::<Token![if]>()?;
                    Some(input.parse()?)
                }
                false => None,
            };
            input.parse::<Token![=>]>()?;
            select.branches.push(Branch { pattern, future, condition, handler: handler(input)? });
        }
        match (input.is_empty(), select.branches.len()) {
            (false, _) => Err(input.error("`else` is the last branch")),
            (true, 1..=12) => Ok(select),
            (true, count) => Err(input.error(format!("it takes 1 to 12 branches, here are {count}"))),
        }
    }
}

fn handler(input: ParseStream) -> syn::Result<Expr> {
    let handler = Expr::parse_with_earlier_boundary_rule(input)?;
    match input.is_empty() || (matches!(handler, Expr::Block(_)) && !input.peek(Token![,])) {
        true => {}
        false => {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(handler)
}

/// The `select!` of this invocation, if it is one. Under another name (`use workflow::select as pick;`), its
/// grammar shows it: no other macro has `pattern = future => handler`. If such a macro is not ours, it has no
/// `@abide`, and rustc refuses it.
pub(crate) fn select_of(mac: &Macro) -> Option<Select> {
    syn::parse2::<Select>(mac.tokens.clone()).ok().filter(|select| !select.branches.is_empty())
}

pub(super) fn expand(rewriter: &mut Rewriter<'_>, mac: &mut Macro) {
    let select = match syn::parse2::<Select>(mac.tokens.clone()) {
        Ok(select) => select,
        Err(error) => {
            let help =
                "write `select! { value = future => handler, _ = other, if condition => { .. } else => .. }`";
            rewriter.errors.syn(Code::Value, &error, help);
            return;
        }
    };
    let (at, ends) = (mac.path.span(), of_macro(mac));
    let site = text::site(rewriter.private, mac, at);
    let private = rewriter.private;
    let selected = format_ident!("Selected{}", select.branches.len());
    let (mut branches, mut arms, mut refutable) = (Vec::new(), Vec::new(), false);
    for (branch, variant) in select.branches.into_iter().zip(variants(12)) {
        let Branch { pattern, mut future, condition, mut handler } = branch;
        rewriter.future(&mut future);
        let condition = condition.map_or_else(|| quote!(true), |condition| enabled(rewriter, condition));
        rewriter.visit_expr_mut(&mut handler);
        let question = match shape(&pattern) {
            None => quote!(|_| true),
            Some(shape) => {
                refutable = true;
                quote!(|__abide_value| match __abide_value {
                    #shape => true, #[allow(unreachable_patterns)] _ => false
                })
            }
        };
        branches.push(quote!(#private::flow::select::branch(#future, #condition, #question)));
        arms.push(quote!(#private::flow::select::#selected::#variant(#pattern) => #handler,));
    }
    let otherwise = match select.otherwise {
        Some(mut otherwise) => {
            rewriter.visit_expr_mut(&mut otherwise);
            otherwise.to_token_stream()
        }
        None => quote!(#private::flow::select::nobody()),
    };
    let impossible = refutable.then(|| {
        quote!(#[allow(unreachable_patterns)] _ => ::core::unreachable!("a branch that won matches its pattern"),)
    });
    let race = quote!(#private::flow::select::select((#(#branches,)*)));
    let awaited = rewriter.awaited(&race, &site, at, ends);
    let selected = quote! {
        {
            let __abide_selected = #awaited;
            match __abide_selected {
                #(#arms)*
                #private::flow::select::#selected::Nobody => #otherwise,
                #impossible
            }
        }
    };
    let selected = rewriter.whole(ends, &selected);
    mac.tokens = quote!(@abide #selected);
}

/// The `if` of a branch. It is evaluated once, before the first poll.
fn enabled(rewriter: &mut Rewriter<'_>, mut condition: Expr) -> TokenStream {
    let scope = Scope { ..rewriter.scope };
    rewriter.within(scope, |rewriter| rewriter.visit_expr_mut(&mut condition));
    condition.to_token_stream()
}

/// The pattern without its bindings, to check whether a borrowed value matches. `None`: every value matches.
fn shape(pattern: &Pat) -> Option<Pat> {
    let mut shape = pattern.clone();
    Unbind.visit_pat_mut(&mut shape);
    (!is_wild(&shape)).then_some(shape)
}

fn is_wild(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) | Pat::Rest(_) => true,
        Pat::Type(typed) => is_wild(&typed.pat),
        Pat::Paren(paren) => is_wild(&paren.pat),
        Pat::Tuple(tuple) => tuple.elems.iter().all(is_wild),
        Pat::Reference(reference) => is_wild(&reference.pat),
        _ => false,
    }
}

struct Unbind;

impl VisitMut for Unbind {
    fn visit_pat_mut(&mut self, pattern: &mut Pat) {
        if let Pat::Ident(binding) = pattern {
            // By Rust's naming, `None` and `LIMIT` are no bindings.
            let constant = binding.by_ref.is_none()
                && binding.mutability.is_none()
                && binding.ident.to_string().starts_with(char::is_uppercase);
            if !constant {
                let wild = Pat::Wild(syn::PatWild {
                    attrs: Vec::new(),
                    underscore_token: Token![_](binding.span()),
                });
                *pattern = binding.subpat.take().map_or(wild, |(_, inner)| *inner);
                return self.visit_pat_again(pattern);
            }
        }
        if let Pat::Struct(fields) = pattern {
            for field in &mut fields.fields {
                field.colon_token.get_or_insert_with(Default::default);
            }
        }
        visit_mut::visit_pat_mut(self, pattern);
    }
}

impl Unbind {
    fn visit_pat_again(&mut self, pattern: &mut Pat) {
        if !matches!(pattern, Pat::Wild(_)) {
            self.visit_pat_mut(pattern);
        }
    }
}
