//! The parts of a function's signature that the macros need: arguments as names and types, the receiver, the
//! return type, and a form for functions that return a future instead of being `async`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, GenericParam, Lifetime, Pat, ReceiverKind, ReturnType, Signature, Token, Type};

/// One argument besides `self`.
pub(crate) struct Argument {
    /// The pattern as typed.
    pub(crate) pattern: Pat,
    /// A name for callers: the pattern's own, or `arg0`.
    pub(crate) name: Ident,
    /// Its type as typed.
    pub(crate) ty: Type,
}

/// The arguments besides `self`.
pub(crate) fn arguments(signature: &Signature) -> Vec<Argument> {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    typed
        .enumerate()
        .map(|(index, typed)| Argument {
            pattern: (*typed.pat).clone(),
            name: match &*typed.pat {
                Pat::Ident(pattern) => pattern.ident.clone(),
                _ => format_ident!("arg{index}"),
            },
            ty: (*typed.ty).clone(),
        })
        .collect()
}

/// The names that the patterns bind, where the pattern is a name.
pub(crate) fn names(arguments: &[Argument]) -> Vec<Ident> {
    let bound = arguments.iter().filter(|argument| matches!(argument.pattern, Pat::Ident(_)));
    bound.map(|argument| argument.name.clone()).collect()
}

/// How a method takes `self`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelfKind {
    None,
    Shared,
    Exclusive,
    /// By value, or `self: Box<Self>` and the like.
    Other,
}

pub(crate) fn self_kind(signature: &Signature) -> SelfKind {
    match signature.receiver().map(|receiver| (&receiver.kind, receiver)) {
        None => SelfKind::None,
        Some((ReceiverKind::Reference(_, _, Some(_)), _)) => SelfKind::Exclusive,
        Some((ReceiverKind::Reference(_, _, None), _)) => SelfKind::Shared,
        Some((ReceiverKind::Typed(_, ty), _)) => match &**ty {
            Type::Reference(reference) if is_self(&reference.elem) => match reference.mutability {
                Some(_) => SelfKind::Exclusive,
                None => SelfKind::Shared,
            },
            _ => SelfKind::Other,
        },
        Some(_) => SelfKind::Other,
    }
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("Self"))
}

/// The return type as typed. If there is none, `()` with the span of the function's name.
pub(crate) fn output(signature: &Signature) -> Type {
    match &signature.output {
        ReturnType::Type(_, ty) => (**ty).clone(),
        ReturnType::Default => Type::Tuple(syn::TypeTuple {
            attrs: Vec::new(),
            paren_token: syn::token::Paren(signature.ident.span()),
            elems: Punctuated::new(),
        }),
    }
}

/// Whether a type mentions `impl Trait`.
pub(crate) fn has_impl_trait(ty: &Type) -> bool {
    contains_word(ty.to_token_stream(), &["impl"])
}

/// The first reference or lifetime in a type that borrows, because history cannot store such a value. A
/// `'static` reference counts, because nothing can be read back into one. A `'static` lifetime argument does
/// not count (`Cow<'static, str>`).
pub(crate) fn borrow(ty: &Type) -> Option<TokenStream> {
    struct Search(Option<TokenStream>);
    impl<'ast> Visit<'ast> for Search {
        fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
            self.0.get_or_insert_with(|| reference.to_token_stream());
        }

        fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
            if lifetime.ident != "static" {
                self.0.get_or_insert_with(|| lifetime.to_token_stream());
            }
        }

        fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
            if segment.ident != "PhantomData" {
                visit::visit_path_segment(self, segment);
            }
        }

        fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}

        fn visit_parenthesized_generic_arguments(&mut self, _: &'ast syn::ParenthesizedGenericArguments) {}
    }
    let mut search = Search(None);
    search.visit_type(ty);
    search.0
}

/// Whether the tokens contain one of these words, also inside groups.
pub(crate) fn contains_word(tokens: TokenStream, words: &[&str]) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => words.iter().any(|word| ident == word),
        proc_macro2::TokenTree::Group(group) => contains_word(group.stream(), words),
        _ => false,
    })
}

