//! The types that history stores: arguments and results of activities, workflows, signals and queries. A
//! `HashSet` among them is refused, because it is written as a list, in another order each time.
//!
//! The written type is walked, and rustc checks each type in it, so that aliases are resolved (`Vec<Ids>`
//! with `type Ids = HashSet<u32>`). Not detected: a set in a field of a user's own type, or one inside of an
//! alias (`type Lists = Vec<HashSet<u32>>`).

use crate::krate::Private;
use crate::signature::{Argument, has_impl_trait};
use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::visit::{self, Visit};
use syn::{Type, TypePath};

/// Types that are not a set by their names. Their type arguments are checked.
const KNOWN: &[&str] = &[
    "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
    "f32", "f64", "String", "Vec", "VecDeque", "Option", "Result", "Box", "BTreeMap", "BTreeSet", "HashMap",
    "Duration", "Self", "Failure",
];

/// A statement that refuses hash sets among the types of a call. Empty if none of them could be one.
pub(crate) fn no_sets(private: &Private, arguments: &[Argument], output: &Type) -> TokenStream {
    let mut asked = Asked(Vec::new());
    for ty in arguments.iter().map(|argument| &argument.ty).chain([output]) {
        if !has_impl_trait(ty) {
            asked.visit_type(ty);
        }
    }
    if asked.0.is_empty() {
        return TokenStream::new();
    }
    let checks = asked.0.iter().map(check);
    quote! {
        if false {
            #[allow(unused_imports)]
            use #private::probe::{self as __abide_probe, questions::*};
            #(#checks)*
        }
    }
}

/// `listed(named::<Ty>().list());`. Each part has the span of the type, so that rustc underlines it once.
fn check(ty: &TypePath) -> TokenStream {
    let mut spans = ty.to_token_stream().into_iter().map(|token| token.span());
    let start = spans.next().unwrap_or_else(Span::call_site);
    let end = spans.last().unwrap_or(start);
    let module = quote_spanned!(start=> __abide_probe::);
    let listed = Ident::new("listed", end);
    let list = quote_spanned!(end=> .list());
    let named = quote_spanned!(start=> named::<#ty>());
    let mut group = Group::new(proc_macro2::Delimiter::Parenthesis, quote!(#module #named #list));
    group.set_span(end);
    quote!(#module #listed #group;)
}

/// Whether a type's name shows that it is no set, no clock's time, and no alias of one.
pub(crate) fn is_known(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if is_known_path(path))
}

fn is_known_path(ty: &TypePath) -> bool {
    ty.path.segments.last().is_some_and(|last| KNOWN.iter().any(|name| last.ident == name))
}

/// Collects the types that could be sets.
struct Asked(Vec<TypePath>);

impl<'ast> Visit<'ast> for Asked {
    fn visit_type_path(&mut self, ty: &'ast TypePath) {
        if !is_known_path(ty) {
            self.0.push(ty.clone());
        }
        visit::visit_type_path(self, ty);
    }

    /// Function pointers and array lengths contain no values of the type.
    fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}
