//! The struct form: `#[workflow] impl OrderWorkflow { .. }`.

use super::model::{Method, Model, Role};
use super::{handle, handlers, init, updates};
use crate::activity::outcome;
use crate::args::WorkflowArgs;
use crate::body::{AsyncBody, Home};
use crate::errors::{Code, Errors};
use crate::graph;
use crate::helper::{Mark, function_of};
use crate::krate::Private;
use crate::lints;
use crate::signature::{self, SelfKind, names, tuple, tuple_type};
use crate::stored;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemImpl, Type};

pub(super) fn expand(
    private: &Private,
    args: &WorkflowArgs,
    block: ItemImpl,
    errors: &mut Errors,
) -> TokenStream {
    let Some(default_name) = workflow_name(&block, errors) else { return block.to_token_stream() };
    let model = Model::of(&block, errors);
    let ItemImpl { attrs, self_ty, generics, .. } = &block;
    let others = &model.others;
    let methods: Vec<TokenStream> = model
        .methods
        .iter()
        .filter(|method| method.role != Role::Run)
        .map(|method| method_of(private, method, !args.no_probes, errors))
        .collect();
    let generic = !generics.params.is_empty() || signature::borrow(self_ty).is_some();
    // Not if the state borrows, because rustc would ask for a lifetime of the call.
    let start = model
        .run()
        .filter(|_| signature::borrow(self_ty).is_none())
        .map(|run| start_fn(private, self_ty, run, generic || run.broken, !args.no_probes));
    let inherent = quote!(#(#attrs)* impl #generics #self_ty { #(#others)* #start #(#methods)* });
    let (Some(run), false) = (model.run().filter(|run| !run.broken), generic) else { return inherent };
    let name = args.name.as_ref().map_or(default_name, syn::LitStr::value);
    let definition = definition(private, self_ty, (&name, args), run, &model, errors);
    let handle = handle::expand(private, self_ty, &model);
    quote!(#inherent const _: () = { #definition #handle };)
}

/// A handler or helper as a method of the user's type.
fn method_of(private: &Private, method: &Method, probes: bool, errors: &mut Errors) -> TokenStream {
    let mark = Mark { probes: probes && method.mark.probes, ..method.mark };
    let syn::ImplItemFn { attrs, vis, sig, .. } = &method.function;
    if method.stubbed {
        return quote!(#(#attrs)* #[allow(unused_variables)] #vis #sig { #private::never() });
    }
    if !matches!(method.role, Role::Query | Role::Init) {
        return function_of(private, mark, &method.function, errors);
    }
    let block = handlers::ask_statements(private, method.role, &method.function.block);
    function_of(private, mark, &syn::ImplItemFn { block, ..method.function.clone() }, errors)
}

/// The type's own name, if the impl can be a workflow.
fn workflow_name(block: &ItemImpl, errors: &mut Errors) -> Option<String> {
    if let Some((path, _)) = &block.trait_ {
        let help = "put it on an inherent `impl OrderWorkflow { .. }`";
        errors.add(Code::Misplaced, path, "`#[workflow]` on the `impl` of a trait", help);
        return None;
    }
    if !block.generics.params.is_empty() {
        let help = "history knows a workflow by its name alone: write one workflow for each type; helpers \
                    may be generic";
        errors.add(Code::Signature, &block.generics, "a workflow cannot be generic", help);
    }
    if block.generics.params.is_empty()
        && let Some(borrowed) = signature::borrow(&block.self_ty)
    {
        let help = "let its fields own their data: `String`, `Vec<T>`";
        let message = "a workflow's state cannot borrow: it outlives the process that began it";
        errors.add(Code::Signature, &borrowed, message, help);
    }
    match &*block.self_ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        ty => {
            errors.add(Code::Misplaced, ty, "not a type of your own", super::HELP);
            None
        }
    }
}

/// `fn run(order: Order) -> WorkflowCall<Self>`: a client starts it and a worker registers it.
fn start_fn(private: &Private, self_ty: &Type, run: &Method, broken: bool, probes: bool) -> TokenStream {
    let attrs = &run.function.attrs;
    let (vis, name) = (&run.function.vis, &run.function.sig.ident);
    let docs = attrs.iter().filter(|attr| attr.path().is_ident("doc"));
    let names: Vec<_> = run.arguments.iter().map(|argument| &argument.name).collect();
    let types = run.arguments.iter().map(|argument| &argument.ty);
    let args = tuple(&names);
    let call = match broken {
        true => quote!({ let _ = #args; #private::never() }),
        false => {
            let sets = sets(private, run, probes);
            quote!({ #sets #private::WorkflowCall::new(&#args) })
        }
    };
    quote! {
        #(#docs)*
        #vis fn #name(#(#names: #types),*) -> #private::WorkflowCall<#self_ty> #call
    }
}

/// Refuses hash sets in the signature of a method that clients call.
pub(super) fn sets(private: &Private, method: &Method, probes: bool) -> TokenStream {
    match probes && method.mark.probes {
        true => stored::no_sets(private, &method.arguments, &method.output),
        false => TokenStream::new(),
    }
}

fn definition(
    private: &Private,
    self_ty: &Type,
    (name, args): (&str, &WorkflowArgs),
    run: &Method,
    model: &Model,
    errors: &mut Errors,
) -> TokenStream {
    let (before, probes) = (errors.len(), !args.no_probes);
    let options = args.start.expand(private);
    let args_type = tuple_type(&run.function.sig, &run.arguments);
    let (outcome, body) = (outcome(private, &run.output), run_body(private, run, probes, errors));
    let (signals, queries) = (signals(private, model, probes), queries(private, model, probes));
    let updates = updates::expand(private, model, probes);
    let graphs = graphs(private, model, errors.len() > before);
    let body_attrs = run.function.attrs.iter().filter(|attr| !attr.path().is_ident("doc"));
    let (output, lints) = (&run.output, lints::deny());
    let future = quote_spanned!(output.span()=> impl ::core::future::Future<Output = #output> + 'static);
    let state = init::definition(private, self_ty, model);
    quote! {
        impl #private::WorkflowDef for #self_ty {
            const NAME: &'static str = #name;
            type State = Self;
            type Args = #args_type;
            type Returned = #output;
            type Outcome = #outcome;
            const GRAPHS: &'static [#private::FnGraph] = &[#(#graphs),*];

            #options
            #state

            #(#body_attrs)*
            #lints
            fn run(__abide_slot: #private::Slot<Self>, __abide_args: Self::Args) -> #future { #body }

            #signals
            #queries
            #updates
        }
    }
}

fn run_body(private: &Private, run: &Method, probes: bool, errors: &mut Errors) -> TokenStream {
    let patterns = run.arguments.iter().map(|argument| &argument.pattern);
    let bindings = tuple(patterns);
    AsyncBody {
        private,
        home: Home::Run,
        shared: run.kind == SelfKind::Shared,
        receiver: run
            .function
            .sig
            .receiver()
            .map_or_else(Span::call_site, |receiver| receiver.self_token.span()),
        bindings: quote!(let #bindings = __abide_args;),
        names: names(&run.arguments),
        output: &run.output,
        block: &run.function.block,
        probes: probes && run.mark.probes,
    }
    .expand(errors)
}

/// The graphs of all functions that can await.
fn graphs(private: &Private, model: &Model, broken: bool) -> Vec<TokenStream> {
    if broken {
        return Vec::new();
    }
    let waiting = model.methods.iter().filter(|method| method.function.sig.asyncness.is_some());
    waiting
        .map(|method| {
            let role = match method.role {
                Role::Run => "Run",
                Role::Signal => "Signal",
                Role::Update => "Update",
                Role::Init | Role::Query | Role::Helper => "Helper",
            };
            graph::of(private, &method.function.sig.ident.to_string(), role, &method.function.block)
        })
        .collect()
}

fn signals(private: &Private, model: &Model, probes: bool) -> Option<TokenStream> {
    let arms: Vec<TokenStream> = model
        .with(Role::Signal)
        .filter(|method| !method.broken)
        .map(|method| signal_arm(private, method, probes))
        .collect();
    let keys = model.with(Role::Signal).map(key);
    (!arms.is_empty()).then(|| {
        quote! {
            fn signal(name: &str) -> ::core::option::Option<#private::SignalFn<Self>> {
                match name { #(#arms)* _ => ::core::option::Option::None }
            }

            fn signal_names() -> &'static [&'static str] { &[#(#keys),*] }
        }
    })
}

/// The name of a handler, as an element of a list.
pub(super) fn key(method: &Method) -> TokenStream {
    let (conditions, key) = (handle::conditions(method), &method.key);
    quote!(#conditions #key)
}

fn signal_arm(private: &Private, method: &Method, probes: bool) -> TokenStream {
    let (key, name) = (&method.key, &method.function.sig.ident);
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let (args, codec) = (tuple(&names), handle::args_codec(method));
    let (sets, conditions) = (sets(private, method, probes), handle::conditions(method));
    let decode = quote!(#sets let #args = #codec.decode(__abide_input)?;);
    // A signal returns nothing. Another type than `()` is reported where it is written.
    let at = method.output.span().resolved_at(Span::call_site());
    let state = quote!(__abide_state);
    let call = quote_spanned!(at=> Self::#name(#state, #(#names),*));
    let (form, done) = match method.function.sig.asyncness {
        Some(_) => {
            let private = private.at(at);
            (
                quote!(Async),
                quote_spanned!(at=> ::std::boxed::Box::pin(#call) as #private::LocalBoxFuture<()>),
            )
        }
        None => (quote!(Sync), quote_spanned!(at=> { let __abide_nothing: () = #call; __abide_nothing })),
    };
    quote! {
        #conditions
        #key => ::core::option::Option::Some(#private::SignalFn::#form(|__abide_state, __abide_input| {
            #decode
            ::core::result::Result::Ok(#done)
        })),
    }
}

fn queries(private: &Private, model: &Model, probes: bool) -> Option<TokenStream> {
    let arms: Vec<TokenStream> = model
        .with(Role::Query)
        .filter(|method| !method.broken)
        .map(|method| query_arm(private, method, probes))
        .collect();
    let keys = model.with(Role::Query).map(key);
    (!arms.is_empty()).then(|| {
        quote! {
            fn query(name: &str) -> ::core::option::Option<#private::QueryFn<Self>> {
                match name { #(#arms)* _ => ::core::option::Option::None }
            }

            fn query_names() -> &'static [&'static str] { &[#(#keys),*] }
        }
    })
}

fn query_arm(private: &Private, method: &Method, probes: bool) -> TokenStream {
    let (key, name) = (&method.key, &method.function.sig.ident);
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let (args, codec, answer) = (tuple(&names), handle::args_codec(method), handle::answer_codec(method));
    let (sets, conditions) = (sets(private, method, probes), handle::conditions(method));
    quote! {
        #conditions
        #key => ::core::option::Option::Some(|__abide_state, __abide_input| {
            #sets
            let #args = #codec.decode(__abide_input)?;
            #answer.encode(Self::#name(__abide_state, #(#names),*))
        }),
    }
}
