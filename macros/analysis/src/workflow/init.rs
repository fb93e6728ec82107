//! `#[init] fn new(order: Order) -> Self`: makes a workflow's state instead of `Default`. It gets the
//! arguments of `run`, and makes the state from them alone, because a run that has not started is looked at
//! in this state.

use super::model::{Method, Model, Role};
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::{Argument, SelfKind, tuple};
use crate::text;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ReturnType, Type};

/// Checks its signature, except for its arguments.
pub(super) fn check(method: &Method, self_ty: &Type, errors: &mut Errors) {
    const FORM: &str = "write a plain function that makes the state: `fn new(order: Order) -> Self`";
    let sig = &method.function.sig;
    if let Some(token) = &sig.asyncness {
        let help =
            "write a plain `fn`; let `run` await what there is to wait for, and keep the result in the state";
        errors.add(Code::InitSignature, token, "an `#[init]` cannot be `async`", help);
    }
    if let Some(receiver) = sig.receiver().filter(|_| method.kind != SelfKind::None) {
        errors.add(Code::InitSignature, receiver, "an `#[init]` takes no `self`: it makes the state", FORM);
    }
    if !sig.generics.params.is_empty() {
        let help = "what is given to it has been written to history: give each argument one type";
        errors.add(Code::InitSignature, &sig.generics, "an `#[init]` cannot be generic", help);
    }
    let message = "an `#[init]` returns the workflow's state: `Self`";
    match &sig.output {
        ReturnType::Default => errors.add(Code::InitSignature, &sig.ident, message, FORM),
        ReturnType::Type(_, ty) if !is_state(ty, self_ty) => {
            let help =
                "write `-> Self`; an input that is refused is for `run` to refuse, which may return an error";
            errors.add(Code::InitSignature, ty, message, help);
        }
        ReturnType::Type(..) => {}
    }
}

/// `Self`, or a path to the type of the `impl`.
fn is_state(ty: &Type, self_ty: &Type) -> bool {
    let last = |ty: &Type| match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.clone()),
        _ => None,
    };
    last(ty).is_some_and(|name| name == "Self" || Some(name) == last(self_ty))
}

/// Checks that there is at most one, with as many arguments as `run`. rustc compares the types of the
/// arguments.
pub(super) fn check_all(model: &mut Model, errors: &mut Errors) {
    let inits = || model.with(Role::Init);
    for second in inits().skip(1) {
        let help =
            "a workflow's state is made in one place: remove one of the two, or make it a plain function";
        errors.add(Code::InitSignature, &second.function.sig.ident, "a second `#[init]`", help);
    }
    let (Some(init), Some(run)) = (inits().next(), model.run()) else { return };
    let (mine, runs) = (init.arguments.len(), run.arguments.len());
    if mine == runs || init.broken {
        return;
    }
    let plural =
        |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    let message = format!(
        "`#[init]` takes {}, and `#[run]` takes {}: both are given the workflow's input",
        plural(mine),
        runs
    );
    let name = &init.function.sig.ident;
    let help = format!("write `fn {name}({}) -> Self`", written(&run.arguments));
    errors.at(Code::InitInput, init.function.sig.paren_token.span.join(), &message, &help);
    for method in model.methods.iter_mut().filter(|method| method.role == Role::Init) {
        method.broken = true;
    }
}

/// Arguments as written.
fn written(arguments: &[Argument]) -> String {
    let each = arguments.iter().map(|argument| {
        text::shorten(&format!("{}: {}", argument.name, text::source(argument.ty.to_token_stream())))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// How the state is made, as an item of the workflow's definition.
pub(super) fn definition(private: &Private, self_ty: &Type, model: &Model) -> TokenStream {
    let Some(init) = model.with(Role::Init).next() else {
        let at = self_ty.span();
        let private = private.at(at.resolved_at(Span::call_site()));
        let state = quote_spanned!(at=> <Self as #private::DefaultState>::default_state());
        return quote!(fn init() -> Self { #state });
    };
    let made = match (init.broken, model.run()) {
        (false, Some(run)) => {
            let (name, args) = (&init.function.sig.ident, names(init));
            let inputs = args.iter().zip(&init.arguments).zip(&run.arguments);
            let inputs = inputs.map(|((name, mine), run)| given(private, name, &mine.ty, &run.ty));
            let pattern = tuple(&args);
            quote!(fn init_with(__abide_args: Self::Args) -> Self {
                let #pattern = __abide_args;
                Self::#name(#(#inputs),*)
            })
        }
        // Its mistake was reported.
        _ => TokenStream::new(),
    };
    quote!(const FROM_INPUT: bool = true; #made)
}

fn names(init: &Method) -> Vec<proc_macro2::Ident> {
    (0..init.arguments.len()).map(|index| format_ident!("__abide_{index}")).collect()
}

/// An argument of `run`, for `#[init]`. rustc decides whether two type names mean the same type.
fn given(private: &Private, name: &proc_macro2::Ident, mine: &Type, run: &Type) -> TokenStream {
    if text::canonical(mine) == text::canonical(run) {
        return quote!(#name);
    }
    let private = private.at(mine.span().resolved_at(Span::call_site()));
    let at = mine.span();
    quote_spanned!(at=> <#mine as #private::SameInput<#run>>::given(#name))
}