/// `(a, b,)`: a tuple of any items, also of one.
pub(crate) fn tuple<T: ToTokens>(items: impl IntoIterator<Item = T>) -> TokenStream {
    let items = items.into_iter();
    quote!((#(#items,)*))
}

/// The tuple type of the arguments. It has the parentheses of the signature, so that a message about the
/// whole tuple points there.
pub(crate) fn tuple_type(signature: &Signature, arguments: &[Argument]) -> TokenStream {
    let span = signature.paren_token.span.join();
    let types = arguments.iter().map(|argument| &argument.ty);
    let mut group = proc_macro2::Group::new(proc_macro2::Delimiter::Parenthesis, quote!(#(#types,)*));
    group.set_span(span);
    group.to_token_stream()
}

/// Turns `async fn f(&mut self, s: &str) -> R` into `fn f<'a>(&self, s: &'a str) -> impl Future<Output = R> +
/// use<'a>`. The future must not hold `self`, so every other lifetime needs a name. Arguments of type
/// `impl Trait` become named parameters, because `use<..>` must name them.
pub(crate) fn into_future_fn(signature: &Signature, future: &TokenStream) -> Signature {
    let mut signature = signature.clone();
    let mut names = Names { generics: Vec::new(), count: 0 };
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => leave_self(receiver),
            FnArg::Typed(typed) => {
                names.visit_type_mut(&mut typed.ty);
            }
        }
    }
    let is_method = signature.receiver().is_some();
    let lifetimes: Vec<Lifetime> = names.lifetimes().chain(own_lifetimes(&signature)).collect();
    let mut ty = output(&signature);
    if let ([only], false) = (lifetimes.as_slice(), is_method) {
        Elided(only.clone()).visit_type_mut(&mut ty);
    }
    let (lifetime_params, type_params): (Vec<_>, Vec<_>) =
        names.generics.into_iter().partition(|param| matches!(param, GenericParam::Lifetime(_)));
    let own = std::mem::take(&mut signature.generics.params);
    signature.generics.params = lifetime_params.into_iter().chain(own).chain(type_params).collect();
    let captured = signature.generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(param) => param.lifetime.to_token_stream(),
        GenericParam::Type(param) => param.ident.to_token_stream(),
        GenericParam::Const(param) => param.ident.to_token_stream(),
    });
    signature.asyncness = None;
    signature.output = ReturnType::Type(
        Token![->](signature.ident.span()),
        Box::new(Type::Verbatim(quote!(impl #future<Output = #ty> + use<#(#captured),*>))),
    );
    signature
}

/// Turns `async fn f(&self, s: &str) -> R` into `fn f(&self, s: &str) -> impl Future<Output = R>`. The future
/// borrows its arguments, as the future of an `async fn` does. Tokens of a macro have the edition of the
/// macro, so `impl` captures every lifetime and parameter in crates of all editions.
///
/// `borrows` is a trait with a lifetime that every type implements. A bound of it names the lifetime of
/// `&self`. Without it, rustc suggests a `use<>` at the attribute if that borrow causes an error.
pub(crate) fn into_borrowing_fn(
    signature: &Signature,
    future: &TokenStream,
    borrows: &TokenStream,
) -> Signature {
    let mut signature = signature.clone();
    let ty = output(&signature);
    signature.asyncness = None;
    let borrows = match (self_kind(&signature), signature.receiver().map(|receiver| &receiver.kind)) {
        (SelfKind::Shared | SelfKind::Exclusive, Some(ReceiverKind::Reference(_, Some(lifetime), _))) => {
            quote!(+ #borrows<#lifetime>)
        }
        (SelfKind::Shared | SelfKind::Exclusive, _) => quote!(+ #borrows<'_>),
        _ => TokenStream::new(),
    };
    signature.output = ReturnType::Type(
        Token![->](signature.ident.span()),
        Box::new(Type::Verbatim(quote!(impl #future<Output = #ty> #borrows))),
    );
    signature
}

fn own_lifetimes(signature: &Signature) -> impl Iterator<Item = Lifetime> + '_ {
    signature.generics.params.iter().filter_map(|param| match param {
        GenericParam::Lifetime(param) => Some(param.lifetime.clone()),
        _ => None,
    })
}

/// `&mut self` becomes `&self`: the method takes the state from the slot and not from its receiver.
fn leave_self(receiver: &mut syn::Receiver) {
    receiver.mutability = None;
    match &mut receiver.kind {
        ReceiverKind::Reference(_, lifetime, mutability) => {
            *mutability = None;
            *lifetime = None;
        }
        ReceiverKind::Typed(_, ty) => {
            if let Type::Reference(reference) = &mut **ty {
                reference.mutability = None;
                reference.lifetime = None;
            }
        }
        _ => {}
    }
}

/// Names elided lifetimes and argument-position `impl Trait`.
struct Names {
    generics: Vec<GenericParam>,
    count: usize,
}

impl Names {
    fn lifetime(&mut self, span: Span) -> Lifetime {
        let lifetime = Lifetime::new(&format!("'__abide{}", self.count), span);
        self.count += 1;
        self.generics.push(syn::parse_quote!(#lifetime));
        lifetime
    }

    fn lifetimes(&self) -> impl Iterator<Item = Lifetime> + '_ {
        self.generics.iter().filter_map(|param| match param {
            GenericParam::Lifetime(param) => Some(param.lifetime.clone()),
            _ => None,
        })
    }
}

impl VisitMut for Names {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            // Their elided lifetimes are local to them.
            Type::FnPtr(_) => return,
            Type::ImplTrait(impl_trait) => {
                let name = format_ident!("__Abide{}", self.count, span = impl_trait.impl_token.span);
                self.count += 1;
                let bounds = &impl_trait.bounds;
                self.generics.push(syn::parse_quote!(#name: #bounds));
                *ty = syn::parse_quote!(#name);
                return;
            }
            Type::Reference(reference) if reference.lifetime.is_none() => {
                reference.lifetime = Some(self.lifetime(reference.and_token.span));
            }
            _ => {}
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.lifetime(lifetime.span());
        }
    }

    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut syn::ParenthesizedGenericArguments) {}
}

/// Inserts the only lifetime of the arguments where the return type elides it.
struct Elided(Lifetime);

impl VisitMut for Elided {
    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        reference.lifetime.get_or_insert_with(|| self.0.clone());
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.0.clone();
        }
    }

    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut syn::ParenthesizedGenericArguments) {}
}
