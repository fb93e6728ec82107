//! The handlers and validators of a workflow's updates.

use super::definition::{key, sets};
use super::handle;
use super::model::{Method, Model, Role};
use crate::krate::Private;
use crate::signature::tuple;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

/// The functions of `WorkflowDef` about updates; nothing if there are none.
pub(super) fn expand(private: &Private, model: &Model, probes: bool) -> Option<TokenStream> {
    let updates = || model.with(Role::Update).filter(|method| !method.broken);
    let arms: Vec<TokenStream> = updates().map(|method| arm(private, method, probes)).collect();
    let keys = updates().map(key);
    (!arms.is_empty()).then(|| {
        quote! {
            fn update(name: &str) -> ::core::option::Option<#private::UpdateFn<Self>> {
                match name { #(#arms)* _ => ::core::option::Option::None }
            }

            fn update_names() -> &'static [&'static str] { &[#(#keys),*] }
        }
    })
}

fn arm(private: &Private, method: &Method, probes: bool) -> TokenStream {
    let (key, conditions) = (&method.key, handle::conditions(method));
    let (validate, run) = (validate(private, method), run(private, method, probes));
    quote! {
        #conditions
        #key => ::core::option::Option::Some(#private::UpdateFn { validate: #validate, run: #run }),
    }
}

/// Without a validator, it only checks that the arguments decode.
fn validate(private: &Private, method: &Method) -> TokenStream {
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let (args, codec, answer) = (tuple(&names), handle::args_codec(method), handle::answer_codec(method));
    let Some(validate) = &method.validate else {
        return quote! {
            |_: &Self, __abide_input: &#private::Payload| {
                #codec.decode(__abide_input)?;
                ::core::result::Result::Ok(::core::result::Result::Ok(()))
            }
        };
    };
    // Errors about its arguments and its return type belong to the path.
    let at = validate.span().resolved_at(Span::call_site());
    let state = quote!(__abide_state);
    let said = quote_spanned!(at=> (#validate)(#state, #(&#names),*));
    let verdict = quote_spanned!(at=> #answer.verdict(#said));
    quote! {
        |__abide_state: &Self, __abide_input: &#private::Payload| {
            let #args = #codec.decode(__abide_input)?;
            #verdict
        }
    }
}

fn run(private: &Private, method: &Method, probes: bool) -> TokenStream {
    let name = &method.function.sig.ident;
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let (args, codec, answer) = (tuple(&names), handle::args_codec(method), handle::answer_codec(method));
    let sets = sets(private, method, probes);
    let decode = quote!(#sets let #args = #codec.decode(__abide_input)?;);
    match method.function.sig.asyncness {
        Some(_) => quote! {
            #private::UpdateRun::Async(|__abide_state, __abide_input| {
                #decode
                let __abide_future = Self::#name(__abide_state, #(#names),*);
                ::core::result::Result::Ok(
                    ::std::boxed::Box::pin(async move { #answer.encode(__abide_future.await) })
                        as #private::LocalBoxFuture<#private::Written>
                )
            })
        },
        None => quote! {
            #private::UpdateRun::Sync(|__abide_state, __abide_input| {
                #decode
                #answer.encode(Self::#name(__abide_state, #(#names),*))
            })
        },
    }
}
