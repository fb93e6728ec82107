//! `#[run]`, `#[init]`, `#[signal]`, `#[query]` and `#[update]` outside of a `#[workflow]` impl. Inside of one,
//! `#[workflow]` removes them before rustc expands them. So an attribute that gets here is in the wrong
//! place.

use crate::errors::{Code, Errors};
use proc_macro2::TokenStream;
use quote::quote;

pub(crate) fn expand(name: &str, _args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let help = match name {
        "run" => {
            "mark the `impl` block with `#[workflow]`; a workflow without handlers can be a free `async fn` \
             with `#[workflow]`"
        }
        "init" => {
            "put it into the `#[workflow] impl` of the state that it makes; a workflow that is a free \
             function has no state"
        }
        _ => "mark the `impl` block with `#[workflow]`; a workflow that is a free function has no handlers",
    };
    let what = if name == "init" { "function" } else { "method" };
    let message = format!("`#[{name}]` belongs on a {what} of an `impl` block that is marked `#[workflow]`");
    errors.at(Code::Misplaced, proc_macro2::Span::call_site(), &message, help);
    quote!(#errors #item)
}
