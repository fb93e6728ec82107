//! `#[activity(transactional)]`: the first argument is the connection in the engine's transaction. The body
//! has this argument. A call and history do not.

use crate::args::ActivityArgs;
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::{self, Argument};
use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Signature, Type};

const HELP: &str =
    "write `tx: &mut sqlx::PgConnection` or `tx: &mut sqlx::SqliteConnection` as its first argument";

/// The inputs of an activity without `self`.
pub(super) struct Inputs {
    /// The connection's type, without the `&mut`.
    connection: Option<Type>,
    /// The arguments of a call, which history stores.
    pub(super) arguments: Vec<Argument>,
}

/// Separates the connection from the arguments, as the attribute says.
pub(super) fn inputs(args: &ActivityArgs, sig: &Signature, errors: &mut Errors) -> Inputs {
    let mut arguments = signature::arguments(sig);
    let Some(word) = &args.transactional else {
        hint(&arguments, errors);
        return Inputs { connection: None, arguments };
    };
    let Some(first) = arguments.first() else {
        errors.at(Code::Signature, word.span(), "a transactional activity takes its connection", HELP);
        return Inputs { connection: None, arguments };
    };
    let connection = match &first.ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| lifetime.ident != "_") {
                let message = "the connection is lent for one attempt";
                errors.add(Code::Signature, lifetime, message, "leave the lifetime out");
            }
            Some((*reference.elem).clone())
        }
        ty => {
            let message = "a transactional activity takes its connection first, by `&mut`";
            errors.add(Code::Signature, ty, message, HELP);
            None
        }
    };
    if connection.is_some() || is_meant(&first.ty) {
        arguments.remove(0);
    }
    Inputs { connection, arguments }
}

/// Whether a type is a connection, or was meant as one.
fn is_meant(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => is_meant(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            name.ends_with("Connection") || name.ends_with("Transaction")
        }),
        _ => false,
    }
}

/// Reports a connection without the word `transactional`: how to get one, instead of that it must own its
/// data.
fn hint(arguments: &[Argument], errors: &mut Errors) {
    let Some(first) = arguments.first() else { return };
    if matches!(first.ty, Type::Reference(_)) && is_meant(&first.ty) {
        let help = "for a connection inside of the engine's transaction, write \
                    `#[activity(transactional)]`; a pool of your own goes into the value whose methods are \
                    the activities";
        errors.add(Code::Signature, &first.ty, "a connection cannot be stored in history", help);
    }
}

impl Inputs {
    /// `const DATABASE`. It also makes rustc check that the engine can provide a connection of this type.
    pub(super) fn database(&self, private: &Private) -> Option<TokenStream> {
        self.connection.as_ref().map(|ty| {
            let private = private.at(ty.span());
            quote_spanned! {ty.span()=>
                const DATABASE: ::core::option::Option<#private::Database> =
                    ::core::option::Option::Some(<#ty as #private::TransactionConnection>::DATABASE);
            }
        })
    }

    /// The call of the body, `function(host, tx, a, b)`. It borrows the attempt's connection while it runs.
    pub(super) fn run(&self, private: &Private, function: &TokenStream, host: Option<&Ident>) -> TokenStream {
        let host = host.map(|host| quote!(#host,));
        let names = self.arguments.iter().map(|argument| &argument.name);
        let Some(ty) = &self.connection else {
            return quote!(#function(#host #(#names),*));
        };
        quote! {
            async move {
                let mut __abide_lent = #private::Lent::<#ty>::take();
                let __abide_returned = #function(#host __abide_lent.connection(), #(#names),*).await;
                __abide_lent.give_back();
                __abide_returned
            }
        }
    }
}
