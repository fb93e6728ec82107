//! The arguments of `#[workflow]` that say how its runs are started.

use crate::durations;
use crate::errors::Errors;
use crate::krate::Private;
use crate::literals::queue_text;
use crate::retry::decides;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Expr, LitStr};

/// See the module documentation.
#[derive(Default)]
pub(crate) struct StartArgs {
    task_queue: Option<LitStr>,
    /// The pairs of field and duration.
    timeouts: Vec<(&'static str, TokenStream)>,
    /// The fields of the retry policy.
    pub(crate) retry: Option<Vec<(&'static str, TokenStream)>>,
    pub(crate) retry_if: Option<Expr>,
    pub(crate) retry_after: Option<Expr>,
}

impl StartArgs {
    pub(crate) fn task_queue(&mut self, value: &Expr, errors: &mut Errors) {
        let help = "write a text of 1 to 1,000 characters, like `task_queue = \"ships\"`; one that is computed \
                    goes to the start: `client.start(ship(parcel)).task_queue(queue)`";
        self.task_queue = queue_text(value, help, errors);
    }

    pub(crate) fn timeout(&mut self, field: &'static str, value: &Expr, errors: &mut Errors) {
        self.timeouts.extend(durations::run_limit(value, errors).map(|limit| (field, limit)));
    }

    /// What the attribute says, as functions of the definition; nothing where it says nothing.
    pub(crate) fn expand(&self, private: &Private) -> TokenStream {
        let options = self.options(private);
        let (retry_if, retry_after) = (self.retry_if.as_ref(), self.retry_after.as_ref());
        let decides = decides(private, retry_if, retry_after);
        quote!(#options #decides)
    }

    fn options(&self, private: &Private) -> Option<TokenStream> {
        let some = |field: &str, value: TokenStream| {
            let field = format_ident!("{}", field);
            quote!(options.#field = ::core::option::Option::Some(#value);)
        };
        let task_queue = self.task_queue.iter();
        let task_queue =
            task_queue.map(|queue| some("task_queue", quote!(::core::convert::Into::into(#queue))));
        let timeouts = self.timeouts.iter().map(|(field, limit)| some(field, limit.clone()));
        let retry = self.retry.iter().map(|fields| {
            let fields = fields.iter().map(|(field, value)| {
                let field = format_ident!("{}", field);
                quote!(retry.#field = #value;)
            });
            quote! {
                let retry = options.retry.get_or_insert_with(::core::default::Default::default);
                #(#fields)*
            }
        });
        let settings: Vec<TokenStream> = task_queue.chain(timeouts).chain(retry).collect();
        (!settings.is_empty()).then(|| {
            quote! {
                fn options() -> #private::WorkflowOptions {
                    let mut options = #private::WorkflowOptions::default();
                    #(#settings)*
                    options
                }
            }
        })
    }
}
