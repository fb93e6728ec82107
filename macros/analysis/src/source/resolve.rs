//! The meaning of a path at a place, by the rules of Rust's name resolution that matter here. Paths are
//! resolved and never matched by their suffix: a user's own `Instant` is not std's.

use super::item::Def;
use super::{Content, Crate, Function, Macro, ModuleId, ROOT, Static, Ty, TypeDef, Written};
use crate::rules;
use std::rc::Rc;
use syn::Type;

/// A place in the crate, with its scope.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) module: ModuleId,
    /// Scopes of blocks around the place, outermost first.
    pub(crate) blocks: Vec<Rc<Content>>,
    /// The type `Self`.
    pub(crate) self_ty: Option<Rc<Type>>,
}

/// The namespace for the last segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Value,
    Type,
    Macro,
}

/// The target of a path.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// An item of another crate, by its full path: `std::time::Instant::now`.
    Foreign(Vec<String>),
    Module(ModuleId),
    Function(Rc<Function>),
    /// A type of the crate, and the segments after it: `["new"]`.
    Type(Rc<TypeDef>, Vec<String>),
    Static(Rc<Static>),
    Macro(Rc<Macro>),
    /// An item of the crate that no rule is about.
    Own,
}

/// The `use`s being followed. A `use` that leads back to itself ends the search.
type Trail = Vec<*const Written>;

/// Macros of std that are always in scope. No file is searched for them.
const STD_MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "column",
    "compile_error",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "file",
    "format",
    "format_args",
    "include",
    "include_bytes",
    "include_str",
    "line",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "print",
    "println",
    "stringify",
    "thread_local",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// The most `use`s on the way of a path.
const MAX_TRAIL: usize = 32;

impl Crate {
    /// `None`: unknown, such as a local, a generic, or a name of std's prelude.
    pub(crate) fn resolve(&self, env: &Env, path: &Written, want: Want) -> Option<Found> {
        let found = self.follow(env, path, want, &mut Vec::new())?;
        Some(match found {
            Found::Foreign(mut path) => {
                if want == Want::Macro && path.last().is_some_and(|last| !last.ends_with('!')) {
                    path.last_mut()?.push('!');
                }
                Found::Foreign(rules::canonical(path))
            }
            found => found,
        })
    }

    fn follow(&self, env: &Env, path: &Written, want: Want, trail: &mut Trail) -> Option<Found> {
        let (first, rest) = path.segments.split_first()?;
        let found = match path.rooted {
            true => Found::Foreign(vec![self.external(first)?]),
            false => self.first(env, first, if rest.is_empty() { want } else { Want::Type }, trail)?,
        };
        self.descend(env, found, rest, want, trail)
    }

    /// Continues from `found` along the other segments.
    fn descend(
        &self,
        env: &Env,
        mut found: Found,
        rest: &[String],
        want: Want,
        trail: &mut Trail,
    ) -> Option<Found> {
        for (index, segment) in rest.iter().enumerate() {
            let last = index + 1 == rest.len();
            found = match found {
                Found::Foreign(mut path) => {
                    path.push(segment.clone());
                    Found::Foreign(path)
                }
                Found::Module(id) => match segment.as_str() {
                    "super" => Found::Module(self.outer(id)),
                    "self" => Found::Module(id),
                    name => {
                        let want = if last { want } else { Want::Type };
                        let exported =
                            || (want == Want::Macro).then(|| self.textual_macro(id, name)).flatten();
                        self.lookup(id, name, want, trail).or_else(exported)?
                    }
                },
                Found::Type(def, mut more) => {
                    more.push(segment.clone());
                    Found::Type(def, more)
                }
                _ => return Some(Found::Own),
            };
        }
        match found {
            Found::Type(def, more) if def.alias.is_some() => self.unalias(env, &def, more, trail),
            found => Some(found),
        }
    }

