//! Types as written, in enough detail to find the target of a method call.

use super::{Crate, Env, Found, TypeDef, Want, Written};
use std::rc::Rc;
use syn::{GenericArgument, PathArguments, Type};

/// A type, as far as its text shows it.
#[derive(Clone, Debug)]
pub(crate) enum Ty {
    Foreign(Vec<String>, Vec<Ty>),
    Local(Rc<TypeDef>, Vec<Ty>),
    Unknown,
}

/// The types of std's prelude that contain other types.
const PRELUDE: &[(&str, &str)] = &[
    ("Option", "std::option::Option"),
    ("Result", "std::result::Result"),
    ("Box", "std::boxed::Box"),
    ("Vec", "std::vec::Vec"),
    ("String", "std::string::String"),
];

/// Types whose methods include those of the type inside.
const POINTERS: &[&str] = &["std::boxed::Box", "std::rc::Rc", "std::sync::Arc", "std::borrow::Cow"];

impl Ty {
    /// The full path of a foreign type.
    pub(crate) fn path(&self) -> Option<String> {
        match self {
            Self::Foreign(path, _) => Some(path.join("::")),
            Self::Local(..) | Self::Unknown => None,
        }
    }

    fn inner(&self, wrappers: &[&str]) -> Option<Self> {
        let (path, args) = (self.path()?, self.args());
        wrappers.contains(&path.as_str()).then(|| args.first().cloned().unwrap_or(Self::Unknown))
    }

    pub(crate) fn args(&self) -> &[Self] {
        match self {
            Self::Foreign(_, args) | Self::Local(_, args) => args,
            Self::Unknown => &[],
        }
    }

    /// The type inside `Box`, `Arc` and similar types.
    pub(crate) fn dereferenced(&self) -> Self {
        let mut ty = self.clone();
        while let Some(inner) = ty.inner(POINTERS) {
            ty = inner;
        }
        ty
    }

    /// The type of its items. Unknown for maps.
    pub(crate) fn element(&self) -> Self {
        let Some(path) = self.path() else { return Self::Unknown };
        let one = ["Vec", "VecDeque", "BTreeSet", "HashSet", "Option", "Result", "slice", "Iterator"];
        let last = path.rsplit("::").next().unwrap_or_default();
        match one.contains(&last) {
            true => self.args().first().cloned().unwrap_or(Self::Unknown),
            false => Self::Unknown,
        }
    }

    /// An iterator over it.
    pub(crate) fn iterator(&self) -> Self {
        match self.dereferenced().element() {
            Self::Unknown => Self::Unknown,
            element => Self::Foreign(vec!["Iterator".to_owned()], vec![element]),
        }
    }

    /// The type that `first()`, `get(..)` or `next()` returns.
    pub(crate) fn picked(&self) -> Self {
        match self.dereferenced().element() {
            Self::Unknown => Self::Unknown,
            element => {
                let option = ["std", "option", "Option"];
                Self::Foreign(option.map(str::to_owned).to_vec(), vec![element])
            }
        }
    }

    /// The type that `?`, `unwrap` and `expect` return.
    pub(crate) fn unwrapped(&self) -> Self {
        self.inner(&["std::option::Option", "std::result::Result"]).unwrap_or(Self::Unknown)
    }
}

impl Crate {
    /// The type that `ty` names at a place.
    pub(crate) fn type_at(&self, env: &Env, ty: &Type) -> Ty {
        match ty {
            Type::Reference(inner) => self.type_at(env, &inner.elem),
            Type::Paren(inner) => self.type_at(env, &inner.elem),
            Type::Group(inner) => self.type_at(env, &inner.elem),
            Type::Slice(inner) => Ty::Foreign(vec!["slice".to_owned()], vec![self.type_at(env, &inner.elem)]),
            Type::Array(inner) => Ty::Foreign(vec!["slice".to_owned()], vec![self.type_at(env, &inner.elem)]),
            Type::Path(path) if path.qself.is_none() => self.type_of_path(env, &path.path),
            _ => Ty::Unknown,
        }
    }

    fn type_of_path(&self, env: &Env, path: &syn::Path) -> Ty {
        let args = || match path.segments.last().map(|last| &last.arguments) {
            Some(PathArguments::AngleBracketed(list)) => {
                let types = list.args.iter().filter_map(|arg| match arg {
                    GenericArgument::Type(ty) => Some(self.type_at(env, ty)),
                    _ => None,
                });
                types.collect()
            }
            _ => Vec::new(),
        };
        let written = Written::of(path);
        match self.resolve(env, &written, Want::Type) {
            Some(Found::Foreign(path)) => Ty::Foreign(path, args()),
            Some(Found::Type(def, rest)) if rest.is_empty() => Ty::Local(def, args()),
            Some(_) => Ty::Unknown,
            None => match written.segments.as_slice() {
                [name] => PRELUDE.iter().find(|(short, _)| short == name).map_or(Ty::Unknown, |(_, full)| {
                    Ty::Foreign(full.split("::").map(str::to_owned).collect(), args())
                }),
                _ => Ty::Unknown,
            },
        }
    }
}
