//! `#[activity]`: a function that workflows call and a worker runs.
//!
//! A free `async fn charge` becomes a plain `fn charge`, which returns the call, and an empty `enum charge`,
//! which is the definition and has the body as `charge::body`. For a method, the call is an associated
//! function and the body is a method of a trait. So `Payments::charge(x)` is the call, and `self.charge(x)`
//! runs the body in place.

mod attributes;
mod methods;
mod transaction;

use crate::args::ActivityArgs;
use crate::attributes::parse_item;
use crate::errors::{Code, Errors};
use crate::helper::{head, refuse_mark};
use crate::krate::Private;
use crate::lexical;
use crate::retry;
use crate::signature::{self, Argument, SelfKind, tuple, tuple_type};
use crate::stored;
use attributes::Split;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Block, ImplItem, Item, ItemFn, Signature, Type};
use transaction::Inputs;

const HELP: &str = "put it on a free function, or on an `impl` block whose async methods are the activities";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = ActivityArgs::parse(args, &mut errors);
    let private = Private::new(args.krate.as_ref());
    let expanded = match parse_item(&item) {
        Ok(Item::Fn(mut function)) if signature::self_kind(&function.sig) == SelfKind::None => {
            refuse_mark(&mut function.attrs, "an activity", &mut errors);
            let ItemFn { attrs, sig, block, .. } = &mut function;
            if lexical::refuse_activities(sig, block, None, &mut errors) {
                stub(attrs, block);
            }
            free(&private, &args, &function, &mut errors)
        }
        Ok(Item::Impl(mut block)) => {
            let block_ty = block.self_ty.clone();
            for item in &mut block.items {
                if let ImplItem::Fn(method) = item
                    && methods::is_marked(method)
                {
                    refuse_mark(&mut method.attrs, "an activity", &mut errors);
                    let syn::ImplItemFn { attrs, sig, block, .. } = method;
                    if lexical::refuse_activities(sig, block, Some(&block_ty), &mut errors) {
                        stub(attrs, block);
                    }
                }
            }
            methods::expand(&private, &args, &block, &mut errors)
        }
        Ok(Item::Fn(_)) => {
            let help = "put `#[activity]` on the `impl` block: all of its async methods are activities \
                        then, and its plain ones that bear the attribute too";
            errors.add(Code::Misplaced, &head(&item), "`#[activity]` on a single method", help);
            item
        }
        Ok(_) => {
            errors.add(Code::Misplaced, &head(&item), "`#[activity]` does not belong here", HELP);
            item
        }
        Err(error) => {
            errors.syn(Code::Misplaced, &error, HELP);
            item
        }
    };
    quote!(#errors #expanded)
}

