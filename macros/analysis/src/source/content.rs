//! The declarations of a module or block: names, globs, impls, macros.

use super::ModuleId;
use super::cfg::{is_off, path_of, text};
use super::item::{Def, Function, Impl, Macro, Static, TypeDef, Written};
use super::item::{attrs_of, constant, fields, function, is_marked};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use syn::punctuated::Punctuated;
use syn::{Block, ImplItem, Item, Stmt, Token, TraitItem, Type, UseTree};
/// A child module that has its own scope.
pub(crate) struct Child {
    pub(crate) id: ModuleId,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The declarations of one scope.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) names: HashMap<String, Vec<Def>>,
    /// Names with several meanings, where a `#[cfg(..)]` decides and its outcome is unknown.
    pub(crate) uncertain: HashSet<String>,
    pub(crate) globs: Vec<Rc<Written>>,
    /// Crates whose macros an `extern crate` with `#[macro_use]` imports: all of them, or these.
    pub(crate) macro_crates: Vec<(String, Option<Vec<String>>)>,
    pub(crate) impls: Vec<Impl>,
    /// Whether the item being added has a `#[cfg(..)]` that may hold.
    conditional: bool,
    /// Inline modules, with their lines.
    pub(crate) inline: Vec<Child>,
    /// Free functions, to find the items inside them.
    pub(crate) functions: Vec<Rc<Function>>,
}

/// Creates the modules that a scope declares, if they are kept.
pub(crate) trait Modules {
    /// A module in braces.
    fn inline(&mut self, name: &str, items: Vec<Item>, marked: bool) -> Option<ModuleId>;
    /// A module in a file of its own.
    fn file(&mut self, name: &str, path: Option<String>) -> Option<ModuleId>;
    fn external(&self, name: &str) -> Option<String>;
}

/// The origin of the items in a scope.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) module: ModuleId,
    pub(crate) file: Rc<Path>,
    /// Whether the module around is marked `#[workflow::helper]`.
    pub(crate) marked: bool,
}

impl Content {
    pub(crate) fn of(
        items: impl IntoIterator<Item = Item>,
        origin: &Origin,
        cfgs: &[String],
        modules: &mut dyn Modules,
    ) -> Self {
        let mut content = Self::default();
        for item in items {
            content.add(item, origin, cfgs, modules);
        }
        content
    }

    /// The items of a block.
    pub(crate) fn of_block(
        block: &Block,
        origin: &Origin,
        cfgs: &[String],
        modules: &mut dyn Modules,
    ) -> Self {
        let items = block.stmts.iter().filter_map(|stmt| match stmt {
            Stmt::Item(item) => Some(item.clone()),
            _ => None,
        });
        Self::of(items, origin, cfgs, modules)
    }

    fn add(&mut self, item: Item, origin: &Origin, cfgs: &[String], modules: &mut dyn Modules) {
        if is_off(attrs_of(&item), cfgs) {
            return;
        }
        self.conditional |= attrs_of(&item).iter().any(|attr| attr.path().is_ident("cfg"));
        self.declare(item, origin, modules);
        self.conditional = false;
    }

    fn declare(&mut self, item: Item, origin: &Origin, modules: &mut dyn Modules) {
        match item {
            Item::Use(item) => self.uses(&item.tree, item.leading_colon.is_some(), &mut Vec::new()),
            Item::ExternCrate(item) => self.extern_crate(&item, modules),
            Item::Mod(item) => self.module(item, origin, modules),
            Item::Fn(item) => {
                let function = Rc::new(function(item.sig, *item.block, None, origin, &item.attrs));
                self.functions.push(function.clone());
                self.name(&function.name, Def::Function(function.clone()));
            }
            Item::Impl(item) => self.implementation(item, origin),
            Item::Struct(item) => self.ty(&item.ident, fields(item.fields), None, origin),
            Item::Enum(item) => self.ty(&item.ident, HashMap::new(), None, origin),
            Item::Union(item) => self.ty(&item.ident, HashMap::new(), None, origin),
            Item::Type(item) => self.ty(&item.ident, HashMap::new(), Some(*item.ty), origin),
            Item::Trait(item) => self.trait_of(item, origin),
            Item::Static(item) => {
                let line = item.ident.span().start().line;
                let name = text(&item.ident);
                let own = Static {
                    module: origin.module,
                    ty: *item.ty,
                    init: *item.expr,
                    mutable: matches!(item.mutability, syn::StaticMutability::Mut(_)),
                    constant: false,
                    file: origin.file.clone(),
                    line,
                };
                self.name(&name, Def::Static(Rc::new(own)));
            }
            Item::Const(item) => {
                let name = text(&item.ident);
                let own = constant(&item.ident, *item.ty, *item.expr, origin);
                self.name(&name, Def::Static(Rc::new(own)));
            }
            Item::Macro(item) => self.macro_of(item, origin),
            _ => {}
        }
    }

    fn name(&mut self, name: &str, def: Def) {
        let defs = self.names.entry(name.to_owned()).or_default();
        let alike = |other: &Def| std::mem::discriminant(other) == std::mem::discriminant(&def);
        if self.conditional && defs.iter().any(alike) {
            self.uncertain.insert(name.to_owned());
        }
        defs.push(def);
    }

    fn ty(
        &mut self,
        ident: &proc_macro2::Ident,
        fields: HashMap<String, Type>,
        alias: Option<Type>,
        origin: &Origin,
    ) {
        let name = text(ident);
        let def = TypeDef { name: name.clone(), module: origin.module, fields, alias };
        self.name(&name, Def::Type(Rc::new(def)));
    }

