//! `#[activity] impl Payments { async fn charge(&self, ..) }`: activities that use a value of a type.

use super::attributes::{self, Split};
use super::{Definition, call_fn, check, check_later, definition};
use crate::args::ActivityArgs;
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::{self, Argument, SelfKind, tuple};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ImplItem, ImplItemFn, ItemImpl, Signature, Type};

pub(super) fn expand(
    private: &Private,
    args: &ActivityArgs,
    block: &ItemImpl,
    errors: &mut Errors,
) -> TokenStream {
    let Some(host) = host(args, block, errors) else { return block.to_token_stream() };
    let (mut activities, mut rest) = (Vec::new(), Vec::new());
    for item in &block.items {
        match item {
            ImplItem::Fn(function) if is_activity(function, errors) => {
                activities.push(Activity::of(private, args, &host, &block.self_ty, function, errors));
            }
            other => rest.push(other),
        }
    }
    if activities.is_empty() && errors.is_empty() {
        let help = "write `async fn charge(&self, ..) -> Result<..>` in it";
        errors.add(Code::Signature, &block.self_ty, "no activity in this `impl` block", help);
    }
    emit(private, block, &host, &activities, &rest)
}

/// The name of the host's type, if the type can be a host.
fn host(args: &ActivityArgs, block: &ItemImpl, errors: &mut Errors) -> Option<Ident> {
    if let Some((path, _)) = &block.trait_ {
        let help = "put it on an inherent `impl Payments { .. }`, whose methods may call those of the trait";
        errors.add(Code::Misplaced, path, "`#[activity]` on the `impl` of a trait", help);
        return None;
    }
    if !block.generics.params.is_empty() {
        let help =
            "history knows an activity by its name alone: keep what differs in a field, as a `Box<dyn ..>`";
        errors.add(Code::Signature, &block.generics, "an `impl` with activities cannot be generic", help);
        return None;
    }
    if let Some(borrowed) = signature::borrow(&block.self_ty) {
        let help = "let its fields own their data, or share it by an `Arc<T>`: a worker keeps the value as \
                    long as it runs";
        errors.add(Code::Signature, &borrowed, "a value with activities cannot borrow", help);
        return None;
    }
    if let Some(name) = &args.name {
        let help = "an `impl` block has many activities: each is called `Type.method`";
        errors.add(Code::Misplaced, name, "`name` on an `impl` block", help);
    }
    match &*block.self_ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.clone()),
        ty => {
            errors.add(Code::Misplaced, ty, "not a type of your own", super::HELP);
            None
        }
    }
}

/// Async methods are activities, and so are plain methods marked `#[activity]`. Other methods do not change.
pub(super) fn is_marked(function: &ImplItemFn) -> bool {
    function.sig.asyncness.is_some() || function.attrs.iter().any(is_own)
}

/// Whether an attribute is `#[activity]`, by any path.
fn is_own(attr: &syn::Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "activity")
}

fn is_activity(function: &ImplItemFn, errors: &mut Errors) -> bool {
    if !is_marked(function) {
        return false;
    }
    if signature::self_kind(&function.sig) != SelfKind::Shared {
        errors.add(
            Code::Signature,
            &function.sig.ident,
            "an activity in an `impl` block takes `&self`",
            "the value serves many attempts at once: write `&self`, and put what changes behind a lock",
        );
    }
    true
}

struct Activity {
    /// The marker type of the activity.
    marker: TokenStream,
    /// The call: an inherent associated function.
    call: TokenStream,
    /// The body: a method of the trait, and its declaration.
    body: TokenStream,
    declaration: TokenStream,
    definition: TokenStream,
    cfgs: TokenStream,
}

