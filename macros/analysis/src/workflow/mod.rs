//! `#[workflow]`: on an `impl` block with a `#[run]` method, or on a free `async fn`.

mod definition;
mod free;
mod handle;
mod handlers;
mod init;
mod model;
mod options;
mod updates;

use crate::args::WorkflowArgs;
use crate::attributes;
use crate::errors::{Code, Errors};
use crate::helper::{head, refuse_mark};
use crate::krate::Private;
use crate::lexical;
use crate::signature::{self, SelfKind};
pub(crate) use model::{handles, is_init};
pub(crate) use options::StartArgs;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Item, ItemFn};

const HELP: &str =
    "put it on an `impl` block with a `#[run] async fn run(&mut self, ..)`, or on a free `async fn`";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = WorkflowArgs::parse(args, "#[workflow]", &mut errors);
    let private = Private::new(args.krate.as_ref());
    let mut parsed = attributes::parse_item(&item);
    if let Ok(Item::Fn(ItemFn { attrs, sig, block, .. })) = &mut parsed {
        attributes::refuse_instrument(attrs, sig, block, &mut errors);
    }
    if let Ok(item) = &parsed {
        lexical::check_item(item, &mut errors);
    }
    let expanded = match parsed {
        Ok(Item::Impl(block)) => definition::expand(&private, &args, block, &mut errors),
        Ok(Item::Fn(mut function)) if signature::self_kind(&function.sig) == SelfKind::None => {
            refuse_mark(&mut function.attrs, "a workflow", &mut errors);
            free::expand(&private, &args, &function, &mut errors)
        }
        Ok(Item::Fn(_)) => {
            let help = "mark the `impl` block with `#[workflow]` and this method with `#[run]`; \
                        a helper method is marked `#[workflow::helper]`";
            errors.add(Code::Misplaced, &head(&item), "`#[workflow]` on a single method", help);
            item
        }
        Ok(_) => {
            errors.add(Code::Misplaced, &head(&item), "`#[workflow]` does not belong here", HELP);
            item
        }
        Err(error) => {
            errors.syn(Code::Misplaced, &error, HELP);
            item
        }
    };
    quote!(#errors #expanded)
}