    fn uses(&mut self, tree: &UseTree, rooted: bool, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(text(&path.ident));
                self.uses(&path.tree, rooted, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.uses(tree, rooted, prefix);
                }
            }
            UseTree::Glob(_) => {
                self.globs.push(Rc::new(Written { rooted, segments: prefix.clone() }));
            }
            UseTree::Name(name) => self.use_name(&text(&name.ident), None, rooted, prefix),
            UseTree::Rename(rename) => {
                self.use_name(&text(&rename.ident), Some(text(&rename.rename)), rooted, prefix);
            }
        }
    }

    fn use_name(&mut self, name: &str, rename: Option<String>, rooted: bool, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        // `use std::time::{self}` names the module.
        if name != "self" || prefix.is_empty() {
            segments.push(name.to_owned());
        }
        let Some(last) = segments.last().cloned() else { return };
        self.name(&rename.unwrap_or(last), Def::Use(Rc::new(Written { rooted, segments })));
    }

    fn extern_crate(&mut self, item: &syn::ItemExternCrate, modules: &dyn Modules) {
        let name = text(&item.ident);
        let alias = item.rename.as_ref().map_or_else(|| name.clone(), |(_, alias)| text(alias));
        let def = match name.as_str() {
            "self" => Def::Use(Rc::new(Written { rooted: false, segments: vec!["crate".to_owned()] })),
            name => Def::Crate(modules.external(name).unwrap_or_else(|| name.to_owned())),
        };
        if let Def::Crate(own) = &def
            && let Some(attr) = item.attrs.iter().find(|attr| attr.path().is_ident("macro_use"))
        {
            let names = attr.parse_args_with(Punctuated::<syn::Ident, Token![,]>::parse_terminated);
            let names = names.ok().map(|names| names.iter().map(text).collect());
            self.macro_crates.push((own.clone(), names));
        }
        self.name(&alias, def);
    }

    fn module(&mut self, item: syn::ItemMod, origin: &Origin, modules: &mut dyn Modules) {
        let name = text(&item.ident);
        let marked = origin.marked || is_marked(&item.attrs);
        let id = match item.content {
            Some((brace, items)) => {
                let span = brace.span.join();
                let id = modules.inline(&name, items, marked);
                let (start, end) = (span.start().line, span.end().line);
                self.inline.extend(id.map(|id| Child { id, start, end }));
                id
            }
            None => modules.file(&name, path_of(&item.attrs)),
        };
        self.name(&name, id.map_or(Def::Own, Def::Module));
    }

    fn implementation(&mut self, item: syn::ItemImpl, origin: &Origin) {
        let origin = &Origin { marked: origin.marked || is_marked(&item.attrs), ..origin.clone() };
        let self_ty: Rc<Type> = Rc::from(item.self_ty);
        let (mut methods, mut constants) = (Vec::new(), Vec::new());
        for inner in item.items {
            match inner {
                ImplItem::Fn(inner) => {
                    let self_ty = Some(self_ty.clone());
                    methods.push(Rc::new(function(inner.sig, inner.block, self_ty, origin, &inner.attrs)));
                }
                ImplItem::Const(inner) => {
                    let own = constant(&inner.ident, inner.ty, inner.expr, origin);
                    constants.push((text(&inner.ident), Rc::new(own)));
                }
                _ => {}
            }
        }
        let of_trait = item.trait_.map(|(path, _)| Written::of(&path));
        self.impls.push(Impl { self_ty, of_trait, methods, constants });
    }

    /// A trait's default methods are found like those of a type with its name.
    fn trait_of(&mut self, item: syn::ItemTrait, origin: &Origin) {
        let ident = &item.ident;
        let self_ty: Rc<Type> = Rc::new(syn::parse_quote!(#ident));
        let mut methods = Vec::new();
        for inner in item.items {
            let TraitItem::Fn(syn::TraitItemFn { attrs, sig, default: Some(block), .. }) = inner else {
                continue;
            };
            methods.push(Rc::new(function(sig, block, Some(self_ty.clone()), origin, &attrs)));
        }
        self.impls.push(Impl { self_ty, of_trait: None, methods, constants: Vec::new() });
        self.ty(&item.ident, HashMap::new(), None, origin);
    }

    fn macro_of(&mut self, item: syn::ItemMacro, origin: &Origin) {
        let Some(ident) = &item.ident else {
            self.declared_by(&item.mac);
            return;
        };
        let name = text(ident);
        let rules = item.mac.tokens;
        let line = ident.span().start().line;
        let own = Macro { name: name.clone(), rules, file: origin.file.clone(), line };
        self.name(&name, Def::Macro(Rc::new(own)));
    }

    /// The names that `thread_local!` and `lazy_static!` declare, as far as they can be read.
    fn declared_by(&mut self, mac: &syn::Macro) {
        let Some(kind) = mac.path.segments.last().map(|last| text(&last.ident)) else { return };
        if !["thread_local", "lazy_static"].contains(&kind.as_str()) {
            return;
        }
        let mut tokens = mac.tokens.clone().into_iter().peekable();
        while let Some(token) = tokens.next() {
            let proc_macro2::TokenTree::Ident(word) = &token else { continue };
            if word != "static" {
                continue;
            }
            if let Some(proc_macro2::TokenTree::Ident(word)) = tokens.peek()
                && word == "ref"
            {
                tokens.next();
            }
            let Some(proc_macro2::TokenTree::Ident(name)) = tokens.next() else { continue };
            let path = vec!["std".to_owned(), format!("{kind}!")];
            self.name(&text(&name), Def::Use(Rc::new(Written { rooted: true, segments: path })));
        }
    }
}