    /// `Clock::now` where `type Clock = std::time::Instant;`.
    fn unalias(&self, env: &Env, def: &Rc<TypeDef>, more: Vec<String>, trail: &mut Trail) -> Option<Found> {
        let Some(Type::Path(alias)) = &def.alias else { return Some(Found::Own) };
        if trail.len() > MAX_TRAIL || alias.qself.is_some() {
            return Some(Found::Own);
        }
        let mut path = Written::of(&alias.path);
        path.segments.extend(more);
        let at = Env { module: def.module, blocks: env.blocks.clone(), self_ty: None };
        trail.push(Rc::as_ptr(def).cast());
        let found = self.follow(&at, &path, Want::Type, trail);
        trail.pop();
        found
    }

    fn external(&self, name: &str) -> Option<String> {
        self.invocation.external(name).map(str::to_owned).or_else(|| {
            // In an editor, no dependencies are known. A name then means itself if a rule is about it.
            (!self.is_known() && rules::is_crate(name)).then(|| name.to_owned())
        })
    }

    /// The module around a scope, and the module above that.
    fn outer(&self, id: ModuleId) -> ModuleId {
        self.module(self.enclosing(id)).parent.map_or(ROOT, |parent| self.enclosing(parent))
    }

    fn enclosing(&self, mut id: ModuleId) -> ModuleId {
        while self.module(id).block {
            id = self.module(id).parent.unwrap_or(ROOT);
        }
        id
    }

    fn first(&self, env: &Env, name: &str, want: Want, trail: &mut Trail) -> Option<Found> {
        match name {
            "crate" | "$crate" => return Some(Found::Module(ROOT)),
            "self" => return Some(Found::Module(self.enclosing(env.module))),
            "super" => return Some(Found::Module(self.outer(env.module))),
            "Self" => return self.self_type(env),
            _ => {}
        }
        for (index, block) in env.blocks.iter().enumerate().rev() {
            let at = Env { module: env.module, blocks: env.blocks[..=index].to_vec(), self_ty: None };
            if let Some(found) = self.named(block, &at, name, want, trail) {
                return Some(found);
            }
        }
        let mut scope = env.module;
        loop {
            if let Some(found) = self.lookup(scope, name, want, trail) {
                return Some(found);
            }
            let module = self.module(scope);
            match module.parent {
                Some(parent) if module.block => scope = parent,
                _ => break,
            }
        }
        match want {
            Want::Type => self.external(name).map(|name| Found::Foreign(vec![name])),
            Want::Macro => self.textual_macro(env.module, name).or_else(|| self.used_macro(name)),
            Want::Value => None,
        }
    }

    /// A `macro_rules!` by its name alone: in scope below its definition, from a `#[macro_use]` module, or
    /// exported. The nearest one is used.
    fn textual_macro(&self, from: ModuleId, name: &str) -> Option<Found> {
        if STD_MACROS.contains(&name) {
            return None;
        }
        let mut scope = Some(from);
        while let Some(id) = scope {
            let content = self.content(id);
            let children = content.names.values().flatten().filter_map(|def| match def {
                Def::Module(child) => Some(*child),
                _ => None,
            });
            let mut places = vec![id];
            places.extend(children);
            if let Some(found) = places.into_iter().find_map(|id| self.macro_in(id, name)) {
                return Some(found);
            }
            scope = self.module(id).parent;
        }
        let count = self.modules.borrow().len();
        (0..count)
            .filter(|id| self.module(*id).content.get().is_some())
            .find_map(|id| self.macro_in(id, name))
    }

    /// A macro of a crate that the root imports with `#[macro_use]`, if a rule is about it.
    fn used_macro(&self, name: &str) -> Option<Found> {
        let root = self.content(ROOT);
        root.macro_crates.iter().find_map(|(krate, names)| {
            let path = vec![krate.clone(), name.to_owned()];
            let is_there = names.as_ref().is_none_or(|names| names.iter().any(|taken| taken == name));
            (is_there && rules::is_known(&path, true)).then_some(Found::Foreign(path))
        })
    }

