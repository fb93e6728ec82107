//! The typed methods of a workflow's handle: one for each signal, query and update, in a struct without a public
//! name. The handle dereferences to it, and it dereferences to the engine's own methods, so that a user's
//! name always wins.

use super::model::{Method, Model, Role};
use crate::activity::outcome;
use crate::krate::Private;
use crate::signature::{self, tuple, tuple_type};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

/// The struct and its methods for `workflow`, a type.
pub(super) fn expand(private: &Private, workflow: &impl ToTokens, model: &Model) -> TokenStream {
    let signals = model.with(Role::Signal).map(|method| signal(private, workflow, method));
    let named = |method: &&Method| signature::borrow(&method.output).is_none();
    let queries = model.with(Role::Query).filter(named).map(|method| query(private, method));
    let updates = || model.with(Role::Update).filter(named);
    let sent = updates().map(|method| update(private, method));
    let with_starts = updates().map(|method| update_with_start(private, workflow, method));
    let by_ids = updates().map(|method| update_by_id(private, method));
    let handlers = model.methods.iter().filter(|method| method.role.is_of_clients());
    let handlers = handlers.filter(|method| !method.broken);
    let codecs = handlers.map(|method| codecs(private, method));
    // Signals take every route, so their impl is generic. A name must not be both in it and in one of a
    // single route, because rustc refuses that as ambiguous.
    let methods = [
        of_route(quote!(<R: #private::SignalRoute>), quote!(<#workflow, R>), signals.collect()),
        of_route(quote!(), quote!(<#workflow, #private::ByClient>), queries.chain(sent).collect()),
        of_route(quote!(), quote!(<#workflow, #private::WithStart>), with_starts.collect()),
        of_route(quote!(), quote!(<#workflow, #private::ById>), by_ids.collect()),
    ];
    quote! {
        #(#codecs)*

        // Generic, so that a private workflow causes no error "private type in a public interface".
        #[doc(hidden)]
        #[allow(unreachable_pub, missing_docs, missing_debug_implementations)]
        pub struct Methods<W: #private::WorkflowDef, R: #private::Route>(R::Core<W>);

        #(#methods)*

        impl<W: #private::WorkflowDef, R: #private::Route<Core<W>: ::core::clone::Clone>>
            ::core::clone::Clone for Methods<W, R>
        {
            fn clone(&self) -> Self { Self(::core::clone::Clone::clone(&self.0)) }
        }

        impl<W: #private::WorkflowDef, R: #private::Route> ::core::ops::Deref for Methods<W, R> {
            type Target = R::Core<W>;
            fn deref(&self) -> &Self::Target { &self.0 }
        }

        #[diagnostic::do_not_recommend]
        impl<R: #private::Route> #private::Messages<R> for #workflow {
            type Methods = Methods<Self, R>;
            fn methods(core: R::Core<Self>) -> Methods<Self, R> { Methods(core) }
        }
    }
}

/// The methods of one route; nothing if there are none.
fn of_route(generics: TokenStream, of: TokenStream, methods: Vec<TokenStream>) -> Option<TokenStream> {
    (!methods.is_empty()).then(|| {
        quote! {
            #[allow(unreachable_pub, missing_docs, private_interfaces, dead_code)]
            impl #generics Methods #of { #(#methods)* }
        }
    })
}

/// Docs of the handler, and its name and arguments for a client.
fn parts(method: &Method) -> (TokenStream, TokenStream, TokenStream) {
    let attrs = method.function.attrs.iter().filter(|attr| {
        attr.path().is_ident("doc") || attr.path().is_ident("cfg") || attr.path().is_ident("deprecated")
    });
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let types = method.arguments.iter().map(|argument| &argument.ty);
    (quote!(#(#attrs)*), quote!(#(, #names: #types)*), tuple(&names))
}

/// The `#[cfg(..)]`s of a handler. All items made for the handler get them.
pub(super) fn conditions(method: &Method) -> TokenStream {
    let attrs = method.function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    quote!(#(#attrs)*)
}

/// The constant that writes and reads a handler's arguments.
pub(super) fn args_codec(method: &Method) -> Ident {
    format_ident!("__abide_{}_args", bare(method), span = Span::call_site())
}

/// The constant that writes and reads the answer of a query or an update.
pub(super) fn answer_codec(method: &Method) -> Ident {
    format_ident!("__abide_{}_answer", bare(method), span = Span::call_site())
}

fn bare(method: &Method) -> String {
    let kind = match method.role {
        Role::Query => "query",
        Role::Update => "update",
        _ => "signal",
    };
    format!("{kind}_{}", method.function.sig.ident.to_string().trim_start_matches("r#"))
}

/// Only here rustc checks whether history can store a handler's arguments and answer.
fn codecs(private: &Private, method: &Method) -> TokenStream {
    let args_type = tuple_type(&method.function.sig, &method.arguments);
    let args = args_codec(method);
    // One argument: its span. Several: rustc names the type, and all of them are underlined.
    let at = match method.arguments.as_slice() {
        [one] => one.ty.span(),
        _ => method.function.sig.paren_token.span.join(),
    };
    let at = at.resolved_at(Span::call_site());
    let here = private.at(at);
    let of = quote_spanned!(at=> <#here::Codec<#args_type>>::of());
    let conditions = conditions(method);
    let answer = (method.role != Role::Signal).then(|| {
        let codec =
            format_ident!("{}", if method.role == Role::Query { "QueryCodec" } else { "UpdateCodec" });
        let (name, outcome) = (answer_codec(method), outcome(private, &method.output));
        let at = method.output.span().resolved_at(Span::call_site());
        let here = private.at(at);
        let of = quote_spanned!(at=> <#here::#codec<#outcome>>::of());
        quote! {
            #conditions #[allow(non_upper_case_globals, dead_code)]
            const #name: #private::#codec<#outcome> = #of;
        }
    });
    quote! {
        #conditions
        #[allow(non_upper_case_globals, dead_code)]
        const #args: #private::Codec<#args_type> = #of;
        #answer
    }
}

fn signal(private: &Private, workflow: &impl ToTokens, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, codec) = (&method.key, &method.function.sig.ident, args_codec(method));
    let body = match method.broken {
        true => quote!(let _ = #args; #private::never()),
        false => quote!(R::signal(&self.0, #key, #codec.encode(&#args))),
    };
    quote!(#attrs pub fn #name(&self #inputs) -> R::Signal<#workflow> { #body })
}

fn query(private: &Private, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, codec) = (&method.key, &method.function.sig.ident, args_codec(method));
    let (outcome, answer) = (outcome(private, &method.output), answer_codec(method));
    let body = match method.broken {
        true => quote!(let _ = #args; async { #private::never() }),
        false => quote!(self.0.query_with(#key, #codec.encode(&#args), &#answer)),
    };
    quote! {
        #attrs
        pub fn #name(
            &self #inputs
        ) -> impl ::core::future::Future<Output = <#outcome as #private::Answer>::Reply>
            + ::core::marker::Send + use<> {
            #body
        }
    }
}

fn update(private: &Private, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, codec) = (&method.key, &method.function.sig.ident, args_codec(method));
    let (outcome, answer) = (outcome(private, &method.output), answer_codec(method));
    let body = match method.broken {
        true => quote!(let _ = #args; #private::never()),
        false => quote!(self.0.update_with(#key, #codec.encode(&#args), &#answer)),
    };
    quote!(#attrs pub fn #name(&self #inputs) -> #private::Update<#outcome> { #body })
}

/// The update as it goes with a start.
fn update_with_start(private: &Private, workflow: &impl ToTokens, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, codec) = (&method.key, &method.function.sig.ident, args_codec(method));
    let (outcome, answer) = (outcome(private, &method.output), answer_codec(method));
    let body = match method.broken {
        true => quote!(let _ = #args; #private::never()),
        false => quote!(self.0.update_with(#key, #codec.encode(&#args), &#answer)),
    };
    quote!(#attrs pub fn #name(&self #inputs) -> #private::OpeningUpdate<#workflow, #outcome> { #body })
}

/// The update of a request id that was sent before.
fn update_by_id(private: &Private, method: &Method) -> TokenStream {
    let (attrs, _, _) = parts(method);
    let (name, outcome, answer) =
        (&method.function.sig.ident, outcome(private, &method.output), answer_codec(method));
    let body = match method.broken {
        true => quote!(let _ = request_id; #private::never()),
        false => quote!(self.0.by_id(request_id, &#answer)),
    };
    quote! {
        #attrs
        pub fn #name(
            &self, request_id: impl ::core::convert::AsRef<::core::primitive::str>
        ) -> #private::UpdateHandle<#outcome> {
            #body
        }
    }
}
