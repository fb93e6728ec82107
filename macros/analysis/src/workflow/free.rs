//! The short form: `#[workflow] async fn nightly_report(day: Date) -> Result<Url, Failure> { .. }`, without
//! state and handlers. An empty enum with the function's name is its definition.

use super::handle;
use super::model::Model;
use crate::activity::{check_owned, outcome};
use crate::args::WorkflowArgs;
use crate::body::{AsyncBody, Home};
use crate::errors::{Code, Errors};
use crate::graph;
use crate::krate::Private;
use crate::lints;
use crate::signature::{self, names, tuple, tuple_type};
use crate::stored;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, Signature};

fn check(sig: &Signature, errors: &mut Errors) {
    if sig.asyncness.is_none() {
        errors.add(Code::Signature, &sig.fn_token, "a workflow is an `async fn`", "write `async fn`");
    }
    if !sig.generics.params.is_empty() {
        let help = "history knows a workflow by its name alone: write one workflow for each type; helpers \
                    may be generic";
        errors.add(Code::Signature, &sig.generics, "a workflow cannot be generic", help);
    }
    check_owned(sig, "a workflow", errors);
}

pub(super) fn expand(
    private: &Private,
    args: &WorkflowArgs,
    function: &ItemFn,
    errors: &mut Errors,
) -> TokenStream {
    let before = errors.len();
    let ItemFn { attrs, vis, sig, .. } = function;
    check(sig, errors);
    let broken = errors.len() > before;
    let name = &sig.ident;
    let docs = attrs.iter().filter(|attr| attr.path().is_ident("doc") || attr.path().is_ident("cfg"));
    let arguments = signature::arguments(sig);
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let types = arguments.iter().map(|argument| &argument.ty);
    let call_args = tuple(&names);
    let sets = match args.no_probes {
        true => TokenStream::new(),
        false => stored::no_sets(private, &arguments, &signature::output(sig)),
    };
    let (body, definition) = match broken {
        // The signature stays and acts as a workflow, so that callers and registrations cause no second
        // error.
        true => (quote!({ let _ = #call_args; #private::never() }), stand_in(private, name)),
        false => (
            quote!({ #sets #private::WorkflowCall::new(&#call_args) }),
            definition(private, args, function, errors),
        ),
    };
    let generics = &sig.generics;
    let clause = &sig.generics.where_clause;
    let handle = handle::expand(private, &name, &Model::default());
    quote! {
        #(#docs)*
        #vis fn #name #generics(#(#names: #types),*) -> #private::WorkflowCall<#name> #clause #body

        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #vis enum #name {}

        const _: () = { #definition #handle };
    }
}

/// A workflow without arguments that does nothing.
fn stand_in(private: &Private, name: &Ident) -> TokenStream {
    quote! {
        impl #private::WorkflowDef for #name {
            const NAME: &'static str = "";
            type State = ();
            type Args = ();
            type Returned = ();
            type Outcome = #private::Sel<(), false>;
            fn init() {}
            fn run(_: #private::Slot<()>, _: ()) -> impl ::core::future::Future<Output = ()> + 'static {
                async {}
            }
        }
    }
}

fn definition(private: &Private, args: &WorkflowArgs, function: &ItemFn, errors: &mut Errors) -> TokenStream {
    let ItemFn { attrs, sig, block, .. } = function;
    let (arguments, output) = (signature::arguments(sig), signature::output(sig));
    let name = &sig.ident;
    let default_key = name.to_string().trim_start_matches("r#").to_owned();
    let key = args.name.as_ref().map_or(default_key, syn::LitStr::value);
    let patterns = tuple(arguments.iter().map(|argument| &argument.pattern));
    let body = AsyncBody {
        private,
        home: Home::FreeRun,
        shared: false,
        receiver: Span::call_site(),
        bindings: quote!(let #patterns = __abide_args;),
        names: names(&arguments),
        output: &output,
        block,
        probes: !args.no_probes,
    }
    .expand(errors);
    let graph = graph::of(private, &name.to_string(), "Run", block);
    let (args_type, outcome) = (tuple_type(sig, &arguments), outcome(private, &output));
    let body_attrs = attrs.iter().filter(|attr| !attr.path().is_ident("doc") && !attr.path().is_ident("cfg"));
    let (lints, options) = (lints::deny(), args.start.expand(private));
    let future = quote_spanned!(output.span()=> impl ::core::future::Future<Output = #output> + 'static);
    quote! {
        impl #private::WorkflowDef for #name {
            const NAME: &'static str = #key;
            type State = ();
            type Args = #args_type;
            type Returned = #output;
            type Outcome = #outcome;
            const GRAPHS: &'static [#private::FnGraph] = &[#graph];

            #options
            fn init() {}

            #(#body_attrs)*
            #lints
            fn run(__abide_slot: #private::Slot<()>, __abide_args: Self::Args) -> #future { #body }
        }
    }
}
