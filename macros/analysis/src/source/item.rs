//! The items of a crate that the checks need: functions, types, globals, macros, impls.

use super::ModuleId;
use super::cfg::text;
use super::content::Origin;
use proc_macro2::{Span, TokenStream};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use syn::spanned::Spanned;
use syn::{Attribute, Block, Fields, Item, Signature, Type};

/// A path as written in a `use`, or anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Begins with `::`.
    pub(crate) rooted: bool,
    pub(crate) segments: Vec<String>,
}

/// A function or method of the crate.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) module: ModuleId,
    pub(crate) sig: Signature,
    pub(crate) block: Block,
    /// The type `Self`, for a method.
    pub(crate) self_ty: Option<Rc<Type>>,
    pub(crate) file: Rc<Path>,
    /// From 1.
    pub(crate) line: usize,
    /// An attribute of abide is on it or around it. Its own expansion checks it, or it is not workflow code.
    pub(crate) marked: bool,
    /// Its other attributes: one may be abide's under another name.
    pub(crate) attributes: Vec<Written>,
    /// Other attributes that may evaluate code when it is called: `#[tracing::instrument(fields(..))]`.
    pub(crate) instrument: Vec<Attribute>,
}

/// A struct, enum, union, trait or type alias.
#[derive(Debug)]
pub(crate) struct TypeDef {
    pub(crate) name: String,
    pub(crate) module: ModuleId,
    /// The types of named and numbered fields.
    pub(crate) fields: HashMap<String, Type>,
    /// `type Clock = std::time::Instant;`
    pub(crate) alias: Option<Type>,
}

/// A `static` or a constant.
#[derive(Debug)]
pub(crate) struct Static {
    pub(crate) module: ModuleId,
    pub(crate) ty: Type,
    pub(crate) init: syn::Expr,
    pub(crate) mutable: bool,
    /// A constant: it is created at each use and keeps nothing.
    pub(crate) constant: bool,
    pub(crate) file: Rc<Path>,
    pub(crate) line: usize,
}

/// A `macro_rules!`.
#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) name: String,
    pub(crate) rules: TokenStream,
    pub(crate) file: Rc<Path>,
    pub(crate) line: usize,
}

/// An `impl` block.
#[derive(Debug)]
pub(crate) struct Impl {
    pub(crate) self_ty: Rc<Type>,
    /// The trait that it implements.
    pub(crate) of_trait: Option<Written>,
    pub(crate) methods: Vec<Rc<Function>>,
    pub(crate) constants: Vec<(String, Rc<Static>)>,
}

/// The meaning of a name in the crate.
#[derive(Clone, Debug)]
pub(crate) enum Def {
    Module(ModuleId),
    Use(Rc<Written>),
    Function(Rc<Function>),
    Type(Rc<TypeDef>),
    Static(Rc<Static>),
    Macro(Rc<Macro>),
    /// A dependency, by its own name.
    Crate(String),
    /// An item of the crate that no rule is about: a constant, a local `static` of a macro.
    Own,
}

pub(super) fn function(
    sig: Signature,
    block: Block,
    self_ty: Option<Rc<Type>>,
    origin: &Origin,
    attrs: &[Attribute],
) -> Function {
    let span: Span = sig.ident.span();
    Function {
        name: text(&sig.ident),
        module: origin.module,
        line: span.start().line,
        sig,
        block,
        self_ty,
        file: origin.file.clone(),
        marked: origin.marked || is_marked(attrs),
        attributes: attrs.iter().map(|attr| Written::of(attr.path())).collect(),
        instrument: attrs.iter().filter(|attr| matches!(attr.meta, syn::Meta::List(_))).cloned().collect(),
    }
}

pub(super) fn constant(ident: &proc_macro2::Ident, ty: Type, init: syn::Expr, origin: &Origin) -> Static {
    let line = ident.span().start().line;
    Static {
        module: origin.module,
        ty,
        init,
        mutable: false,
        constant: true,
        file: origin.file.clone(),
        line,
    }
}

pub(super) fn fields(fields: Fields) -> HashMap<String, Type> {
    let named = |(index, field): (usize, syn::Field)| {
        (field.ident.as_ref().map_or_else(|| index.to_string(), text), field.ty)
    };
    fields.into_iter().enumerate().map(named).collect()
}

/// Whether an attribute of abide is among them.
pub(super) fn is_marked(attrs: &[Attribute]) -> bool {
    const OURS: &[&str] =
        &["activity", "workflow", "helper", "deterministic", "run", "init", "signal", "query", "update"];
    attrs.iter().any(|attr| {
        let words: Vec<String> = attr.path().segments.iter().map(|segment| text(&segment.ident)).collect();
        match words.as_slice() {
            [one] => OURS.contains(&one.as_str()),
            [.., module, last] => {
                (module == "workflow" || module == "abide") && OURS.contains(&last.as_str())
            }
            [] => false,
        }
    })
}

/// The kinds of items, for [`attrs_of`] and [`attrs_of_mut`].
macro_rules! attributes {
    ($item:ident) => {
        match $item {
            Item::Const(syn::ItemConst { attrs, .. })
            | Item::Enum(syn::ItemEnum { attrs, .. })
            | Item::ExternCrate(syn::ItemExternCrate { attrs, .. })
            | Item::Fn(syn::ItemFn { attrs, .. })
            | Item::ForeignMod(syn::ItemForeignMod { attrs, .. })
            | Item::Impl(syn::ItemImpl { attrs, .. })
            | Item::Macro(syn::ItemMacro { attrs, .. })
            | Item::Mod(syn::ItemMod { attrs, .. })
            | Item::Static(syn::ItemStatic { attrs, .. })
            | Item::Struct(syn::ItemStruct { attrs, .. })
            | Item::Trait(syn::ItemTrait { attrs, .. })
            | Item::TraitAlias(syn::ItemTraitAlias { attrs, .. })
            | Item::Type(syn::ItemType { attrs, .. })
            | Item::Union(syn::ItemUnion { attrs, .. })
            | Item::Use(syn::ItemUse { attrs, .. }) => Some(attrs),
            _ => None,
        }
    };
}

/// The attributes of an item.
pub(crate) fn attrs_of(item: &Item) -> &[Attribute] {
    attributes!(item).map_or(&[], Vec::as_slice)
}

/// The same, mutable. `None`: tokens that are not a known item.
pub(crate) fn attrs_of_mut(item: &mut Item) -> Option<&mut Vec<Attribute>> {
    attributes!(item)
}

/// The lines of a syntax node, inclusive.
pub(crate) fn lines(node: &impl Spanned) -> (usize, usize) {
    let span = node.span();
    (span.start().line, span.end().line)
}
