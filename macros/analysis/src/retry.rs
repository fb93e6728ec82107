//! What the attributes of activities and workflows say about errors: `retry_if` and `retry_after`.

use crate::krate::Private;
use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

/// The functions of the definition that ask the error.
pub(crate) fn decides(private: &Private, retry_if: Option<&Expr>, retry_after: Option<&Expr>) -> TokenStream {
    let retry_if = retry_if.map(|decide| {
        quote! {
            fn retryable(error: &<Self::Outcome as #private::Outcome>::Err) -> bool {
                #private::decide(error, #decide)
            }
        }
    });
    let retry_after = retry_after.map(|decide| {
        quote! {
            fn retry_after(
                error: &<Self::Outcome as #private::Outcome>::Err
            ) -> ::core::option::Option<::core::time::Duration> {
                #private::decide(error, #decide)
            }
        }
    });
    quote!(#retry_if #retry_after)
}