impl Activity {
    fn of(
        private: &Private,
        args: &ActivityArgs,
        host: &Ident,
        host_type: &Type,
        function: &ImplItemFn,
        errors: &mut Errors,
    ) -> Self {
        let ImplItemFn { attrs, vis, sig, block, .. } = function;
        let before = errors.len();
        let own = own_args(attrs, errors);
        let inputs = check(own.as_ref().unwrap_or(args), sig, errors);
        check_later(own.as_ref().unwrap_or(args), sig, block, Some(host_type), errors);
        let broken = errors.len() > before || signature::self_kind(sig) != SelfKind::Shared;
        let attrs: Vec<_> = attrs.iter().filter(|attr| !is_own(attr)).cloned().collect();
        let Split { docs, cfgs, body: body_attrs } = attributes::split(&attrs);
        let name = sig.ident.clone();
        let output = signature::output(sig);
        let bodies = bodies(host);
        let types: Vec<_> = inputs.arguments.iter().map(|argument| &argument.ty).collect();
        let pattern = tuple(inputs.arguments.iter().map(|argument| &argument.name));
        let default_key = format!("{}.{}", host, name);
        // Its visibility is the lowest of all its parts, as rustc requires for an impl's associated types. It
        // is visible wherever the method can be called, and a private host or argument causes no E0446.
        let marker = quote!(#name<fn(#host_type, #(#types),*) -> #output>);
        let call = call_fn(private, &inputs.arguments, &marker, sig);
        let definition = definition(
            private,
            own.as_ref().unwrap_or(args),
            &Definition {
                name: marker.clone(),
                key: own
                    .as_ref()
                    .and_then(|own| own.name.as_ref())
                    .map_or(quote!(#default_key), |name| quote!(#name)),
                host: quote!(#host_type),
                sig,
                inputs: &inputs,
                output: &output,
                call: match broken {
                    true => quote!(_: &Self::Host, _: Self::Args),
                    false => quote!(host: &Self::Host, #pattern: Self::Args),
                },
                body: match broken {
                    true if sig.asyncness.is_none() => quote!(#private::never()),
                    true => quote!(async { #private::never() }),
                    false => inputs.run(
                        private,
                        &quote!(<#host_type as #bodies>::#name),
                        Some(&format_ident!("host")),
                    ),
                },
            },
        );
        let declared = declared(sig, &output);
        let cfgs = quote!(#(#cfgs)*);
        Self {
            call: quote!(#(#docs)* #cfgs #vis #call),
            body: quote!(#cfgs #(#body_attrs)* #sig #block),
            declaration: quote!(#cfgs #declared),
            definition: quote! {
                #cfgs #[allow(non_camel_case_types, dead_code, unreachable_pub)]
                pub struct #name<F>(::core::marker::PhantomData<F>);
                #cfgs #definition
            },
            cfgs,
            marker,
        }
    }
}

/// The body's signature in its trait.
fn declared(sig: &Signature, output: &Type) -> TokenStream {
    let (name, receiver, arguments) = (&sig.ident, sig.receiver(), signature::arguments(sig));
    let arguments = arguments.iter().map(|Argument { name, ty, .. }| quote!(#name: #ty));
    let returned = match sig.asyncness {
        Some(_) => {
            quote_spanned!(output.span()=> impl ::core::future::Future<Output = #output> + ::core::marker::Send)
        }
        None => quote!(#output),
    };
    quote!(fn #name(#receiver, #(#arguments),*) -> #returned;)
}

/// `#[activity(..)]` on a method of the impl: its own options, which replace those of the block.
fn own_args(attrs: &[syn::Attribute], errors: &mut Errors) -> Option<ActivityArgs> {
    let attr = attrs.iter().find(|attr| is_own(attr))?;
    let tokens = match &attr.meta {
        syn::Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    Some(ActivityArgs::parse(tokens, errors))
}

fn bodies(host: &Ident) -> Ident {
    format_ident!("{}Activities", host)
}

fn emit(
    private: &Private,
    block: &ItemImpl,
    host: &Ident,
    activities: &[Activity],
    rest: &[&ImplItem],
) -> TokenStream {
    let ItemImpl { attrs, self_ty, .. } = block;
    let bodies_trait = bodies(host);
    let column = |part: fn(&Activity) -> &TokenStream| activities.iter().map(part);
    let (calls, bodies) = (column(|of| &of.call), column(|of| &of.body));
    let (declarations, definitions) = (column(|of| &of.declaration), column(|of| &of.definition));
    let registered =
        activities.iter().map(|Activity { marker, cfgs, .. }| quote!(#cfgs registry.add::<#marker>();));
    let doc = format!(
        "The bodies of the activities of [`{host}`], to be called in place: `value.method(..).await`."
    );
    let own = (!rest.is_empty()).then(|| quote!(#(#attrs)* impl #self_ty { #(#rest)* }));
    quote! {
        #own

        #[doc = #doc]
        #[doc(hidden)]
        #[allow(dead_code, private_interfaces, private_bounds, unreachable_pub)]
        pub trait #bodies_trait { #(#declarations)* }

        #(#attrs)*
        impl #bodies_trait for #self_ty { #(#bodies)* }

        const _: () = {
            #(#definitions)*

            #[allow(dead_code, private_interfaces)]
            impl #self_ty { #(#calls)* }

            impl #private::Activities for #self_ty {
                fn register<__AbideRegistry: #private::ActivityRegistry<Self>>(registry: &mut __AbideRegistry) {
                    #(#registered)*
                }
            }
        };
    }
}