    fn macro_in(&self, id: ModuleId, name: &str) -> Option<Found> {
        self.content(id).names.get(name)?.iter().find_map(|def| match def {
            Def::Macro(item) => Some(Found::Macro(item.clone())),
            _ => None,
        })
    }

    fn self_type(&self, env: &Env) -> Option<Found> {
        let ty = env.self_ty.as_ref()?;
        let at = Env { self_ty: None, ..env.clone() };
        match self.type_at(&at, ty) {
            Ty::Local(def, _) => Some(Found::Type(def, Vec::new())),
            Ty::Foreign(path, _) => Some(Found::Foreign(path)),
            Ty::Unknown => Some(Found::Own),
        }
    }

    /// A name that a module declares, imports or gets from a glob.
    pub(super) fn lookup(&self, id: ModuleId, name: &str, want: Want, trail: &mut Trail) -> Option<Found> {
        let env = Env { module: id, blocks: Vec::new(), self_ty: None };
        self.named(&self.content(id), &env, name, want, trail)
    }

    fn named(
        &self,
        content: &Content,
        env: &Env,
        name: &str,
        want: Want,
        trail: &mut Trail,
    ) -> Option<Found> {
        if trail.len() > MAX_TRAIL {
            return None;
        }
        if content.uncertain.contains(name) {
            return Some(Found::Own);
        }
        let defs = content.names.get(name).map(Vec::as_slice).unwrap_or_default();
        if let Some(found) = defs.iter().find_map(|def| self.definition(def, env, want, trail)) {
            return Some(found);
        }
        content.globs.iter().find_map(|glob| self.by_glob(glob, env, name, want, trail))
    }

    fn definition(&self, def: &Def, env: &Env, want: Want, trail: &mut Trail) -> Option<Found> {
        Some(match (def, want) {
            (Def::Use(path), _) => {
                let at = Rc::as_ptr(path);
                if trail.contains(&at) {
                    return None;
                }
                trail.push(at);
                let found = self.follow(env, path, want, trail);
                trail.pop();
                found?
            }
            (Def::Module(id), Want::Type) => Found::Module(*id),
            (Def::Crate(name), Want::Type) => Found::Foreign(vec![name.clone()]),
            (Def::Type(def), Want::Type) => match &def.alias {
                Some(_) => self.unalias(env, def, Vec::new(), trail)?,
                None => Found::Type(def.clone(), Vec::new()),
            },
            // A unit or tuple struct is also a value.
            (Def::Type(_), Want::Value) => Found::Own,
            (Def::Function(function), Want::Value) => Found::Function(function.clone()),
            (Def::Static(item), Want::Value) => Found::Static(item.clone()),
            (Def::Own, Want::Value) => Found::Own,
            (Def::Macro(item), Want::Macro) => Found::Macro(item.clone()),
            _ => return None,
        })
    }

    fn by_glob(
        &self,
        glob: &Rc<Written>,
        env: &Env,
        name: &str,
        want: Want,
        trail: &mut Trail,
    ) -> Option<Found> {
        let at = Rc::as_ptr(glob);
        if trail.contains(&at) {
            return None;
        }
        trail.push(at);
        let target = self.follow(env, glob, Want::Type, trail);
        let found = match target {
            Some(Found::Module(id)) => self.lookup(id, name, want, trail),
            // The items of another crate's module are unknown. Only a name that a rule is about is assumed to
            // be there.
            Some(Found::Foreign(mut path)) => {
                path.push(name.to_owned());
                rules::is_known(&path, want == Want::Macro).then_some(Found::Foreign(path))
            }
            _ => None,
        };
        trail.pop();
        found
    }
}

impl Written {
    /// A path of the syntax tree, without its generic arguments.
    pub(crate) fn of(path: &syn::Path) -> Self {
        Self {
            rooted: path.leading_colon.is_some(),
            segments: path.segments.iter().map(|segment| super::text(&segment.ident)).collect(),
        }
    }
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.rooted { "::" } else { "" })?;
        f.write_str(&self.segments.join("::"))
    }
}
