//! One line for each thing: its signature as it is written, with its public path in the place of its name.

use quote::ToTokens;
use syn::parse_quote;

/// The attributes of an item that a caller feels: its features, and how it may be matched and used.
pub(crate) fn marks(attributes: &[syn::Attribute]) -> String {
    let told = ["cfg", "derive", "must_use", "non_exhaustive", "deprecated"];
    let wanted = attributes.iter().filter(|a| told.iter().any(|name| a.path().is_ident(name)));
    wanted
        .map(|attribute| match &attribute.meta {
            // Whether it must be used is the API, not the words.
            meta if meta.path().is_ident("must_use") => "#[must_use] ".to_string(),
            meta => format!("#[{}] ", tokens(meta)),
        })
        .collect()
}

pub(crate) fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc") && attribute.to_token_stream().to_string().contains("(hidden)")
    })
}

/// The conditions of an item, for what belongs to it.
pub(crate) fn conditions(attributes: &[syn::Attribute]) -> String {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.map(|attribute| format!("#[{}] ", tokens(&attribute.meta))).collect()
}

/// `pub fn path(..) -> ..`.
pub(crate) fn function(path: &str, visibility: &syn::Visibility, signature: &syn::Signature) -> String {
    let signature = signature.clone();
    let name = format!("fn {}", signature.ident);
    let line = item(&parse_quote!(#visibility #signature {}));
    // How a body binds its receiver is its own affair.
    let line = line.trim_end_matches(" {}").replacen("(mut self", "(self", 1);
    line.replacen(&name, &format!("fn {path}"), 1)
}

/// A type, trait, constant or macro without what is in it.
pub(crate) fn head(path: &str, item_: &syn::Item) -> Option<String> {
    let (word, line) = match item_.clone() {
        syn::Item::Struct(mut of) => {
            of.attrs.clear();
            of.fields = syn::Fields::Unit;
            of.semi_token = Some(Default::default());
            (format!("struct {}", of.ident), item(&syn::Item::Struct(of)))
        }
        syn::Item::Enum(mut of) => {
            of.attrs.clear();
            of.variants.clear();
            (format!("enum {}", of.ident), item(&syn::Item::Enum(of)))
        }
        syn::Item::Trait(mut of) => {
            of.attrs.clear();
            of.items.clear();
            (format!("trait {}", of.ident), item(&syn::Item::Trait(of)))
        }
        syn::Item::Const(mut of) => {
            of.attrs.clear();
            let line = item(&syn::Item::Const(of.clone()));
            (format!("const {}", of.ident), line.split(" = ").next()?.to_string())
        }
        syn::Item::Static(mut of) => {
            of.attrs.clear();
            let line = item(&syn::Item::Static(of.clone()));
            (format!("static {}", of.ident), line.split(" = ").next()?.to_string())
        }
        syn::Item::Type(mut of) => {
            of.attrs.clear();
            (format!("type {}", of.ident), item(&syn::Item::Type(of)))
        }
        syn::Item::Fn(of) if of.attrs.iter().any(|a| a.path().is_ident("proc_macro_attribute")) => {
            return Some(format!("pub attribute {path}"));
        }
        syn::Item::Fn(of) => return Some(function(path, &of.vis, &of.sig)),
        syn::Item::Macro(_) => return Some(format!("pub macro {path}!")),
        _ => return None,
    };
    let kind = word.split(' ').next()?;
    let line =
        line.trim_end_matches(';').trim_end_matches(" {}").replacen(&word, &format!("{kind} {path}"), 1);
    Some(line)
}

/// A variant with its fields.
pub(crate) fn variant(variant: &syn::Variant) -> String {
    let mut variant = variant.clone();
    variant.attrs.clear();
    variant.fields.iter_mut().for_each(|field| field.attrs.clear());
    let line = item(&parse_quote!(enum E { #variant }));
    let inside = line.split_once("{ ").and_then(|(_, rest)| rest.rsplit_once(" }"));
    inside.map_or(line.clone(), |(variant, _)| variant.trim_end_matches(',').to_string())
}

/// `impl<..> Trait for path<..>`, as it is written; the type by its public path.
pub(crate) fn implementation(of: &syn::ItemImpl, ident: &str, path: &str) -> String {
    let mut of = of.clone();
    of.attrs.clear();
    of.items.clear();
    let line = item(&syn::Item::Impl(of));
    let (before, after) = line.split_once(" for ").unwrap_or(("", line.as_str()));
    format!("{before} for {}", after.replacen(ident, path, 1)).trim_end_matches(" {}").to_string()
}

/// A type as it is written.
pub(crate) fn of_type(of: &syn::Type) -> String {
    let line = item(&parse_quote!(type T = #of;));
    line.trim_start_matches("type T = ").trim_end_matches(';').to_string()
}

/// An associated type or constant of a trait.
pub(crate) fn associated(of: &syn::TraitItem) -> String {
    let line = item(&parse_quote!(trait T { #of }));
    let inside = line.split_once("{ ").and_then(|(_, rest)| rest.rsplit_once(" }"));
    inside.map_or(line.clone(), |(inside, _)| inside.trim_end_matches(';').to_string())
}

/// An item on one line, without its documentation.
fn item(item: &syn::Item) -> String {
    let mut item = item.clone();
    WithoutDocs.visit(&mut item);
    let file = syn::File { shebang: None, frontmatter: None, attrs: Vec::new(), items: vec![item] };
    let lines = prettyplease::unparse(&file);
    let line = lines.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    line.replace("( ", "(").replace(", )", ")").replace("< ", "<").replace(", >", ">").replace(" )", ")")
}

struct WithoutDocs;

impl WithoutDocs {
    fn visit(&mut self, item: &mut syn::Item) {
        syn::visit_mut::VisitMut::visit_item_mut(self, item);
    }
}

impl syn::visit_mut::VisitMut for WithoutDocs {
    fn visit_attributes_mut(&mut self, attributes: &mut Vec<syn::Attribute>) {
        attributes.clear();
    }
}

/// An attribute's inside on one line.
fn tokens(meta: &syn::Meta) -> String {
    meta.to_token_stream().to_string().replace(" (", "(").replace(" ,", ",").replace(" :: ", "::")
}