/// Removes a body whose mistakes were all reported.
fn stub(attrs: &mut Vec<syn::Attribute>, block: &mut syn::Block) {
    *block = syn::parse_quote!({ ::core::unreachable!() });
    attrs.push(syn::parse_quote!(#[allow(unused_variables, unused_mut)]));
}

/// Checks the signature of an activity of any form, and returns its inputs.
fn check(args: &ActivityArgs, sig: &Signature, errors: &mut Errors) -> Inputs {
    if let (None, Some(word)) = (sig.asyncness, &args.transactional) {
        let help = "write `async fn`: the connection is tokio's, and lent to an async body";
        errors.at(Code::Signature, word.span(), "a transactional activity cannot be a blocking `fn`", help);
    }
    if !sig.generics.params.is_empty() {
        let help = "history knows an activity by its name alone: write one activity for each type";
        errors.add(Code::Signature, &sig.generics, "an activity cannot be generic", help);
    }
    if let Some(variadic) = &sig.variadic {
        errors.add(Code::Signature, variadic, "an activity takes a fixed number of arguments", "list them");
    }
    if let (None, Some(word)) = (sig.asyncness, &args.complete_later) {
        let help = "write `async fn`: the body ends with `activity::complete_later().await`";
        errors.at(Code::Signature, word.span(), "a blocking `fn` cannot be completed later", help);
    }
    let inputs = transaction::inputs(args, sig, errors);
    check_stored(&inputs.arguments, sig, "an activity", errors);
    inputs
}

/// A body that says that it is completed later needs the word: without it, nothing is there that a token could
/// complete.
fn check_later(
    args: &ActivityArgs,
    sig: &Signature,
    block: &Block,
    host: Option<&Type>,
    errors: &mut Errors,
) {
    if args.complete_later.is_none()
        && let Some(call) = lexical::completes_later(sig, block, host)
    {
        let help = "write `#[activity(complete_later)]`, with a limit: `schedule_to_close = \"7d\"`";
        errors.add(
            Code::Value,
            &call,
            "this activity is completed later, and its attribute does not say so",
            help,
        );
    }
}

/// Arguments and results are stored, so they must own their data.
pub(crate) fn check_owned(sig: &Signature, what: &str, errors: &mut Errors) {
    check_stored(&signature::arguments(sig), sig, what, errors);
}

fn check_stored(arguments: &[Argument], sig: &Signature, what: &str, errors: &mut Errors) {
    for argument in arguments {
        if errors.holds(&argument.ty) {
            continue;
        }
        let found = match &argument.ty {
            ty if signature::has_impl_trait(ty) => Some(ty.to_token_stream()),
            ty => signature::borrow(ty),
        };
        if let Some(found) = found {
            let message = format!("an argument of {what} is stored in history, so it must own its data");
            errors.add(Code::Signature, &found, &message, "take an owned type: `String`, `Vec<T>`");
        }
    }
    let output = signature::output(sig);
    if let Some(borrowed) = signature::borrow(&output).filter(|borrowed| !errors.holds(borrowed)) {
        let (message, help) = match what {
            "a query" => (
                "the answer of a query is sent to another process, so it must own its data".to_owned(),
                "return an owned type: `String`, `Vec<T>`, made by `self.name.clone()`",
            ),
            _ => (
                format!("the result of {what} is stored in history, so it must own its data"),
                "return an owned type: `String`, `Vec<T>`",
            ),
        };
        errors.add(Code::Signature, &borrowed, &message, help);
    }
    let count = arguments.len();
    if count > 8 {
        let message = format!("{what} takes at most 8 arguments, here are {count}");
        errors.add(Code::Signature, &sig.ident, &message, "put them into a struct");
    }
}

fn free(private: &Private, args: &ActivityArgs, function: &ItemFn, errors: &mut Errors) -> TokenStream {
    let before = errors.len();
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let inputs = check(args, sig, errors);
    check_later(args, sig, block, None, errors);
    let Split { docs, cfgs, body: body_attrs } = attributes::split(attrs);
    let name = &sig.ident;
    let output = signature::output(sig);
    let call = call_fn(private, &inputs.arguments, &quote!(#name), sig);
    let args_pattern = tuple(inputs.arguments.iter().map(|argument| &argument.name));
    let key = key(args, &name.to_string());
    let definition = definition(
        private,
        args,
        &Definition {
            name: quote!(#name),
            key,
            host: quote!(()),
            sig,
            inputs: &inputs,
            output: &output,
            call: quote!(_: &(), #args_pattern: Self::Args),
            body: inputs.run(private, &quote!(#name::body), None),
        },
    );
    if errors.len() > before {
        let stand_in = stand_in(private, name, &inputs.arguments, sig);
        return quote! {
            #(#docs)* #(#cfgs)* #[allow(unused_variables)] #vis #stand_in
            #(#cfgs)* #[doc(hidden)] #[allow(non_camel_case_types, dead_code)] #vis enum #name {}
        };
    }
    let mut body_sig = sig.clone();
    body_sig.ident = syn::Ident::new("body", sig.ident.span());
    quote! {
        #(#docs)* #(#cfgs)* #vis #call

        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #vis enum #name {}

        #(#cfgs)*
        impl #name {
            #[doc = "What the activity does, to be called in a test."]
            #(#body_attrs)* #vis #body_sig #block
        }

        #(#cfgs)*
        #definition
    }
}

/// Replaces an activity whose signature is wrong, so that its callers cause no second error.
fn stand_in(private: &Private, name: &syn::Ident, arguments: &[Argument], sig: &Signature) -> TokenStream {
    let (generics, clause) = (&sig.generics, &sig.generics.where_clause);
    let inputs = arguments.iter().map(|Argument { name, ty, .. }| quote!(#name: #ty));
    let output = signature::output(sig);
    let (returned, outcome) = match generics.params.is_empty()
        && !signature::has_impl_trait(&output)
        && signature::borrow(&output).is_none()
    {
        true => (quote!(#output), outcome(private, &output)),
        false => (quote!(()), quote!(#private::Sel<(), false>)),
    };
    quote! {
        fn #name #generics(#(#inputs),*) -> #private::ActivityCall<#name> #clause { #private::never() }

        impl #private::ActivityDef for #name {
            const NAME: &'static str = "";
            type Host = ();
            type Args = ();
            type Returned = #returned;
            type Outcome = #outcome;
            async fn call(_: &(), _: ()) -> #returned { #private::never() }
        }
    }
}

/// The function that returns the call. It has the user's name, docs and arguments.
fn call_fn(
    private: &Private,
    arguments: &[Argument],
    definition: &TokenStream,
    sig: &Signature,
) -> TokenStream {
    let name = &sig.ident;
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let types = arguments.iter().map(|argument| &argument.ty);
    let args = tuple(&names);
    let sets = stored::no_sets(private, arguments, &signature::output(sig));
    quote! {
        fn #name(#(#names: #types),*) -> #private::ActivityCall<#definition> {
            #sets #private::ActivityCall::new(#args)
        }
    }
}

fn key(args: &ActivityArgs, default: &str) -> TokenStream {
    match &args.name {
        Some(name) => quote!(#name),
        None => {
            let default = default.trim_start_matches("r#");
            quote!(#default)
        }
    }
}

struct Definition<'a> {
    name: TokenStream,
    key: TokenStream,
    host: TokenStream,
    sig: &'a Signature,
    inputs: &'a Inputs,
    output: &'a Type,
    call: TokenStream,
    body: TokenStream,
}

/// The `impl ActivityDef`.
fn definition(private: &Private, args: &ActivityArgs, of: &Definition<'_>) -> TokenStream {
    let Definition { name, key, host, output, call, body, .. } = of;
    let args_type = tuple_type(of.sig, &of.inputs.arguments);
    let database = of.inputs.database(private);
    let options = options(private, args);
    let decides = retry::decides(private, args.retry_if.as_ref(), args.retry_after.as_ref());
    let future =
        quote_spanned!(output.span()=> impl ::core::future::Future<Output = #output> + ::core::marker::Send);
    let outcome = outcome(private, output);
    let run = match of.sig.asyncness {
        Some(_) => quote!(fn call(#call) -> #future { #body }),
        None => quote! {
            const BLOCKING: bool = true;
            fn block(#call) -> #output { #body }
            fn call(host: &Self::Host, args: Self::Args) -> #future {
                async move { <Self as #private::ActivityDef>::block(host, args) }
            }
        },
    };
    quote! {
        impl #private::ActivityDef for #name {
            const NAME: &'static str = #key;
            #database
            type Host = #host;
            type Args = #args_type;
            type Returned = #output;
            type Outcome = #outcome;
            #options
            #decides
            #run
        }
    }
}

/// `Sel<R, ..>`: rustc decides whether `R` is a `Result`, not the text of the type.
pub(crate) fn outcome(private: &Private, output: &Type) -> TokenStream {
    let private = private.at(output.span());
    quote_spanned! {output.span()=>
        #private::Sel<#output, {
            #[allow(unused_imports)] use #private::ProbeElse as _; <#private::Probe<#output>>::FALLIBLE
        }>
    }
}

fn options(private: &Private, args: &ActivityArgs) -> Option<TokenStream> {
    let timeouts = args.timeouts.iter().map(|(field, value)| {
        let field = quote::format_ident!("{}", field);
        quote!(options.#field = ::core::option::Option::Some(#value);)
    });
    let retry = args.retry.iter().map(|(field, value)| {
        let field = quote::format_ident!("{}", field);
        quote!(options.retry.#field = #value;)
    });
    let cancellation = args
        .cancellation
        .iter()
        .map(|variant| quote!(options.cancellation = #private::CancellationType::#variant;));
    let task_queue = args.task_queue.iter().map(|queue| {
        quote!(options.task_queue = ::core::option::Option::Some(::core::convert::Into::into(#queue));)
    });
    let transactional = args.transactional.iter().map(|_| quote!(options.transactional = true;));
    let later = args.complete_later.iter().map(|_| quote!(options.complete_later = true;));
    let settings = timeouts.chain(retry).chain(cancellation).chain(task_queue);
    let settings = settings.chain(transactional).chain(later).chain(args.queueing.settings(private));
    let settings: Vec<TokenStream> = settings.collect();
    (!settings.is_empty()).then(|| {
        quote! {
            fn options() -> #private::ActivityOptions {
                let mut options = #private::ActivityOptions::default();
                #(#settings)*
                options
            }
        }
    })
}
