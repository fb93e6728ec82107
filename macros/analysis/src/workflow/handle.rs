//! The typed methods of a workflow's handle: one for each signal and query, in a struct that nobody names. The handle
//! dereferences to it, and it to the engine's own methods, so that a user's name always wins (API.md §5).

use super::model::{Method, Model, Role};
use crate::activity::outcome;
use crate::krate::Private;
use crate::signature::{tuple, tuple_type};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

/// The struct and its methods for `workflow`, a type.
pub(super) fn expand(private: &Private, workflow: &impl ToTokens, model: &Model) -> TokenStream {
    let signals = model.with(Role::Signal).map(|method| signal(private, method));
    let queries = model.with(Role::Query).map(|method| query(private, method));
    quote! {
        // Generic, so that a private workflow is no "private type in a public interface".
        #[doc(hidden)]
        #[allow(unreachable_pub, missing_docs, missing_debug_implementations)]
        pub struct Methods<W>(#private::HandleCore<W>);

        #[allow(unreachable_pub, missing_docs, private_interfaces, dead_code)]
        impl Methods<#workflow> { #(#signals)* #(#queries)* }

        impl<W> ::core::clone::Clone for Methods<W> {
            fn clone(&self) -> Self { Self(::core::clone::Clone::clone(&self.0)) }
        }

        impl<W> ::core::convert::From<#private::HandleCore<W>> for Methods<W> {
            fn from(core: #private::HandleCore<W>) -> Self { Self(core) }
        }

        impl<W> ::core::ops::Deref for Methods<W> {
            type Target = #private::HandleCore<W>;
            fn deref(&self) -> &Self::Target { &self.0 }
        }

        impl #private::WorkflowHandle for #workflow {
            type Methods = Methods<Self>;
        }
    }
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

fn signal(private: &Private, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, args_type) =
        (&method.key, &method.function.sig.ident, tuple_type(&method.function.sig, &method.arguments));
    quote! {
        #attrs
        pub fn #name(&self #inputs) -> #private::Request {
            self.0.signal_with(#key, #private::encode_args::<#args_type>(&#args))
        }
    }
}

fn query(private: &Private, method: &Method) -> TokenStream {
    let (attrs, inputs, args) = parts(method);
    let (key, name, args_type) =
        (&method.key, &method.function.sig.ident, tuple_type(&method.function.sig, &method.arguments));
    let outcome = outcome(private, &method.output);
    quote! {
        #attrs
        pub fn #name(&self #inputs) -> impl ::core::future::Future<Output = <#outcome as #private::QueryOutcome>::Reply> + ::core::marker::Send + use<> {
            self.0.query_with::<#outcome>(#key, #private::encode_args::<#args_type>(&#args))
        }
    }
}
